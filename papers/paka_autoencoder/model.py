"""The networks of Paka and Khatter: Fig. 4 layer by layer, and one model with its loss.

    x ── analysis_transform ── y ── Q ── y_hat ── synthesis_transform ── x_hat

x and x_hat are YCbCr divided by 255. The paper's network has no Q, in training or in use; its codec here rounds y
afterwards. A bottleneck is trained with uniform noise for Q and a factorized prior p(y_hat); strided convolutions
and GDN replace the paper's pooling and ReLU, with which it learned more slowly in short trials.
"""

from typing import Any

from common.backend import GDN, TrainedModel, keras, loss_trackers, ops, part_of_batch, uniform_noise
from common.coding import entropy
from papers.paka_autoencoder.config import Config
from papers.paka_autoencoder.pictures import CENTRE, TO_YCBCR

layers = keras.layers


def _conv(x, filters, name, activation=None, stride=1):
    return layers.Conv2D(filters, 3, strides=stride, padding="same", activation=activation, name=name)(x)


def _down(x, filters, i, config):
    """Halve the size: convolution, ReLU and max-pooling (Fig. 4), in a bottleneck a strided convolution and GDN."""
    if config.has_rate:
        return GDN(name=f"gdn_{i}")(_conv(x, filters, f"conv2d_{i}", stride=2))
    return layers.MaxPooling2D(name=f"max_pooling2d_{i}")(_conv(x, filters, f"conv2d_{i}", "relu"))


def _up(x, filters, i, name, config):
    """Double the size: convolution, ReLU, nearest neighbours (Fig. 4); in a bottleneck IGDN for ReLU."""
    if config.has_rate:
        x = GDN(inverse=True, name=f"igdn_{i}")(_conv(x, filters, name))
    else:
        x = _conv(x, filters, name, "relu")
    return layers.UpSampling2D(interpolation="nearest", name=f"up_sampling2d_{i}")(x)


def analysis_transform(config: Config) -> Any:
    """Return x, float (B, H, W, 3) in [0, 1], -> y, float32 (B, H/4, W/4, 128); H and W multiples of the stride.

    Layers carry the names of Fig. 4. A bottleneck has more of them, a stride of 16 and a narrower y.
    """
    x = h = keras.Input((None, None, 3), name="x")
    if config.has_rate:
        h = layers.Rescaling(1.0, -0.5, name="centre")(h)
    for i, filters in enumerate(config.encoder_filters, 1):
        h = _down(h, filters, i, config)
    y = _conv(h, config.code_channels, f"conv2d_{len(config.encoder_filters) + 1}", config.code_activation)
    return keras.Model(x, _float32(y, "y"), name="analysis_transform")


def synthesis_transform(config: Config) -> Any:
    """Return y_hat, float (B, h, w, C), -> x_hat, float32 (B, H, W, 3), within [0, 1] if the output is a sigmoid."""
    y_hat = h = keras.Input((None, None, config.code_channels), name="y_hat")
    first = len(config.encoder_filters) + 2
    for i, filters in enumerate(config.decoder_filters):
        h = _up(h, filters, i + 1, f"conv2d_{first + i}", config)
    h = _conv(h, 3, f"conv2d_{first + len(config.decoder_filters)}")
    if config.has_rate:
        h = layers.Rescaling(1.0, 0.5, dtype="float32", name="uncentre")(h)
    # The squashing is computed in float32, whatever the precision of the convolutions.
    return keras.Model(y_hat, _float32(h, "x_hat", config.output_activation), name="synthesis_transform")


def _float32(x, name, activation="linear"):
    return layers.Activation(activation, dtype="float32", name=name)(x)


class Model(TrainedModel):
    """Both transforms, and the prior of a bottleneck; `fit` minimises the squared error, or lmbda * d + R.

    Call with `{"x": uint8 RGB (B, P, P, 3), "step": int32 (B,)}`, batch and patch size as configured.
    """

    def __init__(self, config: Config, seed: int = 0) -> None:
        super().__init__(name="paka_autoencoder")
        self.config, self.seed = config, seed
        self.analysis_transform = analysis_transform(config)
        self.synthesis_transform = synthesis_transform(config)
        self.prior: Any = entropy.FactorizedPrior(config.code_channels, name="prior") if config.has_rate else None
        if self.prior:
            self.prior.build((None, None, None, config.code_channels))
        self.trackers = loss_trackers("rate_estimate", "distortion")
        self.built = True

    @property
    def transforms(self) -> dict[str, Any]:
        """The parts that hold weights, by name, in a stable order."""
        parts = {"analysis_transform": self.analysis_transform, "synthesis_transform": self.synthesis_transform}
        return {**parts, "prior": self.prior} if self.prior else parts

    def call(self, inputs, training=True):
        """Return `{"x", "x_hat", "rate_estimate"}`; noise in place of rounding only where there is a rate."""
        batch, patch = part_of_batch(self.config.batch_size), self.config.patch_size
        # Known sizes make the graph static, whatever the loader says of its batches.
        rgb = ops.reshape(ops.cast(inputs["x"], "float32"), (batch, patch, patch, 3))
        x = ops.matmul(rgb, TO_YCBCR.T.astype("float32") / 255) + CENTRE.astype("float32") / 255
        y = self.analysis_transform(x)
        rate_estimate = ops.zeros(())
        if self.prior:
            y = y + uniform_noise(ops.shape(y), self.seed, inputs["step"][0])
            rate_estimate = entropy.rate(self.prior(y), batch * patch**2)
        return {"x": x, "x_hat": self.synthesis_transform(y), "rate_estimate": rate_estimate}

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Return the mean squared error on the 0-1 scale (Section 3.2), of a bottleneck lmbda * 255^2 * it + R."""
        distortion = ops.mean(ops.square(y_pred["x"] - y_pred["x_hat"]))
        loss = distortion
        if self.prior:
            loss = self.config.lmbda * 255.0**2 * distortion + y_pred["rate_estimate"]
        values = {"loss": loss, "rate_estimate": y_pred["rate_estimate"], "distortion": distortion}
        for name, tracker in self.trackers.items():
            tracker.update_state(values[name])
        return loss
