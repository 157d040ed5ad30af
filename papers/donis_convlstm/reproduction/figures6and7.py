"""Figures 6 and 7 of Donis and Brown: test pictures of 32x32 pixels and what one iteration gives back of them.

What is shown follows from a rule: the test pictures with the highest or the lowest SSIM, and some at fixed ranks.
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from common import backend, data, metrics
from common.config import preset_of
from common.errors import RelicError
from common.tables import figures, networks
from common.tables.command import Options
from common.tables.document import Reproduction
from common.tables.figures import Basis
from common.tables.numbers import DIGITS
from papers.donis_convlstm import codec as codec_module
from papers.donis_convlstm import config, losses
from papers.donis_convlstm.config import Config
from papers.donis_convlstm.model import STRIDE
from papers.donis_convlstm.patches import as_tile

# The pictures that weights of scale small are tested on, then all that the paper could have taken its samples from.
TEST_SETS = (("cifar10_subset/test", "cifar100_subset/test"), ("cifar10/test", "cifar100/test"))
STAND_IN = "sample"
SMOKE_PICTURES = 40
SIDE, ENLARGED = 32, 4
BATCH = 128  # pictures that are compared at once
SHOWN, PER_ROW = 6, 3
# Which ranks are shown besides, as shares of all pictures: 1 is the highest SSIM.
RANKS = {"highest": (0.9, 0.75, 0.5), "lowest": (0.5, 0.25, 0.1)}
FLOAT_BITS = 32
LEAST_ERROR = 1e-10  # mean squared, of range 1: 100 dB

Values = Mapping[str, np.ndarray]  # of each picture: ssim, ssim_range_2, psnr


def code_bpp(network: Config, bits: int) -> float:
    """Return the rate of a network's code, whose numbers have so many bits and which nothing compresses further."""
    return network.code_channels * bits / STRIDE**2


CODE_BPP = {config.AS_RUN: code_bpp(config.AS_RUN, FLOAT_BITS), config.AS_WRITTEN: code_bpp(config.AS_WRITTEN, 1)}


@dataclass(frozen=True)
class Tiles:
    """Test pictures: names, `x`, uint8 (N, 32, 32, 3), what a table says of them, and a note where they stand in."""

    names: list[str]
    x: np.ndarray
    about: dict[str, Any]
    note: str = ""


# --- pictures and networks -----------------------------------------------------------------------------------------


def test_pictures(options: Options) -> Tiles:
    """Return the test pictures: `--data`, else the first of TEST_SETS that is here, else tiles of a stand-in."""
    limit = options.images or (SMOKE_PICTURES if options.scale == "smoke" else None)
    if options.data is not None:
        return _pictures(options.data.name, data.images("", None, options.data), limit)
    missing = ""
    for names in TEST_SETS:
        try:
            pictures = [(f"{name}/{stem}", image) for name in names for stem, image in data.images(name)]
        except RelicError as error:
            missing = missing or str(error)
            continue
        return _pictures(", ".join(names), pictures, limit)
    tiles = [tile for picture in data.images(STAND_IN) for tile in _tiles(*picture)]
    note = f"{missing}. Tiles of the embedded set {STAND_IN} stand in: no absolute value is comparable."
    return _pictures(f"tiles of {STAND_IN}", tiles, limit, note)


