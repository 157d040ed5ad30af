"""Trainings of several parts: which checkpoint a part goes on from, and in how many minutes."""

import time

import pytest
from narrow import ToyConfig, toy, toy_batch

from common import backend, files
from common.errors import RelicError
from common.training import checkpoints, loop, phases, runs

NAMES = ["1_first", "2_second", "3_third"]


@pytest.fixture
def quick(tmp_path, monkeypatch):
    """Keep results in a folder of their own, and read the clock every second step."""
    monkeypatch.setenv("RELIC_RESULTS", str(tmp_path))
    monkeypatch.setattr(loop, "CHUNK", 2)


def run(**options):
    return runs.Run("paper", "preset", "smoke", **options)


def fitted(own_run, calls=None):
    """Fit toy models of other widths, a part each, four steps in two rows; `calls` takes which parts were fitted."""
    models = []

    def fit_part(index, own):
        if calls is not None:
            calls.append(NAMES[index])
        models.append(toy(ToyConfig(steps=4), seed=index))
        models[-1].run_eagerly = backend.BACKEND == "tensorflow"  # where it takes less time than tracing
        finished, _, rows = loop.fit(models[-1], ToyConfig(steps=4), toy_batch, own)
        return finished, [{**row, "part": index} for row in rows]

    log = phases.fit_parts(own_run, NAMES, fit_part)
    return log, [checkpoints.model_arrays(model) for model in models]


def without_seconds(log):
    return [{name: value for name, value in row.items() if name not in ("seconds", "input_wait")} for row in log]


@pytest.mark.stack
def test_the_log_of_the_whole_goes_on_from_part_to_part(quick):
    log, _ = fitted(run())
    assert [(row["step"], row["part"]) for row in log] == [(2, 0), (4, 0), (6, 1), (8, 1), (10, 2), (12, 2)]
    seconds = [row["seconds"] for row in log]
    assert seconds == sorted(seconds)


@pytest.mark.slow
@pytest.mark.stack
def test_a_training_of_parts_that_is_stopped_again_and_again_ends_as_an_uninterrupted_one(quick, tmp_path, monkeypatch):
    log, arrays = fitted(run())
    monkeypatch.setenv("RELIC_RESULTS", str(tmp_path / "in pieces"))
    calls = []
    pieces, stops = None, 0
    while pieces is None:
        pieces, others = fitted(run(minutes=1e-9, resume=stops > 0), calls)
        stops += pieces is None
    assert stops == 5 and calls[:3] == ["1_first", "1_first", "1_first"] and calls[-3:] == NAMES
    assert without_seconds(pieces) == without_seconds(log)
    for one, other in zip(arrays, others, strict=True):
        assert all((one[name] == other[name]).all() for name in one)


@pytest.mark.slow
@pytest.mark.stack
def test_time_that_runs_out_with_the_last_step_of_the_last_part_does_not_count(quick):
    assert fitted(run(minutes=1e-9))[0] is None
    for _ in range(4):
        assert fitted(run(minutes=1e-9, resume=True))[0] is None
    log, _ = fitted(run(minutes=1e-9, resume=True))
    assert len(log) == 6
    calls = []
    again, _ = fitted(run(minutes=1e-9, resume=True), calls)  # complete: nothing is learned, so no time is needed
    assert again == log and calls == NAMES


@pytest.mark.stack
def test_a_training_that_starts_anew_removes_the_checkpoints_of_all_parts_of_its_preset_alone(quick):
    fitted(run())
    other = runs.Run("paper", "other", "smoke", part=NAMES[0]).checkpoint
    with files.atomic_file(other) as file:
        file.write(b"of another preset")
    with pytest.raises(RelicError, match="checkpoint_1_first.npz exists: go on with --resume, or start anew"):
        fitted(run())
    assert fitted(run(restart=True, minutes=1e-9))[0] is None
    assert [path.name for path in run().checkpoint.parent.glob("*.npz")] == ["checkpoint_1_first.npz"]
    assert other.exists()


def test_there_must_be_a_first_part_to_resume(quick):
    with pytest.raises(RelicError, match="nothing to resume: .*checkpoint_1_first.npz does not exist"):
        fitted(run(resume=True))


def test_rows_of_a_next_part_go_on_from_the_last_ones():
    assert phases.joined([], [{"step": 2, "seconds": 0.5}]) == [{"step": 2, "seconds": 0.5}]
    before = [{"step": 3, "seconds": 1.5, "loss": 1.0}]
    after = phases.joined(before, [{"step": 2, "seconds": 0.5, "loss": 0.5}])
    assert after == [*before, {"step": 5, "seconds": 2.0, "loss": 0.5}] and before[0]["step"] == 3


def test_a_part_resumes_its_own_checkpoint_in_the_minutes_that_are_left(tmp_path, monkeypatch):
    monkeypatch.setenv("RELIC_RESULTS", str(tmp_path))
    started = time.monotonic() - 240

    def own(started=started, **options):
        return phases.run_of("2_second", False, runs.Run("paper", "preset", "small", **options), started)

    first = own(minutes=10, resume=True)
    assert first.checkpoint.name == "checkpoint_2_second.npz" and not first.resume
    assert first.minutes == pytest.approx(6, abs=0.1)
    with files.atomic_file(first.checkpoint) as file:
        file.write(b"of this part")
    assert own(resume=True, restart=True).resume and not own(resume=True, restart=True).restart
    assert not own().resume
    assert own(minutes=3).minutes == 0.0 and own(0.0).minutes is None
