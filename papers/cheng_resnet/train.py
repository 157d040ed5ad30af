"""Training of Cheng et al. (2019), Section 3: random crops, Adam, the loss of Eq. 1."""
from __future__ import annotations

from typing import Any, Callable

import numpy as np

from common import backend, runs
from common.data import TrainingPatches
from papers.cheng_resnet.config import Config
from papers.cheng_resnet.model import Model


def build(config: Config, seed: int, precision: str | None = None) -> Model:
    """Return a compiled model with freshly initialised weights; precision defaults to the fastest here."""
    backend.set_seed(seed)
    backend.set_precision(precision or backend.fast_precision())
    try:
        model = Model(config, seed)
    finally:
        backend.set_precision("float32")
    rate = backend.piecewise_rate(config.learning_rate, config.learning_rate_drops, config.steps)
    backend.compile_model(model, rate, config.clip_norm)
    return model


def batches(config: Config, patches: TrainingPatches) -> Callable[[int], dict[str, np.ndarray]]:
    """Return the inputs of a step: `x`, uint8 (B, P, P, 3), and `step`, int32 (B,)."""

    def batch(step: int) -> dict[str, np.ndarray]:
        x = patches.batch(step, config.batch_size)
        return {"x": x, "step": np.full(len(x), step, np.int32)}

    return batch


def train(config: Config, run: runs.Run) -> tuple[Model, dict[str, Any]] | None:
    """Train one network; return it with what run.json says of its training, or None when time ran out first."""
    patches = TrainingPatches(config.training_sets, config.patch_size, run.seed, augment=config.flips)
    model = build(config, run.seed)
    finished, seconds, log = runs.fit(model, config, batches(config, patches), run)
    if not finished:
        return None
    about = {"steps": config.steps, "training_seconds": seconds, "data": patches.digests, "log": log}
    return model, about
