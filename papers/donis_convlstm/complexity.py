"""Parameters and multiply-accumulates of Donis and Brown's networks, layer by layer, and what a training takes.

They are counted from the settings alone, which takes no time; tests compare them with the built Keras models.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from papers.donis_convlstm.config import MAX_ITERATIONS, Config, Iterative, at_scale

SIDE = 32  # pixels of the paper's pictures
UP = 4  # channels that depth_to_space makes one of
ENCODER_KERNEL = 3
# The reference's training pictures: so many of 1280x720, Section II-C, each with the pixels of so many of the paper's.
REFERENCE_PICTURES, REFERENCE_TILES = 6_000_000, 1280 * 720 // SIDE**2


@dataclass(frozen=True)
class LayerRow:
    """One convolution, or the convolutions of one ConvLSTM2D, for a picture of 32x32 pixels."""

    name: str
    kernel: int
    strides: int
    inputs: int  # channels
    outputs: int
    size: int  # pixels of the output, along each side
    parameters: int
    macs: int  # multiplications with weights for one picture, without biases


def layers(config: Config, recurrent: bool = False) -> tuple[LayerRow, ...]:
    """Return the layers of encoder, binarizer and decoder in the order of the data flow.

    One iteration is counted by the first steps of its ConvLSTM2D, with `recurrent` by Keras' ConvLSTM2D, whose
    recurrent kernels multiply a state of zeros; an `Iterative` always by steps that carry a state.
    """
    return (*_encoder(config, recurrent), *_decoder(config, recurrent))


def _encoder(config: Config, recurrent: bool) -> Iterator[LayerRow]:
    filters, size = config.encoder_filters, SIDE // 2
    yield _conv("E_conv", 3, 2, 3, filters[0], size)
    for i, (inputs, outputs, hidden) in enumerate(
        zip(filters, filters[1:], _hidden(config, recurrent), strict=False), 1
    ):
        size //= 2
        yield _lstm(f"E_lstm{i}", ENCODER_KERNEL, hidden, 2, inputs, outputs, size)
    yield _conv("B_conv", 1, 1, filters[-1], config.code_channels, size)


def _decoder(config: Config, recurrent: bool) -> Iterator[LayerRow]:
    filters, size = config.decoder_filters, SIDE >> len(config.encoder_filters)
    yield _conv("D_conv", 1, 1, config.code_channels, filters[0], size)
    inputs, hidden = filters[0], _hidden(config, recurrent)[len(config.encoder_filters) - 1 :]
    for i, (kernel, outputs) in enumerate(zip(config.decoder_kernels, filters[1:], strict=True)):
        yield _lstm(f"D_lstm{i + 1}", kernel, hidden[i], 1, inputs, outputs, size)
        inputs, size = outputs // UP, 2 * size
    yield _conv("D_out", 1, 1, inputs, 3, size)


def _conv(name: str, kernel: int, strides: int, inputs: int, outputs: int, size: int) -> LayerRow:
    weights = kernel**2 * inputs * outputs
    return LayerRow(name, kernel, strides, inputs, outputs, size, weights + outputs, weights * size**2)


def _lstm(name: str, kernel: int, hidden: int, strides: int, inputs: int, outputs: int, size: int) -> LayerRow:
    """Return the row of a ConvLSTM2D with kernels of two sizes; `hidden` is 0 for its first step."""
    gates = 4 if hidden else 3  # to a state of zeros the forget gate does nothing
    weights = (kernel**2 * inputs + hidden**2 * outputs) * gates * outputs
    return LayerRow(name, kernel, strides, inputs, outputs, size, weights + gates * outputs, weights * size**2)


def _hidden(config: Config, recurrent: bool) -> tuple[int, ...]:
    """Return the recurrent kernels' sizes of all ConvLSTM2D, 0 where there is none."""
    if isinstance(config, Iterative):
        return config.hidden_kernels
    kernels = (*[ENCODER_KERNEL] * (len(config.encoder_filters) - 1), *config.decoder_kernels)
    return kernels if recurrent else (0,) * len(kernels)


def parameters(config: Config, recurrent: bool = False) -> int:
    """Return how many weights and biases the networks have; `recurrent` as in `layers`."""
    return sum(row.parameters for row in layers(config, recurrent))


def unshared_parameters(config: Config, iterations: int = MAX_ITERATIONS) -> int:
    """Return the weights and biases of so many copies of the network in series, as the authors built iterations."""
    return iterations * parameters(config, recurrent=True)


def macs(config: Config, recurrent: bool = False) -> int:
    """Return the multiplications with weights for one picture of 32x32 pixels in one iteration, without biases.

    `recurrent` as in `layers`.
    """
    return sum(row.macs for row in layers(config, recurrent))


def training_flops(config: Config, scale: str) -> float:
    """Return the floating-point operations of a config's training at a scale, on the one-step path for one iteration.

    Two operations a multiply-accumulate, and three passes' worth a picture: one forward, two backward.
    """
    shortened = at_scale(config, scale)
    if isinstance(shortened, Iterative):
        passes = sum(iterations * steps for iterations, steps, _ in shortened.phases)
    else:
        passes = shortened.steps
    pictures = passes * shortened.batch_size * (shortened.patch_size / SIDE) ** 2
    return 6.0 * macs(shortened) * pictures
