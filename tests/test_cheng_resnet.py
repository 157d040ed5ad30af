"""Cheng et al. (2019): parameter counts of Table 9, structure, loss, gradients, settings, weights that return."""

import dataclasses
import itertools
from functools import cache

import numpy as np
import pytest
from narrow import narrow, narrow_model, picture, save

from common import backend
from common import config as common_config
from common.errors import RelicError
from common.layers import keras_kind
from common.training import checkpoints, weights
from papers.cheng_resnet import codec, config, train
from papers.cheng_resnet import model as model_module

# Table 9, column "Para": the network of each row and its number of parameters.
TABLE_9 = {
    "baseline_3": 997_379,
    "baseline_5": 2_582_531,
    "baseline_9": 8_130_563,
    "hyperprior_3": 4_055_107,
    "hyperprior_5": 5_640_259,
    "hyperprior_9": 11_188_291,
    "resnet3": 5_716_355,
    "resnet4": 6_684_931,
    "resnet4_subpixel": 8_172_172,
    "resnet4_subpixel_bottleneck192": 11_627_916,
}
ARCHITECTURES = list(TABLE_9)
stack = pytest.mark.stack

# What a network is made of does not depend on the stack, and jax compiles every new shape for long: there a few do.
FEW = ("baseline_3", "hyperprior_3", "resnet4_subpixel")
slow = pytest.mark.slow
EACH = [pytest.param(preset, marks=stack if preset in FEW else slow) for preset in ARCHITECTURES]
STEPS = [
    pytest.param("resnet4_subpixel", "ms_ssim", marks=stack),
    ("baseline_3", "mse"),
    ("hyperprior_3", "mse"),
    pytest.param("hyperprior_3", "ms_ssim", marks=slow),
    pytest.param("resnet3", "ms_ssim", marks=slow),
    pytest.param("resnet4", "mse", marks=slow),
    pytest.param("resnet4_subpixel", "mse", marks=slow),
]


def is_kind(layer, kind):
    """Return whether a layer is of a class of this name, or one of Keras' own that a layer of ours computes."""
    return kind in (type(layer).__name__, keras_kind(layer))


def layers(transform, kind):
    """Return the layers of a Keras class in a functional model, by name."""
    return {layer.name: layer for layer in transform.layers if is_kind(layer, kind)}


@cache
def network(preset):
    """Return a preset's network to look at, as wide as in the paper."""
    return model_module.Model(getattr(config, preset.upper()))


# --- networks ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", EACH)
def test_the_number_of_parameters_is_that_of_table_9(preset):
    model = network(preset)
    variables = [value for transform in model.transforms.values() for value in transform.weights]
    assert sum(int(np.prod(variable.shape)) for variable in variables) == TABLE_9[preset]
    assert sum(int(np.prod(array.shape)) for array in checkpoints.model_arrays(model).values()) == TABLE_9[preset]


@pytest.mark.parametrize("preset", EACH)
def test_the_latent_is_a_sixteenth_and_the_side_information_a_64th_of_the_pictures_sides(preset):
    model, channels = network(preset), 192 if "192" in preset else 128
    x = np.zeros((1, 64, 128, 3), np.float32)
    y = model.analysis_transform(x)
    assert tuple(y.shape) == (1, 4, 8, channels)
    assert tuple(model.synthesis_transform(y).shape) == (1, 64, 128, 3)
    if preset.startswith("baseline"):
        assert model.hyper_analysis_transform is None and model.hyper_synthesis_transform is None
    else:
        z = model.hyper_analysis_transform(y)
        assert tuple(z.shape) == (1, 1, 2, channels)
        assert tuple(model.hyper_synthesis_transform(z).shape) == (1, 4, 8, 2 * channels)


@slow
def test_sub_pixel_replaces_transposed_convolutions_in_the_main_decoder_alone():
    for preset in ("resnet4_subpixel", "resnet4_subpixel_bottleneck192"):
        decoder, hyper_decoder = network(preset).synthesis_transform, network(preset).hyper_synthesis_transform
        assert not layers(decoder, "Conv2DTranspose") and len(layers(decoder, "DepthToSpace")) == 7
        assert len(layers(hyper_decoder, "Conv2DTranspose")) == 5 and not layers(hyper_decoder, "DepthToSpace")
    decoder = network("resnet4").synthesis_transform
    assert len(layers(decoder, "Conv2DTranspose")) == 7 and not layers(decoder, "DepthToSpace")


