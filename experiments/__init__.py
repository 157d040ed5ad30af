"""Experiments: one module per published table or figure; `python -m experiments` lists them."""

import pkgutil

import papers  # noqa: F401  First of all, as it finds the right package `common`


def names() -> list[str]:
    """Return the names of the experiments in alphabetical order."""
    others = ("__main__", "campaign")
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name not in others)
