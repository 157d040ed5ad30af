"""Trainings on disk: resumed ones equal uninterrupted ones bit for bit, and nothing that happens loses a checkpoint."""

import csv
import dataclasses
import errno
import gc
import json
import os
import resource
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from narrow import ToyConfig, narrow, needs_bfloat16, picture, toy, toy_batch

from common import backend, files, provenance
from common.data import write_png
from common.errors import RelicError, run_main
from common.training import checkpoints, locks, loop, runs, weights
from common.training import ship as ship_module
from papers.cheng_resnet import train

pytestmark = pytest.mark.stack

TESTS = Path(__file__).resolve().parent


@pytest.fixture(autouse=True)
def results(tmp_path, monkeypatch):
    """Keep results in a folder of their own, and read the clock every second step."""
    monkeypatch.setenv("RELIC_RESULTS", str(tmp_path / "results"))
    monkeypatch.setattr(loop, "CHUNK", 2)
    return tmp_path / "results"


def run(name="toy", **options):
    return runs.Run("paper", name, "smoke", **options)


def fit(config=ToyConfig(), batch=toy_batch, **options):
    """Train a new toy model and return it with what `fit` returned."""
    model = toy(config)
    return model, loop.fit(model, config, batch, run(**options))


def contents(path):
    """Return the arrays of a checkpoint and what it says of itself."""
    with np.load(path) as file:
        arrays = {key: file[key] for key in file.files}
    return arrays, json.loads(arrays.pop("about").tobytes())


def assert_same_checkpoint(first, second):
    """Compare weights, optimizer, step, config and log but not what the clock says; bit for bit."""
    (arrays, about), (others, other) = contents(first), contents(second)
    assert set(arrays) == set(others)
    for name, array in arrays.items():
        assert array.dtype == others[name].dtype and array.tobytes() == others[name].tobytes(), name
    for saved in (about, other):
        saved.pop("seconds")
        saved["log"] = [{key: row[key] for key in row if key not in ("seconds", "input_wait")} for row in saved["log"]]
    assert about == other


# --- resuming ------------------------------------------------------------------------------------------------------


# jax compiles a training for many seconds, so it trains the smaller network alone.
WITH_SIDE_INFORMATION = "hyperprior_3" if backend.BACKEND == "tensorflow" else "baseline_3"


