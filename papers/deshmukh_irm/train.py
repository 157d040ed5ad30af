"""Training of Deshmukh and Pollett, Section 4: both networks at once by Eq. 2; the SRGAN by itself."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from common import backend
from common.training import checkpoints, loop, presets, runs, weights
from common.training import ship as ship_module
from common.training.phases import fit_parts
from papers.deshmukh_irm import codec
from papers.deshmukh_irm import config as config_module
from papers.deshmukh_irm.config import Compression, Config, SuperResolution
from papers.deshmukh_irm.model import Model
from papers.deshmukh_irm.patches import Patches
from papers.deshmukh_irm.scaling import quarter
from papers.deshmukh_irm.super_resolution import Adversary, Learning

CALIBRATION_IMAGES = 64
SETTLED, ADVERSARIAL = "settled", "adversarial"

Batch = Callable[[int], "dict[str, np.ndarray]"]


def build(config: Compression, seed: int, precision: str | None = None) -> Model:
    """Return a compiled model with freshly initialised weights (Glorot); precision defaults to the fastest here."""
    return presets.build(Model, config, seed, precision)


def train(config: Config, run: runs.Run) -> tuple[Any, dict[str, Any]] | None:
    """Train one preset; return it with what run.json says of its training, or None when time ran out first."""
    if isinstance(config, SuperResolution):
        return train_super_resolution(config, run)
    assert isinstance(config, Compression)
    return train_compression(config, run)


def train_compression(config: Compression, run: runs.Run) -> tuple[Model, dict[str, Any]] | None:
    """Train ICM and IRM, first with batch normalisation by batches, then, where asked for, by its running means."""
    patches = Patches(config, run.seed)
    model = presets.initialised(Model, config, run.seed, run.precision)
    validate = validation(model, patches)

    def fit_part(name: str, alone: Compression, batch: Batch, own: runs.Run) -> tuple[bool, list[dict[str, Any]]]:
        model.settled = name == SETTLED
        finished, _, rows = loop.fit(presets.compiled(model, alone), alone, batch, own, validate)
        return finished, rows

    log = fit_in_turn(config, {"by_batches": config.steps, SETTLED: config.settled_steps}, patches, run, fit_part)
    return None if log is None else (model, about(config, patches, log))


def fit_in_turn(
    config: Any,
    steps: Mapping[str, int],
    patches: Patches,
    run: runs.Run,
    fit_part: Callable[[str, Any, Batch, runs.Run], tuple[bool, list[dict[str, Any]]]],
) -> list[dict[str, Any]] | None:
    """Fit the parts that have steps, one after the other with an optimizer of its own each; as `parts.fit_parts`.

    `fit_part(name, alone, batch, own)` has the config with the part's steps, the inputs of a step, and the part's run.
    """
    names = [name for name in steps if steps[name]]
    batch = batches(config, patches)

    def fit(index: int, own: runs.Run) -> tuple[bool, list[dict[str, Any]]]:
        name = names[index]
        before = sum(steps[earlier] for earlier in names[:index])  # no part repeats another one's images
        alone = dataclasses.replace(config, steps=steps[name])
        finished, rows = fit_part(name, alone, lambda step: batch(before + step), own)
        return finished, [{**row, "part": name} for row in rows]

    return fit_parts(run, names, fit)


def about(config: Config, patches: Patches, log: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what run.json says of a training."""
    last = log[-1]
    return {"steps": last["step"], "training_seconds": last["seconds"], "data": patches.digests, "log": log}


def batches(config: Config, patches: Patches) -> Callable[[int], dict[str, np.ndarray]]:
    """Return the inputs of a step; the SRGAN's have the pictures of a quarter of the side too."""

    def batch(step: int) -> dict[str, np.ndarray]:
        x = patches.batch(step, config.batch_size)
        if isinstance(config, SuperResolution):
            return {"x": x, "lr": np.stack([quarter(image) for image in x])}
        return {"x": x, "step": np.full(len(x), step, np.int32)}

    return batch


def validation(model: Model, patches: Patches) -> Callable[[], dict[str, float]]:
    """Return a function that measures Eq. 2 and its first term on images of the validation pictures."""
    x = patches.validated().astype(np.float32) / np.float32(255)

    def measured(x):
        u = model.upsample(model.icm(x, training=False))
        values = model.losses_of({"x": x, "u": u, "x_hat": model.irm(u, training=False)})
        return values["loss"], values["squared_error"]

    forward = backend.compiled(measured, list(model.transforms.values()))
    names = ("validation_loss", "validation_squared_error")
    return lambda: dict(zip(names, (float(value) for value in forward(x)), strict=True))


def train_super_resolution(config: SuperResolution, run: runs.Run) -> tuple[Adversary, dict[str, Any]] | None:
    """Train the generator by the squared error, then with its adversary; as `train`."""
    patches = Patches(config, run.seed)
    both = presets.initialised(Adversary, config, run.seed, run.precision)
    content = {}

    def fit_part(name: str, alone: SuperResolution, batch: Batch, own: runs.Run) -> tuple[bool, list[dict[str, Any]]]:
        model = presets.compiled(Learning(alone, both, name == ADVERSARIAL), alone)
        content[name] = model.content_name
        finished, _, rows = loop.fit(model, alone, batch, own)
        return finished, rows

    steps = {"generator": config.steps, ADVERSARIAL: config.adversarial_steps}
    log = fit_in_turn(config, steps, patches, run, fit_part)
    return None if log is None else (both, {**about(config, patches, log), "content": content})


def train_preset(preset: str, scale: str, seed: int = 0, **options: Any) -> bool:
    """Train a preset and ship it; return whether it is finished. As `common.training.train_preset`."""
    return presets.train_preset(config_module, train, ship, preset, scale, seed, **options)


def ship(run: runs.Run, config: Config, arrays: dict[str, np.ndarray], about: dict[str, Any]) -> None:
    """Write a training's weights, rounded to float16, with the range coder's frequencies, run.json and log.csv."""
    networks = codec.networks_of(config)
    checkpoints.set_model_arrays(networks, weights.to_float16(arrays), str(run.checkpoint))
    rounded = checkpoints.model_arrays(networks)
    images = Patches(config, run.seed).batch(0, CALIBRATION_IMAGES if run.scale != "smoke" else 4)
    ship_module.ship(run, config, rounded, about, codec.frequencies(config, networks, images))
