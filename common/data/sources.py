"""What a data set is stored as: a folder of pictures, a zip file of them, an npz file of arrays, scikit-image's own.

Every source gives its pictures by their numbers, in order of their paths: name, file's bytes, decoded picture. A
picture's name is the stem of its file's name; where several files have that stem, each one's path from the folder.
"""

import hashlib
import importlib.util
import math
import os
import stat
import zipfile
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property, partial
from pathlib import Path, PurePath, PurePosixPath
from typing import Any

import numpy as np

from common import limits
from common.data.pictures import EXTENSIONS, decode_image, is_picture, read_file
from common.errors import RelicError
from common.files import printable

StoredPicture = tuple[
    str, str, np.ndarray
]  # name, sha256 of the file (of the array's bytes in an npz file), uint8 picture

# scikit-image's photographs: by E. Collins / NASA (public domain), S. van der Walt (CC0), R. Michetti (CC0); size in
# bytes and sha256.
SAMPLE = {
    "astronaut.png": (791555, "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5"),
    "chelsea.png": (240512, "596aa1e7cb875eb79f437e310381d26b338a81c2da23439704a73c4651e8c4bb"),
    "coffee.png": (466706, "cc02f8ca188b167c775a7101b5d767d1e71792cf762c33d6fa15a4599b5a8de7"),
}
MAX_MEMBER_BYTES = 2**28
MEMBER_PART = 2**12
MAX_ARRAY_BYTES = 2**34


def sha256(data: bytes) -> str:
    """Return the sha256 of some bytes in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


class Source(ABC):
    """The pictures of a set in a fixed order, each read by its number, 0 to len - 1, also by several threads at once.

    Attributes: `place`, where they are, as sentences say it; `paths`, what tells the pictures apart, as their paths
    from the folder; `sizes`, int64, the bytes of what each is stored as, None where they are not known before they are
    read; `checksum`, of all contents, empty where it is not known before they are read;
    `is_encoded`, whether that is a picture file, otherwise the picture's bytes; `is_read_in_turn`, whether to read one
    picture is to read those before it.
    """

    place: str
    paths: Sequence[str]
    sizes: np.ndarray | None = None
    checksum = ""
    is_encoded = True
    is_read_in_turn = False

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self.paths)

    def __iter__(self) -> Iterator[StoredPicture]:
        """Yield name, sha256 and picture of each, one at a time."""
        return (self.entry(number) for number in range(len(self)))

    def entry(self, number: int) -> StoredPicture:
        """Return name, sha256 and picture; raise RelicError that names what cannot be read."""
        data = self.encoded(number)
        return self.names[number], sha256(data), self.decoded(number, data)

    @cached_property
    def names(self) -> list[str]:
        """The pictures' names, as tables have them."""
        return _names([PurePosixPath(path) for path in self.paths])

    @abstractmethod
    def encoded(self, number: int, most: int | None = None) -> bytes:
        """Return what a picture is stored as, or its first `most` bytes if that is less work; RelicError if damaged."""

    def decoded(self, number: int, data: bytes | None = None) -> np.ndarray:
        """Return a picture, uint8 (height, width[, 3]), of what it is stored as where that has been read already."""
        return decode_image(self.encoded(number) if data is None else data, self.place_of(number))

    def shape(self, number: int) -> tuple[int, int, int]:
        """Return height, width and channels of a picture that is not encoded."""
        raise NotImplementedError

    @abstractmethod
    def place_of(self, number: int) -> str:
        """Return what sentences call a picture."""

    @abstractmethod
    def stamp(self) -> str:
        """Return what another choice of pictures, or a change of one, changes; no picture is read for it."""


