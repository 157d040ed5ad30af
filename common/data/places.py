"""Where data sets are looked for: `$RELIC_DATA`, the cache, and what tensorflow-datasets has prepared."""

import os
from pathlib import Path

from common.data.catalogue import BUILT_IN, how_to_get
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


def archives_root() -> Path:
    """Return the folder of the archives that are downloaded to make sets from, beside the cache of sets."""
    return cache_root().parent / "archives"


def archive_places(file: str) -> list[Path]:
    """Return where an archive that the user has brought is looked for: `$RELIC_DATA`, tensorflow-datasets' place."""
    own = os.environ.get("RELIC_DATA")
    return [*([_in_home(own) / file] if own else []), prepared_root() / "downloads" / "manual" / file]


def where(key: str) -> str:
    """Return the place that a set known by name is read from, empty where it is nowhere."""
    if key in BUILT_IN:
        return "built in"
    for root in roots():
        if (root / key).is_dir():
            return str(root / key)
    prepared = prepared_root() / key.split("/")[0]
    return str(prepared) if prepared.is_dir() else ""


def _in_home(path: str) -> Path:
    """Return a path whose ~ is the home folder; where none is known it stays, for there is nothing to read then."""
    return Path(os.path.expanduser(path))


def not_found(name: str) -> RelicError:
    """Return the error that says where a set was looked for and how to get it."""
    places = ", ".join(str(root / name) for root in roots())
    return RelicError(f"no data set {name} in {places} nor {prepared_root()}: {how_to_get(name)}")
