"""The four methods that Zhao et al. compare with, Section 3.2: each improves a picture that JPEG has coded.

A method is a function of two arguments, the decoded picture, uint8 (H, W), and the quantisation table that its file
holds, int64 (8, 8) from 1 to 255 in rows of rising vertical frequency. It returns a uint8 picture (H, W), and always
the same one. `COMPARATORS` has those that are implemented by their name in the paper; the others are not run.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from common.classical import codecs

Comparator = Callable[[np.ndarray, np.ndarray], np.ndarray]

# In the paper's order, [11] to [14].
NAMES = ("Foi", "BM3D", "DicTV", "CONCOLOR")
# JPEG's, Section 3.2.
QUALITIES = (2, 3, 4, 5, 10, 15, 20, 25, 30)
COMPARATORS: dict[str, Comparator] = {}


@dataclass(frozen=True)
class Improved:
    """A `common.evaluate.Codec` of grey pictures: JPEG at a quality, whose picture a comparator improves."""

    comparator: Comparator
    quality: int

    def compress(self, image: np.ndarray) -> bytes:
        """Return the JPEG file of a uint8 picture HxW, with optimised Huffman tables as networks' files."""
        return codecs.Jpeg(self.quality, optimised=True).compress(image)

    def decompress(self, data: bytes) -> np.ndarray:
        """Return the improved picture, uint8 HxW, of a JPEG file."""
        return self.comparator(codecs.Jpeg(self.quality).decompress(data), quantisation_table(data))


def quantisation_table(data: bytes) -> np.ndarray:
    """Return the luminance table of a JPEG file, int64 (8, 8), rows of rising vertical frequency."""
    with Image.open(io.BytesIO(data)) as file:
        return np.array(file.quantization[0], np.int64).reshape(8, 8)  # type: ignore[attr-defined]
