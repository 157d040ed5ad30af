"""Figure 2 of Zhao et al.: quality over rate of the proposed codec and others, on Set12 and classic5.

What is measured are points: `{test set: {picture: {curve: points}}}`. All that is said and drawn follows from them
alone, and they stand, rounded, in the document's provenance; `read_points` takes them from there.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from common import data, metrics
from common.classical.codecs import JPEG, JPEG_OPTIMISED
from common.config import find_preset
from common.errors import RelicError
from common.tables import figures, networks, published
from common.tables import measure as measure_module
from common.tables import test_pictures as table_pictures
from common.tables.command import Options
from common.tables.document import Document, Reproduction, claim
from common.tables.numbers import DIGITS
from papers.zhao_mixedres import codec as codec_module
from papers.zhao_mixedres import complexity, config
from papers.zhao_mixedres.patches import grey
from papers.zhao_mixedres.reproduction import comparators, figure2_curves, points
from papers.zhao_mixedres.reproduction.figure2_curves import (
    ANCHOR,
    BD_PSNR,
    EXTENDED,
    FULL,
    LOW,
    PRESETS,
    PROPOSED,
    PSNR,
    SSIM,
    Curves,
)
from papers.zhao_mixedres.reproduction.points import Point

TABLE = "zhao_mixedres/figure2"
SET12, CLASSIC5 = "set12", "classic5"
# The pictures of Set12, 01.png to 12.png.
NAMES = [
    "cameraman",
    "house",
    "peppers",
    "starfish",
    "monarch",
    "airplane",
    "parrot",
    "lena",
    "barbara",
    "boat",
    "man",
    "couple",
]
EXTENSIONS = {config.LOW[-1]: points.ABOVE_LOW, config.FULL[0]: points.BELOW_FULL}

ENVELOPE = "BD values are of the upper envelope of both resolutions."

Measured = dict[str, dict[str, Curves]]
PicturesBySet = dict[str, dict[str, np.ndarray]]


def reproduce(options: Options) -> Reproduction:
    """Measure all curves on both test sets, draw and judge them."""
    pictures, test_set, missing_sets = test_pictures(options)
    measured, networks, without = measure(options, pictures)
    reproduction = judged(measured, options.rows)
    reproduction.notes = [*missing_sets, *not_run(without, options.scale), *reproduction.notes]
    reproduction.figures = drawn(measured, options.rows, options.scale)
    reproduction.provenance = {"test_set": test_set, "networks": networks, "points": as_plain(measured)}
    return reproduction


# --- test pictures -------------------------------------------------------------------------------------------------


def test_pictures(options: Options) -> tuple[PicturesBySet, dict[str, Any], list[str]]:
    """Return grey pictures by test set and name, `{name, pictures, digest}` of the first set, and what is missing."""
    named, about, note = table_pictures.pictures_of(options, published.load(options.table))
    names = {f"{i:02d}": name for i, name in enumerate(NAMES, 1)} if about["name"] == SET12 else {}
    pictures = {about["name"]: {names.get(stem, stem): grey(image) for stem, image in named}}
    notes = [note] if note else []
    if options.data is None:
        limit = options.images or (table_pictures.SMOKE_IMAGES if options.scale == "smoke" else None)
        try:
            pictures[CLASSIC5] = {stem: grey(image) for stem, image in data.images(CLASSIC5, limit)}
        except RelicError as error:
            notes.append(f"Nothing is measured on {CLASSIC5}: {error}")
    return pictures, about, notes


# --- measuring -----------------------------------------------------------------------------------------------------


def measure(options: Options, pictures: PicturesBySet) -> tuple[Measured, dict[str, Any], list[str]]:
    """Return points of JPEG, the comparators and the networks that have weights, what made them, and who has none.

    Each network is loaded once, of the first seed. Only scale smoke trains what is missing.
    """
    seeds = {preset: _first_seed(options, preset) for presets in PRESETS.values() for preset in presets}
    measured: Measured = {name: {picture: {} for picture in members} for name, members in pictures.items()}
    everything = [(measured[name][picture], x) for name, members in pictures.items() for picture, x in members.items()]
    named = [(curves, pictures[SET12][name]) for name, curves in row_curves(measured, options.rows).items()]
    made_by = {}
    with measure_module.progress(len(everything) * (len(_classical()) + sum(map(len, seeds.values())))) as bar:
        for label, curve_of in _classical().items():
            for curves, x in everything:
                curves[label] = curve_of(x)
                bar.update()
        for label, preset in ((label, each) for label, presets in PRESETS.items() for each in presets if seeds[each]):
            bar.set_description(preset)
            codec = codec_module.load(preset, options.scale, *seeds[preset])
            made_by[preset] = networks.made_by(find_preset(config, preset), options.scale, seeds[preset])
            for curves, x in everything:
                curves.setdefault(label, []).append(points.measure(codec, x, codec.config.quality))
                bar.update()
            for curves, x in named:
                further = [points.measure(codec.with_settings(quality=q), x, q) for q in EXTENSIONS.get(preset, ())]
                curves.setdefault(f"{label}, {EXTENDED}", []).extend(further)
    return _mapped(measured, _as_held), made_by, [preset for preset in seeds if not seeds[preset]]


def _first_seed(options: Options, preset: str) -> list[int]:
    return networks.seeds_of(find_preset(config, preset), options.scale, options.seeds)[:1]


def _classical() -> dict[str, Callable[[np.ndarray], list[Point]]]:
    """Return what gives the points of JPEG, and of JPEG and each comparator, for a picture."""

    def improved(comparator: comparators.Comparator, x: np.ndarray) -> list[Point]:
        return [points.measure(comparators.Improved(comparator, q), x, q) for q in comparators.QUALITIES]

    there = {name: functools.partial(improved, each) for name, each in comparators.COMPARATORS.items()}
    return {JPEG: points.jpeg, JPEG_OPTIMISED: functools.partial(points.jpeg, optimised=True), **there}


def row_curves(measured: Measured, rows: Mapping[str, Any]) -> dict[str, Curves]:
    """Return the curves of the figure's pictures, of those that are here."""
    there = measured.get(SET12, {})
    return {row: there[row] for row in rows if row in there}


