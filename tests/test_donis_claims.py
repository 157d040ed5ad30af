"""Sentences of Donis and Brown: what chance leaves undecided, values of constructed logs, counts, the experiment."""

import math
from dataclasses import replace

import numpy as np
import pytest
from figure_rules import broken_rules
from narrow import gradients
from test_donis_examples import options, results, ship  # noqa: F401  (results is a fixture)

from common import backend
from common.tables import document as document_module
from common.tables import published
from common.training import presets
from experiments import claims_donis
from papers.donis_convlstm import complexity, config, losses
from papers.donis_convlstm.learning import OneIteration
from papers.donis_convlstm.reproduction import claims, claims_logged, claims_measured, training_spread
from papers.donis_convlstm.reproduction.training_spread import Sentence, Source, Training

stack = pytest.mark.stack
RANDOM = np.random.default_rng(4)


def trained(*finals, **test):
    """Return trainings that end at these values of 1 - loss."""
    return [Training((0.3, final), (100.0, 200.0), test) for final in finals]


def source(repeats=("as_run",), **groups):
    return Source("ours", groups, repeats)


def sentence(relation="above", **weights):
    return Sentence("a is better than b", claims_logged.last, weights, relation)


# --- chance ---


def test_the_spread_is_pooled_over_settings_with_several_trainings():
    of = source(("a", "b", "c"), a=trained(0.1, 0.3), b=trained(0.5, 0.6, 0.7), c=trained(0.9))
    deviation, degrees = training_spread.spread(of, claims_logged.last)
    assert degrees == 3 and deviation == pytest.approx(math.sqrt((0.02 + 0.02) / 3))
    assert training_spread.spread(source(("c",), c=trained(0.9)), claims_logged.last) is None


def test_an_interval_of_two_groups_is_students():
    of = source(("a", "b"), a=trained(0.7, 0.8, 0.9), b=trained(0.4, 0.6))
    found = training_spread.effect(of, claims_logged.last, {"a": 1.0, "b": -1.0})
    s = math.sqrt((0.02 + 0.02) / 3)
    assert found.value == pytest.approx(0.3) and found.degrees == 3
    assert found.half == pytest.approx(3.1824 * s * math.sqrt(1 / 3 + 1 / 2))


def test_a_single_training_decides_what_is_larger_than_chance_and_nothing_else():
    again = trained(0.60, 0.62, 0.64)  # s = 0.02: half the interval is 4.3027 * 0.02 * sqrt(1/3 + 1)
    half = 4.3027 * 0.02 * math.sqrt(4 / 3)
    for excess, verdict in ((0.99, "undecided"), (1.01, "holds"), (-1.01, "does not hold"), (-0.99, "undecided")):
        of = source(as_run=again, other=trained(0.62 + excess * half))
        found = training_spread.judged(sentence(other=1.0, as_run=-1.0), of)
        assert found["verdict"] == verdict and found["found"] == pytest.approx(excess * half, abs=1e-6)
        assert "half the interval, 0.099, is what could be detected" in found["note"]


def test_without_a_setting_that_was_trained_twice_or_with_a_group_missing_nothing_is_judged():
    single = source(as_run=trained(0.5), other=trained(0.9))
    assert training_spread.judged(sentence(other=1.0, as_run=-1.0), single) is None
    several = source(as_run=trained(0.5, 0.6))
    assert training_spread.judged(sentence(other=1.0, as_run=-1.0), several) is None
    assert training_spread.judged(sentence(as_run=1.0), several)["verdict"] == "undecided"


def test_chance_alone_is_called_an_effect_in_one_of_twenty_cases():
    decided = 0
    for _ in range(1000):
        values = RANDOM.normal(0.5, 0.1, 7).tolist()
        of = source(("a", "b"), a=trained(*values[:3]), b=trained(*values[3:6]), c=trained(values[6]))
        decided += training_spread.judged(sentence(c=1.0, a=-0.5, b=-0.5), of)["verdict"] != "undecided"
    assert decided == pytest.approx(50, abs=25)


