"""Trainings that run by themselves: in turn, resumed, shipped one by one; the campaign; what an empty scale says."""

import argparse
import contextlib
import dataclasses
import errno
import json
import os
import signal
import socket
import subprocess
import sys
import time
import types
from pathlib import Path

import numpy as np
import pytest

from common import command_line
from common.config import assumed, differing_fields
from common.errors import RelicError
from common.tables import campaign, command, hours
from common.training import locks, options, rates, schedule, side_by_side
from common.training.averages import WeightAverage
from common.training.locks import campaign_file, one_campaign, one_training, paused_trainings
from common.training.runs import Run

HOST = socket.gethostname()
ROOT = Path(__file__).resolve().parent.parent


@dataclasses.dataclass(frozen=True)
class Config:
    width: int = assumed(1, "of the network")
    steps: int = assumed(100, "of its training", recipe=True)
    rate: float = assumed(0.5, "a later version may change it", recipe=True)
    training_sets: tuple = assumed(("synthetic",), "which is always here", recipe=True)


@pytest.fixture
def toys(tmp_path, monkeypatch):
    """Make a paper of three presets whose trainings take ten steps a turn; return the calls that its trainings get."""
    monkeypatch.setenv("RELIC_RESULTS", str(tmp_path))
    names = ("config", "train", "complexity")
    config, train, complexity = (types.ModuleType(f"toys.toy_paper.{name}") for name in names)
    monkeypatch.setattr(Config, "__module__", config.__name__)
    vars(config).update(Config=Config, A=Config(1), B=Config(2), C=Config(3))
    config.at_scale = lambda preset, scale: dataclasses.replace(preset, steps=20 * preset.width)
    config.total_steps = lambda preset: preset.steps
    complexity.training_flops = lambda preset, scale: 1.8e14
    calls = []

    def train_preset(preset, scale, seed, minutes, resume, restart):
        run, own = Run("toy_paper", preset, scale, seed), config.at_scale(vars(config)[preset.upper()], scale)
        calls.append((preset, seed, resume))
        before = schedule.checkpoints.checkpoint_about(run.checkpoint)["step"] if resume else 0
        step = min(before + 10, own.steps)
        about = {"step": step, "seconds": step / 10, "config": dataclasses.asdict(own), "log": []}
        run.checkpoint.parent.mkdir(parents=True, exist_ok=True)
        np.savez(run.checkpoint, about=np.frombuffer(json.dumps(about).encode(), np.uint8))
        if step == own.steps:
            ship(run, own)
        return step == own.steps

    train.train_preset = train_preset
    for module in (config, train, complexity):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(sys.modules, "toys", types.ModuleType("toys"))
    monkeypatch.setitem(sys.modules, "toys.toy_paper", types.ModuleType("toys.toy_paper"))
    monkeypatch.setitem(sys.modules, "common.backend", types.SimpleNamespace(forget_models=lambda: None))
    return calls


LOG = ((10, 40), (20, 42), (30, 44), (40, 46), (50, 96), (60, 98), (70, 100), (80, 102))  # 0.2 s a step


def ship(run, config, log=LOG, **of_device):
    of_device = {"device": "CPU", "machine": "Linux x86_64, 2 cores", **of_device}
    run.shipped.mkdir(parents=True)
    (run.shipped / "weights.safetensors").write_bytes(b"weights")
    about = {"config": dataclasses.asdict(config), "steps": config.steps, "training_seconds": 7.0, **of_device}
    (run.shipped / "run.json").write_text(json.dumps({**about, "weights_sha256": "ab" * 32}))
    (run.shipped / "log.csv").write_text("step,loss,seconds\n" + "".join(f"{step},1,{at}\n" for step, at in log))


def wanted(presets="AB", seeds=(0,), scale="small"):
    return schedule.trainings([vars(sys.modules["toys.toy_paper.config"])[name] for name in presets], scale, seeds)


# --- in turn -------------------------------------------------------------------------------------------------------