class Files(Source):
    """Picture files by their paths from a folder."""

    sizes: np.ndarray

    def __init__(self, folder: Path, paths: Sequence[str]) -> None:
        """Look up the files' sizes; raise RelicError for what cannot be read, as a broken link."""
        self.folder, self.paths, self.place = folder, paths, str(folder)
        self.sizes, self._changed = np.empty(len(paths), np.int64), np.empty(len(paths), np.int64)
        for number in range(len(paths)):
            status = _status(self.place_of(number))
            self.sizes[number], self._changed[number] = status.st_size, status.st_mtime_ns

    def encoded(self, number: int, most: int | None = None) -> bytes:
        """Return a file's bytes, or the first of them."""
        return read_file(self.place_of(number), most)

    def place_of(self, number: int) -> str:
        """Return a file's path."""
        return os.path.join(self.place, self.paths[number])

    def stamp(self) -> str:
        """Return a sha256 over paths, sizes and times of change."""
        digest = hashlib.sha256("\n".join(self.paths).encode(errors="surrogateescape"))
        digest.update(self.sizes.tobytes() + self._changed.tobytes())
        return digest.hexdigest()


def _status(path: str) -> os.stat_result:
    try:
        status = os.stat(path)
    except OSError:
        status = None
    if status is None or not stat.S_ISREG(status.st_mode):
        raise RelicError(f"cannot read {path}: a broken link or no plain file; mend it or take it out of the folder")
    return status


def folder_source(folder: Path) -> Source:
    """Return the pictures of a folder and of those below it, in order of their paths; or those of its only zip file.

    Raises RelicError for what is named like a picture and cannot be read, as a broken link.
    """
    if not folder.is_dir():
        raise RelicError(f"no such folder of pictures: {folder}")
    paths = [path for path in _paths_below(folder) if is_picture(path)]
    archives = sorted(folder.glob("*.zip"))
    if not paths and len(archives) == 1:
        return Zip(archives[0])
    if not paths:
        arrays = f", or name {folder.name}/train or another of its arrays" if list(folder.glob("*.npz")) else ""
        raise RelicError(f"no pictures in {folder}: put files ending in {', '.join(EXTENSIONS)} there{arrays}")
    return Files(folder, paths)


def files_below(folder: Path) -> list[Path]:
    """Return the files of a folder and of those below it, in order of their paths, without what is hidden.

    Links are followed, each folder is entered once. Raises RelicError for a folder that cannot be read.
    """
    return [folder / path for path in _paths_below(folder)]


def _paths_below(folder: Path) -> list[str]:
    """Return the paths of `files_below` from the folder: of a million files, objects would fill memory."""

    def refuse(error: OSError) -> None:
        raise RelicError(f"cannot read {error.filename}: {(error.strerror or str(error)).lower()}") from error

    found: list[str] = []
    entered = set()
    for parent, folders, files in os.walk(folder, onerror=refuse, followlinks=True):
        is_new = (real := os.path.realpath(parent)) not in entered
        entered.add(real)
        folders[:] = sorted(name for name in folders if is_new and not name.startswith("."))
        below = os.path.relpath(parent, folder)
        prefix = "" if below == "." else below + os.sep
        found += [prefix + name for name in files if is_new and not name.startswith(".")]
    return sorted(found, key=lambda path: path.replace(os.sep, "\0"))  # by the names on the way, one after the other


def left_out(folder: Path) -> list[str]:
    """Return the paths, from the folder, of the files whose names do not end like a picture's."""
    files = _paths_below(folder)
    others = [printable(path) for path in files if not is_picture(path)]
    return others if len(others) < len(files) else []  # else a zip file is the set


def _names(paths: Sequence[PurePath]) -> list[str]:
    stems = Counter(path.stem for path in paths)
    return [printable(path.stem if stems[path.stem] == 1 else str(path)) for path in paths]


