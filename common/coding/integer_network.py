"""Bit-exact inference of small convolution stacks in integers: the hyper decoder, on which both coders must agree.

Encoder and decoder have to compute the same means and scales to the last bit, on any machine and stack. Floating-point
convolutions do not: their result depends on the order of summation. Here every number is an integer. Weights are
float16, so they are multiples of 2**-24 and need no further rounding; activations are rounded to a binary point chosen
for each layer. Products and sums then are integers below 2**53, which float64 matrix products hold exactly: any order
of summation, number of threads or BLAS gives the same bits, at the speed of floating point.

Precision is free below 2**53, so nothing is squeezed into 8 or 12 bits. For randomly initialised hyper decoders 18-bit
activations (15 below the margin) leave a mean error of 4e-4 of the outputs' standard deviation and change the rate by
less than 0.001 %; 12 bits would leave 3e-2 and 8 bits 4e-1, in the same time. Every further bit would halve the error
and the room below 2**53, of which training takes an unknown part: 4 bits are free at first for 9x9 kernels of 128
channels, more for smaller ones.
"""

import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from common.coding.quantisation import STEPS_PER_SCALE
from common.coding.range_coder import LOG_SCALE_MIN, LOG_SCALE_STEP, NUM_SCALES
from common.errors import RelicError

WEIGHT_POINT = 24  # float16 numbers are multiples of 2**-24
OUTPUT_POINT = 10
ACTIVATION_LIMIT = 2**17 - 1  # z_hat and activations saturate here
OUTPUT_LIMIT = 2**31 - 1
EXACT_LIMIT = 2**53  # float64 holds every integer up to here
_MARGIN_BITS = 3  # activations may exceed the largest one of the calibration eightfold before they saturate
_SLOPE = 0.2
_LOG_SCALE_POINT = 30


@dataclass(frozen=True, eq=False)
class Layer:
    """A convolution with zero "same" padding, and the LeakyReLU of slope 0.2 after it where `leaky`.

    `kernel` is float, as Keras stores it: (kh, kw, cin, cout) for kind "conv", (kh, kw, cout, cin) for "transpose".
    `bias` is float (cout,) or None.
    """

    kind: str
    stride: int
    kernel: np.ndarray
    bias: np.ndarray | None
    leaky: bool

    def __post_init__(self) -> None:
        if self.kind not in ("conv", "transpose"):
            raise RelicError(f"a layer's kind is conv or transpose, not {self.kind!r}")
        if np.ndim(self.kernel) != 4:
            raise RelicError(f"a layer's kernel has 4 axes, not {np.ndim(self.kernel)}")


class _Stage(NamedTuple):
    """A layer as it is computed: float64 arrays, kernel as (kh, kw, cin, cout)."""

    kind: str
    stride: int
    kernel: np.ndarray
    bias: np.ndarray
    leaky: bool


