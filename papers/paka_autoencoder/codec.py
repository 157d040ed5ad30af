"""The codecs of Paka and Khatter: the autoencoder's code quantised to b bits, or a bottleneck's latent, range-coded.

The paper neither quantises nor codes. Two sections: one byte with the bits (0 for a bottleneck), then the integers.
"""

import copy
import math
from typing import Any, NamedTuple

import constriction
import numpy as np

from common import backend
from common.coding import container, entropy, range_coder
from common.coding.container import ContainerError
from common.coding.range_coder import FrequencyTables, channel_indexes
from common.config import restored
from common.data.pictures import padded, to_uint8
from common.errors import RelicError
from common.tiling import apply_by_strips
from common.training import checkpoints, shipped, weights
from papers.paka_autoencoder import config, quantiser
from papers.paka_autoencoder.config import CODING, Config
from papers.paka_autoencoder.model import Model
from papers.paka_autoencoder.pictures import rgb_to_ycbcr, ycbcr_to_rgb
from papers.paka_autoencoder.quantiser import Quantiser

STRIP_PIXELS = 2**20  # a picture is transformed in strips of about so many pixels, for memory's sake
HALO = 2  # rows of the code that a strip needs around it: all 3x3 convolutions of a transform reach less than that


class Latents(NamedTuple):
    """What a picture is to a network, however many bits its values then have."""

    y: np.ndarray  # float32 (H / stride, W / stride, C)
    height: int  # of the picture
    width: int
    channels: int


