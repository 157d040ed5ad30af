"""Trains a small model on the devices of its first argument; prints what it was as one line of json.

For tests in processes of their own, as devices are counted once, when the frameworks start.
"""

import dataclasses
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np

from common import backend, devices
from common.backend import keras, ops
from common.errors import run_main
from common.training import checkpoints, loop, presets
from common.training.runs import Run

BATCH, CHANNELS = 4, 3
NAN_STEPS = (6, 7, 8)
STOPPED_AT = 12
STEPS = 2  # whose parts are shown


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of the small model; its gradients are longer than `clip_norm`."""

    steps: int = 20
    batch_size: int = BATCH
    learning_rate: float = 0.05
    learning_rate_drops: tuple = ()
    clip_norm: float = 0.5


class Model(backend.TrainedModel):
    """Has what can depend on how a batch is divided: noise, batch normalisation, a loss that is no mean, a clip."""

    def __init__(self, config: Config, seed: int = 0) -> None:
        super().__init__(name="divided")
        self.config, self.seed = config, seed
        x = h = keras.Input((CHANNELS,), name="x")
        frozen = keras.layers.Dense(CHANNELS, use_bias=False, kernel_initializer="identity", name="frozen")
        frozen.trainable = False
        h = keras.layers.Dense(5, name="dense")(frozen(h))
        h = backend.batch_normalisation(0.9, "norm")(h)
        self.body = keras.Model(x, keras.layers.Dense(1, name="last")(h), name="body")
        self.trackers = backend.loss_trackers("mean_square")
        self.built = True

    @property
    def transforms(self) -> dict[str, Any]:
        """The part that holds weights."""
        return {"body": self.body}

    def call(self, inputs, training=True):
        """Return the outputs for noisy inputs, and what they ought to be."""
        x = ops.reshape(inputs["x"], (backend.part_of_batch(self.config.batch_size), CHANNELS))
        noise = backend.uniform_noise(ops.shape(x), self.seed, inputs["step"][0])
        return {"y": self.body(x + noise, training=training), "wanted": ops.sum(x, axis=-1, keepdims=True)}

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Return the mean squared error and the square of the mean, which is not the mean of replicas' squares."""
        error = y_pred["y"] - y_pred["wanted"]
        mean_square = ops.mean(ops.square(error))
        loss = mean_square + ops.square(backend.batch_mean(error))
        for name, tracker in self.trackers.items():
            tracker.update_state({"loss": loss, "mean_square": mean_square}[name])
        return loss


def batch(step: int) -> dict[str, np.ndarray]:
    """Return the inputs of a step; those of NAN_STEPS are not finite for the last example alone."""
    x = np.random.RandomState(step).normal(size=(BATCH, CHANNELS)) * [[1.0], [2.0], [3.0], [4.0]]
    x[-1, 0] = np.nan if step in NAN_STEPS else x[-1, 0]
    return {"x": x.astype(np.float32), "step": np.full(BATCH, step, np.int32)}


def parts() -> list:
    """Return the examples of two steps that each device of this process sees, by step and device."""
    inputs = {"x": np.arange(BATCH)[None, :, None] + 10 * np.arange(STEPS)[:, None, None]}
    own = devices.process()
    if backend.BACKEND == "tensorflow":
        import tensorflow as tf

        strategy = tf.distribute.get_strategy()
        given = strategy.experimental_distribute_dataset(backend.steps_of(inputs, own.index, own.count)["x"])
        return [[x.numpy().ravel().tolist() for x in strategy.experimental_local_results(step["x"])] for step in given]
    import jax

    layout = keras.distribution.distribution().get_data_layout((BATCH, 1)).backend_layout
    given = backend.steps_of(inputs, own.index, own.count)
    steps = np.split(given["x"]["x"], STEPS)
    arrays = [jax.make_array_from_process_local_data(layout, step) for step in steps]
    return [[np.asarray(s.data).ravel().tolist() for s in array.addressable_shards] for array in arrays]


def stopping_batch(step: int) -> dict[str, np.ndarray]:
    """Return the inputs of a step, and stop the training, as a polite kill of the last process does."""
    if step == STOPPED_AT and devices.process().index == devices.process().count - 1:
        os.kill(os.getpid(), signal.SIGTERM)
    return batch(step)


def main(wanted: str, what: str, folder: str) -> None:
    """Train as `what` says: `train`, `stop` or `resume`; `folder` is where files may have been written."""
    config, run = Config(), Run("paper", "preset", "smoke", resume=what == "resume")
    with devices.shared(wanted, config.batch_size) as about:
        seen = parts() if about else []
        model = presets.build(Model, config, 0, "float32")
        try:
            _, _, log = loop.fit(model, config, stopping_batch if what == "stop" else batch, run, chunk=5)
            ended = "finished"
        except KeyboardInterrupt as stop:
            ended, log = str(stop), []
        arrays = checkpoints.model_arrays(model)
    sums = {name: float(np.abs(array).sum()) for name, array in arrays.items()}
    written = sorted(path.name for path in Path(folder).rglob("*") if path.is_file())
    print(json.dumps({**about, "parts": seen, "log": log, "ended": ended, "sums": sums, "written": written}))


if __name__ == "__main__":
    run_main(lambda: main(*sys.argv[1:]))
