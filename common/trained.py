"""Tables of trained codecs: every row's codec turns every test picture into bytes and back, next to JPEG."""
from __future__ import annotations

import csv
import dataclasses
import hashlib
import json
import math
import sys
from typing import Any, Callable, Sequence

import numpy as np

from common import published, runs
from common.config import preset_of
from common.errors import RelicError
from common.join import Reproduction, is_published_set
from common.published import Published
from common.tables import SHOWN_DIGITS, Options, shipped_seeds

SMOKE_IMAGES = 2

Load = Callable[[str, str, int], Any]
Picture = Any  # (name, uint8 array)


def rate_distortion(
    options: Options,
    load: Load,
    train: Callable[..., Any],
    training_flops: Callable[[Any, str], float],
) -> Reproduction:
    """Measure every row that has weights on the table's test pictures.

    `load(preset, scale, seed)` returns a Codec. Only at scale smoke, `train(preset, scale, seed, restart)` makes
    weights that are missing; at others such a row is not run, and `training_flops(config, scale)` says what it takes.
    """
    paper = published.load(options.table)
    pictures, test_set, note = pictures_of(options, paper)
    found = Reproduction(notes=[note] if note else [])
    trained = {row: seeds_of(options, config, train) for row, config in options.rows.items()}
    networks = {row: network(options.rows[row], options.scale, seeds) for row, seeds in trained.items() if seeds}
    with progress(sum(map(len, trained.values())) * len(pictures)) as bar:
        for row, seeds in trained.items():
            if not seeds:
                config = options.rows[row]
                found.missing[row] = how_to_train(config, options.scale, training_flops(config, options.scale))
            for seed in seeds:
                codec = load(preset_of(options.rows[row])[1], options.scale, seed)
                bar.set_description(f"{row}, seed {seed}")
                found.pictures += [_measurement(codec, row, seed, picture, bar) for picture in pictures]
    found.provenance = {"test_set": test_set, "networks": networks}
    return found


def progress(total: int, unit: str = "picture") -> Any:
    """Return a bar on stderr, which shows on terminals only."""
    from tqdm import tqdm

    return tqdm(total=total, unit=unit, file=sys.stderr, dynamic_ncols=True, disable=None)


# --- test pictures -------------------------------------------------------------------------------------------------


def pictures_of(options: Options, paper: Published) -> tuple[list[Picture], dict[str, Any], str]:
    """Return the test pictures, `{name, pictures, digest}` of them, and a sentence where they are a stand-in."""
    from common import data

    limit = options.images or (SMOKE_IMAGES if options.scale == "smoke" else None)
    note = ""
    if options.data is not None:
        name, pictures = options.data.name, data.images(paper.test_set, limit, options.data)
    else:
        try:
            name, pictures = paper.test_set, data.images(paper.test_set, limit)
        except RelicError as error:
            name, pictures = "sample", data.images("sample", limit)
            note = f"{error}. The embedded set sample stands in for {paper.test_set}: no absolute value is comparable."
            command = f"python -m common.data fetch {paper.test_set}"
            note += "" if command in note else f" `{command}` downloads it."
    about = {"name": name, "pictures": len(pictures), "digest": pixel_digest(pictures)}
    if options.data is not None and is_published_set(paper, about) and paper.texts.get("digest"):
        about["name"] = paper.test_set
    return pictures, about, note


def pixel_digest(pictures: Sequence[Picture]) -> str:
    """Return one sha256 over the shapes and bytes of pictures in order, whatever files they came from."""
    digest = hashlib.sha256()
    for _, image in pictures:
        digest.update(repr(tuple(int(side) for side in image.shape)).encode())
        digest.update(np.ascontiguousarray(image).tobytes())
    return digest.hexdigest()


# --- weights -------------------------------------------------------------------------------------------------------


