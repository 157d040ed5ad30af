"""How long Donis and Brown's networks take, side by side: ConvLSTM2D and its first step, copies in series, iterations.

Times depend on the machine and on what else runs there; the claims are on ratios of two networks that take turns.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from common import backend
from common.tables import measure
from common.tables.command import Options
from common.tables.document import Reproduction, claim
from common.timing import Work, seconds
from common.training import presets
from papers.donis_convlstm import complexity, config, model, train
from papers.donis_convlstm.config import MAX_ITERATIONS, Config, at_scale
from papers.donis_convlstm.learning import OneIteration, Unrolled

FASTER = 2.5  # what the first step has to gain
THIRTY_FOLD = "3e1"  # Section II-D2: about thirty-fold
FIRST_STEP = "its first step"
PRECISION = "float32"  # as the authors had it
TRAINING, INFERENCE = "training step", "inference"


@dataclass(frozen=True)
class Case:
    """Two kinds of the same work that are compared: the slower one's and the faster one's, by their names."""

    name: str
    slow: str
    fast: str
    operations: float  # multiply-accumulates of the slower one over those of the faster one
    rounds: int
    prepare: Callable[[], dict[str, dict[str, Work]]]  # kind of work -> name -> what to time


class Copies(OneIteration):
    """So many copies of one iteration in series, each with its own weights: what the authors called iterations.

    They are built of first steps, as a copy has no state to go on from.
    """

    def __init__(self, settings: Config, copies: int) -> None:
        super().__init__(settings)
        self.others = [part(settings) for _ in range(copies - 1) for part in (model.encoder, model.decoder)]

    def call(self, inputs, training=True):
        """Return `{"x", "x_hat"}`, float32 (B, 32, 32, 3), x_hat that of the last copy."""
        outputs = super().call(inputs, training)
        x_hat = outputs["x_hat"]
        for part in self.others:
            x_hat = part(x_hat)
        return {**outputs, "x_hat": x_hat}


def cases(scale: str) -> list[Case]:
    """Return what is compared; at scale smoke with few filters, and twice each."""
    smoke = scale == "smoke"
    full, small = (at_scale(config.AS_RUN, "smoke" if smoke else name) for name in ("paper", "small"))
    iterative = at_scale(config.ITERATIVE, "smoke" if smoke else "small")
    assert isinstance(iterative, config.Iterative)
    batches, rounds = ((2, 2, 2), (2, 2, 2)) if smoke else ((8, 64, 32), (7, 15, 7))
    last = 2 if smoke else MAX_ITERATIONS
    return [
        _first_step("the paper's width", replace(full, batch_size=batches[0]), rounds[0]),
        _first_step("scale small", replace(small, batch_size=batches[1]), rounds[1]),
        _copies(replace(small, batch_size=batches[2]), last, rounds[2]),
        _iterations(iterative, last, rounds[2]),
    ]


def _first_step(name: str, settings: Config, rounds: int) -> Case:
    def prepare() -> dict[str, dict[str, Work]]:
        own = {"ConvLSTM2D": _built(settings, recurrent=True), FIRST_STEP: _built(settings)}
        inputs = _pictures(settings)
        x = inputs["x"].astype(np.float32) / np.float32(255)
        return {
            TRAINING: {name: _step(network, inputs) for name, network in own.items()},
            INFERENCE: {name: _forward(network, x) for name, network in own.items()},
        }

    operations = complexity.macs(settings, recurrent=True) / complexity.macs(settings)
    about = f"{name}, {settings.batch_size} pictures"
    return Case(about, "ConvLSTM2D", FIRST_STEP, operations, rounds, prepare)


def _copies(settings: Config, copies: int, rounds: int) -> Case:
    def step(number: int) -> Work:
        return _step(
            presets.build(lambda settings, _: Copies(settings, number), settings, 0, PRECISION), _pictures(settings)
        )

    def prepare() -> dict[str, dict[str, Work]]:
        return {TRAINING: {f"{copies} copies": step(copies), "1 copy": step(1)}}

    about = f"copies in series with weights of their own, {settings.batch_size} pictures"
    return Case(about, f"{copies} copies", "1 copy", copies, rounds, prepare)


def _iterations(settings: config.Iterative, iterations: int, rounds: int) -> Case:
    def step(number: int) -> Work:
        made = presets.build(lambda settings, seed: Unrolled(settings, seed, number), settings, 0, PRECISION)
        return _step(made, _pictures(settings))

    def prepare() -> dict[str, dict[str, Work]]:
        return {TRAINING: {f"{iterations} iterations": step(iterations), "1 iteration": step(1)}}

    size = settings.patch_size
    about = f"iterations of the iterative codec, {settings.batch_size} patches of {size}x{size}"
    return Case(about, f"{iterations} iterations", "1 iteration", iterations, rounds, prepare)


def _built(settings: Config, recurrent: bool = False) -> Any:
    options = train.adam(settings)
    return presets.build(
        lambda settings, seed: OneIteration(settings, seed, recurrent), settings, 0, PRECISION, **options
    )


def _pictures(settings: Config) -> dict[str, np.ndarray]:
    size, count = settings.patch_size, settings.batch_size
    x = np.random.default_rng(0).integers(0, 256, (count, size, size, 3), dtype=np.uint8)
    return {"x": x, "step": np.zeros(count, np.int32)}


def _step(network: Any, inputs: Mapping[str, np.ndarray]) -> Work:
    return lambda: network.train_on_batch(inputs)


def _forward(network: Any, x: np.ndarray) -> Work:
    forward = backend.compiled(network.reconstructed)
    return lambda: forward(x)


# --- measuring -----------------------------------------------------------------------------------------------------


def reproduce(options: Options) -> Reproduction:
    """Time every case and judge the ratios."""
    before = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    reproduction, rows = Reproduction(), {}
    every = cases(options.scale)
    with measure.progress(len(every), "case") as bar:
        for case in every:
            for kind, works in case.prepare().items():
                times = seconds(works, case.rounds)
                ratios = times[case.slow] / times[case.fast]
                rows.update({f"{case.name}: {kind}, {name}": 1e3 * values for name, values in times.items()})
                rows[f"{case.name}: {kind}, ratio"] = ratios
                reproduction.claims.append(judged(case, kind, *np.median(ratios, axis=0)))
            bar.update()
    reproduction.further = further(rows)
    reproduction.notes = notes(threads, before)
    reproduction.provenance = {"threads": threads, "load before": round(before, 2), "precision": PRECISION}
    return reproduction


def further(rows: Mapping[str, np.ndarray]) -> dict[str, dict[str, float]]:
    """Return medians of each row, and by the clock the least and the greatest: milliseconds, or ratios of works."""
    columns = {
        "clock, median (ms)": lambda values: np.median(values[:, 0]),
        "clock, least": lambda values: values[:, 0].min(),
        "clock, greatest": lambda values: values[:, 0].max(),
        "processor, median (ms)": lambda values: np.median(values[:, 1]),
    }
    return {name: {row: float(f"{of(values):.4g}") for row, values in rows.items()} for name, of in columns.items()}


def judged(case: Case, kind: str, clock: float, processor: float) -> dict[str, Any]:
    """Judge a ratio by the clock: the first step's by what it has to gain, copies' by the paper's thirty-fold."""
    note = f"By the processor {processor:.3g}. Multiply-accumulates: {case.operations:.3g} times as many."
    ratio = float(f"{clock:.3g}")
    if case.fast == FIRST_STEP:
        text = f"A first step without what multiplies zeros is at least {FASTER:g} times as fast as ConvLSTM2D"
        return claim(f"{text}: {case.name}, {kind}", "above", FASTER, ratio, note)
    text = f"{case.slow} train about thirty times as long as one (II-D2): {case.name}"
    return claim(text, "rounds to", THIRTY_FOLD, ratio, note)


def notes(threads: int | None, load: float) -> list[str]:
    """Say how times were taken."""
    return [
        f"{threads} threads, {PRECISION}; running or waiting programs in the minute before: {load:.1f} on average.",
        "The works of a case take turns; a ratio is the median over rounds of one work's time over that of the other, "
        "which came right beside it. Times by the clock are of whatever else ran on the machine too; those by the "
        "processor, all threads together, hardly, but leave out what an accelerator does.",
        "The outputs and gradients of ConvLSTM2D and of its first step are equal.",
    ]
