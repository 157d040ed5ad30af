"""Donis and Brown: the networks' counts, ConvLSTM2D three ways, the binarizer, losses, pictures, trainings."""

import csv
import dataclasses
import itertools
import json
import math

import numpy as np
import pytest
from narrow import gradients, known_arrays, needs_bfloat16, picture, run_steps_eagerly
from skimage.metrics import structural_similarity

from common import backend, data
from common.backend import keras, ops
from common.config import presets
from common.errors import RelicError
from common.training import checkpoints, loop, runs, weights
from papers.donis_convlstm import complexity, config, layers, losses, model, patches, train
from papers.donis_convlstm.config import AS_RUN, ITERATIVE, at_scale
from papers.donis_convlstm.learning import OneIteration, Unrolled, loss_of

stack = pytest.mark.stack
RANDOM = np.random.default_rng(3)


def narrow(preset="as_run", **changes):
    """Return a preset's Config with few filters: four drawn pictures to learn from, one step an epoch."""
    changes = {"pictures": 4, "validation_share": 0.5, "learning_rate": 1e-3, **changes}
    return dataclasses.replace(at_scale(getattr(config, preset.upper()), "smoke"), **changes)


def known(networks):
    """Give networks weights that depend on names and shapes alone, none of them 0, and return them."""
    checkpoints.set_model_arrays(networks, known_arrays(networks), "known")
    return networks


def pictures_of(count, size=32):
    return np.stack([picture(size, size, seed=seed) for seed in range(count)])


def values(count=2, side=32, channels=3, spread=1.0):
    return (spread * RANDOM.normal(size=(count, side, side, channels))).astype(np.float32)


# --- counts --------------------------------------------------------------------------------------------------------

# The lines of the summary that the authors' program prints, which sum up to its total.
PARAMETERS = {
    "E_conv": 1_792,
    "E_lstm1": 2_950_144,
    "E_lstm2": 14_157_824,
    "E_lstm3": 18_876_416,
    "B_conv": 16_416,
    "D_conv": 16_896,
    "D_lstm1": 8_390_656,
    "D_lstm2": 11_798_528,
    "D_lstm3": 3_539_968,
    "D_lstm4": 885_248,
    "D_out": 99,
}


def counted(networks):
    """Return the weights of each layer that has any."""
    found = [layer for part in networks.transforms.values() for layer in part.layers if layer.weights]
    return {layer.name: sum(math.prod(weight.shape) for weight in layer.weights) for layer in found}


def rows_of(settings, recurrent=False):
    return {row.name: row.parameters for row in complexity.layers(settings, recurrent)}


@pytest.fixture
def without_orthogonal_start(monkeypatch):
    """Let recurrent kernels start with zeros: an orthogonal start of the paper's widths takes half a minute."""
    conv_lstm = model.conv_lstm

    def quick(*arguments):
        layer = conv_lstm(*arguments)
        layer.cell.recurrent_initializer = keras.initializers.Zeros()
        return layer

    monkeypatch.setattr(model, "conv_lstm", quick)


@pytest.mark.slow
@stack
def test_the_built_network_has_60633987_weights_layer_by_layer_and_its_16_copies_970143792(without_orthogonal_start):
    built = OneIteration(AS_RUN, recurrent=True)
    assert counted(built) == PARAMETERS == rows_of(AS_RUN, recurrent=True)
    total = sum(part.count_params() for part in built.transforms.values())
    assert total == sum(PARAMETERS.values()) == complexity.parameters(AS_RUN, recurrent=True) == 60_633_987
    assert 16 * total == 970_143_792 == complexity.unshared_parameters(AS_RUN)


@pytest.mark.slow
@stack
@pytest.mark.parametrize("scale", ["smoke", "small"])
@pytest.mark.parametrize("recurrent", [False, True])
def test_small_networks_have_the_weights_that_are_counted(scale, recurrent):
    settings = at_scale(AS_RUN, scale)
    assert counted(OneIteration(settings, recurrent=recurrent)) == rows_of(settings, recurrent)


@stack
@pytest.mark.parametrize("scale", ["smoke", "small"])
def test_the_iterative_network_has_the_weights_that_are_counted(scale):
    settings = at_scale(ITERATIVE, scale)
    assert counted(Unrolled(settings)) == rows_of(settings)


@stack
def test_multiplications_are_those_of_the_built_networks_convolutions():
    settings = at_scale(AS_RUN, "smoke")
    for recurrent, rows in ((True, complexity.layers(settings, True)), (False, complexity.layers(settings))):
        built, expected = OneIteration(settings, recurrent=recurrent), {}
        for part in built.transforms.values():
            for layer in part.layers:
                kernels = [w for w in layer.weights if len(w.shape) == 4]
                # The time axis is gone again behind a ConvLSTM2D, so that outputs are (B, H, W, C) everywhere.
                pixels = math.prod(tuple(layer.output.shape)[1:3]) if kernels else 0
                expected[layer.name] = pixels * sum(math.prod(w.shape) for w in kernels)
        assert {row.name: row.macs for row in rows} == {name: n for name, n in expected.items() if n}


