"""Deshmukh and Pollett: networks by hand, their start, up-sampling, Eq. 2, the SRGAN's losses, operations, presets."""

import dataclasses
from functools import cache

import numpy as np
import pytest
from narrow import gradients, known_arrays, needs_bfloat16, picture
from PIL import Image

from common import backend
from common.backend import keras, ops
from common.config import describe, presets
from common.errors import RelicError
from common.layers import keras_kind
from common.training import checkpoints
from papers.deshmukh_irm import complexity, config, losses, model, scaling, super_resolution, train
from papers.deshmukh_irm.config import Compression, SuperResolution
from papers.deshmukh_irm.model import Model
from papers.deshmukh_irm.scaling import Bicubic

stack = pytest.mark.stack
COMPRESSION = [name for name, preset in presets(config).items() if isinstance(preset, Compression)]
OF_NETWORKS = ("channels", "num_maps", "architecture", "icm_maps", "stride", "strided_layer", "dilation")
OF_NETWORKS += ("icm_batch_norm", "skips", "separable")


def named(preset, **changes):
    return dataclasses.replace(getattr(config, preset.upper()), **changes)


def made_of(preset):
    """Return the fields of a preset that decide what its networks are."""
    return tuple(getattr(named(preset), field) for field in OF_NETWORKS)


# One preset for each pair of networks; the others are trained in another way.
NETWORKS = list({made_of(name): name for name in reversed(COMPRESSION)}.values())
ALL_NETWORKS = pytest.mark.parametrize("preset", NETWORKS)


def narrow(preset, **changes):
    """Return a preset's Config with few maps for two patches of 16x16 of drawn pictures; wide ICMs stay wider."""
    settings = {"num_maps": 4, "patch_size": 16, "batch_size": 2, "training_sets": ("synthetic",), "steps": 4}
    if isinstance(named(preset), Compression):
        settings["icm_maps"] = min(named(preset).icm_maps, 6)
    else:
        settings.update(num_maps=2, num_blocks=1, discriminator_maps=2)
    return named(preset, **{**settings, **changes})


def known(networks):
    """Give networks weights, none of them as initialised, and return the networks."""
    checkpoints.set_model_arrays(networks, known_arrays(networks), "known")
    return networks


@pytest.fixture
def few_layers(monkeypatch):
    """Build networks with one layer a block, and a baseline of two: enough for what does not depend on depth."""
    monkeypatch.setattr(model, "DEPTH", 1)
    monkeypatch.setattr(model, "BASELINE_LAYERS", 2)


def known_network(build, settings):
    """Return a network that has been given known weights; those of separable layers start at random, from one seed."""
    backend.set_seed(0)
    network = build(settings)
    return known(type("Holder", (), {"transforms": {network.name: network}})).transforms[network.name]


@cache
def icm_of(preset):
    return known_network(model.icm, narrow(preset))


def irm_of(preset):
    """Return a narrow IRM as deep as the paper's, with known weights."""
    own = named(preset)
    return narrow_irm(own.channels, own.architecture, own.skips, own.separable)


@cache
def narrow_irm(channels, architecture, skips, separable):
    fields = dict(channels=channels, architecture=architecture, skips=skips, separable=separable)
    return known_network(model.irm, narrow("grey", **fields))


def values(seed=0, height=14, width=10, channels=1):
    """Return a float32 picture (1, H, W, c) of waves and noise in [0, 1]."""
    return picture(height, width, 3, seed)[None, ..., :channels].astype(np.float32) / 255


# --- Sections 3.2 and 3.3: the networks, written once more in numpy ------------------------------------------------


