"""The curves of one picture, by name, and what they say against JPEG's: BD values, gains, where resolutions cross."""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np

from common import metrics
from common.classical.codecs import JPEG, JPEG_OPTIMISED
from common.errors import RelicError
from common.tables.figures import NETWORKS, Line
from common.tables.numbers import DIGITS
from papers.zhao_mixedres import config
from papers.zhao_mixedres.reproduction import comparators, points
from papers.zhao_mixedres.reproduction.points import Point

PROPOSED, JIANG = "Proposed", "Jiang"
JPEGS = (JPEG_OPTIMISED, JPEG)
ANCHOR = JPEG_OPTIMISED  # the stronger one: all files of networks have optimised tables too
LOW, FULL, EXTENDED = "low resolution", "full resolution", "at other qualities"
# The networks of each curve.
PRESETS = {
    f"{method}, {resolution}": tuple(prefix + name for name in names)
    for method, prefix in ((PROPOSED, ""), (JIANG, "jiang_"))
    for resolution, names in ((LOW, config.LOW), (FULL, config.FULL))
}
# How figures name the methods, and whose look they have: no published network stands there.
DRAWN_AS = {PROPOSED: "Proposed, trained here", JIANG: "Jiang's framework, trained here"}
LOOK_OF = {PROPOSED: "Zhao", JIANG: "Jiang"}
PSNR, SSIM = "psnr", "ssim"
BD_RATE, BD_PSNR = "BD-rate, %", "BD-PSNR, dB"
SHOWN_OF_JPEG = 1.3  # times the highest rate of the other curves

Curves = dict[str, list[Point]]


def rounded(point: Point) -> Point:
    """Return a point as documents hold it."""
    return Point(point.setting, *(round(float(value), DIGITS) for value in dataclasses.astuple(point)[1:]))


def mean_curves(pictures: Sequence[Curves]) -> Curves:
    """Return each curve's mean over pictures: mean quality and mean rate of every setting that all of them have."""
    labels = dict.fromkeys(label for curves in pictures for label in curves if EXTENDED not in label)
    return {label: _mean_curve([curves.get(label, []) for curves in pictures]) for label in labels}


def _mean_curve(curves: Sequence[Sequence[Point]]) -> list[Point]:
    by_setting = [{point.setting: dataclasses.astuple(point)[1:] for point in curve} for curve in curves]
    shared = [setting for setting in by_setting[0] if all(setting in curve_points for curve_points in by_setting)]
    return [rounded(Point(s, *np.mean([curve_points[s] for curve_points in by_setting], axis=0))) for s in shared]


def envelope(curves: Curves, method: str, quality: str = PSNR, rate: str = "bpp") -> list[Point]:
    """Return the upper envelope of a method's curves in low and in full resolution."""
    low, full = (curves.get(f"{method}, {resolution}", []) for resolution in (LOW, FULL))
    return points.envelope(low, full, quality, rate)


def lines(curves: Curves, quality: str) -> list[Line]:
    """Return what is drawn of one picture: JPEG no further than the others reach, and both resolutions by themselves.

    No line joins the resolutions, whose upper envelope the BD values are of.
    """
    shown = {name: curves.get(name, []) for name in comparators.NAMES}
    shown.update({label: curves.get(label, []) for label in PRESETS})
    highest = max((point.bpp for curve in shown.values() for point in curve), default=math.inf)
    jpegs = {name: [point for point in curves[name] if point.bpp <= SHOWN_OF_JPEG * highest] for name in JPEGS}
    return [_line(label, curve, quality) for label, curve in {**jpegs, **shown}.items() if curve]


def _line(label: str, curve: Sequence[Point], quality: str) -> Line:
    """Return a series: the points of PRESETS are those of different networks."""
    x, y = [point.bpp for point in curve], [getattr(point, quality) for point in curve]
    if label not in PRESETS:
        return Line(label, x, y)
    method, _, resolution = label.partition(", ")
    return Line(f"{DRAWN_AS[method]}, {resolution}", x, y, NETWORKS, f"{LOOK_OF[method]}, {resolution}")


# --- against JPEG --------------------------------------------------------------------------------------------------


