"""Zhao et al.: the order of learning, what each part learns from, trainings that are stopped, and what is shipped."""

import csv
import dataclasses
import json

import cv2
import numpy as np
import pytest
from narrow import known_arrays, needs_bfloat16, picture, run_steps_eagerly

from common import backend, files, metrics
from common.classical import codecs
from common.data.pictures import to_uint8
from common.errors import RelicError
from common.training import checkpoints, loop, runs, weights
from papers.zhao_mixedres import config, train
from papers.zhao_mixedres.learning import Networks
from papers.zhao_mixedres.patches import Patches
from papers.zhao_mixedres.train import Part

stack = pytest.mark.stack
TURNS = ["ppnn", "vcnn", "fdnn"]


def narrow(preset="low_qf10", **changes):
    """Return a preset's Config with few maps for patches of 32x32 of drawn pictures, four steps a sub-problem."""
    settings = {"num_maps": 3, "patch_size": 32, "batch_size": 2, "patches_per_picture": 1, "steps": 4}
    settings.update(alternations=1, training_sets=("synthetic",), learning_rate=0.01)
    return dataclasses.replace(getattr(config, preset.upper()), **{**settings, **changes})


def known_networks(settings):
    """Return networks with known weights, whose outputs depend on what they are given."""
    networks = Networks(settings)
    for name, network in networks.all.items():
        holder = type("Holder", (), {"transforms": {name: network}})
        checkpoints.set_model_arrays(holder, known_arrays(holder), "known")
    return networks


def patches(count=3, size=32):
    return np.stack([picture(size, size, 1, seed) for seed in range(count)])


# --- the order of learning -----------------------------------------------------------------------------------------


def test_the_three_sub_problems_take_turns_and_ppnn_learns_once_more():
    parts = train.parts(config.LOW_QF10)
    assert [part.network for part in parts] == 3 * TURNS + ["ppnn"]
    assert [part.alternation for part in parts] == [1, 1, 1, 2, 2, 2, 3, 3, 3, 4]
    assert [part.name for part in parts[:4]] == ["1_ppnn", "1_vcnn", "1_fdnn", "2_ppnn"]
    assert len({part.name for part in parts}) == len(parts)


@pytest.mark.parametrize("preset", ["jiang_low_qf10", "half_without_vcnn"])
def test_without_a_virtual_codec_there_is_no_second_sub_problem(preset):
    parts = train.parts(getattr(config, preset.upper()))
    assert [part.network for part in parts] == 3 * ["ppnn", "fdnn"] + ["ppnn"]
    assert [part.alternation for part in parts] == [1, 1, 2, 2, 3, 3, 4]


