"""Training of Cheng et al. (2019), Section 3: random crops, Adam, the loss of Eq. 1."""
from __future__ import annotations

from typing import Any, Callable

import numpy as np

from common import backend, runs, weights
from common.config import find_preset
from common.data import TrainingPatches
from papers.cheng_resnet import codec
from papers.cheng_resnet import config as config_module
from papers.cheng_resnet.config import Config, at_scale
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


def train_preset(preset: str, scale: str, seed: int = 0, **options: Any) -> bool:
    """Train a preset and ship it: weights.safetensors, run.json and log.csv. Return whether it is finished.

    options: `minutes`, `resume`, `restart` of `runs.Run`. Raises RelicError for an unknown preset or scale.
    """
    run = runs.Run("cheng_resnet", preset, scale, seed, **options)
    config = at_scale(find_preset(config_module, preset), scale)
    trained = train(config, run)
    if trained is None:
        return False
    model, about = trained
    ship(run, config, runs.model_arrays(model), about)
    return True


def ship(run: runs.Run, config: Config, arrays: dict[str, np.ndarray], about: dict[str, Any]) -> None:
    """Write a training's weights, rounded to float16, with the integers derived from them, run.json and log.csv."""
    model = Model(config)
    runs.set_model_arrays(model, weights.to_float16(arrays), run.checkpoint)
    patches = TrainingPatches(config.training_sets, config.patch_size, run.seed, augment=False, limit=16)
    calibration = [patches.batch(step, 1).astype(np.float32) / 255.0 for step in range(8)]
    tables = codec.integers(model, calibration)
    runs.ship(run, config, runs.model_arrays(model), tables, about)
