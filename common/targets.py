"""A file of a wanted size or quality: the one setting of a codec that orders its files is searched, on real files.

Sizes are of the whole file, header and colour profile included. Rates are interpolated in their logarithm between the
files that are known, qualities in dB, so that a few codings find one of a thousand settings; what of a codec is the
same at every setting, its `latents`, is computed once.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from common import metrics
from common.config import Setting
from common.errors import RelicError

MOST_CODINGS = 8  # of one search
NEAR = 0.01  # share of a size by which the first or the last file may miss it and is still taken
KINDS = {"bpp": "bpp", "bytes": "bytes", "psnr": "dB", "ms_ssim": "MS-SSIM"}
_SIZES = ("bpp", "bytes")
# What the whole range of a setting may change, for the first step alone, which had better go too far than not enough.
_OCTAVES, _DECIBELS = 6.0, 20.0
_FURTHER = 1.25
_MOST_DECIBELS = 200.0  # of a picture that comes back as it was


@dataclass(frozen=True)
class Target:
    """What a file is to have: `bpp` as near as possible, at most so many `bytes`, or at least a `psnr` or `ms_ssim`.

    wanted: above 0; below 1 for MS-SSIM. Raises RelicError for anything else.
    """

    kind: str
    wanted: float

    def __post_init__(self) -> None:
        if not 0 < self.wanted < (1 if self.kind == "ms_ssim" else math.inf):
            most = " and below 1" if self.kind == "ms_ssim" else ""
            raise RelicError(f"--{self.kind.replace('_', '-')} {self.wanted:g} is not above 0{most}")

    def __str__(self) -> str:
        return f"{self.wanted:g} MS-SSIM" if self.kind == "ms_ssim" else f"{self.wanted:.10g} {KINDS[self.kind]}"


@dataclass(frozen=True)
class File:
    """One file of a picture, with the setting's value it was coded at and what the target asks of it."""

    data: bytes
    setting: float
    value: float  # in the unit of the target


@dataclass(frozen=True)
class Found:
    """The file that serves a target, and how many were made for it."""

    file: File
    codings: int
    about: str  # a few words: the setting, what was reached, what the target was


def find(
    codec: Any,
    image: np.ndarray,
    target: Target,
    setting: tuple[str, Setting],
    others: Mapping[str, float] | None = None,
    finished: Callable[[bytes], bytes] = bytes,
) -> Found:
    """Return the file of a uint8 picture that serves a target, after at most `MOST_CODINGS` codings.

    codec: what `papers.load` returns; setting: name and range of the one that is searched; others: settings that stay;
    finished: what is done to a coded file that counts, as adding a profile. Of `bpp` the nearest file there is, of
    `bytes` the largest that does not exceed them, of a quality the smallest that reaches it. Raises RelicError with the
    range that there is where a target is out of reach, and for a codec that has one rate.
    """
    name, values = setting
    code = _coder(codec, image, name, values, others or {})
    files: dict[int, File] = {}

    def search_value(position: int) -> float:
        value = values.of_parts(position * values.rate)
        data = finished(code(value))
        files[position] = File(data, value, _measured(codec, image, target, data))
        return _scaled(target, files[position].value)

    ends = sorted(end * values.parts * values.rate for end in (values.smallest, values.largest))
    start = values.default * values.parts * values.rate
    wanted = _scaled(target, target.wanted + (0.5 if target.kind == "bytes" else 0.0))
    span = _OCTAVES if target.kind in _SIZES else _DECIBELS
    search(search_value, wanted, ends[0], ends[1], start, span / (ends[1] - ends[0]))
    best = _best(target, files)
    if best is None:
        for end in ends:
            if end not in files:
                search_value(end)
        ranges = " to ".join(f"{_shown(target, files[end].value)} ({name} {files[end].setting})" for end in ends)
        raise RelicError(f"{target} is out of reach of {codec.model_id}: this picture has {ranges}")
    return Found(best, len(files), _about(target, best, name, len(files)))


def search(
    value: Callable[[int], float], wanted: float, lowest: int, highest: int, start: int, slope: float
) -> dict[int, float]:
    """Return the values of at most `MOST_CODINGS` positions from `lowest` to `highest`, of one that rises with them.

    Unless they run out, two neighbours are among them, one below `wanted` and one not; or an end, where all positions
    lie on one side. slope: how much a value rises for one position, roughly.
    """
    known = {start: value(start)}
    while len(known) < MOST_CODINGS:
        position = _next_position(known, wanted, lowest, highest, slope)
        if position is None:
            break
        known[position] = value(position)
    return known