def seeds_of(options: Options, config: Any, train: Callable[..., Any]) -> list[int]:
    """Return the seeds to measure: those asked for, else all shipped; raises RelicError for one without weights."""
    shipped = shipped_seeds(config, options.scale)
    if options.scale == "smoke":
        wanted = list(options.seeds or shipped or [0])
        for seed in (seed for seed in wanted if seed not in shipped):
            # What an interrupted smoke training left behind is worth nothing.
            train(preset_of(config)[1], options.scale, seed, restart=True)
        return wanted
    missing = [seed for seed in options.seeds or () if seed not in shipped]
    if missing and shipped:
        names = ", ".join(map(str, shipped))
        preset = "/".join(preset_of(config))
        raise RelicError(f"{preset}, scale {options.scale}, has no seed {missing[0]}: --seeds may be {names}")
    return [seed for seed in shipped if options.seeds is None or seed in options.seeds]


def how_to_train(config: Any, scale: str, flops: float) -> str:
    """Say which command makes the weights of a config's preset that are missing, and how many operations it takes."""
    preset = "/".join(preset_of(config))
    return f"No weights at scale {scale}: `relic train {preset} --scale {scale}` trains them ({flops:.1e} FLOP)."


def network(config: Any, scale: str, seeds: Sequence[int]) -> dict[str, Any]:
    """Return what a table says of a preset's networks, from their run.json."""
    paper, preset = preset_of(config)
    about = []
    for seed in seeds:
        path = runs.Run(paper, preset, scale, seed).shipped / "run.json"
        about.append(json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {})
    known: dict[str, Any] = {"preset": f"{paper}/{preset}", "seeds": ", ".join(map(str, seeds))}
    columns = {"width": [a.get("config", {}).get("num_filters") for a in about]}
    columns.update({key: [a.get(key) for a in about] for key in ("steps", "training_seconds", "device")})
    columns["weights"] = [a.get("weights_sha256", "")[:SHOWN_DIGITS] or None for a in about]
    for key, values in columns.items():
        shown = list(dict.fromkeys(str(value) for value in values if value is not None))
        if shown:
            known[key.replace("_", " ")] = " and ".join(shown)
    return known


def log(config: Any, scale: str, seed: int) -> list[dict[str, Any]]:
    """Return the rows of a preset's log.csv, numbers as such; RelicError where it is not there or empty."""
    path = runs.Run(*preset_of(config), scale, seed).shipped / "log.csv"
    try:
        with path.open(encoding="utf-8") as file:
            rows = [{key: _as_number(value) for key, value in row.items() if value} for row in csv.DictReader(file)]
    except FileNotFoundError:
        raise RelicError(f"no {path}: train the preset again, which writes it") from None
    if not rows:
        raise RelicError(f"{path} is empty: train the preset again, which writes it")
    return rows


def _as_number(text: str) -> Any:
    try:
        return float(text)
    except ValueError:
        return text


# --- measuring -----------------------------------------------------------------------------------------------------


def _measurement(codec: Any, row: str, seed: int, picture: Picture, bar: Any) -> dict[str, Any]:
    """Return the measurement of one picture as plain data, with JPEG's at equal counted bpp beside it."""
    from common import evaluate
    from common.classical import operating_points

    name, image = picture
    measured = dataclasses.asdict(evaluate.measure(codec, image, name))
    entry = {"row": row, "seed": seed, "picture": measured.pop("name")}
    entry.update({key: _plain(value) for key, value in measured.items()})
    jpeg = operating_points.jpeg_at_bpp(image, measured["bpp"])
    entry.update({f"jpeg_{key}": _plain(jpeg[key]) for key in ("bpp", "psnr", "ms_ssim")})
    bar.update()
    return entry


def _plain(value: Any) -> Any:
    """Return a number as plain data: rounded to what can be measured, None where it is not finite."""
    if value is None or isinstance(value, (str, int)):
        return value
    number = float(value)
    return round(number, 6) if math.isfinite(number) else None