@pytest.mark.parametrize("count, batch_size", [(24, 4), (23, 4), (5, 5)])
def test_every_epoch_sees_each_patch_at_most_once(count, batch_size):
    epochs = []
    for epoch in range(3):
        first = epoch * (count // batch_size)
        steps = [train.order(count, batch_size, (0, 0), first + i) for i in range(count // batch_size)]
        assert all(len(chosen) == batch_size for chosen in steps)
        epochs.append(np.concatenate(steps))
        assert len(set(epochs[-1])) == count // batch_size * batch_size and set(epochs[-1]) <= set(range(count))
    assert not np.array_equal(epochs[0], epochs[1]) and not np.array_equal(epochs[1], epochs[2])


def test_the_order_depends_on_seed_part_and_step_alone():
    steps = {key: tuple(train.order(40, 8, key[:2], key[2])) for key in [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]}
    assert len(set(steps.values())) == 4
    train.order(40, 8, (5, 5), 3)
    assert tuple(train.order(40, 8, (0, 0), 1)) == steps[0, 0, 1]


# --- what the networks learn from ----------------------------------------------------------------------------------


@stack
def test_a_network_is_applied_to_all_pictures_in_parts(monkeypatch):
    monkeypatch.setattr(train, "BATCH", 2)
    networks, x = known_networks(narrow()), patches()
    found = train.apply(networks.fdnn, x)
    expected = backend.to_numpy(networks.fdnn(x[..., None].astype(np.float32) / 255))[..., 0]
    assert found.dtype == np.float32 and found.shape == (3, 16, 16)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def jpeg(y, quality):
    """Return what OpenCV's JPEG makes of patches."""
    settings = [cv2.IMWRITE_JPEG_QUALITY, quality]
    return np.stack([cv2.imdecode(cv2.imencode(".jpg", each, settings)[1], cv2.IMREAD_UNCHANGED) for each in y])


@pytest.mark.slow
@stack
@pytest.mark.parametrize("preset, vcnn_input", [("low_qf10", "y"), ("full_qf10", "y"), ("half_vcnn_on_z", "z")])
def test_each_sub_problem_learns_from_what_the_paper_says(preset, vcnn_input):
    settings, x = narrow(preset), patches()
    networks = known_networks(settings)
    y = to_uint8(train.apply(networks.fdnn, x))
    z = jpeg(y, 10)
    assert y.shape == (3, 32 // settings.stride, 32 // settings.stride) and y.std() > 10 and (y != z).any()
    source, target = train.pairs(settings, networks, x, "ppnn")
    np.testing.assert_array_equal(source, z)
    assert target is x
    source, target = train.pairs(settings, networks, x, "vcnn")
    np.testing.assert_array_equal(source, y if vcnn_input == "y" else z)
    assert target.dtype == np.float16 and target.shape == x.shape
    np.testing.assert_allclose(target, train.apply(networks.ppnn, z), atol=2e-3)
    source, target = train.pairs(settings, networks, x, "fdnn")
    assert source is x and target is x


@stack
@pytest.mark.parametrize("preset, codec", [("half_jpeg2000", codecs.Jpeg2000(50)), ("half_webp", codecs.WebP(10))])
def test_another_standard_codec_makes_what_ppnn_learns_from(preset, codec):
    settings, x = narrow(preset), patches(1)
    networks = known_networks(settings)
    y = to_uint8(train.apply(networks.fdnn, x))
    z = train.pairs(settings, networks, x, "ppnn")[0]
    np.testing.assert_array_equal(z[0], codec.decompress(codec.compress(y[0])))


@stack
def test_a_batch_takes_the_chosen_patches_with_what_belongs_to_them():
    settings, x = narrow(), patches(6)
    networks, part = known_networks(settings), Part(1, "ppnn")
    batch = train.batches(settings, networks, type("Cut", (), {"x": x}), part, (3, 0))
    source, target = train.pairs(settings, networks, x, "ppnn")
    for step in (4, 0):
        chosen = train.order(6, 2, (3, 0), step)
        np.testing.assert_array_equal(batch(step)["source"], source[chosen])
        np.testing.assert_array_equal(batch(step)["target"], target[chosen])


@stack
def test_in_full_resolution_the_report_of_networks_that_change_nothing_is_that_of_jpeg():
    pictures = [picture(33, 46, 1), picture(40, 31, 1, seed=1)]
    found = train.report(narrow("full_qf20"), Networks(narrow("full_qf20")), pictures)
    files = [codecs.Jpeg(20, optimised=True).compress(image) for image in pictures]
    decoded = [codecs.Jpeg(20).decompress(file) for file in files]
    psnr = np.mean([metrics.psnr(image, back) for image, back in zip(pictures, decoded, strict=True)])
    bpp = np.mean([8 * len(file) / image.size for image, file in zip(pictures, files, strict=True)])
    assert found == {"psnr": pytest.approx(psnr, abs=1e-3), "bpp": pytest.approx(bpp, abs=1e-5)}


@stack
def test_in_low_resolution_the_rate_counts_the_pixels_of_the_picture_and_an_odd_row_is_left_out():
    networks, image = known_networks(narrow()), picture(33, 47, 1)
    found = train.report(narrow(), networks, [image])
    even = image[:32, :46]
    file = codecs.Jpeg(10, optimised=True).compress(to_uint8(train.apply(networks.fdnn, even[None]))[0])
    x_hat = to_uint8(train.apply(networks.ppnn, codecs.Jpeg(10).decompress(file)[None]))[0]
    assert found["bpp"] == pytest.approx(8 * len(file) / even.size, abs=1e-6)
    assert found["psnr"] == pytest.approx(metrics.psnr(even, x_hat), abs=1e-3)


# --- trainings that are stopped ------------------------------------------------------------------------------------


@pytest.fixture
def quick(tmp_path, monkeypatch):
    """Train without compiling, read the clock every second step, and keep results in a folder of their own."""
    run_steps_eagerly(monkeypatch)
    monkeypatch.setattr(loop, "CHUNK", 2)
    monkeypatch.setattr(train, "REPORTED", 1)
    monkeypatch.setenv("RELIC_RESULTS", str(tmp_path))


def run(preset="low_qf10", **options):
    return runs.Run("zhao_mixedres", preset, "smoke", 0, **options)


def without_times(log):
    return [{name: value for name, value in row.items() if name not in ("seconds", "input_wait")} for row in log]


def assert_same_training(first, second):
    """Compare weights of all networks, logs and reports, bit for bit."""
    (networks, about), (others, other) = first, second
    for name, network in networks.all.items():
        for key, variable in backend.variables(network).items():
            again = backend.to_numpy(backend.variables(others.all[name])[key])
            assert backend.to_numpy(variable).tobytes() == again.tobytes(), (name, key)
    assert without_times(about["log"]) == without_times(other["log"])
    assert about["alternations"] == other["alternations"] and about["steps"] == other["steps"]


def interrupt_once(monkeypatch, network):
    """Let Ctrl-C come the first time that a network's part asks for what it learns from."""
    pairs, left = train.pairs, [network]

    def interrupted(*arguments):
        if arguments[-1] in left:
            left.clear()
            raise KeyboardInterrupt
        return pairs(*arguments)

    monkeypatch.setattr(train, "pairs", interrupted)


def trained_in_pieces(settings):
    """Return a training that is resumed again and again, with two steps each time, and what stopped it."""
    stops, trained = [], None
    while trained is None:
        try:
            trained = train.train(settings, run(minutes=1e-9, resume=bool(stops)))
            stops += ["time"] if trained is None else []
        except KeyboardInterrupt:
            stops.append(f"Ctrl-C after {len(checkpoint_files())} parts")
    return trained, stops


@pytest.mark.slow
@stack
def test_a_stopped_training_goes_on_to_the_same_weights(quick, tmp_path, monkeypatch):
    whole = train.train(narrow(), run())
    log = whole[1]["log"]
    assert [row["network"] for row in log] == ["ppnn", "ppnn", "vcnn", "vcnn", "fdnn", "fdnn", "ppnn", "ppnn"]
    assert [row["step"] for row in log] == [2, 4, 6, 8, 10, 12, 14, 16] and whole[1]["steps"] == 16
    assert [row["alternation"] for row in log] == 6 * [1] + 2 * [2] and len(whole[1]["alternations"]) == 2
    seconds = [row["seconds"] for row in log]
    assert seconds == sorted(seconds) and whole[1]["training_seconds"] == seconds[-1] > 0
    assert checkpoint_files() == [f"checkpoint_{name}.npz" for name in ("1_fdnn", "1_ppnn", "1_vcnn", "2_ppnn")]

    monkeypatch.setenv("RELIC_RESULTS", str(tmp_path / "in pieces"))
    interrupt_once(monkeypatch, "fdnn")
    in_pieces, stops = trained_in_pieces(narrow())
    assert stops == [*4 * ["time"], "Ctrl-C after 2 parts", *3 * ["time"]]
    assert_same_training(whole, in_pieces)


def checkpoint_files():
    return sorted(path.name for path in run().checkpoint.parent.glob("*.npz"))


def test_there_must_be_something_to_resume(quick):
    with pytest.raises(RelicError, match="nothing to resume: .*checkpoint_1_ppnn.npz does not exist"):
        train.train(narrow(), run(resume=True))


def test_fewer_patches_than_a_batch_are_refused():
    with pytest.raises(RelicError, match="4 pictures of synthetic give less than a batch of 9 patches"):
        Patches(narrow(batch_size=9, patches_per_picture=2), 0)


@stack
def test_a_training_that_starts_anew_forgets_the_later_parts_of_the_old_one(quick):
    for name in ("1_vcnn", "2_ppnn"):
        with files.atomic_file(run(part=name).checkpoint) as file:
            file.write(b"of an old training")
    with files.atomic_file(run("full_qf10", part="1_ppnn").checkpoint) as file:
        file.write(b"of another preset")
    assert train.train(narrow(), run(minutes=1e-9, restart=True)) is None
    assert checkpoint_files() == ["checkpoint_1_ppnn.npz"] and run("full_qf10", part="1_ppnn").checkpoint.exists()
    with pytest.raises(RelicError, match="checkpoint_1_ppnn.npz exists: go on with --resume, or start anew"):
        train.train(narrow(), run())
    with pytest.raises(RelicError, match=r"checkpoint_1_ppnn.npz was written with another config \(steps differ\)"):
        train.train(narrow(steps=6), run(resume=True))


# --- from settings to weights --------------------------------------------------------------------------------------


@pytest.mark.slow
@stack
@pytest.mark.parametrize("preset, networks", [("low_qf5", TURNS), ("jiang_full_qf40", ["ppnn", "fdnn"])])
def test_a_preset_is_trained_and_shipped_without_the_virtual_codec(preset, networks, quick, monkeypatch):
    trained = []
    ship = train.ship

    def ship_and_keep(run, settings, arrays, about):
        trained.append(arrays)
        ship(run, settings, arrays, about)

    monkeypatch.setattr(train, "ship", ship_and_keep)
    assert train.train_preset(preset, "smoke")
    folder = run(preset).shipped
    stored = weights.load(folder / "weights.safetensors")
    assert {name.split("/")[0] for name in stored.arrays} == {"fdnn", "ppnn"} and not stored.integers
    assert len(stored.arrays) == 32
    rows = list(csv.DictReader((folder / "log.csv").open()))
    assert [row["network"] for row in rows] == [*networks, "ppnn"]
    assert [row["alternation"] for row in rows] == len(networks) * ["1"] + ["2"]
    assert [int(row["step"]) for row in rows] == list(range(1, len(rows) + 1))
    assert list(rows[0])[:5] == ["step", "loss", "content", "gradient", "dissimilarity"]
    said = json.loads((folder / "run.json").read_text())
    assert said["preset"] == f"zhao_mixedres/{preset}" and said["steps"] == len(rows)
    assert len(said["alternations"]) == 2 and all(set(each) == {"psnr", "bpp"} for each in said["alternations"])
    assert list(said["data"]) == ["synthetic"]
    assert_reloads(stored, trained[0], config.at_scale(getattr(config, preset.upper()), "smoke"))


def assert_reloads(stored, arrays, settings):
    """Compare the outputs of stored weights with those of the trained ones rounded to float16."""
    first, second = Networks(settings), Networks(settings)
    checkpoints.set_model_arrays(first, stored.arrays, "stored")
    checkpoints.set_model_arrays(second, weights.to_float16(arrays), "trained")
    for name in ("fdnn", "ppnn"):
        x = picture(24, 32, 1)[None]
        found = train.apply(first.transforms[name], x)
        np.testing.assert_array_equal(found, train.apply(second.transforms[name], x))
        checkpoints.set_model_arrays(second, arrays, "trained")
        np.testing.assert_allclose(found, train.apply(second.transforms[name], x), atol=5e-3)
        checkpoints.set_model_arrays(second, weights.to_float16(arrays), "trained")


@stack
def test_the_same_seed_begins_with_the_same_weights():
    first, again, other = (train.build(narrow(), seed, "float32") for seed in (0, 0, 1))
    arrays, same, others = (checkpoints.model_arrays(networks) for networks in (first, again, other))
    assert all(np.array_equal(arrays[name], same[name]) for name in arrays)
    assert not np.array_equal(arrays["fdnn/conv3/kernel"], others["fdnn/conv3/kernel"])


@stack
@needs_bfloat16
def test_layers_compute_in_float32_outside_training():
    mixed = train.build(narrow(), 0, "bfloat16")
    assert "bfloat16" in str(mixed.fdnn.layers[2].compute_dtype) and mixed.fdnn.layers[-1].compute_dtype == "float32"
    assert Networks(narrow()).fdnn.layers[2].compute_dtype == "float32"