def test_always_the_training_with_the_least_share_of_its_steps_goes_on(toys):
    assert schedule.complete(wanted("AB", seeds=(0, 1))) == []
    assert toys == [  # A has 20 steps, B 40
        ("a", 0, False), ("b", 0, False), ("a", 1, False), ("b", 1, False),
        ("b", 0, True), ("b", 1, True), ("a", 0, True), ("b", 0, True),
        ("a", 1, True), ("b", 1, True), ("b", 0, True), ("b", 1, True),
    ]  # fmt: skip
    assert all(training.is_shipped for training in wanted("AB", seeds=(0, 1)))


def test_what_time_did_not_allow_is_returned_and_goes_on_later(toys):
    trainings = wanted("A")
    assert schedule.complete(trainings, minutes=1e-9) == trainings and len(toys) <= 1
    assert schedule.complete(trainings) == [] and trainings[0].progress == (20, 7.0)
    assert schedule.complete(trainings) == [] and len(toys) == 2


def test_weights_of_another_recipe_are_trained_anew_and_a_checkpoint_of_one_is_left(toys):
    (training,) = wanted("A")
    ship(training.run, dataclasses.replace(training.config, rate=0.25))
    training.run.checkpoint.parent.mkdir(parents=True)
    about = {"step": 15, "seconds": 1.0, "config": dataclasses.asdict(training.config) | {"rate": 0.25}, "log": []}
    np.savez(training.run.checkpoint, about=np.frombuffer(json.dumps(about).encode(), np.uint8))
    assert not training.is_shipped and training.progress == (0, 0)
    training.go_on()
    assert toys == [("a", 0, False)] and training.progress == (10, 1.0)


def test_a_field_that_an_older_config_does_not_know_has_its_default():
    assert differing_fields({"width": 1}, Config()) == []
    assert differing_fields({"width": 2, "rate": 1.0, "gone": 3}, Config()) == ["gone", "rate", "width"]
    assert differing_fields({"width": 2, "rate": 1.0}, Config(), recipe=True) == ["rate"]
    assert differing_fields({"width": 2, "rate": 1.0, "gone": 3}, Config(), recipe=False) == ["gone", "width"]


@dataclasses.dataclass(frozen=True)
class RunWithOption(Run):
    colour: str | None = None


@pytest.mark.parametrize("given, expected", [(["--colour", "red"], {"colour": "red"}), ([], {})])
def test_an_option_of_all_trainings_reaches_the_papers_train_preset_and_the_process_of_another(
    given, expected, toys, monkeypatch
):
    monkeypatch.setitem(options.OPTIONS, "colour", {"help": "of nothing"})
    monkeypatch.setattr(schedule, "Run", RunWithOption)
    seen = []
    train = sys.modules["toys.toy_paper.train"]
    monkeypatch.setattr(train, "train_preset", lambda *_, minutes, resume, restart, **others: seen.append(others))
    preset = vars(sys.modules["toys.toy_paper.config"])["A"]
    monkeypatch.setattr(sys, "argv", ["table1", "--scale", "small", "--train", "--minutes", "0.0001", *given])
    with pytest.raises(SystemExit, match="time is out"):
        command.main("toy_paper/table1", {"a": preset}, lambda options: pytest.fail("nothing is there"))
    assert seen and all(others == expected for others in seen)
    (training,) = schedule.trainings([preset], "small", (0,), **expected)
    assert side_by_side.arguments(training, 1.0)[-len(given) or None :] == given or not given


# --- without weights -----------------------------------------------------------------------------------------------


def test_without_weights_one_sentence_says_what_is_missing_and_how_long_it_takes(toys):
    configs = [vars(sys.modules["toys.toy_paper.config"])[name] for name in "BC"]
    with pytest.raises(RelicError) as caught:
        schedule.require_weights(configs, "paper", "python -m it --train")
    assert "no weights at scale paper of toy_paper for b, c: `python -m it --train` trains them" in str(caught.value)
    assert "3.6e+14 FLOP, no log here says how long; `python -m it --train --dry-run` measures" in str(caught.value)
    ship(wanted("A")[0].run, configs[0], device="Fast")  # 1.8e14 FLOP in 80 steps of 0.2 s
    ship(wanted("A", seeds=(1,))[0].run, configs[0], [(step, 100 * at) for step, at in LOG])
    with pytest.raises(RelicError, match="FLOP, about a minute on Fast or 53 minutes on CPU, 2 cores by the logs here"):
        schedule.require_weights(configs, "paper", "python -m it --train")
    ship(wanted("C", seeds=(4,), scale="paper")[0].run, configs[1])
    schedule.require_weights(configs, "paper", "")


