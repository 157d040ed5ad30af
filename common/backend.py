"""The only module that knows which Keras stack is installed; everything else uses `keras`, `ops` and the names below.

Two stacks run the same source. `tfc` is tensorflow-compression 2.14 with tf.keras 2.14; `keras3` is Keras 3 on
tensorflow, jax or torch. `RELIC_STACK=tfc|keras3` chooses where both are installed, `KERAS_BACKEND` the backend of
Keras 3. Weights are keyed by stable layer names, so one file serves every stack.
"""

import importlib.metadata
import os
import threading
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

import numpy as np

from common.errors import RelicError
from common.stack import (
    QuietStderr,
    choose_keras3_backend,
    choose_stack,
    cpu_devices,
    cpu_flags,
    installed,
    onednn_is_faster,
)

# The libraries' start-up chatter is not for users; a failing import still raises.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")

KEPT_SHAPES = 16  # for which a compiled function is kept: the sizes that the pictures of a set have, and their strips
STACK = choose_stack()
if os.path.expanduser("~") == "~":  # no home folder is known: Keras would make one of that name here
    os.environ.setdefault("KERAS_HOME", os.devnull)
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1" if onednn_is_faster(STACK) else "0")

with QuietStderr():
    if STACK == "tfc":
        import tensorflow as tf
        import tensorflow_compression as tfc

        BACKEND = "tensorflow"
        keras = tf.keras
        if not tf.__version__.startswith("2.14."):
            raise RelicError(f"stack tfc needs TensorFlow 2.14, found {tf.__version__}: run `make setup` anew")
    else:
        BACKEND = os.environ["KERAS_BACKEND"] = choose_keras3_backend()
        import keras  # type: ignore[no-redef]

        if int(keras.__version__.split(".")[0]) < 3:
            raise RelicError(f"stack keras3 needs keras 3.15, found {keras.__version__}: run `make setup-keras3`")
        if BACKEND == "tensorflow":
            import tensorflow as tf
        elif BACKEND == "jax":
            import jax

            # GPUs would multiply float32 in 10 bits: enough for layers, which ask for bfloat16 themselves, but the
            # gradient of MS-SSIM is a small difference and would be wrong.
            jax.config.update("jax_default_matmul_precision", "highest")
        else:
            import torch
    if BACKEND == "tensorflow":
        tf.get_logger().setLevel("ERROR")
        if cpu_devices() > 1:
            parts = [tf.config.LogicalDeviceConfiguration()] * cpu_devices()
            tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], parts)
        # absl prints its first warnings before its log is set up; a first kernel brings them out here, unseen. But one
        # of several processes must be told of the others before any kernel runs, see common/devices.py.
        if "TF_CONFIG" not in os.environ:
            tf.constant(0.0) + 1.0
    elif BACKEND == "jax" and cpu_devices() > 1:
        jax.config.update("jax_num_cpu_devices", cpu_devices())
    # Against ~/.keras/keras.json, which would change layouts and bytes. Weights and files know one kind of network.
    keras.backend.set_floatx("float32")
    keras.backend.set_epsilon(1e-7)
    keras.backend.set_image_data_format("channels_last")

_PROCESS = os.getpid()


