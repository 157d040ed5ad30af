"""Trainings on a Ray cluster: each turn of one is a task, whose checkpoint this process keeps and sends to the next.

A turn runs `relic train` in a process of its own on the node that Ray chooses, in a results folder that ends with it.
What it leaves comes back: checkpoint and log of the turn, and the files to ship. When the worker or its node is killed,
the turn is lost and the training goes on from the checkpoint before it.
"""

import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from common import cluster
from common.cluster import Cluster, Files
from common.errors import RelicError, one_line
from common.training import side_by_side
from common.training.locks import one_training
from common.training.runs import Run
from common.training.schedule import Training

POLL_SECONDS = 0.2
LOSSES = 3  # of turns of one training in a row, after which it is given up
GRACE = 600.0  # seconds after the end of a turn in which it has to come back
STOP_SECONDS = 120.0  # in which tasks that are stopped have to come back with their checkpoints
STOPPED = 130  # exit status of a training that was asked to stop
CHECKPOINTS = "checkpoint*.npz"


@dataclass(frozen=True)
class Turn:
    """What a task is told: the arguments of its Python, the checkpoints to go on from, the driver's settings."""

    run: Run
    arguments: Sequence[str]
    kept: Files
    cores: int
    settings: Mapping[str, str]


@dataclass(frozen=True)
class Outcome:
    """What a task leaves: exit status and last line, the files beside the checkpoint, the files to ship."""

    node: str
    status: int
    said: str
    kept: Files
    shipped: Files


@dataclass(frozen=True)
class _Task:
    training: Training
    ends: float  # by time.monotonic()
    lock: ExitStack


class Tasks:
    """Turns of trainings as tasks of a cluster, `workers` at a time, by default as many as it has GPUs, else cores."""

    def __init__(self, there: Cluster, workers: int | None = None) -> None:
        self._there, self._workers, self._share = there, workers, there.share(workers)
        self._running: dict[Any, _Task] = {}
        self._losses: Counter[Training] = Counter()

    @property
    def busy(self) -> list[Training]:
        """Return the trainings whose turn it is."""
        return [task.training for task in self._running.values()]

    @property
    def free(self) -> int:
        """Return how many more turns the nodes that are alive have room for."""
        places = self._share.places(self._there.nodes)
        return max(0, min(places, self._workers or places) - len(self._running))

    def start(self, training: Training, minutes: float) -> None:
        """Start a training's turn; its lock is held here until the turn has come back."""
        kept = cluster.contents(training.run.checkpoint.parent, CHECKPOINTS) if training.is_begun else {}
        arguments = side_by_side.arguments(training, minutes)
        turn = Turn(training.run, arguments, kept, self._share.cores, cluster.environment())
        with ExitStack() as lock:
            lock.enter_context(one_training(training.run))
            print(f"training {training.name} on the cluster: from step {training.progress[0]}", file=sys.stderr)
            reference = self._there.submit(take_turn, self._share, turn)
            self._running[reference] = _Task(training, time.monotonic() + 60 * minutes + GRACE, lock.pop_all())

    def wait(self) -> None:
        """Wait until a turn has come back, and write what it left; raises RelicError where a training failed."""
        while self._running:
            ended, _ = self._there.ray.wait(list(self._running), timeout=POLL_SECONDS)
            if ended:
                self._take(ended[0])
                return
            for reference, task in self._running.items():
                if time.monotonic() > task.ends:
                    self._there.ray.cancel(reference)
        time.sleep(POLL_SECONDS)  # no node has room

    def stop(self) -> None:
        """Let all turns end with a checkpoint, and write what they leave."""
        for reference in self._running:
            self._there.ray.cancel(reference)
        if self._running:
            print(f"waiting for the checkpoints of {len(self._running)} trainings", file=sys.stderr)
            self._there.ray.wait(list(self._running), num_returns=len(self._running), timeout=STOP_SECONDS)
        for reference in list(self._running):
            self._take(reference, is_last=True)

    def _take(self, reference: Any, is_last: bool = False) -> None:
        """Write what a turn left; `is_last`: of one that was stopped, where a failure is none any more."""
        ray, task = self._there.ray, self._running.pop(reference)
        training = task.training
        with task.lock:
            try:
                outcome = ray.get(reference, timeout=0 if is_last else None)
            except ray.exceptions.RayTaskError as error:
                if not isinstance(error.cause, ray.exceptions.TaskCancelledError):
                    raise RelicError(f"{training.name} failed on the cluster: {one_line(error.cause)}") from None
                self._lost(training, "stopped before it began", is_last)
                return
            except ray.exceptions.RayError as error:
                self._lost(training, type(error).__name__, is_last)
                return
            if outcome.status < 0:
                self._lost(training, f"signal {-outcome.status} on {outcome.node}", is_last)
                return
            _write(training.run, outcome)
        if outcome.status not in (0, STOPPED) and not is_last:
            raise RelicError(f"{training.name} failed on {outcome.node}: {outcome.said}")
        self._losses.pop(training, None)

    def _lost(self, training: Training, why: str, is_last: bool) -> None:
        """Say that a turn is lost; raises RelicError where that happens again and again."""
        print(
            f"{training.name} lost its turn on the cluster ({why}): it goes on from step {training.progress[0]}",
            file=sys.stderr,
        )
        self._losses[training] += 1
        if self._losses[training] >= LOSSES and not is_last:
            raise RelicError(f"{training.name} was killed on the cluster {LOSSES} times in a row: {why}")


