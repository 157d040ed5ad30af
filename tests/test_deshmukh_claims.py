"""Deshmukh's sentences: known differences judged, codes and steps by closed forms, starts that cannot learn."""

import copy
import json
from types import SimpleNamespace

import numpy as np
import pytest
from figure_rules import broken_rules
from narrow import picture

from common import files, metrics
from common.classical import codecs
from common.config import find_preset, presets
from common.tables import command, intervals, networks, published
from common.tables import document as document_module
from common.tables import files as table_files
from common.tables import test_pictures as table_pictures
from common.tables.figures import Basis
from common.training import shipped
from papers.deshmukh_irm import config
from papers.deshmukh_irm.reproduction import claims, claims_learning
from papers.deshmukh_irm.reproduction.claims import COMPARISONS, PLAIN, PRESETS, RowComparison
from papers.deshmukh_irm.reproduction.test_pictures import bicubic, scaled

stack = pytest.mark.stack
TABLE = "deshmukh_irm/claims"
PICTURES = tuple(f"kodim{i:02d}" for i in range(1, 13))
HOLDS, FAILS, UNDECIDED = "holds", "does not hold", "undecided"


def entries_of(row, field, values):
    """Return entries of a row for values (trainings, pictures)."""
    values = np.asarray(values, np.float64)
    return [
        {"row": row, "seed": seed, "picture": PICTURES[i], field: float(value)}
        for seed, of_seed in enumerate(values)
        for i, value in enumerate(of_seed)
    ]


def spread(mean, deviation, trainings=3, pictures=12, seed=3):
    """Return values (trainings, pictures) of just this mean."""
    noise = np.random.RandomState(seed).normal(size=(trainings, pictures))
    return mean + deviation * (noise - noise.mean())


def judged(one, difference, deviation=0.01):
    """Judge a comparison whose rows differ by so much on average."""
    other = spread(30.0, 2.0, 1 if one.other == PLAIN else 3)
    ours = spread(30.0 + difference, 0.0) + np.tile(other[:1] - other[:1].mean(), (3, 1)) + spread(0, deviation, seed=4)
    other = np.tile(other[:1] - other[:1].mean() + 30.0, (len(other), 1))
    found = entries_of(one.ours, one.field, ours) + entries_of(one.other, one.field, other)
    return claims.comparison_claim(found, one)


def comparison(start, field="psnr"):
    """Return the one comparison of a field whose sentence begins so."""
    (one,) = (each for each in COMPARISONS if each.sentence.startswith(start) and each.field == field)
    return one


# --- what is compared ----------------------------------------------------------------------------------------------


def test_every_comparison_names_presets_and_fields_that_there_are_and_every_preset_is_compared():
    assert set(PRESETS) < set(presets(config)) and len(set(PRESETS)) == len(PRESETS)
    assert set(claims.SMOKE_PRESETS) < set(PRESETS) and len(set(claims.NAMES.values())) == len(PRESETS) + 1
    for one in COMPARISONS:
        assert one.ours in PRESETS and one.other in (*PRESETS, PLAIN) and one.ours != one.other
        assert one.field in claims.FIELDS and one.relation in ("above", "below")
    assert {name for one in COMPARISONS for name in (one.ours, one.other)} == {*PRESETS, PLAIN}
    texts = [(one.sentence, one.field) for one in COMPARISONS]
    assert len(set(texts)) == len(texts) == 22


def test_the_published_file_is_a_list_of_claims_about_kodak():
    paper = published.load(TABLE)
    assert paper.rows == [] and (paper.test_set, paper.pictures) == ("kodak", 24)


