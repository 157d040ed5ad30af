"""Figures of the judged sentences: differences by picture, where low and full resolution cross, a picture's details."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from common.classical.codecs import JPEG, JPEG_OPTIMISED
from common.data import Picture
from common.tables import figures
from common.tables.figures import NETWORKS, Basis, Line
from papers.zhao_mixedres.reproduction.equal_rate import (
    QUALITIES,
    PictureEntry,
    RateCurve,
    RateCurves,
    curve_of,
)
from papers.zhao_mixedres.reproduction.points import Y_LABELS, Point

# The comparisons that are drawn together, and what the proposed codec is compared with in each.
BETWEEN_NETWORKS = {
    "Jiang": "Jiang's framework",
    "no VCNN": "without VCNN",
    "VCNN on z": "VCNN learns from z",
    "L2": "L2 for L1",
    "no SSIM loss": "without the SSIM loss",
    "interpolation": "interpolation for FDNN",
}
TO_STANDARD = {name: f"around {name}, to {name} alone" for name in ("JPEG", "JPEG2000", "WebP")}
# Of the curves that cross: how their points are joined, and whose looks they have.
LOOKS: dict[str, tuple[str, ...]] = {
    "Proposed, low resolution": (NETWORKS, "Zhao, low resolution"),
    "Proposed, full resolution": (NETWORKS, "Zhao, full resolution"),
    JPEG_OPTIMISED: (),
    JPEG: (),
}
JPEG_SHOWN = (1, 3, 5, 7, 10, 14, 20, 30, 40, 50)
SHOWN, TOP, LEFT = "08", 210, 225  # lena, her eyes
SIDE, ENLARGED = 128, 3


def figures_of(
    entries: Sequence[PictureEntry],
    low: Sequence[str],
    full: Sequence[str],
    curves: RateCurves,
    pictures: Sequence[Picture],
    basis: Basis,
) -> dict[str, Any]:
    """Return what can be drawn of the measurements: figures by the suffix of their names."""
    have = {entry["row"] for entry in entries}
    drawings = {}
    for suffix, names in {"": BETWEEN_NETWORKS, "standard": TO_STANDARD}.items():
        if have & {*names}:
            drawings[suffix] = strips(entries, {name: text for name, text in names.items() if name in have}, basis)
    if have.issuperset((*low, *full)):
        drawings["crossing"] = crossing(entries, low, full, curves, pictures, basis)
    pairs = [(name, f"jiang_{name}") for name in low if have.issuperset((name, f"jiang_{name}"))]
    if pairs:
        seed = min(entry["seed"] for entry in entries if entry["row"] == pairs[0][0])
        drawings["pictures"] = grid(pairs, seed, curves, pictures, basis)
    return drawings


def strips(entries: Sequence[PictureEntry], names: Mapping[str, str], basis: Basis) -> Any:
    """Draw the PSNR differences of comparisons, by what the codec is compared with: each picture's and their mean."""
    rows: dict[str, dict[str, list[float]]] = {text: {} for text in names.values()}
    for entry in (entry for entry in entries if entry["row"] in names):
        of_row = rows[names[entry["row"]]]
        of_row.setdefault(f"seed {entry['seed']}, a mark a picture", []).append(entry["psnr"])
    title = "PSNR of the proposed codec less that of others at equal rate"
    note = "Above 0 the paper's sentence is true."
    return figures.strips(rows, "PSNR difference (dB)", title, basis, differences=True, means=True, note=note)


def crossing(
    entries: Sequence[PictureEntry],
    low: Sequence[str],
    full: Sequence[str],
    curves: RateCurves,
    pictures: Sequence[Picture],
    basis: Basis,
) -> Any:
    """Draw the mean curves of both resolutions and of JPEG."""
    trained = {"low resolution": curve_of(entries, low), "full resolution": curve_of(entries, full)}
    drawn = {f"Proposed, {resolution}": points for resolution, points in trained.items()}
    for name in (JPEG_OPTIMISED, JPEG):
        drawn[name] = mean_curve([curves.of(name, 0, picture) for picture in pictures], JPEG_SHOWN)
    panels = {}
    for quality, label in Y_LABELS.items():
        ordered = {name: sorted(curve, key=lambda point: point.bpp) for name, curve in drawn.items()}
        panels[label] = [
            Line(name, [point.bpp for point in curve], [getattr(point, quality) for point in curve], *LOOKS[name])
            for name, curve in ordered.items()
        ]
    note = "The outermost networks are also used at further qualities, that they were not trained for."
    return figures.rate_distortion(panels, "Where full resolution becomes better: means", basis, log_x=True, note=note)


def mean_curve(curves: Sequence[RateCurve], settings: Iterable[int]) -> list[Point]:
    """Return the means of several pictures at each setting."""
    points = []
    for setting in settings:
        measured = [curve.point(setting) for curve in curves]
        means = [float(np.mean([getattr(point, name) for point in measured])) for name in ("bpp", "bpp", *QUALITIES)]
        points.append(Point(setting, *means))
    return points


def grid(
    pairs: Sequence[tuple[str, str]], seed: int, curves: RateCurves, pictures: Sequence[Picture], basis: Basis
) -> Any:
    """Set a part of a picture beside JPEG's smallest file of it and the files of both codecs that are nearest in size.

    Of `pairs` of presets, ours and Jiang's, those are used whose setting gives our codec about JPEG's rate.
    """
    picture = next((picture for picture in pictures if picture[0] == SHOWN), pictures[0])
    jpeg = curves.of(JPEG_OPTIMISED, seed, picture)
    smallest = min(jpeg.rates, key=jpeg.rates.__getitem__)

    def distance(pair: tuple[str, str]) -> float:
        ours = curves.of(pair[0], seed, picture)
        return abs(ours.rates[curves.trained_setting(pair[0], seed)] - jpeg.rates[smallest])

    ours, jiang = (curves.of(preset, seed, picture) for preset in min(pairs, key=distance))
    cells: list[figures.Cell] = [(f"{picture[0]}, original", part(picture, picture[1]))]
    for name, curve in {
        "JPEG's smallest file": jpeg,
        "Jiang's framework, trained here": jiang,
        "proposed, trained here": ours,
    }.items():
        setting = min(curve.rates, key=lambda s: abs(curve.rates[s] - jpeg.rates[smallest]))
        point = curve.point(setting)
        caption = [name, f"{point.bpp:.3f} bpp, {point.psnr:.2f} dB, SSIM {point.ssim:.3f}"]
        cells.append((caption, part(picture, curve.decoded(setting))))
    title = f"A detail at {ENLARGED} times its size; rates and qualities are those of the whole picture"
    return figures.picture_grid([cells], title, replace(basis, pictures=f"{picture[0]} of {basis.pictures}"))


def part(picture: Picture, image: np.ndarray) -> np.ndarray:
    """Return the part of a picture that is shown, each pixel enlarged."""
    name, original = picture
    top, left = (TOP, LEFT) if name == SHOWN else (max(0, (side - SIDE) // 2) for side in original.shape)
    return np.kron(image[top : top + SIDE, left : left + SIDE], np.ones((ENLARGED, ENLARGED), np.uint8))
