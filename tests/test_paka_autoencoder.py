"""Paka and Khatter: Fig. 4's counts, the split, colours, quantiser, loss, training, and the codec."""

import dataclasses
import itertools
import math
from functools import cache

import cv2
import numpy as np
import pytest
from narrow import known_arrays, picture, run_steps_eagerly
from PIL import Image

from common import backend, data, metrics
from common.coding import container
from common.coding.container import ContainerError
from common.coding.range_coder import FrequencyTables
from common.errors import RelicError
from common.training import checkpoints, loop, runs, weights
from papers.paka_autoencoder import codec as codec_module
from papers.paka_autoencoder import config, pictures, quantiser, train
from papers.paka_autoencoder.codec import Codec
from papers.paka_autoencoder.model import Model
from papers.paka_autoencoder.quantiser import Quantiser

stack = pytest.mark.stack
LAMBDA = "bottleneck_lambda0_040"


def narrow(preset, **changes):
    """Return a preset's Config with few channels for two patches of 32x32 drawn pictures."""
    few = {"encoder_filters": 4, "decoder_filters": 6}
    settings = {name: (width,) * len(getattr(config.AUTOENCODER, name)) for name, width in few.items()}
    if preset.startswith("bottleneck"):
        settings = {name: (width,) * 4 for name, width in few.items()}
    settings.update(code_channels=5, patch_size=32, batch_size=2, steps=4, training_sets=("synthetic",))
    settings.update(training_pictures=(), validation_pictures=(), **changes)
    return dataclasses.replace(getattr(config, preset.upper()), **settings)


def known_model(preset):
    """Return a narrow network whose code spreads over some units and whose pictures are not grey."""
    model = Model(narrow(preset))
    checkpoints.set_model_arrays(model, known_arrays(model), "known")
    y = backend.to_numpy(model.analysis_transform(pictures.rgb_to_ycbcr(picture(128, 128))[None]))
    for transform, gain in ((model.analysis_transform, 4.0 / y.std()), (model.synthesis_transform, 2.0)):
        kernel = [v for k, v in backend.variables(transform).items() if k.endswith("/kernel")][-1]
        backend.assign(kernel, backend.to_numpy(kernel) * gain)
    checkpoints.set_model_arrays(model, weights.to_float16(checkpoints.model_arrays(model)), "known")
    return model


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """Return a function from a preset's name to the weights file of a narrow network."""
    folder = tmp_path_factory.mktemp("weights")

    @cache
    def stored(preset):
        model, path = known_model(preset), folder / f"{preset}.safetensors"
        tables = codec_module.integers(model, [picture(128, 128, seed=seed)[None] for seed in range(2)])
        weights.save(path, f"paka_autoencoder/{preset}", model.config, checkpoints.model_arrays(model), tables)
        return weights.load(path)

    return stored


@pytest.fixture(scope="module")
def codec_of(stored):
    """Return a function from a preset's name to the codec of these networks, compiled once."""
    return cache(lambda preset: Codec(stored(preset)))


# --- Fig. 4 --------------------------------------------------------------------------------------------------------

FIGURE_4 = {
    "conv2d_1": ((512, 768, 32), 896),
    "max_pooling2d_1": ((256, 384, 32), 0),
    "conv2d_2": ((256, 384, 64), 18496),
    "max_pooling2d_2": ((128, 192, 64), 0),
    "conv2d_3": ((128, 192, 128), 73856),
    "conv2d_4": ((128, 192, 128), 147584),
    "up_sampling2d_1": ((256, 384, 128), 0),
    "conv2d_5": ((256, 384, 64), 73792),
    "up_sampling2d_2": ((512, 768, 64), 0),
    "conv2d_6": ((512, 768, 3), 1731),
}


def outputs_of(transform, shape):
    """Return (output shape, parameters) of each layer of a functional chain for one input shape."""
    found = {}
    for layer in transform.layers:
        if type(layer).__name__ != "InputLayer":
            shape = tuple(layer.compute_output_shape(shape))
            found[layer.name] = (shape[1:], layer.count_params())
    return found, shape