# --- what is judged ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "start, field, holding, failing, open_question",
    [
        ("The proposed model is better than the baseline (Sections 4 and 5) as the paper", "psnr", 0.1, -0.1, 0.0),
        ("The proposed model is better than the baseline (Sections 4 and 5) as Jiang", "ssim", 0.1, -0.1, 0.0),
        ("Skip connections help", "psnr", 0.1, -0.1, 0.0),
        ("Separable layers cost no quality", "psnr", -0.2, -0.3, -0.25),
        ("64 maps in the ICM are no better", "psnr", 0.2, 0.3, 0.25),
        ("Grey pictures are coded better", "psnr", 0.1, -0.1, 0.0),
        ("More augmented images", "psnr", 0.1, -0.1, 0.0),
        ("COCO is better", "psnr", 0.1, -0.1, 0.0),
        ("Eq. 2's second term gives codes of lower variance (Section 1), read literally", "deviation", -0.1, 0.1, 0.0),
        ("Eq. 2's second term gives codes of fewer values (Section 1), read towards", "distinct", -0.1, 0.1, 0.0),
        ("Eq. 2's second term gives codes of less entropy (Section 1), read literally", "entropy", -0.1, 0.1, 0.0),
        ("The second term costs no quality", "psnr", -0.2, -0.3, -0.25),
        ("On pixels from 0 to 1 the loss lets the IRM add as much", "residual", 0.1, -0.1, 0.0),
        ("On pixels from 0 to 1 the loss gives as good pictures", "psnr", -0.2, -0.3, -0.25),
        ("Trained on pixels from 0 to 1 they are better", "psnr", 0.3, 0.2, 0.25),
        ("The networks are better than plain bicubic", "psnr", 0.1, -0.1, 0.0),
    ],
)
def test_a_sentence_holds_beyond_its_limit_and_not_on_the_other_side(start, field, holding, failing, open_question):
    one = comparison(start, field)
    found = [judged(one, difference) for difference in (holding, failing, open_question)]
    assert [each["verdict"] for each in found] == [HOLDS, FAILS, UNDECIDED]
    assert [each["found"] for each in found] == pytest.approx([holding, failing, open_question], abs=1e-6)
    assert judged(one, holding, deviation=1.0)["verdict"] == UNDECIDED
    assert found[0]["claim"] == f"{one.sentence}: {one.ours} - {one.other}, {claims.FIELDS[field]}"


def test_a_difference_is_paired_by_picture_and_has_its_interval():
    one = RowComparison("A", "grey", "grey_without_skips")
    ours, other = spread(31.0, 0.2), spread(30.5, 0.3, trainings=2, seed=5)
    found = claims.comparison_claim(entries_of("grey", "psnr", ours) + entries_of(one.other, "psnr", other), one)
    low, high = intervals.interval_of_difference(ours, other)
    assert found["interval"] == pytest.approx([low, high], rel=1e-5) and found["found"] == pytest.approx(0.5, abs=1e-6)
    assert found["note"].startswith("31 and 30.5; 3 and 2 trainings, 12 pictures. Half the interval, ")
    assert f"{(high - low) / 2:.2g}, is the effect" in found["note"]


def test_trainings_that_disagree_decide_nothing_however_many_pictures_agree():
    one = RowComparison("A", "grey", "grey_without_skips")
    ours = np.array([[30.3], [29.8], [30.1]]) + spread(0, 0.001)
    measured = entries_of("grey", "psnr", ours) + entries_of(one.other, "psnr", spread(30.0, 0.001))
    assert claims.comparison_claim(measured, one)["verdict"] == UNDECIDED


def test_below_five_pictures_there_is_no_interval_and_nothing_is_judged():
    one = RowComparison("A", "grey", "grey_without_skips")
    for pictures, has in ((4, False), (5, True)):
        ours, other = (spread(level, 0.001, pictures=pictures) for level in (33.0, 30.0))
        measured = entries_of("grey", "psnr", ours) + entries_of(one.other, "psnr", other)
        found = claims.comparison_claim(measured, one)
        assert ("interval" in found, "Half the interval" in found["note"]) == (has, has)
        assert found["found"] == pytest.approx(3.0, abs=1e-6)


def of_grey(**fields):
    """Return entries of the grey networks with fields (trainings, pictures)."""
    parts = [entries_of("grey", name, values) for name, values in fields.items()]
    return [{key: value for part in of_one for key, value in part.items()} for of_one in zip(*parts, strict=True)]


@pytest.mark.parametrize(
    "cost, deviation, verdict", [(0.2, 0.01, HOLDS), (-0.5, 0.01, HOLDS), (0.3, 0.01, FAILS), (0.2, 1.0, UNDECIDED)]
)
@pytest.mark.parametrize("name", claims.PICTURE_FORMATS)
def test_a_file_format_hardly_matters_up_to_a_quarter_of_a_decibel(name, cost, deviation, verdict):
    psnr = spread(30.0, 0.01)
    measured = of_grey(**{"psnr": psnr, name: psnr - spread(cost, deviation, seed=6)})
    found = claims.format_claim(measured, name)
    assert found["verdict"] == verdict and found["found"] == pytest.approx(-cost, abs=1e-6)
    assert name in found["claim"] and found["claimed"] == -0.25


