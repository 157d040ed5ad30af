"""What figures are drawn of and on, by matplotlib without its global state: series, their basis, axes, legends.

Legends stand below the axes, where they hide no data.
"""

import math
import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from common.tables.document import EXACT_SCALE
from common.tables.looks import DASHED, LINES, Look, looks_of

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
    "clic/validation": "CLIC validation",
    "coco128_val": "COCO",
    "kodak": "Kodak",
    "set12": "Set12",
}

Figure = Any
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


@contextmanager
def styled() -> Iterator[None]:
    """Draw with matplotlib's defaults and the suite's, whatever the user's settings are."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        yield


def new_figure(width: float, height: float, title: str, basis: Basis) -> Figure:
    """Return an empty figure of width x height inches, under its title and what its values are of."""
    from matplotlib.figure import Figure as Drawing

    figure = Drawing(figsize=(width, height), dpi=PIXELS_PER_INCH, layout="constrained")
    given = [*title.split("\n"), str(basis)]
    lines = (line for text in given for line in textwrap.wrap(text, int(LETTERS_PER_INCH * width)))
    figure.suptitle("\n".join(lines), fontsize=12.0)
    return figure


def grid_of_axes(count: int, columns: int, title: str, basis: Basis) -> tuple[Figure, list[Any]]:
    """Return a figure and its axes, so many of them in rows of `columns`."""
    rows = math.ceil(count / columns)
    figure = new_figure(WIDTH if columns == 1 else 5.4 * columns, 5.0 if rows == 1 else 4.2 * rows, title, basis)
    all_axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in all_axes[count:]:
        axes.remove()
    return figure, list(all_axes[:count])


def looks_of_lines(lines: Sequence[Line]) -> dict[str, Look]:
    """Return the look of every label of a figure's series."""
    return looks_of([(line.label, line.codec or line.label) for line in lines])


def draw_lines(axes: Any, lines: Sequence[Line], looks: Mapping[str, Look]) -> None:
    """Draw lines in the looks of their labels; those that share one, as trainings again do, are thin and differ."""
    shared, before = Counter(line.label for line in lines), Counter[str]()
    for line in lines:
        look, again = looks[line.label], shared[line.label] > 1
        alone, many = len(line.x) == 1, len(line.x) >= MANY_POINTS
        style: dict[str, Any] = marker(look, 9.0 if alone else 3.5 if again or many else 5.5)
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


def marker(look: Look, size: float) -> dict[str, Any]:
    """Return what a series' markers are, as matplotlib names it."""
    inside = {} if look.filled else {"markerfacecolor": "none", "markeredgewidth": 1.4}
    return {"color": look.colour, "marker": look.marker, "markersize": size, **inside}


def _points(line: Line) -> list[tuple[float, float]]:
    """Return the points of a series that are numbers."""
    pairs = zip(line.x, line.y, strict=True)
    return [(float(x), float(y)) for x, y in pairs if y is not None and math.isfinite(y)]


def limit(axes: Any, lines: Sequence[Line], limits: Limits) -> None:
    """Show the x between two limits alone, and the y of the points there."""
    axes.set_xlim(limits)
    inside = [y for line in lines for x, y in _points(line) if _is_within(limits, (x, y))]
    if inside:
        margin = 0.05 * (max(inside) - min(inside)) or 1.0
        axes.set_ylim(min(inside) - margin, max(inside) + margin)


def outside(lines: Sequence[Line], limits: Limits) -> str:
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


def inside(lines: Sequence[Line], limits: Limits) -> list[Line]:
    """Return the series that have a point inside the limits of the x axis."""
    return [line for line in lines if any(_is_within(limits, point) for point in _points(line))]


def _is_within(limits: Limits, point: tuple[float, float]) -> bool:
    return limits[0] <= point[0] <= limits[1]


def _span(values: Sequence[float]) -> str:
    return " to ".join(dict.fromkeys(f"{value:.3g}" for value in (min(values), max(values))))


def share_range(all_axes: Sequence[Any], which: str) -> None:
    """Give axes that are to be compared the same range, in x or y or both."""
    for name in which:
        ends = [end for axes in all_axes if axes.lines for end in getattr(axes, f"get_{name}lim")()]
        for axes in all_axes if ends else ():
            getattr(axes, f"set_{name}lim")(min(ends), max(ends))


def name_rows(axes: Any, names: Sequence[str]) -> None:
    """Set rows under each other, the first one on top, with their names in place of numbers."""
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)


def make_logarithmic(axes: Any, which: str) -> None:
    """Make an axis logarithmic, with plain numbers at 1, 2 and 5 of every decade, of many decades at 1."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set(**{f"{which}scale": "log"})
    axis = getattr(axes, f"{which}axis")
    low, high = axis.get_view_interval()
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high < 3000 * low else (1.0,)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def set_legend(figure: Figure, all_axes: Sequence[Any], note: str = "") -> None:
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
