"""What is said before anything is trained: the data sets that are missing, and the plan of --dry-run."""

import dataclasses
import importlib
import json
import re
import runpy
import sys

import numpy as np
import pytest

import experiments
import papers
from common.config import SCALES
from common.data import fetch as fetching
from common.tables import campaign, plan
from common.training import checkpoints, schedule, timing
from common.training.timing import Loop, Timed

MODULES = {name: importlib.import_module(f"experiments.{name}") for name in experiments.names()}
TRAINED = {name: configs for name, module in MODULES.items() if (configs := schedule.networks(module))}
SECONDS = 0.5  # that a step is said to take here


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """Let no data set and no weights be here; return the folder of results, which is not there."""
    for name in ("RELIC_DATA", "RELIC_CACHE", "TFDS_DATA_DIR", "RELIC_RESULTS"):
        monkeypatch.setenv(name, str(tmp_path / name))
    return tmp_path / "RELIC_RESULTS"


@pytest.fixture
def said(monkeypatch, capsys):
    """Run an experiment as `python -m` does, but in this process: return its exit status or sentence and its output."""

    def run_experiment(name, *arguments):
        monkeypatch.delitem(sys.modules, f"experiments.{name}", raising=False)
        monkeypatch.setattr(sys, "argv", [f"experiments.{name}", *arguments])
        status = 0
        try:
            runpy.run_module(f"experiments.{name}", run_name="__main__", alter_sys=True)
        except SystemExit as stop:
            status = stop.code
        return status, capsys.readouterr().out

    return run_experiment


def sets_of(name, scale="paper"):
    """Return the sets that an experiment's trainings read at a scale, by their configs alone."""
    configs = [sys.modules[type(config).__module__].at_scale(config, scale) for config in TRAINED[name]]
    return {each if isinstance(each, str) else each[0] for config in configs for each in config.training_sets}


def test_experiments_that_count_or_time_train_nothing():
    assert set(MODULES) - set(TRAINED) == {
        "audit_cheng", "audit_deshmukh", "audit_donis", "audit_paka", "decode_matrix", "figure4_paka", "rd_kodak",
        "speed_cheng", "speed_deshmukh", "speed_donis", "table8_cheng", "table9_cheng",
    }  # fmt: skip


@pytest.mark.parametrize("scale", ["small", "paper"])
@pytest.mark.parametrize("name", TRAINED)
def test_sets_that_are_missing_are_named_at_once_with_how_to_get_them(name, scale, nowhere, said, monkeypatch):
    monkeypatch.setattr(schedule, "complete", lambda *_: pytest.fail("it trains without data"))
    sentence, printed = said(name, "--scale", scale, "--train", "--minutes", "0.01")
    assert re.match("error: nothing is trained, as the data sets? .* not here: ", sentence) and "\n" not in sentence
    assert all(f"$RELIC_DATA/{each}" in sentence for each in sets_of(name, scale))
    assert printed == "" and not any(nowhere.rglob("*.*"))


@pytest.mark.stack
@pytest.mark.parametrize("name", TRAINED)
def test_a_dry_run_says_what_all_trainings_of_a_table_take_and_writes_nothing(name, nowhere, said, monkeypatch):
    monkeypatch.setattr(timing, "timed", lambda one: Timed(SECONDS, 3, checkpoint=10**8, weights=10**7))
    monkeypatch.setattr(schedule, "complete", lambda *_: pytest.fail("it trains"))
    options = ["--train"] if name.startswith("table") else []
    status, printed = said(name, "--scale", "paper", *options, "--dry-run", "--seeds", "0", "3")
    assert status == 0 and not nowhere.exists()
    wanted = schedule.trainings(TRAINED[name], "paper", (0, 3))
    lines = [line.split() for line in printed.splitlines() if " not begun " in line]
    assert [line[:3] for line in lines] == [
        [f"{each.run.paper}/{each.run.preset}", "paper", str(each.run.seed)] for each in wanted
    ]
    steps = sum(each.steps for each in wanted)
    (total,) = (line.split() for line in printed.splitlines() if line.split()[:1] == ["all"])
    assert total[1:5] == [str(len(wanted)), "of", str(len(wanted)), "left"] and total[5] == f"{steps:,}"
    assert float(total[7].replace(",", "")) == pytest.approx(steps * SECONDS / 3600, rel=0.06)
    for each in sets_of(name):
        assert re.search(rf"^  {each} +not found", printed, re.M)
        assert re.search(rf"^  {each}: .*\$RELIC_DATA/{each}", printed, re.M)
    assert re.search("Hours: measured with stack .*, backend .*, precision .*, device ", printed)
    assert f"{len(wanted) * 10**7 / 10**6:.0f} MB of weights" in printed


@pytest.mark.stack
def test_the_loops_that_are_timed_have_all_steps_of_a_training():
    for scale in SCALES:
        for name, preset in papers.all_presets().items():
            paper = name.split("/")[0]
            own = papers.config_of(paper).at_scale(preset, scale)
            loops = importlib.import_module(f"papers.{paper}.train").loops(own)
            assert sum(one.steps for one in loops) == papers.config_of(paper).total_steps(own), name
            assert len({hash(one.like) for one in loops}) >= 1


