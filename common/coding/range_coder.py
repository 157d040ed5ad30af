"""Integers to bytes and back: integer frequency tables and the range coder that uses them.

The bits depend on integers alone. A table's counts sum to 2**16 and reach the range coder (queue coder of the package
constriction) as weights whose quantisation is exact, so no rounding of floats decides a bit. Symbols are coded in the
order of their tables, which needs one call per table instead of one per symbol; symbols outside their table follow, as
an escape symbol and an Exp-Golomb code. A change of the emitted bits is a change of the file format's version.
"""

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import constriction
import numpy as np

from common.errors import RelicError

Categorical, Uniform = constriction.stream.model.Categorical, constriction.stream.model.Uniform
RangeEncoder, RangeDecoder = constriction.stream.queue.RangeEncoder, constriction.stream.queue.RangeDecoder

TOTAL = 2**16
INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1

# 64 scales, evenly spaced in the logarithm from 0.11 to 256. Literals, because log() differs in the last bit between
# platforms and an encoder and a decoder must round a log-scale to the same level.
# Source: Ballé et al. 2018, "Variational image compression with a scale hyperprior", constants of the released code.
NUM_SCALES = 64
LOG_SCALE_MIN = -2.2072749131897207
LOG_SCALE_STEP = 0.12305479932808384
SCALE_LEVELS = np.exp(LOG_SCALE_MIN + LOG_SCALE_STEP * np.arange(NUM_SCALES))
SCALE_LEVELS.setflags(write=False)

# Probability outside a Gaussian's table, coded by escape. A wider table spends counts on symbols that are too rare for
# 16 bits, a narrower one more Exp-Golomb codes; 2**-12 has the least worst case over SCALE_LEVELS: 0.03 % above the
# entropy at the scales from 0.2, 6e-5 bits a symbol below.
TAIL_MASS = 2.0**-12

_SLACK_BITS = 64  # that the coder may save at the end, or by rounding
_LOW_BITS = 16  # bits of an Exp-Golomb code in one call: the coder takes less than 24


class RangeCoderError(RelicError):
    """Coded data or frequency tables that are damaged, or that do not belong together."""


