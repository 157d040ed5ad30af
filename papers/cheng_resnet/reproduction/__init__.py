"""What judges the paper: recipes, speed, Tables 8 and 9. Tables 1 to 5 need `common` and their experiments alone."""
