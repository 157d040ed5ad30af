"""Trainings: the loop, checkpoints, what is shipped, and what experiments still lack."""
