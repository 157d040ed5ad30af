"""Quality of pictures: mse, psnr, ssim and ms_ssim of uint8 arrays for tables, ssim and ms_ssim of tensors for losses.

Curves of quality over rate are compared by bd_rate and bd_psnr. Both kinds of SSIM are computed from the sum p = x + y
and the difference q = x - y of two pictures,

    luminance = 1 - mean(q)^2 / ((mean(p)^2 + mean(q)^2) / 2 + C1)
    structure = 1 - var(q)    / ((var(p)    + var(q))    / 2 + C2)

which is the usual definition with four filtered maps instead of five. Rounding errors are relative to p^2 and do not
touch the numerators, so float32 values and gradients are several times closer to float64 than the textbook form's.
"""

import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from common.errors import RelicError

# Weights of the five scales: Wang, Simoncelli, Bovik 2003, section 3.2.
MS_SSIM_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
WINDOW_SIZE = 11
WINDOW_SIGMA = 1.5
SSIM_SMALLEST = WINDOW_SIZE
MS_SSIM_SMALLEST = (WINDOW_SIZE - 1) * 2 ** (len(MS_SSIM_WEIGHTS) - 1) + 1
BLOCK = 16
# What comparing two curves needs: points of each, and the shared part of the narrower one's range.
BD_POINTS = 4
BD_OVERLAP = 0.5
PCHIP_POINTS = 3  # of a curve that is interpolated

# Colour differences of BT.601 from R, G, B, without the offset that makes neutral 128.
_CB = np.array([-0.168736, -0.331264, 0.5])
_CR = np.array([0.5, -0.418688, -0.081312])


def mse(x: np.ndarray, y: np.ndarray) -> float:
    """Return the mean squared error of two uint8 pictures HxWx3 or HxW, over all pixels and channels (0 to 65025)."""
    _check_pair(x, y)
    return float(np.mean(np.square(x.astype(np.float64) - y)))


def psnr(x: np.ndarray, y: np.ndarray) -> float:
    """Return 10 log10(255^2 / mse) in dB of two uint8 pictures HxWx3 or HxW; infinite for identical pictures."""
    error = mse(x, y)
    return 10 * math.log10(255**2 / error) if error else math.inf


def ssim(x: np.ndarray, y: np.ndarray) -> float:
    """Return the mean structural similarity (-1 to 1) of two uint8 pictures HxWx3 or HxW, per channel, then averaged.

    Gaussian window 11x11 of sigma 1.5, only where it fits wholly inside; K1 = 0.01, K2 = 0.03, variances divided by N.
    Raises RelicError for sides below 11 pixels.
    Source: Wang, Bovik, Sheikh, Simoncelli 2004, section III-B.
    """
    similarity, _ = _similarity_of_arrays(*_sum_and_difference_of_arrays(x, y, SSIM_SMALLEST, "SSIM"))
    return float(np.mean(similarity))


def ms_ssim(x: np.ndarray, y: np.ndarray) -> float:
    """Return the multi-scale structural similarity (0 to 1) of two uint8 pictures HxWx3 or HxW.

    Per channel, then averaged; five scales with the weights above; negative terms count as 0. Raises RelicError for
    sides below 161 pixels.
    Source: Wang, Simoncelli, Bovik 2003, equation 7; equal to `tf.image.ssim_multiscale`. pytorch_msssim 1.0 pads odd
    sides with zeros where this repeats the edge, and differs there: by up to 0.014 at 161x161.
    """
    total, difference = _sum_and_difference_of_arrays(x, y, MS_SSIM_SMALLEST, "MS-SSIM over five scales")
    product = np.ones(1)
    for scale, weight in enumerate(MS_SSIM_WEIGHTS):
        if scale:
            total, difference = _halve_array(total), _halve_array(difference)
        similarity, structure = _similarity_of_arrays(total, difference)
        term = similarity if scale == len(MS_SSIM_WEIGHTS) - 1 else structure
        product = product * np.maximum(term, 0) ** weight
    return float(np.mean(product))


