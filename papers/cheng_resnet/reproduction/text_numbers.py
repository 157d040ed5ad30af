"""Numbers of Cheng et al.'s text and captions: what the settings and the built models have in their place."""

import math
from collections.abc import Sequence

from common.tables import published
from papers.cheng_resnet import complexity, config
from papers.cheng_resnet.complexity import LayerRow
from papers.cheng_resnet.config import Config

TABLE = "cheng_resnet/text"
THRESHOLD = "Threshold of the low-rate track"
RATE_CONTROL = (config.RESNET4_SUBPIXEL_BOTTLENECK192, config.RESNET4_SUBPIXEL_BOTTLENECK192_LAMBDA10)
A_RULE = "A rule of the challenge, which nothing here has instead; Table 7 is what keeps to it."


def printed(row: str, column: str) -> float:
    """Return a number of the text; ValueError where there is none."""
    value = published.load(TABLE).value(row, column)
    if value is None:
        raise ValueError(f"the text has no {column} of {row!r}")
    return value


def values() -> dict[str, dict[str, float]]:
    """Return what is reproduced of every number but the challenge's own, by row and column of `text.csv`."""
    return {**_counted(), **_set()}


def _counted() -> dict[str, dict[str, float]]:
    """Count what layers tell."""
    anchor, deep = complexity.layers(config.HYPERPRIOR_9), complexity.layers(config.RESNET4)
    narrow, wide = (complexity.layers(network) for network in (config.RESNET4_SUBPIXEL, RATE_CONTROL[0]))
    joint = complexity.layers(config.JOINT_5)
    up = [_named(rows, "D1_up").c_out for rows in (narrow, deep)]
    return {
        "GDN and inverse GDN of HyperPrior-9": {"FLOPs": complexity.normalisation_flops(anchor)},
        "Wide bottleneck, before": _bottleneck(narrow),
        "Wide bottleneck, after": _bottleneck(wide),
        "Receptive field of three 3x3 kernels": {"Side": _field_of(3)},
        "Receptive field of four 3x3 kernels": {"Side": _field_of(4)},
        "Masked convolution of Joint": {"Side": _named(joint, "context").kernel[0]},
        "Layers that are kept from Joint": {"Side": _named(anchor, "layer1").kernel[0]},
        "GDN of a residual unit that changes the size": {"Count": sum(row.name.startswith("E1_gdn") for row in deep)},
        "Channels of a sub-pixel convolution by those of its output": {"Count": up[0] / up[1]},
    }


def _bottleneck(rows: Sequence[LayerRow]) -> dict[str, float]:
    return {"FLOPs": complexity.flops_as_printed(rows), "Channels": _named(rows, "E4_conv4").c_out}


def _named(rows: Sequence[LayerRow], name: str) -> LayerRow:
    (row,) = (row for row in rows if row.name == name)
    return row


def _field_of(count: int) -> int:
    """Return the receptive field of so many 3x3 convolutions of stride 1."""
    row = LayerRow("", "conv", (3, 3), 1, 1, 1, 1, 1, 1, 1, True)
    return complexity.receptive_field([row] * count)


def _set() -> dict[str, dict[str, float]]:
    """Read what settings tell."""
    network: Config = config.RESNET4
    ((share, factor),) = network.learning_rate_drops
    low, high = RATE_CONTROL
    return {
        "Kernels that are large enough in the auxiliary autoencoder": {"Side": config.HYPERPRIOR_9.aux_kernel_size},
        "Patches": {"Side": network.patch_size},
        "A batch": {"Pictures": network.batch_size},
        "Training": {"Iterations": network.steps, "Learning rate": network.learning_rate},
        "End of the training": {
            "Iterations": round((1 - share) * network.steps),
            "Learning rate": network.learning_rate * factor,
        },
        "Trained for MSE, Tables 1 and 2": {"Lambda": config.HYPERPRIOR_9.lmbda},
        "Trained for MS-SSIM, Tables 3 and 4": {"Lambda": network.lmbda},
        "First network of the rate control": {"Lambda": low.lmbda},
        "Second network of the rate control": {"Lambda": high.lmbda},
        "Codings of a picture in the rate control": {"Count": len(RATE_CONTROL)},
        "What names the network of a picture": {"Bits": math.ceil(math.log2(len(RATE_CONTROL)))},
    }
