"""Layers that two papers or more use: sub-pixel up-sampling and decimation."""
from __future__ import annotations

from common.backend import keras, ops


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
