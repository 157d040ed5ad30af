"""Rate control of a set: one choice a picture, so that all files together keep to a rate and the quality is greatest.

A multiple-choice knapsack: choice j of picture i has a size in bytes and a value, and the sum of the values is to be
greatest among the selections whose sizes sum to at most a budget. `greedy` buys what gives most value for a byte, as
Cheng et al. (2019), Section 3 may be read, and bounds what any selection can reach; `exact` proves the optimum.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import numpy as np

from common.errors import RelicError

Sizes = Sequence[Sequence[int]]  # bytes of each picture's choices
Values = Sequence[Sequence[float]]  # what they are worth, the more the better
_SLACK = 1e-12  # of sums of values: below it two selections are worth the same


@dataclass(frozen=True)
class Selection:
    """The choice of each picture, by number, with the sums of their bytes and values."""

    chosen: tuple[int, ...]
    size: int
    value: float


@dataclass(frozen=True)
class _Upgrade:
    """A step up one picture's concave hull: what it costs in bytes and gives."""

    picture: int
    choice: int
    size: int
    value: float

    @property
    def efficiency(self) -> float:
        return self.value / self.size


def budget(target: float, pixels: int, extra_bits: int = 0) -> int:
    """Return the bytes that files of so many pixels may have at `target` bits per pixel, `extra_bits` taken off.

    The target counts as the decimal number that it prints as, so that 0.15 allows no bit less. Negative where the
    extra bits alone are above it.
    """
    return math.floor((Fraction(repr(float(target))) * pixels - extra_bits) / 8)


def greedy(sizes: Sizes, values: Values, budget: int) -> tuple[Selection, float]:
    """Return a selection by value a byte, and a bound on the value of any selection: the linear relaxation's.

    Every picture begins with its smallest file; upgrades along each picture's concave hull are bought in order of value
    a byte, those that no longer fit left out. The value lies within one picture's upgrade of the bound. Raises
    RelicError where the smallest files are more than the budget. O(n log n) in the number of choices.
    """
    chosen, upgrades = _relaxed(sizes, values)
    size, value = _sums(sizes, values, chosen)
    _check(size, budget)
    bound, left, closed = value, float(budget - size), set()
    for upgrade in upgrades:
        share = min(1.0, left / upgrade.size)
        bound, left = bound + share * upgrade.value, left - share * upgrade.size
        if upgrade.picture in closed or size + upgrade.size > budget:
            closed.add(upgrade.picture)
            continue
        chosen[upgrade.picture] = upgrade.choice
        size += upgrade.size
    return _selection(sizes, values, chosen), bound


def exact(sizes: Sizes, values: Values, budget: int) -> Selection:
    """Return the selection of greatest value within the budget; of equal ones that of fewer bytes.

    Dynamic programming over the pictures on undominated pairs of bytes and value, without those whose bound by the
    linear relaxation of the remaining pictures is below the greedy value. At most budget + 1 pairs a picture, so
    O(choices x budget) time and memory at worst; the bounds leave thousands, and hundreds of pictures take seconds.
    Raises RelicError where the smallest files are more than the budget.
    """
    start, bound = greedy(sizes, values, budget)
    if bound - start.value <= _SLACK:
        return start
    order = _order(sizes, values, budget)
    rests = _rests(sizes, values, order)
    size, value = np.zeros(1, np.int64), np.zeros(1)
    trail = []
    for number, picture in enumerate(order):
        options = np.asarray(sizes[picture], np.int64), np.asarray(values[picture], np.float64)
        before, choice = (
            grid.ravel() for grid in np.meshgrid(np.arange(len(size)), np.arange(len(options[0])), indexing="ij")
        )
        size, value = size[before] + options[0][choice], value[before] + options[1][choice]
        kept = _kept(size, value, rests[number + 1], budget, start.value)
        size, value = size[kept], value[kept]
        trail.append((before[kept], choice[kept]))
    return _traced(sizes, values, order, trail, int(np.argmax(value)) if len(value) else -1, start)


def _kept(
    size: np.ndarray, value: np.ndarray, rest: tuple[np.ndarray, np.ndarray], budget: int, reached: float
) -> np.ndarray:
    """Return the numbers of the pairs that may become the optimum, by bytes: undominated, their bounds high enough."""
    spare = budget - size
    bound = value + np.interp(spare, *rest)
    possible = np.flatnonzero((spare >= rest[0][0]) & (bound >= reached - _SLACK))
    ordered = possible[np.lexsort((-value[possible], size[possible]))]
    best_before = np.maximum.accumulate(np.concatenate([[-np.inf], value[ordered]]))[:-1]
    return ordered[value[ordered] > best_before]


