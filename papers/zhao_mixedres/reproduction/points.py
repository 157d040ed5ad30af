"""Quality over rate of grey pictures: what Fig. 2 of Zhao et al. draws, by counted bytes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from common import evaluate
from common.classical import codecs
from common.errors import RelicError
from common.evaluate import Codec
from common.metrics import SSIM_SMALLEST
from papers.zhao_mixedres.reproduction.comparators import QUALITIES

Y_LABELS = {"psnr": "PSNR (dB)", "ssim": "SSIM"}
# Finer qualities than the paper's let JPEG's curve reach as far as the others.
JPEG_QUALITIES = (*QUALITIES, 40, 50, 60, 70, 80, 90)
# Where low and full resolution cross, the outermost networks are used at qualities that they were not trained for.
ABOVE_LOW, BELOW_FULL = (30, 40, 60), (3, 5, 7)


@dataclass(frozen=True)
class Point:
    """What coding a grey picture at one setting cost and gave.

    bpp counts the whole file, payload_bpp leaves out this project's header as the paper, which has none, would;
    psnr is in dB, ssim from -1 to 1.
    """

    setting: int
    bpp: float
    payload_bpp: float
    psnr: float
    ssim: float


def measure(codec: Codec, image: np.ndarray, setting: int) -> Point:
    """Return the point of a codec for a uint8 picture HxW, to bytes and back. `setting` names it.

    Raises RelicError for a side below 11 pixels, which has no SSIM.
    """
    measured = evaluate.measure(codec, image, f"setting {setting}", ("ssim",))
    if measured.ssim is None:
        size = f"{measured.height}x{measured.width}"
        raise RelicError(f"SSIM needs sides of at least {SSIM_SMALLEST} pixels, not {size}: use larger pictures")
    return Point(setting, measured.bpp, measured.payload_bpp, measured.psnr, measured.ssim)


def jpeg(image: np.ndarray, qualities: Sequence[int] = JPEG_QUALITIES, optimised: bool = False) -> list[Point]:
    """Return JPEG's points by OpenCV, with the standard Huffman tables or optimised ones, for a uint8 picture HxW."""
    return [measure(codecs.Jpeg(quality, optimised=optimised), image, quality) for quality in qualities]


def at_rate(points: Sequence[Point], bpp: float, quality: str = "psnr", rate: str = "bpp") -> float | None:
    """Return a curve's quality at a rate, linear in the logarithm of the rate; None outside its range."""
    curve = sorted((getattr(point, rate), getattr(point, quality)) for point in points)
    if not curve or not curve[0][0] <= bpp <= curve[-1][0]:
        return None
    # One logarithm for both sides: at a point's own rate the result is then its quality to the last bit.
    return float(np.interp(math.log(bpp), [math.log(each) for each, _ in curve], [level for _, level in curve]))


def envelope(low: Sequence[Point], full: Sequence[Point], quality: str = "psnr", rate: str = "bpp") -> list[Point]:
    """Return the points of either curve that the other is not better than at their rate, by rate: the upper envelope.

    Its quality rises from point to point: what gives no more than a point of a lower rate is left out.
    """
    beside = [(point, other) for curve, other in ((low, full), (full, low)) for point in curve]
    kept: list[Point] = []
    for point, other in sorted(beside, key=lambda pair: (getattr(pair[0], rate), -getattr(pair[0], quality))):
        level, others = getattr(point, quality), at_rate(other, getattr(point, rate), quality, rate)
        if (others is None or level >= others) and (not kept or level > getattr(kept[-1], quality)):
            kept.append(point)
    return kept


def crossing(low: Sequence[Point], full: Sequence[Point], quality: str = "psnr", rate: str = "bpp") -> float | None:
    """Return the rate from which on the full curve is better than the low one; None where there is none.

    Both curves are linear in the logarithm of the rate, and only the rates that both have are looked at: there is none
    where full is better at all of them, or low at the highest.
    """
    rates = sorted({getattr(point, rate) for point in (*low, *full)})
    gains = []
    for bpp in rates:
        levels: list[Any] = [at_rate(curve, bpp, quality, rate) for curve in (low, full)]
        if None not in levels:
            gains.append((math.log(bpp), levels[1] - levels[0]))
    if gains and gains[-1][1] < 0:
        return None
    for (before, loss), (after, gain) in zip(gains[-2::-1], gains[:0:-1], strict=True):
        if loss < 0 <= gain:
            return math.exp(before + (after - before) * -loss / (gain - loss))
    return None
