"""Deshmukh and Pollett: augmented images, trainings in parts that are stopped and go on, and what is shipped."""

import csv
import dataclasses
import json
import math

import cv2
import numpy as np
import pytest
from narrow import known_arrays, picture, run_steps_eagerly

from common import backend, data
from common.backend import keras
from common.errors import RelicError
from common.training import checkpoints, loop, presets, runs, weights
from papers.deshmukh_irm import codec as codec_module
from papers.deshmukh_irm import config, model, patches, super_resolution, train
from papers.deshmukh_irm.model import Model
from papers.deshmukh_irm.patches import Patches, turned, with_channels
from papers.deshmukh_irm.scaling import quarter

stack = pytest.mark.stack


def named(preset, **changes):
    return dataclasses.replace(getattr(config, preset.upper()), **changes)


def narrow(preset="grey", **changes):
    """Return a preset's Config with few maps, one step and two in the two parts, two images of 16x16 a step."""
    settings = {"num_maps": 3, "patch_size": 16, "batch_size": 2, "steps": 1, "training_sets": ("synthetic",)}
    if preset.startswith("sr"):
        settings.update(num_blocks=1, discriminator_maps=2, content="mse")
        settings.update({"adversarial_steps": 2} if preset == "srgan" else {})
    else:
        settings.update(settled_steps=2, icm_maps=8)
    return named(preset, **{**settings, **changes})


# --- Section 4: the images -----------------------------------------------------------------------------------------


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    """Return a function that writes pictures as the data set `drawn`."""
    monkeypatch.setenv("RELIC_DATA", str(tmp_path))

    def write(pictures):
        for i, image in enumerate(pictures):
            data.write_png(tmp_path / "drawn" / f"{i:03d}.png", image)

    return write


def cut(**changes):
    """Return settings of grey images of 16x16 of the set `drawn`."""
    return narrow(**{"training_sets": ("drawn",), **changes})


def flat(count, side=24):
    """Return pictures of one grey each: 10, 20, 30 and so on."""
    return [np.full((side, side), 10 * (i + 1), np.uint8) for i in range(count)]


def test_images_depend_on_the_seed_and_their_number_alone(drawn):
    drawn([picture(40, 50, 1, seed) for seed in range(6)])
    first, again, other = (Patches(cut(), seed) for seed in (1, 1, 2))
    x = first.batch(3, 4)
    assert x.shape == (4, 16, 16, 1) and x.dtype == np.uint8
    again.batch(0, 7)
    np.testing.assert_array_equal(again.batch(3, 4), x)
    np.testing.assert_array_equal(np.concatenate([again.batch(6, 2), again.batch(7, 2)]), x)
    assert not any(np.array_equal(a, b) for a, b in zip(other.batch(3, 4), x, strict=True))
    assert len({image.tobytes() for step in range(10) for image in first.batch(step, 4)}) == 40


def test_as_many_images_as_are_asked_for_come_again_and_again(drawn):
    drawn([picture(40, 50, 1, seed) for seed in range(6)])
    some, endless = Patches(cut(images=4), 0), Patches(cut(), 0)
    x = some.batch(0, 4)
    np.testing.assert_array_equal(x, endless.batch(0, 4))
    assert len({image.tobytes() for image in x}) == 4
    np.testing.assert_array_equal(some.batch(1, 4), x)
    np.testing.assert_array_equal(some.batch(1, 3), x[[3, 0, 1]])
    assert not np.array_equal(endless.batch(1, 4), x)


@pytest.mark.parametrize("count", [2, 5, 10, 11])
def test_a_fifth_of_the_pictures_is_validated_on_and_no_other(count, drawn):
    drawn(flat(count))
    cuts = Patches(cut(), 0)
    greys = [set(np.unique(x)) for x in (cuts.batch(0, 200), cuts.validated())]
    assert greys[0] | greys[1] == {10 * (i + 1) for i in range(count)} and not greys[0] & greys[1]
    assert len(greys[1]) == math.ceil(count / 5) == len(cuts.validation) and len(greys[0]) == len(cuts.training)


def test_images_of_the_validated_pictures_are_the_same_for_every_seed(drawn):
    drawn([picture(40, 50, 1, seed) for seed in range(6)])
    first, other = (Patches(cut(), seed).validated() for seed in (0, 1))
    assert first.shape == (patches.VALIDATED, 16, 16, 1) and len({image.tobytes() for image in first}) > 20
    np.testing.assert_array_equal(first, other)