class IntegerNetwork:
    """A stack of convolutions that maps integers to fixed-point outputs with `output_scale` steps to the unit.

    The integers are z_hat, or have `input_point` fraction bits.
    """

    output_scale = 2**OUTPUT_POINT

    def __init__(self, layers: Sequence[Layer], points: Sequence[int], input_point: int = 0) -> None:
        """Take the layers and the binary point (number of fraction bits, may be negative) of each one's output.

        Weights and biases are rounded to float16 first, so that float32 weights and the float16 ones in a weights file
        make the same network. Raises RelicError where a sum might leave the range in which float64 is exact.
        """
        if len(points) != len(layers) or not layers:
            raise RelicError(f"{len(layers)} layers need as many binary points, not {len(points)}: quantise again")
        if max(map(abs, points)) > WEIGHT_POINT:
            raise RelicError(f"binary points lie between -{WEIGHT_POINT} and {WEIGHT_POINT}: quantise again")
        self.points = np.array(points, np.int32)
        self._input_point = input_point
        self._stages: list[_Stage] = []
        point = input_point
        for stage, next_point in zip(map(_float16_stage, layers), self.points.tolist(), strict=True):
            self._stages.append(_integer_stage(stage, point))
            point = next_point
        self.bound = max(map(_largest_sum, self._stages))
        if self.bound >= EXACT_LIMIT:
            size = f"2**{np.log2(self.bound):.1f}"
            raise RelicError(f"sums up to {size} are not exact: lower ACTIVATION_LIMIT or train with weight decay")

    @classmethod
    def quantise(
        cls, layers: Sequence[Layer], calibration: Iterable[np.ndarray], input_point: int = 0
    ) -> "IntegerNetwork":
        """Choose each layer's binary point from typical z_hat, float or integer (h, w, c), and return the network.

        The largest activation seen keeps 3 bits of margin. The last layer's point is fixed by `output_scale`.
        """
        stages = [_float16_stage(layer) for layer in layers]
        largest = np.zeros(len(stages))
        count = 0
        for count, z_hat in enumerate(calibration, 1):  # noqa: B007 - read after the loop
            largest = np.maximum(largest, list(_largest_activations(stages, z_hat)))
        if not count or not np.all(np.isfinite(largest)):
            raise RelicError("calibrating the integer network needs at least one z_hat, and only finite numbers")
        bits = ACTIVATION_LIMIT.bit_length() - _MARGIN_BITS
        points = [int(np.clip(bits - np.frexp(value)[1], -WEIGHT_POINT, WEIGHT_POINT)) for value in largest]
        return cls(layers, points[:-1] + [OUTPUT_POINT], input_point)

    def __call__(self, z_hat: np.ndarray) -> np.ndarray:
        """Return the int64 (H, W, cout) outputs, in units of 1 / `output_scale`, for integer z_hat (h, w, cin).

        z_hat saturates at +-131071, activations at eight times the calibration's, outputs at +-(2**31 - 1).
        """
        z_hat = np.asarray(z_hat)
        channels = self._stages[0].kernel.shape[2]
        if z_hat.ndim != 3 or z_hat.shape[2] != channels or z_hat.dtype.kind not in "iu":
            raise RelicError(f"z_hat must be integer (h, w, {channels}), not {z_hat.dtype} {z_hat.shape}")
        x = np.clip(z_hat.astype(np.int64), -ACTIVATION_LIMIT, ACTIVATION_LIMIT).astype(np.float64)
        point = self._input_point
        for stage, next_point in zip(self._stages, self.points.tolist(), strict=True):
            x = _convolve(stage, x)
            x *= 2.0 ** (next_point - point - WEIGHT_POINT)
            np.rint(x, out=x)
            if stage.leaky:
                # A fifth of an integer is never near a tie, so this is the nearest integer whatever 0.2 * x rounds to.
                np.maximum(x, np.rint(_SLOPE * x), out=x)
            limit = OUTPUT_LIMIT if stage is self._stages[-1] else ACTIVATION_LIMIT
            np.clip(x, -limit, limit, out=x)
            point = next_point
        return x.astype(np.int64)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return what a weights file stores: "points" int32 (layers,) and "checksum" int64 (1,).

        The weights are not among them: the integer ones follow exactly from the float16 ones that the file holds.
        """
        return {"points": self.points.copy(), "checksum": np.array([self._checksum()], np.int64)}

    @classmethod
    def from_arrays(
        cls, arrays: dict[str, np.ndarray], layers: Sequence[Layer], input_point: int = 0
    ) -> "IntegerNetwork":
        """Return the network that `to_arrays` stored, given its layers; raise RelicError if they are not the same."""
        if not {"points", "checksum"} <= set(arrays) or np.size(arrays["checksum"]) != 1:
            raise RelicError("the integers of the hyper decoder are missing: restore the weights file")
        network = cls(layers, np.asarray(arrays["points"]).ravel().tolist(), input_point)
        if network._checksum() != int(np.ravel(arrays["checksum"])[0]):
            raise RelicError("the hyper decoder was quantised from other weights than these: restore the weights file")
        return network

    def _checksum(self) -> int:
        """Return the CRC-32 of all integers of the network."""
        checksum = zlib.crc32(self.points.astype("<i4").tobytes())
        for stage in self._stages:
            structure = f"{stage.kind} {stage.stride} {stage.kernel.shape} {stage.leaky}".encode()
            for data in (structure, stage.kernel.astype("<i8").tobytes(), stage.bias.astype("<i8").tobytes()):
                checksum = zlib.crc32(data, checksum)
        return checksum


def layers_of(keras_layers: Iterable[Any]) -> list[Layer]:
    """Return the `Layer`s of a sequence of Keras Conv2D, Conv2DTranspose and LeakyReLU(0.2) layers.

    Inputs are skipped; RelicError names a layer that integers do not cover.
    """
    from common.layers import keras_kind

    layers: list[Layer] = []
    for layer in keras_layers:
        kind = keras_kind(layer)
        if kind == "InputLayer":
            continue
        if kind == "LeakyReLU" and layers and np.isclose(_negative_slope(layer), _SLOPE):
            last = layers.pop()
            layers.append(Layer(last.kind, last.stride, last.kernel, last.bias, leaky=True))
        elif kind in ("Conv2D", "Conv2DTranspose") and _is_plain(layer):
            kernel, *bias = layer.get_weights()
            kind = "conv" if kind == "Conv2D" else "transpose"
            layers.append(Layer(kind, layer.strides[0], kernel, bias[0] if bias else None, leaky=False))
        else:
            raise RelicError(f"layer {layer.name} ({kind}) has no integer form: use convolutions and LeakyReLU(0.2)")
    return layers


def scale_indexes(log_scale: np.ndarray, step: int = 0) -> np.ndarray:
    """Return int32 indexes of the scale levels nearest to log sigma, given as integers in units of 1 / `output_scale`.

    step: of the quantisation, as in `common.coding.quantisation`. Symbols are that many sixteenths of a level less
    spread, so the indexes of whole levels are shifted by exactly so many, within the levels that there are. Integer
    arithmetic throughout: a comparison of floating-point logarithms may go either way on another machine.
    """
    lowest, level = (round(value * 2**_LOG_SCALE_POINT) for value in (LOG_SCALE_MIN, LOG_SCALE_STEP))
    fine = np.asarray(log_scale).astype(np.int64) << (_LOG_SCALE_POINT - OUTPUT_POINT)
    # The model's sigma ends at the levels' ends, whatever the step.
    fine = np.clip(fine - lowest, 0, (NUM_SCALES - 1) * level) - step * level // STEPS_PER_SCALE
    return np.clip((fine + level // 2) // level, 0, NUM_SCALES - 1).astype(np.int32)


def _negative_slope(layer: Any) -> float:
    return float(getattr(layer, "negative_slope", getattr(layer, "alpha", np.nan)))


def _is_plain(layer: Any) -> bool:
    """Return whether a Keras convolution is one that `Layer` describes."""
    plain = layer.padding == "same" and layer.activation.__name__ == "linear" and layer.data_format == "channels_last"
    ungrouped = getattr(layer, "groups", 1) == 1 and set(layer.dilation_rate) == {1}
    return plain and ungrouped and layer.strides[0] == layer.strides[1]


def _float16_stage(layer: Layer) -> _Stage:
    """Return a layer with its numbers rounded to float16, as float64."""
    kernel = np.asarray(layer.kernel)
    kernel = kernel.transpose(0, 1, 3, 2) if layer.kind == "transpose" else kernel
    bias = np.zeros(kernel.shape[3]) if layer.bias is None else np.asarray(layer.bias)
    with np.errstate(over="ignore"):
        kernel, bias = (values.astype(np.float16).astype(np.float64) for values in (kernel, bias))
    if not (np.all(np.isfinite(kernel)) and np.all(np.isfinite(bias))):
        raise RelicError("a weight of the hyper decoder is not finite or exceeds 65504: train it again")
    return _Stage(layer.kind, layer.stride, kernel, bias, layer.leaky)


def _integer_stage(stage: _Stage, point: int) -> _Stage:
    """Return a float16 stage with integer numbers, for inputs with `point` fraction bits."""
    kernel = np.ldexp(stage.kernel, WEIGHT_POINT)
    bias = np.rint(np.ldexp(stage.bias, WEIGHT_POINT + point))
    return stage._replace(kernel=np.ascontiguousarray(kernel), bias=bias)


def _largest_sum(stage: _Stage) -> float:
    """Return the largest magnitude that any partial sum of any output can reach."""
    return float(np.max(ACTIVATION_LIMIT * np.abs(stage.kernel).sum(axis=(0, 1, 2)) + np.abs(stage.bias)))


def _largest_activations(stages: Sequence[_Stage], z_hat: np.ndarray) -> Iterator[float]:
    """Yield the largest magnitude that each float stage's output reaches for one z_hat."""
    x = np.asarray(z_hat, np.float64)
    for stage in stages:
        x = _convolve(stage, x)
        x = np.maximum(x, _SLOPE * x) if stage.leaky else x
        yield float(np.abs(x).max())


