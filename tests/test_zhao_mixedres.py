"""Zhao et al.: the paper's networks and their start, presets, losses, the three sub-problems, patches, operations."""

import dataclasses
import math
from functools import cache

import cv2
import numpy as np
import pytest
from narrow import gradients, known_arrays, picture
from PIL import Image
from skimage.metrics import structural_similarity

from common import backend, data, metrics
from common.backend import keras, ops
from common.config import presets
from common.errors import RelicError
from common.training import checkpoints
from papers.zhao_mixedres import complexity, config, losses, model, patches, train
from papers.zhao_mixedres.learning import Networks, SubProblem, clipped
from papers.zhao_mixedres.standard_codec import coded, standard_codec

stack = pytest.mark.stack
ZHAO = config.LOW + config.FULL
BOTH = pytest.mark.parametrize("preset", ["low_qf10", "full_qf10"])


def named(preset, **changes):
    return dataclasses.replace(getattr(config, preset.upper()), **changes)


def narrow(preset, **changes):
    """Return a preset's Config with few maps for two patches of 32x32 of drawn pictures."""
    settings = {"num_maps": 4, "patch_size": 32, "batch_size": 2, "patches_per_picture": 1, "steps": 4}
    return named(preset, **{**settings, "alternations": 1, "training_sets": ("synthetic",), **changes})


def grey_picture(height, width, seed=0):
    """Return a float32 picture HxW of waves, noise, and white beside black, in [0, 1]."""
    image = picture(height, width, 1, seed).astype(np.float32) / 255
    image[10:20, 10:16], image[10:20, 16:22] = 0.0, 1.0
    return image


# --- Section 2.2: the networks -------------------------------------------------------------------------------------

# Kernel size, stride and maps of each layer in low resolution; in full resolution every stride is 1.
FDNN = [(9, 1, 128), (3, 2, 128)] + 5 * [(3, 1, 128)] + [(9, 1, 1)]
PPNN = [(9, 1, 128)] + 6 * [(3, 1, 128)] + [(9, 2, 1)]
NETWORKS = {"fdnn": (model.fdnn, FDNN), "ppnn": (model.ppnn, PPNN), "vcnn": (model.vcnn, PPNN)}
PARAMETERS = 906_369  # 128 (81 + 1) + 6 x 128 (9 x 128 + 1) + (81 x 128 + 1)


@cache
def built(preset, name):
    return NETWORKS[name][0](named(preset))


def layers_of(network):
    return [layer for layer in network.layers if layer.weights]


@stack
@BOTH
@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_has_the_papers_eight_layers_and_906369_parameters(name, preset):
    layers = layers_of(built(preset, name))
    low = preset.startswith("low")
    found = [(layer.kernel_size, layer.strides, layer.filters) for layer in layers]
    assert found == [((k, k), (s, s) if low else (1, 1), maps) for k, s, maps in NETWORKS[name][1]]
    assert [layer.activation.__name__ for layer in layers] == 7 * ["relu"] + ["linear"]
    assert all(isinstance(layer, keras.layers.Conv2D) for layer in layers[:-1])
    transposed = [isinstance(layer, keras.layers.Conv2DTranspose) for layer in layers]
    assert transposed == 7 * [False] + [low and name != "fdnn"]
    assert transposed[-1] or isinstance(layers[-1], keras.layers.Conv2D)
    assert {layer.padding for layer in layers} == {"same"} and all(layer.use_bias for layer in layers)
    assert built(preset, name).count_params() == PARAMETERS