class Zip(Source):
    """The picture files in a zip file, hidden ones left out, in order of their names."""

    sizes: np.ndarray

    def __init__(self, path: Path) -> None:
        """Read the list of members; raise RelicError where it is damaged or has no pictures."""
        self.path, self.place = path, str(path)
        with self._damage_named():
            self._file = path.open("rb")  # opened here, as ZipFile's own is closed by what several threads count wrong
            self._archive = zipfile.ZipFile(self._file)
            self.paths = sorted(name for name in self._archive.namelist() if is_picture(name) and not _is_hidden(name))
            members = [self._archive.getinfo(name) for name in self.paths]
        if not members:
            raise RelicError(f"no pictures in {path}: their names end in {', '.join(EXTENSIONS)}")
        self.sizes = np.array([member.file_size for member in members], np.int64)
        self.checksum = sha256(np.array([member.CRC for member in members], np.int64).tobytes())

    def encoded(self, number: int, most: int | None = None) -> bytes:
        """Return a member's bytes, or the first of them; raise RelicError if it is damaged, encrypted or too large."""
        member = self.paths[number]
        if self.sizes[number] > MAX_MEMBER_BYTES:
            raise RelicError(f"cannot read {self.path}: {member} unpacks to more than {MAX_MEMBER_BYTES} bytes")
        with self._damage_named(), self._archive.open(member) as file:
            if most is not None:
                return file.read(most)
            return b"".join(iter(partial(file.read, MEMBER_PART), b""))  # it may unpack to more than it says

    def place_of(self, number: int) -> str:
        """Return the archive's path and the member's."""
        return f"{self.path}: {self.paths[number]}"

    def stamp(self) -> str:
        """Return a sha256 over names, sizes and checksums."""
        listed = "\n".join(self.paths).encode(errors="surrogateescape")
        return sha256(listed + self.sizes.tobytes() + self.checksum.encode())

    @contextmanager
    def _damage_named(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # BadZipFile, EOFError, OSError, UnicodeDecodeError, lzma.LZMAError, zlib.error …
            raise RelicError(f"cannot read {self.path}: truncated, damaged or encrypted ({error})") from error


def _is_hidden(member: str) -> bool:
    return any(part.startswith(".") for part in PurePosixPath(member).parts)


class Arrays(Source):
    """Pictures that are stored as their samples, uint8, in one array (count, height, width[, 3]) or several."""

    is_encoded = False

    def __init__(self, place: str, paths: Sequence[str], x: Any, checksum: str = ""):
        """Take pictures with their names; `x[number]` is one, and where all have one shape `x.shape` says it."""
        self.place, self.paths, self._x, self.checksum = place, paths, x, checksum
        self.sizes = np.array([math.prod(self.shape(number)) for number in range(len(paths))], np.int64)

    @property
    def names(self) -> Sequence[str]:  # type: ignore[override]
        """The pictures' names, as they were given."""
        return self.paths

    def encoded(self, number: int, most: int | None = None) -> bytes:
        """Return a picture's samples."""
        return self._x[number].tobytes()

    def decoded(self, number: int, data: bytes | None = None) -> np.ndarray:
        """Return a picture, no copy."""
        return self._x[number]

    def shape(self, number: int) -> tuple[int, int, int]:
        """Return height, width and channels of a picture."""
        shape = self._x.shape[1:] if hasattr(self._x, "shape") else self._x[number].shape
        return shape[0], shape[1], 3 if len(shape) == 3 else 1

    def place_of(self, number: int) -> str:
        """Return the file and the picture's name."""
        return f"{self.place}: {self.paths[number]}"

    def stamp(self) -> str:
        """Return the checksum."""
        return self.checksum


def arrays_of(split: Path) -> Path:
    """Return the npz file that holds a split: of cifar10_subset/train, cifar10_subset/cifar10_subset.npz."""
    return split.parent / f"{split.parent.name}.npz"


def array_source(path: Path, split: str) -> Source:
    """Return the pictures of the array `x_<split>`, uint8 (count, height, width[, 3]), of an npz file."""
    x, checksum = _array(path, f"x_{split}")
    if x.dtype != np.uint8 or not (x.ndim == 3 or (x.ndim == 4 and x.shape[3] == 3)):
        raise RelicError(f"cannot read {path}: x_{split} is {x.dtype} {x.shape}, not uint8 (count, height, width[, 3])")
    return Arrays(str(path), [f"{split}_{index:06d}" for index in range(len(x))], x, checksum)


def _array(path: Path, name: str) -> tuple[Any, str]:
    """Return an array of an npz file and its checksum; a large one that is stored as it is stays on the disk."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            if name in arrays.files:
                member = arrays.zip.getinfo(f"{name}.npy")
                if member.compress_type == zipfile.ZIP_STORED and member.file_size > limits.data_memory():
                    on_disk = _ArrayOnDisk(path, member)
                    if not on_disk.is_by_columns:
                        return on_disk, f"{member.CRC:08x}"
                if member.file_size > MAX_ARRAY_BYTES:
                    raise RelicError(f"cannot read {path}: {name} unpacks to more than {MAX_ARRAY_BYTES >> 30} GiB")
                return arrays[name], f"{member.CRC:08x}"
            held = ", ".join(sorted(arrays.files))
    except RelicError:
        raise
    except Exception as error:  # numpy reports damage by OSError, ValueError, EOFError, BadZipFile, zlib.error …
        raise RelicError(f"cannot read {path}: truncated, damaged or no npz file ({error})") from error
    raise RelicError(f"cannot read {path}: it holds {held}, no {name}")


class _ArrayOnDisk:
    """An array (count, ...) of uint8 that a member of a zip file holds uncompressed, read picture by picture.

    A map of the file would do, but what has been read of it counts as this process's memory.
    """

    def __init__(self, path: Path, member: zipfile.ZipInfo) -> None:
        """Read where the array begins, its shape and its type; raise an exception for damage."""
        self._path, self._file = path, path.open("rb")
        self._file.seek(member.header_offset + 26)  # to the lengths of the name and of what else is before the content
        lengths = np.frombuffer(self._file.read(4), "<u2")
        self._file.seek(member.header_offset + 30 + int(lengths.sum()))
        version = np.lib.format.read_magic(self._file)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        self.shape, self.is_by_columns, self.dtype = read_header(self._file)
        self.ndim, self._start = len(self.shape), self._file.tell()

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, number: int) -> np.ndarray:
        size = math.prod(self.shape[1:])
        data = os.pread(self._file.fileno(), size, self._start + number * size)
        if len(data) < size:
            raise RelicError(f"cannot read {self._path}: truncated")
        return np.frombuffer(data, np.uint8).reshape(self.shape[1:])


def synthetic() -> Source:
    """Return 4 drawn pictures, 320x320: random blobs of colour, the same everywhere; some trainings need no more."""
    generator = np.random.Generator(np.random.Philox(0))
    coarse = [generator.integers(0, 256, (10, 10, 3), np.uint8) for _ in range(4)]
    drawn = [np.kron(blobs, np.ones((32, 32, 1), np.uint8)) for blobs in coarse]
    return Arrays("synthetic", [f"blobs{index}" for index in range(len(drawn))], drawn)


def sample() -> Source:
    """Return the embedded photographs, 512x512, 451x300 and 600x400, after checking that they are the ones meant."""
    spec = importlib.util.find_spec("skimage")
    if spec is None or spec.origin is None:
        raise RelicError("the set sample is part of scikit-image: pip install scikit-image")
    folder = Path(spec.origin).parent / "data"
    for file_name, (_, digest) in SAMPLE.items():
        if not (folder / file_name).is_file() or sha256((folder / file_name).read_bytes()) != digest:
            raise RelicError(f"this scikit-image does not ship the expected {file_name}: install version 0.25 or 0.26")
    return Files(folder, list(SAMPLE))


EMBEDDED = {"sample": sample, "synthetic": synthetic}
