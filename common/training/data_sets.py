"""The data sets that trainings read, looked for by name before anything is trained."""

import sys
from collections.abc import Sequence
from typing import Any

from common.data import catalogue, is_here
from common.data import fetch as fetching
from common.errors import RelicError
from common.training.schedule import Training


def names(trainings: Sequence[Training]) -> list[str]:
    """Return the sets that trainings read, each once; a config names a set, or a set and how many of its pictures."""
    return list(dict.fromkeys(name for training in trainings for name in _names(training.config)))


def _names(config: Any) -> list[str]:
    return [name if isinstance(name, str) else name[0] for name in config.training_sets]


def require(trainings: Sequence[Training]) -> None:
    """Raise RelicError that names the sets which are not here, and how to get them; shipped trainings need none."""
    missing = _missing(trainings)
    if missing:
        are = "set {} is" if len(missing) == 1 else "sets {} are"
        hows = "; ".join(catalogue.how_to_get(name) for name in missing)
        raise RelicError(f"nothing is trained, as the data {are.format(', '.join(missing))} not here: {hows}")


def fetch(trainings: Sequence[Training]) -> None:
    """Download the sets that are not here, into the cache, those excepted whose terms or registration ask the user."""
    for key in dict.fromkeys(catalogue.key_of(name) for name in _missing(trainings)):
        known = catalogue.SETS.get(key)
        if known and catalogue.is_downloadable(known) and not known.asks:
            fetching.fetch(key, report=lambda line: print(line, file=sys.stderr))


def _missing(trainings: Sequence[Training]) -> list[str]:
    lacking = [training for training in trainings if not training.is_shipped]
    return [name for name in names(lacking) if not is_here(name)]