@pytest.mark.slow
def test_a_table_without_weights_is_not_written(tmp_path):
    command = [sys.executable, "-m", "experiments.table4_cheng", "--scale", "paper"]
    environment = {**os.environ, "RELIC_RESULTS": str(tmp_path)}
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 1 and result.stdout == "" and list(tmp_path.iterdir()) == []
    assert result.stderr.startswith("error: no weights at scale paper of cheng_resnet for hyperprior_9_msssim, resnet3")
    assert "--scale paper --train` trains them" in result.stderr and result.stderr.count("\n") == 1


@pytest.mark.parametrize("place, options", [("small", []), ("in_the_way", ["--json", "in_the_way/table.json"])])
def test_a_table_that_could_not_be_written_is_refused_before_anything_is_trained_for_it(
    place, options, toys, tmp_path, monkeypatch, capsys
):
    (tmp_path / place).write_bytes(b"a file in the place of a folder")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["table1", "--scale", "small", "--train", *options])
    with pytest.raises(SystemExit) as stop:
        command.main("toy_paper/table1", {"a": wanted("A")[0].config}, lambda options: pytest.fail("nothing is there"))
    assert stop.value.code.startswith("error: Not a directory: ") and place in stop.value.code and toys == []


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "soon"])
def test_minutes_are_a_number_above_zero(text):
    with pytest.raises(argparse.ArgumentTypeError, match="not a number of minutes above 0"):
        command_line.minutes(text)


def test_a_step_takes_the_mean_of_the_middle_half_of_its_parts_rows():
    rows = [{"step": step, "seconds": at} for step, at in LOG]
    assert rates.steady_seconds(rows) == pytest.approx(80 * 0.2)  # compiling and a pause, of 40 and 50 s, are left out
    other = [{"step": 80 + 5 * i, "seconds": 102 + i, "part": "settled"} for i in range(1, 9)]
    assert rates.steady_seconds([*rows, *other]) == pytest.approx(80 * 0.2 + 40 * 0.2)
    slower = [{**row, "seconds": 102 + 5 * (i + 1)} for i, row in enumerate(other)]
    assert rates.steady_seconds([*rows, *slower]) == pytest.approx(80 * 0.2 + 40 * 1.0)
    assert rates.steady_seconds([]) == 0


def test_a_paper_has_a_rate_for_every_device_from_its_best_scale_and_the_table_of_hours_says_whose(toys):
    module = sys.modules["toys.toy_paper.config"]
    for seed, (scale, device) in enumerate(
        [("small", "Fast"), ("medium", "Fast"), ("medium", "Fast"), ("small", "CPU")]
    ):
        ship(wanted("A", (seed,), scale)[0].run, module.A, device=device)
    rated = {rate.device: rate for rate in rates.reached(module)}
    assert {device: (rate.scale, rate.logs) for device, rate in rated.items()} == {
        "Fast": ("medium", 2), "CPU, 2 cores": ("small", 1),
    }  # fmt: skip
    assert rated["Fast"].flops == pytest.approx(1.8e14 / 16)
    printed = hours.as_text({"table1": [module.A, module.B], "counted": []})
    assert "counted" not in printed and "toy_paper on Fast: 1.1e+13 FLOP/s, from 2 logs at scale medium." in printed
    lines = [line.split() for line in printed.splitlines() if "table1" in line or "all," in line]
    assert [line[-4:] for line in lines] == [["2", "3.6e+14", "0.0089", "0.0089"]] * 2


# --- Ctrl-C --------------------------------------------------------------------------------------------------------


