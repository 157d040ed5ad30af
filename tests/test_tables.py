"""Published files, verdicts, intervals and the join, on tiny tables and against closed forms."""

import csv
import dataclasses
import importlib
import json
import math
import os
import types
from pathlib import Path

import numpy as np
import pytest

import experiments
import papers
from common import config as common_config
from common import data, files
from common.classical import codecs
from common.data import digests, write_png
from common.data import pictures as picture_files
from common.errors import RelicError
from common.tables import command, intervals, measure, networks, published, verdicts
from common.tables import document as document_module
from common.tables import files as table_files
from common.tables import test_pictures as table_pictures
from common.tables import text as table_text
from common.training import shipped

HEADER = """# citation: Somebody: Something
# title: A tiny table
# section: 1
# read: typed
# test set: kodak
# pictures: 6
# units: PSNR dB, MS-SSIM 1, Rate bpp
# measured as: PSNR psnr, MS-SSIM ms_ssim, Rate bpp
# better: PSNR higher, MS-SSIM higher, Rate lower
# tolerance: PSNR 0.25, MS-SSIM 0.002, Rate 3%
"""
BODY = """Method,PSNR,MS-SSIM,Rate
first,26.266,0.9591,0.1690
second,26.378,0.9605,0.1704
"""
ROOT = Path(__file__).resolve().parent.parent
NAMES = experiments.names()
# What concerns all papers has no published file, and a TABLE without a paper.
EXPERIMENTS = [name for name in NAMES if "/" in importlib.import_module(f"experiments.{name}").TABLE]
COMMITTED = [
    path
    for path in sorted((ROOT / "results").rglob("*.json"))
    if path.relative_to(ROOT / "results").parts[0] not in ("smoke", "runs", "models", "suite")
    and not path.name.endswith("_curves.json")
]


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """Make `published.load` return the tiny table, or another text given to the returned function."""

    def use(text=HEADER + BODY):
        path = tmp_path / "table1.csv"
        path.write_text(text, encoding="utf-8")
        monkeypatch.setattr(published, "load", lambda table: published.read(path))
        return published.read(path)

    use()
    monkeypatch.setenv("RELIC_RESULTS", str(tmp_path / "results"))
    return use


def pictures(row, psnr, ms_ssim=0.96, bpp=0.17, seed=0, count=6, jpeg=0.5):
    spread = np.linspace(-1, 1, count)
    return [
        dict(
            row=row,
            seed=seed,
            picture=f"p{i}",
            bpp=bpp,
            psnr=psnr + s,
            ms_ssim=ms_ssim,
            encoding_time=0.1,
            decoding_time=0.2,
            jpeg_bpp=bpp,
            jpeg_ms_ssim=jpeg,
            optimised_bpp=bpp,
            optimised_ms_ssim=jpeg + 0.1,
        )
        for i, s in enumerate(spread)
    ]


KODAK = {"test_set": {"name": "kodak", "pictures": 6, "digest": "x" * 64}}


def found(*measured, provenance=KODAK):
    return document_module.Reproduction(pictures=[p for group in measured for p in group], provenance=dict(provenance))


def cell(document, row, column):
    (one,) = (c for c in document["cells"] if (c["row"], c["column"]) == (row, column))
    return one


# --- published files ---


def test_a_published_table_keeps_rows_columns_and_printed_digits(tiny):
    table = tiny()
    assert table.rows == ["first", "second"] and table.columns == ["PSNR", "MS-SSIM", "Rate"]
    assert table.printed("first", "Rate") == "0.1690" and table.value("first", "Rate") == 0.169
    assert table.tolerances["Rate"].around(0.2) == pytest.approx(0.006)
    assert table.tolerances["PSNR"].around(26.0) == 0.25
    assert table.pictures == 6 and table.test_set == "kodak"


def test_several_columns_can_name_a_row_and_blank_cells_are_no_cells(tiny):
    text = HEADER + "# label: Method, λ\n" + "Method,λ,PSNR,MS-SSIM,Rate\nnet,5,26.2,,-\nnet,10,27.0,picture,0.2\n"
    table = tiny(text)
    assert table.rows == ["net, 5", "net, 10"]
    assert table.printed("net, 5", "MS-SSIM") is None and table.printed("net, 5", "Rate") is None
    assert table.printed("net, 10", "MS-SSIM") == "picture" and table.value("net, 10", "MS-SSIM") is None


