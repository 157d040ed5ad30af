"""Probability models against closed forms, sums of one, and the size of what their tables code."""

import math

import numpy as np
import pytest
from narrow import gradients

from common.backend import assign, to_numpy, variables
from common.coding import entropy, range_coder

pytestmark = pytest.mark.stack

CHANNELS = 6


def a_prior(seed=0, spread=1.0):
    """Return a prior whose channels differ in width, place and shape; `spread=0` leaves it as initialised."""
    prior = entropy.FactorizedPrior(CHANNELS, name="prior")
    prior.build((None, None, None, CHANNELS))
    rng = np.random.RandomState(seed)
    for name, variable in variables(prior).items():
        start = to_numpy(variable)
        change = rng.normal(0, 0.5, start.shape) + (0.4 * np.arange(CHANNELS)[:, None, None] if "matrix" in name else 0)
        if name != "quantiles":
            assign(variable, (start + spread * change).astype(np.float32))
    return prior


def likelihood(prior, values):
    """Return the layer's likelihoods of values (C, n) of each channel, as (C, n)."""
    z = np.asarray(values, np.float32).T[None, None]
    return to_numpy(prior(z))[0, 0].T


def sigmoid(x):
    return 1 / (1 + np.exp(-np.asarray(x, np.float64)))


# --- factorized prior ----------------------------------------------------------------------------------------------


def test_the_prior_has_46_numbers_a_channel_43_of_them_trained():
    prior = a_prior()
    sizes = {name: int(np.prod(value.shape)) for name, value in variables(prior).items()}
    assert sum(sizes.values()) == 46 * CHANNELS and sizes["quantiles"] == 3 * CHANNELS
    assert sum(int(np.prod(value.shape)) for value in prior.trainable_variables) == 43 * CHANNELS


def test_the_prior_starts_as_a_logistic_density_of_scale_10():
    """Without gates the cumulative is sigmoid(a z + b), with a the product of four layers of (1/10)^(1/4)."""
    prior = a_prior(spread=0.0)
    b = np.log(1 / (1 / prior.cumulative(np.zeros((CHANNELS, 1))) - 1))
    values = np.tile([-300.0, -40.0, -3.3, 0.0, 1.0, 25.0, 300.0], (CHANNELS, 1))
    upper, lower = 0.1 * (values + 0.5) + b, 0.1 * (values - 0.5) + b
    flip = np.where(values > 0, -1, 1)  # where the sigmoid keeps its digits
    expected = np.abs(sigmoid(flip * upper) - sigmoid(flip * lower))
    np.testing.assert_allclose(likelihood(prior, values), expected, rtol=2e-3)
    np.testing.assert_allclose(prior.cumulative(values + 0.5), sigmoid(upper), rtol=1e-5, atol=1e-12)
    assert likelihood(prior, values).min() > 0


def test_the_likelihoods_of_all_integers_sum_to_one():
    values = np.tile(np.arange(-400, 401), (CHANNELS, 1))
    probabilities = likelihood(a_prior(), values)
    assert probabilities.min() >= 0
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=2e-5)


def test_the_layer_equals_its_cumulative_computed_in_numpy():
    prior = a_prior()
    values = np.random.RandomState(1).normal(0, 8, (CHANNELS, 500))
    expected = prior.cumulative(values + 0.5) - prior.cumulative(values - 0.5)
    np.testing.assert_allclose(likelihood(prior, values), expected, rtol=1e-3, atol=2e-7)
    assert expected.max() > 0.3 and np.ptp(expected.max(axis=1)) > 0.1  # the channels differ


def test_the_layer_keeps_the_places_of_its_inputs():
    prior = a_prior()
    z = np.random.RandomState(2).normal(0, 3, (2, 3, 4, CHANNELS)).astype(np.float32)
    whole = to_numpy(prior(z))
    assert whole.shape == z.shape
    for place in [(0, 0, 0), (1, 2, 3), (1, 0, 2)]:
        alone = likelihood(prior, z[place][:, None])[:, 0]
        np.testing.assert_allclose(whole[place], alone, rtol=1e-5)


