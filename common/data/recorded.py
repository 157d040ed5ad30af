"""The files that this suite's results were made with: sizes and sha256, `recorded/<set>.csv`, and digests of sets."""

import csv
import functools
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

FOLDER = Path(__file__).parent / "recorded"

# By a set's name: how many pictures it has and `digest_of` them, where files or arrays are too many to list.
SUMMARIES: Mapping[str, tuple[int, str]] = MappingProxyType(
    {
        "tiny_imagenet_val": (10_000, "d80007e1a48e114c755ba6201a04a4b6c5902b06a2d4dc59ff3b316a8551285d"),
        "cifar10_subset/train": (5_482, "f286314203dac6a9e3d5f22b7c1bc1933740fb947cd2144d4450397428fcf1c8"),
        "cifar10_subset/test": (1_017, "dc853383647db58294f874a1415d24e3556adef5bbbe9b8456bb08537068a132"),
        "cifar100_subset/train": (1_117, "8ff22a800f0fbe9daca6eb9da9b4765c0bdb1d26f5c9b5c661c049f45c1d5888"),
        "cifar100_subset/test": (916, "ff46fe64891f61e623a447cfa11845b8078d1f7e0099373fbaf1e0aac35873fb"),
    }
)


@functools.cache
def files(name: str) -> Mapping[str, tuple[int, str]]:
    """Return size in bytes and sha256 of each file of a set, by its path in the set's folder; empty where none are."""
    path = FOLDER / f"{name.replace('/', '-')}.csv"
    if not path.is_file():
        return MappingProxyType({})
    with path.open(newline="") as table:
        rows = {row["path"]: (int(row["bytes"]), row["sha256"]) for row in csv.DictReader(table)}
    return MappingProxyType(rows)


def set_digest(digests: Iterable[str]) -> str:
    """Return one sha256 over the sorted sha256, in hexadecimal, of a set's files or arrays."""
    return hashlib.sha256("\n".join(sorted(digests)).encode()).hexdigest()


def summaries(name: str, parts: Sequence[str] = ()) -> dict[str, tuple[int, str]]:
    """Return how many pictures a set has and their digest, or each of its parts, by name; empty where none is known."""
    listed = files(name)
    names = [f"{name}/{part}" for part in parts] or [name]
    if not listed:
        return {key: SUMMARIES[key] for key in names if key in SUMMARIES}
    found = {}
    for key in names:
        inside = key.removeprefix(name).removeprefix("/")
        digests = [digest for path, (_, digest) in listed.items() if path.startswith(f"{inside}/" if inside else "")]
        found[key] = (len(digests), set_digest(digests))
    return found
