"""What judges the paper: figures, the claims of its text, speed, and an audit of what its axes show."""