@stack
@pytest.mark.parametrize("preset, fdnn, ppnn", [("low_qf10", 5.99e9, 5.80e9), ("full_qf10", 23.18e9, 23.18e9)])
def test_the_multiplications_are_those_of_kernels_and_output_sizes(preset, fdnn, ppnn):
    counted = complexity.macs(named(preset), 160, 160)
    assert counted == {"fdnn": pytest.approx(fdnn, rel=2e-3), "ppnn": pytest.approx(ppnn, rel=2e-3)}
    weights = PARAMETERS - (7 * 128 + 1)  # all but the biases
    first = 81 * 128
    if preset == "full_qf10":
        assert counted == {"fdnn": 160**2 * weights, "ppnn": 160**2 * weights}
    else:  # FDNN's first layer alone is at full size; PPNN's last one meets every pixel of its input
        assert counted == {"fdnn": 160**2 * first + 80**2 * (weights - first), "ppnn": 80**2 * weights}
    assert {name: 4 * count for name, count in complexity.macs(named(preset), 80, 160).items()} == {
        name: 2 * count for name, count in counted.items()
    }


@stack
@BOTH
def test_networks_take_any_size_and_vcnn_gives_what_ppnn_would(preset):
    networks, stride = Networks(narrow(preset)), named(preset).stride
    x = grey_picture(26, 40)[None, ..., None]
    y = networks.fdnn(x)
    assert tuple(y.shape) == (1, 26 // stride, 40 // stride, 1)
    assert tuple(networks.ppnn(y).shape) == tuple(networks.all["vcnn"](y).shape) == x.shape
    assert sorted(networks.transforms) == ["fdnn", "ppnn"] and sorted(networks.all) == ["fdnn", "ppnn", "vcnn"]
    assert networks.all["vcnn"].name == "vcnn" and networks.all["vcnn"] is not networks.ppnn


# --- the start of learning -----------------------------------------------------------------------------------------


def inside(image, border=8):
    return image[border:-border, border:-border]


def scaled(image, height, width):
    """Return a float32 picture scaled by Pillow's bicubic filter, which smooths where it makes smaller."""
    return np.asarray(Image.fromarray(image).resize((width, height), Image.BICUBIC))


def outputs(preset, name, image, **changes):
    network = NETWORKS[name][0](narrow(preset, **changes))
    return backend.to_numpy(network(image[None, ..., None]))[0, ..., 0]


@stack
def test_fdnn_begins_as_bicubic_scaling_by_a_half():
    image = grey_picture(64, 80)
    half = scaled(image, 32, 40)
    assert half.min() < -0.01  # the filter rings at the edge; ReLU cuts what is below 0
    np.testing.assert_allclose(inside(outputs("low_qf10", "fdnn", image)), inside(np.maximum(half, 0.0)), atol=1e-5)


@stack
@pytest.mark.parametrize("name", ["ppnn", "vcnn"])
def test_ppnn_begins_as_bicubic_scaling_by_two(name):
    image = grey_picture(32, 40)
    double = inside(scaled(image, 64, 80))
    assert double.min() < -0.01  # nothing cuts the last layer's output
    np.testing.assert_allclose(inside(outputs("low_qf10", name, image)), double, atol=1e-5)


@stack
@pytest.mark.parametrize("name", NETWORKS)
def test_in_full_resolution_every_network_begins_as_the_identity(name):
    image = grey_picture(24, 31)
    np.testing.assert_allclose(outputs("full_qf10", name, image), image, atol=1e-6)


@stack
@pytest.mark.parametrize("preset, name", [("low_qf10", "fdnn"), ("low_qf10", "ppnn"), ("full_qf10", "fdnn")])
def test_a_random_start_is_no_interpolation(preset, name):
    image = grey_picture(32, 40)
    begun, random = (outputs(preset, name, image, start=start) for start in ("interpolation", "random"))
    assert np.abs(begun - random).mean() > 0.05


# --- presets -------------------------------------------------------------------------------------------------------


def differing(first, second):
    """Return the names of the fields in which two configs differ."""
    a, b = dataclasses.asdict(first), dataclasses.asdict(second)
    return {name for name in a if a[name] != b[name]}


@pytest.mark.parametrize("scale", ["small", "medium", "paper"])
def test_all_presets_differ(scale):
    shortened = {name: config.at_scale(preset, scale) for name, preset in presets(config).items()}
    assert len(set(shortened.values())) == len(shortened) and {*ZHAO, "half", "jiang_low_qf5"} <= set(shortened)


def test_each_resolution_has_the_papers_quality_factors():
    settings = {name: (named(name).stride, named(name).quality) for name in ZHAO}
    assert [settings[name] for name in config.LOW] == [(2, 5), (2, 10), (2, 20)]
    assert [settings[name] for name in config.FULL] == [(1, 10), (1, 20), (1, 30), (1, 40)]
    for name, (stride, quality) in settings.items():
        assert name == f"{'low' if stride == 2 else 'full'}_qf{quality}"
        assert differing(named(name), config.Config()) <= {"stride", "quality"}
    assert [tuple(name for name, _ in curve.points) for curve in config.CURVES] == [config.LOW, config.FULL]


@pytest.mark.parametrize("name", ZHAO)
def test_jiangs_framework_has_the_same_networks_without_virtual_codec_and_the_squared_error_alone(name):
    ours, jiangs = named(name), named(f"jiang_{name}")
    assert differing(ours, jiangs) == {"through", "norm", "gradient_weight", "ssim_weight"}
    assert (jiangs.through, jiangs.norm, jiangs.gradient_weight, jiangs.ssim_weight) == ("ppnn", 2, 0.0, 0.0)
    assert (ours.through, ours.norm, ours.gradient_weight, ours.ssim_weight) == ("vcnn", 1, 1.0, 1.0)


@pytest.mark.parametrize(
    "preset, changed",
    [
        ("low_qf10", {"num_maps": 128}),
        ("half_jiang", {"through": "ppnn", "norm": 2, "gradient_weight": 0.0, "ssim_weight": 0.0}),
        ("half_without_vcnn", {"through": "ppnn"}),
        ("half_vcnn_on_z", {"vcnn_input": "z"}),
        ("half_l2", {"norm": 2}),
        ("half_without_ssim", {"ssim_weight": 0.0}),
        ("half_interpolated", {"alternations": 0, "steps": 4 * 12_000}),
        ("half_jpeg2000", {"standard_codec": "JPEG2000", "quality": 50}),
        ("half_webp", {"standard_codec": "WebP"}),
    ],
)
def test_an_ablation_differs_from_what_it_is_compared_with_in_its_name_alone(preset, changed):
    assert config.HALF.num_maps == 64
    assert named(preset) == dataclasses.replace(config.HALF, **changed)
    assert differing(named(preset), config.HALF) == set(changed)


@pytest.mark.parametrize("scale", ["small", "medium", "paper"])
def test_ppnn_learns_as_long_where_the_representation_is_not_learned(scale):
    steps = []
    for preset in (config.HALF, config.HALF_INTERPOLATED):
        shortened = config.at_scale(preset, scale)
        steps.append(sum(shortened.steps for part in train.parts(shortened) if part.network == "ppnn"))
    assert steps[0] == steps[1] > 0
    assert {part.network for part in train.parts(config.at_scale(config.HALF_INTERPOLATED, scale))} == {"ppnn"}


@stack
@pytest.mark.parametrize("preset", ["low_qf5", "jiang_full_qf40"])
def test_adam_learns_at_the_papers_rates(preset):
    settings = dataclasses.replace(config.at_scale(named(preset), "paper"), num_maps=2)
    optimizer = train.sub_problem(settings, Networks(settings), "ppnn").optimizer
    assert isinstance(optimizer, keras.optimizers.Adam) and (optimizer.beta_1, optimizer.beta_2) == (0.9, 0.999)
    said = optimizer.get_config()["learning_rate"]["config"]
    rate = keras.optimizers.schedules.PiecewiseConstantDecay.from_config(said)
    shares = {0.0: 1e-4, 0.59: 1e-4, 0.61: 0.5e-4, 0.79: 0.5e-4, 0.81: 0.25e-4, 1.0: 0.25e-4}
    for share, expected in shares.items():
        assert float(rate(int(share * settings.steps))) == pytest.approx(expected, rel=1e-6)


# --- Section 2.1: the losses ---------------------------------------------------------------------------------------


def pair(height=7, width=9, count=2, seed=0):
    """Return two random batches (count, height, width, 1), float32 in [0, 1]."""
    return np.random.default_rng(seed).random((2, count, height, width, 1), dtype=np.float32)


def loss(function, *arrays, **options):
    """Return what a loss gives for arrays, as a number."""
    return float(backend.to_numpy(function(*(ops.convert_to_tensor(a) for a in arrays), **options)))


def gradient_of_neighbours(x, x_hat, norm):
    """Return L_gradient written as a loop over pictures, pixels and their eight neighbours."""
    total = 0.0
    count, height, width, _ = x.shape
    for i, row, column in np.ndindex(count, height, width):
        for down in (-1, 0, 1):
            for right in (-1, 0, 1):
                there = (i, row + down, column + right, 0)
                if (down, right) != (0, 0) and 0 <= there[1] < height and 0 <= there[2] < width:
                    here = (i, row, column, 0)
                    total += abs((float(x[there]) - x[here]) - (float(x_hat[there]) - x_hat[here])) ** norm
    return total / x.size


@stack
@pytest.mark.parametrize("norm", [1, 2])
def test_content_and_gradient_losses_are_the_means_of_equations_2_and_3(norm):
    x, x_hat = pair()
    expected = np.mean(np.abs(x.astype(float) - x_hat) ** norm)
    assert loss(losses.content, x, x_hat, norm=norm) == pytest.approx(expected, rel=1e-5)
    assert loss(losses.gradient, x, x_hat, norm=norm) == pytest.approx(gradient_of_neighbours(x, x_hat, norm), rel=1e-5)


@stack
def test_losses_of_a_shift_and_of_a_ramp_have_closed_forms():
    x, _ = pair()
    assert loss(losses.content, x, x + 0.25) == pytest.approx(0.25, rel=1e-5)
    assert loss(losses.content, x, x + 0.25, norm=2) == pytest.approx(0.0625, rel=1e-5)
    assert loss(losses.gradient, x, x + 0.25) == pytest.approx(0.0, abs=1e-6)
    height, width, slope = 5, 6, 0.125
    ramp = np.broadcast_to(slope * np.arange(width, dtype=np.float32)[:, None], (1, height, width, 1))
    pairs = 2 * height * (width - 1) + 4 * (height - 1) * (width - 1)  # pixels beside or across from one another
    flat = np.zeros_like(ramp)
    assert loss(losses.gradient, ramp, flat) == pytest.approx(slope * pairs / (height * width), rel=1e-6)
    assert loss(losses.gradient, ramp, flat, norm=2) == pytest.approx(slope**2 * pairs / (height * width), rel=1e-6)
    assert losses.NEIGHBOURS == 8


@stack
def test_the_dissimilarity_is_one_minus_scikit_images_ssim():
    x = np.stack([grey_picture(40, 37, seed) for seed in (0, 1)])
    other = np.clip(x + np.random.default_rng(0).normal(0, 0.05, x.shape), 0, 1).astype(np.float32)
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "win_size": 11}
    similarities = [
        structural_similarity(a.astype(float), b.astype(float), data_range=1.0, full=True, **options)[1][5:-5, 5:-5]
        for a, b in zip(x, other, strict=True)
    ]
    expected = 1 - np.mean(similarities)
    assert 0.05 < expected < 0.95
    assert loss(losses.dissimilarity, x[..., None], other[..., None]) == pytest.approx(expected, abs=1e-4)


