"""The experiments' command lines, and the tables that need no training."""

import importlib
import json
import os
import re
import runpy
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import experiments

ROOT = Path(__file__).resolve().parent.parent
NAMES = experiments.names()
BACKENDS = ("tensorflow", "keras", "jax", "torch", "tensorflow_compression")
# One of each command line, each in a process of its own: a table of trainings, one of counts, and all codecs.
KINDS = ("table4_cheng", "table9_cheng", "rd_kodak")
SUITE = ("decode_matrix", "rd_kodak")  # of all papers
WRONG = ("--scale huge", "--images 0", "--images few", "--seeds -1", "--no-such-option")


def run(*arguments, **environment):
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def processor_seconds(*arguments):
    """Return a finished command and the processor time it took, which other programs do not lengthen."""
    before = os.times()
    result = run(*arguments)
    after = os.times()
    return result, after.children_user - before.children_user + after.children_system - before.children_system


@pytest.fixture
def stopped(monkeypatch, capsys):
    """Run an experiment as `python -m` does, but in this process: return why it stopped, and what it printed."""

    def run_experiment(name, *arguments):
        module = f"experiments.{name}"
        monkeypatch.delitem(sys.modules, module, raising=False)
        monkeypatch.setattr(sys, "argv", [module, *arguments])
        with pytest.raises(SystemExit) as stop:
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        return stop.value.code, capsys.readouterr().out

    return run_experiment


@pytest.mark.parametrize("name", KINDS)
def test_help_comes_in_under_a_second(name):
    result, seconds = processor_seconds("-m", f"experiments.{name}", "--help")
    assert result.returncode == 0 and seconds < 1
    assert f"python -m experiments.{name}" in result.stdout
    assert "--scale" in result.stdout and "--svg" in result.stdout


@pytest.mark.parametrize("name", NAMES)
def test_every_experiment_has_help(name, stopped):
    status, printed = stopped(name, "--help")
    assert status == 0 and f"python -m experiments.{name}" in printed and "--scale" in printed


@pytest.mark.parametrize("name", KINDS)
def test_a_wrong_argument_is_one_line_and_a_failure(name):
    result = run("-m", f"experiments.{name}", "--scale", "huge")
    assert result.returncode not in (0, 130) and result.stdout == ""
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1 and "huge" in result.stderr


@pytest.mark.parametrize("name", NAMES)
def test_every_wrong_argument_is_refused_before_anything_is_measured(name, stopped):
    for arguments in map(str.split, WRONG):
        sentence, printed = stopped(name, *arguments)
        assert sentence.startswith("error: ") and "\n" not in sentence and printed == ""
        assert arguments[-1] in sentence


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_or_missing_folder_of_pictures_is_one_line_and_a_failure(name, stopped, tmp_path):
    for folder in (tmp_path, tmp_path / "missing"):
        sentence, _ = stopped(name, "--scale", "smoke", "--data", str(folder))
        assert sentence.startswith("error: ") and "\n" not in sentence and str(folder) in sentence


def test_all_experiments_are_declared_in_under_a_second_without_importing_a_backend():
    imports = "; ".join(f"import experiments.{name}" for name in NAMES)
    code = f"import sys; {imports}; print([m for m in {BACKENDS} if m in sys.modules])"
    result, seconds = processor_seconds("-c", code)
    assert result.stdout.strip() == "[]" and seconds < 1


def test_the_list_of_experiments_is_json_of_all_of_them():
    result, seconds = processor_seconds("-m", "experiments", "--json")
    listed = json.loads(result.stdout)
    assert [one["name"] for one in listed] == NAMES and seconds < 1
    for one in listed:
        assert one["shows"].endswith(".") and one["minutes"] > 0
        assert one["table"].startswith(f"{one['paper']}/") or (one["name"] in SUITE and one["paper"] == "suite")
        assert one["scales"] == list(one["verdicts"])


def test_the_list_counts_the_verdicts_of_written_tables(tmp_path):
    path = tmp_path / "small/cheng_resnet/table4.json"
    path.parent.mkdir(parents=True)
    verdicts = ["not comparable", "not run", "not comparable"]
    path.write_text(json.dumps({"cells": [{"verdict": v} for v in verdicts]}), encoding="utf-8")
    listed = json.loads(run("-m", "experiments", "--json", RELIC_RESULTS=str(tmp_path)).stdout)
    (one,) = (one for one in listed if one["name"] == "table4_cheng")
    assert one["verdicts"] == {"small": {"not comparable": 2, "not run": 1}} and one["scales"] == ["small"]


def test_an_experiment_can_be_run_by_name_and_a_wrong_name_is_one_line():
    result = run("-m", "experiments", "table4_cheng", "--help")
    assert result.returncode == 0 and "--images" in result.stdout
    result = run("-m", "experiments", "table44_cheng")
    assert result.returncode == 1 and result.stderr.count("\n") == 1 and "table4_cheng" in result.stderr


# --- what docstrings say to expect ---

EXPECTED = re.compile(r"^Expect (at scale (?P<scale>\w+):|no table yet, as no weights are here;) (?P<what>.+\.)$", re.M)
NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?:e[+-]?\d+)?(?!\w|\.\d)")
# They may leave it out while their networks are trained anew.
UNSAID = {"recipes_cheng", "table4_cheng"}


def numbers_of(text):
    """Return the numbers of a text as they are written, without signs; none that is part of a name or of 200x200."""
    return NUMBER.findall(text)