@pytest.mark.parametrize(
    "text, line, words",
    [
        (HEADER + "Method,PSNR,MS-SSIM,Rate\nfirst,26.266,0.9591\n", 12, "3 fields"),
        (HEADER + "Method,PSNR,MS-SSIM,Rate\nfirst,26.266,about 1,0.1\n", 12, "about 1"),
        (HEADER + "Method,PSNR,MS-SSIM,Rate\nfirst,26.266,nan,0.1\n", 12, "nan"),
        (HEADER + BODY + "first,1,1,1\n", 14, "stands twice"),
        (HEADER + "Method,PSNR,PSNR,Rate\n", 11, "stands twice"),
        (HEADER.replace("PSNR 0.25", "PSNR wide") + BODY, 10, "wide"),
        (HEADER.replace("PSNR 0.25", "SNR 0.25") + BODY, 10, "SNR 0.25"),
        (HEADER.replace("PSNR higher", "PSNR more") + BODY, 9, "higher or lower"),
        (HEADER.replace("pictures: 6", "pictures: six") + BODY, 6, "six"),
        (HEADER + "# colour: red\n" + BODY, 11, "known key"),
        (HEADER + "# misprint: third | PSNR | wrong\n" + BODY, 11, "third"),
        (HEADER + "# misprint: first | SSIM | wrong\n" + BODY, 11, "SSIM"),
        (HEADER + "# misprint: first is wrong\n" + BODY, 11, "row | column | sentence"),
        (HEADER + "# label: Name\n" + BODY, 12, "label columns"),
        (HEADER.replace("# read: typed\n", "") + BODY, 1, "# read:"),
        (HEADER, 10, "no header row"),
        (HEADER + "Method,PSNR,MS-SSIM,Rate\nsans d\udce9faut,1,1,1\n", 12, "UTF-8"),
        (HEADER + "Method,PSNR,MS-SSIM,Rate\n" + "x" * 200_000 + ",1,1,1\n", 12, "no csv"),
    ],
)
def test_a_malformed_published_file_is_refused_with_file_and_line(tmp_path, text, line, words):
    path = tmp_path / "table7.csv"
    path.write_text(text, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(RelicError) as error:
        published.read(path)
    assert f"table7.csv, line {line}: " in str(error.value) and words in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_paper_or_table_is_one_sentence():
    with pytest.raises(RelicError, match="no published tables for paper 'nobody'"):
        published.load("nobody/table1")
    with pytest.raises(RelicError, match="no published table table99.csv"):
        published.load("cheng_resnet/table99")


PUBLISHED = sorted(Path(papers.__path__[0]).glob("*/published/*.csv"))


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: f"{path.parts[-3]}/{path.stem}")
def test_every_published_file_gives_each_number_a_unit_and_a_tolerance(path):
    table = published.read(path)
    for (_, column), printed in table.cells.items():
        assert column in table.units
        assert printed == "picture" or column in table.tolerances
    assert set(table.better) <= set(table.columns) and set(table.measured_as) <= set(table.columns)


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: f"{path.parts[-3]}/{path.stem}")
def test_a_published_file_states_no_digest_of_a_set_that_has_one_by_its_name(path):
    table = published.read(path)
    known = data.known_digest(table.test_set, table.pictures)
    assert not (known and "digest" in table.texts) and table.texts.get("digest") not in digests.DIGESTS.values()
    assert table.digest == table.texts.get("digest", known)


def test_all_nine_tables_of_cheng_are_typed():
    assert {p.stem for p in PUBLISHED if p.parts[-3] == "cheng_resnet"} >= {f"table{n}" for n in range(1, 10)}


def test_printed_parameters_of_table_8_add_up_to_its_total():
    table = published.load("cheng_resnet/table8")
    layers = [row for row in table.rows if row != "Total"]
    assert sum(table.value(row, "Para") for row in layers) == table.value("Total", "Para") == 11188291


def test_printed_shapes_of_table_8_give_its_printed_counts_by_eq_2_but_for_the_misprint():
    table = published.load("cheng_resnet/table8")
    wrong = []
    for row in table.rows:
        if table.value(row, "Cin") is None:
            continue
        h, w, c_in, c_out, para = (table.value(row, c) for c in ("Kernel h", "Kernel w", "Cin", "Cout", "Para"))
        if para not in ((h * w * c_in + 1) * c_out, h * w * c_in * c_out):
            wrong.append(row)
        assert verdicts.same_digits(para * table.value(row, "H'") * table.value(row, "W'"), table.printed(row, "FLOPs"))
    assert wrong == ["Tconv4"] == [r.row for r in table.remarks if r.kind == "misprint"]


# --- verdicts ---


@pytest.mark.parametrize(
    "value, printed, same",
    [
        (38753404928, "3.88e10", True),
        (38_849_999_999, "3.88e10", True),
        (38_850_000_001, "3.88e10", False),
        (26.2664, "26.266", True),
        (26.26651, "26.266", False),
        (0.404971, "0.40", True),
        (0.4051, "0.40", False),
        (11188291, "11188291", True),
        (11188292, "11188291", False),
        (0.17, "0.1700", True),
        (0.16994, "0.1700", False),
    ],
)
def test_a_value_is_exact_when_it_rounds_to_the_printed_digits(value, printed, same):
    assert verdicts.same_digits(value, printed) is same


@pytest.mark.parametrize(
    "value, better, verdict",
    [
        (26.2661, "higher", "exact"),
        (26.5, "higher", "within"),
        (26.03, "higher", "within"),
        (26.6, "higher", "better"),
        (25.9, "higher", "differs"),
        (26.6, "lower", "differs"),
        (25.9, "lower", "better"),
        (26.6, None, "differs"),
        (25.9, None, "differs"),
    ],
)
def test_a_comparable_cell_is_exact_within_better_or_differs(value, better, verdict):
    assert verdicts.of_cell("26.266", value, published.Tolerance("0.25", 0.25, False), better) == verdict


@pytest.mark.parametrize("psnr, rate", [(26.3, "better"), (27.0, "better"), (25.0, "differs")])
def test_a_lower_rate_is_better_only_at_no_lower_quality(tiny, psnr, rate):
    values = {"PSNR": psnr, "MS-SSIM": 0.9591, "Rate": 0.1}
    assert verdicts.of_row(tiny(), "first", values, "")["Rate"] == rate


def test_a_lower_rate_is_not_better_when_the_quality_is_unknown(tiny):
    judged = verdicts.of_row(tiny(), "first", {"PSNR": 26.3, "MS-SSIM": None, "Rate": 0.1}, "")
    assert judged == {"PSNR": "within", "MS-SSIM": "not run", "Rate": "differs"}


def test_a_cell_published_as_a_picture_or_not_run_says_so(tiny):
    table = tiny(HEADER + "Method,PSNR,MS-SSIM,Rate\nfirst,picture,0.9591,-\n")
    judged = verdicts.of_row(table, "first", {"PSNR": 26.0}, "")
    assert judged == {"PSNR": "published only as a picture", "MS-SSIM": "not run"}


