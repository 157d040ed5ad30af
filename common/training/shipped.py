"""Which weights are there, of which preset, scale and seed, and what their run.json and log.csv say."""

import csv
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from common.config import SCALES, find_preset, is_whole_number, preset_of
from common.errors import RelicError
from common.files import file_digest, read_json, results_dir
from common.training import weights
from common.training.runs import Run
from common.training.weights import DIGEST_LENGTH, Weights

SHOWN_DIGITS = 16  # of the sha256 of weights, in a table's provenance


def shipped(paper: str, preset: str) -> list[tuple[str, int, Path]]:
    """Return (scale, seed, path) of every weights file of a preset, best scale first, lowest seed first."""
    files = []
    for scale in reversed(SCALES):
        folder = Run(paper, preset, scale).shipped.parent
        for path in folder.glob("seed*/weights.safetensors"):
            seed = path.parent.name[len("seed") :]
            if is_whole_number(seed) and seed == str(int(seed)):  # not a copy like "seed0 old" or "seed00"
                files.append((scale, int(seed), path))
    return sorted(files, key=lambda entry: (-SCALES.index(entry[0]), entry[1]))


def choose(paper: str, preset: str, scale: str | None = None, seed: int | None = None) -> Path:
    """Return the weights file of a preset: of the best scale and lowest seed unless they are given.

    Raises RelicError that names what there is.
    """
    from common.config import check_scale

    if scale is not None:
        check_scale(scale)
    files = shipped(paper, preset)
    for its_scale, its_seed, path in files:
        if scale in (None, its_scale) and seed in (None, its_seed):
            return path
    there = ", ".join(f"{its_scale} seed {its_seed}" for its_scale, its_seed, _ in files) or "nothing"
    wanted = f"{paper}/{preset}{f' at scale {scale}' if scale else ''}{'' if seed is None else f' seed {seed}'}"
    raise RelicError(
        f"no weights for {wanted} (there is: {there}): run `relic train {paper}/{preset} --scale {scale or 'small'}"
        f"{'' if seed is None else f' --seed {seed}'}`"
    )


def of_preset(config_module: ModuleType, preset: str, scale: str | None = None, seed: int | None = None) -> Weights:
    """Return a preset's weights, of the best scale and lowest seed unless they are given.

    Raises RelicError for an unknown preset, where there are none, and for weights of another network than the preset's.
    """
    config = find_preset(config_module, preset)
    paper = config_module.__name__.split(".")[-2]
    stored = _of_model(choose(paper, preset, scale, seed), f"{paper}/{preset}")
    weights.check_config(stored, config_module.at_scale(config, stored.scale))
    return stored


def of_digest(model: str, digest: bytes) -> Weights:
    """Return the weights of a preset's id whose file's sha256 starts with `digest`, as `find`.

    They may be of an earlier version's config. Raises RelicError for weights of another preset as well.
    """
    return _of_model(find(model, digest), model)


def _of_model(path: Path, model: str) -> Weights:
    """Return the weights of a file; RelicError where it says that they are another preset's.

    What such weights code would name a preset that does not have them: nothing could decode it.
    """
    stored = weights.load(path)
    if stored.model != model:
        raise RelicError(f"{path} holds weights of {stored.model!r}, not of {model}: restore the file")
    return stored


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
        f"{results_dir() / 'models'}"
    )


@cache
def _file_digest(path: Path, modified: int) -> bytes:
    return file_digest(path)[:DIGEST_LENGTH]


def shipped_seeds(config: Any, scale: str) -> list[int]:
    """Return the seeds with weights of a config's preset at a scale, in order."""
    return [seed for its_scale, seed, _ in shipped(*preset_of(config)) if its_scale == scale]


def best_scale(rows: Mapping[str, Any]) -> str:
    """Return the best scale that has shipped weights for every row, `small` where none has."""
    for scale in reversed(SCALES[1:]):
        if rows and all(shipped_seeds(config, scale) for config in rows.values()):
            return scale
    return "small"


def about(run: Run) -> dict[str, Any]:
    """Return what run.json says of shipped weights, empty where there is none; RelicError where it is damaged."""
    path = run.shipped / "run.json"
    fields = {"config": dict, "steps": int, "training_seconds": (int, float), "weights_sha256": str}
    return read_json(path, "restore it, or remove its folder and train anew", fields) if path.is_file() else {}


def log(config: Any, scale: str, seed: int) -> list[dict[str, Any]]:
    """Return the rows of a preset's log.csv, numbers as such; RelicError where it is not there or empty."""
    return rows_of(Run(*preset_of(config), scale, seed))


def rows_of(run: Run) -> list[dict[str, Any]]:
    """Return the rows of a shipped training's log.csv, as `log`."""
    path = run.shipped / "log.csv"
    try:
        with path.open(encoding="utf-8") as file:
            rows = [{key: _as_number(value) for key, value in row.items() if value} for row in csv.DictReader(file)]
    except FileNotFoundError:
        raise RelicError(f"no {path}: train the preset again, which writes it") from None
    except (csv.Error, UnicodeDecodeError) as error:
        raise RelicError(f"{path} is damaged ({error}): restore it, or train the preset again") from None
    if not rows:
        raise RelicError(f"{path} is empty: train the preset again, which writes it")
    return rows


def _as_number(text: str) -> Any:
    try:
        return float(text)
    except ValueError:
        return text
