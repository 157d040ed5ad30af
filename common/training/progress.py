"""What a training shows while it runs: steps, losses, when it ends, and whether it goes as those before it did."""

import math
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from common import devices
from common.config import differing_fields
from common.errors import RelicError
from common.training import shipped
from common.training.runs import PART_FIELDS, Run
from common.training.ship import input_wait

PARTS = 10  # of a training: after each of them it is compared with the reference
ROWS_AROUND = 5  # of one training, whose spread stands in for that between seeds
ON_TRACK = 3.0  # spreads above the reference that a loss may have
DAY = 86400.0


class Progress:
    """One line on stderr with steps, losses, the share of waiting and the end; lines that compare with a reference."""

    def __init__(self, run: Run, config: Any, names: Sequence[str], first: int) -> None:
        """`first`: the step that the training begins at, after those of a checkpoint."""
        from tqdm import tqdm

        is_shown = run.scale != "smoke" and devices.process().is_chief
        quiet = None if is_shown else True
        about = " ".join(filter(None, (run.preset, run.part)))
        self._bar = tqdm(total=config.steps, initial=first, desc=about, unit="step", disable=quiet, dynamic_ncols=True)
        self._names, self._steps, self._before = names, config.steps, run.before
        self._reference = Reference.of(run, config) if is_shown else None
        self._ends = "part ends" if run.part else "ends"
        self._compared = first * PARTS // config.steps
        self._clock: list[tuple[int, float]] = []  # step and time of the first row, whose steps had to be compiled

    def show(self, row: Mapping[str, Any]) -> None:
        """Show a row of the log."""
        self._bar.update(row["step"] - self._bar.n)
        self._clock = [*self._clock[:1], (row["step"], time.time())]
        values = {name: f"{row[name]:.4f}" for name in self._names}
        end = expected_end(self._clock[0], self._clock[-1], self._steps)
        self._bar.set_postfix({**values, "input wait": f"{row['input_wait']:.1%}", self._ends: end})
        part = row["step"] * PARTS // self._steps
        if self._reference and part > self._compared and math.isfinite(row["loss"]):
            self._compared = part
            said = self._reference.compared(self._before + row["step"], row["loss"])
            self._bar.clear()
            print(said, file=sys.stderr, flush=True)

    def close(self, log: Sequence[Mapping[str, Any]]) -> None:
        """End the line, and say how much of its time the training waited for inputs."""
        self._bar.close()
        share = input_wait(log)
        if share is not None and not self._bar.disable:
            print(f"input wait: {share:.1%} of the time", file=sys.stderr)


def expected_end(first: tuple[int, float], last: tuple[int, float], steps: int) -> str:
    """Return when the last of `steps` ends, by what those between two moments (step, seconds since 1970) took.

    It is a time of day, with the date where that is more than a day ahead, and ? where no step lies between.
    """
    if last[0] == first[0]:
        return "?"
    left = (last[1] - first[1]) / (last[0] - first[0]) * (steps - last[0])
    return time.strftime("%H:%M" if left < DAY else "%Y-%m-%d %H:%M", time.localtime(last[1] + left))


class Reference:
    """The losses of shipped trainings of the same preset, scale and config with other seeds: `logs`, by seed."""

    def __init__(self, logs: Mapping[int, tuple[np.ndarray, np.ndarray]]) -> None:
        """`logs`: steps, ascending, and losses of each seed, float (rows,) both; at least one."""
        self.logs = logs

    @classmethod
    def of(cls, run: Run, config: Any) -> "Reference | None":
        """Return what there is to compare a training with, None where there is nothing, or nothing readable."""
        logs = {}
        for scale, seed, _ in shipped.shipped(run.paper, run.preset):
            if scale == run.scale and seed != run.seed and _is_of(Run(run.paper, run.preset, scale, seed), run, config):
                rows = _rows(run, seed)
                if rows:
                    steps, losses = np.array([(row["step"], row["loss"]) for row in rows], float).T
                    logs[seed] = steps, losses
        return cls(logs) if logs else None

    def compared(self, step: int, loss: float) -> str:
        """Return a sentence on the loss at a step of the whole training.

        The reference is the mean of the seeds, each on the straight line between its rows about the step, and the
        spread their standard deviation; with one seed, that of its rows around the step.
        """
        values = [np.interp(step, *log) for log in self.logs.values()]
        mean, (seed, *others) = float(np.mean(values)), self.logs
        if others:
            spread, what = float(np.std(values, ddof=1)), f"{len(values)} seeds"
        else:
            steps, losses = self.logs[seed]
            nearest = np.argsort(np.abs(steps - step), kind="stable")[:ROWS_AROUND]
            spread = float(np.std(losses[nearest], ddof=1)) if len(nearest) > 1 else 0.0
            what = f"seed {seed}, {len(nearest)} rows around"
        return (
            f"step {step:,}: loss {loss:.4g}, reference {mean:.4g} ± {spread:.2g} ({what}): "
            f"{_verdict(loss - mean, spread)}"
        )


def _verdict(above: float, spread: float) -> str:
    if above <= ON_TRACK * spread:
        return "on track"
    return f"{above / spread:.1f} times the spread above it" if spread else "above it"


def _is_of(reference: Run, run: Run, config: Any) -> bool:
    """Return whether a shipped training has a config; a part of a training has its own steps and rate."""
    try:
        saved = shipped.about(reference).get("config")
    except RelicError:  # a damaged file says nothing, and is nothing to this training
        return False
    own = PART_FIELDS if run.part else set()
    return saved is not None and not set(differing_fields(saved, config)) - own


def _rows(run: Run, seed: int) -> list[dict[str, Any]]:
    try:
        rows = shipped.rows_of(Run(run.paper, run.preset, run.scale, seed))
    except RelicError:
        return []
    return [row for row in rows if all(isinstance(row.get(name), float) for name in ("step", "loss"))]
