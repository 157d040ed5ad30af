"""Multiply-accumulates of Zhao et al.'s networks, read from the built Keras models, and what a training takes."""

import math
from typing import Any

from papers.zhao_mixedres.config import Config, at_scale


def macs(config: Config, height: int, width: int) -> dict[str, int]:
    """Return the multiplications with weights for one picture x of height x width, by network, without biases.

    `fdnn` and `ppnn`; VCNN takes what PPNN takes. Sides are multiples of the config's stride. Counted are the paper's
    convolutions, however they are computed, and those multiplied with the zeros of a padding too.
    """
    from papers.zhao_mixedres import model

    fdnn, y_shape = _chain(model.fdnn(config), (1, height, width, 1))
    ppnn, _ = _chain(model.ppnn(config), y_shape)
    return {"fdnn": fdnn, "ppnn": ppnn}


def _chain(network: Any, shape: tuple[int, ...]) -> tuple[int, tuple[int, ...]]:
    """Return the multiplications of a chain of convolutions for one input shape, and the shape of its output."""
    from common.backend import keras

    total = 0
    for layer in network.layers[1:]:  # the first one is the input
        output = tuple(int(side) for side in layer.compute_output_shape(shape))
        # Each weight of a convolution meets every pixel of its output, of a transposed one every pixel of its input.
        _, height, width, _ = shape if isinstance(layer, keras.layers.Conv2DTranspose) else output
        total += math.prod(layer.weights[0].shape) * height * width
        shape = output
    return total, shape


def training_flops(config: Config, scale: str) -> float:
    """Return the floating-point operations of a config's training at a scale.

    Two operations a multiply-accumulate. The network that learns takes three passes' worth a patch, one forward and two
    backward; the one that only hands a gradient on to FDNN takes two. Left out are the passes without learning that
    make the patches of each sub-problem: with 400 pictures 0.5 % at scale paper, up to a fifth more at small.
    """
    from papers.zhao_mixedres.learning import FDNN, PPNN, VCNN
    from papers.zhao_mixedres.train import parts

    shortened = at_scale(config, scale)
    macs_of_patch = macs(shortened, shortened.patch_size, shortened.patch_size)
    learning = {
        PPNN: 3 * macs_of_patch["ppnn"],
        VCNN: 3 * macs_of_patch["ppnn"],
        FDNN: 3 * macs_of_patch["fdnn"] + 2 * macs_of_patch["ppnn"],
    }
    patches = shortened.batch_size * shortened.steps
    return 2.0 * patches * sum(learning[part.network] for part in parts(shortened))
