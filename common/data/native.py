"""CIFAR-10, CIFAR-100 and STL-10 from the binary files of their archives to one npz file of arrays `x_<split>`.

A record of CIFAR is its labels, one byte each, then three planes of rows; one of STL-10 three planes of columns. The
order of pictures is the files', the splits' names are those of tensorflow-datasets.
"""

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import IO

import numpy as np

from common.errors import RelicError
from common.files import atomic_file

CHUNK = 4096  # pictures that are in memory at once


@dataclass(frozen=True)
class Layout:
    """Files by split, in order, all in one folder; how many pictures a split has; labels in bytes; side in pixels."""

    folder: str
    files: Mapping[str, Sequence[str]]
    pictures: Mapping[str, int]
    labels: int = 0
    side: int = 32
    by_columns: bool = False

    @property
    def record(self) -> int:
        """Return the bytes of a picture and its labels."""
        return self.labels + 3 * self.side**2

    def wanted(self, path: str) -> str:
        """Return the name of a member of the archive that holds pictures, empty for any other."""
        folder, _, name = path.rpartition("/")
        return name if folder == self.folder and any(name in names for names in self.files.values()) else ""


_BATCHES = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
LAYOUTS: Mapping[str, Layout] = MappingProxyType(
    {
        "cifar10": Layout(
            "cifar-10-batches-bin",
            {"train": _BATCHES, "test": ("test_batch.bin",)},
            {"train": 50_000, "test": 10_000},
            labels=1,
        ),
        "cifar100": Layout(
            "cifar-100-binary",
            {"train": ("train.bin",), "test": ("test.bin",)},
            {"train": 50_000, "test": 10_000},
            labels=2,
        ),
        "stl10": Layout(
            "stl10_binary",
            {"train": ("train_X.bin",), "test": ("test_X.bin",), "unlabelled": ("unlabeled_X.bin",)},
            {"train": 5_000, "test": 8_000, "unlabelled": 100_000},
            side=96,
            by_columns=True,
        ),
    }
)


def write_arrays(layout: Layout, folder: Path, path: Path) -> None:
    """Write an npz file, not compressed, of the binary files in a folder; it appears whole or not at all.

    Arrays are uint8 (count, side, side, 3), rows first, RGB. Raises RelicError where a file does not hold whole
    pictures, or a split too few or too many.
    """
    with atomic_file(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for split, names in layout.files.items():
            sources = [folder / name for name in names]
            _check(layout, split, sources)
            with archive.open(f"x_{split}.npy", "w", force_zip64=True) as array:
                header = dict(
                    descr="|u1", fortran_order=False, shape=(layout.pictures[split], layout.side, layout.side, 3)
                )
                np.lib.format.write_array_header_1_0(array, header)
                for source in sources:
                    _copy(layout, source, array)


def counts(path: Path) -> dict[str, int]:
    """Return how many pictures each array of an npz file has, by its split; none where there is no such file.

    Only headers are read. Raises RelicError for a damaged file.
    """
    if not path.is_file():
        return {}
    try:
        with zipfile.ZipFile(path) as archive:
            return {
                name.removeprefix("x_").removesuffix(".npy"): _shape(archive, name)[0]
                for name in archive.namelist()
                if name.startswith("x_")
            }
    except Exception as error:  # BadZipFile, EOFError, ValueError, IndexError …
        raise RelicError(f"cannot read {path}: truncated, damaged or no npz file ({error})") from error


def _shape(archive: zipfile.ZipFile, name: str) -> tuple[int, ...]:
    with archive.open(name) as array:
        np.lib.format.read_magic(array)
        return np.lib.format.read_array_header_1_0(array)[0]


def _check(layout: Layout, split: str, sources: Sequence[Path]) -> None:
    sizes = [source.stat().st_size for source in sources]
    if any(size % layout.record for size in sizes) or sum(sizes) != layout.pictures[split] * layout.record:
        held = " and ".join(f"{source.name} with {size:,} bytes" for source, size in zip(sources, sizes, strict=True))
        raise RelicError(f"{held} is not {layout.pictures[split]:,} pictures of {layout.record} bytes: another archive")


def _copy(layout: Layout, source: Path, array: IO[bytes]) -> None:
    with source.open("rb") as file:
        while data := file.read(CHUNK * layout.record):
            records = np.frombuffer(data, np.uint8).reshape(-1, layout.record)[:, layout.labels :]
            planes = records.reshape(-1, 3, layout.side, layout.side)
            pictures = planes.transpose((0, 3, 2, 1) if layout.by_columns else (0, 2, 3, 1))
            array.write(np.ascontiguousarray(pictures).data)
