"""Clusters: how tasks share nodes, what nodes must have; trainings and measurements as tasks of a Ray of two nodes.

The tests marked `cluster` need Ray (`make test-cluster`). Their nodes are processes of this machine with one core each.
"""

import dataclasses
import json
import os
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest

from common import cluster, data
from common.cluster import Share, share_of
from common.errors import RelicError
from common.files import results_dir
from common.tables import measure, networks
from common.tables.command import Options
from common.training import cluster as cluster_training
from common.training import schedule, side_by_side
from common.training.locks import one_training
from papers.cheng_resnet import config
from papers.paka_autoencoder import config as paka

# --- without Ray ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "nodes, tasks, share, places",
    [
        ([{"CPU": 8}, {"CPU": 4}], None, Share(1, 0), 12),
        ([{"CPU": 8}, {"CPU": 4}], 3, Share(4, 0), 3),
        ([{"CPU": 8}, {"CPU": 4}], 4, Share(2, 0), 6),
        ([{"CPU": 8}, {"CPU": 4}], 100, Share(1, 0), 12),
        ([{"CPU": 16, "GPU": 2}, {"CPU": 64}], None, Share(8, 1), 2),
        ([{"CPU": 16, "GPU": 2}, {"CPU": 4, "GPU": 1}], None, Share(4, 1), 3),
        ([{"CPU": 16, "GPU": 2}, {"CPU": 4, "GPU": 1}], 1, Share(16, 1), 1),
        ([], None, Share(1, 0), 0),
    ],
)
def test_a_task_takes_a_gpu_where_there_is_one_and_the_most_cores_that_leave_room_for_all(nodes, tasks, share, places):
    assert share_of(nodes, tasks) == share and share.places(nodes) == places


def test_without_ray_one_sentence_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    sentence = r"^--cluster needs Ray.*`make setup-cluster`.* `pip install relic-compression\[cluster\]`$"
    with pytest.raises(RelicError, match=sentence), cluster.connected("auto"):
        pass


def test_tasks_of_one_machine_keep_to_cores_of_their_own_and_to_all_where_too_few_are_free(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster.tempfile, "gettempdir", lambda: str(tmp_path))
    everything = tuple(sorted(os.sched_getaffinity(0)))

    def kept_to(count):
        with cluster.own_cores(count) as cores:
            assert tuple(sorted(os.sched_getaffinity(0))) == cores
        return cores

    with ThreadPoolExecutor(1) as other:  # affinity is a thread's, and a new one's that of the thread which starts it
        other.submit(time.sleep, 0).result()
        with cluster.own_cores(1) as own:
            assert own == everything[:1] == tuple(os.sched_getaffinity(0))
            assert other.submit(kept_to, len(everything)).result() == everything
            assert len(everything) == 1 or other.submit(kept_to, 1).result() == everything[1:2]
    assert kept_to(1) == own and tuple(sorted(os.sched_getaffinity(0))) == everything


def test_a_tasks_results_end_with_it_and_what_a_killed_one_left_is_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setenv("RELIC_RESULTS", "of the driver")
    with cluster.task_folder({}):
        own = results_dir()
        (own / "models").mkdir()
        (own.parent / "of a killed task").mkdir()
        with cluster.task_folder({}):
            assert results_dir() != own and sorted(own.parent.iterdir()) == sorted([own, results_dir()])
    assert list(own.parent.iterdir()) == []


def test_a_node_takes_over_the_drivers_settings_but_for_its_own_folders(monkeypatch):
    monkeypatch.setenv("RELIC_STACK", "keras3")
    monkeypatch.setenv("RELIC_DATA", "data/of/driver")
    monkeypatch.setenv("RELIC_RESULTS", "results/of/driver")
    settings = cluster.environment()
    assert settings["RELIC_STACK"] == "keras3" and settings["RELIC_DATA"] == os.path.abspath("data/of/driver")
    assert "RELIC_RESULTS" not in settings
    monkeypatch.setenv("RELIC_STACK", "tfc")
    monkeypatch.setenv("RELIC_DATA", "/data/of/node")
    cluster.take_over(settings)
    assert (os.environ["RELIC_STACK"], os.environ["RELIC_DATA"]) == ("keras3", "/data/of/node")