def test_one_picture_is_not_enough(drawn):
    drawn(flat(1))
    with pytest.raises(RelicError, match="drawn: one picture is not enough to train and to validate"):
        Patches(cut(), 0)


@pytest.mark.parametrize("name", ["kodak", "set12", "set14", "classic5", "bsds500", "sample"])
def test_a_test_set_is_refused(name):
    with pytest.raises(RelicError, match="test set"):
        Patches(cut(training_sets=(name,)), 0)


def test_every_set_of_pictures_has_its_digest(drawn):
    drawn(flat(3))
    assert {name: len(digest) for name, digest in Patches(cut(), 0).about["data"].items()} == {"drawn": 64}
    both = Patches(cut(training_sets=("drawn", "synthetic")), 0)
    assert list(both.about["data"]) == ["drawn", "synthetic"] and len(both.training) + len(both.validation) == 7


def test_images_are_grey_or_in_colour_as_the_networks_are(drawn):
    colour = picture(24, 24)
    drawn([colour, colour])
    assert Patches(cut(channels=3), 0).batch(0, 2).shape == (2, 16, 16, 3)
    luma = colour @ np.array([0.299, 0.587, 0.114])
    assert np.abs(Patches(cut(), 0).training[0] - luma).max() < 0.51
    grey = colour[..., 0]
    np.testing.assert_array_equal(with_channels(grey, 3), np.dstack([grey] * 3))
    assert with_channels(grey, 1) is grey and with_channels(colour, 3) is colour


def ramps(side):
    """Return a colour picture whose red rises along the width and whose green along the height."""
    rows, columns = np.mgrid[:side, :side] * 2
    return np.dstack([columns, rows, np.zeros_like(rows)]).astype(np.uint8)


def test_images_are_turned_by_any_angle_and_half_of_them_mirrored(drawn):
    drawn([ramps(100)] * 2)
    x = Patches(cut(channels=3), 0).batch(0, 400).astype(float)
    # Of each image how red and green rise, along the width and along the height: red's are the first column.
    inner = x[:, 4:-4, 4:-4, :2]
    slopes = np.stack([np.diff(inner, axis=axis).mean(axis=(1, 2)) for axis in (2, 1)], axis=1)
    np.testing.assert_allclose(np.linalg.norm(slopes, axis=1), 2.0, atol=0.1)  # turned and not scaled
    mirrored = np.linalg.det(slopes) < 0
    assert 0.4 < mirrored.mean() < 0.6
    angles = np.arctan2(slopes[:, 1, 0], slopes[:, 0, 0])
    for some in (angles[mirrored], angles[~mirrored]):
        counts = np.histogram(some, bins=8, range=(-np.pi, np.pi))[0]
        assert counts.min() > 0.4 * counts.mean() and counts.max() < 1.8 * counts.mean()


def test_images_come_from_all_over_a_picture(drawn):
    drawn([ramps(100)] * 2)
    middles = Patches(cut(channels=3), 0).batch(0, 400)[:, 7:9, 7:9, :2].mean(axis=(1, 2)) / 2
    assert middles.min() < 12 and middles.max() > 88
    assert np.abs(middles.mean(axis=0) - 50).max() < 5 and middles.std(axis=0).min() > 15


@pytest.mark.parametrize("share, contrast", [(0.0, 1.0), (1.0, 0.0), (0.5, 0.5)])
def test_a_share_of_the_images_is_cut_at_half_size(share, contrast, drawn):
    """Stripes of single pixels: at half size, by averages of 2x2, they are grey."""
    stripes = np.zeros((64, 64), np.uint8)
    stripes[:, ::2] = 200
    drawn([stripes] * 2)
    x = Patches(cut(half_size_share=share), 0).batch(0, 200)
    striped = np.ptp(x[:, 4:-4, 4:-4], axis=(1, 2, 3)) > 20
    assert striped.mean() == pytest.approx(contrast, abs=0.1 if share == 0.5 else 0)
    assert np.abs(x[~striped].astype(int) - 100).max(initial=0) <= 1
    small = Patches(cut(half_size_share=share, patch_size=33), 0).batch(0, 20)  # half would be less than an image
    assert (np.ptp(small, axis=(1, 2, 3)) > 20).all()


