"""What Deshmukh and Pollett's numbers are held against: interpolation, simple damages of equal PSNR, JPEG, Huffman.

The printed numbers come from the published tables and from `published/text.csv`.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from common import data, evaluate, metrics
from common.classical import codecs, operating_points
from common.data.fetch import KODAK
from common.data.pictures import to_uint8
from common.errors import RelicError
from common.tables import published
from common.tables import test_pictures as table_pictures
from common.tables.command import Options
from common.tables.published import Published
from papers.deshmukh_irm import complexity, config, huffman
from papers.deshmukh_irm.patches import with_channels
from papers.deshmukh_irm.reproduction.test_pictures import (
    AVERAGE,
    COLOUR,
    GREY,
    KODIM23,
    PSNR,
    SIDE,
    SSIM,
    bicubic,
    named,
    scaled,
)

KINDS = {"colour": 3, "grey": 1}
FILTERS = {"nearest": cv2.INTER_NEAREST, "bilinear": cv2.INTER_LINEAR, "bicubic": cv2.INTER_CUBIC}
AREAS = "areas"  # our choice, which is anti-aliased; the others are OpenCV's without that
# Table -> channels and the file of each of its rows.
TABLES: dict[str, tuple[int, dict[str, str]]] = {
    "Table 1": (1, {row: GREY[row] for row in ("Lenna", "Peppers", "Parrots")}),
    "Table 3": (3, COLOUR),
    "Table 5": (1, GREY),
}


@dataclass(frozen=True)
class Quality:
    """A picture's PSNR in dB and SSIM."""

    psnr: float
    ssim: float


@dataclass(frozen=True)
class PrintedRow:
    """A row of Table 1, 3 or 5: its file, as printed, interpolated, and what else its picture can have.

    ways: SSIM at the printed PSNR by how the picture is degraded; hardest: plain bicubic's least PSNR and SSIM
    over all filters that can have re-scaled it; legible: False where the PSNR follows from the average.
    """

    table: str
    row: str
    file: str
    printed: Quality
    plain: Quality
    ways: dict[str, float]
    hardest: Quality
    legible: bool = True


@dataclass(frozen=True)
class Sources:
    """The test pictures as stored: a set, and the named ones by file, none where a set is missing."""

    set: list[tuple[str, np.ndarray]]
    named: dict[str, np.ndarray]
    about: dict[str, Any]
    notes: list[str]

    @property
    def complete(self) -> bool:
        """Return whether the set is all of Kodak."""
        return self.about["set"] == "kodak" and len(self.set) == len(KODAK)


def sources_of(options: Options) -> Sources:
    """Return the pictures; the named ones only beside Kodak itself."""
    pictures, about, note = table_pictures.pictures_of(options, published.load(options.table))
    notes, originals = [note] if note else [], {}
    if options.data is None and not note:
        try:
            originals = named([*(file for _, rows in TABLES.values() for file in rows.values()), KODIM23])
        except RelicError as error:
            notes = [f"{error}. What needs the named pictures is left out."]
    every = [*pictures, *originals.items()]
    digest = data.pixel_digest(every)
    told = {"name": f"{about['name']} and named pictures" if originals else about["name"], "set": about["name"]}
    return Sources(pictures, originals, {**told, "pictures": len(every), "digest": digest}, notes)


def printed(quantity: str, column: str) -> float:
    """Return a number of the text, `published/text.csv`."""
    value = table_of("Text").value(quantity, column)
    assert value is not None
    return value


@functools.cache
def table_of(name: str) -> Published:
    """Return a published table, `Table 1` for example; its file is read once."""
    return published.load(f"deshmukh_irm/{name.replace(' ', '').lower()}")


def quality(x: np.ndarray, y: np.ndarray) -> Quality:
    """Return PSNR and SSIM of two uint8 pictures."""
    return Quality(metrics.psnr(x, y), metrics.ssim(x, y))


def mean_of(qualities: Sequence[Quality]) -> Quality:
    """Return the means of PSNR and of SSIM."""
    return Quality(float(np.mean([q.psnr for q in qualities])), float(np.mean([q.ssim for q in qualities])))


def floors_of(pictures: Sequence[tuple[str, np.ndarray]]) -> dict[tuple[str, str], Quality]:
    """Return plain bicubic's mean quality by kind and by the filter that made the pictures 200x200."""
    floors = {}
    for kind, channels in KINDS.items():
        for name in (AREAS, *FILTERS):
            small = [_scaled_by(name, image, channels) for _, image in pictures]
            floors[kind, name] = mean_of([quality(x, bicubic(x)[1]) for x in small])
    return floors


def _scaled_by(name: str, image: np.ndarray, channels: int) -> np.ndarray:
    if name == AREAS:
        return scaled(image, channels)
    return cv2.resize(with_channels(image, channels), (SIDE, SIDE), interpolation=FILTERS[name])


def _blurred(x: np.ndarray, sigma: float) -> np.ndarray:
    return cv2.GaussianBlur(x, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101)


def _interpolated(x: np.ndarray, side: int) -> np.ndarray:
    small = cv2.resize(x, (side, side), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, x.shape[1::-1], interpolation=cv2.INTER_CUBIC)


def _noisy(x: np.ndarray, sigma: float) -> np.ndarray:
    noise = np.random.default_rng(0).normal(size=x.shape)
    return to_uint8(x + sigma * noise, 1.0)


def _by_jpeg(x: np.ndarray, quality: int) -> np.ndarray:
    codec = codecs.Jpeg(quality)
    return codec.decompress(codec.compress(x))


