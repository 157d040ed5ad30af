"""Code maps to bytes: one section for each iteration, its bits packed, or range-coded where that takes fewer bytes.

A section starts with its mode. PACKED: eight bits a byte, in order of rows, columns, channels, zeros at the end.
ADAPTIVE: a range coder and counts of what was coded before in the same context: the channel, its bit above, and its
bits at the same place one and two iterations before. A section needs those before it; all numbers are integers, so
every machine reads the same bits.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np

from common.coding.container import ContainerError
from common.coding.range_coder import TOTAL, Categorical, RangeEncoder, range_decoder, shortest_bytes

PACKED, ADAPTIVE = 0, 1
UNKNOWN = 2  # the value of a bit outside the map, and of an iteration that there is not
NEIGHBOURS = 3
# A context's counts start at 1 and grow by 2. Above LIMIT they are halved, as they are before every iteration: both
# forget what no longer holds. Chosen on code maps of Kodak, where half or twice as much changes less than 1 % of bytes.
INCREMENT, LIMIT = 2, 128

Coder = Callable[[int, np.ndarray], np.ndarray]  # (row of the map, weights of its bits) -> its bits, flat


def encode(maps: np.ndarray) -> list[bytes]:
    """Return the section of each iteration of bits, bool or 0 and 1 (iterations, h, w, C)."""
    maps = np.asarray(maps).astype(np.uint8)
    model = _Model(maps.shape[1:])
    return [_section(bits, model) for bits in maps]


def decode(sections: Sequence[bytes], shape: tuple[int, int, int]) -> np.ndarray:
    """Return the bits of sections, uint8 (iterations, *shape); raises ContainerError for what `encode` does not make.

    shape: h, w, C. Damage that leaves sections as `encode` makes them gives other bits: a checksum shows that.
    """
    _check_lengths(sections, shape)
    model = _Model(shape)
    maps = np.array([_bits(section, model) for section in sections], np.uint8).reshape(-1, *shape)
    # The decoder invents what short data lack and leaves what long data have: encoding again shows both.
    if encode(maps) != list(sections):
        raise _damaged()
    return maps


def _check_lengths(sections: Sequence[bytes], shape: tuple[int, int, int]) -> None:
    """Raise ContainerError for sections that cannot have so many bits, before memory is taken for them.

    Range-coded bits are fewer than packed ones, and more than none: a context's count grows by INCREMENT at most for
    every position of a row, after which it is halved.
    """
    num_bits = math.prod(shape)
    largest = max(LIMIT, INCREMENT * shape[1] + 1)
    share = min(1 - 1 / (largest + 1) + 1 / TOTAL, 1 - 1 / TOTAL)  # of the more frequent bit in its context
    fewest = (-num_bits * math.log2(share) - 64) / 8
    for section in sections:
        size, num_packed = len(section) - 1, -(-num_bits // 8)
        fits = {bytes([PACKED]): size == num_packed, bytes([ADAPTIVE]): fewest <= size < num_packed}
        if not fits.get(section[:1], False):
            raise _damaged()


def _section(bits: np.ndarray, model: "_Model") -> bytes:
    packed = np.packbits(bits).tobytes()
    coded = _range_coded(bits, model)
    return bytes([ADAPTIVE]) + coded if len(coded) < len(packed) else bytes([PACKED]) + packed


def _bits(section: bytes, model: "_Model") -> np.ndarray:
    if section[0] == ADAPTIVE:
        return _range_decoded(section[1:], model)
    flat = np.unpackbits(np.frombuffer(section[1:], np.uint8), count=model.previous.size)
    bits = flat.reshape(model.previous.shape)
    _range_coded(bits, model)  # for what the model learns
    return bits


def _range_coded(bits: np.ndarray, model: "_Model") -> bytes:
    encoder = RangeEncoder()

    def code(row, weights):
        flat = bits[row].ravel().astype(np.int32)
        encoder.encode(flat, Categorical(perfect=False), weights)
        return flat

    model.next_map(code)
    return shortest_bytes(encoder)


def _range_decoded(data: bytes, model: "_Model") -> np.ndarray:
    decoder = range_decoder(data)
    try:
        return model.next_map(lambda row, weights: decoder.decode(Categorical(perfect=False), weights))
    except AssertionError as error:  # how the decoder reports bits that no encoder emits
        raise _damaged() from error


class _Model:
    """What encoder and decoder know alike: counts of every context, and the maps of the last two iterations."""

    def __init__(self, shape: Sequence[int]) -> None:
        self.counts = np.ones((3**NEIGHBOURS * shape[2], 2), np.int64)
        self.previous = self.before = np.full(shape, UNKNOWN, np.uint8)

    def next_map(self, code: Coder) -> np.ndarray:
        """Return the bits of the next iteration, uint8 (h, w, C), which `code` gives row by row; learn them."""
        bits = np.empty_like(self.previous)
        self.counts = np.maximum(self.counts // 2, 1)
        above = np.full(bits.shape[1:], UNKNOWN, np.uint8)
        for row in range(len(bits)):
            contexts = self._contexts(above, self.previous[row], self.before[row])
            coded = code(row, _weights(self.counts[contexts]))
            above = bits[row] = coded.reshape(above.shape)
            self._learn(contexts, coded)
        self.previous, self.before = bits, self.previous
        return bits

    def _contexts(self, *neighbours: np.ndarray) -> np.ndarray:
        """Return the index of each bit's context, int64 (w * C,), of its NEIGHBOURS (w, C)."""
        contexts = np.zeros(neighbours[0].shape, np.int64)
        for neighbour in neighbours:
            contexts = 3 * contexts + neighbour
        channels = contexts.shape[1]
        return (contexts * channels + np.arange(channels)).ravel()

    def _learn(self, contexts: np.ndarray, bits: np.ndarray) -> None:
        np.add.at(self.counts, (contexts, bits), INCREMENT)
        large = contexts[self.counts[contexts].sum(axis=1) > LIMIT]
        self.counts[large] = (self.counts[large] + 1) // 2  # once, however often a context stands there


def _weights(counts: np.ndarray) -> np.ndarray:
    """Return the coder's weights of bits that were so often 0 and 1, float64 (N, 2): whole numbers, as of tables.

    The probability of 1 is a multiple of 2**-16, rounded down and kept from 0 and 1.
    """
    ones = np.clip(TOTAL * counts[:, 1] // counts.sum(axis=1), 1, TOTAL - 1)
    return 256.0 * np.stack([TOTAL - ones, ones], axis=1) - 1.0


def _damaged() -> ContainerError:
    return ContainerError("the bits of an iteration are damaged: compress the picture again")
