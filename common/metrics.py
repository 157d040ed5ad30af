"""Quality of pictures: mse, psnr, ssim and ms_ssim of uint8 arrays for tables, and of tensors for losses."""
from __future__ import annotations

from typing import Any, Sequence

import numpy as np

from common.errors import RelicError

# Weights of the five scales: Wang, Simoncelli, Bovik 2003, section 3.2.
MS_SSIM_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
WINDOW_SIZE = 11
WINDOW_SIGMA = 1.5
BLOCK = 16


def _window() -> np.ndarray:
    """Return the Gaussian window of SSIM, float64 (11,), which sums to 1."""
    distance = np.arange(WINDOW_SIZE) - WINDOW_SIZE // 2
    window = np.exp(-0.5 * (distance / WINDOW_SIGMA) ** 2)
    return window / window.sum()


def _constants(max_val: float) -> tuple[float, float]:
    """Return SSIM's stabilisers (K1 L)^2 and (K2 L)^2 with K1 = 0.01, K2 = 0.03."""
    return (0.01 * max_val) ** 2, (0.03 * max_val) ** 2


def _planes(x: Any, size: tuple[int, int, int]) -> Any:
    """Move the channels of an (N, H, W, C) tensor into the batch: float32 (N C, H, W)."""
    from common.backend import ops

    height, width, channels = size
    x = ops.reshape(ops.cast(x, "float32"), (-1, height, width, channels))
    return ops.reshape(ops.transpose(x, (0, 3, 1, 2)), (-1, height, width))


def _blocks(planes: Any) -> Any:
    """View planes (M, H, W) as (M, H, W / 16, 16): 16 neighbouring columns as channels, zeros after the last column."""
    from common.backend import ops

    _, height, width = planes.shape
    missing = -width % BLOCK
    if missing:
        planes = ops.pad(planes, ((0, 0), (0, 0), (0, missing)))
    return ops.reshape(planes, (-1, height, (width + missing) // BLOCK, BLOCK))


def _blur(planes: Any) -> Any:
    """Filter planes (M, H, W) with the window: (M, H - 10, at least W - 10); columns after W - 10 mean nothing.

    Columns are filtered as channels of a depthwise convolution, rows by a banded matrix from two blocks to one. A convolution
    over single-channel planes takes 2.3 times as long on a CPU, `tf.image.ssim_multiscale` 4 times.
    """
    from common.backend import ops

    window = _window()
    down = np.tile(window[:, None, None, None], (1, 1, BLOCK, 1)).astype("float32")
    across = np.zeros((2 * BLOCK, BLOCK), "float32")
    for column in range(BLOCK):
        across[column : column + WINDOW_SIZE, column] = window
    blocks = ops.depthwise_conv(_blocks(planes), ops.convert_to_tensor(down), 1, "valid")
    blocks = ops.conv(blocks, ops.convert_to_tensor(across.reshape(1, 2, BLOCK, BLOCK)), 1, "same")
    return ops.reshape(blocks, (-1, blocks.shape[1], blocks.shape[2] * BLOCK))


def _halve(planes: Any) -> Any:
    """Average planes (M, H, W) over 2x2 pixels, an odd last row or column with itself: (M, ceil(H / 2), ceil(W / 2))."""
    from common.backend import ops

    if planes.shape[1] % 2:
        planes = ops.concatenate([planes, planes[:, -1:]], axis=1)
    if planes.shape[2] % 2:
        planes = ops.concatenate([planes, planes[:, :, -1:]], axis=2)
    _, height, width = planes.shape
    mean = np.kron(np.eye(BLOCK // 2), np.full((2, 1), 0.25)).astype("float32")
    kernel = np.tile(mean.reshape(1, 1, BLOCK, BLOCK // 2), (2, 1, 1, 1))
    blocks = ops.conv(_blocks(planes), ops.convert_to_tensor(kernel), (2, 1), "valid")
    return ops.reshape(blocks, (-1, height // 2, blocks.shape[2] * BLOCK // 2))[:, :, : width // 2]


def _similarity(total: Any, difference: Any, max_val: float) -> tuple[Any, Any]:
    """Return per plane the means of SSIM and of its contrast-structure factor, two tensors (M,).

    With p = x + y and q = x - y the factors are 1 - var(q) / ((var(p) + var(q)) / 2 + C2) and
    1 - mean(q)^2 / ((mean(p)^2 + mean(q)^2) / 2 + C1): four filters instead of five, and rounding errors, which are
    relative to p^2, do not touch the small numerator.
    """
    from common.backend import ops

    c1, c2 = _constants(max_val)
    mean_p, mean_q = ops.square(_blur(total)), ops.square(_blur(difference))
    var_p, var_q = _blur(ops.square(total)) - mean_p, _blur(ops.square(difference)) - mean_q
    structure = 1.0 - var_q / (0.5 * (var_p + var_q) + c2)
    luminance = 1.0 - mean_q / (0.5 * (mean_p + mean_q) + c1)
    inside = total.shape[2] - WINDOW_SIZE + 1
    return tuple(ops.mean(values[:, :, :inside], axis=(1, 2)) for values in (luminance * structure, structure))


def _sum_and_difference(x: Any, y: Any, smallest: int) -> tuple[Any, Any]:
    """Return x + y and x - y of tensors (N, H, W, C) as planes; raise RelicError for sizes unknown or below `smallest`."""
    size = tuple(x.shape)[1:]
    if None in size or min(size[:2]) < smallest:
        raise RelicError(f"pictures of {size} have no such similarity: reshape them to a known size of {smallest} or more")
    x, y = _planes(x, size), _planes(y, size)
    return x + y, x - y


def ssim_tensor(x: Any, y: Any, max_val: float = 255.0) -> Any:
    """Return the mean SSIM of every picture, float32 (N,), of tensors (N, H, W, C) in [0, max_val], H and W known."""
    from common.backend import ops

    similarity, _ = _similarity(*_sum_and_difference(x, y, WINDOW_SIZE), max_val)
    return ops.mean(ops.reshape(similarity, (-1, x.shape[-1])), axis=1)


def ms_ssim_tensor(
    x: Any,
    y: Any,
    max_val: float = 255.0,
    floor: float | None = None,
    weights: Sequence[float] = MS_SSIM_WEIGHTS,
) -> Any:
    """Return the multi-scale SSIM of every picture, float32 (N,), of tensors (N, H, W, C) in [0, max_val], H and W known.

    Each scale's term is at least `floor`, so that its fractional power keeps a finite gradient; without `floor` negative
    terms count as 0, as in `tf.image.ssim_multiscale`, and a gradient may be infinite.
    Source: Wang, Simoncelli, Bovik 2003, equation 7; per channel, then the mean over channels.
    """
    from common.backend import ops

    total, difference = _sum_and_difference(x, y, (WINDOW_SIZE - 1) * 2 ** (len(weights) - 1) + 1)
    product: Any = 1.0
    for scale, weight in enumerate(weights):
        if scale:
            total, difference = _halve(total), _halve(difference)
        similarity, structure = _similarity(total, difference, max_val)
        term = similarity if scale == len(weights) - 1 else structure
        product = product * ops.power(ops.maximum(term, floor or 0.0), weight)
    return ops.mean(ops.reshape(product, (-1, x.shape[-1])), axis=1)
