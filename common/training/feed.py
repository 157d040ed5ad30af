"""The inputs of coming steps, prepared by threads while the device computes."""

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from common.errors import RelicError

MOST_THREADS = 8
MOST_BYTES = 2**28  # that are prepared beyond the steps that were handed over

Batch = Callable[[int], "dict[str, np.ndarray]"]
Stacked = dict[str, np.ndarray]


class Feed:
    """Hands over the inputs of consecutive steps, and prepares as many of those that follow meanwhile.

    `batch(step)` gives a step's inputs as arrays by name, the same names, shapes and dtypes for every step. It is
    called from several threads at once and in any order, but for the first call, which is alone: what `batch` makes at
    first need is made once. `waited`: the seconds that the last `take` took. A context manager, which leaves no thread
    behind however it is left.
    """

    def __init__(self, batch: Batch, steps: int, is_stopped: Callable[[], bool] = lambda: False) -> None:
        """`steps`: no later ones are asked for. `is_stopped()` ends the wait for further inputs of a `take`."""
        self._batch, self._steps, self._is_stopped = batch, steps, is_stopped
        self._coming: _Inputs | None = None
        self._bytes = 0  # of a step's inputs
        self.waited = 0.0
        self._pool = ThreadPoolExecutor(min(MOST_THREADS, len(os.sched_getaffinity(0))), thread_name_prefix="feed")

    def __enter__(self) -> "Feed":
        return self

    def __exit__(self, *_: Any) -> None:
        # Threads that wait for ever when Python ends would let it wait for ever too.
        self._pool.shutdown(wait=True, cancel_futures=True)

    def take(self, first: int, last: int) -> Stacked:
        """Return the inputs of the steps from `first` until before `last`, stacked: arrays (steps, ...) by name.

        They are fewer, but one at least, where `batch` fails at a later step, or after a stop. Raises what `batch`
        raises at the first one; a RelicError says which step it was.
        """
        started = time.perf_counter()
        inputs = self._inputs(first, last)
        inputs.ask(self._pool, last - first)
        try:
            stacked = inputs.ready(self._is_stopped)
        except RelicError as error:
            raise RelicError(f"step {first}: {error}") from None
        self.waited = time.perf_counter() - started
        self._prepare(first + len(next(iter(stacked.values()))), last - first)
        return stacked

    def _inputs(self, first: int, last: int) -> "_Inputs":
        """Return the place of the inputs of steps, where they may have been prepared already."""
        coming, self._coming = self._coming, None
        if coming and (coming.first, coming.last) == (first, last):
            return coming
        inputs = _Inputs(self._batch, first, last)
        if not self._bytes:
            self._bytes = inputs.make_first()
        return inputs

    def _prepare(self, first: int, count: int) -> None:
        """Let threads prepare the steps from `first` on, as many as memory is meant for."""
        last = min(first + count, self._steps)
        if first < last:
            self._coming = _Inputs(self._batch, first, last)
            self._coming.ask(self._pool, max(1, MOST_BYTES // max(1, self._bytes)))


class _Inputs:
    """Inputs of consecutive steps, each put into its place by the thread that made it."""

    def __init__(self, batch: Batch, first: int, last: int) -> None:
        self.first, self.last = first, last
        self._batch, self._stacked, self._lock = batch, Stacked(), threading.Lock()
        self._asked: list[Future[None]] = []

    def make_first(self) -> int:
        """Make the first step's inputs here and now, and return how many bytes they have."""
        made: Future[None] = Future()
        try:
            self._put(self.first)
            made.set_result(None)
        except Exception as error:
            made.set_exception(error)
        self._asked.append(made)
        return sum(values[0].nbytes for values in self._stacked.values())

    def ask(self, pool: ThreadPoolExecutor, count: int) -> None:
        """Let threads make the inputs of the first `count` steps, unless they do so already."""
        wanted = range(self.first + len(self._asked), min(self.first + count, self.last))
        self._asked += [pool.submit(self._put, step) for step in wanted]

    def ready(self, is_stopped: Callable[[], bool]) -> Stacked:
        """Wait for what was asked for, until it fails or is stopped, and return it; raise where it is nothing."""
        count = 0
        for made in self._asked:
            if count and (is_stopped() or made.exception()):
                break
            made.result()
            count += 1
        return {name: values[:count] for name, values in self._stacked.items()}

    def _put(self, step: int) -> None:
        inputs = self._batch(step)
        with self._lock:
            if not self._stacked:
                count = self.last - self.first
                self._stacked.update({name: np.empty((count, *a.shape), a.dtype) for name, a in inputs.items()})
        for name, array in inputs.items():
            self._stacked[name][step - self.first] = array
