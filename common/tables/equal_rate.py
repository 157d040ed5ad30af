"""Rows compared at equal rate, or at equal quality, along the curves that a step of the quantiser gives each training.

An entry, one row, seed and picture of a document's `pictures`, may have a `curve`: `step`, `bpp`, `psnr` and `ms_ssim`,
a list each, of one network's files at several steps (common.coding.quantisation). Between its points PSNR, and MS-SSIM
in dB, are interpolated over the logarithm of the rate by piecewise cubic Hermite polynomials (pchip), which keep them
rising, as BD-rate has it; nothing is extrapolated.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from common import metrics
from common.errors import RelicError
from common.tables import intervals, numbers

STEPS = (-8, -4, 0, 4, 8)
RATE = "bpp"
MEASURES = ("psnr", "ms_ssim")
HOW = (
    "each picture at the rate that the reference takes for it, the mean over its seeds, by piecewise cubic Hermite "
    "polynomials (pchip) of PSNR, or of MS-SSIM in dB, over the logarithm of the rate along each training's own steps "
    f"{STEPS[0]} to {STEPS[-1]} of its quantiser; nothing is extrapolated"
)

Entries = Sequence[Mapping[str, Any]]


def difference(entries: Entries, row: str, reference: str, field: str = "psnr") -> dict[str, Any] | None:
    """Return how much better `row` is than `reference` at the reference's rate, over the pictures where both reach it.

    field: `psnr` (dB) or `ms_ssim` (0 to 1). The rate is each picture's mean over the reference's seeds; every training
    of either row is taken there along its own curve, a reference without curves as it was measured. Returns
    `reproduced`, `interval` (95 %, over pictures and seeds, as common.tables.intervals; of one training it leaves out
    what another would change), `seeds` (of row and reference), `pictures`, and how many are `left_out` because a curve
    does not reach the rate; `reproduced` is None where all are. None where a row has no entries, or `row` no curves.
    """
    return _compared(entries, row, reference, RATE, field)


def rate_difference(entries: Entries, row: str, reference: str, field: str = "ms_ssim") -> dict[str, Any] | None:
    """Return how much more rate `row` takes at the quality of `reference`, in percent; negative: it saves.

    field: what is equal, each picture's mean over the reference's seeds. The mean over pictures and seeds is that of
    log rates, as of BD-rate. Returns what `difference` does.
    """
    found = _compared(entries, row, reference, field, RATE)
    if found is None or found["reproduced"] is None:
        return found
    bounds = found["interval"] and tuple(map(_percent, found["interval"]))
    return {**found, "reproduced": _percent(found["reproduced"]), "interval": bounds}


def bd(entries: Entries, row: str, reference: str, field: str = "psnr") -> dict[str, Any] | None:
    """Return `rate` (BD-rate, percent) and `quality` (BD-PSNR or BD-MS-SSIM, dB) of two rows' whole curves.

    Means over `pictures` and `quality_pictures`, on each over all pairs of the rows' trainings; a picture whose curves
    share too few qualities has no rate, one whose curves share too few rates no quality. None where none has either.
    """
    ours, theirs = (_by_picture(entries, label) for label in (row, reference))
    values: dict[Any, list[float]] = {metrics.bd_rate: [], metrics.bd_psnr: []}
    for picture in (picture for picture in theirs if picture in ours):
        pairs = [(a.get("curve"), b.get("curve")) for b in ours[picture].values() for a in theirs[picture].values()]
        for of_curves, found in values.items():
            each = [_bd(of_curves, a, b, field) for a, b in pairs]
            found += [numbers.mean(value for value in each if value is not None)] if None not in each else []
    rates, qualities = values.values()
    if not rates and not qualities:
        return None
    of = {"rate": numbers.mean_of_known(rates), "quality": numbers.mean_of_known(qualities)}
    return {**of, "pictures": len(rates), "quality_pictures": len(qualities)}


def without_curves(entries: Entries) -> list[str]:
    """Return the rows that have entries, and in all of them no curve."""
    rows = dict.fromkeys(entry["row"] for entry in entries)
    return [row for row in rows if not any("curve" in entry for entry in entries if entry["row"] == row)]


def rising(curve: Mapping[str, Any], field: str) -> tuple[list[float], list[float]]:
    """Return one picture's rates (`bpp`) and qualities (`field`, in dB), both strictly rising.

    A point that is no better than one with at most as many bytes is left out, and so is one without a finite quality.
    """
    measured = zip(curve["bpp"], (in_db(value, field) for value in curve[field]), strict=True)
    points = sorted((bpp, -quality) for bpp, quality in measured if quality is not None)
    kept: list[tuple[float, float]] = []
    for bpp, negative in points:
        if not kept or -negative > kept[-1][1]:
            kept.append((bpp, -negative))
    return [bpp for bpp, _ in kept], [quality for _, quality in kept]


def in_db(value: float | None, field: str) -> float | None:
    """Return a measured `psnr` or `ms_ssim` in dB, None where it is unknown or infinite."""
    if value is None:
        return None
    quality = metrics.ms_ssim_db(value) if field == "ms_ssim" else value
    return quality if math.isfinite(quality) else None


def mean_curves(entries: Entries) -> dict[str, dict[str, list[float]]]:
    """Return of each row with curves the means over pictures and seeds at equal step: `bpp`, `psnr`, `ms_ssim`.

    A measure that is undefined in any entry, as MS-SSIM of small pictures, is left out.
    """
    means = {}
    for row in dict.fromkeys(entry["row"] for entry in entries):
        curves = [entry["curve"] for entry in entries if entry["row"] == row and "curve" in entry]
        columns = {name: list(zip(*(curve[name] for curve in curves), strict=True)) for name in (RATE, *MEASURES)}
        known = {name: of for name, of in columns.items() if of and not any(None in values for values in of)}
        if known:
            means[row] = {name: [numbers.mean(values) for values in of] for name, of in known.items()}
    return means


# --- one picture -----------------------------------------------------------------------------------------------------


def _compared(entries: Entries, row: str, reference: str, given: str, wanted: str) -> dict[str, Any] | None:
    """Return `row` minus `reference` in `wanted` where both have the reference's `given`, one of them RATE."""
    ours, theirs = (_by_picture(entries, label) for label in (row, reference))
    if not ours or not theirs or row in without_curves(entries):
        return None
    seeds = [sorted({seed for of in row.values() for seed in of}) for row in (ours, theirs)]
    columns, left_out = [], 0
    for picture, of in theirs.items():
        level = _level(list(of.values()), given)
        if level is None or (wanted != RATE and any(entry[wanted] is None for entry in of.values())):
            continue  # undefined, as MS-SSIM of a small picture is, whatever the rate
        values = [_along(ours.get(picture, {}).get(seed), given, wanted, level) for seed in seeds[0]]
        values += [_along(of.get(seed), given, wanted, level, or_measured=True) for seed in seeds[1]]
        if None in values:
            left_out += 1
        else:
            columns.append(values)
    found: dict[str, Any] = {"reproduced": None, "interval": None, "seeds": [len(of) for of in seeds]}
    if columns:
        both = np.split(np.array(columns, np.float64).T, [len(seeds[0])])
        found["reproduced"] = numbers.mean(both[0].ravel()) - numbers.mean(both[1].ravel())
        found["interval"] = intervals.interval_of_difference(*both)
    return {**found, "pictures": len(columns), "left_out": left_out}


