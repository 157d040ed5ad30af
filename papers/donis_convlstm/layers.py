"""ConvLSTM2D three ways: Keras' own, one step that carries its state, and a first step, where most of it does nothing.

In all of them the gates are those of Keras when the authors used it: hard_sigmoid is clip(0.2 x + 0.5, 0, 1), which
Keras 3 defines otherwise. The candidate and the output pass tanh.
"""

import math
from typing import Any

from common.backend import keras, ops


def hard_sigmoid(x: Any) -> Any:
    """Return clip(0.2 x + 0.5, 0, 1)."""
    return ops.clip(0.2 * x + 0.5, 0.0, 1.0)


def conv_lstm(filters: int, kernel_size: int, strides: int, name: str) -> Any:
    """Return Keras' ConvLSTM2D, every activation given: float (B, T, H, W, C) -> the last step's (B, H', W', F).

    Kernels of input and state have the same size. H and W must be known.
    """
    return keras.layers.ConvLSTM2D(
        filters,
        kernel_size,
        strides,
        padding="same",
        activation="tanh",
        recurrent_activation=hard_sigmoid,
        kernel_initializer="glorot_uniform",
        recurrent_initializer="orthogonal",
        bias_initializer="zeros",
        unit_forget_bias=True,
        name=name,
    )


class ConvLSTM2DFirstStep(keras.layers.Layer):
    """The first step of a ConvLSTM2D from a zero state, float (B, H, W, C) -> (B, H', W', F).

    The state being zero, the recurrent kernel and the forget gate act on nothing: they are left out, and outputs are
    the same. Variables: `kernel` (k, k, C, 3F) and `bias` (3F,) of the input gate, the candidate and the output gate,
    which start as ConvLSTM2D's do.
    """

    def __init__(self, filters: int, kernel_size: int, strides: int, name: str | None = None) -> None:
        super().__init__(name=name)
        self.filters, self.kernel_size, self.strides = filters, kernel_size, strides

    def build(self, input_shape):
        size, channels = self.kernel_size, input_shape[-1]
        # Glorot's limit for the kernel of all four gates.
        limit = math.sqrt(6.0 / (size**2 * (channels + 4 * self.filters)))
        uniform = keras.initializers.RandomUniform(-limit, limit)
        shape = (size, size, channels, 3 * self.filters)
        self.kernel = self.add_weight(name="kernel", shape=shape, initializer=uniform)
        self.bias = self.add_weight(name="bias", shape=(3 * self.filters,), initializer="zeros")

    def call(self, x):
        kernel, bias = (ops.cast(variable, self.compute_dtype) for variable in (self.kernel, self.bias))
        gates = ops.conv(x, kernel, strides=self.strides, padding="same") + bias
        entry, candidate, exit_ = ops.split(gates, 3, axis=-1)
        return hard_sigmoid(exit_) * ops.tanh(hard_sigmoid(entry) * ops.tanh(candidate))

    def compute_output_shape(self, input_shape):
        return output_shape(input_shape, self.filters, self.strides)


class ConvLSTM2DStep(keras.layers.Layer):
    """One step of a ConvLSTM2D: x, float (B, H, W, C), h and c, (B, H', W', F) -> the next h and c.

    Variables as of ConvLSTM2D: `kernel` (k, k, C, 4F), `recurrent_kernel` (r, r, F, 4F) whose size may differ, `bias`
    (4F,); gates in the order input, forget, candidate, output.
    """

    def __init__(
        self, filters: int, kernel_size: int, hidden_size: int, strides: int, gain: float, name: str | None = None
    ) -> None:
        """Take sizes, and how much larger than its input the kernel makes what the gates see at first."""
        super().__init__(name=name)
        self.filters, self.kernel_size, self.hidden_size, self.strides = filters, kernel_size, hidden_size, strides
        self.kernel_initializer = scaled(gain)

    def build(self, input_shape):
        channels = input_shape[0][-1]
        size, hidden, gates = self.kernel_size, self.hidden_size, 4 * self.filters
        shapes = {"kernel": (size, size, channels, gates), "recurrent_kernel": (hidden, hidden, self.filters, gates)}
        starts = {"kernel": self.kernel_initializer, "recurrent_kernel": "orthogonal"}
        for name, shape in shapes.items():
            setattr(self, name, self.add_weight(name=name, shape=shape, initializer=starts[name]))
        self.bias = self.add_weight(name="bias", shape=(gates,), initializer=forget_bias)

    def call(self, inputs):
        x, h, c = inputs
        kernel, recurrent, bias = (
            ops.cast(variable, self.compute_dtype) for variable in (self.kernel, self.recurrent_kernel, self.bias)
        )
        gates = ops.conv(x, kernel, strides=self.strides, padding="same") + bias
        gates = gates + ops.conv(h, recurrent, strides=1, padding="same")
        entry, forget, candidate, exit_ = ops.split(gates, 4, axis=-1)
        c = hard_sigmoid(forget) * c + hard_sigmoid(entry) * ops.tanh(candidate)
        return hard_sigmoid(exit_) * ops.tanh(c), c

    def compute_output_shape(self, input_shape):
        return tuple(output_shape(input_shape[0], self.filters, self.strides) for _ in range(2))


def scaled(gain: float) -> Any:
    """Return an initialiser of kernels whose outputs are `gain` times as large as their inputs."""
    return keras.initializers.VarianceScaling(gain**2, mode="fan_in", distribution="uniform")


def forget_bias(shape: tuple, dtype: Any = None) -> Any:
    """Return the first bias of a ConvLSTM2D: 1 for the forget gate, 0 for the others."""
    quarter = shape[0] // 4
    return ops.concatenate([ops.zeros((quarter,)), ops.ones((quarter,)), ops.zeros((2 * quarter,))], axis=0)


def output_shape(input_shape: tuple, filters: int, strides: int) -> tuple:
    """Return (B, H', W', filters) of a convolution with padding."""
    batch, height, width, _ = input_shape
    return (batch, *(None if side is None else -(-side // strides) for side in (height, width)), filters)
