"""Both stacks behave alike: GDN and its gradients, bounds, noise, names of weights, sampling; and a stack is chosen."""

import gc
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from narrow import gradients, narrow, needs_bfloat16

import papers
from common import backend, stack
from common.errors import RelicError
from common.layers import Decimate, DepthToSpace
from papers.cheng_resnet.model import Model

pytestmark = pytest.mark.stack

ROOT = Path(__file__).resolve().parents[1]
PEDESTAL = 2.0**-36


def gdn_inputs(seed=0):
    """Return x, the upstream gradient, and reparametrised beta and gamma, some of them below their bounds."""
    rng = np.random.RandomState(seed)
    x, upstream = rng.normal(0, 2, (2, 1, 2, 3, 3)).astype(np.float32)
    beta = np.array([1.2, 0.7, -0.3], np.float32)
    gamma = rng.uniform(-0.2, 0.6, (3, 3)).astype(np.float32)
    return x, upstream, beta, gamma


def gdn_with(inverse, beta, gamma):
    layer = backend.GDN(inverse=inverse, name="gdn")
    layer.build((None, None, None, len(beta)))
    variables = backend.variables(layer)
    backend.assign(variables["reparam_beta"], beta.astype(np.float32))
    backend.assign(variables["reparam_gamma"], gamma.astype(np.float32))
    return layer


# --- GDN -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("inverse", [False, True])
def test_gdn_divides_by_the_root_of_beta_plus_gamma_times_the_squares_and_igdn_multiplies(inverse):
    x = gdn_inputs()[0].astype(np.float64)
    beta, gamma = np.array([1.5, 0.2, 3.0]), np.array([[0.1, 0.5, 0.0], [0.3, 0.02, 0.7], [0.9, 0.0, 0.4]])
    layer = gdn_with(inverse, np.sqrt(beta + PEDESTAL), np.sqrt(gamma + PEDESTAL))
    norm = np.sqrt(beta + np.square(x) @ gamma)
    expected = x * norm if inverse else x / norm
    np.testing.assert_allclose(backend.to_numpy(layer(x.astype(np.float32))), expected, rtol=1e-5)


