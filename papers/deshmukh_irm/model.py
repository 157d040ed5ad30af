"""The networks of Deshmukh and Pollett, Section 3, and of the baseline, in the paper's words.

    x ── icm ── code ── bicubic ── u ── irm ── x_hat
                 │                 │
       8 bits, entropy coder      SRGAN and scaling down take its place in decoding, where they are asked for

Values are from 0 to 1 and all kernels 3x3. In training the code is neither rounded nor clipped (Section 3.1).
"""

from typing import Any

from common.backend import keras, loss_trackers, ops
from common.layers import Decimate
from papers.deshmukh_irm import initial_weights, losses
from papers.deshmukh_irm.config import BASELINE_LAYERS, DEPTH, Compression
from papers.deshmukh_irm.scaling import Bicubic

layers = keras.layers


def icm(config: Compression) -> Any:
    """Return x, float (B, H, W, c) -> code, float32 (B, H / stride, W / stride, c); H and W multiples of the stride.

    Three convolutions, one of them strided; of the baseline it is ComCNN.
    """
    x = h = keras.Input((None, None, config.channels), name="x")
    h = _activated(_strided(h, config, 1), "C1")
    h = _activated(_strided(h, config, 2), "C2")
    if config.icm_batch_norm:
        h = _normalised(h, config, "C2")
    return keras.Model(x, _last(h, config, "C3"), name="icm")


def irm(config: Compression) -> Any:
    """Return u, float32 (B, H, W, c) -> x_hat, float32 of the same shape; of the baseline it is RecCNN."""
    u = keras.Input((None, None, config.channels), name="u")
    h = _activated(_conv(u, config.num_maps, "R1"), "R1")
    h = _reccnn(h, config) if config.architecture == "baseline" else _blocks(h, config)
    residual = _last(h, config, "R5")
    return keras.Model(u, layers.Add(dtype="float32", name="x_hat")([u, residual]), name="irm")


def _blocks(h, config):
    """Blocks 2, 3 and 4 (Fig. 2): each five layers, then the skip connection and a ReLU."""
    for block in (2, 3, 4):
        start = h
        for i in range(1, DEPTH + 1):
            name = f"R{block}_{i}"
            conv = _separable if block == 2 and config.separable else _conv
            h = _normalised(_activated(conv(h, config.num_maps, name), name), config, name)
        if config.skips:
            h = layers.Add(name=f"R{block}_skip")([start, h])
        h = _activated(h, f"R{block}")
    return h


def _reccnn(h, config):
    """Jiang's layers between the first and the last: convolution, batch normalisation, ReLU (their order in 2.1)."""
    for i in range(2, BASELINE_LAYERS + 2):
        name = f"R1_{i}"
        h = _activated(_normalised(_conv(h, config.num_maps, name), config, name), name)
    return h


def _conv(x, maps, name, **options):
    return layers.Conv2D(maps, 3, padding="same", name=f"{name}_conv", **options)(x)


def _separable(x, maps, name):
    return layers.SeparableConv2D(maps, 3, padding="same", name=f"{name}_conv")(x)


def _activated(x, name):
    return layers.ReLU(name=f"{name}_relu")(x)


def _normalised(x, config, name):
    return layers.BatchNormalization(momentum=config.batch_norm_momentum, name=f"{name}_norm")(x)


def _strided(x, config, number):
    """Layer 1 or 2 of the ICM with the stride and the dilation that it has."""
    stride = config.stride if number == config.strided_layer else 1
    if number == 1 or config.dilation == 1:
        return _conv(x, config.icm_maps, f"C{number}", strides=stride)
    # Keras has no layer with both: a stride is every stride-th row and column of the layer without.
    x = _conv(x, config.icm_maps, f"C{number}", dilation_rate=config.dilation)
    for i in range(stride.bit_length() - 1):
        x = Decimate(name=f"C{number}_decimate{i + 1}")(x)
    return x


def _last(x, config, name):
    """A convolution without activation, whose output is a picture: float32 whatever the precision of training."""
    x = _conv(x, config.channels, name)
    return layers.Activation("linear", dtype="float32", name=f"{name}_picture")(x)


class Model(keras.Model):
    """Both networks, which `fit` trains at once with Eq. 2.

    Call with `{"x": uint8 (B, P, P, c), "step": int32 (B,)}`, batch and patch size as configured.
    """

    def __init__(self, config: Compression, seed: int = 0) -> None:
        super().__init__(name="deshmukh_irm")
        self.config = config
        self.icm, self.irm = icm(config), irm(config)
        if config.start == "interpolation":
            initial_weights.as_interpolation(config, self.icm, self.irm)
        self.upsample = Bicubic(config.stride, name="bicubic")
        self.settled = False  # whether batch normalisation has its running means in training too
        self.trackers = loss_trackers("squared_error", "penalty")
        self.built = True

    @property
    def transforms(self) -> dict[str, Any]:
        """The parts that hold weights, by name, in a stable order."""
        return {"icm": self.icm, "irm": self.irm}

    def call(self, inputs, training=True):
        """Return `{"x", "u", "x_hat"}`, float32 (B, P, P, c)."""
        config = self.config
        # Known sizes make the graph static, whatever the loader says of its batches.
        shape = (config.batch_size, config.patch_size, config.patch_size, config.channels)
        x = ops.reshape(ops.cast(inputs["x"], "float32") / 255.0, shape)
        by_batch = training and not self.settled
        u = self.upsample(self.icm(x, training=by_batch))
        return {"x": x, "u": u, "x_hat": self.irm(u, training=by_batch)}

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Return the loss of Eq. 2 and update the running means."""
        values = self.losses_of(y_pred)
        for name, tracker in self.trackers.items():
            tracker.update_state(values[name])
        return values["loss"]

    def losses_of(self, outputs):
        """Return Eq. 2's terms for what `call` returned, of values from 0 to 1, and their sum, of the config's peak."""
        peak = self.config.peak
        error = losses.squared_error(outputs["x"], outputs["x_hat"])
        penalty = losses.penalty(outputs["u"], outputs["x_hat"], self.config.penalty)
        return {"squared_error": error, "penalty": penalty, "loss": peak**2 * error + peak * penalty}
