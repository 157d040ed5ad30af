"""Trainings side by side: each in a process with its own cores, stopped with their parent, idle for no entry's end."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from common.errors import RelicError
from common.training import schedule, side_by_side
from common.training.runs import Run
from papers.cheng_resnet import config

ROOT = Path(__file__).resolve().parent.parent

# What a training does here: it notes its cores, waits for another one's note, for a while or for its end, and ships.
TRAINING = """
import json, os, pathlib, signal, sys, time
folder, seconds, about, other = pathlib.Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3], pathlib.Path(sys.argv[4])
def stop(*_):
    (folder / "stopped").touch()
    sys.exit(130)
signal.signal(signal.SIGTERM, stop)
(folder / "cores").write_text(json.dumps(sorted(os.sched_getaffinity(0))))
deadline = time.monotonic() + 30
while not (other / "cores").exists():
    if time.monotonic() > deadline:
        sys.exit("error: nobody came")
    time.sleep(0.01)
time.sleep(seconds)
if seconds < 0.1:
    sys.exit("first line\\nerror: it diverged")
(folder / "run.json").write_text(about)
(folder / "weights.safetensors").touch()
"""


@pytest.fixture
def trainings(tmp_path, monkeypatch):
    """Return trainings of three presets, and settings of what their processes do.

    A training takes as many seconds as `seconds` says, 0.3 by default, once the one that `others` names is at work.
    """
    monkeypatch.setenv("RELIC_RESULTS", str(tmp_path))
    wanted = schedule.trainings([config.BASELINE_3, config.BASELINE_5, config.RESNET3], "smoke", (0,))
    seconds, others = dict.fromkeys(wanted, 0.3), {training: training for training in wanted}

    def arguments(training, minutes):
        training.run.shipped.mkdir(parents=True, exist_ok=True)
        fields = {"config": vars(training.config), "steps": 2, "training_seconds": 1.0, "weights_sha256": "ab"}
        about = json.dumps(fields)
        folder, other = training.run.shipped, others[training].run.shipped
        return ["-c", TRAINING, str(folder), str(seconds[training]), about, str(other)]

    monkeypatch.setattr(side_by_side, "arguments", arguments)
    return wanted, seconds, others


def noted(training):
    return json.loads((training.run.shipped / "cores").read_text())


def test_cores_are_dealt_out_and_none_twice(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1, 2, 5, 7})
    assert side_by_side.shares(1) == [(0, 1, 2, 5, 7)]
    assert side_by_side.shares(2) == [(0, 2, 7), (1, 5)]
    assert side_by_side.shares(8) == [(0,), (1,), (2,), (5,), (7,)]


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="two trainings at a time need two cores")
def test_two_trainings_run_at_a_time_on_cores_of_their_own(trainings):
    (first, second, third), _, others = trainings
    others.update({first: second, second: first})
    assert side_by_side.complete([first, second], 2, later=[[third]]) == []
    assert first.is_shipped and second.is_shipped
    assert not set(noted(first)) & set(noted(second))


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="two trainings at a time need two cores")
def test_an_idle_worker_takes_a_later_training_which_stops_when_the_wanted_are_shipped(trainings):
    (first, second, third), seconds, others = trainings
    seconds[third], others[first] = 60, third
    assert side_by_side.complete([first], 2, later=[[], [third], [second]]) == []
    assert first.is_shipped and not third.is_shipped
    assert (third.run.shipped / "stopped").exists() and not second.run.shipped.exists()


def test_a_training_that_fails_is_named_with_its_last_line(trainings):
    (first, *_), seconds, _ = trainings
    seconds[first] = 0.0
    with pytest.raises(RelicError, match="baseline_3 at scale smoke, seed 0 failed: it diverged$"):
        side_by_side.complete([first], 2)


def test_what_time_did_not_allow_is_returned(trainings):
    wanted, *_ = trainings
    assert side_by_side.complete(wanted, 2, minutes=1e-9) == wanted
    assert not any(training.run.shipped.exists() for training in wanted)


def test_a_process_ends_when_its_parent_is_killed(tmp_path):
    child = f"import signal, time; signal.signal(signal.SIGTERM, lambda *_: open({str(tmp_path / 'end')!r}, 'w')); "
    child += "print('up', flush=True); time.sleep(60)"
    parent = "import os, subprocess, sys; from common.training.side_by_side import _limited_to; "
    parent += f"subprocess.run([sys.executable, '-c', {child!r}], preexec_fn=_limited_to((0,), os.getpid()))"
    with subprocess.Popen([sys.executable, "-c", parent], cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"up\n"
        process.send_signal(signal.SIGKILL)
        deadline = time.monotonic() + 10
        while not (tmp_path / "end").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
    assert (tmp_path / "end").exists()


@pytest.mark.slow
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="two trainings at a time need two cores")
def test_networks_are_trained_and_shipped_side_by_side(tmp_path, monkeypatch):
    monkeypatch.setenv("RELIC_RESULTS", str(tmp_path))
    monkeypatch.chdir(ROOT)
    wanted = schedule.trainings([config.BASELINE_3, config.BASELINE_5], "smoke", (0,))
    assert side_by_side.complete(wanted, 2) == []
    assert all(training.progress[0] == 2 for training in wanted)
    assert Run("cheng_resnet", "baseline_5", "smoke").shipped.joinpath("log.csv").exists()
