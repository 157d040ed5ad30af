"""Several devices and several processes train as one device does: losses, checkpoints, stops, and what is refused.

Devices are counted when the frameworks start, so every training here is a process of its own: `make test-devices`.
"""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from common import backend, devices
from common.errors import RelicError

PROGRAM = Path(__file__).with_name("devices_program.py")
KERAS3_ON_TENSORFLOW = backend.STACK == "keras3" and backend.BACKEND == "tensorflow"

pytestmark = pytest.mark.stack


def started(folder: Path, wanted: str, what: str = "train", variables: dict[str, str] | None = None):
    environment = {**os.environ, "RELIC_RESULTS": str(folder), "RELIC_CPU_DEVICES": "2", **(variables or {})}
    environment["PYTHONPATH"] = str(PROGRAM.parents[1])
    command = [sys.executable, str(PROGRAM), wanted, what, str(folder)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def said_by(process) -> dict:
    stdout, stderr = process.communicate(timeout=600)
    assert process.returncode == 0, stderr
    return json.loads(stdout.splitlines()[-1])


def trained(folder: Path, wanted: str, what: str = "train") -> dict:
    return said_by(started(folder, wanted, what))


def two_processes(folders: list[Path], what: str = "train") -> list[dict]:
    """Train in two processes, each with one device, joined over loopback."""
    free = [free_port() for _ in range(2)]
    workers = [f"localhost:{port}" for port in free]
    variables = [
        {
            "RELIC_CPU_DEVICES": "1",
            "TF_CONFIG": json.dumps({"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}}),
            "KERAS_DISTRIBUTION_JOB_ADDRESSES": workers[0],
            "KERAS_DISTRIBUTION_NUM_PROCESSES": "2",
            "KERAS_DISTRIBUTION_PROCESS_ID": str(index),
        }
        for index in range(2)
    ]
    pairs = zip(folders, variables, strict=True)
    processes = [started(folder, "all", what, own) for folder, own in pairs]
    return [said_by(process) for process in processes]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return probe.getsockname()[1]


def assert_same_training(one: dict, other: dict) -> None:
    for name in ("loss", "mean_square"):
        np.testing.assert_allclose([r[name] for r in other["log"]], [r[name] for r in one["log"]], rtol=1e-4)
    assert [(r["step"], r["skipped"]) for r in other["log"]] == [(r["step"], r["skipped"]) for r in one["log"]]
    assert_same_weights(one, other)


def assert_same_weights(one: dict, other: dict) -> None:
    for name, value in one["sums"].items():
        if name != "body/dense/bias":  # without effect before batch normalisation: rounding errors move it
            np.testing.assert_allclose(other["sums"][name], value, rtol=1e-2 if "moving_mean" in name else 1e-4)


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> dict:
    """What one device trained."""
    return trained(tmp_path_factory.mktemp("alone"), "1")


@pytest.mark.devices
def test_two_devices_have_disjoint_parts_of_each_batch_in_order_and_train_as_one_does(alone, tmp_path):
    both = trained(tmp_path, "all")
    assert both["parts"] == [[[0, 1], [2, 3]], [[10, 11], [12, 13]]]
    assert both["devices"] == {"count": 2, "kind": "CPU", "processes": 1}
    assert_same_training(alone, both)
    assert [row["skipped"] for row in alone["log"]] == [0, 3, 0, 0]


@pytest.mark.devices
def test_several_stop_at_one_step_though_one_of_them_is_stopped_and_one_device_goes_on_to_the_same(alone, tmp_path):
    folders = [tmp_path / "first", tmp_path / "second"]
    if KERAS3_ON_TENSORFLOW:  # which trains in one process
        began = [trained(folders[0], "2", "stop")]
    else:
        began = two_processes(folders, "stop")
        assert [said["parts"] for said in began] == [[[[0, 1]], [[10, 11]]], [[[2, 3]], [[12, 13]]]]
        assert [said["devices"] for said in began] == 2 * [{"count": 2, "kind": "CPU", "processes": 2}]
        assert began[0]["sums"] == began[1]["sums"] and began[1]["written"] == []
    (ended,) = {said["ended"] for said in began}
    assert ended.startswith("stopped at step ") and ended.endswith(" of 20")
    assert began[0]["written"] == ["checkpoint.npz", "log.csv"]
    resumed = trained(folders[0], "1", "resume")
    assert resumed["ended"] == "finished" and "devices" not in resumed
    assert_same_weights(alone, resumed)
    if len(began) == 2:  # several stop at the end of a row, one process at any step, which makes other rows
        assert_same_training(alone, resumed)


# --- what is refused ----------------------------------------------------------------------------------------------


@pytest.fixture
def no_cluster(monkeypatch):
    for name in ("TF_CONFIG", *devices.KERAS_VARIABLES):
        monkeypatch.delenv(name, raising=False)


def refused(wanted: str, batch_size: int = 4):
    with devices.shared(wanted, batch_size):
        pytest.fail("it is not refused")


def test_one_device_trains_as_without_the_option(no_cluster):
    for wanted in (None, "1", *(["all"] if backend.BACKEND != "torch" and backend.device() == "CPU" else [])):
        with devices.shared(wanted, 3) as about:
            assert about == {} and backend.part_of_batch(3) == 3 and devices.process().is_chief


@pytest.mark.skipif(backend.BACKEND == "torch", reason="torch is refused before")
def test_more_devices_than_there_are_are_refused(no_cluster):
    with pytest.raises(RelicError, match=r"--devices 99, but there (is|are) \d+ devices?"):
        refused("99")


@pytest.mark.skipif(backend.BACKEND != "torch", reason="of torch")
def test_torch_refuses_several_devices(no_cluster):
    with pytest.raises(RelicError, match="torch trains on one device"):
        refused("all")


def cluster_of_two(monkeypatch):
    config = {"cluster": {"worker": ["localhost:1", "localhost:2"]}, "task": {"type": "worker", "index": 1}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(config))
    for name, value in zip(devices.KERAS_VARIABLES, ("localhost:1", "2", "1"), strict=True):
        monkeypatch.setenv(name, value)


@pytest.mark.skipif(backend.BACKEND == "torch", reason="torch is refused before")
def test_a_number_of_devices_is_refused_for_several_processes_and_one_is_alone(monkeypatch):
    cluster_of_two(monkeypatch)
    assert devices.named_process(None) == devices.named_process("1") == devices.ALONE
    with pytest.raises(RelicError, match="Keras 3 trains in one" if KERAS3_ON_TENSORFLOW else "give --devices all"):
        devices.named_process("2")


@pytest.mark.skipif(backend.BACKEND == "torch" or KERAS3_ON_TENSORFLOW, reason="they train in one process")
def test_the_environment_says_which_of_the_processes_this_one_is(monkeypatch):
    cluster_of_two(monkeypatch)
    own = devices.named_process("all")
    assert own == devices.Process(1, 2) and not own.is_chief


@pytest.mark.skipif(backend.BACKEND == "torch", reason="torch is refused before")
@pytest.mark.parametrize(
    "text", ["nonsense", "{}", '{"cluster": {"worker": ["a:1"]}, "task": {"type": "ps", "index": 0}}']
)
def test_an_environment_that_does_not_say_which_process_this_is_is_refused(monkeypatch, text):
    monkeypatch.setenv("TF_CONFIG", text)
    for name in devices.KERAS_VARIABLES:
        monkeypatch.setenv(name, text)
    with pytest.raises(RelicError, match="which (worker|process)"):
        devices.named_process("all")


@pytest.mark.devices
@pytest.mark.skipif(backend.BACKEND == "torch", reason="torch is refused before")
def test_a_batch_that_cannot_be_divided_is_refused(tmp_path):
    process = started(tmp_path, "3", variables={"RELIC_CPU_DEVICES": "3"})
    _, stderr = process.communicate(timeout=600)
    assert process.returncode == 1
    assert stderr.splitlines()[-1] == "error: a batch of 4 cannot be divided among 3 devices: take 1 or 2 of them"