def test_what_curves_show_is_judged_by_the_largest_of_the_others():
    of = replace(source((), a=trained(0.8), b=trained(0.7), c=trained(0.1)), observed=True)
    seen = replace(sentence(a=1.0, b=-0.5, c=-0.5), observed=True)
    found = training_spread.judged(seen, of)
    assert found["found"] == pytest.approx(0.1) and found["verdict"] == "holds" and "interval" not in found
    assert training_spread.standing_out({"a": 0.4}) == 0.4


def test_one_training_refutes_what_is_said_of_all_and_none_proves_it():
    always = replace(sentence("below", a=1.0), limit=0.5, always=True)
    found = training_spread.judged(always, source(("a",), a=trained(0.1, 0.2, 0.6)))
    assert found["verdict"] == "does not hold" and found["found"] == 0.6 and "interval" not in found
    assert training_spread.judged(always, source(("a",), a=trained(0.1, 0.4)))["verdict"] == "undecided"
    assert training_spread.judged(always, source(("a",), a=trained(0.10, 0.12, 0.11)))["verdict"] == "holds"
    assert training_spread.judged(always, source((), a=trained(0.1))) is None


def test_trainings_that_gave_one_picture_for_all_inputs_are_counted():
    groups = {"as_run": trained(0.5, between_kept=0.6), "set_50k": trained(0.5, 0.4, between_kept=0.001)}
    (note,) = claims.the_same(claims_logged.ours({**groups, "mae": trained(0.5, between_kept=0.0)}))
    assert note.startswith("Of our 3 trainings with SSIM as loss 2 gave the same picture")
    assert claims.the_same(claims_logged.ours({})) == []


# --- values of a training ---


def test_falls_and_rises_between_epochs_are_those_of_the_constructed_curve():
    one = Training((0.5, 0.6, 0.58, 0.7), (100.0, 160.0, 130.0, 150.0))
    assert claims_logged.first(one) == 0.5 and claims_logged.last(one) == 0.7
    assert claims_logged.largest_fall(one) == 30 and claims_logged.largest_rise(one) == 20  # 60 is the first epoch's
    assert claims_logged.plotted_at_fall(one) == pytest.approx(-0.02)
    assert claims_logged.fall_by_range(one) == pytest.approx(0.02 / 0.2 - 30 / 60)
    rising = Training((0.5, 0.6), (100.0, 160.0))
    assert claims_logged.largest_fall(rising) == -60 and claims_logged.largest_rise(rising) is None
    alone = Training((0.5,), (100.0,))
    values = (claims_logged.largest_fall, claims_logged.plotted_at_fall, claims_logged.fall_by_range)
    assert [value(alone) for value in values] == [None, None, None]


def test_a_log_is_plotted_by_its_loss_and_by_ssim_where_the_loss_is_another():
    row = {"validation_loss": 0.36, "validation_ssim_range_2": 0.5, "validation_psnr_squared": 144.0}
    assert claims_logged.training(config.AS_RUN, [row], {}).plotted == pytest.approx((0.64,))
    assert claims_logged.training(config.MAE, [row], {}).plotted == pytest.approx((0.75,))


def test_as_run_is_a_batch_size_and_a_training_set_but_its_seeds_count_once():
    mine = claims_logged.ours({"as_run": trained(0.5, 0.7), "relu": trained(0.6), "mae": []})
    assert mine.trainings["batch_64"] is mine.trainings["set_100k"] is mine.trainings["as_run"]
    assert mine.repeats == ("as_run", "relu") and training_spread.spread(mine, claims_logged.last)[1] == 1


def test_sentences_compare_groups_or_tell_of_one():
    known = {*claims_logged.BATCHES, *claims_logged.SETS, "as_run", "relu", "mae"}
    for one in (*claims_logged.SENTENCES, *claims_measured.SENTENCES):
        total = math.fsum(one.weights.values())
        assert known.issuperset(one.weights) and total == pytest.approx(0 if len(one.weights) > 1 else 1)


def test_the_first_epoch_over_the_plateau_is_counted_from_one():
    assert claims.left(Training((0.5, 0.55, 0.6, 0.5), ())) == 3 and claims.left(Training((0.5,), ())) is None


# --- the authors' logs ---


def test_the_authors_single_trainings_decide_no_difference():
    sentences = [one for one in claims_logged.SENTENCES if not one.observed]
    found = [training_spread.judged(one, claims_logged.authors()) for one in sentences]
    assert {one["verdict"] for one in found if one} == {"undecided"} and sum(one is not None for one in found) == 3


