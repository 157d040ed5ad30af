"""The training loop: chunks of steps, a log, a clock, a checkpoint whenever it stops."""

import math
import signal
import time
from collections.abc import Callable
from typing import Any

from common import devices
from common.errors import RelicError
from common.training.averages import WeightAverage
from common.training.checkpoints import TRAIN_ANEW, load_checkpoint, model_arrays, save_checkpoint
from common.training.runs import Run

CHUNK = 50  # steps between log rows, unless told otherwise; also how often the clock is read
SAVE_SECONDS = 120.0


class _StopOnSignal:
    """Turn the first Ctrl-C (or a polite kill) into a stop after the current step; the second one interrupts."""

    def __init__(self, model: Any) -> None:
        self.model, self.requested = model, False

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

    def callback(self) -> Any:
        """Return a Keras callback that ends `fit` once a stop is requested."""
        from common.backend import keras

        stop = self

        class StopCallback(keras.callbacks.Callback):
            def on_train_batch_end(self, batch, logs=None):
                if stop.requested:
                    self.model.stop_training = True

        return StopCallback()


def fit(
    model: Any,
    config: Any,
    batch: Callable[[int], dict],
    run: Run,
    validate: Callable[[], dict[str, float]] | None = None,
    chunk: int | None = None,
    average: WeightAverage | None = None,
) -> tuple[bool, float, list[dict]]:
    """Train a compiled model until `config.steps`; return (finished, seconds of training, log rows).

    `batch(step)` gives the inputs of a step, so that a resumed training equals an uninterrupted one bit for bit; a row
    of the log has the means of `chunk` steps (CHUNK), and further values by `validate()`; `average` takes in the
    weights after each row. Stops early, with a checkpoint, after `run.minutes` and on Ctrl-C, whose KeyboardInterrupt
    says where: how to go on is the command line's to say. Raises RelicError when the loss is not finite.
    """
    step, before, log = _start(model, config, run, average)
    started = saved = time.monotonic()
    progress = _Progress(run, config.steps, loss_names(model))
    is_stopped = False
    with _StopOnSignal(model) as stop:
        callbacks = _callbacks(run) + ([stop.callback()] if devices.process().count == 1 else [])
        while step < config.steps:
            row = fit_chunk(model, batch, step, min(step + (chunk or CHUNK), config.steps), callbacks)
            step = row["step"]
            seconds = before + time.monotonic() - started
            log.append({**row, **(validate() if validate else {}), "seconds": round(seconds, 1)})
            _check_finite(row, run)
            if average:
                average.update(model_arrays(model), step)
            progress.show(log[-1])
            out_of_time = run.minutes is not None and time.monotonic() - started >= 60 * run.minutes
            is_due = step == config.steps or time.monotonic() - saved >= SAVE_SECONDS
            is_stopped, out_of_time, is_due = devices.anywhere(stop.requested, out_of_time, is_due)
            if out_of_time or is_stopped or is_due:
                save_checkpoint(run.checkpoint, model, config, step, seconds, log, average)
                saved = time.monotonic()
            if out_of_time or is_stopped:
                break
    progress.close()
    if is_stopped:
        raise KeyboardInterrupt(f"stopped at step {step} of {config.steps}")
    return step >= config.steps, log[-1]["seconds"] if log else before, log


def _start(model: Any, config: Any, run: Run, average: WeightAverage | None) -> tuple[int, float, list[dict]]:
    path = run.checkpoint
    if run.restart or not path.exists():
        if run.resume and not run.restart:
            raise RelicError(f"nothing to resume: {path} does not exist")
        return 0, 0.0, []
    if not run.resume:
        raise RelicError(f"{path} exists: go on with --resume, or start anew with --restart")
    return load_checkpoint(path, model, config, average)


def fit_chunk(model: Any, batch: Callable[[int], dict], first: int, last: int, callbacks: list) -> dict[str, Any]:
    """Train the steps from `first` until before `last`; return a row of the log: the last step, the means of losses."""
    from common import backend

    # Arrays, not a generator: one that is left half-way lets TensorFlow's threads wait for ever when Python ends.
    own = devices.process()
    inputs = backend.steps_of([batch(step) for step in range(first, last)], own.index, own.count)
    epoch = first // (last - first)
    history = model.fit(
        **inputs,
        initial_epoch=epoch,
        epochs=epoch + 1,
        shuffle=False,
        verbose=0,
        callbacks=callbacks,
    )
    values = {name: float(history.history[name][-1]) for name in loss_names(model)}
    return {"step": int(backend.to_numpy(model.optimizer.iterations)), **values}


def loss_names(model: Any) -> list[str]:
    """Return what a model's training logs: its loss, then the other values that its `trackers` keep."""
    return ["loss", *(name for name in model.trackers if name != "loss")]


def _callbacks(run: Run) -> list:
    from common import backend

    callbacks = [backend.keras.callbacks.TerminateOnNaN()]
    if backend.has_tensorboard() and run.scale != "smoke" and devices.process().is_chief:
        folder = str(run.checkpoint.parent / "tensorboard" / run.part)
        callbacks.append(backend.keras.callbacks.TensorBoard(folder, write_graph=False, profile_batch=0))
    return callbacks


def _check_finite(row: dict[str, Any], run: Run) -> None:
    if not math.isfinite(row["loss"]):
        raise RelicError(
            f"{run.paper}/{run.preset} diverged before step {row['step']} (loss is {row['loss']}): {TRAIN_ANEW}"
        )


class _Progress:
    """One line on stderr with steps and losses."""

    def __init__(self, run: Run, steps: int, names: list[str]) -> None:
        from tqdm import tqdm

        quiet = None if run.scale != "smoke" and devices.process().is_chief else True
        about = " ".join(filter(None, (run.preset, run.part)))
        self.bar = tqdm(total=steps, desc=about, unit="step", disable=quiet, dynamic_ncols=True)
        self.names = names

    def show(self, row: dict[str, Any]) -> None:
        self.bar.update(row["step"] - self.bar.n)
        self.bar.set_postfix({name: f"{row[name]:.4f}" for name in self.names})

    def close(self) -> None:
        self.bar.close()