class _TensorFlowOps:
    """The functions of `keras.ops` that this suite uses, for tf.keras 2.14."""

    @staticmethod
    def _namespace() -> dict[str, Callable[..., Any]]:
        return {
            "abs": tf.abs,
            "add": tf.add,
            "cast": tf.cast,
            "concatenate": tf.concat,
            "convert_to_tensor": tf.convert_to_tensor,
            "copy": tf.identity,
            "custom_gradient": tf.custom_gradient,
            "clip": tf.clip_by_value,
            "depth_to_space": tf.nn.depth_to_space,
            "divide": tf.divide,
            "erf": tf.math.erf,
            "erfc": tf.math.erfc,
            "exp": tf.exp,
            "expand_dims": tf.expand_dims,
            "log": tf.math.log,
            "matmul": tf.matmul,
            "max": tf.reduce_max,
            "maximum": tf.maximum,
            "mean": tf.reduce_mean,
            "min": tf.reduce_min,
            "minimum": tf.minimum,
            "multiply": tf.multiply,
            "ones": tf.ones,
            "pad": tf.pad,
            "power": tf.pow,
            "prod": tf.reduce_prod,
            "relu": tf.nn.relu,
            "reshape": tf.reshape,
            "round": tf.round,
            "shape": _static_shape,
            "sigmoid": tf.sigmoid,
            "sign": tf.sign,
            "softplus": tf.math.softplus,
            "split": _split,
            "sqrt": tf.sqrt,
            "square": tf.square,
            "stack": tf.stack,
            "stop_gradient": tf.stop_gradient,
            "subtract": tf.subtract,
            "sum": tf.reduce_sum,
            "tanh": tf.tanh,
            "transpose": tf.transpose,
            "where": tf.where,
            "zeros": tf.zeros,
            "zeros_like": tf.zeros_like,
        }

    def __init__(self) -> None:
        for name, function in self._namespace().items():
            setattr(self, name, function)

    @staticmethod
    def conv(inputs, kernel, strides=1, padding="valid"):
        """Convolve NHWC `inputs` with an HWIO `kernel`."""
        return tf.nn.conv2d(inputs, kernel, strides, padding.upper())

    @staticmethod
    def conv_transpose(inputs, kernel, strides=1, padding="valid"):
        """Convolve NHWC `inputs` with an HWOI `kernel`, transposed; `padding` "same" alone."""
        batch, height, width, _ = _static_shape(inputs)
        shape = tf.stack([batch, height * strides, width * strides, kernel.shape[2]])
        return tf.nn.conv2d_transpose(inputs, kernel, shape, strides, padding.upper())

    @staticmethod
    def depthwise_conv(inputs, kernel, strides=1, padding="valid"):
        """Convolve each channel of NHWC `inputs` with its own HWIM `kernel`."""
        return tf.nn.depthwise_conv2d(inputs, kernel, [1, strides, strides, 1], padding.upper())

    @staticmethod
    def average_pool(inputs, pool_size, strides=None, padding="valid"):
        """Average over windows of NHWC `inputs`."""
        return tf.nn.avg_pool2d(inputs, pool_size, strides or pool_size, padding.upper())


def _static_shape(tensor: Any) -> tuple:
    """Return a shape as `keras.ops.shape` does: numbers where they are known, scalar tensors elsewhere."""
    dynamic = None
    sizes = []
    for axis, size in enumerate(tensor.shape):
        if size is None:
            dynamic = tf.shape(tensor) if dynamic is None else dynamic
            size = dynamic[axis]
        sizes.append(size)
    return tuple(sizes)


def _split(tensor: Any, sections: int, axis: int = 0) -> list:
    return tf.split(tensor, sections, axis)


ops: Any = _TensorFlowOps() if STACK == "tfc" else keras.ops


def lower_bound(x: Any, bound: float) -> Any:
    """Return `max(x, bound)` whose gradient also flows below the bound where it points towards it.

    A plain maximum has no gradient below the bound, so a parameter that falls there could never come back.
    Source: Ballé et al. 2018, section 3 (reparametrisation of GDN and the scale's lower bound).
    """
    if STACK == "tfc":
        return tfc.lower_bound(x, bound)

    @ops.custom_gradient
    def bounded(x):
        def grad(*args, upstream=None):
            upstream = args[0] if upstream is None else upstream
            passes = ops.logical_or(x >= bound, upstream < 0)
            return ops.where(passes, upstream, ops.zeros_like(upstream))

        return ops.maximum(x, bound), grad

    return bounded(ops.convert_to_tensor(x))


_GDN_OFFSET = 2.0**-18
_GDN_BETA_MIN = 1e-6
_GDN_GAMMA_INIT = 0.1


