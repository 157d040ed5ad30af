"""Crude stand-ins for a codec, of 32x32 pictures: what the measures of Donis and Brown's figures give them."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from common import backend, metrics
from common.classical import codecs
from common.classical.codecs import Jpeg
from common.data.pictures import to_uint8
from papers.donis_convlstm import losses
from papers.donis_convlstm.reproduction import figures6and7

BITS = 24  # of a pixel, and of a colour
NOTHING, THUMBNAILS, COLOURLESS, JPEG = "nothing of the picture", "thumbnails scaled up", "without colour", "JPEG"
JPEG_QUALITIES = (1, 5, 10, 25, 50, 75, 90)
END_OF_JPEG = 2  # bytes


@dataclass(frozen=True)
class Crude:
    """Pictures that stand for decoded ones: their group, uint8 (N, 32, 32, 3), and what they take, bits per pixel."""

    group: str
    x_hat: np.ndarray
    bpp: float


def all_of(x: np.ndarray) -> dict[str, Crude]:
    """Return every stand-in by name, of uint8 pictures (N, 32, 32, 3)."""
    pixels = x.shape[1] * x.shape[2]
    stand_ins = {
        "mid-grey": Crude(NOTHING, np.full_like(x, 128), 0.0),
        "mean of all pictures": Crude(NOTHING, np.broadcast_to(to_uint8(x.mean(axis=0), 1.0), x.shape), 0.0),
        "another picture": Crude(NOTHING, np.roll(x, 1, axis=0), 0.0),
        "mean colour of each": Crude(THUMBNAILS, thumbnails(x, 1, cv2.INTER_NEAREST), BITS / pixels),
    }
    for side in (2, 4, 8, 16):
        bpp = BITS * side**2 / pixels
        stand_ins[f"{side}x{side} pixels"] = Crude(THUMBNAILS, thumbnails(x, side, cv2.INTER_NEAREST), bpp)
        stand_ins[f"{side}x{side} pixels, bicubic"] = Crude(THUMBNAILS, thumbnails(x, side, cv2.INTER_CUBIC), bpp)
    stand_ins["luma alone"] = Crude(COLOURLESS, grey(x), BITS / 3)
    stand_ins["luma of 8x8 pixels, bicubic"] = Crude(
        COLOURLESS, grey(thumbnails(x, 8, cv2.INTER_CUBIC)), 8 * 64 / pixels
    )
    stand_ins.update({f"JPEG quality {quality}": jpeg(x, quality) for quality in JPEG_QUALITIES})
    return stand_ins


def thumbnails(x: np.ndarray, side: int, interpolation: int) -> np.ndarray:
    """Return pictures averaged to side x side pixels and scaled back up."""
    size = (x.shape[2], x.shape[1])
    small = [cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA) for picture in x]
    return np.stack([cv2.resize(picture, size, interpolation=interpolation) for picture in small])


def grey(x: np.ndarray) -> np.ndarray:
    """Return pictures with their BT.601 luma in all three channels."""
    return to_uint8(np.repeat((x @ np.array([0.299, 0.587, 0.114]))[..., None], 3, axis=3), 1.0)


def jpeg(x: np.ndarray, quality: int) -> Crude:
    """Return JPEG's pictures; counted are the bits of the coefficients, as headers are longer than those."""
    codec = Jpeg(quality)
    files = [codec.compress(picture) for picture in x]
    x_hat = np.stack([codec.decompress(file) for file in files])
    return Crude(JPEG, x_hat, 8 * sum(map(coefficients, files)) / (x.size // 3))


def coefficients(file: bytes) -> int:
    """Return the bytes of a JPEG file behind the header of its scan, without the marker that ends it."""
    scan = file.index(b"\xff\xda") + 2  # OpenCV writes one scan; tables before it never hold this marker
    return len(file) - scan - int.from_bytes(file[scan : scan + 2], "big") - END_OF_JPEG


# --- measuring -----------------------------------------------------------------------------------------------------

BPP, PLOTTED, SSIM_2, SSIM, MS_SSIM = "bpp", "plotted as MS-SSIM", "SSIM, range 2", "SSIM", "MS-SSIM, two scales"
PSNR, PLOTTED_PSNR = "PSNR, dB", "plotted as PSNR"


@functools.lru_cache(maxsize=1)
def _ms_ssim() -> Callable[..., Any]:
    """Return a compiled function: float32 pictures in [0, 1] -> MS-SSIM of two scales, (N,)."""
    return backend.compiled(lambda x, y: metrics.ms_ssim_tensor(x, y, max_val=1.0, weights=losses.SCALE_WEIGHTS))


def measured(x: np.ndarray, crude: Crude) -> dict[str, float]:
    """Return rate, what the figures would plot, and the measures by their right names, means over all pictures."""
    values = figures6and7.measured(x, crude.x_hat)
    as_run, levels = float(values["ssim_range_2"].mean()), values["psnr"]
    return {
        BPP: crude.bpp,
        PLOTTED: 1 - (1 - as_run) ** 2,
        SSIM_2: as_run,
        SSIM: float(values["ssim"].mean()),
        MS_SSIM: _mean_ms_ssim(x, crude.x_hat),
        PLOTTED_PSNR: float(np.square(levels).mean()),
        PSNR: float(levels.mean()),
    }


def _mean_ms_ssim(x: np.ndarray, x_hat: np.ndarray) -> float:
    total = 0.0
    for start in range(0, len(x), figures6and7.BATCH):
        parts = [
            pictures[start : start + figures6and7.BATCH].astype(np.float32) / np.float32(255) for pictures in (x, x_hat)
        ]
        total += float(np.sum(_ms_ssim()(*parts), dtype=np.float64))
    return total / len(x)


def table(x: np.ndarray, stand_ins: Mapping[str, Crude]) -> dict[str, dict[str, float]]:
    """Return `measured` of every stand-in, by name."""
    return {name: measured(x, crude) for name, crude in stand_ins.items()}


def jpeg_label() -> str:
    """Return which JPEG codes, without its quality."""
    return codecs.Jpeg(JPEG_QUALITIES[0]).label.replace(f" quality {JPEG_QUALITIES[0]}", "")
