"""Where results lie, and files that appear whole or not at all."""

import fcntl
import hashlib
import json
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from common.errors import RelicError

TEMPORARY = ".relic-"  # how the names of files that are being written begin


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
        if isinstance(error, OSError) and error.filename == str(temporary):
            error.filename, error.filename2 = str(path), None
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


def file_digest(path: Path) -> bytes:
    """Return the sha256 of a file, 32 bytes."""
    return hashlib.sha256(path.read_bytes()).digest()
