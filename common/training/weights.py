"""Weights files: float16 weights, the integer tables that coding relies on, and what they belong to, in one file."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import RelicError
from common.files import atomic_file
from common.training import checkpoints

DIGEST_LENGTH = 8  # bytes of the file's sha256 that a coded picture names


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
    """Read a weights file; raises RelicError with its path where it is missing, damaged or not ours."""
    from safetensors import SafetensorError
    from safetensors.numpy import load as deserialise

    if not path.is_file():
        raise RelicError(f"no weights at {path}: train them, or restore the file")
    data = path.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    expected = _noted_digest(path)
    if expected not in (None, digest):
        raise RelicError(f"damaged weights {path}: its sha256 is not the one in run.json; restore the file")
    try:
        about = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
        tensors = deserialise(data)
        model, config = about["model"], json.loads(about["config"])
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise RelicError(f"damaged weights {path}: restore the file ({error})") from None
    integers = {key[len("integers/") :]: value for key, value in tensors.items() if key.startswith("integers/")}
    arrays = {key: value for key, value in tensors.items() if not key.startswith("integers/")}
    return Weights(path, model, config, arrays, integers, bytes.fromhex(digest)[:DIGEST_LENGTH])


def _noted_digest(path: Path) -> str | None:
    try:
        return json.loads((path.parent / "run.json").read_text(encoding="utf-8")).get("weights_sha256")
    except (OSError, ValueError):
        return None


def check_config(weights: Weights, config: Any) -> None:
    """Raise RelicError unless the weights are of the network of `config`; the recipe may be an earlier one."""
    checkpoints.check_config(weights.config, config, weights.path, recipe=False)