def has_number(known, text):
    """Return whether a number is among others: a whole one as it is, one with a point rounded to its digits."""
    half = 0.500001 * 10.0 ** -len(text.partition(".")[2]) if "." in text else 0
    return any(abs(float(text) - float(number)) <= half for number in known)


def results_of(table, scale):
    """Return the numbers that a written table shows, and how often each of its verdicts occurs."""
    path = ROOT / "results" / scale / f"{table}.json"
    stored = json.loads(path.read_text(encoding="utf-8"))
    shown = path.with_suffix(".md").read_text(encoding="utf-8").partition("## How it was made")[0]
    judged = [Counter(one["verdict"] for one in stored.get(part, [])) for part in ("cells", "claims")]
    return numbers_of(shown) + [str(count) for counts in judged for count in counts.values()]


@pytest.mark.parametrize("name", NAMES)
def test_the_expected_result_of_an_experiment_is_the_committed_one(name):
    module = importlib.import_module(f"experiments.{name}")
    if name in UNSAID and "\nExpect" not in module.__doc__:
        return
    (line,) = EXPECTED.finditer(module.__doc__)
    tables = sorted((ROOT / "results").glob(f"*/{module.TABLE}.json"))
    if line["scale"]:
        known = results_of(module.TABLE, line["scale"])
    else:
        assert not tables, f"there is a table: say in experiments/{name}.py what to expect at its scale"
        known = numbers_of((ROOT / "papers" / module.TABLE.replace("/", "/published/")).with_suffix(".csv").read_text())
    said = numbers_of(line["what"])
    assert said and [number for number in said if not has_number(known, number)] == []


def test_a_number_that_the_table_does_not_have_is_found():
    known = numbers_of("| PSNR | 25.796 | 24 of 24 | 0.9472 (2x2) | JPEG2000 | -0.289 … 4.25e9 |")
    assert known == ["25.796", "24", "24", "0.9472", "0.289", "4.25e9"]
    assert all(has_number(known, number) for number in ("25.80", "25.8", "24", "0.947", "0.29"))
    assert not any(has_number(known, number) for number in ("25.79", "26", "23", "0.9473", "2"))


# --- tables that are counted from the built models ---


def document(module, monkeypatch, rows=None):
    from common.tables import command, document

    monkeypatch.setattr(module, "ROWS", rows or module.ROWS)
    found = module.reproduce(command.Options(module.TABLE, module.ROWS, "exact"))
    return document.join(module.TABLE, "exact", None, found)


@pytest.mark.stack
def test_table_8_is_met_to_the_last_digit_but_for_its_misprint(monkeypatch):
    from experiments import table8_cheng

    found = document(table8_cheng, monkeypatch)
    cells = {(c["row"], c["column"]): c for c in found["cells"]}
    assert len(cells) == 17 * 8 + 1 + 1 + 2  # layers by columns, GDN and prior by their count, the total by two
    assert {place for place, c in cells.items() if c["verdict"] != "exact"} == {("Tconv4", "Cout")}
    misprint = cells["Tconv4", "Cout"]
    assert (misprint["verdict"], misprint["published"], misprint["reproduced"]) == ("differs", 128, 3)
    assert "31107" in misprint["note"]


@pytest.mark.slow
@pytest.mark.stack
def test_table_9_is_met_to_the_last_digit(monkeypatch):
    from experiments import table9_cheng

    found = document(table9_cheng, monkeypatch)
    assert len(found["cells"]) == 30 and {c["verdict"] for c in found["cells"]} == {"exact"}
    fields = found["further"]["receptive field of a stage"]
    assert (fields["HyperPrior-9"], fields["ResNet-3x3(3)"], fields["ResNet-3x3(4)"]) == (9, 11, 15)
    strict = found["further"]["FLOPs, Eq. 2 at the layer's own output"]
    assert strict["ResNet-3x3(4)-SubPixel"] == strict["ResNet-3x3(4)"] == 24298643456
    from papers.cheng_resnet import complexity

    executed = found["further"]["MACs carried out"]
    assert executed == {row: complexity.macs(network) for row, network in table9_cheng.ROWS.items()}


@pytest.mark.stack
def test_a_receptive_field_grows_with_the_strides_before():
    from papers.cheng_resnet.complexity import LayerRow, receptive_field

    def chain(*kernels_strides):
        return [LayerRow("", "conv", (k, k), s, 1, 1, 1, 1, 1, 1, True) for k, s in kernels_strides]

    assert receptive_field(chain((3, 1), (3, 1), (3, 1), (3, 1))) == 9
    assert receptive_field(chain((3, 2), (3, 1), (3, 1))) == 11
    assert receptive_field(chain((3, 2), (3, 1), (3, 1), (3, 1))) == 15
    assert receptive_field(chain((9, 2), (9, 2))) == 9 + 8 * 2


@pytest.mark.stack
def test_a_transposed_convolution_carries_out_a_quarter_of_eq_2():
    from papers.cheng_resnet.complexity import LayerRow, flops, flops_as_printed, flops_executed

    row = LayerRow("up", "tconv", (3, 3), 2, 8, 4, 10, 10, 3 * 3 * 8 * 4 + 4, (3 * 3 * 8 * 4 + 4) * 100, True)
    assert flops([row]) == flops_as_printed([row]) == 29200
    assert flops_executed([row]) == 3 * 3 * 8 * 4 * 25 + 4 * 100


def test_training_table_4_at_the_papers_schedule_takes_7e18_operations():
    from experiments import table4_cheng
    from papers.cheng_resnet import complexity

    flops = [complexity.training_flops(config, "paper") for config in table4_cheng.ROWS.values()]
    assert sum(flops) == pytest.approx(7.32e18, rel=0.001)
