"""The range coder: exact round trips, coded size against the entropy, damage, and bits that never change."""

import itertools
import math
import time
import tracemalloc

import numpy as np
import pytest

from common.coding import range_coder
from common.coding.range_coder import (
    LOG_SCALE_MIN,
    LOG_SCALE_STEP,
    SCALE_LEVELS,
    FrequencyTables,
    RangeCoderError,
    decode,
    encode,
    gaussian_tables,
    scale_index,
)
from common.errors import RelicError

INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1
SMALL = FrequencyTables(
    np.array([[60000, 5000, 500, 36], [1, 65535, 0, 0], [16384, 16384, 32768, 0]]),
    np.array([4, 2, 3]),
    np.array([-1, 7, INT32_MAX - 1]),
)


@pytest.fixture(scope="module")
def tables():
    return gaussian_tables(SCALE_LEVELS)


def gaussian_symbols(rng, scale, count):
    return np.rint(rng.normal(scale=scale, size=count)).astype(np.int32)


def probabilities(scale):
    """Return p(k) for k = 0, 1, ... by the error function, as far as float64 goes."""
    edges = [math.erfc((k + 0.5) / (scale * math.sqrt(2))) / 2 for k in range(int(12 * scale) + 8)]
    return np.array([1 - 2 * edges[0]] + [a - b for a, b in itertools.pairwise(edges)])


def entropy(scale):
    p = probabilities(scale)
    p = np.concatenate([p, p[1:]])
    return float(-(p[p > 0] * np.log2(p[p > 0])).sum())


def excess_bits(excess):
    """Return the length of the signed Exp-Golomb code of numbers from 0."""
    return 2 * np.floor(np.log2(np.asarray(excess, float) + 1)) + 1


def table_cost(tables, index, symbols):
    """Return the bits that one table and the escapes promise for `symbols`."""
    length, first = int(tables.lengths[index]), int(tables.offsets[index])
    counts = tables.frequencies[index]
    position = np.asarray(symbols, np.int64) - first
    inside = (position >= 0) & (position < length - 1)
    bits = -np.log2(counts[np.where(inside, position, length - 1)] / 2**16)
    above, below = 2 * (position - (length - 1)), -2 * position - 1
    return float(bits.sum() + excess_bits(np.where(position > 0, above, below)[~inside]).sum())


# A range coder of unbounded integers, as slow as it is short: no carries, no words in flight, no floats.