def _traced(
    sizes: Sizes,
    values: Values,
    order: Sequence[int],
    trail: Sequence[tuple[np.ndarray, np.ndarray]],
    last: int,
    start: Selection,
) -> Selection:
    """Return the selection that a pair came from; the greedy one where rounding left no pair."""
    if last < 0:
        return start
    chosen = [0] * len(sizes)
    for picture, (before, choice) in zip(reversed(order), reversed(trail), strict=True):
        chosen[picture] = int(choice[last])
        last = int(before[last])
    found = _selection(sizes, values, chosen)
    return found if found.value >= start.value else start


def _order(sizes: Sizes, values: Values, budget: int) -> list[int]:
    """Return the pictures, first those whose choice is clearest at the price of a byte at which the budget is spent."""
    chosen, upgrades = _relaxed(sizes, values)
    left, price = budget - _sums(sizes, values, chosen)[0], 0.0
    for upgrade in upgrades:
        left, price = left - upgrade.size, upgrade.efficiency
        if left < 0:
            break

    def lead(picture: int) -> float:
        worth = sorted((v - price * s for s, v in zip(sizes[picture], values[picture], strict=True)), reverse=True)
        return worth[0] - worth[1] if len(worth) > 1 else math.inf

    return sorted(range(len(sizes)), key=lead, reverse=True)


def _rests(sizes: Sizes, values: Values, order: Sequence[int]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return, for the pictures from each place of the order on, bytes and the greatest relaxed value: corners of it."""
    chosen, upgrades = _relaxed(sizes, values)
    place = {picture: number for number, picture in enumerate(order)}
    places = np.array([place[u.picture] for u in upgrades], np.int64)
    steps = np.array([(u.size, u.value) for u in upgrades], np.float64).reshape(-1, 2)
    rests = []
    for number in range(len(order) + 1):
        least = np.array([(sizes[p][chosen[p]], values[p][chosen[p]]) for p in order[number:]], np.float64).reshape(
            -1, 2
        )
        corners = np.cumsum(np.vstack([least.sum(axis=0), steps[places >= number]]), axis=0)
        rests.append((corners[:, 0], corners[:, 1]))
    return rests


def _relaxed(sizes: Sizes, values: Values) -> tuple[list[int], list[_Upgrade]]:
    """Return each picture's smallest file, and the upgrades of all along their concave hulls, most value a byte first.

    A picture's upgrades come in order, as their efficiency falls along its hull.
    """
    hulls = [_hull(*of) for of in zip(sizes, values, strict=True)]
    upgrades = [
        _Upgrade(picture, after, sizes[picture][after] - sizes[picture][j], values[picture][after] - values[picture][j])
        for picture, hull in enumerate(hulls)
        for j, after in pairwise(hull)
    ]
    return [hull[0] for hull in hulls], sorted(upgrades, key=lambda upgrade: -upgrade.efficiency)


def _hull(sizes: Sequence[int], values: Sequence[float]) -> list[int]:
    """Return the choices on the upper concave hull of value over bytes, from the smallest file on."""
    hull: list[int] = []
    for j in sorted(range(len(sizes)), key=lambda j: (sizes[j], -values[j])):
        if hull and values[j] <= values[hull[-1]]:
            continue
        while len(hull) > 1 and _slope(sizes, values, hull[-1], j) >= _slope(sizes, values, hull[-2], hull[-1]):
            hull.pop()
        hull.append(j)
    return hull


def _slope(sizes: Sequence[int], values: Sequence[float], a: int, b: int) -> float:
    return (values[b] - values[a]) / (sizes[b] - sizes[a])


def _sums(sizes: Sizes, values: Values, chosen: Sequence[int]) -> tuple[int, float]:
    size = sum(of[j] for of, j in zip(sizes, chosen, strict=True))
    return size, math.fsum(of[j] for of, j in zip(values, chosen, strict=True))


def _selection(sizes: Sizes, values: Values, chosen: Sequence[int]) -> Selection:
    return Selection(tuple(chosen), *_sums(sizes, values, chosen))


def _check(smallest: int, budget: int) -> None:
    if smallest > budget:
        raise RelicError(f"the smallest files of all pictures have {smallest} bytes, {max(budget, 0)} are allowed")
