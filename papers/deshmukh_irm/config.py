"""Settings of Deshmukh and Pollett: the proposed pair of networks, the baseline, ablations, and the SRGAN.

A preset is a constant's lower-cased name: `RGB` is `deshmukh_irm/rgb`. `SRGAN` is trained by itself and takes part in
decoding alone; as a codec of its own it codes a picture's quarter size.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from common.config import PlannedCurve, Setting, assumed, check_scale, sourced

FACTOR = 4  # of the SRGAN
DEPTH = 5  # layers of each of the IRM's blocks 2, 3 and 4
BASELINE_LAYERS = 18  # of RecCNN, with batch normalisation


@dataclass(frozen=True)
class Config:
    """What the trainings of the compression networks and of the SRGAN share. Sizes are in pixels."""

    channels: int = sourced(3, "Section 4: 3 for colour, 1 for grey")
    num_maps: int = sourced(64, "Section 3.3, feature maps of every inner layer of the IRM")
    patch_size: int = sourced(200, "Section 4")
    batch_size: int = assumed(16, "not stated")
    steps: int = assumed(825_000, "50 epochs of four fifths of 330 thousand images, Section 4")
    learning_rate: float = assumed(1e-3, "not stated")
    learning_rate_drops: tuple = assumed(((0.5, 0.3), (0.8, 0.1)), "not stated; down to 1e-4")
    clip_norm: float = assumed(0.0, "no gradient clipping is named; 0 is none")
    batch_norm_momentum: float = assumed(0.99, "Keras' default; not stated")
    half_size_share: float = assumed(0.0, "share of images cut from pictures at half their size; the text has none")
    images: int = assumed(0, "how many augmented images there are in all; 0: new ones all the time (Section 4)")
    validation_share: float = sourced(0.2, "Section 4; a fifth of the pictures, never trained on")
    training_sets: tuple = sourced(("coco/train",), "Section 4")


@dataclass(frozen=True)
class Compression(Config):
    """An image compression module (ICM) and an image reconstruction module (IRM), or the baseline's two networks."""

    architecture: str = sourced("proposed", "Section 3; baseline: ComCNN and RecCNN of Jiang et al., Section 2.1")
    icm_maps: int = sourced(3, "Section 3.2: 'three feature maps'; the baseline and an ablation have 64")
    stride: int = sourced(2, "Section 3.2, of the strided layer: the side of a picture over that of its code")
    strided_layer: int = sourced(2, "Section 3.2; the baseline as described in 2.1 has it in layer 1")
    dilation: int = assumed(1, "of the second layer; Section 3.2 says it may vary")
    icm_batch_norm: bool = sourced(True, "Section 3.2, after the second layer's ReLU; Jiang et al. have none")
    skips: bool = sourced(True, "Section 3.3, after blocks 2, 3 and 4: a block's input is added to its output")
    separable: bool = sourced(True, "Section 3.3: the five layers of block 2 are depthwise and pointwise")
    start: str = sourced("glorot", "Section 4: Xavier initialisation; 'interpolation' starts as one, see start.py")
    peak: float = assumed(255.0, "Eq. 2's P_ij are pixels, from 0 to 255; from 0 to 1 the penalty outweighs the rest")
    settled_steps: int = assumed(0, "further steps in which batch normalisation has its running means, as in coding")
    penalty: str = assumed("output", "Eq. 2's second term: u to the output; 'literal' to block 5; 'none'")


@dataclass(frozen=True)
class SuperResolution(Config):
    """Ledig et al. 2017: a generator of four times the size, trained for itself (Section 3.3)."""

    num_blocks: int = sourced(16, "Ledig et al., Section 2.1.1: residual blocks; 'its original proposed shape'")
    discriminator_maps: int = sourced(64, "Ledig et al., Fig. 4: of its first layer, up to eight times as many")
    patch_size: int = sourced(96, "Ledig et al., Section 3.2")
    steps: int = sourced(1_000_000, "Ledig et al., Section 3.2, of the generator by itself")
    adversarial_steps: int = sourced(200_000, "Ledig et al., Section 3.2; 0: SRResNet")
    adversarial_weight: float = sourced(1e-3, "Ledig et al., Eq. 3")
    content: str = sourced("vgg54", "Ledig et al., Section 2.2.1, of the adversarial steps; or 'mse'")
    learning_rate: float = sourced(1e-4, "Ledig et al., Section 3.2")
    learning_rate_drops: tuple = assumed((), "1e-4 throughout")
    training_sets: tuple = sourced(("imagenet2012/train",), "Section 3.3: trained separately, on ImageNet")

    @property
    def stride(self) -> int:
        """The side of a picture over that of what the generator is given."""
        return FACTOR