def test_fetch_downloads_only_what_asks_the_user_nothing(nowhere, said, monkeypatch):
    fetched = []
    monkeypatch.setattr(fetching, "fetch", lambda key, report: fetched.append(key))
    sentence, _ = said("claims_deshmukh", "--scale", "paper", "--train", "--fetch")
    assert fetched == ["coco/train", "stl10"] and "coco/train, stl10/unlabelled are not here" in sentence
    fetched.clear()
    sentence, _ = said("table4_cheng", "--scale", "paper", "--train", "--fetch")
    assert fetched == [] and "the data set imagenet2012/validation is not here" in sentence  # which asks to register
    said("figure2_zhao", "--scale", "paper", "--train", "--fetch")
    assert fetched == []  # no licence is stated
    said("table1_paka", "--scale", "paper", "--train")
    assert fetched == []


def test_what_is_left_of_a_training_is_what_its_later_loops_take():
    loops = [Loop("slow", 10, {}, dict), Loop("fast", 20, {}, dict), Loop("slow", 5, {}, dict)]
    seconds = {"slow": 3.0, "fast": 0.25}
    left = [timing.seconds_left(loops, seconds, done) for done in (0, 4, 10, 18, 35)]
    assert left == [30 + 5 + 15, 18 + 5 + 15, 5 + 15, 3 + 15, 0]


def test_what_is_shipped_is_neither_timed_nor_left(monkeypatch):
    monkeypatch.setattr(timing, "timed", lambda one: pytest.fail("nothing is left"))
    printed = "\n".join(plan.texts(campaign.trainings("table1_paka", "paper", (0,))))
    assert "All are shipped" in printed and re.search("^  all +0 of 1 left +0 +0", printed, re.M)


@pytest.mark.stack
def test_steps_are_timed_and_the_checkpoint_has_the_size_that_is_said(tmp_path, monkeypatch):
    import narrow

    from common.backend import ops

    class OfPictures(narrow.Toy):
        def call(self, inputs, training=True):
            return narrow_call(self, {**inputs, "x": ops.cast(inputs["x"], "float32")}, training)

    narrow_call, models = narrow.Toy.call, []
    monkeypatch.setattr(narrow, "Toy", OfPictures)
    narrow.run_steps_eagerly(monkeypatch)

    def model():
        models.append(narrow.toy(narrow.ToyConfig()))
        return models[-1]

    shapes = {"x": (4, 3), "step": (4,)}
    monkeypatch.setattr(timing.loop, "CHUNK", 4)
    found = timing.timed(Loop("toy", 6, shapes, model), budget=60)
    assert 0 < found.seconds < 60 and found.steps == 4 and found.weights == 2 * (3 + 1)
    checkpoints.save_checkpoint(tmp_path / "one.npz", models[0], narrow.ToyConfig(), 1, 0.0, [])
    with np.load(tmp_path / "one.npz") as arrays:
        assert found.checkpoint == sum(arrays[name].nbytes for name in arrays.files if name != "about")
    assert timing.timed(Loop("toy", 6, shapes, model), budget=1e-9).steps == 1


@pytest.mark.stack
def test_the_campaigns_dry_run_is_the_plan_of_all_its_trainings(nowhere, said, monkeypatch):
    monkeypatch.setattr(timing, "timed", lambda one: Timed(SECONDS, 3, checkpoint=10**8, weights=10**7))
    monkeypatch.setattr(campaign, "work", lambda *_, **__: pytest.fail("it works"))
    status, printed = said("campaign", "--dry-run")
    wanted = {
        each for entry in importlib.import_module("experiments.campaign").PLAN for each in campaign.trainings(*entry)
    }
    assert status == 0 and printed.count(" not begun ") == len(wanted) > 10 and not nowhere.exists()


@pytest.mark.stack
def test_a_training_that_is_begun_has_the_rest_of_its_steps_left(nowhere, monkeypatch):
    monkeypatch.setattr(timing, "timed", lambda one: Timed(3600.0, 1, checkpoint=10**8, weights=10**7))
    (training,) = campaign.trainings("figure6_donis", "small", (0,))
    training.run.checkpoint.parent.mkdir(parents=True)
    about = {"step": 770, "seconds": 1.0, "config": dataclasses.asdict(training.config), "log": []}
    np.savez(training.run.checkpoint, about=np.frombuffer(json.dumps(about).encode(), np.uint8))
    (line,) = (line for line in "\n".join(plan.texts([training, training])).splitlines() if "as_run" in line)
    flops = schedule.training_flops(TRAINED["figure6_donis"][0], "small") * 1000 / 1770
    words = ["donis_convlstm/as_run", "small", "0", "step", "770", "of", "1,770", "1,000", f"{flops:.1e}", "1,000"]
    assert line.split()[:10] == words
