"""What the papers' trainings share: a compiled model, the inputs of its steps, a preset from settings to weights."""
from __future__ import annotations

from types import ModuleType
from typing import Any, Callable

import numpy as np

from common import backend, runs
from common.config import find_preset
from common.data import TrainingPatches


def build(
    kind: Callable[[Any, int], Any], config: Any, seed: int, precision: str | None = None, **adam: Any
) -> Any:
    """Return the compiled model `kind(config, seed)` with freshly initialised weights, see the two functions below."""
    return compiled(initialised(kind, config, seed, precision), config, **adam)


def initialised(kind: Callable[[Any, int], Any], config: Any, seed: int, precision: str | None = None) -> Any:
    """Return `kind(config, seed)` with freshly initialised weights; precision defaults to the fastest here."""
    backend.set_seed(seed)
    backend.set_precision(precision or backend.fast_precision())
    try:
        return kind(config, seed)
    finally:
        backend.set_precision("float32")


def compiled(model: Any, config: Any, **adam: Any) -> Any:
    """Return a model compiled with Adam: the config's `learning_rate`, `learning_rate_drops`, `steps`, `clip_norm`.

    adam: `epsilon` and `amsgrad`, where they are not Keras' defaults.
    """
    rate = backend.piecewise_rate(config.learning_rate, config.learning_rate_drops, config.steps)
    backend.compile_model(model, rate, config.clip_norm, **adam)
    return model


def batches(config: Any, patches: TrainingPatches) -> Callable[[int], dict[str, np.ndarray]]:
    """Return the inputs of a step: `x`, uint8 (batch_size, P, P, 3), and `step`, int32 (batch_size,)."""

    def batch(step: int) -> dict[str, np.ndarray]:
        x = patches.batch(step, config.batch_size)
        return {"x": x, "step": np.full(len(x), step, np.int32)}

    return batch


def fit(
    model: Any,
    config: Any,
    patches: TrainingPatches,
    run: runs.Run,
    validate: Callable[[], dict[str, float]] = dict,
) -> tuple[Any, dict[str, Any]] | None:
    """Train a compiled model on patches; return it with what run.json says of that, or None when time ran out first.

    `validate` as in `common.runs.fit`.
    """
    finished, seconds, log = runs.fit(model, config, batches(config, patches), run, validate)
    if not finished:
        return None
    about = {"steps": config.steps, "training_seconds": seconds, "data": patches.digests, "log": log}
    return model, about


def train_preset(
    config_module: ModuleType,
    train: Callable[[Any, runs.Run], tuple[Any, dict[str, Any]] | None],
    ship: Callable[[runs.Run, Any, dict[str, np.ndarray], dict[str, Any]], None],
    preset: str,
    scale: str,
    seed: int,
    **options: Any,
) -> bool:
    """Train a preset of a paper and ship it: weights.safetensors, run.json and log.csv. Return whether it is finished.

    `train(config, run)` returns the model and what run.json says of its training, or None when time ran out first;
    `ship(run, config, arrays, about)` writes the files. options: `minutes`, `resume`, `restart` of `runs.Run`. Raises
    RelicError for an unknown preset or scale.
    """
    run = runs.Run(config_module.__name__.split(".")[-2], preset, scale, seed, **options)
    config = config_module.at_scale(find_preset(config_module, preset), scale)
    trained = train(config, run)
    if trained is None:
        return False
    model, about = trained
    ship(run, config, runs.model_arrays(model), about)
    return True
