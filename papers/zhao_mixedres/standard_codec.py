"""The standard codec between the networks of Zhao et al., Section 2: Z = g(Y)."""

import math

import numpy as np

from common.classical import codecs
from common.evaluate import Codec
from papers.zhao_mixedres.config import Config

JPEG_BLOCK_BITS = 2  # of 8x8 pixels at least, by tables made for it: 1 for the same mean as before, 1 for the end


def standard_codec(config: Config, setting: int | None = None) -> Codec:
    """Return the codec that a config names, JPEG by OpenCV in the paper, at the config's quality unless given another.

    JPEG writes optimised Huffman tables: the pixels are those of the standard's, the files smaller. Raises RelicError
    for a setting that the codec does not have.
    """
    name = codecs.JPEG_OPTIMISED if config.standard_codec == codecs.JPEG else config.standard_codec
    return codecs.family(name).make(config.quality if setting is None else setting)


def shortest_file(config: Config, height: int, width: int) -> int:
    """Return how many bytes a file of a grey picture has at least, 0 for formats whose files need not grow with it."""
    blocks = math.ceil(height / 8) * math.ceil(width / 8)
    return blocks * JPEG_BLOCK_BITS // 8 if config.standard_codec == "JPEG" else 0


def coded(codec: Codec, y: np.ndarray) -> np.ndarray:
    """Return what a codec makes of patches y, uint8 (N, h, w).

    JPEG codes them one by one. A patch's file in another format is mostly header: those codecs get all in one picture.
    """
    if isinstance(codec, codecs.Jpeg):
        return codecs.jpeg_round_trip(y, codec.quality)
    count, height, width = y.shape
    columns = math.isqrt(count)
    rows = -(-count // columns)
    sheet = np.resize(y, (rows, columns, height, width)).swapaxes(1, 2).reshape(rows * height, columns * width)
    back = codec.decompress(codec.compress(sheet)).reshape(rows, height, columns, width).swapaxes(1, 2)
    return back.reshape(-1, height, width)[:count]
