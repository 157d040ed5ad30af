"""Donis and Brown: the audit's measures and batch sizes against closed forms and simulations, and the times' tables."""

import dataclasses
import math

import cv2
import numpy as np
import pytest
from figure_rules import broken_rules
from narrow import known_arrays, picture, run_steps_eagerly

from common import backend, metrics
from common.classical.codecs import Jpeg
from common.tables import document as document_module
from common.tables.command import Options
from common.training import checkpoints
from papers.donis_convlstm import complexity, config
from papers.donis_convlstm.config import AS_RUN, at_scale
from papers.donis_convlstm.reproduction import audit, authors_logs, batch_sizes, crude_codecs, figures6and7, speed
from papers.donis_convlstm.reproduction.crude_codecs import Crude

stack = pytest.mark.stack
RANDOM = np.random.default_rng(8)


def pictures_of(count):
    return np.stack([picture(32, 32, seed=seed) for seed in range(count)])


# --- crude pictures ------------------------------------------------------------------------------------------------


def test_thumbnails_are_averages_of_blocks():
    x = RANDOM.integers(0, 256, (2, 32, 32, 3), np.uint8)
    found = crude_codecs.thumbnails(x, 2, cv2.INTER_NEAREST)
    for index, top, left in ((0, 0, 0), (1, 0, 16), (1, 16, 0)):
        block = x[index, top : top + 16, left : left + 16].reshape(-1, 3)
        mine = found[index, top : top + 16, left : left + 16].reshape(-1, 3)
        assert (mine == mine[0]).all() and np.abs(mine[0] - block.mean(axis=0)).max() <= 0.5
    np.testing.assert_array_equal(crude_codecs.thumbnails(x, 32, cv2.INTER_CUBIC), x)


def test_grey_pictures_have_the_luma_of_bt_601_in_all_channels():
    x = np.array([[[[255, 0, 0], [0, 255, 0], [0, 0, 255], [90, 90, 90]]]], np.uint8)
    found = crude_codecs.grey(x)
    np.testing.assert_array_equal(found[0, 0], np.repeat([[76], [150], [29], [90]], 3, axis=1))


def test_of_a_jpeg_file_what_lies_behind_the_scans_header_is_counted():
    header = b"\xff\xd8" + b"tables" + b"\xff\xda" + b"\x00\x0c" + 10 * b"h"
    assert crude_codecs.coefficients(header + 37 * b"c" + b"\xff\xd9") == 37
    # A flat block of 8x8 is the DC's code and an end of block: 6 blocks of luma and chroma for 16x16 pixels.
    flat = np.full((32, 32, 3), 128, np.uint8)
    assert crude_codecs.coefficients(Jpeg(50).compress(flat)) == math.ceil((16 * (2 + 4) + 8 * (2 + 2)) / 8)
    assert Jpeg(50).compress(flat)[-2:] == b"\xff\xd9"


@pytest.mark.parametrize("quality", crude_codecs.JPEG_QUALITIES)
def test_huffman_tables_made_for_a_small_picture_take_more_than_they_save(quality):
    def without_headers(file):  # the pictures' tables are headers that they could not do without
        tables, at = 0, 2
        while file[at + 1] != 0xDA:
            length = int.from_bytes(file[at + 2 : at + 4], "big")
            tables += (length + 2) * (file[at + 1] == 0xC4)
            at += length + 2
        return tables + crude_codecs.coefficients(file)

    for image in pictures_of(3):
        standard, optimised = (Jpeg(quality, optimised=own).compress(image) for own in (False, True))
        assert crude_codecs.coefficients(standard) < without_headers(optimised)


def test_rates_are_those_of_the_pixels_that_are_kept():
    found = crude_codecs.all_of(pictures_of(3))
    rates = {name: one.bpp for name, one in found.items() if one.group != crude_codecs.JPEG}
    assert rates["mean of all pictures"] == rates["mid-grey"] == 0 and rates["mean colour of each"] == 24 / 1024
    assert rates["8x8 pixels"] == rates["8x8 pixels, bicubic"] == 24 / 16 and rates["luma alone"] == 8
    assert rates["luma of 8x8 pixels, bicubic"] == 8 / 16
    of_jpeg = [one.bpp for one in found.values() if one.group == crude_codecs.JPEG]
    assert of_jpeg == sorted(of_jpeg) and 0 < of_jpeg[0] < 1 < of_jpeg[-1] < 12
    assert all(one.x_hat.shape == (3, 32, 32, 3) and one.x_hat.dtype == np.uint8 for one in found.values())


