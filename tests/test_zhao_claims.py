"""The judged sentences of Zhao et al.: comparison at equal rate against closed forms, signs, and what is undecided."""

import copy
import dataclasses
import importlib
import math
from types import SimpleNamespace

import numpy as np
import pytest
from figure_rules import broken_rules
from narrow import picture

from common import metrics
from common.classical import codecs
from common.config import presets
from common.errors import RelicError
from common.tables import command, figures, intervals, networks, published
from common.tables import document as document_module
from common.tables import test_pictures as table_pictures
from common.training import checkpoints, weights
from papers.zhao_mixedres import config
from papers.zhao_mixedres.config import FULL, LOW
from papers.zhao_mixedres.reproduction import claims, claims_figures, equal_rate, points
from papers.zhao_mixedres.reproduction.claims import Plan, PresetComparison
from papers.zhao_mixedres.reproduction.equal_rate import RateCurve, RateCurves

TABLE = "zhao_mixedres/claims"
GREY = np.full((32, 32), 100, np.uint8)
SEVERAL = tuple((f"{i:02d}", picture(64, 48, channels=1, seed=i)) for i in range(6))


class Known:
    """Takes as many bytes as its setting says and is `error(setting)` levels off: its PSNR is known."""

    def __init__(self, error, setting=0):
        self.error, self.setting, self.decoded = error, setting, []

    def with_settings(self, quality):
        other = copy.copy(self)
        other.setting = quality
        return other

    def compress(self, image):
        return bytes([self.setting]) * self.setting

    def decompress(self, data):
        self.decoded.append(data[0])
        return GREY + np.uint8(self.error(data[0]))


class Padded:
    """JPEG as a network trained for a quality would be, with so many bytes more (or fewer) and so many levels off."""

    def __init__(self, more=0, off=0, quality=10):
        self.config = SimpleNamespace(quality=quality, standard_codec="JPEG")
        self.more, self.off, self.setting, self.described, self.files = more, off, quality, [], {}

    def with_settings(self, quality):
        other = copy.copy(self)
        other.setting = quality
        return other

    def representation(self, x):
        self.described.append(x.shape)
        return x

    def restored(self, z):
        return z

    def compress_representation(self, y, height, width):
        assert y.shape == (height, width)
        file = codecs.Jpeg(self.setting).compress(y)
        kept = file + bytes(self.more) if self.more >= 0 else file[-self.more :]
        self.files[kept] = file
        return kept

    def decompress(self, data):
        decoded = codecs.Jpeg(self.setting).decompress(self.files[data])
        return np.clip(decoded.astype(int) + self.off, 0, 255).astype(np.uint8)


def psnr(error):
    return 20 * math.log10(255 / error)


def bpp(num_bytes):
    return 8 * num_bytes / GREY.size


# --- at equal rate ---