@stack
def test_the_network_is_figure_4_layer_by_layer_with_316355_parameters():
    analysis, code = outputs_of(codec_model().analysis_transform, (1, 512, 768, 3))
    synthesis, output = outputs_of(codec_model().synthesis_transform, code)
    layers = {name: found for name, found in {**analysis, **synthesis}.items() if name in FIGURE_4}
    assert list(layers) == list(FIGURE_4) and layers == FIGURE_4
    assert sum(transform.count_params() for transform in codec_model().transforms.values()) == 316_355
    assert output == (1, 512, 768, 3) and math.prod(code) * 3 == 8 * math.prod(output)


@cache
def codec_model():
    return Model(config.AUTOENCODER)


@stack
def test_the_presets_differ_in_their_last_activation_and_in_their_rate():
    for preset, activation in (("autoencoder", "sigmoid"), ("autoencoder_linear", "linear")):
        assert Model(narrow(preset)).synthesis_transform.layers[-1].activation.__name__ == activation
    for preset, fewer in (("bottleneck_lambda0_004", 16), (LAMBDA, 6)):
        model = Model(getattr(config, preset.upper()))
        _, code = outputs_of(model.analysis_transform, (1, 512, 768, 3))
        assert code[:3] == (1, 32, 48) and fewer * math.prod(code) == 512 * 768 * 3
        assert model.prior is not None and codec_model().prior is None
    assert len({getattr(config, name.upper()).lmbda for name in config.BOTTLENECKS}) == len(config.BOTTLENECKS) == 4


# --- pictures ------------------------------------------------------------------------------------------------------


def test_seven_pictures_test_three_validate_and_fourteen_train():
    parts = (config.TEST_PICTURES, config.VALIDATION_PICTURES, config.TRAINING_PICTURES)
    assert [len(part) for part in parts] == [7, 3, 14]
    assert sorted(sum(parts, ())) == [f"kodim{i:02d}" for i in range(1, 25)]
    assert {"kodim09", "kodim12", "kodim14"} <= set(config.TEST_PICTURES)


def test_the_split_is_that_of_scikit_learn():
    """Typed from the output of train_test_split(names, test_size=n, random_state=0), scikit-learn 1.9."""
    assert config.TEST_PICTURES == ("kodim02", "kodim09", "kodim10", "kodim12", "kodim14", "kodim17", "kodim24")
    assert config.VALIDATION_PICTURES == ("kodim03", "kodim08", "kodim13")


def test_ycbcr_is_that_of_jpeg_and_comes_back():
    image = np.random.default_rng(0).integers(0, 256, (50, 60, 3), np.uint8)
    ours = pictures.rgb_to_ycbcr(image)
    assert ours.dtype == np.float32 and ours.min() > -0.003 and ours.max() < 1.003
    opencv = cv2.cvtColor(image, cv2.COLOR_RGB2YCrCb)[..., [0, 2, 1]]
    assert np.abs(np.rint(ours * 255) - opencv).max() <= 1
    assert np.abs(np.rint(ours * 255) - np.asarray(Image.fromarray(image).convert("YCbCr"))).max() <= 1
    np.testing.assert_array_equal(pictures.ycbcr_to_rgb(ours), image)
    primaries = np.array([[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 0, 255]])
    expected = np.array([[0, 128, 128], [255, 128, 128], [76.245, 84.972, 255.5], [29.07, 255.5, 107.265]]) / 255
    np.testing.assert_allclose(pictures.rgb_to_ycbcr(primaries), expected, atol=1e-5)
    np.testing.assert_array_equal(pictures.ycbcr_to_rgb(np.array([[2.0, 0.5, 0.5], [-1.0, 0.5, 0.5]]))[:, 0], [255, 0])


