"""Figure 2 of Zhao et al.: what follows from points with known gains, and the experiment around networks that idle."""

import csv
import dataclasses
import json
import math
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from figure_rules import broken_rules
from narrow import picture

from common import files, metrics
from common.classical import codecs
from common.config import find_preset
from common.errors import RelicError
from common.tables import command, published, text
from common.tables import document as document_module
from common.tables import files as table_files
from common.tables.figures import CURVE, NETWORKS
from common.training import checkpoints, runs, weights
from experiments import figure2_zhao
from papers.zhao_mixedres import config
from papers.zhao_mixedres.reproduction import comparators, figure2, figure2_curves, points
from papers.zhao_mixedres.reproduction.comparators import COMPARATORS
from papers.zhao_mixedres.reproduction.figure2_curves import ANCHOR, JPEG, PRESETS
from papers.zhao_mixedres.reproduction.points import Point

stack = pytest.mark.stack
ROOT = Path(__file__).resolve().parents[1]
NAMES = ("Proposed", "Jiang's framework")
TABLE, ROWS = figure2_zhao.TABLE, figure2_zhao.ROWS
COMMITTED = sorted(ROOT.glob("results/*/zhao_mixedres/figure2.json"))
SLOPE = 3.0  # dB for each doubling of JPEG's rate
HEADER = 1.25  # a file's bytes over those of its payload
FILES = ("01", "02", "08")


def at(setting, bpp, gain=0.0, similarity=0.0, header=HEADER):
    """Return a point `gain` dB and `similarity` above JPEG at its rate."""
    doublings = math.log2(bpp)
    return Point(setting, bpp, bpp / header, 35 + gain + SLOPE * doublings, 0.9 + similarity + 0.02 * doublings)


def curves_of(low=1.5, full=0.5, jiang=0.25, similarity=0.01):
    """Return one picture's curves, in dB above JPEG with optimised tables; in full resolution they begin where it does.

    With the standard's tables JPEG takes a quarter more.
    """
    qualities = (5, 20, 50, 90)
    found = {ANCHOR: [at(q, 0.2 * 2**i, header=1) for i, q in enumerate(qualities)]}
    found[JPEG] = [dataclasses.replace(point, bpp=1.25 * point.bpp) for point in found[ANCHOR]]
    for gain, label in zip((low, full, jiang, jiang), PRESETS, strict=True):
        rates = (0.1, 0.15, 0.3) if "low" in label else (0.2, 0.4, 0.8, 1.2)
        found[label] = [at(i, bpp, gain, similarity) for i, bpp in enumerate(rates)]
    return found


def measured_of(**of_pictures):
    found = {"set12": of_pictures or {name: curves_of() for name in (*ROWS, "boat")}}
    found["classic5"] = {"lena": curves_of()}
    return found


def document_of(measured, scale="small"):
    found = figure2.judged(measured, ROWS)
    found.provenance = {"test_set": {"name": "set12"}, "points": figure2.as_plain(measured)}
    document = document_module.join(TABLE, scale, None, found)
    assert document_module.recompute(document) == document
    return document


def verdicts(document):
    return [claim["verdict"] for claim in document["claims"]]


# --- what follows from the points ---


def test_a_constant_gain_over_jpeg_is_its_bd_psnr_and_the_rate_that_it_saves():
    further = document_of(measured_of(lena=curves_of(low=0.5, full=0.5)))["further"]
    for row in ("lena", "classic5 lena", "mean of set12", "mean of classic5"):
        saved = 100 * (2 ** (-0.5 / SLOPE) - 1)
        assert further["Proposed, full resolution, BD-rate, %"][row] == pytest.approx(saved, abs=1e-5)
        assert further["Proposed, full resolution, BD-PSNR, dB"][row] == pytest.approx(0.5, abs=1e-5)
        saved = 100 * (2 ** (-0.25 / SLOPE) - 1)
        assert further["Jiang, BD-rate, %"][row] == pytest.approx(saved, abs=1e-5)
        without = further["Jiang without header, BD-rate, %"][row]
        assert without == pytest.approx(100 * (2 ** (-0.25 / SLOPE) / HEADER - 1), abs=1e-5)
        weaker = further["Jiang against JPEG, standard tables, BD-rate, %"][row]
        assert weaker == pytest.approx(100 * (2 ** (-0.25 / SLOPE) / 1.25 - 1), abs=1e-5)
    assert further["Proposed, BD-PSNR, dB"]["lena"] == pytest.approx(0.5, abs=1e-5)
    assert further["Proposed, BD-PSNR, dB"]["classic5 lena"] > 0.55  # the envelope has the better low resolution


