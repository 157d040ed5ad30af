"""Training of Cheng et al. (2019), Section 3: random crops, Adam, the loss of Eq. 1."""

import dataclasses
from typing import Any

import numpy as np

from common.data import TrainingPatches
from common.training import checkpoints, presets, runs, shipped, timing, weights
from common.training import ship as ship_module
from papers.cheng_resnet import codec
from papers.cheng_resnet import config as config_module
from papers.cheng_resnet.config import Config
from papers.cheng_resnet.model import Model


def build(config: Config, seed: int, precision: str | None = None) -> Model:
    """Return a compiled model with freshly initialised weights; precision defaults to the fastest here."""
    return presets.build(Model, config, seed, precision)


def train(config: Config, run: runs.Run) -> tuple[Model, dict[str, Any]] | None:
    """Train one network; return it with what run.json says of its training, or None when time ran out first.

    Raises RelicError where the weights that it starts from are not there.
    """
    patches = TrainingPatches(config.training_sets, config.patch_size, run.seed, augment=config.flips)
    model = build(config, run.seed, run.precision)
    if config.starts_from:
        trained = shipped.of_preset(config_module, config.starts_from, run.scale, run.seed)
        checkpoints.set_model_arrays(model, trained.arrays, str(trained.path))
    return presets.fit(model, config, patches, run)


def train_preset(preset: str, scale: str, seed: int = 0, **options: Any) -> bool:
    """Train a preset and ship it; return whether it is finished. As `common.training.train_preset`."""
    return presets.train_preset(config_module, train, ship, preset, scale, seed, **options)


def ship(run: runs.Run, config: Config, arrays: dict[str, np.ndarray], about: dict[str, Any]) -> None:
    """Write a training's weights, rounded to float16, with the integers derived from them, run.json and log.csv."""
    model = Model(config)
    checkpoints.set_model_arrays(model, weights.to_float16(arrays), str(run.checkpoint))
    patches = TrainingPatches(config.training_sets, config.patch_size, run.seed, augment=False, limit=16)
    calibration = [patches.batch(step, 1).astype(np.float32) / 255.0 for step in range(8)]
    tables = codec.integers(model, calibration)
    ship_module.ship(run, config, checkpoints.model_arrays(model), about, tables)


def loops(config: Config, precision: str | None = None) -> list[timing.Loop]:
    """Return the loops of steps of a training, to be timed."""
    like = dataclasses.replace(config, pilot="", lmbda=0.0)
    return [timing.Loop(like, config.steps, timing.shapes_of(config), lambda: build(config, 0, precision))]
