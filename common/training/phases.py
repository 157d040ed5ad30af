"""Trainings of several parts, one after the other, each with a checkpoint of its own; they stop and resume as one."""

import dataclasses
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from common import devices
from common.training import runs

Rows = list
FitPart = Callable[[int, runs.Run], "tuple[bool, Rows]"]


def fit_parts(run: runs.Run, names: Sequence[str], fit_part: FitPart) -> list[dict[str, Any]] | None:
    """Fit all parts; return the log of the whole, whose steps and seconds go on, or None when time ran out first.

    `fit_part(index, own)` fits one part by its own run with `common.training.loop.fit`, which for a part that is
    complete only restores what it left; it returns (finished, log rows).
    """
    if run.restart:
        if devices.process().is_chief:
            discard(run)
        devices.anywhere(False)  # none looks for checkpoints before they are removed
    log: list[dict[str, Any]] = []
    started = time.monotonic()
    for index, name in enumerate(names):
        own = run_of(name, index == 0, run, started)
        own = dataclasses.replace(own, before=log[-1]["step"] if log else 0)
        before = written_at(own.checkpoint)
        finished, rows = fit_part(index, own)
        log = joined(log, rows)
        has_learned = written_at(own.checkpoint) != before  # and was not complete before
        (is_out_of_time,) = devices.anywhere(has_learned and left(run, started) == 0.0)
        if not finished or (is_out_of_time and index + 1 < len(names)):
            return None
    return log


def joined(log: Sequence[dict[str, Any]], rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the log of a training with that of its next part, whose steps and seconds go on from there."""
    last = log[-1] if log else {"step": 0, "seconds": 0.0}
    return [
        *log,
        *(
            {**row, "step": last["step"] + row["step"], "seconds": round(last["seconds"] + row["seconds"], 1)}
            for row in rows
        ),
    ]


def discard(run: runs.Run) -> None:
    """Remove checkpoints and logs of a training that starts anew, as its later parts must not find them."""
    for path in (*run.checkpoint.parent.glob("checkpoint_*.npz"), *run.checkpoint.parent.glob("log_*.csv")):
        path.unlink()


def run_of(name: str, is_first: bool, run: runs.Run, started: float) -> runs.Run:
    """Return the run of one part: what it resumes, and the minutes that are left of those of the whole."""
    own = dataclasses.replace(run, part=name, restart=False, minutes=left(run, started))
    # A run that is to be resumed has its first part's checkpoint at least.
    return dataclasses.replace(own, resume=run.resume and (is_first or own.checkpoint.exists()))


def written_at(path: Path) -> int | None:
    """Return when a file was written, in nanoseconds, None where there is none."""
    return path.stat().st_mtime_ns if path.exists() else None


def left(run: runs.Run, started: float) -> float | None:
    """Return the minutes that are left of a run's, None where it may take any time."""
    return None if run.minutes is None else max(0.0, run.minutes - (time.monotonic() - started) / 60)
