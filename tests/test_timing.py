"""Works that take turns, and steps of a training: how long each took."""

import numpy as np
import pytest

from common import timing

pytestmark = pytest.mark.stack


def test_works_take_turns_after_one_that_is_not_counted(monkeypatch):
    clock, order = [0.0], []

    def work(name, duration):
        def run():
            order.append(name)
            clock[0] += duration

        return run

    monkeypatch.setattr(timing.time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(timing.time, "process_time", lambda: 2 * clock[0])
    found = timing.seconds({"slow": work("slow", 3.0), "fast": work("fast", 0.5)}, 4)
    assert order == ["slow", "fast"] * 5
    np.testing.assert_array_equal(found["slow"], [[3.0, 6.0]] * 4)
    np.testing.assert_array_equal(found["fast"], [[0.5, 1.0]] * 4)


def test_a_stopwatch_counts_from_the_first_step_of_a_chunk_to_the_end_of_its_last(monkeypatch):
    clock = [5.0]
    monkeypatch.setattr(timing.time, "perf_counter", lambda: clock[0])
    watch = timing.Stopwatch()
    for chunk in ((0, 1, 2), (0,)):
        clock[0] += 100.0  # between chunks
        for batch in chunk:
            watch.on_train_batch_begin(batch)
            clock[0] += 2.0
            watch.on_train_batch_end(batch)
            clock[0] += 0.25  # between steps
        assert watch.seconds == 2.0 * len(chunk) + 0.25 * (len(chunk) - 1)