def test_the_paper_has_1167_million_multiplications_a_picture_and_the_first_steps_268_million():
    assert complexity.macs(AS_RUN, recurrent=True) == pytest.approx(1.167e9, rel=1e-3)
    # A quarter of what multiplies the input belongs to the forget gate: with it 0.357e9 would be left.
    gates = sum(row.macs for row in complexity.layers(AS_RUN) if "lstm" in row.name)
    assert complexity.macs(AS_RUN) + gates // 3 == pytest.approx(0.357e9, rel=1e-3)
    assert complexity.macs(AS_RUN) == 268_058_624
    assert 1 - complexity.parameters(AS_RUN) / complexity.parameters(AS_RUN, True) == pytest.approx(0.72, abs=0.005)


def test_a_training_takes_three_passes_for_every_picture_and_iteration():
    assert complexity.training_flops(AS_RUN, "paper") == 6 * complexity.macs(AS_RUN) * 15 * 1484 * 64
    shortened = at_scale(ITERATIVE, "small")
    patches_ = sum(iterations * steps for iterations, steps, _ in shortened.phases) * 8 * 4  # of 64x64
    assert complexity.training_flops(ITERATIVE, "small") == 6.0 * complexity.macs(shortened) * patches_


# --- settings ------------------------------------------------------------------------------------------------------


def test_no_two_presets_are_the_same_at_any_scale_but_smoke():
    assert len(presets(config)) == 12
    for scale in ("small", "medium", "paper"):
        shortened = [dataclasses.astuple(at_scale(one, scale)) for one in presets(config).values()]
        assert all(a != b for a, b in itertools.combinations(shortened, 2)), scale


