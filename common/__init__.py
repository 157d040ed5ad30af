"""Plumbing that two papers or more use: data, metrics, entropy coding, file format, runs, tables."""
