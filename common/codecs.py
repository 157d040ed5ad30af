"""Classical codecs through libraries, as anchors for the learned ones."""
from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import Sequence

import cv2
import numpy as np

from common.errors import RelicError
from common.evaluate import Measurement, measure
from common.metrics import check_picture

# Below quality 20 nearly every one counts: there the learned codecs of this suite work.
QUALITIES = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 18, 20, 25, 30, 35, 40, 50, 60, 70, 80, 85, 90, 95, 100)
JPEG_LARGEST = 65500


@dataclass(frozen=True)
class Jpeg:
    """Baseline JPEG by OpenCV: quality 0 to 100, chroma at half resolution both ways (4:2:0), standard Huffman tables.

    A picture HxW is written as a grey JPEG. OpenCV's quality 0 is the same as 1.
    """

    quality: int

    def __post_init__(self) -> None:
        if not 0 <= self.quality <= 100:
            raise RelicError(f"JPEG has no quality {self.quality}: choose 0 to 100")

    @property
    def label(self) -> str:
        """Return codec, sampling, quality, and the library that codes, with versions."""
        return f"JPEG 4:2:0 quality {self.quality}, OpenCV {cv2.__version__} ({_jpeg_library()})"

    def compress(self, image: np.ndarray) -> bytes:
        """Return the JPEG file of a uint8 picture HxWx3 (RGB) or HxW, sides 1 to 65500."""
        check_picture(image)
        if max(image.shape) > JPEG_LARGEST:
            raise RelicError(f"JPEG holds sides up to {JPEG_LARGEST} pixels, not {max(image.shape)}: cut the picture")
        settings = [cv2.IMWRITE_JPEG_QUALITY, self.quality]
        settings += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420]
        bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image
        return cv2.imencode(".jpg", bgr, settings)[1].tobytes()

    def decompress(self, data: bytes) -> np.ndarray:
        """Return the uint8 picture HxWx3 (RGB) or HxW of a JPEG file; RelicError where it is none."""
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) if data[:2] == b"\xff\xd8" else None
        if image is None:
            raise RelicError("these bytes are no JPEG file: give the bytes that compress returned")
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB) if image.ndim == 3 else image


@dataclass(frozen=True)
class Curve:
    """Quality over rate of one picture: float64 arrays of equal length, `bpp` strictly rising; `ms_ssim` may be NaN."""

    qualities: np.ndarray
    bpp: np.ndarray
    psnr: np.ndarray
    ms_ssim: np.ndarray


def jpeg_curve(image: np.ndarray, qualities: Sequence[int] = QUALITIES) -> Curve:
    """Return JPEG's curve of a uint8 picture over a grid of qualities, from counted bytes.

    Where a higher quality takes no more bytes than a lower one, the lower one is left out. `ms_ssim` is NaN for
    pictures with a side below 161 pixels.
    """
    kept: list[tuple[int, Measurement]] = []
    for quality in sorted(set(qualities), reverse=True):
        point = measure(Jpeg(quality), image, f"quality {quality}")
        if not kept or point.bpp < kept[-1][1].bpp:
            kept.append((quality, point))
    rows = [(q, p.bpp, p.psnr, np.nan if p.ms_ssim is None else p.ms_ssim) for q, p in reversed(kept)]
    return Curve(*np.array(rows, np.float64).T)


def ms_ssim_at_bpp(curve: Curve, bpp: float) -> float:
    """Return a curve's MS-SSIM at a rate, linear between the neighbouring counted rates.

    At or below the curve's smallest rate it is the value at the smallest, which flatters the codec: it cannot code that
    low. At or above the largest it is the value at the largest.
    """
    return float(np.interp(bpp, curve.bpp, curve.ms_ssim))


def jpeg_at_bpp(image: np.ndarray, bpp: float) -> dict[str, float | None]:
    """Return JPEG's `psnr` and `ms_ssim` for a uint8 picture at the rate `bpp`, between `bpp_low` and `bpp_high`.

    The two neighbouring qualities whose counted rates enclose `bpp` are found by bisection, only they are measured, and
    the values between them are linear in the rate. Where JPEG cannot code that low, everything is that of its smallest
    file, so that the returned `bpp` is above the one asked for; likewise for its largest file. `ms_ssim` is None for
    pictures with a side below 161 pixels.
    """
    low, high = _enclosing_qualities(image, bpp)
    first = measure(Jpeg(low), image, f"quality {low}")
    second = first if high == low else measure(Jpeg(high), image, f"quality {high}")
    reached = min(max(bpp, first.bpp), second.bpp)

    def at_rate(field: str) -> float | None:
        a, b = getattr(first, field), getattr(second, field)
        if a == b:
            return a
        return a + (reached - first.bpp) / (second.bpp - first.bpp) * (b - a)

    values = {field: at_rate(field) for field in ("bpp", "psnr", "ms_ssim")}
    return {**values, "bpp_low": first.bpp, "bpp_high": second.bpp}


def _enclosing_qualities(image: np.ndarray, bpp: float) -> tuple[int, int]:
    """Return neighbouring qualities with rate(low) < bpp <= rate(high), or the end of the range twice."""

    def rate(quality: int) -> float:
        return 8 * len(Jpeg(quality).compress(image)) / (image.shape[0] * image.shape[1])

    low, high = 1, 100
    # The coarsest quality is not always the smallest file.
    while rate(low + 1) <= rate(low) and low + 1 < high:
        low += 1
    if rate(low) >= bpp:
        return low, low
    if rate(high) < bpp:
        return high, high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if rate(middle) < bpp else (low, middle)
    return low, high


@functools.lru_cache(maxsize=1)
def _jpeg_library() -> str:
    """Return OpenCV's JPEG library and its version, e.g. `libjpeg-turbo 3.0.3`."""
    found = re.search(r"^\s*JPEG:.*?(libjpeg\S*)?\s+\(ver ([\w.]+)", cv2.getBuildInformation(), re.MULTILINE)
    return f"{found[1] or 'libjpeg'} {found[2]}" if found else "libjpeg"
