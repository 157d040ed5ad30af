"""Settings of Cheng et al. (2019): one constant for each trained network of Tables 1 to 7.

A preset is a constant's lower-cased name: `RESNET4_SUBPIXEL` is `cheng_resnet/resnet4_subpixel`.
"""

from dataclasses import dataclass, replace
from typing import Any

from common.coding.quantisation import SETTING as STEP
from common.config import PlannedCurve, assumed, check_scale, preset_of, sourced


@dataclass(frozen=True)
class Config:
    """One network and its training. Widths are in channels, the rate in bits per pixel."""

    architecture: str = sourced("resnet4", "Figs. 1 and 2: baseline, hyperprior, joint, plain4, resnet3 or resnet4")
    kernel_size: int = sourced(3, "Tables 1 and 2: of the main autoencoder, 3, 5 or 9; 3 in the residual networks")
    aux_kernel_size: int = assumed(5, "Table 3: Aux-9 widens the two pairs of 5x5 of the auxiliary autoencoder")
    sub_pixel: bool = sourced(False, "Section 2.3: sub-pixel instead of transposed convolutions in the main decoder")
    num_filters: int = sourced(128, "Table 8")
    bottleneck_ratio: float = sourced(1.0, "Section 3, wide bottleneck: 192 instead of 128 channels is 1.5")
    distortion: str = sourced("ms_ssim", "captions of Tables 1 to 7: mse or ms_ssim")
    lmbda: float = sourced(5.0, "captions of Tables 3 and 4")
    mse_peak: float = assumed(255.0, "MSE on the 0-255 scale; on 0-1 a weight of 0.015 would leave no rate")
    leaky_slope: float = assumed(0.2, "TensorFlow's default slope")
    patch_size: int = sourced(256, "Section 3", recipe=True)
    batch_size: int = sourced(8, "Section 3", recipe=True)
    steps: int = sourced(2_000_000, "Section 3: up to 2M iterations", recipe=True)
    learning_rate: float = sourced(1e-4, "Section 3", recipe=True)
    learning_rate_drops: tuple = sourced(
        ((0.96, 0.1),), "Section 3: 1e-5 for the last 80K of 2M iterations", recipe=True
    )
    decays_linearly: bool = assumed(False, "the paper's rate drops once; true: to zero on a straight line", recipe=True)
    average_decay: float = assumed(
        0.0, "of an exponential moving average of the weights, which is what is shipped; 0: none is named", recipe=True
    )
    warmup_share: float = assumed(0.0, "share of the steps with the squared error added to the distortion", recipe=True)
    warmup_weight: float = assumed(
        200.0, "its weight, on the 0-1 scale: keeps MS-SSIM's first steps finite", recipe=True
    )
    warmup_ms_ssim: float = assumed(1.0, "what MS-SSIM's weight is multiplied with in the warm-up", recipe=True)
    squared_error_weight: float = assumed(
        0.0, "of the squared error, 0-1 scale, beside MS-SSIM after the warm-up: the paper has none", recipe=True
    )
    rounded_share: float = assumed(
        0.0, "last share of the steps, in which the main decoder alone learns, from rounded latents", recipe=True
    )
    ms_ssim_floor: float = assumed(
        1e-3, "floor of each scale's term, whose fractional power has no gradient at zero", recipe=True
    )
    clip_norm: float = assumed(0.0, "no gradient clipping is named; 0 is none", recipe=True)
    flips: bool = assumed(False, "no augmentation but cropping is named", recipe=True)
    training_sets: tuple = sourced(
        ("imagenet2012/validation",), "Section 3: crops of the ILSVRC validation set", recipe=True
    )
    starts_from: str = assumed(
        "", "preset of another lambda whose weights a short training starts from; empty: none is named", recipe=True
    )
    pilot: str = assumed("", "a recipe of RECIPES that is tried in about half the steps; empty: the one in use")

    @property
    def bottleneck(self) -> int:
        """Channels M of the latent y."""
        return round(self.num_filters * self.bottleneck_ratio)

    @property
    def is_residual(self) -> bool:
        """Return whether the networks are Fig. 2's stacks of 3x3 convolutions, those of plain4 among them."""
        return self.architecture in ("plain4", "resnet3", "resnet4")

    @property
    def convolutions_a_stage(self) -> int:
        """Convolutions between two changes of the size."""
        return {"resnet3": 3, "resnet4": 4, "plain4": 4}.get(self.architecture, 1)

    @property
    def has_shortcuts(self) -> bool:
        """Return whether there are shortcuts round two 3x3 convolutions that keep the size (Fig. 2, solid lines)."""
        return self.architecture in ("resnet3", "resnet4")

    @property
    def has_projections(self) -> bool:
        """Return whether there are shortcuts where the size changes (Fig. 3)."""
        return self.architecture == "resnet4"

    @property
    def has_hyperprior(self) -> bool:
        """Return whether the latent's distribution is conditioned on side information."""
        return self.architecture != "baseline"

    @property
    def has_context(self) -> bool:
        """Return whether it is also conditioned on the latents that are decoded already (Minnen et al. 2018)."""
        return self.architecture == "joint"

    @property
    def has_steps(self) -> bool:
        """Return whether its codec can take another step than 1: not beside a context, which sees decoded latents."""
        return not self.has_context