@pytest.mark.slow
@pytest.mark.parametrize(
    "preset, precision",
    [(WITH_SIDE_INFORMATION, "float32"), pytest.param("baseline_3", "bfloat16", marks=needs_bfloat16)],
)
def test_a_resumed_training_equals_an_uninterrupted_one_bit_for_bit(preset, precision, tmp_path, monkeypatch):
    """A real network with random patches, mirrored or not, its noise, a rate that drops, and clipping."""
    for number in range(3):
        write_png(tmp_path / "data" / "waves" / f"{number}.png", picture(80, 90, seed=number))
    monkeypatch.setenv("RELIC_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(backend, "fast_precision", lambda: precision)
    monkeypatch.setattr(loop, "SAVE_SECONDS", 0.0)
    save, whole, parts = checkpoints.save_checkpoint, run("whole", seed=3), run("parts", seed=3, resume=True)

    def save_and_keep_the_first(path, *arguments):
        save(path, *arguments)
        if path == whole.checkpoint and arguments[2] == 2:
            parts.checkpoint.parent.mkdir(parents=True)
            shutil.copy(path, parts.checkpoint)

    monkeypatch.setattr(loop, "save_checkpoint", save_and_keep_the_first)
    settings = {"training_sets": ("waves",), "flips": True, "clip_norm": 1.0, "learning_rate_drops": ((0.4, 0.1),)}
    config = narrow(preset, batch_size=2, **settings)
    model, about = train.train(config, whole)
    halfway, said = contents(parts.checkpoint)
    assert said["step"] == 2 and len(said["log"]) == 1
    resumed, about = train.train(config, parts)
    assert about["steps"] == 4 and [row["step"] for row in about["log"]] == [2, 4]
    assert_same_checkpoint(whole.checkpoint, parts.checkpoint)
    for name, array in checkpoints.model_arrays(resumed).items():
        assert np.isfinite(array).all() and np.array_equal(array, checkpoints.model_arrays(model)[name])
        moved = not np.array_equal(array, halfway[f"weights/{name}"])
        assert moved or name == "prior/quantiles", name


def test_the_same_training_gives_the_same_checkpoint_and_other_batches_another():
    fit(name="a")
    fit(name="b")
    assert_same_checkpoint(run("a").checkpoint, run("b").checkpoint)
    fit(name="c", batch=lambda step: toy_batch(step + 1))
    with pytest.raises(AssertionError):
        assert_same_checkpoint(run("a").checkpoint, run("c").checkpoint)


def test_time_that_runs_out_leaves_a_checkpoint_after_the_steps_it_allowed():
    _, (finished, seconds, log) = fit(minutes=1e-9)
    assert not finished and seconds >= 0 and [row["step"] for row in log] == [2]
    _, (finished, _, log) = fit(minutes=1e-9, resume=True)
    assert not finished and [row["step"] for row in log] == [2, 4]
    _, (finished, _, log) = fit(minutes=1000, resume=True)
    assert finished and [row["step"] for row in log] == [2, 4, 6]
    fit(name="whole")
    assert_same_checkpoint(run().checkpoint, run("whole").checkpoint)


def test_a_finished_training_resumes_to_itself():
    first, _ = fit()
    again, (finished, _, log) = fit(resume=True)
    assert finished and len(log) == 3
    for name, array in checkpoints.model_arrays(first).items():
        np.testing.assert_array_equal(checkpoints.model_arrays(again)[name], array)


def test_a_checkpoint_is_written_whenever_its_time_has_come(monkeypatch):
    steps = []
    monkeypatch.setattr(loop, "save_checkpoint", lambda *arguments: steps.append(arguments[3]))
    fit()
    assert steps == [6]
    monkeypatch.setattr(loop, "SAVE_SECONDS", 0.0)
    fit()
    assert steps == [6, 2, 4, 6]


def test_a_checkpoint_is_overwritten_only_on_request():
    fit(minutes=1e-9)
    with pytest.raises(RelicError, match="checkpoint.npz exists: go on with --resume, or start anew with --restart"):
        fit()
    _, (finished, _, log) = fit(restart=True)
    assert finished and [row["step"] for row in log] == [2, 4, 6]
    with pytest.raises(RelicError, match="nothing to resume: .*checkpoint.npz does not exist"):
        fit(name="other", resume=True)


def test_a_checkpoint_of_another_config_is_refused_by_the_fields_that_differ():
    fit(minutes=1e-9)
    with pytest.raises(RelicError, match=r"checkpoint\.npz .*another config \(learning_rate, steps differ\)"):
        fit(ToyConfig(steps=8, learning_rate=0.1), resume=True)


def test_a_checkpoint_of_another_precision_or_stack_is_refused_by_how_to_go_on():
    fit(minutes=1e-9, precision="bfloat16")  # as the run says; the toy computes in float32
    with pytest.raises(RelicError, match=r"checkpoint\.npz was trained in bfloat16: go on with --precision bfloat16"):
        fit(resume=True, precision="float32")
    arrays, about = contents(run().checkpoint)
    del about["precision"]  # of an older version, which knew only the fastest one
    save_about(arrays, about)
    _, (finished, _, log) = fit(resume=True, precision="float32", minutes=1e-9)
    assert not finished and log[-1]["step"] == 4
    arrays, about = contents(run().checkpoint)
    save_about(arrays, {**about, "stack": "another"})
    with pytest.raises(RelicError, match="was written by stack another: go on with RELIC_STACK=another, or train"):
        fit(resume=True, precision="float32")


def save_about(arrays, about):
    np.savez(run().checkpoint, about=np.frombuffer(json.dumps(about).encode(), np.uint8), **arrays)


@pytest.mark.parametrize("told, expected", [(None, "bfloat16"), ("float32", "float32")])
def test_a_training_is_resumed_in_its_own_precision_unless_told_otherwise(told, expected, monkeypatch):
    own = runs.Run("cheng_resnet", "baseline_3", "smoke")
    seen = []
    monkeypatch.setattr(train, "train", lambda config, run: seen.append(run.precision))
    monkeypatch.setattr(backend, "fast_precision", lambda: "the fastest")
    train.train_preset("baseline_3", "smoke", precision=told)
    fit(minutes=1e-9, precision="bfloat16")
    own.checkpoint.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(run().checkpoint, own.checkpoint)
    train.train_preset("baseline_3", "smoke", resume=True, precision=told)
    train.train_preset("baseline_3", "smoke", restart=True, precision=told)
    assert seen == [told or "the fastest", expected, told or "the fastest"]


def test_a_truncated_checkpoint_is_refused_wherever_it_was_cut():
    fit(minutes=1e-9)
    data = run().checkpoint.read_bytes()
    model = toy(ToyConfig())
    for length in [*range(0, len(data), len(data) // 25), len(data) - 1]:
        run().checkpoint.write_bytes(data[:length])
        with pytest.raises(RelicError, match=r"damaged checkpoint .*checkpoint\.npz"):
            checkpoints.load_checkpoint(run().checkpoint, model, ToyConfig())


def test_a_flipped_bit_in_a_checkpoint_is_refused_or_changes_nothing():
    fit(minutes=1e-9)
    path, model = run().checkpoint, toy(ToyConfig())
    data, expected = path.read_bytes(), contents(path)[0]
    rng, refused = np.random.RandomState(0), 0
    for position in rng.randint(0, len(data), 300):
        path.write_bytes(data[:position] + bytes([data[position] ^ 1 << rng.randint(8)]) + data[position + 1 :])
        try:
            checkpoints.load_checkpoint(path, model, ToyConfig())
        except RelicError as error:
            refused += str(path) in str(error)
        else:
            for name, array in checkpoints.model_arrays(model).items():
                np.testing.assert_array_equal(array, expected[f"weights/{name}"])
    assert refused > 100


ABOUT = {"step": 2, "seconds": 0.5, "config": dataclasses.asdict(ToyConfig()), "log": []}
NO_ABOUT = {
    "no object": [],
    "null": None,
    "no step": {k: v for k, v in ABOUT.items() if k != "step"},
    "no config": {k: v for k, v in ABOUT.items() if k != "config"},
    "no log": {k: v for k, v in ABOUT.items() if k != "log"},
    "a negative step": {**ABOUT, "step": -1},
    "a step of NaN": {**ABOUT, "step": np.nan},
    "half a step": {**ABOUT, "step": 1.5},
    "a step that is a bool": {**ABOUT, "step": True},
    "seconds of NaN": {**ABOUT, "seconds": np.nan},
    "infinite seconds": {**ABOUT, "seconds": np.inf},
    "negative seconds": {**ABOUT, "seconds": -1.0},
    "a config that is none": {**ABOUT, "config": ["width"]},
    "rows that are none": {**ABOUT, "log": [5]},
    "rows without a step": {**ABOUT, "log": [{"loss": 1.0, "seconds": 1.0}]},
}


@pytest.mark.parametrize("about", NO_ABOUT.values(), ids=NO_ABOUT)
def test_a_checkpoint_that_says_something_else_of_itself_is_refused_by_its_name(about, tmp_path):
    path, model = tmp_path / "checkpoint.npz", toy(ToyConfig())
    arrays = {f"weights/{name}": array for name, array in checkpoints.model_arrays(model).items()}
    for data in (json.dumps(about).encode(), b"[" * 100_000, b"\xff"):
        np.savez(path, about=np.frombuffer(data, np.uint8), **arrays)
        for read in (checkpoints.checkpoint_about, lambda path: checkpoints.load_checkpoint(path, model, ToyConfig())):
            with pytest.raises(
                RelicError, match=r"^damaged checkpoint .*checkpoint\.npz: .*: remove it and train again$"
            ):
                read(path)


@pytest.mark.parametrize("name", ["weights/body/dense/kernel", "optimizer/3"])
def test_a_checkpoint_with_numbers_that_are_not_finite_is_refused_by_their_name(name):
    fit(minutes=1e-9)
    arrays, about = contents(run().checkpoint)
    arrays[name] = np.full_like(arrays[name], np.nan)
    np.savez(run().checkpoint, about=np.frombuffer(json.dumps(about).encode(), np.uint8), **arrays)
    with pytest.raises(RelicError, match=f"checkpoint.npz: {name} is not finite: remove it and train again"):
        fit(resume=True)


@pytest.mark.parametrize("change", ["fewer", "more", "reshaped"])
def test_a_checkpoint_with_another_optimizers_state_is_refused(change):
    fit(minutes=1e-9)
    arrays, about = contents(run().checkpoint)
    last = max((key for key in arrays if key.startswith("optimizer/")), key=lambda key: int(key.split("/")[1]))
    if change == "fewer":
        del arrays[last]
    elif change == "more":
        arrays[f"optimizer/{int(last.split('/')[1]) + 1}"] = np.zeros(3, np.float32)
    else:
        arrays[last] = np.zeros((2, *arrays[last].shape), np.float32)
    arrays["about"] = np.frombuffer(json.dumps(about).encode(), np.uint8)
    np.savez(run().checkpoint, **arrays)
    with pytest.raises(RelicError, match="written by another version of Keras"):
        fit(resume=True)


def test_a_checkpoint_of_another_network_is_refused_by_name_or_shape():
    model = toy(ToyConfig())
    arrays = checkpoints.model_arrays(model)
    assert set(arrays) == {"body/dense/kernel", "body/dense/bias"}
    with pytest.raises(RelicError, match="there.npz holds weights of another network.*names"):
        checkpoints.set_model_arrays(model, {"body/other/kernel": arrays["body/dense/kernel"]}, "there.npz")
    arrays["body/dense/kernel"] = np.zeros((4, 1), np.float32)
    with pytest.raises(RelicError, match=r"there.npz .*another network.*body/dense/kernel: shape \(4, 1\)"):
        checkpoints.set_model_arrays(model, arrays, "there.npz")


def test_the_parts_of_a_training_have_checkpoints_of_their_own(results):
    paths = [run(part=part).checkpoint for part in ("", "1_ppnn", "1_vcnn")]
    assert [path.name for path in paths] == ["checkpoint.npz", "checkpoint_1_ppnn.npz", "checkpoint_1_vcnn.npz"]
    assert {path.parent for path in paths} == {results / "runs" / run().name}
    assert run(part="1_ppnn").shipped == run().shipped
    fit(part="1_ppnn", minutes=1e-9)
    fit(part="1_vcnn")
    _, (finished, _, log) = fit(part="1_ppnn", resume=True)
    assert finished and [row["step"] for row in log] == [2, 4, 6] and not paths[0].exists()
    assert_same_checkpoint(*paths[1:])


# --- divergence, Ctrl-C --------------------------------------------------------------------------------------------


def test_ten_steps_in_a_row_that_are_not_finite_stop_with_a_sentence_and_keep_the_last_checkpoint():
    config = ToyConfig(steps=30)

    def batch(step):
        return {**toy_batch(step), "x": toy_batch(step)["x"] * (np.nan if 4 < step < lost else 1)}

    lost = 14  # nine steps
    _, (finished, _, log) = fit(config, batch)
    assert finished and [row["skipped"] for row in log[:8]] == [0, 0, 1, 2, 2, 2, 2, 0]
    assert [row["step"] for row in log if np.isnan(row["loss"])] == [8, 10, 12, 14] and log[2]["loss"] > 0
    kept = contents(run().checkpoint)[0]
    lost = 15
    fit(config, batch, minutes=1e-9, restart=True)
    before = run().checkpoint.read_bytes()
    with pytest.raises(RelicError, match=r"toy diverged before step 16 \(loss or gradients were not .*another seed"):
        fit(config, batch, resume=True)
    assert run().checkpoint.read_bytes() == before
    lost = 14
    fit(config, batch, resume=True)
    assert all(array.tobytes() == kept[name].tobytes() for name, array in contents(run().checkpoint)[0].items())


def test_a_batch_that_fails_ends_the_training_with_its_sentence_and_a_checkpoint_of_all_steps_before_it():
    def batch(step):
        if step == 3:
            raise RelicError("waves/3.png is damaged: remove it")
        return toy_batch(step)

    for expected in (3, 3):  # a second try finds the same
        with pytest.raises(RelicError, match="^step 3: waves/3.png is damaged: remove it$"):
            fit(batch=batch, resume=run().checkpoint.exists())
        _, about = contents(run().checkpoint)
        assert about["step"] == expected and [row["step"] for row in about["log"]] == [2, 3]
    fit(resume=True)
    fit(name="whole")
    (arrays, _), (others, _) = contents(run().checkpoint), contents(run("whole").checkpoint)
    assert all(array.tobytes() == others[name].tobytes() for name, array in arrays.items())


KILLED = """
import sys
sys.path[:0] = [{tests!r}, {root!r}]
from narrow import ToyConfig, toy, toy_batch
from common.training import loop, runs

loop.CHUNK = 2
config = ToyConfig(steps=10**6)
print("begun", flush=True)
loop.fit(toy(config), config, toy_batch, runs.Run("paper", "toy", "smoke"))
"""


@pytest.mark.slow
def test_a_killed_training_leaves_the_rows_of_its_log_and_one_that_is_resumed_those_of_its_checkpoint():
    code = KILLED.format(tests=str(TESTS), root=str(TESTS.parent))
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        until = time.monotonic() + 300
        while time.monotonic() < until and not (run().log.exists() and run().log.read_text().count("\n") > 5):
            time.sleep(0.02)
        process.kill()
    assert not run().checkpoint.exists()
    rows = list(csv.DictReader(run().log.open()))
    assert [int(row["step"]) for row in rows[:4]] == [2, 4, 6, 8] and all(float(row["loss"]) > 0 for row in rows[:4])
    fit(minutes=1e-9)
    fit(minutes=1e-9, resume=True)
    rows = list(csv.DictReader(run().log.open()))
    assert [int(row["step"]) for row in rows] == [2, 4] and list(rows[0])[-3:] == ["input_wait", "skipped", "seconds"]


def test_weights_that_are_not_finite_stop_a_training_whose_loss_hides_them_and_keep_the_last_checkpoint(monkeypatch):
    fit(minutes=1e-9)
    before = run().checkpoint.read_bytes()
    sound = checkpoints.model_arrays

    def lost(model):
        return {name: np.where(np.arange(array.size).reshape(array.shape) == 0, np.nan, array).astype(np.float32)
                for name, array in sound(model).items()}  # fmt: skip

    monkeypatch.setattr(checkpoints, "model_arrays", lost)
    with pytest.raises(
        RelicError, match=r"diverged before step 4 \(weights/body/dense/\w+ is not finite\).*another seed"
    ):
        fit(minutes=1e-9, resume=True)
    assert run().checkpoint.read_bytes() == before


STOPPED = """
import sys, time
sys.path[:0] = [{tests!r}, {root!r}]
from narrow import ToyConfig, toy, toy_batch
from common.errors import run_main
from common.training import loop, runs

def batch(step):
    print(f"{{step}}\\n", end="", flush=True)  # at once, as several threads print
    time.sleep(0.02)
    return toy_batch(step)

config = ToyConfig(steps=100_000)
run = runs.Run("paper", "toy", "smoke")
run_main(lambda: loop.fit(toy(config), config, batch, run))
"""


@pytest.mark.slow
def test_ctrl_c_leaves_a_checkpoint_one_line_and_status_130_and_the_training_goes_on():
    code = STOPPED.format(tests=str(TESTS), root=str(TESTS.parent))
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code], stdout=pipe, stderr=pipe, text=True) as process:
        try:
            for line in process.stdout:
                if int(line) == 120:  # of the third chunk, drawn while the second one is trained
                    process.send_signal(signal.SIGINT)
                    break
            _, stderr = process.communicate(timeout=300)
        finally:
            process.kill()
    assert process.returncode == 130
    step = contents(run().checkpoint)[1]["step"]
    assert stderr == f"stopped at step {step} of 100000\n"
    assert 50 <= step < 1000
    config = ToyConfig(steps=100_000)
    model, (finished, _, log) = fit(config, minutes=1e-9, resume=True)
    next_row = step // 2 * 2 + 2
    assert not finished and log[-1]["step"] == next_row
    assert int(backend.to_numpy(model.optimizer.iterations)) == next_row


def test_slow_steps_have_shorter_rows_so_that_the_clock_is_read_in_time_and_the_next_row_is_a_whole_one(monkeypatch):
    monkeypatch.setattr(loop, "CHUNK", 3)
    monkeypatch.setattr(loop, "ROW_SECONDS", 0.0)
    _, (finished, _, log) = fit(minutes=1e-9)
    assert not finished and [row["step"] for row in log] == [1]
    monkeypatch.setattr(loop, "ROW_SECONDS", 60.0)
    _, (finished, _, log) = fit(minutes=1e-9, resume=True)
    assert [row["step"] for row in log] == [1, 3]


def test_a_second_ctrl_c_stops_at_once_and_the_handlers_are_put_back():
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), loop._StopOnSignal() as stop:
        signal.raise_signal(signal.SIGINT)
        assert stop.requested and signal.getsignal(signal.SIGINT) is not before
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_training_resumes_to_the_uninterrupted_result(number):
    sent = []

    def batch(step):
        if step == 2 and not sent:  # drawn while the steps before it are trained
            sent.append(step)
            os.kill(os.getpid(), number)
        return toy_batch(step)

    with pytest.raises(KeyboardInterrupt, match="stopped at step .* of 6$"):
        fit(batch=batch)
    assert 1 <= contents(run().checkpoint)[1]["step"] < 6
    fit(resume=True)
    fit(name="whole")
    (arrays, about), (others, other) = contents(run().checkpoint), contents(run("whole").checkpoint)
    assert about["step"] == other["step"] == 6  # the log may have other rows
    for name, array in arrays.items():
        assert array.tobytes() == others[name].tobytes(), name


