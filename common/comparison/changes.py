"""What rate a codec needs for JPEG's quality, what quality it has at JPEG's rate, and how much longer it takes.

Everything follows from the points of a document of common.comparison, one picture at a time.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from common import metrics
from common.classical.codecs import JPEG, JPEG_OPTIMISED
from common.errors import RelicError
from common.tables import intervals, numbers
from common.tables.equal_rate import in_db, rising

ANCHOR = JPEG
ANCHORS = (JPEG_OPTIMISED, JPEG)  # the stronger first
MEASURES = ("psnr", "ms_ssim")
FIELDS = ("bpp", "psnr", "ms_ssim", "encoding_time", "decoding_time")
BD, AT_EQUAL = "BD", "at equal quality or rate"

Document = dict


def judge(document: Document) -> dict[str, Any]:
    """Return `changes` against JPEG of either kind and `times`, from a document's curves and points.

    A change is of a whole curve (BD-rate, BD-PSNR and BD-MS-SSIM) or, where it has fewer than metrics.BD_POINTS, of
    each point: `percent` of the anchor's rate, at equal PSNR and at equal MS-SSIM in dB, and `db` of quality at equal
    rate, per picture against the anchor on that picture, then averaged, with 95 % bootstrap intervals over pictures. A
    picture on which the two do not overlap is left out; `pictures` and `db_pictures` count the others.
    """
    of_codec: dict[str, list[dict[str, Any]]] = {}
    for entry in document["points"]:
        of_codec.setdefault(entry["codec"], []).append(entry)
    changes = []
    for anchor in ANCHORS:
        anchors = {entry["picture"]: entry for entry in of_codec[anchor]}
        for curve in (curve for curve in document["curves"] if curve["codec"] != anchor):
            pairs = [(anchors[entry["picture"]], entry) for entry in of_codec[curve["codec"]]]
            changes += _changes(anchor, curve, pairs)
    anchors = {entry["picture"]: entry for entry in of_codec[ANCHOR]}
    names = [curve["codec"] for curve in document["curves"]]
    times = [_times(name, [(anchors[entry["picture"]], entry) for entry in of_codec[name]]) for name in names]
    return {"changes": changes, "times": times}


def _changes(anchor: str, curve: Mapping[str, Any], pairs: Sequence[Any]) -> list[dict[str, Any]]:
    about = {"anchor": anchor, "codec": curve["codec"], "pictures": len(pairs)}
    if len(curve["settings"]) >= metrics.BD_POINTS:
        return [{**about, "setting": "", "method": BD, **_change(pairs, bd_rate, bd_quality)}]
    return [
        {**about, "setting": setting, "method": AT_EQUAL, **_change(pairs, *(partial(f, i=i) for f in AT_POINT))}
        for i, setting in enumerate(curve["settings"])
    ]


def _change(pairs: Sequence[Any], rate_of: Callable, quality_of: Callable) -> dict[str, Any]:
    """Return by measure the means over pictures of both kinds of change, with intervals."""
    row = {}
    for measure in MEASURES:
        rates, qualities = ([of(*pair, measure) for pair in pairs] for of in (rate_of, quality_of))
        percent, interval, pictures = _mean(rates)
        db, db_interval, db_pictures = _mean(qualities)
        row[measure] = {"percent": percent, "interval": interval, "pictures": pictures}
        row[measure] |= {"db": db, "db_interval": db_interval, "db_pictures": db_pictures}
    return row


def _mean(each: Sequence[float | None]) -> tuple[float | None, list[float] | None, int]:
    """Return mean, 95 % interval and number of the values that are there."""
    values = np.array([value for value in each if value is not None])
    interval = intervals.interval_of_mean(values) if len(values) else None
    bounds = [round(bound, 3) for bound in interval] if interval else None
    return (round(float(values.mean()), 3) if len(values) else None), bounds, len(values)


def bd_rate(anchor: Mapping[str, Any], entry: Mapping[str, Any], measure: str) -> float | None:
    """Return the BD-rate of one picture's points against the anchor's in percent, None where they do not overlap."""
    return _known(metrics.bd_rate, anchor, entry, measure)


def bd_quality(anchor: Mapping[str, Any], entry: Mapping[str, Any], measure: str) -> float | None:
    """Return the BD-PSNR, or BD-MS-SSIM, of one picture's points against the anchor's in dB, None as of `bd_rate`."""
    return _known(metrics.bd_psnr, anchor, entry, measure)


def _known(of_curves: Callable, anchor: Mapping[str, Any], entry: Mapping[str, Any], measure: str) -> float | None:
    try:
        return of_curves(*rising(anchor, measure), *rising(entry, measure))
    except RelicError:
        return None


def rate_at_equal_quality(anchor: Mapping[str, Any], entry: Mapping[str, Any], measure: str, i: int) -> float | None:
    """Return how many percent point `i`'s rate lies above the anchor's at the same quality (negative: it saves).

    The logarithm of the anchor's rate is linear in the quality between its points. None where it has no such quality.
    """
    bpp, quality = rising(anchor, measure)
    reached = in_db(entry[measure][i], measure)
    if reached is None or len(bpp) < 2 or not quality[0] <= reached <= quality[-1]:
        return None
    return 100 * (entry["bpp"][i] / math.exp(np.interp(reached, quality, np.log(bpp))) - 1)


def quality_at_equal_rate(anchor: Mapping[str, Any], entry: Mapping[str, Any], measure: str, i: int) -> float | None:
    """Return how many dB point `i`'s quality lies above the anchor's at the same rate.

    The anchor's quality is linear in the logarithm of the rate between its points. None where it has no such rate.
    """
    bpp, quality = rising(anchor, measure)
    reached, rate = in_db(entry[measure][i], measure), entry["bpp"][i]
    if reached is None or len(bpp) < 2 or not bpp[0] <= rate <= bpp[-1]:
        return None
    return reached - float(np.interp(math.log(rate), np.log(bpp), quality))


AT_POINT = (rate_at_equal_quality, quality_at_equal_rate)


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
    """Return every curve with the number of its `pictures` and the mean of every field over them at equal setting.

    `psnr_of_mean` is the other average of PSNR: that of the mean squared error over all pictures.
    """
    means = []
    for curve in document["curves"]:
        entries = [entry for entry in document["points"] if entry["codec"] == curve["codec"]]
        columns = {f: zip(*(entry[f] for entry in entries), strict=True) for f in FIELDS}
        fields = {f: [None if None in values else numbers.mean(values) for values in of] for f, of in columns.items()}
        of_mean = [_psnr_of_mean_error(values) for values in zip(*(entry["psnr"] for entry in entries), strict=True)]
        means.append({**curve, "pictures": len(entries), **fields, "psnr_of_mean": of_mean})
    return means


def _psnr_of_mean_error(levels: Sequence[float | None]) -> float | None:
    """Return the PSNR in dB of the mean squared error of pictures with these PSNR; None, lossless, has no error."""
    errors = [0.0 if level is None else 10 ** (-level / 10) for level in levels]
    return -10 * math.log10(sum(errors) / len(errors)) if any(errors) else None
