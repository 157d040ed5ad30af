"""What several test files share: narrow networks with known weights, pictures, gradients, a toy model."""

import dataclasses
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from common import backend
from common.backend import TrainedModel, keras, ops
from common.training import checkpoints, weights
from papers.cheng_resnet import codec
from papers.cheng_resnet import config as config_module
from papers.cheng_resnet.model import Model

needs_bfloat16 = pytest.mark.skipif(
    not backend.has_bfloat16(), reason="TensorFlow 2.14 trains in bfloat16 on a GPU or a CPU with AVX-512 alone"
)


def narrow(preset: str, **changes: Any) -> Any:
    """Return a preset's Config with 16 filters for one patch of 64x64."""
    settings = {"num_filters": 16, "batch_size": 1, "patch_size": 64, "steps": 4, **changes}
    return dataclasses.replace(getattr(config_module, preset.upper()), **settings)


def picture(height: int, width: int, channels: int = 3, seed: int = 0) -> np.ndarray:
    """Return a uint8 picture of waves and a little noise, height x width x channels; without channels for 1."""
    rng = np.random.RandomState(seed)
    rows, columns = np.mgrid[:height, :width] / 20.0
    phases = rng.uniform(0, 6, (channels, 2))
    planes = [np.sin(rows + a) * np.cos(1.5 * columns + b) for a, b in phases]
    image = 128 + 90 * np.stack(planes, axis=-1) + rng.normal(0, 6, (height, width, channels))
    image = np.clip(np.rint(image), 0, 255).astype(np.uint8)
    return image if channels == 3 else image[:, :, 0]


def known_arrays(model: Any) -> dict[str, np.ndarray]:
    """Return weights that depend on each variable's name and shape alone, none of them as initialised."""
    return {name: _known(name, array) for name, array in checkpoints.model_arrays(model).items()}


def _known(name: str, start: np.ndarray) -> np.ndarray:
    noise = np.random.RandomState(zlib.crc32(name.encode())).normal(size=start.shape)
    if name.endswith("/kernel"):
        return noise * np.sqrt(2.0 / np.prod(start.shape[:-1]))
    if "bias_" in name:  # of the prior, initialised at random
        return 0.3 * noise
    return start + 0.05 * np.abs(noise)


def narrow_model(preset: str, **changes: Any) -> Any:
    """Return a narrow network with known weights in float16, that codes symbols of some units and decodes to greys."""
    model = Model(narrow(preset, **changes))
    checkpoints.set_model_arrays(model, known_arrays(model), "known")
    y = _spread(model.analysis_transform, picture(128, 128)[None] / np.float32(255), 4.0)
    _spread(model.synthesis_transform, y, 0.2, centre=0.5)
    if model.hyper_analysis_transform:
        _spread(model.hyper_synthesis_transform, _spread(model.hyper_analysis_transform, y, 3.0), 1.5)
    checkpoints.set_model_arrays(model, weights.to_float16(checkpoints.model_arrays(model)), "known")
    return model


def _spread(transform: Any, inputs: np.ndarray, deviation: float, centre: float = 0.0) -> np.ndarray:
    """Scale a transform's last layer so that each channel deviates so much on average, and return its outputs.

    A bias moves every channel's mean to `centre`.
    """
    variables = backend.variables(transform)
    last = [name for name in variables if name.endswith("/kernel")][-1]
    outputs = backend.to_numpy(transform(inputs))
    factor = deviation / outputs.std(axis=(0, 1, 2)).mean()
    backend.assign(variables[last], backend.to_numpy(variables[last]) * factor)
    bias = variables.get(last.replace("/kernel", "/bias"))
    if bias is not None:
        means = backend.to_numpy(transform(inputs)).mean(axis=(0, 1, 2))
        backend.assign(bias, backend.to_numpy(bias) + centre - np.resize(means, bias.shape))
    return backend.to_numpy(transform(inputs))


def save(path: Path, preset: str, model: Any) -> Path:
    """Write the weights file of a narrow network as a training does."""
    x = picture(128, 128)[None].astype(np.float32) / 255.0
    tables = codec.integers(model, [x])
    weights.save(path, f"cheng_resnet/{preset}", model.config, checkpoints.model_arrays(model), tables)
    return path


def gradients(function: Callable[[Any], Any], x: np.ndarray, upstream: np.ndarray, layer: Any = None) -> tuple:
    """Return y = function(x), and the gradients of sum(upstream * y) to x and to each variable of `layer` by name."""
    variables = backend.variables(layer) if layer is not None else {}
    values = list(variables.values())
    compute = {"tensorflow": _tensorflow_gradients, "jax": _jax_gradients, "torch": _torch_gradients}[backend.BACKEND]
    y, x_gradient, others = compute(function, x, upstream, layer, values)
    return y, x_gradient, dict(zip(variables, others, strict=True))