# --- files that appear whole or not at all -------------------------------------------------------------------------


def test_a_file_that_is_written_whole_replaces_the_old_one(tmp_path):
    path = tmp_path / "new" / "folder" / "file"
    for content in (b"old", b"new"):
        with files.atomic_file(path) as file:
            file.write(content)
        assert path.read_bytes() == content
    assert os.listdir(path.parent) == ["file"]


@pytest.mark.parametrize("mask, mode", [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
def test_a_file_has_the_permissions_that_the_umask_leaves(mask, mode, tmp_path):
    before = os.umask(mask)
    try:
        with files.atomic_file(tmp_path / "file") as file:
            file.write(b"content")
        write_png(tmp_path / "a.png", np.zeros((2, 3, 3), np.uint8))
    finally:
        os.umask(before)
    assert [path.stat().st_mode & 0o777 for path in (tmp_path / "file", tmp_path / "a.png")] == [mode, mode]


def write(path, content):
    with files.atomic_file(path) as file:
        file.write(content)


def test_a_file_that_is_replaced_keeps_its_permissions(tmp_path):
    (tmp_path / "file").write_bytes(b"old")
    (tmp_path / "file").chmod(0o600)
    write(tmp_path / "file", b"new")
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600


def test_a_link_is_written_through_to_its_target_and_a_fifo_into(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder/target")
    for content in (b"new target", b"old target"):
        write(tmp_path / "link", content)
        assert (tmp_path / "link").is_symlink() and (tmp_path / "folder" / "target").read_bytes() == content
    os.mkfifo(tmp_path / "fifo")
    with subprocess.Popen(["cat", str(tmp_path / "fifo")], stdout=subprocess.PIPE) as reader:
        write(tmp_path / "fifo", b"content")
        assert reader.stdout.read() == b"content"
    assert stat.S_ISFIFO((tmp_path / "fifo").stat().st_mode)


def test_the_longest_legal_name_can_be_written_and_errors_name_the_wanted_file(tmp_path):
    write(tmp_path / ("n" * 255), b"content")
    with pytest.raises(OSError, match="too long") as caught:
        write(tmp_path / ("n" * 256), b"content")
    assert caught.value.filename == str(tmp_path / ("n" * 256)) or caught.value.filename2 == str(tmp_path / ("n" * 256))
    assert len(os.listdir(tmp_path)) == 1


def test_what_a_killed_process_left_is_removed_and_what_another_one_writes_is_not(tmp_path):
    code = "import os, pathlib, sys; from common.files import atomic_file\n"
    code += "with atomic_file(pathlib.Path(sys.argv[1])) as file: print('open', flush=True); input()"
    line = [sys.executable, "-c", code, str(tmp_path / "other")]
    with subprocess.Popen(
        line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parents[1]
    ) as process:
        assert process.stdout.readline() == b"open\n"
        write(tmp_path / "file", b"content")
        assert len(os.listdir(tmp_path)) == 2
        process.kill()
    assert len(os.listdir(tmp_path)) == 2
    write(tmp_path / "file", b"content")
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("where", ["write", "fsync", "replace"])
def test_a_full_disk_leaves_nothing_behind_and_keeps_the_old_file(where, tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    def write():
        with files.atomic_file(path) as file:
            file.write(b"new")
            if where == "write":
                full()

    if where != "write":
        monkeypatch.setattr(os, where, full)
    with pytest.raises(SystemExit) as caught:
        run_main(write)
    assert caught.value.code == f"error: no space left on the disk: {path}"
    assert os.listdir(tmp_path) == ["file"] and path.read_bytes() == b"old"


def test_a_full_disk_while_saving_keeps_the_last_checkpoint(monkeypatch):
    fit(minutes=1e-9)
    before = run().checkpoint.read_bytes()

    def full(file, **arrays):
        file.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="No space left"):
        fit(resume=True)
    assert run().checkpoint.read_bytes() == before
    assert sorted(path.name for path in run().checkpoint.parent.iterdir()) == ["checkpoint.npz", "log.csv"]


@pytest.fixture
def small_files():
    """Let this process write at most 200 bytes to a file, as if its disk were full then."""
    _, most = limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200, most))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_disk_that_is_full_while_saving_gives_one_error_and_nothing_is_said_later(small_files, monkeypatch):
    said = []
    monkeypatch.setattr(sys, "unraisablehook", said.append)
    with pytest.raises(OSError, match="File too large"):
        fit()
    gc.collect()
    assert said == [] and [path.name for path in run().checkpoint.parent.iterdir()] == ["log.csv"]


def test_a_disk_that_is_full_at_a_checkpoint_is_one_sentence_and_keeps_the_one_before_for_going_on(monkeypatch):
    fit(minutes=1e-9)
    before = run().checkpoint.read_bytes()
    _, most = limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) - 500, most))
    try:
        with pytest.raises(SystemExit) as caught:
            run_main(lambda: fit(resume=True))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.code == f"error: File too large: {run().checkpoint}"
    assert run().checkpoint.read_bytes() == before
    assert sorted(path.name for path in run().checkpoint.parent.iterdir()) == ["checkpoint.npz", "log.csv"]
    fit(resume=True)
    fit(name="whole")
    assert_same_checkpoint(run().checkpoint, run("whole").checkpoint)