# --- points in documents -------------------------------------------------------------------------------------------


def _mapped(measured: Any, of_curve: Callable[[Any], Any]) -> Any:
    return {
        name: {picture: {label: of_curve(c) for label, c in curves.items()} for picture, curves in members.items()}
        for name, members in measured.items()
    }


def _as_held(curve: Sequence[Point]) -> list[Point]:
    """Return points rounded; lossless ones, which have no PSNR, are left out."""
    return [figure2_curves.rounded(point) for point in curve if math.isfinite(point.psnr)]


def as_plain(measured: Measured) -> dict[str, Any]:
    """Return points as json holds them: `{test set: {picture: {curve: {field: values}}}}`."""
    fields = [field.name for field in dataclasses.fields(Point)]
    return _mapped(measured, lambda curve: {name: [getattr(point, name) for point in curve] for name in fields})


def read_points(document: Document) -> Measured:
    """Return the points that a document was judged from."""

    def curve(values: Mapping[str, Sequence[Any]]) -> list[Point]:
        return [Point(**dict(zip(values, numbers, strict=True))) for numbers in zip(*values.values(), strict=True)]

    return _mapped(document["provenance"]["points"], curve)


# --- what it shows -------------------------------------------------------------------------------------------------


def drawn(measured: Measured, rows: Mapping[str, Any], scale: str) -> dict[str, Any]:
    """Return the figures: the named pictures (the first ones of a set that stands in), then the mean of each set."""
    name, first = next(iter(measured.items()))
    named = row_curves(measured, rows) or dict(list(first.items())[: len(rows)])
    panels = {f"PSNR of {n} (dB)": figure2_curves.lines(named[n], PSNR) for n in named}
    basis = figures.basis_of(scale, {"name": name, "pictures": len(named)})
    drawings = {"": figures.rate_distortion(panels, "PSNR over rate", basis, columns=2, same_axes=True, note=ENVELOPE)}
    sets = {picture: (curves, name, 1) for picture, curves in named.items()}
    sets.update({f"mean_{name}": (means_of(of), name, len(of)) for name, of in measured.items()})
    for title, (curves, test_set, count) in sets.items():
        panels = {y_label: figure2_curves.lines(curves, quality) for quality, y_label in points.Y_LABELS.items()}
        basis = figures.basis_of(scale, {"name": test_set, "pictures": count})
        drawings[title] = figures.rate_distortion(panels, _title(title), basis, note=ENVELOPE)
    return drawings