def _tensorflow_gradients(function, x, upstream, layer, values):
    import tensorflow as tf

    with tf.GradientTape() as tape:
        x = tf.convert_to_tensor(x)
        tape.watch(x)
        y = function(x)
        total = tf.reduce_sum(y * upstream)
    # A Keras 3 variable holds the TensorFlow one that a tape knows.
    sources = [getattr(value, "value", value) if backend.STACK == "keras3" else value for value in values]
    x_gradient, *others = (g.numpy() for g in tape.gradient(total, [x, *sources]))
    return y.numpy(), x_gradient, others


def _jax_gradients(function, x, upstream, layer, values):
    import jax

    def total(x, arrays):
        y = layer.stateless_call(arrays, others, x)[0] if layer is not None else function(x)
        return (y * upstream).sum(), y

    arrays = [value.value for value in values]
    others = [v.value for v in layer.non_trainable_variables] if layer is not None else []  # of generators
    (_, y), (x_gradient, found) = jax.value_and_grad(total, argnums=(0, 1), has_aux=True)(jax.numpy.asarray(x), arrays)
    return np.asarray(y), np.asarray(x_gradient), [np.asarray(g) for g in found]


def _torch_gradients(function, x, upstream, layer, values):
    import torch

    x = torch.tensor(x, requires_grad=True)
    for value in values:
        value.value.grad = None
    y = function(x)
    (y * torch.tensor(upstream)).sum().backward()
    return y.detach().numpy(), x.grad.numpy(), [value.value.grad.numpy() for value in values]


def run_steps_eagerly(patch: pytest.MonkeyPatch) -> None:
    """Let models that are compiled from now on run each step as it is: for few steps, tracing a graph takes longer."""
    compile_model = backend.compile_model

    def compile_to_run_eagerly(model: Any, *arguments: Any, **options: Any) -> None:
        compile_model(model, *arguments, **options)
        model.run_eagerly = backend.BACKEND == "tensorflow"

    patch.setattr(backend, "compile_model", compile_to_run_eagerly)


def as_it_is(function: Callable[..., Any], networks: Sequence[Any] = ()) -> Callable[..., Any]:
    """Stand in for `backend.compiled` and compute layer by layer: a graph for each size of a picture takes longer."""

    def call(*arrays: np.ndarray) -> Any:
        result = function(*map(ops.convert_to_tensor, arrays))
        return tuple(map(backend.to_numpy, result)) if isinstance(result, (tuple, list)) else backend.to_numpy(result)

    return call


# --- a model that trains in milliseconds --------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class ToyConfig:
    """Settings of a toy training."""

    width: int = 3
    steps: int = 6
    learning_rate: float = 0.05


class Toy(TrainedModel):
    """Fits one dense layer to a sum, with noise of (seed, step); has what `common.training.runs` asks of a model."""

    def __init__(self, config: ToyConfig) -> None:
        super().__init__(name="toy")
        x = keras.Input((config.width,), name="x")
        self.body = keras.Model(x, keras.layers.Dense(1, name="dense")(x), name="body")
        self.trackers = backend.loss_trackers("rate_estimate", "distortion")
        self.built = True

    @property
    def transforms(self) -> dict[str, Any]:
        """The part that holds weights."""
        return {"body": self.body}

    def call(self, inputs, training=True):
        noise = backend.uniform_noise(ops.shape(inputs["x"]), 0, inputs["step"][0])
        return {"y": self.body(inputs["x"] + 0.1 * noise), "sum": ops.sum(inputs["x"], axis=-1, keepdims=True)}

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        loss = ops.mean(ops.square(y_pred["y"] - y_pred["sum"]))
        for tracker in self.trackers.values():
            tracker.update_state(loss)
        return loss


def toy(config: ToyConfig, seed: int = 0) -> Toy:
    """Return a compiled toy model with weights of `seed`."""
    backend.set_seed(seed)
    model = Toy(config)
    backend.compile_model(model, config.learning_rate, 0.0)
    return model


def toy_batch(step: int) -> dict[str, np.ndarray]:
    """Return the inputs of a step of the toy training."""
    rng = np.random.RandomState(step)
    return {"x": rng.normal(size=(4, 3)).astype(np.float32), "step": np.full(4, step, np.int32)}
