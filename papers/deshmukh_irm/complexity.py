"""Parameters and multiply-accumulates of Deshmukh and Pollett's networks, read from the built Keras models."""

import math
from typing import Any

from papers.deshmukh_irm.config import FACTOR, Compression, Config, SuperResolution, at_scale


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
    from papers.deshmukh_irm import model

    return {"icm": macs(model.icm(config), height, width), "irm": macs(model.irm(config), height, width)}


def generator_macs(config: SuperResolution, height: int, width: int) -> int:
    """Return the multiply-accumulates of the SRGAN's generator for a picture of height x width to be enlarged."""
    from papers.deshmukh_irm.super_resolution import generator

    return macs(generator(config), height, width)


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
