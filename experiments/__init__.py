"""Experiments: one module per published table or figure; `python -m experiments` lists them."""
