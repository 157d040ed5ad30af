"""The context model of Joint (Fig. 1 with its dashed part): a masked convolution over latents that are known already.

    y_hat ── context, masked 5x5 ──┐
                                   ├── 1x1 layers ── mu, sigma
    z_hat ── hyper decoder ────────┘

Source: Minnen, Ballé, Toderici 2018, "Joint autoregressive and hierarchical priors for learned image compression".
"""

from typing import Any

import numpy as np

from common.backend import keras, ops
from common.convolutions import convolution
from common.layers import leaky_relu
from papers.cheng_resnet.config import Config

SIZE = 5  # of the masked kernel, a side
REACH = SIZE // 2


def mask() -> np.ndarray:
    """Return which taps of the kernel see a position before the own one in raster order: bool (5, 5), 12 of them."""
    return np.arange(SIZE**2).reshape(SIZE, SIZE) < SIZE**2 // 2


class MaskedConv2D(keras.layers.Conv2D):
    """`Conv2D(filters, 5, padding="same")` whose output at a position sees only those before it in raster order.

    Float (B, H, W, C) -> (B, H, W, filters). Masked taps start at zero, where no gradient moves them; whatever they
    hold, they count as zero.
    """

    def __init__(self, filters: int, name: str | None = None) -> None:
        super().__init__(filters, SIZE, padding="same", kernel_initializer=_masked_initial_kernel, name=name)

    def convolution_op(self, inputs, kernel):
        return super().convolution_op(inputs, kernel * ops.cast(mask()[:, :, None, None], self.compute_dtype))


def _masked_initial_kernel(shape, dtype=None):
    return keras.initializers.GlorotUniform()(shape, dtype=dtype) * mask()[:, :, None, None].astype(np.float32)


def entropy_parameters(config: Config) -> Any:
    """Return y_hat, float (B, h, w, M), and the hyper decoder's (B, h, w, 2M) -> float32 (B, h, w, 2M).

    Its channels are mu, then log sigma. At a position they see all of the second and only what is before in the first.
    """
    width, n = config.bottleneck, config.num_filters
    y_hat = keras.Input((None, None, width), name="y_hat")
    hyper = keras.Input((None, None, 2 * width), name="hyper")
    context = MaskedConv2D(2 * width, name="context")(y_hat)
    h = keras.layers.Concatenate(name="both")([context, hyper])
    h = leaky_relu("layer1_act", config.leaky_slope)(convolution(5 * n, 1, 1, "layer1")(h))
    h = leaky_relu("layer2_act", config.leaky_slope)(convolution(4 * n, 1, 1, "layer2")(h))
    h = convolution(2 * width, 1, 1, "layer3", use_bias=False)(h)
    outputs = keras.layers.Activation("linear", dtype="float32", name="mu_log_sigma")(h)
    return keras.Model([y_hat, hyper], outputs, name="entropy_parameters")
