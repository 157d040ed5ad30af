"""Pictures side by side with captions, pixel for pixel, as one matplotlib figure."""

import textwrap
from collections.abc import Sequence

import numpy as np

from common import metrics
from common.errors import RelicError
from common.tables.axes import Basis, Figure, styled

WIDEST_GRID = 1600
# Of a grid of pictures, in pixels. A power of two keeps the size in inches exact.
GAP, LINE_HEIGHT, CAPTION_SIZE, TITLE_SIZE = 10, 19, 12.5, 16.0
GRID_DPI = 128

Cell = tuple[str | Sequence[str], np.ndarray]


def picture_grid(rows: Sequence[Sequence[Cell]], title: str, basis: Basis) -> Figure:
    """Set uint8 pictures HxWx3 or HxW in rows, pixel for pixel, each with its caption (text or lines) below.

    Raises RelicError for rows wider than 1600 pixels with their gaps, and for what is not a picture.
    """
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
    with styled():
        figure = _canvas(width, top + sum(heights))
        _write(figure, GAP, 0, heading, TITLE_SIZE)
        _write(figure, GAP, LINE_HEIGHT * len(heading), below, CAPTION_SIZE)
        for row, lines, height in zip(rows, captions, heights, strict=True):
            _set_row(figure, row, lines, top)
            top += height
    return figure


# --- parts ---------------------------------------------------------------------------------------------------------


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
