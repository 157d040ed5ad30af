"""All drawing of the suite, by matplotlib without its global state: curves, distributions and pictures side by side.

Every function returns a `matplotlib.figure.Figure`; `save` writes it, and the same figure always gives the same bytes.
Colours are those of Okabe and Ito, which colour-blind readers can tell apart; legends stand below the axes, where they
hide no data.
"""

import io
import math
import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from common.errors import RelicError

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
DASHES = ("-", "--", ":")
STYLE: dict[Any, Any] = {
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.size": 11.0,
    "grid.alpha": 0.35,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "svg.hashsalt": "relic",
}
THIN = 0.8
WIDTH = 8.0  # inches: 1200 pixels in a png, about half of them on a page
PIXELS_PER_INCH = 150
LETTERS_PER_INCH = 11  # of titles
MANY_POINTS = 40  # from here on a line carries no markers
WIDEST_GRID = 1600
# Of a grid of pictures, in pixels. A power of two keeps the size in inches exact.
GAP, LINE_HEIGHT, CAPTION_SIZE, TITLE_SIZE = 10, 19, 12.5, 16.0
GRID_DPI = 128

Figure = Any
Cell = tuple[str | Sequence[str], np.ndarray]


@dataclass(frozen=True)
class Line:
    """A curve: y over x (numbers, or names at equal distances), None or not finite where there is no value.

    Its points carry markers unless they are many; `joined=False` leaves out the line between them.
    """

    label: str
    x: Sequence[Any]
    y: Sequence[float | None]
    joined: bool = True


def line_plot(lines: Sequence[Line], x_label: str, y_label: str, title: str = "", log_y: bool = False) -> Figure:
    """Draw curves over a common axis; labels name quantity and unit."""
    with _style():
        figure = _new(WIDTH, 4.6, title)
        axes = figure.add_subplot()
        _draw_lines(axes, lines, {line.label: i for i, line in enumerate(lines)})
        axes.set(xlabel=x_label, ylabel=y_label)
        if log_y:
            _logarithmic(axes, "y")
        _legend(figure, [axes])
    return figure


def rate_distortion(
    panels: Mapping[str, Sequence[Line]], title: str = "", log_x: bool = False, columns: int | None = None
) -> Figure:
    """Draw quality over rate, one panel for each y label (quantity and unit); a label looks the same in all panels.

    Line.x are bits per pixel; a curve of one point is a marker. The panels stand in rows of so many columns, by default
    all in one row, as in the two functions below.
    """
    return _panels(panels, "bits per pixel", title, columns, log_x)


def over_epochs(panels: Mapping[str, Sequence[Line]], title: str = "", columns: int | None = None) -> Figure:
    """Draw what trainings log over their epochs, Line.x, one panel for each y label."""
    return _panels(panels, "epoch", title, columns)


def comparison(
    panels: Mapping[str, Sequence[Line]], x_label: str, title: str = "", columns: int | None = None
) -> Figure:
    """Draw values over others of the same quantity, one panel for each y label; `x_label` says which others."""
    return _panels(panels, x_label, title, columns)


def histogram(
    groups: Mapping[str, Sequence[float]],
    x_label: str,
    marks: Mapping[str, Sequence[float]] | None = None,
    title: str = "",
    bins: int = 40,
    log_x: bool = False,
) -> Figure:
    """Draw how the values of each group are distributed, in percent of the group.

    Below the distributions, `marks` are one row of strokes for each name: single values to be seen against them.
    """
    marks = marks or {}
    with _style():
        figure = _new(WIDTH, 4.2 + 0.3 * len(marks), title)
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
            _logarithmic(upper, "x")
        _legend(figure, [upper])
    return figure


