"""Trainings on disk: where they lie, checkpoints, resuming, time limits, provenance."""
from __future__ import annotations

import csv
import dataclasses
import hashlib
import io
import json
import math
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Iterator, Mapping

import numpy as np

from common.averages import WeightAverage
from common.config import differing_fields
from common.errors import RelicError

CHUNK = 50  # steps between log rows, unless told otherwise; also how often the clock is read
SAVE_SECONDS = 120.0


@dataclasses.dataclass(frozen=True)
class Run:
    """One training: which preset, at which scale, with which seed, and how long it may take this time."""

    paper: str
    preset: str
    scale: str
    seed: int = 0
    minutes: float | None = None
    resume: bool = False
    restart: bool = False
    part: str = ""  # of a training that has several parts, each with a checkpoint of its own

    @property
    def name(self) -> str:
        """The run's place below results/models and results/runs."""
        return f"{self.scale}/{self.paper}/{self.preset}/seed{self.seed}"

    @property
    def checkpoint(self) -> Path:
        """The resumable state: float32 weights, optimizer, step, config. Not shipped."""
        name = "_".join(filter(None, ("checkpoint", self.part)))
        return results_dir() / "runs" / self.name / f"{name}.npz"

    @property
    def shipped(self) -> Path:
        """The folder of weights.safetensors, run.json and log.csv."""
        base = results_dir() / ("smoke/models" if self.scale == "smoke" else "models")
        return base / self.name


def results_dir() -> Path:
    """Return the folder of results: `RELIC_RESULTS`, else `results/` of the checkout."""
    return Path(os.environ.get("RELIC_RESULTS") or Path(__file__).resolve().parent.parent / "results")


@contextmanager
def atomic_file(path: Path) -> Iterator[Any]:
    """Open a binary file that appears at `path` whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def write_json(path: Path, content: Any) -> None:
    """Write JSON atomically, indented, with a final newline."""
    with atomic_file(path) as file:
        file.write((json.dumps(content, indent=1) + "\n").encode())


# --- checkpoints ---------------------------------------------------------------------------------------------------


def save_checkpoint(
    path: Path,
    model: Any,
    config: Any,
    step: int,
    seconds: float,
    log: list[dict],
    average: WeightAverage | None = None,
) -> None:
    """Write weights, their average, optimizer, step, config and log atomically, as one npz."""
    arrays = {f"weights/{key}": value for key, value in model_arrays(model).items()}
    arrays.update({f"average/{key}": value for key, value in (average.arrays if average else {}).items()})
    arrays.update({f"optimizer/{i}": value for i, value in enumerate(_optimizer_arrays(model))})
    about = {"step": step, "seconds": seconds, "config": dataclasses.asdict(config), "log": log}
    arrays["about"] = np.frombuffer(json.dumps(about).encode(), np.uint8)
    with atomic_file(path) as file:
        np.savez(file, **arrays)


def load_checkpoint(
    path: Path, model: Any, config: Any, average: WeightAverage | None = None
) -> tuple[int, float, list[dict]]:
    """Set the model, its optimizer and the average of its weights to a checkpoint; return its step, seconds and log.

    Raises RelicError for a damaged file or one of another config.
    """
    try:
        with np.load(path) as file:
            arrays = {key: file[key] for key in file.files}
        about = json.loads(arrays.pop("about").tobytes())
    except Exception as error:  # numpy reports damage by OSError, ValueError, EOFError, BadZipFile, zlib.error …
        raise RelicError(f"damaged checkpoint {path}: remove it and train again ({error})") from None
    check_config(about["config"], config, path)
    set_model_arrays(model, _below("weights/", arrays), path)
    if average:
        average.restore(_below("average/", arrays), about["step"])
    _build_optimizer(model)
    _set_optimizer(model, [value for key, value in arrays.items() if key.startswith("optimizer/")], path)
    return about["step"], about["seconds"], about["log"]


def checkpoint_about(path: Path) -> dict[str, Any]:
    """Return step, seconds, config and log of a checkpoint without its arrays; raises RelicError for a damaged one."""
    try:
        with np.load(path) as file:
            return json.loads(file["about"].tobytes())
    except Exception as error:  # as in load_checkpoint
        raise RelicError(f"damaged checkpoint {path}: remove it and train again ({error})") from None


def _below(prefix: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {key[len(prefix) :]: value for key, value in arrays.items() if key.startswith(prefix)}


def _set_optimizer(model: Any, arrays: list[np.ndarray], path: Path) -> None:
    """Set the optimizer's variables; raises RelicError for those of another Keras, which keeps other ones."""
    from common import backend

    variables = backend.optimizer_variables(model.optimizer)
    if [tuple(variable.shape) for variable in variables] != [array.shape for array in arrays]:
        raise RelicError(f"{path} was written by another version of Keras: resume with that one, or train anew")
    for variable, array in zip(variables, arrays):
        backend.assign(variable, array)


