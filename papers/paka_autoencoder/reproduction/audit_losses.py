"""Two statements of Paka and Khatter, section 3.2, about losses, each judged by a computation that anyone can follow.

They prefer the squared error because MAE, RMSE, MAPE and RMSLE "have higher order power equation" and so several
minima, while gradient descent on the squared error "finds the global minima".
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from common.tables.document import claim

Loss = Callable[[np.ndarray, np.ndarray], np.ndarray]

# Over the last axis: targets y and predictions, both positive where a loss divides or takes logarithms.
LOSSES: Mapping[str, Loss] = {
    "MSE": lambda y, p: np.mean(np.square(p - y), axis=-1),
    "MAE": lambda y, p: np.mean(np.abs(p - y), axis=-1),
    "RMSE": lambda y, p: np.sqrt(np.mean(np.square(p - y), axis=-1)),
    "MAPE": lambda y, p: np.mean(np.abs(p - y) / y, axis=-1),
    "RMSLE": lambda y, p: np.sqrt(np.mean(np.square(np.log1p(p) - np.log1p(y)), axis=-1)),
}
# One ReLU neuron, the paper's activation: p = max(0, a x + b). It can follow one arm of this V exactly, and leave the
# other at 0, or lie between them: three minima, (-2, 0), (2, 0.5) and (0.3, 1.75), each a point of the grid.
INPUTS = np.array([-1.0, -0.5, 0.5, 1.0])
TARGETS = np.array([2.0, 1.0, 1.5, 2.5])
AXIS = np.linspace(-5.0, 5.0, 201)
ROUNDING = 1e-9  # a valley whose floor is level is no minimum


def power(loss: Loss) -> float:
    """Return the power of the error in a loss: log10 of how much it grows when all errors grow tenfold."""
    small, large = (loss(TARGETS, TARGETS + error) for error in (1.0, 10.0))
    return float(np.log10(large / small))


def surface(loss: Loss) -> np.ndarray:
    """Return a loss over the neuron's two weights, float64 (a, b) on the grid of AXIS."""
    a, b = AXIS[:, None, None], AXIS[None, :, None]
    return loss(TARGETS, np.maximum(0.0, a * INPUTS + b))


def minima(values: np.ndarray) -> list[tuple[int, int]]:
    """Return the places (row, column) of an array that are lower than all eight neighbours, lowest first."""
    inner = values[1:-1, 1:-1]
    rows, columns = inner.shape
    lower = np.ones(inner.shape, bool)
    for i, j in np.ndindex(3, 3):
        if (i, j) != (1, 1):
            lower &= inner < values[i : i + rows, j : j + columns] - ROUNDING
    places = [(int(i) + 1, int(j) + 1) for i, j in np.argwhere(lower)]
    return sorted(places, key=lambda place: values[place])


def descend(steps: int = 3000, rate: float = 0.05) -> np.ndarray:
    """Return the squared errors at which gradient descent ends from every eighth point of the grid, float64 (N,)."""
    a, b = (axis.ravel() for axis in np.meshgrid(AXIS[::8], AXIS[::8]))
    for _ in range(steps):
        sums = a[:, None] * INPUTS + b[:, None]
        slopes = 2 * (np.maximum(0.0, sums) - TARGETS) * (sums > 0) / len(TARGETS)
        a, b = a - rate * (slopes @ INPUTS), b - rate * slopes.sum(axis=1)
    return LOSSES["MSE"](TARGETS, np.maximum(0.0, a[:, None] * INPUTS + b[:, None]))


def claims() -> list[dict[str, Any]]:
    """Return the two statements, judged."""
    powers = {name: power(loss) for name, loss in LOSSES.items()}
    largest = max(value for name, value in powers.items() if name != "MSE")
    squared = surface(LOSSES["MSE"])
    places = minima(squared)
    same = places == minima(surface(LOSSES["RMSE"]))
    ends = descend()
    reached = float(np.mean(np.isclose(ends, squared[places[0]], atol=1e-3)))
    order = (
        f"MAE and RMSE grow with power {powers['MAE']:.0f} of the error, the squared error with {powers['MSE']:.0f}. "
        f"RMSE is the root of the squared error and has {'the same' if same else 'other'} minima."
    )
    several = (
        f"One ReLU neuron, max(0, a x + b), fitted to four points has minima of "
        f"{', '.join(f'{squared[place]:.2f}' for place in places)}. The error is quadratic in the output, not in the "
        "weights that are trained."
    )
    stuck = "The other starts end in a higher minimum, or where the neuron no longer answers to any input."
    higher = "MAE, RMSE, MAPE, RMSLE have a higher power of the error than MSE"
    return [
        claim(higher, "above", powers["MSE"], largest, order),
        claim("The squared error has one minimum", "equals", 1, len(places), several),
        claim("Gradient descent on it finds the global one: share of starts", "equals", 1, reached, stuck),
    ]
