"""The codec of Deshmukh and Pollett: what returns, both entropy coders, decoding by the SRGAN, damage."""

import dataclasses
import functools

import numpy as np
import pytest
from codec_contract import refuse_flipped_bits
from narrow import as_it_is, known_arrays, picture

from common import backend
from common.coding import container, range_coder
from common.coding.container import ContainerError
from common.errors import RelicError
from common.training import checkpoints, runs, weights
from papers.deshmukh_irm import codec as codec_module
from papers.deshmukh_irm import config, entropy_coders, huffman, model
from papers.deshmukh_irm.codec import Codec
from papers.deshmukh_irm.entropy_coders import HUFFMAN, RANGE_CODER
from papers.deshmukh_irm.scaling import Bicubic, quarter, scaled_down

stack = pytest.mark.stack
SIZES = [(1, 1), (17, 31)]
PRESETS = ["rgb", "grey", "srgan"]


@pytest.fixture(autouse=True)
def without_compiling(monkeypatch):
    """Compute layer by layer: a graph for each size of a picture takes far longer. One test below compiles."""
    monkeypatch.setattr(backend, "compiled", as_it_is)


def narrow(preset, **changes):
    """Return a preset's Config with few maps, that starts as interpolation."""
    settings = getattr(config, preset.upper())
    changes = {"num_maps": 3, "patch_size": 32, "batch_size": 2, **changes}
    if isinstance(settings, config.SuperResolution):
        return dataclasses.replace(settings, **{"num_blocks": 1, "adversarial_steps": 0, **changes})
    changes = {"icm_maps": min(settings.icm_maps, 5), "start": "interpolation", **changes}
    return dataclasses.replace(settings, **changes)


def spread(arrays, deviation):
    """Return weights with a little noise, so that every kernel reaches as far as its window."""
    rng = np.random.default_rng(0)
    return {name: array + np.abs(rng.normal(0, deviation, array.shape)) for name, array in arrays.items()}


def weights_of(path, preset, deviation=0.01, **changes):
    """Write and read a weights file of a narrow network, with frequencies of the codes of some pictures.

    The weights are those of interpolation with some noise; without a deviation they are those of known_arrays.
    """
    settings = narrow(preset, **changes)
    backend.set_seed(0)
    networks = codec_module.networks_of(settings)
    is_known = preset == "srgan" or deviation is None
    arrays = known_arrays(networks) if is_known else spread(checkpoints.model_arrays(networks), deviation)
    checkpoints.set_model_arrays(networks, weights.to_float16(arrays), "spread")
    images = np.stack([picture(32, 32, seed=i)[..., : settings.channels] for i in range(3)])
    path.parent.mkdir(parents=True, exist_ok=True)
    tables = codec_module.frequencies(settings, networks, images)
    weights.save(path, f"deshmukh_irm/{preset}", settings, arrays, tables)
    return weights.load(path)


@pytest.fixture
def few_layers(monkeypatch):
    monkeypatch.setattr(model, "DEPTH", 1)


@pytest.fixture(scope="module")
def stored_of(tmp_path_factory):
    """Return a function that gives weights of a preset's narrow networks of few layers, near interpolation."""

    @functools.cache
    def made(preset, **options):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(model, "DEPTH", 1)
            patch.setattr(backend, "compiled", as_it_is)
            return weights_of(tmp_path_factory.mktemp(preset) / "weights.safetensors", preset, **options)

    return made


@pytest.fixture(scope="module")
def codec_of(stored_of):
    """Return a function that makes the codec of such weights; tests leave them as they are."""

    @functools.cache
    def made(preset, **options):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(model, "DEPTH", 1)
            patch.setattr(backend, "compiled", as_it_is)
            return Codec(stored_of(preset, **options))

    return made