def test_the_tables_code_within_half_a_percent_of_the_cross_entropy():
    prior = a_prior()
    tables = entropy.prior_tables(prior)
    grid = np.arange(-1000, 1000)
    cumulative = prior.cumulative(np.tile(grid + 0.5, (CHANNELS, 1)))
    draws = np.random.RandomState(3).uniform(size=(CHANNELS, 20_000))
    symbols = np.stack([grid[np.searchsorted(c, u)] for c, u in zip(cumulative, draws, strict=True)], axis=-1).astype(
        np.int32
    )
    probabilities = np.diff(cumulative, axis=1)
    cross_entropy = -sum(np.log2(p[s - grid[1]]).sum() for p, s in zip(probabilities, symbols.T, strict=True))
    indexes = np.broadcast_to(np.arange(CHANNELS, dtype=np.int32), symbols.shape)
    data = range_coder.encode(symbols, indexes, tables)
    assert np.unique(symbols).size > 20 and 8 * len(data) == pytest.approx(cross_entropy, rel=0.005)
    np.testing.assert_array_equal(range_coder.decode(data, indexes, tables), symbols)


def test_the_quantiles_cut_off_half_the_tail_mass_on_either_side_and_the_median():
    prior = a_prior()
    entropy.prior_tables(prior)
    shares = prior.cumulative(to_numpy(prior.quantiles))
    np.testing.assert_allclose(shares, np.tile([2**-9, 0.5, 1 - 2**-9], (CHANNELS, 1)), atol=1e-5)


# --- Gaussian conditional ------------------------------------------------------------------------------------------


def test_the_gaussian_likelihood_is_the_integral_over_a_unit_far_into_the_tails():
    """Against math.erfc in double precision; float32 keeps 4 digits wherever it has normal numbers."""
    grid = np.meshgrid(np.arange(-40, 41), [-0.4, 0.0, 7.25], [0.11, 0.5, 3.0, 40.0, 256.0])
    y, mu, sigma = (a.ravel() for a in grid)
    distance = np.abs(y - mu)
    upper, lower = (distance + 0.5) / sigma * math.sqrt(0.5), (distance - 0.5) / sigma * math.sqrt(0.5)
    expected = np.array([0.5 * (math.erfc(a) - math.erfc(b)) for a, b in zip(lower, upper, strict=True)])
    y, mu, log_sigma = (np.asarray(a, np.float32) for a in (y, mu, np.log(sigma)))
    measured = to_numpy(entropy.gaussian_likelihood(y, mu, log_sigma))
    normal = expected > 1e-35
    np.testing.assert_allclose(measured[normal], expected[normal], rtol=3e-4)
    assert 0.2 < normal.mean() < 0.95 and expected[normal].min() < 1e-30
    assert np.all(measured[~normal] >= 0) and np.all(measured[~normal] < 1e-34)


@pytest.mark.parametrize("sigma", [0.11, 0.7, 5.0, 60.0])
def test_the_gaussian_likelihoods_of_all_integers_sum_to_one(sigma):
    y = np.arange(-600, 601, dtype=np.float32)
    log_sigma = np.full_like(y, math.log(sigma))
    total = to_numpy(entropy.gaussian_likelihood(y, np.full_like(y, 0.3), log_sigma)).astype(np.float64).sum()
    assert total == pytest.approx(1, abs=2e-5)


def test_the_log_scale_stays_between_those_of_0_11_and_256():
    raw = np.array([-50.0, math.log(0.11), 0.0, math.log(256), 50.0], np.float32)
    bounded = to_numpy(entropy.bounded_log_scale(raw))
    np.testing.assert_allclose(np.exp(bounded), [0.11, 0.11, 1, 256, 256], rtol=1e-5)


def test_below_its_bound_the_log_scale_is_only_pushed_up():
    raw = np.array([-5.0, -5.0, 0.0, 0.0], np.float32)
    upstream = np.array([-1.0, 1.0, -1.0, 1.0], np.float32)
    _, gradient, _ = gradients(entropy.bounded_log_scale, raw, upstream)
    np.testing.assert_array_equal(gradient, [-1, 0, -1, 1])


# --- rate ----------------------------------------------------------------------------------------------------------


def test_the_rate_counts_bits_per_pixel():
    halves = np.full((1, 2, 2, 2), 0.5, np.float32)
    assert float(to_numpy(entropy.rate(halves, 4))) == pytest.approx(2.0, rel=1e-6)
    mixed = np.array([0.5, 0.25, 1.0, 0.125], np.float32)
    assert float(to_numpy(entropy.rate(mixed, 3))) == pytest.approx(6 / 3, rel=1e-6)


def test_an_impossible_symbol_costs_30_bits_and_its_gradient_makes_it_likelier():
    impossible = np.zeros(1, np.float32)
    rate, gradient, _ = gradients(lambda p: entropy.rate(p, 1.0), impossible, np.float32(1.0))
    assert float(rate) == pytest.approx(9 * math.log2(10), rel=1e-5)
    assert np.isfinite(gradient[0]) and gradient[0] < 0
