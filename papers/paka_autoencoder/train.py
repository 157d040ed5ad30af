"""Training of Paka and Khatter, Section 3.2: Adam, the mean squared error of YCbCr, a validation loss for Fig. 6."""
from __future__ import annotations

from typing import Any, Callable

import numpy as np

from common import backend, data, runs, weights
from common.config import find_preset
from common.data import TrainingPatches
from papers.paka_autoencoder import codec
from papers.paka_autoencoder import config as config_module
from papers.paka_autoencoder.config import Config, at_scale
from papers.paka_autoencoder.model import Model
from papers.paka_autoencoder.pictures import resized, rgb_to_ycbcr

CALIBRATION_PIXELS = 6 * 2**20  # the whole training pictures of Kodak are 5.5 million


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


def patches_of(config: Config, seed: int, augment: bool) -> TrainingPatches:
    """Return the training patches: of Kodak only the named pictures, each scaled to 512x768."""
    prepare = resized if config.training_pictures else None
    names, only = config.training_sets, config.training_pictures
    return TrainingPatches(names, config.patch_size, seed, augment, only=only, prepare=prepare)


def batches(config: Config, patches: TrainingPatches) -> Callable[[int], dict[str, np.ndarray]]:
    """Return the inputs of a step: `x`, uint8 (B, P, P, 3), and `step`, int32 (B,)."""

    def batch(step: int) -> dict[str, np.ndarray]:
        x = patches.batch(step, config.batch_size)
        return {"x": x, "step": np.full(len(x), step, np.int32)}

    return batch


def validation(config: Config, model: Model) -> Callable[[], dict[str, float]]:
    """Return a function of the current `validation_loss`: the mean squared error of the whole validation pictures."""
    if not config.validation_pictures:
        return dict
    entries = data.named_entries(config.training_sets[0], config.validation_pictures)
    pictures = [rgb_to_ycbcr(resized(image))[None] for _, _, image in entries]

    def squared_error(x):
        x_hat = model.synthesis_transform(model.analysis_transform(x, training=False), training=False)
        return backend.ops.mean(backend.ops.square(x - x_hat))

    compiled = backend.compiled(squared_error)
    return lambda: {"validation_loss": float(np.mean([compiled(x) for x in pictures]))}


def train(config: Config, run: runs.Run) -> tuple[Model, dict[str, Any]] | None:
    """Train one network; return it with what run.json says of its training, or None when time ran out first."""
    patches = patches_of(config, run.seed, config.flips)
    model = build(config, run.seed)
    finished, seconds, log = runs.fit(model, config, batches(config, patches), run, validation(config, model))
    if not finished:
        return None
    about = {"steps": config.steps, "training_seconds": seconds, "data": patches.digests, "log": log}
    return model, about


def train_preset(preset: str, scale: str, seed: int = 0, **options: Any) -> bool:
    """Train a preset and ship it: weights.safetensors, run.json and log.csv. Return whether it is finished.

    options: `minutes`, `resume`, `restart` of `runs.Run`. Raises RelicError for an unknown preset or scale.
    """
    run = runs.Run("paka_autoencoder", preset, scale, seed, **options)
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
    patches = patches_of(config, run.seed, augment=False)
    count = CALIBRATION_PIXELS // config.patch_size**2 if run.scale != "smoke" else 4
    tables = codec.integers(model, [patches.batch(step, 1) for step in range(count)])
    runs.ship(run, config, runs.model_arrays(model), tables, about)