def check_config(saved: dict, config: Any, path: Path, recipe: bool | None = None) -> None:
    """Raise RelicError that names `path` and the fields unless the `saved` fields are those of `config`.

    recipe: which fields, as in `common.config.differing_fields`.
    """
    different = differing_fields(saved, config, recipe)
    if different:
        raise RelicError(
            f"{path} was written with another config ({', '.join(different)} differ): use that one, or train anew"
        )


def model_arrays(model: Any) -> dict[str, np.ndarray]:
    """Return a model's weights by `<transform>/<layer>/<variable>`, as float32 arrays."""
    from common import backend

    return {key: backend.to_numpy(variable) for key, variable in _model_variables(model).items()}


def set_model_arrays(model: Any, arrays: Mapping[str, np.ndarray], path: Path) -> None:
    """Set a model's weights; raises RelicError that names `path` unless names and shapes are the model's."""
    from common import backend

    variables = _model_variables(model)
    if set(variables) != set(arrays):
        raise RelicError(f"{path} holds weights of another network (names differ)")
    for key, variable in variables.items():
        if tuple(variable.shape) != arrays[key].shape:
            raise RelicError(f"{path} holds weights of another network ({key}: shape {arrays[key].shape})")
        backend.assign(variable, arrays[key].astype(np.float32))


def _model_variables(model: Any) -> dict[str, Any]:
    from common import backend

    parts = model.transforms.items()
    return {f"{name}/{key}": v for name, part in parts for key, v in backend.variables(part).items()}


def _build_optimizer(model: Any) -> None:
    model.optimizer.build(model.trainable_variables)


def _optimizer_arrays(model: Any) -> list[np.ndarray]:
    from common import backend

    return [backend.to_numpy(v) for v in backend.optimizer_variables(model.optimizer)]


# --- the loop ------------------------------------------------------------------------------------------------------


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
    validate: Callable[[], dict[str, float]] = dict,
    chunk: int | None = None,
    average: WeightAverage | None = None,
) -> tuple[bool, float, list[dict]]:
    """Train a compiled model until `config.steps`; return (finished, seconds of training, log rows).

    `batch(step)` gives the inputs of a step, so that a resumed training equals an uninterrupted one bit for bit; a row
    of the log has the means of `chunk` steps (CHUNK), and further values by `validate()`; `average` takes in the
    weights after each row. Stops early, with a checkpoint, after `run.minutes` and on Ctrl-C. Raises RelicError when
    the loss is not finite.
    """
    step, before, log = _start(model, config, run, average)
    started = saved = time.monotonic()
    progress = _Progress(run, config.steps, loss_names(model))
    with _StopOnSignal(model) as stop:
        callbacks = _callbacks(run) + [stop.callback()]
        while step < config.steps and not stop.requested:
            row = _fit_chunk(model, batch, step, min(step + (chunk or CHUNK), config.steps), callbacks)
            step = row["step"]
            seconds = before + time.monotonic() - started
            log.append({**row, **validate(), "seconds": round(seconds, 1)})
            _check_finite(row, run)
            if average:
                average.update(model_arrays(model), step)
            progress.show(log[-1])
            out_of_time = run.minutes is not None and time.monotonic() - started >= 60 * run.minutes
            if out_of_time or stop.requested or step == config.steps or time.monotonic() - saved >= SAVE_SECONDS:
                save_checkpoint(run.checkpoint, model, config, step, seconds, log, average)
                saved = time.monotonic()
            if out_of_time:
                break
    progress.close()
    if stop.requested:
        raise KeyboardInterrupt(f"stopped at step {step} of {config.steps}: go on with --resume")
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


