"""Indradhar Paka, Kiran Khatter: "Training Autoencoder For Image Compression".

Department of Computer Science, BML Munjal University.
"""
