"""Checkpoints: all that a training needs to go on as if it had not been stopped, as one npz."""

import dataclasses
import io
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from common import devices
from common.config import differing_fields
from common.errors import RelicError
from common.files import atomic_file, json_object
from common.training.averages import WeightAverage

REMEDY = "remove it and train again"
TRAIN_ANEW = "train anew with another seed or a lower learning rate; the last checkpoint is kept"


def save_checkpoint(
    path: Path,
    model: Any,
    config: Any,
    step: int,
    seconds: float,
    log: list[dict],
    average: WeightAverage | None = None,
    precision: str | None = None,
) -> None:
    """Write weights, their average, optimizer, step, config, log and precision atomically, as one npz.

    Raises RelicError for weights that are not finite, which a loss may hide: ReLU makes zeros of NaN. The checkpoint
    that is there stays.
    """
    arrays = {f"weights/{key}": value for key, value in model_arrays(model).items()}
    arrays.update({f"average/{key}": value for key, value in (average.arrays if average else {}).items()})
    lost = not_finite(arrays)
    if lost:
        raise RelicError(f"the training diverged before step {step} ({lost} is not finite): {TRAIN_ANEW}")
    arrays.update({f"optimizer/{i}": value for i, value in enumerate(_optimizer_arrays(model))})
    if not devices.process().is_chief:  # which has read its variables, as some are only read by all processes at once
        return
    about = {"step": step, "seconds": seconds, "config": dataclasses.asdict(config), "log": log, **_made_in(precision)}
    arrays["about"] = np.frombuffer(json.dumps(about).encode(), np.uint8)
    # In memory first: where a disk is full, the zip file that numpy leaves half-written complains once more.
    whole = io.BytesIO()
    np.savez(whole, **arrays)
    with atomic_file(path) as file:
        file.write(whole.getbuffer())


def load_checkpoint(
    path: Path, model: Any, config: Any, average: WeightAverage | None = None, precision: str | None = None
) -> tuple[int, float, list[dict]]:
    """Set the model, its optimizer and the average of its weights to a checkpoint; return its step, seconds and log.

    Raises RelicError for a damaged file, and for one of another config, another stack or another precision, where that
    is given; the backend, the processor and their number may be others.
    """
    try:
        with np.load(path) as file:
            arrays = {key: file[key] for key in file.files}
        data = arrays.pop("about").tobytes()
    except Exception as error:  # numpy reports damage by OSError, ValueError, EOFError, BadZipFile, zlib.error …
        raise RelicError(f"damaged checkpoint {path}: {REMEDY} ({error})") from None
    about = _checked(data, path)
    lost = not_finite(arrays)
    if lost:
        raise RelicError(f"damaged checkpoint {path}: {lost} is not finite: {REMEDY}")
    check_config(about["config"], config, path)
    _check_made_in(about, precision, path)
    set_model_arrays(model, _below("weights/", arrays), str(path))
    if average:
        average.restore(_below("average/", arrays), about["step"])
    _set_optimizer(model, [value for key, value in arrays.items() if key.startswith("optimizer/")], path)
    return about["step"], about["seconds"], about["log"]


def _made_in(precision: str | None) -> dict[str, str]:
    """Return what a checkpoint says of how it came to be."""
    from common import backend

    return {"stack": backend.STACK, **({"precision": precision} if precision else {})}


def _check_made_in(about: dict[str, Any], precision: str | None, path: Path) -> None:
    """Raise RelicError where a training cannot go on: each stack keeps an optimizer in its own way, for one."""
    from common import backend

    stack, kept = about.get("stack", backend.STACK), about.get("precision")
    if stack != backend.STACK:
        raise RelicError(f"{path} was written by stack {stack}: go on with RELIC_STACK={stack}, or train anew")
    if None not in (kept, precision) and kept != precision:
        raise RelicError(f"{path} was trained in {kept}: go on with --precision {kept}, or train anew")


def checkpoint_about(path: Path) -> dict[str, Any]:
    """Return what a checkpoint says of itself: step, seconds, config and log; raises RelicError for a damaged one."""
    try:
        with np.load(path) as file:
            data = file["about"].tobytes()
    except Exception as error:  # as in load_checkpoint
        raise RelicError(f"damaged checkpoint {path}: {REMEDY} ({error})") from None
    return _checked(data, path)


def _checked(data: bytes, path: Path) -> dict[str, Any]:
    """Return what a checkpoint says of itself; raises RelicError for anything that `save_checkpoint` does not write."""
    where = f"damaged checkpoint {path}: its description"
    about = json_object(data, where, REMEDY, {"step": int, "seconds": (int, float), "config": dict, "log": list})
    if about["step"] < 0 or not 0 <= about["seconds"] < math.inf or not all(map(_is_row, about["log"])):
        raise RelicError(f"{where} has impossible steps, seconds or rows of its log: {REMEDY}")
    return about


def _is_row(row: Any) -> bool:
    return isinstance(row, dict) and {"step", "loss", "seconds"} <= set(row)


def not_finite(arrays: Mapping[str, np.ndarray]) -> str | None:
    """Return the name of an array of floats that holds NaN or infinity, None where there is none."""
    floats = ((name, array) for name, array in arrays.items() if array.dtype.kind == "f")
    return next((name for name, array in floats if not np.isfinite(array).all()), None)


def _below(prefix: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {key[len(prefix) :]: value for key, value in arrays.items() if key.startswith(prefix)}


def _set_optimizer(model: Any, arrays: list[np.ndarray], path: Path) -> None:
    """Set the optimizer's variables; raises RelicError for those of another Keras, which keeps other ones."""
    from common import backend

    variables = backend.optimizer_variables(model.optimizer)
    if [tuple(variable.shape) for variable in variables] != [array.shape for array in arrays]:
        raise RelicError(f"{path} was written by another version of Keras: resume with that one, or train anew")
    for variable, array in zip(variables, arrays, strict=True):
        backend.assign(variable, array)


def check_config(saved: dict, config: Any, path: Path, recipe: bool | None = None) -> None:
    """Raise RelicError that names `path` and the fields unless the `saved` fields are those of `config`.

    recipe: which fields, as in `common.config.differing_fields`.
    """
    different = differing_fields(saved, config, recipe)
    if different:
        raise RelicError(
            f"{path} was written with another config ({', '.join(different)} differ): use that one, or train anew"
        )


def model_arrays(model: Any) -> dict[str, np.ndarray]:
    """Return a model's weights by `<transform>/<layer>/<variable>`, as float32 arrays."""
    from common import backend

    return {key: backend.to_numpy(variable) for key, variable in _model_variables(model).items()}


def set_model_arrays(model: Any, arrays: Mapping[str, np.ndarray], where: str) -> None:
    """Set a model's weights; raises RelicError that names `where` unless names and shapes are the model's."""
    from common import backend

    variables = _model_variables(model)
    if set(variables) != set(arrays):
        raise RelicError(f"{where} holds weights of another network (names differ)")
    for key, variable in variables.items():
        if tuple(variable.shape) != arrays[key].shape:
            raise RelicError(f"{where} holds weights of another network ({key}: shape {arrays[key].shape})")
        backend.assign(variable, arrays[key].astype(np.float32))


def _model_variables(model: Any) -> dict[str, Any]:
    from common import backend

    parts = model.transforms.items()
    return {f"{name}/{key}": v for name, part in parts for key, v in backend.variables(part).items()}


def _optimizer_arrays(model: Any) -> list[np.ndarray]:
    from common import backend

    return [backend.to_numpy(v) for v in backend.optimizer_variables(model.optimizer)]
