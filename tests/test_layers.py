"""Convolutions to one channel and transposed ones by phases are Keras' own: outputs, gradients, variables."""

from contextlib import contextmanager

import numpy as np
import pytest
from narrow import gradients, needs_bfloat16

from common import backend, convolutions
from common.backend import keras, ops
from common.convolutions import TapwiseConv2D, TapwiseConv2DTranspose
from common.layers import (
    PhaseConv2DTranspose,
    SingleChannelConv2D,
    SingleChannelConv2DTranspose,
    leaky_relu,
    transposed_convolution,
)

pytestmark = pytest.mark.stack

UPSCALE = {"conv": 1, "deconv": 2, "phases": 2}
FILTERS = {"conv": 1, "deconv": 1, "phases": 3}
SINGLE = [kind for kind, filters in FILTERS.items() if filters == 1]


def pair(kind, channels, size=9):
    """Return a layer of ours and Keras' own, built, with the same weights."""
    filters = FILTERS[kind]
    if kind == "phases":
        ours = PhaseConv2DTranspose(filters, size, name="last")
        theirs = keras.layers.Conv2DTranspose(filters, size, strides=2, padding="same", name="last")
    elif kind == "conv":
        ours = SingleChannelConv2D(size, name="last")
        theirs = keras.layers.Conv2D(1, size, padding="same", name="last")
    else:
        ours = SingleChannelConv2DTranspose(size, name="last")
        theirs = keras.layers.Conv2DTranspose(1, size, strides=2, padding="same", name="last")
    rng = np.random.RandomState(1)
    for layer in (ours, theirs):
        layer.build((None, None, None, channels))
    for one, other in zip(ours.weights, theirs.weights, strict=True):
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
    assert y.shape == (2, UPSCALE[kind] * height, UPSCALE[kind] * width, FILTERS[kind])
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
    filters = FILTERS[kind]
    kernel = (9, 9, 4, filters) if kind == "conv" else (9, 9, filters, 4)
    assert shapes[0] == shapes[1] == {"kernel": kernel, "bias": (filters,)}
    assert ours.count_params() == theirs.count_params() == 9 * 9 * 4 * filters + filters
    for shape in [(2, 6, 5, 4), (None, None, None, 4)]:
        assert tuple(ours.compute_output_shape(shape)) == tuple(theirs.compute_output_shape(shape))
    assert type(ours.kernel_initializer) is type(theirs.kernel_initializer)
    assert type(ours.bias_initializer) is type(theirs.bias_initializer)


@pytest.mark.parametrize("kind", UPSCALE)
def test_a_compiled_network_takes_pictures_of_any_size(kind):
    ours, theirs = pair(kind, 4)
    inputs = keras.Input((None, None, 4))
    network = keras.Model(inputs, ours(inputs))
    assert tuple(network.output.shape) == (None, None, None, FILTERS[kind])
    run = backend.compiled(network)
    for height, width in [(9, 8), (33, 47)]:
        x = maps(height, width, 4)
        np.testing.assert_allclose(run(x), backend.to_numpy(theirs(x)), rtol=0, atol=1e-5)


@contextmanager
def mixed_precision():
    backend.set_precision("bfloat16")
    try:
        yield
    finally:
        backend.set_precision("float32")


@needs_bfloat16
@pytest.mark.parametrize("kind", SINGLE)
def test_bfloat16_maps_give_float32_outputs_of_single_channels(kind):
    with mixed_precision():
        ours, _ = pair(kind, 4)
    _, theirs = pair(kind, 4)
    x = ops.cast(maps(9, 8, 4), "bfloat16")
    y = backend.to_numpy(ours(x))
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, backend.to_numpy(theirs(ops.cast(x, "float32"))), rtol=0, atol=1e-5)


@needs_bfloat16
def test_in_mixed_precision_phases_are_keras_within_the_rounding_of_bfloat16():
    with mixed_precision():
        ours, theirs = pair("phases", 4)
    _, exact = pair("phases", 4)
    x = ops.cast(maps(9, 8, 4), "bfloat16")
    found, expected = ours(x), theirs(x)
    assert backend.to_numpy(found).dtype == backend.to_numpy(expected).dtype == "bfloat16"
    assert {backend.to_numpy(weight).dtype for weight in ours.weights} == {np.dtype(np.float32)}
    precise = exact(ops.cast(x, "float32"))
    y, other, true = (backend.to_numpy(ops.cast(z, "float32")) for z in (found, expected, precise))
    # bfloat16 has eight binary digits, so values up to 2 are rounded by up to 2**-8. A processor may round each of up
    # to 25 x 4 sums, in an order of its own: these errors add up like the steps of a random walk.
    sums_rounded = 2**-8 * np.sqrt(25 * 4)
    assert np.abs(true).max() < 2.5 and true.std() > 10 * sums_rounded
    for rounded in (y, other):
        assert 0 < np.abs(rounded - true).max() < sums_rounded