def test_landscapes_stay_and_portraits_are_squashed():
    landscape, portrait = picture(512, 768), picture(768, 512)
    assert pictures.resized(landscape) is landscape
    squashed = pictures.resized(portrait)
    assert squashed.shape == (512, 768, 3) and squashed.dtype == np.uint8
    # Top stays top: a turned picture would have left become bottom.
    means = [half.mean() for half in np.array_split(portrait, 2)]
    np.testing.assert_allclose([half.mean() for half in np.array_split(squashed, 2)], means, atol=0.5)
    assert pictures.resized(picture(768, 512, channels=1)).shape == (512, 768, 3)


# --- training pictures ---------------------------------------------------------------------------------------------


def kodak_of(folder, names):
    for name in names:
        shape = (64, 48) if name == "kodim04" else (48, 64)
        data.write_png(folder / "kodak" / f"{name}.png", picture(*shape, seed=int(name[-2:])))


def test_only_the_named_pictures_of_a_test_set_are_trained_on(tmp_path, monkeypatch):
    monkeypatch.setenv("RELIC_DATA", str(tmp_path))
    kodak_of(tmp_path, config.KODAK)
    patches = train.patches_of(dataclasses.replace(config.AUTOENCODER, patch_size=256), 0, augment=False)
    assert len(patches.pictures) == 14 and {image.shape for image in patches.pictures} == {(512, 768, 3)}
    for image, name in zip(patches.pictures, config.TRAINING_PICTURES, strict=True):
        shape = (64, 48) if name == "kodim04" else (48, 64)
        np.testing.assert_array_equal(image, pictures.resized(picture(*shape, seed=int(name[-2:]))))
    with pytest.raises(RelicError, match="test set"):
        data.TrainingPatches(("kodak",), 16, 0, False)


def test_a_missing_training_picture_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("RELIC_DATA", str(tmp_path))
    kodak_of(tmp_path, config.KODAK[:5])
    with pytest.raises(RelicError, match="kodak lacks kodim06: .*fetch kodak"):
        train.patches_of(config.AUTOENCODER, 0, augment=False)


# --- the quantiser -------------------------------------------------------------------------------------------------


def codes(seed=0, channels=3):
    """Return codes like a ReLU's: many zeros, a tail, channels of different size."""
    rng = np.random.default_rng(seed)
    values = np.maximum(rng.laplace(-0.3, 1.0, (40, 50, channels)), 0) * np.array([0.1, 1.0, 20.0])[:channels]
    return values.astype(np.float32)


def test_integers_and_values_of_a_quantiser_follow_its_step():
    tables = quantiser.fit([codes()])[2].tables
    two_bits = Quantiser(2, np.array([3 * 4096, 6 * 4096, 3], np.int32), tables)
    np.testing.assert_allclose(two_bits.step, [1.0, 2.0, 1 / 4096])
    y = np.array([[0.4, 0.9, 0.0], [0.6, 5.1, 1.0], [2.4, 100.0, 2e-4]])
    np.testing.assert_array_equal(two_bits.symbols(y), [[0, 0, 0], [1, 3, 3], [2, 3, 1]])
    np.testing.assert_allclose(two_bits.values(two_bits.symbols(y))[1], [1.0, 6.0, 3 / 4096])


@pytest.mark.parametrize("largest", [[1], [1, 0], [1, -5], [[1, 2]], None])
def test_largest_values_that_no_training_writes_are_refused_when_a_quantiser_is_loaded(largest):
    tables = FrequencyTables.from_pmfs([np.ones(4), np.ones(4)], [0.0, 0.0], [0, 0])
    arrays = Quantiser(2, np.array([3, 4], np.int32), tables).to_arrays()
    assert len(Quantiser.from_arrays(2, arrays, 2).tables) == 2
    wrong = {**arrays, "largest": np.array(largest)} if largest else {n: a for n, a in arrays.items() if n != "largest"}
    with pytest.raises(RelicError, match="the largest values of 2 bits are damaged"):
        Quantiser.from_arrays(2, wrong, 2)


