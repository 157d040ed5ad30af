"""How long programs take: works that take turns, so that what else runs meets all alike, and steps of a training."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from common.backend import keras
from common.training.locks import paused_trainings

Work = Callable[[], Any]


def seconds(works: Mapping[str, Work], rounds: int) -> dict[str, np.ndarray]:
    """Return how long each work took by the clock and by the processor, all threads together, float64 (rounds, 2).

    The works take turns, after one of each that is not counted, which compiles. Running trainings pause.
    """
    for work in works.values():
        work()
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in works}
    with paused_trainings():
        for _ in range(rounds):
            for name, work in works.items():
                started = time.perf_counter(), time.process_time()
                work()
                times[name].append((time.perf_counter() - started[0], time.process_time() - started[1]))
    return {name: np.array(values) for name, values in times.items()}


class Stopwatch(keras.callbacks.Callback):
    """A callback whose `seconds` are from the beginning of a chunk's first step to the end of its last one."""

    def on_train_batch_begin(self, batch, logs=None):
        self.first = time.perf_counter() if batch == 0 else self.first

    def on_train_batch_end(self, batch, logs=None):
        self.seconds = time.perf_counter() - self.first