@dataclass(frozen=True, eq=False)
class FrequencyTables:
    """Integer frequency tables of discrete distributions: what is stored with the weights, and all the coder knows.

    frequencies: int32 (num_tables, max_length), read-only; a row holds the counts of its symbols, then the count of
        the escape symbol, then zeros. Counts are at least 1 and a row sums to 2**16.
    lengths: int32 (num_tables,), symbols of each row with the escape symbol; at least 2.
    offsets: int32 (num_tables,), the value of each row's first symbol.

    Raises RangeCoderError if the arrays are not such tables.
    """

    frequencies: np.ndarray
    lengths: np.ndarray
    offsets: np.ndarray

    def __post_init__(self) -> None:
        for name, ndim in (("frequencies", 2), ("lengths", 1), ("offsets", 1)):
            array = np.asarray(getattr(self, name))
            _check_table(array.ndim == ndim and _are_int32(array), f"{name} are not {ndim}-dimensional 32-bit integers")
            array = array.astype(np.int32)
            array.setflags(write=False)
            object.__setattr__(self, name, array)
        self._check_contents()

    def _check_contents(self) -> None:
        num_tables, max_length = self.frequencies.shape
        _check_table(num_tables > 0, "there is none")
        _check_table(self.lengths.shape == self.offsets.shape == (num_tables,), "the numbers of tables differ")
        _check_table(bool(((self.lengths >= 2) & (self.lengths <= max_length)).all()), "a length is impossible")
        used = np.arange(max_length) < self.lengths[:, None]
        _check_table(bool(((self.frequencies > 0) == used).all()), "a symbol has no count, or a count no symbol")
        sums = self.frequencies.sum(axis=1, dtype=np.int64)
        _check_table(bool((sums == TOTAL).all()), f"a row does not sum to {TOTAL}")
        last = self.offsets.astype(np.int64) + self.lengths - 2
        _check_table(bool((last <= INT32_MAX).all()), "a symbol exceeds 32 bits")

    @classmethod
    def from_pmfs(
        cls, pmfs: Sequence[np.ndarray], tail_masses: Sequence[float], offsets: Sequence[int]
    ) -> "FrequencyTables":
        """Build tables from float probability vectors, the masses outside them, and the values of first symbols.

        A vector and its tail mass need not sum to one. Counts minimise the expected code length under the constraint
        that every symbol has at least one. Raises ValueError for negative, infinite, zero-sum or too long vectors.
        """
        if not 0 < len(pmfs) == len(tail_masses) == len(offsets):
            raise ValueError("pmfs, tail_masses and offsets must have one entry for each table")
        rows = [_quantise(np.concatenate([pmf, [tail]])) for pmf, tail in zip(pmfs, tail_masses, strict=True)]
        lengths = np.array([row.size for row in rows])
        return cls.from_arrays({"frequencies": np.concatenate(rows), "lengths": lengths, "offsets": offsets})

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return arrays for storage: `frequencies` uint16, rows joined without padding; `lengths`, `offsets` int32."""
        flat = self.frequencies[self.frequencies > 0].astype(np.uint16)
        return {"frequencies": flat, "lengths": self.lengths, "offsets": self.offsets}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any], count: int | None = None) -> "FrequencyTables":
        """Rebuild tables from `to_arrays`, so many of them where `count` says.

        Raises RangeCoderError if they are incomplete or not such tables.
        """
        names = ("frequencies", "lengths", "offsets")
        _check_table(all(name in arrays for name in names), "an array is missing")
        flat, lengths, offsets = (np.asarray(arrays[name]) for name in names)
        _check_table(flat.ndim == lengths.ndim == 1 and _are_int32(flat) and _are_int32(lengths), "not integers")
        _check_table(count in (None, lengths.size), f"there must be {count}, not {lengths.size}")
        _check_table(bool(((lengths >= 2) & (lengths <= TOTAL)).all()), "a length is impossible")
        _check_table(flat.size == lengths.sum(dtype=np.int64), "the lengths do not add up")
        used = np.arange(lengths.max(initial=2)) < lengths[:, None]
        frequencies = np.zeros(used.shape, np.int32)
        frequencies[used] = flat
        return cls(frequencies, lengths, offsets)

    def __len__(self) -> int:
        return len(self.lengths)

    def bounds(self, table: int) -> tuple[int, int]:
        """Return the values of the first and the last symbol of one table, the escape symbol aside."""
        first = int(self.offsets[table])
        return first, first + int(self.lengths[table]) - 2

    @functools.cached_property
    def least_bits(self) -> float:
        """Bits of the cheapest symbol of any table."""
        return math.log2(TOTAL / int(self.frequencies.max()))

    @functools.cached_property
    def _models(self) -> dict[int, Any]:
        return {}

    def model(self, table: int) -> Any:
        """Return the entropy model of one table; kept for the next call."""
        if table not in self._models:
            self._models[table] = _exact_model(self.frequencies[table, : self.lengths[table]])
        return self._models[table]


def gaussian_tables(scales: np.ndarray, tail_mass: float = TAIL_MASS) -> FrequencyTables:
    """Return one table for each positive scale: a zero-mean Gaussian convolved with U(-1/2, 1/2), at the integers.

    p(k) = Phi((k + 1/2) / s) - Phi((k - 1/2) / s) for |k| <= n, with the least n that leaves at most `tail_mass`
    outside; what is outside goes to the escape symbol. Raises ValueError for scales not in (0, 4096].
    Source: Ballé et al. 2018, section 3; Minnen et al. 2018, Eq. 4.
    """
    scales = np.asarray(scales, np.float64).ravel()
    if not scales.size or not ((scales > 0) & (scales <= 4096)).all() or not 2.0**-32 <= tail_mass < 1:
        raise ValueError("gaussian_tables needs scales from 0 to 4096 and a tail_mass from 2**-32 to 1")
    pmfs, tails = zip(*(_gaussian_pmf(scale, tail_mass) for scale in scales), strict=True)
    return FrequencyTables.from_pmfs(pmfs, tails, [-(len(pmf) // 2) for pmf in pmfs])


def scale_index(log_scale: Any) -> np.ndarray:
    """Return int32 indexes into SCALE_LEVELS nearest to float `log_scale` (natural logarithm, any shape), clipped.

    Raises ValueError for NaN.
    """
    level = np.rint((np.asarray(log_scale, np.float64) - LOG_SCALE_MIN) / LOG_SCALE_STEP)
    if np.isnan(level).any():
        raise ValueError("log_scale holds NaN")
    return np.clip(level, 0, NUM_SCALES - 1).astype(np.int32)


def channel_indexes(shape: Sequence[int]) -> np.ndarray:
    """Return the index of each element's channel, int32 of `shape` (..., C): one table for each channel."""
    return np.broadcast_to(np.arange(shape[-1], dtype=np.int32), shape)