def test_more_bits_err_less_and_eight_err_little():
    fitted = quantiser.fit([codes(0), codes(1)])
    assert list(fitted) == list(range(1, 9)) and all(f.bits == bits for bits, f in fitted.items())
    y = codes(0)
    errors = np.array([np.square(y - f.values(f.symbols(y))).mean(axis=(0, 1)) for f in fitted.values()])
    assert (errors[1:] < errors[:-1]).all()
    assert (errors[7] < 1e-4 * np.square(y).mean(axis=(0, 1))).all()


def test_the_largest_value_is_the_candidate_with_the_least_error():
    y = codes()
    for bits in (1, 3):
        fitted = quantiser.fit([y])[bits]
        for channel in range(3):
            values = y[..., channel].astype(np.float64)
            candidates = quantiser.SHARES * values.max()
            errors = []
            for largest in candidates:
                step = largest / (2**bits - 1)
                errors.append(np.square(values - np.clip(np.rint(values / step), 0, 2**bits - 1) * step).sum())
            chosen = np.abs(candidates - fitted.largest[channel] / 4096).argmin()
            assert errors[chosen] <= 1.001 * min(errors)
    assert (quantiser.fit([y])[1].largest < y.max(axis=(0, 1)) * 4096 * 0.9).all()


def test_frequencies_are_those_of_the_integers_and_a_dead_channel_costs_nothing():
    y = np.concatenate([codes(channels=2), np.zeros((40, 50, 1), np.float32)], axis=-1)
    fitted = quantiser.fit([y])[3]
    counts = np.bincount(fitted.symbols(y)[..., 1].ravel(), minlength=8) + 0.5
    shares = fitted.tables.frequencies[1, :8] / 2**16
    np.testing.assert_allclose(shares, counts / counts.sum(), atol=1e-4)
    assert fitted.tables.frequencies[2, 0] > 0.99 * 2**16 and not fitted.symbols(y)[..., 2].any()


def test_huffman_lengths_are_a_complete_code_within_one_bit_of_the_entropy():
    tables = quantiser.fit([codes()])[4].tables
    lengths = codec_module.huffman_lengths(tables, 16)
    np.testing.assert_allclose((2.0**-lengths).sum(axis=1), 1.0)
    shares = tables.frequencies[:, :16] / tables.frequencies[:, :16].sum(axis=1, keepdims=True)
    entropy = -(shares * np.log2(shares)).sum(axis=1)
    average = (shares * lengths).sum(axis=1)
    assert (entropy <= average + 1e-9).all() and (average < entropy + 1).all() and (lengths >= 1).all()
    for share, length in zip(shares, lengths, strict=True):
        assert not ((share[:, None] > share) & (length[:, None] > length)).any()


# --- loss and training ---------------------------------------------------------------------------------------------


def fit_one_step(preset, **changes):
    settings = narrow(preset, **changes)
    model = train.build(settings, 0, "float32")
    model.run_eagerly = backend.BACKEND == "tensorflow"  # where it takes less time than tracing
    before = checkpoints.model_arrays(model)
    x = np.stack([picture(32, 32, seed=seed) for seed in range(2)])
    history = model.fit({"x": x, "step": np.zeros(2, np.int32)}, batch_size=2, verbose=0).history
    return model, x, before, {name: values[-1] for name, values in history.items()}


@stack
def test_the_autoencoders_loss_is_the_squared_error_of_ycbcr_and_every_weight_moves():
    model, x, before, reported = fit_one_step("autoencoder")
    after = checkpoints.model_arrays(model)
    assert reported["loss"] == reported["distortion"] and reported["rate_estimate"] == 0.0
    checkpoints.set_model_arrays(model, before, "before")
    outputs = model({"x": x, "step": np.zeros(2, np.int32)})
    ycbcr = pictures.rgb_to_ycbcr(x)
    np.testing.assert_allclose(backend.to_numpy(outputs["x"]), ycbcr, atol=1e-5)
    expected = np.square(ycbcr - backend.to_numpy(outputs["x_hat"])).mean()
    assert reported["loss"] == pytest.approx(expected, rel=1e-4)
    for name, start in before.items():
        assert np.isfinite(after[name]).all()
        assert np.mean(after[name] != start) > 0.5, name  # a ReLU that is off everywhere keeps its weights