@contextmanager
def tasks(there: Cluster, workers: int | None = None) -> Iterator[Tasks]:
    """Have trainings run as tasks of a cluster; at the end those that still run stop with a checkpoint."""
    turns = Tasks(there, workers)
    try:
        yield turns
    finally:
        turns.stop()


def complete(wanted: Sequence[Training], there: Cluster, minutes: float | None = None) -> list[Training]:
    """Train what is not shipped on a cluster, as `side_by_side.complete`; return what is left."""
    with tasks(there) as turns:
        return side_by_side.advance(wanted, turns, minutes)


def _write(run: Run, outcome: Outcome) -> None:
    """Write what a turn left where a training on this machine would have; run.json, which says of the rest, last."""
    folder = run.checkpoint.parent
    cluster.write(folder, outcome.kept)
    if any(name.startswith("checkpoint") for name in outcome.kept):
        for path in folder.glob(CHECKPOINTS):  # of another recipe, which the training began anew
            if path.name not in outcome.kept:
                path.unlink()
    cluster.write(run.shipped, dict(sorted(outcome.shipped.items(), key=lambda item: item[0] == "run.json")))


# --- on a node -----------------------------------------------------------------------------------------------------


def take_turn(turn: Turn) -> Outcome:
    """Let a training go on for its turn, in a process of its own; when the task is cancelled it stops politely."""
    with cluster.task_folder(turn.settings), cluster.own_cores(turn.cores) as cores:
        folder = turn.run.checkpoint.parent
        cluster.write(folder, turn.kept)
        command = [sys.executable, *turn.arguments]
        status = _status(side_by_side.started(command, turn.run, cores, cluster.sources_root()))
        kept = cluster.contents(folder, CHECKPOINTS, "output.txt", "tensorboard/**/*")
        shipped = cluster.contents(turn.run.shipped, "*")
        node = import_module("ray").util.get_node_ip_address()
        return Outcome(node, status, side_by_side.last_line(turn.run, status), kept, shipped)


def _status(process: subprocess.Popen) -> int:
    """Return the exit status of a process; ask it to stop, once, when this task is cancelled."""
    is_asked = False
    while process.poll() is None:
        try:
            time.sleep(POLL_SECONDS)
        except KeyboardInterrupt:
            if not is_asked:
                process.send_signal(signal.SIGTERM)
            is_asked = True
    return process.returncode
