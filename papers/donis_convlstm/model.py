"""The networks of Donis and Brown: encoder, binarizer and decoder of 32x32 pixels, and of the iterative codec.

x is float32 (B, H, W, 3) in [0, 1]; the code of as many 16x16 pixels is (B, H/16, W/16, 32).
"""

from collections.abc import Sequence
from typing import Any

from common.backend import keras, ops
from common.layers import DepthToSpace, leaky_relu
from papers.donis_convlstm.config import Config, Iterative
from papers.donis_convlstm.layers import ConvLSTM2DFirstStep, ConvLSTM2DStep, conv_lstm, scaled

layers = keras.layers
MAX_UNROLLED = 64  # more iterations than a training has, so that no two of its seeds share noise
STRIDE = 16  # pixels of a code's position, along each side


def encoder(config: Config, recurrent: bool = False) -> Any:
    """Return x -> code, float32 (B, 2, 2, 32): a strided Conv2D, three strided ConvLSTM2D, the binarizer's 1x1 Conv2D.

    With `recurrent` the layers are Keras' ConvLSTM2D with a time axis of length 1, as the authors built them; without
    it their first steps, with the same outputs. A code that is not binarized has passed a LeakyReLU.
    """
    size = config.patch_size
    x = h = keras.Input((size, size, 3), name="x")
    h = _activated(_conv(h, config.encoder_filters[0], 3, "E_conv", 2), config, "E_conv")
    for i, filters in enumerate(config.encoder_filters[1:], 1):
        h = _activated(_one_step(h, filters, 3, 2, f"E_lstm{i}", recurrent), config, f"E_lstm{i}")
    h = _conv(h, config.code_channels, 1, "B_conv")
    h = _activated(h, config, "B_conv") if config.binarizer == "none" else h
    return keras.Model(x, _float32(h, "code"), name="encoder")


def decoder(config: Config, recurrent: bool = False) -> Any:
    """Return code -> x_hat, float32 (B, 32, 32, 3), about [0, 1] and not clipped: four times up by depth_to_space."""
    size = config.patch_size // STRIDE
    code = h = keras.Input((size, size, config.code_channels), name="code")
    h = _activated(_conv(h, config.decoder_filters[0], 1, "D_conv"), config, "D_conv")
    for i, (filters, kernel) in enumerate(zip(config.decoder_filters[1:], config.decoder_kernels, strict=True), 1):
        h = _activated(_one_step(h, filters, kernel, 1, f"D_lstm{i}", recurrent), config, f"D_lstm{i}")
        h = DepthToSpace(name=f"D_up{i}")(h)
    h = leaky_relu("D_out_leaky", config.slopes[1])(_conv(h, 3, 1, "D_out"))
    return keras.Model(code, _float32(h, "x_hat"), name="decoder")


def one_step_weights(layer: Any) -> dict[str, Any]:
    """Return `kernel` and `bias` of a first step that equals Keras' ConvLSTM2D `layer`, as arrays: no forget gate."""
    from common.backend import to_numpy

    kernel, _, bias = (to_numpy(variable) for variable in layer.weights)
    return {name: _without_forget_gate(array) for name, array in (("kernel", kernel), ("bias", bias))}


def _without_forget_gate(array: Any) -> Any:
    import numpy as np

    entry, _, candidate, exit_ = np.split(array, 4, axis=-1)
    return np.concatenate([entry, candidate, exit_], axis=-1)


def _one_step(h, filters, kernel, strides, name, recurrent):
    if not recurrent:
        return ConvLSTM2DFirstStep(filters, kernel, strides, name=name)(h)
    height, width, channels = h.shape[1:]
    h = layers.Reshape((1, height, width, channels), name=f"{name}_time")(h)
    return conv_lstm(filters, kernel, strides, name)(h)


def _conv(h, filters, kernel, name, strides=1, start="glorot_uniform"):
    return layers.Conv2D(filters, kernel, strides=strides, padding="same", kernel_initializer=start, name=name)(h)


def _activated(h, config, name):
    return leaky_relu(f"{name}_leaky", config.slopes[0])(h)


def _float32(h, name):
    return layers.Activation("linear", dtype="float32", name=name)(h)


