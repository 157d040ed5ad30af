"""Our anchors beside the curves of the same codecs that others publish for Kodak: are they as strong as usual?"""

import csv
from functools import lru_cache
from pathlib import Path
from typing import Any

from common import metrics
from common.comparison.changes import MEASURES, Document, mean_curves, rising

# Which published codec an anchor is, or stands for.
PUBLISHED_NAMES = {
    "JPEG": "JPEG",
    "JPEG2000": "JPEG2000",
    "WebP": "WebP",
    "AVIF": "AV1",
    "HEVC intra": "BPG",
    "BPG": "BPG",
}


@lru_cache(maxsize=1)
def published_curves() -> dict[str, dict[str, list[float]]]:
    """Return by codec `bpp`, `psnr` in dB and `ms_ssim`, means over Kodak's pictures, as published."""
    path = Path(__file__).parent / "published" / "kodak.csv"
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    curves: dict[str, dict[str, list[float]]] = {}
    for row in csv.DictReader(lines):
        curve = curves.setdefault(row["codec"], {"bpp": [], "psnr": [], "ms_ssim": []})
        for field, values in curve.items():
            values.append(float(row[field]))
    return curves


def beside_published(document: Document) -> list[dict[str, Any]]:
    """Return for every anchor that others publish a curve of its BD-rate and BD values against that curve.

    Of mean curves: means over pictures at equal setting, as published ones are; the document must be of all of Kodak.
    """
    rows = []
    for curve in mean_curves(document):
        name = PUBLISHED_NAMES.get(curve["codec"])
        if curve["kind"] != "classical" or name is None:
            continue
        row: dict[str, Any] = {"codec": curve["codec"], "published": name}
        for measure in MEASURES:
            pair = *rising(published_curves()[name], measure), *rising(curve, measure)
            row[measure] = {"percent": round(metrics.bd_rate(*pair), 2), "db": round(metrics.bd_psnr(*pair), 3)}
        rows.append(row)
    return rows
