"""Comparisons of codecs: changes of rate in closed form, what is measured on which pictures, files, the command."""

import csv
import functools
import io
import json
import math
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from figure_rules import broken_rules

import papers
from common import data, metrics, provenance
from common.classical import codecs
from common.comparison import changes as changes_module
from common.comparison import command as command_module
from common.comparison import public_curves, text
from common.comparison.command import ComparisonOptions
from common.config import PlannedCurve
from common.errors import RelicError
from common.training import runs
from experiments import rd_kodak

ROOT = Path(__file__).resolve().parent.parent
COMMITTED = ROOT / "results" / "suite" / "rd_kodak.json"
NAMES = [f"p{i}" for i in range(6)]
JPEGS = ["JPEG", "JPEG, optimised tables"]
RATES = np.array([0.1, 0.2, 0.4, 0.8, 1.6])


def qualities(rates):
    """Return PSNR and MS-SSIM of a codec whose curves are straight over the logarithm of the rate."""
    psnr = 30 + 5 * np.log10(rates)
    return psnr, 1 - 10 ** (-(12 + 4 * np.log10(rates)) / 10)


def entry(codec, picture, rates=RATES, like=None, seconds=0.01):
    """Return the points of a codec at `rates` with the quality that JPEG has at the rates `like`."""
    psnr, ms_ssim = (list(map(float, values)) for values in qualities(np.asarray(rates if like is None else like)))
    times = {"encoding_time": [seconds] * len(rates), "decoding_time": [2 * seconds] * len(rates)}
    bpp = list(map(float, rates))
    return {"codec": codec, "picture": picture, "bpp": bpp, "psnr": psnr, "ms_ssim": ms_ssim, **times}


def judged(*groups, anchor=None):
    """Judge groups of points, one a codec, next to JPEG's; return changes against JPEG and times by codec.

    With optimised tables JPEG needs half of its bytes.
    """
    optimised = [entry("JPEG, optimised tables", name, 0.5 * RATES, RATES) for name in NAMES]
    groups = [[entry("JPEG", name) for name in NAMES], optimised, *groups]
    curves = [{"codec": group[0]["codec"], "settings": list(map(str, group[0]["bpp"]))} for group in groups]
    document = {"curves": curves, "points": [one for group in groups for one in group]}
    found = changes_module.judge(document)
    by_anchor = {}
    for change in found["changes"]:
        by_anchor.setdefault(change["anchor"], {})[change["codec"]] = change
    assert list(by_anchor) == ["JPEG, optimised tables", "JPEG"] and len({len(of) for of in by_anchor.values()}) == 1
    return (by_anchor["JPEG"] if anchor is None else by_anchor[anchor]), {t["codec"]: t for t in found["times"]}


def rates(change, measure="psnr"):
    """Return what a change says of the rate."""
    return {name: change[measure][name] for name in ("percent", "interval", "pictures")}


# --- changes of rate -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("share, percent", [(0.5, -50), (1.0, 0), (3.0, 200)])
def test_a_codec_with_a_share_of_jpegs_bytes_for_its_picture_changes_the_rate_by_that_share(share, percent):
    changes, _ = judged([entry("ours", name, share * RATES, RATES) for name in NAMES])
    change = changes["ours"]
    assert (change["method"], change["setting"], change["pictures"]) == ("BD", "", 6)
    for measure, slope in (("psnr", 5), ("ms_ssim", 4)):
        assert rates(change, measure) == {"percent": percent, "interval": [percent, percent], "pictures": 6}
        assert change[measure]["db"] == pytest.approx(-slope * math.log10(share), abs=1e-3)
        assert change[measure]["db_pictures"] == 6


def test_the_stronger_jpeg_is_an_anchor_of_its_own_and_each_is_compared_with_the_other():
    half = [entry("half", name, 0.5 * RATES, RATES) for name in NAMES]
    against, _ = judged(half, anchor="JPEG, optimised tables")
    assert (against["half"]["psnr"]["percent"], against["half"]["psnr"]["db"]) == (0, 0)
    assert against["JPEG"]["psnr"]["percent"] == pytest.approx(100)
    assert judged(half)[0]["JPEG, optimised tables"]["ms_ssim"]["percent"] == pytest.approx(-50)


