"""Sentences of Cheng et al. judged: tables as they are written, logs, counts, structures; numbers of the text."""

import json

import numpy as np
import pytest
from narrow import narrow

from common.tables import document as document_module
from common.tables import published
from common.tables.command import Options
from experiments import audit_cheng, claims_cheng
from papers.cheng_resnet import complexity
from papers.cheng_resnet.reproduction import claims, structures, text_numbers
from papers.cheng_resnet.reproduction.claims import Sentence

STEPS = [-8, -4, 0, 4, 8]
PICTURES = [f"kodim{n:02}" for n in range(1, 9)]


def entry(row, seed, picture, ahead=0.0, factor=1.0):
    """Return a measurement whose curve is a line over the logarithm of the rate, `ahead` dB above another."""
    rng = np.random.default_rng([seed, PICTURES.index(picture)])
    rates = factor * 0.2 * 1.13 ** -np.array(STEPS, float)
    psnr = 30 + 4 * np.log(rates) + ahead + 0.02 * rng.normal()
    similarity = 1 - 10 ** (-(psnr - 14) / 10)
    curve = {"step": STEPS, "bpp": [*rates], "psnr": [*psnr], "ms_ssim": [*similarity]}
    own = {name: values[2] for name, values in curve.items() if name != "step"}
    return {"row": row, "seed": seed, "picture": picture, **own, "curve": curve}


def entries(row, seeds=(0, 1, 2), **options):
    return [entry(row, seed, picture, **options) for seed in seeds for picture in PICTURES]


def one(found):
    (claim,) = found
    return claim


@pytest.mark.parametrize(("ahead", "verdict"), [(0.3, "holds"), (-0.3, "does not hold"), (0.0, "undecided")])
def test_a_sentence_is_judged_at_equal_rate_whatever_the_rates_at_which_rows_were_measured(ahead, verdict):
    measured = [*entries("a", ahead=ahead, factor=1.3), *entries("b")]
    claim = one(claims.judged([Sentence("a is better", "table1", "a", "b")], {"table1": measured}))
    assert claim["verdict"] == verdict and claim["found"] == pytest.approx(ahead, abs=0.02)
    assert claim["claim"].endswith("PSNR at equal rate, dB") and "3 and 3 trainings, 8 pictures" in claim["note"]
    half = (claim["interval"][1] - claim["interval"][0]) / 2
    assert (f"An effect of {half:.2g} dB could have been detected" in claim["note"]) == (verdict == "undecided")


def test_a_rate_as_measured_is_compared_without_the_curves():
    sentence = Sentence("a has less rate", "table5", "a", "b", "bpp", "below", own_rate=True)
    claim = one(claims.judged([sentence], {"table5": [*entries("a", factor=0.9), *entries("b")]}))
    assert claim["verdict"] == "holds" and claim["found"] == pytest.approx(-0.02)


def test_one_training_decides_nothing():
    measured = [*entries("a", seeds=[0], ahead=3.0), *entries("b")]
    claim = one(claims.judged([Sentence("a is better", "table1", "a", "b")], {"table1": measured}))
    assert claim["verdict"] == "not judged" and "Over pictures alone the interval is +2.9" in claim["note"]


def test_rows_that_are_not_there_or_meet_at_no_rate_are_no_claim():
    sentence = Sentence("a is better", "table1", "a", "b")
    assert claims.judged([sentence], {}) == claims.judged([sentence], {"table1": entries("a")}) == []
    assert claims.judged([sentence], {"table1": [*entries("a", factor=100.0), *entries("b")]}) == []


def test_every_sentence_names_rows_that_its_table_has():
    for sentence in (*claims.SENTENCES, *claims.WITHOUT_SHORTCUTS):
        rows = [*published.load(f"cheng_resnet/{sentence.table}").rows, claims.PLAIN]
        assert sentence.ours in rows and sentence.other in rows
    assert len({(s.text, s.measured) for s in claims.SENTENCES}) == len(claims.SENTENCES)


def log(*losses):
    return [{"step": n, "loss": loss} for n, loss in enumerate(losses)]


def test_a_stack_has_not_converged_where_its_last_tenth_is_a_tenth_above_the_residual_networks():
    residual, same, stuck = log(*[2.0] * 18, 1.0, 1.0), log(*[3.0] * 18, 1.0, 1.1), log(*[2.0] * 20)
    found = claims.convergence_claim([(stuck, residual)] * 2)
    assert found["verdict"] == "holds" and found["found"] == 2 and "from 2 to 2, with shortcuts to 1" in found["note"]
    assert claims.convergence_claim([(same, residual)] * 2)["verdict"] == "does not hold"
    assert claims.convergence_claim([(stuck, residual)])["verdict"] == "not judged"
    assert claims.convergence_claim([(stuck, residual), (same, residual)])["verdict"] == "undecided"


