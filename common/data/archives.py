"""Wanted files out of tar and zip archives that may be hostile: no other file is written, none elsewhere."""

import gzip
import os
import re
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Set
from pathlib import Path, PurePosixPath
from typing import IO, Any

from tqdm import tqdm

from common.errors import RelicError, one_line

# What an archive may unpack to, in bytes for each of its own: photographs hardly shrink, hostile ones a thousandfold.
MOST_TIMES = 20
LEAST_LIMIT = 2**20
PART = 2**20
MOST_READ = 2**24  # bytes at once
ENDINGS = (".zip", ".tar", ".tgz", ".tar.gz")
GZIP = b"\x1f\x8b"

Opener = Callable[[], IO[bytes]]


def unpack(archive: Path, wanted: Callable[[str], str], folder: Path) -> list[str]:
    """Unpack wanted members of a tar or zip archive into a folder; return their paths in it, sorted.

    wanted: from a member's path to its path in the folder, empty for one that is left in the archive. A tar archive in
    a tar archive is a folder of its name. A file that is there with a member's size is kept: what was stopped goes on.
    Raises RelicError for an archive that is damaged, none, or has a member that no honest one has: a path that leads
    elsewhere, a wanted link or device, one file twice, more than MOST_TIMES its own size.
    """
    try:
        return _unpack(archive, wanted, folder)
    except (RelicError, MemoryError):
        raise
    except Exception as error:  # TarError, BadZipFile, BadGzipFile, EOFError, zlib.error, NotImplementedError …
        if isinstance(error, OSError) and error.errno is not None:
            raise  # of the disk
        what = "truncated, damaged or no tar or zip archive"
        raise RelicError(f"cannot unpack {archive}: {what} ({one_line(error)})") from error


def _unpack(archive: Path, wanted: Callable[[str], str], folder: Path) -> list[str]:
    limit = max(MOST_TIMES * archive.stat().st_size, LEAST_LIMIT)
    written: set[str] = set()
    with tqdm(desc=f"unpacking {archive.name}", unit=" files", disable=None, leave=False) as bar:
        for path, is_file, size, opener in _members(archive):
            limit -= size
            if limit < 0:
                raise RelicError(f"refused {archive}: it unpacks to more than {MOST_TIMES} times its size")
            _check_path(archive, path)
            target = wanted(str(PurePosixPath(path)))
            if not target:
                continue
            if not is_file:
                raise RelicError(f"refused {archive}: {path} is a link or a device, not a file")
            if target in written:
                raise RelicError(f"refused {archive}: it holds {target} twice")
            written.add(target)
            _write(folder / target, size, opener)
            bar.update()
    return sorted(written)


def _check_path(archive: Path, path: str) -> None:
    if path.startswith(("/", "\\")) or ".." in re.split(r"[/\\]", path):
        raise RelicError(f"refused {archive}: its member {path!r} leads out of a folder")


def _write(path: Path, size: int, opener: Opener) -> None:
    """Write a member, unless a file of its size is there."""
    if path.is_file() and not path.is_symlink() and path.stat().st_size == size:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    left = size
    with opener() as member, path.open("xb") as file:
        while part := member.read(PART):
            file.write(part)
            left -= len(part)
    if left:
        raise EOFError(f"{path.name} is {abs(left)} bytes too {'short' if left > 0 else 'long'}")


def _members(archive: Path) -> Iterator[tuple[str, bool, int, Opener]]:
    """Yield path, whether it is a plain file, size, and what opens it, of each member but folders."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as container:
            for info in container.infolist():
                if not info.is_dir():
                    kind = info.external_attr >> 28  # of Unix systems: 8 is a plain file, 0 is not said
                    yield info.filename, kind in (0, 8), info.file_size, _zip_opener(container, info)
        return
    with archive.open("rb") as file:
        is_compressed = file.read(len(GZIP)) == GZIP
    with (
        gzip.open(archive) if is_compressed else archive.open("rb") as plain,
        tarfile.open(fileobj=_SmallReads(plain), mode="r:") as tar,  # type: ignore[call-overload]
    ):
        yield from _tar_members(tar, "")


class _SmallReads:
    """A file that is read in parts: tarfile would read a header of any size into memory."""

    def __init__(self, file: Any) -> None:
        """Take the file, positioned at its beginning."""
        self._file = file
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes; raise ValueError for more than any honest header has."""
        if not 0 <= size <= MOST_READ:
            raise ValueError(f"a header of {size} bytes")
        return self._file.read(size)


def _zip_opener(container: zipfile.ZipFile, info: zipfile.ZipInfo) -> Opener:
    return lambda: container.open(info)


def _tar_members(tar: tarfile.TarFile, inside: str) -> Iterator[tuple[str, bool, int, Opener]]:
    for member in tar:
        if member.isdir():
            continue
        is_file = member.type in (tarfile.REGTYPE, tarfile.AREGTYPE)
        if is_file and not inside and member.name.endswith(".tar"):
            inside_file = _SmallReads(tar.extractfile(member))
            with tarfile.open(fileobj=inside_file, mode="r:") as inner:  # type: ignore[call-overload]
                yield from _tar_members(inner, f"{member.name}/")
            continue
        yield f"{inside}{member.name}", is_file, member.size, _tar_opener(tar, member)


def _tar_opener(tar: tarfile.TarFile, member: tarfile.TarInfo) -> Opener:
    def opened() -> Any:
        return tar.extractfile(member)

    return opened


def left_in(folder: Path, kept: Set[str]) -> list[Path]:
    """Return the files of a folder that are none of these paths."""
    found = [Path(parent, name) for parent, _, names in os.walk(folder) for name in names]
    return [path for path in found if path.relative_to(folder).as_posix() not in kept]