def test_what_the_authors_curves_show_is_what_their_text_says_of_half_of_it():
    found = [training_spread.judged(one, claims_logged.authors()) for one in claims_logged.SENTENCES if one.observed]
    verdicts = {one["claim"].partition(" (")[0]: (one["verdict"], one["found"]) for one in found}
    assert verdicts["PSNR drops sharply at batch 512"] == ("holds", pytest.approx(19.47 - 15.03, abs=0.01))
    assert verdicts["PSNR rises sharply at batch 128"] == ("does not hold", pytest.approx(23.63 - 28.15, abs=0.01))
    assert verdicts["The drop at 512 is not in MS-SSIM"] == ("does not hold", pytest.approx(-0.0040, abs=1e-4))
    name = "After one epoch 50 thousand pictures are better than 200"
    assert verdicts[name] == ("does not hold", pytest.approx(0.8002 - 0.8713, abs=1e-4))


def test_the_authors_numbers_decide_accuracy_the_residual_loss_and_the_batch_of_32():
    plotted, similarity, residual, batch = claims_measured.author_claims()
    assert (plotted["verdict"], similarity["verdict"]) == ("holds", "does not hold")
    assert plotted["found"] == pytest.approx(1 - (1 - similarity["found"]) ** 2, abs=1e-5)
    assert plotted["note"].endswith("4 of 12 runs end at 95 % or more, none at 98 %.")
    assert {one["claimed"] for one in (plotted, similarity)} == {0.95}
    assert residual["verdict"] == "does not hold" and 0.02 < residual["found"] < 0.03
    assert batch["found"] == 64 and batch["verdict"] == "does not hold"


def test_the_central_note_has_the_spread_of_the_authors_one_setting():
    (note,) = claims.central(source((), a=trained(0.5)), claims_logged.authors())
    finals = [0.9496, 0.9605, 0.5155, 0.9519]
    assert f"standard deviation of {np.std(finals, ddof=1):.3f}" in note
    assert f"{3.1824 * math.sqrt(2) * np.std(finals, ddof=1):.2f} could be told from chance" in note
    assert claims.detectable(0.1, 1) == pytest.approx(12.7062 * 0.1 * math.sqrt(2))


# --- counts ---


def test_counts_are_the_papers_and_the_arithmetic_is_not():
    found = {one["claim"].partition(": ")[2]: (one["found"], one["verdict"]) for one in claims_measured.counted()}
    assert found == {
        "copies in series": (970_143_792, "holds"),
        "shared weights, as in I-B": (60_633_987, "does not hold"),
        "operations over those of one": (16, "does not hold"),
        "what one adds, bpp": (0.125, "does not hold"),
        "than 100,000 pictures": (54_000, "does not hold"),
        "than 200,000 pictures": (27_000, "does not hold"),
    }


def test_the_counted_rate_is_that_of_the_built_code():
    rows = {row.name: row for row in complexity.layers(config.AS_WRITTEN)}
    bits = rows["B_conv"].outputs * rows["B_conv"].size ** 2
    assert bits / 32**2 == [one for one in claims_measured.counted() if "bpp" in one["claim"]][0]["found"]


# --- outputs and gradients ---


def test_colour_is_compared_with_luma():
    assert claims_measured.colour_left(trained(0.5, luma_kept=0.8, chroma_kept=0.2)[0]) == pytest.approx(0.25)
    assert claims_measured.colour_left(trained(0.5, luma_kept=0.0, chroma_kept=0.0)[0]) is None


def test_mae_is_judged_by_the_variance_between_outputs():
    tested = {"between_kept": 0.7, "luma_kept": 0.9, "chroma_kept": 0.5}
    several = [Training((0.5,), (100.0,), {**tested, "between_kept": value}) for value in (0.69, 0.70, 0.71)]
    verdicts = {}
    for share in (0.0, 0.3, 0.69):
        mine = claims_logged.ours({"as_run": several, "mae": trained(0.5, between_kept=share)})
        verdicts[share] = [training_spread.judged(one, mine)["verdict"] for one in claims_measured.SENTENCES[:2]]
    assert verdicts[0.3] == ["does not hold", "holds"] and verdicts[0.69] == ["does not hold", "undecided"]
    assert verdicts[0.0] == ["undecided", "holds"]  # 0.01 is nearer to 0 than chance is wide


