"""Mistakes in measuring PSNR that could have made a good reconstruction look bad, each the same for every picture."""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from common import metrics
from common.data.pictures import to_uint8
from papers.paka_autoencoder.pictures import resized, rgb_to_ycbcr


def _level(x: np.ndarray, y: np.ndarray, largest: float = 255.0) -> float:
    """Return 10 log10(largest^2 / mse) in dB of two arrays of one shape."""
    return 10 * math.log10(largest**2 / np.mean(np.square(x.astype(np.float64) - y)))


def _ycbcr(picture: np.ndarray) -> np.ndarray:
    """Return a uint8 picture's Y, Cb, Cr, uint8, as if they were red, green and blue."""
    return to_uint8(rgb_to_ycbcr(picture))


def _wrapped(x: np.ndarray, y: np.ndarray) -> float:
    """Return the PSNR in dB from differences and squares that are kept in 8 bits."""
    return 10 * math.log10(255.0**2 / np.square(x - y).mean())


# PSNR in dB of an original x and a reconstruction y, uint8 HxWx3, after the mistake.
MISTAKES: Mapping[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "turned by 180 degrees": lambda x, y: metrics.psnr(x[::-1, ::-1], y),
    "transposed": lambda x, y: metrics.psnr(resized(x.transpose(1, 0, 2)), y),
    "mirrored left to right": lambda x, y: metrics.psnr(x[:, ::-1], y),
    "mirrored top to bottom": lambda x, y: metrics.psnr(x[::-1], y),
    "mid-grey in place of the reconstruction": lambda x, y: metrics.psnr(x, np.full_like(y, 128)),
    "RGB against YCbCr read as RGB": lambda x, y: metrics.psnr(x, _ycbcr(y)),
    "BGR against YCrCb": lambda x, y: metrics.psnr(x[..., ::-1], _ycbcr(y)[..., (0, 2, 1)]),
    "RGB against BGR": lambda x, y: metrics.psnr(x, y[..., ::-1]),
    "[0, 1] against [0, 255]": lambda x, y: _level(x / 255.0, y),
    "black in place of the reconstruction": lambda x, y: metrics.psnr(x, np.zeros_like(y)),
    "negative": lambda x, y: metrics.psnr(255 - x, y),
    "differences and squares in 8 bits": _wrapped,
    "MAX the largest value of the picture": lambda x, y: _level(x, y, float(x.max())),
    "MAX 1 on values to 255": lambda x, y: _level(x, y, 1.0),
}


def psnr(name: str, originals: Sequence[np.ndarray], reconstructions: Sequence[np.ndarray]) -> np.ndarray:
    """Return what a mistake makes of the PSNR in dB of uint8 pictures and their reconstructions, float64 (N,)."""
    return np.array([MISTAKES[name](x, y) for x, y in zip(originals, reconstructions, strict=True)])
