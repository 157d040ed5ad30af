"""What a short training of Cheng's networks changes: its loss, rate, average and last steps; how steps are fed."""

import time

import numpy as np
import pytest
from narrow import ToyConfig, gradients, narrow, picture, toy, toy_batch

from common import backend, metrics
from common.backend import keras, ops
from common.timing import Stopwatch
from common.training import checkpoints, loop, presets, runs
from common.training.averages import WeightAverage
from common.training.feed import Feed
from papers.cheng_resnet import config as config_module
from papers.cheng_resnet.model import Model

pytestmark = pytest.mark.stack


@pytest.fixture(autouse=True)
def results(tmp_path, monkeypatch):
    """Keep results in a folder of their own."""
    monkeypatch.setenv("RELIC_RESULTS", str(tmp_path))


# --- the loss ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("recipe, early, late", [("drops", (5, 200), (5, 0)), ("squared_error", (0, 200), (5, 30))])
def test_a_recipe_weighs_ms_ssim_and_the_squared_error(recipe, early, late):
    config = narrow("resnet3", steps=90, patch_size=192, **config_module.RECIPES[recipe])
    model = Model(config)
    x = picture(192, 192)[None].astype(np.float32) / 255
    x_hat = np.clip(x + 0.1 * np.sin(np.arange(192))[None, None, :, None], 0, 1).astype(np.float32)
    dissimilarity = 1 - float(np.mean(backend.to_numpy(metrics.ms_ssim_tensor(x, x_hat, max_val=1.0))))
    squared_error = float(np.mean((x - x_hat) ** 2))
    for step, (of_ms_ssim, of_squared_error) in ((0, early), (60, late)):
        y_pred = {"x": x, "x_hat": x_hat, "step": np.int32(step), "rate_estimate": ops.convert_to_tensor(0.25)}
        loss = float(backend.to_numpy(model.compute_loss(y_pred=y_pred)))
        wanted = of_ms_ssim * dissimilarity + of_squared_error * squared_error + 0.25
        assert loss == pytest.approx(wanted, rel=1e-4), step


def test_in_its_last_steps_a_rounded_recipe_teaches_the_main_decoder_alone():
    config = narrow("hyperprior_3", steps=10, rounded_share=0.1)
    model = Model(config)
    x = picture(64, 64)[None]
    latents = {}
    model.synthesis_transform = lambda y: latents.setdefault("y", y) * 1.0
    for step in (8, 9):
        latents.clear()
        outputs = model({"x": x, "step": np.array([step], np.int32)})
        y, y_hat = backend.to_numpy(model.analysis_transform(x / np.float32(255))), backend.to_numpy(latents["y"])
        mu = np.split(backend.to_numpy(model.hyper_synthesis_transform(z_tilde(model, y, step))), 2, axis=-1)[0]
        assert np.allclose(y_hat, np.rint(y - mu) + mu, atol=1e-5) == (step == 9)
        assert np.isfinite(float(backend.to_numpy(outputs["rate_estimate"])))

    def loss(y, step):
        noisy, bits = model._rounded_at_the_end(y, 2.0 * y, ops.zeros(()), ops.sum(y), step)
        return ops.reshape(ops.sum(noisy) + bits, (1,))

    y = np.ones((1, 2, 2, 3), np.float32)
    for step, slope in ((8, 3.0), (9, 0.0)):
        _, gradient, _ = gradients(lambda values, step=step: loss(values, step), y, np.ones(1, np.float32))
        assert gradient == pytest.approx(slope)


def z_tilde(model, y, step):
    z = backend.to_numpy(model.hyper_analysis_transform(y))
    return z + backend.to_numpy(backend.uniform_noise(z.shape, 2 * model.seed + 1, np.int32(step)))


# --- the rate and the average --------------------------------------------------------------------------------------


def test_a_rate_that_decays_is_a_straight_line_to_zero():
    rate = backend.learning_rate(0.5, (), 100, decays=True)
    assert [float(backend.to_numpy(ops.convert_to_tensor(rate(step)))) for step in (0, 25, 50, 100)] == pytest.approx(
        [0.5, 0.375, 0.25, 0.0]
    )


class Averaged(ToyConfig):
    average_decay = 0.9
    batch_size = 4
    learning_rate_drops = ()
    clip_norm = 0.0


def test_a_training_with_an_average_returns_it_and_keeps_it_when_it_is_resumed(monkeypatch):
    monkeypatch.setattr(loop, "CHUNK", 2)
    monkeypatch.setattr(presets, "batches", lambda config, patches: toy_batch)
    patches = type("Patches", (), {"digests": {}})

    def fit(name, **options):
        return presets.fit(toy(Averaged()), Averaged(), patches, runs.Run("paper", name, "smoke", **options))

    whole, _ = fit("whole")
    own = WeightAverage(0.9)
    loop.fit(toy(Averaged()), Averaged(), toy_batch, runs.Run("paper", "again", "smoke"), average=own)
    for name, array in checkpoints.model_arrays(whole).items():
        assert np.array_equal(array, own.arrays[name])
    assert fit("parts", minutes=1e-9) is None
    parts, _ = fit("parts", resume=True)
    last = toy(Averaged())
    checkpoints.load_checkpoint(runs.Run("paper", "parts", "smoke").checkpoint, last, Averaged(), WeightAverage(0.9))
    for name, array in checkpoints.model_arrays(parts).items():
        assert np.array_equal(array, own.arrays[name]) and not np.array_equal(
            array, checkpoints.model_arrays(last)[name]
        )


# --- feeding -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_chunk_takes_no_longer_than_its_steps():
    """TensorFlow's tuner let the end of every `fit` wait for 10 ms times a power of two; what a chunk begins with is
    small beside steps of 40 ms. Another program may delay one chunk, hardly two of four."""

    model = toy(ToyConfig(steps=1000))
    wait = keras.callbacks.LambdaCallback(on_train_batch_begin=lambda batch, logs: time.sleep(0.04))
    watch = Stopwatch()
    late = 0
    with Feed(toy_batch, 1000) as feed:
        for chunk in range(5):
            started = time.perf_counter()
            loop.fit_chunk(model, feed.take(20 * chunk, 20 * (chunk + 1)), 20 * chunk, [watch, wait])
            late += time.perf_counter() - started > 1.1 * watch.seconds and chunk > 0  # the first one compiles
    assert late < 2


def test_steps_are_fed_once_and_in_order():
    model, seen = toy(ToyConfig(steps=10)), []
    steps = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(batch))
    with Feed(toy_batch, 10) as feed:
        for first, last in ((0, 3), (3, 5)):
            row = loop.fit_chunk(model, feed.take(first, last), first, [steps])
            assert row["step"] == last
    assert seen == [0, 1, 2, 0, 1]