# --- written tables ---


@pytest.fixture
def results(tmp_path, monkeypatch):
    monkeypatch.setenv("RELIC_RESULTS", str(tmp_path))
    folder = tmp_path / "small/cheng_resnet"
    folder.mkdir(parents=True)
    return folder


def write(results, table, pictures, test_set="kodak"):
    provenance = {"test_set": {"name": test_set}, "networks": {"a": {"weights": "12ab"}}, "commit": "f" * 40}
    content = {"pictures": pictures, "provenance": {**provenance, "command": f"python -m experiments.{table}_cheng"}}
    (results / f"{table}.json").write_text(json.dumps(content), encoding="utf-8")


def options(**given):
    return Options(claims_cheng.TABLE, {}, "small", **given)


def test_of_written_tables_what_is_asked_for_is_read_and_what_lacks_is_named_with_its_command(results):
    write(results, "table1", entries("a"))
    write(results, "table2", [{key: value for key, value in e.items() if key != "curve"} for e in entries("a")])
    write(results, "table3", entries("a"), "other pictures")
    tables = claims.written(options(seeds=[1]), PICTURES[:6], "kodak")
    assert [(e["seed"], e["picture"]) for e in tables.entries["table1"]] == [(1, name) for name in PICTURES[:6]]
    assert tables.made_by["table1: a"] == {"weights": "12ab"} and "commit ffffffffff." in tables.notes[0]
    assert set(tables.missing) == {"table2", "table3", "table4", "table5"}
    assert "a without curves: `python -m experiments.table2_cheng --scale small`" in tables.missing["table2"]
    assert "It is of other pictures" in tables.missing["table3"] and "table3" not in tables.entries
    assert "`python -m experiments.table4_cheng --scale small` writes it" in tables.missing["table4"]


def test_without_any_table_or_weights_there_are_counts_and_commands(results, monkeypatch):
    monkeypatch.setattr(claims, "counted", list)
    found = claims_cheng.reproduce(options(images=1))
    assert found.claims == [] and set(found.missing) == {*claims.TABLES, claims.PLAIN}
    document = document_module.join(claims_cheng.TABLE, "small", None, found)
    assert document_module.recompute(document) == document and document["cells"] == []


# --- counts ---


def test_one_structure_alone_of_10240_has_all_four_counts_of_table_9_and_it_is_the_one_that_is_built():
    assert len(set(structures.structures())) == 10_240
    found = structures.fitting(structures.printed())
    assert structures.meeting_all(found) == [structures.BUILT]
    assert [len(of) for of in found.values()] == [32, 16, 8, 2]
    claim = claims.structure_claim()
    assert claim["verdict"] == "holds" and "10,240" in claim["claim"] and "ResNet-3x3(3) 32" in claim["note"]


@pytest.mark.stack
@pytest.mark.parametrize("preset", ["resnet3", "resnet4", "resnet4_subpixel", "resnet4_subpixel_bottleneck192"])
def test_parameters_of_a_structure_are_those_of_the_built_network(preset):
    network = narrow(preset)
    assert structures.parameters(structures.BUILT, network) == complexity.parameters(complexity.layers(network))


@pytest.mark.slow
def test_what_counts_decide_is_judged_once():
    found = claims.counted()
    verdicts = {claim["claim"]: claim["verdict"] for claim in found}
    failing = [claim for claim, verdict in verdicts.items() if verdict == "does not hold"]
    assert len(verdicts) == len(found) == 13 and len(failing) == 5
    assert sum("sees as much as" in claim for claim in failing) == 2
    assert any("Only the last layer" in claim for claim in failing)


@pytest.mark.slow
def test_every_number_of_the_text_has_a_value_and_all_are_exact_but_the_second_lambda():
    found = audit_cheng.reproduce(Options(audit_cheng.TABLE, {}, "exact"))
    document = document_module.join(audit_cheng.TABLE, "exact", None, found)
    others = {cell["row"]: cell["verdict"] for cell in document["cells"] if cell["verdict"] != "exact"}
    assert others == {"Second network of the rate control": "differs", text_numbers.THRESHOLD: "not run"}
    assert len(document["cells"]) == 25 and document_module.recompute(document) == document