def test_phases_are_used_in_jax_and_for_a_stride_of_two_alone():
    kinds = {stride: type(transposed_convolution(4, 3, stride, "up")) for stride in (1, 2)}
    other = TapwiseConv2DTranspose if backend.computes_on_cpu_in_tensorflow() else keras.layers.Conv2DTranspose
    assert kinds[1] is other
    assert kinds[2] is (PhaseConv2DTranspose if backend.BACKEND == "jax" else other)


# --- LeakyReLU -----------------------------------------------------------------------------------------------------


def test_the_slope_of_leaky_relu_is_the_one_asked_for():
    x = np.array([[-2.0, 0.0, 3.0]], np.float32)
    np.testing.assert_allclose(backend.to_numpy(leaky_relu("act")(x)), [[-0.4, 0, 3]], rtol=1e-6)
    np.testing.assert_allclose(backend.to_numpy(leaky_relu("act", 0.5)(x)), [[-1, 0, 3]], rtol=1e-6)


@needs_bfloat16
@pytest.mark.skipif(backend.BACKEND != "tensorflow", reason="only TensorFlow's kernel is slower than the product")
def test_the_gradient_of_leaky_relu_in_bfloat16_is_keras_own_to_the_bit():
    import tensorflow as tf

    values = np.random.default_rng(0).normal(size=(2, 8, 8, 16)).astype(np.float32)
    values[0, 0, 0, :3] = 0.0, -0.0, np.finfo(np.float32).tiny
    x, upstream = tf.cast(values, "bfloat16"), tf.cast(values[::-1] * 3, "bfloat16")
    with mixed_precision():
        layers = leaky_relu("act", 0.3), keras.layers.LeakyReLU(0.3)
    assert type(layers[0]).__name__ == "ProductLeakyReLU" or not backend.computes_on_cpu_in_tensorflow()
    both = []
    for layer in layers:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
        both.append((y, tape.gradient(y, x, upstream)))
    for ours, theirs in zip(*both, strict=True):
        assert ours.dtype == theirs.dtype == tf.bfloat16
        np.testing.assert_array_equal(backend.to_numpy(ours), backend.to_numpy(theirs))


# --- filter gradients as matrix products ---------------------------------------------------------------------------


@pytest.mark.skipif(backend.BACKEND != "tensorflow", reason="only TensorFlow's kernels are slower than the products")
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("size, stride", [(1, 1), (3, 1), (3, 2), (5, 1), (5, 2), (9, 2), (4, 2)])
@pytest.mark.parametrize("height, width", [(8, 12), (9, 7)])
def test_a_filter_gradient_by_matrix_products_is_keras_own(transposed, size, stride, height, width, monkeypatch):
    monkeypatch.setattr(convolutions, "is_worthwhile", lambda *_: True)
    kinds = (TapwiseConv2D, keras.layers.Conv2D)
    if transposed:
        kinds = (TapwiseConv2DTranspose, keras.layers.Conv2DTranspose)
    ours, theirs = (kind(5, size, strides=stride, padding="same", name="last") for kind in kinds)
    rng = np.random.RandomState(3)
    for layer in (ours, theirs):
        layer.build((None, None, None, 4))
    for one, other in zip(ours.weights, theirs.weights, strict=True):
        value = rng.normal(0, 0.3, tuple(other.shape)).astype(np.float32)
        backend.assign(one, value)
        backend.assign(other, value)
    x = maps(height, width, 4)
    upstream = rng.normal(size=backend.to_numpy(theirs(x)).shape).astype(np.float32)
    found, expected = gradients(ours, x, upstream, ours), gradients(theirs, x, upstream, theirs)
    np.testing.assert_allclose(found[0], expected[0], rtol=0, atol=1e-5)
    np.testing.assert_allclose(found[1], expected[1], rtol=0, atol=1e-5)
    for name, gradient in expected[2].items():
        np.testing.assert_allclose(found[2][name], gradient, rtol=0, atol=1e-5 * np.abs(gradient).max(), err_msg=name)


@pytest.mark.parametrize(
    "case, flags, worthwhile",
    [
        ((128, 128, 1, "float32"), ["avx2"], True),
        ((32, 128, 1, "float32"), ["avx2"], True),
        ((32, 32, 1, "float32"), ["avx2"], False),
        ((3, 2000, 1, "float32"), ["avx2"], False),
        ((128, 128, 2, "float32"), ["avx2"], False),
        ((128, 128, 1, "bfloat16"), ["avx2"], False),
        ((128, 128, 1, "float32"), ["avx2", "avx512f"], False),
    ],
)
def test_matrix_products_are_for_many_channels_in_float32_without_avx512(case, flags, worthwhile, monkeypatch):
    monkeypatch.setattr(convolutions, "cpu_flags", lambda: flags)
    assert convolutions.is_worthwhile(*case) == worthwhile
    for products in (True, False):
        with convolutions.filter_gradients(products):
            assert convolutions.is_worthwhile(*case) == (products and case[-1] == "float32")
