"""Table 1 of Paka and Khatter: the trained codec on seven test pictures, next to codecs that are measured correctly."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from common import data, evaluate, metrics
from common.classical import codecs, operating_points
from common.config import Setting
from common.data import Picture
from common.errors import RelicError
from common.tables import figures, measure, networks, published
from common.tables import test_pictures as table_pictures
from common.tables.command import Options
from common.tables.document import EXACT_SCALE, Reproduction, claim
from common.tables.figures import REFERENCE, Basis, Line
from common.tables.numbers import DIGITS, rounded
from papers.paka_autoencoder import config
from papers.paka_autoencoder.config import TEST_PICTURES
from papers.paka_autoencoder.pictures import resized, rgb_to_ycbcr
from papers.paka_autoencoder.reproduction.audit_mismatch import code
from papers.paka_autoencoder.reproduction.published_codecs import (
    CODECS,
    PROPOSED,
    SETTINGS,
    TABLE1,
    family_of,
    printed,
    printed_range,
    stand_in,
)

UNCODED_BPP = 24
BITS: Setting = config.CODING["bits"]
LOOK = "Paka, autoencoder"  # in common.tables.looks
CURVE_STEP = 3  # every third setting of a codec's grid is enough for a mean curve
MEAN = "mean"
UNKNOWN_ORDER = "The paper does not say which picture has which number: only the mean over the seven can be compared."


# --- pictures and networks -----------------------------------------------------------------------------------------


def test_pictures(options: Options, wanted: Sequence[str] = TEST_PICTURES) -> tuple[list[Picture], dict[str, Any], str]:
    """Return test pictures as (name, uint8 512x768x3), `{name, pictures, digest}`, and a note on stand-ins.

    Where the folder or stand-in has none of the wanted ones, its first are taken. Portraits, which are squashed, are
    `squashed` of the second.
    """
    everything = dataclasses.replace(options, images=None)
    named, about, note = table_pictures.pictures_of(everything, published.load(options.table))
    ours = [(name, image) for name, image in named if name in wanted]
    stored = (ours or named)[: options.images or len(wanted)]
    chosen = [(name, resized(image)) for name, image in stored]
    used = {"name": about["name"], "pictures": len(chosen), "digest": data.pixel_digest(chosen)}
    portraits = [name for name, image in stored if image.shape[0] > image.shape[1]]
    return chosen, {**used, **({"squashed": portraits} if portraits else {})}, note


# --- measuring -----------------------------------------------------------------------------------------------------


def reproduce(options: Options) -> Reproduction:
    """Measure the proposed codec and the others on the test pictures, one for each row."""
    pictures, test_set, note = test_pictures(options)
    codec, about = networks.one_codec(config.AUTOENCODER, options)
    reproduction = Reproduction(notes=[note] if note else [])
    for row, (name, picture) in zip(options.rows, pictures, strict=False):
        entry: dict[str, Any] = {"row": row, "seed": 0, "picture": name, **lowest(picture)}
        if codec:
            entry.update(proposed(codec, picture))
            entry.update(matching(picture, entry["psnr_uncoded"]))
        reproduction.pictures.append(entry)
        reproduction.values[row] = cells(entry)
    reproduction.missing = dict.fromkeys(list(options.rows)[len(pictures) :], "Fewer pictures were asked for.")
    reproduction.further = further(reproduction.pictures)
    lines = curves(codec, pictures)
    reproduction.notes += (
        [*notes(reproduction.pictures), by_bits(lines[-1])]
        if codec
        else [networks.how_to_train(config.AUTOENCODER, options.scale)]
    )
    reproduction.claims = claims(reproduction.pictures) if codec else []
    reproduction.figures = {"": drawn(lines, figures.basis_of(options.scale, test_set))}
    reproduction.provenance = {"test_set": test_set, "networks": {PROPOSED: about} if about else {}}
    reproduction.provenance["obstacles"] = obstacles(options.scale, test_set["name"])
    return reproduction


def cells(entry: Mapping[str, Any]) -> dict[str, float]:
    """Return the row of Table 1 for one picture's measurement."""
    values = {column: entry[f"{column}_lowest"] for column in CODECS}
    return {PROPOSED: entry["psnr_uncoded"], **values} if "psnr_uncoded" in entry else values