def _pictures(name: str, candidates: list[tuple[str, np.ndarray]], limit: int | None, note: str = "") -> Tiles:
    # Evenly from all of them, as a set's first ones are of one kind.
    chosen = (
        candidates
        if limit is None
        else [candidates[i * len(candidates) // limit] for i in range(min(limit, len(candidates)))]
    )
    squares = [(stem, as_tile(image, SIDE)) for stem, image in chosen]
    about = {"name": name, "pictures": len(squares), "digest": data.pixel_digest(squares)}
    return Tiles([stem for stem, _ in squares], np.stack([image for _, image in squares]), about, note)


def _tiles(name: str, picture: np.ndarray) -> list[tuple[str, np.ndarray]]:
    whole = picture[: picture.shape[0] // SIDE * SIDE, : picture.shape[1] // SIDE * SIDE]
    return [(f"{name}_{i:03d}", tile) for i, tile in enumerate(codec_module.cut(whole, SIDE))]


def reconstructed(network: Config, scale: str, seed: int, x: np.ndarray) -> np.ndarray:
    """Return what the shipped weights of a preset give back of uint8 pictures (N, 32, 32, 3), clipped and rounded."""
    return codec_module.load(preset_of(network)[1], scale, seed).reconstructed(x)


# --- measuring -----------------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=1)
def _similarity() -> Any:
    """Return a compiled function: float32 pictures in [0, 1] -> SSIM of range 1 and of range 2, (N,) each."""

    def similarity(x, x_hat):
        return tuple(metrics.ssim_tensor(x, x_hat, max_val=peak) for peak in (1.0, losses.AS_RUN_RANGE))

    return backend.compiled(similarity)


def measured(x: np.ndarray, x_hat: np.ndarray) -> Values:
    """Return SSIM of ranges 1 (the pictures' own) and 2 (the authors' code's) and PSNR in dB of each uint8 picture."""
    parts = []
    for start in range(0, len(x), BATCH):
        pair = [part[start : start + BATCH].astype(np.float32) / np.float32(255) for part in (x, x_hat)]
        parts.append(_similarity()(*pair))
    own, as_run = (np.concatenate(values).astype(np.float64) for values in zip(*parts, strict=True))
    error = np.mean(np.square((x.astype(np.float64) - x_hat) / 255), axis=(1, 2, 3))
    return {"ssim": own, "ssim_range_2": as_run, "psnr": -10 * np.log10(np.maximum(error, LEAST_ERROR))}


def energies(x: np.ndarray) -> tuple[float, float]:
    """Return the variance of Y, and that of Cb and Cr together, over all pixels of uint8 pictures (N, H, W, 3).

    Around the means of all pictures, so that a tint that all of them share is no colour. Y, Cb and Cr: BT.601.
    """
    flat = x.reshape(len(x), -1, 3).astype(np.float32) / np.float32(255)
    luma, red, blue = cv2.cvtColor(flat, cv2.COLOR_RGB2YCrCb).astype(np.float64).reshape(-1, 3).var(axis=0)
    return float(luma), float(red + blue)


def kept(x: np.ndarray, x_hat: np.ndarray) -> dict[str, float]:
    """Return which share of the variance of uint8 pictures x is left in x_hat: of luma, of chroma, between pictures.

    A grey output keeps no chroma; one that is the same for all pictures has no variance between them.
    """
    (luma, chroma), (luma_hat, chroma_hat) = energies(x), energies(x_hat)
    between, between_hat = (float(part.astype(np.float64).var(axis=0).mean()) for part in (x, x_hat))
    shares = {"luma": (luma_hat, luma), "chroma": (chroma_hat, chroma), "between": (between_hat, between)}
    return {f"{name}_kept": after / before if before else 0.0 for name, (after, before) in shares.items()}


def contrast(x: np.ndarray, values: np.ndarray) -> float:
    """Return the rank correlation of one value a picture with the standard deviation of the picture's luma."""
    luma = x.astype(np.float64) @ (0.299, 0.587, 0.114)
    deviation = luma.reshape(len(x), -1).std(axis=1)
    first, second = (np.argsort(np.argsort(of, kind="stable")) for of in (deviation, values))
    return float(np.corrcoef(first, second)[0, 1])


def summary(x: np.ndarray, x_hat: np.ndarray) -> dict[str, float]:
    """Return the means of `measured`, what is `kept`, and how SSIM goes with `contrast`."""
    values = measured(x, x_hat)
    means = {name: float(of.mean()) for name, of in values.items()}
    values_of_all = {**means, **kept(x, x_hat), "contrast": contrast(x, values["ssim"])}
    return {name: round(value, DIGITS) for name, value in values_of_all.items()}


# --- Figures 6 and 7 -----------------------------------------------------------------------------------------------

COLUMNS = {
    "SSIM": "ssim",
    "SSIM, range 2": "ssim_range_2",
    "PSNR, dB": "psnr",
    "luma variance kept": "luma_kept",
    "chroma variance kept": "chroma_kept",
}


def by_rank(ssim: np.ndarray, end: str) -> tuple[list[int], list[int]]:
    """Return which pictures are shown: those of highest or lowest SSIM from that end on, and those of fixed ranks."""
    order = np.argsort(ssim, kind="stable")
    most = min(SHOWN, len(order))
    shown = order[::-1][:most] if end == "highest" else order[:most]
    return shown.tolist(), [int(order[round(share * (len(order) - 1))]) for share in RANKS[end]]


def reproduce(options: Options, end: str) -> Reproduction:
    """Show test pictures beside what the network as run and the one as written give back, by the SSIM of the first."""
    ((row, as_run),) = options.rows.items()
    pictures = test_pictures(options)
    reproduction = Reproduction(notes=[pictures.note] if pictures.note else [])
    seeds = {
        network: networks.seeds_of(network, options.scale, options.seeds) for network in (as_run, config.AS_WRITTEN)
    }
    about = {
        name_of(network): networks.made_by(network, options.scale, seeds[network])
        for network in seeds
        if seeds[network]
    }
    reproduction.provenance = {"test_set": pictures.about, "networks": about}
    if not seeds[as_run]:
        reproduction.missing = {row: networks.how_to_train(as_run, options.scale)}
        return reproduction
    reproduction.notes += [
        f"as_written: {networks.how_to_train(network, options.scale)}" for network, of in seeds.items() if not of
    ]
    outputs = {network: reconstructed(network, options.scale, of[0], pictures.x) for network, of in seeds.items() if of}
    values = {network: measured(pictures.x, x_hat) for network, x_hat in outputs.items()}
    shown, others = by_rank(values[as_run]["ssim"], end)
    reproduction.pictures = [entry(row, seeds[as_run][0], pictures.names[i], i, values) for i in shown]
    reproduction.further = further(pictures.x, outputs, seeds, shown, options.scale)
    reproduction.notes += notes(end, len(pictures.names), seeds)
    basis = figures.basis_of(options.scale, pictures.about)
    reproduction.figures = {"": drawn(pictures.x, outputs, values, [*shown, *others], title(end), basis)}
    return reproduction


def name_of(network: Config) -> str:
    """Return a preset's name."""
    return preset_of(network)[1]


def entry(row: str, seed: int, name: str, index: int, values: Mapping[Config, Values]) -> dict[str, Any]:
    """Return the measurement of one picture that is shown; those of further networks have their names in front."""
    (_first, own), *others = values.items()
    measurement: dict[str, Any] = {"row": row, "seed": seed, "picture": name}
    measurement.update({key: round(float(array[index]), DIGITS) for key, array in own.items()})
    for network, arrays in others:
        measurement.update({f"{name_of(network)}_{key}": round(float(a[index]), DIGITS) for key, a in arrays.items()})
    return measurement


def further(
    x: np.ndarray,
    outputs: Mapping[Config, np.ndarray],
    seeds: Mapping[Config, Sequence[int]],
    shown: Sequence[int],
    scale: str,
) -> dict[str, dict[str, float]]:
    """Return means over the pictures shown and over all, the latter for every seed."""
    rows = {}
    for network, x_hat in outputs.items():
        name, first, *others = name_of(network), *seeds[network]
        rows[f"{name}, seed {first}, those shown"] = summary(x[shown], x_hat[shown])
        rows[f"{name}, seed {first}, all pictures"] = summary(x, x_hat)
        for seed in others:
            rows[f"{name}, seed {seed}, all pictures"] = summary(x, reconstructed(network, scale, seed, x))
    return {column: {row: of[key] for row, of in rows.items()} for column, key in COLUMNS.items()}


def notes(end: str, count: int, seeds: Mapping[Config, Sequence[int]]) -> list[str]:
    """Say how the pictures were chosen and what the columns mean."""
    first = next(iter(seeds.values()))[0]
    ranks = ", ".join(f"{100 * share:g}" for share in RANKS[end])
    return [
        f"Shown are the {min(SHOWN, count)} of {count} test pictures with the {end} SSIM of range 1 by the network as "
        f"run, seed {first}; in the last row those that {ranks} % of the pictures do not exceed.",
        "Variance kept: that of the outputs' Y, or of their Cb and Cr, over all pixels of the pictures, as a share of "
        "the inputs'. A grey output keeps no chroma.",
        f"as_run has no binarizer: its code is 128 numbers of 32 bits, {CODE_BPP[config.AS_RUN]:g} bpp. as_written has "
        f"128 bits, {CODE_BPP[config.AS_WRITTEN]:g} bpp.",
    ]


def title(end: str) -> str:
    """Return the figure's title."""
    ranks = ", ".join(f"{100 * share:g} %" for share in RANKS[end])
    return f"Test pictures of {end} SSIM, {ENLARGED} times their size; last row: ranks {ranks}"


def drawn(
    x: np.ndarray,
    outputs: Mapping[Config, np.ndarray],
    values: Mapping[Config, Values],
    chosen: Sequence[int],
    heading: str,
    basis: Basis,
) -> Any:
    """Set pictures beside their reconstructions, every pixel enlarged."""
    cells: list[list[figures.Cell]] = []
    for index in chosen:
        picture_cells: list[figures.Cell] = [("input", enlarged(x[index]))]
        for network, x_hat in outputs.items():
            ssim, ssim_2, psnr = (values[network][key][index] for key in ("ssim", "ssim_range_2", "psnr"))
            caption = [
                name_of(network).replace("_", " "),
                f"{CODE_BPP[network]:g} bpp, {psnr:.1f} dB",
                f"SSIM {ssim:.3f}",
            ]
            picture_cells.append(([*caption, f"of range 2 {ssim_2:.3f}"], enlarged(x_hat[index])))
        cells.append(picture_cells)
    rows = [sum(cells[i : i + PER_ROW], []) for i in range(0, len(cells), PER_ROW)]
    return figures.picture_grid(rows, heading, basis)


def enlarged(picture: np.ndarray) -> np.ndarray:
    """Return a picture with every pixel a square of ENLARGED pixels a side."""
    return picture.repeat(ENLARGED, axis=0).repeat(ENLARGED, axis=1)