def test_gdn_starts_with_beta_1_and_gamma_a_tenth_of_the_identity():
    layer = backend.GDN(name="gdn")
    layer.build((None, None, None, 5))
    values = {name: backend.to_numpy(value) for name, value in backend.variables(layer).items()}
    assert set(values) == {"reparam_beta", "reparam_gamma"}
    np.testing.assert_allclose(np.square(values["reparam_beta"]) - PEDESTAL, np.ones(5), rtol=1e-6)
    np.testing.assert_allclose(np.square(values["reparam_gamma"]) - PEDESTAL, 0.1 * np.eye(5), rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("inverse", [False, True])
def test_outputs_and_gradients_are_those_of_tensorflow_compression(inverse, golden, request):
    """The golden file is written on stack tfc only, where the layer is `tfc.GDN`. Tolerance 2e-5 of the largest."""
    x, upstream, beta, gamma = gdn_inputs()
    layer = gdn_with(inverse, beta, gamma)
    y, x_gradient, others = gradients(layer, x, upstream, layer)
    measured = {"y": y, "x": x_gradient, **others}
    if backend.STACK == "tfc":
        assert type(layer).__module__.startswith("tensorflow_compression")
    elif request.config.getoption("--update-golden"):
        pytest.skip("golden values of GDN are written on stack tfc")
    expected = golden(f"gdn_{'inverse' if inverse else 'forward'}", {k: v.tolist() for k, v in measured.items()})
    assert set(measured) == set(expected) == {"y", "x", "reparam_beta", "reparam_gamma"}
    for name, values in expected.items():
        tolerance = 2e-5 * np.abs(values).max()
        np.testing.assert_allclose(measured[name], values, rtol=0, atol=tolerance, err_msg=name)


def test_below_its_bound_a_value_takes_only_the_gradient_that_raises_it():
    x = np.array([-1.0, -1.0, 0.25, 0.25, 2.0, 2.0], np.float32)
    upstream = np.array([-3.0, 3.0, -3.0, 3.0, -3.0, 3.0], np.float32)
    y, gradient, _ = gradients(lambda x: backend.lower_bound(x, 0.25), x, upstream)
    np.testing.assert_array_equal(y, [0.25, 0.25, 0.25, 0.25, 2, 2])
    np.testing.assert_array_equal(gradient, [-3, 0, -3, 3, -3, 3])


# --- noise ---------------------------------------------------------------------------------------------------------


def noise(seed, step, shape=(4, 25, 25, 40)):
    return backend.to_numpy(backend.uniform_noise(shape, seed, step))


def test_noise_depends_on_seed_and_step_alone():
    backend.set_seed(1)
    first = noise(5, 7)
    backend.set_seed(2)
    np.testing.assert_array_equal(noise(5, 7), first)
    traced = backend.compiled(lambda step: backend.uniform_noise((4, 25, 25, 40), 5, step))
    np.testing.assert_array_equal(traced(np.int32(7)), first)


def test_other_seeds_and_steps_give_independent_noise():
    """Correlations of 100,000 pairs have a standard deviation of 0.003."""
    first = noise(5, 7).ravel()
    for other in (noise(5, 8), noise(4, 7), noise(7, 5), noise(6, 7)):
        assert abs(np.corrcoef(first, other.ravel())[0, 1]) < 0.02


def test_noise_is_uniform_between_minus_and_plus_one_half():
    values = noise(0, 0)
    assert values.dtype == np.float32 and values.shape == (4, 25, 25, 40)
    assert -0.5 <= values.min() < -0.499 and 0.499 < values.max() <= 0.5
    assert abs(values.mean()) < 0.005 and abs(values.var() - 1 / 12) < 0.002
    np.testing.assert_allclose(np.histogram(values, 10, (-0.5, 0.5))[0], values.size / 10, rtol=0.06)


# --- small differences between the stacks --------------------------------------------------------------------------


def test_weights_have_the_same_names_shapes_and_order_on_every_stack(golden):
    transforms = Model(narrow("resnet4_subpixel")).transforms
    variables = {f"{part}/{k}": v for part, layer in transforms.items() for k, v in backend.variables(layer).items()}
    measured = [[name, [int(side) for side in value.shape]] for name, value in variables.items()]
    assert measured == golden("layer_names", measured)
    assert len(measured) == sum(len(layer.weights) for layer in transforms.values())


def test_the_learning_rate_drops_where_its_shares_of_the_steps_begin():
    rate = backend.learning_rate(0.5, [(0.6, 0.3), (0.85, 0.1)], 100)
    values = [float(backend.to_numpy(backend.ops.convert_to_tensor(rate(s)))) for s in (0, 60, 61, 85, 86, 1000)]
    np.testing.assert_allclose(values, [0.5, 0.5, 0.15, 0.15, 0.05, 0.05], rtol=1e-6)
    assert backend.learning_rate(0.5, [], 100) == 0.5


@needs_bfloat16
def test_mixed_precision_computes_in_bfloat16_and_keeps_float32_variables():
    backend.set_precision("bfloat16")
    try:
        layer = backend.keras.layers.Dense(1, name="dense")
    finally:
        backend.set_precision("float32")
    output = layer(np.full((1, 1), 1.0, np.float32))
    assert "bfloat16" in str(output.dtype) and backend.to_numpy(layer.weights[0]).dtype == np.float32


FLAGS = {"nothing said": "", "AVX2": "flags : avx2 fma", "AVX-512": "flags : avx512f avx512bw"}
FLAGS["bfloat16"] = FLAGS["AVX-512"] + " avx512_bf16"


@pytest.mark.parametrize("cpu, flags", FLAGS.items())
def test_bfloat16_is_chosen_where_the_cpu_multiplies_in_it_and_refused_where_it_cannot_be_trained(
    cpu, flags, monkeypatch
):
    monkeypatch.setattr(backend, "device", lambda: "CPU")
    monkeypatch.setattr(backend, "cpu_flags", lambda: flags)
    chosen = cpu == "bfloat16" and backend.BACKEND == "tensorflow"
    assert backend.fast_precision() == ("bfloat16" if chosen else "float32")
    able = backend.STACK != "tfc" or cpu in ("AVX-512", "bfloat16")
    assert backend.has_bfloat16() == able
    if not able:
        with pytest.raises(RelicError, match="a CPU with AVX-512 .*: train in float32") as refusal:
            backend.set_precision("bfloat16")
        assert "\n" not in str(refusal.value)
        assert backend.keras.layers.Dense(1).compute_dtype == "float32"


def test_a_gpu_trains_in_bfloat16(monkeypatch):
    monkeypatch.setattr(backend, "device", lambda: "NVIDIA H200")
    monkeypatch.setattr(backend, "cpu_flags", lambda: "")
    assert backend.has_bfloat16() and backend.fast_precision() == "bfloat16"


# --- layers --------------------------------------------------------------------------------------------------------


def test_depth_to_space_takes_each_block_of_2x2_from_four_groups_of_channels():
    x = np.arange(2 * 3 * 4 * 20, dtype=np.float32).reshape(2, 3, 4, 20)
    expected = x.reshape(2, 3, 4, 2, 2, 5).transpose(0, 1, 3, 2, 4, 5).reshape(2, 6, 8, 5)
    layer = DepthToSpace(name="d2s")
    np.testing.assert_array_equal(backend.to_numpy(layer(x)), expected)
    assert expected[1, 3, 6, 2] == x[1, 1, 3, (2 * 1 + 0) * 5 + 2]  # row 3 = 2 * 1 + 1, column 6 = 2 * 3 + 0
    assert tuple(layer.compute_output_shape((2, 3, 4, 20))) == expected.shape
    assert tuple(layer.compute_output_shape((None, None, None, 20))) == (None, None, None, 5)


@pytest.mark.parametrize("height, width", [(8, 6), (7, 5), (1, 2)])
def test_decimating_before_a_1x1_convolution_equals_its_stride_of_2(height, width):
    x = np.random.RandomState(0).normal(size=(2, height, width, 3)).astype(np.float32)
    strided = backend.keras.layers.Conv2D(4, 1, strides=2, padding="same", name="strided")
    plain = backend.keras.layers.Conv2D(4, 1, padding="same", name="plain")
    decimate = Decimate(name="decimate")
    expected, decimated = backend.to_numpy(strided(x)), decimate(x)
    plain.build(decimated.shape)
    plain.set_weights(strided.get_weights())
    np.testing.assert_allclose(backend.to_numpy(plain(decimated)), expected, rtol=1e-5, atol=1e-6)
    assert tuple(decimate.compute_output_shape(x.shape)) == tuple(decimated.shape)


# --- choice of the stack -------------------------------------------------------------------------------------------


def python(code, **settings):
    """Run Python code in the project, without this process's settings of the frameworks; None unsets one."""
    frameworks = ("TF_", "JAX_", "GRPC_", "KERAS_BACKEND", "RELIC_STACK")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(frameworks)}
    environment.update({"PYTHONPATH": str(ROOT), **{key: value for key, value in settings.items() if value}})
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=300)