def obstacles(scale: str, test_set: str) -> dict[str, str]:
    """Return what forbids to compare a column's rows; nothing does for the worst that a codec can give of Kodak."""
    shortened = "" if scale in (EXACT_SCALE, "paper") else f" Scale {scale} shortens the training."
    worst = dict.fromkeys(CODECS, "") if test_set == published.load(TABLE1).test_set else {}
    return {PROPOSED: UNKNOWN_ORDER + shortened, **worst}


def proposed(codec: Any, picture: np.ndarray) -> dict[str, Any]:
    """Return what the network gives back of a uint8 picture without coding, as the paper measures, and in 8 bits."""
    entry = measure.fields(evaluate.measure(codec.with_settings(bits=BITS.default), picture, PROPOSED))
    given = codec.reconstruct(picture)
    entry["psnr_uncoded"] = metrics.psnr(picture, given)
    error = np.mean(np.square(rgb_to_ycbcr(picture) - rgb_to_ycbcr(given)), dtype=np.float64)
    entry["psnr_ycbcr"] = -10 * float(np.log10(error))
    entry["huffman_bpp"] = metrics.bits_per_pixel(codec.huffman_bytes(picture), *picture.shape[:2])
    return rounded(entry)


def lowest(picture: np.ndarray) -> dict[str, float]:
    """Return the PSNR of each column's codec at its coarsest setting for a uint8 picture, in dB."""
    levels = {}
    for column in CODECS:
        family = family_of(column)
        coarsest = evaluate.measure(family.make(family.settings[0]), picture, family.name, ())
        levels[f"{column}_lowest"] = round(coarsest.psnr, DIGITS)
    return levels


def matching(picture: np.ndarray, psnr: float) -> dict[str, Any]:
    """Return the coarsest setting of each column's codec that reaches a PSNR for a uint8 picture, and its rate.

    `standard_bpp` is the rate of JPEG's same pixels with the standard's Huffman tables.
    """
    settings: dict[str, Any] = {}
    for column in CODECS:
        try:
            setting, measured = operating_points.setting_for_psnr(family_of(column), picture, psnr)
        except RelicError:  # not even its finest setting does
            continue
        settings.update({f"{column}_setting": setting, f"{column}_bpp": round(measured.bpp, DIGITS)})
    if "JPEG_setting" in settings:
        settings["standard_bpp"] = round(evaluate.rate(codecs.Jpeg(settings["JPEG_setting"]), picture), DIGITS)
    return settings


# --- what it says --------------------------------------------------------------------------------------------------


