"""Layers that papers share: sub-pixel up-sampling, decimation, LeakyReLU, transposed and one-channel convolutions.

And the kernel of bicubic interpolation, which some of them are compared with or start from.
"""

from typing import Any

import numpy as np

from common.backend import BACKEND, STACK, computes_on_cpu_in_tensorflow, keras, ops
from common.convolutions import TapwiseConv2DTranspose


def keras_kind(layer: Any) -> str:
    """Return the name of Keras' own class of a layer, e.g. `Conv2D`, also where a subclass computes it another way."""
    return next(kind.__name__ for kind in type(layer).__mro__ if kind.__module__.partition(".")[0] == "keras")


class DepthToSpace(keras.layers.Layer):
    """Rearrange float (B, H, W, 4C) into (B, 2H, 2W, C): the second half of sub-pixel convolution.

    Source: Shi et al. 2016, "Real-time single image and video super-resolution using an efficient sub-pixel
    convolutional neural network"; channel order of `tf.nn.depth_to_space`.
    """

    block_size = 2

    def call(self, x):
        return ops.depth_to_space(x, self.block_size)

    def compute_output_shape(self, input_shape):
        batch, height, width, channels = input_shape
        scaled = [None if side is None else side * self.block_size for side in (height, width)]
        return (batch, *scaled, channels // self.block_size**2)


class Decimate(keras.layers.Layer):
    """Keep every second row and column of (B, H, W, C) from the first on: the sampling of a strided 1x1 convolution.

    A strided 1x1 convolution equals this followed by an unstrided one. Written apart because the filter gradient of
    the strided form corrupts memory in TensorFlow's CPU kernels for few input channels.
    """

    def call(self, x):
        return x[:, ::2, ::2]

    def compute_output_shape(self, input_shape):
        batch, height, width, channels = input_shape
        halved = [None if side is None else (side + 1) // 2 for side in (height, width)]
        return (batch, *halved, channels)


def leaky_relu(name: str, slope: float = 0.2) -> Any:
    """Return a LeakyReLU layer with the given slope for negative inputs, as the kind that is fastest here."""
    kind = ProductLeakyReLU if computes_on_cpu_in_tensorflow() else keras.layers.LeakyReLU
    return kind(name=name, **{"alpha" if STACK == "tfc" else "negative_slope": slope})


class ProductLeakyReLU(keras.layers.LeakyReLU):
    """`LeakyReLU` whose gradient in bfloat16 is a product with 1 or the slope: equal to TensorFlow's, to the bit.

    TensorFlow's kernel for it takes about six times as long on CPUs, a fifth of a training step of Cheng's networks.
    """

    def call(self, inputs):
        if self.compute_dtype != "bfloat16":
            return super().call(inputs)
        slope = ops.cast(self.alpha if STACK == "tfc" else self.negative_slope, "bfloat16")
        forward = super().call

        @ops.custom_gradient
        def activated(x):
            def gradient(*args, upstream=None):
                upstream = args[0] if upstream is None else upstream
                return upstream * ops.maximum(ops.cast(x > 0, "bfloat16"), slope)

            return forward(x), gradient

        return activated(ops.convert_to_tensor(inputs))


def transposed_convolution(filters: int, kernel_size: int, strides: int, name: str) -> Any:
    """Return `Conv2DTranspose(filters, kernel_size, strides, padding="same")` as the kind that is fastest here."""
    if BACKEND == "jax" and strides == 2:
        return PhaseConv2DTranspose(filters, kernel_size, name=name)
    kind = TapwiseConv2DTranspose if computes_on_cpu_in_tensorflow() else keras.layers.Conv2DTranspose
    return kind(filters, kernel_size, strides=strides, padding="same", name=name)


class PhaseConv2DTranspose(keras.layers.Conv2DTranspose):
    """`Conv2DTranspose(filters, kernel_size, strides=2, padding="same")`, same variables and outputs, for jax on GPUs.

    Float (B, H, W, C) -> (B, 2H, 2W, filters). One convolution makes the four phases of the output and `depth_to_space`
    sets them in their places. What jax makes of a transposed convolution multiplies the zeros between the samples too,
    and no fast kernel fits it.
    """

    def __init__(self, filters: int, kernel_size: int, name: str | None = None) -> None:
        super().__init__(filters, kernel_size, strides=2, padding="same", name=name)

    def call(self, inputs):
        size = self.kernel_size[0]
        # out[o] = sum_i in[i] kernel[o - 2 i + start]
        start = max(size - 2, 0) // 2
        before, after = (size - 1 - start) // 2, (1 + start) // 2
        tap, phase, small = np.ogrid[: before + after + 1, :2, :size]
        chosen = (small == phase - 2 * (tap - before) + start).reshape(-1, size).astype(np.float32)
        chosen = ops.cast(chosen, self.compute_dtype)
        # (size, size, out, in) -> (taps, phase, taps, phase, out, in)
        kernel = ops.matmul(chosen, ops.reshape(ops.cast(self.kernel, self.compute_dtype), (size, -1)))
        taps = before + after + 1
        kernel = ops.transpose(ops.reshape(kernel, (2 * taps, size, -1)), (1, 0, 2))
        kernel = ops.matmul(chosen, ops.reshape(kernel, (size, -1)))
        kernel = ops.reshape(kernel, (taps, 2, taps, 2, self.filters, inputs.shape[-1]))
        kernel = ops.reshape(ops.transpose(kernel, (2, 0, 5, 3, 1, 4)), (taps, taps, inputs.shape[-1], -1))
        padded = ops.pad(inputs, [[0, 0], [before, after], [before, after], [0, 0]])
        phases = ops.conv(padded, kernel, strides=1, padding="valid")
        return ops.depth_to_space(phases, 2) + ops.cast(self.bias, self.compute_dtype)


BLOCK = 4  # outputs of a block, along each side; 2 and 8 are slower than 4


class SingleChannelConv2D(keras.layers.Conv2D):
    """`Conv2D(1, kernel_size, padding="same", dtype="float32")`, same variables and outputs, for large kernels on CPUs.

    Float (B, H, W, C) -> float32 (B, H, W, 1). CPU libraries multiply for many output channels at once and leave most
    of that idle with one. Here blocks of 4x4 outputs are the channels of a strided convolution whose kernel holds 16
    shifted copies of the small one. With 9x9 kernels on 32 maps and more that multiplies 1.8 times as often, and in
    TensorFlow runs at 4 to 7 times the speed forward, 3 to 4 times forward and backward; jax is slower by it.
    """

    def __init__(self, kernel_size: int, name: str | None = None) -> None:
        super().__init__(1, kernel_size, padding="same", dtype="float32", name=name)

    def call(self, inputs):
        size = self.kernel_size[0]
        tap, output, small = np.ogrid[: size + BLOCK - 1, :BLOCK, :size]
        height, width = ops.shape(inputs)[1:3]
        y = _blocks(inputs, self.kernel[:, :, :, 0], small == tap - output, before=(size - 1) // 2, stride=BLOCK)
        return y[:, :height, :width] + self.bias


class SingleChannelConv2DTranspose(keras.layers.Conv2DTranspose):
    """`Conv2DTranspose(1, kernel_size, strides=2, padding="same", dtype="float32")`, fast as `SingleChannelConv2D` is.

    Float (B, H, W, C) -> float32 (B, 2H, 2W, 1). A block of 4x4 outputs of a 9x9 kernel hangs on 6x6 inputs; computed
    at once, it runs at 5 to 8 times the speed forward, 2 to 3 times forward and backward.
    """

    def __init__(self, kernel_size: int, name: str | None = None) -> None:
        super().__init__(1, kernel_size, strides=2, padding="same", dtype="float32", name=name)

    def call(self, inputs):
        size = self.kernel_size[0]
        # out[o] = sum_i in[i] kernel[o - 2 i + start]
        start = max(size - 2, 0) // 2
        before = (size - 1 - start) // 2
        tap, output, small = np.ogrid[: before + (BLOCK - 1 + start) // 2 + 1, :BLOCK, :size]
        height, width = ops.shape(inputs)[1:3]
        chosen = small == output - 2 * (tap - before) + start
        y = _blocks(inputs, self.kernel[:, :, 0], chosen, before, stride=BLOCK // 2)
        return y[:, : 2 * height, : 2 * width] + self.bias


def _blocks(x, kernel, chosen, before, stride):
    """Return y, float32 (B, >= H, >= W, 1), from x, float32 (B, h, w, C), and the small kernel, (K, K, C).

    `chosen`, (taps, 4, K), says along each side which tap of the small kernel stands at a tap of the large one for an
    output of a block; `before` are the zeros before the first sample and `stride` the samples from block to block.
    """
    taps, _, size = chosen.shape
    matrix = chosen.reshape(-1, size).astype(np.float32)
    large = ops.matmul(ops.matmul(matrix, ops.transpose(kernel, (2, 0, 1))), matrix.T)
    large = ops.transpose(ops.reshape(large, (-1, taps, BLOCK, taps, BLOCK)), (1, 3, 0, 2, 4))
    large = ops.reshape(large, (taps, taps, -1, BLOCK**2))
    sides = [before, taps - 1 - before]
    blocks = ops.conv(ops.pad(x, [[0, 0], sides, sides, [0, 0]]), large, strides=stride)
    return ops.depth_to_space(blocks, BLOCK)


def cubic(distance: np.ndarray, a: float = -0.5) -> np.ndarray:
    """Return Keys' cubic convolution kernel, float64, at some distances in samples; zero from 2 on."""
    t = np.abs(distance)
    near = (a + 2) * t**3 - (a + 3) * t**2 + 1
    far = a * (t**3 - 5 * t**2 + 8 * t - 4)
    return np.where(t <= 1, near, np.where(t < 2, far, 0.0))