# --- round trips ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
@stack
@pytest.mark.parametrize("preset", PRESETS)
def test_pictures_return_from_either_coder_as_the_networks_restore_their_code(preset, codec_of):
    codec = codec_of(preset)
    for height, width in SIZES:
        for channels in (1, 3):
            image = picture(height, width, channels)
            code = codec.code(image)
            stride = codec.config.stride
            planes = 3 if channels == 3 or preset != "grey" else 1
            assert code.shape == (-(-height // stride), -(-width // stride), planes) == codec.code_shape(image)
            expected = codec.restored(code, image)
            assert code.dtype == expected.dtype == np.uint8 and expected.shape == image.shape
            files = [codec.with_settings(coder).compress(image) for coder in (HUFFMAN, RANGE_CODER)]
            assert files[0] != files[1]
            for file in files:
                np.testing.assert_array_equal(codec.decompress(file), expected)


@stack
@pytest.mark.parametrize("preset", ["rgb", "rgb_stride4"])
def test_around_networks_of_interpolation_it_is_averaging_and_bicubic(preset, codec_of):
    codec = codec_of(preset, deviation=0.0)
    image, stride = picture(64, 48), codec.config.stride
    taps = min(stride, 3)
    blocks = [image[i::stride, j::stride].astype(float) for i in range(taps) for j in range(taps)]
    code = codec.code(image)
    assert np.abs(code - np.mean(blocks, axis=0)).max() < 0.75  # weights are in float16
    u = backend.to_numpy(Bicubic(stride)((code / np.float32(255))[None]))[0]
    np.testing.assert_array_equal(codec.restored(code, image), np.clip(np.rint(u * 255), 0, 255))


@stack
def test_compiled_networks_give_the_same_picture(codec_of, stored_of, monkeypatch):
    codec, image = codec_of("rgb"), picture(20, 24)
    monkeypatch.undo()
    monkeypatch.setattr(model, "DEPTH", 1)
    compiled = Codec(stored_of("rgb"))
    x_hat = compiled.decompress(compiled.compress(image))
    assert np.abs(compiled.code(image).astype(int) - codec.code(image)).max() <= 1
    assert np.abs(x_hat.astype(int) - codec.restored(compiled.code(image), image)).max() <= 1


@stack
def test_a_grey_picture_is_three_equal_channels_to_networks_of_colour(codec_of):
    codec, grey = codec_of("rgb"), picture(18, 22, channels=1)
    colour = np.dstack([grey] * 3)
    np.testing.assert_array_equal(codec.code(grey), codec.code(colour))
    of_colour = codec.restored(codec.code(colour), colour)
    assert (np.ptp(of_colour, axis=-1) > 0).any()
    expected = np.rint(of_colour.astype(float).mean(axis=-1))
    np.testing.assert_array_equal(codec.decompress(codec.compress(grey)), expected)


@stack
def test_a_colour_picture_is_three_pictures_to_grey_networks(codec_of):
    codec, image = codec_of("grey"), picture(18, 22)
    file = codec.compress(image)
    decoded = codec.decompress(file)
    for i in range(3):
        alone = codec.compress(np.ascontiguousarray(image[..., i]))
        assert container.unpack(alone)[1] == [b"\0", container.unpack(file)[1][1 + i]]
        np.testing.assert_array_equal(decoded[..., i], codec.decompress(alone))


@stack
def test_edges_of_a_picture_whose_sides_are_no_multiples_are_repeated(codec_of):
    codec, image = codec_of("rgb_stride4"), picture(18, 21)
    padded = np.pad(image, [(0, 2), (0, 3), (0, 0)], mode="edge")
    np.testing.assert_array_equal(codec.code(image), codec.code(padded))
    whole = codec.decompress(codec.compress(padded))
    np.testing.assert_array_equal(codec.decompress(codec.compress(image)), whole[:18, :21])


@stack
def test_values_of_the_code_are_rounded_and_those_beyond_its_range_are_clipped(codec_of):
    codec, image = codec_of("rgb"), picture(18, 22)
    exact = codec.unrounded_code(image)
    assert exact.dtype == np.float32 and np.ptp(exact) > 0.5
    exact = np.clip(exact, 0, 1)
    assert np.abs(codec.code(image) - 255.0 * exact).max() <= 0.5 + 1e-3
    fine = codec.restored(exact, image).astype(int)
    assert 0 < np.abs(fine - codec.restored(codec.code(image), image)).max() <= 4
    bias = codec.networks.icm.get_layer("C3_conv").bias
    before = backend.to_numpy(bias)
    backend.assign(bias, np.array([-2.0, 0.0, 2.0], np.float32))
    code = codec.code(image)
    files = [codec.with_settings(coder).compress(image) for coder in (HUFFMAN, RANGE_CODER)]
    backend.assign(bias, before)
    assert (code[..., 0] == 0).all() and (code[..., 2] == 255).all() and np.ptp(code[..., 1]) > 50
    for file in files:  # of values that the frequencies were not made for
        np.testing.assert_array_equal(codec.decompress(file), codec.restored(code, image))


# --- strips --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@stack
@pytest.mark.parametrize("preset, rows", [("rgb", 120), ("baseline_jiang", 120), ("rgb_stride4", 240), ("srgan", 480)])
def test_strips_change_nothing(preset, rows, tmp_path, monkeypatch):
    """Of networks as deep as the paper's, whose every kernel reaches as far as its window."""
    options = {"num_blocks": 16, "num_maps": 2} if preset == "srgan" else {"deviation": None, "icm_maps": 6}
    codec = Codec(weights_of(tmp_path / "weights.safetensors", preset, **options))
    image = picture(rows, 8, channels=1)
    code = codec.unrounded_code(image)
    x_hat = synthesised(codec, code)
    monkeypatch.setattr(codec_module, "STRIP_PIXELS", 8 * (120 if preset == "srgan" else 24))
    calls = count_calls(codec, monkeypatch)
    tolerance = 1e-5 * max(1.0, np.abs(x_hat).max())
    np.testing.assert_allclose(codec.unrounded_code(image), code, atol=tolerance)
    np.testing.assert_allclose(synthesised(codec, code), x_hat, atol=tolerance)
    assert min(calls.values()) > 3 and len(calls) == (1 if preset == "srgan" else 3)
    for reach in ("LAYERS", "GENERATOR_REACH"):
        monkeypatch.setattr(codec_module, reach, 2)
    assert np.abs(synthesised(codec, code) - x_hat).max() > 2 * tolerance


def synthesised(codec, code):
    """Return the networks' picture of a code, before it is rounded."""
    return codec._by_channels(code, lambda part: codec._synthesised(part, None))


def count_calls(codec, monkeypatch):
    calls = {}

    def counted(name, apply):
        def call(x):
            calls[name] = calls.get(name, 0) + 1
            return apply(x)

        return call

    monkeypatch.setattr(codec, "passes", {name: counted(name, apply) for name, apply in codec.passes.items()})
    return calls


@pytest.mark.slow
@stack
def test_the_generator_sees_no_further_than_its_strips_reach(tmp_path):
    """By what a change of one row of the code changes."""
    codec = Codec(weights_of(tmp_path / "weights.safetensors", "srgan", num_blocks=16, num_maps=2))
    code = np.random.default_rng(0).random((120, 1, 3), np.float32)
    other = code.copy()
    other[60] = 1.0 - other[60]
    changed = np.flatnonzero(np.abs(synthesised(codec, other) - synthesised(codec, code)).max(axis=(1, 2)) > 0)
    reach = max(60 - changed.min() // 4, changed.max() // 4 - 60)
    assert 4 < reach <= codec_module.GENERATOR_REACH


# --- entropy coders ------------------------------------------------------------------------------------------------


def plane_of(seed=0, shape=(9, 14)):
    return np.random.default_rng(seed).binomial(255, 0.4, shape).astype(np.uint8)


@stack
def test_sections_are_the_setting_and_every_plane_of_the_code_by_its_coder(codec_of):
    codec, image = codec_of("rgb"), picture(30, 26)
    code = codec.code(image)
    header, sections = container.unpack(codec.compress(image))
    assert (header.height, header.width, header.channels, header.weights_digest) == (30, 26, 3, codec.digest)
    assert sections == [b"\0", *(huffman.encode(code[..., i].tobytes()) for i in range(3))]
    settings, *planes = container.unpack(codec.with_settings(RANGE_CODER).compress(image))[1]
    assert settings == b"\1"
    for i, section in enumerate(planes):
        indexes = np.full(code.shape[:2], i, np.int32)
        np.testing.assert_array_equal(range_coder.decode(section, indexes, codec.tables), code[..., i])


def test_frequencies_are_those_of_the_values_and_one_more_of_each():
    channels = [plane_of(0, (300, 300)), np.full((10, 20), 7, np.uint8)]
    tables = entropy_coders.tables(channels)
    assert len(tables) == 2 and tables.bounds(0) == tables.bounds(1) == (0, 255)
    for i, channel in enumerate(channels):
        found = tables.frequencies[i, : tables.lengths[i]]
        assert found.sum() == 2**16 and found.min() >= 1 and tables.lengths[i] == 257
        counts = np.bincount(channel.ravel(), minlength=256) + 1
        expected = 2**16 * counts / counts.sum()
        assert np.abs(found[:256] - expected)[expected > 2].max() < 0.01 * expected.max() + 1
    assert tables.frequencies[1].argmax() == 7


@pytest.mark.parametrize("coder", [HUFFMAN, RANGE_CODER])
def test_planes_return_whatever_their_values(coder):
    tables = entropy_coders.tables([np.full((10, 20), 7, np.uint8)])
    for plane in (plane_of(), np.full((3, 4), 7, np.uint8), np.arange(256, dtype=np.uint8).reshape(16, 16)):
        for channel in (0, 2):  # one table serves all channels
            data = entropy_coders.encode(coder, plane, tables, channel)
            found = entropy_coders.decode(coder, data, plane.shape, tables, channel)
            assert found.dtype == np.uint8
            np.testing.assert_array_equal(found, plane)


def test_the_range_coder_reaches_the_entropy_of_its_frequencies():
    plane = plane_of(3, (200, 200))
    tables = entropy_coders.tables([plane_of(4, (400, 400))])
    bits = -np.log2(tables.frequencies[0][plane] / 2**16).sum()
    size = len(entropy_coders.encode(RANGE_CODER, plane, tables, 0))
    assert bits / 8 <= size + 1 and size < 1.001 * bits / 8 + 4
    assert size < len(entropy_coders.encode(HUFFMAN, plane, tables, 0))


@pytest.mark.parametrize("value", [-1, 256, 100_000])
def test_coded_values_that_no_byte_has_are_refused(value):
    tables = entropy_coders.tables([plane_of()])
    symbols = plane_of().astype(np.int32)
    symbols[2, 3] = value
    data = range_coder.encode(symbols, np.zeros(symbols.shape, np.int32), tables)
    with pytest.raises(ContainerError, match="the code inside this file is damaged"):
        entropy_coders.decode(RANGE_CODER, data, symbols.shape, tables, 0)


@pytest.mark.parametrize("coder", [HUFFMAN, RANGE_CODER])
def test_cut_and_lengthened_data_are_one_clear_error(coder):
    tables, plane = entropy_coders.tables([plane_of()]), plane_of()
    data = entropy_coders.encode(coder, plane, tables, 0)
    for wrong in (data[:-2], data[:5], b"", data + b"\xff\xff\xff"):
        with pytest.raises(ContainerError, match="the code inside this file is damaged: compress the picture again"):
            entropy_coders.decode(coder, wrong, plane.shape, tables, 0)


# --- the SRGAN -----------------------------------------------------------------------------------------------------


@pytest.fixture
def results(tmp_path, monkeypatch):
    """Keep shipped weights in a folder of their own."""
    monkeypatch.setenv("RELIC_RESULTS", str(tmp_path / "results"))
    return tmp_path / "results"


@stack
@pytest.mark.parametrize("preset", ["rgb", "grey", "rgb_stride4"])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_srgan_takes_the_place_of_bicubic_interpolation(preset, channels, codec_of):
    codec, srgan = codec_of(preset), codec_of("srgan")
    image = picture(17, 22, channels)
    plain, file = codec.compress(image), codec.with_settings(srgan=srgan).compress(image)
    sections = container.unpack(file)[1]
    assert sections[0] == b"\2" + srgan.digest and sections[1:] == container.unpack(plain)[1][1:]
    code = codec.code(image)
    u = by_hand(codec, srgan, code / np.float32(255))
    np.testing.assert_allclose(upsampled(codec, code / np.float32(255), srgan), u, atol=1e-5)
    decoded = codec.with_settings(srgan=srgan).decompress(file)
    np.testing.assert_array_equal(decoded, codec.restored(code, image, srgan))
    assert decoded.shape == image.shape and (decoded != codec.decompress(plain)).mean() > 0.5
    ranged = codec.with_settings(RANGE_CODER, srgan).compress(image)
    assert container.unpack(ranged)[1][0] == b"\3" + srgan.digest
    np.testing.assert_array_equal(codec.with_settings(srgan=srgan).decompress(ranged), decoded)


def upsampled(codec, values, srgan):
    return codec._by_channels(values, lambda part: codec.upsampled(part, srgan))


def by_hand(codec, srgan, values):
    """Return what a generator of colour makes of a code, scaled down to the size of the picture."""
    generator, factor = srgan.networks.transforms["generator"], 4 // codec.config.stride

    def one(part):
        colour = part if part.shape[2] == 3 else np.repeat(part, 3, axis=-1)
        large = scaled_down(backend.to_numpy(generator(colour[None], training=False))[0], factor)
        return large if part.shape[2] == 3 else large.mean(axis=-1, keepdims=True)

    parts = [values] if codec.config.channels == 3 else [values[..., i : i + 1] for i in range(values.shape[2])]
    return np.concatenate([one(part) for part in parts], axis=-1)


@stack
def test_a_file_finds_the_srgan_that_it_was_made_for_or_says_that_it_is_not_here(codec_of, results):
    codec, image = codec_of("rgb"), picture(12, 14)
    path = runs.Run("deshmukh_irm", "srgan", "small", 3).shipped / "weights.safetensors"
    srgan = Codec(weights_of(path, "srgan"))
    file = codec.with_settings(srgan=srgan).compress(image)
    np.testing.assert_array_equal(codec.decompress(file), codec.restored(codec.code(image), image, srgan))
    other = Codec(weights_of(results.parent / "other" / "weights.safetensors", "srgan", num_maps=2))
    found = codec.with_settings(srgan=other).decompress(file)  # not by the one at hand
    np.testing.assert_array_equal(found, codec.with_settings(srgan=srgan).decompress(file))
    path.unlink()
    for decoder in (codec, codec.with_settings(srgan=other)):
        with pytest.raises(RelicError, match="deshmukh_irm/srgan") as error:
            decoder.decompress(file)
        assert "\n" not in str(error.value)


@stack
def test_a_flipped_bit_of_what_names_the_srgan_is_refused(codec_of):
    codec = codec_of("grey").with_settings(RANGE_CODER, codec_of("srgan"))
    refuse_flipped_bits(codec, codec.compress(picture(12, 10, channels=1)))


@stack
def test_as_a_codec_of_its_own_the_srgan_codes_a_quarter_of_the_size(codec_of):
    srgan, image = codec_of("srgan"), picture(40, 24)
    np.testing.assert_array_equal(srgan.code(image), quarter(image))
    generator = srgan.networks.transforms["generator"]
    x_hat = backend.to_numpy(generator(quarter(image)[None].astype(np.float32) / 255, training=False))[0]
    expected = np.clip(np.rint(x_hat * np.float32(255)), 0, 255)
    assert np.abs(srgan.decompress(srgan.compress(image)) - expected).max() <= 1


# --- damage --------------------------------------------------------------------------------------------------------


def test_other_settings_and_the_code_of_another_size_are_refused(codec_of):
    codec = codec_of("rgb")
    header, sections = container.unpack(codec.compress(picture(12, 10)))
    for settings in (b"", b"\4", b"\xff", b"\0\0", b"\2", b"\2short", b"\1" + bytes(8), b"\3" + bytes(9)):
        with pytest.raises(ContainerError, match="no file of deshmukh_irm/rgb, or a newer one's"):
            codec.decompress(container.pack(header, [settings, *sections[1:]]))
    grey = dataclasses.replace(header, channels=1)  # networks of colour have three channels of a code all the same
    assert codec.decompress(container.pack(grey, sections)).shape == (12, 10)
    small = dataclasses.replace(header, height=2)
    with pytest.raises(ContainerError, match="the code inside this file is damaged"):
        codec.decompress(container.pack(small, sections))
    large = dataclasses.replace(header, height=60_000, width=1_000)
    with pytest.raises(ContainerError, match="the code inside this file is damaged"):
        codec.decompress(container.pack(large, sections))


@stack
def test_weights_of_another_network_or_without_frequencies_are_refused(stored_of, few_layers):
    stored = stored_of("rgb")
    with pytest.raises(RelicError, match="the frequency tables are damaged"):
        Codec(dataclasses.replace(stored, integers={}))
    with pytest.raises(RelicError, match="weights of another network"):
        Codec(dataclasses.replace(stored, config={**stored.config, "num_maps": 5}))
    with pytest.raises(RelicError, match="weights of another network"):
        Codec(dataclasses.replace(stored, config=stored_of("grey").config))


# --- shipped weights -----------------------------------------------------------------------------------------------


@pytest.fixture
def shipped(results, few_layers):
    """Return a function that ships weights of scale smoke for a preset, as if they were trained."""

    def ship(preset, **changes):
        path = runs.Run("deshmukh_irm", preset, "smoke", 0).shipped / "weights.safetensors"
        settings = config.at_scale(getattr(config, preset.upper()), "smoke")
        changes = {field.name: getattr(settings, field.name) for field in dataclasses.fields(settings)} | changes
        return weights_of(path, preset, **changes)

    return ship


def test_a_preset_is_loaded_with_its_coding_settings(shipped):
    stored, srgan = shipped("rgb"), shipped("srgan")
    plain, ranged, with_srgan = (
        codec_module.load("rgb", **coding) for coding in ({}, {"coder": 1}, {"coder": 0, "srgan": 1})
    )
    assert [codec.coder for codec in (plain, ranged, with_srgan)] == [HUFFMAN, RANGE_CODER, HUFFMAN]
    assert {codec.digest for codec in (plain, ranged, with_srgan)} == {stored.digest}
    assert plain.srgan is None and with_srgan.srgan.digest == srgan.digest
    image = picture(9, 11)
    expected = with_srgan.restored(plain.code(image), image, with_srgan.srgan)
    np.testing.assert_array_equal(plain.decompress(with_srgan.compress(image)), expected)


@stack
def test_what_cannot_be_loaded_is_refused_with_what_to_do(shipped):
    with pytest.raises(RelicError, match="unknown preset deshmukh_irm/blue"):
        codec_module.load("blue", srgan=1)
    with pytest.raises(RelicError, match="no weights for deshmukh_irm/rgb"):
        codec_module.load("rgb")
    shipped("rgb")
    with pytest.raises(RelicError, match="no weights for deshmukh_irm/srgan"):
        codec_module.load("rgb", srgan=1)
    for preset in ("srgan", "srresnet"):
        shipped(preset)
        with pytest.raises(RelicError, match=f"deshmukh_irm/{preset} is itself what the setting srgan asks for"):
            codec_module.load(preset, srgan=1)
    shipped("grey", num_maps=3)
    with pytest.raises(RelicError, match=r"another config \(num_maps differ\)"):
        codec_module.load("grey")
