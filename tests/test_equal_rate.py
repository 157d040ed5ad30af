"""Rows at equal rate: closed forms of curves, pictures out of range, seeds, the table's columns and text."""

import math

import numpy as np
import pytest

from common import metrics
from common.errors import RelicError
from common.tables import document as document_module
from common.tables import equal_rate, files, intervals, measure, published
from common.tables import text as table_text

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
Method,PSNR,MS-SSIM,Rate
first,26.266,0.9591,0.1690
second,26.378,0.9605,0.1704
"""
SLOPE = 6.0  # dB of PSNR for each e-fold of the rate; MS-SSIM in dB rises half as fast
PER_STEP = math.log(1.1)  # of the rate


def entry(row, picture, seed=0, bpp=0.2, gain=0.0, curve=True):
    """Return a measurement whose PSNR is 30 + gain + SLOPE log(rate / 0.2), half of it in dB of MS-SSIM."""

    def quality(rate):
        db = gain + SLOPE * math.log(rate / 0.2)
        return 30 + db, 1 - 10 ** (-(12 + db / 2) / 10)

    rates = [bpp * math.exp(-step * PER_STEP) for step in equal_rate.STEPS]
    of = dict(row=row, seed=seed, picture=picture, bpp=bpp, psnr=quality(bpp)[0], ms_ssim=quality(bpp)[1])
    if curve:
        psnr, ms_ssim = zip(*map(quality, rates), strict=True)
        of["curve"] = {"step": list(equal_rate.STEPS), "bpp": rates, "psnr": list(psnr), "ms_ssim": list(ms_ssim)}
    return of


def entries(row, gains=(0.0,), bpp=0.2, count=6, curve=True):
    """Return the measurements of six pictures that differ in rate, of one seed for each gain."""
    return [
        entry(row, f"p{i}", seed, bpp * (1 + i / 10), gain, curve)
        for seed, gain in enumerate(gains)
        for i in range(count)
    ]


def document_of(*groups, scale="small"):
    provenance = {"test_set": {"name": "kodak", "pictures": 6, "digest": "x" * 64}}
    pictures = [dict(e, encoding_time=0.1, decoding_time=0.1) for group in groups for e in group]
    found = document_module.Reproduction(pictures=pictures, provenance=provenance)
    return document_module.join("p/table1", scale, "first", found)


@pytest.fixture(autouse=True)
def tiny(tmp_path, monkeypatch):
    path = tmp_path / "table1.csv"
    path.write_text(HEADER, encoding="utf-8")
    monkeypatch.setattr(published, "load", lambda table: published.read(path))
    monkeypatch.setenv("RELIC_RESULTS", str(tmp_path / "results"))


# --- closed forms ---


@pytest.mark.parametrize("own_rate", [0.12, 0.2, 0.3])
def test_a_row_that_is_better_by_a_constant_is_so_at_equal_rate_whatever_its_own_rate(own_rate):
    both = [*entries("first"), *entries("second", (0.5,), own_rate)]
    psnr = equal_rate.difference(both, "second", "first", "psnr")
    assert psnr["reproduced"] == pytest.approx(0.5, abs=1e-9) and psnr["interval"] == pytest.approx((0.5, 0.5))
    assert (psnr["seeds"], psnr["pictures"], psnr["left_out"]) == ([1, 1], 6, 0)


def test_ms_ssim_is_interpolated_in_db_and_its_difference_is_in_its_own_unit():
    both = [*entries("first", count=1), *entries("second", (0.5,), 0.3, count=1)]
    found = equal_rate.difference(both, "second", "first", "ms_ssim")
    assert found["reproduced"] == pytest.approx(10**-1.2 - 10**-1.225, abs=1e-9)
    assert found["interval"] is None and found["pictures"] == 1


@pytest.mark.parametrize("field, gain", [("psnr", 0.5), ("ms_ssim", 0.5)])
def test_the_rate_at_equal_quality_is_what_the_gain_saves(field, gain):
    both = [*entries("first"), *entries("second", (gain,), 0.25)]
    found = equal_rate.rate_difference(both, "second", "first", field)
    saved = 100 * math.expm1(-gain / SLOPE)
    assert found["reproduced"] == pytest.approx(saved) and found["interval"] == pytest.approx((saved, saved))


def test_bd_rate_and_bd_psnr_of_whole_curves_are_the_constant_gain():
    both = [*entries("first"), *entries("second", (0.4, 0.6), 0.25)]
    found = equal_rate.bd(both, "second", "first", "psnr")
    assert found["quality"] == pytest.approx(0.5) and found["pictures"] == 6
    each = [100 * math.expm1(-gain / SLOPE) for gain in (0.4, 0.6)]
    assert found["rate"] == pytest.approx(sum(each) / 2)
    assert equal_rate.bd(entries("first"), "second", "first") is None


def test_interpolation_is_that_of_scipys_pchip_and_ends_with_the_points():
    interpolate = pytest.importorskip("scipy.interpolate")
    generator = np.random.default_rng(1)
    for count in (3, 5, 9):
        x, y = (np.cumsum(generator.uniform(0.1, 2, count)) for _ in range(2))
        at = generator.uniform(x[0], x[-1], 20)
        ours = [metrics.interpolated(x, y, value) for value in (*at, x[0], x[-1])]
        assert ours == pytest.approx(interpolate.PchipInterpolator(x, y)((*at, x[0], x[-1])), rel=1e-12)
        assert metrics.interpolated(x, y, x[0] - 1e-9) is None and metrics.interpolated(x, y, x[-1] + 1e-9) is None


@pytest.mark.parametrize("x, y", [([1, 2], [1, 2]), ([1, 2, 2], [1, 2, 3]), ([1, 2, 3], [1, 3, 2])])
def test_a_curve_that_does_not_rise_or_has_two_points_is_not_interpolated(x, y):
    with pytest.raises(ValueError, match="rises strictly"):
        metrics.interpolated(x, y, 1.5)


# --- pictures and seeds ---


def test_pictures_whose_rate_a_curve_does_not_reach_are_left_out_and_counted():
    first, second = entries("first"), entries("second", (0.5,))
    for far in first[:2]:
        far["bpp"] = 5.0
        del far["curve"]
    found = equal_rate.difference([*first, *second], "second", "first")
    assert (found["pictures"], found["left_out"]) == (4, 2) and found["interval"] is None
    assert found["reproduced"] == pytest.approx(0.5)
    none = equal_rate.difference([*entries("first", bpp=5.0), *second], "second", "first")
    assert (none["reproduced"], none["pictures"], none["left_out"]) == (None, 0, 6)


def test_a_picture_too_small_for_ms_ssim_is_no_picture_that_was_left_out():
    first, second = entries("first"), entries("second")
    for small in (first[0], second[0]):
        small["ms_ssim"], small["curve"]["ms_ssim"] = None, [None] * 5
    found = equal_rate.difference([*first, *second], "second", "first", "ms_ssim")
    assert (found["pictures"], found["left_out"]) == (5, 0)


def test_the_rate_of_a_picture_is_the_mean_over_the_references_seeds_and_all_trainings_are_taken_there():
    first = [entry("first", "p", 0, 0.18), entry("first", "p", 1, 0.22)]
    found = equal_rate.difference([*first, entry("second", "p", 0, 0.3, 0.5)], "second", "first")
    assert found["reproduced"] == pytest.approx(0.5, abs=1e-9) and found["seeds"] == [1, 2]


def test_trainings_that_differ_widen_the_interval_which_is_that_of_common_tables_intervals():
    first, second = entries("first", (0.0, 0.1)), entries("second", (0.4, 0.6), 0.25)
    found = equal_rate.difference([*first, *second], "second", "first")
    levels = [SLOPE * math.log(1 + i / 10) for i in range(6)]
    matrices = [[[gain + level for level in levels] for gain in gains] for gains in ((0.4, 0.6), (0.0, 0.1))]
    assert found["interval"] == pytest.approx(intervals.interval_of_difference(*map(np.array, matrices)))
    assert found["reproduced"] == pytest.approx(0.45)


def test_a_reference_without_curves_is_taken_as_measured_and_a_row_without_has_no_difference():
    both = [*entries("first", curve=False), *entries("second", (0.5,), 0.25)]
    assert equal_rate.difference(both, "second", "first")["reproduced"] == pytest.approx(0.5, abs=1e-9)
    assert equal_rate.difference(both, "first", "second") is None
    assert equal_rate.difference(both, "third", "first") is None
    assert equal_rate.without_curves(both) == ["first"]


def test_half_the_width_of_an_interval_is_what_could_have_been_detected():
    assert intervals.half_width((-0.1, 0.3)) == pytest.approx(0.2) and intervals.half_width(None) is None


# --- the table ---


def test_a_table_judges_the_sign_at_equal_rate_beside_the_sign_at_own_rates():
    # At half of the rate the row is worse by itself, and better at equal rate.
    document = document_of(entries("first", (0.0, 0.02)), entries("second", (0.5, 0.52), 0.12))
    psnr, ms_ssim, rate = document["differences"]
    assert psnr["verdict"] == "opposite sign" and psnr["equal_rate"]["verdict"] == "same sign"
    assert (
        psnr["equal_rate"]["reproduced"] == pytest.approx(0.5, abs=0.01) and ms_ssim["equal_rate"]["detectable"] is None
    )
    assert rate["equal_rate"]["reproduced"] < 0 and rate["equal_rate"]["verdict"] == ""
    assert [c["measure"] for c in document["curves"]] == ["psnr", "ms_ssim"] and document["curves"][0]["rate"] < 0


@pytest.mark.parametrize("seeds, verdict, detectable", [((0.5,), "undecided", False), ((-1.0, 1.0), "undecided", True)])
def test_one_seed_and_an_interval_around_0_decide_nothing_and_only_this_one_has_an_effect(seeds, verdict, detectable):
    found = document_of(entries("first", [0.0] * len(seeds)), entries("second", seeds))["differences"][0]["equal_rate"]
    assert found["verdict"] == verdict and (found["detectable"] is not None) is detectable
    if detectable:
        assert found["detectable"] == pytest.approx(intervals.half_width(found["interval"]), rel=1e-4)


def test_a_smoke_run_decides_nothing_at_equal_rate():
    document = document_of(entries("first", (0, 0)), entries("second", (1, 1)), scale="smoke")
    assert document["differences"][0]["equal_rate"]["verdict"] == "not comparable"


def test_a_document_with_curves_is_recomputed_and_read_as_it_was_written():
    document = document_of(entries("first", (0.0, 0.1)), entries("second", (0.4, 0.6), 0.25))
    assert document_module.recompute(document) == document
    read = files.read(files.write(document))
    assert read == document and document_module.recompute(read) == read
    read["pictures"][0]["curve"]["psnr"] = [value + 1 for value in read["pictures"][0]["curve"]["psnr"]]
    assert document_module.recompute(read) != read


def test_without_curves_a_document_has_neither_columns_nor_keys():
    document = document_of(entries("first", curve=False), entries("second", curve=False))
    assert "curves" not in document and all("equal_rate" not in d for d in document["differences"])
    assert "equal rate" not in table_text.as_markdown(document).partition("Not in the paper")[0]


def test_the_text_names_the_interpolation_what_is_left_out_and_the_papers_rates():
    second = entries("second", (-1.0, 1.0), 0.25)
    first = entries("first", (0.0, 0.0))
    for far in (e for e in first if e["picture"] == "p0"):
        far["bpp"] = 5.0
    page = table_text.as_markdown(document_of(first, second))
    for words in ("ours at equal rate", "pchip", "nearly equal rates", "detectable", "Whole curves against first's"):
        assert words in page
    assert "second, PSNR: 1 of 6 pictures are left out" in page and " % |" in page


# --- measuring ---


class Stepped:
    """A codec of grey steps: coarser ones give fewer bytes, and its latents are counted."""

    def __init__(self, step=0, counted=None):
        self.step, self.counted = step, [] if counted is None else counted

    def with_settings(self, step=0):
        if not -8 <= step <= 8:
            raise RelicError("no such step")
        return Stepped(step, self.counted)

    def latents(self, image):
        self.counted.append(image.shape)
        return image

    def compress_latents(self, latents):
        levels = 2 ** (self.step // 4 + 3)
        coarse = (latents // levels * levels + levels // 2).astype(np.uint8)
        head = np.array([*latents.shape, levels], "<u4").tobytes()
        return head + coarse.tobytes() + bytes(10_000 - 500 * self.step)

    def compress(self, image):
        return self.compress_latents(self.latents(image))

    def decompress(self, data):
        *shape, _ = np.frombuffer(data[:16], "<u4").tolist()
        return np.frombuffer(data, np.uint8, offset=16, count=math.prod(shape)).reshape(shape)

    def rate_estimate(self, image):
        return 1.25


class Bar:
    def update(self):
        pass


def test_a_curve_is_measured_with_one_analysis_and_its_middle_is_the_measurement():
    codec, image = Stepped(), np.random.default_rng(3).integers(0, 256, (176, 184, 3), np.uint8)
    one = measure._measurement(codec, "first", 0, ("a", image), Bar())
    assert codec.counted == [image.shape] and one["rate_estimate"] == 1.25
    curve = one["curve"]
    assert curve["step"] == [-8, -4, 0, 4, 8]
    assert [curve[f][2] for f in ("bpp", "psnr", "ms_ssim")] == [one["bpp"], one["psnr"], one["ms_ssim"]]
    assert curve["bpp"] == sorted(curve["bpp"], reverse=True) and curve["psnr"] == sorted(curve["psnr"], reverse=True)


def test_a_codec_without_steps_has_no_curve_and_a_note_says_so():
    class Fixed(Stepped):
        def with_settings(self, step=0):
            raise RelicError("no scales of its latents")

    image = np.zeros((32, 32, 3), np.uint8)
    assert measure._codecs_by_step(Fixed()) == {} and measure._codecs_by_step(object()) == {}
    assert "curve" not in measure._measurement(Fixed(), "first", 0, ("a", image), Bar())
    reproduction = document_module.Reproduction(pictures=[*entries("first"), *entries("second", curve=False)])
    measure.add_columns(reproduction)
    assert reproduction.notes == [f"second {measure.NO_STEPS}"]


def test_the_figure_draws_each_rows_curve_in_both_measures():
    from common.tables import command

    document = document_of(entries("first", (0.0, 0.1)), entries("second", (0.5,)))
    reproduction = document_module.Reproduction(pictures=document["pictures"], provenance=document["provenance"])
    drawn = measure.curves_figure(command.Options("p/table1", {}, "small"), reproduction)[""]
    assert len(drawn.axes) == 2 and all(len(axes.lines) == 2 for axes in drawn.axes)
    assert "scale small" in drawn.get_suptitle()
