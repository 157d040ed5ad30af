"""One training of a preset and seed at a time, one campaign at a time, and none while something else is timed."""

import fcntl
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from common.errors import RelicError
from common.files import results_dir
from common.training.runs import Run


def campaign_file() -> Path:
    """Return the file that a running campaign holds, with its process number in it."""
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
    """Hold a file, which a process that ends in any way lets go of; raises RelicError where another one holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise RelicError(f"{otherwise}: process {_number(path) or 'unknown'} holds {path}") from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


@contextmanager
def paused_trainings() -> Iterator[None]:
    """Stop a running campaign and all trainings for as long as something is timed, but not this process."""
    numbers = _at_work() - {os.getpid()}
    for number in numbers:
        os.kill(number, signal.SIGSTOP)
    try:
        yield
    finally:
        for number in numbers:
            os.kill(number, signal.SIGCONT)


def _at_work() -> set[int]:
    """Return the process numbers of the campaign and the trainings that hold a lock."""
    paths = [campaign_file(), *campaign_file().parent.glob("*/*/*/*/training.lock")]
    numbers = {_holder(path) for path in paths if path.exists()}
    return {number for number in numbers if number is not None}


def _holder(path: Path) -> int | None:
    """Return the process number of who holds a lock, None where nobody does."""
    with path.open(encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return _number(path)
    return None


def _number(path: Path) -> int | None:
    text = path.read_text(encoding="ascii")
    return int(text) if text.isdigit() else None