def encode(symbols: np.ndarray, indexes: np.ndarray, tables: FrequencyTables) -> bytes:
    """Code int32 `symbols` (any shape) with the tables that `indexes` (same shape) names; no symbols give no bytes.

    Symbols outside their table are coded too. Raises ValueError for other shapes or types, symbols beyond 32 bits,
    and indexes of no table.
    """
    encoder = PartsEncoder(tables)
    encoder.add(symbols, indexes)
    return encoder.data()


def decode(data: bytes, indexes: np.ndarray, tables: FrequencyTables) -> np.ndarray:
    """Return the int32 symbols, of the shape of `indexes`, that `encode` turned into `data`.

    Time and memory are bounded by the number of indexes; where `data` are too few for so many symbols, whatever they
    are, nothing is allocated. Raises RangeCoderError if no symbols encode to `data`: that shows nearly all cuts and
    continuations, but other damage mostly gives other symbols, which only a checksum of `data` can show. Raises
    ValueError for indexes of no table.
    """
    indexes = _checked_indexes(indexes, tables)
    decoder = PartsDecoder(data, indexes.size, tables)
    symbols = decoder.take(indexes)
    decoder.finish()
    return symbols


class PartsEncoder:
    """Codes symbols in parts, of which each one may decide the tables of the next: one stream for all of them."""

    def __init__(self, tables: FrequencyTables) -> None:
        self._encoder, self._tables = RangeEncoder(), tables

    def add(self, symbols: np.ndarray, indexes: np.ndarray) -> None:
        """Code a part; symbols, tables and errors as `encode`, whose bytes are those of one part."""
        _encode(self._encoder, np.asarray(symbols), _checked_indexes(indexes, self._tables), self._tables)

    def data(self) -> bytes:
        """Return the bytes of all parts."""
        return shortest_bytes(self._encoder)


class PartsDecoder:
    """Decodes what a `PartsEncoder` coded, part by part, and encodes it again, to be compared in the end."""

    def __init__(self, data: bytes, count: int, tables: FrequencyTables) -> None:
        """Take the bytes of `count` symbols in all; raises RangeCoderError where they cannot be as many or as few."""
        check_length(data, count, tables)
        self._data, self._tables = bytes(data), tables
        # No symbol takes more than 64 bits: 16 each for the escape and the bit length, 32 for the bits.
        if len(self._data) > 16 * count:
            raise _damaged()
        self._decoder, self._encoder = range_decoder(self._data), RangeEncoder()

    def take(self, indexes: np.ndarray) -> np.ndarray:
        """Return the int32 symbols of the next part, of the shape of `indexes`; errors as `decode`."""
        indexes = _checked_indexes(indexes, self._tables)
        order, groups = _grouped(indexes)
        values = np.empty(indexes.size, np.int32)
        try:
            for table, start, stop in groups:
                values[start:stop] = self._decoder.decode(self._tables.model(table), stop - start)
            _restore_values(self._decoder, values, groups, self._tables)
        except AssertionError as error:  # how the decoder reports bits that no encoder emits
            raise _damaged() from error
        flat = np.empty_like(values)
        flat[order] = values
        symbols: np.ndarray = flat.reshape(indexes.shape)
        _encode(self._encoder, symbols, indexes, self._tables)
        return symbols

    def finish(self) -> None:
        """Raise RangeCoderError unless the symbols taken encode to the data.

        The decoder invents what a short stream lacks and leaves what a long one has: encoding again shows both.
        """
        if shortest_bytes(self._encoder) != self._data:
            raise _damaged()


def _encode(encoder: Any, symbols: np.ndarray, indexes: np.ndarray, tables: FrequencyTables) -> None:
    """Code symbols in the order of their tables, then by how much those that are outside exceed them."""
    if not _are_int32(symbols):
        raise ValueError(f"symbols must be integers that fit 32 bits, not {symbols.dtype}")
    if symbols.shape != indexes.shape:
        raise ValueError(f"symbols {symbols.shape} and indexes {indexes.shape} must have one shape")
    order, groups = _grouped(indexes)
    values = symbols.ravel()[order].astype(np.int32, copy=False)
    excesses = []
    for table, start, stop in groups:
        coded, excess = _split_escapes(values[start:stop], tables, table)
        encoder.encode(coded, tables.model(table))
        excesses.append(excess)
    if any(map(len, excesses)):
        _encode_excess(encoder, np.concatenate(excesses))


