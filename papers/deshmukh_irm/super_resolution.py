"""The SRGAN of Ledig et al. 2017, which up-samples the code in decoding: generator, discriminator, losses.

lr ── generator ── x_hat ──┬── content loss to x
                           └── discriminator, which tells it from x
"""

from collections.abc import Callable
from typing import Any

from common.backend import TrainedModel, batch_normalisation, keras, loss_trackers, ops, part_of_batch
from common.errors import RelicError
from common.layers import DepthToSpace, leaky_relu
from papers.deshmukh_irm.config import FACTOR, SuperResolution

layers = keras.layers
VGG_LAYER, VGG_SCALE = "block5_conv4", 1 / 12.75  # Ledig et al., Section 3.2: VGG54, rescaled
VGG_MEANS = (103.939, 116.779, 123.68)  # of ImageNet, in the order BGR, which VGG19 was trained with


def generator(config: SuperResolution) -> Any:
    """Return lr, float (B, h, w, c) -> x_hat, float32 (B, 4h, 4w, c): the SRResNet of Ledig et al., Fig. 4."""
    lr = keras.Input((None, None, config.channels), name="lr")
    start = h = _prelu(layers.Conv2D(config.num_maps, 9, padding="same", name="S1_conv")(lr), "S1")
    for i in range(1, config.num_blocks + 1):
        name = f"S2_{i}"
        inner = _prelu(_normalised(_conv(h, config.num_maps, f"{name}a"), config, f"{name}a"), name)
        inner = _normalised(_conv(inner, config.num_maps, f"{name}b"), config, f"{name}b")
        h = layers.Add(name=f"{name}_skip")([h, inner])
    h = _normalised(_conv(h, config.num_maps, "S3"), config, "S3")
    h = layers.Add(name="S3_skip")([start, h])
    for i in (4, 5):
        h = DepthToSpace(name=f"S{i}_d2s")(_conv(h, 4 * config.num_maps, f"S{i}"))
        h = _prelu(h, f"S{i}")
    h = layers.Conv2D(config.channels, 9, padding="same", name="S6_conv")(h)
    return keras.Model(lr, layers.Activation("linear", dtype="float32", name="x_hat")(h), name="generator")


