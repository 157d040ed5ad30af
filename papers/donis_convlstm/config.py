"""Settings of Donis and Brown: the network as the authors ran it and as they wrote it, and the iterative codec.

A preset is a constant's lower-cased name: `AS_RUN` is `donis_convlstm/as_run`. The network is that of Toderici et al.
(2017), "Full resolution image compression with recurrent neural networks", in one iteration; `ITERATIVE` is their codec
itself. "Code" names what the authors' published program does where the paper says otherwise or nothing.
"""

from dataclasses import dataclass, replace
from typing import Any

from common.config import PlannedCurve, Setting, assumed, check_scale, sourced

_CODE = "the authors' code"
_TODERICI = "Toderici et al. 2017"


@dataclass(frozen=True)
class Config:
    """One iteration of the network and its training on pictures of 32x32 pixels."""

    encoder_filters: tuple = sourced((64, 256, 512, 512), f"Section II-A and {_TODERICI}: one Conv2D, three ConvLSTM2D")
    code_channels: int = sourced(32, f"{_TODERICI}: 32 for 16x16 pixels, 0.125 bpp where each is one bit")
    decoder_filters: tuple = sourced((512, 512, 512, 256, 128), f"{_TODERICI}: one Conv2D, four ConvLSTM2D")
    decoder_kernels: tuple = sourced((2, 3, 3, 3), f"{_CODE}, of the decoder's ConvLSTM2D; it has 60,633,987 weights")
    slopes: tuple = sourced((0.01, 0.1), f"{_CODE}: LeakyReLU after every layer, after the last one")
    binarizer: str = sourced("none", f"{_CODE}; 'stochastic', a sign with noise, is what Section II-A describes")
    loss: str = sourced("ssim_squared", f"{_CODE}: (1 - SSIM)^2 with range 2; 'ms_ssim' Section II-B, 'mae' there too")
    ms_ssim_floor: float = assumed(1e-3, "least value of a scale's term, so that its power has a finite gradient")
    batch_size: int = sourced(64, "Section III-A: 32 to 1024; the size study's logs show 64, see batch_sizes.py")
    epochs: int = sourced(15, "Section III-A")
    learning_rate: float = sourced(0.01, f"{_CODE}; Section II-B: 0.01 to 0.001")
    learning_rate_drops: tuple = sourced((), f"{_CODE}: a decay is written there, and not used")
    clip_norm: float = sourced(0.0, f"{_CODE}: no clipping")
    amsgrad: bool = sourced(True, f"{_CODE}: Adam with amsgrad")
    epsilon: float = sourced(1e-6, f"{_CODE}: Adam's epsilon")
    patch_size: int = sourced(32, "Section II-C: whole pictures")
    pictures: int = sourced(100_000, "Section III-A: 50, 100 or 200 thousand")
    training_sets: tuple = sourced((("cifar10/train", 50_000), ("cifar100/train", 50_000)), "Section II-D; with counts")
    rotated: bool = sourced(False, "Section II-D: every picture once more, turned by 90 degrees")
    validation_share: float = sourced(0.05, f"{_CODE}: the last of the pictures")

    @property
    def is_iterative(self) -> bool:
        """Return whether the codec repeats its iteration on residuals."""
        return False

    @property
    def training_pictures(self) -> int:
        """How many pictures are left to learn from."""
        return self.pictures - round(self.pictures * self.validation_share)

    @property
    def epoch_steps(self) -> int:
        """How many whole batches an epoch has."""
        return self.training_pictures // self.batch_size

    @property
    def steps(self) -> int:
        """Steps of the whole training."""
        return self.epochs * self.epoch_steps


_OWN = "not the paper's, which stops at one iteration"


@dataclass(frozen=True)
class Iterative(Config):
    """The codec of Toderici et al.: the same weights for every iteration, states that are carried, coded residuals."""

    hidden_kernels: tuple = sourced((1, 1, 1, 1, 1, 3, 3), f"{_TODERICI}, Section 3.1: of all seven ConvLSTM2D")
    gains: tuple = assumed((4.0, 2.0, 0.5), "of first kernels: on residuals, after a ConvLSTM2D, of the last layer")
    residual_gains: tuple = assumed((3.0, 1.1), f"{_TODERICI}, Section 3.2, has a network for it: see `gain`")
    reconstruction: str = assumed("additive", f"{_TODERICI}, Eq. 2; or 'one_shot', Eq. 3")
    binarizer: str = sourced("stochastic", f"{_TODERICI}, Section 2")
    loss: str = assumed("residual", f"{_TODERICI}, Eq. 4: mean |residual| over all iterations, here with its gain")
    phases: tuple = assumed(((16, 1_000_000, 5e-4),), f"iterations, steps, learning rate; {_TODERICI} has 16")
    batch_size: int = sourced(32, f"{_TODERICI}, Section 4")
    clip_norm: float = assumed(1.0, _OWN)
    amsgrad: bool = assumed(False, _OWN)
    epsilon: float = assumed(1e-7, _OWN)
    learning_rate_drops: tuple = assumed((), _OWN)
    training_sets: tuple = assumed(("imagenet_sample", "bsds500/train", "bsds500/test"), f"{_OWN}; Kodak tests it")

    @property
    def is_iterative(self) -> bool:
        """Return whether the codec repeats its iteration on residuals."""
        return True

    @property
    def steps(self) -> int:
        """Steps of the whole training."""
        return sum(steps for _, steps, _ in self.phases)

    def gain(self, iteration: int) -> float:
        """Return what residuals are multiplied by before an iteration, counted from 0, as they become smaller."""
        first, growth = self.residual_gains
        return first * growth ** (iteration - 1) if iteration else 1.0