class Codec:
    """One trained network. Deterministic on one machine and stack; bytes decode on any machine and stack."""

    def __init__(self, stored: weights.Weights) -> None:
        """Build the network of a weights file; raises RelicError if names, shapes or tables do not fit."""
        self.model_id, self.digest = stored.model, stored.digest
        self.config = restored(Config, stored.config, stored.path)
        self.model = Model(self.config)
        checkpoints.set_model_arrays(self.model, stored.arrays, str(stored.path))
        if not self.config.has_rate:
            self.bits = CODING["bits"].default
            parts = {b: stored.part(f"bits{b}") for b in quantiser.ALL_BITS}
            channels = self.config.code_channels
            self.quantisers = {b: Quantiser.from_arrays(b, arrays, channels) for b, arrays in parts.items()}
        else:
            self.bits = 0
            self.prior_tables = FrequencyTables.from_arrays(stored.part("prior"), self.config.code_channels)
        # x, float32 (1, H, W, 3) -> y, and y_hat -> x_hat: shared by copies with other settings, so compiled once.
        self._analysis = backend.compiled(lambda x: self.model.analysis_transform(x, training=False))
        self._synthesis = backend.compiled(lambda y_hat: self.model.synthesis_transform(y_hat, training=False))

    def with_settings(self, bits: int | None = None) -> "Codec":
        """Return the same network with another number of bits a value; nothing is compiled again.

        Raises RelicError for bits that there are not, and for any of a bottleneck.
        """
        if self.config.has_rate and bits is not None:
            raise RelicError(f"the code of {self.model_id} has no bits to choose: leave bits out")
        other = copy.copy(self)
        if not self.config.has_rate:
            other.bits = CODING["bits"].check("bits", CODING["bits"].default if bits is None else bits)
        return other

    def compress(self, image: np.ndarray) -> bytes:
        """Return the bytes of a uint8 picture, H x W x 3 or H x W, of any size from 1x1."""
        return self.compress_latents(self.latents(image))

    def latents(self, image: np.ndarray) -> Latents:
        """Return what `compress` codes of a picture, the same whatever the bits."""
        y = self._analyse(image)
        return Latents(y, image.shape[0], image.shape[1], 3 if image.ndim == 3 else 1)

    def compress_latents(self, latents: Latents) -> bytes:
        """Return the bytes of a picture whose latents are known, the same as `compress`."""
        y, *size = latents
        payload = range_coder.encode(self._symbols(y), channel_indexes(y.shape), self._tables(self.bits))
        return container.pack(container.Header(self.model_id, self.digest, *size), [bytes([self.bits]), payload])

    def decompress(self, data: bytes) -> np.ndarray:
        """Return the uint8 picture of `compress`, whatever its bits; raises ContainerError for anything else."""
        header, bits, symbols = self._decoded(data)
        y_hat = self.quantisers[bits].values(symbols) if bits else symbols.astype(np.float32)
        return self._picture(y_hat, header.height, header.width, header.channels)

    def latents_of(self, data: bytes) -> np.ndarray:
        """Return what a file's bytes decode to before any float network: integers, int32 (h, w, C)."""
        return self._decoded(data)[2]

    def reconstruct(self, image: np.ndarray) -> np.ndarray:
        """Return what the network gives back of a uint8 picture without any coding, as the paper measures it."""
        height, width = image.shape[:2]
        return self._picture(self._analyse(image), height, width, 3 if image.ndim == 3 else 1)

    def rate_estimate(self, image: np.ndarray) -> float:
        """Return bits per pixel of a uint8 picture by the probabilities of its code's integers."""
        y = self._analyse(image)
        if self.bits:
            bits = _sum_over_channels(self._symbols(y), _ideal_lengths(self._tables(self.bits), 2**self.bits))
        else:
            bits = float(backend.to_numpy(entropy.rate(self.model.prior(np.rint(y)[None]), 1.0)))
        return bits / (image.shape[0] * image.shape[1])

    def huffman_bytes(self, image: np.ndarray) -> int:
        """Return the bytes of a uint8 picture's code by a Huffman code for each channel, without any header.

        The paper's "future work", made of the same statistics as the range coder's. Raises RelicError for a bottleneck,
        whose integers have no smallest and largest.
        """
        if not self.bits:
            raise RelicError(f"{self.model_id} has no Huffman code: its integers have no bounds")
        lengths = huffman_lengths(self._tables(self.bits), 2**self.bits)
        return math.ceil(_sum_over_channels(self._symbols(self._analyse(image)), lengths) / 8)

    def _decoded(self, data: bytes) -> tuple[container.Header, int, np.ndarray]:
        """Return a file's header, bits and integers; raises ContainerError for what is no file of this codec."""
        header, sections = container.unpack(data)
        header.check_weights(self.model_id, self.digest)
        bits = self._bits_of(sections)
        stride = self.config.stride
        shape = (-(-header.height // stride), -(-header.width // stride), self.config.code_channels)
        return header, bits, range_coder.decode(sections[1], channel_indexes(shape), self._tables(bits))

    def _tables(self, bits: int) -> FrequencyTables:
        return self.quantisers[bits].tables if bits else self.prior_tables

    def _symbols(self, y: np.ndarray) -> np.ndarray:
        return self.quantisers[self.bits].symbols(y) if self.bits else np.rint(y).astype(np.int32)

    def _bits_of(self, sections: list[bytes]) -> int:
        """Return the bits that a file's first section names; raises ContainerError for sections that are not ours."""
        allowed = [0] if self.config.has_rate else list(quantiser.ALL_BITS)
        if len(sections) != 2 or len(sections[0]) != 1 or sections[0][0] not in allowed:
            raise ContainerError(f"this is no file of {self.model_id}, or a newer one's: compress the picture again")
        return sections[0][0]

    def _analyse(self, image: np.ndarray) -> np.ndarray:
        """Return y, float32 (H/stride, W/stride, C), of a uint8 picture whose edges are repeated to whole strides."""
        stride = self.config.stride
        x = rgb_to_ycbcr(padded(image, stride))
        return apply_by_strips(self._analysis, x, (stride, 1), self._strip_size(x.shape[1]), HALO)

    def _strip_size(self, width: int) -> int:
        """Return how many rows of the code make a strip of a picture so many pixels wide."""
        return STRIP_PIXELS // (width * self.config.stride)

    def _picture(self, y_hat: np.ndarray, height: int, width: int, channels: int) -> np.ndarray:
        """Return the uint8 picture of y_hat, cut to its size; a grey one is the luma."""
        stride = self.config.stride
        size = self._strip_size(y_hat.shape[1] * stride)
        x_hat = apply_by_strips(self._synthesis, y_hat, (1, stride), size, HALO)
        x_hat = x_hat[:height, :width]
        return ycbcr_to_rgb(x_hat) if channels == 3 else to_uint8(x_hat[..., 0])


def load(preset: str, scale: str | None = None, seed: int | None = None, **coding: int) -> Codec:
    """Return the codec of a preset with its shipped weights, as `common.training.shipped.of_preset` chooses them.

    coding: as `Codec.with_settings`.
    """
    codec = Codec(shipped.of_preset(config, preset, scale, seed))
    return codec.with_settings(**coding) if coding else codec


def integers(model: Model, calibration: list[np.ndarray]) -> dict[str, np.ndarray]:
    """Return all integers that coding with a trained model relies on, for its weights file.

    calibration: typical RGB pictures, uint8 (1, H, W, 3), whose codes set the autoencoder's quantisers. The model's
    weights must already be rounded to what the file will hold.
    """
    if model.config.has_rate:
        parts: dict[str, Any] = {"prior": entropy.prior_tables(model.prior)}
    else:
        analyse = backend.compiled(lambda x: model.analysis_transform(x, training=False))
        fitted = quantiser.fit(analyse(rgb_to_ycbcr(x)) for x in calibration)
        parts = {f"bits{bits}": network for bits, network in fitted.items()}
    return {f"{part}/{name}": array for part, owner in parts.items() for name, array in owner.to_arrays().items()}


def huffman_lengths(tables: FrequencyTables, num_symbols: int) -> np.ndarray:
    """Return the bits of each symbol in each table's Huffman code, int64 (C, num_symbols), at least 1."""
    lengths = np.empty((len(tables), num_symbols), np.int64)
    for table, counts in enumerate(tables.frequencies[:, :num_symbols]):
        tree = constriction.symbol.huffman.EncoderHuffmanTree(counts.astype(np.float64))
        for symbol in range(num_symbols):
            encoder = constriction.symbol.QueueEncoder()
            encoder.encode_symbol(symbol, tree)
            lengths[table, symbol] = encoder.get_compressed()[1]
    return lengths


def _ideal_lengths(tables: FrequencyTables, num_symbols: int) -> np.ndarray:
    """Return -log2 of each symbol's probability in each table, float64 (C, num_symbols)."""
    counts = tables.frequencies[:, :num_symbols].astype(np.float64)
    return np.log2(tables.frequencies.sum(axis=1, keepdims=True)) - np.log2(counts)


def _sum_over_channels(symbols: np.ndarray, lengths: np.ndarray) -> float:
    """Return the sum of lengths (C, symbols) over integers (..., C)."""
    return float(sum(of_channel[symbols[..., c]].sum() for c, of_channel in enumerate(lengths)))