def discriminator(config: SuperResolution) -> Any:
    """Return x, float (B, P, P, c) -> logits, float32 (B, 1), of being a photograph (Ledig et al., Fig. 4)."""
    x = h = keras.Input((config.patch_size, config.patch_size, config.channels), name="x")
    for i in range(8):
        name = f"A{i + 1}"
        h = _conv(h, config.discriminator_maps << i // 2, name, strides=1 + i % 2)
        h = leaky_relu(f"{name}_leaky", 0.2)(_normalised(h, config, name) if i else h)
    h = layers.Dense(16 * config.discriminator_maps, name="A9_dense")(layers.Flatten(name="A9_flat")(h))
    h = layers.Dense(1, name="A10_dense")(leaky_relu("A9_leaky", 0.2)(h))
    return keras.Model(x, layers.Activation("linear", dtype="float32", name="logits")(h), name="discriminator")


def _conv(x, maps, name, strides=1):
    return layers.Conv2D(maps, 3, padding="same", strides=strides, name=f"{name}_conv")(x)


def _normalised(x, config, name):
    return batch_normalisation(config.batch_norm_momentum, f"{name}_norm")(x)


def _prelu(x, name):
    return layers.PReLU(shared_axes=[1, 2], name=f"{name}_prelu")(x)


# --- losses --------------------------------------------------------------------------------------------------------


def content_loss(kind: str, path: str | None = "imagenet") -> tuple[Callable[[Any, Any], Any], str]:
    """Return a loss of pictures x and x_hat, float32 (B, P, P, 3) in [0, 1], and its name: `vgg54` or `mse`.

    `vgg54` is the mean squared difference of a VGG19's features, `path` a file of its weights; where they cannot be had
    the loss is `mse`, and so its name tells.
    """
    if kind == "vgg54":
        try:
            features = vgg_features(path)
        except RelicError:
            return content_loss("mse")
        return lambda x, x_hat: ops.mean(ops.square(features(x) - features(x_hat))), "vgg54"
    return lambda x, x_hat: ops.mean(ops.square(x - x_hat)), "mse"


def vgg_features(path: str | None) -> Callable[[Any], Any]:
    """Return a function: pictures in [0, 1] -> features of VGG19's last convolution before its fifth pooling, rescaled.

    path: a file of weights, `imagenet` to download them, None for random ones. Raises RelicError where they are not to
    be had.
    """
    try:
        vgg = keras.applications.VGG19(include_top=False, weights=path)
    except Exception as error:  # whatever the download and the reading of its file raise
        raise RelicError(f"no weights of VGG19 ({error}): give a file of them") from None
    network = keras.Model(vgg.input, vgg.get_layer(VGG_LAYER).output, name="vgg54")
    network.trainable = False

    def features(x):
        bgr = ops.stack([x[..., 2], x[..., 1], x[..., 0]], axis=-1) * 255.0
        return network(bgr - ops.reshape(ops.cast(VGG_MEANS, "float32"), (1, 1, 1, 3)), training=False) * VGG_SCALE

    return features


def reversed_gradient(x: Any, weight: float) -> Any:
    """Return x, with `-weight` times its gradient."""
    return (1.0 + weight) * ops.stop_gradient(x) - weight * x


class Adversary:
    """A generator with what trains it: `networks` are both, `transforms` what is shipped."""

    def __init__(self, config: SuperResolution, seed: int = 0) -> None:
        self.config = config
        self.networks = {"generator": generator(config)}
        self.transforms = dict(self.networks)
        if config.adversarial_steps:
            self.networks["discriminator"] = discriminator(config)


class Learning(TrainedModel):
    """The generator by itself, by the squared error, or together with the discriminator.

    Call with `{"x": uint8 (B, P, P, c), "lr": uint8 (B, P / 4, P / 4, c)}`. In the adversarial steps one gradient
    trains both: the discriminator's cross-entropy reaches the generator reversed, weighted as in Ledig et al., Eq. 3,
    so that it minimises what the discriminator maximises (their Eq. 2, and not the substitute of their Eq. 6).
    """

    def __init__(
        self, config: SuperResolution, both: Adversary, adversarial: bool, vgg: str | None = "imagenet"
    ) -> None:
        """Take the networks of `both`; `vgg` says which weights VGG19 has, as in `vgg_features`."""
        super().__init__(name="super_resolution")
        self.config, self.adversarial = config, adversarial
        names = list(both.networks) if adversarial else ["generator"]
        self.transforms = {name: both.networks[name] for name in names}
        for name, network in self.transforms.items():
            setattr(self, name, network)
        self.content, self.content_name = content_loss(config.content if adversarial else "mse", vgg)
        self.trackers = loss_trackers("squared_error", "content", "cross_entropy")
        self.built = True

    def call(self, inputs, training=True):
        """Return `{"x", "x_hat"}`, float32 (B, P, P, c), and in the adversarial steps the logits of both."""
        x, lr = (self._values(inputs[name], size) for name, size in (("x", 1), ("lr", FACTOR)))
        x_hat = self.transforms["generator"](lr, training=training)
        if not self.adversarial:
            return {"x": x, "x_hat": x_hat}
        judged = {"real": x, "made": reversed_gradient(x_hat, self.config.adversarial_weight)}
        judge = self.transforms["discriminator"]
        return {"x": x, "x_hat": x_hat, **{name: judge(each, training=training) for name, each in judged.items()}}

    def _values(self, picture, divisor):
        """Return pictures as float32 in [0, 1]; known sizes make the graph static."""
        size, config = self.config.patch_size // divisor, self.config
        shape = (part_of_batch(config.batch_size), size, size, config.channels)
        return ops.reshape(ops.cast(picture, "float32") / 255.0, shape)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Return the content loss, with the discriminator's cross-entropy in the adversarial steps."""
        values = {"squared_error": ops.mean(ops.square(y_pred["x"] - y_pred["x_hat"]))}
        values["content"] = self.content(y_pred["x"], y_pred["x_hat"])
        values["cross_entropy"] = ops.zeros(())
        if self.adversarial:
            values["cross_entropy"] = ops.mean(ops.softplus(-y_pred["real"])) + ops.mean(ops.softplus(y_pred["made"]))
        values["loss"] = values["content"] + values["cross_entropy"]
        for name, tracker in self.trackers.items():
            tracker.update_state(values[name])
        return values["loss"]