@stack
def test_the_dissimilarity_has_the_papers_constants():
    flat = np.full((1, 16, 16, 1), 0.5, np.float32)
    # Two flat pictures differ in their means alone: c1 = 0.0001.
    a, b = 0.02, 0.01
    expected = 1 - (2 * a * b + 1e-4) / (a**2 + b**2 + 1e-4)
    assert loss(losses.dissimilarity, np.full_like(flat, a), np.full_like(flat, b)) == pytest.approx(expected, abs=1e-5)
    # A fine chessboard differs from its mean in its variance alone, here 0.03^2, which is c2 = 0.0009.
    rows, columns = np.mgrid[:16, :16]
    chessboard = flat + 0.03 * ((-1.0) ** (rows + columns)).astype(np.float32)[None, ..., None]
    assert loss(losses.dissimilarity, chessboard, flat) == pytest.approx(0.5, abs=1e-3)


@stack
def test_a_representation_is_doubled_as_opencv_scales_linearly():
    y, _ = pair(9, 14)
    doubled = backend.to_numpy(losses.doubled(ops.convert_to_tensor(y)))
    expected = [cv2.resize(each, (28, 18), interpolation=cv2.INTER_LINEAR) for each in y[..., 0]]
    np.testing.assert_allclose(doubled[..., 0], expected, atol=1e-6)