class ByHand:
    """The networks of the text in numpy, float64 (H, W, c), with weights by `<layer>/<variable>`."""

    def __init__(self, network, settings):
        self.config = settings
        self.w = {name: backend.to_numpy(v).astype(float) for name, v in backend.variables(network).items()}

    def taps(self, x, stride=1, dilation=1):
        """Yield, for each of 3x3 taps, its place and the pixels that it meets under "same" padding."""
        outputs = [-(-side // stride) for side in x.shape[:2]]
        totals = [max(0, (n - 1) * stride + 2 * dilation + 1 - side) for n, side in zip(outputs, x.shape, strict=False)]
        x = np.pad(x, [*[(total // 2, total - total // 2) for total in totals], (0, 0)])
        for i, j in np.ndindex(3, 3):
            rows, columns = (slice(k * dilation, None, stride) for k in (i, j))
            yield (i, j), x[rows, columns][: outputs[0], : outputs[1]]

    def conv(self, x, name, **options):
        kernel, bias = self.w[f"{name}_conv/kernel"], self.w[f"{name}_conv/bias"]
        return sum(pixels @ kernel[tap] for tap, pixels in self.taps(x, **options)) + bias

    def separable(self, x, name):
        """One kernel for each map, then a mixture of the maps, with a single bias."""
        depthwise, pointwise = (self.w[f"{name}_conv/{of}_kernel"] for of in ("depthwise", "pointwise"))
        x = sum(pixels * depthwise[tap][:, 0] for tap, pixels in self.taps(x))
        return x @ pointwise[0, 0] + self.w[f"{name}_conv/bias"]

    def norm(self, x, name):
        gamma, beta, mean, variance = (
            self.w[f"{name}_norm/{of}"] for of in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        return gamma * (x - mean) / np.sqrt(variance + 1e-3) + beta

    def icm(self, x):
        """conv, ReLU; strided conv, ReLU, BN (Section 3.2's order); conv without activation."""
        own, stride = self.config, [1, 1]
        stride[own.strided_layer - 1] = own.stride
        h = relu(self.conv(x, "C1", stride=stride[0]))
        if own.dilation == 1:
            h = relu(self.conv(h, "C2", stride=stride[1]))
        else:
            h = relu(self.conv(h, "C2", dilation=own.dilation)[:: stride[1], :: stride[1]])
        h = self.norm(h, "C2") if own.icm_batch_norm else h
        return self.conv(h, "C3")

    def irm(self, u):
        h = relu(self.conv(u, "R1"))
        if self.config.architecture == "baseline":
            for i in range(2, 20):
                h = relu(self.norm(self.conv(h, f"R1_{i}"), f"R1_{i}"))
            return u + self.conv(h, "R5")
        for block in (2, 3, 4):
            entered, conv = h, self.separable if block == 2 and self.config.separable else self.conv
            for name in (f"R{block}_{i}" for i in range(1, 6)):
                h = self.norm(relu(conv(h, name)), name)
            h = relu(entered + h if self.config.skips else h)
        return u + self.conv(h, "R5")


def relu(x):
    return np.maximum(x, 0.0)


def assert_close(found, expected, tolerance=2e-5):
    """Compare float32 sums with float64 ones: to a part of the largest value."""
    np.testing.assert_allclose(found, expected, atol=tolerance * max(1.0, np.abs(expected).max()))


@stack
@ALL_NETWORKS
def test_the_icm_computes_what_the_text_says(preset):
    icm, own = icm_of(preset), narrow(preset)
    x = values(height=16, width=12, channels=own.channels)
    code = backend.to_numpy(icm(x))
    assert code.shape == (1, 16 // own.stride, 12 // own.stride, own.channels) and code.dtype == np.float32
    assert_close(code[0], ByHand(icm, own).icm(x[0].astype(float)))
    # Nothing after the last layer: its bias moves the code, below zero too.
    bias = icm.get_layer("C3_conv").bias
    backend.assign(bias, backend.to_numpy(bias) - 5.0)
    lower = backend.to_numpy(icm(x))
    backend.assign(bias, backend.to_numpy(bias) + 5.0)
    assert lower.min() < 0
    np.testing.assert_allclose(lower, code - 5.0, atol=1e-4)


@stack
@pytest.mark.parametrize("preset", ["rgb", "grey", "grey_without_skips", "grey_without_separable", "baseline_jiang"])
def test_the_irm_computes_what_the_text_says(preset):
    irm, own = irm_of(preset), narrow(preset)
    u = values(channels=own.channels)
    x_hat = backend.to_numpy(irm(u))
    assert x_hat.shape == u.shape and x_hat.dtype == np.float32
    expected = ByHand(irm, own).irm(u[0].astype(float))
    assert np.abs(expected - u[0]).mean() > 0.01  # what is compared is more than u
    assert_close(x_hat[0], expected)


@stack
@pytest.mark.parametrize("preset", ["rgb", "baseline_jiang"])
def test_an_irm_whose_last_layer_is_zero_changes_nothing(preset, few_layers):
    irm = known_network(model.irm, narrow(preset))
    for variable in (irm.get_layer("R5_conv").kernel, irm.get_layer("R5_conv").bias):
        backend.assign(variable, np.zeros(tuple(variable.shape), np.float32))
    u = values(channels=named(preset).channels)
    np.testing.assert_array_equal(backend.to_numpy(irm(u)), u)


@stack
@pytest.mark.parametrize("preset", ["grey", "grey_without_skips"])
def test_the_gradient_through_skip_connections_is_that_of_differences(preset):
    irm, u = irm_of(preset), values(1)
    by_hand = ByHand(irm, narrow(preset))
    rng = np.random.default_rng(0)
    upstream, way = (rng.normal(size=u.shape).astype(np.float32) for _ in range(2))
    _, gradient, _ = gradients(lambda x: irm(x, training=False), u, upstream)
    step = 1e-6 * way[0].astype(float)
    difference = (by_hand.irm(u[0] + step) - by_hand.irm(u[0] - step)) / 2e-6
    assert np.sum(gradient * way) == pytest.approx(np.sum(difference * upstream[0]), rel=1e-3)


@stack
def test_without_skips_the_same_weights_give_another_picture_and_another_gradient():
    """The weights of both are known by their names, which are the same."""
    u = values(2)
    irms = [irm_of(preset) for preset in ("grey", "grey_without_skips")]
    found = [gradients(lambda x, irm=irm: irm(x, training=False), u, np.ones_like(u))[:2] for irm in irms]
    kernels = [backend.to_numpy(irm.get_layer("R3_2_conv").kernel) for irm in irms]
    np.testing.assert_array_equal(*kernels)
    for ours, others in zip(*found, strict=True):
        assert np.abs(ours - others).mean() > 0.01 * np.abs(others).mean()


def layer_types(network):
    return [type(layer).__name__ for layer in network.layers[1:]]


@stack
def test_skips_are_after_blocks_2_3_and_4_and_separable_layers_in_block_2_alone():
    def counts(preset):
        names = layer_types(irm_of(preset))
        return [names.count(name) for name in ("Add", "SeparableConv2D", "Conv2D", "BatchNormalization", "ReLU")]

    assert counts("rgb") == counts("grey") == [4, 5, 12, 15, 19]
    assert counts("grey_without_skips") == [1, 5, 12, 15, 19]
    assert counts("grey_without_separable") == [4, 0, 17, 15, 19]
    assert counts("baseline_jiang") == [1, 0, 20, 18, 19]
    irm = irm_of("grey")
    assert [layer.name for layer in irm.layers if isinstance(layer, keras.layers.Add)][:3] == [
        f"R{block}_skip" for block in (2, 3, 4)
    ]
    separable = [layer.name for layer in irm.layers if isinstance(layer, keras.layers.SeparableConv2D)]
    assert separable == [f"R2_{i}_conv" for i in range(1, 6)]


@stack
def test_the_icm_has_the_papers_layers_in_their_order():
    proposed = ["Conv2D", "ReLU", "Conv2D", "ReLU", "BatchNormalization", "Conv2D", "Activation"]
    assert layer_types(icm_of("rgb")) == layer_types(icm_of("baseline_as_written")) == proposed
    assert layer_types(icm_of("baseline_jiang")) == [name for name in proposed if name != "BatchNormalization"]
    dilated = layer_types(icm_of("grey_dilation2"))
    assert dilated == [*proposed[:3], "Decimate", *proposed[3:]]
    maps = {name: named(name).icm_maps for name in COMPRESSION}
    assert {name for name, count in maps.items() if count == 64} == {
        "baseline_as_written",
        "baseline_jiang",
        "grey_icm64",
    }
    assert set(maps.values()) == {3, 64}


def structure(preset):
    """Return every layer of both networks with what it is made of and what it is fed with."""
    described = []
    for network in Model(narrow(preset)).transforms.values():
        for layer in network.layers:
            of = layer.get_config()
            sizes = [of.get(key) for key in ("filters", "kernel_size", "strides", "dilation_rate", "batch_shape")]
            shapes = [tuple(variable.shape) for variable in layer.weights]
            described.append((layer.name, type(layer).__name__, str(sizes), str(shapes), str(layer.output.shape)))
    return tuple(described)


@pytest.mark.slow
def test_networks_are_the_same_only_where_presets_differ_in_the_training_alone(few_layers):
    by_structure, by_fields = {}, {}
    for preset in COMPRESSION:
        by_structure.setdefault(structure(preset), set()).add(preset)
        by_fields.setdefault(made_of(preset), set()).add(preset)
    assert list(by_structure.values()) == list(by_fields.values()) and len(by_fields) == len(NETWORKS) >= 9
    same = {"grey", "grey_penalty_literal", "grey_without_penalty", "grey_images400", "grey_stl10", "grey_peak1"}
    assert same in by_structure.values()


@stack
@pytest.mark.parametrize("preset, size", [("rgb", 16), ("rgb_stride4", 16), ("grey_dilation2", 16)])
def test_the_model_up_samples_the_code_to_the_size_of_its_patches(preset, size, few_layers):
    networks = known(Model(narrow(preset)))
    x = np.stack([picture(size, size, seed=seed) for seed in (0, 1)])[..., : networks.config.channels]
    found = {
        name: backend.to_numpy(of)
        for name, of in networks({"x": x, "step": np.zeros(2, np.int32)}, training=False).items()
    }
    assert {of.shape for of in found.values()} == {x.shape} and {of.dtype for of in found.values()} == {np.dtype("f4")}
    np.testing.assert_allclose(found["x"], x / 255, atol=1e-6)
    code = backend.to_numpy(networks.icm(found["x"]))
    assert_close(found["u"][1], enlarged(code[1], networks.config.stride))
    assert_close(found["x_hat"], backend.to_numpy(networks.irm(found["u"])))


@stack
@needs_bfloat16
def test_pictures_are_float32_in_mixed_precision_and_inner_layers_are_not(few_layers):
    mixed = known(train.build(narrow("rgb"), 0, "mixed_bfloat16"))
    assert keras.layers.ReLU().compute_dtype == "float32"  # of layers that are built later
    for network, inner in ((mixed.icm, "C2_conv"), (mixed.irm, "R3_1_conv")):
        assert "bfloat16" in str(network.get_layer(inner).compute_dtype)
    x = np.stack([picture(16, 16, seed=seed) for seed in (0, 1)])
    inputs = {"x": x, "step": np.zeros(2, np.int32)}
    found = mixed(inputs, training=False)
    assert {backend.to_numpy(of).dtype for of in found.values()} == {np.dtype(np.float32)}
    assert all(backend.to_numpy(value).dtype == np.float32 for value in mixed.losses_of(found).values())
    single = Model(narrow("rgb"))
    checkpoints.set_model_arrays(single, checkpoints.model_arrays(mixed), "the same")
    expected = backend.to_numpy(single(inputs, training=False)["x_hat"])
    difference = np.abs(backend.to_numpy(found["x_hat"]) - expected).mean() / np.abs(expected).mean()
    assert 1e-5 < difference < 0.05


def run_eagerly(compiled):
    compiled.run_eagerly = backend.BACKEND == "tensorflow"  # where it takes less time than tracing
    return compiled


@stack
@ALL_NETWORKS
def test_one_step_moves_every_weight_of_both_networks(preset, few_layers):
    settings = narrow(preset, icm_maps=6)  # of three maps some are off everywhere
    networks = known(run_eagerly(train.build(settings, 0, "float32")))
    before = checkpoints.model_arrays(networks)
    x = np.stack([picture(16, 16, seed=seed)[..., : networks.config.channels] for seed in (0, 1)])
    networks.fit({"x": x, "step": np.zeros(2, np.int32)}, batch_size=2, verbose=0)
    after = checkpoints.model_arrays(networks)
    # A bias before batch normalisation has no gradient: the mean takes it away again.
    free = {f"irm/R1_{i}_conv/bias" for i in range(2, 20)} if preset.startswith("baseline") else set()
    for name in set(before) - free:
        assert np.isfinite(after[name]).all()
        assert np.mean(after[name] != before[name]) > 0.4, name
    assert {name.split("/")[0] for name in before} == {"icm", "irm"}


# --- counts --------------------------------------------------------------------------------------------------------


@cache
def full(preset):
    """Return the networks of a preset at full width."""
    settings = named(preset)
    if isinstance(settings, SuperResolution):
        return {"generator": super_resolution.generator(settings)}
    return {"icm": model.icm(settings), "irm": full_irm(settings.channels, settings.architecture, settings.separable)}


@cache
def full_irm(channels, architecture, separable):
    """Return an IRM at full width with skip connections, which have no weights."""
    return model.irm(named("grey", channels=channels, architecture=architecture, separable=separable))


def kernels(preset):
    """Return, by hand, the weights of every 3x3 convolution as {network: [weights, ...]}."""
    own, f = named(preset), named(preset).icm_maps
    c = own.channels
    inner = [9 * 64 * 64] * (18 if own.architecture == "baseline" else 15)
    if own.separable:
        inner[:5] = [9 * 64 + 64 * 64] * 5
    return {"icm": [9 * c * f, 9 * f * f, 9 * f * c], "irm": [9 * c * 64, *inner, 9 * 64 * c]}


@stack
@pytest.mark.parametrize(
    "preset, parameters",
    [
        ("grey", 396_245),
        ("rgb", 398_661),
        ("baseline_as_written", 706_498),
        ("baseline_jiang", 706_498 - 2 * 64),
        ("grey_without_separable", 557_205),
    ],
)
def test_the_trained_parameters_are_the_papers_layers(preset, parameters):
    own, by_hand = named(preset), kernels(preset)
    biases = 2 * own.icm_maps + own.channels + 64 * (len(by_hand["irm"]) - 1) + own.channels
    norms = 2 * own.icm_maps * own.icm_batch_norm + 2 * 64 * (len(by_hand["irm"]) - 2)
    assert sum(map(sum, by_hand.values())) + biases + norms == parameters
    assert sum(complexity.parameters(network) for network in full(preset).values()) == parameters


@stack
@pytest.mark.parametrize(
    "preset, billions",
    [
        ("grey", 15.7),
        ("rgb", 15.8),
        ("baseline_as_written", 27.0),
        ("baseline_jiang", 27.0),
        ("grey_without_separable", 22.2),
        ("rgb_stride4", 15.8),
        ("grey_dilation2", 15.7),
    ],
)
def test_the_multiplications_are_those_of_kernels_and_output_sizes(preset, billions):
    own, (c1, c2, c3), irm = named(preset), *kernels(preset).values()
    small = (200 // own.stride) ** 2
    pixels = [small if own.strided_layer == 1 else 200**2, 200**2 if own.dilation > 1 else small, small]
    expected = {"icm": c1 * pixels[0] + c2 * pixels[1] + c3 * pixels[2], "irm": 200**2 * sum(irm)}
    assert {name: complexity.macs(network, 200, 200) for name, network in full(preset).items()} == expected
    assert complexity.compression_macs(own, 200, 200) == expected
    assert round(sum(expected.values()) / 1e9, 1) == billions


@stack
def test_the_generator_has_ledigs_layers_and_takes_more_operations_than_the_irm():
    generator = full("srgan")["generator"]
    norms, slopes = 2 * 64, 64
    block = 2 * (9 * 64 * 64 + 64 + norms) + slopes
    tail = 9 * 64 * 64 + 64 + norms + 2 * (9 * 64 * 256 + 256 + slopes) + 81 * 64 * 3 + 3
    assert 81 * 3 * 64 + 64 + slopes + 16 * block + tail == 1_550_659 == complexity.parameters(generator)
    lr = 100 * 100
    macs = lr * (81 * 3 * 64 + 33 * 9 * 64 * 64 + 9 * 64 * 256) + 4 * lr * 9 * 64 * 256 + 16 * lr * 81 * 64 * 3
    assert complexity.macs(generator, 100, 100) == macs and round(macs / 1e9, 1) == 22.2
    assert complexity.generator_macs(config.SRGAN, 100, 100) == macs
    assert macs > complexity.macs(full("rgb")["irm"], 200, 200)
    y = super_resolution.generator(narrow("srgan"))(values(height=5, width=7, channels=3))
    assert tuple(y.shape) == (1, 20, 28, 3)


# Operations of 16.5 million pictures.
BUDGETS = {"grey": 1.6e18, "baseline_as_written": 2.67e18, "grey_without_separable": 2.2e18}


def test_a_training_takes_six_operations_a_multiplication_and_picture():
    images = 50 * 330_000 * 0.8
    assert config.GREY.steps * config.GREY.batch_size == images and config.GREY.settled_steps == 0
    macs = {name: sum(complexity.compression_macs(named(name), 200, 200).values()) for name in BUDGETS}
    for preset, budget in BUDGETS.items():
        assert 6 * macs[preset] * images == pytest.approx(0.8 * budget, rel=0.04)  # which has the validated fifth too
    small = config.at_scale(config.GREY, "small")
    one = sum(complexity.compression_macs(small, small.patch_size, small.patch_size).values())
    images_of_small = (small.steps + small.settled_steps) * small.batch_size
    assert complexity.training_flops(config.GREY, "small") == 6.0 * one * images_of_small
    assert small.settled_steps > 0
    assert complexity.training_flops(config.GREY, "paper") == pytest.approx(6 * macs["grey"] * images, rel=1e-12)
    one = complexity.generator_macs(config.SRGAN, 24, 24)
    assert complexity.training_flops(config.SRGAN, "paper") == pytest.approx(6 * one * 1_200_000 * 16, rel=1e-12)


# --- up-sampling ---------------------------------------------------------------------------------------------------


def enlarged(x, factor):
    """Return (H, W, c) enlarged by the spline of Catmull and Rom, Keys' a = -1/2, edges repeated."""
    for axis in (0, 1):
        x = np.moveaxis(x, axis, 0)
        place = (np.arange(len(x) * factor) + 0.5) / factor - 0.5
        k = np.floor(place).astype(int)
        t = (place - k)[:, None, None]
        p = [x[np.clip(k + i, 0, len(x) - 1)].astype(float) for i in (-1, 0, 1, 2)]
        x = p[1] + t / 2 * (p[2] - p[0])
        x = x + t**2 / 2 * (2 * p[0] - 5 * p[1] + 4 * p[2] - p[3]) + t**3 / 2 * (3 * p[1] - p[0] - 3 * p[2] + p[3])
        x = np.moveaxis(x, 0, axis)
    return x


def upsampled(x, factor):
    return backend.to_numpy(Bicubic(factor)(x))


@stack
@pytest.mark.parametrize("factor", [1, 2, 4])
def test_up_sampling_is_keys_cubic_with_edges_repeated(factor):
    x = np.random.default_rng(0).random((2, 5, 7, 3), np.float32)
    found = upsampled(x, factor)
    assert found.shape == (2, 5 * factor, 7 * factor, 3) == tuple(Bicubic(factor).compute_output_shape(x.shape))
    assert found.dtype == np.float32 and not Bicubic(factor).weights
    for one, expected in zip(found, x, strict=True):
        np.testing.assert_allclose(one, enlarged(expected, factor), atol=2e-6)
    assert tuple(Bicubic(factor).compute_output_shape((None, None, None, 1))) == (None, None, None, 1)


@stack
@pytest.mark.parametrize("shape", [(1, 1), (1, 3), (2, 1)])
def test_up_sampling_takes_pictures_smaller_than_its_kernel(shape):
    x = np.random.default_rng(1).random((1, *shape, 1), np.float32)
    np.testing.assert_allclose(upsampled(x, 4)[0], enlarged(x[0], 4), atol=2e-6)


@stack
@pytest.mark.parametrize("factor", [2, 4])
def test_up_sampling_keeps_constants_and_inside_any_parabola(factor):
    np.testing.assert_allclose(upsampled(np.full((1, 3, 4, 2), 0.7, np.float32), factor), 0.7, atol=1e-6)
    rows, columns = np.mgrid[:9, :11]
    large_rows, large_columns = ((np.mgrid[: 9 * factor, : 11 * factor] + 0.5) / factor) - 0.5

    def parabola(y, x):
        return 0.02 * y - 0.03 * x + 0.004 * x * x - 0.002 * x * y + 0.001 * y * y

    found = upsampled(parabola(rows, columns).astype(np.float32)[None, ..., None], factor)[0, ..., 0]
    inside = (slice(2 * factor, -2 * factor),) * 2
    np.testing.assert_allclose(found[inside], parabola(large_rows, large_columns)[inside], atol=2e-6)


@stack
@pytest.mark.parametrize("factor", [2, 4])
def test_up_sampling_is_pillows_bicubic_filter_inside(factor):
    x = np.random.default_rng(2).random((12, 9), np.float32)
    pillow = np.asarray(Image.fromarray(x).resize((9 * factor, 12 * factor), Image.Resampling.BICUBIC))
    found = upsampled(x[None, ..., None], factor)[0, ..., 0]
    inside = (slice(2 * factor, -2 * factor),) * 2
    np.testing.assert_allclose(found[inside], pillow[inside], atol=2e-6)


@pytest.mark.parametrize("factor", [2, 4])
def test_up_sampling_is_tensorflows_inside(factor):
    import tensorflow as tf

    x = np.random.default_rng(3).random((1, 9, 8, 2), np.float32)
    theirs = tf.image.resize(x, (9 * factor, 8 * factor), method="bicubic").numpy()
    inside = (slice(None), slice(2 * factor, -2 * factor), slice(2 * factor, -2 * factor))
    np.testing.assert_allclose(upsampled(x, factor)[inside], theirs[inside], atol=1e-5)


def test_scaling_down_takes_the_means_of_squares():
    x = np.random.default_rng(4).random((6, 8, 3), np.float32)
    found = scaling.scaled_down(x, 2)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, sum(x[i::2, j::2] for i in (0, 1) for j in (0, 1)) / 4, atol=1e-6)
    np.testing.assert_array_equal(scaling.scaled_down(x, 1), x)


@pytest.mark.parametrize(
    "height, width, sides", [(64, 48, (16, 12)), (65, 51, (16, 12)), (3, 9, (1, 2)), (1, 1, (1, 1))]
)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_quarter_of_a_picture_is_smoothed_and_rounded(height, width, sides, channels):
    image = picture(height, width, 3)[..., :channels]
    found = scaling.quarter(image)
    assert found.shape == (*sides, channels) and found.dtype == np.uint8
    for i in range(channels):  # in float, which Pillow does not round between rows and columns
        plane = Image.fromarray(image[..., i].astype(np.float32))
        exact = np.asarray(plane.resize(sides[::-1], Image.Resampling.BICUBIC))
        assert np.abs(found[..., i] - np.clip(exact, 0, 255)).max() <= 1.0
    assert (scaling.quarter(np.full_like(image, 201)) == 201).all()


def test_a_quarter_has_no_stripes_of_single_pixels_left():
    stripes = np.zeros((32, 32, 1), np.uint8)
    stripes[:, ::2] = 200
    inside = scaling.quarter(stripes)[2:-2, 2:-2]
    assert np.abs(inside.astype(int) - 100).max() <= 2


# --- the start -----------------------------------------------------------------------------------------------------


def halved(x):
    """Return the means of 2x2 pixels of (H, W, c)."""
    return (x[::2, ::2] + x[1::2, ::2] + x[::2, 1::2] + x[1::2, 1::2]) / 4


@stack
@pytest.mark.parametrize(
    "preset", ["rgb", "grey", "baseline_as_written", "baseline_jiang", "grey_icm64", "grey_without_skips"]
)
def test_networks_that_start_as_interpolation_average_and_scale_up_again(preset, few_layers):
    begun = Model(narrow(preset, start="interpolation"))
    x = values(height=16, width=12, channels=begun.config.channels)
    x[:, 4:8, 4:8], x[:, 4:8, 8:10] = 0.0, 1.0
    code = backend.to_numpy(begun.icm(x))
    np.testing.assert_allclose(code[0], halved(x[0]), atol=1e-5)
    u = begun.upsample(code)
    np.testing.assert_allclose(backend.to_numpy(begun.irm(u))[0], enlarged(halved(x[0]), 2), atol=1e-5)
    np.testing.assert_array_equal(backend.to_numpy(begun.irm(u)), backend.to_numpy(u))


@stack
def test_a_longer_stride_averages_three_taps_and_dilation_none(few_layers):
    x = values(height=16, width=12, channels=3)
    code = backend.to_numpy(Model(narrow("rgb_stride4", start="interpolation")).icm(x))
    expected = sum(x[0, i::4, j::4] for i in range(3) for j in range(3)) / 9
    np.testing.assert_allclose(code[0], expected, atol=1e-5)
    code = backend.to_numpy(Model(narrow("grey_dilation2", start="interpolation")).icm(x[..., :1]))
    np.testing.assert_allclose(code[0], x[0, ::2, ::2, :1], atol=1e-5)


@stack
def test_all_other_maps_keep_their_random_start_and_a_random_start_is_no_interpolation(few_layers):
    arrays, codes = [], []
    for start in ("interpolation", "glorot"):
        backend.set_seed(0)
        begun = Model(narrow("grey_icm64", start=start))
        arrays.append(checkpoints.model_arrays(begun))
        codes.append(backend.to_numpy(begun.icm(values(height=16, width=12))))
    assert np.abs(codes[0] - codes[1]).mean() > 0.05
    changed = {name for name in arrays[0] if not np.array_equal(arrays[0][name], arrays[1][name])}
    norm = {f"icm/C2_norm/{name}" for name in ("gamma", "beta", "moving_mean", "moving_variance")}
    assert changed == {f"icm/C{i}_conv/kernel" for i in (1, 2, 3)} | norm | {"irm/R5_conv/kernel"}
    for name in changed - {"icm/C3_conv/kernel", "irm/R5_conv/kernel"}:
        np.testing.assert_array_equal(arrays[0][name][..., 1:], arrays[1][name][..., 1:])


@stack
def test_the_paper_starts_by_glorots_rule():
    backend.set_seed(0)
    arrays = {name: backend.to_numpy(v) for name, v in backend.variables(full("grey")["irm"]).items()}
    for name in ("R3_1_conv/kernel", "R1_conv/kernel"):
        *window, inputs, maps = arrays[name].shape
        bound = np.sqrt(6 / (np.prod(window) * (inputs + maps)))
        assert 0.95 * bound < np.abs(arrays[name]).max() <= bound
        assert arrays[name].std() == pytest.approx(bound / np.sqrt(3), rel=0.1)
    assert not arrays["R3_1_conv/bias"].any() and {preset.start for preset in map(named, COMPRESSION)} == {"glorot"}


# --- Equation 2 ----------------------------------------------------------------------------------------------------


def pair(seed=0):
    """Return two random batches, float32 (2, 4, 5, 3)."""
    return np.random.default_rng(seed).random((2, 2, 4, 5, 3), np.float32)


def loss(function, *arrays):
    return float(backend.to_numpy(function(*(ops.convert_to_tensor(a) for a in arrays))))


@stack
def test_the_first_term_is_the_mean_of_squared_differences():
    x, x_hat = pair()
    assert loss(losses.squared_error, x, x_hat) == pytest.approx(np.mean((x.astype(float) - x_hat) ** 2), rel=1e-5)
    assert loss(losses.squared_error, x, x + 0.25) == pytest.approx(0.0625, rel=1e-5)


@stack
def test_as_printed_the_first_term_does_not_see_shuffled_pixels():
    x, x_hat = pair()
    sums = (x.astype(float) - x_hat).sum(axis=(1, 2, 3))
    assert loss(losses.squared_sum, x, x_hat) == pytest.approx(np.mean(sums**2), rel=1e-4)
    shuffled = np.stack([np.random.default_rng(1).permutation(each.ravel()).reshape(each.shape) for each in x])
    assert loss(losses.squared_sum, x, shuffled) < 1e-8 < 0.05 < loss(losses.squared_error, x, shuffled)
    assert loss(losses.squared_sum, x, x + 0.25) == pytest.approx((0.25 * 60) ** 2, rel=1e-4)


@stack
def test_the_second_term_has_the_three_readings():
    u, residual = pair(1)
    x_hat = u + residual

    def penalty(kind):
        return loss(lambda a, b: losses.penalty(a, b, kind), u, x_hat)

    assert penalty("output") == pytest.approx(np.abs(residual).mean(), rel=1e-5)
    assert penalty("literal") == pytest.approx(np.abs(u - residual).mean(), rel=1e-4)
    assert penalty("none") == 0.0
    assert penalty("output") != pytest.approx(penalty("literal"), rel=0.1)


@stack
@pytest.mark.parametrize("kind", ["output", "literal"])
def test_the_second_term_draws_to_the_code_by_the_sign_of_each_difference(kind):
    u, residual = pair(2)
    x_hat, one = u + residual, np.float32(1.0)
    to_x_hat = gradients(lambda y: losses.penalty(ops.convert_to_tensor(u), y, kind), x_hat, one)[1]
    to_u = gradients(lambda y: losses.penalty(y, ops.convert_to_tensor(x_hat), kind), u, one)[1]
    if kind == "output":
        sign = np.sign(x_hat - u)
        expected = sign, -sign
    else:  # |u - (x_hat - u)|: u counts twice
        sign = np.sign(2 * u - x_hat)
        expected = -sign, 2 * sign
    np.testing.assert_allclose(to_x_hat * u.size, expected[0], atol=1e-5)
    np.testing.assert_allclose(to_u * u.size, expected[1], atol=1e-5)


@stack
@pytest.mark.parametrize("preset", ["grey", "grey_peak1", "grey_penalty_literal", "grey_without_penalty"])
def test_the_loss_of_a_step_is_the_sum_of_both_terms_of_pixels_up_to_the_peak(preset, few_layers):
    networks = known(Model(narrow(preset)))
    x = np.stack([picture(16, 16, 1, seed) for seed in (0, 1)])[..., None]
    outputs = networks({"x": x, "step": np.zeros(2, np.int32)}, training=False)
    found = {name: float(backend.to_numpy(value)) for name, value in networks.losses_of(outputs).items()}
    own = {name: backend.to_numpy(value).astype(float) for name, value in outputs.items()}
    residual = own["x_hat"] - own["u"]
    second = {"grey_penalty_literal": own["u"] - residual, "grey_without_penalty": 0 * residual}.get(preset, residual)
    peak = 1.0 if preset == "grey_peak1" else 255.0
    of_pixels = np.mean((peak * own["x"] - peak * own["x_hat"]) ** 2) + np.abs(peak * second).mean()
    expected = {"squared_error": np.mean((own["x"] - own["x_hat"]) ** 2), "penalty": np.abs(second).mean()}
    assert found == pytest.approx({**expected, "loss": of_pixels}, rel=1e-4)
    assert (found["penalty"] > 0.01) == (preset != "grey_without_penalty")
    assert float(backend.to_numpy(networks.compute_loss(y_pred=outputs))) == pytest.approx(found["loss"])


# --- the SRGAN: Ledig et al. ---------------------------------------------------------------------------------------


@stack
def test_the_discriminator_has_ledigs_layers_and_gives_one_logit_a_picture():
    judge = super_resolution.discriminator(narrow("srgan", patch_size=32))
    convs = [layer for layer in judge.layers if isinstance(layer, keras.layers.Conv2D)]
    assert [layer.filters for layer in convs] == [2, 2, 4, 4, 8, 8, 16, 16]
    assert [layer.strides for layer in convs] == 4 * [(1, 1), (2, 2)]
    assert layer_types(judge).count("BatchNormalization") == 7 and keras_kind(judge.layers[2]) == "LeakyReLU"
    assert [layer.units for layer in judge.layers if isinstance(layer, keras.layers.Dense)] == [32, 1]
    known(type("Holder", (), {"transforms": {"judge": judge}}))
    logits = backend.to_numpy(judge(values(height=32, width=32, channels=3)))
    assert logits.shape == (1, 1) and logits.dtype == np.float32
    maps = [64 << i // 2 for i in range(8)]
    assert maps == [64, 64, 128, 128, 256, 256, 512, 512] and named("srgan").discriminator_maps == 64


@stack
def test_a_reversed_gradient_is_the_gradient_times_minus_its_weight():
    x = np.linspace(-2, 2, 7, dtype=np.float32)
    upstream = np.arange(1, 8, dtype=np.float32)
    y, gradient, _ = gradients(lambda x: super_resolution.reversed_gradient(x, 0.25), x, upstream)
    np.testing.assert_allclose(y, x, atol=1e-6)
    np.testing.assert_allclose(gradient, -0.25 * upstream, rtol=1e-6)


def learning(**changes):
    """Return a narrow SRGAN's adversarial learning, and its networks, with known weights."""
    settings = narrow("srgan", **{"content": "mse", "adversarial_weight": 0.5, **changes})
    both = super_resolution.Adversary(settings)
    known(type("Holder", (), {"transforms": both.networks}))
    return super_resolution.Learning(settings, both, True), both


def pictures_of_srgan():
    x = np.stack([picture(16, 16, seed=seed) for seed in (0, 1)])
    return {"x": x, "lr": np.stack([scaling.quarter(image) for image in x])}


@stack
def test_the_adversarial_loss_is_the_content_and_the_cross_entropy():
    learner, both = learning()
    inputs = pictures_of_srgan()
    x, lr = (inputs[name].astype(np.float32) / 255 for name in ("x", "lr"))
    x_hat = backend.to_numpy(both.networks["generator"](lr))
    real, made = (backend.to_numpy(both.networks["discriminator"](each)).astype(float) for each in (x, x_hat))
    cross_entropy = np.mean(np.log1p(np.exp(-real))) + np.mean(np.log1p(np.exp(made)))
    outputs = learner(inputs, training=False)
    found = float(backend.to_numpy(learner.compute_loss(y_pred=outputs)))
    assert found == pytest.approx(np.mean((x - x_hat) ** 2) + cross_entropy, rel=1e-4)
    alone = super_resolution.Learning(learner.config, both, False)
    outputs = alone(inputs, training=False)
    assert set(outputs) == {"x", "x_hat"}
    found = float(backend.to_numpy(alone.compute_loss(y_pred=outputs)))
    assert found == pytest.approx(np.mean((x - x_hat) ** 2), rel=1e-4)
    assert {name.split("/")[0] for name in checkpoints.model_arrays(alone)} == {"generator"}


@stack
def test_an_adversarial_step_moves_the_discriminator_down_and_the_generator_up_the_cross_entropy():
    learner, both = learning(learning_rate=1e-5, learning_rate_drops=())
    learner.content = lambda x, x_hat: 0.0 * ops.mean(x_hat)
    inputs = pictures_of_srgan()
    x, lr = (inputs[name].astype(np.float32) / 255 for name in ("x", "lr"))

    def cross_entropy():
        x_hat = both.networks["generator"](lr, training=True)
        logits = [backend.to_numpy(both.networks["discriminator"](each, training=True)) for each in (x, x_hat)]
        return np.mean(np.log1p(np.exp(-logits[0].astype(float)))) + np.mean(np.log1p(np.exp(logits[1].astype(float))))

    backend.compile_model(run_eagerly(learner), 1e-4, 0.0)
    run_eagerly(learner)
    before, start = checkpoints.model_arrays(learner), cross_entropy()
    learner.fit(inputs, batch_size=2, verbose=0)
    after = checkpoints.model_arrays(learner)
    moved = {}
    for name in ("generator", "discriminator"):
        mixed = {key: (after if key.startswith(name) else before)[key] for key in before}
        checkpoints.set_model_arrays(learner, mixed, "mixed")
        moved[name] = cross_entropy() - start
    assert moved["discriminator"] < -1e-5 and moved["generator"] > 1e-5


def test_the_generator_gets_the_cross_entropys_gradient_reversed_and_weighted():
    """By tensorflow's tape: of the same networks with and without the reversal, in one training step."""
    import tensorflow as tf

    learner, both = learning(adversarial_weight=0.125)
    generator, judge = both.networks["generator"], both.networks["discriminator"]
    inputs = pictures_of_srgan()
    lr = inputs["lr"].astype(np.float32) / 255
    with tf.GradientTape(persistent=True) as tape:
        found = tf.reduce_mean(tf.math.softplus(learner(inputs, training=True)["made"]))
        plain = tf.reduce_mean(tf.math.softplus(judge(generator(lr, training=True), training=True)))
    for network, factor in ((generator, -0.125), (judge, 1.0)):
        ours, expected = (tape.gradient(y, network.trainable_variables) for y in (found, plain))
        largest = max(np.abs(gradient).max() for gradient in expected)  # of biases before batch normalisation it is 0
        for gradient, other in zip(ours, expected, strict=True):
            np.testing.assert_allclose(gradient, factor * other, atol=1e-4 * largest)
        assert largest > 1e-4


def test_the_perceptual_loss_compares_the_features_of_vgg19s_sixteenth_convolution(monkeypatch):
    x, x_hat = np.random.default_rng(5).random((2, 1, 32, 32, 3), np.float32)
    made, build = [], keras.applications.VGG19
    monkeypatch.setattr(keras.applications, "VGG19", lambda **options: made.append(build(**options)) or made[0])
    content, name = super_resolution.content_loss("vgg54", None)  # of random weights
    (vgg,) = made
    convs = [layer for layer in vgg.layers if isinstance(layer, keras.layers.Conv2D)]
    assert convs[15].name == super_resolution.VGG_LAYER and len(convs) == 16
    network = keras.Model(vgg.input, convs[15].output)
    prepared = (keras.applications.vgg19.preprocess_input(255.0 * each) for each in (x, x_hat))
    features = [backend.to_numpy(network(each)).astype(float) / 12.75 for each in prepared]
    expected = np.mean((features[0] - features[1]) ** 2)
    assert name == "vgg54" and expected > 0
    assert loss(content, x, x_hat) == pytest.approx(expected, rel=1e-3)
    assert loss(content, x, x) == 0.0


@stack
def test_without_weights_of_vgg19_the_content_is_the_squared_error_and_says_so(tmp_path, monkeypatch):
    x, x_hat = pair()
    missing, features = str(tmp_path / "missing.h5"), super_resolution.vgg_features
    with pytest.raises(RelicError, match="no weights of VGG19 .*: give a file of them"):
        features(missing)
    content, name = super_resolution.content_loss("vgg54", missing)
    assert name == "mse" and loss(content, x, x_hat) == pytest.approx(np.mean((x - x_hat) ** 2), rel=1e-5)
    monkeypatch.setattr(super_resolution, "vgg_features", lambda path: features(missing))
    assert learning(content="vgg54")[0].content_name == "mse"


# --- presets -------------------------------------------------------------------------------------------------------


def differing(first, second):
    """Return the names of the fields in which two configs differ."""
    a, b = dataclasses.asdict(first), dataclasses.asdict(second)
    return {name for name in a if a[name] != b[name]}


@pytest.mark.parametrize("scale", ["small", "medium", "paper"])
def test_all_presets_differ(scale):
    shortened = {name: config.at_scale(preset, scale) for name, preset in presets(config).items()}
    assert len(set(shortened.values())) == len(shortened) >= 16


def test_at_scale_smoke_presets_differ_but_for_the_one_with_other_pictures():
    shortened = {name: config.at_scale(preset, "smoke") for name, preset in presets(config).items()}
    assert shortened["grey"] == shortened.pop("grey_stl10") and len(set(shortened.values())) == len(shortened)
    assert all(settings.training_sets == ("synthetic",) and settings.steps <= 2 for settings in shortened.values())


@pytest.mark.parametrize(
    "preset, other, changed",
    [
        ("grey", "rgb", {"channels": 1}),
        ("rgb_stride4", "rgb", {"stride": 4}),
        ("baseline_jiang", "baseline_as_written", {"strided_layer": 2, "icm_batch_norm": False}),
        ("grey_without_skips", "grey", {"skips": False}),
        ("grey_without_separable", "grey", {"separable": False}),
        ("grey_icm64", "grey", {"icm_maps": 64}),
        ("grey_penalty_literal", "grey", {"penalty": "literal"}),
        ("grey_without_penalty", "grey", {"penalty": "none"}),
        ("grey_images400", "grey", {"images": 400}),
        ("grey_peak1", "grey", {"peak": 1.0}),
        ("grey_stl10", "grey", {"training_sets": ("stl10/unlabelled",), "patch_size": 96}),
        ("grey_dilation2", "grey", {"dilation": 2}),
        ("srresnet", "srgan", {"adversarial_steps": 0}),
    ],
)
def test_a_preset_differs_from_what_it_is_compared_with_in_its_name_alone(preset, other, changed):
    assert named(preset) == dataclasses.replace(named(other), **changed)
    assert differing(named(preset), named(other)) == set(changed)


@pytest.mark.parametrize("scale", ["small", "medium"])
def test_a_shorter_training_is_equally_long_for_all_networks_and_keeps_what_they_differ_in(scale):
    shortened = {name: config.at_scale(named(name), scale) for name in COMPRESSION}
    kept = (*(field for field in OF_NETWORKS if field != "num_maps"), "penalty", "peak", "images")
    for name, short in shortened.items():
        assert all(getattr(short, field) == getattr(named(name), field) for field in kept)
        assert (short.num_maps, short.start) == (16 if scale == "small" else 64, "interpolation")
    fields = ("steps", "settled_steps", "batch_size", "learning_rate", "learning_rate_drops", "clip_norm")
    assert len({tuple(getattr(short, field) for field in fields) for short in shortened.values()}) == 1


def test_the_paper_scale_changes_nothing_and_an_unknown_scale_is_refused():
    for preset in presets(config).values():
        assert config.at_scale(preset, "paper") == preset
        with pytest.raises(RelicError, match="unknown scale 'huge'"):
            config.at_scale(preset, "huge")


def test_every_field_says_where_it_comes_from_or_why_it_is_assumed():
    for preset in (config.RGB, config.SRGAN):
        for field in describe(preset):
            assert field["status"] in ("sourced", "assumed"), field["name"]
            assert len(field["source"]) > 5 and (field["status"] == "assumed" or "not stated" not in field["source"])
    said = {field["name"]: field["source"] for field in describe(config.SRGAN)}
    assert all(said[name].startswith("Ledig") for name in ("patch_size", "steps", "learning_rate", "num_blocks"))


def test_a_weights_file_knows_which_kind_of_network_it_is_of():
    for preset in presets(config).values():
        assert config.kind_of(dataclasses.asdict(preset)) is type(preset)
        assert preset.stride in (2, 4) and preset.patch_size % preset.stride == 0


def test_curves_name_presets_and_coding_settings_that_there_are():
    for curve in config.CURVES:
        for preset, coding in curve.points:
            assert preset in COMPRESSION and named(preset).channels == 3
            for name, value in coding.items():
                assert config.CODING[name].check(name, value) == value