@pytest.mark.parametrize(
    "target, interval, verdict",
    [
        (0.1, (0.05, 0.2), "same sign"),
        (-0.1, (-0.2, -0.05), "same sign"),
        (0.1, (-0.2, -0.05), "opposite sign"),
        (-0.1, (0.05, 0.2), "opposite sign"),
        (0.1, (-0.01, 0.2), "undecided"),
        (0.1, None, "undecided"),
        (0.0, (0.05, 0.2), "undecided"),
    ],
)
def test_a_difference_is_judged_by_the_sign_of_its_interval(target, interval, verdict):
    assert verdicts.of_difference(target, 0.1, interval) == verdict
    assert verdicts.of_difference(target, None, interval) == "not run"


@pytest.mark.parametrize(
    "relation, claimed, value, interval, verdict",
    [
        ("equals", 7, 7, None, "holds"),
        ("equals", 7, 11, None, "does not hold"),
        ("below", 10, 9.0, None, "holds"),
        ("below", 10, 9.0, (8.0, 10.5), "undecided"),
        ("above", 10, 9.0, (8.0, 9.5), "does not hold"),
        ("rounds to", "7.10e8", 710148096, None, "holds"),
        ("rounds to", "7.11e8", 710148096, None, "does not hold"),
    ],
)
def test_a_claim_holds_does_not_hold_or_is_undecided(relation, claimed, value, interval, verdict):
    assert verdicts.of_claim(relation, claimed, value, interval) == verdict


# --- intervals ---


def test_the_interval_of_a_mean_is_that_of_the_normal_distribution():
    values = np.random.default_rng(1).normal(3.0, 2.0, size=(1, 400))
    low, high = intervals.interval_of_mean(values)
    half = 1.95996 * values.std() / math.sqrt(400)
    assert low == pytest.approx(values.mean() - half, abs=0.05 * half)
    assert high == pytest.approx(values.mean() + half, abs=0.05 * half)


def test_the_interval_of_a_difference_is_paired_by_picture():
    generator = np.random.default_rng(2)
    easy_or_hard = generator.normal(0, 10, size=300)
    noise = generator.normal(0, 0.1, size=300)
    low, high = intervals.interval_of_difference(easy_or_hard + 0.5 + noise, easy_or_hard)
    half = 1.95996 * noise.std() / math.sqrt(300)
    assert (low, high) == pytest.approx((0.5 + noise.mean() - half, 0.5 + noise.mean() + half), abs=0.06 * half)


@pytest.mark.parametrize("seeds", [2, 3, 10])
def test_resampled_seeds_have_the_variance_of_a_mean_of_that_many(seeds):
    values = np.repeat(np.random.default_rng(3).normal(size=(seeds, 1)), 8, axis=1)
    generator = np.random.default_rng(4)
    weights = np.full((40_000, 8), 1 / 8)
    means = intervals._resampled_means(generator, weights, values)
    assert means.std() == pytest.approx(values[:, 0].std(ddof=1) / math.sqrt(seeds), rel=0.03)
    assert means.mean() == pytest.approx(values.mean(), abs=0.02)


def test_more_pictures_than_fit_one_chunk_give_the_same_kind_of_interval(monkeypatch):
    values = np.random.default_rng(5).normal(size=(1, 100))
    whole = intervals.interval_of_mean(values)
    monkeypatch.setattr(intervals, "_CHUNK", 33_333)
    assert intervals.interval_of_mean(values) == pytest.approx(whole, abs=0.02)


def test_an_interval_is_repeatable_and_needs_five_pictures_and_finite_values():
    values = np.random.default_rng(6).normal(size=(2, 24))
    assert intervals.interval_of_mean(values) == intervals.interval_of_mean(values)
    assert intervals.interval_of_mean(values[:, :4]) is None
    with pytest.raises(ValueError, match="finite"):
        intervals.interval_of_mean(np.array([[1.0, np.nan, 1, 1, 1]]))
    with pytest.raises(ValueError, match="same pictures"):
        intervals.interval_of_difference(values, values[:, :5])


@pytest.mark.parametrize("trainings, t", [(2, 12.7062), (3, 4.3027), (5, 2.7764), (10, 2.2622), (40, 2.2622)])
def test_an_interval_over_trainings_is_that_of_students_t(trainings, t):
    values = np.random.default_rng(7).normal(3.0, 2.0, trainings)
    half = t * values.std(ddof=1) / math.sqrt(trainings)
    assert intervals.interval_over_trainings(values) == pytest.approx((values.mean() - half, values.mean() + half))


def test_an_interval_between_trainings_counts_the_row_with_fewer_and_needs_two():
    values, reference = np.array([5.0, 7.0]), np.array([1.0, 2.0, 3.0, 2.0])
    half = 12.7062 * math.sqrt(2 / 2 + (2 / 3) / 4)
    assert intervals.interval_over_trainings(values, reference) == pytest.approx((4 - half, 4 + half))
    low, high = intervals.interval_over_trainings(reference, values)
    assert (low, high) == pytest.approx((-4 - half, -4 + half))
    assert intervals.interval_over_trainings(values, reference[:1]) is None
    assert intervals.interval_over_trainings(values[:1]) is None


def test_an_interval_over_trainings_covers_the_truth_as_often_as_it_says():
    generator, covered = np.random.default_rng(8), 0
    for _ in range(2000):
        low, high = intervals.interval_over_trainings(generator.normal(1, 1, 3), generator.normal(0, 1, 3))
        covered += low < 1 < high
    assert covered / 2000 == pytest.approx(0.975, abs=0.02)  # cautious: with four degrees of freedom 95 %


# --- the join ---