# --- Section 2.3: the sub-problems ---------------------------------------------------------------------------------

PROBLEMS = [
    ("low_qf10", "ppnn"),
    ("low_qf10", "vcnn"),
    ("low_qf10", "fdnn"),
    ("full_qf10", "fdnn"),
    ("jiang_low_qf10", "ppnn"),
    ("jiang_low_qf10", "fdnn"),
]
ALL_PROBLEMS = pytest.mark.parametrize("preset, trained", PROBLEMS)


def inputs_of(settings, trained):
    """Return a batch of a sub-problem."""
    size, small = settings.patch_size, settings.patch_size // settings.stride
    x = np.stack([picture(size, size, 1, seed) for seed in range(settings.batch_size)])
    if trained == "fdnn":
        return {"source": x, "target": x}
    source = np.stack([cv2.resize(each, (small, small), interpolation=cv2.INTER_AREA) for each in x])
    return {"source": source, "target": x if trained == "ppnn" else (x / 255).astype(np.float16)}


@cache
def learnt(preset, trained):
    """Return (weights before, weights after, losses reported) of one step that begins with known weights."""
    settings = narrow(preset)
    problem = train.sub_problem(settings, Networks(settings), trained)
    problem.run_eagerly = backend.BACKEND == "tensorflow"  # where it takes less time than tracing
    checkpoints.set_model_arrays(problem, known_arrays(problem), "known")
    before = checkpoints.model_arrays(problem)
    history = problem.fit(inputs_of(settings, trained), batch_size=settings.batch_size, verbose=0).history
    return before, checkpoints.model_arrays(problem), {name: values[-1] for name, values in history.items()}


