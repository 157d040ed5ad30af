"""The losses of Zhao et al., Section 2.1, of grey pictures, float tensors (B, H, W, 1) in [0, 1] with known sides."""

from typing import Any

from common.backend import ops
from common.metrics import ssim_tensor

# Omega of Eq. 3 is undefined in the paper: all eight neighbours, of which opposite ones give the same differences.
DIRECTIONS = ((0, 1), (1, 0), (1, 1), (1, -1))
NEIGHBOURS = 2 * len(DIRECTIONS)


def content(x: Any, x_hat: Any, norm: int = 1) -> Any:
    """Return L_content, the mean of |x - x_hat| over pixels (Eq. 2), of its square for norm 2."""
    return ops.mean(_power(x - x_hat, norm))


def gradient(x: Any, x_hat: Any, norm: int = 1) -> Any:
    """Return L_gradient: the sum over neighbours of mean |difference to it in x - that in x_hat| (Eq. 3).

    A pixel at the edge has no neighbours outside.
    """
    error = x - x_hat
    batch, height, width = (int(side) for side in error.shape[:3])
    total: Any = 0.0
    for down, right in DIRECTIONS:
        left = max(0, -right)
        here = error[:, : height - down, left : width - max(0, right)]
        there = error[:, down:, left + right : width + min(0, right)]
        total = total + 2.0 * ops.sum(_power(there - here, norm))
    return total / (batch * height * width)


def dissimilarity(x: Any, other: Any) -> Any:
    """Return L_SSIM, 1 - the mean SSIM of two pictures (Eqs. 4 and 5; c1 = 0.0001, c2 = 0.0009)."""
    return 1.0 - ops.mean(ssim_tensor(x, other, max_val=1.0))


def doubled(y: Any) -> Any:
    """Return s(Y): y, (B, h, w, 1), scaled linearly to (B, 2h, 2w, 1); edges are repeated."""
    for axis in (1, 2):
        y = _doubled_along(y, axis)
    return y


def _doubled_along(y: Any, axis: int) -> Any:
    size = y.shape[axis]

    def part(start, stop):
        return y[:, start:stop] if axis == 1 else y[:, :, start:stop]

    before = ops.concatenate([part(0, 1), part(0, size - 1)], axis=axis)
    after = ops.concatenate([part(1, size), part(size - 1, size)], axis=axis)
    pair = ops.stack([0.75 * y + 0.25 * before, 0.75 * y + 0.25 * after], axis=axis + 1)
    shape = [-1, *(int(side) for side in y.shape[1:])]
    shape[axis] *= 2
    return ops.reshape(pair, shape)


def _power(difference: Any, norm: int) -> Any:
    return ops.abs(difference) if norm == 1 else ops.square(difference)
