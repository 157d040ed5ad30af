"""What a data set is stored as: a folder of pictures, a zip file of them, an npz file of arrays, scikit-image's own.

Every reader yields entries, one picture at a time: its name, a sha256 and the decoded picture. The name is the stem of
its file's name; where several files have that stem, each one's path from the folder.
"""

import hashlib
import importlib.util
import os
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path, PurePath, PurePosixPath

import numpy as np

from common.data.pictures import EXTENSIONS, decode_image, is_picture, read_file
from common.errors import RelicError
from common.files import printable

StoredPicture = tuple[
    str, str, np.ndarray
]  # name, sha256 of the file (of the array's bytes in an npz file), uint8 picture

# scikit-image's photographs: by E. Collins / NASA (public domain), S. van der Walt (CC0), R. Michetti (CC0).
SAMPLE = {
    "astronaut.png": "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5",
    "chelsea.png": "596aa1e7cb875eb79f437e310381d26b338a81c2da23439704a73c4651e8c4bb",
    "coffee.png": "cc02f8ca188b167c775a7101b5d767d1e71792cf762c33d6fa15a4599b5a8de7",
}
MAX_MEMBER_BYTES = 2**28
MEMBER_PART = 2**12
MAX_ARRAY_BYTES = 2**34


def sha256(data: bytes) -> str:
    """Return the sha256 of some bytes in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def read_folder(folder: Path) -> Iterator[StoredPicture]:
    """Yield the pictures of a folder and of those below it, in order of their paths; or those of its only zip file.

    Raises RelicError for what is named like a picture and cannot be read, as a broken link.
    """
    if not folder.is_dir():
        raise RelicError(f"no such folder of pictures: {folder}")
    paths = [path for path in files_below(folder) if is_picture(path)]
    archives = sorted(folder.glob("*.zip"))
    if not paths and len(archives) == 1:
        yield from read_zip(archives[0])
        return
    if not paths:
        arrays = f", or name {folder.name}/train or another of its arrays" if list(folder.glob("*.npz")) else ""
        raise RelicError(f"no pictures in {folder}: put files ending in {', '.join(EXTENSIONS)} there{arrays}")
    for path in paths:
        if not path.is_file():
            raise RelicError(
                f"cannot read {path}: a broken link or no plain file; mend it or take it out of the folder"
            )
    for path, name in zip(paths, _names([path.relative_to(folder) for path in paths]), strict=True):
        data = read_file(path)
        yield name, sha256(data), decode_image(data, str(path))


def files_below(folder: Path) -> list[Path]:
    """Return the files of a folder and of those below it, in order of their paths, without what is hidden.

    Links are followed, each folder is entered once. Raises RelicError for a folder that cannot be read.
    """

    def refuse(error: OSError) -> None:
        raise RelicError(f"cannot read {error.filename}: {(error.strerror or str(error)).lower()}") from error

    found, entered = [], set()
    for parent, folders, files in os.walk(folder, onerror=refuse, followlinks=True):
        is_new = (real := os.path.realpath(parent)) not in entered
        entered.add(real)
        folders[:] = sorted(name for name in folders if is_new and not name.startswith("."))
        found += [Path(parent, name) for name in files if is_new and not name.startswith(".")]
    return sorted(found)


def left_out(folder: Path) -> list[str]:
    """Return the paths, from the folder, of the files whose names do not end like a picture's."""
    files = files_below(folder)
    others = [printable(str(path.relative_to(folder))) for path in files if not is_picture(path)]
    return others if len(others) < len(files) else []  # else a zip file is the set


def _names(paths: Sequence[PurePath]) -> list[str]:
    stems = Counter(path.stem for path in paths)
    return [printable(path.stem if stems[path.stem] == 1 else str(path)) for path in paths]


def read_zip(path: Path) -> Iterator[StoredPicture]:
    """Yield the pictures of a zip file in order of their names."""
    for member, name, data in _members(path):
        yield name, sha256(data), decode_image(data, f"{path}: {member}")


