"""The networks of Zhao et al., Section 2.2, in the paper's symbols.

    x ── fdnn ── y ── standard codec ── z ── ppnn ── x_hat
                 └─────────── vcnn ────────────────┘        in training: what x_hat would be, with a gradient

All are grey, with values from 0 to 1. FDNN and PPNN are the codec; VCNN is in use in training only.
"""

from typing import Any

import numpy as np

from common import backend
from common.backend import keras
from common.layers import SingleChannelConv2D, SingleChannelConv2DTranspose, cubic
from papers.zhao_mixedres.config import Config

layers = keras.layers
NUM_INNER = 6  # 3x3 convolutions between the first layer and the last
LARGE, SMALL = 9, 3


def fdnn(config: Config) -> Any:
    """Return f: x, float (B, H, W, 1) -> y, float32 (B, H / stride, W / stride, 1); H and W multiples of the stride.

    Eight convolutions, the second strided in low resolution.
    """
    x = keras.Input((None, None, 1), name="x")
    h = _conv(x, config.num_maps, LARGE, "conv1")
    for i in range(NUM_INNER):
        h = _conv(h, config.num_maps, SMALL, f"conv{i + 2}", stride=config.stride if i == 0 else 1)
    y = SingleChannelConv2D(LARGE, name="conv8")(h)
    kernel = half_kernel() if config.stride == 2 else delta(LARGE)
    return _started(config, keras.Model(x, y, name="fdnn"), kernel, "conv1")


def ppnn(config: Config, name: str = "ppnn") -> Any:
    """Return h: z, float (B, h, w, 1) -> x_hat, float32 (B, h * stride, w * stride, 1); VCNN is built alike.

    Seven convolutions, then a transposed one in low resolution, an eighth in full.
    """
    z = keras.Input((None, None, 1), name="z")
    h = _conv(z, config.num_maps, LARGE, "conv1")
    for i in range(NUM_INNER):
        h = _conv(h, config.num_maps, SMALL, f"conv{i + 2}")
    if config.stride == 2:
        last = SingleChannelConv2DTranspose(LARGE, name="deconv8")
    else:
        last = SingleChannelConv2D(LARGE, name="conv8")
    kernel = double_kernel() if config.stride == 2 else delta(LARGE)
    return _started(config, keras.Model(z, last(h), name=name), kernel, last.name)


def vcnn(config: Config) -> Any:
    """Return v: y, as `ppnn`'s z -> the picture that coding y and PPNN would give."""
    return ppnn(config, "vcnn")


def _conv(x, maps, size, name, stride=1):
    return layers.Conv2D(maps, size, strides=stride, padding="same", activation="relu", name=name)(x)


# --- the start of learning -----------------------------------------------------------------------------------------


def _started(config: Config, model: Any, kernel: np.ndarray, where: str) -> Any:
    """Let a network begin as one linear filter: its first map carries the picture, and no other map reaches the output.

    `kernel`, (9, 9), is the filter of the layer `where`. So FDNN begins as "traditional interpolation methods"
    (Section 2.3) and PPNN as their inverse: bicubic in low resolution, the identity in full. A config whose start is
    random keeps the layers' own initial weights.
    """
    if config.start == "random":
        return model
    for layer in model.layers:
        if not layer.weights:
            continue
        weights = backend.to_numpy(layer.weights[0]).copy()
        # (K, K, in, out); a transposed convolution has them (K, K, out, in).
        by_input = weights.swapaxes(2, 3) if layer.name == "deconv8" else weights
        by_input[:, :, :, 0] = 0.0
        by_input[:, :, 0, 0] = kernel if layer.name == where else _unit(layer)
        backend.assign(layer.weights[0], weights)
    return model


def _unit(layer: Any) -> np.ndarray:
    """Return the kernel that hands a picture on; of a strided convolution every second sample from the first on."""
    size, stride = layer.kernel_size[0], layer.strides[0]
    return delta(size, 0 if stride == 2 else size // 2)


def delta(size: int, place: int | None = None) -> np.ndarray:
    """Return a kernel, float32 (size, size), that is 1 at one place of its diagonal, by default its centre."""
    place = size // 2 if place is None else place
    kernel = np.zeros((size, size), np.float32)
    kernel[place, place] = 1.0
    return kernel


def half_kernel() -> np.ndarray:
    """Return the kernel, float32 (9, 9), of bicubic scaling by 1/2 with anti-aliasing, between samples 0 and 1."""
    taps = cubic((np.arange(LARGE) - LARGE // 2 - 0.5) / 2)
    return np.outer(taps, taps).astype(np.float32) / taps.sum() ** 2


def double_kernel() -> np.ndarray:
    """Return the kernel, float32 (9, 9), of bicubic scaling by 2 as a transposed convolution of stride 2.

    Its "same" padding begins 3 samples before the first one, and an output's centre lies 1/4 sample beside an input's.
    """
    taps = cubic((np.arange(LARGE) - 3) / 2 - 0.25)
    return np.outer(taps, taps).astype(np.float32)