_MSE = Config(distortion="mse", lmbda=0.015)

BASELINE_3 = replace(_MSE, architecture="baseline", kernel_size=3)
BASELINE_5 = replace(_MSE, architecture="baseline", kernel_size=5)
BASELINE_9 = replace(_MSE, architecture="baseline", kernel_size=9)
HYPERPRIOR_3 = replace(_MSE, architecture="hyperprior", kernel_size=3)
HYPERPRIOR_5 = replace(_MSE, architecture="hyperprior", kernel_size=5)
HYPERPRIOR_9 = replace(_MSE, architecture="hyperprior", kernel_size=9)
HYPERPRIOR_9_MSSSIM = Config(architecture="hyperprior", kernel_size=9)
HYPERPRIOR_9_AUX9_MSSSIM = replace(HYPERPRIOR_9_MSSSIM, aux_kernel_size=9)
JOINT_5 = replace(_MSE, architecture="joint", kernel_size=5)
PLAIN4 = Config(architecture="plain4")
RESNET3 = Config(architecture="resnet3")
RESNET4 = Config()
RESNET4_SUBPIXEL = Config(sub_pixel=True)
RESNET4_SUBPIXEL_BOTTLENECK192 = replace(RESNET4_SUBPIXEL, bottleneck_ratio=1.5)

# The second network of the rate control. Table 6 says lambda = 10, the text of Section 3 says 8.
HYPERPRIOR_9_MSSSIM_LAMBDA10 = replace(HYPERPRIOR_9_MSSSIM, lmbda=10.0)
RESNET4_LAMBDA10 = replace(RESNET4, lmbda=10.0)
RESNET4_SUBPIXEL_LAMBDA10 = replace(RESNET4_SUBPIXEL, lmbda=10.0)
RESNET4_SUBPIXEL_BOTTLENECK192_LAMBDA10 = replace(RESNET4_SUBPIXEL_BOTTLENECK192, lmbda=10.0)

PILOT_DROPS = replace(RESNET4_SUBPIXEL, pilot="drops")
PILOT_DECAY = replace(RESNET4_SUBPIXEL, pilot="decay")
PILOT_AVERAGE = replace(RESNET4_SUBPIXEL, pilot="average")
PILOT_SQUARED_ERROR = replace(RESNET4_SUBPIXEL, pilot="squared_error")
PILOT_LESS_SQUARED_ERROR = replace(RESNET4_SUBPIXEL, pilot="less_squared_error")
PILOT_ROUNDED = replace(RESNET4_SUBPIXEL, pilot="rounded")
PILOT_COLOURS = replace(RESNET4_SUBPIXEL, pilot="colours")
PILOT_HYPERPRIOR_9_DROPS = replace(HYPERPRIOR_9_MSSSIM, pilot="drops")
PILOT_HYPERPRIOR_9_COLOURS = replace(HYPERPRIOR_9_MSSSIM, pilot="colours")

CODING = {"step": STEP}

_SAME_BUT_LAMBDA = {
    HYPERPRIOR_9_MSSSIM_LAMBDA10: HYPERPRIOR_9_MSSSIM,
    RESNET4_LAMBDA10: RESNET4,
    RESNET4_SUBPIXEL_LAMBDA10: RESNET4_SUBPIXEL,
    RESNET4_SUBPIXEL_BOTTLENECK192_LAMBDA10: RESNET4_SUBPIXEL_BOTTLENECK192,
}