@stack
@ALL_PROBLEMS
def test_a_sub_problem_moves_every_layer_of_its_own_network_and_no_other(preset, trained):
    before, after, _ = learnt(preset, trained)
    moved = {name for name, start in before.items() if not np.array_equal(start, after[name])}
    assert moved == {name for name in before if name.startswith(f"{trained}/")} and len(moved) == 16
    for name in moved:
        assert np.isfinite(after[name]).all()
        assert np.mean(after[name] != before[name]) > 0.5, name  # a ReLU that is off everywhere keeps its weights


@stack
@ALL_PROBLEMS
def test_the_loss_of_a_sub_problem_is_the_papers(preset, trained):
    before, _, reported = learnt(preset, trained)
    settings = narrow(preset)
    problem = SubProblem(settings, Networks(settings), trained)
    checkpoints.set_model_arrays(problem, before, "before")
    inputs = inputs_of(settings, trained)
    found = {name: backend.to_numpy(value) for name, value in problem(inputs).items()}
    norm = 2 if preset.startswith("jiang") else 1
    target, output = found["target"], found["output"]
    expected = content = np.mean(np.abs(target - output) ** norm)
    if norm == 1:
        expected = content + gradient_of_neighbours(target, output, 1)
    if norm == 1 and trained == "fdnn":
        like = losses.doubled(ops.convert_to_tensor(found["y"])) if settings.stride == 2 else found["y"]
        expected += loss(losses.dissimilarity, target, like)
    assert reported["content"] == pytest.approx(content, rel=1e-4)
    assert reported["loss"] == pytest.approx(expected, rel=1e-4)
    assert (reported["dissimilarity"] > 0) == (norm == 1 and trained == "fdnn")