def _keras3_gdn_class() -> type:
    class Keras3GDN(keras.layers.Layer):  # type: ignore[name-defined]
        """GDN as a Keras 3 layer with the parametrisation, variable names and values of `tfc.GDN`."""

        def __init__(self, inverse: bool, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.inverse = inverse

        def build(self, input_shape):
            channels = input_shape[-1]
            pedestal = _GDN_OFFSET**2

            def square_root_of(values):
                return lambda shape, dtype=None: np.sqrt(np.maximum(values + pedestal, pedestal)).astype("float32")

            self.reparam_beta = self.add_weight(
                name="reparam_beta", shape=(channels,), initializer=square_root_of(np.ones(channels))
            )
            self.reparam_gamma = self.add_weight(
                name="reparam_gamma",
                shape=(channels, channels),
                initializer=square_root_of(_GDN_GAMMA_INIT * np.eye(channels)),
            )

        def call(self, x):
            beta = self._value(self.reparam_beta, _GDN_BETA_MIN)
            gamma = self._value(self.reparam_gamma, 0.0)
            norm = ops.matmul(ops.square(x), gamma) + beta
            norm = ops.sqrt(norm)
            return x * norm if self.inverse else x / norm

        def compute_output_shape(self, input_shape):
            return input_shape

        def _value(self, variable, minimum):
            variable = ops.cast(variable, self.compute_dtype)
            bound = (minimum + _GDN_OFFSET**2) ** 0.5
            return ops.square(lower_bound(variable, bound)) - _GDN_OFFSET**2

    return Keras3GDN


_Keras3GDN = None if STACK == "tfc" else _keras3_gdn_class()


def GDN(inverse: bool = False, name: str | None = None) -> Any:
    """Return a generalised divisive normalisation layer, y_i = x_i / sqrt(beta_i + sum_j gamma_ij x_j^2).

    `inverse=True` multiplies instead (IGDN). The classic form: exponents 2 and 1/2, beta at least 1e-6, beta starts at
    1 and gamma at 0.1 times the identity; C + C^2 parameters for C channels. On stack `tfc` it is `tfc.GDN`.
    Source: Ballé, Laparra, Simoncelli 2016, "Density modeling of images using a generalized normalization
    transformation".
    """
    if STACK == "tfc":
        return tfc.GDN(inverse=inverse, alpha_parameter=2, epsilon_parameter=0.5, name=name)
    assert _Keras3GDN is not None
    return _Keras3GDN(inverse=inverse, name=name)


def uniform_noise(shape: Any, seed: Any, step: Any) -> Any:
    """Return float32 noise from U(-0.5, 0.5), a pure function of the integers `seed` and `step` (a tensor or a number).

    Drawing from (seed, step) instead of a stateful generator makes a resumed training equal to an uninterrupted one.
    """
    if BACKEND == "tensorflow":
        key = tf.stack([tf.cast(seed, tf.int32), tf.cast(step, tf.int32)])
        replica = _replica()
        if not replica:
            return tf.random.stateless_uniform(shape, key, -0.5, 0.5)
        # Each replica draws the noise of the whole batch and takes its part, so that their number changes nothing.
        whole = tf.random.stateless_uniform((num_replicas() * shape[0], *shape[1:]), key, -0.5, 0.5)
        first = replica.replica_id_in_sync_group * shape[0]
        return whole[first : first + shape[0]]
    if BACKEND == "jax":
        key = jax.random.fold_in(jax.random.PRNGKey(seed), step)
        return jax.random.uniform(key, shape, minval=-0.5, maxval=0.5)
    generator = torch.Generator(device=step.device if hasattr(step, "device") else "cpu")
    generator.manual_seed(int(seed) * 1_000_003 + int(step))
    return torch.rand(tuple(shape), generator=generator, device=generator.device) - 0.5


def num_replicas() -> int:
    """Return on how many devices TensorFlow runs models, each with its own part of a batch: 1 without a strategy.

    It is 1 on jax too, whose program has the whole batch on any number of devices.
    """
    return tf.distribute.get_strategy().num_replicas_in_sync if BACKEND == "tensorflow" else 1


def _replica() -> Any:
    """Return TensorFlow's context where a step of one of several replicas is computed, None elsewhere."""
    return tf.distribute.get_replica_context() if num_replicas() > 1 else None


def part_of_batch(batch_size: int) -> int:
    """Return how many of a batch's examples a model is called with: all of them, or those of one replica."""
    return batch_size // num_replicas() if _replica() else batch_size


def batch_mean(values: Any) -> Any:
    """Return the mean of float `values` over the whole batch, where `ops.mean` has that of a replica's part.

    For losses that are not themselves a mean over the batch's examples, as the square of one.
    """
    mean, replica = ops.mean(values), _replica()
    return replica.all_reduce(tf.distribute.ReduceOp.MEAN, mean) if replica else mean


def batch_normalisation(momentum: float, name: str) -> Any:
    """Return a layer of batch normalisation by the statistics of the whole batch, also where replicas share it."""
    several = {"synchronized": True} if num_replicas() > 1 else {}
    return keras.layers.BatchNormalization(momentum=momentum, name=name, **several)


def refuse_fork() -> None:
    """Raise RelicError in a process that was forked from one that had imported this module.

    It has none of the threads that the backend started there, and would wait for them for ever.
    """
    if os.getpid() != _PROCESS:
        raise RelicError(
            f"this process was forked from one where {BACKEND} runs, whose threads it lacks: start it by "
            'multiprocessing.get_context("spawn")'
        )


def set_seed(seed: int) -> None:
    """Seed every generator that initialises weights."""
    refuse_fork()
    keras.utils.set_random_seed(seed)


def forget_models() -> None:
    """Free the graphs of models that are no longer used, where one process trains several."""
    (keras.backend if STACK == "tfc" else keras.utils).clear_session()


def set_precision(precision: str) -> None:
    """Set the precision of layers built from now on: `float32` or `bfloat16` (variables stay float32).

    Raises RelicError where networks cannot be trained in bfloat16.
    """
    if precision != "float32" and not has_bfloat16():
        raise RelicError(
            f"precision {precision} needs a GPU or a CPU with AVX-512 in TensorFlow 2.14: train in float32"
        )
    policy = "float32" if precision == "float32" else f"mixed_{precision}"
    (keras.mixed_precision.set_global_policy if STACK == "tfc" else keras.config.set_dtype_policy)(policy)


def has_bfloat16() -> bool:
    """Return whether networks can be trained in bfloat16 here: on CPUs, TensorFlow 2.14 needs AVX-512 for it."""
    return STACK != "tfc" or device() != "CPU" or "avx512bw" in cpu_flags()


def fast_precision() -> str:
    """Return the training precision that is fastest here: `bfloat16` where the hardware multiplies in it."""
    if device() != "CPU":
        return "bfloat16"
    return "bfloat16" if BACKEND == "tensorflow" and "avx512_bf16" in cpu_flags() else "float32"


def computes_on_cpu_in_tensorflow() -> bool:
    """Return whether TensorFlow's CPU kernels compute."""
    return BACKEND == "tensorflow" and device() == "CPU"


def device() -> str:
    """Return the kind of device that computes: `CPU`, or the accelerator's name."""
    if BACKEND == "tensorflow":
        gpus = tf.config.list_physical_devices("GPU")
        return tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU") if gpus else "CPU"
    if BACKEND == "jax":
        return "CPU" if jax.default_backend() == "cpu" else jax.devices()[0].device_kind
    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else "CPU"


def device_memory_peak() -> int | None:
    """Return the most bytes that the accelerator's memory has held; None on a CPU, and where it does not say."""
    if device() == "CPU":
        return None
    if BACKEND == "tensorflow":
        return tf.config.experimental.get_memory_info("GPU:0")["peak"]
    if BACKEND == "jax":
        return (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use")
    return torch.cuda.max_memory_allocated()


def compile_model(
    model: Any,
    learning_rate: Callable[[Any], Any] | float,
    clip_norm: float,
    epsilon: float = 1e-7,
    amsgrad: bool = False,
) -> None:
    """Compile a model whose `compute_loss` is its loss, with Adam and, where `clip_norm` is not 0, a global clip."""
    refuse_fork()
    clip = clip_norm or None
    kind = keras.optimizers.Adam if BACKEND == "jax" else _Adam
    optimizer = kind(learning_rate, epsilon=epsilon, amsgrad=amsgrad, global_clipnorm=clip, name="adam")
    if num_replicas() > 1:
        _share_loss(model)
    # XLA makes TensorFlow's CPU kernels 2 to 4 times slower, and does not join replicas; jax is nothing without it.
    jit = BACKEND == "jax" or (BACKEND == "tensorflow" and device() != "CPU" and num_replicas() == 1)
    model.compile(optimizer=optimizer, jit_compile=jit)
    optimizer.build(model.trainable_variables)  # a step that may be skipped cannot create variables


def _share_loss(model: Any) -> None:
    """Let a model's loss be its replica's share of the batch's, as replicas' gradients are added."""
    whole = type(model).compute_loss

    def compute_loss(*arguments: Any, **named: Any) -> Any:
        return whole(model, *arguments, **named) / num_replicas()

    model.compute_loss = compute_loss


# --- steps that are skipped ----------------------------------------------------------------------------------------


def _all_finite(tensors: Sequence[Any]) -> Any:
    """Return whether no tensor holds NaN or infinity, a scalar of bool."""
    is_finite, every = (tf.math.is_finite, tf.reduce_all) if STACK == "tfc" else (ops.isfinite, ops.all)
    return every(ops.stack([every(is_finite(tensor)) for tensor in tensors]))


def _either(condition: Any, then: Callable[[], Any], otherwise: Callable[[], Any]) -> None:
    """Do one thing or the other; in a graph of TensorFlow both are part of it."""
    if BACKEND == "tensorflow":
        tf.cond(condition, lambda: (then(), True)[1], lambda: (otherwise(), True)[1])
    else:
        (then if condition else otherwise)()


class _Adam(keras.optimizers.Adam):  # type: ignore[name-defined]
    """Adam that leaves weights and moments as they are where loss or gradients are not finite, but counts the step.

    `finite` is whether those of the step that is traced or computed are. Not on jax, where the model chooses.
    """

    finite: Any = True
    _of = threading.local()  # `loss`, as replicas take turns in threads of their own

    def minimize(self, loss, *arguments, **options):  # of tf.keras
        self._of.loss = loss
        super().minimize(loss, *arguments, **options)

    def scale_loss(self, loss):  # of Keras 3
        self._of.loss = loss
        return super().scale_loss(loss)

    def apply_gradients(self, grads_and_vars, *arguments, **options):  # of tf.keras; that of Keras 3 calls `apply`
        if STACK != "tfc":
            return super().apply_gradients(grads_and_vars)
        pairs = list(grads_and_vars)
        if _replica():
            total = self._sum_of_replicas([g for g, _ in pairs])
            whole = zip(total, [v for _, v in pairs], strict=True)
            return super().apply_gradients(whole, skip_gradients_aggregation=True)
        self._apply_finite([g for g, _ in pairs], lambda: super(_Adam, self).apply_gradients(pairs))
        return self.iterations

    def apply(self, grads, trainable_variables=None):
        grads = list(grads)
        if _replica():
            super().apply(self._sum_of_replicas(grads), trainable_variables)
        else:
            self._apply_finite(grads, lambda: super(_Adam, self).apply(grads, trainable_variables))

    def _apply_finite(self, gradients: list[Any], apply: Callable[[], Any]) -> None:
        self.finite = _all_finite([each for each in (*gradients, self._of.loss) if each is not None])
        _either(self.finite, apply, lambda: self.iterations.assign_add(1))

    # Replicas add their gradients, and agree on whether all is finite, before anything is clipped: Keras 3 would clip
    # each replica's and add them then. As they cannot do so in a condition, each variable's update is conditional.

    def _sum_of_replicas(self, gradients: list[Any]) -> list[Any]:
        known = [each for each in gradients if each is not None]
        *known, loss = _replica().all_reduce(tf.distribute.ReduceOp.SUM, [*known, self._of.loss])
        self.finite = _all_finite([*known, loss])
        found = iter(known)
        return [None if each is None else next(found) for each in gradients]

    def _all_reduce_sum_gradients(self, grads_and_vars):  # of Keras 3
        return grads_and_vars

    def update_step(self, gradient, variable, *rate):
        if num_replicas() == 1:
            super().update_step(gradient, variable, *rate)
        else:
            _either(self.finite, lambda: super(_Adam, self).update_step(gradient, variable, *rate), lambda: None)


class _Skipped(keras.metrics.Metric):  # type: ignore[name-defined]
    """Counts the skipped steps of an epoch, and the most in a row, which may have begun in earlier epochs."""

    def __init__(self) -> None:
        super().__init__(name="skipped")
        names = ("count", "row", "longest")
        self.count, self.row, self.longest = (self.add_weight(name=n, shape=(), initializer="zeros") for n in names)

    def update_state(self, finite):
        skipped, share = 1.0 - ops.cast(finite, "float32"), 1.0 / num_replicas()  # whose counts are added
        self.count.assign(self.count + share * skipped)
        self.row.assign((self.row + share) * skipped)
        self.longest.assign(ops.maximum(self.longest, self.row))

    def reset_state(self):
        self.count.assign(0.0)
        self.longest.assign(0.0)

    def result(self):
        return {"skipped": self.count + 0.0, "skipped_in_a_row": self.longest + 0.0}


class TrainedModel(keras.Model):  # type: ignore[name-defined]
    """A Keras model whose `fit` skips the steps with a loss or gradients that are not finite.

    Such a step leaves weights, the optimizer's moments, running statistics and means of losses as they were; it counts
    as a step, and in the log's `skipped` and `skipped_in_a_row`. To be compiled by `compile_model`; a subclass has
    `trackers`, its running means by name.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.skipped = _Skipped()

    def train_step(self, *arguments):
        if BACKEND == "jax":
            return self._functional_step(*arguments)
        is_skipping = isinstance(self.optimizer, _Adam)  # other optimizers take every step
        return self._step_in_place(*arguments) if is_skipping else super().train_step(*arguments)

    def _step_in_place(self, data):
        means = [v for metric in self.metrics if metric is not self.skipped for v in metric.variables]
        changing = [*self.non_trainable_variables, *means]
        before = [ops.copy(variable) for variable in changing]
        super().train_step(data)

        def restore():
            for variable, value in zip(changing, before, strict=True):
                variable.assign(value)

        if _replica():  # whose values are joined outside of any condition
            for variable, value in zip(changing, before, strict=True):
                variable.assign(ops.where(self.optimizer.finite, ops.copy(variable), value))
        else:
            _either(self.optimizer.finite, lambda: None, restore)
        self.skipped.update_state(self.optimizer.finite)
        return self.get_metrics_result()

    def _functional_step(self, state, data):
        logs, after = super().train_step(state, data)
        # Behind the barrier, for the compiler to make of the step itself what it makes of one that cannot be skipped.
        logs, after = jax.lax.optimization_barrier((logs, after))
        finite = _all_finite([logs["loss"], *after[0]])  # Adam makes NaN of weights whose gradient is not finite
        trainable, others, optimizer, metrics = (
            [ops.where(finite, new, old) for new, old in zip(*both, strict=True)]
            for both in zip(after, state, strict=True)
        )
        count = _index(self.optimizer.variables, self.optimizer.iterations)
        optimizer[count] = after[2][count]
        places = [_index(self.metrics_variables, variable) for variable in self.skipped.variables]
        counts = self.skipped.stateless_update_state([state[3][place] for place in places], finite)
        for place, count in zip(places, counts, strict=True):
            metrics[place] = count
        return logs, (trainable, others, optimizer, metrics)


def _index(variables: Sequence[Any], wanted: Any) -> int:
    return next(i for i, variable in enumerate(variables) if variable is wanted)


def learning_rate(rate: float, drops: Sequence[tuple[float, float]], steps: int, decays: bool = False) -> Any:
    """Return a learning rate that from each share of `steps` on is `rate` times that drop's factor.

    With `decays` and no drops it goes from `rate` to zero on a straight line.
    """
    if decays:
        return keras.optimizers.schedules.PolynomialDecay(rate, steps, end_learning_rate=0.0)
    if not drops:
        return rate
    boundaries = [int(share * steps) for share, _ in drops]
    return keras.optimizers.schedules.PiecewiseConstantDecay(boundaries, [rate, *(rate * f for _, f in drops)])


def steps_of(stacked: dict[str, np.ndarray], process: int = 0, processes: int = 1) -> Any:
    """Return what `fit` takes as the inputs of consecutive steps, each once and in order, without any wait.

    stacked: arrays (steps, batch, ...) by name. Of several processes each has its part of every batch: the first one
    the first examples.

    TensorFlow's own adapter for arrays tunes itself, and its tuner lets the end of every `fit` wait for its next
    wake-up, up to half of the time.
    """
    stacked = {name: np.split(values, processes, axis=1)[process] for name, values in stacked.items()}
    flat = {name: values.reshape(-1, *values.shape[2:]) for name, values in stacked.items()}
    own_size = stacked[next(iter(stacked))].shape[1]
    if BACKEND != "tensorflow":
        return {"x": flat, "batch_size": own_size}
    options = tf.data.Options()
    options.autotune.enabled = False
    if num_replicas() == 1:
        return {"x": tf.data.Dataset.from_tensor_slices(stacked).with_options(options)}
    # Keras has the strategy divide each batch among all replicas, and every process goes on in its own examples: so a
    # process' examples come in batches of the whole size, of which its replicas take one part after the other.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    batches = tf.data.Dataset.from_tensor_slices(flat).batch(own_size * processes)
    return {"x": batches.with_options(options), "steps_per_epoch": len(stacked[next(iter(stacked))])}


def has_tensorboard() -> bool:
    """Return whether training curves can be written for TensorBoard."""
    return BACKEND == "tensorflow" and installed("tensorboard")


def loss_trackers(*names: str) -> dict[str, Any]:
    """Return running means by name; `loss` is among them only where `fit` does not track it by itself."""
    return {name: keras.metrics.Mean(name=name) for name in (("loss",) if STACK == "tfc" else ()) + names}


def compiled(function: Callable[..., Any], networks: Sequence[Any] = ()) -> Callable[..., Any]:
    """Return `function` (of tensors, without training) compiled by the backend, from numpy arrays to numpy arrays.

    It is compiled for each combination of shapes; the last KEPT_SHAPES of them are kept, as each takes megabytes.

    networks: layers and models of it whose weights may change between calls; jax keeps those of others as they are at
    the first call.
    """
    jitted = partial(_jitted, networks=networks)
    ways: dict[str, Callable[..., Any]] = {"tensorflow": _traced, "jax": jitted, "torch": _eager}

    @lru_cache(maxsize=KEPT_SHAPES)
    def for_shapes(*shapes: tuple[int, ...]) -> Callable[..., Any]:
        return ways[BACKEND](function)

    def run(*arrays: np.ndarray) -> Any:
        refuse_fork()
        return _to_numpy(for_shapes(*(array.shape for array in arrays))(*arrays))

    return run


def _traced(function: Callable[..., Any]) -> Callable[..., Any]:
    graph = tf.function(function, reduce_retracing=False)
    return lambda *arrays: graph(*(tf.convert_to_tensor(array) for array in arrays))


def _jitted(function: Callable[..., Any], networks: Sequence[Any]) -> Callable[..., Any]:
    held = [variable for network in networks for variable in network.variables]

    @jax.jit
    def with_values(values, *arrays):
        with keras.StatelessScope(state_mapping=list(zip(held, values, strict=True))):
            return function(*arrays)

    return lambda *arrays: with_values([variable.value for variable in held], *arrays)


def _eager(function: Callable[..., Any]) -> Callable[..., Any]:
    def run(*arrays: np.ndarray) -> Any:
        with torch.no_grad():
            return function(*(ops.convert_to_tensor(array) for array in arrays))

    return run


def _to_numpy(result: Any) -> Any:
    if isinstance(result, (tuple, list)):
        return tuple(_to_numpy(item) for item in result)
    return to_numpy(result)


def to_numpy(tensor: Any) -> np.ndarray:
    """Return a tensor or variable as a numpy array."""
    return tensor.numpy() if STACK == "tfc" else np.asarray(keras.ops.convert_to_numpy(tensor))


def variables(layer: Any, prefix: str = "") -> dict[str, Any]:
    """Return the variables of a layer or functional model by stable path, e.g. `E1_conv_a/kernel`, layer by layer."""
    inner = getattr(layer, "layers", None)
    if inner is not None:
        return {key: v for sub in inner for key, v in variables(sub, f"{prefix}{sub.name}/").items()}
    return {f"{prefix}{v.name.split('/')[-1].split(':')[0]}": v for v in layer.weights}


def assign(variable: Any, value: np.ndarray) -> None:
    """Set a variable to an array of the same shape."""
    variable.assign(value)


def optimizer_variables(optimizer: Any) -> list:
    """Return an optimizer's variables (step count first) in a stable order."""
    return list(optimizer.variables)


def versions() -> dict[str, str]:
    """Return the versions of the packages that compute, for provenance."""
    packages = ["keras", "numpy", BACKEND] + (["tensorflow-compression"] if STACK == "tfc" else [])
    names = {"tensorflow": ("tensorflow", "tensorflow-cpu")}
    return {package: _version(names.get(package, (package,))) for package in packages}


def _version(distributions: Sequence[str]) -> str:
    for name in distributions:
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return "unknown"
