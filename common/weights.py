"""Weights files: float16 weights, the integer tables that coding relies on, and what they belong to, in one file."""
from __future__ import annotations

import dataclasses
import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Any, Mapping

import numpy as np

from common import runs
from common.errors import RelicError

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
    with runs.atomic_file(path) as file:
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
    runs.check_config(weights.config, config, weights.path, recipe=False)


def shipped(paper: str, preset: str) -> list[tuple[str, int, Path]]:
    """Return (scale, seed, path) of every weights file of a preset, best scale first, lowest seed first."""
    from common.config import SCALES

    found = []
    for scale in reversed(SCALES):
        folder = runs.Run(paper, preset, scale).shipped.parent
        for path in folder.glob("seed*/weights.safetensors"):
            seed = path.parent.name[len("seed") :]
            found += [(scale, int(seed), path)] if seed.isdigit() else []
    return sorted(found, key=lambda entry: (-SCALES.index(entry[0]), entry[1]))


def scale_of(path: Path) -> str:
    """Return the scale of a weights file, from its place <scale>/<paper>/<preset>/seed<k>/weights.safetensors."""
    return path.parents[3].name


def choose(paper: str, preset: str, scale: str | None = None, seed: int | None = None) -> Path:
    """Return the weights file of a preset: of the best scale and lowest seed unless they are given.

    Raises RelicError that names what there is.
    """
    from common.config import check_scale

    if scale is not None:
        check_scale(scale)
    found = shipped(paper, preset)
    for its_scale, its_seed, path in found:
        if scale in (None, its_scale) and seed in (None, its_seed):
            return path
    there = ", ".join(f"{its_scale} seed {its_seed}" for its_scale, its_seed, _ in found) or "nothing"
    wanted = f"{paper}/{preset}{f' at scale {scale}' if scale else ''}{'' if seed is None else f' seed {seed}'}"
    raise RelicError(
        f"no weights for {wanted} (there is: {there}): run `relic train {paper}/{preset} --scale {scale or 'small'}`"
    )


def find(model: str, digest: bytes) -> Path:
    """Return the weights file of a preset whose sha256 starts with `digest`, whatever its scale and seed.

    Raises RelicError where no file here has that digest.
    """
    paper, preset = model.split("/")
    for _, _, path in shipped(paper, preset):
        if _file_digest(path, path.stat().st_mtime_ns) == digest:
            return path
    raise RelicError(
        f"this file was coded with weights {digest.hex()} of {model}, which are not here: put their folder below "
        f"{runs.results_dir() / 'models'}"
    )


@lru_cache(maxsize=None)
def _file_digest(path: Path, modified: int) -> bytes:
    return runs.file_digest(path)[:DIGEST_LENGTH]
