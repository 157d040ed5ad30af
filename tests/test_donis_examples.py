"""Figures 6 and 7 of Donis and Brown: what is measured against closed forms, and which pictures are shown."""

import cv2
import numpy as np
import pytest
from figure_rules import broken_rules

from common import data, metrics
from common.tables import command, published
from common.tables import document as document_module
from common.training import checkpoints, presets, runs
from common.training import ship as ship_module
from experiments import figure6_donis, figure7_donis
from papers.donis_convlstm import config
from papers.donis_convlstm.learning import OneIteration
from papers.donis_convlstm.reproduction import figures6and7

stack = pytest.mark.stack
RANDOM = np.random.default_rng(3)
BOTH = [(figure6_donis, "highest"), (figure7_donis, "lowest")]


def pictures(count=6):
    coarse = RANDOM.integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
    return coarse.repeat(4, axis=1).repeat(4, axis=2)


def grey(x):
    return np.stack([cv2.cvtColor(cv2.cvtColor(one, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB) for one in x])


def ship(preset, seed=0):
    """Ship a fresh network of scale smoke as if it had been trained."""
    shortened = config.at_scale(getattr(config, preset.upper()), "smoke")
    run = runs.Run("donis_convlstm", preset, "smoke", seed)
    network = presets.initialised(OneIteration, shortened, seed)
    row = {"step": 1, "loss": 0.5, "validation_loss": 0.5, "validation_psnr_squared": 100.0}
    log = [{**row, "validation_ssim_range_2": 0.3, "seconds": 1.0}]
    about = {"steps": 1, "training_seconds": 1.0, "data": {}, "log": log}
    ship_module.ship(run, shortened, checkpoints.model_arrays(network), about)


@pytest.fixture
def results(tmp_path, monkeypatch):
    monkeypatch.setenv("RELIC_RESULTS", str(tmp_path))
    monkeypatch.setenv("RELIC_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("RELIC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "prepared"))
    return tmp_path


def options(module, scale="smoke", **more):
    return command.Options(module.TABLE, module.ROWS, scale, **more)


# --- what is kept ---


def test_a_grey_output_keeps_all_of_the_luma_and_none_of_the_chroma():
    x = pictures()
    kept = figures6and7.kept(x, grey(x))
    assert kept["chroma_kept"] == pytest.approx(0, abs=1e-9) and kept["luma_kept"] == pytest.approx(1, abs=1e-3)
    assert 0 < kept["between_kept"] < 1


