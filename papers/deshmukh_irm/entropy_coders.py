"""The two entropy coders of the code's bytes: dynamic Huffman (Section 3.1), and the suite's range coder."""

from collections.abc import Sequence

import numpy as np

from common.coding import range_coder
from common.coding.container import ContainerError
from common.coding.range_coder import FrequencyTables
from common.errors import RelicError
from papers.deshmukh_irm import huffman

HUFFMAN, RANGE_CODER = 0, 1
VALUES = 256


def encode(coder: int, plane: np.ndarray, tables: FrequencyTables, channel: int) -> bytes:
    """Return the bytes of a channel of the code, uint8 (h, w): `tables` are those of all channels."""
    if coder == HUFFMAN:
        return huffman.encode(plane.ravel())
    return range_coder.encode(plane.astype(np.int32), _indexes(plane.shape, tables, channel), tables)


def decode(coder: int, data: bytes, shape: Sequence[int], tables: FrequencyTables, channel: int) -> np.ndarray:
    """Return a channel of the code, uint8 (h, w), from its bytes; raises ContainerError where they are damaged."""
    try:
        if coder == HUFFMAN:
            return huffman.decode(data, int(np.prod(shape))).reshape(shape)
        values = range_coder.decode(data, _indexes(shape, tables, channel), tables)
    except RelicError:
        raise _damaged() from None
    if values.min() < 0 or values.max() >= VALUES:
        raise _damaged()
    return values.astype(np.uint8)


def _indexes(shape: Sequence[int], tables: FrequencyTables, channel: int) -> np.ndarray:
    # Channels of a grey network that codes colour have its one table.
    return np.broadcast_to(np.int32(min(channel, len(tables) - 1)), shape)


def _damaged() -> ContainerError:
    return ContainerError("the code inside this file is damaged: compress the picture again")


def tables(channels: Sequence[np.ndarray]) -> FrequencyTables:
    """Return one table for each channel of typical codes, uint8 arrays: how often each of the 256 values occurs.

    Every value counts one more than was seen, for those that were not.
    """
    counts = [np.bincount(channel.ravel(), minlength=VALUES) + 1.0 for channel in channels]
    return FrequencyTables.from_pmfs([count / count.sum() for count in counts], [0.0] * len(counts), [0] * len(counts))