@stack
def test_a_bottlenecks_loss_weighs_the_squared_error_on_the_0_255_scale_against_the_rate():
    model, _, before, reported = fit_one_step(LAMBDA, clip_norm=0.0)
    expected = 0.04 * 255**2 * reported["distortion"] + reported["rate_estimate"]
    assert reported["loss"] == pytest.approx(expected, rel=1e-5) and reported["rate_estimate"] > 0
    after = checkpoints.model_arrays(model)
    moved = [name for name in before if not np.array_equal(before[name], after[name])]
    assert set(before) - set(moved) == {"prior/quantiles"}


@stack
@pytest.mark.parametrize("preset, noisy", [("autoencoder", False), (LAMBDA, True)])
def test_only_a_bottleneck_is_trained_with_noise(preset, noisy):
    model, x = Model(narrow(preset)), np.stack([picture(32, 32)] * 2)
    outputs = [backend.to_numpy(model({"x": x, "step": np.full(2, step, np.int32)})["x_hat"]) for step in (0, 1, 0)]
    assert np.array_equal(outputs[0], outputs[2]) and np.array_equal(outputs[0], outputs[1]) != noisy


@pytest.mark.slow
@stack
def test_a_stopped_training_goes_on_to_the_same_weights(tmp_path, monkeypatch):
    run_steps_eagerly(monkeypatch)
    monkeypatch.setattr(loop, "CHUNK", 2)
    settings = narrow(LAMBDA)
    finished = []
    for folder, limits in (("whole", [None]), ("parts", [1e-9, None])):
        monkeypatch.setenv("RELIC_RESULTS", str(tmp_path / folder))
        for i, minutes in enumerate(limits):
            run = runs.Run("paka_autoencoder", LAMBDA, "smoke", 0, minutes=minutes, resume=i > 0)
            trained = train.train(settings, run)
            assert (trained is None) == (minutes is not None)
        finished.append(checkpoints.model_arrays(trained[0]))
    for name, value in finished[0].items():
        np.testing.assert_array_equal(value, finished[1][name])


def test_the_validation_loss_is_the_squared_error_of_whole_pictures(tmp_path, monkeypatch):
    monkeypatch.setenv("RELIC_DATA", str(tmp_path))
    kodak_of(tmp_path, config.VALIDATION_PICTURES)
    settings = dataclasses.replace(
        narrow("autoencoder"), training_sets=("kodak",), validation_pictures=config.VALIDATION_PICTURES
    )
    model = Model(settings)
    errors = []
    for name in config.VALIDATION_PICTURES:
        x = pictures.rgb_to_ycbcr(pictures.resized(picture(48, 64, seed=int(name[-2:]))))[None]
        x_hat = backend.to_numpy(model.synthesis_transform(model.analysis_transform(x)))
        errors.append(np.square(x - x_hat).mean())
    assert train.validation(settings, model)()["validation_loss"] == pytest.approx(np.mean(errors), rel=1e-4)
    assert train.validation(narrow("autoencoder"), model)() == {}


# --- the codec -----------------------------------------------------------------------------------------------------


@stack
def test_eight_bits_give_what_the_network_gives_and_fewer_bits_smaller_files(codec_of):
    image = picture(100, 130)
    codecs = [codec_of("autoencoder").with_settings(bits=bits) for bits in range(1, 9)]
    files = [codec.compress(image) for codec in codecs]
    assert all(len(a) < len(b) for a, b in itertools.pairwise(files))
    uncoded = codecs[0].reconstruct(image)
    psnr = [metrics.psnr(uncoded, codecs[bits - 1].decompress(files[bits - 1])) for bits in (1, 8)]
    assert psnr[0] < 45 < psnr[1]
    # The file says its bits: any of the codecs decodes it.
    for file in (files[0], files[4]):
        np.testing.assert_array_equal(codecs[7].decompress(file), codecs[0].decompress(file))