def _fit_chunk(model: Any, batch: Callable[[int], dict], first: int, last: int, callbacks: list) -> dict[str, Any]:
    from common import backend

    # Arrays, not a generator: one that is left half-way lets TensorFlow's threads wait for ever when Python ends.
    inputs = backend.steps_of([batch(step) for step in range(first, last)])
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
    if backend.has_tensorboard() and run.scale != "smoke":
        folder = str(run.checkpoint.parent / "tensorboard" / run.part)
        callbacks.append(backend.keras.callbacks.TensorBoard(folder, write_graph=False, profile_batch=0))
    return callbacks


def _check_finite(row: dict[str, Any], run: Run) -> None:
    if not math.isfinite(row["loss"]):
        raise RelicError(
            f"{run.paper}/{run.preset} diverged before step {row['step']} (loss is {row['loss']}): train anew with "
            "another seed or a lower learning rate; the last checkpoint is kept"
        )


class _Progress:
    """One line on stderr with steps and losses."""

    def __init__(self, run: Run, steps: int, names: list[str]) -> None:
        from tqdm import tqdm

        quiet = None if run.scale != "smoke" else True
        about = " ".join(filter(None, (run.preset, run.part)))
        self.bar = tqdm(total=steps, desc=about, unit="step", disable=quiet, dynamic_ncols=True)
        self.names = names

    def show(self, row: dict[str, Any]) -> None:
        self.bar.update(row["step"] - self.bar.n)
        self.bar.set_postfix({name: f"{row[name]:.4f}" for name in self.names})

    def close(self) -> None:
        self.bar.close()


# --- provenance ----------------------------------------------------------------------------------------------------


def ship(run: Run, config: Any, arrays: Mapping[str, np.ndarray], integers: Mapping[str, Any], about: dict) -> None:
    """Write `weights.safetensors`, `run.json` and `log.csv` of a finished training to the run's folder.

    about: `steps`, `training_seconds`, `data` (digest of each training set) and `log` (rows).
    """
    from common import weights

    log = log_csv(about.pop("log"))
    digest = weights.save(run.shipped / "weights.safetensors", f"{run.paper}/{run.preset}", config, arrays, integers)
    fields = {"preset": f"{run.paper}/{run.preset}", "scale": run.scale, "seed": run.seed, "weights_sha256": digest}
    fields["shipped"] = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    write_json(run.shipped / "run.json", {**fields, **about, **provenance(), "config": dataclasses.asdict(config)})
    with atomic_file(run.shipped / "log.csv") as file:
        file.write(log.encode())


def provenance() -> dict[str, Any]:
    """Return commit, dirty flag, command, versions, machine and device of the running program."""
    from common import backend

    return {
        "command": " ".join([module_command(), *sys.argv[1:]]),
        "commit": _git("rev-parse", "HEAD"),
        "dirty": bool(_git("status", "--porcelain", "--untracked-files=no")),
        "stack": backend.STACK,
        "backend": backend.BACKEND,
        "python": platform.python_version(),
        "versions": backend.versions(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "device": backend.device(),
    }


def module_command() -> str:
    """Return how the running module is started, without its arguments."""
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    return f"python -m {spec.name.removesuffix('.__main__') if spec else Path(sys.argv[0]).stem}"


def _git(*arguments: str) -> str:
    here = Path(__file__).resolve().parent
    result = subprocess.run(["git", *arguments], cwd=here, capture_output=True, text=True, check=False)
    return result.stdout.strip()


def log_csv(log: list[dict]) -> str:
    """Return log rows as csv text."""
    text = io.StringIO()
    names = [name for name in (log[0] if log else ("step", "loss")) if name != "seconds"] + ["seconds"]
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()} for row in log)
    return text.getvalue()


def file_digest(path: Path) -> bytes:
    """Return the sha256 of a file, 32 bytes."""
    return hashlib.sha256(path.read_bytes()).digest()
