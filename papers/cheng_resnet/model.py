"""The networks of Cheng et al. (2019) in the paper's symbols, and one model with its loss.

    x ── analysis_transform ── y ──┬── Q ── y_hat ── synthesis_transform ── x_hat
                                   │         │ p(y_hat | mu, sigma)
                     hyper_analysis_transform│
                                   │         │
                                   z ─ Q ─ z_hat ── hyper_synthesis_transform ── mu, sigma
                                             │ p(z_hat): factorized prior

In Joint what the hyper decoder gives goes on to `context.entropy_parameters`, which see y_hat as well.

The figures leave the networks' details open; the layers below are the only ones that meet all parameter counts of
Tables 8 and 9 (see README.md). N = `num_filters`, M = `bottleneck`.
"""

from typing import Any

from common.backend import GDN, TrainedModel, keras, loss_trackers, ops, part_of_batch, uniform_noise
from common.coding import entropy
from common.convolutions import convolution
from common.layers import Decimate, DepthToSpace, leaky_relu, transposed_convolution
from common.metrics import ms_ssim_tensor
from papers.cheng_resnet.config import Config
from papers.cheng_resnet.context import entropy_parameters

layers = keras.layers


def _conv(x, filters, kernel, name, stride=1, bias=True):
    return convolution(filters, kernel, stride, name, bias)(x)


def _tconv(x, filters, kernel, name, stride=1):
    return transposed_convolution(filters, kernel, stride, name)(x)


def _leaky(x, config, name):
    return leaky_relu(f"{name}_act", config.leaky_slope)(x)


def _up(x, filters, kernel, name, config, activate=False):
    """Up-sample by 2: a transposed convolution or, in the SubPixel networks, a convolution and depth_to_space."""
    if not config.sub_pixel:
        x = _tconv(x, filters, kernel, name, stride=2)
        return _leaky(x, config, name) if activate else x
    x = _conv(x, 4 * filters, kernel, name)
    x = _leaky(x, config, name) if activate else x
    return DepthToSpace(name=f"{name}_d2s")(x)


def _identity_unit(x, config, name):
    """Two 3x3 convolutions with leaky ReLU and a shortcut without change of size (Fig. 2, solid line).

    Without the shortcut in `plain4`, the stack of 3x3 kernels of which Section 2.2 says that it cannot converge.
    """
    filters = x.shape[-1]
    h = _leaky(_conv(x, filters, 3, f"{name}_conv_a"), config, f"{name}_conv_a")
    h = _leaky(_conv(h, filters, 3, f"{name}_conv_b"), config, f"{name}_conv_b")
    return layers.Add(name=f"{name}_add")([x, h]) if config.has_shortcuts else h


def _down_unit(x, config, name):
    """Halve the size: with four 3x3 a residual unit with projection (Fig. 3), with three a convolution and GDN."""
    filters = config.num_filters
    if config.convolutions_a_stage == 3:
        return GDN(name=f"{name}_gdn")(_conv(x, filters, 3, f"{name}_conv", stride=2))
    h = _leaky(_conv(x, filters, 3, f"{name}_conv_a", stride=2), config, f"{name}_conv_a")
    h = GDN(name=f"{name}_gdn")(_conv(h, filters, 3, f"{name}_conv_b"))
    if not config.has_projections:
        return h
    shortcut = _conv(Decimate(name=f"{name}_decimate")(x), filters, 1, f"{name}_shortcut")
    return layers.Add(name=f"{name}_add")([h, shortcut])


def _up_unit(x, config, name):
    """Double the size: the mirror of `_down_unit` with IGDN."""
    filters = config.num_filters
    if config.convolutions_a_stage == 3:
        return GDN(inverse=True, name=f"{name}_igdn")(_up(x, filters, 3, f"{name}_up", config))
    h = _up(x, filters, 3, f"{name}_up", config, activate=True)
    h = GDN(inverse=True, name=f"{name}_igdn")(_conv(h, filters, 3, f"{name}_conv_b"))
    if not config.has_projections:
        return h
    shortcut = _up(x, filters, 1, f"{name}_shortcut", config)
    return layers.Add(name=f"{name}_add")([h, shortcut])


