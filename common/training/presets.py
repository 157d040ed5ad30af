"""What the papers' trainings share: a compiled model, the inputs of its steps, a preset from settings to weights."""

import dataclasses
from collections.abc import Callable
from contextlib import nullcontext
from types import ModuleType
from typing import Any

import numpy as np

from common import backend, devices, files
from common.config import find_preset
from common.data import TrainingPatches
from common.training import checkpoints, locks, loop, runs
from common.training.averages import WeightAverage


def build(kind: Callable[[Any, int], Any], config: Any, seed: int, precision: str | None = None, **adam: Any) -> Any:
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

    Where a config has `decays_linearly` and it is true, the rate goes down to zero on a straight line instead.

    adam: `epsilon` and `amsgrad`, where they are not Keras' defaults.
    """
    decays = getattr(config, "decays_linearly", False)
    drops = () if decays else config.learning_rate_drops
    rate = backend.learning_rate(config.learning_rate, drops, config.steps, decays)
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
    validate: Callable[[], dict[str, float]] | None = None,
) -> tuple[Any, dict[str, Any]] | None:
    """Train a compiled model on patches; return it with what run.json says of that, or None when time ran out first.

    Where a config has an `average_decay` other than 0, the model returned has the average of its weights. `validate`
    as in `common.training.loop.fit`.
    """
    decay = getattr(config, "average_decay", 0.0)
    average = WeightAverage(decay) if decay else None
    finished, seconds, log = loop.fit(model, config, batches(config, patches), run, validate, average=average)
    if not finished:
        return None
    if average:
        checkpoints.set_model_arrays(model, average.arrays, str(run.checkpoint))
    about = {"steps": config.steps, "training_seconds": seconds, **patches.about, "log": log}
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
    `ship(run, config, arrays, about)` writes the files. options: `minutes`, `resume`, `restart`, `precision` of
    `runs.Run`; a training that is resumed goes on in its own precision unless told otherwise. Raises RelicError for an
    unknown preset or scale, and where another process trains the same one, OSError before anything is trained where the
    files could not be written.
    """
    run = runs.Run(config_module.__name__.split(".")[-2], preset, scale, seed, **options)
    config = config_module.at_scale(find_preset(config_module, preset), scale)
    is_chief = devices.named_process(run.devices).is_chief
    if is_chief:
        for path in (run.checkpoint, run.shipped / "weights.safetensors"):
            files.check_writable(path)
    with locks.one_training(run) if is_chief else nullcontext():
        with devices.shared(run.devices, config.batch_size) as about_devices:
            run = dataclasses.replace(run, precision=_precision_of(run))
            trained = train(config, run)
            if trained is None:
                return False
            model, about = trained
            arrays = checkpoints.model_arrays(model)
        if is_chief:
            ship(run, config, arrays, {**about, **about_devices})
    return True


def _precision_of(run: runs.Run) -> str:
    """Return the precision that a run goes on in: its own, that of a checkpoint to resume, else the faster one here.

    Processes that train together do so in float32 unless all of them would take another one.
    """
    paths = sorted(run.checkpoint.parent.glob("checkpoint*.npz")) if run.resume and not run.restart else []
    kept = (checkpoints.checkpoint_about(path).get("precision") for path in paths)
    own = run.precision or next(filter(None, kept), None) or backend.fast_precision()
    (is_float32,) = devices.anywhere(own == "float32")
    return "float32" if is_float32 else own