def _next_position(known: dict[int, float], wanted: float, lowest: int, highest: int, slope: float) -> int | None:
    """Return which position is to be known next, None where nothing more is to be found."""
    high = min((p for p, v in known.items() if v >= wanted), default=None)
    low = max((p for p, v in known.items() if v < wanted and (high is None or p < high)), default=None)
    if low is not None and high is not None:
        between = round(_between(known, wanted, low, high))
        return min(max(between, low + 1), high - 1) if high - low > 1 else None
    near, end = (low, highest) if high is None else (high, lowest)
    assert near is not None
    if near == end:
        return None
    if len(known) > 2:
        return end
    if len(known) == 2:
        (p, v), (q, w) = known.items()
        slope = max((w - v) / (q - p), slope / 100)
    away = round(_FURTHER * (wanted - known[near]) / slope)
    return min(max(near + away, lowest), highest) if away else near + (1 if end > near else -1)


def _between(known: dict[int, float], wanted: float, low: int, high: int) -> float:
    """Return where the value is `wanted` by inverse interpolation: with a third position's, else on a straight line."""
    others = sorted((p for p in known if p not in (low, high)), key=lambda p: min(abs(p - low), abs(p - high)))
    for points in ([low, high, *others[:1]], [low, high]):
        values = [known[p] for p in points]
        if len(set(values)) == len(values):
            place = sum(
                p * math.prod((wanted - w) / (v - w) for w in values if w != v)
                for p, v in zip(points, values, strict=True)
            )
            if low < place < high:
                return place
    return (low + high) / 2


def _coder(
    codec: Any, image: np.ndarray, name: str, setting: Setting, others: Mapping[str, float]
) -> Callable[[float], bytes]:
    """Return what codes the picture at a value of the setting, its latents computed once where the codec can."""
    try:
        for end in (setting.smallest, setting.largest):
            codec.with_settings(**others, **{name: end})
    except RelicError as error:
        raise RelicError(f"{codec.model_id} has one rate ({error}): leave the target out") from error
    once = getattr(codec, "latents", None)
    latents = once(image) if once else None

    def code(value: float) -> bytes:
        other = codec.with_settings(**others, **{name: value})
        return other.compress_latents(latents) if once else other.compress(image)

    return code


def _measured(codec: Any, image: np.ndarray, target: Target, data: bytes) -> float:
    """Return what a file has, in the target's unit."""
    if target.kind == "bytes":
        return len(data)
    if target.kind == "bpp":
        return metrics.bits_per_pixel(len(data), *image.shape[:2])
    measure = metrics.psnr if target.kind == "psnr" else metrics.ms_ssim
    return measure(image, codec.decompress(data))


def _scaled(target: Target, value: float) -> float:
    """Return a value as it is interpolated: the logarithm of a size, dB of a quality."""
    if target.kind in _SIZES:
        return math.log2(value)
    return min(metrics.ms_ssim_db(value) if target.kind == "ms_ssim" else value, _MOST_DECIBELS)


def _best(target: Target, files: Mapping[int, File]) -> File | None:
    """Return the file that serves a target; None where all lie on one side of it, or too far."""
    wanted = target.wanted
    if target.kind not in _SIZES:
        return min((file for file in files.values() if file.value >= wanted), key=_size, default=None)
    below = max((file for file in files.values() if file.value <= wanted), key=_size, default=None)
    above = min((file for file in files.values() if file.value > wanted), key=_size, default=None)
    candidates = [file for file in (below, above) if file and (file is below or target.kind == "bpp")]
    best = min(candidates, key=lambda file: abs(file.value - wanted), default=None)
    is_between = below is not None and (above is not None or below.value == wanted)
    return best if best and (is_between or abs(best.value / wanted - 1) <= NEAR) else None


def _size(file: File) -> int:
    return len(file.data)


def _about(target: Target, best: File, name: str, codings: int) -> str:
    """Say what was reached: the setting, how far it is from the target, and after how many codings."""
    count = f"{codings} coding{'s' if codings > 1 else ''}"
    if target.kind not in _SIZES:
        return f"{_shown(target, best.value)} at {name} {best.setting}, the smallest found from {target} in {count}"
    miss = 100 * (best.value / target.wanted - 1)
    distance = f"{abs(miss):.2f} % {'above' if miss > 0 else 'below'}" if abs(miss) >= 0.005 else "at"
    return f"{name} {best.setting}: {distance} {target} in {count}"


def _shown(target: Target, value: float) -> str:
    digits = {"bpp": ".4f", "bytes": ".0f", "psnr": ".3f", "ms_ssim": ".5f"}[target.kind]
    return f"{value:{digits}} {KINDS[target.kind]}"
