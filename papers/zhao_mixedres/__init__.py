"""Zhao, Bai, Li, Wang, Zhao: Mixed-resolution image representation and compression with convolutional neural networks.

arXiv 1802.01447, 2018.
"""