def _members(path: Path) -> Iterator[tuple[str, str, bytes]]:
    """Yield path, name as tables have it, and bytes of the picture files in a zip file, hidden ones left out."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = sorted(name for name in archive.namelist() if is_picture(name) and not _is_hidden(name))
            for member, name in zip(members, _names([PurePosixPath(member) for member in members]), strict=True):
                if archive.getinfo(member).file_size > MAX_MEMBER_BYTES:
                    raise RelicError(f"cannot read {path}: {member} unpacks to more than {MAX_MEMBER_BYTES} bytes")
                with archive.open(member) as file:  # by parts: it may unpack to more than it says
                    data = b"".join(iter(partial(file.read, MEMBER_PART), b""))
                yield member, name, data
    except RelicError:
        raise
    except Exception as error:  # BadZipFile, EOFError, OSError, UnicodeDecodeError, lzma.LZMAError, zlib.error …
        raise RelicError(f"cannot read {path}: truncated, damaged or encrypted ({error})") from error
    if not members:
        raise RelicError(f"no pictures in {path}: their names end in {', '.join(EXTENSIONS)}")


def _is_hidden(member: str) -> bool:
    return any(part.startswith(".") for part in PurePosixPath(member).parts)


def arrays_of(split: Path) -> Path:
    """Return the npz file that holds a split: of cifar10_subset/train, cifar10_subset/cifar10_subset.npz."""
    return split.parent / f"{split.parent.name}.npz"


def read_arrays(path: Path, split: str) -> Iterator[StoredPicture]:
    """Yield the pictures of the array `x_<split>`, uint8 (count, height, width[, 3]), of an npz file."""
    x = _array(path, f"x_{split}")
    if x.dtype != np.uint8 or not (x.ndim == 3 or (x.ndim == 4 and x.shape[3] == 3)):
        raise RelicError(f"cannot read {path}: x_{split} is {x.dtype} {x.shape}, not uint8 (count, height, width[, 3])")
    for index, image in enumerate(x):
        yield f"{split}_{index:06d}", sha256(image.tobytes()), image


def _array(path: Path, name: str) -> np.ndarray:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            if name in arrays.files:
                if arrays.zip.getinfo(f"{name}.npy").file_size > MAX_ARRAY_BYTES:
                    raise RelicError(f"cannot read {path}: {name} unpacks to more than {MAX_ARRAY_BYTES >> 30} GiB")
                return arrays[name]
            held = ", ".join(sorted(arrays.files))
    except RelicError:
        raise
    except Exception as error:  # numpy reports damage by OSError, ValueError, EOFError, BadZipFile, zlib.error …
        raise RelicError(f"cannot read {path}: truncated, damaged or no npz file ({error})") from error
    raise RelicError(f"cannot read {path}: it holds {held}, no {name}")


def read_synthetic() -> Iterator[StoredPicture]:
    """Yield 4 drawn pictures, 320x320: random blobs of colour, the same everywhere, for trainings that need no more."""
    generator = np.random.Generator(np.random.Philox(0))
    for index in range(4):
        coarse = generator.integers(0, 256, (10, 10, 3), np.uint8)
        picture = np.kron(coarse, np.ones((32, 32, 1), np.uint8))
        yield f"blobs{index}", sha256(picture.tobytes()), picture


def read_sample() -> Iterator[StoredPicture]:
    """Yield the embedded photographs, 512x512, 451x300 and 600x400, after checking that they are the ones meant."""
    spec = importlib.util.find_spec("skimage")
    if spec is None or spec.origin is None:
        raise RelicError("the set sample is part of scikit-image: pip install scikit-image")
    for file_name, digest in SAMPLE.items():
        path = Path(spec.origin).parent / "data" / file_name
        if not path.is_file() or sha256(path.read_bytes()) != digest:
            raise RelicError(f"this scikit-image does not ship the expected {file_name}: install version 0.25 or 0.26")
        yield path.stem, digest, decode_image(path.read_bytes(), str(path))


EMBEDDED = {"sample": read_sample, "synthetic": read_synthetic}
