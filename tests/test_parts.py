"""Trainings of several parts: which checkpoint a part goes on from, and in how many minutes."""
from __future__ import annotations

import time

import pytest

from common import parts, runs


def test_a_part_resumes_its_own_checkpoint_in_the_minutes_that_are_left(tmp_path, monkeypatch):
    monkeypatch.setenv("RELIC_RESULTS", str(tmp_path))
    started = time.monotonic() - 240

    def own(started=started, **options):
        return parts.run_of("2_second", False, runs.Run("paper", "preset", "small", **options), started)

    first = own(minutes=10, resume=True)
    assert first.checkpoint.name == "checkpoint_2_second.npz" and not first.resume
    assert first.minutes == pytest.approx(6, abs=0.1)
    with runs.atomic_file(first.checkpoint) as file:
        file.write(b"of this part")
    assert own(resume=True, restart=True).resume and not own(resume=True, restart=True).restart
    assert not own().resume
    assert own(minutes=3).minutes == 0.0 and own(0.0).minutes is None