# --- turning -------------------------------------------------------------------------------------------------------


def place_of(top, left, height, width, size):
    """Return the place whose square, not turned, begins at a row and a column."""
    return left / (width - size), top / (height - size)


@pytest.mark.parametrize("quarters", range(4))
@pytest.mark.parametrize("size", [16, 13])
def test_quarter_turns_of_a_square_are_numpys(quarters, size):
    image = picture(40, 50)
    square = image[9 : 9 + size, 21 : 21 + size]
    found = turned(image, size, quarters * math.pi / 2, place_of(9, 21, 40, 50, size))
    np.testing.assert_array_equal(found, np.rot90(square, quarters))


@pytest.mark.parametrize("flips, axes", [((1, 1), ()), ((-1, 1), (1,)), ((1, -1), (0,)), ((-1, -1), (0, 1))])
def test_flips_are_numpys(flips, axes):
    image = picture(30, 40, channels=1)
    square = image[5:21, 11:27]
    found = turned(image, 16, 0.0, place_of(5, 11, 30, 40, 16), flips)
    np.testing.assert_array_equal(found, np.flip(square, axes))
    oblique = turned(image, 16, 0.7, (0.5, 0.5))
    flipped = turned(image, 16, 0.7, (0.5, 0.5), flips)
    assert np.abs(flipped.astype(int) - np.flip(oblique, axes)).max() <= 1


def waves(x, y):
    return 128 + 60 * np.sin(x / 7.0) + 50 * np.cos(y / 9.0 + x / 20.0)


@pytest.mark.parametrize("angle", [0.3, 1.0, 2.5, 4.0, 6.0])
@pytest.mark.parametrize("flips", [(1, 1), (-1, 1)])
def test_a_turned_square_is_the_picture_at_turned_points(angle, flips):
    size, place = 21, (0.25, 0.8)
    rows, columns = np.mgrid[:80, :90].astype(float)
    image = np.rint(waves(columns, rows)).astype(np.uint8)
    found = turned(image, size, angle, place, flips)
    reach = size / 2 * (abs(math.cos(angle)) + abs(math.sin(angle)))
    middle = [reach + part * (side - 2 * reach) for part, side in zip(place, (90, 80), strict=True)]
    i, j = np.mgrid[:size, :size] + 0.5 - size / 2
    across, down = flips[0] * j, flips[1] * i
    x = middle[0] + math.cos(angle) * across - math.sin(angle) * down - 0.5
    y = middle[1] + math.sin(angle) * across + math.cos(angle) * down - 0.5
    assert min(x.min(), y.min()) >= -0.5 and x.max() <= 89.5 and y.max() <= 79.5
    assert np.abs(found - waves(x, y)).max() < 2.5  # levels of 0 to 255: OpenCV turns by 1/32 of a pixel


@pytest.mark.parametrize("height, width", [(60, 70), (16, 16), (16, 90), (17, 20)])
def test_no_corner_is_black(height, width):
    white = np.full((height, width, 3), 255, np.uint8)
    for angle in np.linspace(0, 2 * math.pi, 37):
        for place in ((0.0, 0.0), (1.0, 1.0), (0.999, 0.3)):
            assert turned(white, 16, angle, place).min() == 255


def test_where_there_is_room_a_turned_square_does_not_reach_beyond_the_picture():
    """A black frame around the picture would be seen if pixels beyond it were."""
    image = np.full((60, 70), 255, np.uint8)
    framed = cv2.copyMakeBorder(image, 30, 30, 30, 30, cv2.BORDER_CONSTANT, value=0)
    for angle in np.linspace(0, 2 * math.pi, 37):
        for place in ((0.0, 0.0), (1.0, 1.0), (0.5, 1.0)):
            reach = 8 * (abs(math.cos(angle)) + abs(math.sin(angle)))
            middle = [reach + part * (side - 2 * reach) + 30 for part, side in zip(place, (70, 60), strict=True)]
            there = [(at - reach) / (side - 2 * reach) for at, side in zip(middle, (130, 120), strict=True)]
            assert turned(framed, 14, angle, there).min() >= 250


# --- what a step learns from ---------------------------------------------------------------------------------------


