"""Where data sets are looked for: `$RELIC_DATA`, the cache, and what tensorflow-datasets has prepared."""

import os
from pathlib import Path

from common.data.fetch import how_to_get
from common.errors import RelicError


def roots() -> list[Path]:
    """Return the folders that named sets are looked for in: `$RELIC_DATA` where it is set, then the cache."""
    own = os.environ.get("RELIC_DATA")
    return [_in_home(own), cache_root()] if own else [cache_root()]


def cache_root() -> Path:
    """Return the folder that fetched sets are kept in: `$RELIC_CACHE/data`, where RELIC_CACHE is ~/.cache/relic."""
    return _in_home(os.environ.get("RELIC_CACHE") or "~/.cache/relic") / "data"


def prepared_root() -> Path:
    """Return the folder tensorflow-datasets keeps its prepared sets in: `$TFDS_DATA_DIR` or ~/tensorflow_datasets."""
    return _in_home(os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets")


def _in_home(path: str) -> Path:
    """Return a path whose ~ is the home folder; where none is known it stays, for there is nothing to read then."""
    return Path(os.path.expanduser(path))


def not_found(name: str) -> RelicError:
    """Return the error that says where a set was looked for and how to get it."""
    places = ", ".join(str(root / name) for root in roots())
    return RelicError(f"no data set {name} in {places} nor {prepared_root()}: {how_to_get(name)}")