@pytest.mark.parametrize("gain, deviation, verdict", [(0.04, 0.01, HOLDS), (-0.04, 0.01, FAILS), (0.04, 1, UNDECIDED)])
def test_the_srgan_is_compared_with_bicubic_on_the_same_codes(gain, deviation, verdict):
    psnr = spread(30.0, 0.01)
    found = claims.srgan_claim(of_grey(psnr=psnr, srgan_psnr=psnr + spread(gain, deviation, seed=6)))
    assert found["verdict"] == verdict and found["found"] == pytest.approx(gain, abs=1e-6)
    assert "28.48 and 28.44 dB" in found["claim"]


def test_ways_to_use_the_same_networks_are_paired_by_training_too():
    psnr = np.array([[29.0], [30.0], [32.0]]) + spread(0, 1.0)
    srgan = psnr + spread(0.1, 0.01, seed=6)
    found = claims.srgan_claim(of_grey(psnr=psnr, srgan_psnr=srgan))
    assert found["interval"] == pytest.approx(intervals.interval_of_mean(srgan - psnr), rel=1e-4)
    assert found["verdict"] == HOLDS and "; 3 trainings, 12 pictures." in found["note"]
    unpaired = entries_of("grey", "psnr", srgan) + entries_of("grey_icm64", "psnr", psnr)
    assert claims.comparison_claim(unpaired, RowComparison("A", "grey", "grey_icm64"))["verdict"] == UNDECIDED


# --- codes by closed forms -----------------------------------------------------------------------------------------


def test_a_constant_code_has_no_entropy_and_two_equal_halves_one_bit():
    flat = np.full((6, 8, 1), 77, np.uint8)
    assert claims.code_values(flat) == {"entropy": 0.0, "deviation": 0.0, "distinct": 1.0}
    halves = flat.copy()
    halves[:, 4:] = 97
    assert claims.code_values(halves) == {"entropy": 1.0, "deviation": 10.0, "distinct": 2.0}
    every = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    deviation = np.sqrt((256**2 - 1) / 12)
    assert claims.code_values(every) == pytest.approx({"entropy": 8.0, "deviation": deviation, "distinct": 256.0})
    both = np.concatenate([flat, halves], axis=-1)
    assert claims.code_values(both) == {"entropy": 0.5, "deviation": 5.0, "distinct": 1.5}


