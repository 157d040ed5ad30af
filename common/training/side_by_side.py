"""Several trainings at once: each in a process of its own, which has its share of the cores to itself.

On CPUs two trainings with one core each get almost twice as far as one training after the other with two cores.
"""

import ctypes
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from common.errors import RelicError
from common.training.options import as_arguments, given_options
from common.training.runs import Run
from common.training.schedule import Training, next_of

TURN = 10.0  # minutes that a training goes on for before the next one's turn; a process needs some seconds to start
POLL_SECONDS = 0.2

Cores = tuple[int, ...]


class Turns(Protocol):
    """Turns of trainings, as many at a time as there is room for: on this machine, or elsewhere."""

    @property
    def busy(self) -> list[Training]:
        """Return the trainings whose turn it is."""

    @property
    def free(self) -> int:
        """Return how many more turns there is room for."""

    def start(self, training: Training, minutes: float) -> None:
        """Let a training go on for so many minutes."""

    def wait(self) -> None:
        """Wait until a turn has ended; raises RelicError where the training failed."""

    def stop(self) -> None:
        """Let all turns end with a checkpoint."""


def complete(
    wanted: Sequence[Training],
    workers: int,
    minutes: float | None = None,
    later: Sequence[Sequence[Training]] = (),
    turn: float = TURN,
) -> list[Training]:
    """Train what is not shipped, `workers` trainings at a time on this machine, as `advance`.

    When all wanted are shipped, or this process is stopped or killed, the trainings that run stop with a checkpoint.
    """
    processes = Processes(workers)
    try:
        return advance(wanted, processes, minutes, later, turn)
    finally:
        processes.stop()


def advance(
    wanted: Sequence[Training],
    turns: Turns,
    minutes: float | None = None,
    later: Sequence[Sequence[Training]] = (),
    turn: float = TURN,
) -> list[Training]:
    """Train what is not shipped, several trainings at a time, as `schedule.complete`; return what is left.

    A turn for which none of them is left goes to one of the first group of `later` that has any; when all wanted are
    shipped it may still go on. Raises RelicError where a training fails, with its last line.
    """
    started = time.monotonic()
    while lacking := [training for training in wanted if not training.is_shipped]:
        left = math.inf if minutes is None else minutes - (time.monotonic() - started) / 60
        if left <= 0 and not turns.busy:
            return lacking
        for _ in range(turns.free if left > 0 else 0):
            nexts = (next_of(group, turns.busy) for group in (wanted, *later))
            training = next(filter(None, nexts), None)
            if training:
                turns.start(training, min(left, turn))
        turns.wait()
    return []


class Processes:
    """Turns of trainings as processes of this machine, each with its share of the cores to itself."""

    def __init__(self, workers: int) -> None:
        self._shares = shares(workers)
        self._running: dict[Cores, tuple[Training, subprocess.Popen]] = {}

    @property
    def busy(self) -> list[Training]:
        """Return the trainings whose turn it is."""
        return [training for training, _ in self._running.values()]

    @property
    def free(self) -> int:
        """Return how many shares of the cores have no training."""
        return len(self._shares) - len(self._running)

    def start(self, training: Training, minutes: float) -> None:
        """Start a training's process; what it prints goes to output.txt beside its checkpoint."""
        cores = next(share for share in self._shares if share not in self._running)
        print(f"training {training.name} on cores {', '.join(map(str, cores))}", file=sys.stderr)
        self._running[cores] = training, started([sys.executable, *arguments(training, minutes)], training.run, cores)

    def wait(self) -> None:
        """Wait until a process has ended; raises RelicError where it failed."""
        while not (ended := [cores for cores, (_, process) in self._running.items() if process.poll() is not None]):
            time.sleep(POLL_SECONDS)
        for cores in ended:
            training, process = self._running.pop(cores)
            if process.returncode:
                raise RelicError(f"{training.name} failed: {last_line(training.run, process.returncode)}")

    def stop(self) -> None:
        """Ask all processes to stop with a checkpoint, and wait for them."""
        processes = [process for _, process in self._running.values()]
        for process in processes:
            process.send_signal(signal.SIGTERM)
        for process in processes:
            process.wait()


def shares(workers: int) -> list[Cores]:
    """Return the cores of each worker: all that this process may use, dealt out in turn.

    Where there are more workers than cores, there are as many shares as cores.
    """
    cores = sorted(os.sched_getaffinity(0))
    return [tuple(cores[first::workers]) for first in range(min(workers, len(cores)))]


def arguments(training: Training, minutes: float) -> list[str]:
    """Return the arguments of the Python that lets a training go on for so many minutes."""
    run, go_on = training.run, "--resume" if training.is_begun else "--restart"
    options = ["--scale", run.scale, "--seed", str(run.seed), "--minutes", str(minutes), go_on]
    options += as_arguments(given_options(run))
    return ["-m", "papers", "train", f"{run.paper}/{run.preset}", *options]


def started(command: Sequence[str], run: Run, cores: Cores, folder: Path | None = None) -> subprocess.Popen:
    """Start a training's process in a folder, by default this one; it keeps to its cores and ends with this process.

    What it prints goes to output.txt beside its checkpoint.
    """
    output = _output(run)
    output.parent.mkdir(parents=True, exist_ok=True)
    first = _limited_to(cores, os.getpid())
    with output.open("wb") as file:
        # In a session of its own it gets no Ctrl-C from the terminal but the one polite signal of `stop`.
        return subprocess.Popen(command, cwd=folder, stdout=file, stderr=file, start_new_session=True, preexec_fn=first)


def _limited_to(cores: Cores, parent: int) -> Callable[[], None]:
    """Return what a new process does first: keep to its cores, and end politely when its parent is gone."""
    library, request = ctypes.CDLL(None), 1  # PR_SET_PDEATHSIG of prctl(2)

    def limit() -> None:
        os.sched_setaffinity(0, cores)
        library.prctl(request, signal.SIGTERM)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGTERM)

    return limit


def _output(run: Run) -> Path:
    return run.checkpoint.with_name("output.txt")


def last_line(run: Run, status: int) -> str:
    """Return the last line that a training's process printed, or its exit status where it printed none."""
    lines = _output(run).read_text(encoding="utf-8", errors="replace").split("\n")
    last = next((line for line in reversed(lines) if line.strip()), f"exit status {status}")
    return last.removeprefix("error: ")
