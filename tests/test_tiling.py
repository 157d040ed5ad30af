"""Strips cover a picture once, each with its surroundings, and change nothing."""

import numpy as np
import pytest

from common.tiling import apply_by_strips, strips


@pytest.mark.parametrize("rows", [1, 5, 64, 65, 1000])
@pytest.mark.parametrize("size", [0, 1, 64])
def test_strips_cover_all_rows_once_with_their_surroundings(rows, size):
    found = list(strips(rows, size, 2))
    assert [s[0] for s in found] == [0] + [s[1] for s in found[:-1]] and found[-1][1] == rows
    for start, stop, low, high in found:
        assert 0 < stop - start <= max(1, size)
        assert start - low == min(start, 2) and high - stop == min(rows - stop, 2)


def blurred(x):
    """Average each row with its two neighbours, zeros outside: a network that sees one row around."""
    padded = np.pad(x, [(0, 0), (1, 1), (0, 0), (0, 0)])
    return (padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]) / 3


NETWORKS = {
    (1, 1): blurred,
    (2, 1): lambda x: blurred(x[:, ::2] + x[:, 1::2]),
    (1, 2): lambda x: np.repeat(blurred(x), 2, axis=1),
}


@pytest.mark.parametrize("ratio", NETWORKS)
@pytest.mark.parametrize("size", [1, 3, 7, 100])
def test_strips_change_nothing_where_the_halo_is_what_the_network_sees(ratio, size):
    x = np.random.default_rng(0).random((20, 5, 2))
    whole = NETWORKS[ratio](x[None])[0]
    np.testing.assert_allclose(apply_by_strips(NETWORKS[ratio], x, ratio, size, 1), whole, atol=1e-15)


def test_a_halo_that_is_too_small_shows():
    x = np.random.default_rng(0).random((20, 5, 2))
    without = apply_by_strips(blurred, x, (1, 1), 5, 0)
    assert np.abs(without - blurred(x[None])[0])[4:6].max() > 0.01
