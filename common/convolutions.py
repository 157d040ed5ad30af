"""Convolutions of Keras whose filter gradient is matrix products, for float32 in TensorFlow on CPUs; same variables.

On CPUs without AVX-512 TensorFlow's kernels for the filter gradient reach a fraction of what its matrix products do,
where both sides have many channels. The gradient of a tap of the kernel is one product, (channels in, positions) times
(positions, channels out), over the samples that the tap meets.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from common import backend
from common.backend import keras, ops
from common.stack import cpu_flags

FEWEST_CHANNELS = 32  # on either side, and
LEAST_PRODUCT = 64 * 64  # of both sides: with fewer TensorFlow's own kernel is as fast


def convolution(filters: int, kernel_size: int, strides: int, name: str, use_bias: bool = True) -> Any:
    """Return `Conv2D(filters, kernel_size, strides, padding="same", use_bias)`, on CPUs as `TapwiseConv2D`."""
    kind = TapwiseConv2D if backend.computes_on_cpu_in_tensorflow() else keras.layers.Conv2D
    return kind(filters, kernel_size, strides=strides, padding="same", use_bias=use_bias, name=name)


class TapwiseConv2D(keras.layers.Conv2D):
    """`Conv2D` with padding "same" and equal strides, whose filter gradient is a matrix product for each tap."""

    def convolution_op(self, inputs, kernel):
        size, stride = self.kernel_size[0], self.strides[0]
        if not is_worthwhile(inputs.shape[-1], self.filters, stride, self.compute_dtype):
            return super().convolution_op(inputs, kernel)
        y = super().convolution_op(inputs, ops.stop_gradient(kernel))
        return _with_filter_gradient(y, kernel, lambda gradient: filter_gradient(inputs, gradient, size, stride))


class TapwiseConv2DTranspose(keras.layers.Conv2DTranspose):
    """`Conv2DTranspose` with padding "same" and equal strides, whose filter gradient is a product for each tap."""

    def call(self, inputs):
        size, stride = self.kernel_size[0], self.strides[0]
        if not is_worthwhile(inputs.shape[-1], self.filters, stride, self.compute_dtype):
            return super().call(inputs)
        y = ops.conv_transpose(inputs, ops.stop_gradient(self.kernel), stride, "same")
        y = _with_filter_gradient(y, self.kernel, lambda gradient: filter_gradient(gradient, inputs, size, stride))
        return y + self.bias


_chosen: bool | None = None  # by `filter_gradients`, in place of what `is_worthwhile` finds


@contextmanager
def filter_gradients(products: bool) -> Iterator[None]:
    """Have networks whose first training step comes in here use matrix products or TensorFlow's kernels, to compare."""
    global _chosen
    _chosen = products
    try:
        yield
    finally:
        _chosen = None


def is_worthwhile(channels_in: int, channels_out: int, stride: int, dtype: str) -> bool:
    """Return whether a filter gradient is faster by matrix products: on CPUs without AVX-512, at stride 1.

    With AVX-512 TensorFlow's kernels are faster in whole networks: `python -m experiments.speed_cheng`.
    """
    if _chosen is not None:
        return _chosen and dtype == "float32"
    enough = min(channels_in, channels_out) >= FEWEST_CHANNELS and channels_in * channels_out >= LEAST_PRODUCT
    return enough and stride == 1 and dtype == "float32" and "avx512f" not in cpu_flags()


def filter_gradient(x: Any, upstream: Any, size: int, stride: int) -> Any:
    """Return the gradient to the kernel, float32 (size, size, C, D), of a convolution with padding "same".

    x: its input, float32 (B, H, W, C); upstream: the gradient to its output, float32 (B, ceil(H/stride),
    ceil(W/stride), D). Of a transposed convolution the two change places.
    """
    height, width = ops.shape(upstream)[1:3]
    phases = _phases(x, size, stride, height, width)
    columns = ops.reshape(upstream, (-1, upstream.shape[-1]))
    taps = []
    for row in range(size):
        for column in range(size):
            phase, top, left = phases[row % stride][column % stride], row // stride, column // stride
            met = ops.reshape(phase[:, top : top + height, left : left + width], (-1, x.shape[-1]))
            taps.append(ops.matmul(ops.transpose(met), columns))
    return ops.reshape(ops.stack(taps), (size, size, x.shape[-1], upstream.shape[-1]))


def _phases(x: Any, size: int, stride: int, height: Any, width: Any) -> list[list[Any]]:
    """Return x, padded as "same" does, by its row and column modulo the stride: contiguous, so that taps are slices."""
    reach = -(-size // stride) - 1
    sides = []
    for length, outputs in zip(ops.shape(x)[1:3], (height, width), strict=True):
        before = ops.maximum((outputs - 1) * stride + size - length, 0) // 2
        sides.append([before, ops.maximum((outputs + reach) * stride - length - before, 0)])
    padded = ops.pad(x, [[0, 0], *sides, [0, 0]])
    if stride == 1:
        return [[padded]]
    return [[padded[:, row::stride, column::stride] for column in range(stride)] for row in range(stride)]


def _with_filter_gradient(y: Any, kernel: Any, gradient_of: Any) -> Any:
    """Return y with the gradient `gradient_of(upstream)` to the kernel beside its own to the input."""

    @ops.custom_gradient
    def tied(y, kernel):
        def gradient(*args, upstream=None):
            upstream = args[0] if upstream is None else upstream
            return upstream, gradient_of(upstream)

        return ops.convert_to_tensor(y) + 0.0, gradient

    return tied(y, ops.convert_to_tensor(kernel))