def _by_picture(entries: Entries, row: str) -> dict[str, dict[int, Mapping[str, Any]]]:
    pictures: dict[str, dict[int, Mapping[str, Any]]] = {}
    for entry in entries:
        if entry["row"] == row:
            pictures.setdefault(entry["picture"], {})[entry["seed"]] = entry
    return pictures


def _level(of: Entries, given: str) -> float | None:
    """Return the mean log rate, or quality in dB, at which a picture is compared; None where it is undefined."""
    values = [entry[given] for entry in of]
    if any(value is None for value in values):
        return None
    mean = numbers.mean(values)
    return math.log(mean) if given == RATE else in_db(mean, given)


def _along(
    entry: Mapping[str, Any] | None, given: str, wanted: str, level: float, or_measured: bool = False
) -> float | None:
    """Return a training's `wanted` on one picture (a rate as its logarithm) where its `given` is `level`.

    None where its curve does not reach it. `or_measured`: without a curve, what was measured.
    """
    if entry is None or ("curve" not in entry and not or_measured):
        return None
    if "curve" not in entry:
        return math.log(entry[RATE]) if wanted == RATE else entry[wanted]
    rates, qualities = rising(entry["curve"], given if wanted == RATE else wanted)
    if len(rates) < metrics.PCHIP_POINTS:
        return None
    logs = [math.log(rate) for rate in rates]
    if wanted == RATE:
        return metrics.interpolated(qualities, logs, level)
    quality = metrics.interpolated(logs, qualities, level)
    return 1 - 10 ** (-quality / 10) if quality is not None and wanted == "ms_ssim" else quality


def _bd(
    of_curves: Any, reference: Mapping[str, Any] | None, curve: Mapping[str, Any] | None, field: str
) -> float | None:
    if reference is None or curve is None:
        return None
    try:
        return of_curves(*rising(reference, field), *rising(curve, field))
    except RelicError:
        return None


def _percent(log_ratio: float) -> float:
    return 100 * math.expm1(log_ratio)