def test_the_join_holds_mean_delta_tolerance_interval_and_verdict_of_every_cell(tiny):
    document = document_module.join("p/table1", "paper", None, found(pictures("first", 26.366)))
    one = cell(document, "first", "PSNR")
    assert one["reproduced"] == pytest.approx(26.366) and one["delta"] == pytest.approx(0.1)
    assert (one["published"], one["tolerance"], one["verdict"], one["scale"]) == (26.266, 0.25, "within", "paper")
    assert one["interval"][0] < one["reproduced"] < one["interval"][1]
    assert cell(document, "second", "PSNR")["verdict"] == "not run"
    assert len(document["cells"]) == 6


@pytest.mark.parametrize("scale", ["smoke", "small", "medium"])
def test_absolute_values_of_a_shorter_scale_are_not_comparable(tiny, scale):
    one = cell(document_module.join("p/table1", scale, None, found(pictures("first", 26.266))), "first", "PSNR")
    assert one["verdict"] == "not comparable" and one["scale"] == scale and f"scale {scale}" in one["note"]


@pytest.mark.parametrize("other", [{"name": "sample", "pictures": 6}, {"name": "kodak", "pictures": 5}, {}])
def test_other_or_fewer_pictures_than_published_are_not_comparable(tiny, other):
    document = document_module.join(
        "p/table1", "paper", None, found(pictures("first", 26.266), provenance={"test_set": other})
    )
    one = cell(document, "first", "PSNR")
    assert one["verdict"] == "not comparable" and "kodak" in one["note"]


def test_pictures_are_known_by_their_digest_where_there_is_one(tiny):
    kodak = tiny((HEADER + BODY).replace("pictures: 6", "pictures: 24"))
    used = {"name": "my folder", "pictures": 24, "digest": data.known_digest("kodak", 24)}
    assert document_module.is_published_set(kodak, used)
    assert not document_module.is_published_set(kodak, {**used, "name": "kodak", "digest": "b" * 64})
    table = tiny(HEADER + f"# digest: {'a' * 64}\n" + BODY)
    assert document_module.is_published_set(table, {"name": "my folder", "pictures": 6, "digest": "a" * 64})
    assert not document_module.is_published_set(table, {"name": "kodak", "pictures": 6, "digest": "b" * 64})


def test_a_difference_is_over_the_same_pictures_and_its_seeds(tiny):
    first = [pictures("first", 26.0), pictures("first", 26.0, seed=1)]
    measured = found(*first, pictures("second", 26.3), pictures("second", 26.5, seed=1))
    (psnr, ms_ssim, rate) = document_module.join("p/table1", "small", "first", measured)["differences"]
    assert psnr["published"] == 0.112 and psnr["reproduced"] == pytest.approx(0.4)
    assert psnr["seeds"] == [2, 2] and psnr["pictures"] == 6 and psnr["verdict"] == "same sign"
    assert psnr["interval"][0] < 0.3 and psnr["interval"][1] > 0.5
    assert ms_ssim["reproduced"] == 0 and ms_ssim["verdict"] == "undecided"
    assert rate["verdict"] == "undecided"


def test_a_difference_against_the_papers_is_opposite_and_a_missing_row_not_run(tiny):
    both = [pictures(row, value, seed=seed) for row, value in (("first", 27.0), ("second", 26.0)) for seed in (0, 1)]
    document = document_module.join("p/table1", "small", "first", found(*both))
    assert document["differences"][0]["verdict"] == "opposite sign"
    document = document_module.join("p/table1", "small", "first", found(pictures("first", 27.0)))
    assert {d["verdict"] for d in document["differences"]} == {"not run"}


def test_a_set_measured_as_a_whole_has_intervals_over_its_trainings(tiny):
    def whole(row, *values):
        return [dict(pictures(row, v + 1, seed=i)[0], picture=document_module.WHOLE_SET) for i, v in enumerate(values)]

    measured = found(whole("first", 26, 26.1, 26.2), whole("second", 27, 27.02))
    document = document_module.join("p/table1", "small", "first", measured)
    psnr = document["differences"][0]
    half = 12.7062 * math.sqrt(0.01 / 3 + 0.0002 / 2)
    assert psnr["interval"] == pytest.approx([0.91 - half, 0.91 + half], rel=1e-4) and psnr["verdict"] == "same sign"
    assert cell(document, "first", "PSNR")["interval"] == pytest.approx([26.1 - 0.24842, 26.1 + 0.24842], rel=1e-5)
    assert document_module.recompute(document) == document
    assert "Intervals over seeds alone, by Student's t, 2 to 3 seeds a row." in table_text.as_text(document)


@pytest.mark.parametrize("seeds", [(0,), (0, 1)])
def test_a_row_with_one_seed_decides_no_sign(tiny, seeds):
    first = [pictures("first", 27.0, seed=seed) for seed in seeds]
    document = document_module.join("p/table1", "small", "first", found(*first, pictures("second", 26.0)))
    psnr = document["differences"][0]
    assert psnr["verdict"] == "undecided" and psnr["interval"][1] < 0


def test_a_smoke_run_decides_no_difference(tiny):
    document = document_module.join(
        "p/table1", "smoke", "first", found(pictures("first", 26.0), pictures("second", 27.0))
    )
    assert {d["verdict"] for d in document["differences"]} == {"not comparable"}


def test_differences_of_counts_need_no_interval(tiny):
    tiny(HEADER.replace("PSNR 0.25", "PSNR exact") + BODY)
    measured = document_module.Reproduction(
        values={"first": {"PSNR": 1, "Rate": 1.0}, "second": {"PSNR": 3, "Rate": 2.0}}
    )
    psnr, _, rate = document_module.join("p/table1", "exact", "first", measured)["differences"]
    assert (psnr["reproduced"], psnr["verdict"]) == (2, "same sign")
    assert (rate["reproduced"], rate["verdict"]) == (1, "undecided")


