"""Kunal Deshmukh, Chris Pollett: "Residual CNN Image Compression".

San José State University; after Jiang et al. 2018, "An end-to-end compression framework based on convolutional
neural networks", and Ledig et al. 2017, "Photo-realistic single image super-resolution using a generative
adversarial network".
"""
