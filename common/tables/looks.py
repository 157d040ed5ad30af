"""How codecs look in figures: one table, so that a codec looks the same in every figure.

Colours are those of Okabe and Ito, and three of Tol's where they are too few: colour-blind readers can tell them apart,
and markers, filled or hollow, tell what shares a colour. Classical codecs are filled, trained ones hollow.
"""

import itertools
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace

BLACK, BLUE, SKY, GREEN = "#000000", "#0072B2", "#56B4E9", "#009E73"
ORANGE, VERMILION, PURPLE = "#E69F00", "#D55E00", "#CC79A7"
GREY, OLIVE, WINE = "#777777", "#999933", "#882255"
COLOURS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK)  # of what is in no table, in turn
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "p", "h", "<", ">")
SOLID, DASHED, DOTTED, DASH_DOTTED = "-", "--", ":", "-."
LINES = (SOLID, DOTTED, DASH_DOTTED)  # of several series of one codec, in turn; dashes tell what is joined


@dataclass(frozen=True)
class Look:
    """The looks of a series: colour, marker (filled or not) and line."""

    colour: str
    marker: str
    line: str = SOLID
    filled: bool = True


_CHENG = (
    "Hyperprior-9",
    "ResNet-3x3(3)",
    "ResNet-3x3(4)-TConv",
    "ResNet-3x3(4)-SubPixel",
    "ResNet-3x3(4)-SubPixel-192",
    "Hyperprior-9-Aux-9",
    "Hyperprior-3, MSE",
    "Hyperprior-5, MSE",
    "Hyperprior-9, MSE",
    "Baseline-3, MSE",
    "Baseline-5, MSE",
    "Baseline-9, MSE",
)
LOOKS = {
    "JPEG": Look(BLACK, "o"),
    "JPEG, optimised tables": Look(BLACK, "o", DASH_DOTTED, filled=False),
    "JPEG2000": Look(VERMILION, "s"),
    "WebP": Look(GREEN, "^"),
    "AVIF": Look(PURPLE, "D"),
    "HEVC intra": Look(ORANGE, "v"),
    "BPG": Look(ORANGE, ">", DASH_DOTTED),
    **{f"Cheng, {name}": Look(SKY, marker, filled=False) for name, marker in zip(_CHENG, MARKERS, strict=True)},
    "Deshmukh, colour, Huffman": Look(GREY, "s", filled=False),
    "Deshmukh, colour, range coder": Look(GREY, "^", filled=False),
    "Donis, iterative": Look(OLIVE, "D", filled=False),
    "Jiang, low resolution": Look(PURPLE, "v", filled=False),
    "Jiang, full resolution": Look(PURPLE, "^", filled=False),
    "Paka, bottleneck": Look(WINE, "v", filled=False),
    "Paka, autoencoder": Look(WINE, "P", filled=False),
    "Zhao, low resolution": Look(BLUE, "v", filled=False),
    "Zhao, full resolution": Look(BLUE, "^", filled=False),
}


def look_of(name: str) -> Look | None:
    """Return the look of a codec's name or of a label that begins with it, None of what is in no table.

    "JPEG, coarsest" and "Paka, autoencoder (7 pictures)" are such labels, "JPEG2000" is none of JPEG.
    """
    begun = [codec for codec in LOOKS if name == codec or name.startswith((f"{codec}, ", f"{codec} ("))]
    return LOOKS[max(begun, key=len)] if begun else None


def looks_of(series: Iterable[tuple[str, str]]) -> dict[str, Look]:
    """Return a look for every label of a figure, all of them distinct, from (label, codec) in the order of the figure.

    Further labels of a codec's look keep colour and marker and have another line, the marker hollow instead of filled.
    """
    known = {label: look_of(codec) for label, codec in series}
    own = {label: look for label, look in known.items() if look}
    unused = _unused(set(own.values()))
    looks: dict[str, Look] = {}
    times: dict[Look, int] = {}
    for label in known:
        if label not in own:
            looks[label] = next(unused)
            continue
        look = own[label]
        n = times[look] = times.get(look, -1) + 1
        line = LINES[(LINES.index(look.line) + n) % len(LINES)]
        looks[label] = replace(look, line=line, filled=look.filled != bool(n % 2))
    return looks


def _unused(taken: Collection[Look]) -> Iterator[Look]:
    """Yield looks in colours that are not taken, of filled markers, or where all are taken in all colours."""
    colours = [colour for colour in COLOURS if colour not in {look.colour for look in taken}] or COLOURS
    for n in itertools.count():
        look = Look(colours[n % len(colours)], MARKERS[n % len(MARKERS)], LINES[n // len(colours) % len(LINES)])
        if look not in taken:
            yield look
