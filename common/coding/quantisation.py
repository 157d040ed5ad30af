"""Steps of quantisation: any rate from one network.

A latent y with mean mu and scale sigma is coded as q = round((y - mu) / delta) and decoded as q * delta + mu, where
delta = r^k and r is the ratio of neighbouring scales of the coder's tables. The scale of q is sigma / delta, which is k
tables lower: an index that is shifted in integers, so a file decodes to the same numbers everywhere. k is a multiple of
1/16, for fine control of the rate; a step is the whole number 16 k, of either sign, and 0 is delta = 1.

Latents without a Gaussian model have a table for each channel instead, from which those of a step are derived, also in
integers: `tables_at`.
"""

import functools

import numpy as np

from common.coding.container import ContainerError
from common.coding.range_coder import TOTAL, FrequencyTables
from common.config import Setting

STEPS_PER_SCALE = 16
SETTING = Setting(
    0, -24, 40, "quantiser's step, as a power of 1.131: coarser above 0, finer below", parts=STEPS_PER_SCALE, rate=-1
)

# exp(LOG_SCALE_STEP / 16) in units of 2**-62: a literal, because exp() differs in the last bit between platforms.
_ROOT_POINT, _ROOT = 62, 4647290891224256419
_DELTA_POINT = 40  # a delta in these units is a whole number below 2**53 for every step that a header holds
_MASS_POINT = 14  # bits of a mass below one count
MAX_SYMBOLS = 2**14  # of a derived table: the finest steps of the widest channels leave the rest to the escape symbol


def delta(step: int) -> float:
    """Return the width of a quantiser's intervals, where whole numbers have 1; the same float on every machine."""
    return _delta(step) / 2**_DELTA_POINT


@functools.cache
def _delta(step: int) -> int:
    """Return delta in units of 2**-40, by multiplication of integers alone."""
    power = 1 << _ROOT_POINT
    for _ in range(abs(step)):
        power = (power * _ROOT + (1 << _ROOT_POINT - 1)) >> _ROOT_POINT
    if step < 0:
        power = (1 << 2 * _ROOT_POINT) // power
    shift = _ROOT_POINT - _DELTA_POINT
    return (power + (1 << shift - 1)) >> shift


def quantised(values: np.ndarray, step: int) -> np.ndarray:
    """Return int32 symbols of float values, the latents without their means."""
    return np.rint(values / np.float32(delta(step))).astype(np.int32)


def restored(symbols: np.ndarray, step: int) -> np.ndarray:
    """Return the float32 values that stand for the symbols."""
    return symbols.astype(np.float32) * np.float32(delta(step))


def check_of_file(step: int) -> None:
    """Raise ContainerError for a file's step that no codec writes, before tables are made for it."""
    smallest, largest = SETTING.smallest * SETTING.parts, SETTING.largest * SETTING.parts
    if not smallest <= step <= largest:
        raise ContainerError(f"a file's step is from {smallest} to {largest} sixteenths, not {step}: compress again")


@functools.lru_cache(maxsize=16)
def tables_at(tables: FrequencyTables, step: int) -> FrequencyTables:
    """Return the tables of round(y / delta), given those of round(y); the same object for step 0.

    The cumulative of y is known half-way between whole numbers and taken to be straight between them; a symbol has what
    lies over its interval of width delta. What lies outside a table goes to the escape symbol, as before. Integers
    throughout: encoder and decoder derive the same tables on any machine.
    """
    if step == 0:
        return tables
    rows, offsets = [], []
    for table in range(len(tables)):
        counts = tables.frequencies[table, : tables.lengths[table]].astype(np.int64)
        first, row = _derived(counts, int(tables.offsets[table]), _delta(step))
        offsets.append(first)
        rows.append(row)
    lengths = np.array([row.size for row in rows])
    return FrequencyTables.from_arrays({"frequencies": np.concatenate(rows), "lengths": lengths, "offsets": offsets})


def _derived(counts: np.ndarray, first: int, width: int) -> tuple[int, np.ndarray]:
    """Return the first symbol and the counts of intervals of `width`, of counts of whole numbers from `first` on.

    Counts end with that of the escape symbol.
    """
    edges = np.cumsum(np.concatenate([[0], counts[:-1]]))
    unit = 1 << _DELTA_POINT
    # Twice the edges of the table, half below its first number and half above its last, and the symbols that lie there.
    low, high = (2 * first - 1) * unit, (2 * (first + len(counts) - 1) - 1) * unit
    middle = (first + int(np.searchsorted(edges, edges[-1] // 2))) * unit // width
    start = max(_nearest(low, width), middle - MAX_SYMBOLS // 2)
    stop = min(_nearest(high - 1, width), middle + MAX_SYMBOLS // 2 - 1)
    bounds = (2 * np.arange(start, stop + 2, dtype=np.int64) - 1) * width
    bins, rest = np.divmod(np.clip(bounds, low, high) - low, 2 * unit)
    inside = np.append(counts[:-1], 0)[bins] * rest >> _DELTA_POINT + 1 - _MASS_POINT
    masses = (edges[bins] << _MASS_POINT) + inside
    # Every symbol has 1, and the others are shared out by rounding down the cumulative: the escape symbol has the rest.
    shared = masses * (TOTAL - (stop - start + 2)) >> 16 + _MASS_POINT
    given = np.diff(shared) + 1
    return start, np.append(given, TOTAL - given.sum())


def _nearest(doubled: int, width: int) -> int:
    """Return the symbol in whose interval of `width` half of a number lies."""
    return (doubled + width) // (2 * width)