def assert_one_sentence(result, *words):
    lines = result.stderr.splitlines()
    assert result.returncode == 1 and result.stdout == "" and len(lines) == 1, result.stderr
    assert lines[0].startswith("error: ") and all(word in lines[0] for word in words), lines[0]


IMPORT = "from common.errors import run_main; run_main(lambda: __import__('common.backend'))"


def test_importing_the_backend_prints_nothing():
    result = python("import common.backend", KERAS_BACKEND=os.environ.get("KERAS_BACKEND"))
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_an_unknown_stack_is_refused_with_one_sentence():
    assert_one_sentence(python(IMPORT, RELIC_STACK="nonsense"), "RELIC_STACK='nonsense'", "tfc or keras3")


@pytest.mark.parametrize("name", ["no_such_package", "no.such.package", "numpy", "json"])
def test_a_keras_backend_that_cannot_serve_is_refused_with_one_sentence(name):
    result = python(IMPORT, RELIC_STACK="keras3", KERAS_BACKEND=name)
    assert_one_sentence(result, f"KERAS_BACKEND={name}")


def test_the_stack_that_is_not_installed_is_refused_with_the_command_that_installs_it():
    other, command = ("keras3", "make setup-keras3") if backend.STACK == "tfc" else ("tfc", "make setup")
    assert_one_sentence(python(IMPORT, RELIC_STACK=other), command)


@pytest.mark.parametrize(
    "installed, stack_wanted, backend_wanted, expected",
    [
        ({"tensorflow_compression", "keras", "tensorflow"}, None, None, ("tfc", None)),
        ({"tensorflow_compression", "keras", "jax"}, "keras3", None, ("keras3", "jax")),
        ({"keras", "jax", "tensorflow", "torch"}, None, None, ("keras3", "tensorflow")),
        ({"keras", "jax", "tensorflow", "torch"}, None, "jax", ("keras3", "jax")),
        ({"keras", "torch"}, None, None, ("keras3", "torch")),
        ({"keras"}, None, None, "needs tensorflow, jax or torch"),
        ({"keras", "jax"}, "tfc", None, "stack tfc needs tensorflow-compression"),
        ({"jax"}, None, None, "no Keras is installed"),
        ({"keras", "jax"}, None, "torch", "torch is not installed"),
    ],
)
def test_the_stack_is_what_is_wanted_else_what_is_installed(
    installed, stack_wanted, backend_wanted, expected, monkeypatch
):
    monkeypatch.setattr(stack, "installed", lambda name: name in installed)
    for name, value in (("RELIC_STACK", stack_wanted), ("KERAS_BACKEND", backend_wanted)):
        monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name, raising=False)

    def choose():
        chosen = stack.choose_stack()
        return chosen, stack.choose_keras3_backend() if chosen == "keras3" else None

    if isinstance(expected, str):
        with pytest.raises(RelicError, match=expected):
            choose()
    else:
        assert choose() == expected