def test_an_identical_output_keeps_everything_and_half_the_contrast_a_quarter():
    x = pictures() // 2 * 2
    assert figures6and7.kept(x, x) == {"luma_kept": 1, "chroma_kept": 1, "between_kept": 1}
    assert figures6and7.kept(x, x // 2 + 60) == pytest.approx(dict.fromkeys(figures6and7.kept(x, x), 0.25), rel=1e-5)


def test_a_tint_that_all_outputs_share_is_no_colour():
    x = pictures()
    sepia = np.clip(grey(x).astype(int) // 2 + (60, 40, 20), 0, 255).astype(np.uint8)
    assert figures6and7.kept(x, sepia)["chroma_kept"] == pytest.approx(0, abs=1e-9)


def test_the_same_output_for_all_pictures_keeps_no_variance_between_them():
    x = pictures()
    same = np.repeat(x[:1], len(x), axis=0)
    assert figures6and7.kept(x, same)["between_kept"] == 0 < figures6and7.kept(x, same)["luma_kept"]
    flat = np.full_like(x, 7)
    nothing = {"luma_kept": 0, "chroma_kept": 0, "between_kept": 0}
    assert figures6and7.kept(flat, x) == nothing  # nothing was there to keep


# --- what is measured ---


@stack
def test_similarity_and_psnr_are_those_of_uint8_pictures_in_batches_of_any_size():
    x = pictures(figures6and7.BATCH + 3) // 4 * 4
    x_hat = np.clip(x.astype(int) + RANDOM.integers(-6, 6, x.shape) * 4, 0, 252).astype(np.uint8)
    found = figures6and7.measured(x, x_hat)
    for i in (0, figures6and7.BATCH - 1, figures6and7.BATCH + 2):
        assert found["ssim"][i] == pytest.approx(metrics.ssim(x[i], x_hat[i]), abs=2e-5)
        # Twice the range is half of the pictures.
        assert found["ssim_range_2"][i] == pytest.approx(metrics.ssim(x[i] // 2, x_hat[i] // 2), abs=2e-5)
        assert found["psnr"][i] == pytest.approx(metrics.psnr(x[i], x_hat[i]), abs=1e-9)
    assert {len(values) for values in found.values()} == {figures6and7.BATCH + 3}
    same = figures6and7.measured(x[:2], x[:2])
    assert same["psnr"].tolist() == [100, 100] and same["ssim"] == pytest.approx([1, 1], abs=1e-6)


def test_contrast_is_a_rank_correlation():
    flat = np.linspace(-1, 1, 32 * 32 * 3).reshape(32, 32, 3)
    x = np.stack([128 + level * flat for level in (10, 90, 30, 60)]).astype(np.uint8)
    assert figures6and7.contrast(x, np.array([0.1, 0.9, 0.2, 0.3])) == pytest.approx(1)
    assert figures6and7.contrast(x, -np.array([1.0, 9.0, 3.0, 6.0])) == pytest.approx(-1)
    assert figures6and7.contrast(x, np.array([0.4, 0.3, 0.2, 0.1])) == pytest.approx(-0.4)  # ranks 0 3 1 2 and 3 2 1 0


# --- which pictures ---


def test_pictures_are_shown_from_their_end_of_ssim_on_and_at_fixed_ranks():
    ssim = RANDOM.permutation(101) / 100
    best, middle = figures6and7.by_rank(ssim, "highest")
    assert ssim[best].tolist() == [1, 0.99, 0.98, 0.97, 0.96, 0.95] and ssim[middle].tolist() == [0.9, 0.75, 0.5]
    worst, middle = figures6and7.by_rank(ssim, "lowest")
    assert ssim[worst].tolist() == [0, 0.01, 0.02, 0.03, 0.04, 0.05] and ssim[middle].tolist() == [0.5, 0.25, 0.1]
    assert figures6and7.by_rank(np.array([0.2, 0.1]), "highest")[0] == [0, 1]


def test_the_subsets_test_pictures_come_before_the_whole_sets_and_a_stand_in_last(results):
    found = figures6and7.test_pictures(options(figure6_donis, "small"))
    assert found.about["name"] == "tiles of sample" and "stand in" in found.note and "cifar10_subset/test" in found.note
    assert len(found.names) == 16 * 16 + 14 * 9 + 18 * 12
    chelsea = dict(data.images("sample"))["chelsea"]
    np.testing.assert_array_equal(found.x[found.names.index("chelsea_015")], chelsea[32:64, 32:64])
    for name, level in (("cifar10", 1), ("cifar100", 2)):
        write(results, name, level, 4)
    assert figures6and7.test_pictures(options(figure6_donis, "small")).about["name"] == "cifar10/test, cifar100/test"
    for name, level in (("cifar10_subset", 3), ("cifar100_subset", 4)):
        write(results, name, level, 2)
    found = figures6and7.test_pictures(options(figure6_donis, "small"))
    assert found.x[:, 0, 0, 0].tolist() == [3, 3, 4, 4] and found.note == ""
    assert found.names[2] == "cifar100_subset/test/test_000000"
    # A limit takes pictures of both sets.
    assert figures6and7.test_pictures(options(figure6_donis, "small", images=2)).x[:, 0, 0, 0].tolist() == [3, 4]


def write(results, name, level, count):
    folder = results / "data" / name
    folder.mkdir(parents=True)
    np.savez(folder / f"{name}.npz", x_test=np.full((count, 32, 32, 3), level, np.uint8))


def test_the_folder_that_is_named_is_taken_and_its_pictures_are_scaled(results):
    (results / "mine").mkdir()
    data.write_png(results / "mine" / "a.png", np.full((64, 96, 3), 9, np.uint8))
    found = figures6and7.test_pictures(options(figure6_donis, "small", data=results / "mine"))
    assert found.about["name"] == "mine" and found.names == ["a"] and found.x.shape == (1, 32, 32, 3)


def test_every_pixel_becomes_a_square():
    picture = pictures(1)[0]
    large = figures6and7.enlarged(picture)
    assert large.shape == (32 * figures6and7.ENLARGED, 32 * figures6and7.ENLARGED, 3)
    np.testing.assert_array_equal(large[:: figures6and7.ENLARGED, 1 :: figures6and7.ENLARGED], picture)


# --- the experiments ---


@pytest.mark.parametrize("module, end", BOTH)
def test_rows_are_the_published_ones_and_the_figure_has_no_numbers(module, end):
    paper = published.load(module.TABLE)
    assert list(module.ROWS) == paper.rows and set(paper.cells.values()) == {published.PICTURE}


@pytest.mark.slow
@stack
@pytest.mark.parametrize("module, end", BOTH)
def test_a_figure_shows_inputs_beside_what_both_networks_give_back(module, end, results):
    for preset, seed in (("as_run", 0), ("as_run", 1), ("as_written", 0)):
        ship(preset, seed)
    found = module.reproduce(options(module, images=30))
    document = document_module.join(module.TABLE, "smoke", None, found)
    assert document_module.recompute(document) == document
    assert {cell["verdict"] for cell in document["cells"]} == {"published only as a picture"}
    shown = [entry["ssim"] for entry in document["pictures"]]
    assert shown == sorted(shown, reverse=end == "highest") and len(shown) == figures6and7.SHOWN
    assert {entry["seed"] for entry in document["pictures"]} == {0} and "as_written_psnr" in document["pictures"][0]
    assert document["cells"][0]["reproduced"] == pytest.approx(np.mean(shown))
    rows = list(document["further"]["SSIM"])
    assert rows == [
        "as_run, seed 0, those shown",
        "as_run, seed 0, all pictures",
        "as_run, seed 1, all pictures",
        "as_written, seed 0, those shown",
        "as_written, seed 0, all pictures",
    ]
    width, height = (int(side) for side in found.figures[""].get_size_inches() * found.figures[""].dpi)
    assert width == 9 * (figures6and7.ENLARGED * 32 + 10) + 10 and height > 3 * figures6and7.ENLARGED * 32
    assert len(found.figures[""].images) == 9 * 3 and broken_rules(found.figures[""]) == []
    texts = [text.get_text() for text in found.figures[""].texts]
    assert sum(text.startswith("4 bpp, ") for text in texts) == texts.count("as run") == texts.count("as written") == 9


@stack
def test_without_weights_the_figure_says_how_to_train_and_without_as_written_it_has_two_columns(results):
    found = figure6_donis.reproduce(options(figure6_donis, "small"))
    assert "relic train donis_convlstm/as_run" in found.missing["better"] and not found.figures
    assert document_module.join(figure6_donis.TABLE, "small", None, found)["cells"][0]["verdict"] != "not run"