def test_cells_are_the_bd_psnr_of_the_figures_pictures_and_are_not_judged():
    document = document_of(measured_of(house=curves_of(jiang=0.125), boat=curves_of()))
    cells = {(cell["row"], cell["column"]): cell for cell in document["cells"]}
    assert len(cells) == 24 and {cell["verdict"] for cell in cells.values()} == {"published only as a picture"}
    assert cells["house", "Jiang"]["reproduced"] == pytest.approx(0.125, abs=1e-5)
    assert cells["house", "Proposed"]["reproduced"] == document["further"]["Proposed, BD-PSNR, dB"]["house"]
    assert cells["house", "Foi"]["reproduced"] is cells["lena", "Jiang"]["reproduced"] is None
    assert document["missing"] == dict.fromkeys(("lena", "peppers", "cameraman"), "Fewer pictures were asked for.")
    assert "lena, peppers, cameraman: not measured" in document["notes"][0]


def test_proposed_is_the_upper_envelope_of_its_two_resolutions():
    one = curves_of(low=1.5, full=0.5)
    low, full = (one[label] for label in PRESETS if "Proposed" in label)
    assert figure2_curves.envelope(one, "Proposed") == [*low, *full[1:]]  # at 0.2 bpp low resolution is 1 dB better
    drawn = {line.label: line for line in figure2_curves.lines(one, "psnr")}
    resolution = drawn["Proposed, trained here, low resolution"]
    assert resolution.x == [0.1, 0.15, 0.3] and resolution.y == [point.psnr for point in low]
    assert drawn[ANCHOR].x == [0.2, 0.4, 0.8]  # 1.6 is more than 1.3 times as high as anything else
    kinds = {label: line.kind for label, line in drawn.items()}
    assert kinds.pop(JPEG) == kinds.pop(ANCHOR) == CURVE and set(kinds.values()) == {NETWORKS}


def test_each_quality_has_its_own_envelope():
    one = curves_of(low=1.5, full=0.5)  # in PSNR low resolution is better up to 0.3 bpp
    low, full = (label for label in PRESETS if "Proposed" in label)
    one[low] = [dataclasses.replace(point, ssim=point.ssim - 0.015) for point in one[low]]
    assert figure2_curves.envelope(one, "Proposed", "ssim") == [*one[low][:2], *one[full]]
    further = figure2_curves.further(one)
    assert further["SSIM over JPEG at least"] == pytest.approx(0.01, abs=1e-6)  # low resolution alone: -0.005
    assert further["PSNR over JPEG at least, dB"] == pytest.approx(0.5, abs=1e-6)


def test_below_jpegs_lowest_rate_its_smallest_file_is_compared_with():
    one, further = curves_of(), document_of(measured_of())["further"]
    assert further["lowest rate, bpp"]["lena"] == 0.1 and further["JPEG's lowest rate, bpp"]["lena"] == 0.2
    # A dB and a half above JPEG's line at half of the smallest file's rate.
    assert further["PSNR over JPEG at the lowest rate, dB"]["lena"] == pytest.approx(1.5 - SLOPE, abs=1e-6)
    assert further["SSIM over JPEG at the lowest rate"]["lena"] == pytest.approx(0.01 - 0.02, abs=1e-6)
    assert further["PSNR over JPEG at least, dB"]["lena"] == pytest.approx(0.5, abs=1e-6)
    assert figure2_curves.gain(one[ANCHOR], 0.3, 40.0) == pytest.approx(40 - at(0, 0.3).psnr, abs=1e-9)
    assert figure2_curves.gain(one[ANCHOR], 2.0, 40.0) is None
    assert figure2_curves.least_gain(one[ANCHOR], [at(0, 0.1), at(1, 0.15)]) is None  # no rate in common