def bd_changes(curves: Curves) -> dict[str, float | str]:
    """Return BD-rate (percent) and BD-PSNR (dB) by method, or the sentence that says why there is none.

    Against JPEG with optimised tables; the methods as they are, against JPEG with the standard's as well.
    """
    compared = {name: (curves.get(name, []), "bpp") for name in comparators.NAMES}
    for method in (PROPOSED, JIANG):
        compared[method] = envelope(curves, method), "bpp"
        compared[f"{method} without header"] = envelope(curves, method, rate="payload_bpp"), "payload_bpp"
        compared[f"{method}, {FULL}"] = curves.get(f"{method}, {FULL}", []), "bpp"
    changes: dict[str, float | str] = {}
    for label, (curve, rate) in compared.items():
        changes.update(_bd_values(curves[ANCHOR], curve, rate, label))
        if label in (PROPOSED, JIANG):
            changes.update(_bd_values(curves[JPEG], curve, rate, f"{label} against {JPEG}, standard tables"))
    return changes


def _bd_values(anchor: Sequence[Point], curve: Sequence[Point], rate: str, label: str) -> dict[str, float | str]:
    """Return both BD values of a curve, none of an empty one."""
    reference = [point.bpp for point in anchor], [point.psnr for point in anchor]
    ours = [getattr(point, rate) for point in curve], [point.psnr for point in curve]
    changes: dict[str, float | str] = {}
    for name, function in ((BD_RATE, metrics.bd_rate), (BD_PSNR, metrics.bd_psnr)) if curve else ():
        try:
            changes[f"{label}, {name}"] = round(function(*reference, *ours), DIGITS)
        except RelicError as error:
            changes[f"{label}, {name}"] = str(error)
    return changes


def gains(curves: Curves) -> dict[str, float]:
    """Return what Proposed, the envelope, has over JPEG at its lowest rate, and at the rate where that is least."""
    jpeg = curves[ANCHOR]
    gained: dict[str, float | None] = {}
    for quality, unit in ((PSNR, ", dB"), (SSIM, "")):
        proposed = envelope(curves, PROPOSED, quality)
        if proposed:
            lowest = proposed[0]
            gained["lowest rate, bpp"] = lowest.bpp
            gained["JPEG's lowest rate, bpp"] = smallest_file(jpeg).bpp
            over = f"{quality.upper()} over JPEG {{}}{unit}"
            gained[over.format("at the lowest rate")] = gain(jpeg, lowest.bpp, getattr(lowest, quality), quality)
            gained[over.format("at least")] = least_gain(jpeg, proposed, quality)
    return _known(gained)


def _known(values: Mapping[str, float | None]) -> dict[str, float]:
    return {name: round(value, DIGITS) for name, value in values.items() if value is not None}


def smallest_file(curve: Sequence[Point]) -> Point:
    """Return the point of the lowest rate."""
    return min(curve, key=lambda point: point.bpp)


def gain(jpeg: Sequence[Point], bpp: float, level: float, quality: str = PSNR) -> float | None:
    """Return how much better a quality at a rate is than JPEG's there; None above JPEG's highest rate.

    Below JPEG's lowest rate it is compared with JPEG's smallest file, which has more bits.
    """
    smallest = smallest_file(jpeg)
    other = getattr(smallest, quality) if bpp < smallest.bpp else points.at_rate(jpeg, bpp, quality)
    return None if other is None else level - other


def least_gain(jpeg: Sequence[Point], curve: Sequence[Point], quality: str = PSNR) -> float | None:
    """Return by how much a curve is above JPEG's where that is least, over the rates of both; None without such."""
    # Between neighbouring points of either curve the difference is linear: it is least at one of them.
    pairs = [[points.at_rate(c, point.bpp, quality) for c in (jpeg, curve)] for point in (*jpeg, *curve)]
    return min((ours - theirs for theirs, ours in pairs if theirs is not None and ours is not None), default=None)


def resolutions(curves: Curves, method: str) -> tuple[list[Point], list[Point]]:
    """Return a method's points in low and in full resolution, with those that extend the curves."""
    labels = [f"{method}, {resolution}" for resolution in (LOW, FULL)]
    low, full = ([*curves.get(label, []), *curves.get(f"{label}, {EXTENDED}", [])] for label in labels)
    return low, full


def share_rates(curves: Curves, method: str) -> bool:
    """Return whether there are rates that both resolutions of a method have: else nothing is known of a crossing."""
    rates = [[point.bpp for point in curve] for curve in resolutions(curves, method)]
    return all(rates) and max(map(min, rates)) <= min(map(max, rates))


def further(curves: Curves) -> dict[str, float]:
    """Return all numbers that there are of one picture's curves, by what they are."""
    changes = {name: value for name, value in bd_changes(curves).items() if isinstance(value, float)}
    crossings = {method: points.crossing(*resolutions(curves, method)) for method in (PROPOSED, JIANG)}
    better_from = {f"{method}, {FULL} is better from, bpp": rate for method, rate in crossings.items()}
    return {**changes, **gains(curves), **_known(better_from)}