def test_pictures_too_small_for_ms_ssim_are_left_out_and_the_cell_says_so(tiny):
    measured = pictures("first", 26.0)
    measured[0]["ms_ssim"] = None
    one = cell(document_module.join("p/table1", "paper", None, found(measured)), "first", "MS-SSIM")
    assert one["reproduced"] == pytest.approx(0.96) and "161 pixels" in one["note"] and "5 of 6" in one["note"]
    for picture in measured:
        picture["ms_ssim"] = None
    one = cell(document_module.join("p/table1", "paper", None, found(measured)), "first", "MS-SSIM")
    assert one["reproduced"] is None and one["verdict"] == "not comparable" and "0 of 6" in one["note"]


def test_the_gate_counts_pictures_above_jpeg_averaged_over_seeds(tiny):
    measured = pictures("first", 26.0) + pictures("first", 26.0, seed=1)
    measured[0]["jpeg_ms_ssim"] = 0.99  # +0.46 of the other seed outweighs it
    measured[1]["jpeg_ms_ssim"] = measured[7]["jpeg_ms_ssim"] = 0.97
    (gate,) = document_module.join("p/table1", "small", None, found(measured))["gate"]
    assert (gate["row"], gate["pictures"], gate["beats_jpeg"], gate["beats_optimised"]) == ("first", 6, 5, 6)


def test_a_misprint_is_told_in_the_cell_it_concerns(tiny):
    tiny(HEADER + "# misprint: second | PSNR | Two digits are swapped.\n" + BODY)
    document = document_module.join("p/table1", "paper", None, found(pictures("first", 26.0), pictures("second", 26.0)))
    noted = [(c["row"], c["column"]) for c in document["cells"] if "swapped" in c["note"]]
    assert noted == [("second", "PSNR")]


def test_an_unknown_row_is_refused(tiny):
    with pytest.raises(ValueError, match="no row 'third'"):
        document_module.join("p/table1", "paper", None, found(pictures("third", 26.0)))


# --- written tables ---


def document_of(scale="small", provenance=KODAK):
    measured = found(pictures("first", 26.0), pictures("second", 26.5), provenance=provenance)
    measured.claims = [document_module.claim("six is seven", "equals", 7, 6)]
    measured.further = {"cost": {"first": 3.5, "second": 4}}
    return document_module.join("p/table1", scale, "first", measured)


def test_a_written_document_is_recomputed_to_itself(tiny):
    path = table_files.write(document_of())
    assert path == files.results_dir() / "small/p/table1.json"
    document = table_files.read(path)
    assert document_module.recompute(document) == document


@pytest.mark.parametrize("part, key", [("cells", "verdict"), ("cells", "delta"), ("differences", "interval")])
def test_a_changed_document_is_not_recomputed_to_itself(tiny, part, key):
    document = table_files.read(table_files.write(document_of()))
    document[part][0][key] = "exact"
    assert document_module.recompute(document) != document


def test_csv_markdown_and_curves_say_the_same_as_the_json(tiny):
    document = document_of()
    path = table_files.write(document)
    with open(path.with_suffix(".csv"), newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [r["verdict"] for r in rows] == [c["verdict"] for c in document["cells"]]
    assert float(rows[0]["reproduced"]) == document["cells"][0]["reproduced"]
    page = path.with_suffix(".md").read_text(encoding="utf-8")
    for words in ("scale small", "not comparable", "Differences to first", "does not hold", "Against JPEG", "6 of 6"):
        assert words in page
    first, _second = json.loads(path.with_name("table1_curves.json").read_text(encoding="utf-8"))
    assert first["name"] == "first" and first["results"]["psnr-rgb"] == [pytest.approx(26.0)]
    assert set(first["results"]) == {"bpp", "psnr-rgb", "ms-ssim-rgb", "encoding_time", "decoding_time"}
    assert not list(path.parent.glob(".*"))


def test_a_look_at_fewer_pictures_never_replaces_the_complete_table(tiny):
    partial = {"test_set": {"name": "kodak", "pictures": 2, "digest": "x"}}
    assert table_files.place(document_of(provenance=partial)) == files.results_dir() / "runs/small/p/table1.json"
    assert table_files.place(document_of("smoke", partial)) == files.results_dir() / "smoke/p/table1.json"


def test_a_table_without_a_published_set_is_not_replaced_by_one_of_certain_pictures(tiny, monkeypatch):
    document = document_of()
    monkeypatch.setattr(published, "load", lambda table: types.SimpleNamespace(test_set=""))
    assert table_files.place(document) == files.results_dir() / "small/p/table1.json"
    assert table_files.place(document, limited=True) == files.results_dir() / "runs/small/p/table1.json"


def test_a_folder_of_pictures_whose_name_is_not_utf8_has_its_table(tiny):
    name = os.fsdecode(b"caf\xe9")
    document = document_of(provenance={"test_set": {"name": name, "pictures": 2, "digest": "x"}})
    path = table_files.write(document)
    assert table_files.read(path)["provenance"]["test_set"]["name"] == name
    assert "Test set: caf\\udce9, 2 pictures" in path.with_suffix(".md").read_text(encoding="utf-8")


NO_TABLES = [b"{", b"[]", b"5", b"null", b"[" * 100_000, b'"\xff"', b'{"cells": 5}', b'{"cells": [5]}']
NO_TABLES += [b'{"cells": [{}]}', b'{"claims": [{"verdict": []}]}', b'{"provenance": []}']


@pytest.mark.parametrize("content", NO_TABLES)
def test_a_damaged_table_file_is_one_sentence(content, tmp_path):
    (tmp_path / "table1.json").write_bytes(content)
    with pytest.raises(RelicError, match=r"^[^\n]*table1\.json [^\n]*: run its experiment again$"):
        table_files.read(tmp_path / "table1.json")


@pytest.mark.parametrize(
    "printed, value, signed, text",
    [
        ("26.266", 26.2, False, "26.200"),
        ("3.88e10", 38753404928, False, "3.88e10"),
        ("3.88e10", -46595072.0, True, "0"),
        ("1.00", 1.0, False, "1.00"),
        ("11188291", 11188291, False, "11188291"),
        ("0.112", 0.112, True, "+0.112"),
        ("0.112", -0.0001, True, "0.000"),
        ("26.266", None, False, "-"),
    ],
)
def test_values_are_shown_with_the_printed_digits(printed, value, signed, text):
    assert table_text.like(printed, value, signed) == text


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: "/".join(path.parts[-3:]))
def test_a_committed_table_is_recomputed_from_its_own_pictures_and_counts(path):
    document = table_files.read(path)
    assert document_module.recompute(document) == document
    assert path.with_suffix(".csv").read_text(encoding="utf-8") == table_files.as_csv(document)
    assert path.with_suffix(".md").read_text(encoding="utf-8") == table_text.as_markdown(document)
    assert [name for name in document.get("figures", ()) if not path.with_name(name).is_file()] == []


