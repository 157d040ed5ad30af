"""The training loop: chunks of steps, a log, a clock, a checkpoint whenever it stops."""

import math
import signal
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from common import devices
from common.errors import RelicError
from common.training.averages import WeightAverage
from common.training.checkpoints import TRAIN_ANEW, load_checkpoint, model_arrays, save_checkpoint
from common.training.feed import Batch, Feed
from common.training.log_file import LogFile
from common.training.progress import Progress
from common.training.runs import Run

CHUNK = 50  # steps between log rows, unless told otherwise; also how often the clock is read
ROW_SECONDS = 60.0  # that those steps may take: slow ones have shorter rows
SAVE_SECONDS = 120.0
MOST_SKIPPED = 10  # steps in a row without a finite loss and finite gradients, after which a training stops


class _StopOnSignal:
    """Turn the first Ctrl-C (or a polite kill) into a stop after the current step; the second one interrupts."""

    def __init__(self) -> None:
        self.requested = False

    def __enter__(self) -> "_StopOnSignal":
        self.previous = {s: signal.signal(s, self._request) for s in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: Any) -> None:
        for number, handler in self.previous.items():
            signal.signal(number, handler)

    def _request(self, number: int, frame: Any) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True


def fit(
    model: Any,
    config: Any,
    batch: Batch,
    run: Run,
    validate: Callable[[], dict[str, float]] | None = None,
    chunk: int | None = None,
    average: WeightAverage | None = None,
) -> tuple[bool, float, list[dict]]:
    """Train a compiled model until `config.steps`; return (finished, seconds of training, log rows).

    `batch(step)` gives the inputs of a step, so that a resumed training equals an uninterrupted one bit for bit; it is
    called ahead and from several threads, as `common.training.feed` says. A row of the log has the means of `chunk`
    steps (of CHUNK or of those of ROW_SECONDS, where it is not given), and further values by `validate()`; `average`
    takes in the weights after each row. Rows are in `run.log` as they come. Stops early, with a checkpoint, after
    `run.minutes`, on Ctrl-C, whose KeyboardInterrupt says where (how to go on is the command line's to say), and where
    `batch` fails, whose error goes on. Raises RelicError after MOST_SKIPPED steps in a row whose loss or gradients are
    not finite.
    """
    step, before, log = _start_together(model, config, run, average)
    training = _Training(model, config, run, average, log, (step, before))
    is_alone = devices.process().count == 1  # else all processes stop together, at the end of a row
    is_stopped = is_out_of_time = False
    with _StopOnSignal() as stop, Feed(batch, config.steps, lambda: is_alone and stop.requested) as feed:
        limit = math.inf if chunk else ROW_SECONDS
        callbacks = _callbacks(run) + ([_row_end(lambda: stop.requested, limit)] if is_alone else [])
        while step < config.steps and not (is_stopped or is_out_of_time):
            try:
                inputs = _inputs(feed, step, min(_next_row(step, chunk or CHUNK), config.steps))
            except Exception:
                training.save(step)
                raise
            row = fit_chunk(model, inputs, step, callbacks, feed.waited)
            step = row["step"]
            training.add(row, validate() if validate else {})
            is_stopped, is_out_of_time, is_save_due = devices.anywhere(
                stop.requested, training.is_out_of_time(), training.is_save_due()
            )
            if is_out_of_time or is_stopped or step == config.steps or is_save_due:
                training.save(step)
    training.progress.close(log)
    if is_stopped:
        raise KeyboardInterrupt(f"stopped at step {step} of {config.steps}")
    return step >= config.steps, log[-1]["seconds"] if log else before, log