def test_full_resolution_is_better_from_the_rate_where_the_extended_curves_cross():
    one = curves_of(low=0.5, full=0.5)
    low, full = (label for label in PRESETS if "Proposed" in label)
    one[f"{low}, at other qualities"] = [at(40, 0.9, -1.0)]
    one[f"{full}, at other qualities"] = [at(5, 0.15, -1.0)]
    document = document_of(measured_of(house=one))
    # Low falls from 0.5 to -1 dB over log2(0.9 / 0.3) doublings, full rises likewise from 0.15 to 0.2 bpp: at 0.2 both
    # have half a dB.
    assert document["further"]["Proposed, full resolution is better from, bpp"]["house"] == pytest.approx(0.2, abs=1e-6)
    (claim,) = (claim for claim in document["claims"] if "up to a certain rate" in claim["claim"])
    assert (claim["claimed"], claim["found"], claim["note"]) == (1, 1, "From 0.20 to 0.20 bpp on.")
    without = document_of(measured_of(house=curves_of(low=0.5, full=0.75)))
    assert "Proposed, full resolution is better from, bpp" not in without["further"]
    assert without["claims"][-1]["found"] == 0 and "full is better on house" in without["claims"][-1]["note"]
    labels = [line.label for line in figure2_curves.lines(one, "psnr")]
    drawn = [f"{who}, trained here, {what} resolution" for who in NAMES for what in ("low", "full")]
    assert labels == [ANCHOR, JPEG, *drawn]


@pytest.mark.parametrize(
    "low, full, similarity, expected",
    [
        (4.0, 0.5, 0.1, ["holds"] * 3 + ["does not hold"]),
        (4.0, -0.5, 0.1, ["holds", "does not hold", "holds", "does not hold"]),
        (1.0, 0.5, -0.1, ["does not hold", "holds", "does not hold", "does not hold"]),
    ],
)
def test_claims_are_judged_by_the_envelope_against_jpeg(low, full, similarity, expected):
    one = curves_of(low=low, full=full, similarity=similarity)
    assert verdicts(document_of(measured_of(cameraman=one))) == expected


def test_pictures_are_counted_over_the_whole_first_set():
    worse = curves_of(full=-0.5)
    claims = document_of(measured_of(lena=curves_of(), boat=worse, man=worse))["claims"]
    assert len(document_of(measured_of())["claims"]) == len(ROWS) + 3 and len(claims) == 1 + 3
    (psnr,) = (claim for claim in claims if "PSNR of Proposed" in claim["claim"])
    assert (psnr["claimed"], psnr["found"], psnr["verdict"]) == (3, 1, "does not hold")
    assert claims[0]["note"] == "2 of 3 rates are below JPEG's lowest, 0.200 bpp."


def test_a_mean_curve_has_mean_rate_and_quality_of_the_settings_that_all_pictures_have():
    pictures = [{JPEG: [at(5, 0.2), at(10, 0.4)]}, {JPEG: [at(10, 0.6), at(20, 0.9)]}]
    for one in pictures:
        one["Proposed, low resolution, at other qualities"] = [at(40, 0.9)]
    first, second = (dataclasses.astuple(point) for point in (pictures[0][JPEG][1], pictures[1][JPEG][0]))
    means = figure2_curves.mean_curves(pictures)
    (mean,) = means.pop(JPEG)
    assert means == {}
    assert dataclasses.astuple(mean) == pytest.approx(
        [(a + b) / 2 for a, b in zip(first, second, strict=True)], abs=1e-6
    )


