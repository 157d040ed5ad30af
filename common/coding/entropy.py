"""Probability models of quantised latents: factorized prior, Gaussian conditional, and their integer tables."""

import math
from typing import Any

import numpy as np

from common.backend import assign, keras, lower_bound, ops, to_numpy
from common.coding.range_coder import FrequencyTables

LIKELIHOOD_MIN = 1e-9
SCALE_MIN = 0.11
SCALE_MAX = 256.0


def rate(likelihood: Any, num_pixels: Any) -> Any:
    """Return `-sum(log2(likelihood)) / num_pixels` in bits per pixel: the `rate_estimate` of a latent."""
    floored = lower_bound(likelihood, LIKELIHOOD_MIN)
    return ops.sum(ops.log(floored)) / (-math.log(2.0) * num_pixels)


def bounded_log_scale(raw: Any) -> Any:
    """Return log sigma within [log 0.11, log 256]; below the bound the gradient only pushes upwards."""
    return ops.minimum(lower_bound(ops.cast(raw, "float32"), math.log(SCALE_MIN)), math.log(SCALE_MAX))


def gaussian_likelihood(y: Any, mu: Any, log_sigma: Any) -> Any:
    """Return p(y) of a Gaussian with mean `mu` and scale exp(`log_sigma`), integrated over [y - 1/2, y + 1/2].

    All float32 of one shape. Source: Ballé et al. 2018, section 3; Minnen et al. 2018, Eq. 4 (mean and scale).
    """
    # The cumulative at -|v| is the small tail, where erfc keeps its relative precision.
    v = ops.abs(ops.cast(y, "float32") - ops.cast(mu, "float32"))
    inverse_sigma = ops.exp(-log_sigma)
    return _normal_cdf((0.5 - v) * inverse_sigma) - _normal_cdf((-0.5 - v) * inverse_sigma)


def _normal_cdf(x: Any) -> Any:
    return 0.5 * ops.erfc(x * -(0.5**0.5))


class FactorizedPrior(keras.layers.Layer):
    """A learned univariate density for each channel, convolved with U(-1/2, 1/2).

    46 numbers a channel: 43 trained (weights 1x3, 3x3, 3x3, 3x1; biases 3, 3, 3, 1; gates 3, 3, 3) and 3 quantiles
    (lower tail, median, upper tail), which are solved for after training.
    Source: Ballé et al. 2018, "Variational image compression with a scale hyperprior", appendix 6.1.
    """

    filters = (1, 3, 3, 3, 1)
    init_scale = 10.0
    tail_mass = 2.0**-8

    def __init__(self, channels: int, **kwargs: Any) -> None:
        super().__init__(dtype="float32", **kwargs)
        self.channels = channels

    def build(self, input_shape=None):
        scale = self.init_scale ** (1 / (len(self.filters) - 1))
        self.matrices, self.biases, self.gates = [], [], []
        for i, (fan_in, fan_out) in enumerate(zip(self.filters[:-1], self.filters[1:], strict=True)):
            # softplus of this is 1 / (scale * fan_out): the initial density spans about `init_scale` symbols.
            start = math.log(math.expm1(1 / scale / fan_out))
            self.matrices.append(self._weight(f"matrix_{i}", fan_out, fan_in, keras.initializers.Constant(start)))
            self.biases.append(self._weight(f"bias_{i}", fan_out, 1, keras.initializers.RandomUniform(-0.5, 0.5)))
            if i < len(self.filters) - 2:
                self.gates.append(self._weight(f"gate_{i}", fan_out, 1, "zeros"))
        self.quantiles = self.add_weight(
            name="quantiles", shape=(self.channels, 3), initializer="zeros", trainable=False
        )
        self.built = True

    def _weight(self, name, rows, columns, initializer):
        return self.add_weight(name=name, shape=(self.channels, rows, columns), initializer=initializer)

    def call(self, z):
        """Return the likelihood of every element of float32 `z` (B, H, W, C), same shape."""
        z = ops.cast(z, "float32")
        batch, height, width, _ = ops.shape(z)
        values = ops.reshape(ops.transpose(z, (3, 0, 1, 2)), (self.channels, 1, -1))
        lower, upper = self._logits(values - 0.5), self._logits(values + 0.5)
        # Evaluate where the sigmoid is not saturated: on the side of the tail that is smaller.
        sign = ops.stop_gradient(-ops.sign(lower + upper))
        likelihood = ops.abs(ops.sigmoid(sign * upper) - ops.sigmoid(sign * lower))
        likelihood = ops.reshape(likelihood, (self.channels, batch, height, width))
        return ops.transpose(likelihood, (1, 2, 3, 0))

    def compute_output_shape(self, input_shape):
        return input_shape

    def _logits(self, values):
        """Return the logits of the cumulative at `values` (C, 1, n)."""
        for i, (matrix, bias) in enumerate(zip(self.matrices, self.biases, strict=True)):
            values = ops.matmul(ops.softplus(matrix), values) + bias
            if i < len(self.gates):
                values = values + ops.tanh(self.gates[i]) * ops.tanh(values)
        return values

    def cumulative(self, values: np.ndarray) -> np.ndarray:
        """Return the cumulative of each channel at float `values` (C, n), as float64 computed in numpy."""
        values = np.asarray(values, np.float64)[:, None, :]
        for i, (matrix, bias) in enumerate(zip(self.matrices, self.biases, strict=True)):
            weight = np.logaddexp(0.0, to_numpy(matrix).astype(np.float64))
            values = weight @ values + to_numpy(bias).astype(np.float64)
            if i < len(self.gates):
                values = values + np.tanh(to_numpy(self.gates[i]).astype(np.float64)) * np.tanh(values)
        return 0.5 * (1 + np.tanh(0.5 * values[:, 0, :]))


