"""Training of Donis and Brown: one iteration, epoch by epoch; the iterative codec with more and more iterations."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from common import backend
from common.data import TrainingPatches
from common.training import loop, presets, runs
from common.training.phases import fit_parts
from common.training.ship import ship
from papers.donis_convlstm import config as config_module
from papers.donis_convlstm import losses
from papers.donis_convlstm.config import Config, Iterative
from papers.donis_convlstm.learning import OneIteration, Unrolled, loss_of
from papers.donis_convlstm.patches import TrainingTiles, batches

VALIDATED = 200  # pictures that are validated at once


def build(config: Config, seed: int, precision: str | None = None) -> OneIteration:
    """Return a compiled model of one iteration with freshly initialised weights; precision defaults to the fastest."""
    return presets.build(OneIteration, config, seed, precision, **adam(config))


def adam(config: Config) -> dict[str, Any]:
    """Return what a config says of Adam beside the learning rate."""
    return {"epsilon": config.epsilon, "amsgrad": config.amsgrad}


def train(config: Config, run: runs.Run) -> tuple[Any, dict[str, Any]] | None:
    """Train one network; return it with what run.json says of that, or None when time ran out first."""
    return train_iterative(config, run) if isinstance(config, Iterative) else train_one_iteration(config, run)


def train_one_iteration(config: Config, run: runs.Run) -> tuple[OneIteration, dict[str, Any]] | None:
    """Train one iteration; every row of the log is an epoch, with the values of the validation pictures."""
    pictures = TrainingTiles(config)
    model = build(config, run.seed, run.precision)
    batch = batches(config, pictures.x, run.seed)
    validate = validation(model, pictures.validation)
    finished, seconds, log = loop.fit(model, config, batch, run, validate, chunk=config.epoch_steps)
    if not finished:
        return None
    about = {"steps": config.steps, "training_seconds": seconds, "data": pictures.digests, "log": log}
    return model, about


def validation(model: OneIteration, pictures: np.ndarray) -> Callable[[], dict[str, float]]:
    """Return a function that measures the model on uint8 pictures: the values of training and the true SSIM."""
    config = model.config

    def measured(x):
        x = x / 255.0
        x_hat = model.reconstructed(x)
        levels = losses.psnr(x, x_hat)
        similarity = [losses.ssim_tensor(x, x_hat, max_val=peak) for peak in (1.0, losses.AS_RUN_RANGE)]
        return loss_of(config, x, x_hat), levels, levels**2, *similarity, losses.mae(x, x_hat)

    forward = backend.compiled(measured, list(model.transforms.values()))
    names = [f"validation_{name}" for name in ("loss", "psnr", "psnr_squared", "ssim", "ssim_range_2", "mae")]

    def validate() -> dict[str, float]:
        parts = [pictures[i : i + VALIDATED] for i in range(0, len(pictures), VALIDATED)]
        values = [[np.mean(value) for value in forward(part.astype(np.float32))] for part in parts]
        means = np.average(values, axis=0, weights=[len(part) for part in parts])
        return dict(zip(names, means.tolist(), strict=True))

    return validate


def train_iterative(config: Iterative, run: runs.Run) -> tuple[Unrolled, dict[str, Any]] | None:
    """Train the iterative codec, phase after phase with more iterations, the weights going on; as `train`."""
    patches = TrainingPatches(config.training_sets, config.patch_size, run.seed, augment=True)
    first = presets.initialised(Unrolled, config, run.seed, run.precision)

    def fit_phase(index: int, own: runs.Run) -> tuple[bool, list[dict[str, Any]]]:
        iterations, _, rate = config.phases[index]
        alone = dataclasses.replace(config, phases=config.phases[index : index + 1], learning_rate=rate)
        model = presets.compiled(first.with_iterations(iterations), alone, **adam(config))
        batch = presets.batches(config, patches)
        before = sum(steps for _, steps, _ in config.phases[:index])  # no phase repeats another one's patches
        finished, _, rows = loop.fit(model, alone, lambda step: batch(before + step), own)
        return finished, [{**row, "iterations": iterations} for row in rows]

    log = fit_parts(run, [f"phase{index + 1}" for index in range(len(config.phases))], fit_phase)
    if log is None:
        return None
    about = {"steps": log[-1]["step"], "training_seconds": log[-1]["seconds"], "data": patches.digests, "log": log}
    return first, about


def train_preset(preset: str, scale: str, seed: int = 0, **options: Any) -> bool:
    """Train a preset and ship it; return whether it is finished. As `common.training.train_preset`."""
    return presets.train_preset(config_module, train, ship, preset, scale, seed, **options)
