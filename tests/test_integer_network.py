"""The integer network: Keras's convolutions, the same bits in any order of summation, and saturation."""

import os
import subprocess
import sys

import numpy as np
import pytest

from common.coding.integer_network import EXACT_LIMIT, OUTPUT_LIMIT, IntegerNetwork, Layer, layers_of, scale_indexes
from common.coding.range_coder import SCALE_LEVELS
from common.errors import RelicError

UNIT = IntegerNetwork.output_scale


def he_layer(rng, kind, stride, size, cin, cout, bias=True, leaky=True):
    """Return a layer with He-initialised weights: its output is about as large as its input."""
    taps = size * size / (stride * stride if kind == "transpose" else 1)
    kernel = rng.normal(0, np.sqrt(2 / (taps * cin)), (size, size, cin, cout)).astype(np.float32)
    kernel = kernel.transpose(0, 1, 3, 2) if kind == "transpose" else kernel
    return Layer(kind, stride, kernel, rng.normal(0, 0.1, cout).astype(np.float32) if bias else None, leaky)


def hyper_decoder(rng, n=8):
    """Return the layers of the residual networks' hyper decoder, of width n."""
    widths = [(n, n, 1), (n, n, 2), (n, 3 * n // 2, 1), (3 * n // 2, 3 * n // 2, 2), (3 * n // 2, 2 * n, 1)]
    layers = [he_layer(rng, "transpose", s, 3, a, b, leaky=i < 4) for i, (a, b, s) in enumerate(widths)]
    widths_1x1 = [(2 * n, 5 * n), (5 * n, 4 * n), (4 * n, 2 * n)]
    return layers + [he_layer(rng, "conv", 1, 1, a, b, bias=i < 2, leaky=i < 2) for i, (a, b) in enumerate(widths_1x1)]


def latent(rng, height=5, width=7, channels=8, spread=3):
    return np.rint(rng.laplace(0, spread, (height, width, channels))).astype(np.int32)


def integer_reference(layers, points, z_hat):
    """Compute a network in int64 alone: zero insertion, einsum tap by tap backwards, shifts and integer division."""
    x, point = np.clip(z_hat.astype(np.int64), -(2**17 - 1), 2**17 - 1), 0
    for number, (layer, next_point) in enumerate(zip(layers, points, strict=True), 1):
        kernel = layer.kernel.transpose(0, 1, 3, 2) if layer.kind == "transpose" else layer.kernel
        kernel = (kernel.astype(np.float16).astype(np.float64) * 2**24).astype(np.int64)
        acc = reference_convolution(layer, kernel, x)
        if layer.bias is not None:
            acc += np.rint(layer.bias.astype(np.float16).astype(np.float64) * 2.0 ** (24 + point)).astype(np.int64)
        x = shift_to_nearest_even(acc, 24 + point - next_point)
        if layer.leaky:
            x = np.where(x < 0, (2 * x + 5) // 10, x)
        limit = 2**31 - 1 if number == len(layers) else 2**17 - 1
        x, point = np.clip(x, -limit, limit), next_point
    return x


def reference_convolution(layer, kernel, x):
    k, s, (h, w, channels) = len(kernel), layer.stride, x.shape
    if layer.kind == "transpose":
        sizes, before = (h * s, w * s), [k - 1 - max(k - s, 0) // 2] * 2
        spread = np.zeros((h * s, w * s, channels), np.int64)
        spread[::s, ::s] = x
        x, kernel, s = spread, kernel[::-1, ::-1], 1
    else:
        sizes = -(-h // s), -(-w // s)
        before = [max((out - 1) * s + k - n, 0) // 2 for out, n in zip(sizes, (h, w), strict=True)]
    x = np.pad(x, ((before[0], k), (before[1], k), (0, 0)))
    acc = np.zeros((*sizes, kernel.shape[3]), np.int64)
    for i, j in reversed(list(np.ndindex(k, k))):
        window = x[i : i + (sizes[0] - 1) * s + 1 : s, j : j + (sizes[1] - 1) * s + 1 : s]
        acc += np.einsum("hwc,cd->hwd", window, kernel[i, j])
    return acc


def shift_to_nearest_even(x, bits):
    floor, rest, half = x >> bits, x & (2**bits - 1), 2 ** (bits - 1)
    return floor + ((rest > half) | ((rest == half) & (floor % 2 == 1)))


@pytest.mark.stack
@pytest.mark.parametrize("size", [1, 3, 5, 9])
@pytest.mark.parametrize("kind, stride", [("conv", 1), ("conv", 2), ("transpose", 1), ("transpose", 2)])
def test_one_layer_is_the_keras_layer_for_even_and_odd_sides(kind, stride, size):
    from common.backend import keras, to_numpy

    rng = np.random.default_rng(size)
    make = keras.layers.Conv2D if kind == "conv" else keras.layers.Conv2DTranspose
    keras_layer = make(4, size, strides=stride, padding="same", use_bias=size != 5)
    keras_layer.build((None, None, None, 3))
    keras_layer.set_weights([rng.normal(0, 0.3, w.shape).astype(np.float16) for w in keras_layer.get_weights()])
    for height, width in [(4, 6), (5, 8), (7, 9), (1, 2)]:
        z_hat = latent(rng, height, width, 3)
        expected = to_numpy(keras_layer(z_hat[None].astype(np.float32)))[0]
        y = IntegerNetwork.quantise(layers_of([keras_layer]), [z_hat])(z_hat)
        np.testing.assert_allclose(y / UNIT, expected, atol=0.51 / UNIT, rtol=0)


@pytest.mark.stack
def test_the_hyper_decoder_is_the_keras_model_within_a_thousandth_of_its_spread():
    from common.backend import keras, to_numpy
    from common.layers import leaky_relu

    rng = np.random.default_rng(0)
    layers = hyper_decoder(rng)
    x = inputs = keras.Input((None, None, 8))
    for number, layer in enumerate(layers):
        make = keras.layers.Conv2D if layer.kind == "conv" else keras.layers.Conv2DTranspose
        filters = layer.kernel.shape[3 if layer.kind == "conv" else 2]
        weights = [w.astype(np.float16) for w in (layer.kernel, layer.bias) if w is not None]
        keras_layer = make(filters, len(layer.kernel), strides=layer.stride, padding="same", use_bias=len(weights) == 2)
        x = keras_layer(x)
        keras_layer.set_weights(weights)
        x = leaky_relu(f"act{number}")(x) if layer.leaky else x
    model = keras.Model(inputs, x)
    calibration = [latent(rng) for _ in range(4)]
    network = IntegerNetwork.quantise(layers_of(model.layers), calibration)
    z_hat = latent(rng, 6, 5)
    expected = to_numpy(model(z_hat[None].astype(np.float32)))[0]
    error = np.abs(network(z_hat) / UNIT - expected)
    assert expected.shape == (24, 20, 16)
    assert error.mean() < 1e-3 * expected.std() and error.max() < 1e-2 * expected.std()


@pytest.mark.parametrize("kind, stride", [("conv", 1), ("conv", 2), ("transpose", 1), ("transpose", 2)])
@pytest.mark.parametrize("spread", [3, 10**6])
def test_every_bit_equals_arithmetic_in_int64(kind, stride, spread):
    rng = np.random.default_rng(1)
    layers = [he_layer(rng, kind, stride, 5, 6, 8), he_layer(rng, kind, stride, 3, 8, 4, bias=False)]
    layers.append(he_layer(rng, "conv", 1, 1, 4, 6, leaky=False))
    network = IntegerNetwork.quantise(layers, [latent(rng, 8, 8, 6)])
    z_hat = latent(rng, 9, 6, 6, spread)
    np.testing.assert_array_equal(network(z_hat), integer_reference(layers, network.points.tolist(), z_hat))


def test_summing_channels_in_another_order_changes_no_bit():
    rng = np.random.default_rng(2)
    layers = hyper_decoder(rng)
    network = IntegerNetwork.quantise(layers, [latent(rng)])
    order = rng.permutation(8)
    first = layers[0]
    shuffled = [Layer(first.kind, first.stride, first.kernel[..., order], first.bias, first.leaky), *layers[1:]]
    z_hat = latent(rng)
    np.testing.assert_array_equal(IntegerNetwork(shuffled, network.points)(z_hat[..., order]), network(z_hat))


OUTPUT_DIGEST = """
import hashlib
import numpy as np
from common.coding.integer_network import IntegerNetwork, Layer
rng = np.random.default_rng(3)
up = Layer("transpose", 2, rng.normal(0, 0.05, (5, 5, 96, 64)), None, True)
layers = [up, Layer("conv", 1, rng.normal(0, 0.05, (3, 3, 96, 96)), None, False)]
z_hat = rng.integers(-9, 10, (24, 24, 64))
print(hashlib.sha256(IntegerNetwork.quantise(layers, [z_hat])(z_hat).astype("<i8").tobytes()).hexdigest())
"""


def test_one_thread_and_another_kind_of_processor_give_the_same_bits():
    def digest(**settings):
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **settings}
        command = [sys.executable, "-c", OUTPUT_DIGEST]
        return subprocess.run(command, env=environment, check=True, capture_output=True).stdout

    one = digest(OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1", OMP_NUM_THREADS="1")
    assert len(one) > 64 and one == digest()
    assert one == digest(OPENBLAS_CORETYPE="Prescott")  # OpenBLAS kernels without fused multiply-add; others ignore it


def test_extreme_symbols_saturate_and_do_not_overflow():
    rng = np.random.default_rng(4)
    network = IntegerNetwork.quantise(hyper_decoder(rng), [latent(rng)])
    limits = np.iinfo(np.int64)
    signs = rng.integers(0, 2, (4, 4, 8)).astype(bool)
    extreme = network(np.where(signs, limits.max, limits.min + 1))
    np.testing.assert_array_equal(extreme, network(np.where(signs, 131071, -131071)))
    assert np.abs(extreme).max() <= OUTPUT_LIMIT and np.abs(extreme).max() > np.abs(network(latent(rng))).max()


def test_outputs_beyond_32_bits_saturate():
    identity = Layer("conv", 1, np.full((1, 1, 1, 1), 100.0), None, False)
    z_hat = np.array([[[131071], [-131071], [1]]])
    y = IntegerNetwork.quantise([identity], [z_hat])(z_hat)
    np.testing.assert_array_equal(y.ravel(), [OUTPUT_LIMIT, -OUTPUT_LIMIT, 100 * UNIT])


def test_any_sum_stays_below_2_to_the_53():
    rng = np.random.default_rng(5)
    layers = hyper_decoder(rng)
    network = IntegerNetwork.quantise(layers, [latent(rng)])
    kernels = [np.abs(layer.kernel.astype(np.float16).astype(float)) for layer in layers]
    sums = [
        k.sum(axis=(0, 1, 3 if layer.kind == "transpose" else 2)).max()
        for k, layer in zip(kernels, layers, strict=True)
    ]
    assert 131071 * 2**24 * max(sums) <= network.bound < EXACT_LIMIT


def test_weights_whose_sums_might_not_be_exact_are_refused():
    layer = Layer("conv", 1, np.full((3, 3, 64, 1), 8.0), None, False)
    with pytest.raises(RelicError, match="not exact"):
        IntegerNetwork.quantise([layer], [np.ones((2, 2, 64))])


@pytest.mark.parametrize("weight", [1e6, np.inf, np.nan])
def test_weights_that_float16_cannot_hold_are_refused(weight):
    with pytest.raises(RelicError, match="65504"):
        IntegerNetwork.quantise([Layer("conv", 1, np.full((1, 1, 1, 1), weight), None, False)], [np.ones((2, 2, 1))])


def test_calibrating_with_nothing_is_refused():
    with pytest.raises(RelicError, match="at least one"):
        IntegerNetwork.quantise(hyper_decoder(np.random.default_rng(6)), [])


@pytest.mark.parametrize("z_hat", [np.zeros((4, 4, 8)), np.zeros((4, 4, 7), int), np.zeros((1, 4, 4, 8), int)])
def test_a_latent_of_another_type_or_shape_is_refused(z_hat):
    rng = np.random.default_rng(7)
    with pytest.raises(RelicError, match="z_hat must be integer"):
        IntegerNetwork.quantise(hyper_decoder(rng), [latent(rng)])(z_hat)


def test_a_stored_network_and_its_float16_weights_give_the_same_bits_in_few_bytes():
    rng = np.random.default_rng(8)
    layers = hyper_decoder(rng)
    network = IntegerNetwork.quantise(layers, [latent(rng)])
    arrays = network.to_arrays()
    stored = []
    for layer in layers:
        bias = None if layer.bias is None else layer.bias.astype(np.float16)
        stored.append(Layer(layer.kind, layer.stride, layer.kernel.astype(np.float16), bias, layer.leaky))
    z_hat = latent(rng)
    np.testing.assert_array_equal(IntegerNetwork.from_arrays(arrays, stored)(z_hat), network(z_hat))
    assert all(array.dtype.kind == "i" for array in arrays.values())
    assert sum(array.nbytes for array in arrays.values()) < 1000


def test_one_changed_weight_is_noticed_when_a_network_is_restored():
    rng = np.random.default_rng(9)
    layers = hyper_decoder(rng)
    arrays = IntegerNetwork.quantise(layers, [latent(rng)]).to_arrays()
    layers[3].kernel[1, 2, 3, 4] *= 1.002
    with pytest.raises(RelicError, match="weights"):
        IntegerNetwork.from_arrays(arrays, layers)


@pytest.mark.parametrize(
    "change",
    [
        {"points": np.zeros(2, np.int32)},
        {"points": np.full(6, 2**30, np.int32)},
        {"points": np.full(6, -(2**31), np.int32)},
        {"checksum": np.zeros(0, np.int64)},
        {"checksum": np.zeros(2, np.int64)},
    ],
)
def test_damaged_points_and_checksums_are_one_sentence(change):
    rng = np.random.default_rng(9)
    layers = hyper_decoder(rng)
    arrays = IntegerNetwork.quantise(layers, [latent(rng)]).to_arrays()
    change = {name: np.resize(array, len(layers)) if array.size == 6 else array for name, array in change.items()}
    with pytest.raises(RelicError, match="binary points|integers of the hyper decoder are missing"):
        IntegerNetwork.from_arrays({**arrays, **change}, layers)


def test_small_and_large_activations_keep_their_precision():
    rng = np.random.default_rng(10)
    first, last = he_layer(rng, "conv", 1, 3, 4, 6), he_layer(rng, "conv", 1, 1, 6, 2, bias=False, leaky=False)
    z_hat = latent(rng, 6, 6, 4)
    outputs = []
    for gain in (2.0**-6, 1.0, 2.0**5):
        scaled = Layer("conv", 1, first.kernel * gain, first.bias * gain, True)
        layers = [scaled, Layer("conv", 1, last.kernel / gain, None, False)]
        outputs.append(IntegerNetwork.quantise(layers, [z_hat])(z_hat))
    assert np.abs(outputs[0] - outputs[1]).max() <= 2 and np.abs(outputs[2] - outputs[1]).max() <= 2


@pytest.mark.stack
def test_layers_without_an_integer_form_are_refused_by_name():
    from common.backend import keras
    from common.layers import leaky_relu

    convolution = keras.layers.Conv2D(2, 3, padding="valid", name="unpadded")
    convolution.build((None, None, None, 2))
    with pytest.raises(RelicError, match="unpadded"):
        layers_of([convolution])
    padded = keras.layers.Conv2D(2, 3, padding="same")
    padded.build((None, None, None, 2))
    with pytest.raises(RelicError, match="steep"):
        layers_of([padded, leaky_relu("steep", slope=0.3)])
    assert [layer.leaky for layer in layers_of([padded, padded, leaky_relu("act")])] == [False, True]


def test_the_index_is_that_of_the_nearest_level_in_the_logarithm():
    rng = np.random.default_rng(11)
    log_scale = rng.integers(-4 * UNIT, 7 * UNIT, 5000)
    distance = np.abs(log_scale[:, None] / UNIT - np.log(SCALE_LEVELS))
    indexes = scale_indexes(log_scale)
    assert np.all(np.take_along_axis(distance, indexes[:, None], 1)[:, 0] <= distance.min(axis=1) + 1e-8)
    np.testing.assert_array_equal(scale_indexes(np.rint(np.log(SCALE_LEVELS) * UNIT)), np.arange(len(SCALE_LEVELS)))
    np.testing.assert_array_equal(scale_indexes(np.array([-OUTPUT_LIMIT, OUTPUT_LIMIT])), [0, len(SCALE_LEVELS) - 1])