def test_why_a_bd_value_is_missing_is_a_note():
    one = curves_of()
    full = "Proposed, full resolution"
    one[full] = one[full][:2]
    measured = measured_of(lena=one, house=curves_of())
    notes, further = (document_of(measured)[key] for key in ("notes", "further"))
    assert "lena" not in further[f"{full}, BD-rate, %"] and "house" in further[f"{full}, BD-rate, %"]
    reason = "a curve needs 4 different points, the codec has 2: measure more."
    assert f"{full}, BD-rate, %: no value for lena, mean of set12, as {reason}" in notes
    everywhere = document_of({**measured_of(lena=one), "classic5": {"lena": one}})["notes"]
    assert f"{full}, BD-PSNR, dB: no value for any picture, as {reason}" in everywhere
    assert any(note == "Low resolution by itself has 3 points. A BD value needs 4." for note in notes)


def test_everything_that_is_judged_follows_from_the_points_of_the_document():
    document = json.loads(json.dumps(document_of(measured_of())))
    check_against_points(document)
    changed = json.loads(json.dumps(document))
    changed["provenance"]["points"]["set12"]["boat"]["Proposed, full resolution"]["psnr"][1] -= 1
    with pytest.raises(AssertionError):
        check_against_points(changed)


def check_against_points(document):
    anew = figure2.judged(figure2.read_points(document), ROWS)
    assert (anew.further, anew.claims, anew.missing) == tuple(document[k] for k in ("further", "claims", "missing"))
    assert set(anew.notes) <= set(document["notes"])
    cells = {(cell["row"], cell["column"]): cell["reproduced"] for cell in document["cells"]}
    assert cells == {place: anew.values.get(place[0], {}).get(place[1]) for place in cells}


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.parts[-3])
def test_a_committed_figure_follows_from_its_points(path):
    check_against_points(table_files.read(path))


# --- the experiment ---