# --- documents without a table: figures, claims, audits ---

BARE = """# citation: Somebody: Something
# title: What the text claims
# section: 4
# read: the text
# note: Losses are those of the pixels.
claim
"""


def bare(table="p/audit_tiny", scale="exact", **parts):
    return document_module.join(table, scale, None, document_module.Reproduction(**parts))


def test_a_published_file_may_have_a_header_row_alone_and_needs_no_units_then(tiny):
    table = tiny(BARE)
    assert table.rows == [] and table.cells == {} and table.texts["title"] == "What the text claims"


@pytest.mark.parametrize("key", ["units", "tolerance"])
def test_units_and_tolerances_are_needed_for_numbers_and_units_alone_for_pictures(tiny, tmp_path, key):
    lines = [line for line in HEADER.splitlines(True) if not line.startswith(f"# {key}:")]
    with pytest.raises(RelicError, match=f"line 1: the header lacks `# {key}"):
        tiny("".join(lines) + BODY)
    drawn = "".join(lines) + "Method,PSNR,MS-SSIM,Rate\nfirst,picture,-,-\n"
    if key == "tolerance":
        assert tiny(drawn).printed("first", "PSNR") == "picture"
    else:
        with pytest.raises(RelicError, match="units"):
            tiny(drawn)


@pytest.mark.parametrize(
    "table, words",
    [
        ("p/table1", "Table 1 of p: "),
        ("p/table12", "Table 12 of p: "),
        ("p/figure7", "Figure 7 of p: "),
        ("p/figure10", "Figure 10 of p: "),
        ("p/audit", "Audit of p: "),
        ("p/audit_paka", "Audit of p: "),
        ("p/claims_paka", "Claims of p: "),
        ("p/speed_2", "Speed of p: "),
    ],
)
def test_a_title_says_what_the_document_is(tiny, table, words):
    tiny(BARE)
    title = words + "What the text claims, scale exact"
    document = bare(table)
    assert table_text.as_text(document).splitlines()[0] == title
    assert table_text.as_markdown(document).splitlines()[0] == f"# {title}"


def test_a_document_without_rows_has_no_empty_sections_and_is_recomputed_to_itself(tiny):
    tiny(BARE)
    claims = [
        document_module.claim("The loss falls", "below", 0, -0.25, interval=(-0.5, -0.1)),
        document_module.claim(
            "The loss falls further", "below", 0, -0.25, "With few pictures.", (np.float64(-0.5), 0.1)
        ),
        document_module.claim("No codec reaches 13.7 dB", "above", 13.7, 18.7231),
        document_module.claim("One training says little", "above", 0, 5.5, measured=True),
    ]
    measured = [{"row": "free", "seed": 0, "picture": "p0", "psnr": 30.0}]
    path = table_files.write(bare(claims=claims, pictures=measured, further={"least PSNR": {"JPEG": 18.7}}))
    document = table_files.read(path)
    assert path == files.results_dir() / "exact/p/audit_tiny.json"
    assert document_module.recompute(document) == document and "figures" not in document
    assert [c["verdict"] for c in document["claims"]] == ["holds", "undecided", "holds", "not judged"]
    assert document["claims"][3]["interval"] is None and "interval" not in document["claims"][2]
    assert not path.with_name("audit_tiny_curves.json").exists()
    for text in (table_text.as_text(document), path.with_suffix(".md").read_text(encoding="utf-8")):
        assert "Published and reproduced" not in text and "Differences" not in text and "JPEG:" not in text
        assert "Losses are those of the pixels." in text and "18.7" in text and "-0.5 … 0.1" in text
        assert [line.strip(" #") for line in text.splitlines() if "Notes" in line] == ["Notes"]


def test_the_csv_of_a_document_without_cells_holds_its_claims(tiny):
    tiny(BARE)
    decided = document_module.claim("The loss falls", "below", 0, -0.25, interval=(-0.5, -0.125))
    document = bare(claims=[decided, document_module.claim("six is seven", "equals", 7, 6, "Not quite.")])
    first, second = csv.DictReader(table_files.as_csv(document).splitlines())
    assert (first["claim"], first["found"], first["verdict"]) == ("The loss falls", "-0.25", "holds")
    assert (first["interval_low"], first["interval_high"], first["scale"]) == ("-0.5", "-0.125", "exact")
    assert (second["interval_low"], second["note"], second["verdict"]) == ("", "Not quite.", "does not hold")


def test_a_changed_claim_is_not_recomputed_to_itself(tiny):
    tiny(BARE)
    document = bare(claims=[document_module.claim("The loss falls", "below", 0, -0.25, interval=(-0.5, 0.1))])
    document["claims"][0]["verdict"] = "holds"
    assert document_module.recompute(document) != document


