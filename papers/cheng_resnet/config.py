"""Settings of Cheng et al. (2019): one constant for each trained network of Tables 1 to 7.

A preset is a constant's lower-cased name: `RESNET4_SUBPIXEL` is `cheng_resnet/resnet4_subpixel`.
"""
from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from common.config import Curve, assumed, check_scale, sourced


@dataclass(frozen=True)
class Config:
    """One network and its training. Widths are in channels, the rate in bits per pixel."""

    architecture: str = sourced("resnet4", "Figs. 1 and 2: baseline, hyperprior, resnet3 or resnet4")
    kernel_size: int = sourced(3, "Tables 1 and 2: of the main autoencoder, 3, 5 or 9; 3 in the residual networks")
    aux_kernel_size: int = assumed(5, "Table 3: Aux-9 widens the two pairs of 5x5 of the auxiliary autoencoder")
    sub_pixel: bool = sourced(False, "Section 2.3: sub-pixel instead of transposed convolutions in the main decoder")
    num_filters: int = sourced(128, "Table 8")
    bottleneck_ratio: float = sourced(1.0, "Section 3, wide bottleneck: 192 instead of 128 channels is 1.5")
    distortion: str = sourced("ms_ssim", "captions of Tables 1 to 7: mse or ms_ssim")
    lmbda: float = sourced(5.0, "captions of Tables 3 and 4")
    mse_peak: float = assumed(255.0, "MSE on the 0-255 scale; on 0-1 a weight of 0.015 would leave no rate")
    leaky_slope: float = assumed(0.2, "TensorFlow's default slope")
    patch_size: int = sourced(256, "Section 3")
    batch_size: int = sourced(8, "Section 3")
    steps: int = sourced(2_000_000, "Section 3: up to 2M iterations")
    learning_rate: float = sourced(1e-4, "Section 3")
    learning_rate_drops: tuple = sourced(((0.96, 0.1),), "Section 3: 1e-5 for the last 80K of 2M iterations")
    warmup_share: float = assumed(0.0, "share of the steps with the squared error added to the distortion")
    warmup_weight: float = assumed(200.0, "its weight, on the 0-1 scale: keeps MS-SSIM's first steps finite")
    ms_ssim_floor: float = assumed(1e-3, "floor of each scale's term, whose fractional power has no gradient at zero")
    clip_norm: float = assumed(0.0, "no gradient clipping is named; 0 is none")
    flips: bool = assumed(False, "no augmentation but cropping is named")
    training_sets: tuple = sourced(("imagenet2012/validation",), "Section 3: crops of the ILSVRC validation set")

    @property
    def bottleneck(self) -> int:
        """Channels M of the latent y."""
        return round(self.num_filters * self.bottleneck_ratio)

    @property
    def has_hyperprior(self) -> bool:
        """Whether the latent's distribution is conditioned on side information."""
        return self.architecture != "baseline"


_MSE = Config(distortion="mse", lmbda=0.015)

BASELINE_3 = replace(_MSE, architecture="baseline", kernel_size=3)
BASELINE_5 = replace(_MSE, architecture="baseline", kernel_size=5)
BASELINE_9 = replace(_MSE, architecture="baseline", kernel_size=9)
HYPERPRIOR_3 = replace(_MSE, architecture="hyperprior", kernel_size=3)
HYPERPRIOR_5 = replace(_MSE, architecture="hyperprior", kernel_size=5)
HYPERPRIOR_9 = replace(_MSE, architecture="hyperprior", kernel_size=9)
HYPERPRIOR_9_MSSSIM = Config(architecture="hyperprior", kernel_size=9)
HYPERPRIOR_9_AUX9_MSSSIM = replace(HYPERPRIOR_9_MSSSIM, aux_kernel_size=9)
RESNET3 = Config(architecture="resnet3")
RESNET4 = Config()
RESNET4_SUBPIXEL = Config(sub_pixel=True)
RESNET4_SUBPIXEL_BOTTLENECK192 = replace(RESNET4_SUBPIXEL, bottleneck_ratio=1.5)

# The paper trains each network for one rate, so that every curve is one point. Trained for MSE where it says so.
CURVES = tuple(
    Curve(f"Cheng, {label}", ((preset, {}),))
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

# What a shorter training changes, none of it from the paper: a higher rate that decays, clipping, flips, a warm-up.
_SHORT: dict[str, Any] = dict(
    learning_rate=1e-3,
    learning_rate_drops=((0.6, 0.3), (0.85, 0.1)),
    warmup_share=0.05,
    clip_norm=1.0,
    flips=True,
    training_sets=("imagenet_sample", "bsds500/train", "bsds500/test"),
)
_SCALES: dict[str, dict[str, Any]] = {
    "smoke": dict(_SHORT, num_filters=16, batch_size=1, steps=2, training_sets=("synthetic",)),
    "small": dict(_SHORT, num_filters=32, steps=2400),
    "medium": dict(_SHORT, learning_rate=3e-4, steps=10_000),
    "paper": {},
}


def at_scale(config: Config, scale: str) -> Config:
    """Return `config` shortened to a scale; raises RelicError for an unknown one."""
    return replace(config, **_SCALES[check_scale(scale)])