def test_whether_a_file_can_be_written_is_known_before_and_leaves_nothing(tmp_path):
    for path in (tmp_path / "new" / "folder" / "file", tmp_path / "file"):
        files.check_writable(path)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_bytes(b"content")
    files.check_writable(tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"content"
    (tmp_path / "link").symlink_to(tmp_path / "new" / "target")
    files.check_writable(tmp_path / "link")
    files.check_writable(Path(os.devnull))


def test_a_file_in_the_place_of_a_folder_or_the_reverse_is_said_before_with_the_wanted_name(tmp_path):
    (tmp_path / "file").write_bytes(b"content")
    for path in (tmp_path / "file" / "folder" / "wanted", tmp_path):
        with pytest.raises(OSError, match="irectory") as caught:
            files.check_writable(path)
        assert caught.value.filename == str(path)


def test_a_disk_that_is_full_is_known_before(small_files, tmp_path):
    with pytest.raises(OSError, match="File too large") as caught:
        files.check_writable(tmp_path / "wanted")
    assert caught.value.filename == str(tmp_path / "wanted") and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", ["runs", "smoke"])
def test_a_training_whose_files_cannot_be_written_is_refused_before_it_begins(place, results, monkeypatch):
    results.mkdir()
    (results / place).write_bytes(b"in the way")
    monkeypatch.setattr(train, "train", None)
    with pytest.raises(NotADirectoryError) as caught:
        train.train_preset("baseline_3", "smoke")
    assert caught.value.filename.startswith(str(results / place))
    assert [path.name for path in results.iterdir()] == [place]


def test_a_second_training_of_the_same_preset_scale_and_seed_is_refused(results, monkeypatch):
    monkeypatch.setattr(train, "train", None)
    said = rf"seed3 is being trained already: process {os.getpid()} on {socket.gethostname()} holds"
    with locks.one_training(runs.Run("cheng_resnet", "baseline_3", "smoke", 3)), pytest.raises(RelicError, match=said):
        train.train_preset("baseline_3", "smoke", 3)


# --- provenance ----------------------------------------------------------------------------------------------------


def test_a_shipped_training_says_where_its_weights_come_from():
    config = ToyConfig()
    model, (_, seconds, log) = fit(config)
    about = {"steps": 6, "training_seconds": seconds, "data": {"waves": "ab" * 32}, "log": log}
    own = run(precision="float32")
    ship_module.ship(own, config, checkpoints.model_arrays(model), about, {"table/a": np.arange(3, dtype=np.int32)})
    assert about["log"] == log and len(about) == 4
    folder = run().shipped
    assert sorted(path.name for path in folder.iterdir()) == ["log.csv", "run.json", "weights.safetensors"]
    said = json.loads((folder / "run.json").read_text())
    assert said["config"] == dataclasses.asdict(config) and said["data"] == {"waves": "ab" * 32}
    assert (said["preset"], said["scale"], said["seed"], said["steps"]) == ("paper/toy", "smoke", 0, 6)
    assert said["training_seconds"] == seconds >= 0
    assert said["precision"] == "float32" and said["skipped"] == 0 and 0 <= said["input_wait"] <= 1
    assert said["weights_sha256"] == files.file_digest(folder / "weights.safetensors").hex()
    assert (said["stack"], said["backend"]) == (backend.STACK, backend.BACKEND)
    assert {"keras", "numpy", backend.BACKEND} <= set(said["versions"]) and "unknown" not in said["versions"].values()
    assert said["versions"]["numpy"] == np.__version__ and said["device"] == backend.device()
    assert said["dirty"] in (True, False, None) and "cores" in said["machine"] and said["command"]
    stored = weights.load(folder / "weights.safetensors")
    np.testing.assert_array_equal(stored.integers["table/a"], [0, 1, 2])
    rows = list(csv.DictReader((folder / "log.csv").open()))
    assert [int(row["step"]) for row in rows] == [2, 4, 6]
    assert [float(row["loss"]) for row in rows] == pytest.approx([row["loss"] for row in log], rel=1e-5)


def test_a_training_logs_its_loss_and_whatever_its_model_tracks():
    model = toy(ToyConfig())
    assert loop.loss_names(model) == ["loss", "rate_estimate", "distortion"]
    model.trackers = backend.loss_trackers("content", "dissimilarity")
    assert loop.loss_names(model) == ["loss", "content", "dissimilarity"]
    log = loop.fit(model, ToyConfig(), toy_batch, run())[2]
    measured = {"input_wait", "skipped", "seconds"}
    assert [set(row) for row in log] == 3 * [{"step", "loss", "content", "dissimilarity"} | measured]
    assert all(0 <= row["input_wait"] <= 1 and row["skipped"] == 0 for row in log)
    assert all(row["content"] == pytest.approx(row["loss"], rel=1e-5) for row in log)


def test_a_log_has_the_columns_of_its_first_row_and_seconds_last():
    rows = [{"step": 50, "seconds": 1.5, "loss": 0.123456789, "content": 2.0, "network": "ppnn"}]
    rows.append({"step": 100, "loss": 1e-9, "content": 0.5, "network": "fdnn", "seconds": 3.0})
    assert ship_module.log_csv(rows) == (
        "step,loss,content,network,seconds\n50,0.123457,2,ppnn,1.5\n100,1e-09,0.5,fdnn,3\n"
    )
    assert ship_module.log_csv([]) == "step,loss,seconds\n"


def test_a_log_whose_later_rows_have_further_values_is_written_at_the_end_of_a_long_training_too():
    rows = [{"step": 1, "loss": 0.5, "seconds": 1.0}, {"step": 2, "loss": 0.25, "validation": 0.5, "seconds": 2.0}]
    assert ship_module.log_csv(rows) == "step,loss,validation,seconds\n1,0.5,,1\n2,0.25,0.5,2\n"


@pytest.mark.parametrize("git", ["missing", "failing"])
def test_without_git_the_commit_is_unknown_and_nothing_fails(git, tmp_path, monkeypatch):
    if git == "failing":
        (tmp_path / "git").write_text("#!/bin/sh\nexit 128\n")
        (tmp_path / "git").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    said = provenance.provenance()
    assert said["commit"] == "unknown" and said["dirty"] is None and said["command"]


def test_the_commit_and_whether_files_differ_from_it_are_gits(tmp_path, monkeypatch):
    def git(*arguments):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
        command = ["git", *identity, *arguments]
        return subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True).stdout.strip()

    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "common" / "provenance.py"))
    (tmp_path / "source.py").write_text("a")
    git("init", "-q")
    git("add", "source.py")
    git("commit", "-q", "-m", "a")
    said = provenance.provenance()
    assert said["commit"] == git("rev-parse", "HEAD") and said["dirty"] is False
    (tmp_path / "source.py").write_text("b")
    assert provenance.provenance()["dirty"] is True


