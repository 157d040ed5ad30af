"""What judges the paper: Figure 2 and the claims of its text, at equal rate."""