def chroma_slope(x: np.ndarray, y: np.ndarray) -> float | None:
    """Return how much of the colour of uint8 picture `x`, HxWx3, picture `y` keeps: 1 all of it, 0 none.

    The slope of the line through neutral grey that fits Cb and Cr (BT.601) of `y` best over those of `x`; above 1
    colours are stronger. None for a picture that has no colour.
    """
    _check_pair(x, y)
    before, after = (np.stack([image @ _CB, image @ _CR]) for image in (x.astype(np.float64), y.astype(np.float64)))
    energy = float((before * before).sum())
    return float((before * after).sum()) / energy if energy > 0 else None


def chroma_psnr(x: np.ndarray, y: np.ndarray) -> float:
    """Return the PSNR in dB of the chroma of two uint8 pictures HxWx3: Cb and Cr (BT.601, range 255) together."""
    _check_pair(x, y)
    error = x.astype(np.float64) - y
    squared = float(np.mean([np.square(error @ _CB), np.square(error @ _CR)]))
    return 10 * math.log10(255**2 / squared) if squared > 0 else math.inf


def ms_ssim_db(value: float) -> float:
    """Return an MS-SSIM (0 to 1) in dB, -10 log10(1 - value); infinite for 1, NaN for NaN."""
    return math.inf if value >= 1 else -10 * math.log10(1 - value)


def bits_per_pixel(num_bytes: int, height: int, width: int) -> float:
    """Return the bits of `num_bytes` bytes divided by the pixels of a picture of height x width."""
    return 8 * num_bytes / (height * width)


def bd_rate(
    reference_bpp: Sequence[float], reference_quality: Sequence[float], bpp: Sequence[float], quality: Sequence[float]
) -> float:
    """Return how much more rate than a reference a codec needs for the same quality, in percent; negative: it saves.

    Points are in any order; bpp above 0, quality (PSNR, MS-SSIM in dB …) higher for better. The mean difference of log
    rates over the qualities that both curves reach, interpolated by piecewise cubic Hermite polynomials (pchip),
    which never leave the range of neighbouring points as the original's single cubic does. Raises RelicError for fewer
    than 4 points, values that are not finite, curves that do not rise, and curves that share less than half of the
    narrower one's range: nothing is extrapolated.
    Source: Bjontegaard 2001, VCEG-M33.
    """
    reference, ours = _curve(reference_bpp, reference_quality, "the reference"), _curve(bpp, quality, "the codec")
    return 100 * math.expm1(_mean_difference(reference[::-1], ours[::-1], "qualities"))


def bd_psnr(
    reference_bpp: Sequence[float], reference_quality: Sequence[float], bpp: Sequence[float], quality: Sequence[float]
) -> float:
    """Return how much better than a reference's a codec's quality is at the same rate, in the quality's unit (dB).

    The mean difference over the log rates that both curves reach; points, interpolation and errors as of `bd_rate`.
    Source: Bjontegaard 2001, VCEG-M33.
    """
    reference, ours = _curve(reference_bpp, reference_quality, "the reference"), _curve(bpp, quality, "the codec")
    return _mean_difference(reference, ours, "rates")


def _curve(bpp: Sequence[float], quality: Sequence[float], whose: str) -> np.ndarray:
    """Return log rate and quality, float64 (2, points), by rate and without repeated points."""
    points = np.array([bpp, quality], np.float64) if np.shape(bpp) == np.shape(quality) else np.zeros((0, 0))
    if points.ndim != 2 or len(points) != 2:
        raise RelicError(f"the curve of {whose} needs as many rates as qualities: give one of each for every point")
    if not np.isfinite(points).all() or (points[0] <= 0).any():
        raise RelicError(f"a point of {whose} has no finite quality or no rate above 0: leave out lossless points")
    points = np.unique(points, axis=1)
    if points.shape[1] < BD_POINTS:
        raise RelicError(f"a curve needs {BD_POINTS} different points, {whose} has {points.shape[1]}: measure more")
    falls = np.flatnonzero((np.diff(points) <= 0).any(axis=0))
    if falls.size:
        (low, high), (worse, better) = points[:, falls[0] : falls[0] + 2]
        where = f"{worse:.6g} at {low:.6g} bpp, {better:.6g} at {high:.6g} bpp"
        raise RelicError(f"the quality of {whose} does not rise with its rate ({where}): leave out one of these points")
    return np.array([np.log(points[0]), points[1]])


