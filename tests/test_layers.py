"""Convolutions to one channel in blocks, and transposed ones by phases, are Keras' own: outputs, gradients, variables."""
from __future__ import annotations

import numpy as np
import pytest
from narrow import gradients

from common import backend
from common.backend import keras, ops
from common.layers import (
    PhaseConv2DTranspose,
    SingleChannelConv2D,
    SingleChannelConv2DTranspose,
    transposed_convolution,
)

pytestmark = pytest.mark.stack

UPSCALE = {"conv": 1, "deconv": 2, "phases": 2}


def pair(kind, channels, size=9):
    """Return a layer of ours and Keras' own, built, with the same weights; phases have three filters."""
    if kind == "phases":
        ours = PhaseConv2DTranspose(3, size, name="last")
        theirs = keras.layers.Conv2DTranspose(3, size, strides=2, padding="same", name="last")
    elif kind == "conv":
        ours = SingleChannelConv2D(size, name="last")
        theirs = keras.layers.Conv2D(1, size, padding="same", name="last")
    else:
        ours = SingleChannelConv2DTranspose(size, name="last")
        theirs = keras.layers.Conv2DTranspose(1, size, strides=2, padding="same", name="last")
    rng = np.random.RandomState(1)
    for layer in (ours, theirs):
        layer.build((None, None, None, channels))
    for one, other in zip(ours.weights, theirs.weights):
        value = rng.normal(0, 1 / size, tuple(other.shape)).astype(np.float32)
        backend.assign(one, value)
        backend.assign(other, value)
    return ours, theirs


def maps(height, width, channels):
    return np.random.RandomState(0).normal(0, channels**-0.5, (2, height, width, channels)).astype(np.float32)


@pytest.mark.parametrize("kind", UPSCALE)
@pytest.mark.parametrize("height, width, channels", [(1, 1, 4), (2, 3, 1), (9, 8, 32), (33, 47, 4)])
def test_outputs_are_those_of_keras_for_pictures_of_any_size(kind, height, width, channels):
    ours, theirs = pair(kind, channels)
    x = maps(height, width, channels)
    y = backend.to_numpy(ours(x))
    assert y.shape == (2, UPSCALE[kind] * height, UPSCALE[kind] * width, 3 if kind == "phases" else 1)
    np.testing.assert_allclose(y, backend.to_numpy(theirs(x)), rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", UPSCALE)
@pytest.mark.parametrize("size", [1, 3, 4, 5])
def test_outputs_are_those_of_keras_for_kernels_of_other_sizes(kind, size):
    ours, theirs = pair(kind, 3, size)
    x = maps(7, 10, 3)
    np.testing.assert_allclose(backend.to_numpy(ours(x)), backend.to_numpy(theirs(x)), rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", UPSCALE)
@pytest.mark.parametrize("channels", [1, 4, 32])
def test_gradients_to_the_input_and_to_the_weights_are_those_of_keras(kind, channels):
    ours, theirs = pair(kind, channels)
    x = maps(9, 14, channels)
    upstream = np.random.RandomState(2).normal(0, 0.1, backend.to_numpy(theirs(x)).shape).astype(np.float32)
    _, x_gradient, others = gradients(ours, x, upstream, ours)
    _, x_expected, expected = gradients(theirs, x, upstream, theirs)
    np.testing.assert_allclose(x_gradient, x_expected, rtol=0, atol=1e-5)
    assert list(others) == list(expected) == ["kernel", "bias"]
    for name, gradient in others.items():
        np.testing.assert_allclose(gradient, expected[name], rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", UPSCALE)
def test_variables_start_and_shapes_are_those_of_keras(kind):
    ours, theirs = pair(kind, 4)
    shapes = [{name: tuple(v.shape) for name, v in backend.variables(layer).items()} for layer in (ours, theirs)]
    assert shapes[0] == shapes[1] == {"kernel": (9, 9, 4, 1) if kind == "conv" else (9, 9, 1, 4), "bias": (1,)}
    assert ours.count_params() == theirs.count_params() == 9 * 9 * 4 + 1
    for shape in [(2, 6, 5, 4), (None, None, None, 4)]:
        assert tuple(ours.compute_output_shape(shape)) == tuple(theirs.compute_output_shape(shape))
    assert type(ours.kernel_initializer) is type(theirs.kernel_initializer)
    assert type(ours.bias_initializer) is type(theirs.bias_initializer)


@pytest.mark.parametrize("kind", UPSCALE)
def test_a_compiled_network_takes_pictures_of_any_size(kind):
    ours, theirs = pair(kind, 4)
    inputs = keras.Input((None, None, 4))
    network = keras.Model(inputs, ours(inputs))
    assert tuple(network.output.shape) == (None, None, None, 1)
    run = backend.compiled(network)
    for height, width in [(9, 8), (33, 47)]:
        x = maps(height, width, 4)
        np.testing.assert_allclose(run(x), backend.to_numpy(theirs(x)), rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", UPSCALE)
def test_bfloat16_maps_give_float32_outputs(kind):
    backend.set_precision("mixed_bfloat16")
    try:
        ours, _ = pair(kind, 4)
    finally:
        backend.set_precision("float32")
    _, theirs = pair(kind, 4)
    x = ops.cast(maps(9, 8, 4), "bfloat16")
    y = backend.to_numpy(ours(x))
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, backend.to_numpy(theirs(ops.cast(x, "float32"))), rtol=0, atol=1e-5)


def test_phases_are_used_in_jax_and_for_a_stride_of_two_alone():
    kinds = {stride: type(transposed_convolution(4, 3, stride, "up")) for stride in (1, 2)}
    assert kinds[1] is keras.layers.Conv2DTranspose
    assert kinds[2] is (PhaseConv2DTranspose if backend.BACKEND == "jax" else keras.layers.Conv2DTranspose)
