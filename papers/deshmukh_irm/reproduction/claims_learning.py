"""How Deshmukh and Pollett's networks learn: steps to a given loss, by the logs; starts that cannot learn."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from common import backend
from common.tables import intervals
from common.tables.document import claim
from papers.deshmukh_irm import config, model
from papers.deshmukh_irm.config import Compression
from papers.deshmukh_irm.reproduction.references import printed

INITIALISATIONS = 300
SMOOTHED = 5  # rows of a log that are averaged
DEAD = 1 / 255  # a code that varies less than one level is the same for every picture
OTHERS = {"grey_without_skips": "without skip connections", "baseline_as_written": "the baseline"}

Logs = Mapping[Any, Sequence[Mapping[str, Any]]]  # by preset and seed


def claims(logs: Logs) -> list[dict[str, Any]]:
    """Judge whether the proposed networks need fewer steps than others to the loss that those end with."""
    there = [other for other in OTHERS if set(_seeds(logs, other)) & set(_seeds(logs, "grey"))]
    return [steps_claim(logs, other, OTHERS[other]) for other in there]


def steps_claim(logs: Logs, other: str, name: str) -> dict[str, Any]:
    """Judge the share of the steps saved until the squared error is the last one of another preset, seed by seed."""
    seeds = [seed for seed in _seeds(logs, "grey") if seed in _seeds(logs, other)]
    saved = [share_saved(logs["grey", seed], logs[other, seed]) for seed in seeds]
    faster = printed("Faster convergence by skip connections", "Share")
    text = f"Fewer steps than {name} to its last squared error (Section 1: {faster} % faster), % of the steps"
    interval = intervals.interval_over_trainings(np.array(saved))
    note = f"By seed {', '.join(f'{value:.0f}' for value in saved)} %; images and their order are the same."
    return claim(text, "above", 0.0, round(float(np.mean(saved)), 4), note, interval, measured=True)


def _seeds(logs: Logs, preset: str) -> list[int]:
    return [seed for name, seed in logs if name == preset]


def share_saved(ours: Sequence[Mapping[str, Any]], other: Sequence[Mapping[str, Any]]) -> float:
    """Return the percentage of the steps that `ours` needs less to get to the last squared error of `other`.

    Errors are means of SMOOTHED rows of the log; where `ours` never gets there, 0 or less by how much it lacks.
    """
    steps, errors = smoothed(ours)
    other_steps, other_errors = smoothed(other)
    reached = np.flatnonzero(errors <= other_errors[-1])
    if reached.size:
        return 100.0 * float(1 - steps[reached[0]] / other_steps[-1])
    backwards = np.flatnonzero(other_errors <= errors[-1])
    return -100.0 * float(1 - other_steps[backwards[0]] / steps[-1])


def smoothed(log: Sequence[Mapping[str, Any]]) -> tuple[np.ndarray, np.ndarray]:
    """Return steps and mean squared errors of a log; means are over the row and those before it."""
    count = min(SMOOTHED, len(log))
    errors = np.array([row["squared_error"] for row in log], np.float64)
    means = np.convolve(errors, np.full(count, 1 / count), "valid")
    return np.array([row["step"] for row in log])[count - 1 :], means


# --- starts --------------------------------------------------------------------------------------------------------


def starts_claims(count: int, x: np.ndarray) -> list[dict[str, Any]]:
    """Judge how often a Glorot start leaves a code that does not depend on the picture, by maps of the ICM."""
    shares = {maps: dead_share(count, maps, x) for maps in (config.GREY.icm_maps, config.GREY_ICM64.icm_maps)}
    note = f"Of {count} starts; a code that varies by less than one level. With 64 maps {shares[64]:.0%}."
    text = "Xavier initialisation of an ICM of three maps lets the picture through (Section 4): dead starts, share"
    return [claim(text, "equals", 0, round(shares[3], 4), note)]


def dead_share(count: int, maps: int, x: np.ndarray) -> float:
    """Return the share of Glorot starts of the grey ICM whose code of a uint8 picture (H, W) is nearly constant."""
    network = model.icm(Compression(channels=1, icm_maps=maps))
    forward = backend.compiled(lambda picture: network(picture, training=False), [network])
    values = x[None, ..., None].astype(np.float32) / np.float32(255)
    generator = np.random.default_rng(0)
    dead = 0
    for _ in range(count):
        for name, variable in backend.variables(network).items():
            if name.endswith("/kernel"):
                backend.assign(variable, glorot(generator, tuple(variable.shape)))
        code = forward(values)[0, 2:-2, 2:-2]  # at the edges zeros come in
        dead += code.std() < DEAD
    return dead / count


def glorot(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Return a kernel (k, k, in, out), float32, as Glorot and Bengio's uniform start draws it."""
    area = shape[0] * shape[1]
    limit = np.sqrt(6.0 / (area * (shape[2] + shape[3])))
    return generator.uniform(-limit, limit, shape).astype(np.float32)


def notes(logs: Logs) -> list[str]:
    """Say what batch normalisation does to the error in training, from the logs of the grey networks."""
    pairs = [turning_point(log) for (preset, _), log in logs.items() if preset == "grey"]
    known = [pair for pair in pairs if pair is not None]
    if not known:
        return []
    before, after = (10 * np.log10(1 / np.mean(errors)) for errors in zip(*known, strict=True))
    return [
        "Batch normalisation in the ICM takes away how bright and how contrasted a picture is next to its batch, and "
        f"the IRM cannot know it: with the statistics of each batch training stays at {before:.1f} dB, and is at "
        f"{after:.1f} dB right after the running means take their place."
    ]


def turning_point(log: Sequence[Mapping[str, Any]]) -> tuple[float, float] | None:
    """Return the mean squared errors of the last rows by batches and of the first ones by running means."""
    by_batches = [row["squared_error"] for row in log if row.get("part") != "settled"]
    settled = [row["squared_error"] for row in log if row.get("part") == "settled"]
    if not by_batches or not settled:
        return None
    return float(np.mean(by_batches[-SMOOTHED:])), float(np.mean(settled[:SMOOTHED]))
