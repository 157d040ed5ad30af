"""How much more or less rate than JPEG a codec needs for the same quality, and how much longer it takes.

Everything follows from the points of a document of common.comparison, one picture at a time.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from common import metrics
from common.errors import RelicError
from common.tables import intervals, numbers

ANCHOR = "JPEG"
MEASURES = ("psnr", "ms_ssim")
FIELDS = ("bpp", "psnr", "ms_ssim", "encoding_time", "decoding_time")
BD_RATE, AT_EQUAL_QUALITY = "BD-rate", "rate at equal quality"

Document = dict


def judge(document: Document) -> dict[str, Any]:
    """Return `changes` of rate against JPEG and `times`, from a document's curves and points.

    A change is of a whole curve (BD-rate) or, where it has fewer than metrics.BD_POINTS, of each point: in percent of
    JPEG's rate, at equal PSNR and at equal MS-SSIM in dB, per picture against JPEG on that picture, then averaged, with
    a 95 % bootstrap interval over pictures. A picture on which the two do not overlap in quality is left out;
    `pictures` counts the others.
    """
    of_codec: dict[str, list[dict[str, Any]]] = {}
    for entry in document["points"]:
        of_codec.setdefault(entry["codec"], []).append(entry)
    anchors = {entry["picture"]: entry for entry in of_codec[ANCHOR]}
    changes, times = [], []
    for curve in document["curves"]:
        pairs = [(anchors[entry["picture"]], entry) for entry in of_codec[curve["codec"]]]
        times.append(_times(curve["codec"], pairs))
        if curve["codec"] != ANCHOR:
            changes += _changes(curve, pairs)
    return {"changes": changes, "times": times}


def _changes(curve: Mapping[str, Any], pairs: Sequence[Any]) -> list[dict[str, Any]]:
    if len(curve["settings"]) >= metrics.BD_POINTS:
        return [_change(curve["codec"], "", BD_RATE, pairs, bd_rate)]
    return [
        _change(curve["codec"], setting, AT_EQUAL_QUALITY, pairs, partial(rate_at_equal_quality, i=i))
        for i, setting in enumerate(curve["settings"])
    ]


def _change(codec: str, setting: str, method: str, pairs: Sequence[Any], of_pair: Callable) -> dict[str, Any]:
    row = {"codec": codec, "setting": setting, "method": method, "pictures": len(pairs)}
    for measure in MEASURES:
        each = [of_pair(anchor, entry, measure) for anchor, entry in pairs]
        values = np.array([value for value in each if value is not None])
        interval = intervals.interval_of_mean(values) if len(values) else None
        row[measure] = {
            "percent": round(float(values.mean()), 3) if len(values) else None,
            "interval": [round(bound, 3) for bound in interval] if interval else None,
            "pictures": len(values),
        }
    return row


def bd_rate(anchor: Mapping[str, Any], entry: Mapping[str, Any], measure: str) -> float | None:
    """Return the BD-rate of one picture's points against the anchor's in percent, None where they do not overlap."""
    try:
        return metrics.bd_rate(*rising(anchor, measure), *rising(entry, measure))
    except RelicError:
        return None


def rate_at_equal_quality(anchor: Mapping[str, Any], entry: Mapping[str, Any], measure: str, i: int) -> float | None:
    """Return how many percent point `i`'s rate lies above the anchor's at the same quality (negative: it saves).

    The logarithm of the anchor's rate is linear in the quality between its points. None where it has no such quality.
    """
    bpp, quality = rising(anchor, measure)
    reached = _quality(entry[measure][i], measure)
    if reached is None or len(bpp) < 2 or not quality[0] <= reached <= quality[-1]:
        return None
    return 100 * (entry["bpp"][i] / math.exp(np.interp(reached, quality, np.log(bpp))) - 1)


def rising(entry: Mapping[str, Any], measure: str) -> tuple[list[float], list[float]]:
    """Return one picture's rates and qualities (dB), both strictly rising.

    A point that is no better than one with at most as many bytes is left out, and so is one without a finite quality.
    """
    measured = zip(entry["bpp"], (_quality(value, measure) for value in entry[measure]), strict=True)
    points = sorted((bpp, -quality) for bpp, quality in measured if quality is not None)
    kept: list[tuple[float, float]] = []
    for bpp, negative in points:
        if not kept or -negative > kept[-1][1]:
            kept.append((bpp, -negative))
    return [bpp for bpp, _ in kept], [quality for _, quality in kept]


def _quality(value: float | None, measure: str) -> float | None:
    """Return a measured value in dB, None where it is unknown or infinite."""
    if value is None:
        return None
    quality = metrics.ms_ssim_db(value) if measure == "ms_ssim" else value
    return quality if math.isfinite(quality) else None


def _times(codec: str, pairs: Sequence[Any]) -> dict[str, Any]:
    """Return a codec's median times in seconds and of its ratios to JPEG's, each picture's a mean over settings."""
    row: dict[str, Any] = {"codec": codec, "pictures": len(pairs)}
    for field in ("encoding_time", "decoding_time"):
        own = np.array([np.mean(entry[field]) for _, entry in pairs])
        anchors = np.array([np.mean(anchor[field]) for anchor, _ in pairs])
        row[field] = round(float(np.median(own)), numbers.DIGITS)
        row[f"{field}_ratio"] = round(float(np.median(own / anchors)), 2)
    return row


def mean_curves(document: Document) -> list[dict[str, Any]]:
    """Return every curve with the number of its `pictures` and the mean of every field over them at equal setting."""
    means = []
    for curve in document["curves"]:
        entries = [entry for entry in document["points"] if entry["codec"] == curve["codec"]]
        columns = {f: zip(*(entry[f] for entry in entries), strict=True) for f in FIELDS}
        fields = {f: [None if None in values else numbers.mean(values) for values in of] for f, of in columns.items()}
        means.append({**curve, "pictures": len(entries), **fields})
    return means
