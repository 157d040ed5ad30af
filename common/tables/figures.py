"""All drawing of the suite, by matplotlib without its global state: curves, distributions and pictures side by side.

Every function returns a `matplotlib.figure.Figure`; `save` writes it, and the same figure always gives the same bytes.
Below every title stands what the values are of, a `Basis`. How a codec looks is in `common.tables.looks`; legends stand
below the axes, where they hide no data.
"""

import io
import itertools
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
from common.tables.document import EXACT_SCALE
from common.tables.looks import BLACK, COLOURS, DASHED, LINES, Look, look_of, looks_of

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
LETTERS_PER_INCH, SMALL_LETTERS_PER_INCH = 11, 14  # of titles, of notes
SMALL = 9.0  # points
MANY_POINTS = 40  # from here on markers are small, and a line carries none
WIDEST_GRID = 1600
# Of a grid of pictures, in pixels. A power of two keeps the size in inches exact.
GAP, LINE_HEIGHT, CAPTION_SIZE, TITLE_SIZE = 10, 19, 12.5, 16.0
GRID_DPI = 128
# What a series is: points of one codec, or of one training over its epochs, joined; points of which each is another
# network, joined by dashes; points that nothing joins; a line to compare with, without points.
CURVE, NETWORKS, POINTS, REFERENCE = "curve", "networks", "points", "reference"
HOW_JOINED = {
    CURVE: "Solid lines join settings of one codec.",
    NETWORKS: "Dashes join different networks, each trained for its point: nothing was measured between them.",
}
RATE = "rate (bits per pixel)"
# Test sets as text writes them.
SET_NAMES = {
    "cifar10/test, cifar100/test": "CIFAR-10 and CIFAR-100",
    "cifar10_subset/test, cifar100_subset/test": "a part of CIFAR-10 and CIFAR-100",
    "coco128_val": "COCO",
    "kodak": "Kodak",
    "set12": "Set12",
}

Figure = Any
Cell = tuple[str | Sequence[str], np.ndarray]
Limits = tuple[float, float]


@dataclass(frozen=True)
class Basis:
    """What a figure's values are of: the scale of the trainings (EXACT_SCALE: none) and the test pictures."""

    scale: str
    pictures: str

    def __post_init__(self) -> None:
        if not self.scale or not self.pictures:
            raise ValueError("a figure names the scale of the trainings and the test pictures")

    def __str__(self) -> str:
        """Return the line below a figure's title."""
        trained = "nothing is trained" if self.scale == EXACT_SCALE else f"scale {self.scale}"
        return f"{trained}; {self.pictures}"


def basis_of(scale: str, test_set: Mapping[str, Any]) -> Basis:
    """Return the basis of a table's values from its scale and `{name, pictures}`, its test set."""
    count, name = test_set["pictures"], test_set["name"]
    return Basis(scale, f"{SET_NAMES.get(name, name)}, {count} picture{'s' if count > 1 else ''}")


@dataclass(frozen=True)
class Line:
    """A series: y over x (numbers, or names at equal distances), None or not finite where there is no value.

    `kind` says what is joined: CURVE, NETWORKS, POINTS or REFERENCE. `codec` is whose look it has, by default the
    label's. Points carry markers unless they are many and joined.
    """

    label: str
    x: Sequence[Any]
    y: Sequence[float | None]
    kind: str = CURVE
    codec: str = ""


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
        said.append(_outside(next(iter(panels.values())), limits))
        panels = {y_label: _inside(lines, limits) for y_label, lines in panels.items()}
    every = [line for lines in panels.values() for line in lines]
    kinds = {line.kind for line in every if len(line.x) > 1}
    said += [text for kind, text in HOW_JOINED.items() if kind in kinds]
    drawn = [(y_label, lines, limits) for y_label, lines in panels.items()]
    drawn += [(y_label, lines, closer) for y_label, lines in panels.items()] if closer else []
    with _style():
        figure, all_axes = _grid(len(drawn), columns or len(panels), title, basis)
        for axes, (y_label, lines, shown) in zip(all_axes, drawn, strict=True):
            _draw_lines(axes, lines, _looks(every))
            axes.set(xlabel=RATE, ylabel=y_label)
            if shown:
                _limit(axes, lines, shown)
            if log_x and (closer is None or shown is not closer):
                _logarithmic(axes, "x")
        if same_axes:
            _share(all_axes, "xy")
        _legend(figure, all_axes, " ".join(text for text in said if text))
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
    every = [line for lines in panels.values() for line in lines]
    with _style():
        figure, all_axes = _grid(len(panels), columns or len(panels), title, basis)
        for axes, (y_label, lines) in zip(all_axes, panels.items(), strict=True):
            _draw_lines(axes, lines, _looks(every))
            axes.set(xlabel=x_label, ylabel=y_label)
            if y_limits:
                axes.set_ylim(y_limits)
            if log_y:
                _logarithmic(axes, "y")
        if same_y:
            _share(all_axes, "y")
        _legend(figure, all_axes, note)
    return figure


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
    with _style():
        figure = _new(WIDTH, 1.5 + len(rows) * (0.2 + 0.12 * len(series)), title, basis)
        axes = figure.add_subplot()
        for i, name in enumerate(series):
            level = 0.7 * ((i + 0.5) / len(series) - 0.5)
            points = [
                (value, row + level + 0.12 / len(series) * (place % 3 - 1) * (len(values[name]) > 1))
                for row, values in enumerate(rows.values())
                for place, value in enumerate(values.get(name, ()))
            ]
            style = _marker(looks[name], 5.0)
            axes.plot([x for x, _ in points], [y for _, y in points], linestyle="", label=name, **style)
        if means:
            several = {row: [x for of in values.values() for x in of] for row, values in enumerate(rows.values())}
            known = {row: float(np.mean(of)) for row, of in several.items() if len(of) > 1}
            stroke = {"color": BLACK, "marker": "|", "markersize": 22.0, "markeredgewidth": 2.2, "linestyle": ""}
            axes.plot(list(known.values()), list(known), label="mean", **stroke)
        if differences:
            axes.axvline(0.0, color=BLACK, linewidth=THIN, zorder=1)
        _name_rows(axes, list(rows))
        axes.set(xlabel=x_label, xlim=limits)
        if log_x:
            _logarithmic(axes, "x")
        _legend(figure, [axes], note)
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
    with _style():
        figure = _new(WIDTH, 4.2 + 0.3 * len(marks), title, basis)
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


