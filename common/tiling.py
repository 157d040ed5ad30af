"""Networks on large pictures: strip by strip, so that memory holds the activations of a strip and not of a picture."""

from collections.abc import Callable, Iterator

import numpy as np


def apply_by_strips(
    network: Callable[[np.ndarray], np.ndarray], x: np.ndarray, ratio: tuple[int, int], size: int, halo: int
) -> np.ndarray:
    """Return what a convolutional network (1, H, W, C) -> (1, H', W', C') makes of x (H, W, C), as (H', W', C').

    ratio: how many rows of x make how many of the result, e.g. (2, 1) for a network that halves. A strip has `size`
    such units and is computed with `halo` more on both sides, which must be as far as the network sees: then strips
    change nothing but the last bits of floats.
    """
    rows_in, rows_out = ratio
    parts = []
    for start, stop, low, high in strips(len(x) // rows_in, size, halo):
        strip = network(x[None, low * rows_in : high * rows_in])[0]
        parts.append(strip[(start - low) * rows_out : (stop - low) * rows_out])
    return np.concatenate(parts)


def strips(rows: int, size: int, halo: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield (start, stop, low, high): a strip of at most `size` rows, at least one, and the rows to compute it from."""
    size = max(1, size)
    for start in range(0, rows, size):
        stop = min(start + size, rows)
        yield start, stop, max(0, start - halo), min(rows, stop + halo)