def further(entries: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return what the paper does not print, by column and row, with means."""
    names = {"picture": "picture", "PSNR in 8 bits": "psnr", "PSNR in YCbCr": "psnr_ycbcr"}
    names.update({"bpp in 8 bits": "bpp", "bpp by Huffman": "huffman_bpp"})
    for column in CODECS:
        name = family_of(column).name
        setting = f"{name} for that PSNR, {SETTINGS[name].format('n')}"
        names.update({setting: f"{column}_setting", f"bpp of {name}": f"{column}_bpp"})
    names["bpp of JPEG, standard tables"] = "standard_bpp"
    columns = {}
    for title, key in names.items():
        values = {entry["row"]: entry[key] for entry in entries if key in entry}
        if values and key != "picture":
            values[MEAN] = float(np.mean(list(values.values())))
        columns[title] = values
    return {title: values for title, values in columns.items() if values}


def mean(entries: Sequence[Mapping[str, Any]], key: str) -> float:
    """Return the mean of a field over the measured pictures."""
    return float(np.mean([entry[key] for entry in entries]))


def claims(entries: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return what the paper says of its codec against the others and of compression, judged."""
    target = float(np.mean(printed(PROPOSED)))
    reached = mean(entries, "psnr_uncoded")
    judged = [claim("The proposed codec reaches the mean that is printed, dB", "above", target, reached)]
    better = "Proposed is better than {} on every picture: pictures of which it needs fewer bits at its PSNR"
    for column in CODECS:
        costs = [entry.get(f"{column}_bpp", math.inf) for entry in entries]
        won = sum(entry["bpp"] < cost for entry, cost in zip(entries, costs, strict=True))
        note = f"{family_of(column).name} reaches the proposed PSNR at {np.mean(costs):.2f} bpp."
        judged.append(claim(better.format(column), "equals", len(entries), won, note))
    for text, key in (("The codec compresses", "bpp"), ("It does with Huffman coding", "huffman_bpp")):
        judged.append(claim(f"{text}: bpp in {BITS.default} bits a value", "below", UNCODED_BPP, mean(entries, key)))
    return judged


def notes(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what the rows and columns are."""
    best = printed_range()[1]
    worst = min(entry[f"{column}_lowest"] for entry in entries for column in CODECS)
    density = config.AUTOENCODER.code_channels // config.AUTOENCODER.stride**2
    return [
        "Proposed: the network's output without coding its code, as the paper measures. Its mean over "
        f"{len(entries)} pictures is {mean(entries, 'psnr_uncoded'):.2f} dB, the printed one "
        f"{np.mean(printed(PROPOSED)):.2f} dB.",
        "JPEG, JPEG2000, BPG: the lowest PSNR that the codec can give of the row's picture, at its coarsest setting. "
        f"The lowest of all is {worst:.2f} dB, the highest that is printed {best:.2f} dB: no setting has given the "
        "printed values. Comparing with wrong pictures does, see the audit.",
        *stand_in(),
        f"An uncoded picture has {UNCODED_BPP} bpp. The code has {density} values a pixel: {density * BITS.default} "
        f"bpp in {BITS.default} bits each without a coder, {density * 32} bpp as float32.",
    ]


def curves(codec: Any, pictures: Sequence[Picture]) -> list[Line]:
    """Return mean PSNR over mean rate of every codec here, and last of the proposed one in 1 to 8 bits a value."""
    images = [image for _, image in pictures]
    lines = [mean_curve(f.name, [f.make(s) for s in f.grid[::CURVE_STEP]], images) for f in codecs.available()]
    if codec:
        steps = [codec.with_settings(bits=bits) for bits in range(BITS.smallest, BITS.largest + 1)]
        own = mean_curve(f"Proposed, {BITS.smallest} to {BITS.largest} bits a value", steps, images)
        lines.append(dataclasses.replace(own, codec=LOOK))
    return lines


def by_bits(line: Line) -> str:
    """Say what the proposed codec takes and gives with few and many bits a value, from its curve."""
    steps = ", ".join(f"{bpp:.1f} bpp and {level:.1f} dB" for bpp, level in zip(line.x, line.y, strict=True))
    return f"Proposed in {BITS.smallest} to {BITS.largest} bits a value, range-coded, means: {steps}."


def drawn(lines: Sequence[Line], basis: Basis) -> Any:
    """Return the figure of mean curves, with the means that are printed."""
    ends = [min(line.x[0] for line in lines), max(line.x[-1] for line in lines)]
    others = [value for column in CODECS for value in printed(column)]
    levels = {f"Printed mean of {PROPOSED}": printed(PROPOSED), f"Printed mean of {', '.join(CODECS)}": others}
    means = [Line(label, ends, [float(np.mean(values))] * 2, REFERENCE) for label, values in levels.items()]
    title = f"Means over the test pictures; an uncoded picture has {UNCODED_BPP} bits per pixel"
    note = "Lines without points are printed, without a rate."
    return figures.rate_distortion({"PSNR (dB)": [*lines, *means]}, title, basis, log_x=True, note=note)


def mean_curve(label: str, steps: Sequence[Any], pictures: Sequence[np.ndarray]) -> Line:
    """Return the mean PSNR over the mean rate of some codecs on uint8 pictures."""
    coded = [code(step, pictures) for step in steps]
    return Line(label, [setting.bpp for setting in coded], [float(np.mean(setting.psnr)) for setting in coded])