def prior_tables(prior: FactorizedPrior) -> FrequencyTables:
    """Return one integer table for each channel of a trained prior, and set its quantiles.

    Symbols span the integers between the quantiles of half the tail mass on either side; the rest escapes.
    """
    half_tail = 0.5 * prior.tail_mass
    quantiles = np.stack([_quantile(prior, q) for q in (half_tail, 0.5, 1.0 - half_tail)], axis=1)
    assign(prior.quantiles, quantiles.astype(np.float32))
    first, last = np.floor(quantiles[:, 0]).astype(int), np.ceil(quantiles[:, 2]).astype(int)
    edges = first.min() - 0.5 + np.arange(last.max() - first.min() + 2)
    cumulative = prior.cumulative(np.tile(edges, (prior.channels, 1)))
    pmfs, tails = [], []
    for c in range(prior.channels):
        low, high = first[c] - first.min(), last[c] - first.min() + 1
        pmfs.append(np.diff(cumulative[c, low : high + 1]))
        tails.append(cumulative[c, low] + 1.0 - cumulative[c, high])
    return FrequencyTables.from_pmfs(pmfs, tails, first.tolist())


def straight_cumulative(prior: FactorizedPrior, values: np.ndarray) -> np.ndarray:
    """Return the cumulative at float `values` (..., C, n), float64, straight between n + 1/2 and n + 3/2.

    Whole numbers' tables know it there alone: what `common.coding.quantisation.tables_at` derives from them costs so.
    """
    halves = np.arange(np.floor(values.min()) - 0.5, np.ceil(values.max()) + 1.0)
    known = prior.cumulative(np.tile(halves, (prior.channels, 1)))
    channels = [np.interp(values[..., c, :], halves, known[c]) for c in range(prior.channels)]
    return np.stack(channels, axis=-2)


def _quantile(prior: FactorizedPrior, share: float) -> np.ndarray:
    """Return where each channel's cumulative reaches `share`, by bisection, within the range of 16-bit symbols."""
    low, high = np.full(prior.channels, -(2.0**15)), np.full(prior.channels, 2.0**15)
    for _ in range(50):
        middle = 0.5 * (low + high)
        below = prior.cumulative(middle[:, None])[:, 0] < share
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return 0.5 * (low + high)
