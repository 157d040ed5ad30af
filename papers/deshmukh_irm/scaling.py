"""Bicubic up-sampling as a Keras layer, the same on every stack; scaling down by averages and by Pillow's bicubic."""

import numpy as np
from PIL import Image

from common.backend import keras, ops
from common.layers import cubic

REACH = 2  # samples on both sides that a cubic kernel sees


class Bicubic(keras.layers.Layer):
    """Scale float (B, h, w, C) up by a whole factor to float32 (B, h * factor, w * factor, C), edges repeated.

    Keys' cubic convolution with a = -0.5 between pixel centres, as `tf.image.resize` has it. One convolution whose
    output channels are the phases, then `depth_to_space`.
    """

    def __init__(self, factor: int, name: str | None = None) -> None:
        super().__init__(dtype="float32", trainable=False, name=name)
        self.factor = factor

    def call(self, x):
        _, height, width, channels = shape = ops.shape(x)
        planes = ops.reshape(ops.transpose(x, (0, 3, 1, 2)), (-1, height, width, 1))
        for axis in (1, 2):
            planes = _with_edges(planes, axis)
        planes = ops.conv(planes, kernel(self.factor), strides=1, padding="valid")
        planes = ops.depth_to_space(planes, self.factor) if self.factor > 1 else planes
        sides = (height * self.factor, width * self.factor)
        return ops.transpose(ops.reshape(planes, (shape[0], channels, *sides)), (0, 2, 3, 1))

    def compute_output_shape(self, input_shape):
        batch, height, width, channels = input_shape
        scaled = [None if side is None else side * self.factor for side in (height, width)]
        return (batch, *scaled, channels)


def _with_edges(planes, axis):
    """Repeat the first and last row or column as far as the kernel reaches."""
    size = planes.shape[axis] if planes.shape[axis] is not None else ops.shape(planes)[axis]
    index = [slice(None)] * 4
    first, last = ([*index[:axis], slice(*edge), *index[axis + 1 :]] for edge in ((0, 1), (size - 1, size)))
    return ops.concatenate([*[planes[tuple(first)]] * REACH, planes, *[planes[tuple(last)]] * REACH], axis=axis)


def kernel(factor: int) -> np.ndarray:
    """Return the kernels of all phases, float32 (5, 5, 1, factor^2), in the channel order of `depth_to_space`."""
    offsets = (np.arange(factor) + 0.5) / factor - 0.5
    taps = cubic(offsets[:, None] - np.arange(-REACH, REACH + 1))  # (phase, tap)
    both = np.einsum("pi,qj->ijpq", taps, taps)
    return both.reshape(2 * REACH + 1, 2 * REACH + 1, 1, factor**2).astype(np.float32)


def scaled_down(x: np.ndarray, factor: int) -> np.ndarray:
    """Return the means of factor x factor samples of float (H, W, C), whose sides are multiples of the factor."""
    height, width, channels = x.shape
    blocks = x.reshape(height // factor, factor, width // factor, factor, channels)
    return blocks.mean(axis=(1, 3), dtype=np.float32)


def quarter(image: np.ndarray) -> np.ndarray:
    """Return a uint8 picture HxWxc at a quarter of its sides, antialiased bicubic (Ledig et al., Section 3.2)."""
    height, width, channels = image.shape
    picture = Image.fromarray(image[..., 0] if channels == 1 else image)
    sides = (max(1, width // 4), max(1, height // 4))
    return np.asarray(picture.resize(sides, Image.Resampling.BICUBIC)).reshape(*sides[::-1], channels)
