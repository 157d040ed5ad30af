"""The recipes of short trainings side by side: the objective they are trained for, quality at equal rate, colours."""

import dataclasses
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from common import evaluate, metrics
from common.classical import codecs, operating_points
from common.data import Picture
from common.tables import intervals, measure, networks, published
from common.tables import test_pictures as table_pictures
from common.tables.command import Options
from common.tables.document import Reproduction, claim
from common.tables.numbers import DIGITS, rounded
from papers.cheng_resnet import codec as codec_module

PICTURES = 24
ANCHOR = "JPEG2000"  # codes at any rate, also where JPEG's smallest file is larger
COLUMNS = {
    "J": "objective",
    "bpp": "bpp",
    "MS-SSIM": "ms_ssim",
    "PSNR (dB)": "psnr",
    f"MS-SSIM above {ANCHOR} at equal bpp": "ms_ssim_ahead",
    f"PSNR above {ANCHOR} at equal bpp (dB)": "psnr_ahead",
    "chroma slope": "chroma_slope",
}


def reproduce(options: Options, references: Mapping[str, str]) -> Reproduction:
    """Measure every row's network, and judge each recipe against its reference, `references[row]`."""
    options = dataclasses.replace(options, images=options.images or (None if options.scale == "smoke" else PICTURES))
    pictures, test_set, note = table_pictures.pictures_of(options, published.load(options.table))
    reproduction = Reproduction(notes=[*NOTES, *([note] if note else [])])
    known = networks.networks_of(options.rows, options.scale, options.seeds)
    reproduction.missing = known.missing
    reproduction.provenance = {"test_set": test_set, "networks": known.made_by}
    measure_network = partial(_measurements, options.rows, options.scale, pictures)
    every = [(row, seed) for row, seeds in known.seeds.items() for seed in seeds]
    reproduction.pictures = [
        entry for entries in measure.over_networks(options, measure_network, every) for entry in entries
    ]
    reproduction.further = {column: measure.means(reproduction.pictures, field) for column, field in COLUMNS.items()}
    both = [pair for pair in references.items() if set(pair) <= set(known.made_by)]
    reproduction.claims = [judged(reproduction.pictures, row, other) for row, other in both]
    return reproduction


NOTES = (
    "J is the objective of Eq. 1, lambda (1 - MS-SSIM) + bpp, with counted bytes: lower is better.",
    "At equal bpp: what a network is ahead of JPEG2000 (the suite's setting of OpenJPEG) at its own counted rate, so "
    "that networks of different rates can be compared; pictures each count once.",
    measure.CHROMA_NOTE,
    "One training a recipe: intervals are over pictures alone and leave out what another seed would change.",
)


def _measurements(
    rows: Mapping[str, Any], scale: str, pictures: Sequence[Picture], network: tuple[str, int]
) -> list[dict[str, Any]]:
    """Return what `measured` gives for all pictures with the network of a row and seed."""
    row, seed = network
    codec = networks.codec_of(rows[row], scale, seed)
    return [{"row": row, "seed": seed, **measured(codec, *picture)} for picture in pictures]


def measured(codec: codec_module.Codec, name: str, image: np.ndarray) -> dict[str, Any]:
    """Return what coding a picture costs and gives, with JPEG2000's at equal rate taken off, rounded."""
    whole, decoded = evaluate.round_trip(codec, image, name)
    anchor = operating_points.at_bpp(codecs.family(ANCHOR), image, whole.bpp)
    assert whole.ms_ssim is not None and anchor["ms_ssim"] is not None and anchor["psnr"] is not None
    entry = {
        "bpp": whole.bpp,
        "ms_ssim": whole.ms_ssim,
        "psnr": whole.psnr,
        "objective": codec.config.lmbda * (1 - whole.ms_ssim) + whole.bpp,
        "ms_ssim_ahead": whole.ms_ssim - anchor["ms_ssim"],
        "psnr_ahead": whole.psnr - anchor["psnr"],
        "chroma_slope": metrics.chroma_slope(image, decoded),
    }
    return {"picture": name, **rounded(entry)}


def judged(pictures: Sequence[Mapping[str, Any]], row: str, other: str) -> dict[str, Any]:
    """Return the claim that a row's J is below another's, with its interval over pictures."""
    ours, theirs = (np.array([p["objective"] for p in pictures if p["row"] == name]) for name in (row, other))
    interval = intervals.interval_of_difference(ours, theirs)
    difference = round(float(np.mean(ours - theirs)), DIGITS)
    return claim(f"J of {row} is below that of {other}", "below", 0.0, difference, "", interval)