def _title(name: str) -> str:
    """Return the title of a picture's figure or of a mean's."""
    return "Mean of the pictures" if name.startswith("mean_") else name


def means_of(members: Mapping[str, Curves]) -> Curves:
    """Return the mean curves of a test set."""
    return figure2_curves.mean_curves(list(members.values()))


def judged(measured: Measured, rows: Mapping[str, Any]) -> Reproduction:
    """Return cells, further columns, claims and notes, which all follow from the points."""
    named, everything = row_curves(measured, rows), all_curves(measured)
    reproduction, methods = Reproduction(), published.load(TABLE).columns
    for row, curves in everything.items():
        numbers = figure2_curves.further(curves)
        for column, value in numbers.items():
            reproduction.further.setdefault(column, {})[row] = value
        if row in named:
            columns = {method: f"{method}, {BD_PSNR}" for method in methods}
            reproduction.values[row] = {method: numbers[name] for method, name in columns.items() if name in numbers}
    reason = "fewer pictures were asked for." if SET12 in measured else f"{SET12} is not here."
    reproduction.missing = {row: reason.capitalize() for row in rows if row not in named}
    reproduction.claims = claims(measured, rows)
    reproduction.notes = [*notes(), *without_value(everything)]
    if reproduction.missing:
        reproduction.notes.insert(0, f"{', '.join(reproduction.missing)}: not measured, as {reason}")
    return reproduction


def all_curves(measured: Measured) -> dict[str, Curves]:
    """Return the curves of every picture, those of the second set by set and name, and of the means."""
    first = next(iter(measured))
    curves = {}
    for name, members in measured.items():
        curves.update({picture if name == first else f"{name} {picture}": c for picture, c in members.items()})
    return {**curves, **{f"mean of {name}": means_of(members) for name, members in measured.items()}}


# --- claims and notes ----------------------------------------------------------------------------------------------


