"""Weights files: float16 weights, the integer tables that coding relies on, and what they belong to, in one file."""

import dataclasses
import functools
import hashlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import RelicError
from common.files import atomic_file, json_object, read_json
from common.training import checkpoints

DIGEST_LENGTH = 8  # bytes of the file's sha256 that a coded picture names
REMEDY = "restore the file"


@dataclasses.dataclass(frozen=True)
class Weights:
    """A weights file in memory.

    arrays: float16 weights by `<transform>/<layer>/<variable>`; integers: tables by `<part>/<name>`; model: the
    preset's id; config: the fields of its Config; digest: the first 8 bytes of the file's sha256.
    """

    path: Path
    model: str
    config: dict[str, Any]
    arrays: dict[str, np.ndarray]
    integers: dict[str, np.ndarray]
    digest: bytes

    @property
    def scale(self) -> str:
        """Scale of a shipped file, from its place <scale>/<paper>/<preset>/seed<k>/weights.safetensors."""
        return self.path.parents[3].name

    @property
    def seed(self) -> int:
        """Seed of a shipped file, from its place too."""
        return int(self.path.parent.name.removeprefix("seed"))

    def part(self, name: str) -> dict[str, np.ndarray]:
        """Return the integers below `<name>/`."""
        return {key[len(name) + 1 :]: value for key, value in self.integers.items() if key.startswith(f"{name}/")}


def to_float16(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return arrays as float16; raises RelicError that names one whose values float16 cannot hold."""
    for name, array in arrays.items():
        if not np.all(np.abs(array) <= np.finfo(np.float16).max):
            raise RelicError(f"weights {name} are not finite or too large for float16: the training has diverged")
    return {name: np.asarray(array).astype(np.float16) for name, array in arrays.items()}


def save(path: Path, model: str, config: Any, arrays: Mapping[str, np.ndarray], integers: Mapping[str, Any]) -> str:
    """Write a weights file atomically and return its sha256 in hexadecimal."""
    about = {"model": model, "config": json.dumps(dataclasses.asdict(config))}
    content = {**to_float16(arrays), **{f"integers/{k}": np.ascontiguousarray(v) for k, v in integers.items()}}
    data = _serialise(content, about)
    with atomic_file(path) as file:
        file.write(data)
    return hashlib.sha256(data).hexdigest()


def _serialise(content: dict[str, np.ndarray], about: dict[str, str]) -> bytes:
    """Return a safetensors file whose metadata are in order, so that the same weights always give the same bytes."""
    from safetensors.numpy import save as serialise

    data = serialise(content, about)
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    header["__metadata__"] = about
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data[start:]


def load(path: Path) -> Weights:
    """Read a weights file; raises RelicError with its path where it is missing, damaged or not ours.

    Without a run.json that names its sha256 it is loaded, and one line on stderr says that it was not verified.
    """
    if not path.is_file():
        raise RelicError(f"no weights at {path}: train them, or restore the file")
    data = path.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    _check_digest(path, digest)
    model, config = _metadata(path, data)
    tensors = _tensors(path, data)
    integers = {key[len("integers/") :]: value for key, value in tensors.items() if key.startswith("integers/")}
    arrays = {key: value for key, value in tensors.items() if not key.startswith("integers/")}
    _check_arrays(path, arrays, integers)
    return Weights(path, model, config, arrays, integers, bytes.fromhex(digest)[:DIGEST_LENGTH])


def _metadata(path: Path, data: bytes) -> tuple[str, dict[str, Any]]:
    """Return the model and the config's fields that a safetensors file names."""
    where = f"damaged weights {path}: its header"
    header = json_object(data[8 : 8 + int.from_bytes(data[:8], "little")], where, REMEDY, {"__metadata__": dict})
    about = header["__metadata__"]
    if not (isinstance(about.get("model"), str) and isinstance(about.get("config"), str)):
        raise RelicError(f"{where} names no model and config: {REMEDY}")
    return about["model"], json_object(about["config"].encode(), f"damaged weights {path}: its config", REMEDY)


def _tensors(path: Path, data: bytes) -> dict[str, np.ndarray]:
    from safetensors import SafetensorError
    from safetensors.numpy import load as deserialise

    try:
        return deserialise(data)
    except (SafetensorError, ValueError, KeyError, TypeError) as error:  # KeyError: of a type that numpy lacks
        raise RelicError(f"damaged weights {path}: {REMEDY} ({error})") from None


def _check_arrays(path: Path, arrays: Mapping[str, np.ndarray], integers: Mapping[str, np.ndarray]) -> None:
    """Raise RelicError that names an array which is not what `save` writes: finite float16, or integers."""
    for name, array in arrays.items():
        if array.dtype != np.float16:
            raise RelicError(f"damaged weights {path}: {name} is {array.dtype}, not float16: {REMEDY}")
    lost = checkpoints.not_finite(arrays)
    if lost:
        raise RelicError(f"damaged weights {path}: {lost} is not finite: {REMEDY}, or train anew")
    for name, array in integers.items():
        if array.dtype.kind not in "iu":
            raise RelicError(f"damaged weights {path}: {name} is {array.dtype}, not integers: {REMEDY}")


def _check_digest(path: Path, digest: str) -> None:
    """Raise RelicError unless a file's sha256 is that in run.json beside it; say so where that names none."""
    beside = path.parent / "run.json"
    try:
        expected = read_json(beside, REMEDY, {"weights_sha256": str})["weights_sha256"]
    except RelicError:
        _say_unverified(path, "names no sha256 for it" if beside.exists() else "is not there")
        return
    if expected != digest:
        raise RelicError(f"damaged weights {path}: its sha256 is not the one in run.json; restore the file")


@functools.cache
def _say_unverified(path: Path, why: str) -> None:
    print(f"note: {path} was not verified, as its run.json {why}", file=sys.stderr)


def check_config(weights: Weights, config: Any) -> None:
    """Raise RelicError unless the weights are of the network of `config`; the recipe may be an earlier one."""
    checkpoints.check_config(weights.config, config, weights.path, recipe=False)