def reference_encode(intervals):
    """Code (first, count) intervals of 2**24 and end with the fewest bytes."""
    low, size, words = 0, 2**64 - 1, 0
    for first, count in intervals:
        size //= 2**24
        low, size = low + size * first, size * count
        if size < 2**32:
            low, size, words = low << 32, size << 32, words + 1
    settled = -(-low // 2**32) * 2**32 >> 64
    low, high = max(low, settled << 64), min(low + size, settled + 1 << 64)
    for num_bytes in (1, 2, 3, 4):
        unit = 2 ** (64 - 8 * num_bytes)
        if -(-low // unit) * unit < high:
            return (-(-low // unit) * unit // unit).to_bytes(4 * words + num_bytes, "big")
    raise AssertionError("four bytes always suffice")


def reference_intervals(symbols, indexes, tables):
    """List the intervals of all symbols by table, then of the bit lengths, low halves and high halves of escapes."""
    intervals, excess = [], []
    for table in sorted(set(indexes)):
        counts = [256 * int(count) for count in tables.frequencies[table][: tables.lengths[table]]]
        first = int(tables.offsets[table])
        for symbol in (symbol for symbol, index in zip(symbols, indexes, strict=True) if index == table):
            position = symbol - first
            if not 0 <= position < len(counts) - 1:
                excess.append(2 * (position - len(counts) + 1) if position > 0 else -2 * position - 1)
                position = len(counts) - 1
            intervals.append((sum(counts[:position]), counts[position]))
    lengths = [32752] + [max(2**15 >> bits, 1) for bits in range(1, 33)]
    numbers = [(number + 1, (number + 1).bit_length() - 1) for number in excess]
    intervals += [(256 * sum(lengths[:bits]), 256 * lengths[bits]) for _, bits in numbers]
    for shift in (0, 16):
        for number, bits in numbers:
            if bits > shift:
                width = min(bits - shift, 16)
                intervals.append(((number >> shift) % 2**width << 24 - width, 2 ** (24 - width)))
    return intervals


def reference(symbols, indexes, tables):
    return reference_encode(reference_intervals([int(s) for s in symbols], [int(i) for i in indexes], tables))


def test_a_million_symbols_of_all_scales_come_back_exactly(tables):
    rng = np.random.default_rng(1)
    scales = 2.0 ** rng.integers(-2, 8, size=(10, 1000, 100))
    symbols = np.rint(rng.normal(size=scales.shape) * scales).astype(np.int32)
    indexes = scale_index(np.log(scales))
    decoded = decode(encode(symbols, indexes, tables), indexes, tables)
    assert decoded.dtype == np.int32 and decoded.shape == scales.shape
    np.testing.assert_array_equal(decoded, symbols)


@pytest.mark.parametrize("exponent", range(-2, 8))
def test_the_coded_size_is_above_the_tables_cost_and_within_half_a_percent_of_the_entropy(exponent):
    scale, count = 2.0**exponent, 200_000
    tables = gaussian_tables(np.array([scale]))
    symbols = gaussian_symbols(np.random.default_rng(exponent + 2), scale, count)
    bits = 8 * len(encode(symbols, np.zeros(count, int), tables))
    cost = table_cost(tables, 0, symbols)
    assert cost < bits < 1.0004 * cost + 40
    # The sample's own code length under the true density: its mean over samples is the entropy.
    p = probabilities(scale)
    ideal = float(-np.log2(p[np.abs(symbols)]).sum())
    assert abs(ideal / count - entropy(scale)) < 0.01 * entropy(scale) + 4 / math.sqrt(count)
    assert abs(bits / ideal - 1) < 0.005


def test_the_expected_code_length_is_within_half_a_percent_of_the_entropy_at_every_scale(tables):
    """Below 0.14 nearly all symbols are 0 and the escape symbol's least count, 2**-16, dominates."""
    for index, scale in enumerate(SCALE_LEVELS):
        p = probabilities(scale)
        last = int(tables.lengths[index]) // 2 - 1
        counts = tables.frequencies[index, : tables.lengths[index]]
        inside = np.concatenate([p[last:0:-1], p[: last + 1]])
        distance = np.arange(p.size - last - 1)
        length = -(inside * np.log2(counts[:-1] / 2**16)).sum() - 2 * p[last + 1 :].sum() * np.log2(counts[-1] / 2**16)
        length += sum((p[last + 1 :] * excess_bits(2 * distance + side)).sum() for side in (0, 1))
        assert entropy(scale) <= length <= max(1.005 * entropy(scale), entropy(scale) + 6e-5)


def test_few_symbols_cost_at_most_two_bytes_more_than_their_information(tables):
    """One stream may be shorter than its information, because its length is known: the mean is not."""
    rng = np.random.default_rng(2)
    overheads = []
    for _ in range(500):
        index, count = int(rng.integers(20, 64)), int(rng.integers(1, 50))
        symbols = gaussian_symbols(rng, SCALE_LEVELS[index], count)
        information = table_cost(tables, index, symbols) / 8
        overheads.append(len(encode(symbols, np.full(count, index), tables)) - information)
    assert max(overheads) < 2
    assert 0 < np.mean(overheads) < 1


def test_coding_many_tables_together_costs_what_each_promises(tables):
    rng = np.random.default_rng(3)
    indexes = rng.integers(0, 64, size=100_000)
    symbols = np.rint(rng.normal(size=indexes.size) * SCALE_LEVELS[indexes]).astype(np.int32)
    cost = sum(table_cost(tables, index, symbols[indexes == index]) for index in range(64))
    assert cost < 8 * len(encode(symbols, indexes, tables)) < 1.0004 * cost + 40


def test_every_bit_is_that_of_an_integer_only_reference_coder(tables):
    rng = np.random.default_rng(4)
    for _ in range(60):
        count = int(rng.integers(1, 150))
        indexes = rng.integers(0, 64, size=count)
        spread = 10.0 ** rng.uniform(-1, 8 if rng.random() < 0.3 else 0.5)
        symbols = np.rint(rng.normal(size=count) * SCALE_LEVELS[indexes] * spread)
        symbols = np.clip(symbols, INT32_MIN, INT32_MAX).astype(np.int64)
        assert encode(symbols, indexes, tables) == reference(symbols, indexes, tables)


def test_the_ends_of_streams_around_a_carry_are_those_of_the_reference_coder():
    """Symbols that bytes 7f ff ff … stand for have intervals that straddle a carry through all words, until they end.

    Then a stream ends below it, ff ff …, or, if the interval starts less than a word before it, above it, 80 00 00 ….
    """
    thirds = FrequencyTables([[21845, 21845, 21845, 1]], [4], [0])
    below = above = 0
    for start in (b"\x7f", b"\x3f\xff\xff\xff", b"\x12\x34\x56\x77", b"\x9b\xff"):
        words = np.frombuffer((start + b"\xff" * 64)[:64], ">u4").astype(np.uint32)
        symbols = range_coder.RangeDecoder(words).decode(thirds.model(0), 300)
        for count in range(1, 301):
            indexes = np.zeros(count, int)
            data = encode(symbols[:count], indexes, thirds)
            assert data == reference(symbols[:count], indexes, thirds)
            np.testing.assert_array_equal(decode(data, indexes, thirds), symbols[:count])
            below += len(data) > 8 and data[: len(start) + 4] == start + b"\xff" * 4
            above += len(data) > 8 and data[-5:] == bytes(5)
    assert below > 100 and above > 3


def test_the_bits_of_a_fixed_stream_never_change():
    """A difference here is a new version of the file format."""
    symbols = np.array([[-1, 0, 1, -1], [7, 6, 8, 7], [INT32_MAX - 1, INT32_MAX, 0, -1]])
    indexes = np.array([[0, 0, 0, 0], [1, 1, 1, 1], [2, 2, 0, 2]])
    data = encode(symbols, indexes, SMALL)
    assert data.hex() == "e86d1c94182c9d74775b73c925"
    np.testing.assert_array_equal(decode(data, indexes, SMALL), symbols)


@pytest.mark.parametrize("index", [0, 1, 2])
def test_symbols_outside_their_table_are_coded_and_not_clipped(index):
    first = int(SMALL.offsets[index])
    last = first + int(SMALL.lengths[index]) - 2
    near = [first - 2, first - 1, first, last, last + 1, last + 2]
    powers = [sign * 2**k + step for k in range(31) for sign in (-1, 1) for step in (-1, 0, 1)]
    symbols = np.array([s for s in near + powers + [INT32_MIN, INT32_MAX] if INT32_MIN <= s <= INT32_MAX])
    indexes = np.full(symbols.size, index)
    np.testing.assert_array_equal(decode(encode(symbols, indexes, SMALL), indexes, SMALL), symbols)


@pytest.mark.parametrize("excess", [0, 1, 2, 3, 1000, 1001, 2**14, 2**20, 2**31])
def test_an_escape_costs_its_exp_golomb_code_but_no_more_than_16_bits_for_its_length(excess):
    symbols = np.full(4096, 2 + excess // 2 if excess % 2 == 0 else -2 - excess // 2)
    bits = int(math.log2(excess + 1))
    promised = 16 - math.log2(36) + min(bits + 1, 16) + bits
    assert promised < 8 * len(encode(symbols, np.zeros(4096, int), SMALL)) / 4096 < promised + 0.03


@pytest.mark.parametrize(
    "symbols, indexes",
    [
        (np.zeros(0, int), np.zeros(0, int)),
        (np.zeros((0, 3, 3, 192), np.int32), np.zeros((0, 3, 3, 192), np.int32)),
        (np.array([0]), np.array([0])),
        (np.array([7]), np.array([1])),
        (np.array(5), np.array(1)),
        (np.full(1000, 7), np.ones(1000, int)),
        (np.full(1000, 8), np.ones(1000, int)),
        (np.arange(-500, 500), np.full(1000, 2, np.uint8)),
        (np.full(100_000, -1), np.zeros(100_000, int)),
    ],
    ids=[
        "nothing",
        "nothing4d",
        "one",
        "certain",
        "scalar",
        "one_table",
        "all_escape",
        "no_symbol_inside",
        "all_first",
    ],
)
def test_degenerate_inputs_come_back(symbols, indexes):
    data = encode(symbols, indexes, SMALL)
    decoded = decode(data, indexes, SMALL)
    assert decoded.shape == symbols.shape
    np.testing.assert_array_equal(decoded, symbols)
    assert (data == b"") == (symbols.size == 0)


def test_the_types_and_memory_order_of_the_arrays_do_not_matter(tables):
    rng = np.random.default_rng(5)
    indexes = rng.integers(0, 64, size=(20, 30))
    symbols = gaussian_symbols(rng, 5, (20, 30))
    data = encode(symbols, indexes, tables)
    for dtype in (np.uint8, np.int16, np.uint32, np.int64):
        assert encode(symbols.astype(np.int64), indexes.astype(dtype), tables) == data
    assert encode(np.asfortranarray(symbols), np.asfortranarray(indexes), tables) == data
    np.testing.assert_array_equal(decode(bytearray(data), np.asfortranarray(indexes), tables), symbols)


@pytest.mark.parametrize("num_tables", [1, 255, 256, 257, 3000, 70_000])
def test_any_number_of_tables_works(num_tables):
    frequencies = np.tile([1000, 60000, 4536], (num_tables, 1))
    many = FrequencyTables(frequencies, np.full(num_tables, 3), np.arange(num_tables))
    indexes = np.unique(np.random.default_rng(6).integers(0, num_tables, 400))[::-1]
    symbols = indexes + np.arange(indexes.size) % 3
    data = encode(symbols, indexes, many)
    assert data == reference(symbols, indexes, many)
    np.testing.assert_array_equal(decode(data, indexes, many), symbols)


@pytest.mark.parametrize(
    "symbols, indexes, message",
    [
        (np.zeros(3), np.zeros(3, int), "symbols must be integers"),
        (np.array([2**31]), np.array([0]), "fit 32 bits"),
        (np.array([2**63], np.uint64), np.array([0]), "fit 32 bits"),
        (np.zeros(3, int), np.zeros(4, int), "one shape"),
        (np.zeros(3, int), np.array([0, 1, 3]), "from 0 to 2"),
        (np.zeros(3, int), np.array([0, -1, 2]), "from 0 to 2"),
        (np.zeros(3, int), np.zeros(3), "from 0 to 2"),
    ],
)
def test_what_cannot_be_coded_is_refused(symbols, indexes, message):
    with pytest.raises(ValueError, match=message):
        encode(symbols, indexes, SMALL)


def decodes_or_is_refused(data, indexes, tables):
    """Return whether `data` decodes; if so the result must be the one whose code is `data`."""
    try:
        symbols = decode(data, indexes, tables)
    except RangeCoderError:
        return False
    assert symbols.shape == indexes.shape and symbols.dtype == np.int32
    assert encode(symbols, indexes, tables) == data
    return True


def test_damaged_streams_decode_to_something_or_are_refused(tables):
    rng = np.random.default_rng(7)
    indexes = rng.integers(0, 64, size=200)
    data = encode(np.rint(rng.normal(size=200) * SCALE_LEVELS[indexes] * 2).astype(int), indexes, tables)
    for _ in range(500):
        changed, at = bytearray(data), int(rng.integers(len(data)))
        kind = rng.integers(4)
        if kind == 0:
            changed[at] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            changed[at:] = rng.bytes(len(data) - at)
        elif kind == 2:
            del changed[at : at + int(rng.integers(1, 9))]
        else:
            changed[at:at] = rng.bytes(int(rng.integers(1, 9)))
        decodes_or_is_refused(bytes(changed), indexes, tables)


@pytest.mark.parametrize("byte", [0x00, 0x01, 0x55, 0x7F, 0x80, 0xFE, 0xFF])
def test_streams_of_one_byte_repeated_decode_to_something_or_are_refused(byte, tables):
    for length in (0, 1, 3, 4, 5, 8, 9, 1000, 100_000):  # around words of four bytes, and far more than is needed
        for indexes in (np.zeros(0, int), np.zeros(1, int), np.arange(64), np.full(300, 63)):
            decodes_or_is_refused(bytes([byte]) * length, indexes, tables)
        for indexes in (np.zeros(1, int), np.ones(1000, int), np.full(100, 2)):
            decodes_or_is_refused(bytes([byte]) * length, indexes, SMALL)


def test_streams_that_ask_for_the_longest_escapes_need_no_more_memory_than_symbols():
    count = 20_000
    indexes = np.ones(count, int)
    data = encode(np.tile([INT32_MIN, INT32_MAX], count // 2), indexes, SMALL)
    tracemalloc.start()
    start = time.perf_counter()
    for changed in (data, data[: len(data) // 2], data[:5000] + b"\xff" * 200_000, b"\xff" * 16 * count):
        decodes_or_is_refused(changed, indexes, SMALL)
    seconds, peak = time.perf_counter() - start, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200 * count
    assert seconds < 5


def test_symbols_beyond_32_bits_in_a_stream_are_refused():
    """The largest Exp-Golomb code reaches 2**33 - 2; table 1 starts at 7."""
    encoder = range_coder.RangeEncoder()
    encoder.encode(np.array([1], np.int32), SMALL.model(1))
    range_coder._encode_excess(encoder, np.array([2**33 - 2]))
    with pytest.raises(RangeCoderError, match="damaged"):
        decode(range_coder.shortest_bytes(encoder), np.array([1]), SMALL)


def test_streams_that_are_cut_or_continued_are_refused(tables):
    rng = np.random.default_rng(8)
    indexes = rng.integers(10, 64, size=200)
    symbols = np.rint(rng.normal(size=200) * SCALE_LEVELS[indexes]).astype(int)
    data = encode(symbols, indexes, tables)
    for tail in (b"\x00", b"\x01", b"\xff" * 4, bytes(8), rng.bytes(100)):
        with pytest.raises(RangeCoderError, match="damaged or belong to other weights"):
            decode(data + tail, indexes, tables)
    # A cut stream is the code of other symbols only by chance.
    assert sum(decodes_or_is_refused(data[:length], indexes, tables) for length in range(len(data))) < len(data) / 20
    with pytest.raises(RelicError):
        decode(b"", indexes, tables)
    with pytest.raises(RelicError):
        decode(b"\x00", indexes[:0], tables)


def test_gaussian_tables_hold_the_masses_of_the_density(tables):
    for index, scale in enumerate(SCALE_LEVELS):
        length = int(tables.lengths[index])
        last = length // 2 - 1
        assert tables.offsets[index] == -last and length == 2 * last + 2
        p = probabilities(scale)
        expected = np.concatenate([p[last:0:-1], p[: last + 1], [2 * p[last + 1 :].sum()]])
        assert expected[-1] <= range_coder.TAIL_MASS
        assert last == 0 or expected[-1] + 2 * p[last] > range_coder.TAIL_MASS
        np.testing.assert_allclose(tables.frequencies[index, :length] / 2**16, expected, rtol=0.001, atol=1.01 / 2**16)


def test_a_narrower_table_leaves_more_to_the_escape_symbol():
    wide, narrow = gaussian_tables([10.0], 2.0**-16), gaussian_tables([10.0], 2.0**-4)
    assert narrow.lengths[0] < wide.lengths[0]
    assert wide.frequencies[0, wide.lengths[0] - 1] <= 2 and 2000 < narrow.frequencies[0, narrow.lengths[0] - 1] <= 4096


@pytest.mark.parametrize("scales", [[], [0.0], [-1.0], [math.nan], [math.inf], [1e9]])
def test_gaussian_tables_of_impossible_scales_are_refused(scales):
    with pytest.raises(ValueError, match="scales"):
        gaussian_tables(np.array(scales))


def test_the_64_scales_are_evenly_spaced_in_the_logarithm_from_0_11_to_256():
    np.testing.assert_allclose(SCALE_LEVELS, np.geomspace(0.11, 256, 64), rtol=1e-12)
    assert math.isclose(LOG_SCALE_MIN, math.log(0.11)) and math.isclose(LOG_SCALE_STEP, math.log(256 / 0.11) / 63)


def test_a_log_scale_gets_the_nearest_level():
    log_levels = np.log(SCALE_LEVELS)
    np.testing.assert_array_equal(scale_index(log_levels), np.arange(64))
    values = np.random.default_rng(9).uniform(-4, 8, size=(50, 40)).astype(np.float32)
    nearest = np.abs(values[..., None].astype(np.float64) - log_levels).argmin(axis=-1)
    np.testing.assert_array_equal(scale_index(values), nearest)
    assert scale_index(values).dtype == np.int32
    np.testing.assert_array_equal(scale_index([-np.inf, -1e30, 1e30, np.inf]), [0, 0, 63, 63])
    with pytest.raises(ValueError, match="NaN"):
        scale_index([0.0, math.nan])


def test_counts_sum_to_2_16_and_leave_no_symbol_without():
    rng = np.random.default_rng(10)
    for length in (1, 2, 3, 50, 2000, 65534):
        pmf = rng.exponential(size=length) ** 8
        counts = FrequencyTables.from_pmfs([pmf], [pmf.sum() / 100], [0]).frequencies[0]
        assert counts.sum() == 2**16 and counts.min() >= 1 and counts.size == length + 1


def test_counts_have_the_least_code_length():
    """No count can move from one symbol to another with gain, beyond what rounding one count is worth."""
    pmf = np.random.default_rng(11).exponential(size=40) ** 6
    mass = np.append(pmf, 0.001) / (pmf.sum() + 0.001)
    counts = FrequencyTables.from_pmfs([pmf], [0.001], [0]).frequencies[0].astype(float)
    gain = mass * np.log2((counts + 1) / counts)
    loss = np.where(counts > 1, mass * np.log2(counts / np.maximum(counts - 1, 1)), np.inf)
    assert gain.max() - loss.min() < 1e-6


def test_exact_probabilities_give_exact_counts():
    table = FrequencyTables.from_pmfs([np.array([0.25, 0.5])], [0.25], [-3])
    np.testing.assert_array_equal(table.frequencies, [[16384, 32768, 16384]])
    assert (table.lengths[0], table.offsets[0], len(table)) == (3, -3, 1)
    certain = FrequencyTables.from_pmfs([np.array([1.0, 0.0])], [0.0], [0])
    np.testing.assert_array_equal(certain.frequencies, [[65534, 1, 1]])
    np.testing.assert_array_equal(FrequencyTables.from_pmfs([[5e-324]], [0], [0]).frequencies, [[65535, 1]])


@pytest.mark.parametrize(
    "pmf, tail", [([-0.1, 1.0], 0), ([np.nan], 0), ([np.inf], 0), ([0.0], 0), ([], 1), ([1.0], -1), (np.ones(2**16), 0)]
)
def test_impossible_probabilities_are_refused(pmf, tail):
    with pytest.raises(ValueError):
        FrequencyTables.from_pmfs([np.array(pmf, float)], [tail], [0])
    with pytest.raises(ValueError):
        FrequencyTables.from_pmfs([np.array([[1.0]])], [0.1], [0])
    with pytest.raises(ValueError, match="one entry for each table"):
        FrequencyTables.from_pmfs([np.array([1.0])], [0.1], [0, 1])


def test_tables_are_stored_compactly_and_come_back(tables):
    arrays = tables.to_arrays()
    assert sum(array.nbytes for array in arrays.values()) < 40_000
    again = FrequencyTables.from_arrays(arrays)
    for name in ("frequencies", "lengths", "offsets"):
        np.testing.assert_array_equal(getattr(again, name), getattr(tables, name))
        assert getattr(again, name).dtype == np.int32


def test_tables_cannot_be_changed(tables):
    for name in ("frequencies", "lengths", "offsets"):
        with pytest.raises(ValueError):
            getattr(tables, name)[...] = 0
    with pytest.raises(AttributeError):
        tables.lengths = None


@pytest.mark.parametrize(
    "change",
    [
        {"frequencies": np.array([65535], np.uint16)},
        {"frequencies": np.array([65535, 2], np.uint16)},
        {"frequencies": np.array([65536, 0], np.int32)},
        {"frequencies": np.array([65537, -1], np.int32)},
        {"frequencies": np.array([65535.0, 1.0])},
        {"frequencies": np.array([[65535, 1]], np.uint16)},
        {"lengths": np.array([3])},
        {"lengths": np.array([1])},
        {"lengths": np.array([-2])},
        {"lengths": np.array([2**40])},
        {"lengths": np.array([], np.int32)},
        {"offsets": np.array([0, 0])},
        {"offsets": np.array([0.5])},
        {"offsets": np.array([2**31])},
        {"frequencies": np.array([65534, 1, 1]), "lengths": np.array([3]), "offsets": np.array([INT32_MAX])},
    ],
)
def test_damaged_tables_are_refused(change):
    good = {"frequencies": np.array([65535, 1], np.uint16), "lengths": np.array([2]), "offsets": np.array([0])}
    assert len(FrequencyTables.from_arrays(good)) == 1
    with pytest.raises(RangeCoderError, match="frequency tables are damaged"):
        FrequencyTables.from_arrays({**good, **change})


def test_tables_with_an_array_missing_are_refused():
    with pytest.raises(RangeCoderError, match="an array is missing"):
        FrequencyTables.from_arrays({"lengths": np.array([2])})


def test_another_number_of_tables_than_a_network_has_channels_is_refused():
    good = {"frequencies": np.array([65535, 1], np.uint16), "lengths": np.array([2]), "offsets": np.array([0])}
    assert len(FrequencyTables.from_arrays(good, 1)) == 1
    with pytest.raises(RangeCoderError, match="there must be 3, not 1"):
        FrequencyTables.from_arrays(good, 3)


def test_a_few_bytes_that_claim_many_symbols_are_refused_before_memory_is_taken_for_them():
    tables = FrequencyTables.from_pmfs([np.array([0.75, 0.25])], [0.0], [0])
    indexes = np.broadcast_to(np.int32(0), (2**20, 2**12))
    tracemalloc.start()
    try:
        with pytest.raises(RangeCoderError, match="damaged"):
            decode(b"some bytes", indexes, tables)
        assert tracemalloc.get_traced_memory()[1] < 2**16
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("count", [0, 1, 1000, 200_000])
def test_no_stream_is_shorter_than_what_is_refused_for_its_length(count):
    tables = FrequencyTables.from_pmfs([np.array([1.0]), np.array([0.5, 0.5])], [2.0**-16, 0.0], [0, 0])
    symbols = np.zeros(count, np.int32)
    np.testing.assert_array_equal(decode(encode(symbols, symbols, tables), symbols, tables), symbols)