@pytest.fixture
def stopped(plan, monkeypatch, capsys):
    """Let Ctrl-C stop whatever is trained: return the last line of a command line that it ends."""
    presets = vars(sys.modules["toys.toy_paper.config"])

    def last_line(program, words, *arguments):
        def train_preset(*_, **__):
            raise KeyboardInterrupt(*words)

        monkeypatch.setattr(sys.modules["toys.toy_paper.train"], "train_preset", train_preset)
        monkeypatch.setattr(sys, "argv", [program, *arguments])
        monkeypatch.setattr(campaign.os, "nice", lambda niceness: None)
        with pytest.raises(SystemExit) as stop:
            if program == "campaign":
                campaign.main(plan[0])
            else:
                command.main("toy_paper/table1", {"a": presets["A"]}, lambda options: pytest.fail("nothing is there"))
        assert stop.value.code == 130 and plan[1] == []
        return capsys.readouterr().err.splitlines()[-1]

    return last_line


@pytest.mark.parametrize("words, where", [(["stopped at step 4 of 20"], "stopped at step 4 of 20"), ([], "stopped")])
def test_what_ctrl_c_stops_goes_on_by_a_command_that_there_is(stopped, words, where):
    assert stopped("campaign", words) == f"{where}: the same command goes on"
    assert stopped("table", words, "--scale", "small", "--train") == f"{where}: the same command, with --train, goes on"


# --- the campaign --------------------------------------------------------------------------------------------------


@pytest.fixture
def plan(toys, monkeypatch):
    """Return a plan of one experiment of two presets, and the commands that the campaign runs."""
    presets = vars(sys.modules["toys.toy_paper.config"])
    module = types.SimpleNamespace(ROWS={"a": presets["A"]}, FURTHER={"b": presets["B"]}, TABLE="toy_paper/table1")
    monkeypatch.setitem(sys.modules, "experiments.toy", module)
    commands = []
    monkeypatch.setattr(campaign.subprocess, "run", lambda command, check: commands.append(command[2:]))
    return [("toy", "small", (0, 1))], commands


def test_a_campaign_trains_then_has_the_table_written_and_does_neither_twice(plan, toys, tmp_path):
    entries, commands = plan
    campaign.work(entries)
    assert commands == [["experiments.toy", "--scale", "small"]] and len(toys) == 12
    table = tmp_path / "small/toy_paper/table1.json"
    table.parent.mkdir(parents=True)
    table.write_text(json.dumps({"provenance": {"networks": {"a": {"weights": "ab" * 8}}}}))
    campaign.work(entries)
    assert len(commands) == 1 and len(toys) == 12
    table.write_text(json.dumps({"provenance": {"networks": {"a": {"weights": "cd" * 8}}}}))
    campaign.work(entries)
    assert len(commands) == 2


def test_a_campaign_that_is_out_of_time_writes_no_table(plan, capsys):
    campaign.work(plan[0], 1e-9)
    assert plan[1] == [] and "out of time at toy, scale small" in capsys.readouterr().err


def test_the_status_has_a_line_for_every_preset_and_seed(plan):
    training = wanted("A", seeds=(1,))[0]
    ship(training.run, training.config)
    wanted("B")[0].go_on()
    heading, *lines = campaign.status(plan[0])
    assert [line.split()[:6] for line in lines] == [
        ["toy_paper/a", "small", "0", "0", "of", "20"],
        ["toy_paper/b", "small", "0", "10", "of", "40"],
        ["toy_paper/a", "small", "1", "20", "of", "20"],
        ["toy_paper/b", "small", "1", "0", "of", "40"],
    ]
    assert lines[2].endswith("CPU, shipped") and lines[0].endswith(" -") and "device, shipped" in heading


def test_one_campaign_runs_at_a_time_and_pauses_while_something_is_timed(tmp_path, monkeypatch):
    monkeypatch.setenv("RELIC_RESULTS", str(tmp_path))
    with paused_trainings():  # there is none
        pass
    code = "from common.training.locks import one_campaign\nwith one_campaign(): print('held', flush=1); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        try:
            assert other.stdout.readline() == b"held\n"
            with (
                pytest.raises(RelicError, match=f"a campaign is running already: process {other.pid} on {HOST} "),
                one_campaign(),
            ):
                pass
            with paused_trainings():
                assert state(other.pid) == "T"
            assert state(other.pid) != "T"
        finally:
            other.send_signal(signal.SIGKILL)
    with one_campaign(), paused_trainings():  # a killed campaign holds nothing, and none stops itself
        assert campaign_file().read_text() == f"{os.getpid()} {HOST}\n"
    assert campaign_file().read_text() == ""