@pytest.mark.slow
@stack
@pytest.mark.parametrize("start", ["interpolation", "random"])
@pytest.mark.parametrize("trained", ["ppnn", "fdnn"])
def test_each_layer_learns_from_the_first_step_on(trained, start):
    settings = narrow("low_qf10", start=start)
    backend.set_seed(0)
    problem = train.sub_problem(settings, Networks(settings), trained)
    problem.run_eagerly = backend.BACKEND == "tensorflow"
    before = checkpoints.model_arrays(problem)
    problem.fit(inputs_of(settings, trained), batch_size=settings.batch_size, verbose=0)
    after = checkpoints.model_arrays(problem)
    kernels = [name for name in before if name.startswith(f"{trained}/") and name.endswith("/kernel")]
    assert len(kernels) == 8 and all((before[name] != after[name]).any() for name in kernels)


@stack
def test_a_target_is_read_by_its_type_and_the_representation_of_fdnn_is_within_0_and_1():
    settings = narrow("low_qf10")
    for trained in ("ppnn", "vcnn"):
        found = SubProblem(settings, Networks(settings), trained)(inputs_of(settings, trained))
        x = np.stack([picture(32, 32, 1, seed) for seed in range(2)])[..., None] / 255
        np.testing.assert_allclose(backend.to_numpy(found["target"]), x, atol=1e-3 if trained == "vcnn" else 1e-6)
    problem = SubProblem(settings, Networks(settings), "fdnn")
    checkpoints.set_model_arrays(problem, known_arrays(problem), "known")
    inputs = inputs_of(settings, "fdnn")
    raw = backend.to_numpy(problem.transforms["fdnn"](inputs["target"][..., None].astype(np.float32) / 255))
    assert raw.min() < 0 and raw.max() > 0
    np.testing.assert_allclose(backend.to_numpy(problem(inputs)["y"]), np.clip(raw, 0, 1), atol=1e-5)


@stack
def test_clipping_keeps_the_gradient_of_what_it_clips():
    y = np.array([-2.0, -0.1, 0.0, 0.3, 1.0, 1.5], np.float32)
    upstream = np.arange(1, 7, dtype=np.float32)
    values, gradient, _ = gradients(clipped, y, upstream)
    np.testing.assert_allclose(values, [0, 0, 0, 0.3, 1, 1], atol=1e-6)
    np.testing.assert_array_equal(gradient, upstream)


@stack
@pytest.mark.parametrize("preset, through", [("low_qf10", "vcnn"), ("half_without_vcnn", "ppnn")])
def test_fdnn_learns_through_the_network_that_the_config_names(preset, through):
    settings = narrow(preset)
    networks = Networks(settings)
    problem = SubProblem(settings, networks, "fdnn")
    checkpoints.set_model_arrays(problem, known_arrays(problem), "known")
    inputs = inputs_of(settings, "fdnn")

    def current():
        return float(backend.to_numpy(problem.compute_loss(y_pred=problem(inputs))))

    start, changes = current(), {}
    for name in ("vcnn", "ppnn"):
        if name in networks.all:
            bias = layers_of(networks.all[name])[-1].bias
            backend.assign(bias, backend.to_numpy(bias) + 0.5)
            changes[name] = abs(current() - start) > 0.01
            backend.assign(bias, backend.to_numpy(bias) - 0.5)
    assert changes == ({"vcnn": True, "ppnn": False} if through == "vcnn" else {"ppnn": True})
    assert len(problem.trainable_variables) == len(networks.fdnn.trainable_variables) == 16