@stack
def test_flat_pictures_are_plotted_by_their_luminance():
    a, b = 51, 204
    x, x_hat = (np.full((3, 32, 32, 3), value, np.uint8) for value in (a, b))
    found = crude_codecs.measured(x, Crude("", x_hat, 0.0))
    u, v = a / 255, b / 255
    luminance = {peak: (2 * u * v + (0.01 * peak) ** 2) / (u**2 + v**2 + (0.01 * peak) ** 2) for peak in (1, 2)}
    level = 20 * math.log10(255 / (b - a))
    expected = {"bpp": 0.0, "SSIM": luminance[1], "SSIM, range 2": luminance[2], "PSNR, dB": level}
    expected.update({"plotted as MS-SSIM": 1 - (1 - luminance[2]) ** 2, "plotted as PSNR": level**2})
    expected["MS-SSIM, two scales"] = luminance[1] ** 0.2856  # flat pictures' structure is the same
    assert found == pytest.approx(expected, rel=5e-4)


@stack
def test_measures_are_means_over_pictures_and_a_picture_itself_has_the_highest():
    x = pictures_of(4)
    same = crude_codecs.measured(x, Crude("", x, 24.0))
    similarities = [same[name] for name in (crude_codecs.PLOTTED, crude_codecs.SSIM, crude_codecs.MS_SSIM)]
    assert similarities == pytest.approx([1, 1, 1], abs=1e-6)
    assert same[crude_codecs.PSNR] == pytest.approx(100) and same[crude_codecs.BPP] == 24
    coded = crude_codecs.jpeg(x, 25)
    found = crude_codecs.measured(x, coded)
    levels = [metrics.psnr(one, other) for one, other in zip(x, coded.x_hat, strict=True)]
    assert found[crude_codecs.PSNR] == pytest.approx(np.mean(levels), rel=1e-6)
    assert found[crude_codecs.PLOTTED_PSNR] == pytest.approx(np.mean(np.square(levels)), rel=1e-6)
    each = [metrics.ssim(*pair) for pair in zip(x, coded.x_hat, strict=True)]
    assert found[crude_codecs.SSIM] == pytest.approx(np.mean(each), rel=1e-4)
    assert found[crude_codecs.PLOTTED] == pytest.approx(1 - (1 - found[crude_codecs.SSIM_2]) ** 2)
    assert found[crude_codecs.SSIM] < found[crude_codecs.SSIM_2] < found[crude_codecs.PLOTTED]


# --- batch sizes ---------------------------------------------------------------------------------------------------


def test_a_last_batch_of_a_part_takes_its_square_away():
    assert batch_sizes.share_left(128, 64) == 1.0
    assert batch_sizes.share_left(96, 64) == pytest.approx(math.sqrt((1 + 0.25) / 2))
    assert batch_sizes.share_left(10, 64) == pytest.approx(10 / 64)


def logged_by_keras(errors, size, asked):
    """Return sqrt(residual loss) / MAE of pictures with mean absolute errors, as the authors' metrics are computed."""
    batches = np.split(errors, range(size, len(errors), size))
    residual = np.mean([(batch.sum() / asked) ** 2 for batch in batches])
    return math.sqrt(residual) / errors.mean()


@pytest.mark.parametrize("size, asked", [(32, 32), (64, 64), (64, 32), (512, 512), (1024, 1024)])
def test_what_is_expected_of_a_setting_is_what_the_metrics_give(size, asked):
    rng = np.random.default_rng(1)
    errors = rng.gamma(8, 0.1 / 8, 100_000)  # of pictures that differ by a third of their mean
    parts = np.split(errors, [95_000])
    training, validation = (logged_by_keras(part, size, asked) for part in parts)
    assert training == pytest.approx(size / asked, rel=0.003)
    assert validation / training == pytest.approx(batch_sizes.expected(100_000, size), abs=5e-4)


def test_the_run_of_batches_of_32_had_64_and_so_had_the_size_study():
    found = batch_sizes.settings()
    assert list(found) == list(batch_sizes.RUNS) and len(found) == 12
    assert {run: size for run, (_, size) in found.items()} == {
        "ssim_batch_32": 64,
        "ssim_batch_64": 64,
        "ssim_batch_128": 128,
        "ssim_batch_512": 512,
        "ssim_batch_1024": 1024,
        "ssim_train_50000": 64,
        "ssim_train_100000": 64,
        "ssim_train_200000": 64,
        **{f"ssim_n_{n}": 512 for n in (1, 5, 9, 15)},
    }
    assert [found[f"ssim_train_{count}"][0] for count in (50_000, 100_000, 200_000)] == [50_000, 100_000, 200_000]
    assert {found[f"ssim_batch_{size}"][0] for size in (32, 64, 128, 512, 1024)} == {100_000}
    for run, (count, size) in found.items():
        assert abs(batch_sizes.expected(count, size) - batch_sizes.observed(run)) < 0.0008, run
    # The next batch sizes are several times further away.
    for run in ("ssim_batch_32", "ssim_train_50000", "ssim_train_100000", "ssim_train_200000"):
        count, _ = found[run]
        others = [abs(batch_sizes.expected(count, size) - batch_sizes.observed(run)) for size in (32, 128)]
        assert min(others) > 3 * abs(batch_sizes.expected(count, 64) - batch_sizes.observed(run)), run