@stack
@pytest.mark.parametrize("preset", ["autoencoder", LAMBDA])
def test_the_decoder_finds_the_integers_and_the_rate_is_the_one_their_probabilities_give(preset, codec_of, monkeypatch):
    codec, image = codec_of(preset), picture(128, 160)
    symbols = codec._symbols(codec._analyse(image))
    assert np.unique(symbols).size > 5
    found = []
    picture_of = codec._picture
    monkeypatch.setattr(codec, "_picture", lambda y_hat, *size: found.append(y_hat) or picture_of(y_hat, *size))
    file = codec.compress(image)
    assert file == codec.compress(image.copy())
    np.testing.assert_array_equal(codec.decompress(file), codec.decompress(file))
    expected = codec.quantisers[8].values(symbols) if preset == "autoencoder" else symbols.astype(np.float32)
    np.testing.assert_array_equal(found[0], expected)
    counted = metrics.bits_per_pixel(container.payload_size(file), 128, 160)
    assert counted == pytest.approx(codec.rate_estimate(image), rel=0.02, abs=0.01)


@stack
def test_the_huffman_code_is_never_smaller_than_the_ideal_and_takes_a_bit_for_every_value(codec_of):
    image = picture(128, 128)
    for bits in (1, 4, 8):
        codec = codec_of("autoencoder").with_settings(bits=bits)
        huffman = 8 * codec.huffman_bytes(image) / 128**2
        assert huffman >= max(codec.rate_estimate(image) - 1e-3, 5 / 16)  # 5 channels at a sixteenth of the pixels
    with pytest.raises(RelicError, match="no Huffman code"):
        codec_of(LAMBDA).huffman_bytes(image)


@pytest.mark.slow
@stack
@pytest.mark.parametrize("preset", ["autoencoder", LAMBDA])
def test_strips_change_nothing(preset, stored, codec_of, monkeypatch):
    image = picture(200, 48)
    whole = codec_of(preset)
    y, x_hat = whole._analyse(image), whole.reconstruct(image)
    monkeypatch.setattr(codec_module, "STRIP_PIXELS", 48 * 32)
    strips = Codec(stored(preset))
    assert strips._strip_size(48) < 200 // whole.config.stride // 3
    np.testing.assert_allclose(strips._analyse(image), y, atol=1e-5 * np.abs(y).max())
    assert np.abs(strips.reconstruct(image).astype(int) - x_hat).max() <= 1


@stack
def test_a_file_of_bits_that_there_are_not_is_refused(codec_of):
    codec = codec_of("autoencoder")
    header, (bits, code) = container.unpack(codec.compress(picture(20, 20)))
    assert bits == b"\x08"
    for wrong in (b"\x00", b"\x09", b"", b"\x08\x08"):
        with pytest.raises(ContainerError, match="no file of paka_autoencoder/autoencoder"):
            codec.decompress(container.pack(header, [wrong, code]))


@pytest.mark.slow
@stack
@pytest.mark.parametrize("bits", [0, 9, 2.5, True, "4"])
def test_bits_that_there_are_not_are_refused(bits, codec_of):
    with pytest.raises(RelicError, match=f"bits {bits} is not from 1 to 8"):
        codec_of("autoencoder").with_settings(bits=bits)
    with pytest.raises(RelicError, match="leave bits out"):
        codec_of(LAMBDA).with_settings(bits=4)


@stack
def test_a_grey_picture_comes_back_as_luma(codec_of):
    codec, grey = codec_of("autoencoder"), picture(40, 40, channels=1)
    colour = codec.decompress(codec.compress(np.repeat(grey[..., None], 3, axis=-1)))
    luma = pictures.rgb_to_ycbcr(colour)[..., 0] * 255
    inside = (colour > 0).all(axis=-1) & (colour < 255).all(axis=-1)  # elsewhere clipping moved the luma
    assert np.abs(codec.decompress(codec.compress(grey))[inside] - luma[inside]).max() < 1.5
