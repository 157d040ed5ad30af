"""One campaign at a time, and none while something else is timed."""
from __future__ import annotations

import fcntl
import os
import signal
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator

from common import files
from common.errors import RelicError


def lock_file() -> Path:
    """Return the file that a running campaign holds, with its process number in it."""
    return files.results_dir() / "runs" / "campaign.lock"


@contextmanager
def alone() -> Iterator[None]:
    """Hold the campaign's lock; raises RelicError where another campaign holds it."""
    lock_file().parent.mkdir(parents=True, exist_ok=True)
    with lock_file().open("a+", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise RelicError(f"a campaign is running already: {lock_file()} is held") from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


@contextmanager
def paused_campaign() -> Iterator[None]:
    """Stop a running campaign for as long as something is timed; without one, or in its own process, do nothing."""
    number = _running()
    if number is None or number == os.getpid():
        yield
        return
    os.kill(number, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(number, signal.SIGCONT)


def _running() -> int | None:
    """Return the process number of the campaign that holds the lock, None where none does."""
    if not lock_file().exists():
        return None
    with lock_file().open(encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return int(file.read() or 0) or None
    return None
