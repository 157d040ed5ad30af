"""Coding with the context model in integers: one position after the other, as each hangs on those before it.

Positions (row, column) of equal column + 3 row see nothing of each other through a masked 5x5 kernel, so they are
computed and coded together: w + 3 (h - 1) steps for h x w latents, where raster order has h w. Both orders give the
same latents. Everything is computed by NumPy on the CPU, whatever the stack is.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from common.coding.integer_network import IntegerNetwork, Layer, layers_of, scale_indexes
from common.coding.quantisation import quantised
from common.coding.range_coder import FrequencyTables, PartsDecoder, PartsEncoder
from papers.cheng_resnet.context import REACH, mask

UNITS = IntegerNetwork.output_scale  # of y_hat, means and features: 1024 to one
UNIT_POINT = UNITS.bit_length() - 1
# Fraction bits of what goes into the networks, which saturate at 2**17: latents at 2048, features at 512.
LATENT_POINT, FEATURE_POINT = 6, 8
_LAYERS = ("layer1", "layer1_act", "layer2", "layer2_act", "layer3")

Front = tuple[np.ndarray, np.ndarray]  # rows and columns of positions that are coded together
Order = Callable[[int, int], Iterator[Front]]  # of a height and a width


class ContextModel:
    """The masked convolution and the 1x1 layers after it, in integers."""

    def __init__(self, context: IntegerNetwork, entropy_parameters: IntegerNetwork) -> None:
        self._context, self._entropy_parameters = context, entropy_parameters
        self._order: Order = fronts

    @classmethod
    def quantise(
        cls, model: Any, hyper_decoder: IntegerNetwork, latents: Sequence[tuple[np.ndarray, np.ndarray]]
    ) -> "ContextModel":
        """Return the integers of a trained model.

        latents: of typical pictures y, float (h, w, M), and integer z_hat, which set binary points.
        """
        seen = [_all_neighbours(np.rint(y).astype(np.int64) * UNITS) for y, _ in latents]
        floats = [taps[:, None] / UNITS for taps in seen]
        context = IntegerNetwork.quantise(_context_layers(model), floats, LATENT_POINT)
        features = []
        for taps, (_, z_hat) in zip(seen, latents, strict=True):
            hyper = hyper_decoder(z_hat)
            found = context(_at_point(taps, LATENT_POINT)[:, None])
            features.append(np.concatenate([found, hyper.reshape(found.shape)], axis=-1) / UNITS)
        return cls(context, IntegerNetwork.quantise(_parameter_layers(model), features, FEATURE_POINT))

    def parts(self) -> dict[str, IntegerNetwork]:
        """Return what a weights file stores, by name."""
        return {"context": self._context, "entropy_parameters": self._entropy_parameters}

    @classmethod
    def from_parts(cls, part: Callable[[str], dict[str, np.ndarray]], model: Any) -> "ContextModel":
        """Return what `parts` stored, read by `part(name)`; raises RelicError for integers of other weights."""
        context = IntegerNetwork.from_arrays(part("context"), _context_layers(model), LATENT_POINT)
        parameters = IntegerNetwork.from_arrays(part("entropy_parameters"), _parameter_layers(model), FEATURE_POINT)
        return cls(context, parameters)

    def in_order(self, order: Order) -> "ContextModel":
        """Return the same model with another order of coding than `fronts`, whose files are others."""
        other = copy.copy(self)
        other._order = order
        return other

    def sequence(
        self, hyper: np.ndarray, symbols_of: Callable[[Front, np.ndarray, np.ndarray], np.ndarray]
    ) -> np.ndarray:
        """Return y_hat, int64 (h, w, M) in UNITS, made of the symbols of one front of positions after the other.

        hyper: what the hyper decoder gives, int64 (h, w, 2M). symbols_of: of a front, its means and its log scales,
        int64 (positions, M) in UNITS, the integers around the means.
        """
        height, width, channels = hyper.shape[0], hyper.shape[1], hyper.shape[2] // 2
        padded = np.zeros((height + REACH, width + 2 * REACH, channels), np.int64)
        for rows, columns in self._order(height, width):
            mu, log_sigma = self._parameters(_neighbours(padded, rows, columns), hyper[rows, columns])
            symbols = symbols_of((rows, columns), mu, log_sigma)
            padded[rows + REACH, columns + REACH] = symbols.astype(np.int64) * UNITS + mu
        return padded[REACH:, REACH:-REACH]

    def predicted(self, y: np.ndarray, hyper: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return of y, float32 (h, w, M), what is left without its means, float32, log sigma and y_hat, in UNITS."""
        residuals, log_sigmas = np.empty_like(y), np.empty(y.shape, np.int64)

        def symbols_of(front: Front, mu: np.ndarray, log_sigma: np.ndarray) -> np.ndarray:
            residuals[front], log_sigmas[front] = y[front] - floats(mu), log_sigma
            return quantised(residuals[front], 0)

        return residuals, log_sigmas, self.sequence(hyper, symbols_of)

    def encode(self, symbols: np.ndarray, indexes: np.ndarray, tables: FrequencyTables) -> bytes:
        """Code int32 symbols (h, w, M) with the tables that indexes name, one front after the other."""
        encoder = PartsEncoder(tables)
        for front in self._order(*symbols.shape[:2]):
            encoder.add(symbols[front], indexes[front])
        return encoder.data()

    def decode(self, data: bytes, hyper: np.ndarray, tables: FrequencyTables) -> np.ndarray:
        """Return y_hat, int64 (h, w, M) in UNITS, of what `encode` coded.

        Raises RangeCoderError as `range_coder.decode`.
        """
        decoder = PartsDecoder(data, hyper.size // 2, tables)
        y_hat = self.sequence(hyper, lambda _, mu, log_sigma: decoder.take(scale_indexes(log_sigma)))
        decoder.finish()
        return y_hat

    def _parameters(self, taps: np.ndarray, hyper: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return mu and log sigma, int64 (n, M), of n positions' neighbours, (n, 12 M), and hyper part, (n, 2M)."""
        found = self._context(_at_point(taps, LATENT_POINT)[:, None])
        features = np.concatenate([found, hyper[:, None]], axis=-1)
        mu, log_sigma = np.split(self._entropy_parameters(_at_point(features, FEATURE_POINT))[:, 0], 2, axis=-1)
        return mu, log_sigma


def floats(units: np.ndarray) -> np.ndarray:
    """Return integers in UNITS as float32 numbers."""
    return (units / UNITS).astype(np.float32)


def fronts(height: int, width: int) -> Iterator[Front]:
    """Yield rows and columns of the positions that are coded together, of all positions of so many."""
    for front in range(width + 3 * (height - 1)):
        rows = np.arange(max(0, -((width - 1 - front) // 3)), min(height - 1, front // 3) + 1)
        if rows.size:
            yield rows, front - 3 * rows


def raster(height: int, width: int) -> Iterator[Front]:
    """Yield one position after the other, row by row: what is done without fronts, to compare with."""
    for row, column in np.ndindex(height, width):
        yield np.array([row]), np.array([column])


def _neighbours(padded: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return what the unmasked taps see at n positions, (n, 12 M), of latents with zeros above and at the sides."""
    down, right = np.nonzero(mask())
    return padded[rows[:, None] + down, columns[:, None] + right].reshape(len(rows), -1)


def _all_neighbours(latent: np.ndarray) -> np.ndarray:
    """Return what the unmasked taps see at every position of a latent, in raster order."""
    rows, columns = (axis.ravel() for axis in np.indices(latent.shape[:2]))
    return _neighbours(np.pad(latent, ((REACH, 0), (REACH, REACH), (0, 0))), rows, columns)


def _at_point(values: np.ndarray, point: int) -> np.ndarray:
    """Return integers in UNITS with fewer fraction bits, to the nearest."""
    shift = UNIT_POINT - point
    return (values + (1 << (shift - 1))) >> shift


def _context_layers(model: Any) -> list[Layer]:
    """Return the masked convolution as a 1x1 layer whose inputs are what its unmasked taps see."""
    kernel, bias = model.entropy_parameters.get_layer("context").get_weights()
    taps = kernel[mask()]
    return [Layer("conv", 1, taps.reshape(1, 1, -1, taps.shape[-1]), bias, leaky=False)]


def _parameter_layers(model: Any) -> list[Layer]:
    return layers_of(model.entropy_parameters.get_layer(name) for name in _LAYERS)
