"""Training of Paka and Khatter, Section 3.2: Adam, the mean squared error of YCbCr, a validation loss for Fig. 6."""

from collections.abc import Callable
from typing import Any

import numpy as np

from common import backend, data
from common.data import TrainingPatches
from common.training import checkpoints, presets, runs, weights
from common.training import ship as ship_module
from papers.paka_autoencoder import codec
from papers.paka_autoencoder import config as config_module
from papers.paka_autoencoder.config import Config
from papers.paka_autoencoder.model import Model
from papers.paka_autoencoder.pictures import resized, rgb_to_ycbcr

CALIBRATION_PIXELS = 6 * 2**20  # the whole training pictures of Kodak are 5.5 million


def build(config: Config, seed: int, precision: str | None = None) -> Model:
    """Return a compiled model with freshly initialised weights; precision defaults to the fastest here."""
    return presets.build(Model, config, seed, precision)


def patches_of(config: Config, seed: int, augment: bool) -> TrainingPatches:
    """Return the training patches: of Kodak only the named pictures, each scaled to 512x768."""
    prepare = resized if config.training_pictures else None
    names, only = config.training_sets, config.training_pictures
    return TrainingPatches(names, config.patch_size, seed, augment, only=only, prepare=prepare)


def validation(config: Config, model: Model) -> Callable[[], dict[str, float]]:
    """Return a function of the current `validation_loss`: the mean squared error of the whole validation pictures."""
    if not config.validation_pictures:
        return dict
    entries = data.named_entries(config.training_sets[0], config.validation_pictures)
    pictures = [rgb_to_ycbcr(resized(image))[None] for _, _, image in entries]

    def squared_error(x):
        x_hat = model.synthesis_transform(model.analysis_transform(x, training=False), training=False)
        return backend.ops.mean(backend.ops.square(x - x_hat))

    compiled = backend.compiled(squared_error, list(model.transforms.values()))
    return lambda: {"validation_loss": float(np.mean([compiled(x) for x in pictures]))}


def train(config: Config, run: runs.Run) -> tuple[Model, dict[str, Any]] | None:
    """Train one network; return it with what run.json says of its training, or None when time ran out first."""
    patches = patches_of(config, run.seed, config.flips)
    model = build(config, run.seed, run.precision)
    return presets.fit(model, config, patches, run, validation(config, model))


def train_preset(preset: str, scale: str, seed: int = 0, **options: Any) -> bool:
    """Train a preset and ship it; return whether it is finished. As `common.training.train_preset`."""
    return presets.train_preset(config_module, train, ship, preset, scale, seed, **options)


def ship(run: runs.Run, config: Config, arrays: dict[str, np.ndarray], about: dict[str, Any]) -> None:
    """Write a training's weights, rounded to float16, with the integers derived from them, run.json and log.csv."""
    model = Model(config)
    checkpoints.set_model_arrays(model, weights.to_float16(arrays), str(run.checkpoint))
    patches = patches_of(config, run.seed, augment=False)
    count = CALIBRATION_PIXELS // config.patch_size**2 if run.scale != "smoke" else 4
    tables = codec.integers(model, [patches.batch(step, 1) for step in range(count)])
    ship_module.ship(run, config, checkpoints.model_arrays(model), about, tables)