KERAS_JSON = {"floatx": "float16", "epsilon": 0.1, "image_data_format": "channels_first", "max_epochs": 1}


def test_the_users_settings_of_keras_change_nothing(tmp_path):
    (tmp_path / "keras.json").write_text(json.dumps(KERAS_JSON))
    code = "from common.backend import keras; import numpy as np\n"
    code += "print(keras.layers.Conv2D(1, 1)(np.ones((1, 2, 3, 4), 'float32')).shape, keras.layers.Dense(1).dtype,"
    code += " keras.backend.epsilon())"
    result = python(code, KERAS_HOME=str(tmp_path), KERAS_BACKEND=os.environ.get("KERAS_BACKEND"))
    assert result.stdout == "(1, 2, 3, 1) float32 1e-07\n", result.stderr


def test_without_a_home_folder_nothing_is_made_in_the_working_directory(tmp_path):
    code = f"import os, pwd; os.chdir({str(tmp_path)!r}); del os.environ['HOME']; pwd.getpwuid = {{}}.__getitem__\n"
    result = python(code + "import common.backend", KERAS_BACKEND=os.environ.get("KERAS_BACKEND"))
    assert (result.returncode, result.stderr, list(tmp_path.iterdir())) == (0, "", [])


def test_a_process_that_was_forked_after_the_start_of_the_backend_is_refused_with_one_sentence(monkeypatch):
    doubled = backend.compiled(lambda x: 2.0 * x)
    monkeypatch.setattr(os, "getpid", lambda: 1)
    for use in (
        lambda: doubled(np.ones(3, np.float32)),
        lambda: backend.set_seed(0),
        lambda: backend.compile_model(None, 1e-3, 0.0),
        lambda: papers.load("cheng_resnet/resnet4"),
    ):
        with pytest.raises(RelicError, match="was forked from one where .* runs.*spawn"):
            use()


def test_what_native_code_prints_while_starting_is_shown_only_where_it_fails(capfd):
    with stack.QuietStderr():
        os.write(2, b"chatter\n")
    assert capfd.readouterr().err == ""
    with pytest.raises(ImportError), stack.QuietStderr():
        os.write(2, b"the reason\n")
        raise ImportError
    assert capfd.readouterr().err == "the reason\n"


def test_a_compiled_function_is_kept_for_the_last_shapes_alone(monkeypatch):
    compiled_for = []

    def doubled(x):
        compiled_for.append(x.shape[0])
        return 2.0 * x

    apply = backend.compiled(doubled)
    for size in [*range(1, backend.KEPT_SHAPES + 2), backend.KEPT_SHAPES, 1]:
        np.testing.assert_array_equal(apply(np.ones(size, np.float32)), np.full(size, 2.0, np.float32))
    if backend.BACKEND != "torch":  # which compiles nothing
        assert compiled_for == [*range(1, backend.KEPT_SHAPES + 2), 1]


@pytest.mark.skipif(backend.BACKEND != "tensorflow", reason="counts TensorFlow's graphs")
def test_a_graph_that_is_no_longer_kept_is_freed():
    def graphs():
        gc.collect()
        return sum(type(thing).__name__ == "FuncGraph" for thing in gc.get_objects())

    apply = backend.compiled(lambda x: 2.0 * x)
    apply(np.ones(1, np.float32))
    before = graphs()
    for size in range(2, 3 * backend.KEPT_SHAPES):
        apply(np.ones(size, np.float32))
    assert graphs() <= before + backend.KEPT_SHAPES


def test_a_compiled_function_sees_the_weights_that_its_networks_have_when_it_is_called():
    layer = gdn_with(False, np.ones(3), np.zeros((3, 3)))
    doubled = backend.compiled(lambda x: 2.0 * layer(x), [layer])
    x = gdn_inputs()[0]
    before = doubled(x)
    backend.assign(backend.variables(layer)["reparam_beta"], np.full(3, 2.0, np.float32))
    np.testing.assert_allclose(doubled(x), before / 2.0, rtol=1e-5)