def picture_grid(rows: Sequence[Sequence[Cell]], title: str = "") -> Figure:
    """Set uint8 pictures HxWx3 or HxW in rows, pixel for pixel, each with its caption (text or lines) below.

    Raises RelicError for rows wider than 1600 pixels with their gaps, and for what is not a picture.
    """
    from common import metrics

    for _, picture in (cell for row in rows for cell in row):
        metrics.check_picture(picture)
    width = max(sum(picture.shape[1] + GAP for _, picture in row) for row in rows) + GAP
    if width > WIDEST_GRID:
        raise RelicError(f"a row of pictures is {width} pixels wide, {WIDEST_GRID} are the most: crop or split it")
    heading = _wrapped(title, width, TITLE_SIZE) if title else []
    captions = [[_wrapped(text, picture.shape[1]) for text, picture in row] for row in rows]
    heights = [
        max(picture.shape[0] for _, picture in row) + LINE_HEIGHT * max(map(len, lines)) + 2 * GAP
        for row, lines in zip(rows, captions, strict=True)
    ]
    top = GAP + LINE_HEIGHT * len(heading)
    with _style():
        figure = _canvas(width, top + sum(heights))
        _write(figure, GAP, 0, heading, TITLE_SIZE)
        for row, lines, height in zip(rows, captions, heights, strict=True):
            _set_row(figure, row, lines, top)
            top += height
    return figure


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
        with _style():
            figure.savefig(drawn, format=kind, metadata=nothing[kind])
        with files.atomic_file(paths[-1]) as file:
            file.write(small_png(drawn.getvalue()) if kind == "png" else drawn.getvalue())
    return paths


def small_png(data: bytes) -> bytes:
    """Return a PNG file with the same pixels, without an alpha channel that is opaque everywhere, packed tightly."""
    packed = io.BytesIO()
    with Image.open(io.BytesIO(data)) as image:
        is_opaque = image.mode == "RGBA" and image.getchannel("A").getextrema()[0] == 255
        (image.convert("RGB") if is_opaque else image).save(packed, "PNG", optimize=True)
    return packed.getvalue()


# --- figures and axes ----------------------------------------------------------------------------------------------


