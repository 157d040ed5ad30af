"""Paka and Khatter: Training Autoencoder For Image Compression."""