def picture_grid(rows: Sequence[Sequence[Cell]], title: str, basis: Basis) -> Figure:
    """Set uint8 pictures HxWx3 or HxW in rows, pixel for pixel, each with its caption (text or lines) below.

    Raises RelicError for rows wider than 1600 pixels with their gaps, and for what is not a picture.
    """
    from common import metrics

    for _, picture in (cell for row in rows for cell in row):
        metrics.check_picture(picture)
    width = max(sum(picture.shape[1] + GAP for _, picture in row) for row in rows) + GAP
    if width > WIDEST_GRID:
        raise RelicError(f"a row of pictures is {width} pixels wide, {WIDEST_GRID} are the most: crop or split it")
    heading, below = _wrapped(title, width, TITLE_SIZE), _wrapped(str(basis), width)
    captions = [[_wrapped(text, picture.shape[1]) for text, picture in row] for row in rows]
    heights = [
        max(picture.shape[0] for _, picture in row) + LINE_HEIGHT * max(map(len, lines)) + 2 * GAP
        for row, lines in zip(rows, captions, strict=True)
    ]
    top = GAP + LINE_HEIGHT * len([*heading, *below])
    with _style():
        figure = _canvas(width, top + sum(heights))
        _write(figure, GAP, 0, heading, TITLE_SIZE)
        _write(figure, GAP, LINE_HEIGHT * len(heading), below, CAPTION_SIZE)
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


# --- figures and axes ----------------------------------------------------------------------------------------------


@contextmanager
def _style() -> Iterator[None]:
    """Draw with matplotlib's defaults and the suite's, whatever the user's settings are."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        yield


def _new(width: float, height: float, title: str, basis: Basis) -> Figure:
    """Return an empty figure of width x height inches, under its title and what its values are of."""
    from matplotlib.figure import Figure as Drawing

    figure = Drawing(figsize=(width, height), dpi=PIXELS_PER_INCH, layout="constrained")
    given = [*title.split("\n"), str(basis)]
    lines = (line for text in given for line in textwrap.wrap(text, int(LETTERS_PER_INCH * width)))
    figure.suptitle("\n".join(lines), fontsize=12.0)
    return figure


def _grid(count: int, columns: int, title: str, basis: Basis) -> tuple[Figure, list[Any]]:
    """Return a figure and its axes, so many of them in rows of `columns`."""
    rows = math.ceil(count / columns)
    figure = _new(WIDTH if columns == 1 else 5.4 * columns, 5.0 if rows == 1 else 4.2 * rows, title, basis)
    all_axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in all_axes[count:]:
        axes.remove()
    return figure, list(all_axes[:count])


def _looks(lines: Sequence[Line]) -> dict[str, Look]:
    return looks_of([(line.label, line.codec or line.label) for line in lines])


def _draw_lines(axes: Any, lines: Sequence[Line], looks: Mapping[str, Look]) -> None:
    """Draw lines in the looks of their labels; those that share one, as trainings again do, are thin and differ."""
    shared, before = Counter(line.label for line in lines), Counter[str]()
    for line in lines:
        look, again = looks[line.label], shared[line.label] > 1
        alone, many = len(line.x) == 1, len(line.x) >= MANY_POINTS
        style: dict[str, Any] = _marker(look, 9.0 if alone else 3.5 if again or many else 5.5)
        if line.kind == REFERENCE or (many and line.kind != POINTS):
            style["marker"] = ""
        path = LINES[(LINES.index(look.line) + before[line.label]) % len(LINES)]
        path = "" if alone or line.kind == POINTS else DASHED if line.kind == NETWORKS else path
        y = [math.nan if value is None or not math.isfinite(value) else value for value in line.y]
        axes.plot(
            line.x,
            y,
            linestyle=path,
            linewidth=THIN if again or line.kind == REFERENCE else None,
            label=line.label,
            **style,
        )
        before[line.label] += 1


def _marker(look: Look, size: float) -> dict[str, Any]:
    """Return what a series' markers are, as matplotlib names it."""
    inside = {} if look.filled else {"markerfacecolor": "none", "markeredgewidth": 1.4}
    return {"color": look.colour, "marker": look.marker, "markersize": size, **inside}