@pytest.mark.parametrize("name, pictures, kept", [("set_50k", 4_000, 3_800), ("as_run", 8_000, 7_600)])
def test_scale_small_keeps_the_sizes_of_the_sets_to_each_other_and_the_epochs(name, pictures, kept):
    small = at_scale(getattr(config, name.upper()), "small")
    assert (small.pictures, small.training_pictures, small.epochs) == (pictures, kept, 15)
    assert small.steps == 15 * (kept // 64) and small.batch_size == 64
    assert sum(count for _, count in small.training_sets) == 8_000
    assert at_scale(config.SET_200K, "small").pictures == 16_000


def test_medium_has_the_papers_widths_and_paper_is_unchanged():
    for settings in (AS_RUN, ITERATIVE):
        assert at_scale(settings, "medium").encoder_filters == settings.encoder_filters
        assert at_scale(settings, "paper") is settings or at_scale(settings, "paper") == settings
    with pytest.raises(RelicError, match="scale"):
        at_scale(AS_RUN, "huge")


# --- ConvLSTM2D three ways -----------------------------------------------------------------------------------------


@stack
def test_hard_sigmoid_is_that_of_tensorflow_2_3():
    x = np.array([-9.0, -2.5, -2.0, -1.0, 0.0, 1.0, 2.0, 2.5, 2.6, 9.0], np.float32)
    found = backend.to_numpy(layers.hard_sigmoid(ops.convert_to_tensor(x)))
    np.testing.assert_allclose(found, [0, 0, 0.1, 0.3, 0.5, 0.7, 0.9, 1, 1, 1], atol=1e-7)
    if backend.STACK == "tfc":
        theirs = keras.activations.hard_sigmoid(ops.convert_to_tensor(x))
        np.testing.assert_allclose(found, backend.to_numpy(theirs), atol=1e-7)


def known_layer(kernel, strides, channels=3, filters=4, height=5, width=6):
    """Return Keras' ConvLSTM2D with random weights, none of them 0."""
    layer = layers.conv_lstm(filters, kernel, strides, "lstm")
    layer(np.zeros((1, 1, height, width, channels), np.float32))
    for variable in layer.weights:
        backend.assign(variable, RANDOM.normal(0, 0.4, tuple(variable.shape)).astype(np.float32))
    return layer


def first_step_of(layer, strides, channels=3):
    """Return our first step with the weights of Keras' layer."""
    size = layer.weights[0].shape[0]
    first = layers.ConvLSTM2DFirstStep(layer.filters, size, strides)
    first(np.zeros((1, 5, 6, channels), np.float32))
    for name, array in model.one_step_weights(layer).items():
        backend.assign(backend.variables(first)[name], array)
    return first


KERNELS = pytest.mark.parametrize("kernel, strides", [(2, 1), (2, 2), (3, 1), (3, 2), (1, 1)])


@stack
@KERNELS
def test_the_first_step_is_keras_convlstm2d_with_outputs_and_gradients(kernel, strides):
    layer = known_layer(kernel, strides)
    first = first_step_of(layer, strides)
    x = 2 * RANDOM.normal(size=(2, 5, 6, 3)).astype(np.float32)
    upstream = RANDOM.normal(size=(2, -(-5 // strides), -(-6 // strides), 4)).astype(np.float32)
    y, x_gradient, ours = gradients(first, x, upstream, first)
    expected, x_expected, theirs = gradients(layer, x[:, None], upstream, layer)
    np.testing.assert_allclose(y, expected, atol=2e-6)
    np.testing.assert_allclose(x_gradient, x_expected[:, 0], atol=1e-5)
    assert set(ours) == {"kernel", "bias"} and set(theirs) == {"kernel", "recurrent_kernel", "bias"}
    assert not theirs["recurrent_kernel"].any()
    for name, gradient in ours.items():
        entry, forget, candidate, exit_ = np.split(theirs[name], 4, axis=-1)
        assert not forget.any() and np.abs(gradient).max() > 0.01
        np.testing.assert_allclose(gradient, np.concatenate([entry, candidate, exit_], axis=-1), atol=2e-5)
    assert tuple(first.compute_output_shape((2, 5, 6, 3))) == y.shape


@stack
def test_the_first_step_starts_with_the_distribution_of_keras_weights():
    kernels = []
    for layer, gates in ((layers.ConvLSTM2DFirstStep(64, 3, 1), 3), (layers.conv_lstm(64, 3, 1, "theirs"), 4)):
        layer(np.zeros((1, 8, 8, 16) if gates == 3 else (1, 1, 8, 8, 16), np.float32))
        bias = backend.to_numpy(backend.variables(layer)["bias"])
        np.testing.assert_array_equal(bias, np.repeat([0, 0, 0] if gates == 3 else [0, 1, 0, 0], 64))
        kernels.append(backend.to_numpy(backend.variables(layer)["kernel"]))
    assert [kernel.shape for kernel in kernels] == [(3, 3, 16, 192), (3, 3, 16, 256)]
    for size in (np.std, lambda kernel: np.abs(kernel).max()):
        assert size(kernels[0]) == pytest.approx(size(kernels[1]), rel=0.02)


@stack
@KERNELS
def test_steps_that_carry_their_state_are_keras_convlstm2d_over_a_sequence(kernel, strides):
    layer = known_layer(kernel, strides)
    step = layers.ConvLSTM2DStep(4, kernel, kernel, strides, 1.0)
    height, width = -(-5 // strides), -(-6 // strides)
    h = c = np.zeros((2, height, width, 4), np.float32)
    x = RANDOM.normal(size=(2, 4, 5, 6, 3)).astype(np.float32)
    step([x[:, 0], h, c])
    for name, variable in backend.variables(layer).items():
        backend.assign(backend.variables(step)[name], backend.to_numpy(variable))
    outputs = []
    for t in range(4):
        h, c = step([x[:, t], h, c])
        outputs.append(backend.to_numpy(h))
        expected = backend.to_numpy(layer(x[:, : t + 1]))
        np.testing.assert_allclose(outputs[-1], expected, atol=5e-6)
    assert np.abs(outputs[3] - outputs[0]).max() > 0.1
    assert [tuple(shape) for shape in step.compute_output_shape([(2, 5, 6, 3)])] == [(2, height, width, 4)] * 2


@stack
def test_a_step_of_one_pixel_is_its_closed_form_and_starts_with_a_forget_bias_of_1():
    step = layers.ConvLSTM2DStep(1, 1, 1, 1, 1.0)
    step([np.zeros((1, 1, 1, 1), np.float32)] * 3)
    np.testing.assert_array_equal(backend.to_numpy(step.bias), [0, 1, 0, 0])
    for name, array in {"kernel": [0.3, -0.7, 0.9, 1.1], "recurrent_kernel": [0.2, 0.4, -0.5, 0.6]}.items():
        backend.assign(backend.variables(step)[name], np.reshape(array, (1, 1, 1, 4)).astype(np.float32))
    x, h, c = 0.8, -0.4, 0.5
    h_next, c_next = step([np.full((1, 1, 1, 1), value, np.float32) for value in (x, h, c)])
    entry, forget, candidate, exit_ = (0.3 * x + 0.2 * h, -0.7 * x + 0.4 * h + 1, 0.9 * x - 0.5 * h, 1.1 * x + 0.6 * h)
    expected = (0.2 * forget + 0.5) * c + (0.2 * entry + 0.5) * math.tanh(candidate)
    assert float(backend.to_numpy(c_next).item()) == pytest.approx(expected, abs=1e-6)
    expected_h = (0.2 * exit_ + 0.5) * math.tanh(expected)
    assert float(backend.to_numpy(h_next).item()) == pytest.approx(expected_h, abs=1e-6)


def sharing(preset):
    """Return the network of ConvLSTM2D with known weights, and that of their first steps with the same ones."""
    recurrent, first = known(OneIteration(narrow(preset), recurrent=True)), OneIteration(narrow(preset))
    arrays = checkpoints.model_arrays(recurrent)
    for name, part in recurrent.transforms.items():
        for layer in part.layers:
            if "lstm" in layer.name and layer.weights:
                del arrays[f"{name}/{layer.name}/recurrent_kernel"]
                own = model.one_step_weights(layer)
                arrays.update({f"{name}/{layer.name}/{variable}": array for variable, array in own.items()})
    checkpoints.set_model_arrays(first, arrays, "shared")
    return recurrent, first


@stack
@pytest.mark.parametrize("preset", ["as_run", "as_written"])
def test_the_network_of_first_steps_is_that_of_keras_convlstm2d(preset):
    recurrent, first = sharing(preset)
    x = pictures_of(2) / np.float32(255)
    codes = [backend.to_numpy(one.encoder(x)) for one in (first, recurrent)]
    np.testing.assert_allclose(*codes, atol=1e-5)
    x_hat, expected = (backend.to_numpy(one.reconstructed(x)) for one in (first, recurrent))
    assert x_hat.shape == x.shape and x_hat.std() > 0.01
    np.testing.assert_allclose(x_hat, expected, atol=1e-5)
    inputs = {"x": pictures_of(2), "step": np.full(2, 7, np.int32)}
    outputs = [backend.to_numpy(one(inputs)["x_hat"]) for one in (first, recurrent)]
    np.testing.assert_allclose(*outputs, atol=1e-5)


@pytest.mark.slow
@stack
@pytest.mark.parametrize("name", ["encoder", "decoder"])
def test_the_network_of_first_steps_has_the_gradients_of_keras_convlstm2d(name):
    recurrent, first = (one.transforms[name] for one in sharing("as_run"))
    x = pictures_of(2) / np.float32(255) if name == "encoder" else values(2, 2, 32)
    upstream = RANDOM.normal(size=(2, 2, 2, 32) if name == "encoder" else (2, 32, 32, 3)).astype(np.float32)
    _, x_gradient, ours = gradients(first, x, upstream, first)
    _, x_expected, theirs = gradients(recurrent, x, upstream, recurrent)
    np.testing.assert_allclose(x_gradient, x_expected, atol=1e-4 * np.abs(x_expected).max())
    for key, gradient in ours.items():
        expected = theirs[key]
        if "lstm" in key:
            expected = np.delete(expected, np.s_[expected.shape[-1] // 4 : expected.shape[-1] // 2], axis=-1)
        assert np.abs(expected).max() > 0, key
        np.testing.assert_allclose(gradient, expected, atol=1e-4 * np.abs(expected).max(), err_msg=key)


# --- the networks --------------------------------------------------------------------------------------------------


@stack
def test_a_leaky_relu_follows_every_layer_and_only_a_binarized_code_has_none():
    as_run, as_written, relu = (OneIteration(narrow(preset)) for preset in ("as_run", "as_written", "relu"))
    slope = "alpha" if backend.STACK == "tfc" else "negative_slope"
    found = {one: {} for one in (as_run, as_written, relu)}
    for one, slopes in found.items():
        for layer in (layer for part in one.transforms.values() for layer in part.layers if "leaky" in layer.name):
            slopes[layer.name] = round(float(getattr(layer, slope)), 6)
    names = [f"{name}_leaky" for name in PARAMETERS]
    assert found[as_run] == {name: 0.1 if name == "D_out_leaky" else 0.01 for name in names}
    assert set(names) - set(found[as_written]) == {"B_conv_leaky"}
    assert found[relu] == dict.fromkeys(names, 0.0)


@stack
def test_a_code_has_128_numbers_for_32x32_pixels_and_as_written_a_bit_each():
    x = pictures_of(3) / np.float32(255)
    assert backend.to_numpy(OneIteration(narrow()).encoder(x)).shape == (3, 2, 2, 32)
    networks = known(OneIteration(narrow("as_written")))
    code = networks.encoder(x)
    # Codes of the same signs decode to the same pictures.
    larger = backend.to_numpy(networks.decoder(model.binarized(3.0 * code)))
    np.testing.assert_array_equal(backend.to_numpy(networks.reconstructed(x)), larger)


@stack
def test_only_as_written_learns_with_noise_which_seed_and_step_decide():
    for preset, noisy in (("as_run", False), ("as_written", True)):
        networks = [OneIteration(narrow(preset), seed) for seed in (0, 1)]
        for one in networks:
            known(one)
        x = pictures_of(2)
        first, other_step, again = (
            backend.to_numpy(networks[0]({"x": x, "step": np.full(2, step, np.int32)})["x_hat"]) for step in (0, 1, 0)
        )
        other_seed = backend.to_numpy(networks[1]({"x": x, "step": np.zeros(2, np.int32)})["x_hat"])
        np.testing.assert_array_equal(first, again)
        assert np.array_equal(first, other_step) != noisy and np.array_equal(first, other_seed) != noisy


@stack
def test_the_binarizer_gives_signs_and_1_for_0_with_the_gradient_of_tanh():
    code = np.array([-30.0, -1.0, -1e-4, 0.0, 1e-4, 0.5, 30.0], np.float32)
    upstream = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], np.float32)
    bits, gradient, _ = gradients(model.binarized, code, upstream)
    np.testing.assert_allclose(bits, [-1, -1, -1, 1, 1, 1, 1], atol=1e-6)
    np.testing.assert_allclose(gradient, upstream * (1 - np.tanh(code) ** 2), rtol=1e-4, atol=1e-6)


@stack
def test_with_noise_the_binarizer_gives_signs_whose_mean_is_tanh():
    code = np.array([-3.0, -0.7, 0.0, 0.2, 1.5], np.float32)
    noise = 2.0 * backend.uniform_noise((40_000, 5), 0, 1)
    bits = backend.to_numpy(model.binarized(np.tile(code, (40_000, 1)), noise))
    np.testing.assert_allclose(np.abs(bits), 1.0, atol=1e-6)
    # Four standard errors of a mean of 40,000 values of deviation 1.
    np.testing.assert_allclose(bits.mean(axis=0), np.tanh(code), atol=4 / math.sqrt(40_000))
    _, gradient, _ = gradients(
        lambda x: model.binarized(x, ops.convert_to_tensor(np.full(5, 0.9, np.float32))), code, np.ones(5, np.float32)
    )
    np.testing.assert_allclose(gradient, 1 - np.tanh(code) ** 2, rtol=1e-4)


# --- the iterative codec -------------------------------------------------------------------------------------------


def zeros(settings, height, width):
    """Return the first states of encoder and decoder for two pictures."""
    return [
        [ops.zeros(shape) for shape in shapes(settings, 2, height, width)]
        for shapes in (model.encoder_state, model.decoder_state)
    ]


@stack
@pytest.mark.parametrize("height, width", [(16, 16), (48, 32)])
def test_states_have_the_shapes_that_are_announced_for_pictures_of_any_size(height, width):
    settings = narrow("iterative")
    networks = Unrolled(settings)
    into, out_of = zeros(settings, height, width)
    code, *into_next = networks.encoder([ops.ones((2, height, width, 3)), *into])
    assert tuple(code.shape) == (2, height // 16, width // 16, 32)
    output, *out_of_next = networks.decoder([code, *out_of])
    assert tuple(output.shape) == (2, height, width, 3)
    for state, after in ((into, into_next), (out_of, out_of_next)):
        assert [tuple(one.shape) for one in state] == [tuple(one.shape) for one in after]
    assert len(into) == 6 and len(out_of) == 8


@stack
@pytest.mark.parametrize("preset", ["iterative", "iterative_one_shot"])
def test_iterations_code_what_is_left_with_the_same_weights_and_states_that_go_on(preset):
    settings = narrow(preset, binarizer="deterministic")
    networks = known(Unrolled(settings, iterations=3))
    x = pictures_of(2)
    errors = backend.to_numpy(networks({"x": x, "step": np.zeros(2, np.int32)})["errors"])
    target, expected, gains = x / np.float32(255), [], (1.0, 3.0, 3.3)
    x_hat, (into, out_of) = np.full_like(target, 0.5), zeros(settings, 32, 32)
    for gain in gains:
        code, *into = networks.encoder([ops.convert_to_tensor(gain * (target - x_hat)), *into])
        output, *out_of = networks.decoder([model.binarized(code), *out_of])
        x_hat = backend.to_numpy(output) / (gain if preset == "iterative" else 1) + (
            x_hat if preset == "iterative" else 0.5
        )
        expected.append(np.abs(target - x_hat).mean())
    assert errors.shape == (3,) and len(set(errors.tolist())) == 3
    np.testing.assert_allclose(errors, expected, rtol=1e-4)
    fewer = networks.with_iterations(1)
    assert fewer.encoder is networks.encoder
    only = backend.to_numpy(fewer({"x": x, "step": np.zeros(2, np.int32)})["errors"])
    np.testing.assert_allclose(only, expected[:1], rtol=1e-4)


@stack
def test_no_two_iterations_or_seeds_share_their_noise():
    keys = [seed * model.MAX_UNROLLED + i for seed in range(3) for i in range(config.MAX_ITERATIONS)]
    assert len(set(keys)) == len(keys)
    phases = [one for scale in ("small", "medium", "paper") for one in at_scale(ITERATIVE, scale).phases]
    assert all(iterations <= model.MAX_UNROLLED for iterations, _, _ in phases)


# --- losses --------------------------------------------------------------------------------------------------------


def scalar(tensor):
    return float(backend.to_numpy(tensor))


def pair():
    """Return pictures in [0, 1] and noisy ones, float32 (3, 32, 32, 3)."""
    x = pictures_of(3) / np.float32(255)
    return x, np.clip(x + 0.15 * RANDOM.normal(size=x.shape), 0, 1).astype(np.float32)


def ssim_of(x, x_hat, peak):
    settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "channel_axis": 2}
    return np.mean([structural_similarity(a, b, data_range=peak, **settings) for a, b in zip(x, x_hat, strict=True)])


@stack
def test_the_loss_as_run_is_the_squared_complement_of_scikit_images_ssim_with_range_2():
    x, x_hat = pair()
    similarity = ssim_of(x, x_hat, 2)
    assert similarity > ssim_of(x, x_hat, 1) + 0.02  # the range makes a difference
    assert scalar(losses.ssim_squared(x, x_hat)) == pytest.approx((1 - similarity) ** 2, rel=1e-4)
    assert scalar(loss_of(AS_RUN, x, x_hat)) == scalar(losses.ssim_squared(x, x_hat))


@stack
def test_flat_pictures_have_the_loss_of_their_luminance():
    a, b = 0.2, 0.7
    x, x_hat = (np.full((2, 32, 32, 3), value, np.float32) for value in (a, b))
    luminance = (2 * a * b + 0.02**2) / (a**2 + b**2 + 0.02**2)
    assert scalar(losses.ssim_squared(x, x_hat)) == pytest.approx((1 - luminance) ** 2, rel=1e-4)
    assert scalar(losses.mae(x, x_hat)) == pytest.approx(0.5)
    np.testing.assert_allclose(backend.to_numpy(losses.psnr(x, x_hat)), [10 * math.log10(4)] * 2, rtol=1e-5)
    np.testing.assert_allclose(backend.to_numpy(losses.psnr(x, x)), [100, 100], rtol=1e-5)


def terms(x, y):
    """Return SSIM and its structure term of one channel, means over all windows: the textbook form with range 1."""
    distance = np.arange(11) - 5
    window = np.exp(-(distance**2) / (2 * 1.5**2))
    window = np.outer(window, window) / window.sum() ** 2

    def mean(z):
        return np.einsum("ijkl,kl->ij", np.lib.stride_tricks.sliding_window_view(z, (11, 11)), window)

    mx, my = mean(x), mean(y)
    vx, vy, vxy = mean(x * x) - mx**2, mean(y * y) - my**2, mean(x * y) - mx * my
    structure = (2 * vxy + 0.03**2) / (vx + vy + 0.03**2)
    return ((2 * mx * my + 0.01**2) / (mx**2 + my**2 + 0.01**2) * structure).mean(), structure.mean()


@stack
def test_the_loss_as_written_is_the_product_of_two_scales():
    x, x_hat = pair()
    products = []
    for a, b in zip(
        np.moveaxis(x, 3, 1).reshape(-1, 32, 32), np.moveaxis(x_hat, 3, 1).reshape(-1, 32, 32), strict=True
    ):
        halves = [one.astype(np.float64).reshape(16, 2, 16, 2).mean(axis=(1, 3)) for one in (a, b)]
        products.append(terms(a.astype(float), b.astype(float))[1] ** 0.0448 * terms(*halves)[0] ** 0.2856)
    expected = 1 - np.mean(products)
    assert 0.01 < expected < 0.9
    assert scalar(loss_of(config.AS_WRITTEN, x, x_hat)) == pytest.approx(expected, rel=1e-3)


@stack
def test_the_loss_as_written_has_finite_gradients_where_pictures_are_flat_or_opposite():
    x, noisy = pair()
    flat = np.full_like(x, 0.5)
    for first, second in ((x, x), (x, noisy), (x, flat), (flat, flat), (flat, x), (x, 1 - x), (0 * x, 0 * x + 1)):
        value, gradient, _ = gradients(lambda y, x=first: losses.ms_ssim(x, y, 1e-3), second, np.float32(1))
        assert np.isfinite(value).all() and np.isfinite(gradient).all()
    assert np.abs(gradients(lambda y: losses.ms_ssim(x, y, 1e-3), noisy, np.float32(1))[1]).max() > 1e-5


@pytest.mark.slow
@stack
@pytest.mark.parametrize("preset", ["as_run", "as_written", "mae"])
def test_what_a_training_reports_is_what_its_pictures_say(preset):
    settings = narrow(preset, learning_rate=0.0)
    networks = train.build(settings, 0, "float32")
    networks.run_eagerly = backend.BACKEND == "tensorflow"  # where it takes less time than tracing
    inputs = {"x": pictures_of(2), "step": np.zeros(2, np.int32)}
    history = networks.fit(inputs, batch_size=2, verbose=0).history
    outputs = networks(inputs)
    x, x_hat = (backend.to_numpy(outputs[name]) for name in ("x", "x_hat"))
    levels = -10 * np.log10(np.square(x - x_hat).mean(axis=(1, 2, 3)))
    expected = {"psnr": levels.mean(), "psnr_squared": np.square(levels).mean(), "mae": np.abs(x - x_hat).mean()}
    expected["loss"] = scalar(loss_of(settings, x, x_hat))
    assert {name: history[name][-1] for name in expected} == pytest.approx(expected, rel=1e-4)


# --- pictures ------------------------------------------------------------------------------------------------------


def set_of(folder, name, levels, size=32):
    """Write a set of pictures, each of one grey level."""
    for i, level in enumerate(levels):
        data.write_png(folder / name / f"{i:04d}.png", np.full((size, size, 3), level, np.uint8))


@pytest.fixture
def two_sets(tmp_path, monkeypatch):
    monkeypatch.setenv("RELIC_DATA", str(tmp_path))
    set_of(tmp_path, "first", range(100, 112))
    set_of(tmp_path, "second", range(200, 212))
    return dataclasses.replace(AS_RUN, pictures=20, training_sets=(("first", 10), ("second", 10)), batch_size=4)


def levels_of(x):
    return x[:, 0, 0, 0].tolist()


def test_two_sets_follow_each_other_and_the_last_twentieth_validates(two_sets):
    found = patches.TrainingTiles(two_sets)
    assert levels_of(found.x) == [*range(100, 110), *range(200, 209)] and levels_of(found.validation) == [209]
    assert found.x.dtype == np.uint8 and found.x.shape[1:] == (32, 32, 3) and list(found.digests) == ["first", "second"]


def test_half_as_many_pictures_are_those_of_the_first_set_alone(two_sets):
    found = patches.TrainingTiles(dataclasses.replace(two_sets, pictures=10, validation_share=0.2))
    assert levels_of(found.x) == list(range(100, 108)) and levels_of(found.validation) == [108, 109]
    assert list(found.digests) == ["first"]


def test_turned_copies_follow_all_pictures_and_only_they_validate(tmp_path, monkeypatch):
    monkeypatch.setenv("RELIC_DATA", str(tmp_path))
    originals = pictures_of(3)
    for i, image in enumerate(originals):
        data.write_png(tmp_path / "first" / f"{i}.png", image)
    settings = dataclasses.replace(config.SET_200K, pictures=6, training_sets=(("first", 3),), validation_share=0.34)
    found = patches.TrainingTiles(settings)
    np.testing.assert_array_equal(found.x[:3], originals)
    turned = np.stack([np.rot90(image) for image in originals])
    np.testing.assert_array_equal(np.concatenate([found.x[3:], found.validation]), turned)
    assert len(found.validation) == 2


def test_larger_pictures_are_scaled_from_their_middle_and_grey_ones_have_three_channels():
    image = np.zeros((64, 80, 3), np.uint8)
    image[:, 8:72] = np.repeat(np.arange(64, dtype=np.uint8)[None, :, None], 3, axis=2)
    tile = patches.as_tile(image, 32)
    assert tile.shape == (32, 32, 3)
    np.testing.assert_array_equal(tile[5, :, 1], np.floor(np.arange(32) * 2 + 0.5 + 0.5))
    assert patches.as_tile(picture(40, 33, 1), 32).shape == (32, 32, 3)
    with pytest.raises(RelicError, match="31x40 is below 32x32: take it out"):
        patches.as_tile(picture(31, 40), 32)


@pytest.mark.parametrize("name", ["cifar10/test", "cifar100_subset/test", "kodak"])
def test_what_results_are_measured_on_is_not_learned_from(name):
    settings = dataclasses.replace(AS_RUN, pictures=4, training_sets=((name, 4),))
    with pytest.raises(RelicError, match="test set"):
        patches.TrainingTiles(settings)


def test_too_few_pictures_are_refused(two_sets):
    with pytest.raises(RelicError, match="first, second have 22 pictures, 30 are wanted: add pictures"):
        patches.TrainingTiles(dataclasses.replace(two_sets, pictures=30, training_sets=(("first", 10), ("second", 20))))
    with pytest.raises(RelicError, match="3 pictures are less than a batch of 4"):
        patches.batches(dataclasses.replace(two_sets, pictures=3), pictures_of(3), 0)


def test_an_epoch_sees_every_picture_at_most_once_in_an_order_of_its_own():
    settings = dataclasses.replace(AS_RUN, pictures=20, batch_size=6)  # 19 to learn from: 3 batches and 1 left over
    x = np.arange(19, dtype=np.uint8)[:, None, None, None] * np.ones((1, 32, 32, 3), np.uint8)
    batch = patches.batches(settings, x, 0)
    epochs = [sum((levels_of(batch(3 * epoch + i)["x"]) for i in range(3)), []) for epoch in range(3)]
    assert all(len(set(seen)) == len(seen) == 18 for seen in epochs)
    assert epochs[0] != epochs[1] != epochs[2] and set(epochs[0]) | set(epochs[1]) | set(epochs[2]) == set(range(19))
    assert batch(4)["step"].tolist() == [4] * 6 and batch(4)["step"].dtype == np.int32


def test_a_batch_depends_on_seed_and_step_alone():
    settings, x = dataclasses.replace(AS_RUN, pictures=20, batch_size=4), np.repeat(pictures_of(19), 1, axis=0)
    forward = [patches.batches(settings, x, 0)(step)["x"] for step in range(9)]
    batch = patches.batches(settings, x, 0)
    for step in (8, 2, 5):
        np.testing.assert_array_equal(batch(step)["x"], forward[step])
    assert not np.array_equal(patches.batches(settings, x, 1)(0)["x"], forward[0])


# --- trainings -----------------------------------------------------------------------------------------------------


@pytest.fixture
def quick(tmp_path, monkeypatch):
    """Train without compiling, and keep results in a folder of their own."""

    def not_compiled(function, networks=()):
        return lambda *arrays: [backend.to_numpy(found) for found in function(*map(ops.convert_to_tensor, arrays))]

    run_steps_eagerly(monkeypatch)
    monkeypatch.setattr(backend, "compiled", not_compiled)
    monkeypatch.setenv("RELIC_RESULTS", str(tmp_path))


def run(preset="as_run", **options):
    return runs.Run("donis_convlstm", preset, "smoke", 0, **options)


def without_times(log):
    return [{name: value for name, value in row.items() if name not in ("seconds", "input_wait")} for row in log]


def trained_in_pieces(settings, preset):
    """Return a training that is resumed until it is finished, and how often it was stopped."""
    for stops in range(9):
        trained = train.train(settings, run(preset, minutes=1e-9, resume=stops > 0))
        if trained is not None:
            return trained, stops
    raise AssertionError("never finished")


TRAININGS = [
    ("as_run", {"epochs": 3}),
    ("as_written", {"epochs": 2}),
    ("iterative", {"phases": ((1, 2, 1e-3), (2, 1, 5e-4))}),
]


@pytest.mark.slow
@stack
@pytest.mark.parametrize("preset, changes", TRAININGS)
def test_a_stopped_training_goes_on_to_the_same_weights_and_log(preset, changes, quick, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "CHUNK", 1)
    settings = narrow(preset, **changes)
    whole, about = train.train(settings, run(preset))
    monkeypatch.setenv("RELIC_RESULTS", str(tmp_path / "in pieces"))
    (pieces, other), stops = trained_in_pieces(settings, preset)
    assert stops == len(about["log"]) - 1 > 0 and about["steps"] == len(about["log"])
    arrays, others = checkpoints.model_arrays(whole), checkpoints.model_arrays(pieces)
    assert list(arrays) == list(others)
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, others[name], err_msg=name)
    assert without_times(about["log"]) == without_times(other["log"])
    assert [row["step"] for row in about["log"]] == list(range(1, about["steps"] + 1))


@stack
def test_the_iterative_training_takes_its_phases_in_turn(quick):
    _, about = train.train(narrow("iterative", phases=((1, 1, 1e-3), (2, 1, 5e-4))), run("iterative"))
    assert [row["iterations"] for row in about["log"]] == [1, 2]
    measures = ["input_wait", "skipped", "seconds"]
    assert list(about["log"][0]) == ["step", "loss", "first", "last", *measures, "iterations"]
    # A residual counts with the gain by which it enters the next iteration.
    one, two = about["log"]
    assert one["first"] == one["last"] == pytest.approx(one["loss"] / 3.0, rel=1e-5)
    assert two["loss"] == pytest.approx((3.0 * two["first"] + 3.3 * two["last"]) / 2, rel=1e-5)


@pytest.mark.slow
@stack
@pytest.mark.parametrize("preset", ["as_run", "iterative"])
def test_a_training_that_diverges_stops_with_one_sentence(preset, quick):
    changes = {"phases": ((1, 12, math.inf),)} if preset == "iterative" else {"learning_rate": math.inf, "epochs": 12}
    with pytest.raises(RelicError, match="diverged before step .*lower learning rate"):
        train.train(narrow(preset, **changes), run(preset))


@pytest.mark.slow
@stack
def test_validation_measures_all_pictures_together_with_the_true_ssim_beside(monkeypatch):
    monkeypatch.setattr(train, "VALIDATED", 2)
    settings = narrow("as_run")
    networks = known(OneIteration(settings))
    x = pictures_of(3)  # in parts of 2 and 1
    found = train.validation(networks, x)()
    x = x / np.float32(255)
    x_hat = backend.to_numpy(networks.reconstructed(x))
    levels = -10 * np.log10(np.square(x - x_hat).mean(axis=(1, 2, 3)))
    parts = [(1 - ssim_of(x[part], x_hat[part], 2)) ** 2 for part in (slice(0, 2), slice(2, 3))]
    expected = {"loss": (2 * parts[0] + parts[1]) / 3, "psnr": levels.mean(), "psnr_squared": np.square(levels).mean()}
    expected.update(ssim=ssim_of(x, x_hat, 1), ssim_range_2=ssim_of(x, x_hat, 2), mae=np.abs(x - x_hat).mean())
    assert found == pytest.approx({f"validation_{name}": value for name, value in expected.items()}, rel=1e-3)


@pytest.mark.slow
@stack
@pytest.mark.parametrize("preset", ["as_run", "iterative"])
def test_a_preset_is_trained_and_shipped_with_weights_that_give_the_same_outputs(preset, quick, monkeypatch):
    trained = []
    ship = train.ship

    def ship_and_keep(run, settings, arrays, about):
        trained.append(arrays)
        ship(run, settings, arrays, about)

    monkeypatch.setattr(train, "ship", ship_and_keep)
    assert train.train_preset(preset, "smoke")
    folder, settings = run(preset).shipped, at_scale(getattr(config, preset.upper()), "smoke")
    stored = weights.load(folder / "weights.safetensors")
    rows = list(csv.DictReader((folder / "log.csv").open()))
    said = json.loads((folder / "run.json").read_text())
    assert said["preset"] == f"donis_convlstm/{preset}" and said["steps"] == len(rows) == 1
    networks = [(Unrolled if settings.is_iterative else OneIteration)(settings) for _ in range(2)]
    checkpoints.set_model_arrays(networks[0], stored.arrays, "stored")
    checkpoints.set_model_arrays(networks[1], trained[0], "trained")
    inputs = {"x": pictures_of(2), "step": np.zeros(2, np.int32)}
    name = "errors" if settings.is_iterative else "x_hat"
    outputs = [backend.to_numpy(one(inputs)[name]) for one in networks]
    assert not np.array_equal(stored.arrays["encoder/E_conv/kernel"], trained[0]["encoder/E_conv/kernel"])
    np.testing.assert_allclose(*outputs, atol=2e-3)


@stack
def test_the_same_seed_starts_with_the_same_weights():
    first, again, other = (checkpoints.model_arrays(train.build(narrow(), seed, "float32")) for seed in (0, 0, 1))
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not np.array_equal(first["encoder/E_lstm1/kernel"], other["encoder/E_lstm1/kernel"])


@stack
@needs_bfloat16
def test_outputs_are_float32_in_mixed_precision():
    mixed = train.build(narrow(), 0, "bfloat16")
    x = pictures_of(2) / np.float32(255)
    assert "bfloat16" in str(mixed.encoder.get_layer("E_lstm1").compute_dtype)
    assert backend.to_numpy(mixed.encoder(x)).dtype == backend.to_numpy(mixed.reconstructed(x)).dtype == np.float32
