"""What judges the paper: its table, its figures, and an audit of what it prints."""