@stack
def test_a_batch_is_what_the_networks_are_fed_with():
    cuts = Patches(narrow(), 0)
    batch = train.batches(narrow(), cuts)(5)
    assert set(batch) == {"x", "step"} and batch["step"].tolist() == [5, 5] and batch["step"].dtype == np.int32
    np.testing.assert_array_equal(batch["x"], cuts.batch(5, 2))
    cuts = Patches(narrow("srgan"), 0)
    batch = train.batches(narrow("srgan"), cuts)(5)
    assert set(batch) == {"x", "lr"} and batch["lr"].dtype == np.uint8
    np.testing.assert_array_equal(batch["lr"], [quarter(image) for image in cuts.batch(5, 2)])


@stack
def test_adam_learns_at_the_rates_of_the_config():
    compiled = train.build(narrow(steps=1000), 0, "float32")
    assert isinstance(compiled.optimizer, backend.keras.optimizers.Adam)
    said = compiled.optimizer.get_config()["learning_rate"]["config"]
    rate = keras.optimizers.schedules.PiecewiseConstantDecay.from_config(said)
    shares = {0: 1e-3, 499: 1e-3, 501: 3e-4, 799: 3e-4, 801: 1e-4, 1000: 1e-4}
    assert {step: float(rate(step)) for step in shares} == pytest.approx(shares, rel=1e-6)


@stack
def test_validation_is_equation_2_on_images_of_the_validated_pictures_as_when_coding(quick):
    networks, cuts = Model(narrow()), Patches(narrow(), 0)
    validate = train.validation(networks, cuts)
    begun = validate()
    checkpoints.set_model_arrays(networks, known_arrays(networks), "known")  # which it has to notice
    x = cuts.validated() / np.float32(255)
    u = networks.upsample(networks.icm(x, training=False))
    x_hat = networks.irm(u, training=False)
    u, x_hat = (backend.to_numpy(each).astype(float) for each in (u, x_hat))
    error = np.mean((x - x_hat) ** 2)
    expected = {
        "validation_loss": 255**2 * error + 255 * np.abs(u - x_hat).mean(),
        "validation_squared_error": error,
    }
    assert expected != pytest.approx(begun, rel=0.1)
    assert validate() == pytest.approx(expected, rel=1e-4)


@stack
def test_the_same_seed_begins_with_the_same_weights(quick):
    first, again, other = (checkpoints.model_arrays(train.build(narrow(), seed, "float32")) for seed in (0, 0, 1))
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not np.array_equal(first["irm/R3_1_conv/kernel"], other["irm/R3_1_conv/kernel"])


# --- trainings that are stopped ------------------------------------------------------------------------------------


def run_as_it_is(function, networks=()):
    """Stand in for backend.compiled: from arrays to arrays."""

    def call(*arrays):
        found = function(*arrays)
        return tuple(map(backend.to_numpy, found)) if isinstance(found, tuple) else backend.to_numpy(found)

    return call


@pytest.fixture
def quick(tmp_path, monkeypatch):
    """Train networks of few layers without compiling, a step at a time, with results in a folder of their own."""
    run_steps_eagerly(monkeypatch)
    if backend.BACKEND == "tensorflow":
        monkeypatch.setattr(backend, "compiled", run_as_it_is)
    monkeypatch.setattr(loop, "CHUNK", 1)
    monkeypatch.setattr(model, "DEPTH", 1)
    monkeypatch.setattr(patches, "VALIDATED", 3)
    monkeypatch.setenv("RELIC_RESULTS", str(tmp_path))


def run(preset, **options):
    return runs.Run("deshmukh_irm", preset, "smoke", 0, **options)


def checkpoint_files(preset):
    return sorted(path.stem for path in run(preset).checkpoint.parent.glob("*.npz"))


def trained_in_pieces(preset, settings):
    """Return a training that is resumed again and again, with one step each time, and how often it stopped."""
    stops, trained = 0, None
    while trained is None:
        trained = train.train(settings, run(preset, minutes=1e-9, resume=stops > 0))
        stops += trained is None
    return trained, stops


def without_times(log):
    return [{name: value for name, value in row.items() if name not in ("seconds", "input_wait")} for row in log]