def _mean_difference(reference: np.ndarray, ours: np.ndarray, what: str) -> float:
    """Return the mean of ours - reference where two curves (2, points) of y over x have common x."""
    low, high = max(reference[0, 0], ours[0, 0]), min(reference[0, -1], ours[0, -1])
    share = (high - low) / min(np.ptp(reference[0]), np.ptp(ours[0]))
    if share < BD_OVERLAP:
        shared = f"{max(share, 0):.0%} of the narrower one's {what}, {BD_OVERLAP:.0%} are needed"
        raise RelicError(f"the curves share {shared}: measure more points where they meet")
    return (_integral(ours, low, high) - _integral(reference, low, high)) / (high - low)


def interpolated(x: Sequence[float], y: Sequence[float], at: float) -> float | None:
    """Return y at `at` of a rising curve by piecewise cubic Hermite polynomials (pchip), None outside its points.

    x and y: rising strictly, at least PCHIP_POINTS. It is the interpolant of `bd_rate` and `bd_psnr`. Raises ValueError
    for other curves.
    """
    points = np.array([x, y], np.float64)
    if points.shape[1] < PCHIP_POINTS or (np.diff(points) <= 0).any():
        raise ValueError(f"a curve to interpolate rises strictly and has at least {PCHIP_POINTS} points")
    xs, ys = points
    if not xs[0] <= at <= xs[-1]:
        return None
    i = min(int(np.searchsorted(xs, at, side="right")) - 1, len(xs) - 2)
    step, slope = xs[i + 1] - xs[i], _slopes(xs, ys)
    t = (at - xs[i]) / step
    ends = ys[i] * (1 - 3 * t**2 + 2 * t**3) + ys[i + 1] * (3 * t**2 - 2 * t**3)
    return float(ends + step * (slope[i] * (t - 2 * t**2 + t**3) + slope[i + 1] * (t**3 - t**2)))


