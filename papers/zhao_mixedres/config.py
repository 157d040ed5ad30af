"""Settings of Zhao et al.: one triple of networks for each JPEG quality, Jiang's framework beside it, and ablations.

A preset is a constant's lower-cased name: `LOW_QF10` is `zhao_mixedres/low_qf10`. `LOW` and `FULL` tell the resolution
of the representation that JPEG codes, `QF` JPEG's quality factor.
"""

from dataclasses import dataclass, replace
from typing import Any

from common.config import PlannedCurve, Setting, assumed, check_scale, sourced


@dataclass(frozen=True)
class Config:
    """The networks around one standard codec at one quality, and their alternating learning."""

    stride: int = sourced(2, "Section 2.2, FDNN's second layer and PPNN's last: 2 in low resolution, 1 in full")
    quality: int = sourced(10, "Section 3.2: 5, 10, 20 in low resolution, 10, 20, 30, 40 in full")
    standard_codec: str = sourced("JPEG", "Section 3.2, of OpenCV; the name of a family of common.classical.codecs")
    num_maps: int = sourced(128, "Section 2.2; the ablations `half_...` choose 64")
    start: str = assumed("interpolation", "initial weights are not stated; as one linear filter, or 'random'")
    through: str = sourced("vcnn", "Section 2: the network that FDNN's gradient passes; Jiang's framework has ppnn")
    vcnn_input: str = sourced("y", "Section 2, v(Y); Section 2.3 says that z, the coded representation, trains VCNN")
    norm: int = sourced(1, "Eqs. 2 and 3; 2 squares the differences")
    gradient_weight: float = sourced(1.0, "Eqs. 1 to 3, the weight of the gradient difference loss")
    ssim_weight: float = sourced(1.0, "Eqs. 1, 4 and 5, the weight of the SSIM loss of FDNN")
    patches_per_picture: int = sourced(8, "Section 3.1: 3200 patches of 400 pictures")
    patch_size: int = sourced(160, "Section 3.1")
    batch_size: int = assumed(16, "not stated")
    alternations: int = assumed(3, "not stated; then PPNN learns once more, for the representation it is used with")
    steps: int = assumed(12_000, "of one sub-problem in one alternation: 60 epochs; not stated")
    learning_rate: float = sourced(1e-4, "Section 3.1")
    learning_rate_drops: tuple = sourced(((3 / 5, 1 / 2), (4 / 5, 1 / 4)), "Section 3.1; of each sub-problem's steps")
    clip_norm: float = assumed(0.0, "no gradient clipping is named; 0 is none")
    training_sets: tuple = sourced(("train400",), "Section 3.1: 400 pictures of 180x180, those of Chen and Pock")


LOW_QF5 = Config(quality=5)
LOW_QF10 = Config(quality=10)
LOW_QF20 = Config(quality=20)
FULL_QF10 = Config(stride=1, quality=10)
FULL_QF20 = Config(stride=1, quality=20)
FULL_QF30 = Config(stride=1, quality=30)
FULL_QF40 = Config(stride=1, quality=40)


def _jiang(config: Config) -> Config:
    """Return Jiang's framework with the same networks (Section 3.2): no virtual codec, the squared error alone."""
    return replace(config, through="ppnn", norm=2, gradient_weight=0.0, ssim_weight=0.0)


JIANG_LOW_QF5 = _jiang(LOW_QF5)
JIANG_LOW_QF10 = _jiang(LOW_QF10)
JIANG_LOW_QF20 = _jiang(LOW_QF20)
JIANG_FULL_QF10 = _jiang(FULL_QF10)
JIANG_FULL_QF20 = _jiang(FULL_QF20)
JIANG_FULL_QF30 = _jiang(FULL_QF30)
JIANG_FULL_QF40 = _jiang(FULL_QF40)

# The ablations have half the maps, so that each can be trained from several seeds; HALF is what they are compared with.
HALF = replace(LOW_QF10, num_maps=64)
HALF_JIANG = _jiang(HALF)
HALF_WITHOUT_VCNN = replace(HALF, through="ppnn")
HALF_VCNN_ON_Z = replace(HALF, vcnn_input="z")
HALF_L2 = replace(HALF, norm=2)
HALF_WITHOUT_SSIM = replace(HALF, ssim_weight=0.0)
# FDNN stays the interpolation that it starts as, and PPNN has the steps of all its turns at once.
HALF_INTERPOLATED = replace(HALF, alternations=0, steps=(HALF.alternations + 1) * HALF.steps)
HALF_JPEG2000 = replace(HALF, standard_codec="JPEG2000", quality=50)
HALF_WEBP = replace(HALF, standard_codec="WebP", quality=10)

LOW = ("low_qf5", "low_qf10", "low_qf20")
FULL = ("full_qf10", "full_qf20", "full_qf30", "full_qf40")
_QUALITY = "quality of the standard codec between the networks, whichever they were trained for"
CODING = {"quality": Setting(10, 1, 100, _QUALITY, rate=1, of_preset=True)}
CURVES = (
    PlannedCurve("Zhao, low resolution", tuple((name, {}) for name in LOW)),
    PlannedCurve("Zhao, full resolution", tuple((name, {}) for name in FULL)),
)

# At the shorter scales a step has to go further: the learning rate is up to tenfold. At small in low resolution it is
# fivefold, and FDNN learns once: at the tenfold a second alternation was unstable, and at either it cost more rate than
# the quality it gave was worth.
_SMOKE: dict[str, Any] = dict(
    num_maps=4,
    patch_size=64,
    batch_size=2,
    patches_per_picture=2,
    alternations=1,
    steps=1,
    training_sets=("synthetic",),
)
_SMALL: dict[str, Any] = dict(patch_size=96, batch_size=8, patches_per_picture=2)


def at_scale(config: Config, scale: str) -> Config:
    """Return `config` shortened to a scale, small with a quarter of the maps; raises RelicError for an unknown one."""
    if check_scale(scale) == "smoke":
        return replace(config, **{**_SMOKE, "alternations": min(config.alternations, 1)})
    if scale == "medium":
        turns = 1 if config.alternations else HALF.alternations + 1
        return replace(config, steps=1000 * turns, learning_rate=1e-3)
    if scale == "small":
        return replace(config, **{**_SMALL, **_small_schedule(config)}, num_maps=config.num_maps // 4)
    return config


def _small_schedule(config: Config) -> dict[str, Any]:
    """Return how each sub-problem learns at scale small: a step in full resolution takes three times as long."""
    if config.stride == 1:
        return dict(steps=160, learning_rate=1e-3, alternations=2)
    if config.alternations == 0:
        return dict(steps=600, learning_rate=5e-4)
    steps = 300 if config.num_maps == HALF.num_maps else 400
    return dict(steps=steps, learning_rate=5e-4, alternations=1)


def total_steps(config: Config) -> int:
    """Return the steps of the whole training of a config that is at its scale: of every sub-problem in its turns."""
    return sum(turns(config).values()) * config.steps


def turns(config: Config) -> dict[str, int]:
    """Return how often each network learns, by name: in every alternation, and PPNN once more for the last FDNN."""
    count = config.alternations
    return {"ppnn": count + 1, "vcnn": count if config.through == "vcnn" else 0, "fdnn": count}
