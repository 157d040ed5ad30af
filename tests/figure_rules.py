"""What every figure of the suite keeps to, read from its matplotlib objects."""

import re

# Axes of quantities that have no unit, and of names and counts.
WITHOUT_UNIT = re.compile(r"SSIM|1 - loss|1 - \(1 -|epoch|picture|image|/ other file")


def shown_words(figure):
    """Return all texts of a figure, as they are drawn."""
    figure.draw_without_rendering()
    return [text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))]


def looks_of_series(figure):
    """Return the looks of every named series: colour, marker, line, and how the marker is filled."""
    named = [line for axes in figure.axes for line in axes.lines if not line.get_label().startswith("_")]
    return {
        line.get_label(): (
            line.get_color(),
            line.get_marker(),
            str(line.get_linestyle()),
            str(line.get_markerfacecolor()),
        )
        for line in named
    }


def labels_without_unit(figure):
    """Return the labels of axes that name no unit in brackets and are none of quantities without."""
    labels = [label for axes in figure.axes for label in (axes.get_xlabel(), axes.get_ylabel()) if label]
    return [label for label in labels if not re.search(r"\(.+\)", label) and not WITHOUT_UNIT.search(label)]


def broken_rules(figure):
    """Return what a figure lacks: the scale in its text, units, a look of its own for every series."""
    text = " ".join(shown_words(figure))
    broken = [] if re.search(r"scale \w+|nothing is trained", text) else ["no scale of the trainings"]
    broken += [f"no unit: {label}" for label in labels_without_unit(figure)]
    looks = looks_of_series(figure)
    return broken + (["series that look the same"] if len(set(looks.values())) < len(looks) else [])