def _slopes(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the slopes of the pchip interpolant at the points of a rising curve.

    Source: Fritsch and Butland 1984, with one-sided three-point slopes at both ends.
    """
    step = np.diff(x)
    rise = np.diff(y) / step
    before, after = 2 * step[1:] + step[:-1], step[1:] + 2 * step[:-1]
    inner = (before + after) / (before / rise[:-1] + after / rise[1:])
    first = ((2 * step[0] + step[1]) * rise[0] - step[0] * rise[1]) / (step[0] + step[1])
    last = ((2 * step[-1] + step[-2]) * rise[-1] - step[-1] * rise[-2]) / (step[-1] + step[-2])
    return np.array([max(first, 0.0), *inner, max(last, 0.0)])


def _integral(curve: np.ndarray, low: float, high: float) -> float:
    """Return the integral from low to high of the pchip interpolant of a rising curve, y over x as (2, points)."""
    x, y = curve
    step, slope = np.diff(x), _slopes(x, y)

    def primitive(t: np.ndarray) -> np.ndarray:
        """Integrate each piece from its left end to the fraction t of its length."""
        ends = y[:-1] * (t - t**3 + t**4 / 2) + y[1:] * (t**3 - t**4 / 2)
        slopes = slope[:-1] * (t**2 / 2 - 2 * t**3 / 3 + t**4 / 4) + slope[1:] * (t**4 / 4 - t**3 / 3)
        return step * (ends + step * slopes)

    start, end = (np.clip((bound - x[:-1]) / step, 0, 1) for bound in (low, high))
    return math.fsum(primitive(end) - primitive(start))


def check_picture(image: Any) -> None:
    """Raise RelicError unless `image` is a uint8 array HxWx3 or HxW with at least one pixel."""
    # A matrix stays two-dimensional whatever is done to it, and what a mask hides is no pixel.
    is_array = isinstance(image, np.ndarray) and not isinstance(image, (np.matrix, np.ma.MaskedArray))
    is_picture = is_array and (image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3))
    if not is_picture or image.dtype != np.uint8 or image.size == 0:
        what = f"{image.dtype} of shape {image.shape}" if is_array else type(image).__name__
        raise RelicError(f"a picture is a uint8 array HxWx3 or HxW, not {what}: convert it first")


def _check_pair(x: np.ndarray, y: np.ndarray) -> None:
    check_picture(x)
    check_picture(y)
    if x.shape != y.shape:
        raise RelicError(f"pictures of shapes {x.shape} and {y.shape} cannot be compared: give two of the same shape")


def _window() -> np.ndarray:
    """Return the Gaussian window of SSIM, float64 (11,), which sums to 1."""
    distance = np.arange(WINDOW_SIZE) - WINDOW_SIZE // 2
    window = np.exp(-0.5 * (distance / WINDOW_SIGMA) ** 2)
    return window / window.sum()


def _constants(max_val: float) -> tuple[float, float]:
    """Return SSIM's stabilisers (K1 L)^2 and (K2 L)^2 with K1 = 0.01, K2 = 0.03."""
    return (0.01 * max_val) ** 2, (0.03 * max_val) ** 2


def _sum_and_difference_of_arrays(x: np.ndarray, y: np.ndarray, smallest: int, what: str) -> tuple[Any, Any]:
    """Return x + y and x - y in float64; raise RelicError where a side is below `smallest`."""
    _check_pair(x, y)
    if min(x.shape[:2]) < smallest:
        size = f"{x.shape[0]}x{x.shape[1]}"
        raise RelicError(f"{what} needs sides of at least {smallest} pixels, not {size}: use a larger picture or PSNR")
    return x.astype(np.float64) + y, x.astype(np.float64) - y


def _similarity_of_arrays(total: np.ndarray, difference: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return per channel the means of SSIM and of its structure factor, see the module's first lines."""
    c1, c2 = _constants(255.0)
    mean_p, mean_q = np.square(_blur_array(total)), np.square(_blur_array(difference))
    var_p, var_q = _blur_array(np.square(total)) - mean_p, _blur_array(np.square(difference)) - mean_q
    structure = 1 - var_q / (0.5 * (var_p + var_q) + c2)
    luminance = 1 - mean_q / (0.5 * (mean_p + mean_q) + c1)
    return (luminance * structure).mean(axis=(0, 1)), structure.mean(axis=(0, 1))


def _blur_array(array: np.ndarray) -> np.ndarray:
    """Filter each channel with the window where it fits wholly inside: sides shrink by 10."""
    window, margin = _window(), WINDOW_SIZE // 2
    return cv2.sepFilter2D(array, cv2.CV_64F, window, window)[margin:-margin, margin:-margin]


def _halve_array(array: np.ndarray) -> np.ndarray:
    """Average over 2x2 pixels, an odd last row or column with itself: sides ceil(H / 2), ceil(W / 2)."""
    height, width = array.shape[:2]
    even = cv2.copyMakeBorder(array, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    return cv2.resize(even, ((width + 1) // 2, (height + 1) // 2), interpolation=cv2.INTER_AREA)


def ssim_tensor(x: Any, y: Any, max_val: float = 255.0) -> Any:
    """Return the mean SSIM of every picture, float32 (N,), of tensors (N, H, W, C) in [0, max_val], H and W known."""
    from common.backend import ops

    similarity, _ = _similarity(*_sum_and_difference(x, y, SSIM_SMALLEST), max_val)
    return ops.mean(ops.reshape(similarity, (-1, x.shape[-1])), axis=1)


def ms_ssim_tensor(
    x: Any,
    y: Any,
    max_val: float = 255.0,
    floor: float | None = None,
    weights: Sequence[float] = MS_SSIM_WEIGHTS,
) -> Any:
    """Return the MS-SSIM of every picture, float32 (N,), of tensors (N, H, W, C) in [0, max_val], H and W known.

    Each scale's term is at least `floor`, so that its fractional power keeps a finite gradient; without `floor`
    negative terms count as 0, as in `tf.image.ssim_multiscale`, and a gradient may not be finite.
    Source: Wang, Simoncelli, Bovik 2003, equation 7; per channel, then averaged over channels.
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


def _sum_and_difference(x: Any, y: Any, smallest: int) -> tuple[Any, Any]:
    """Return x + y and x - y as float32 planes (N C, H, W); raise RelicError for sides unknown or below `smallest`."""
    height, width, channels = size = tuple(x.shape)[1:]
    if None in size or min(height, width) < smallest:
        raise RelicError(f"pictures of {size}: the similarity needs known sides of at least {smallest}, reshape them")
    x, y = _planes(x, height, width, channels), _planes(y, height, width, channels)
    return x + y, x - y


def _planes(x: Any, height: int, width: int, channels: int) -> Any:
    """Move the channels of a tensor (N, H, W, C) into the batch: float32 (N C, H, W)."""
    from common.backend import ops

    x = ops.reshape(ops.cast(x, "float32"), (-1, height, width, channels))
    return ops.reshape(ops.transpose(x, (0, 3, 1, 2)), (-1, height, width))


def _similarity(total: Any, difference: Any, max_val: float) -> tuple[Any, Any]:
    """Return per plane the means of SSIM and of its structure factor, tensors (M,), see the module's first lines."""
    from common.backend import ops

    c1, c2 = _constants(max_val)
    mean_p, mean_q = ops.square(_blur(total)), ops.square(_blur(difference))
    var_p, var_q = _blur(ops.square(total)) - mean_p, _blur(ops.square(difference)) - mean_q
    structure = 1.0 - var_q / (0.5 * (var_p + var_q) + c2)
    luminance = 1.0 - mean_q / (0.5 * (mean_p + mean_q) + c1)
    similarity, inside = luminance * structure, total.shape[2] - WINDOW_SIZE + 1
    return ops.mean(similarity[:, :, :inside], axis=(1, 2)), ops.mean(structure[:, :, :inside], axis=(1, 2))


def _blur(planes: Any) -> Any:
    """Filter planes (M, H, W) with the window: (M, H - 10, W or a little more), meaningless from column W - 10 on.

    Sixteen columns are the channels of a depthwise convolution down the rows, then of a banded matrix from two blocks
    of columns to one. On a CPU the loss and its gradient take 42 ms for 8 pictures of 256x256x3; with convolutions of
    single-channel planes or whole banded matrices 90 ms, and 172 ms with `tf.image.ssim_multiscale`.
    """
    from common.backend import ops

    window = _window()
    down = np.tile(window.reshape(-1, 1, 1, 1), (1, 1, BLOCK, 1)).astype("float32")
    across = np.stack([np.pad(window, (column, 2 * BLOCK - WINDOW_SIZE - column)) for column in range(BLOCK)], axis=1)
    across = across.reshape(1, 2, BLOCK, BLOCK).astype("float32")
    blocks = ops.depthwise_conv(_blocks(planes), ops.convert_to_tensor(down), 1, "valid")
    blocks = ops.conv(blocks, ops.convert_to_tensor(across), 1, "same")
    return ops.reshape(blocks, (-1, blocks.shape[1], blocks.shape[2] * BLOCK))


def _halve(planes: Any) -> Any:
    """Average planes over 2x2 pixels, an odd last row or column with itself: (M, ceil(H / 2), ceil(W / 2))."""
    from common.backend import ops

    if planes.shape[1] % 2:
        planes = ops.concatenate([planes, planes[:, -1:]], axis=1)
    if planes.shape[2] % 2:
        planes = ops.concatenate([planes, planes[:, :, -1:]], axis=2)
    height, width = planes.shape[1] // 2, planes.shape[2] // 2
    pairs = np.kron(np.eye(BLOCK // 2), np.full((2, 1), 0.25)).astype("float32")
    kernel = np.tile(pairs, (2, 1, 1, 1))
    blocks = ops.conv(_blocks(planes), ops.convert_to_tensor(kernel), (2, 1), "valid")
    return ops.reshape(blocks, (-1, height, blocks.shape[2] * BLOCK // 2))[:, :, :width]


def _blocks(planes: Any) -> Any:
    """View planes (M, H, W) as (M, H, ceil(W / 16), 16): sixteen columns as channels, zeros after the last column."""
    from common.backend import ops

    height, width = planes.shape[1:]
    missing = -width % BLOCK
    if missing:
        planes = ops.pad(planes, ((0, 0), (0, 0), (0, missing)))
    return ops.reshape(planes, (-1, height, (width + missing) // BLOCK, BLOCK))
