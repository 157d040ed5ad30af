"""Figures 2 to 5 of Donis and Brown: the authors' logs, what is derived from logs, and what few trainings decide."""

import csv
import dataclasses
import importlib
import json
import math

import numpy as np
import pytest
from figure_rules import broken_rules

from common.errors import RelicError
from common.tables import command, published, verdicts
from common.tables import document as document_module
from common.training import shipped
from papers.donis_convlstm import config
from papers.donis_convlstm.reproduction import authors_logs, figures2to5

EXPERIMENTS = [importlib.import_module(f"experiments.figure{number}_donis") for number in (2, 3, 4, 5)]
FIGURE2, FIGURE3, FIGURE4, FIGURE5 = EXPERIMENTS
QUANTITIES = dict(
    zip(EXPERIMENTS, (figures2to5.MS_SSIM, figures2to5.PSNR, figures2to5.MS_SSIM, figures2to5.PSNR), strict=True)
)
by_figure = pytest.mark.parametrize("figure", EXPERIMENTS, ids=lambda figure: figure.TABLE.rpartition("/")[2])
COLUMNS = "step loss psnr psnr_squared mae validation_loss validation_psnr validation_psnr_squared validation_ssim "
COLUMNS += "validation_ssim_range_2 validation_mae seconds"
EPOCHS = 15


