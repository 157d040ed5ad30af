"""Parameters and multiply-accumulates of Deshmukh and Pollett's networks.

`parameters` and `macs` read any built Keras model; the others count from the settings alone, which takes no time, and
tests compare the two.
"""

import math
from typing import Any

from papers.deshmukh_irm.config import (
    BASELINE_LAYERS,
    DEPTH,
    FACTOR,
    Compression,
    Config,
    SuperResolution,
    at_scale,
)

KERNEL, LARGE_KERNEL = 9, 81  # weights of the kernels, 3x3 and the SRGAN's 9x9


def parameters(network: Any) -> int:
    """Return a network's trained parameters: the running means of batch normalisation do not count."""
    return sum(math.prod(variable.shape) for variable in network.trainable_weights)


def macs(network: Any, height: int, width: int) -> int:
    """Return the multiplications with weights of convolutions, for one input of height x width, without biases."""
    shapes = {network.layers[0].name: (height, width)}
    total, shape = 0, (height, width)
    for layer in network.layers[1:]:
        shape, weights = _sides(layer, shape), _convolved(layer)
        total += weights * shape[0] * shape[1]
        shapes[layer.name] = shape
    return total


def _convolved(layer: Any) -> int:
    """Return the weights of a layer that every pixel of its output meets."""
    return sum(math.prod(v.shape) for v in layer.weights if "kernel" in v.name) if "_conv" in layer.name else 0


def _sides(layer: Any, shape: tuple[int, int]) -> tuple[int, int]:
    if "_conv" in layer.name:
        strides = layer.strides if isinstance(layer.strides, (tuple, list)) else (layer.strides,) * 2
        return -(-shape[0] // strides[0]), -(-shape[1] // strides[1])
    if layer.name.endswith("_d2s"):
        return 2 * shape[0], 2 * shape[1]
    return (-(-shape[0] // 2), -(-shape[1] // 2)) if "_decimate" in layer.name else shape


def compression_macs(config: Compression, height: int, width: int) -> dict[str, int]:
    """Return the multiply-accumulates of `icm` and `irm` for one picture; up-sampling is not counted."""
    channels, maps, inner = config.channels, config.num_maps, config.icm_maps
    pixels, coded = height * width, height * width // config.stride**2
    # A dilated layer computes all pixels before it leaves some out.
    sizes = (coded if config.strided_layer == 1 else pixels, pixels if config.dilation > 1 else coded, coded)
    weights = (channels * inner, inner**2, inner * channels)
    icm = sum(KERNEL * count * size for count, size in zip(weights, sizes, strict=True))
    layers = BASELINE_LAYERS if config.architecture == "baseline" else 3 * DEPTH
    separable = DEPTH if config.architecture != "baseline" and config.separable else 0
    irm = KERNEL * (2 * channels * maps + (layers - separable) * maps**2) + separable * (KERNEL * maps + maps**2)
    return {"icm": icm, "irm": irm * pixels}


def generator_macs(config: SuperResolution, height: int, width: int) -> int:
    """Return the multiply-accumulates of the SRGAN's generator for a picture of height x width to be enlarged."""
    channels, maps, blocks = config.channels, config.num_maps, config.num_blocks
    first, last = LARGE_KERNEL * channels * maps, LARGE_KERNEL * maps * channels
    up = KERNEL * maps * 4 * maps
    return height * width * (first + (2 * blocks + 1) * KERNEL * maps**2 + up + 4 * up + FACTOR**2 * last)


def training_flops(config: Config, scale: str) -> float:
    """Return the floating-point operations of a config's training at a scale: six a multiply-accumulate and image.

    The SRGAN's are those of its generator; the discriminator is not counted.
    """
    shortened = at_scale(config, scale)
    size, steps = shortened.patch_size, shortened.steps
    if isinstance(shortened, SuperResolution):
        macs, steps = generator_macs(shortened, size // FACTOR, size // FACTOR), steps + shortened.adversarial_steps
    else:
        assert isinstance(shortened, Compression)
        macs, steps = sum(compression_macs(shortened, size, size).values()), steps + shortened.settled_steps
    return 6.0 * macs * steps * shortened.batch_size
