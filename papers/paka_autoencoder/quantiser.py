"""The quantiser that the paper's code lacks: b bits a value, uniform, with a largest value for each channel."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from common.coding.range_coder import FrequencyTables
from common.errors import RelicError

ALL_BITS = range(1, 9)
UNITS = 4096  # largest values are stored as whole multiples of 1 / UNITS
BINS = 4096
SHARES = np.arange(1, 65) / 64  # of a channel's maximum, candidates for its largest value


@dataclass(frozen=True)
class Quantiser:
    """Values y >= 0 to integers 0 … 2^bits - 1 and back, channel by channel; larger values become the largest.

    largest: int32 (C,), in units of 1/4096; tables: the frequencies of each channel's integers.
    """

    bits: int
    largest: np.ndarray
    tables: FrequencyTables

    @property
    def step(self) -> np.ndarray:
        """Distance of neighbouring values, float64 (C,)."""
        return self.largest / (UNITS * (2.0**self.bits - 1))

    def symbols(self, y: np.ndarray) -> np.ndarray:
        """Return the integers, int32, of float y (..., C)."""
        return np.clip(np.rint(y / self.step), 0, 2**self.bits - 1).astype(np.int32)

    def values(self, symbols: np.ndarray) -> np.ndarray:
        """Return y_hat, float32 (..., C), of integers."""
        return (symbols * self.step).astype(np.float32)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return what a weights file holds of it."""
        return {"largest": self.largest, **self.tables.to_arrays()}

    @classmethod
    def from_arrays(cls, bits: int, arrays: Mapping[str, np.ndarray], channels: int) -> "Quantiser":
        """Return the quantiser of a weights file; raises RelicError where it is not one of so many channels."""
        largest = arrays.get("largest", np.zeros(0, np.int32))
        if largest.shape != (channels,) or not (largest > 0).all():
            raise RelicError(f"the largest values of {bits} bits are damaged: fetch or train the weights again")
        return cls(bits, largest, FrequencyTables.from_arrays(arrays, channels))


def fit(codes: Iterable[np.ndarray]) -> dict[int, Quantiser]:
    """Return the quantisers of 1 to 8 bits for typical codes y >= 0, float (..., C).

    Each channel's largest value is the share of its maximum with the least squared error at that many bits: few bits
    are better spent on the many small values. Frequencies count the codes' integers, plus a half for each integer.
    """
    values = np.concatenate([code.reshape(-1, code.shape[-1]) for code in codes])
    maxima = np.maximum(values.max(axis=0), 1 / UNITS)
    histograms = np.stack([np.histogram(v, BINS, (0, m))[0] for v, m in zip(values.T, maxima, strict=True)])
    return {bits: _fit_bits(bits, histograms, maxima, values) for bits in ALL_BITS}


def _fit_bits(bits: int, histograms: np.ndarray, maxima: np.ndarray, values: np.ndarray) -> Quantiser:
    share = SHARES[_squared_errors(bits, histograms).argmin(axis=0)]
    largest = np.maximum(np.rint(share * maxima * UNITS), 1).astype(np.int32)
    scaled = values / (largest / (UNITS * (2.0**bits - 1)))
    symbols = np.clip(np.rint(scaled), 0, 2**bits - 1).astype(np.int64)
    counts = [np.bincount(channel, minlength=2**bits) + 0.5 for channel in symbols.T]
    tables = FrequencyTables.from_pmfs([c / c.sum() for c in counts], [0.0] * len(counts), [0] * len(counts))
    return Quantiser(bits, largest, tables)


def _squared_errors(bits: int, histograms: np.ndarray) -> np.ndarray:
    """Return (shares, C): the squared error of each candidate, on maxima of 1, from histograms (C, BINS)."""
    centres = (np.arange(BINS) + 0.5) / BINS
    levels = 2**bits - 1
    errors = [np.square(centres - np.minimum(np.rint(centres / s * levels), levels) * s / levels) for s in SHARES]
    return np.stack(errors) @ histograms.T
