"""The inputs of steps: in order, prepared ahead within bounds, whatever fails or stops, and no thread is left."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from common.errors import RelicError
from common.training import feed as feed_module
from common.training.feed import Feed

ROOT = Path(__file__).resolve().parent.parent


def batch(step):
    return {"x": np.full((2, 3), step, np.float32), "step": np.full(2, step, np.int32)}


def taken(feed, first, last):
    """Return the steps that a feed hands over, after a look at their arrays."""
    inputs = feed.take(first, last)
    assert inputs["x"].shape == (len(inputs["step"]), 2, 3) and inputs["x"].dtype == np.float32
    assert (inputs["x"][:, 0, 0] == inputs["step"][:, 0]).all()
    return inputs["step"][:, 0].tolist()


def threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("feed")]


def test_steps_come_in_order_and_each_is_made_once(monkeypatch):
    monkeypatch.setattr(feed_module.os, "sched_getaffinity", lambda _: range(8))
    made = []

    def slow(step):
        made.append(step)
        time.sleep(0.001 * (7 - step % 7))  # later ones are ready earlier
        return batch(step)

    with Feed(slow, 40) as feed:
        assert [taken(feed, first, first + 10) for first in range(0, 40, 10)] == [
            list(range(first, first + 10)) for first in range(0, 40, 10)
        ]
        assert sorted(made) == list(range(40)) and made[0] == 0
    with Feed(batch, 40) as feed:  # other chunks than those that were prepared
        assert taken(feed, 5, 8) == [5, 6, 7] and taken(feed, 30, 40) == list(range(30, 40))
    assert threads() == []


def test_as_many_steps_as_were_taken_are_prepared_ahead_but_no_more_bytes_than_allowed(monkeypatch):
    made = []

    def counted(step):
        made.append(step)
        return batch(step)

    def after_a_while(count):
        until = time.monotonic() + 5
        while len(made) < count and time.monotonic() < until:
            time.sleep(0.001)
        time.sleep(0.02)
        return sorted(made)

    with Feed(counted, 100) as feed:
        taken(feed, 0, 4)
        assert after_a_while(8) == list(range(8))
    made.clear()
    monkeypatch.setattr(feed_module, "MOST_BYTES", 3 * 32)  # of 24 + 8 bytes each
    with Feed(counted, 100) as feed:
        taken(feed, 0, 10)
        assert after_a_while(13) == list(range(13))
        assert taken(feed, 10, 20) == list(range(10, 20))
    made.clear()
    monkeypatch.undo()
    with Feed(counted, 6) as feed:
        taken(feed, 0, 4)
        assert after_a_while(6) == list(range(6))  # the last step


def test_the_device_computes_while_the_next_inputs_are_made():
    def slow(step):
        time.sleep(0.01)
        return batch(step)

    with Feed(slow, 1000) as feed:
        feed.take(0, 4)
        first = feed.waited
        time.sleep(0.2)  # as a device computes
        feed.take(4, 8)
        assert first > 0.015 and feed.waited < 0.005


def test_the_first_batch_is_made_alone_and_others_by_several_threads(monkeypatch):
    monkeypatch.setattr(feed_module.os, "sched_getaffinity", lambda _: range(2))
    together, makers = threading.Barrier(2, timeout=5), []

    def meeting(step):
        makers.append(threading.current_thread())
        if step:
            together.wait()  # which two threads pass together alone
        return batch(step)

    with Feed(meeting, 5) as feed:
        assert taken(feed, 0, 5) == [0, 1, 2, 3, 4]
    assert makers[0] is threading.main_thread() and len(set(makers[1:])) == 2


@pytest.mark.parametrize("error, sentence", [(RelicError("a picture is broken"), "step 6: a picture is broken")])
def test_what_a_batch_raises_is_raised_at_its_step_after_all_steps_before_it(error, sentence):
    def broken(step):
        if step == 6:
            raise error
        return batch(step)

    with Feed(broken, 100) as feed:
        assert taken(feed, 0, 4) == [0, 1, 2, 3]
        assert taken(feed, 4, 8) == [4, 5]
        with pytest.raises(RelicError, match=f"^{sentence}$"):
            feed.take(6, 10)
    assert threads() == []
    with Feed(lambda step: 1 / 0, 100) as feed, pytest.raises(ZeroDivisionError):
        feed.take(0, 4)


def test_a_stop_ends_the_wait_for_further_inputs_after_one_step():
    stopped = threading.Event()

    def endless(step):
        stopped.set()
        if step > 1:
            time.sleep(0.02)
        return batch(step)

    with Feed(endless, 10_000, stopped.is_set) as feed:
        started = time.monotonic()
        assert taken(feed, 0, 1000) == [0]
    assert time.monotonic() - started < 2 and threads() == []


@pytest.mark.parametrize("end", ["raise KeyboardInterrupt", "sys.exit(3)", "1 / 0"])
def test_python_ends_whatever_it_was_that_ended_the_training(end):
    code = f"""
import sys, time
import numpy as np
from common.training.feed import Feed
def batch(step):
    time.sleep(0.002)
    return {{"x": np.zeros(3)}}
with Feed(batch, 10**9) as feed:
    feed.take(0, 20)
    {end}
"""
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, timeout=20, check=False)
    assert ended.returncode not in (0, -9)
