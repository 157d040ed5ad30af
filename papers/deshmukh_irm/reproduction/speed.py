"""How long Deshmukh and Pollett's networks take beside each other: training, compressing, decompressing.

Times depend on the machine and on what else runs there; ratios are of works that take turns. The networks are
untrained, but their codes are pictures: they begin as interpolation, which decides what Huffman coding has to do.
"""

import dataclasses
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from common import data
from common.config import preset_of
from common.errors import RelicError
from common.tables import measure
from common.tables.command import Options
from common.tables.document import Reproduction, claim
from common.timing import Work, seconds
from common.training import checkpoints, presets, weights
from papers.deshmukh_irm import codec as codec_module
from papers.deshmukh_irm import complexity, config
from papers.deshmukh_irm.codec import Codec
from papers.deshmukh_irm.config import FACTOR, Compression, Config, at_scale
from papers.deshmukh_irm.model import Model
from papers.deshmukh_irm.reproduction.test_pictures import GREY, SIDE, named, scaled

TRAINING, COMPRESSING, ALONE, DECOMPRESSING = "training", "compressing", "the ICM alone", "decompressing"
PROPOSED, BASELINE, PLAIN, SRGAN = "proposed", "baseline", "without separable layers", "SRGAN"
PRESETS = {BASELINE: config.BASELINE_AS_WRITTEN, PROPOSED: config.GREY, PLAIN: config.GREY_WITHOUT_SEPARABLE}
ICM_ALONE = "The ICM alone, proposed / baseline"  # beside the paper's ratios, which are of the bytes too
PRECISION = "float32"
ROUNDS, SMOKE_ROUNDS = 15, 2
BATCH, PATCH = 2, 96
MOST_MISSED = 0.05  # of the interval of a median

Times = Mapping[str, np.ndarray]


# --- works ---------------------------------------------------------------------------------------------------------


def groups(scale: str) -> dict[str, Callable[[], dict[str, Work]]]:
    """Return what is timed, by name; calling one builds its works, by their names."""
    return {TRAINING: lambda: trainings(scale), **coding(scale)}


def settings_of(preset: Compression, scale: str) -> Compression:
    """Return the paper's network, at scale smoke a tiny one, that begins as interpolation."""
    full = dataclasses.replace(preset, start="interpolation", batch_size=BATCH, patch_size=PATCH)
    shortened = at_scale(full, "smoke" if scale == "smoke" else "paper")
    assert isinstance(shortened, Compression)
    return shortened


def trainings(scale: str) -> dict[str, Work]:
    """Return one training step of each network, on random pictures."""
    return {name: _step(settings_of(preset, scale)) for name, preset in PRESETS.items()}


def _step(settings: Compression) -> Work:
    model = presets.build(Model, settings, 0, PRECISION)
    shape = (settings.batch_size, settings.patch_size, settings.patch_size, settings.channels)
    x = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    inputs = {"x": x, "step": np.zeros(len(x), np.int32)}
    return lambda: model.train_on_batch(inputs)


def coding(scale: str) -> dict[str, Callable[[], dict[str, Work]]]:
    """Return the groups of compressing and decompressing: of all test pictures, one after the other."""
    pictures = test_pictures(scale)
    every = {name: untrained(settings_of(preset, scale), preset) for name, preset in PRESETS.items()}
    enlarging = at_scale(config.SRGAN, "smoke" if scale == "smoke" else "paper")
    with_srgan = every[PROPOSED].with_settings(srgan=untrained(enlarging, config.SRGAN))

    def each(apply: Callable[[Any], Any], inputs: list[Any]) -> Work:
        return lambda: [apply(codec) for codec in inputs]

    def decompressing() -> dict[str, Work]:
        codecs = {**every, SRGAN: with_srgan}
        return {name: each(codec.decompress, [codec.compress(x) for x in pictures]) for name, codec in codecs.items()}

    pair = {name: every[name] for name in (BASELINE, PROPOSED)}
    return {
        COMPRESSING: lambda: {name: each(codec.compress, pictures) for name, codec in pair.items()},
        ALONE: lambda: {name: each(codec.code, pictures) for name, codec in pair.items()},
        DECOMPRESSING: decompressing,
    }


def test_pictures(scale: str) -> list[np.ndarray]:
    """Return the grey named pictures, uint8 200x200, or the embedded ones where they are not here; few of them."""
    try:
        pictures = list(named(GREY.values()).values())
    except RelicError:
        pictures = [image for _, image in data.images("sample")]
    return [scaled(image, 1) for image in pictures[: 1 if scale == "smoke" else 3]]


def untrained(settings: Config, preset: Config) -> Codec:
    """Return a codec with initial weights, as if they were those of a preset."""
    networks = presets.initialised(lambda settings, _: codec_module.networks_of(settings), settings, 0, PRECISION)
    images = np.random.default_rng(0).integers(0, 256, (1, 64, 64, settings.channels), dtype=np.uint8)
    tables = codec_module.frequencies(settings, networks, images)
    name, fields = "/".join(preset_of(preset)), dataclasses.asdict(settings)
    digest = name.encode()[-weights.DIGEST_LENGTH :]
    return Codec(weights.Weights(Path("untrained"), name, fields, checkpoints.model_arrays(networks), tables, digest))


# --- measuring -----------------------------------------------------------------------------------------------------


