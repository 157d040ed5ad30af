"""Experiments: one module per published table or figure; `python -m experiments` lists them."""

import pkgutil


def names() -> list[str]:
    """Return the names of the experiments in alphabetical order."""
    others = ("__main__", "campaign")
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name not in others)