RGB = Compression()
RGB_STRIDE4 = replace(RGB, stride=4)
GREY = replace(RGB, channels=1)

_BASELINE = replace(GREY, architecture="baseline", icm_maps=64, skips=False, separable=False, penalty="none")
BASELINE_AS_WRITTEN = replace(_BASELINE, strided_layer=1)
BASELINE_JIANG = replace(_BASELINE, icm_batch_norm=False)

GREY_WITHOUT_SKIPS = replace(GREY, skips=False)
GREY_WITHOUT_SEPARABLE = replace(GREY, separable=False)
GREY_ICM64 = replace(GREY, icm_maps=64)
GREY_PENALTY_LITERAL = replace(GREY, penalty="literal")
GREY_WITHOUT_PENALTY = replace(GREY, penalty="none")
GREY_IMAGES400 = replace(GREY, images=400)  # as many as Jiang et al. started from
GREY_PEAK1 = replace(GREY, peak=1.0)
GREY_STL10 = replace(GREY, patch_size=96, training_sets=("stl10/unlabelled",))
GREY_DILATION2 = replace(GREY, dilation=2)

SRGAN = SuperResolution()
SRRESNET = replace(SRGAN, adversarial_steps=0)

CODING = {
    "coder": Setting(0, 0, 1, "entropy coder of the code: 0 dynamic Huffman, 1 range coder with stored frequencies"),
    "srgan": Setting(0, 0, 1, "up-sampling in decoding: 0 bicubic, as in training; 1 the SRGAN, slower and worse"),
}
CURVES = (
    PlannedCurve("Deshmukh, colour, Huffman", (("rgb_stride4", {}), ("rgb", {}))),
    PlannedCurve("Deshmukh, colour, range coder", (("rgb_stride4", {"coder": 1}), ("rgb", {"coder": 1}))),
)

# What a shorter training changes. It starts as interpolation: from random weights the three maps often die, and always
# take long to carry a picture. Batch normalisation by batches hides how bright a picture is, so that most steps have
# the running means instead. Half of the images are cut at half size: the test pictures are photographs scaled to
# 200x200, sharper than crops of COCO are. Of losses on pixels from 0 to 255 clipping leaves the direction of a step.
_SHORT: dict[str, Any] = dict(half_size_share=0.5, batch_norm_momentum=0.95, clip_norm=1.0)
_SHORT_COMPRESSION: dict[str, dict[str, Any]] = {
    "smoke": dict(steps=1, settled_steps=1),
    "small": dict(steps=400, settled_steps=1600),
    "medium": dict(steps=1000, settled_steps=4000),
}
_SHORT_SRGAN: dict[str, dict[str, Any]] = {
    "smoke": dict(steps=1, adversarial_steps=1, num_blocks=1, discriminator_maps=4),
    "small": dict(steps=2500, adversarial_steps=500, discriminator_maps=16),
    "medium": dict(steps=10_000, adversarial_steps=2_000),
}
_SETS = {
    "coco/train": ("coco128_train",),
    "stl10/unlabelled": ("stl10_examples",),
    "imagenet2012/train": ("imagenet_sample", "coco128_train"),
}


def at_scale(config: Config, scale: str) -> Config:
    """Return `config` shortened to a scale, small with a quarter of the maps; raises RelicError for an unknown one."""
    if check_scale(scale) == "paper":
        return config
    sets = tuple(name for named in config.training_sets for name in _SETS[named])
    changes = {**_SHORT, "training_sets": sets, "patch_size": 96}
    if isinstance(config, SuperResolution):
        # Down from 1e-3, as the others; weights of VGG19 do not come with this suite.
        changes.update(learning_rate=1e-3, learning_rate_drops=Config.learning_rate_drops, content="mse")
        changes.update(_SHORT_SRGAN[scale])
        changes["adversarial_steps"] *= config.adversarial_steps > 0
    else:
        changes.update(start="interpolation", **_SHORT_COMPRESSION[scale])
    if scale == "smoke":
        changes.update(num_maps=4, patch_size=32, batch_size=2, half_size_share=0.0, images=min(config.images, 4))
        changes.update(training_sets=("synthetic",))
    elif scale == "small":
        changes.update(num_maps=config.num_maps // 4, patch_size=64)
    return replace(config, **changes)


def kind_of(fields: Mapping[str, Any]) -> type:
    """Return the class of the Config whose fields a weights file has kept."""
    return SuperResolution if "num_blocks" in fields else Compression


def total_steps(config: Config) -> int:
    """Return the steps of the whole training of a config that is at its scale, of its two parts."""
    if isinstance(config, SuperResolution):
        return config.steps + config.adversarial_steps
    assert isinstance(config, Compression)
    return config.steps + config.settled_steps