def test_a_row_that_was_not_run_says_why_without_cells_too(tiny):
    tiny(BARE)
    document = bare(scale="small", missing={"autoencoder": "No weights at scale small."})
    assert "Not run" in table_text.as_text(document)
    assert "autoencoder: No weights at scale small." in table_text.as_text(document)
    tiny()
    document = document_module.join(
        "p/table1", "small", "first", document_module.Reproduction(missing={"second": "No weights."})
    )
    assert table_text.as_text(document).count("No weights.") == 1


def test_a_long_claim_is_broken_into_lines_on_a_terminal_and_whole_in_the_page(tiny):
    tiny(BARE)
    text = "No setting of any codec gives what is printed, " * 4 + "over all pictures"
    document = bare(
        claims=[document_module.claim(text, "above", 13.656495, 18.7), document_module.claim("short", "equals", 1, 1)]
    )
    lines = table_text.as_text(document).splitlines()
    start = lines.index("Claims")
    block = lines[start + 1 : start + 8]
    assert max(map(len, block)) < 120 and block[0].split() == ["claim", "holds", "if", "found", "verdict"]
    assert [line[block[0].index("holds") :].split() for line in block[2:]] == [
        ["above", "13.66", "18.7", "holds"],
        [],
        [],
        [],
        ["equals", "1", "1", "holds"],
    ]
    assert " ".join(line[: block[0].index("holds")].strip() for line in block[2:6]) == text
    assert f"| {text} | above 13.66 | 18.7 | holds |" in table_text.as_markdown(document)


def test_a_long_table_shows_cells_that_are_published_as_a_picture(tiny):
    body = "".join(f"row {i},picture,0.9,0.2\n" for i in range(20))
    tiny(HEADER + "Method,PSNR,MS-SSIM,Rate\n" + body)
    document = document_module.join(
        "p/table1", "paper", None, document_module.Reproduction(values={"row 3": {"PSNR": 25.60394}})
    )
    assert len(document["cells"]) > table_text.MANY_CELLS
    (line,) = (line for line in table_text.as_text(document).splitlines() if line.startswith("  row 3 "))
    assert line.split()[2:5] == ["25.6", "-", "-"]


def test_figures_are_written_beside_the_table_and_shown_on_its_page(tiny):
    figures = pytest.importorskip("common.tables.figures")
    basis = figures.Basis("small", "two pictures")
    curve = figures.line_plot([figures.Line("a", [1, 2], [3, 4])], "x", "y", "A title", basis)
    grid = figures.picture_grid([[("p0", np.zeros((8, 8, 3), np.uint8))]], "A title", basis)
    measured = found(pictures("first", 26.0))
    measured.figures = {"": curve, "crops": grid}
    path = table_files.write(document_module.join("p/table1", "small", None, measured), measured.figures, svg=True)
    names = {p.name for p in path.parent.iterdir()}
    assert names - {"table1_curves.json"} == {
        *(f"table1.{kind}" for kind in ("json", "csv", "md", "png", "svg")),
        "table1_crops.png",
    }
    document = table_files.read(path)
    assert document["figures"] == ["table1.png", "table1_crops.png"]
    assert document_module.recompute(document) == document
    page = path.with_suffix(".md").read_text(encoding="utf-8")
    assert page == table_text.as_markdown(document)
    assert page.index("](table1.png)") < page.index("](table1_crops.png)") < page.index("## Published")


def test_without_rows_no_scale_has_all_weights(monkeypatch):
    monkeypatch.setattr(shipped, "shipped_seeds", lambda config, scale: [0])
    assert shipped.best_scale({"row": "config"}) == "paper"
    assert shipped.best_scale({}) == "small"


# --- trained codecs on test pictures ---