def test_one_process_trains_a_preset_and_seed_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setenv("RELIC_RESULTS", str(tmp_path))
    with one_training(Run("paper", "preset", "small")), one_training(Run("paper", "preset", "small", 1)):
        sentence = "small/paper/preset/seed0 is being trained already: process"
        with pytest.raises(RelicError, match=sentence), one_training(Run("paper", "preset", "small")):
            pass
    with one_training(Run("paper", "preset", "small")):
        pass


@pytest.mark.parametrize("age, is_held", [(10, True), (1000, False)])
def test_a_training_on_another_computer_holds_its_lock_as_long_as_it_gives_signs_of_life(
    age, is_held, tmp_path, monkeypatch
):
    monkeypatch.setenv("RELIC_RESULTS", str(tmp_path))
    run = Run("paper", "preset", "small")
    path = run.checkpoint.with_name("training.lock")
    path.parent.mkdir(parents=True)
    path.write_text("12345 another.computer\n")
    os.utime(path, (time.time() - age,) * 2)
    sentence = f"seed0 is being trained already: process 12345 on another.computer holds {path}"
    with pytest.raises(RelicError, match=sentence) if is_held else contextlib.nullcontext(), one_training(run):
        assert path.read_text() == f"{os.getpid()} {HOST}\n"
    with paused_trainings():  # of this computer alone
        pass


def test_where_the_file_system_knows_no_locks_signs_of_life_are_what_counts(tmp_path, monkeypatch):
    def unknown(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setenv("RELIC_RESULTS", str(tmp_path))
    monkeypatch.setattr(locks.fcntl, "flock", unknown)
    monkeypatch.setattr(locks, "BEAT", 0.01)
    run = Run("paper", "preset", "small")
    path = run.checkpoint.with_name("training.lock")
    with one_training(run):
        os.utime(path, (0, 0))
        until = time.monotonic() + 5
        while path.stat().st_mtime == 0 and time.monotonic() < until:
            time.sleep(0.01)
        with pytest.raises(RelicError, match=f"process {os.getpid()} on {HOST} holds"), one_training(run):
            pass
    with one_training(run):
        pass


def test_a_lock_that_a_killed_training_left_holds_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("RELIC_RESULTS", str(tmp_path))
    run = Run("paper", "preset", "small")
    path = run.checkpoint.with_name("training.lock")
    path.parent.mkdir(parents=True)
    path.write_text(f"{os.getppid()} {HOST}\n")  # a number that another process has by now
    with one_training(run):
        pass


def state(number):
    """Return the state of a process once it has settled: T is stopped."""
    time.sleep(0.05)
    return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]


# --- averaged weights ----------------------------------------------------------------------------------------------


def test_an_average_is_the_weighted_mean_of_its_closed_form():
    average = WeightAverage(0.9)
    for step, value in ((10, 1.0), (20, 2.0), (120, 3.0)):
        average.update({"w": np.full(3, value, np.float32)}, step)
    kept = (21 / 30) ** 10, 0.9**100  # (1 + t) / (10 + t) is below 0.9 until step 80
    assert average.arrays["w"] == pytest.approx((kept[0] * 1 + (1 - kept[0]) * 2) * kept[1] + (1 - kept[1]) * 3)
    other = WeightAverage(0.9)
    other.restore({"w": np.ones(3, np.float32)}, 10)
    other.update({"w": np.full(3, 2.0, np.float32)}, 20)
    assert other.arrays["w"] == pytest.approx(kept[0] * 1 + (1 - kept[0]) * 2)
    with pytest.raises(ValueError, match="between 0 and 1"):
        WeightAverage(1.0)
