"""Shapes, parameters and multiply-accumulates of Paka and Khatter's Fig. 4, read from the built Keras models."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from papers.paka_autoencoder.config import Config, at_scale

INPUT = "input_1"


@dataclass(frozen=True)
class LayerRow:
    """One line of Fig. 4: the size of a layer's output in pixels and channels, and what it holds and computes."""

    name: str
    height: int
    width: int
    channels: int
    parameters: int
    macs: int  # multiplications with weights for one picture, without biases

    @property
    def values(self) -> int:
        """How many numbers the output has."""
        return self.height * self.width * self.channels


@cache
def layers(config: Config) -> tuple[LayerRow, ...]:
    """Return input and layers of a config's network in the order of the data flow, for a picture of its size."""
    from papers.paka_autoencoder import model

    shape = (config.height, config.width, 3)
    code = (config.height // config.stride, config.width // config.stride, config.code_channels)
    encoder = _rows(model.analysis_transform(config), shape)
    decoder = _rows(model.synthesis_transform(config), code)
    return (LayerRow(INPUT, *shape, 0, 0), *encoder, *decoder)


def _rows(transform: Any, input_shape: tuple[int, int, int]) -> list[LayerRow]:
    """Return the layers of a functional model applied to (height, width, channels), without inputs and activations."""
    from common.backend import keras

    shown = [layer for layer in transform.layers if type(layer).__name__ not in ("InputLayer", "Activation")]
    # The models take any size; symbolic tensors of one size tell every layer's output without computing anything.
    probe = keras.Model(transform.inputs, [layer.output for layer in shown])
    outputs = probe(keras.Input(input_shape, batch_size=1))
    return [_row(layer, output.shape) for layer, output in zip(shown, outputs, strict=True)]


def _row(layer: Any, output_shape: Any) -> LayerRow:
    height, width, channels = (int(side) for side in output_shape[1:])
    sizes = [int(np.prod(weight.shape)) for weight in layer.weights]
    kernel = sizes[0] if sizes else 0
    return LayerRow(layer.name, height, width, channels, sum(sizes), kernel * height * width)


def training_flops(config: Config, scale: str) -> float:
    """Return the floating-point operations of a config's training at a scale.

    Two operations a multiply-accumulate, and three passes' worth a picture: one forward, two backward.
    """
    shortened = at_scale(config, scale)
    pictures = shortened.batch_size * shortened.steps * shortened.patch_size**2 / (config.height * config.width)
    return 6.0 * macs(config) * pictures


def macs(config: Config) -> int:
    """Return the multiply-accumulates of the convolutions of `layers`, without building them: that takes seconds."""
    encoder, decoder = config.encoder_filters, config.decoder_filters
    total, pixels, inputs = 0, config.height * config.width, 3
    for filters in encoder:
        at = pixels // 4 if config.has_rate else pixels  # a bottleneck's convolutions have the stride themselves
        total, pixels, inputs = total + 9 * inputs * filters * at, pixels // 4, filters
    total, inputs = total + 9 * inputs * config.code_channels * pixels, config.code_channels
    for filters in decoder:
        total, pixels, inputs = total + 9 * inputs * filters * pixels, 4 * pixels, filters
    return total + 9 * inputs * 3 * pixels
