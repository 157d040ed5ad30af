"""95 % intervals over pictures and seeds by the bootstrap, vectorised and with a fixed seed.

Pictures are resampled with replacement, the same ones for both rows of a difference (paired by picture). Where a row
was trained with several seeds, seeds are resampled too, each row's by itself; their spread is widened by
sqrt(S / (S - 1)), because resampling S values shows only (S - 1) / S of the variance of their mean. With two or
three seeds the interval is still optimistic; with one it speaks of pictures alone. Where a set is measured as a whole
there are no pictures to resample, and the interval is that of Student's t over trainings.
"""

from collections.abc import Sequence

import numpy as np

RESAMPLES = 10_000
MINIMUM_PICTURES = 5
_SEED = 20190616
_CHUNK = 4_000_000
# Student's t exceeds these in 2.5 % of cases, with 1, 2, … degrees of freedom; the last one serves for more.
_STUDENT = (12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622)

Interval = tuple[float, float]


def interval_of_mean(values: np.ndarray) -> Interval | None:
    """Return the 95 % interval of the mean of float `values` (seeds, pictures), None below five pictures."""
    return _interval([_matrix(values)], [1.0])


def interval_of_difference(values: np.ndarray, reference: np.ndarray) -> Interval | None:
    """Return the 95 % interval of `mean(values) - mean(reference)`, None below five pictures.

    Both float (seeds, pictures), of the same pictures in the same order; the numbers of seeds may differ.
    """
    matrices = [_matrix(values), _matrix(reference)]
    if matrices[0].shape[1] != matrices[1].shape[1]:
        raise ValueError("a paired interval needs the same pictures of both rows")
    return _interval(matrices, [1.0, -1.0])


def interval_over_trainings(values: np.ndarray, reference: np.ndarray | None = None) -> Interval | None:
    """Return the 95 % interval of `mean(values)`, or of its difference to `mean(reference)`; None below two trainings.

    Float (seeds,), one value a training. The row with fewer seeds gives the degrees of freedom, which is cautious.
    """
    rows = [_matrix(row)[0] for row in (values, reference) if row is not None]
    fewest = min(map(len, rows))
    if fewest < 2:
        return None
    error = np.sqrt(sum(row.var(ddof=1) / len(row) for row in rows))
    half = student(fewest - 1) * error
    middle = rows[0].mean() - sum(row.mean() for row in rows[1:])
    return float(middle - half), float(middle + half)


def half_width(interval: Sequence[float] | None) -> float | None:
    """Return half the width of an interval: an effect smaller than it could not have been detected; None as of it."""
    return None if interval is None else (interval[1] - interval[0]) / 2


def student(degrees: int) -> float:
    """Return the 97.5 % quantile of Student's t with so many degrees of freedom; beyond the tabulated, the last."""
    return _STUDENT[min(degrees, len(_STUDENT)) - 1]


def _matrix(values: np.ndarray) -> np.ndarray:
    values = np.atleast_2d(np.asarray(values, np.float64))
    if values.ndim != 2 or not np.isfinite(values).all():
        raise ValueError("an interval needs finite values of shape (seeds, pictures)")
    return values


def _interval(matrices: list[np.ndarray], signs: list[float]) -> Interval | None:
    pictures = matrices[0].shape[1]
    if pictures < MINIMUM_PICTURES:
        return None
    generator = np.random.default_rng(_SEED)
    step = max(1, _CHUNK // pictures)
    means = []
    for start in range(0, RESAMPLES, step):
        count = min(step, RESAMPLES - start)
        weights = _resampled_weights(generator, count, pictures)
        means.append(sum(s * _resampled_means(generator, weights, m) for s, m in zip(signs, matrices, strict=True)))
    low, high = np.percentile(np.concatenate(means), (2.5, 97.5))
    return float(low), float(high)


def _resampled_weights(generator: np.random.Generator, count: int, size: int) -> np.ndarray:
    """Return (count, size): how often each of `size` things is drawn in each resample, divided by `size`."""
    return generator.multinomial(size, np.full(size, 1 / size), size=count) / size


def _resampled_means(generator: np.random.Generator, weights: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return one mean a resample of `values` (seeds, pictures), with pictures weighted by `weights`."""
    per_seed = weights @ values.T
    mean = per_seed.mean(axis=1)
    seeds = values.shape[0]
    if seeds == 1:
        return mean
    drawn = (per_seed * _resampled_weights(generator, len(weights), seeds)).sum(axis=1)
    return mean + (drawn - mean) * np.sqrt(seeds / (seeds - 1))