class Shifted:
    """A codec whose IRM adds a constant to a code that is the picture scaled down."""

    def __init__(self, added, channels=1, srgan_adds=None, architecture="proposed"):
        self.config = SimpleNamespace(channels=channels, architecture=architecture, stride=2)
        self.added, self.srgan = added, srgan_adds

    def with_settings(self, srgan=None):
        other = copy.copy(self)
        other.srgan = srgan
        return other

    def compress(self, image):
        self.image = image
        return self.code(image).tobytes()

    def decompress(self, data):
        code = np.frombuffer(data, np.uint8).reshape(self.code(self.image).shape)
        return self.restored(code, self.image, self.srgan)

    def code(self, x):
        return bicubic(x)[0].reshape(-(-x.shape[0] // 2), -(-x.shape[1] // 2), -1)

    def upsampled(self, values, srgan=None):
        return np.repeat(np.repeat(values, 2, axis=0), 2, axis=1)

    def restored(self, code, x, srgan=None):
        added = self.added if srgan is None else srgan
        return (self.upsampled(code) + np.uint8(added)).reshape(x.shape)


@pytest.mark.parametrize("shape", [(16, 16), (16, 16, 3)])
def test_what_is_measured_of_a_codec_that_adds_three_levels_is_known(shape):
    x = np.full(shape, 100, np.uint8)
    found = claims.picture_values(Shifted(3, shape[2] if len(shape) == 3 else 1, srgan_adds=1), x, "p")
    assert found["residual"] == 3.0 and (found["entropy"], found["distinct"]) == (0.0, 1.0)
    assert found["psnr"] == pytest.approx(20 * np.log10(255 / 3))
    assert found["srgan_psnr"] == pytest.approx(20 * np.log10(255))
    assert 20 * np.log10(255 / 5) < found["JPEG quality 95"] < 100
    assert found["ssim"] == pytest.approx(metrics.ssim(x, x + np.uint8(3)))
    for codec in (Shifted(3), Shifted(3, srgan_adds=1, architecture="baseline")):
        assert "srgan_psnr" not in claims.picture_values(codec, x[..., 0] if len(shape) == 3 else x, "p")


def test_the_saved_code_is_what_is_restored():
    x = picture(40, 60, 1)
    codec, saved = Shifted(0), codecs.Jpeg(95)
    code = codec.code(x)[..., 0]
    again = saved.decompress(saved.compress(code))
    assert not np.array_equal(again, code)
    found = claims.picture_values(codec, x, "p")
    assert found["JPEG quality 95"] == metrics.psnr(x, codec.restored(again[..., None], x)) != found["psnr"]
    assert set(found) == {*claims.FIELDS, *claims.PICTURE_FORMATS} - {"srgan_psnr"}


def test_plain_bicubic_is_measured_like_a_codec_whose_irm_adds_nothing():
    x = picture(40, 60, 1)
    found = claims.plain_values(x)
    small, x_hat = bicubic(x)
    assert (found["psnr"], found["ssim"]) == (metrics.psnr(x, x_hat), metrics.ssim(x, x_hat))
    assert found["distinct"] == len(np.unique(small)) and "residual" not in found


def test_measurements_are_one_a_preset_training_and_picture_in_its_own_colours(monkeypatch):
    loaded = []

    def load(preset, scale, seed):
        loaded.append((preset, scale, seed))
        return Shifted(seed, find_preset(config, preset).channels)

    monkeypatch.setattr(claims.codec_module, "load", load)
    pictures = [(name, picture(30, 40, seed=i)) for i, name in enumerate(PICTURES[:2])]
    found = claims.measure("small", {"grey": [0, 2], "rgb": [1], "grey_stl10": []}, pictures, None)
    assert loaded == [("grey", "small", 0), ("grey", "small", 2), ("rgb", "small", 1)]
    places = [(entry["row"], entry["seed"], entry["picture"]) for entry in found]
    expected = [(PLAIN, 0), ("grey", 0), ("grey", 2), ("rgb", 1)]
    assert places == [(row, seed, name) for row, seed in expected for name in PICTURES[:2]]
    by_place = dict(zip(places, found, strict=True))
    x = scaled(pictures[1][1], 3)
    expected_psnr = metrics.psnr(x, Shifted(1, 3).restored(Shifted(1, 3).code(x), x))
    assert by_place["rgb", 1, PICTURES[1]]["psnr"] == pytest.approx(expected_psnr, abs=1e-6)
    assert by_place["grey", 0, PICTURES[0]]["residual"] == 0 < by_place["grey", 2, PICTURES[0]]["residual"]


# --- steps ---------------------------------------------------------------------------------------------------------


def log_of(errors, step=10, part=None):
    more = {"part": part} if part else {}
    return [{"step": step * i, "squared_error": float(error), **more} for i, error in enumerate(errors, 1)]


FALLING = log_of(1000.0 - np.arange(1, 101))


def test_means_are_over_five_rows_and_stand_at_the_last_of_them():
    steps, errors = claims_learning.smoothed(log_of([10, 20, 30, 40, 50, 110, 20]))
    assert steps.tolist() == [50, 60, 70] and errors == pytest.approx([30, 50, 50])
    steps, errors = claims_learning.smoothed(log_of([10, 20, 60]))
    assert steps.tolist() == [30] and errors == pytest.approx([30])


@pytest.mark.parametrize("ahead, saved", [(50, 50.0), (25, 25.0), (95, 95.0), (0, 0.0), (-50, -50.0), (-25, -25.0)])
def test_the_share_of_the_steps_that_is_saved_is_how_far_the_errors_are_ahead(ahead, saved):
    """Both fall by 1 from row to row, one of them so many rows ahead."""
    ours = log_of(1000.0 - np.arange(1, 101) - ahead - (0.5 * np.sign(ahead)))
    assert claims_learning.share_saved(ours, FALLING) == pytest.approx(saved)
    assert claims_learning.share_saved(FALLING, ours) == pytest.approx(-saved)


def test_a_single_lucky_row_reaches_nothing():
    errors = np.full(100, 1000.0)
    errors[20] = 700.0
    errors[80:] = 800.0
    assert claims_learning.share_saved(log_of(errors), FALLING) == pytest.approx(17.0)  # the third row of those


def logs_of(ahead, others=("grey_without_skips",)):
    """Return logs of trainings that are so many rows ahead of the others, seed by seed."""
    logs = {}
    for seed, rows in enumerate(ahead):
        logs["grey", seed] = log_of(1000.0 - np.arange(1, 101) - rows - (0.5 * np.sign(rows)))
        logs.update({(other, seed): FALLING for other in others})
    return logs


@pytest.mark.parametrize(
    "ahead, verdict",
    [((49, 50, 51), HOLDS), ((-49, -50, -51), FAILS), ((50, -50, 10), UNDECIDED), ((50,), "not judged")],
)
def test_steps_are_saved_where_all_trainings_save_some(ahead, verdict):
    (found,) = claims_learning.claims(logs_of(ahead))
    assert found["verdict"] == verdict and found["found"] == pytest.approx(np.mean(ahead), abs=1e-4)
    assert found["note"].startswith(f"By seed {', '.join(map(str, ahead))} %;") and "19.65 % faster" in found["claim"]
    interval = intervals.interval_over_trainings(np.array(ahead))
    assert found["interval"] == (interval and pytest.approx(interval, rel=1e-4))


def test_only_trainings_of_both_presets_are_compared_and_presets_without_logs_are_left_out():
    logs = logs_of((10, 20, 30), others=("grey_without_skips", "baseline_as_written"))
    del logs["grey_without_skips", 1], logs["grey", 2]
    first, second = claims_learning.claims(logs)
    assert "without skip connections" in first["claim"] and first["found"] == 10.0
    assert "the baseline" in second["claim"] and second["found"] == 15.0
    assert claims_learning.claims({key: log for key, log in logs.items() if key[0] != "grey"}) == []


def test_the_turning_point_lies_between_the_parts_of_a_log():
    log = log_of([900, 1, 2, 3, 4, 5], part="by_batches") + log_of([5, 6, 7, 8, 9, 900], part="settled")
    assert claims_learning.turning_point(log) == (3.0, 7.0)
    assert claims_learning.turning_point(log[:6]) is None and claims_learning.turning_point(log[6:]) is None


def test_what_the_running_means_change_is_said_in_decibels():
    log = log_of([0.01] * 6, part="by_batches") + log_of([0.001] * 6, part="settled")
    (note,) = claims_learning.notes({("grey", 0): log, ("rgb", 0): log_of([0.5] * 12, part="settled")})
    assert "stays at 20.0 dB, and is at 30.0 dB" in note
    assert claims_learning.notes({("rgb", 0): log, ("grey", 0): log[:6]}) == []


# --- starts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(3, 3, 1, 3), (3, 3, 64, 64), (5, 5, 3, 64)])
def test_glorots_start_is_uniform_within_its_limits(shape):
    limit = np.sqrt(6 / (shape[0] * shape[1] * (shape[2] + shape[3])))
    generator = np.random.default_rng(1)
    count = 40000 // np.prod(shape) + 1
    drawn = np.concatenate([claims_learning.glorot(generator, shape).ravel() for _ in range(count)])
    assert drawn.dtype == np.float32 and claims_learning.glorot(generator, shape).shape == shape
    assert 0.99 * limit < np.abs(drawn).max() <= limit * (1 + 1e-6)
    assert drawn.var() == pytest.approx(limit**2 / 3, rel=0.03) and abs(drawn.mean()) < 0.02 * limit


@stack
@pytest.mark.parametrize("maps", [3, 64])
def test_starts_that_are_positive_live_and_starts_that_are_negative_are_dead(maps, monkeypatch):
    x = picture(24, 28, 1)
    signs = iter([1, 1, 1, -1, -1, -1, 1, 1, 1, 1, 1, 1])  # of three layers each

    def start(generator, shape):
        return np.full(shape, next(signs) / (9 * shape[2]), np.float32)

    monkeypatch.setattr(claims_learning, "glorot", start)
    assert [claims_learning.dead_share(1, maps, x) for _ in range(2)] == [0, 1]
    signs = iter([1, 1, 1, -1, -1, -1, 1, 1, 1, 1, 1, 1])
    assert claims_learning.dead_share(4, maps, x) == 0.25


@stack
def test_no_start_carries_a_picture_without_contrast():
    assert claims_learning.dead_share(3, 64, np.full((24, 28), 128, np.uint8)) == 1


@pytest.mark.parametrize("share, verdict", [(0.0, HOLDS), (0.0833333, FAILS)])
def test_one_dead_start_is_enough_for_the_sentence_not_to_hold(share, verdict, monkeypatch):
    asked = []
    shares = {3: share, 64: 0.25}

    def dead_share(count, maps, x):
        asked.append((count, maps))
        return shares[maps]

    monkeypatch.setattr(claims_learning, "dead_share", dead_share)
    (found,) = claims_learning.starts_claims(300, np.zeros((8, 8), np.uint8))
    assert (found["found"], found["verdict"]) == (round(share, 4), verdict) and asked == [(300, 3), (300, 64)]
    assert found["note"] == "Of 300 starts; a code that varies by less than one level. With 64 maps 25%."


# --- everything together -------------------------------------------------------------------------------------------


def everything(presets_there=PRESETS, trainings=2):
    """Return entries of all fields."""
    found = []
    names = [*claims.FIELDS, *claims.PICTURE_FORMATS]
    for i, row in enumerate((PLAIN, *presets_there)):
        count = 1 if row == PLAIN else trainings
        own = names[:5] if row == PLAIN else names
        parts = [entries_of(row, name, spread(20 + i, 1.0, count, seed=7 * i + j)) for j, name in enumerate(own)]
        found += [{key: value for part in of_one for key, value in part.items()} for of_one in zip(*parts, strict=True)]
    return found


def of_no_starts(count, x):
    return [document_module.claim(f"of {count} starts", "equals", 0, 0)]


@pytest.fixture
def whole(monkeypatch):
    """Return what is judged of fabricated entries and logs."""
    monkeypatch.setattr(claims_learning, "starts_claims", of_no_starts)
    logs = logs_of((10, 20), others=("grey_without_skips", "baseline_as_written"))
    return claims.judged(everything(), logs, 7, picture(30, 30))


BASIS = Basis("small", "Kodak, 12 pictures")
SAMPLE = {"name": "sample", "pictures": 2}


def document_of(found):
    return document_module.join(TABLE, "small", None, found)


def test_all_that_is_judged_follows_from_the_document(whole):
    whole.provenance = {"test_set": {"name": "kodak", "pictures": 12, "digest": ""}}
    whole.figures = {"": claims.drawn(whole.pictures, BASIS)}
    document = json.loads(json.dumps(document_of(whole)))
    assert document_module.recompute(document) == document and document["figures"] == ["claims.png"]
    assert len(document["claims"]) == 22 + 1 + 2 + 2 + 1 and document["cells"] == []
    again = [claims.comparison_claim(document["pictures"], one) for one in COMPARISONS]
    assert again == document["claims"][:22]
    changed = json.loads(json.dumps(document))
    changed["claims"][0]["verdict"] = "undecided" if document["claims"][0]["verdict"] == HOLDS else HOLDS
    assert document_module.recompute(changed) == document != changed


def test_means_stand_beside_by_row_and_field(whole):
    rows = [PLAIN, *PRESETS]
    assert whole.further["PSNR, dB"] == {row: 20.0 + i for i, row in enumerate(rows)}
    assert list(whole.further["what the IRM adds, mean levels"]) == list(PRESETS)
    assert list(whole.further) == list(claims.FIELDS.values())


def test_what_has_no_weights_is_left_out_of_the_claims(monkeypatch):
    monkeypatch.setattr(claims_learning, "starts_claims", of_no_starts)
    measured = [entry for entry in everything(("grey", "rgb")) if entry.pop("srgan_psnr", 1)]
    found = claims.judged(measured, {}, 7, picture(30, 30))
    texts = [one["claim"] for one in found.claims]
    assert len(texts) == 2 + 1 + 2 + 1 and "PSNR with the SRGAN, dB" not in found.further
    assert all(": grey - rgb, " in text for text in texts[:2]) and ": grey - plain bicubic, " in texts[2]


def test_fewer_than_five_pictures_are_measured_and_not_judged(monkeypatch):
    monkeypatch.setattr(claims_learning, "starts_claims", of_no_starts)
    first = PICTURES[:4]
    measured = [entry for entry in everything(("grey", "rgb")) if entry["picture"] in first]
    found = claims.judged(measured, {}, 7, picture(30, 30))
    assert [one["claim"] for one in found.claims] == ["of 7 starts"]
    assert found.notes[0] == "Not judged: that takes 5 pictures at least." and "PSNR, dB" in found.further


def test_the_figure_has_a_point_for_every_training():
    figure = claims.drawn(everything(("grey", "rgb"), trainings=3), BASIS)
    (axes,) = figure.axes
    trainings, means = axes.lines
    assert len(trainings.get_xdata()) == 1 + 3 + 3 and list(means.get_xdata()) == pytest.approx([21, 22])
    names = [claims.NAMES[row] for row in (PLAIN, "grey", "rgb")]
    assert [label.get_text() for label in axes.get_yticklabels()] == names and broken_rules(figure) == []


@stack
def test_smoke_measures_two_presets_and_says_which_pictures_stand_in(monkeypatch):
    monkeypatch.setattr(claims.codec_module, "load", lambda preset, scale, seed: Shifted(seed))
    monkeypatch.setattr(claims.tables, "srgan_of", lambda options: (None, {}))
    named = [(name, picture(30, 40, seed=i)) for i, name in enumerate(PICTURES[:2])]
    monkeypatch.setattr(table_pictures, "pictures_of", lambda options, paper: (named, SAMPLE, "a stand-in"))
    monkeypatch.setattr(networks, "seeds_of", lambda preset, scale, asked: [0] if preset == config.GREY else [])
    monkeypatch.setattr(shipped, "log", lambda preset, scale, seed: FALLING)
    monkeypatch.setattr(networks, "made_by", lambda preset, scale, seeds: {"seeds": str(seeds)})
    monkeypatch.setattr(networks, "how_to_train", lambda preset, scale: f"train at {scale}")
    monkeypatch.setattr(claims_learning, "starts_claims", of_no_starts)
    found = claims.reproduce(command.Options(TABLE, {}, "smoke"))
    assert found.missing == {"grey_without_skips": "train at smoke"} and found.notes[-1] == "a stand-in"
    assert found.provenance == {"test_set": SAMPLE, "networks": {"grey": {"seeds": "[0]"}}}
    assert found.claims[-1]["claim"] == "of 20 starts" and {e["row"] for e in found.pictures} == {PLAIN, "grey"}
    assert document_module.recompute(document_of(found)) == document_of(found)
    found = claims.reproduce(command.Options(TABLE, {}, "small"))
    assert found.claims[-1]["claim"] == "of 300 starts" and list(found.missing) == [p for p in PRESETS if p != "grey"]


# --- what is committed ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def committed():
    path = files.results_dir() / "small" / f"{TABLE}.json"
    if not path.is_file():
        pytest.skip(f"no {path}")
    return table_files.read(path)


def test_the_committed_claims_follow_from_their_measurements(committed):
    assert document_module.recompute(committed) == committed
    rows = {entry["row"] for entry in committed["pictures"]}
    there = [one for one in COMPARISONS if {one.ours, one.other} <= rows]
    again = [claims.comparison_claim(committed["pictures"], one) for one in there]
    again += [claims.srgan_claim(committed["pictures"])]
    again += [claims.format_claim(committed["pictures"], name) for name in claims.PICTURE_FORMATS]
    assert committed["claims"][: len(again)] == again and len(there) == len(COMPARISONS)
    assert committed["further"] == claims.further(committed["pictures"])
    assert {len([e for e in committed["pictures"] if e["row"] == row]) for row in (PLAIN, "grey")} == {24, 72}


def test_the_committed_claims_about_steps_follow_from_the_shipped_logs(committed):
    seeds = {row: sorted({e["seed"] for e in committed["pictures"] if e["row"] == row}) for row in PRESETS}
    every = [(preset, seed) for preset in PRESETS for seed in seeds[preset]]
    logs = {(p, seed): shipped.log(find_preset(config, p), committed["scale"], seed) for p, seed in every}
    again = claims_learning.claims(logs)
    assert again and [one for one in committed["claims"] if one["claim"].startswith("Fewer steps")] == again
    assert committed["notes"][: len(claims.notes([], logs))] == claims.notes([], logs)