@slow
@pytest.mark.parametrize("preset", ARCHITECTURES)
def test_only_the_latents_convolution_and_the_last_of_the_hyper_decoder_have_no_bias(preset):
    unbiased = set()
    for transform in network(preset).transforms.values():
        for layer in getattr(transform, "layers", []):
            unbiased |= {layer.name} if not getattr(layer, "use_bias", True) else set()
    latent = "E4_conv4" if preset.startswith("resnet") else "conv4"
    assert unbiased == ({latent} if preset.startswith("baseline") else {latent, "layer3"})


@slow
@pytest.mark.parametrize("preset", ARCHITECTURES)
def test_each_of_three_stages_has_gdn_in_the_encoder_and_its_inverse_in_the_decoder(preset):
    kind = type(backend.GDN(name="gdn")).__name__
    model = network(preset)
    assert [layer.inverse for layer in layers(model.analysis_transform, kind).values()] == [False] * 3
    assert [layer.inverse for layer in layers(model.synthesis_transform, kind).values()] == [True] * 3


def kernel_sizes(transform):
    found = {**layers(transform, "Conv2D"), **layers(transform, "Conv2DTranspose")}
    return {name: layer.kernel_size[0] for name, layer in found.items()}


@slow
@pytest.mark.parametrize("size", [3, 5, 9])
@pytest.mark.parametrize("family", ["baseline", "hyperprior"])
def test_plain_networks_have_four_layers_either_way_of_the_kernel_they_are_named_for(family, size):
    model = network(f"{family}_{size}")
    assert list(kernel_sizes(model.analysis_transform).values()) == [size] * 4
    assert list(kernel_sizes(model.synthesis_transform).values()) == [size] * 4
    if family == "hyperprior":
        assert list(kernel_sizes(model.hyper_analysis_transform).values()) == [3, 5, 5]
        assert sorted(kernel_sizes(model.hyper_synthesis_transform).values()) == [1, 1, 1, 3, 5, 5]


@slow
def test_aux_9_widens_the_two_pairs_of_5x5_kernels_and_nothing_else():
    model = network("hyperprior_9_aux9_msssim")
    assert list(kernel_sizes(model.hyper_analysis_transform).values()) == [3, 9, 9]
    assert sorted(kernel_sizes(model.hyper_synthesis_transform).values()) == [1, 1, 1, 3, 9, 9]
    assert list(kernel_sizes(model.analysis_transform).values()) == [9] * 4


@slow
@pytest.mark.parametrize("preset", ["resnet3", "resnet4", "resnet4_subpixel"])
def test_residual_networks_have_3x3_kernels_but_for_1x1_shortcuts(preset):
    model = network(preset)
    for name, size in {**kernel_sizes(model.analysis_transform), **kernel_sizes(model.synthesis_transform)}.items():
        assert size == (1 if "shortcut" in name else 3), name
    shortcuts = [name for name in kernel_sizes(model.analysis_transform) if "shortcut" in name]
    assert len(shortcuts) == (0 if preset == "resnet3" else 3)
    # Identity units after each of three stages, and shortcuts round the stages of resnet4.
    assert len(layers(model.analysis_transform, "Add")) == (3 if preset == "resnet3" else 6)
    assert len(layers(model.synthesis_transform, "Add")) == (4 if preset == "resnet3" else 7)


# --- training ------------------------------------------------------------------------------------------------------


def one_step(settings, step=0):
    """Train one step; return the model, its variables before and what `fit` reports."""
    model = train.build(settings, 0, "float32")
    model.run_eagerly = backend.BACKEND == "tensorflow"  # where it takes less time than tracing
    before = checkpoints.model_arrays(model)
    x = np.stack([picture(settings.patch_size, settings.patch_size)] * settings.batch_size)
    inputs = {"x": x, "step": np.full(len(x), step, np.int32)}
    history = model.fit(inputs, batch_size=len(x), verbose=0).history
    return model, before, {name: values[-1] for name, values in history.items()}