@pytest.mark.parametrize("package, commit", [("numpy", f"numpy {np.__version__}"), ("no-such-package", "unknown")])
def test_outside_a_checkout_also_below_another_one_the_packages_version_stands_for_the_commit(
    package, commit, tmp_path, monkeypatch
):
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=False)
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "site-packages" / "common" / "provenance.py"))
    monkeypatch.setattr(provenance, "PACKAGE", package)
    said = provenance.provenance()
    assert (said["commit"], said["dirty"]) == (commit, None)


@pytest.mark.parametrize(
    "module, line, command",
    [
        (
            "experiments.rd_kodak",
            ["x", "--codecs", "HEVC intra"],
            "python -m experiments.rd_kodak --codecs 'HEVC intra'",
        ),
        ("papers.__main__", ["x", "list"], "python -m papers list"),
        (None, ["/env/bin/relic", "train", "a/b"], "relic train a/b"),
        (None, ["my scripts/own.py", "1"], "python 'my scripts/own.py' 1"),
        (None, ["-c"], "python"),
        (None, [""], "python"),
        (None, ["relic", os.fsdecode(b"caf\xe9")], "relic 'caf\\xe9'"),
    ],
)
def test_the_command_that_is_recorded_can_be_run_again(module, line, command, monkeypatch):
    spec = module and SimpleNamespace(name=module)
    monkeypatch.setitem(sys.modules, "__main__", SimpleNamespace(__spec__=spec))
    monkeypatch.setattr(sys, "argv", line)
    assert provenance.provenance()["command"] == command