# --- Section 3.1: the patches --------------------------------------------------------------------------------------


@pytest.fixture
def pictures_of(tmp_path, monkeypatch):
    """Return a function that writes grey pictures as the data set `drawn`."""
    monkeypatch.setenv("RELIC_DATA", str(tmp_path))

    def write(count, height, width, channels=1):
        for i in range(count):
            data.write_png(tmp_path / "drawn" / f"{i:03d}.png", picture(height, width, channels, seed=i))

    return write


def orientations(patch):
    """Return the eight ways in which a square can lie: as it is or transposed, each mirrored in two directions."""
    mirrored = [b for a in (patch, patch.T) for b in (a, a[::-1])]
    return [c.tobytes() for b in mirrored for c in (b, b[:, ::-1])]


def cut(**settings):
    fixed = {"patch_size": 16, "patches_per_picture": 8, "training_sets": ("drawn",)}
    return dataclasses.replace(config.LOW_QF10, **{**fixed, **settings})


def test_eight_patches_of_each_picture_make_3200_of_the_papers_400(pictures_of):
    pictures_of(400, 16, 17)
    assert (config.LOW_QF10.patches_per_picture, config.LOW_QF10.patch_size) == (8, 160)
    assert config.LOW_QF10.training_sets == ("train400",)
    found = patches.Patches(cut(), 0)
    assert found.x.shape == (3200, 16, 16) and found.x.dtype == np.uint8 and len(found.pictures) == 400
    assert list(found.about["data"]) == ["drawn"] and len(found.about["data"]["drawn"]) == 64


def test_the_papers_training_set_has_400_grey_pictures_of_180x180():
    try:
        found = data.images("train400")
    except RelicError as error:
        pytest.skip(str(error))
    assert len(found) == 400 and {image.shape for _, image in found} == {(180, 180)}


def test_the_eight_patches_of_a_picture_lie_in_all_eight_orientations(pictures_of):
    pictures_of(2, 16, 16)  # as large as a patch, so that every patch is the whole picture
    found = patches.Patches(cut(), 0)
    for i, image in enumerate(found.pictures):
        ways = orientations(image)
        assert len(set(ways)) == 8
        assert sorted(ways) == sorted(patch.tobytes() for patch in found.x[8 * i : 8 * i + 8])


def test_patches_are_crops_of_their_pictures_at_many_places(pictures_of):
    pictures_of(3, 24, 29)
    found = patches.Patches(cut(patches_per_picture=16), 0)
    for i, image in enumerate(found.pictures):
        crops = np.lib.stride_tricks.sliding_window_view(image, (16, 16)).reshape(-1, 16, 16)
        places = {way: place for place, crop in enumerate(crops) for way in orientations(crop)}
        corners = {places[patch.tobytes()] for patch in found.x[16 * i : 16 * i + 16]}
        assert len(corners) > 8


