"""What a step of a training takes on this device, measured in a few steps with drawn inputs: no data set is needed."""

import resource
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from common.training import checkpoints, loop

BUDGET = 20.0  # seconds of steps for each kind of step, without the first one, which compiles


@dataclass(frozen=True)
class Loop:
    """One of the loops of steps that a training consists of, `loops` of a paper's train module has them in their order.

    like: equal for loops whose steps take equally long. shapes: of the inputs of a step, by name, uint8 but for `step`.
    model: returns the compiled model.
    """

    like: Hashable
    steps: int
    shapes: Mapping[str, tuple[int, ...]]
    model: Callable[[], Any]


@dataclass(frozen=True)
class Timed:
    """What a step takes: seconds, by so many steps; and the bytes of a checkpoint and of float16 weights."""

    seconds: float
    steps: int
    checkpoint: int
    weights: int


def shapes_of(config: Any, channels: int = 3) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the inputs that most trainings have: pictures `x`, and the number of the `step`."""
    size = config.patch_size
    return {"x": (config.batch_size, size, size, channels), "step": (config.batch_size,)}


def timed(one: Loop, budget: float = BUDGET) -> Timed:
    """Build a loop's model and time its steps, for so many seconds; a step that takes longer is timed once."""
    from common import backend

    backend.forget_models()
    model = one.model()
    inputs = _inputs(one.shapes)

    def seconds(first: int, count: int) -> float:
        stacked = {name: np.repeat(array[None], count, axis=0) for name, array in inputs.items()}
        started = time.perf_counter()
        loop.fit_chunk(model, stacked, first, [])
        return time.perf_counter() - started

    seconds(0, 1)
    taken, steps = seconds(1, 1), 1
    more = min(loop.CHUNK, int(budget / 2 / taken))
    if more > 1:
        seconds(2, more)  # another number of steps may be compiled anew
        taken, steps = seconds(2 + more, more), more
    arrays = checkpoints.model_arrays(model).values()
    kept = sum(array.nbytes for array in arrays)
    optimizer = sum(backend.to_numpy(variable).nbytes for variable in backend.optimizer_variables(model.optimizer))
    return Timed(taken / steps, steps, kept + optimizer, sum(2 * array.size for array in arrays))


def _inputs(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    return {
        name: np.zeros(shape, np.int32) if name == "step" else generator.integers(0, 256, shape, np.uint8)
        for name, shape in shapes.items()
    }


def seconds_left(loops: Sequence[Loop], seconds: Mapping[Hashable, float], done: int) -> float:
    """Return how long a training goes on after so many steps, by the seconds of a step of each kind."""
    left = 0.0
    for one in loops:
        skipped = min(done, one.steps)
        done -= skipped
        left += (one.steps - skipped) * seconds[one.like]
    return left


def peak_memory() -> int:
    """Return the most bytes of memory that this process has had."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
