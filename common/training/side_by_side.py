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

from common.errors import RelicError
from common.training.options import as_arguments, given_options
from common.training.schedule import Training, next_of

TURN = 10.0  # minutes that a training goes on for before the next one's turn; a process needs some seconds to start
POLL_SECONDS = 0.2

Cores = tuple[int, ...]


def complete(
    wanted: Sequence[Training],
    workers: int,
    minutes: float | None = None,
    later: Sequence[Sequence[Training]] = (),
    turn: float = TURN,
) -> list[Training]:
    """Train what is not shipped, `workers` trainings at a time, as `schedule.complete`; return what is left.

    A worker that finds nothing to do takes one of the first group of `later` that has any. When all wanted are shipped,
    or this process is stopped or killed, the trainings that run stop with a checkpoint. Raises RelicError where one
    fails, with its last line.
    """
    started = time.monotonic()
    running: dict[Cores, tuple[Training, subprocess.Popen]] = {}
    try:
        while lacking := [training for training in wanted if not training.is_shipped]:
            left = math.inf if minutes is None else minutes - (time.monotonic() - started) / 60
            if left <= 0 and not running:
                return lacking
            for cores in shares(workers) if left > 0 else []:
                busy = [training for training, _ in running.values()]
                nexts = (next_of(group, busy) for group in (wanted, *later))
                training = next(filter(None, nexts), None)
                if cores not in running and training:
                    print(f"training {training.name} on cores {', '.join(map(str, cores))}", file=sys.stderr)
                    running[cores] = training, _started(training, cores, min(left, turn))
            _wait_for_one(running)
    finally:
        _stop([process for _, process in running.values()])
    return []


def shares(workers: int) -> list[Cores]:
    """Return the cores of each worker: all that this process may use, dealt out in turn.

    Where there are more workers than cores, there are as many shares as cores.
    """
    cores = sorted(os.sched_getaffinity(0))
    return [tuple(cores[first::workers]) for first in range(min(workers, len(cores)))]


def _started(training: Training, cores: Cores, minutes: float) -> subprocess.Popen:
    """Start a training's process; what it prints goes to output.txt beside its checkpoint."""
    output = _output(training)
    output.parent.mkdir(parents=True, exist_ok=True)
    first = _limited_to(cores, os.getpid())
    with output.open("wb") as file:
        # In a session of its own it gets no Ctrl-C from the terminal but the one polite signal of `_stop`.
        return subprocess.Popen(
            _command(training, minutes), stdout=file, stderr=file, start_new_session=True, preexec_fn=first
        )


def _command(training: Training, minutes: float) -> list[str]:
    run, go_on = training.run, "--resume" if training.is_begun else "--restart"
    options = ["--scale", run.scale, "--seed", str(run.seed), "--minutes", str(minutes), go_on]
    options += as_arguments(given_options(run))
    return [sys.executable, "-m", "papers", "train", f"{run.paper}/{run.preset}", *options]


def _limited_to(cores: Cores, parent: int) -> Callable[[], None]:
    """Return what a new process does first: keep to its cores, and end politely when its parent is gone."""
    library, request = ctypes.CDLL(None), 1  # PR_SET_PDEATHSIG of prctl(2)

    def limit() -> None:
        os.sched_setaffinity(0, cores)
        library.prctl(request, signal.SIGTERM)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGTERM)

    return limit


def _output(training: Training) -> Path:
    return training.run.checkpoint.with_name("output.txt")


def _wait_for_one(running: dict[Cores, tuple[Training, subprocess.Popen]]) -> None:
    """Wait until a process has ended and forget it; raises RelicError where it failed."""
    while not (ended := [cores for cores, (_, process) in running.items() if process.poll() is not None]):
        time.sleep(POLL_SECONDS)
    for cores in ended:
        training, process = running.pop(cores)
        if process.returncode:
            lines = _output(training).read_text(encoding="utf-8", errors="replace").split("\n")
            last = next((line for line in reversed(lines) if line.strip()), f"exit status {process.returncode}")
            raise RelicError(f"{training.name} failed: {last.removeprefix('error: ')}")


def _stop(processes: Sequence[subprocess.Popen]) -> None:
    """Ask processes to stop with a checkpoint, and wait for them."""
    for process in processes:
        process.send_signal(signal.SIGTERM)
    for process in processes:
        process.wait()