def interval_of_median(values: np.ndarray) -> tuple[float, float] | None:
    """Return the interval between two of the values, as far in as covers the median in 95 % of cases; None below six.

    As many of n values as are below the median are binomial, with probability 1/2.
    """
    ordered, count = np.sort(values), len(values)
    below = np.cumsum([math.comb(count, k) for k in range(count + 1)]) / 2.0**count
    inside = int(np.sum(2 * below <= MOST_MISSED))  # the first that may not be left out
    return (float(ordered[inside - 1]), float(ordered[count - inside])) if inside else None


def operations(scale: str) -> dict[tuple[str, str], float]:
    """Return the multiply-accumulates for one picture of 200x200, by what is timed and its work."""
    counted = {n: complexity.compression_macs(settings_of(p, scale), SIDE, SIDE) for n, p in PRESETS.items()}
    macs: dict[tuple[str, str], float] = {(TRAINING, name): sum(both.values()) for name, both in counted.items()}
    for name, both in counted.items():
        macs[COMPRESSING, name] = macs[ALONE, name] = both["icm"]
        macs[DECOMPRESSING, name] = both["irm"]
    enlarging = at_scale(config.SRGAN, "smoke" if scale == "smoke" else "paper")
    assert isinstance(enlarging, config.SuperResolution)
    side = SIDE // config.GREY.stride
    more = complexity.generator_macs(enlarging, side, side)
    macs[DECOMPRESSING, SRGAN] = macs[DECOMPRESSING, PROPOSED] + more
    return macs


def reproduce(options: Options) -> Reproduction:
    """Time every group of works and compare the ratios of `options.rows`: what is timed, and two works of it."""
    before = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    rounds = SMOKE_ROUNDS if options.scale == "smoke" else ROUNDS
    every = groups(options.scale)
    times: dict[str, Times] = {}
    with measure.progress(len(every), "group") as bar:
        for kind, prepare in every.items():
            times[kind] = seconds(prepare(), rounds)
            bar.update()
    rows, counted = {**options.rows, ICM_ALONE: (ALONE, PROPOSED, BASELINE)}, operations(options.scale)
    ratios = {row: times[kind][slow] / times[kind][other] for row, (kind, slow, other) in rows.items()}
    quotients = {row: counted[kind, slow] / counted[kind, other] for row, (kind, slow, other) in rows.items()}
    reproduction = Reproduction(values={row: {"Time": _short(np.median(ratios[row][:, 0]))} for row in options.rows})
    reproduction.claims = claims(ratios)
    reproduction.further = further(times, ratios, quotients)
    reproduction.notes = notes(settings_of(config.GREY, options.scale), threads, before)
    reproduction.provenance = {"threads": threads, "load before": round(before, 2), "precision": PRECISION}
    return reproduction


def further(times: Mapping[str, Times], ratios: Times, counted: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """Return ratios and seconds: medians, by the clock the least and the greatest; ratios of operations."""
    rows = {**ratios, **{f"{kind}, {name}, s": of for kind, works in times.items() for name, of in works.items()}}
    columns = {
        "clock, median": lambda values: np.median(values[:, 0]),
        "clock, least": lambda values: values[:, 0].min(),
        "clock, greatest": lambda values: values[:, 0].max(),
        "processor, median": lambda values: np.median(values[:, 1]),
    }
    table = {name: {row: _short(of(values)) for row, values in rows.items()} for name, of in columns.items()}
    return {**table, "multiply-accumulates": {row: _short(value) for row, value in counted.items()}}


def claims(ratios: Times) -> list[dict[str, Any]]:
    """Judge who is faster, as the paper has it, by the interval of the ratio's median."""
    texts = {
        "Training, proposed / baseline": ("The proposed networks train faster than the baseline", "below"),
        "Training, separable layers / without": ("Separable layers make training faster", "below"),
        "Compressing, proposed / baseline": ("The proposed ICM compresses faster than the baseline", "below"),
        "Decompressing, SRGAN / baseline": ("With the SRGAN decompressing is slower than the baseline's", "above"),
        "Decompressing, bicubic / baseline": ("With bicubic it is faster than the baseline's", "below"),
        "Decompressing, separable layers / without": ("Separable layers make inference faster", "below"),
    }
    judged = []
    for row, (text, relation) in texts.items():
        clock, processor = (float(np.median(of)) for of in ratios[row].T)
        note = f"By the processor {processor:.3g}."
        interval = interval_of_median(ratios[row][:, 0])
        judged.append(claim(f"{text}: ratio of times", relation, 1, _short(clock), note, interval))
    return judged


def notes(settings: Compression, threads: int | None, load: float) -> list[str]:
    """Say how times were taken."""
    size = settings.patch_size
    return [
        f"{threads} threads, {PRECISION}; running or waiting programs in the minute before: {load:.1f} on average.",
        "The works of a group take turns; a ratio is the median over rounds of one work's time over that of the other "
        "in the same turn. Times by the clock are of whatever else ran on the machine too; those by the processor, all "
        "threads together, hardly, but leave out what an accelerator does.",
        f"A training step is of {settings.batch_size} crops of {size}x{size}; compressing and decompressing are of "
        f"pictures of {SIDE}x{SIDE}, one by one, to bytes by dynamic Huffman coding and back. The weights are "
        f"untrained, codes the pictures scaled down. The SRGAN enlarges by {FACTOR}, then its output is scaled down.",
        "Multiply-accumulates are those of the networks alone, without Huffman coding and bicubic up-sampling.",
    ]


def _short(value: float) -> float:
    return float(f"{value:.4g}")
