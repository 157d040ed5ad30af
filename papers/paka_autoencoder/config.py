"""Settings of Paka and Khatter: the autoencoder of the paper, a check of it, and a bottleneck that compresses.

A preset is a constant's lower-cased name: `AUTOENCODER` is `paka_autoencoder/autoencoder`. The bottlenecks are this
suite's extension, what the paper set out for: an autoencoder with a small code and a rate in the loss.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from common.config import PlannedCurve, Setting, assumed, check_scale, sourced

KODAK = tuple(f"kodim{i:02d}" for i in range(1, 25))
SHOWN = ("kodim09", "kodim12", "kodim14")  # test pictures in the author's figures 5 and 7
NUM_TEST, NUM_VALIDATION = 7, 3


def _chosen(names: tuple[str, ...], count: int) -> tuple[str, ...]:
    """Return the names that scikit-learn's train_test_split(names, test_size=count, random_state=0) holds out."""
    return tuple(sorted(names[i] for i in np.random.RandomState(0).permutation(len(names))[:count]))


def _without(names: tuple[str, ...], taken: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in names if name not in taken)


TEST_PICTURES = tuple(sorted(SHOWN + _chosen(_without(KODAK, SHOWN), NUM_TEST - len(SHOWN))))
VALIDATION_PICTURES = _chosen(_without(KODAK, TEST_PICTURES), NUM_VALIDATION)
TRAINING_PICTURES = _without(KODAK, TEST_PICTURES + VALIDATION_PICTURES)


@dataclass(frozen=True)
class Config:
    """One network and its training. Widths are in channels, the rate in bits per pixel."""

    encoder_filters: tuple = sourced((32, 64), "Fig. 4: each a 3x3 convolution, ReLU and max-pooling by 2")
    code_channels: int = sourced(128, "Fig. 4, conv2d_3: what the decoder starts from")
    code_activation: str = sourced("relu", "Section 3.2")
    decoder_filters: tuple = sourced((128, 64), "Fig. 4: each a 3x3 convolution, ReLU and up-sampling by 2")
    output_activation: str = assumed("sigmoid", "not stated; targets are in [0, 1]")
    lmbda: float = assumed(0.0, "weight of the squared error, 0-255 scale, against the rate; 0: no rate, as the paper")
    height: int = sourced(512, "Fig. 3: all pictures are scaled to 512x768, portraits too")
    width: int = sourced(768, "Fig. 3")
    patch_size: int = assumed(256, "crops, six of which are a picture; the paper trains on whole pictures")
    batch_size: int = assumed(6, "as many pixels as one picture; not stated")
    steps: int = assumed(14_000, "1000 epochs, the axis of Fig. 6, of 14 pictures")
    learning_rate: float = assumed(1e-3, "Adam's usual rate; the paper says gradient descent")
    learning_rate_drops: tuple = assumed((), "no schedule is named")
    clip_norm: float = assumed(0.0, "no gradient clipping is named; 0 is none")
    flips: bool = assumed(False, "no augmentation is named")
    training_sets: tuple = sourced(("kodak",), "Section 3.1")
    training_pictures: tuple = assumed(TRAINING_PICTURES, "split not stated: 7 test, 3 of the others validate")
    validation_pictures: tuple = assumed(VALIDATION_PICTURES, "Fig. 6 has a validation loss; not stated of which")

    @property
    def stride(self) -> int:
        """How many pixels a side of the code's grid stands for."""
        return 2 ** len(self.encoder_filters)

    @property
    def has_rate(self) -> bool:
        """Return whether the network is trained for a rate, with a factorized prior on its code."""
        return self.lmbda > 0


_DROPS = ((0.6, 0.3), (0.85, 0.1))
_OWN = "not the paper's: this suite's extension"


@dataclass(frozen=True)
class Bottleneck(Config):
    """A network with a rate: the fields whose values are not the paper's."""

    encoder_filters: tuple = assumed((32, 64, 64, 128), f"{_OWN}; each a strided 3x3 convolution and GDN")
    code_channels: int = assumed(48, f"{_OWN}; for 256 pixels")
    code_activation: str = assumed("linear", f"{_OWN}; a latent has both signs")
    decoder_filters: tuple = assumed((128, 64, 64, 32), f"{_OWN}; each a 3x3 convolution, IGDN and up-sampling by 2")
    output_activation: str = assumed("linear", _OWN)
    patch_size: int = assumed(128, _OWN)
    batch_size: int = assumed(8, _OWN)
    steps: int = assumed(200_000, _OWN)
    learning_rate_drops: tuple = assumed(_DROPS, _OWN)
    clip_norm: float = assumed(1.0, _OWN)
    flips: bool = assumed(True, _OWN)
    training_sets: tuple = assumed(("imagenet_sample", "bsds500/train", "bsds500/test"), f"{_OWN}; Kodak tests them")
    training_pictures: tuple = assumed((), f"{_OWN}; all pictures of the sets")
    validation_pictures: tuple = assumed((), f"{_OWN}; none")


AUTOENCODER = Config()
AUTOENCODER_LINEAR = replace(AUTOENCODER, output_activation="linear")
BOTTLENECK_LAMBDA0_004 = Bottleneck(lmbda=0.004)
BOTTLENECK_LAMBDA0_012 = Bottleneck(lmbda=0.012)
# Higher weights have more channels to spend their bits on.
BOTTLENECK_LAMBDA0_040 = Bottleneck(lmbda=0.040, code_channels=128)
BOTTLENECK_LAMBDA0_120 = Bottleneck(lmbda=0.120, code_channels=128)

_BITS = "bits of one value of the autoencoder's code; a bottleneck has none to choose"
CODING = {"bits": Setting(8, 1, 8, _BITS, rate=1)}
BOTTLENECKS = ("bottleneck_lambda0_004", "bottleneck_lambda0_012", "bottleneck_lambda0_040", "bottleneck_lambda0_120")
CURVES = (
    PlannedCurve("Paka, bottleneck", tuple((name, {}) for name in BOTTLENECKS)),
    PlannedCurve("Paka, autoencoder", tuple(("autoencoder", {"bits": bits}) for bits in range(1, 9)), TEST_PICTURES),
)

# The networks keep their widths at every scale, and only `small` is shorter than the paper's 1000 epochs, with a rate
# that decays. The check with a linear output stops before it decays: its log is compared with the sigmoid's, step by
# step. A medium or paper bottleneck is the same training: no paper says how long.
_SMOKE: dict[str, Any] = dict(
    batch_size=1, steps=2, training_sets=("synthetic",), training_pictures=(), validation_pictures=()
)
_AUTOENCODER_SCALES = {"smoke": _SMOKE, "small": dict(steps=3000, learning_rate_drops=_DROPS)}
_CHECK_SCALES = {"smoke": _SMOKE, "small": dict(steps=1500)}
_BOTTLENECK_SCALES = {"smoke": _SMOKE, "small": dict(steps=5500)}


def at_scale(config: Config, scale: str) -> Config:
    """Return `config` shortened to a scale; raises RelicError for an unknown one."""
    scales = _CHECK_SCALES if config.output_activation == "linear" else _AUTOENCODER_SCALES
    scales = _BOTTLENECK_SCALES if config.has_rate else scales
    return replace(config, **scales.get(check_scale(scale), {}))


def total_steps(config: Config) -> int:
    """Return the steps of the whole training of a config that is at its scale."""
    return config.steps