def _points(line: Line) -> list[tuple[float, float]]:
    """Return the points of a series that are numbers."""
    pairs = zip(line.x, line.y, strict=True)
    return [(float(x), float(y)) for x, y in pairs if y is not None and math.isfinite(y)]


def _limit(axes: Any, lines: Sequence[Line], limits: Limits) -> None:
    """Show the x between two limits alone, and the y of the points there."""
    axes.set_xlim(limits)
    inside = [y for line in lines for x, y in _points(line) if _is_within(limits, (x, y))]
    if inside:
        margin = 0.05 * (max(inside) - min(inside)) or 1.0
        axes.set_ylim(min(inside) - margin, max(inside) + margin)


def _outside(lines: Sequence[Line], limits: Limits) -> str:
    """Say which series have points outside the limits of the x axis, and where those lie of which none is inside."""
    beyond = []
    for line in lines:
        points = _points(line)
        out = [point for point in points if not _is_within(limits, point)]
        if out:
            x, y = ([point[i] for point in points] for i in (0, 1))
            where = f" (all: {_span(x)} bits per pixel, {_span(y)} dB)" if len(out) == len(points) else ""
            beyond.append(line.label + where)
    return f"Beyond the axis lie points of {'; '.join(beyond)}." if beyond else ""


def _inside(lines: Sequence[Line], limits: Limits) -> list[Line]:
    """Return the series that have a point inside the limits of the x axis."""
    return [line for line in lines if any(_is_within(limits, point) for point in _points(line))]


def _is_within(limits: Limits, point: tuple[float, float]) -> bool:
    return limits[0] <= point[0] <= limits[1]


def _span(values: Sequence[float]) -> str:
    return " to ".join(dict.fromkeys(f"{value:.3g}" for value in (min(values), max(values))))


def _share(all_axes: Sequence[Any], which: str) -> None:
    """Give axes that are to be compared the same range, in x or y or both."""
    for name in which:
        ends = [end for axes in all_axes if axes.lines for end in getattr(axes, f"get_{name}lim")()]
        for axes in all_axes if ends else ():
            getattr(axes, f"set_{name}lim")(min(ends), max(ends))


def _name_rows(axes: Any, names: Sequence[str]) -> None:
    """Set rows under each other, the first one on top, with their names in place of numbers."""
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)


def _logarithmic(axes: Any, which: str) -> None:
    """Make an axis logarithmic, with plain numbers at 1, 2 and 5 of every decade, of many decades at 1."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set(**{f"{which}scale": "log"})
    axis = getattr(axes, f"{which}axis")
    low, high = axis.get_view_interval()
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high < 3000 * low else (1.0,)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def _legend(figure: Figure, all_axes: Sequence[Any], note: str = "") -> None:
    """Set one legend of all axes below them, unless there is only one thing to name, and the note above it."""
    named: dict[str, Any] = {}
    for axes in all_axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            named.setdefault(label, handle)
    if len(named) < 2:
        named = {}
    if not named and not note:
        return
    width = figure.get_figwidth()
    # An inch holds about twelve characters and the sample of a line takes six.
    columns = int(12 * width / (6 + max(map(len, named), default=0)))
    legend = figure.legend(
        named.values(), named.keys(), loc="outside lower center", ncols=max(1, min(columns, len(named)))
    )
    if note:  # as the legend's title, since only legends have room beside the axes
        legend.set_title("\n".join(textwrap.wrap(note, int(SMALL_LETTERS_PER_INCH * width))), {"size": SMALL})


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
    _name_rows(axes, list(marks))
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