def test_the_settings_that_the_histories_name_are_those_that_the_logs_tell():
    found = batch_sizes.settings()
    assert {run: (size, count // 1000) for run, (count, size) in found.items()} == authors_logs.SETTINGS


def test_every_batch_came_as_asked_but_those_of_32_came_twice_as_large():
    for run in batch_sizes.RUNS:
        assert batch_sizes.over_asked(run) == pytest.approx(2.0 if run == "ssim_batch_32" else 1.0, abs=0.003), run


# --- claims and the whole table ------------------------------------------------------------------------------------


def test_what_is_plotted_as_psnr_is_above_any_psnr_of_8_bits():
    (one,) = audit.psnr_claims()
    assert one["verdict"] == "does not hold" and one["found"] == pytest.approx(148.0, abs=0.1)
    x, y = np.zeros((2, 32, 32, 3), np.uint8)
    y[0, 0, 0] = 1
    assert one["claimed"] == pytest.approx(metrics.psnr(x, y), abs=0.01)
    assert "12.17 to 19.11 dB" in one["note"]


def test_the_run_with_100_thousand_pictures_failed_and_its_repetitions_did_not():
    of_batch, of_size = audit.run_claims()
    assert (of_batch["claimed"], of_batch["found"], of_batch["verdict"]) == (32, 64, "does not hold")
    assert of_size["verdict"] == "does not hold" and of_size["found"] == 0.9374
    for words in ("3 runs", "ssim_batch_32 0.9382", "ssim_train_100000 0.8133"):
        assert words in of_size["note"]


def test_a_code_of_128_floats_has_4_bpp_and_bits_an_eighth():
    assert figures6and7.CODE_BPP == {config.AS_RUN: 4.0, config.AS_WRITTEN: 0.125}


def test_a_value_between_two_qualities_is_interpolated():
    table = {f"JPEG quality {i}": {"a": float(i), "b": float(i * i)} for i in (1, 3, 2)}
    table["4x4 pixels"] = {"a": 2.5, "b": 100.0}
    assert audit.interpolated(table, "a", "b", 2.5) == 6.5


def test_notes_have_the_counts_of_the_text():
    text = " ".join(audit.further_notes())
    for words in ("27,000 times 200,000 pictures", "54,000 times 100,000", "16 are 2 bpp", "60,633,987", "970,143,792"):
        assert words in text


@stack
def test_without_cifar_tiles_of_the_sample_stand_in_and_every_claim_is_judged(tmp_path, monkeypatch):
    for name in ("RELIC_DATA", "RELIC_CACHE", "TFDS_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path))
    found = audit.reproduce(Options("donis_convlstm/audit", {}, "exact", images=24))
    assert any("sample stand in" in note for note in found.notes)
    document = document_module.join("donis_convlstm/audit", "exact", None, found)
    assert document_module.recompute(document) == document and document["cells"] == []
    assert document["figures"] == ["audit.png", "audit_pictures.png"]
    assert [broken for figure in found.figures.values() for broken in broken_rules(figure)] == []
    assert len(document["claims"]) == 8 and {one["verdict"] for one in document["claims"]} == {"does not hold"}
    plotted, similarity = (document["further"][name] for name in (crude_codecs.PLOTTED, crude_codecs.SSIM))
    assert all(plotted[row] > similarity[row] for row in similarity)
    assert document["further"]["batch size"]["authors' ssim_batch_32"] == 64
    assert plotted["authors' ssim_batch_512"] == round(1 - authors_logs.logged("ssim_batch_512", "val_SSIMLoss")[-1], 6)
    assert document["provenance"]["test_set"]["pictures"] == 24


# --- times ---------------------------------------------------------------------------------------------------------


def test_a_ratio_is_the_median_of_neighbours_whatever_slows_down_both(monkeypatch):
    slow, fast = np.array([4.0, 400.0, 4.4, 4.0, 4.0]), np.array([1.0, 100.0, 1.0, 1.0, 8.0])
    works = {"16 copies": slow, "1 copy": fast}
    case = speed.Case("copies", "16 copies", "1 copy", 16, 5, lambda: {speed.TRAINING: works})
    monkeypatch.setattr(speed, "cases", lambda scale: [case])
    both = {name: np.stack([values, 3 * values], axis=1) for name, values in works.items()}
    monkeypatch.setattr(speed, "seconds", lambda works, rounds: both)
    found = speed.reproduce(Options("donis_convlstm/speed", {}, "exact"))
    assert found.claims[0]["found"] == 4.0
    assert found.further["clock, median (ms)"]["copies: training step, 16 copies"] == 4000
    assert found.further["clock, greatest"]["copies: training step, ratio"] == 4.4
    assert found.further["processor, median (ms)"]["copies: training step, 1 copy"] == 3000


def test_a_first_step_has_to_be_2_5_times_as_fast_and_copies_thirty_times_as_slow():
    case = speed.Case("small", "ConvLSTM2D", "its first step", 4.35, 2, dict)
    fast, slow = (speed.judged(case, speed.INFERENCE, clock, 3.0) for clock in (2.61, 2.4))
    assert (fast["verdict"], slow["verdict"]) == ("holds", "does not hold")
    assert fast["note"] == "By the processor 3. Multiply-accumulates: 4.35 times as many."
    case = speed.Case("copies", "16 copies", "1 copy", 16, 2, dict)
    verdicts = [speed.judged(case, speed.TRAINING, value, 16.0)["verdict"] for value in (16.2, 24.9, 31.0, 36.0)]
    assert verdicts == ["does not hold", "does not hold", "holds", "does not hold"]


@stack
def test_copies_have_weights_of_their_own_and_follow_each_other():
    settings = at_scale(AS_RUN, "smoke")
    copies = speed.Copies(settings, 3)
    counted = sum(math.prod(weight.shape) for weight in copies.trainable_variables)
    assert counted == 3 * complexity.parameters(settings)
    parts = {**copies.transforms, **{f"copy{i}": part for i, part in enumerate(copies.others)}}
    holder = type("Holder", (), {"transforms": parts})
    checkpoints.set_model_arrays(holder, known_arrays(holder), "known")
    x = pictures_of(2)
    outputs = copies({"x": x, "step": np.zeros(2, np.int32)})
    expected = x / np.float32(255)
    for part in parts.values():
        expected = part(expected)
    np.testing.assert_allclose(backend.to_numpy(outputs["x_hat"]), backend.to_numpy(expected), atol=1e-5)


@pytest.fixture
def eager(monkeypatch):
    """Let networks run uncompiled where that takes less time than tracing."""
    run_steps_eagerly(monkeypatch)
    monkeypatch.setattr(backend, "compiled", lambda function: function)


@pytest.mark.slow
@stack
@pytest.mark.parametrize("index, kinds", [(0, ["training step", "inference"]), (3, ["training step"])])
def test_a_case_prepares_what_it_compares(index, kinds, eager):
    case = speed.cases("smoke")[index]
    prepared = case.prepare()
    assert list(prepared) == kinds
    for works in prepared.values():
        assert set(works) == {case.slow, case.fast}
        for work in works.values():
            work()


def test_the_table_of_times_has_every_case(monkeypatch):
    def prepare(case):
        kinds = [speed.TRAINING, speed.INFERENCE] if case.fast == "its first step" else [speed.TRAINING]
        return {kind: {name: lambda: sum(range(1000)) for name in (case.slow, case.fast)} for kind in kinds}

    every = [dataclasses.replace(case, prepare=lambda case=case: prepare(case)) for case in speed.cases("exact")]
    monkeypatch.setattr(speed, "cases", lambda scale: every)
    found = speed.reproduce(Options("donis_convlstm/speed", {}, "exact"))
    document = document_module.join("donis_convlstm/speed", "exact", None, found)
    assert document_module.recompute(document) == document
    assert len(document["claims"]) == 6 and document["provenance"]["threads"] >= 1
    median = document["further"]["clock, median (ms)"]
    assert len(median) == 6 * 3 and all(value > 0 for value in median.values())
    assert every[0].operations == pytest.approx(4.352, abs=1e-3) and [one.operations for one in every[2:]] == [16, 16]
    patches = at_scale(config.ITERATIVE, "small").batch_size
    assert [case.name.rpartition(", ")[2] for case in every] == [
        *("8 pictures", "64 pictures", "32 pictures"),
        f"{patches} patches of 64x64",
    ]
