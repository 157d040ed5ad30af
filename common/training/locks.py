"""One training of a preset and seed at a time, one campaign at a time, and none while something else is timed."""

import errno
import fcntl
import os
import signal
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from common.errors import RelicError
from common.files import results_dir
from common.training.runs import Run

BEAT = 15.0  # seconds between the signs of life of who holds a lock
SILENCE = 120.0  # seconds without one, after which who held a lock on another computer has ended

Holder = tuple[int, str]  # number of a process, name of its computer


def campaign_file() -> Path:
    """Return the file that a running campaign holds, with its process number and computer in it."""
    return results_dir() / "runs" / "campaign.lock"


@contextmanager
def one_campaign() -> Iterator[None]:
    """Hold the campaign's lock; raises RelicError where another campaign holds it."""
    with _held(campaign_file(), "a campaign is running already"):
        yield


@contextmanager
def one_training(run: Run) -> Iterator[None]:
    """Hold the lock of a training; raises RelicError where another process trains the same preset and seed."""
    with _held(run.checkpoint.with_name("training.lock"), f"{run.name} is being trained already"):
        yield


@contextmanager
def _held(path: Path, otherwise: str) -> Iterator[None]:
    """Hold a file, which a process that ends in any way lets go of; raises RelicError where another one holds it.

    The system's lock may not reach other computers that share the folder. So who holds the file names itself there and
    gives signs of life, and is taken to hold it as long as it does.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as file:
        is_free = _try(file, fcntl.LOCK_EX)
        if is_free is False or _is_alive(path, _elsewhere(path) if is_free else _named(path)):
            number, host = _named(path) or ("unknown", "an unknown computer")
            raise RelicError(f"{otherwise}: process {number} on {host} holds {path}") from None
        file.truncate(0)
        file.write(f"{os.getpid()} {socket.gethostname()}\n")
        file.flush()
        try:
            with _signs_of_life(path):
                yield
        finally:
            file.truncate(0)


def _try(file: Any, kind: int) -> bool | None:
    """Return whether the system's lock is this process's now, None where the file system knows none."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except OSError as error:
        return False if error.errno in (errno.EWOULDBLOCK, errno.EACCES) else None
    return True


def _is_alive(path: Path, holder: Holder | None) -> bool:
    """Return whether a holder that a lock's file names has given a sign of life lately."""
    if holder is None:
        return False
    with tempfile.NamedTemporaryFile(dir=path.parent) as now:  # by the clock of the file system
        return os.stat(now.name).st_mtime - path.stat().st_mtime < SILENCE


@contextmanager
def _signs_of_life(path: Path) -> Iterator[None]:
    """Touch a file every BEAT seconds."""
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(BEAT):
            try:
                os.utime(path)
            except OSError:  # the folder was removed, or is out of reach for a while
                continue

    thread = threading.Thread(target=beat, name="lock", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@contextmanager
def paused_trainings() -> Iterator[None]:
    """Stop a running campaign and all trainings of this computer while something is timed, but not this process."""
    numbers = _at_work() - {os.getpid()}
    for number in numbers:
        os.kill(number, signal.SIGSTOP)
    try:
        yield
    finally:
        for number in numbers:
            os.kill(number, signal.SIGCONT)


def _at_work() -> set[int]:
    """Return the process numbers of the campaign and the trainings of this computer that hold a lock."""
    paths = [campaign_file(), *campaign_file().parent.glob("*/*/*/*/training.lock")]
    holders = filter(None, (_holder(path) for path in paths if path.exists()))
    return {number for number, host in holders if host == socket.gethostname()}


def _holder(path: Path) -> Holder | None:
    """Return who holds a lock, None where nobody on this computer does."""
    with path.open(encoding="utf-8") as file:
        return _named(path) if _try(file, fcntl.LOCK_SH) is False else None


def _named(path: Path) -> Holder | None:
    """Return who a lock's file names, None where nobody."""
    number, _, host = path.read_text(encoding="utf-8", errors="replace").strip().partition(" ")
    return (int(number), host or socket.gethostname()) if number.isdigit() else None


def _elsewhere(path: Path) -> Holder | None:
    """Return who a lock's file names, unless it is a process of this computer, which the system's lock knows of."""
    holder = _named(path)
    return holder if holder and holder[1] != socket.gethostname() else None