def check_length(data: bytes, count: int, tables: FrequencyTables) -> None:
    """Raise RangeCoderError where `data` are too few for so many symbols of these tables, whatever they are.

    For what must be known before memory is taken for the symbols: a small file may claim a large picture.
    """
    if tables.least_bits * count > 8 * len(data) + _SLACK_BITS:
        raise _damaged()


def _split_escapes(values: np.ndarray, tables: FrequencyTables, table: int) -> tuple[np.ndarray, np.ndarray]:
    """Return int32 positions of `values` in their table, and for those outside int64 numbers that say how far."""
    first, last = tables.bounds(table)
    outside = (values < first) | (values > last)
    coded = values - np.int32(first)  # wraps around only where it is replaced
    coded[outside] = last + 1 - first
    far = values[outside].astype(np.int64)
    # Even above the table, odd below it.
    return coded, np.where(far > last, 2 * (far - last - 1), 2 * (first - 1 - far) + 1)


def _restore_values(
    decoder: Any, values: np.ndarray, groups: list[tuple[int, int, int]], tables: FrequencyTables
) -> None:
    """Turn decoded positions into symbols in place, and read those outside their tables."""
    places, bounds = [], []
    for table, start, stop in groups:
        first, last = tables.bounds(table)
        place = start + np.flatnonzero(values[start:stop] == last + 1 - first)
        values[start:stop] += np.int32(first)
        places.append(place)
        bounds.append(np.repeat(np.array([[first], [last]], np.int64), place.size, axis=1))
    if any(map(len, places)):
        first, last = np.concatenate(bounds, axis=1)
        excess = _decode_excess(decoder, first.size)
        far = np.where(excess % 2 == 0, last + 1 + excess // 2, first - 1 - excess // 2)
        values[np.concatenate(places)] = far  # beyond 32 bits it wraps around, and encoding again differs


def _encode_excess(encoder: Any, excess: np.ndarray) -> None:
    """Code int64 numbers from 0 to 2**33 - 2 as Exp-Golomb codes: all bit lengths, all low bits, all high bits."""
    number = excess + 1
    bits = np.frexp(number.astype(np.float64))[1].astype(np.int32) - 1
    encoder.encode(bits, _length_model())
    number -= np.int64(1) << bits.astype(np.int64)
    for shift in (0, _LOW_BITS):
        some = bits > shift
        if some.any():
            sizes = np.int32(1) << np.minimum(bits[some] - shift, _LOW_BITS)
            encoder.encode(((number[some] >> shift) % sizes).astype(np.int32), Uniform(), sizes)


def _decode_excess(decoder: Any, count: int) -> np.ndarray:
    """Read `count` numbers that `_encode_excess` coded, int64."""
    bits = decoder.decode(_length_model(), count)
    number = np.int64(1) << bits.astype(np.int64)
    for shift in (0, _LOW_BITS):
        some = bits > shift
        if some.any():
            sizes = np.int32(1) << np.minimum(bits[some] - shift, _LOW_BITS)
            number[some] += decoder.decode(Uniform(), sizes).astype(np.int64) << shift
    return number - 1


def range_decoder(data: bytes) -> Any:
    """Return a decoder of what `shortest_bytes` returned; where the data end it reads zeros."""
    return RangeDecoder(np.frombuffer(data + bytes(-len(data) % 4), ">u4").astype(np.uint32))


def shortest_bytes(encoder: Any) -> bytes:
    """Return the encoder's data, big-endian, ended by the fewest bytes (1 to 4) that decode alike before zeros."""
    if encoder.is_empty():
        return b""
    num_words, (low, size) = encoder.pos()
    # Any 64-bit number in [low, low + size) may follow the settled words. Whether those hold a carry was decided for
    # `low` rounded up to whole words: stay on that side. Four bytes always do, because size >= 2**32.
    low, high = (0, low + size - 2**64) if low + 2**32 > 2**64 else (low, min(low + size, 2**64))
    words = encoder.get_compressed()[:num_words]
    for num_bytes in range(1, 5):
        unit = 1 << (64 - 8 * num_bytes)
        number = -(-low // unit) * unit
        if number < high:
            break
    return words.astype(">u4").tobytes() + number.to_bytes(8, "big")[:num_bytes]


def _exact_model(counts: np.ndarray) -> Any:
    """Return the model that gives symbol i the probability counts[i] / 2**16, to the bit.

    The coder has 24 bits: it gives each of n symbols 1 and shares out 2**24 - n as floor(scale * cumulative weight),
    scale = (2**24 - n) / sum of weights. Weights 256 * count - 1 sum to 2**24 - n: the scale is 1, all floats integers.
    """
    return Categorical(256.0 * np.asarray(counts, np.float64) - 1.0, perfect=False)


@functools.cache
def _length_model() -> Any:
    """Return the model of bit lengths 0 to 32: length l costs its unary prefix, l + 1 bits, but is bounded."""
    counts = np.maximum(2.0 ** (15 - np.arange(33)), 1)
    counts[0] -= counts.sum() - TOTAL
    return _exact_model(counts)


def _grouped(indexes: np.ndarray) -> tuple[np.ndarray, list[tuple[int, int, int]]]:
    """Return the stable order that sorts `indexes`, and (table, start, stop) of each table in that order."""
    flat = indexes.ravel()
    counts = np.bincount(flat) if flat.size else np.empty(0, np.int64)
    stops = np.cumsum(counts)
    # Sorting 8 and 16 bits is several times faster than sorting 32.
    small = flat.astype(np.uint8 if counts.size <= 2**8 else np.uint16 if counts.size <= 2**16 else np.int64)
    groups = [(int(table), int(stops[table] - counts[table]), int(stops[table])) for table in np.flatnonzero(counts)]
    return np.argsort(small, kind="stable"), groups


def _quantise(masses: np.ndarray) -> np.ndarray:
    """Return int counts of at least 1 that sum to 2**16 and minimise the expected code length for `masses`.

    Without rounding the minimum is max(1, c * mass) with the c that gives the sum; the largest remainders round up.
    """
    if not 2 <= masses.size < TOTAL:
        raise ValueError(f"a table must have 1 to {TOTAL - 2} symbols, not {masses.size - 1}")
    if not (np.isfinite(masses) & (masses >= 0)).all() or not masses.max() > 0:
        raise ValueError("probabilities must be finite and not negative, and not all zero")
    masses = masses / masses.max()
    rare = masses == 0
    while True:
        free = masses * ((TOTAL - rare.sum()) / masses[~rare].sum())
        if (free[~rare] >= 1).all():
            break
        rare |= free < 1
    exact = np.where(rare, 1.0, free)
    counts = np.floor(exact).astype(np.int64)
    counts[np.argsort(counts - exact, kind="stable")[: TOTAL - counts.sum()]] += 1
    return counts


def _gaussian_pmf(scale: float, tail_mass: float) -> tuple[np.ndarray, float]:
    """Return the probabilities of -n..n and the mass outside them."""
    edges = np.arange(int(12 * scale) + 8) + 0.5
    above = 0.5 * np.array([math.erfc(edge / (scale * math.sqrt(2.0))) for edge in edges])
    n = int(np.argmax(2 * above <= tail_mass))
    half = -np.diff(above[: n + 1])
    return np.concatenate([half[::-1], [1 - 2 * above[0]], half]), 2 * float(above[n])


def _checked_indexes(indexes: np.ndarray, tables: FrequencyTables) -> np.ndarray:
    indexes = np.asarray(indexes)
    if not _are_int32(indexes) or (indexes.size and not 0 <= indexes.min() <= indexes.max() < len(tables)):
        raise ValueError(f"indexes must be integers from 0 to {len(tables) - 1}, the tables there are")
    return indexes


def _are_int32(array: np.ndarray) -> bool:
    integers = array.dtype.kind in "iu" or array.size == 0
    return integers and not (array.size and (array.min() < INT32_MIN or array.max() > INT32_MAX))


def _check_table(holds: bool, what: str) -> None:
    if not holds:
        raise RangeCoderError(f"the frequency tables are damaged ({what}): fetch or train the weights again")


def _damaged() -> RangeCoderError:
    return RangeCoderError("the coded data are damaged or belong to other weights: compress the picture again")
