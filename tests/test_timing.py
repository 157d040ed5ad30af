"""Works that take turns: how long each took."""

import numpy as np

from common import timing


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
