"""Data sets by name: read from the first place that has them, whole or in part, with one digest of what was read."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np

from common.data.catalogue import how_to_get
from common.data.places import not_found, prepared_root, roots
from common.data.prepared import Records
from common.data.recorded import set_digest
from common.data.sources import EMBEDDED, Source, StoredPicture, array_source, arrays_of, folder_source
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
    source = find(name) if directory is None else folder_source(expanded(str(directory)))
    return whole_entries(source, range(count_of(source, limit)), name)


def count_of(source: Source, limit: int | None) -> int:
    """Return how many pictures a limit leaves; raise RelicError for a limit that leaves none."""
    if limit is not None and limit < 1:
        raise RelicError(f"a limit of {limit} pictures leaves none: give 1 or more")
    return len(source) if limit is None else min(limit, len(source))


def whole_entries(source: Source, numbers: Iterable[int], name: str) -> list[StoredPicture]:
    """Return the entries of these pictures; raise RelicError where they need more memory than MAX_SET_BYTES."""
    entries, size = [], 0
    for number in numbers:
        entries.append(source.entry(number))
        size += entries[-1][2].nbytes
        if size > MAX_SET_BYTES:
            raise RelicError(f"{name} needs more than {MAX_SET_BYTES >> 30} GiB of memory: give a smaller limit")
    return entries


def named_entries(name: str, stems: Sequence[str]) -> list[StoredPicture]:
    """Return the entries of a set with these stems, in their order; raise RelicError that names a missing one."""
    source = find(name)
    return [source.entry(number) for number in numbers_of(source, stems, name)]


def numbers_of(source: Source, stems: Sequence[str], name: str) -> list[int]:
    """Return the numbers of the pictures with these names; raise RelicError that names a missing one."""
    numbers = {stem: number for number, stem in enumerate(source.names)}
    missing = [stem for stem in stems if stem not in numbers]
    if missing:
        raise RelicError(f"{name} lacks {missing[0]}: {how_to_get(name)}")
    return [numbers[stem] for stem in stems]


def digest_of(entries: Sequence[StoredPicture]) -> str:
    """Return one sha256 over the sorted sha256 of entries."""
    return set_digest(digest for _, digest, _ in entries)


def is_here(name: str) -> bool:
    """Return whether a name is that of a data set which some place here has."""
    return _is_name(name) and _reader(name) is not None


def _is_name(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and bool(path.parts) and str(path) == name


def find(name: str) -> Source:
    """Return a named set from the first place that has it; raise RelicError that says how to get it where none has."""
    if not _is_name(name):
        raise RelicError(f"{name!r} is no data set's name: write it like kodak or bsds500/train")
    reader = _reader(name)
    if reader is None:
        raise not_found(name)
    return reader()


def _reader(name: str) -> Callable[[], Source] | None:
    """Return what opens a named set, from the first place that has it; None where none has."""
    if name in EMBEDDED:
        return EMBEDDED[name]
    for root in roots():
        if (root / name).is_dir():
            return partial(folder_source, root / name)
        if arrays_of(root / name).is_file():
            return partial(array_source, arrays_of(root / name), PurePosixPath(name).name)
    if (prepared_root() / PurePosixPath(name).parts[0]).is_dir():
        return partial(Records, name)
    return None