@pytest.mark.parametrize("preset, distortion", STEPS)
def test_one_step_moves_every_trained_number_by_a_finite_amount_and_the_loss_is_equation_1(preset, distortion):
    """Adam's first step is the learning rate times the gradient's sign, so what stays has a gradient of zero."""
    settings = narrow(preset, distortion=distortion, lmbda=0.7, patch_size=192)
    model, before, reported = one_step(settings)
    after = checkpoints.model_arrays(model)
    assert all(np.isfinite(value) for value in reported.values())
    assert reported["loss"] == pytest.approx(0.7 * reported["distortion"] + reported["rate_estimate"], rel=1e-5)
    for name, start in before.items():
        assert np.isfinite(after[name]).all(), name
        if name == "prior/quantiles":
            np.testing.assert_array_equal(after[name], start)
        else:
            assert np.mean(after[name] != start) > 0.95, name
            assert np.abs(after[name] - start).max() < 1.01e-4 + 1e-6, name  # the paper's learning rate


@stack
def test_the_first_steps_of_a_short_training_add_the_squared_error(monkeypatch):
    monkeypatch.setattr(model_module, "ms_ssim_tensor", lambda x, y, **_: backend.ops.ones((1,)) * 0.75)
    model = model_module.Model(narrow("baseline_3", distortion="ms_ssim", warmup_share=0.5, warmup_weight=200.0))
    x = backend.ops.zeros((1, 64, 64, 3))
    for step, extra in ((0, 200.0), (1, 200.0), (2, 0.0), (3, 0.0)):
        distortion, added = model._distortion(x, x + 0.1, backend.ops.convert_to_tensor(np.int32(step)))
        assert float(backend.to_numpy(distortion)) == pytest.approx(0.25)
        assert float(backend.to_numpy(added)) == pytest.approx(extra * 0.01, rel=1e-4)


@stack
def test_squared_errors_count_on_the_scale_of_0_to_255():
    x = backend.ops.zeros((1, 64, 64, 3))
    distortion, extra = model_module.Model(narrow("baseline_3"))._distortion(x, x + 2.0 / 255.0, 0)
    assert float(backend.to_numpy(distortion)) == pytest.approx(4.0, rel=1e-4) and extra == 0.0


@stack
def test_the_training_output_depends_on_the_inputs_the_seed_and_the_step_alone():
    model, x = model_module.Model(narrow("hyperprior_3")), picture(64, 64)[None]

    def output(seed, step):
        model.seed = seed
        outputs = model({"x": x, "step": np.array([step], np.int32)})
        return backend.to_numpy(outputs["x_hat"]), float(backend.to_numpy(outputs["rate_estimate"]))

    first, rate = output(0, 5)
    again, rate_again = output(0, 5)
    np.testing.assert_array_equal(first, again)
    assert rate == rate_again and first.shape == (1, 64, 64, 3)
    for changed, changed_rate in (output(0, 6), output(1, 5)):
        assert not np.array_equal(first, changed) and rate != changed_rate


# --- weights that come back ----------------------------------------------------------------------------------------

X = picture(64, 128)[None] / np.float32(255)


@cache
def saved_and_loaded(preset, folder):
    """Return a network with known weights and the codec of its weights file."""
    model = narrow_model(preset)
    return model, codec.Codec(weights.load(save(folder / f"{preset}.safetensors", preset, model)))


def outputs(model):
    """Return y, the picture reconstructed from its integers, and with side information mu and log sigma."""
    y = backend.to_numpy(model.analysis_transform(X))
    x_hat = backend.to_numpy(model.synthesis_transform(np.rint(y)))
    if model.hyper_analysis_transform is None:
        return y, x_hat, backend.to_numpy(model.prior(np.rint(y)))
    z_hat = np.rint(backend.to_numpy(model.hyper_analysis_transform(y)))
    return y, x_hat, backend.to_numpy(model.hyper_synthesis_transform(z_hat)), backend.to_numpy(model.prior(z_hat))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("weights")


@pytest.mark.parametrize("preset", EACH)
def test_saved_weights_give_the_same_reconstruction_bit_for_bit(preset, folder):
    model, loaded = saved_and_loaded(preset, folder)
    assert loaded.config == model.config
    expected, measured = outputs(model), outputs(loaded.model)
    assert len(expected) == len(measured) == (3 if preset.startswith("baseline") else 4)
    for one, other in zip(expected, measured, strict=True):
        np.testing.assert_array_equal(one, other)
    y, x_hat = expected[:2]
    assert np.unique(np.rint(y)).size > 8 and 0.01 < x_hat.std() < 0.5  # neither empty nor saturated
    initial = checkpoints.model_arrays(model_module.Model(model.config))
    for name, array in checkpoints.model_arrays(loaded.model).items():
        assert not np.array_equal(initial[name], array), f"{name} is as initialised: the test would miss its loss"