def test_quality_at_a_rate_lies_between_the_two_files_next_to_it_and_no_other_is_measured():
    codec = Known(lambda setting: 160 // setting)
    curve = RateCurve(codec.with_settings, (10, 20, 40, 80), GREY)
    found = curve.at_rate(bpp(30))
    share = math.log(30 / 20) / math.log(40 / 20)
    assert found["psnr"] == pytest.approx(psnr(8) + share * (psnr(4) - psnr(8)), rel=1e-12)
    ssim = [curve.point(setting).ssim for setting in (20, 40)]
    assert found["ssim"] == pytest.approx(ssim[0] + share * (ssim[1] - ssim[0]), rel=1e-12)
    assert codec.decoded == [20, 40]
    assert curve.at_rate(bpp(40))["psnr"] == pytest.approx(psnr(4), rel=1e-12)


@pytest.mark.parametrize("num_bytes", [5, 50])
def test_beyond_a_curves_files_nothing_is_extrapolated(num_bytes):
    curve = RateCurve(Known(lambda setting: 160 // setting).with_settings, (10, 20, 40), GREY)
    assert not curve.reaches(bpp(num_bytes)) and curve.reaches(bpp(10)) and curve.reaches(bpp(40))
    with pytest.raises(RelicError, match="not between the smallest and the largest file"):
        curve.at_rate(bpp(num_bytes))


def test_a_network_is_loaded_once_and_describes_a_picture_once_for_all_settings():
    loaded = []

    def load(preset, seed):
        loaded.append((preset, seed, Padded()))
        return loaded[-1][2]

    curves = RateCurves(load)
    for image in SEVERAL[:2]:
        curve = curves.of("half", 1, image)
        assert curve is curves.of("half", 1, image) and len(curve.rates) == len(codecs.family("JPEG").grid)
        for setting in (5, 10, 20):
            assert curve.point(setting) == points.measure(codecs.Jpeg(setting), image[1], setting)
    (one,) = loaded
    assert one[:2] == ("half", 1) and one[2].described == [(64, 48)] * 2
    assert curves.of("JPEG", 0, SEVERAL[0]) is curves.of("JPEG", 1, SEVERAL[0])


@pytest.mark.stack
def test_a_real_codecs_curve_is_what_its_files_are(tmp_path):
    from papers.zhao_mixedres.codec import Codec
    from papers.zhao_mixedres.learning import Networks

    narrow = dataclasses.replace(config.HALF_WEBP, num_maps=2)
    weights.save(tmp_path / "w", "zhao_mixedres/half_webp", narrow, checkpoints.model_arrays(Networks(narrow)), {})
    codec = Codec(weights.load(tmp_path / "w"))
    curve = RateCurves(lambda preset, seed: codec).of("half_webp", 0, SEVERAL[0])
    assert set(curve.rates) == {*codecs.family("WebP").grid}
    for setting in (10, 50):
        assert curve.point(setting) == points.measure(codec.with_settings(quality=setting), SEVERAL[0][1], setting)


@pytest.mark.parametrize("off, sign", [(0, 0), (6, 1), (-6, 1)])
def test_a_difference_is_positive_where_the_first_codec_is_better(off, sign):
    curves = RateCurves(lambda preset, seed: Padded(off=off if preset == "half_l2" else 0))
    entry = equal_rate.difference_entry("L2", ("half", "half_l2"), 0, curves, SEVERAL[0])
    assert [np.sign(entry["psnr"]), np.sign(entry["ssim"])] == [sign, sign]
    assert entry["rate"] == entry["other_rate"] and "nearest_rate" not in entry


def test_two_networks_are_compared_at_the_rate_of_either():
    curves = RateCurves(lambda preset, seed: Padded(more=20 * (preset == "half_l2"), off=2))
    entry = equal_rate.difference_entry("L2", ("half", "half_l2"), 0, curves, SEVERAL[0])
    back = equal_rate.difference_entry("L2", ("half_l2", "half"), 0, curves, SEVERAL[0])
    assert (entry["rate"], entry["other_rate"]) == (back["other_rate"], back["rate"])
    assert (entry["psnr"], entry["ssim"]) == pytest.approx((-back["psnr"], -back["ssim"]))
    ours, other = (curves.of(name, 0, SEVERAL[0]) for name in ("half", "half_l2"))
    at_ours = ours.point(10).psnr - other.at_rate(ours.rates[10])["psnr"]
    at_others = ours.at_rate(other.rates[10])["psnr"] - other.point(10).psnr
    assert entry["psnr"] == pytest.approx((at_ours + at_others) / 2, abs=1e-6) and min(at_ours, at_others) > 0


def test_more_bytes_for_the_same_picture_are_a_loss_at_equal_rate():
    curves = RateCurves(lambda preset, seed: Padded(more=20))
    entry = equal_rate.difference_entry("JPEG", ("half", "JPEG"), 0, curves, SEVERAL[0])
    jpeg = [points.measure(codecs.Jpeg(quality), SEVERAL[0][1], quality) for quality in range(1, 60)]
    ours = metrics.bits_per_pixel(len(codecs.Jpeg(10).compress(SEVERAL[0][1])) + 20, 64, 48)
    lost = points.at_rate(jpeg, ours) - jpeg[9].psnr
    assert entry["rate"] == round(ours, 6) and entry["psnr"] == pytest.approx(-lost, abs=0.1) and lost > 0.5


@pytest.mark.parametrize("quality, more, nearest", [(10, -400, min), (95, 1500, max)])
def test_where_the_other_codec_has_no_such_file_both_are_compared_at_the_size_of_its_nearest(quality, more, nearest):
    curves = RateCurves(lambda preset, seed: Padded(more=more, quality=quality))
    entry = equal_rate.difference_entry("JPEG", ("half", "JPEG"), 0, curves, SEVERAL[0])
    ours, jpeg = (curves.of(name, 0, SEVERAL[0]) for name in ("half", "JPEG"))
    last = nearest(jpeg.rates, key=jpeg.rates.__getitem__)
    assert entry["nearest_rate"] == round(jpeg.rates[last], 6) != entry["rate"] == round(ours.rates[quality], 6)
    assert entry["psnr"] == pytest.approx(ours.at_rate(jpeg.rates[last])["psnr"] - jpeg.point(last).psnr, abs=1e-6)
    assert entry["own_psnr"] == pytest.approx(ours.point(quality).psnr - jpeg.point(last).psnr, abs=1e-6)


# --- what is judged ---

ONE = PresetComparison("L2", "L1 is better", (("half", "half_l2"),))
QUALITIES = PresetComparison("JPEG, low rate", "It is better", tuple((name, "JPEG") for name in LOW))


def entries(one, values, **more):
    """Return the entries of a comparison for differences (trainings, pictures), of seeds or of pairs."""
    several = len(one.pairs) > 1
    return [
        {
            "row": one.name,
            "codec": one.pairs[i if several else 0][0],
            "other": one.pairs[0][1],
            "seed": 0 if several else i,
            "picture": f"{j:02d}",
            "rate": 0.2,
            **more,
            "psnr": float(value),
            "ssim": float(value) / 10,
        }
        for i, row in enumerate(np.asarray(values))
        for j, value in enumerate(row)
    ]


def spread(mean, deviation, trainings=3, pictures=12):
    noise = np.random.RandomState(3).normal(size=(trainings, pictures))
    return mean + deviation * (noise - noise.mean())


def document_of(found, scale="small"):
    found.provenance["test_set"] = {"name": "set12", "pictures": 12, "digest": ""}
    document = document_module.join(TABLE, scale, None, found)
    assert document_module.recompute(document) == document
    return document


@pytest.mark.parametrize(
    "mean, deviation, verdict",
    [(0.5, 0.1, "holds"), (-0.5, 0.1, "does not hold"), (0.02, 1.0, "undecided"), (-0.02, 1.0, "undecided")],
)
def test_the_sign_of_the_mean_difference_decides_unless_the_interval_covers_nothing(mean, deviation, verdict):
    measured = entries(ONE, spread(mean, deviation))
    found = document_module.Reproduction(pictures=measured, claims=claims.comparison_claims(ONE, measured))
    by_psnr, by_ssim = document_of(found)["claims"]
    assert (by_psnr["verdict"], by_ssim["verdict"]) == (verdict, verdict)
    assert by_psnr["found"] == pytest.approx(mean, abs=1e-6) and by_ssim["found"] == pytest.approx(mean / 10, abs=1e-6)
    low, high = intervals.interval_of_mean(spread(mean, deviation))
    assert by_psnr["interval"] == pytest.approx([low, high], rel=1e-5)
    assert f"Half the interval, {(high - low) / 2:.2g} dB, is the effect that could be detected" in by_psnr["note"]
    assert "3 trainings (seeds 0, 1, 2) on 12 pictures" in by_psnr["note"] and "In " not in by_psnr["note"]


def test_trainings_that_disagree_decide_nothing_however_many_pictures_agree():
    values = np.array([[0.3], [-0.2], [0.1]]) + spread(0, 0.001)
    assert {one["verdict"] for one in claims.comparison_claims(ONE, entries(ONE, values))} == {"undecided"}


def test_qualities_stand_in_place_of_seeds_and_the_note_says_so():
    measured = entries(QUALITIES, spread(1.0, 0.1))
    assert equal_rate.differences(measured, QUALITIES.name, "psnr").shape == (3, 12)
    first, _ = claims.comparison_claims(QUALITIES, measured)
    assert first["verdict"] == "holds"
    assert "3 trainings (for qualities 5, 10, 20, in place of seeds) on 12 pictures" in first["note"]


@pytest.mark.parametrize("trainings, pictures", [(1, 12), (3, 4), (0, 12)])
def test_one_training_or_a_few_pictures_are_not_judged(trainings, pictures):
    one = next(each for each in Plan().comparisons if each.name == "L2")
    point = {"seed": 0, "picture": "01", "setting": 10, "rate": 0.2, "psnr": 30.0, "ssim": 0.9}
    networks = [{"row": preset, **point} for preset in one.presets]
    found = claims.judged(networks + entries(one, spread(5.0, 0.01, 3, pictures)[:trainings]), Plan())
    assert [each["claim"] for each in found.claims if each["claim"].startswith(one.sentence)] == []
    assert [note for note in found.notes if "not judged" in note][0].startswith("L2: not judged.")


@pytest.mark.parametrize("nearest_rate, size", [(0.3, "larger"), (0.1, "smaller")])
def test_files_of_another_size_are_counted(nearest_rate, size):
    apart = entries(ONE, spread(1.0, 0.1, 1), nearest_rate=nearest_rate, own_psnr=-0.5, own_ssim=0.0)
    measured = entries(ONE, spread(1.0, 0.1, 2)) + [{**entry, "seed": 2} for entry in apart]
    by_psnr, by_ssim = claims.comparison_claims(ONE, measured)
    assert f"In 12 of 36 cases the second codec's nearest file is {size}" in by_psnr["note"]
    assert by_psnr["found"] == pytest.approx(1.0) and "the mean is 0.5 dB." in by_psnr["note"]
    assert "the mean is 0.0667." in by_ssim["note"]


def curves_of(slopes, crossing_at):
    """Return entries of the networks: lines over the log of the rate that cross at one rate, for every picture."""
    found = []
    for (names, settings, rates), slope in zip(
        (((LOW), (30, 40, 60), (0.1, 0.15, 0.2, 0.3, 0.4, 0.6)), (FULL, (3, 5), (0.4, 0.6, 0.8, 1.0, 0.2, 0.3))),
        slopes,
        strict=True,
    ):
        codes = [(name, getattr(config, name.upper()).quality) for name in names]
        codes += [(names[-1] if names == LOW else names[0], setting) for setting in settings]
        for (name, setting), rate in zip(codes, rates, strict=True):
            level = 30 + slope * math.log(rate / crossing_at)
            measured = {"rate": rate, "psnr": level, "ssim": level / 100}
            found += [{"row": name, "seed": 0, "picture": p, "setting": setting, **measured} for p in ("01", "02")]
    return found


def test_two_resolutions_cross_where_their_lines_do():
    measured = curves_of((4, 9), 0.35)
    by_psnr, by_ssim = claims.crossing_claims(measured, Plan())
    assert (by_psnr["found"], by_psnr["claimed"], by_psnr["verdict"]) == (2, 2, "holds") and by_ssim["found"] == 2
    assert "from 0.35 to 0.35 bpp on, for the mean of the pictures from 0.35 bpp on" in by_psnr["note"]
    further = claims.further(measured, Plan())
    where = further["full is better from, bpp, PSNR"]
    assert where == pytest.approx({"01": 0.35, "02": 0.35, "mean of the pictures": 0.35}, rel=0.01)
    assert further["rate, bpp"] == dict(zip((*LOW, *FULL), (0.1, 0.15, 0.2, 0.4, 0.6, 0.8, 1.0), strict=True))
    assert further["PSNR, dB"]["low_qf20"] == pytest.approx(30 + 4 * math.log(0.2 / 0.35), abs=1e-5)


@pytest.mark.parametrize("slopes, at", [((4, 9), 0.1), ((4, 9), 0.9), ((9, 4), 0.35)])
def test_resolutions_that_do_not_cross_as_said_are_no_picture_that_does(slopes, at):
    measured = curves_of(slopes, at)
    for judged in claims.crossing_claims(measured, Plan()):
        assert judged["found"] == 0 and judged["verdict"] == "does not hold"
        assert "better from" not in judged["note"] and judged["note"].endswith("Not so on 01, 02.")
    assert not any("better from" in column for column in claims.further(measured, Plan()))


def test_without_all_networks_of_both_resolutions_nothing_crosses():
    measured = [entry for entry in curves_of((4, 9), 0.35) if entry["row"] != "full_qf30"]
    assert claims.crossing_claims(measured, Plan()) == []


@pytest.mark.stack
def test_the_stride_saves_what_the_papers_layers_tell():
    low = 160**2 * 81 * 128 + 80**2 * (6 * 9 * 128**2 + 81 * 128)
    full = 160**2 * (81 * 128 + 6 * 9 * 128**2 + 81 * 128)
    judged = claims.complexity_claim()
    assert judged["found"] == pytest.approx(full / low, abs=1e-6) and judged["verdict"] == "holds"


# --- what is compared ---


def test_every_preset_is_compared_and_every_network_of_a_comparison_is_a_preset():
    assert set(Plan().presets) == set(presets(config))
    names = [one.name for one in Plan().comparisons]
    assert len(set(names)) == len(names) == 20 and not {*names} & {*presets(config)}
    # With JPEG's standard tables as well, beside the stronger anchor, which is judged.
    assert sum(one.judged for one in Plan().comparisons) == 15
    for one in Plan().comparisons:
        qualities = [[presets(config)[p].quality for p in pair if p in presets(config)] for pair in one.pairs]
        assert all(len(set(of_pair)) == 1 for of_pair in qualities)


def test_each_ablation_differs_from_the_reference_in_one_setting():
    changed = {}
    for one in Plan().comparisons:
        (ours, other), *_ = one.pairs
        if ours == "half" and other not in (*equal_rate.STANDARD, "half_jiang", "half_interpolated"):
            a, b = (dataclasses.asdict(presets(config)[name]) for name in (ours, other))
            changed[one.name] = [field for field in a if a[field] != b[field]]
    expected = {"no VCNN": ["through"], "VCNN on z": ["vcnn_input"], "L2": ["norm"], "no SSIM loss": ["ssim_weight"]}
    assert changed == expected


def test_comparisons_without_weights_are_named_with_what_trains_them():
    seeds = {preset: [] if preset in ("half_l2", "jiang_low_qf5", "full_qf40") else [0] for preset in Plan().presets}
    missing = claims.not_run(Plan(), seeds, "small")
    concerned = {"Jiang, low rate", "Jiang to JPEG, low rate", "L2", "Jiang, high rate", "JPEG, high rate"}
    assert set(missing) == {*concerned, "low and full resolution"}
    assert "relic train zhao_mixedres/half_l2 --scale small" in missing["L2"] and "FLOP" in missing["L2"]
    by_name = {one.name: one for one in Plan().comparisons}
    assert claims.shared(by_name["Jiang, low rate"], ("low_qf10", "jiang_low_qf10"), seeds) == []
    assert claims.shared(by_name["JPEG, low rate"], ("low_qf10", codecs.JPEG_OPTIMISED), seeds) == [0]


def test_only_seeds_that_both_networks_have_are_compared():
    seeds = {preset: [0, 1] if preset == "half_l2" else [0, 1, 2] for preset in Plan().presets}
    assert claims.shared(ONE, ONE.pairs[0], seeds) == [0, 1]


def test_seeds_are_chosen_among_the_ablations_alone(monkeypatch):
    monkeypatch.setattr(networks, "shipped_seeds", lambda one, scale: [0, 1, 2] if one.num_maps == 64 else [0])
    options = command.Options(TABLE, {}, "small", seeds=[1, 2])
    assert claims.seeds_of(options, "half_l2") == [1, 2] and claims.seeds_of(options, "low_qf5") == [0]


def test_the_published_file_is_a_list_of_claims_about_set12():
    paper = published.load(TABLE)
    assert paper.rows == [] and (paper.test_set, paper.pictures) == ("set12", 12)
    experiment = importlib.import_module("experiments.claims_zhao")
    assert experiment.TABLE == TABLE and len(experiment.NETWORKS) == 9


# --- everything together ---


@pytest.fixture
def stubs(monkeypatch):
    """Stand in for networks: Jiang's take 30 bytes more, those in full resolution 60; some are two levels off."""

    def load(preset, scale, seed):
        more = 30 * preset.count("jiang") + 60 * preset.startswith("full")
        codec = Padded(more=more + seed, off=2 if preset.startswith("low") or preset == "half_l2" else 0)
        codec.config = SimpleNamespace(**dataclasses.asdict(presets(config)[preset]))
        codec.config.standard_codec = "JPEG"  # quality 50 and 10 of the others are qualities of JPEG too
        codec.setting = codec.config.quality
        return codec

    seeds = {"half": [0, 1, 2]}
    monkeypatch.setattr(claims.codec_module, "load", load)
    monkeypatch.setattr(claims, "seeds_of", lambda options, preset: seeds["half"] if "half" in preset else [0])
    about = {"name": "set12", "pictures": len(SEVERAL), "digest": ""}
    monkeypatch.setattr(table_pictures, "pictures_of", lambda options, paper: (list(SEVERAL), about, "a stand-in"))
    monkeypatch.setattr(networks, "made_by", lambda one, scale, shipped: {"seeds": str(shipped)})
    return seeds


@pytest.mark.slow
@pytest.mark.stack
def test_everything_measured_is_judged_drawn_and_follows_from_the_document(stubs):
    found = claims.reproduce(command.Options(TABLE, {}, "small"))
    assert found.missing == {} and "a stand-in" in found.notes
    assert len(found.claims) == 2 * 15 + 2 + 1 and len(found.provenance["networks"]) == 23
    document = document_of(found)
    again = claims.judged(document["pictures"], Plan())
    assert (again.claims, again.further) == (document["claims"], document["further"])
    verdicts = {one["claim"]: one["verdict"] for one in document["claims"]}
    assert verdicts["At low rate the proposed codec is better than Jiang's (Section 3.2): PSNR, dB"] == "holds"
    assert verdicts["FDNN learns better with the SSIM loss (Eq. 4): PSNR, dB"] == "undecided"
    assert document["figures"] == ["claims.png", "claims_standard.png", "claims_crossing.png", "claims_pictures.png"]
    assert len(found.figures["pictures"].images) == 4
    assert [broken for figure in found.figures.values() for broken in broken_rules(figure)] == []


@pytest.mark.slow
@pytest.mark.stack
def test_what_is_missing_is_left_out_of_claims_and_figures(stubs):
    stubs["half"] = []
    found = claims.reproduce(command.Options(TABLE, {}, "small"))
    names = [one.name for one in Plan().comparisons if one.judged and any("half" in p for p in one.presets)]
    assert list(found.missing) == names and len(names) == 9
    assert len(found.claims) == 2 * 6 + 2 + 1 and set(found.figures) == {"crossing", "pictures"}
    document_of(found)


def test_a_strip_has_a_point_for_every_picture_and_training_and_a_mean():
    measured = entries(ONE, [[1, 2, 3], [4, 5, 6]])
    figure = claims_figures.strips(measured, {"L2": "L2 for L1"}, figures.Basis("small", "three pictures"))
    *marks, zero = figure.axes[0].lines
    assert [list(line.get_xdata()) for line in marks] == [[1, 2, 3], [4, 5, 6], [3.5]]
    assert list(zero.get_xdata()) == [0, 0] and broken_rules(figure) == []
