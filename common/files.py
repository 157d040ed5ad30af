"""Where results lie, and files that appear whole or not at all."""

import errno
import fcntl
import hashlib
import json
import os
import secrets
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

from common.errors import RelicError, one_line

TEMPORARY = ".relic-"  # how the names of files that are being written begin
ROOM = 2**24  # bytes that a disk must have left for what is going to be written: few files are larger


def in_words(size: int) -> str:
    """Return a number of bytes as people say it: `15 MB`."""
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}" if size < 10 * factor else f"{size / factor:.0f} {unit}"
    return f"{size} B"


def results_dir() -> Path:
    """Return the folder of results: `RELIC_RESULTS`, where ~ is the home folder, else `results/` of the checkout.

    Installed without a checkout it is `results/` below the working directory. Raises RelicError where ~ is not known.
    """
    named = os.environ.get("RELIC_RESULTS")
    if named:
        return expanded(named)
    root = Path(__file__).resolve().parent.parent
    return (root if (root / "setup.cfg").is_file() else Path.cwd()) / "results"


def expanded(path: str) -> Path:
    """Return a path whose ~ is the home folder; raise RelicError where the system knows none."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise RelicError(f"no home folder is known for {path}: set HOME, or give a path without ~") from None


def printable(name: str) -> str:
    """Return a name that every file and terminal can hold: what is not printable, or not UTF-8, as an escape."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in name)


@contextmanager
def atomic_file(path: Path) -> Iterator[Any]:
    """Open a binary file that appears at `path` whole or not at all.

    A new file has the permissions that the umask leaves, one that is replaced keeps its own. A symbolic link is written
    through to its target, a device or FIFO written into. Missing folders are made; what a killed process left behind in
    the folder is removed. Errors name `path`.
    """
    target = Path(os.path.realpath(path)) if path.is_symlink() else path
    if target.exists() and not target.is_file():
        with target.open("wb") as file:
            yield file
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    _remove_left_behind(target.parent)
    temporary = target.with_name(f"{TEMPORARY}{secrets.token_hex(8)}")
    try:
        with temporary.open("xb") as file:
            fcntl.flock(file, fcntl.LOCK_SH)  # as long as it is held, the file is being written
            if target.exists():
                os.fchmod(file.fileno(), stat.S_IMODE(target.stat().st_mode))
            yield file
            file.flush()
            os.fsync(file.fileno())
            os.replace(temporary, target)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename in (None, str(temporary)):
            error.filename, error.filename2 = str(path), None
        raise


def check_writable(path: Path, size: int = ROOM) -> None:
    """Raise OSError that names `path` unless `atomic_file` can write so many bytes there now; leave nothing behind.

    For what takes long and ends with a file.
    """
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if target.exists() and not target.is_file():
        return
    folder = next(parent for parent in target.parents if parent.exists())
    left = memoryview(bytes(size))
    try:
        with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
            while left:
                left = left[file.write(left) :]
    except OSError as error:
        error.filename = str(path)
        raise


def _remove_left_behind(folder: Path) -> None:
    """Remove the temporary files that no process is writing any more."""
    for path in folder.glob(f"{TEMPORARY}*"):
        try:
            with path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
        except OSError:  # another process writes or has removed it, or may and this one may not
            continue


def write_json(path: Path, content: Any) -> None:
    """Write JSON atomically, indented, with a final newline."""
    with atomic_file(path) as file:
        file.write((json.dumps(content, indent=1) + "\n").encode())


def read_json(path: Path, remedy: str, fields: Mapping[str, Any] = MappingProxyType({})) -> dict[str, Any]:
    """Return the JSON object of a file; `remedy` and `fields` as of `json_object`.

    Raises RelicError with the path where the file cannot be read or holds anything else.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RelicError(f"cannot read {path} ({(error.strerror or str(error)).lower()}): {remedy}") from None
    return json_object(data, str(path), remedy, fields)


def json_object(
    data: bytes, where: str, remedy: str, fields: Mapping[str, Any] = MappingProxyType({})
) -> dict[str, Any]:
    """Return the object that JSON in UTF-8 holds, whatever it is nested in.

    fields: the type, or types, of fields that it must have; a bool is no number there. Raises RelicError that says
    `where` and `remedy` for anything else.
    """
    try:
        content = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise RelicError(f"{where} holds no JSON ({_reason(error)}): {remedy}") from None
    if not isinstance(content, dict):
        raise RelicError(f"{where} holds no JSON object: {remedy}")
    for name, kind in fields.items():
        if not isinstance(content.get(name), kind) or (isinstance(content[name], bool) and kind is not bool):
            raise RelicError(f"{where} has no proper {name!r} in its JSON: {remedy}")
    return content


def _reason(error: Exception) -> str:
    return "nested too deeply" if isinstance(error, RecursionError) else one_line(error)


def file_digest(path: Path) -> bytes:
    """Return the sha256 of a file, 32 bytes."""
    return hashlib.sha256(path.read_bytes()).digest()
