"""What judges Cheng et al. (2019): the measurements behind its tables."""
