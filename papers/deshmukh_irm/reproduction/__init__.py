"""What judges the paper: tables, figures, the claims of its text, speed, and an audit of what it prints."""