def binarized(code: Any, noise: Any = None) -> Any:
    """Return tanh(code) as -1 or 1, with tanh's gradient: its sign, 1 where it is 0.

    noise, uniform in [-1, 1), makes it stochastic for training: 1 with probability (1 + tanh(code)) / 2.
    Source: Toderici et al. 2016, "Variable rate image compression with recurrent neural networks", Section 3.2.
    """
    value = ops.tanh(code)
    shifted = value if noise is None else value + noise
    bits = 2.0 * ops.cast(shifted >= 0.0, "float32") - 1.0
    return value + ops.stop_gradient(bits - value)


# --- the iterative codec -------------------------------------------------------------------------------------------

State = Sequence[Any]  # h and c of every ConvLSTM2D, in order


def recurrent_encoder(config: Iterative) -> Any:
    """Return (residual, *state) -> (code, *next state) of any size in whole strides of 16."""
    residual = h = keras.Input((None, None, 3), name="residual")
    h = _conv(h, config.encoder_filters[0], 3, "E_conv", 2, start=scaled(config.gains[0]))
    states: list[Any] = []
    nexts: list[Any] = []
    for i, filters in enumerate(config.encoder_filters[1:], 1):
        step = _step(config, i, filters, 3, 2, f"E_lstm{i}")
        h = _recur(step, h, states, nexts)
    h = _conv(h, config.code_channels, 1, "B_conv", start=scaled(config.gains[1]))
    code = _float32(h, "code")
    return keras.Model([residual, *states], [code, *nexts], name="encoder")


def recurrent_decoder(config: Iterative) -> Any:
    """Return (code, *state) -> (output, *next state); output is what an iteration adds, or the picture itself."""
    code = h = keras.Input((None, None, config.code_channels), name="code")
    h = _conv(h, config.decoder_filters[0], 1, "D_conv")
    states: list[Any] = []
    nexts: list[Any] = []
    for i, (filters, kernel) in enumerate(zip(config.decoder_filters[1:], config.decoder_kernels, strict=True), 1):
        step = _step(config, len(config.encoder_filters) - 1 + i, filters, kernel, 1, f"D_lstm{i}")
        h = _recur(step, h, states, nexts)
        h = DepthToSpace(name=f"D_up{i}")(h)
    output = _float32(_conv(h, 3, 1, "D_out", start=scaled(config.gains[2])), "output")
    return keras.Model([code, *states], [output, *nexts], name="decoder")


def _step(config, place, filters, kernel, strides, name):
    """Return the ConvLSTM2D at a place, counted from 1; those that follow a Conv2D see inputs of full size."""
    gain = 1.0 if name.endswith("1") else config.gains[1]
    return ConvLSTM2DStep(filters, kernel, config.hidden_kernels[place - 1], strides, gain, name=name)


def _recur(step, h, states, nexts):
    """Apply a step to `h`; its own state's inputs and outputs are appended to `states` and `nexts`."""
    state = [keras.Input((None, None, step.filters), name=f"{step.name}_{part}") for part in "hc"]
    h, c = step([h, *state])
    states += state
    nexts += [_float32(h, f"{step.name}_next_h"), _float32(c, f"{step.name}_next_c")]
    return h


def encoder_state(config: Iterative, batch: int, height: int, width: int) -> list[tuple[int, int, int, int]]:
    """Return the shapes of the encoder's state for pictures of whole strides: of h and c of every ConvLSTM2D."""
    sizes = [(2 ** (i + 2), filters) for i, filters in enumerate(config.encoder_filters[1:])]
    return [(batch, height // size, width // size, filters) for size, filters in sizes for _ in "hc"]


def decoder_state(config: Iterative, batch: int, height: int, width: int) -> list[tuple[int, int, int, int]]:
    """Return the shapes of the decoder's state, as `encoder_state`."""
    sizes = [(STRIDE >> i, filters) for i, filters in enumerate(config.decoder_filters[1:])]
    return [(batch, height // size, width // size, filters) for size, filters in sizes for _ in "hc"]


def first_estimate(x: Any) -> Any:
    """Return what the decoder knows before the first iteration: grey, like x."""
    return 0.0 * x + 0.5


def next_estimate(config: Iterative, x_hat: Any, output: Any, gain: Any) -> Any:
    """Return x_hat after an iteration: the last one and output / gain (additive), or grey and the output (one-shot)."""
    return x_hat + output / gain if config.reconstruction == "additive" else output + 0.5