def test_a_node_says_what_it_lacks(tmp_path, monkeypatch):
    monkeypatch.delenv("RELIC_DATA", raising=False)
    assert cluster.lacking(cluster.sources_digest(), {}) == ""
    assert cluster.lacking(cluster.sources_digest(), {"RELIC_DATA": str(tmp_path)}) == ""
    monkeypatch.setenv("RELIC_DATA", str(tmp_path / "none"))
    assert "has no folder" in cluster.lacking(cluster.sources_digest(), {})
    assert "other sources" in cluster.lacking("of another commit", {})


# --- two nodes -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def there():
    """Return a connection to a Ray of two nodes with a core each."""
    pytest.importorskip("ray", reason="Ray is not installed: make test-cluster")
    cluster_utils = pytest.importorskip("ray.cluster_utils")
    node = {"num_cpus": 1, "object_store_memory": 2**27}
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("RAY_worker_niceness", "0")  # beside other work, the low priority of Ray's workers takes minutes
        two = cluster_utils.Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
        try:
            two.add_node(**node)
            with cluster.connected(two.address) as connection:
                yield connection
        finally:
            two.shutdown()


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Return the results folder of the driver."""
    monkeypatch.setenv("RELIC_RESULTS", str(tmp_path / "results"))
    return tmp_path / "results"


# A training of two steps, one a turn, that goes on from its checkpoint: x grows by a factor and the step. It notes from
# where each of its processes goes on, and does once what it is told to when it goes on from step 1.
TRAINING = """
import json, os, pathlib, signal, sys, time
import numpy as np
name, config, notes, deed = sys.argv[1], json.loads(sys.argv[2]), pathlib.Path(sys.argv[3]), sys.argv[4]
results = pathlib.Path(os.environ["RELIC_RESULTS"])
checkpoint = results / "runs" / name / "checkpoint.npz"
step, x = 0, 1
if checkpoint.exists():
    with np.load(checkpoint) as kept:
        step, x = json.loads(kept["about"].tobytes())["step"], int(kept["x"])
with notes.open("a") as file:
    file.write(f"{step}\\n")
def save(step, x):
    about = {"step": step, "seconds": 1.0, "config": config, "log": []}
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    np.savez(checkpoint, about=np.frombuffer(json.dumps(about).encode(), np.uint8), x=x)
def stop(*_):
    (notes.parent / "stopped").touch()
    save(step, 77)
    sys.exit(130)
signal.signal(signal.SIGTERM, stop)
if step == 1 and deed == "is killed" and notes.read_text().count("1") == 1:
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(60)
if step == 1 and deed == "fails":
    sys.exit("first line\\nerror: it diverged")
if deed == "waits":
    (notes.parent / "waits").touch()
    time.sleep(60)
step, x = step + 1, x * 10 + step
save(step, x)
if step == 2:
    shipped = results / "smoke/models" / name
    shipped.mkdir(parents=True)
    (shipped / "weights.safetensors").write_text(str(x))
    about = {"config": config, "steps": 2, "training_seconds": 1.0, "weights_sha256": "ab"}
    (shipped / "run.json").write_text(json.dumps(about))
    (shipped / "log.csv").write_text("step")