def arrays_of(trained):
    """Return the arrays of all networks of a training, those that are not shipped too."""
    networks = getattr(trained, "networks", None) or trained.transforms
    return checkpoints.model_arrays(type("All", (), {"transforms": networks}))


@pytest.mark.slow
@stack
@pytest.mark.parametrize(
    "preset, parts", [("grey", ["by_batches", "settled"]), ("srgan", ["generator", "adversarial"])]
)
def test_a_stopped_training_goes_on_to_the_same_weights(preset, parts, quick, tmp_path, monkeypatch):
    settings = narrow(preset)
    whole, about = train.train(settings, run(preset))
    log = about["log"]
    assert [(row["step"], row["part"]) for row in log] == [(1, parts[0]), (2, parts[1]), (3, parts[1])]
    assert about["steps"] == 3 and about["training_seconds"] == log[-1]["seconds"]
    assert checkpoint_files(preset) == sorted(f"checkpoint_{name}" for name in parts)
    monkeypatch.setenv("RELIC_RESULTS", str(tmp_path / "in pieces"))
    (in_pieces, other), stops = trained_in_pieces(preset, settings)
    assert stops == 2
    arrays, others = arrays_of(whole), arrays_of(in_pieces)
    assert set(arrays) == set(others) and len({name.split("/")[0] for name in arrays}) == 2
    for name, array in arrays.items():
        assert array.tobytes() == others[name].tobytes(), name
    assert without_times(log) == without_times(other["log"])


def after_part(preset, name):
    """Return the weights of a training when one of its parts was done."""
    with np.load(run(preset, part=name).checkpoint) as file:
        return {key[len("weights/") :]: file[key] for key in file.files if key.startswith("weights/")}


def same(arrays, others):
    return {name for name in arrays if name in others and np.array_equal(arrays[name], others[name])}


@stack
def test_settled_steps_keep_the_running_means_and_soon_all_else_has_moved(quick, monkeypatch):
    """From interpolation on: in the first step the last layer, which is zero, hides the others of the IRM."""
    asked, batch = [], Patches.batch
    monkeypatch.setattr(Patches, "batch", lambda self, step, size: asked.append(step) or batch(self, step, size))
    settings = narrow(start="interpolation")
    trained, _ = train.train(settings, run("grey"))
    assert asked == [0, 1, 2]  # the second part has other images
    fresh = checkpoints.model_arrays(train.build(settings, 0))
    first, last = after_part("grey", "by_batches"), arrays_of(trained)
    hidden = {name for name in fresh if name.startswith("irm/") and "R5" not in name and "moving" not in name}
    means = {name for name in fresh if "/moving_" in name}
    assert same(fresh, first) == hidden and len(hidden) > 10
    assert same(first, last) == means and len(means) == 8
    assert not same(fresh, last)


@stack
def test_the_adversarial_part_goes_on_with_the_generator_of_the_first(quick):
    trained, _ = train.train(narrow("srgan", adversarial_steps=1), run("srgan"))
    first, last = after_part("srgan", "generator"), arrays_of(trained)
    fresh = arrays_of(presets.initialised(super_resolution.Adversary, narrow("srgan"), 0))
    kernels = {name for name in first if name.endswith("/kernel")}
    assert len(kernels) == 7 and not same(first, last) & kernels and not same(fresh, last) & kernels
    for name in kernels:  # a step of Adam is as long as the learning rate
        assert np.abs(first[name] - fresh[name]).max() <= 1.01e-4 >= np.abs(last[name] - first[name]).max()
    assert set(first) < set(last) and list(trained.transforms) == ["generator"]
    assert not same({name: fresh[name] for name in fresh if name.endswith("_conv/kernel")}, last)


@pytest.mark.slow
@stack
def test_training_lowers_the_loss(quick, monkeypatch):
    monkeypatch.setattr(loop, "CHUNK", 4)
    monkeypatch.setattr(backend, "fast_precision", lambda: "float32")
    settings = narrow(steps=16, settled_steps=8, learning_rate=0.01, images=2, clip_norm=1.0)
    settings = dataclasses.replace(settings, batch_norm_momentum=0.5)  # so that so few steps make running means
    log = train.train(settings, run("grey"))[1]["log"]
    assert max(log[3]["loss"], log[-1]["loss"]) < 0.5 * log[0]["loss"], log
    for row in log:
        assert row["loss"] == pytest.approx(255**2 * row["squared_error"] + 255 * row["penalty"], rel=1e-3)