AS_RUN = Config()
AS_WRITTEN = replace(AS_RUN, binarizer="stochastic", loss="ms_ssim")
BATCH_32 = replace(AS_RUN, batch_size=32)
BATCH_128 = replace(AS_RUN, batch_size=128)
BATCH_512 = replace(AS_RUN, batch_size=512)
BATCH_1024 = replace(AS_RUN, batch_size=1024)
SET_50K = replace(AS_RUN, pictures=50_000)
SET_200K = replace(AS_RUN, pictures=200_000, rotated=True)
MAE = replace(AS_RUN, loss="mae")
RELU = replace(AS_RUN, slopes=(0.0, 0.0))
ITERATIVE = Iterative()
ITERATIVE_ONE_SHOT = replace(ITERATIVE, reconstruction="one_shot")

MAX_ITERATIONS = 16
CODING = {"iterations": Setting(8, 1, MAX_ITERATIONS, "iterations of 0.125 bpp each of the iterative codec", rate=1)}
CURVES = (PlannedCurve("Donis, iterative", tuple(("iterative", {"iterations": i}) for i in (1, 2, 4, 8))),)

_SMOKE: dict[str, Any] = dict(encoder_filters=(4, 8, 8, 8), decoder_filters=(8, 8, 16, 16, 8), batch_size=2)
_SMALL: dict[str, Any] = dict(encoder_filters=(32, 64, 128, 128), decoder_filters=(128, 128, 128, 64, 32))
_SMOKE_SETS, _SMOKE_PICTURES = (("synthetic", 4),), 4
# Each of the two sets has a stand-in of 4,000 pictures: for CIFAR-100 a part of it and photographs scaled to 32x32.
_SMALL_SETS = (("cifar10_subset/train", 4_000), ("cifar100_subset/train", 1_117), ("tiny_imagenet_val", 2_883))
_SMALL_SHARE = 8_000 / 100_000


def at_scale(config: Config, scale: str) -> Config:
    """Return `config` shortened to a scale; raises RelicError for an unknown one.

    medium has the paper's widths and small's pictures.
    """
    check_scale(scale)
    if isinstance(config, Iterative):
        shortened = replace(config, **_ITERATIVE_SCALES.get(scale, {}))
        is_second = scale == "small" and config.reconstruction == "one_shot"
        return replace(shortened, phases=_SMALL_PHASES_ONE_SHOT) if is_second else shortened
    if scale == "smoke":
        # Of so few pictures the last 5 % would be none.
        few: dict[str, Any] = dict(pictures=_SMOKE_PICTURES, validation_share=0.5, training_sets=_SMOKE_SETS)
        return replace(config, **_SMOKE, **few, epochs=1)
    if scale == "paper":
        return config
    widths = _SMALL if scale == "small" else {}
    return replace(config, **widths, pictures=round(config.pictures * _SMALL_SHARE), training_sets=_SMALL_SETS)


# Few iterations first: a step takes as long as it has iterations. Larger patches have less of an edge, as pictures do.
_SMALL_PHASES = ((4, 2000, 2e-3), (8, 800, 1e-3), (16, 300, 5e-4), (16, 100, 1e-4))
_SMALL_PHASES_ONE_SHOT = tuple((iterations, steps // 4, rate) for iterations, steps, rate in _SMALL_PHASES)
_ITERATIVE_SCALES: dict[str, dict[str, Any]] = {
    "smoke": dict(**_SMOKE, phases=((2, 1, 1e-3),), training_sets=("synthetic",)),
    "small": dict(**_SMALL, phases=_SMALL_PHASES, patch_size=64, batch_size=8),
    "medium": dict(phases=((4, 3000, 5e-4), (16, 1000, 2e-4))),
}


def total_steps(config: Config) -> int:
    """Return the steps of the whole training of a config that is at its scale."""
    return config.steps
