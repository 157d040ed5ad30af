"""Where results lie, and files that appear whole or not at all."""

import hashlib
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def results_dir() -> Path:
    """Return the folder of results: `RELIC_RESULTS`, else `results/` of the checkout."""
    return Path(os.environ.get("RELIC_RESULTS") or Path(__file__).resolve().parent.parent / "results")


@contextmanager
def atomic_file(path: Path) -> Iterator[Any]:
    """Open a binary file that appears at `path` whole or not at all, with the permissions that the umask leaves."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    file = temporary.open("xb")
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def write_json(path: Path, content: Any) -> None:
    """Write JSON atomically, indented, with a final newline."""
    with atomic_file(path) as file:
        file.write((json.dumps(content, indent=1) + "\n").encode())


def file_digest(path: Path) -> bytes:
    """Return the sha256 of a file, 32 bytes."""
    return hashlib.sha256(path.read_bytes()).digest()