# The paper trains each network for one rate, so that every curve is one point. Trained for MSE where it says so.
CURVES = tuple(
    PlannedCurve(f"Cheng, {label}", ((preset, {}),))
    for label, preset in (
        ("Baseline-3, MSE", "baseline_3"),
        ("Baseline-5, MSE", "baseline_5"),
        ("Baseline-9, MSE", "baseline_9"),
        ("Hyperprior-3, MSE", "hyperprior_3"),
        ("Hyperprior-5, MSE", "hyperprior_5"),
        ("Hyperprior-9, MSE", "hyperprior_9"),
        ("Hyperprior-9", "hyperprior_9_msssim"),
        ("Hyperprior-9-Aux-9", "hyperprior_9_aux9_msssim"),
        ("ResNet-3x3(3)", "resnet3"),
        ("ResNet-3x3(4)-TConv", "resnet4"),
        ("ResNet-3x3(4)-SubPixel", "resnet4_subpixel"),
        ("ResNet-3x3(4)-SubPixel-192", "resnet4_subpixel_bottleneck192"),
    )
)

# What a shorter training changes, none of it from the paper. Experiment recipes_cheng compares the recipes on pictures
# that nothing was trained or tested on. In use is the one that keeps the colours at the least cost of the objective:
# in so few steps MS-SSIM alone leaves them pale, a first third of squared error alone costs more than it gives, and a
# rate that falls on a line learns less than one that drops twice, averaged weights or not.
_DROPS: dict[str, Any] = dict(
    learning_rate_drops=((0.6, 0.3), (0.85, 0.1)), warmup_share=0.05, clip_norm=1.0, flips=True
)
_DECAY = dict(_DROPS, learning_rate_drops=(), decays_linearly=True)
_AVERAGE = dict(_DECAY, average_decay=0.999)
_SQUARED_ERROR = dict(_AVERAGE, warmup_share=1 / 3, warmup_ms_ssim=0.0, squared_error_weight=30.0)
_LESS_SQUARED_ERROR = dict(_SQUARED_ERROR, squared_error_weight=10.0)
_ROUNDED = dict(_SQUARED_ERROR, rounded_share=0.1)
_COLOURS = dict(_DROPS, squared_error_weight=30.0)
RECIPES: dict[str, dict[str, Any]] = {
    "drops": _DROPS,
    "decay": _DECAY,
    "average": _AVERAGE,
    "squared_error": _SQUARED_ERROR,
    "less_squared_error": _LESS_SQUARED_ERROR,
    "rounded": _ROUNDED,
    "colours": _COLOURS,
}
RECIPE = "colours"  # the one in use

# A network of another lambda needs few steps from a trained one: its transforms are nearly those that it starts from.
_RATE_FROM_TRAINED = 0.5  # of the learning rate of a training from scratch
_SHARE_FROM_TRAINED = 0.35  # of the steps of a training from scratch

_PILOT_STEPS = 1200
_TRAINING_SETS = ("imagenet_sample", "bsds500/train", "bsds500/test")
_SCALES: dict[str, dict[str, Any]] = {
    "smoke": dict(learning_rate=1e-3, num_filters=16, batch_size=1, steps=2, training_sets=("synthetic",)),
    "small": dict(learning_rate=1e-3, num_filters=32, steps=2200, training_sets=_TRAINING_SETS),
    "medium": dict(learning_rate=3e-4, steps=10_000, training_sets=_TRAINING_SETS),
}


def at_scale(config: Config, scale: str) -> Config:
    """Return `config` shortened to a scale; raises RelicError for an unknown one."""
    if check_scale(scale) == "paper":
        return config
    short = replace(config, **RECIPES[config.pilot or RECIPE], **_SCALES[scale])
    if config.pilot:
        return replace(short, steps=min(_PILOT_STEPS, short.steps))
    trained = _SAME_BUT_LAMBDA.get(config)
    if scale == "smoke" or trained is None:
        return short
    steps = round(_SHARE_FROM_TRAINED * short.steps)
    rate = _RATE_FROM_TRAINED * short.learning_rate
    return replace(short, warmup_share=0.0, learning_rate=rate, steps=steps, starts_from=preset_of(trained)[1])


def total_steps(config: Config) -> int:
    """Return the steps of the whole training of a config that is at its scale."""
    return config.steps
