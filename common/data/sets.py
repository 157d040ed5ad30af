"""Data sets by name: read from the first place that has them, whole or in part, with one digest of what was read."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np

from common.data.catalogue import how_to_get
from common.data.places import not_found, prepared_root, roots
from common.data.prepared import read_prepared
from common.data.recorded import set_digest
from common.data.sources import EMBEDDED, StoredPicture, arrays_of, read_arrays, read_folder
from common.errors import RelicError
from common.files import expanded

Picture = tuple[str, np.ndarray]  # name, uint8 picture

MAX_SET_BYTES = 2**34


def images(name: str, limit: int | None = None, directory: str | Path | None = None) -> list[Picture]:
    """Return a set's pictures as (name, uint8 array (height, width, 3) or (height, width)), in order of their paths.

    A picture's name is the stem of its file's or, where several files have that stem, each one's path from the folder.
    `limit` keeps the first ones; `directory` reads that folder, whatever the name. Raises RelicError where the set is
    not found, saying how to get it, and for an empty folder or an unreadable picture.
    """
    return load(name, limit, directory)[0]


def load(name: str, limit: int | None = None, directory: str | Path | None = None) -> tuple[list[Picture], str]:
    """Return what `images` returns, and one sha256 over the sorted sha256 of the files (or arrays) read."""
    entries = read_entries(name, limit, directory)
    return [(name, image) for name, _, image in entries], digest_of(entries)


def read_entries(name: str, limit: int | None, directory: str | Path | None = None) -> list[StoredPicture]:
    """Return the entries that `images` returns the pictures of; its rules and errors hold here."""
    if limit is not None and limit < 1:
        raise RelicError(f"a limit of {limit} pictures leaves none: give 1 or more")
    source = _find(name) if directory is None else read_folder(expanded(str(directory)))
    entries, size = [], 0
    for entry in itertools.islice(source, limit):
        entries.append(entry)
        size += entry[2].nbytes
        if size > MAX_SET_BYTES:
            raise RelicError(f"{name} needs more than {MAX_SET_BYTES >> 30} GiB of memory: give a smaller limit")
    return entries


def named_entries(name: str, stems: Sequence[str]) -> list[StoredPicture]:
    """Return the entries of a set with these stems, in their order; raise RelicError that names a missing one."""
    entries = {entry[0]: entry for entry in read_entries(name, None)}
    missing = [stem for stem in stems if stem not in entries]
    if missing:
        raise RelicError(f"{name} lacks {missing[0]}: {how_to_get(name)}")
    return [entries[stem] for stem in stems]


def digest_of(entries: Sequence[StoredPicture]) -> str:
    """Return one sha256 over the sorted sha256 of entries."""
    return set_digest(digest for _, digest, _ in entries)


def is_here(name: str) -> bool:
    """Return whether a name is that of a data set which some place here has."""
    return _is_name(name) and _reader(name) is not None


def _is_name(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and bool(path.parts) and str(path) == name


def _find(name: str) -> Iterator[StoredPicture]:
    """Read a named set from the first place that has it."""
    if not _is_name(name):
        raise RelicError(f"{name!r} is no data set's name: write it like kodak or bsds500/train")
    reader = _reader(name)
    if reader is None:
        raise not_found(name)
    return reader()


def _reader(name: str) -> Callable[[], Iterator[StoredPicture]] | None:
    """Return what reads a named set, from the first place that has it; None where none has."""
    if name in EMBEDDED:
        return EMBEDDED[name]
    for root in roots():
        if (root / name).is_dir():
            return partial(read_folder, root / name)
        if arrays_of(root / name).is_file():
            return partial(read_arrays, arrays_of(root / name), PurePosixPath(name).name)
    if (prepared_root() / PurePosixPath(name).parts[0]).is_dir():
        return partial(read_prepared, name)
    return None