def _next_row(step: int, chunk: int) -> int:
    """Return the step of the next row of the log: rows are at multiples of `chunk`, but for those that were cut."""
    return (step // chunk + 1) * chunk


def _row_end(is_over: Callable[[], bool], limit: float) -> Any:
    """Return a Keras callback that ends `fit`, and so a row of the log, once it is over or has lasted `limit` s."""
    from common.backend import keras

    class RowEnd(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            self.began = time.monotonic()

        def on_train_batch_end(self, batch, logs=None):
            if is_over() or time.monotonic() - self.began >= limit:
                self.model.stop_training = True

    return RowEnd()


class _Training:
    """What a training keeps beside its model: clock, log and its file, the average of weights, the checkpoint."""

    def __init__(
        self,
        model: Any,
        config: Any,
        run: Run,
        average: WeightAverage | None,
        log: list[dict],
        before: tuple[int, float],
    ) -> None:
        """`before`: steps and seconds of the checkpoint that the training goes on from."""
        self._model, self._config, self._run, self._average, self._log = model, config, run, average, log
        self._saved_step, self._before = before
        self._started = self._saved_at = time.monotonic()
        self._file = LogFile(run.log, log) if devices.process().is_chief else None
        self.progress = Progress(run, config, loss_names(model), self._saved_step)

    def add(self, row: dict[str, Any], validated: dict[str, float]) -> None:
        """Take in a row of the log; raise RelicError where it says that nothing is learned any more."""
        in_a_row = row.pop("skipped_in_a_row")
        measures = {name: row.pop(name) for name in ("input_wait", "skipped")}
        self._log.append({**row, **validated, **measures, "seconds": round(self._seconds(), 1)})
        if self._file:
            self._file.append(self._log[-1])
        if in_a_row >= MOST_SKIPPED:
            raise RelicError(
                f"{self._run.paper}/{self._run.preset} diverged before step {row['step']} (loss or gradients were not "
                f"finite {MOST_SKIPPED} steps in a row): {TRAIN_ANEW}"
            )
        if self._average:
            self._average.update(model_arrays(self._model), row["step"])
        self.progress.show(self._log[-1])

    def save(self, step: int) -> None:
        """Write the checkpoint, unless it is there."""
        if step != self._saved_step:
            seconds, path = self._seconds(), self._run.checkpoint
            save_checkpoint(
                path, self._model, self._config, step, seconds, self._log, self._average, self._run.precision
            )
            self._saved_step, self._saved_at = step, time.monotonic()

    def is_save_due(self) -> bool:
        return time.monotonic() - self._saved_at >= SAVE_SECONDS

    def is_out_of_time(self) -> bool:
        minutes = self._run.minutes
        return minutes is not None and time.monotonic() - self._started >= 60 * minutes

    def _seconds(self) -> float:
        return self._before + time.monotonic() - self._started


def _start_together(model: Any, config: Any, run: Run, average: WeightAverage | None) -> tuple[int, float, list[dict]]:
    """Start, or raise, as all the processes that train together do: each reads the checkpoint by itself."""
    try:
        start = _start(model, config, run, average)
    except RelicError:
        devices.gathered(-1)
        raise
    steps = set(devices.gathered(start[0]))
    if -1 in steps:
        raise RelicError(f"another process that trains {run.name} with this one cannot start: it says why")
    if len(steps) > 1:
        raise RelicError(
            f"processes that train {run.name} would begin at different steps ({', '.join(map(str, sorted(steps)))}): "
            "let RELIC_RESULTS name a folder that all of them see"
        )
    return start


def _inputs(feed: Feed, first: int, last: int) -> dict[str, np.ndarray]:
    """Return the inputs of as many coming steps as all processes have; raise where one of them has none."""
    try:
        inputs = feed.take(first, last)
    except Exception:
        devices.gathered(0)
        raise
    count = min(devices.gathered(len(next(iter(inputs.values())))))
    if not count:
        raise RelicError(f"another process that trains with this one has no inputs for step {first}: it says why")
    return {name: values[:count] for name, values in inputs.items()}


def _start(model: Any, config: Any, run: Run, average: WeightAverage | None) -> tuple[int, float, list[dict]]:
    path = run.checkpoint
    if run.restart or not path.exists():
        if run.resume and not run.restart:
            raise RelicError(f"nothing to resume: {path} does not exist")
        return 0, 0.0, []
    if not run.resume:
        raise RelicError(f"{path} exists: go on with --resume, or start anew with --restart")
    return load_checkpoint(path, model, config, average, run.precision)


def fit_chunk(
    model: Any, inputs: dict[str, np.ndarray], first: int, callbacks: list, waited: float = 0.0
) -> dict[str, Any]:
    """Train the steps from `first` on with their stacked inputs; return a row of the log.

    `waited`: seconds that it took to get the inputs. The row has the last step, the means of losses over the steps that
    were not skipped (NaN where all were), how many were skipped, the most in a row, and the share of waiting in the
    time.
    """
    from common import backend

    started = time.perf_counter() - waited
    count = len(next(iter(inputs.values())))
    # Arrays, not a generator: one that is left half-way lets TensorFlow's threads wait for ever when Python ends.
    own = devices.process()
    fed = backend.steps_of(inputs, own.index, own.count)
    waited = time.perf_counter() - started
    epoch = first // count
    history = model.fit(
        **fed,
        initial_epoch=epoch,
        epochs=epoch + 1,
        shuffle=False,
        verbose=0,
        callbacks=callbacks,
    ).history
    step = int(backend.to_numpy(model.optimizer.iterations))
    skipped, in_a_row = (round(float(history[name][-1])) for name in ("skipped", "skipped_in_a_row"))
    values = {name: float(history[name][-1]) if skipped < step - first else math.nan for name in loss_names(model)}
    share = round(waited / (time.perf_counter() - started), 4)
    return {"step": step, **values, "input_wait": share, "skipped": skipped, "skipped_in_a_row": in_a_row}


def loss_names(model: Any) -> list[str]:
    """Return what a model's training logs: its loss, then the other values that its `trackers` keep."""
    return ["loss", *(name for name in model.trackers if name != "loss")]


def _callbacks(run: Run) -> list:
    from common import backend

    if not backend.has_tensorboard() or run.scale == "smoke" or not devices.process().is_chief:
        return []
    folder = str(run.checkpoint.parent / "tensorboard" / run.part)
    return [backend.keras.callbacks.TensorBoard(folder, write_graph=False, profile_batch=0)]
