"""Several devices that train one network, of one process or of several: each has its part of every batch.

TensorFlow mirrors the variables (`MirroredStrategy`, `MultiWorkerMirroredStrategy`), jax divides one program's arrays
(`keras.distribution.DataParallel`). Which processes there are, their environment says: `TF_CONFIG` for TensorFlow,
Keras' `KERAS_DISTRIBUTION_JOB_ADDRESSES`, `_NUM_PROCESSES` and `_PROCESS_ID` for jax.
"""

import dataclasses
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np

from common.config import is_whole_number
from common.errors import RelicError, one_line
from common.stack import QuietStderr

KERAS_VARIABLES = tuple(f"KERAS_DISTRIBUTION_{name}" for name in ("JOB_ADDRESSES", "NUM_PROCESSES", "PROCESS_ID"))


@dataclasses.dataclass(frozen=True)
class Process:
    """One of the processes that train a network together; the first one, the chief, writes all files."""

    index: int = 0
    count: int = 1

    @property
    def is_chief(self) -> bool:
        """Whether this is the process that writes files and shows progress."""
        return self.index == 0


ALONE = Process()
ALL, ONE = "all", (None, "1")
REASON = 200  # characters of what an engine says
_joined: list[Process] = []  # the process that has joined others, which it can do once
_current: list[Process] = []  # the process as `shared` found it, while that lasts


def process() -> Process:
    """Return which of the processes that train together this one is: the only one outside of `shared`."""
    return _current[-1] if _current else ALONE


def named_process(wanted: str | None) -> Process:
    """Return which process the environment says that this one is, for `wanted` devices, see `shared`.

    Only all devices can be shared by several processes. Raises RelicError for an environment that says it wrongly.
    """
    from common import backend

    if wanted in ONE or backend.BACKEND == "torch":
        return ALONE
    found = _named_by_tf_config() if backend.BACKEND == "tensorflow" else _named_by_keras()
    if found.count > 1 and backend.BACKEND == "tensorflow" and backend.STACK == "keras3":
        raise RelicError(
            "Keras 3 trains in one TensorFlow process alone, and TF_CONFIG names several: take stack tfc (Python 3.11) "
            "or Keras 3 on jax, or unset TF_CONFIG"
        )
    if found.count > 1 and wanted != ALL:
        raise RelicError(
            f"--devices {wanted} counts the devices of one process, and the environment names {found.count}: give "
            "--devices all, and hide devices that shall not take part (CUDA_VISIBLE_DEVICES)"
        )
    return found


def _named_by_tf_config() -> Process:
    text = os.environ.get("TF_CONFIG")
    if not text:
        return ALONE
    try:
        config = json.loads(text)
        cluster, task = config["cluster"], config["task"]
        members = [(kind, index) for kind in ("chief", "worker") for index in range(len(cluster.get(kind, [])))]
        return Process(members.index((task["type"], int(task["index"]))), len(members))
    except (AttributeError, KeyError, TypeError, ValueError):
        raise RelicError(
            "TF_CONFIG does not say which worker of a cluster this is: set it to "
            '{"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}}, or unset it'
        ) from None


def _named_by_keras() -> Process:
    texts = [os.environ.get(name, "") for name in KERAS_VARIABLES]
    if not any(texts):
        return ALONE
    addresses, count, index = texts
    if not addresses or not is_whole_number(count) or not is_whole_number(index) or int(index) >= int(count):
        raise RelicError(
            f"{', '.join(KERAS_VARIABLES)} do not say which process this is: set them to the first one's host:port, "
            "how many there are, and which one this is from 0, or unset all three"
        )
    return Process(int(index), int(count))