def _convolve(stage: _Stage, x: np.ndarray) -> np.ndarray:
    """Return the float64 (H, W, cout) convolution of float64 (h, w, cin) `x`, plus bias."""
    return (_transpose if stage.kind == "transpose" else _conv)(x, stage.kernel, stage.stride) + stage.bias


def _conv(x: np.ndarray, kernel: np.ndarray, stride: int) -> np.ndarray:
    """Return the "same" convolution: the padding that is left over goes after, as in TensorFlow."""
    sizes = [-(-n // stride) for n in x.shape[:2]]
    before = [max((out - 1) * stride + k - n, 0) // 2 for out, k, n in zip(sizes, kernel.shape, x.shape, strict=False)]
    return _correlate(x, kernel, before, stride, sizes)


def _transpose(x: np.ndarray, kernel: np.ndarray, stride: int) -> np.ndarray:
    """Return y[m] = sum_i x[i] kernel[m + before - stride * i] of `stride` times the size, phase by phase of m.

    `before` is the padding of the forward convolution of that size: the transposed convolution is its gradient.
    """
    height, width = x.shape[:2]
    y = np.zeros((height * stride, width * stride, kernel.shape[3]))
    phases = [[_phase(r, k, stride) for r in range(stride)] for k in kernel.shape[:2]]
    for row, (row_taps, row_before) in enumerate(phases[0]):
        for column, (column_taps, column_before) in enumerate(phases[1]):
            before = [row_before, column_before]
            y[row::stride, column::stride] = _correlate(x, kernel[row_taps, column_taps], before, 1, [height, width])
    return y


def _phase(remainder: int, size: int, stride: int) -> tuple[slice, int]:
    """Return the taps reaching outputs m = remainder (mod stride), and how far before input m // stride they begin."""
    before = max(size - stride, 0) // 2
    first = (remainder + before) % stride
    if first >= size:
        return slice(0), 0
    last = first + (size - 1 - first) // stride * stride
    return slice(last, None, -stride), (last - remainder - before) // stride


def _correlate(x: np.ndarray, kernel: np.ndarray, before: list[int], stride: int, sizes: list[int]) -> np.ndarray:
    """Return y[q] = sum_t x[stride * q + t - before] kernel[t] for q below `sizes`, with zeros around `x`."""
    spans = [(out - 1) * stride + 1 for out in sizes]
    after = [max(span - 1 + k - b - n, 0) for span, k, b, n in zip(spans, kernel.shape, before, x.shape, strict=False)]
    x = np.pad(x, ((before[0], after[0]), (before[1], after[1]), (0, 0)))
    y = np.zeros((sizes[0] * sizes[1], kernel.shape[3]))
    for i, j in np.ndindex(*kernel.shape[:2]):
        y += x[i : i + spans[0] : stride, j : j + spans[1] : stride].reshape(len(y), -1) @ kernel[i, j]
    return y.reshape(*sizes, -1)