@pytest.mark.slow
@stack
def test_the_gradients_of_one_step_are_those_of_the_backend():
    x = RANDOM.integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    norms = claims_measured.gradient_norms(config.AS_RUN, "smoke", x, range(2))
    shortened = replace(config.at_scale(config.AS_RUN, "smoke"), batch_size=len(x))
    network = presets.initialised(OneIteration, shortened, 1, "float32")
    scaled = x.astype(np.float32) / np.float32(255)
    code = backend.to_numpy(network.encoder(scaled))
    x_hat = backend.to_numpy(network.decoder(code))
    _, upstream, _ = gradients(lambda y: losses.ssim_squared(scaled, y), x_hat, np.float32(1))
    _, to_code, of_decoder = gradients(network.decoder, code, upstream, network.decoder)
    _, _, of_encoder = gradients(network.encoder, scaled, to_code, network.encoder)
    expected = [of_encoder["E_conv/kernel"], of_decoder["D_out/kernel"], of_decoder["D_out/bias"]]
    assert norms.shape == (2, 3) and norms[1] == pytest.approx([np.linalg.norm(one) for one in expected], rel=0.01)


# --- the experiment ---


@pytest.mark.slow
@stack
def test_the_experiment_judges_what_has_weights_and_says_how_to_train_the_rest(results):  # noqa: F811
    for preset, seed in (("as_run", 0), ("as_run", 1), ("mae", 0)):
        ship(preset, seed)
    found = claims_donis.reproduce(options(claims_donis, images=20))
    document = document_module.join(claims_donis.TABLE, "smoke", None, found)
    assert document_module.recompute(document) == document
    own = [one for one in document["claims"] if one["claim"].endswith("; ours")]
    starts = {one["claim"].partition(" (")[0] for one in own} - {"Outputs lose their colour"}  # black ones have none
    # One epoch has no falls, and these presets no batch sizes.
    assert starts == {one.text.partition(" (")[0] for one in claims_measured.SENTENCES} - {"Outputs lose their colour"}
    assert document["further"]["trainings"]["as_run"] == 2 and document["further"]["last 1 - loss"]["as_run"] == 0.5
    assert {"as_run", "mae"} == set(document["provenance"]["networks"]) and not document["missing"]
    assert [broken for figure in found.figures.values() for broken in broken_rules(figure)] == []
    assert set(found.figures) == {"", "authors"} and len(document["pictures"]) == 3
    assert sum("vanish" in one["claim"] for one in document["claims"]) == 3


def test_every_claim_can_be_judged_and_the_published_file_has_no_rows(results):  # noqa: F811
    assert published.load(claims_donis.TABLE).rows == []
    groups = {
        preset: trained(
            0.5,
            0.52,
            ssim=0.4,
            ssim_range_2=0.5,
            luma_kept=0.8,
            chroma_kept=0.1,
            between_kept=0.5,
            contrast=0.1,
            psnr=15.0,
        )
        for preset in claims.wanted("small")
    }
    groups = {
        preset: [replace(one, plotted=(0.3, 0.4, 0.5, one.plotted[1]), psnr_squared=(1.0, 2.0, 1.5, 3.0)) for one in of]
        for preset, of in groups.items()
    }
    found = claims.judged(claims_logged.ours(groups), claims_logged.authors(), "small")
    assert [broken for figure in found.figures.values() for broken in broken_rules(figure)] == []
    ours, authors = (found.figures[suffix].axes[0] for suffix in ("", "authors"))
    assert ours.get_xlim() == authors.get_xlim()
    rows = [label.get_text() for label in ours.get_yticklabels()]
    assert "50 thousand pictures (ours: 4 thousand)" in rows and not any("_" in row for row in rows)
    count = len(claims_logged.SENTENCES) + len(claims_measured.SENTENCES)
    assert sum(one["claim"].endswith("; ours") for one in found.claims) == count
    names = [one["claim"] for one in found.claims]
    assert len(set(names)) == len(names) and len(groups) == 10
    assert "4,000 for 50,000, 8,000 for 100,000, 16,000 for 200,000" in claims.stand_ins("small")
