"""Figures 5, 7 and 8 of Paka and Khatter: pictures and curves of the trained codec next to other codecs."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import cv2
import numpy as np

from common import evaluate, metrics
from common.classical import codecs, operating_points
from common.classical.codecs import Family
from common.data import Picture
from common.tables import figures, networks
from common.tables.command import Options
from common.tables.document import Reproduction
from common.tables.figures import Line
from common.tables.numbers import DIGITS
from papers.paka_autoencoder import config
from papers.paka_autoencoder.reproduction.published_codecs import (
    CODECS,
    PROPOSED,
    SETTINGS,
    family_of,
    printed,
    stand_in,
)
from papers.paka_autoencoder.reproduction.table1 import (
    BITS,
    LOOK,
    lowest,
    test_pictures,
)

CROP = 250  # pixels a side
FEW_BITS = 2
SAME_BPP = 1.0
PER_ROW = 4
STEP = 5  # dB: to what the axes of Fig. 8 are rounded


# --- Figure 5 ------------------------------------------------------------------------------------------------------


def figure5(options: Options) -> Reproduction:
    """Return every test picture and its reconstruction at half their size, with the PSNR at full size."""
    reproduction, codec, pictures = _begun(options)
    if codec is None:
        return reproduction
    cells = []
    for row, (name, picture) in zip(options.rows, pictures, strict=False):
        given = codec.reconstruct(picture)
        psnr = round(metrics.psnr(picture, given), DIGITS)
        reproduction.values[row] = {"Reconstructed": psnr}
        coded = evaluate.measure(codec.with_settings(bits=BITS.default), picture, PROPOSED, ())
        caption = [f"reconstructed without coding, {psnr:.2f} dB"]
        caption.append(f"coded in {BITS.default} bits a value, {coded.bpp:.2f} bpp, {coded.psnr:.2f} dB")
        cells += [(_original(reproduction, name), _half(picture)), (caption, _half(given))]
    rows = [cells[i : i + PER_ROW] for i in range(0, len(cells), PER_ROW)]
    title = "Test pictures and what the autoencoder gives back, at half their size"
    reproduction.figures = {"": figures.picture_grid(rows, title, _basis(reproduction, options))}
    return _without_stand_ins(reproduction, options.rows, pictures)


def _original(reproduction: Reproduction, name: str) -> list[str]:
    """Return the caption of a test picture: a portrait is squashed to the one size that the paper has."""
    squashed = name in reproduction.provenance["test_set"].get("squashed", ())
    return [f"{name}, original", *(["a portrait, squashed to landscape"] if squashed else [])]


def _basis(reproduction: Reproduction, options: Options) -> figures.Basis:
    return figures.basis_of(options.scale, reproduction.provenance["test_set"])


def _begun(options: Options, wanted: Sequence[str] = config.TEST_PICTURES) -> tuple[Reproduction, Any, list[Picture]]:
    """Return a reproduction that knows its pictures and network, the codec and the pictures.

    Without weights the codec is None, and the reproduction says how to train them.
    """
    pictures, test_set, note = test_pictures(options, wanted)
    reproduction, codec = networks.begun(options, config.AUTOENCODER, test_set, note, PROPOSED)
    return reproduction, codec, pictures


def _without_stand_ins(reproduction: Reproduction, rows: Iterable[str], pictures: Sequence[Picture]) -> Reproduction:
    """Take out the values of rows whose picture is another one: those are in the figure alone, under their names."""
    for row, (name, _) in zip(rows, pictures, strict=False):
        if row != name:
            del reproduction.values[row]
            reproduction.missing[row] = f"{name} stands in for it, in the figure alone."
    kept = {
        title: {row: v for row, v in of.items() if row in reproduction.values}
        for title, of in reproduction.further.items()
    }
    reproduction.further = {title: of for title, of in kept.items() if of}
    return reproduction


def _half(picture: np.ndarray) -> np.ndarray:
    height, width = picture.shape[:2]
    return cv2.resize(picture, (width // 2, height // 2), interpolation=cv2.INTER_AREA)


# --- Figure 7 ------------------------------------------------------------------------------------------------------


def figure7(options: Options) -> Reproduction:
    """Return parts of test pictures by the proposed codec and by others at its PSNR; rate and PSNR are of the whole."""
    reproduction, codec, pictures = _begun(options, tuple(options.rows))
    if codec is None:
        return reproduction
    rows = []
    for row, (name, picture) in zip(options.rows, pictures, strict=False):
        eight = evaluate.measure(codec.with_settings(bits=BITS.default), picture, PROPOSED, ())
        reproduction.values[row] = {PROPOSED: round(eight.psnr, DIGITS)}
        cells: list[figures.Cell] = [(_original(reproduction, name), _centre(picture))]
        for bits in (BITS.default, FEW_BITS):
            cells.append(_cell(f"proposed, {bits} bits a value", codec.with_settings(bits=bits), picture))
        for column in CODECS:
            family = family_of(column)
            setting, measured = operating_points.setting_for_psnr(family, picture, eight.psnr)
            reproduction.values[row][column] = round(measured.psnr, DIGITS)
            named = f"{family.name}, {SETTINGS[family.name]}"
            reproduction.further.setdefault(named.format("n"), {})[row] = setting
            reproduction.further.setdefault(f"{family.name}, bpp", {})[row] = round(measured.bpp, 4)
            cells.append(_cell(named.format(setting), family.make(setting), picture))
            if family.name == codecs.JPEG_OPTIMISED:
                rate = evaluate.rate(codecs.Jpeg(setting), picture)
                reproduction.further.setdefault("JPEG, standard tables, bpp", {})[row] = round(rate, 4)
        reproduction.further.setdefault(f"proposed, {BITS.default} bits, bpp", {})[row] = round(eight.bpp, 4)
        rows.append(cells)
    title = f"The middle {CROP}x{CROP} pixels. The other codecs have the PSNR of {BITS.default} bits a value; "
    title += "rates and PSNR are those of the whole pictures"
    reproduction.figures = {"": figures.picture_grid(rows, title, _basis(reproduction, options))}
    reproduction.notes += stand_in()
    return _without_stand_ins(reproduction, options.rows, pictures)


def _cell(name: str, codec: Any, picture: np.ndarray) -> tuple[list[str], np.ndarray]:
    """Return caption and middle of what a codec makes of a uint8 picture."""
    measured, decoded = evaluate.round_trip(codec, picture, name, ())
    return [name, f"{measured.bpp:.2f} bpp, {measured.psnr:.2f} dB"], _centre(decoded)


def _centre(picture: np.ndarray) -> np.ndarray:
    top, left = ((side - CROP) // 2 for side in picture.shape[:2])
    return picture[top : top + CROP, left : left + CROP]


# --- Figure 8 ------------------------------------------------------------------------------------------------------


def figure8(options: Options) -> Reproduction:
    """Return Table 1 as curves over pictures: as printed, and of our test pictures with correctly measured codecs."""
    reproduction, codec, pictures = _begun(options)
    worst = []
    for row, (_, picture) in zip(options.rows, pictures, strict=False):
        worst.append(lowest(picture))
        reproduction.values[row] = {column: _at_same_rate(family_of(column), picture) for column in CODECS}
        standard = reproduction.further.setdefault(f"JPEG, standard tables, {SAME_BPP:g} bpp", {})
        standard[row] = _at_same_rate(codecs.family(codecs.JPEG), picture)
        if codec:
            reproduction.values[row][PROPOSED] = round(metrics.psnr(picture, codec.reconstruct(picture)), DIGITS)
    reproduction.figures = _curves(
        list(options.rows), _here(reproduction, pictures, worst), _basis(reproduction, options)
    )
    reproduction.notes.append(
        f"JPEG with optimised Huffman tables, JPEG2000 and {family_of('BPG').name} have the finest setting of at most "
        f"{SAME_BPP:g} bpp. Proposed is the network's output without coding; Table 1 has the bits that its code takes."
    )
    reproduction.notes += stand_in()
    return reproduction


def _at_same_rate(family: Family, picture: np.ndarray) -> float:
    return round(operating_points.setting_for_bpp(family, picture, SAME_BPP)[1].psnr, DIGITS)


def _curves(rows: Sequence[str], here: Sequence[Line], basis: figures.Basis) -> dict[str, Any]:
    """Draw what is printed and what is measured here on the same axis of PSNR."""
    as_printed = [
        Line(column, rows, printed(column), codec=LOOK if column == PROPOSED else "") for column in (PROPOSED, *CODECS)
    ]
    levels = [value for line in (*as_printed, *here) for value in line.y if value is not None]
    ends = STEP * math.floor(min(levels) / STEP), STEP * math.ceil(max(levels) / STEP)
    note = "Lines join the values of one codec on different pictures, as in the paper's figure."
    told = figures.Basis("of the paper's own training", "its seven pictures, in an order that it does not tell")
    shown = {
        "": (as_printed, "image", "As printed", told),
        "here": (here, "test picture", "Our test pictures, each compared with itself", basis),
    }
    return {
        suffix: figures.line_plot(lines, label, "PSNR (dB)", title, of, y_limits=ends, note=note)
        for suffix, (lines, label, title, of) in shown.items()
    }


def _here(reproduction: Reproduction, pictures: Sequence[Picture], worst: Sequence[dict[str, float]]) -> list[Line]:
    """Return the curves over our test pictures."""
    names = [name for name, _ in pictures]
    values = list(reproduction.values.values())
    lines = []
    if all(PROPOSED in row_values for row_values in values):
        lines.append(Line("Proposed, not coded", names, [row_values[PROPOSED] for row_values in values], codec=LOOK))
    for column in CODECS:
        name = family_of(column).name
        lines.append(Line(f"{name}, {SAME_BPP:g} bpp", names, [row_values[column] for row_values in values]))
    for column in CODECS:
        name = family_of(column).name
        lines.append(Line(f"{name}, coarsest", names, [row_values[f"{column}_lowest"] for row_values in worst]))
    return lines
