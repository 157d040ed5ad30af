"""Where on its curve a classical codec stands: at a rate, at a PSNR, or over all its settings, from counted bytes."""

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from common.classical import codecs
from common.classical.codecs import Family
from common.errors import RelicError
from common.evaluate import Measurement, measure, rate

# How fields of a measurement begin that are of JPEG at its rate.
JPEGS = {"jpeg": codecs.JPEG, "optimised": codecs.JPEG_OPTIMISED}
# Over so many neighbouring settings the size or the PSNR of a file may fall where it should rise.
NEIGHBOURS = 3


@dataclass(frozen=True)
class MeasuredCurve:
    """Quality over rate of one picture: arrays of equal length, `bpp` strictly rising; `ms_ssim` may be NaN.

    settings: int64, in the codec's own unit; bpp, psnr in dB and ms_ssim (0 to 1): float64.
    """

    settings: np.ndarray
    bpp: np.ndarray
    psnr: np.ndarray
    ms_ssim: np.ndarray


def curve(family: Family, image: np.ndarray, settings: Sequence[int] | None = None) -> MeasuredCurve:
    """Return a codec's curve of a uint8 picture over some of its settings, by default its grid, from counted bytes.

    Where a finer setting takes no more bytes than a coarser one, the coarser one is left out. `ms_ssim` is NaN for
    pictures with a side below 161 pixels. Raises RelicError for a setting that the family does not have.
    """
    wanted = set(family.grid if settings is None else settings)
    if wanted - set(family.settings):
        raise RelicError(f"{family.name} has no setting {min(wanted - set(family.settings))}: choose others")
    kept: list[tuple[int, Measurement]] = []
    for setting in reversed(family.settings):
        if setting not in wanted:
            continue
        point = measure(family.make(setting), image, f"{family.name} {setting}")
        if not kept or point.bpp < kept[-1][1].bpp:
            kept.append((setting, point))
    kept.reverse()
    rows = np.array([(p.bpp, p.psnr, np.nan if p.ms_ssim is None else p.ms_ssim) for _, p in kept], np.float64)
    return MeasuredCurve(np.array([setting for setting, _ in kept], np.int64), *rows.reshape(-1, 3).T)


def at_bpp(family: Family, image: np.ndarray, bpp: float) -> dict[str, float | None]:
    """Return a codec's `psnr` and `ms_ssim` for a uint8 picture at the rate `bpp`, between `bpp_low` and `bpp_high`.

    Two neighbouring settings whose counted rates enclose `bpp` are found by bisection, only they are measured, and the
    values between them are linear in the rate. Where the codec cannot code that low, everything is that of its smallest
    file, so that the returned `bpp` is above the one asked for; likewise for its largest file. `ms_ssim` is None for
    pictures with a side below 161 pixels. Raises RelicError where `bpp` is NaN.
    """
    _check_number("rate", bpp)
    low, high = _enclosing_settings(family, image, bpp)
    first = measure(family.make(low), image, f"{family.name} {low}")
    second = first if high == low else measure(family.make(high), image, f"{family.name} {high}")
    reached = min(max(bpp, first.bpp), second.bpp)

    def at_rate(field: str) -> float | None:
        a, b = getattr(first, field), getattr(second, field)
        if a == b:
            return a
        return a + (reached - first.bpp) / (second.bpp - first.bpp) * (b - a)

    values = {field: at_rate(field) for field in ("bpp", "psnr", "ms_ssim")}
    return {**values, "bpp_low": first.bpp, "bpp_high": second.bpp}


def jpegs_at_bpp(image: np.ndarray, bpp: float) -> dict[str, float | None]:
    """Return `bpp`, `psnr` and `ms_ssim` as of `at_bpp`, of JPEG as jpeg_* and with optimised tables as optimised_*."""
    found = {prefix: at_bpp(codecs.family(name), image, bpp) for prefix, name in JPEGS.items()}
    return {f"{prefix}_{key}": of[key] for prefix, of in found.items() for key in ("bpp", "psnr", "ms_ssim")}


def setting_for_psnr(family: Family, image: np.ndarray, psnr: float) -> tuple[int, Measurement]:
    """Return the coarsest setting whose PSNR is at least `psnr` dB for a uint8 picture, and what it costs and gives.

    By bisection, with the neighbours looked at, as the PSNR does not rise everywhere. Raises RelicError where no
    setting reaches it, and for NaN.
    """
    _check_number("PSNR", psnr)

    @functools.cache
    def reaches(setting: int) -> bool:
        return measure(family.make(setting), image, f"{family.name} {setting}", ()).psnr >= psnr

    setting = _first(family.settings, reaches)
    if setting is None:
        raise RelicError(f"{family.name} reaches {psnr:g} dB at none of its settings: ask for less")
    return setting, measure(family.make(setting), image, f"{family.name} {setting}")


def setting_for_bpp(family: Family, image: np.ndarray, bpp: float) -> tuple[int, Measurement]:
    """Return the finest setting whose file takes at most `bpp` for a uint8 picture, and what it costs and gives.

    By bisection, with the neighbours looked at, as the size does not rise everywhere. Raises RelicError where every
    file is larger, and for NaN.
    """
    _check_number("rate", bpp)
    bpp_of = _rates(family, image)
    setting = _first(family.settings[::-1], lambda setting: bpp_of(setting) <= bpp)
    if setting is None:
        raise RelicError(f"{family.name} codes no file as small as {bpp:g} bpp: ask for more")
    return setting, measure(family.make(setting), image, f"{family.name} {setting}")


def _check_number(what: str, value: float) -> None:
    if math.isnan(value):
        raise RelicError(f"NaN is no {what} to look for: give a number")


def _rates(family: Family, image: np.ndarray) -> Callable[[int], float]:
    """Return the function from a setting to its counted bits per pixel, each file coded once."""
    return functools.cache(lambda setting: rate(family.make(setting), image))


def _first(settings: Sequence[int], holds: Callable[[int], bool]) -> int | None:
    """Return the first setting for which something holds that holds for nearly all after it; None where there is none.

    It is the very first wherever at most NEIGHBOURS settings in a row are out of order.
    """
    last = len(settings) - 1
    high = next((at for at in range(last, max(last - NEIGHBOURS, 0) - 1, -1) if holds(settings[at])), None)
    if high is None:
        return None
    low = -1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(settings[middle]) else (middle, high)
    return next(s for s in settings[max(high - NEIGHBOURS, 0) : high + 1] if holds(s))


def _enclosing_settings(family: Family, image: np.ndarray, bpp: float) -> tuple[int, int]:
    """Return neighbouring settings with bpp_of(low) < bpp <= bpp_of(high), or the end of the range twice."""
    settings, bpp_of = family.settings, _rates(family, image)
    low, high = 0, len(settings) - 1
    # The coarsest setting is not always the smallest file.
    while bpp_of(settings[low + 1]) <= bpp_of(settings[low]) and low + 1 < high:
        low += 1
    if bpp_of(settings[low]) >= bpp:
        high = low
    elif bpp_of(settings[high]) < bpp:
        low = high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if bpp_of(settings[middle]) < bpp else (low, middle)
    return settings[low], settings[high]