@contextmanager
def shared(wanted: str | None, batch_size: int) -> Iterator[dict[str, Any]]:
    """Let models that are built and trained within share `wanted` devices; yield what run.json says of that.

    wanted: a number, `all`, or None for one. What run.json says is {} where one device computes, as without, else
    {"devices": {"count", "kind", "processes"}}. Raises RelicError where there are not so many devices, where
    `batch_size` cannot be divided among them, on torch, and where another of the processes ends before its time.
    """
    from common import backend

    own = named_process(wanted)
    if own.count > 1 and _joined:
        raise RelicError(
            "a process trains one network together with others: start `relic train` for each in all of them"
        )
    if wanted in ONE:
        yield {}
        return
    if backend.BACKEND == "torch":
        raise RelicError("torch trains on one device here: take TensorFlow or jax for --devices, or leave it out")
    with ExitStack() as stack:
        count = _mirrored(stack, own, wanted) if backend.BACKEND == "tensorflow" else _divided(stack, own, wanted)
        if batch_size % count:
            fits = [n for n in range(1, count) if batch_size % n == 0]
            raise RelicError(
                f"a batch of {batch_size} cannot be divided among {count} devices: take {_listed(fits)} of them"
            )
        _current.append(own)
        stack.callback(_current.pop)
        about = {"count": count, "kind": backend.device(), "processes": own.count}
        try:
            yield {"devices": about} if count > 1 else {}
        except _engine_errors() as error:
            if own.count == 1:
                raise
            stack.pop_all()  # the others are not there to leave together
            why = one_line(error)[:REASON]
            raise RelicError(
                f"the {own.count} processes train no longer together: --resume in all of them ({why})"
            ) from None


def _engine_errors() -> tuple[type[Exception], ...]:
    """Return what TensorFlow or jax raises where other processes do not answer."""
    from common import backend

    if backend.BACKEND == "jax":
        import jax

        return (jax.errors.JaxRuntimeError,)
    import tensorflow as tf

    return tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError, tf.errors.DeadlineExceededError


def _listed(numbers: list[int]) -> str:
    return " or ".join(filter(None, (", ".join(map(str, numbers[:-1])), str(numbers[-1]))))


def _chosen(there: list, wanted: str) -> list:
    """Return the first `wanted` of the devices that there are."""
    if wanted == ALL:
        return there
    if int(wanted) > len(there):
        what = f"{len(there)} device{'s' if len(there) > 1 else ''}"
        raise RelicError(f"--devices {wanted}, but there {'are' if len(there) > 1 else 'is'} {what}: give all or fewer")
    return there[: int(wanted)]


def _mirrored(stack: ExitStack, own: Process, wanted: str) -> int:
    """Enter the scope of a TensorFlow strategy, where there is more than one device; return how many replicas."""
    import tensorflow as tf

    if own.count > 1:
        _joined.append(own)
        with QuietStderr():
            strategy = tf.distribute.MultiWorkerMirroredStrategy()
    else:
        there = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        names = [device.name for device in _chosen(there, wanted)]
        if len(names) == 1:
            return 1
        with QuietStderr():
            strategy = tf.distribute.MirroredStrategy(names)
    stack.enter_context(strategy.scope())
    return strategy.num_replicas_in_sync


def _divided(stack: ExitStack, own: Process, wanted: str) -> int:
    """Enter the scope of a distribution of jax, where there is more than one device; return how many."""
    import jax
    import keras

    if own.count > 1:
        _joined.append(own)
        with QuietStderr():
            keras.distribution.initialize()
        stack.callback(jax.distributed.shutdown)
    names = _chosen(keras.distribution.list_devices(), wanted)
    if len(names) > 1:
        stack.enter_context(keras.distribution.DataParallel(devices=names, auto_shard_dataset=False).scope())
    return len(names)


def anywhere(*flags: bool) -> tuple[bool, ...]:
    """Return of each flag whether any process has it; all processes ask at the same point of their training."""
    return tuple(map(any, zip(*_gathered(flags), strict=True)))


def gathered(number: int) -> list[int]:
    """Return the numbers that all processes give at the same point of their training, by process."""
    return [int(given) for (given,) in _gathered((number,))]


def _gathered(values: Sequence[int]) -> list[tuple[int, ...]]:
    own = process()
    if own.count == 1:
        return [tuple(values)]
    from common import backend

    if backend.BACKEND == "jax":
        from jax.experimental import multihost_utils

        rows = multihost_utils.process_allgather(np.array(values, np.int32))
        return [tuple(row.tolist()) for row in rows]
    import tensorflow as tf

    table = np.zeros((own.count, len(values)), np.int32)
    table[own.index] = values
    strategy = tf.distribute.get_strategy()
    # Each of a process' devices hands the table in.
    total = strategy.reduce(tf.distribute.ReduceOp.SUM, strategy.run(lambda: tf.constant(table)), axis=None)
    each = strategy.num_replicas_in_sync // own.count
    return [tuple(row.tolist()) for row in total.numpy() // each]