@pytest.fixture
def kodak(tmp_path, monkeypatch):
    """Put five small pictures where `kodak` is looked for; return their folder."""
    folder = tmp_path / "data/kodak"
    photograph = data.images("sample", 1)[0][1]
    for i in range(5):
        picture_files.write_png(folder / f"k{i}.png", photograph[40 * i :, 50 * i :][:176, :184])
    monkeypatch.setenv("RELIC_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("RELIC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(networks, "preset_of", lambda config: ("p", config))
    monkeypatch.setattr(networks, "shipped_seeds", lambda config, scale: {"one": [0, 1], "two": []}[config])
    monkeypatch.setattr(networks, "codec_of", lambda config, scale, seed: codecs.Jpeg(50))
    monkeypatch.setattr(networks, "_module", lambda name, config: PAPER[name])
    return folder


TRAININGS = []
PAPER = {
    "complexity": types.SimpleNamespace(training_flops=lambda config, scale: 2e18),
    "train": types.SimpleNamespace(train_preset=lambda *arguments, restart: TRAININGS.append(arguments)),
}


def measure_jpeg(scale="small", **options):
    """Measure JPEG as if it were the trained codec of the row `first`; the row `second` has no weights."""
    options = command.Options("p/table1", {"first": "one", "second": "two"}, scale, **options)
    return measure.rate_distortion(options)


def test_every_seed_codes_every_picture_next_to_jpeg_at_equal_rate(tiny, kodak):
    measured = measure_jpeg()
    assert [(p["row"], p["seed"], p["picture"]) for p in measured.pictures] == [
        ("first", seed, f"k{i}") for seed in (0, 1) for i in range(5)
    ]
    for p in measured.pictures:
        assert p["bpp"] == p["jpeg_bpp"] == round(8 * p["num_bytes"] / (176 * 184), 6)
        # Two qualities of JPEG may give as many bytes; their pictures differ by little.
        assert p["ms_ssim"] == pytest.approx(p["jpeg_ms_ssim"], abs=2e-3)
        assert p["psnr"] == pytest.approx(p["jpeg_psnr"], abs=0.2)
    assert measured.provenance["test_set"]["name"] == "kodak" and measured.notes == [measure.CHROMA_NOTE]


@pytest.mark.parametrize("share, wins", [(0.5, 3), (2.0, 0)])
def test_half_of_jpegs_bytes_for_its_picture_beat_it_and_twice_as_many_do_not(tiny, kodak, share, wins, monkeypatch):
    class Remembering:
        def compress(self, image):
            self.data = codecs.Jpeg(50).compress(image)
            return bytes(int(share * len(self.data)))

        def decompress(self, data):
            return codecs.Jpeg(50).decompress(self.data)

    options = command.Options("p/table1", {"first": "one"}, "small", images=3)
    monkeypatch.setattr(networks, "codec_of", lambda *_: Remembering())
    measured = measure.rate_distortion(options)
    (gate,) = document_module.join("p/table1", "small", None, measured)["gate"]
    assert (gate["pictures"], gate["beats_jpeg"], gate["beats_optimised"]) == (3, wins, wins)
    slopes = measured.further["chroma slope"]
    assert 0.5 < slopes["first"] < 1.1 and measured.further["PSNR of Cb and Cr (dB)"]["first"] > 25


def test_a_row_without_weights_says_how_to_train_it_and_what_that_takes(tiny, kodak):
    document = document_module.join("p/table1", "small", "first", measure_jpeg(images=1))
    one = cell(document, "second", "PSNR")
    assert one["verdict"] == "not run"
    assert "`relic train p/two --scale small`" in one["note"] and "2.0e+18 FLOP" in one["note"]


def test_only_a_smoke_run_trains_what_is_missing(tiny, kodak):
    TRAININGS.clear()
    measured = measure_jpeg("smoke")
    assert TRAININGS == [("two", "smoke", 0)]
    assert {p["row"] for p in measured.pictures} == {"first", "second"}
    assert {p["picture"] for p in measured.pictures} == {"k0", "k1"}


def test_a_seed_without_weights_is_refused_and_a_chosen_one_used_alone(tiny, kodak):
    with pytest.raises(RelicError, match="has no seed 7: --seeds may be 0, 1"):
        measure_jpeg(seeds=[7])
    assert {p["seed"] for p in measure_jpeg(seeds=[1], images=1).pictures} == {1}


def test_a_missing_test_set_is_replaced_by_the_sample_and_said(tiny, kodak, monkeypatch, tmp_path):
    monkeypatch.setenv("RELIC_DATA", str(tmp_path / "elsewhere"))
    measured = measure_jpeg(images=1)
    assert measured.provenance["test_set"]["name"] == "sample"
    assert len(measured.notes) == 2 and "`python -m common.data fetch kodak`" in measured.notes[0]
    one = cell(document_module.join("p/table1", "paper", None, measured), "first", "PSNR")
    assert one["verdict"] == "not comparable" and one["reproduced"] is not None


def test_a_folder_is_the_published_set_when_its_pixels_are(tiny, kodak):
    digest = measure_jpeg().provenance["test_set"]["digest"]
    tiny((HEADER + f"# digest: {digest}\n" + BODY).replace("pictures: 6", "pictures: 5"))
    copy = kodak.rename(kodak.with_name("photos"))
    document = document_module.join("p/table1", "paper", None, measure_jpeg(data=copy))
    assert document["provenance"]["test_set"]["name"] == "kodak"
    assert cell(document, "first", "PSNR")["verdict"] != "not comparable"
    document = document_module.join("p/table1", "paper", None, measure_jpeg(data=copy, images=4))
    assert cell(document, "first", "PSNR")["verdict"] == "not comparable"


@pytest.mark.parametrize("given", [".", "../caf", None])
def test_a_folder_names_its_test_set_however_it_is_given(given, tiny, tmp_path, monkeypatch):
    name = "caf" if given else os.fsdecode(b"caf\xe9")
    write_png(tmp_path / name / "a.png", np.zeros((8, 8, 3), np.uint8))
    monkeypatch.chdir(tmp_path / name)
    options = command.Options("p/table1", {}, "small", data=Path(given) if given else tmp_path / name)
    _, about, _ = table_pictures.pictures_of(options, published.load("p/table1"))
    assert about["name"] == ("caf" if given else "caf\\udce9")


def test_a_lossless_picture_has_no_psnr_and_leaves_valid_json(tiny, kodak, monkeypatch):
    class Lossless:
        def compress(self, image):
            return np.array(image.shape, "<u4").tobytes() + image.tobytes()

        def decompress(self, data):
            return np.frombuffer(data, np.uint8, offset=12).reshape(np.frombuffer(data[:12], "<u4"))

    options = command.Options("p/table1", {"first": "one"}, "small", images=1, seeds=[0])
    monkeypatch.setattr(networks, "codec_of", lambda *_: Lossless())
    measured = measure.rate_distortion(options)
    assert measured.pictures[0]["psnr"] is None and measured.pictures[0]["ms_ssim"] == 1
    document = table_files.read(table_files.write(document_module.join("p/table1", "small", None, measured)))
    assert "0 of 1" in cell(document, "first", "PSNR")["note"] and document_module.recompute(document) == document


# --- experiments and published files ---


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiments_rows_are_the_published_ones_in_order_and_all_differ(name):
    module = importlib.import_module(f"experiments.{name}")
    table = published.load(module.TABLE)
    assert list(module.ROWS) == table.rows or not table.rows
    configs = list(module.ROWS.values())
    assert all(a != b for i, a in enumerate(configs) for b in configs[:i])
    assert getattr(module, "REFERENCE", None) in (None, *table.rows)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_row_that_is_a_config_is_a_preset(name):
    module = importlib.import_module(f"experiments.{name}")
    for config in filter(dataclasses.is_dataclass, module.ROWS.values()):
        paper, preset = common_config.preset_of(config)
        assert paper == module.TABLE.split("/")[0] and preset.islower()