@pytest.fixture
def place(monkeypatch, tmp_path):
    """Return a folder with three grey pictures named as in Set12; nothing else is found, and results go beside it."""
    for name in ("RELIC_DATA", "RELIC_CACHE", "TFDS_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "nothing"))
    monkeypatch.setenv("RELIC_RESULTS", str(tmp_path / "results"))
    monkeypatch.setattr(figure2.complexity, "training_flops", lambda config, scale: 1e12)
    folder = tmp_path / "set12"
    folder.mkdir()
    for i, stem in enumerate(FILES):
        cv2.imwrite(str(folder / f"{stem}.png"), picture(64, 48, channels=1, seed=i))
    return folder


def ship(preset, scale="small", **changes):
    """Write networks as learning starts: bicubic in low resolution, the identity in full."""
    from papers.zhao_mixedres.learning import Networks

    settings = dataclasses.replace(config.at_scale(find_preset(config, preset), scale), **changes)
    run = runs.Run("zhao_mixedres", preset, scale)
    arrays = checkpoints.model_arrays(Networks(settings))
    weights.save(run.shipped / "weights.safetensors", f"zhao_mixedres/{preset}", settings, arrays, {})


def options(place, **changes):
    return dataclasses.replace(command.Options(TABLE, ROWS, "small", data=place), **changes)


@pytest.mark.slow
@stack
def test_around_networks_that_do_nothing_full_resolution_is_jpeg_with_a_header(place):
    for preset in ("full_qf10", "jiang_full_qf20"):
        ship(preset)
    found = figure2.reproduce(options(place))
    of_lena = figure2.read_points({"provenance": found.provenance})["set12"]["lena"]
    jpeg = {point.setting: point for point in of_lena[ANCHOR]}
    for label, quality in (("Proposed, full resolution", 10), ("Jiang, full resolution", 20)):
        (point,) = of_lena[label]
        expected = dataclasses.replace(jpeg[quality], bpp=point.bpp)
        assert point == expected and point.bpp > point.payload_bpp
    others = of_lena["Proposed, full resolution, at other qualities"]
    assert [point.setting for point in others] == [3, 5, 7]
    assert [point.psnr for point in others[:2]] == [jpeg[3].psnr, jpeg[5].psnr]
    assert set(found.provenance["networks"]) == {"full_qf10", "jiang_full_qf20"}
    assert found.provenance["points"]["set12"]["cameraman"].keys() == of_lena.keys() - {""}
    assert list(found.missing) == ["peppers"]


@pytest.mark.slow
@stack
def test_written_files_say_the_same_and_name_what_was_not_run(place, monkeypatch, capsys):
    for preset in ("low_qf5", "low_qf10", "full_qf10"):
        ship(preset)
    monkeypatch.setattr(sys, "argv", ["figure2_zhao", "--data", str(place)])
    command.main(TABLE, ROWS, figure2_zhao.reproduce, networks=figure2_zhao.NETWORKS)
    folder = files.results_dir() / "runs/small/zhao_mixedres"  # not all of Set12
    document = table_files.read(folder / "figure2.json")
    assert document_module.recompute(document) == document
    check_against_points(document)
    assert (folder / "figure2.md").read_text() == text.as_markdown(document)
    with (folder / "figure2.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["row"] for line in lines[::6]] == list(ROWS) and {line["published"] for line in lines} == {""}
    names = ["figure2.png"] + [f"figure2_{name}.png" for name in ("cameraman", "lena", "house", "mean_set12")]
    assert set(names) == set(document["figures"]) and all((folder / name).is_file() for name in document["figures"])
    assert list(folder.glob("*.svg")) == []
    printed = capsys.readouterr().out
    assert "No weights at scale small: low_qf20, full_qf20, full_qf30" in printed
    assert "`relic train zhao_mixedres/low_qf20 --scale small` trains low_qf20, and likewise the others" in printed
    assert "(1.1e+13 FLOP in all)" in printed
    assert "Foi, BM3D, DicTV, CONCOLOR: not run" in printed and "Figure 2 of zhao_mixedres" in printed


@stack
def test_without_any_weights_jpeg_is_drawn_alone_and_nothing_is_claimed(place):
    found = figure2.reproduce(options(place))
    assert not found.claims and not found.further and not any(found.values.values())
    labels = {line.get_label() for axes in found.figures["mean_set12"].axes for line in axes.lines}
    assert labels == {ANCHOR, JPEG} and "No weights at scale small: low_qf5, " in found.notes[0]


@pytest.mark.slow
@stack
def test_only_a_smoke_run_trains_what_is_missing(place, monkeypatch):
    trained = []

    def train_preset(preset, scale, seed, restart):
        trained.append((preset, scale, seed, restart))
        ship(preset, scale)

    monkeypatch.setattr("papers.zhao_mixedres.train.train_preset", train_preset)
    monkeypatch.setattr(figure2, "PRESETS", {label: presets[:1] for label, presets in PRESETS.items()})
    ship("full_qf10", "smoke")
    found = figure2.reproduce(options(place, scale="smoke"))
    missing = ("low_qf5", "jiang_low_qf5", "jiang_full_qf10")
    assert trained == [(preset, "smoke", 0, True) for preset in missing]
    assert set(found.provenance["points"]["set12"]) == {"cameraman", "house"}  # two pictures are enough
    assert set(found.provenance["networks"]) == {*missing, "full_qf10"}


@stack
@pytest.mark.parametrize(
    "changes, widths, sentence",
    [
        (dict(seeds=[7]), {}, "full_qf10, scale small, has no seed 7: --seeds may be 0"),
        ({}, dict(num_maps=5), "written with another config"),
    ],
)
def test_wrong_seeds_and_weights_of_other_settings_are_one_sentence(place, changes, widths, sentence):
    ship("full_qf10", **widths)
    with pytest.raises(RelicError, match=sentence) as error:
        figure2.reproduce(options(place, **changes))
    assert "\n" not in str(error.value)


def test_a_picture_that_is_too_small_is_one_sentence(place):
    cv2.imwrite(str(place / "01.png"), picture(10, 48, channels=1))
    with pytest.raises(RelicError, match="SSIM needs sides of at least 11 pixels, not 10x48"):
        figure2.reproduce(options(place))


def test_where_the_sets_are_missing_the_sample_stands_in_and_both_are_told(place):
    pictures, about, notes = figure2.test_pictures(options(place, data=None, images=1))
    assert about["name"] == "sample" and list(pictures) == ["sample"]
    (x,) = pictures["sample"].values()
    assert x.ndim == 2 and x.dtype == np.uint8
    assert "stands in for set12" in notes[0] and notes[1].startswith("Nothing is measured on classic5: no data set")
    measured = {"sample": {"astronaut": curves_of()}}
    document = document_of(measured)
    assert set(document["missing"].values()) == {"Set12 is not here."}
    assert not any(cell["reproduced"] for cell in document["cells"])
    drawn = figure2.drawn(measured, ROWS, "small")
    assert set(drawn) == {"", "astronaut", "mean_sample"}
    assert [broken for figure in drawn.values() for broken in broken_rules(figure)] == []


def test_pictures_of_set12_have_their_names_and_the_figures_four_are_among_them(place):
    pictures, _about, notes = figure2.test_pictures(options(place))
    assert list(pictures["set12"]) == ["cameraman", "house", "lena"] and notes == []
    assert {f"{figure2.NAMES.index(name) + 1:02d}" for name in ROWS} == set(ROWS.values())
    assert {name: figure2.NAMES[int(stem) - 1] for name, stem in ROWS.items()} == {name: name for name in ROWS}
    table = published.load(TABLE)
    assert table.pictures == len(figure2.NAMES) == 12 and table.columns == [*comparators.NAMES, "Jiang", "Proposed"]


# --- comparators ---


@pytest.mark.parametrize("quality", [2, 10, 50, 90])
def test_the_quantisation_table_of_a_file_is_annex_ks_scaled_by_the_quality(quality):
    first_row, last_column = [16, 11, 10, 16, 24, 40, 51, 61], [61, 55, 56, 62, 77, 92, 101, 99]
    percent = 5000 // quality if quality < 50 else 200 - 2 * quality
    table = comparators.quantisation_table(codecs.Jpeg(quality).compress(picture(16, 16, channels=1)))
    assert table.shape == (8, 8) and table.dtype == np.int64
    for row, printed in ((table[0], first_row), (table[:, 7], last_column)):
        assert row.tolist() == [min(max((value * percent + 50) // 100, 1), 255) for value in printed]


def test_a_comparator_is_measured_at_the_papers_qualities_drawn_and_no_longer_missing(place, monkeypatch):
    seen = []

    def brighter(z, table):
        seen.append(table[0, 0])
        return np.clip(z.astype(int) + 2, 0, 255).astype(np.uint8)

    assert not COMPARATORS, "say of the new comparators what they give, here and in the notes"
    monkeypatch.setitem(COMPARATORS, "BM3D", brighter)
    found = figure2.reproduce(options(place, images=1))
    (of_picture,) = figure2.read_points({"provenance": found.provenance})["set12"].values()
    assert [point.setting for point in of_picture["BM3D"]] == [2, 3, 4, 5, 10, 15, 20, 25, 30] and len(set(seen)) > 5
    jpeg = {point.setting: point for point in of_picture[ANCHOR]}
    for point in of_picture["BM3D"]:
        assert point.bpp == jpeg[point.setting].bpp and point.psnr != jpeg[point.setting].psnr
    z = codecs.Jpeg(10).decompress(codecs.Jpeg(10).compress(picture(64, 48, channels=1)))
    expected = metrics.psnr(picture(64, 48, channels=1), brighter(z, np.ones((8, 8))))
    assert of_picture["BM3D"][4].psnr == pytest.approx(expected, abs=1e-6)
    assert found.values["cameraman"]["BM3D"] == found.further["BM3D, BD-PSNR, dB"]["cameraman"] < 0
    assert any(note.startswith("Foi, DicTV, CONCOLOR: not run") for note in found.notes)
    assert "BM3D" in {line.get_label() for line in found.figures[""].axes[0].lines}
    assert points.JPEG_QUALITIES[:9] == comparators.QUALITIES