# --- from settings to weights --------------------------------------------------------------------------------------


@pytest.fixture
def kept(quick, monkeypatch):
    """Return the list of (run, config, arrays) that trainings ship."""
    shipped, ship = [], train.ship

    def ship_and_keep(own, settings, arrays, about):
        shipped.append((own, settings, arrays))
        ship(own, settings, arrays, about)

    monkeypatch.setattr(train, "ship", ship_and_keep)
    return shipped


@pytest.mark.slow
@stack
@pytest.mark.parametrize("preset", ["rgb", "grey_penalty_literal", "srgan"])
def test_a_preset_is_trained_and_shipped(preset, kept):
    assert train.train_preset(preset, "smoke")
    folder = run(preset).shipped
    stored = weights.load(folder / "weights.safetensors")
    _own, settings, arrays = kept[0]
    assert settings == config.at_scale(getattr(config, preset.upper()), "smoke")
    networks = {"generator"} if preset == "srgan" else {"icm", "irm"}
    assert {name.split("/")[0] for name in stored.arrays} == networks
    assert set(stored.integers) == {"code/frequencies", "code/lengths", "code/offsets"}
    rows = list(csv.DictReader((folder / "log.csv").open()))
    assert [int(row["step"]) for row in rows] == list(range(1, len(rows) + 1)) and len(rows) >= 2
    said = json.loads((folder / "run.json").read_text())
    assert said["preset"] == f"deshmukh_irm/{preset}" and said["steps"] == len(rows)
    assert {name: len(digest) for name, digest in said["data"].items()} == {"synthetic": 64}
    if preset == "srgan":
        assert said["content"] == {"generator": "mse", "adversarial": "mse"}
        assert [row["part"] for row in rows] == ["generator", "adversarial"]
        assert float(rows[0]["cross_entropy"]) == 0 < float(rows[1]["cross_entropy"])
        assert {name.split("/")[0] for name in arrays} == {"generator"}
    else:
        assert "content" not in said and [row["part"] for row in rows] == ["by_batches", "settled"]
        for row in rows:
            parts = [float(row[name]) for name in ("validation_loss", "validation_squared_error")]
            assert 255**2 * parts[1] <= parts[0] * (1 + 1e-4)
    assert_reloads(preset, stored, settings, arrays)
    if preset == "rgb":
        assert_frequencies(codec_module.load(preset, "smoke", 0))


def assert_reloads(preset, stored, settings, arrays):
    """Compare what the codec of stored weights makes of a picture with what the trained ones, rounded, do."""
    codec = codec_module.load(preset, "smoke", 0)
    assert codec.digest == stored.digest
    networks = codec_module.networks_of(settings)
    checkpoints.set_model_arrays(networks, weights.to_float16(arrays), "trained")
    for name, network in networks.transforms.items():
        x = picture(16, 16, 3)[None, ..., : settings.channels].astype(np.float32) / 255
        found = backend.to_numpy(codec.networks.transforms[name](x, training=False))
        np.testing.assert_array_equal(found, backend.to_numpy(network(x, training=False)))
    image = picture(20, 19, channels=settings.channels)
    assert codec.decompress(codec.compress(image)).shape == image.shape


def assert_frequencies(codec):
    """Compare the tables of shipped weights with the codes of the first training images."""
    codes = np.stack([codec.code(image) for image in Patches(codec.config, 0).batch(0, 4)])
    for channel in range(3):
        counts = np.bincount(codes[..., channel].ravel(), minlength=256) + 1
        expected = 2**16 * counts / counts.sum()
        found = codec.tables.frequencies[channel, :256]
        assert np.corrcoef(found, expected)[0, 1] > 0.98  # a value may be rounded to its neighbour


def test_where_vgg19_cannot_be_had_run_json_says_that_the_content_was_the_squared_error(quick, monkeypatch):
    def missing(path):
        raise RelicError(f"no weights of VGG19 ({path})")

    monkeypatch.setattr(super_resolution, "vgg_features", missing)
    settings = narrow("srgan", content="vgg54", steps=1, adversarial_steps=1)
    about = train.train(settings, run("srgan"))[1]
    assert about["content"] == {"generator": "mse", "adversarial": "mse"}
