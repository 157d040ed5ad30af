"""All drawing of the suite, by matplotlib: curves, distributions and pictures side by side.

Every function returns a `matplotlib.figure.Figure`; `save` writes it, and the same figure always gives the same bytes.
Below every title stands what the values are of, a `Basis`. How a codec looks is in `common.tables.looks`.
"""

import io
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from common.tables.axes import (
    CURVE,
    HOW_JOINED,
    NETWORKS,
    POINTS,
    RATE,
    REFERENCE,
    THIN,
    WIDTH,
    Basis,
    Figure,
    Limits,
    Line,
    basis_of,
    draw_lines,
    grid_of_axes,
    inside,
    limit,
    looks_of_lines,
    make_logarithmic,
    marker,
    name_rows,
    new_figure,
    outside,
    set_legend,
    share_range,
    styled,
)
from common.tables.document import EXACT_SCALE
from common.tables.looks import BLACK, COLOURS, look_of, looks_of
from common.tables.picture_grids import Cell, picture_grid

__all__ = [
    "CURVE",
    "EXACT_SCALE",
    "NETWORKS",
    "POINTS",
    "REFERENCE",
    "Basis",
    "Cell",
    "Figure",
    "Limits",
    "Line",
    "basis_of",
    "histogram",
    "line_plot",
    "panels",
    "picture_grid",
    "rate_distortion",
    "save",
    "small_png",
    "strips",
]


def line_plot(
    lines: Sequence[Line],
    x_label: str,
    y_label: str,
    title: str,
    basis: Basis,
    *,
    log_y: bool = False,
    y_limits: Limits | None = None,
    note: str = "",
) -> Figure:
    """Draw curves over a common axis; labels name quantity and unit, and a `note` stands below the axes."""
    return panels({y_label: lines}, x_label, title, basis, log_y=log_y, y_limits=y_limits, note=note)


def rate_distortion(
    panels: Mapping[str, Sequence[Line]],
    title: str,
    basis: Basis,
    *,
    log_x: bool = False,
    columns: int | None = None,
    limits: Limits | None = None,
    closer: Limits | None = None,
    same_axes: bool = False,
    note: str = "",
) -> Figure:
    """Draw quality over rate, one panel for each y label (quantity and unit); a label looks the same in all panels.

    Line.x are bits per pixel; a curve of one point is a marker. The panels stand in rows of so many columns, by default
    all in one row. `limits` are the rates that are shown: a note names what lies outside. A second row of panels shows
    the rates of `closer` alone, on a linear axis. How points are joined is a note, too.
    """
    said = [note]
    if limits:
        said.append(outside(next(iter(panels.values())), limits))
        panels = {y_label: inside(lines, limits) for y_label, lines in panels.items()}
    kinds = {line.kind for lines in panels.values() for line in lines if len(line.x) > 1}
    said += [text for kind, text in HOW_JOINED.items() if kind in kinds]
    rows = [limits, closer] if closer else [limits]
    drawn = [(y_label, lines, shown) for shown in rows for y_label, lines in panels.items()]
    with styled():
        figure, all_axes = _drawn(drawn, RATE, columns or len(panels), title, basis)
        for axes, (_, lines, shown) in zip(all_axes, drawn, strict=True):
            if shown:
                limit(axes, lines, shown)
            if log_x and (closer is None or shown is not closer):
                make_logarithmic(axes, "x")
        if same_axes:
            share_range(all_axes, "xy")
        set_legend(figure, all_axes, " ".join(text for text in said if text))
    return figure


def panels(
    panels: Mapping[str, Sequence[Line]],
    x_label: str,
    title: str,
    basis: Basis,
    *,
    columns: int | None = None,
    log_y: bool = False,
    y_limits: Limits | None = None,
    same_y: bool = False,
    note: str = "",
) -> Figure:
    """Draw values over others, one panel for each y label; `same_y`: they show one quantity, to be compared.

    The panels stand in rows of so many columns, by default all in one row.
    """
    drawn = [(y_label, lines, None) for y_label, lines in panels.items()]
    with styled():
        figure, all_axes = _drawn(drawn, x_label, columns or len(panels), title, basis)
        for axes in all_axes:
            if y_limits:
                axes.set_ylim(y_limits)
            if log_y:
                make_logarithmic(axes, "y")
        if same_y:
            share_range(all_axes, "y")
        set_legend(figure, all_axes, note)
    return figure


def _drawn(
    panels: Sequence[tuple[str, Sequence[Line], Any]], x_label: str, columns: int, title: str, basis: Basis
) -> tuple[Figure, list[Any]]:
    """Return a figure and its axes, one for each panel (y label, lines, …); a label looks the same in all of them."""
    figure, all_axes = grid_of_axes(len(panels), columns, title, basis)
    looks = looks_of_lines([line for _, lines, _ in panels for line in lines])
    for axes, (y_label, lines, _) in zip(all_axes, panels, strict=True):
        draw_lines(axes, lines, looks)
        axes.set(xlabel=x_label, ylabel=y_label)
    return figure, all_axes