@pytest.fixture
def ours(tmp_path, monkeypatch):
    """Return a function that writes the log of a training of ours at scale small, with known last values."""
    monkeypatch.setenv("RELIC_RESULTS", str(tmp_path))

    def written(preset, seed, similarity=0.5, level=15.0):
        folder = tmp_path / f"models/small/donis_convlstm/{preset}/seed{seed}"
        folder.mkdir(parents=True)
        (folder / "weights.safetensors").touch()
        steps = config.at_scale(getattr(config, preset.upper()), "small").epoch_steps
        with (folder / "log.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS.split())
            writer.writeheader()
            for epoch in range(1, EPOCHS + 1):
                writer.writerow(row_of(epoch, steps, similarity, level))
        return folder

    return written


def row_of(epoch, steps, similarity, level):
    """Return a row of a log that comes to a SSIM and PSNR of validation; in training both are 0.1 lower."""
    reached = similarity * epoch / EPOCHS
    row = {"step": epoch * steps, "mae": 0.1, "validation_mae": 0.1, "seconds": 2.0 * epoch}
    row.update({"loss": (1.1 - reached) ** 2, "psnr": level - 0.1, "psnr_squared": (level - 0.1) ** 2 + 4})
    row.update({"validation_loss": (1 - reached) ** 2, "validation_ssim_range_2": reached})
    row.update({"validation_ssim": reached / 2, "validation_psnr": level, "validation_psnr_squared": level**2 + 4})
    return row


def reproduced(figure, scale="small", seeds=None, rows=None):
    options = command.Options(figure.TABLE, rows or figure.ROWS, scale, seeds=seeds)
    return figures2to5.reproduce(options, QUANTITIES[figure])


def judged(figure, **chosen):
    document = document_module.join(figure.TABLE, "small", figure.REFERENCE, reproduced(figure, **chosen))
    assert document_module.recompute(document) == json.loads(json.dumps(document)) == document
    return document


# --- the authors' logs ---


def batch_over_expected(run, part):
    """Return the batch that came over the one in the authors' program: from its squared and its mean absolute error."""
    n = int(run.rpartition("_")[2]) if "_n_" in run else 1
    residual, mae = (authors_logs.logged(run, part + name)[-1] for name in ("residual_loss", "mae"))
    return n * math.sqrt(residual) / mae


@pytest.mark.parametrize("run", authors_logs.SETTINGS)
def test_a_batch_is_as_large_as_the_authors_program_thought_but_for_batch_32(run):
    assert batch_over_expected(run, "") == pytest.approx(2.0 if run == "ssim_batch_32" else 1.0, abs=0.0025)


@pytest.mark.parametrize("run", authors_logs.SETTINGS)
def test_the_last_batch_of_validation_tells_how_large_the_authors_batches_were(run):
    batch, thousands = authors_logs.SETTINGS[run]
    measured = batch_over_expected(run, "val_") / (2 if run == "ssim_batch_32" else 1)

    def expected(size):
        # The mean over batches of (size of the batch over that of a full one)^2; 5 % of the pictures validate.
        full, rest = divmod(50 * thousands, size)
        return math.sqrt((full + (rest / size) ** 2) / (full + 1))

    assert min((32, 64, 128, 256, 512, 1024), key=lambda size: abs(expected(size) - measured)) == batch
    assert measured == pytest.approx(expected(batch), abs=0.0012)


def test_three_and_five_of_the_authors_trainings_are_of_one_setting():
    assert authors_logs.repeated() == {
        (64, 100): ["ssim_batch_64", "ssim_batch_32", "ssim_train_100000"],
        (512, 100): ["ssim_batch_512", "ssim_n_1", "ssim_n_5", "ssim_n_9", "ssim_n_15"],
    }


@pytest.mark.parametrize(
    "run, training, validation, level",
    [
        ("ssim_batch_32", ".9398", ".9382", "18.22"),
        ("ssim_batch_64", ".9400", ".9374", "18.21"),
        ("ssim_batch_128", ".9377", ".9357", "18.06"),
        ("ssim_batch_512", ".9563", ".9553", "18.95"),
        ("ssim_batch_1024", ".9333", ".9329", "17.56"),
        ("ssim_train_50000", ".9311", ".9292", "18.05"),
        ("ssim_train_100000", ".8153", ".8133", "15.76"),
        ("ssim_train_200000", ".9595", ".9580", "18.92"),
        ("ssim_n_1", ".9509", ".9496", "18.47"),
        ("ssim_n_9", ".5045", ".5155", "12.47"),
    ],
)
def test_the_authors_curves_end_where_their_logs_were_read_before(run, training, validation, level):
    assert verdicts.same_digits(1 - authors_logs.logged(run, "SSIMLoss")[-1], training)
    assert verdicts.same_digits(1 - authors_logs.logged(run, "val_SSIMLoss")[-1], validation)
    assert verdicts.same_digits(math.sqrt(authors_logs.logged(run, "val_PSNRLoss")[-1]), level)


def test_there_are_twelve_runs_of_fifteen_epochs_with_values_that_their_definitions_allow():
    table = published.load(authors_logs.HISTORIES)
    runs = list(dict.fromkeys(row.partition(",")[0] for row in table.rows))
    assert len(runs) == 12 and set(runs) == set(authors_logs.SETTINGS) > set(authors_logs.RUNS.values())
    assert table.rows == [f"{run}, {epoch}" for run in runs for epoch in range(1, EPOCHS + 1)]
    for run in runs:
        for part in ("", "val_"):
            logged = (authors_logs.logged(run, part + c) for c in ("SSIMLoss", "PSNRLoss", "mae"))
            losses, levels, mae = map(np.array, logged)
            assert (losses > 0).all() and (losses < 1).all()
            # The mean absolute error is at most the root of the mean square, which the mean PSNR does not exceed.
            assert (mae < 10 ** (-np.sqrt(levels) / 20) * 1.2).all()


def test_a_run_or_column_that_the_authors_have_not_logged_is_one_sentence():
    for run, column in (("ssim_batch_256", "SSIMLoss"), ("ssim_batch_512", "val_SSIM")):
        with pytest.raises(RelicError, match=f"have no 15 epochs of {column} of '{run}'"):
            authors_logs.logged(run, column)


@by_figure
def test_published_numbers_are_the_last_ones_of_the_authors_logs(figure):
    table = published.load(figure.TABLE)
    for panel, column in zip(QUANTITIES[figure].plotted[:2], ("Training", "Validation"), strict=True):
        for row in table.rows:
            assert verdicts.same_digits(figures2to5.authors_curve(panel, row)[-1], table.printed(row, column))


@by_figure
def test_rows_are_those_of_the_figure_and_their_labels_are_their_settings(figure):
    assert list(figure.ROWS) == published.load(figure.TABLE).rows and figure.REFERENCE in figure.ROWS
    assert len(set(figure.ROWS.values())) == len(figure.ROWS)
    for row, settings in figure.ROWS.items():
        labels = (f"Batch {settings.batch_size}", f"{settings.pictures // 1000} thousand")
        assert row in labels and dataclasses.replace(settings, batch_size=64, pictures=0, rotated=False) == (
            dataclasses.replace(config.AS_RUN, pictures=0)
        )
    assert all(settings.rotated == (settings.pictures == 200_000) for settings in figure.ROWS.values())


# --- axes ---


@pytest.mark.parametrize("similarity", [-0.2, 0.0, 0.3, 1.0])
def test_the_derived_ssim_undoes_the_loss(similarity):
    assert figures2to5.ssim_of((1 - similarity) ** 2) == pytest.approx(similarity)
    assert figures2to5.complement((1 - similarity) ** 2) == pytest.approx(2 * similarity - similarity**2)


def test_derived_of_means_the_ssim_is_at_most_the_mean_and_the_psnr_at_least():
    batches = np.random.default_rng(0).uniform(0.2, 0.9, 40)
    derived = figures2to5.ssim_of(float(((1 - batches) ** 2).mean()))
    assert batches.mean() - 0.1 < derived < batches.mean()
    levels = np.random.default_rng(1).normal(18, 2, 400)
    derived = figures2to5.PSNR.correct[1].shown(float((levels**2).mean()))
    assert levels.mean() < derived == pytest.approx(math.hypot(levels.mean(), levels.std()))


@by_figure
def test_panels_stand_in_pairs_and_say_whose_they_are(figure, ours):
    ours("as_run", 0)
    found = reproduced(figure).figures
    assert list(found) == ["", "correct", "spread"]
    for suffix in ("", "correct"):
        labels = [axes.get_ylabel() for axes in found[suffix].axes]
        starts = [f"{whose}, {part}" for whose in ("authors", "ours") for part in ("training", "validation")]
        assert [label.partition(":")[0] for label in labels[:4]] == starts
        assert {axes.get_xlabel() for axes in found[suffix].axes} == {"epoch"}
        said = found[suffix].get_suptitle().replace("\n", " ")
        assert "authors from their own logs" in said and "scale small (ours)" in said and "in place of" in said
        assert len({axes.get_ylim() for axes in found[suffix].axes}) == 1 and broken_rules(found[suffix]) == []
    plotted, correct = ([axes.get_ylabel() for axes in found[suffix].axes] for suffix in ("", "correct"))
    assert all(("1 - loss" if figure in (FIGURE2, FIGURE4) else "PSNR²") in label for label in plotted)
    assert all(("SSIM, range" if figure in (FIGURE2, FIGURE4) else "PSNR (dB)") in label for label in correct)
    assert all("derived" in label for label in correct[:2])
    assert correct[4:] == (["ours, validation: SSIM, range 1, the true one"] if len(correct) == 5 else [])


def test_every_seed_is_a_curve_in_the_colour_of_its_row(ours):
    for seed in (0, 1, 2):
        ours("set_50k", seed, similarity=0.5 + seed / 10)
    ours("as_run", 0)
    figure = reproduced(FIGURE4).figures[""]
    theirs, mine = figure.axes[1].lines, figure.axes[3].lines
    names = [f"{many} thousand (ours: {few} thousand)" for many, few in ((50, 4), (100, 8), (200, 16))]
    assert [line.get_label() for line in theirs] == names
    assert [line.get_label() for line in mine] == [names[0]] * 3 + [names[1]]
    assert len({line.get_linestyle() for line in mine[:3]}) == 3
    assert "trainings from several seeds" in figure.legends[0].get_title().get_text()
    assert {line.get_color() for line in mine[:3]} == {theirs[0].get_color()} != {theirs[1].get_color()}
    assert mine[3].get_color() == theirs[1].get_color()
    np.testing.assert_array_equal(mine[0].get_xdata(), range(1, EPOCHS + 1))
    reached = np.linspace(1, EPOCHS, EPOCHS) / EPOCHS * 0.5
    np.testing.assert_allclose(mine[0].get_ydata(), 1 - (1 - reached) ** 2, atol=1e-6)
    expected = [1 - loss for loss in authors_logs.logged("ssim_train_50000", "val_SSIMLoss")]
    np.testing.assert_allclose(theirs[0].get_ydata(), expected)


def test_correct_axes_show_what_our_logs_measured_and_what_follows_from_the_authors(ours):
    ours("as_run", 0, similarity=0.6, level=16.0)
    ssim = reproduced(FIGURE2).figures["correct"]
    ends = [axes.lines[-1].get_ydata()[-1] for axes in ssim.axes]
    assert ends[2:] == pytest.approx([0.5, 0.6, 0.3])  # training 0.1 lower; range 1 is half of range 2 in these logs
    expected = 1 - math.sqrt(authors_logs.logged("ssim_batch_1024", "val_SSIMLoss")[-1])
    assert ends[1] == pytest.approx(expected)
    psnr = reproduced(FIGURE3).figures["correct"]
    ends = [axes.lines[-1].get_ydata()[-1] for axes in psnr.axes]
    assert ends[2:] == pytest.approx([15.9, 16.0])  # and not the root of the mean square, which is higher
    assert ends[1] == pytest.approx(math.sqrt(authors_logs.logged("ssim_batch_1024", "val_PSNRLoss")[-1]))


def test_the_spread_shows_every_training_and_the_authors_other_runs(ours):
    for seed, similarity in enumerate((0.3, 0.5, 0.7)):
        ours("as_run", seed, similarity)
    (axes,) = reproduced(FIGURE4).figures["spread"].axes
    theirs, mine, repeated = axes.lines
    assert len(theirs.get_xdata()) == 3 and len(repeated.get_xdata()) == 3 + 5
    assert min(repeated.get_xdata()) == pytest.approx(0.5155, abs=1e-4)  # n = 9
    assert theirs.get_xdata()[1] in repeated.get_xdata()
    assert list(mine.get_xdata()) == pytest.approx([1 - 0.7**2, 1 - 0.5**2, 1 - 0.3**2])


# --- what is decided ---


def test_values_are_means_over_seeds_of_the_last_epoch_as_plotted(ours):
    for seed, level in ((0, 14.0), (1, 16.0)):
        ours("as_run", seed, level=level)
    ours("batch_512", 0, level=12.0)
    document = judged(FIGURE3)
    cells = {(c["row"], c["column"]): c for c in document["cells"]}
    assert cells["Batch 64", "Validation"]["reproduced"] == pytest.approx((14**2 + 16**2) / 2 + 4)
    assert cells["Batch 64", "Training"]["reproduced"] == pytest.approx((13.9**2 + 15.9**2) / 2 + 4)
    assert cells["Batch 64", "Training"]["verdict"] == "not comparable"
    further = document["further"]
    assert further["validation PSNR, dB"] == {"Batch 64": 15.0, "Batch 512": 12.0}
    assert further["steps"]["Batch 64"] == 15 * (7600 // 64) and further["epochs"]["Batch 64"] == 15
    assert further["training seconds"]["Batch 64"] == 30 and further["seeds"] == {"Batch 64": 2, "Batch 512": 1}
    assert [further[f"validation, {end} seed"]["Batch 64"] for end in ("lowest", "highest")] == [200, 260]
    assert further["validation after 1 epoch, authors"]["Batch 64"] == pytest.approx(273.2, abs=0.1)


def test_a_row_without_weights_is_not_run_and_says_how_to_train_it(ours):
    ours("as_run", 0)
    document = judged(FIGURE4)
    assert {c["verdict"] for c in document["cells"] if c["row"] != "100 thousand"} == {"not run"}
    assert "relic train donis_convlstm/set_200k --scale small" in document["missing"]["200 thousand"]
    assert "FLOP" in document["missing"]["200 thousand"]


def test_without_any_weights_the_authors_curves_alone_are_drawn(ours):
    document = judged(FIGURE2)
    assert {c["verdict"] for c in document["cells"]} == {"not run"} and not document["pictures"]
    assert {d["verdict"] for d in document["differences"]} == {"not run"}
    lines = [len(axes.lines) for axes in reproduced(FIGURE2).figures[""].axes]
    assert lines == [5, 5, 0, 0]


def test_a_spread_between_seeds_as_large_as_the_difference_decides_nothing(ours):
    for seed, similarity in enumerate((0.3, 0.3, 0.6)):
        ours("set_50k", seed, similarity)
        ours("as_run", seed, similarity - 0.1)
    first = judged(FIGURE4)["differences"][0]
    assert (first["row"], first["seeds"], first["verdict"]) == ("50 thousand", [3, 3], "undecided")
    assert first["interval"][0] < 0 < first["reproduced"] < first["interval"][1]


@pytest.mark.parametrize("ahead, verdict", [("set_50k", "same sign"), ("as_run", "opposite sign")])
def test_seeds_that_agree_decide_a_sign(ours, ahead, verdict):
    for seed in range(3):
        for preset in ("set_50k", "as_run"):
            ours(preset, seed, 0.4 + 0.2 * (preset == ahead) + 0.01 * seed)
    found = {d["row"]: d["verdict"] for d in judged(FIGURE4)["differences"] if d["column"] == "Validation"}
    assert found == {"50 thousand": verdict, "200 thousand": "not run"}


def test_one_training_decides_nothing_however_far_it_is_ahead(ours):
    for seed in range(3):
        ours("as_run", seed, 0.2 + 0.001 * seed)
    ours("batch_32", 0, 0.9)
    document = judged(FIGURE2)
    first = document["differences"][1]
    assert (first["row"], first["verdict"], first["interval"]) == ("Batch 32", "undecided", None)
    assert any("One training each of Batch 32 decides nothing" in note for note in document["notes"])


def test_notes_tell_stand_ins_steps_validation_and_the_spread(ours):
    for seed, similarity in enumerate((0.3, 0.7)):
        ours("as_run", seed, similarity)
    ours("set_50k", 0, 0.5)
    said = " ".join(judged(FIGURE4)["notes"])
    for words in (
        "4,000 of cifar10_subset/train, 1,117 of cifar100_subset/train, 2,883 of tiny_imagenet_val",
        "885 of 11,130; 1,770 of 22,260; 3,555 of 44,520",
        "the last 5 % of a row's pictures: of the first set for 50 thousand",
        "0.8133 to 0.9382 (3 of 100 thousand, batch 64) and 0.5155 to 0.9605 (5 of 100 thousand, batch 512)",
        "the rows of this figure with 0.8133 to 0.958: trainings of one setting differ by more than the settings do",
        "100 thousand 0.51 to 0.91 (2 seeds). The means of the rows are 0.71 to 0.75.",
        "One training each of 50 thousand decides nothing",
    ):
        assert words in said


def test_seeds_can_be_chosen(ours):
    for seed, similarity in enumerate((0.3, 0.7)):
        ours("as_run", seed, similarity)
    (one,) = reproduced(FIGURE2, seeds=[1]).pictures
    assert one["seed"] == 1 and one["validation"] == pytest.approx(1 - 0.3**2)
    with pytest.raises(RelicError, match="--seeds may be 0, 1"):
        reproduced(FIGURE2, seeds=[2])


def test_weights_without_a_log_are_one_sentence(ours):
    path = ours("as_run", 0) / "log.csv"
    path.write_text("step,loss,seconds\n", encoding="utf-8")
    with pytest.raises(RelicError, match="log.csv is empty: train the preset again"):
        reproduced(FIGURE2)
    path.unlink()
    with pytest.raises(RelicError, match="no .*log.csv: train the preset again") as caught:
        reproduced(FIGURE2)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_the_command_writes_table_and_figures(ours, capsys, monkeypatch, tmp_path):
    ours("as_run", 0)
    monkeypatch.setattr("sys.argv", ["figure5_donis", "--scale", "small", "--svg"])
    command.main(FIGURE5.TABLE, FIGURE5.ROWS, FIGURE5.reproduce, FIGURE5.REFERENCE)
    names = {f"figure5{suffix}.{kind}" for suffix in ("", "_correct", "_spread") for kind in ("png", "svg")}
    names |= {f"figure5.{kind}" for kind in ("json", "csv", "md")}
    assert {path.name for path in (tmp_path / "small/donis_convlstm").iterdir()} == names
    assert "Differences to 100 thousand" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.stack
def test_a_smoke_run_trains_rows_and_compares_nothing(monkeypatch, tmp_path):
    monkeypatch.setenv("RELIC_RESULTS", str(tmp_path))
    found = reproduced(FIGURE4, "smoke", rows={row: FIGURE4.ROWS[row] for row in ("100 thousand", "200 thousand")})
    assert not found.missing and [p["row"] for p in found.pictures] == ["100 thousand", "200 thousand"]
    assert all(0 < p[part] < 1 for p in found.pictures for part in ("training", "validation"))
    log = shipped.log(config.AS_RUN, "smoke", 0)
    assert len(log) == 1 and found.pictures[0]["training"] == round(1 - log[0]["loss"], figures2to5.DIGITS)
    document = document_module.join(FIGURE4.TABLE, "smoke", FIGURE4.REFERENCE, found)
    verdict = {d["row"]: d["verdict"] for d in document["differences"]}
    assert verdict == {"50 thousand": "not run", "200 thousand": "not comparable"}
    assert {c["verdict"] for c in document["cells"]} == {"not run", "not comparable"}