def analysis_transform(config: Config) -> Any:
    """Return x, float (B, H, W, 3) in [0, 1], -> y, (B, H/16, W/16, M); H and W multiples of 16."""
    x = h = keras.Input((None, None, 3), name="x")
    for i in (1, 2, 3):
        if config.is_residual:
            h = _identity_unit(_down_unit(h, config, f"E{i}"), config, f"E{i}_id")
        else:
            h = GDN(name=f"gdn{i}")(_conv(h, config.num_filters, config.kernel_size, f"conv{i}", stride=2))
    kernel, name = (3, "E4_conv4") if config.is_residual else (config.kernel_size, "conv4")
    y = _conv(h, config.bottleneck, kernel, name, stride=2, bias=False)
    return keras.Model(x, _float32(y, "y"), name="analysis_transform")


def synthesis_transform(config: Config) -> Any:
    """Return y_hat, float (B, H/16, W/16, M), -> x_hat, float32 (B, H, W, 3), about [0, 1] and not clipped."""
    y_hat = h = keras.Input((None, None, config.bottleneck), name="y_hat")
    if config.is_residual:
        h = _identity_unit(h, config, "D0_id")
        for i in (1, 2, 3):
            h = _identity_unit(_up_unit(h, config, f"D{i}"), config, f"D{i}_id")
        h = _up(h, 3, 3, "D4_out", config)
    else:
        for i in (1, 2, 3):
            h = _tconv(h, config.num_filters, config.kernel_size, f"Tconv{i}", stride=2)
            h = GDN(inverse=True, name=f"igdn{i}")(h)
        h = _tconv(h, 3, config.kernel_size, "Tconv4", stride=2)
    return keras.Model(y_hat, _float32(h, "x_hat"), name="synthesis_transform")


def hyper_analysis_transform(config: Config) -> Any:
    """Return y -> z, float32 (B, H/64, W/64, M): the side information before rounding."""
    width, k = config.bottleneck, config.aux_kernel_size
    kernels_strides = [(3, 1), (3, 1), (3, 2), (3, 1), (3, 2)] if config.is_residual else [(3, 1), (k, 2), (k, 2)]
    y = h = keras.Input((None, None, width), name="y")
    for i, (kernel, stride) in enumerate(kernels_strides, 1):
        h = _conv(h, width, kernel, f"Hconv{i}", stride=stride)
        h = _leaky(h, config, f"Hconv{i}") if i < len(kernels_strides) else h
    return keras.Model(y, _float32(h, "z"), name="hyper_analysis_transform")