@contextmanager
def _style() -> Iterator[None]:
    """Draw with matplotlib's defaults and the suite's, whatever the user's settings are."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        yield


def _new(width: float, height: float, title: str) -> Figure:
    """Return an empty figure of width x height inches."""
    from matplotlib.figure import Figure as Drawing

    figure = Drawing(figsize=(width, height), dpi=PIXELS_PER_INCH, layout="constrained")
    if title:
        lines = (line for given in title.split("\n") for line in textwrap.wrap(given, int(LETTERS_PER_INCH * width)))
        figure.suptitle("\n".join(lines), fontsize=12.0)
    return figure


def _panels(
    panels: Mapping[str, Sequence[Line]], x_label: str, title: str, columns: int | None, log_x: bool = False
) -> Figure:
    """Draw lines in panels by y label; a label looks the same in all panels."""
    labels = list(dict.fromkeys(line.label for lines in panels.values() for line in lines))
    with _style():
        columns = columns or len(panels)
        rows = math.ceil(len(panels) / columns)
        figure = _new(WIDTH if columns == 1 else 5.4 * columns, 5.0 if rows == 1 else 4.2 * rows, title)
        all_axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for axes in all_axes[len(panels) :]:
            axes.remove()
        for axes, (y_label, lines) in zip(all_axes, panels.items(), strict=False):
            _draw_lines(axes, lines, {label: i for i, label in enumerate(labels)})
            axes.set(xlabel=x_label, ylabel=y_label)
            if log_x:
                _logarithmic(axes, "x")
        _legend(figure, all_axes[: len(panels)])
    return figure


def _draw_lines(axes: Any, lines: Sequence[Line], order: Mapping[str, int]) -> None:
    """Draw lines in the looks of their labels; those that share one, as repetitions of a thing do, are thinner."""
    shared = Counter(line.label for line in lines)
    for line in lines:
        i = order[line.label]
        marked = len(line.x) < MANY_POINTS or not line.joined
        axes.plot(
            line.x,
            [math.nan if value is None or not math.isfinite(value) else value for value in line.y],
            color=COLOURS[i % len(COLOURS)],
            marker=MARKERS[i % len(MARKERS)] if marked else "",
            markersize=9.0 if len(line.x) == 1 else 5.0 if shared[line.label] == 1 else 3.0,
            # Single points may lie on each other.
            markerfacecolor="none" if len(line.x) == 1 else None,
            markeredgewidth=1.8 if len(line.x) == 1 else None,
            linewidth=None if shared[line.label] == 1 else THIN,
            linestyle=DASHES[i // len(COLOURS) % len(DASHES)] if line.joined and len(line.x) > 1 else "",
            label=line.label,
        )


def _logarithmic(axes: Any, which: str) -> None:
    """Make an axis logarithmic, with plain numbers at 1, 2 and 5 of every decade, of many decades at 1."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set(**{f"{which}scale": "log"})
    axis = getattr(axes, f"{which}axis")
    low, high = axis.get_view_interval()
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high < 3000 * low else (1.0,)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def _legend(figure: Figure, all_axes: Sequence[Any]) -> None:
    """Set one legend of all axes below them, unless there is only one thing to name."""
    named = {
        label: handle for axes in all_axes for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    if len(named) < 2:
        return
    # An inch holds about twelve characters and the sample of a line takes six.
    columns = int(12 * figure.get_figwidth() / (6 + max(map(len, named))))
    figure.legend(named.values(), named.keys(), loc="outside lower center", ncols=max(1, min(columns, len(named))))


def _edges(groups: Sequence[Sequence[float]], bins: int, log_x: bool) -> np.ndarray:
    values = np.concatenate([np.asarray(group, np.float64) for group in groups])
    return (np.geomspace if log_x else np.linspace)(values.min(), values.max(), bins + 1)


def _strokes(axes: Any, marks: Mapping[str, Sequence[float]], first: int) -> None:
    """Draw one row of strokes for each name."""
    for row, values in enumerate(marks.values()):
        axes.plot(values, [row] * len(values), "|", color=COLOURS[(first + row) % len(COLOURS)], ms=12.0, mew=2.0)
    axes.set_yticks(range(len(marks)), list(marks))
    axes.set_ylim(len(marks) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(False, axis="y")


# --- pictures ------------------------------------------------------------------------------------------------------


def _canvas(width: int, height: int) -> Figure:
    """Return an empty figure of width x height pixels."""
    from matplotlib.figure import Figure as Drawing

    return Drawing(figsize=(width / GRID_DPI, height / GRID_DPI), dpi=GRID_DPI)


def _wrapped(caption: str | Sequence[str], width: int, size: float = CAPTION_SIZE) -> list[str]:
    """Break a caption into lines that `width` pixels hold; a character is about 0.58 times as wide as high."""
    lines = caption.split("\n") if isinstance(caption, str) else caption
    most = max(8, int(width / (0.58 * size)))
    return [short for line in lines for short in textwrap.wrap(line, most) or [""]]


def _set_row(figure: Figure, row: Sequence[Cell], captions: Sequence[Sequence[str]], top: int) -> None:
    """Set pictures side by side below `top`, in pixels from the upper edge, with their captions."""
    left = GAP
    for (_, picture), lines in zip(row, captions, strict=True):
        height, width = picture.shape[:2]
        colours = picture if picture.ndim == 3 else np.dstack([picture] * 3)
        rest = round(figure.get_figheight() * figure.dpi) - top - height
        figure.figimage(colours, xo=left, yo=rest, origin="upper")
        _write(figure, left, top + height, lines, CAPTION_SIZE)
        left += width + GAP


def _write(figure: Figure, left: int, top: int, lines: Sequence[str], size: float) -> None:
    """Write lines of text below each other, at pixels from the left and upper edge."""
    width, height = figure.get_size_inches() * figure.dpi
    for i, line in enumerate(lines):
        baseline = top + LINE_HEIGHT * (i + 0.9)
        figure.text(left / width, 1 - baseline / height, line, fontsize=size * 72 / GRID_DPI, va="baseline")