def test_a_curve_that_saturates_may_save_bits_and_lose_quality():
    """Ours has JPEG's qualities up to 30 dB at half its rate, and hardly a better one after that."""
    psnr = [*qualities(RATES[:4])[0], 29.6]
    ours = [{**entry("ours", name, [*(0.5 * RATES[:4]), 1.6]), "psnr": psnr} for name in NAMES]
    found = judged(ours)[0]["ours"]["psnr"]
    assert found["percent"] < -20 and found["db"] < 1.0


def test_pictures_count_equally_and_the_interval_lies_around_their_mean():
    shares = [0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
    changes, _ = judged([entry("ours", name, s * RATES, RATES) for name, s in zip(NAMES, shares, strict=True)])
    found = changes["ours"]["psnr"]
    assert found["percent"] == pytest.approx(-25)
    assert -50 < found["interval"][0] < -30 and -20 < found["interval"][1] < 0


def test_a_picture_on_which_the_curves_do_not_overlap_is_left_out_and_counted():
    low = [entry("ours", name, 0.5 * RATES, RATES) for name in NAMES[:5]]
    changes, _ = judged([*low, entry("ours", NAMES[5], RATES, 100 * RATES)])
    assert rates(changes["ours"]) == {"percent": -50, "interval": [-50, -50], "pictures": 5}
    assert changes["ours"]["pictures"] == 6
    changes, _ = judged([entry("ours", name, RATES, 100 * RATES) for name in NAMES])
    assert rates(changes["ours"], "ms_ssim") == {"percent": None, "interval": None, "pictures": 0}


def test_four_pictures_give_no_interval():
    changes, _ = judged([entry("ours", name, 0.5 * RATES, RATES) for name in NAMES[:4]])
    assert rates(changes["ours"]) == {"percent": -50, "interval": None, "pictures": 4}
    assert changes["ours"]["psnr"]["db_interval"] is None


def test_a_codec_with_some_pictures_is_compared_with_jpeg_on_those_alone():
    """JPEG needs four times its bytes on the picture that the codec has no points of."""
    others = [entry("JPEG", name) for name in NAMES[:5]] + [entry("JPEG", NAMES[5], 4 * RATES, RATES)]
    few = [entry("few", name, 0.5 * RATES, RATES) for name in NAMES[:5]]
    every = [entry("every", name, 0.5 * RATES, RATES) for name in NAMES]
    optimised = [{**one, "codec": "JPEG, optimised tables"} for one in others]
    curves = [{"codec": c, "settings": list(RATES)} for c in ("JPEG", "JPEG, optimised tables", "few", "every")]
    found = changes_module.judge({"curves": curves, "points": others + optimised + few + every})["changes"]
    assert rates(found[1]) == {"percent": -50, "interval": [-50, -50], "pictures": 5}
    assert found[2]["psnr"]["percent"] == pytest.approx((5 * -50 - 87.5) / 6, abs=1e-3)


@pytest.mark.parametrize("like, percent", [(0.2, 100), (0.4, 0), (math.sqrt(0.4 * 0.8), 100 * (math.sqrt(0.5) - 1))])
def test_a_single_point_is_compared_at_its_quality_and_that_is_no_bd_rate(like, percent):
    changes, _ = judged([entry("one", name, [0.4], [like]) for name in NAMES])
    change = changes["one"]
    assert (change["method"], change["setting"]) == ("at equal quality or rate", "0.4")
    for measure, slope in (("psnr", 5), ("ms_ssim", 4)):
        assert change[measure]["percent"] == pytest.approx(percent, abs=1e-3) and change[measure]["pictures"] == 6
        assert change[measure]["db"] == pytest.approx(slope * math.log10(like / 0.4), abs=1e-3)
        assert change[measure]["db_pictures"] == 6


def test_a_single_point_beyond_jpegs_qualities_is_not_extrapolated():
    for like in (0.09, 1.7):
        changes, _ = judged([entry("one", name, [0.4], [like]) for name in NAMES])
        assert rates(changes["one"]) == {"percent": None, "interval": None, "pictures": 0}
        assert changes["one"]["psnr"]["db_pictures"] == 6
    for bpp in (0.09, 1.7):
        changes, _ = judged([entry("one", name, [bpp], [0.4]) for name in NAMES])
        assert changes["one"]["psnr"]["db"] is None and changes["one"]["psnr"]["pictures"] == 6


def test_the_other_average_of_psnr_is_that_of_the_mean_squared_error():
    points = [{**entry("ours", name, [0.4]), "psnr": [psnr]} for name, psnr in zip("ab", (20.0, 30.0), strict=True)]
    points += [{**entry("lossless", "a", [0.4]), "psnr": [None]}]
    curves = [{"codec": name, "settings": ["0.4"]} for name in ("ours", "lossless")]
    ours, lossless = changes_module.mean_curves({"curves": curves, "points": points})
    assert ours["psnr"] == [25] and ours["psnr_of_mean"] == [pytest.approx(-10 * math.log10((0.01 + 0.001) / 2))]
    assert lossless["psnr"] == lossless["psnr_of_mean"] == [None]


def test_a_point_that_another_one_beats_is_left_out_of_its_curve():
    one = {"bpp": [0.4, 0.1, 0.2, 0.3, 0.3, 0.5], "psnr": [33.0, 30.0, 32.0, 31.0, 32.5, None]}
    rates, quality = changes_module.rising(one, "psnr")
    assert rates == [0.1, 0.2, 0.3, 0.4] and quality == [30.0, 32.0, 32.5, 33.0]
    rates, quality = changes_module.rising({"bpp": [1.0, 2.0], "ms_ssim": [0.9, 1.0]}, "ms_ssim")
    assert rates == [1.0] and quality == pytest.approx([10.0])
    assert changes_module.rising({"bpp": [1.0], "psnr": [None]}, "psnr") == ([], [])


def test_times_are_medians_of_ratios_on_the_same_picture():
    slow = [entry("slow", name, seconds=0.05) for name in NAMES[1:]] + [entry("slow", NAMES[0], seconds=9.0)]
    _, times = judged(slow)
    assert (times["JPEG"]["encoding_time"], times["JPEG"]["encoding_time_ratio"]) == (0.01, 1)
    assert (times["slow"]["encoding_time"], times["slow"]["decoding_time"]) == (0.05, 0.1)
    assert times["slow"]["encoding_time_ratio"] == times["slow"]["decoding_time_ratio"] == 5


# --- what is measured ----------------------------------------------------------------------------------------------


class HalfJpeg:
    """JPEG with half of its bytes: the other half is remembered."""

    def __init__(self, quality):
        self.jpeg = codecs.Jpeg(quality)

    def compress(self, image):
        self.data = self.jpeg.compress(image)
        return bytes(len(self.data) // 2)

    def decompress(self, data):
        return self.jpeg.decompress(self.data)


QUALITIES = (10, 20, 40, 80)
CURVES = {
    "half": [PlannedCurve("Half", [("net", {"quality": quality}) for quality in QUALITIES])],
    "more": [
        PlannedCurve("Some", [("net", {"quality": 30})], ("astronaut",)),
        PlannedCurve("None", [("none", {}), ("no", {})]),
    ],
}


@pytest.fixture
def suite(tmp_path, monkeypatch):
    """Classical are JPEG and an absent codec, `half/net` and `more/net` have weights of small and smoke."""
    jpeg = SimpleNamespace(name="JPEG", grid=QUALITIES, missing=lambda: "", make=codecs.Jpeg)
    make = functools.partial(codecs.Jpeg, optimised=True)
    optimised = SimpleNamespace(name="JPEG, optimised tables", grid=QUALITIES, missing=lambda: "", make=make)
    absent = SimpleNamespace(name="BPG", grid=(30,), missing=lambda: "bpgenc is not installed.")
    monkeypatch.setattr(codecs, "FAMILIES", (jpeg, optimised, absent))
    monkeypatch.setattr(codecs, "family", {family.name: family for family in codecs.FAMILIES}.__getitem__)
    monkeypatch.setattr(command_module, "JOBS", 1)
    # The real one imports a framework.
    monkeypatch.setattr(provenance, "provenance", lambda: {"command": "a command", "commit": "c0ffee"})
    monkeypatch.setenv("RELIC_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("RELIC_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("RELIC_CACHE", str(tmp_path / "cache"))
    for paper in CURVES:
        for scale, seed in (("small", 1), ("small", 3), ("smoke", 0)):
            path = runs.Run(paper, "net", scale, seed).shipped / "weights.safetensors"
            path.parent.mkdir(parents=True)
            path.write_bytes(f"{paper} {scale} {seed}".encode())
    return tmp_path


def load(model, scale, seed, quality):
    assert model.endswith("/net")
    return HalfJpeg(quality)


def compare(**options):
    return command_module.compare(ComparisonOptions(**options), CURVES, load)


@pytest.fixture
def pictures(suite):
    """Put two crops of photographs where a folder of pictures is asked for."""
    for name, image in data.images("sample", 2):
        data.write_png(suite / "folder" / f"{name}.png", image[:200, :240])
    return suite / "folder"


def without_times(points):
    return [{key: value for key, value in one.items() if not key.endswith("_time")} for one in points]


def test_every_curve_is_measured_on_every_picture_it_may_be_measured_on(pictures):
    document = compare(data=pictures)
    assert [c["codec"] for c in document["curves"]] == [*JPEGS, "Half", "Some (1 picture)"]
    found = [(p["codec"], p["picture"], len(p["bpp"])) for p in document["points"]]
    assert found[:4] == [(jpeg, picture, 4) for jpeg in JPEGS for picture in ("astronaut", "chelsea")]
    assert found[4:] == [("Half", "astronaut", 4), ("Half", "chelsea", 4), ("Some (1 picture)", "astronaut", 1)]
    image = data.images("any", 1, pictures)[0][1]
    jpeg = document["points"][0]
    file = codecs.Jpeg(40).compress(image)
    assert jpeg["bpp"][2] == round(8 * len(file) / (200 * 240), 6)
    assert jpeg["psnr"][2] == round(metrics.psnr(image, codecs.Jpeg(40).decompress(file)), 6)
    assert document["curves"][2]["settings"][2] == "net, quality 40"
    assert document["curves"][2]["made_by"][2].startswith("half/net, scale small, seed 1, weights sha256 ")
    half, some = (c for c in document["changes"] if c["anchor"] == "JPEG" and c["codec"] not in JPEGS)
    assert half["psnr"]["percent"] == pytest.approx(-50, abs=0.1) == half["ms_ssim"]["percent"]
    assert (some["method"], some["pictures"]) == ("at equal quality or rate", 1)


def test_what_is_not_here_says_how_to_get_it(pictures):
    missing = compare(data=pictures)["missing"]
    assert missing["BPG"] == "bpgenc is not installed."
    assert missing["None"] == "No weights: `relic train more/none --scale small`, `relic train more/no --scale small`."
    assert "Some" not in missing
    missing = compare(data=pictures, scale="paper")["missing"]
    assert missing["Half"] == "No weights at scale paper: `relic train half/net --scale paper`."


def test_a_curve_without_a_picture_that_it_may_be_measured_on_is_not_run(pictures):
    (pictures / "astronaut.png").unlink()
    assert compare(data=pictures)["missing"]["Some"] == "It may only be measured on astronaut: not here."


def test_a_point_without_weights_is_left_out(suite):
    curve = PlannedCurve("Some", [("net", {}), ("none", {}), ("net", {"quality": 3})])
    points = command_module.points_of("half", curve, None)
    assert [(p.setting, p.scale, p.seed) for p in points] == [("net", "small", 1), ("net, quality 3", "small", 1)]
    assert [p.scale for p in command_module.points_of("half", curve, "smoke")] == ["smoke", "smoke"]
    assert command_module.points_of("half", curve, "medium") == []


def test_chosen_codecs_are_measured_beside_jpeg(pictures):
    for name, chosen in (("half", ["Half"]), ("HALF", ["Half"]), ("some", ["Some (1 picture)"]), ("JPEG", [])):
        document = compare(data=pictures, images=1 if name != "some" else 2, codecs=[name])
        assert [c["codec"] for c in document["curves"]] == [*JPEGS, *chosen]
    with pytest.raises(
        RelicError,
        match="WebM: no such codec, choose from JPEG; JPEG, optimised tables; BPG; half; more; Half; Some; None",
    ):
        compare(codecs=["jpeg", "WebM"])


def test_two_processes_measure_what_one_does(pictures, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(provenance, "provenance", dict)
    options = ComparisonOptions(data=pictures, codecs=["WebP"], scale="smoke")
    found = []
    for jobs in (1, 2):
        monkeypatch.setattr(command_module, "JOBS", jobs)
        found.append(command_module.compare(options, {}, load))
    assert without_times(found[0]["points"]) == without_times(found[1]["points"])
    assert [(p["codec"], len(p["bpp"])) for p in found[0]["points"]] == [
        (name, 4) for name in (*JPEGS, "WebP") for _ in range(2)
    ]


def test_only_what_another_run_has_not_measured_is_measured(pictures, monkeypatch):
    known = json.loads(json.dumps(compare(data=pictures)))
    measured, measure = [], command_module._measure_points
    monkeypatch.setattr(command_module, "_measure_points", lambda *of: measured.append(of[0]) or measure(*of))
    again = command_module.compare(ComparisonOptions(data=pictures), CURVES, load, known)
    assert not measured and again["points"] == known["points"]
    assert again["provenance"]["reused"] == (
        "JPEG, JPEG, optimised tables, Half, Some (1 picture): measured by an earlier run (a command, commit c0ffee)"
    )
    one_other = json.loads(json.dumps(known).replace("half/net, scale small, seed 1", "half/net, scale small, seed 2"))
    command_module.compare(ComparisonOptions(data=pictures), CURVES, load, one_other)
    command_module.compare(ComparisonOptions(data=pictures, images=1), CURVES, load, known)
    assert measured[:1] == ["Half"] and len(measured) > 1


def test_there_must_be_a_comparison_to_reuse(suite, monkeypatch):
    with pytest.raises(RelicError, match="rd_kodak.json .*no comparison to reuse, leave out --reuse"):
        text.read()


def test_without_kodak_the_embedded_pictures_stand_in_and_that_is_said(suite):
    document = compare(images=1, codecs=["some"])
    assert document["provenance"]["test_set"]["name"] == "sample"
    assert "stands in for kodak" in document["notes"][0] and not document["complete"]
    assert [c["codec"] for c in document["curves"]] == [*JPEGS, "Some"]  # no network was trained on these pictures


def test_an_anchor_that_needs_half_of_the_published_curves_bytes_is_that_much_ahead():
    curves, points = [], []
    for codec, name in (("AVIF", "AV1"), ("HEVC intra", "BPG")):
        published = public_curves.published_curves()[name]
        curves.append({"codec": codec, "kind": "classical", "settings": published["bpp"]})
        times = {f"{kind}_time": published["bpp"] for kind in ("encoding", "decoding")}
        points.append({"codec": codec, "picture": "p", **published, "bpp": [b / 2 for b in published["bpp"]], **times})
    curves.append({"codec": "Half", "kind": "learned", "settings": ["1"]})
    points.append({**points[0], "codec": "Half"})
    found = public_curves.beside_published({"curves": curves, "points": points})
    assert [(row["codec"], row["published"]) for row in found] == [("AVIF", "AV1"), ("HEVC intra", "BPG")]
    for row in found:
        assert row["psnr"]["percent"] == row["ms_ssim"]["percent"] == -50 and row["psnr"]["db"] > 2


# --- files ---------------------------------------------------------------------------------------------------------


def test_a_part_never_replaces_the_complete_comparison(suite):
    document = {"table": "rd_kodak", "scale": "suite", "complete": True}
    results = suite / "results"
    assert text.place(document) == results / "suite/rd_kodak.json"
    for part in ({"complete": False}, {"complete": False, "scale": "small"}):
        assert text.place({**document, **part}) == results / "runs/suite/rd_kodak.json"
    assert text.place({**document, "complete": False, "scale": "smoke"}) == results / "smoke/rd_kodak.json"


@pytest.mark.parametrize("options", [{"images": 2}, {"codecs": ["half"]}, {"scale": "small"}])
def test_only_a_run_of_everything_on_kodak_is_complete(suite, options, monkeypatch):
    kodak = {"name": "kodak", "pictures": 24, "digest": data.known_digest("kodak", 24)}
    few = [("kodim01", data.images("sample", 1)[0][1][:170, :170])]
    monkeypatch.setattr(command_module, "_pictures", lambda asked: (few, kodak, []))
    assert compare(data=Path("kodak"))["complete"] and not compare(**options)["complete"]
    monkeypatch.setattr(command_module, "_pictures", lambda asked: (few, {**kodak, "digest": "another"}, []))
    assert not compare()["complete"]


def test_the_files_say_the_same_as_the_json(pictures):
    document = compare(data=pictures)
    path = text.write(document)
    names = [f"rd_kodak{end}" for end in (".csv", ".json", ".md", ".png", "_curves.json")]
    assert sorted(p.name for p in path.parent.iterdir()) == names
    stored = json.loads(path.read_text())
    assert stored == document and {**stored, **changes_module.judge(stored)} == stored
    lines = list(csv.DictReader(io.StringIO(path.with_suffix(".csv").read_text())))
    assert [(line["codec"], line["quality"]) for line in lines][2:4] == [("Half", "PSNR"), ("Half", "MS-SSIM in dB")]
    assert float(lines[2]["percent"]) == document["changes"][1]["psnr"]["percent"]
    assert float(lines[2]["db"]) == document["changes"][1]["psnr"]["db"] and lines[2]["anchor"] == JPEGS[1]
    jpeg, _optimised, half, _some = json.loads(path.with_name("rd_kodak_curves.json").read_text())
    assert half["name"] == "Half" and set(half["results"]) == {
        "bpp",
        "psnr-rgb",
        "psnr-rgb-of-mean-error",
        "ms-ssim-rgb",
        "encoding_time",
        "decoding_time",
    }
    points = [p for p in document["points"] if p["codec"] == "JPEG"]
    assert jpeg["results"]["bpp"] == pytest.approx(np.mean([p["bpp"] for p in points], axis=0))
    page = path.with_suffix(".md").read_text()
    percent, db = (document["changes"][1]["psnr"][of] for of in ("percent", "db"))
    percent = f"{percent:+.1f} %"
    assert (
        f"| Half | {percent} | {db:+.2f} dB | 2 of 2 |" in page
        and "pchip" in page
        and "(rd_kodak.png)" in page
        and "relic train more/none" in page
    )
    assert percent in text.as_text(document)


def test_the_plot_draws_means_in_decibels_over_the_rate(pictures):
    document = compare(data=pictures, codecs=["half"])
    figure = text.plot(document)
    left, right = figure.axes
    assert broken_rules(figure) == []
    points = [p for p in document["points"] if p["codec"] == "Half"]
    bpp, psnr, ms_ssim = (np.mean([p[field] for p in points], axis=0) for field in ("bpp", "psnr", "ms_ssim"))
    for axes, quality in ((left, psnr), (right, -10 * np.log10(1 - ms_ssim))):
        (line,) = (line for line in axes.lines if line.get_label() == "Half")
        np.testing.assert_allclose(line.get_xdata(), bpp)
        np.testing.assert_allclose(line.get_ydata(), quality)


@pytest.mark.skipif(not COMMITTED.exists(), reason="results/suite/rd_kodak.json is not there")
def test_the_plot_of_the_committed_comparison_names_scales_and_dashes_only_between_networks():
    figure = text.plot(json.loads(COMMITTED.read_text()))
    assert broken_rules(figure) == [] and len(figure.axes) == 4  # the second row is closer, around single points
    scales = "medium (Cheng, Deshmukh), small (Donis, Paka, Zhao), paper (Paka)"
    assert f"{scales}; Kodak, 24 pictures" in figure.get_suptitle()
    dashed = {line.get_label() for line in figure.axes[0].lines if line.get_linestyle() == "--"}
    networks = {"Zhao, low resolution", "Zhao, full resolution", "Paka, bottleneck"}
    assert dashed == {*networks, "Deshmukh, colour, Huffman", "Deshmukh, colour, range coder"}
    assert figure.axes[0].get_xlim() == text.SHOWN
    note = figure.legends[0].get_title().get_text().replace("\n", " ")
    assert "Paka, autoencoder (7 pictures) (all: 3.78 to 22.6 bits per pixel" in note


@pytest.mark.skipif(not COMMITTED.exists(), reason="results/suite/rd_kodak.json is not there")
def test_the_committed_comparison_is_recomputed_from_its_own_points():
    document = json.loads(COMMITTED.read_text())
    assert document["complete"] and {**document, **changes_module.judge(document)} == document
    assert public_curves.beside_published(document) == document["beside_published"]
    assert COMMITTED.with_suffix(".csv").read_text() == text.as_csv(document)
    assert COMMITTED.with_suffix(".md").read_text() == text.as_markdown(document)
    assert json.loads(COMMITTED.with_name("rd_kodak_curves.json").read_text()) == text.curves(document)


# --- the command line ----------------------------------------------------------------------------------------------


def command(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["rd_kodak", *map(str, arguments)])
    command_module.main(CURVES, load)


def test_the_command_writes_and_prints_the_comparison(pictures, monkeypatch, capsys):
    command(monkeypatch, "--data", pictures, "--images", 1, "--codecs", "half", "--json", pictures.parent / "copy.json")
    said = capsys.readouterr().out
    path = pictures.parent / "results" / "runs" / "suite" / "rd_kodak.md"
    assert f"written: {path}" in said and "BD-rate" in said and path.exists()
    assert json.loads((pictures.parent / "copy.json").read_text()) == json.loads(path.with_suffix(".json").read_text())


@pytest.mark.parametrize("arguments, words", [(["--codecs", "WebM"], "WebM"), (["--codecs"], "--codecs"), (["x"], "x")])
def test_a_mistake_is_one_line(suite, monkeypatch, arguments, words):
    with pytest.raises(SystemExit) as stop:
        command(monkeypatch, *arguments)
    assert stop.value.code.startswith("error: ") and "\n" not in stop.value.code and words in stop.value.code


def test_every_paper_takes_part_by_its_curves_and_every_point_is_a_preset_with_known_settings():
    curves = rd_kodak.curves()
    assert set(curves) == set(papers.names()) and len(curves["cheng_resnet"]) == 12
    labels = [curve.label for of_paper in curves.values() for curve in of_paper]
    assert len(set(labels)) == len(labels)
    for paper, of_paper in curves.items():
        for preset, coding in (point for curve in of_paper for point in curve.points):
            known = papers.coding_settings(f"{paper}/{preset}")
            assert all(known[name].check(name, value) == value for name, value in coding.items())