# How to degrade a picture, and settings from the worst to the best.
WAYS: dict[str, tuple[Callable[..., np.ndarray], Sequence[Any]]] = {
    "interpolation": (_interpolated, range(4, SIDE)),
    "JPEG": (_by_jpeg, range(1, 101)),
    "blur": (_blurred, np.geomspace(20, 0.2, 300).tolist()),
    "noise": (_noisy, np.geomspace(60, 1, 300).tolist()),
}


def degraded(x: np.ndarray, psnr: float, way: str) -> Quality:
    """Return the quality of a uint8 picture that is degraded to at most `psnr` dB, as closely as settings allow."""
    change, settings = WAYS[way]
    low, high = 0, len(settings)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if metrics.psnr(x, change(x, settings[middle])) <= psnr else (low, middle)
    return quality(x, change(x, settings[low]))


def entries_of(originals: Mapping[str, np.ndarray]) -> list[PrintedRow]:
    """Return the rows of Tables 1, 3 and 5, none without the named pictures."""
    entries = []
    for table, (channels, rows) in TABLES.items() if originals else ():
        values = printed_rows(table)
        legible = [row for row in rows if table_of(table).value(row, PSNR) is not None]
        for row, file in rows.items():
            x = scaled(originals[file], channels)
            ways = {way: degraded(x, values[row].psnr, way).ssim for way in WAYS}
            small = [_scaled_by(name, originals[file], channels) for name in (AREAS, *FILTERS)]
            floors = [quality(each, bicubic(each)[1]) for each in small]
            hardest = Quality(min(q.psnr for q in floors), min(q.ssim for q in floors))
            entries.append(PrintedRow(table, row, file, values[row], floors[0], ways, hardest, row in legible))
    return entries


def printed_rows(table: str) -> dict[str, Quality]:
    """Return what a table prints of its pictures; a PSNR that is not legible is what the average leaves for it."""
    paper = table_of(table)
    rows = [row for row in paper.rows if row != AVERAGE]
    values = {row: paper.value(row, PSNR) for row in rows}
    left = len(rows) * (paper.value(AVERAGE, PSNR) or 0) - sum(value for value in values.values() if value is not None)
    return {row: Quality(left if v is None else v, paper.value(row, SSIM) or 0) for row, v in values.items()}


def plain_bytes(code: np.ndarray) -> int:
    """Return the bytes of plain bicubic's code, uint8 (h, w) or (h, w, C), each channel Huffman coded by itself."""
    planes = code.reshape(code.shape[0] * code.shape[1], -1).T
    return sum(len(huffman.encode(np.ascontiguousarray(plane))) for plane in planes)


def plain_bpp(code: np.ndarray, x: np.ndarray) -> float:
    """Return the bits that plain bicubic's code takes for each pixel of the uint8 picture x."""
    return metrics.bits_per_pixel(plain_bytes(code), *x.shape[:2])


@dataclass(frozen=True)
class Cost:
    """What a code of half the sides takes, in bpp, in 8 bits and Huffman coded, and what JPEG does.

    jpeg_psnr: at the 8 bits; jpeg_bpp and jpeg_reached: bpp and PSNR where JPEG reaches the abstract's PSNR, with
    optimised Huffman tables; standard_bpp: of the same pixels with the standard's tables.
    """

    raw: float
    coded: float
    jpeg_psnr: float
    jpeg_bpp: float
    jpeg_reached: float
    standard_bpp: float


def costs_of(pictures: Sequence[tuple[str, np.ndarray]]) -> dict[str, Cost]:
    """Return by kind the means over pictures of what plain bicubic's codes take, which are as large as the ICM's."""
    target, jpeg, costs = printed("Abstract, proposed", PSNR), codecs.family(codecs.JPEG_OPTIMISED), {}
    for kind, channels in KINDS.items():
        rows = []
        for _, image in pictures:
            x = scaled(image, channels)
            code = bicubic(x)[0]
            raw, with_huffman = metrics.bits_per_pixel(code.size, *x.shape[:2]), plain_bpp(code, x)
            setting, enough = operating_points.setting_for_psnr(jpeg, x, target)
            row = (raw, with_huffman, operating_points.at_bpp(jpeg, x, raw)["psnr"], enough.bpp, enough.psnr)
            rows.append((*row, evaluate.rate(codecs.Jpeg(setting), x)))
        costs[kind] = Cost(*np.mean(np.array(rows, np.float64), axis=0).tolist())
    return costs


@dataclass(frozen=True)
class Count:
    """Of a network: parameters, multiply-accumulates for one picture of 200x200, layers of convolution."""

    parameters: int
    macs: int
    layers: int


def counts() -> dict[tuple[str, str], Count]:
    """Return counts by name and network, from the built models."""
    from papers.deshmukh_irm import model
    from papers.deshmukh_irm.super_resolution import generator

    presets = {"proposed, grey": config.GREY, "proposed, colour": config.RGB, "baseline": config.BASELINE_AS_WRITTEN}
    presets["without separable layers"] = config.GREY_WITHOUT_SEPARABLE
    counted = {}
    for name, settings in presets.items():
        for part, network in (("icm", model.icm(settings)), ("irm", model.irm(settings))):
            counted[name, part] = _count(network, SIDE)
    counted["SRGAN", "generator"] = _count(generator(config.SRGAN), SIDE // 2)
    return counted


def _count(network: Any, side: int) -> Count:
    layers = sum("_conv" in layer.name for layer in network.layers)
    return Count(complexity.parameters(network), complexity.macs(network, side, side), layers)