def strips(
    rows: Mapping[str, Mapping[str, Sequence[float]]],
    x_label: str,
    title: str,
    basis: Basis,
    *,
    log_x: bool = False,
    limits: Limits | None = None,
    differences: bool = False,
    means: bool = False,
    note: str = "",
) -> Figure:
    """Draw values by row and series, rows below each other under their names and series side by side within a row.

    differences: with a line at zero; means: with a stroke at the mean of each row that has several values.
    """
    series = list(dict.fromkeys(name for values in rows.values() for name in values))
    looks = looks_of([(name, name) for name in series])
    with styled():
        figure = new_figure(WIDTH, 1.5 + len(rows) * (0.2 + 0.12 * len(series)), title, basis)
        axes = figure.add_subplot()
        for i, name in enumerate(series):
            level = 0.7 * ((i + 0.5) / len(series) - 0.5)
            points = [
                (value, row + level + 0.12 / len(series) * (place % 3 - 1) * (len(values[name]) > 1))
                for row, values in enumerate(rows.values())
                for place, value in enumerate(values.get(name, ()))
            ]
            style = marker(looks[name], 5.0)
            axes.plot([x for x, _ in points], [y for _, y in points], linestyle="", label=name, **style)
        if means:
            several = {row: [x for of in values.values() for x in of] for row, values in enumerate(rows.values())}
            known = {row: float(np.mean(of)) for row, of in several.items() if len(of) > 1}
            stroke = {"color": BLACK, "marker": "|", "markersize": 22.0, "markeredgewidth": 2.2, "linestyle": ""}
            axes.plot(list(known.values()), list(known), label="mean", **stroke)
        if differences:
            axes.axvline(0.0, color=BLACK, linewidth=THIN, zorder=1)
        name_rows(axes, list(rows))
        axes.set(xlabel=x_label, xlim=limits)
        if log_x:
            make_logarithmic(axes, "x")
        set_legend(figure, [axes], note)
    return figure


def histogram(
    groups: Mapping[str, Sequence[float]],
    x_label: str,
    title: str,
    basis: Basis,
    *,
    marks: Mapping[str, Sequence[float]] | None = None,
    bins: int = 40,
    log_x: bool = False,
) -> Figure:
    """Draw how the values of each group are distributed, in percent of the group.

    Below the distributions, `marks` are one row of strokes for each name: single values to be seen against them.
    """
    marks = marks or {}
    with styled():
        figure = new_figure(WIDTH, 4.2 + 0.3 * len(marks), title, basis)
        heights = [3.6, 0.1 + 0.3 * len(marks)] if marks else [3.6]
        upper, *lower = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
        edges = _edges([*groups.values(), *marks.values()], bins, log_x)
        for colour, (name, values) in zip(COLOURS, groups.items(), strict=False):
            share = np.full(len(values), 100 / len(values))
            style = {"histtype": "stepfilled", "alpha": 0.35, "color": colour}
            upper.hist(values, edges, weights=share, label=name, **style)
            upper.hist(values, edges, weights=share, histtype="step", color=colour)
        upper.set(ylabel="share (%)")
        for axes in lower:
            _strokes(axes, marks, len(groups))
        [upper, *lower][-1].set(xlabel=x_label)
        if log_x:
            make_logarithmic(upper, "x")
        set_legend(figure, [upper])
    return figure


def _edges(groups: Sequence[Sequence[float]], bins: int, log_x: bool) -> np.ndarray:
    values = np.concatenate([np.asarray(group, np.float64) for group in groups])
    return (np.geomspace if log_x else np.linspace)(values.min(), values.max(), bins + 1)


def _strokes(axes: Any, marks: Mapping[str, Sequence[float]], groups: int) -> None:
    """Draw one row of strokes for each name, in colours that neither the groups nor other rows have."""
    known = {name: look.colour for name in marks if (look := look_of(name))}
    free = itertools.cycle([colour for colour in COLOURS[groups:] if colour not in known.values()])
    for row, (name, values) in enumerate(marks.items()):
        colour = known.get(name) or next(free)
        axes.plot(values, [row] * len(values), "|", color=colour, ms=12.0, mew=2.0)
    name_rows(axes, list(marks))
    axes.grid(False, axis="y")


def save(figure: Figure, stem: Path, svg: bool = False) -> list[Path]:
    """Write a figure as `<stem>.png`, and with `svg` as `<stem>.svg` what is not made of pixels; return the paths.

    A file is written whole or not at all. Its bytes depend on nothing but the figure and the versions of matplotlib
    and Pillow.
    """
    from common import files

    nothing = {"png": {"Software": None}, "svg": {"Date": None, "Creator": None}}
    paths = []
    for kind in ["png", "svg"] if svg and not figure.images else ["png"]:
        paths.append(stem.with_name(f"{stem.name}.{kind}"))
        drawn = io.BytesIO()
        with styled():
            figure.savefig(drawn, format=kind, metadata=nothing[kind])
        with files.atomic_file(paths[-1]) as file:
            file.write(small_png(drawn.getvalue()) if kind == "png" else drawn.getvalue())
    return paths


def small_png(data: bytes) -> bytes:
    """Return a PNG file with the same pixels, tightly packed: no alpha where all is opaque, one channel where grey."""
    packed = io.BytesIO()
    with Image.open(io.BytesIO(data)) as image:
        is_opaque = image.mode == "RGBA" and image.getchannel("A").getextrema()[0] == 255
        smaller = image.convert("RGB") if is_opaque else image
        if smaller.mode == "RGB" and _is_grey(smaller):
            smaller = smaller.convert("L")
        smaller.save(packed, "PNG", optimize=True)
    return packed.getvalue()


def _is_grey(image: Image.Image) -> bool:
    red, green, blue = (np.asarray(channel) for channel in image.split())
    return bool((red == green).all() and (red == blue).all())
