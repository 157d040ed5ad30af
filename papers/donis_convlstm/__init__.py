"""Donis, Brown: Image Compression with Deep Neural Networks.

Columbia University, course report, 2020.
"""