def hyper_synthesis_transform(config: Config) -> Any:
    """Return z_hat -> float32 (B, H/16, W/16, 2M): mu, then log sigma.

    The transposed stack, then the 1x1 layers that Section 2.1 keeps from the joint model without its context. In the
    joint model itself those are in `context.entropy_parameters`, and the 2M channels are what it takes.
    """
    width, n, k = config.bottleneck, config.num_filters, config.aux_kernel_size
    if config.is_residual:
        stack = [(width, 3, 1), (width, 3, 2), (width * 3 // 2, 3, 1), (width * 3 // 2, 3, 2), (width * 2, 3, 1)]
    else:
        stack = [(width, k, 2), (width * 3 // 2, k, 2), (width * 2, 3, 1)]
    z_hat = h = keras.Input((None, None, width), name="z_hat")
    for i, (filters, kernel, stride) in enumerate(stack, 1):
        h = _tconv(h, filters, kernel, f"HTconv{i}", stride=stride)
        h = _leaky(h, config, f"HTconv{i}") if i < len(stack) else h
    if config.has_context:
        return keras.Model(z_hat, _float32(h, "hyper"), name="hyper_synthesis_transform")
    h = _leaky(_conv(h, 5 * n, 1, "layer1"), config, "layer1")
    h = _leaky(_conv(h, 4 * n, 1, "layer2"), config, "layer2")
    h = _conv(h, 2 * width, 1, "layer3", bias=False)
    return keras.Model(z_hat, _float32(h, "mu_log_sigma"), name="hyper_synthesis_transform")


def _float32(x, name):
    return layers.Activation("linear", dtype="float32", name=name)(x)


class Model(TrainedModel):
    """All transforms of one network; `fit` minimises J = lmbda * d(x, x_hat) + R (Eq. 1).

    Call with `{"x": uint8 (B, P, P, 3), "step": int32 (B,)}`, batch and patch size as configured. The noise that
    stands for rounding is a function of `seed` and the step.
    """

    def __init__(self, config: Config, seed: int = 0) -> None:
        super().__init__(name="cheng_resnet")
        self.config, self.seed = config, seed
        self.analysis_transform = analysis_transform(config)
        self.synthesis_transform = synthesis_transform(config)
        self.prior = entropy.FactorizedPrior(config.bottleneck, name="prior")
        self.prior.build((None, None, None, config.bottleneck))
        self.hyper_analysis_transform: Any = hyper_analysis_transform(config) if config.has_hyperprior else None
        self.hyper_synthesis_transform: Any = hyper_synthesis_transform(config) if config.has_hyperprior else None
        self.entropy_parameters: Any = entropy_parameters(config) if config.has_context else None
        self.trackers = loss_trackers("rate_estimate", "distortion")
        self.built = True

    @property
    def transforms(self) -> dict[str, Any]:
        """The parts that hold weights, by name, in a stable order."""
        names = ["analysis_transform", "synthesis_transform", "prior"]
        names += ["hyper_analysis_transform", "hyper_synthesis_transform"] if self.config.has_hyperprior else []
        names += ["entropy_parameters"] if self.config.has_context else []
        return {name: getattr(self, name) for name in names}

    def call(self, inputs, training=True):
        """Return `{"x_hat", "rate_estimate"}` with additive noise in place of rounding."""
        batch, patch, step = part_of_batch(self.config.batch_size), self.config.patch_size, inputs["step"][0]
        # Known sizes make the graph static, whatever the loader says of its batches.
        x = ops.reshape(ops.cast(inputs["x"], "float32") / 255.0, (batch, patch, patch, 3))
        num_pixels = batch * patch**2
        y = self.analysis_transform(x)
        y_tilde = y + uniform_noise(ops.shape(y), 2 * self.seed, step)
        mu: Any = 0.0
        if self.hyper_analysis_transform is None:
            bits = entropy.rate(self.prior(y_tilde), num_pixels)
        else:
            z = self.hyper_analysis_transform(y)
            z_tilde = z + uniform_noise(ops.shape(z), 2 * self.seed + 1, step)
            mu, raw = ops.split(self.mean_and_scale(y_tilde, z_tilde), 2, axis=-1)
            likelihood = entropy.gaussian_likelihood(y_tilde, mu, entropy.bounded_log_scale(raw))
            bits = entropy.rate(likelihood, num_pixels) + entropy.rate(self.prior(z_tilde), num_pixels)
        if self.config.rounded_share:
            y_tilde, bits = self._rounded_at_the_end(y, y_tilde, mu, bits, step)
        return {"x": x, "x_hat": self.synthesis_transform(y_tilde), "rate_estimate": bits, "step": step}

    def mean_and_scale(self, y_hat, z_hat):
        """Return mu, then log sigma before its bounds, float32 (B, h, w, 2M), given both latents or noisy ones.

        Only Joint looks at y_hat, (B, h, w, M), and at a position only at those before it.
        """
        hyper = self.hyper_synthesis_transform(z_hat)
        if not self.config.has_context:
            return hyper
        return self.entropy_parameters([ops.convert_to_tensor(y_hat), hyper])

    def _rounded_at_the_end(self, y, y_tilde, mu, bits, step):
        """Return what the main decoder sees and the rate, from which in the last steps nothing but it learns."""
        noisy = ops.cast(step < int((1 - self.config.rounded_share) * self.config.steps), "float32")
        y_hat = ops.stop_gradient(ops.round(y - mu) + mu)
        return (
            noisy * y_tilde + (1.0 - noisy) * y_hat,
            noisy * bits + (1.0 - noisy) * ops.stop_gradient(bits),
        )

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Return J of Eq. 1 and update the running means."""
        distortion, extra = self._distortion(y_pred["x"], y_pred["x_hat"], y_pred["step"])
        loss = self.config.lmbda * distortion + y_pred["rate_estimate"] + extra
        values = {"loss": loss, "rate_estimate": y_pred["rate_estimate"], "distortion": distortion}
        for name, tracker in self.trackers.items():
            tracker.update_state(values[name])
        return loss

    def _distortion(self, x, x_hat, step):
        """Return d of Eq. 1, and what a short training adds to its lmbda-fold: the weighted squared error.

        In the warm-up that has a weight of its own, and MS-SSIM may have less.
        """
        config = self.config
        squared_error = ops.mean(ops.square(x - x_hat))
        if config.distortion == "mse":
            return squared_error * config.mse_peak**2, 0.0
        distortion = 1.0 - ops.mean(ms_ssim_tensor(x, x_hat, max_val=1.0, floor=config.ms_ssim_floor))
        warming_up = ops.cast(step < int(config.warmup_share * config.steps), "float32")
        weight = warming_up * config.warmup_weight + (1.0 - warming_up) * config.squared_error_weight
        without = warming_up * (1.0 - config.warmup_ms_ssim) * config.lmbda
        return distortion, weight * squared_error - without * distortion
