"""JPEG and its kin: the codecs that are here, the libraries that they need, and where on their curves they stand."""