def test_patches_depend_on_the_seed_alone(pictures_of):
    pictures_of(3, 24, 29)
    first, again, other = (patches.Patches(cut(), seed).x for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("name", ["kodak", "set12", "classic5", "live1", "sample"])
def test_a_test_set_is_refused(name):
    with pytest.raises(RelicError, match="test set"):
        patches.Patches(cut(training_sets=(name,)), 0)


def test_colours_become_luma_and_grey_stays(pictures_of):
    pictures_of(1, 16, 16, channels=3)
    colour = picture(16, 16)
    luma = colour @ np.array([0.299, 0.587, 0.114])
    found = patches.Patches(cut(batch_size=1), 0).pictures[0]
    assert found.dtype == np.uint8 and np.abs(found - luma).max() < 0.51
    assert patches.grey(found) is found


# --- the standard codec --------------------------------------------------------------------------------------------


def tiles(count, height, width):
    """Return smooth patches of different greys, uint8 (count, height, width)."""
    greys = np.linspace(30, 220, count)[:, None, None]
    waves = 20 * np.sin(np.arange(height)[:, None] / 9.0) * np.cos(np.arange(width) / 7.0)
    return np.rint(greys + waves).astype(np.uint8)


@pytest.mark.parametrize("quality", [5, 40])
def test_jpeg_codes_a_patch_as_it_would_in_one_sheet_of_all(quality):
    y = np.stack([picture(24, 40, 1, seed) for seed in range(6)])
    codec = standard_codec(dataclasses.replace(config.LOW_QF10, quality=quality))
    assert codec.label.startswith(f"JPEG 4:2:0 quality {quality}, optimised Huffman tables, OpenCV")
    found = coded(codec, y)
    sheet = y.reshape(2, 3, 24, 40).swapaxes(1, 2).reshape(48, 120)
    in_sheet = codec.decompress(codec.compress(sheet)).reshape(2, 24, 3, 40).swapaxes(1, 2).reshape(6, 24, 40)
    np.testing.assert_array_equal(found, in_sheet)
    opencv = cv2.imdecode(cv2.imencode(".jpg", y[3], [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(found[3], opencv)


@pytest.mark.parametrize("preset", ["half_jpeg2000", "half_webp"])
@pytest.mark.parametrize("count, height, width", [(1, 48, 40), (7, 48, 40), (12, 33, 50)])
def test_other_codecs_give_every_patch_back_in_its_place(preset, count, height, width):
    y = tiles(count, height, width)
    found = coded(standard_codec(named(preset)), y)
    assert found.shape == y.shape and found.dtype == np.uint8
    assert (
        min(metrics.psnr(a, b) for a, b in zip(y, found, strict=True)) > 30.0
    )  # a neighbour's grey would give 23 dB or less


# --- the operations of a training ----------------------------------------------------------------------------------


@pytest.mark.parametrize("preset, epoch, model_flops", [("low_qf10", 4.1e14, 7.4e16), ("full_qf10", 1.63e15, 2.9e17)])
def test_a_training_takes_the_operations_of_its_epochs(preset, epoch, model_flops):
    """By hand: an epoch of 3200 patches takes 2 x 3200 (3 PPNN + 3 VCNN + 3 FDNN + 2 VCNN) multiplications."""
    one = named(preset, steps=3200 // 16, alternations=1)
    two = dataclasses.replace(one, alternations=2)
    counted = complexity.training_flops(two, "paper") - complexity.training_flops(one, "paper")
    macs = complexity.macs(one, 160, 160)
    assert counted == pytest.approx(6400 * (3 * macs["fdnn"] + 8 * macs["ppnn"]), rel=1e-12)
    assert counted == pytest.approx(epoch, rel=0.01)
    # Three alternations of 60 epochs, and PPNN's last part: a tenth more.
    whole = complexity.training_flops(named(preset), "paper")
    assert whole == pytest.approx(60 * (3 * counted + 6400 * 3 * macs["ppnn"]), rel=1e-12)
    assert 1.05 < whole / model_flops < 1.15


def test_jiangs_training_takes_less_and_shorter_scales_take_less():
    for preset in ("low_qf10", "full_qf10"):
        assert complexity.training_flops(named(f"jiang_{preset}"), "paper") == pytest.approx(
            complexity.training_flops(named(preset), "paper") * 0.75, rel=0.01
        )
    flops = [complexity.training_flops(config.LOW_QF10, scale) for scale in ("smoke", "small", "medium", "paper")]
    assert flops == sorted(flops) and flops[2] / flops[3] == pytest.approx(1000 / 12_000)
    assert math.isclose(complexity.training_flops(config.HALF, "paper") / flops[3], 0.25, rel_tol=0.05)