@slow
def test_two_architectures_never_give_equal_outputs(folder):
    """Weights depend on a variable's name and shape alone, so two networks that were built alike would agree."""
    given = {preset: outputs(saved_and_loaded(preset, folder)[0]) for preset in ARCHITECTURES}
    for one, other in itertools.combinations(ARCHITECTURES, 2):
        equal = [np.array_equal(a, b) for a, b in zip(given[one], given[other], strict=False)]
        assert len(given[one]) != len(given[other]) or not all(equal), (one, other)


@stack
def test_weights_of_one_architecture_are_refused_by_another(folder):
    saved_and_loaded("hyperprior_3", folder)
    stored = weights.load(folder / "hyperprior_3.safetensors")
    for changes in ({"kernel_size": 5}, {"architecture": "baseline"}):
        other = dataclasses.replace(stored, config={**stored.config, **changes})
        with pytest.raises(RelicError, match="hyperprior_3.safetensors holds weights of another network"):
            codec.Codec(other)


@stack
@pytest.mark.parametrize(
    "missing", ["prior/frequencies", "gaussian/lengths", "hyper_decoder/points", "hyper_decoder/checksum"]
)
def test_weights_without_one_of_their_tables_are_refused(missing, folder):
    saved_and_loaded("hyperprior_3", folder)
    stored = weights.load(folder / "hyperprior_3.safetensors")
    integers = {name: array for name, array in stored.integers.items() if name != missing}
    assert len(integers) == len(stored.integers) - 1
    with pytest.raises(RelicError):
        codec.Codec(dataclasses.replace(stored, integers=integers))


# --- settings ------------------------------------------------------------------------------------------------------


def test_every_setting_says_where_it_comes_from():
    described = common_config.describe(config.RESNET4_SUBPIXEL)
    assert [field["name"] for field in described] == [field.name for field in dataclasses.fields(config.Config)]
    for field in described:
        assert field["status"] in ("sourced", "assumed") and len(field["source"]) > 5, field["name"]
        assert field["value"] == getattr(config.RESNET4_SUBPIXEL, field["name"])
    values = {field["name"]: (field["value"], field["default"]) for field in described}
    assert values["sub_pixel"] == (True, False) and values["lmbda"] == (5.0, 5.0)


def test_the_presets_are_the_constants_and_all_differ():
    presets = common_config.presets(config)
    assert set(ARCHITECTURES) <= set(presets) and "hyperprior_9_msssim" in presets
    assert all(name == name.lower() and getattr(config, name.upper()) is value for name, value in presets.items())
    assert not any(name.startswith("_") for name in presets)
    for one, other in itertools.combinations(presets, 2):
        assert presets[one] != presets[other], (one, other)


@pytest.mark.parametrize("scale", common_config.SCALES)
def test_a_scale_shortens_the_training_and_narrows_the_network_but_changes_nothing_that_the_paper_compares(scale):
    of_recipes = {field.name for field in dataclasses.fields(config.Config) if field.metadata["recipe"]}
    assert not of_recipes & {"architecture", "kernel_size", "sub_pixel", "num_filters", "distortion", "lmbda"}
    may_change = {"num_filters", *of_recipes}
    presets = common_config.presets(config)
    for name, preset in presets.items():
        scaled = config.at_scale(preset, scale)
        changed = {key for key, value in dataclasses.asdict(scaled).items() if getattr(preset, key) != value}
        assert changed <= (may_change if scale != "paper" else set()), name
        assert scaled.num_filters <= preset.num_filters and scaled.steps <= preset.steps
    assert len({config.at_scale(preset, scale) for preset in presets.values()}) == len(presets)


def test_an_unknown_scale_or_preset_is_refused_with_what_there_is():
    with pytest.raises(RelicError, match="unknown scale 'huge': choose one of smoke, small, medium, paper"):
        config.at_scale(config.RESNET4, "huge")
    with pytest.raises(RelicError, match="unknown preset cheng_resnet/resnet5: choose one of .*resnet4_subpixel"):
        common_config.find_preset(config, "resnet5")


def test_a_setting_without_a_source_would_be_noticed():
    @dataclasses.dataclass
    class Careless:
        width: int = 3

    assert common_config.describe(Careless())[0]["status"] == ""
