"""The pictures of Paka and Khatter, Section 3.2: Kodak scaled to 512x768, in YCbCr, split into three parts."""

import numpy as np
from PIL import Image

from common import data
from common.data.pictures import to_uint8
from papers.paka_autoencoder.config import AUTOENCODER, TEST_PICTURES

# BT.601 with full range, as in JPEG (JFIF 1.02): rows give Y, Cb - 128 and Cr - 128 of R, G, B in 0..255.
TO_YCBCR = np.array(
    [[0.299, 0.587, 0.114], [-0.168735892, -0.331264108, 0.5], [0.5, -0.418687589, -0.081312411]], np.float64
)
_TO_RGB = np.linalg.inv(TO_YCBCR)
CENTRE = np.array([0.0, 128.0, 128.0])


def rgb_to_ycbcr(rgb: np.ndarray) -> np.ndarray:
    """Return YCbCr, float32 (..., 3) in about [0, 1], of RGB in 0..255: BT.601, full range, divided by 255."""
    return ((rgb.astype(np.float64) @ TO_YCBCR.T + CENTRE) / 255.0).astype(np.float32)


def ycbcr_to_rgb(ycbcr: np.ndarray) -> np.ndarray:
    """Return RGB, uint8 (..., 3), rounded and clipped, of YCbCr divided by 255."""
    return to_uint8((ycbcr.astype(np.float64) * 255.0 - CENTRE) @ _TO_RGB.T, 1.0)


def resized(image: np.ndarray) -> np.ndarray:
    """Return a uint8 picture scaled to 512x768x3, antialiased bicubic; portraits are squashed, not turned.

    The paper scales all pictures to one size without naming a way; landscapes of Kodak stay as they are.
    """
    height, width = AUTOENCODER.height, AUTOENCODER.width
    if image.shape == (height, width, 3):
        return image
    scaled = Image.fromarray(image).convert("RGB").resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(scaled)


def test_pictures() -> list[tuple[str, np.ndarray]]:
    """Return (name, uint8 512x768x3) of the seven test pictures; raises RelicError where Kodak is not here."""
    return [(stem, resized(image)) for stem, _, image in data.named_entries("kodak", TEST_PICTURES)]