"""


@pytest.fixture
def trainings(here, tmp_path, monkeypatch):
    """Return two such trainings, what each is told to do, and the steps from which its processes went on."""
    wanted = schedule.trainings([config.BASELINE_3, config.BASELINE_5], "smoke", (0,))
    deeds = dict.fromkeys(wanted, "nothing")

    def notes(training):
        return tmp_path / f"{training.run.preset}.txt"

    def arguments(training, minutes):
        about = json.dumps(dataclasses.asdict(training.config))
        return ["-c", TRAINING, training.run.name, about, str(notes(training)), deeds[training]]

    monkeypatch.setattr(side_by_side, "arguments", arguments)
    return wanted, deeds, lambda training: notes(training).read_text().split()


@pytest.mark.slow
@pytest.mark.cluster
def test_a_killed_workers_training_goes_on_from_its_checkpoint_to_the_same_weights(there, trainings, capsys):
    (first, second), deeds, begun = trainings
    deeds[first] = "is killed"
    assert cluster_training.complete([first, second], there) == []
    weights = [(training.run.shipped / "weights.safetensors").read_text() for training in (first, second)]
    assert weights == ["101", "101"] and first.is_shipped and second.is_shipped
    assert begun(first) == ["0", "1", "1"] and begun(second) == ["0", "1"]
    assert (
        f"{first.name} lost its turn on the cluster (WorkerCrashedError): it goes on from step 1\n"
        in capsys.readouterr().err
    )


@pytest.mark.slow
@pytest.mark.cluster
def test_a_training_that_fails_is_named_with_its_last_line_and_not_run_again(there, trainings):
    (first, _), deeds, begun = trainings
    deeds[first] = "fails"
    with pytest.raises(
        RelicError, match=r"baseline_3 at scale smoke, seed 0 failed on \d+\.\d+\.\d+\.\d+: it diverged$"
    ):
        cluster_training.complete([first], there)
    assert begun(first) == ["0", "1"] and first.progress[0] == 1


@pytest.mark.slow
@pytest.mark.cluster
def test_what_still_runs_at_the_end_stops_with_a_checkpoint_and_is_locked_until_then(there, trainings, tmp_path):
    (first, second), deeds, _ = trainings
    deeds[second] = "waits"
    with cluster_training.tasks(there) as turns:
        assert side_by_side.advance([first], turns, later=[[second]]) == []
        assert first.is_shipped and turns.busy == [second]
        while not (tmp_path / "waits").exists():
            time.sleep(0.05)
        with pytest.raises(RelicError, match="is being trained already"), one_training(second.run):
            pass
    assert (tmp_path / "stopped").exists() and not second.is_shipped
    with np.load(second.run.checkpoint) as kept:
        assert int(kept["x"]) == 77
    with one_training(second.run):
        pass


@pytest.mark.slow
@pytest.mark.cluster
def test_what_time_did_not_allow_is_left(there, trainings):
    wanted, _, _ = trainings
    assert cluster_training.complete(wanted, there, minutes=1e-9) == wanted


@pytest.mark.slow
@pytest.mark.cluster
def test_two_nodes_train_networks_to_the_same_files_as_processes_of_this_machine(there, here, tmp_path, monkeypatch):
    wanted = schedule.trainings([paka.AUTOENCODER, paka.AUTOENCODER_LINEAR], "smoke", (0,))
    assert cluster_training.complete(wanted, there) == []
    on_nodes = [cluster.contents(training.run.shipped, "*") for training in wanted]
    steps = [training.progress[0] for training in wanted]
    monkeypatch.setenv("RELIC_RESULTS", str(tmp_path / "others"))
    assert side_by_side.complete(wanted, 2) == []
    locally = [cluster.contents(training.run.shipped, "*") for training in wanted]
    assert [sorted(files) for files in on_nodes] == [["log.csv", "run.json", "weights.safetensors"]] * 2
    assert [files["weights.safetensors"] for files in on_nodes] == [files["weights.safetensors"] for files in locally]
    assert steps == [training.progress[0] for training in wanted]
    assert (here / "runs" / wanted[0].run.name / "output.txt").is_file()


@pytest.mark.slow
@pytest.mark.cluster
def test_networks_are_measured_on_nodes_as_on_this_machine(there, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (192, 168, 3), np.uint8)
    data.write_png(tmp_path / "pictures/noise.png", noise)
    rows = {"Hyperprior-9": config.HYPERPRIOR_9_MSSSIM, "ResNet-3x3(3)": config.RESNET3}
    options = Options("cheng_resnet/table4", rows, "small", data=tmp_path / "pictures", seeds=[0])
    on_nodes = dataclasses.replace(options, over_networks=partial(there.map, "cheng_resnet"))
    local, remote = measure.rate_distortion(options), measure.rate_distortion(on_nodes)
    assert [entry["row"] for entry in remote.pictures] == list(rows)
    assert [untimed(entry) for entry in remote.pictures] == [untimed(entry) for entry in local.pictures]
    assert there.about["device"] == "CPU" and there.about["measured on"] == "a Ray cluster of 2 nodes"


def untimed(entry):
    return {key: value for key, value in entry.items() if not key.endswith("_time")}


@pytest.mark.slow
@pytest.mark.cluster
def test_the_sentence_of_a_task_that_measures_arrives(there, here):
    load = partial(networks.codec_of, config.BASELINE_3, "small")
    with pytest.raises(RelicError, match="^no weights for cheng_resnet/baseline_3 at scale small seed 5 "):
        list(there.map("cheng_resnet", load, [5]))


@pytest.mark.slow
@pytest.mark.cluster
def test_a_measurement_whose_worker_is_killed_is_taken_again(there, here, tmp_path):
    def killed_once(number):
        if number == 2 and not (tmp_path / "killed").exists():
            (tmp_path / "killed").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return 10 * number

    assert list(there.map("cheng_resnet", killed_once, [1, 2, 3])) == [10, 20, 30]
    assert (tmp_path / "killed").exists()