def test_results_lie_in_the_checkout_and_without_one_below_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.delenv("RELIC_RESULTS")
    assert files.results_dir() == TESTS.parent / "results"
    monkeypatch.setattr(files, "__file__", str(tmp_path / "site-packages" / "common" / "files.py"))
    monkeypatch.chdir(tmp_path)
    assert files.results_dir() == tmp_path / "results"


def test_results_in_a_home_folder_that_is_not_known_are_refused(monkeypatch):
    monkeypatch.setenv("RELIC_RESULTS", "~no-such-user/results")
    with pytest.raises(RelicError, match="no home folder is known for ~no-such-user/results: set HOME"):
        files.results_dir()


def test_a_run_has_its_own_place_and_smoke_results_lie_apart(results):
    small = runs.Run("paper", "preset", "small", 7)
    assert small.shipped == results / "models" / "small" / "paper" / "preset" / "seed7"
    assert small.checkpoint == results / "runs" / "small" / "paper" / "preset" / "seed7" / "checkpoint.npz"
    assert runs.Run("paper", "preset", "smoke").shipped.is_relative_to(results / "smoke")


def test_a_checkpoint_is_a_plain_npz_file():
    fit(minutes=1e-9)
    assert zipfile.is_zipfile(run().checkpoint)
    arrays, about = contents(run().checkpoint)
    assert about["config"] == dataclasses.asdict(ToyConfig()) and about["step"] == 2
    assert sum(key.startswith("optimizer/") for key in arrays) >= 5  # steps, and two moments of two weights