def claims(measured: Measured, rows: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what the figure shows of the proposed codec next to JPEG, and of its two resolutions, judged."""
    named, first = row_curves(measured, rows), next(iter(measured.values()))
    judgements = [judgement for name, curves in named.items() for judgement in low_rate_claim(name, curves)]
    for quality in (PSNR, SSIM):
        proposed = [figure2_curves.envelope(curves, PROPOSED, quality) for curves in first.values()]
        least = [
            figure2_curves.least_gain(c[ANCHOR], ours, quality)
            for c, ours in zip(first.values(), proposed, strict=True)
        ]
        won = sum(value is not None and value > 0 for value in least)
        text = f"{quality.upper()} of {PROPOSED} is above JPEG's at every rate that both have: pictures"
        judgements += [claim(text, "equals", len(least), won)] if any(proposed) else []
    meeting = {name: curves for name, curves in named.items() if figure2_curves.share_rates(curves, PROPOSED)}
    return [*judgements, crossing_claim(meeting)] if meeting else judgements


def crossing_claim(named: Mapping[str, Curves]) -> dict[str, Any]:
    """Judge whether low resolution is better up to a certain rate and full from there on, where both share rates."""
    both = {name: figure2_curves.resolutions(curves, PROPOSED) for name, curves in named.items()}
    rates = {name: points.crossing(low, full) for name, (low, full) in both.items()}
    known = [rate for rate in rates.values() if rate is not None]
    never = [name for name, (low, full) in both.items() if (figure2_curves.least_gain(low, full) or 0) > 0]
    note = f"From {min(known):.2f} to {max(known):.2f} bpp on." if known else ""
    note += f" At all rates that both have full is better on {', '.join(never)}." if never else ""
    text = f"{LOW.capitalize()} is better up to a certain rate and full from there on: pictures of the figure"
    return claim(text, "equals", len(named), len(known), note.strip())


def low_rate_claim(name: str, curves: Curves) -> list[dict[str, Any]]:
    """Judge whether Proposed is above JPEG at the rates of its files in low resolution, if there are such."""
    proposed, jpeg = figure2_curves.envelope(curves, PROPOSED), curves[ANCHOR]
    rates = [point.bpp for point in curves.get(f"{PROPOSED}, {LOW}", [])]
    levels = [points.at_rate(proposed, bpp) for bpp in rates]
    over = [
        figure2_curves.gain(jpeg, bpp, level) for bpp, level in zip(rates, levels, strict=True) if level is not None
    ]
    least = min((each for each in over if each is not None), default=None)
    if least is None:
        return []
    lowest = figure2_curves.smallest_file(jpeg).bpp
    below = sum(bpp < lowest for bpp in rates)
    note = f"{below} of {len(rates)} rates are below JPEG's lowest, {lowest:.3f} bpp." if below else ""
    text = f"{PROPOSED} is above JPEG at the rates of its files in {LOW}, {name}: least gain, dB"
    return [claim(text, "above", 0.0, round(least, DIGITS), note)]


def notes() -> list[str]:
    """Return what the numbers are, and which methods are not here."""
    absent = [name for name in comparators.NAMES if name not in comparators.COMPARATORS]
    extended = [f"{preset} at {', '.join(map(str, qualities))}" for preset, qualities in EXTENSIONS.items()]
    coarsest, *_, finest = points.JPEG_QUALITIES
    return [
        *([f"{', '.join(absent)}: not run, as they are not implemented here."] if absent else []),
        f"{LOW.capitalize()} by itself has {len(config.LOW)} points. A BD value needs {metrics.BD_POINTS}.",
        "JPEG is that with optimised Huffman tables, the stronger one, which all files of networks and comparators "
        "have too; with the standard's tables, as papers use it, it is drawn and named beside. BD values are "
        "interpolated by piecewise cubic Hermite polynomials (pchip).",
        f"JPEG has qualities {coarsest} to {finest}. Where {PROPOSED} takes fewer bits than JPEG's smallest file, it "
        "is compared with that file, which has more.",
        f"Where {FULL} becomes better: on the pictures of the figure the curves of {PROPOSED} are extended for this "
        f"alone by networks at qualities that they were not trained for, {' and '.join(extended)}.",
    ]


def without_value(everything: Mapping[str, Curves]) -> list[str]:
    """Say which BD values there are not, and why."""
    rows: dict[tuple[str, str], list[str]] = {}
    for row, curves in everything.items():
        for column, value in figure2_curves.bd_changes(curves).items():
            if isinstance(value, str):
                rows.setdefault((column, value), []).append(row)
    return [
        f"{column}: no value for {'any picture' if len(those) == len(everything) else ', '.join(those)}, as {reason}."
        for (column, reason), those in rows.items()
    ]


def not_run(presets: Sequence[str], scale: str) -> list[str]:
    """Say which networks have no weights, which command trains them, and how many operations all of them take."""
    if not presets:
        return []
    flops = sum(complexity.training_flops(find_preset(config, preset), scale) for preset in presets)
    command = f"relic train zhao_mixedres/{presets[0]} --scale {scale}"
    others = ", and likewise the others" if len(presets) > 1 else ""
    return [
        f"No weights at scale {scale}: {', '.join(presets)}. `{command}` trains {presets[0]}{others} "
        f"({flops:.1e} FLOP in all)."
    ]
