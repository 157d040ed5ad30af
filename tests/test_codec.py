"""Cheng's codec: latents return exactly, counted rates are near the estimate. Shipped codecs: stacks agree."""

import base64
import time
from functools import cache

import numpy as np
import pytest
import shipped
from narrow import narrow_model, picture, save

from common import backend, metrics
from common.coding import container
from common.coding.container import Header
from common.errors import RelicError
from common.training import weights
from papers.cheng_resnet.codec import Codec, _padded

pytestmark = pytest.mark.stack

PRESETS = ["baseline_3", "hyperprior_3"]


@pytest.fixture(scope="module")
def codec(tmp_path_factory):
    """Return a function from a preset's name to a narrow codec with known weights."""
    folder = tmp_path_factory.mktemp("weights")

    @cache
    def codec(preset):
        return Codec(weights.load(save(folder / f"{preset}.safetensors", preset, narrow_model(preset))))

    return codec


# --- round trips ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("preset", [*PRESETS, "resnet4_subpixel"])
def test_the_decoder_finds_the_latents_that_the_encoder_rounded(preset, codec):
    coder, image = codec(preset), picture(100, 130)
    file = coder.compress(image)
    _, sections = container.unpack(file)
    assert len(sections) == (1 if preset == "baseline_3" else 2)
    y, z = (latent[0] for latent in coder._analyse(_padded(image)))
    mu = coder._mean_and_scale(np.rint(z).astype(np.int32))[0] if coder.config.has_hyperprior else 0
    y_hat = np.rint(y - mu) + mu
    np.testing.assert_array_equal(coder._latent(sections, 128, 192, 0), y_hat.astype(np.float32))
    assert np.abs(y - y_hat).max() <= 0.5 + 1e-4 and np.unique(y_hat).size > 20
    x_hat = coder._synthesise(y_hat.astype(np.float32)[None])[0, :100, :130]
    expected = np.clip(np.rint(255 * x_hat), 0, 255)
    assert coder.compress(image.copy()) == file and np.unique(expected).size > 5
    for _ in range(2):
        np.testing.assert_array_equal(coder.decompress(file), expected)


@pytest.mark.parametrize("preset", PRESETS)
def test_the_rate_that_training_minimises_is_that_of_the_codec(preset, codec):
    """With noise in place of rounding, averaged over 10 steps: within a twentieth."""
    coder, image = codec(preset), picture(64, 64)
    inputs = [{"x": image[None], "step": np.array([step], np.int32)} for step in range(10)]
    trained = np.mean([backend.to_numpy(coder.model(step)["rate_estimate"]) for step in inputs])
    assert trained == pytest.approx(coder.rate_estimate(image), rel=0.05)


def test_a_grey_picture_is_coded_as_its_three_equal_channels_and_comes_back_as_their_mean(codec):
    coder, grey = codec("hyperprior_3"), picture(40, 50, 1)
    colour = np.repeat(grey[:, :, None], 3, axis=-1)
    data, colour_data = coder.compress(grey), coder.compress(colour)
    assert container.unpack(data)[1] == container.unpack(colour_data)[1]
    mean = coder.decompress(colour_data).astype(float).mean(axis=-1)
    np.testing.assert_array_equal(coder.decompress(data), np.rint(mean))


def test_pictures_are_continued_by_their_edges_to_multiples_of_64(codec):
    coder, image = codec("hyperprior_3"), picture(65, 3)
    rows, columns = np.minimum(np.arange(128), 64), np.minimum(np.arange(64), 2)
    whole = image[rows][:, columns]
    data, whole_data = coder.compress(image), coder.compress(whole)
    assert container.unpack(data)[1] == container.unpack(whole_data)[1]
    np.testing.assert_array_equal(coder.decompress(data), coder.decompress(whole_data)[:65, :3])


# --- what is refused -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sections", [[b"", b""], [b"\x00" * 40, b""], [b"\xff" * 40, b"\x12\x34"]])
def test_a_header_that_promises_a_huge_picture_costs_neither_time_nor_memory(sections, codec):
    coder = codec("hyperprior_3")
    header = Header(coder.model_id, coder.digest, 16384, 16384, 3)
    started = time.process_time()
    with pytest.raises(RelicError):
        coder.decompress(container.pack(header, sections))
    assert time.process_time() - started < 5


# --- shipped weights -----------------------------------------------------------------------------------------------

SHIPPED = shipped.different_networks()


def one_of_each_paper(models):
    return list({model.split("/")[0]: model for model in models}.values())


# Stack tfc is what golden files are written on, and `make regression` codes every photograph with every preset there.
MODELS = one_of_each_paper(SHIPPED) if backend.STACK == "tfc" else SHIPPED
# A codec around JPEG has no likelihoods, nor has one whose code is bits, numbers or a picture by design.
WITHOUT_LIKELIHOODS = ("zhao_mixedres/", "donis_convlstm/", "deshmukh_irm/")
WITH_LIKELIHOODS = [model for model in MODELS if not model.startswith(WITHOUT_LIKELIHOODS)]


@cache
def shipped_codec(model):
    """Return the scale and seed, and the codec, of a preset's smallest weights."""
    key = shipped.smallest(model)
    return key, shipped.codec_of(weights.load(shipped.shipped(model)[key]))


def test_weights_are_shipped():
    assert MODELS, "no weights below results/models: train a preset or restore them"


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_every_stack_codes_a_photograph_at_the_same_rate_and_quality(model):
    """The golden numbers are those of stack tfc; others stay within 0.1 % of the rate and 0.01 dB.

    Codecs without likelihoods stay within 0.5 % of the rate: a network's outputs are rounded to a picture or to bits,
    and a last bit that differs between processors and stacks can turn any of them.
    """
    key, codec = shipped_codec(model)
    expected = shipped.golden_of(model)[key]
    measured = {shipped.FIRST: shipped.measure(codec, shipped.FIRST)}
    share = 0.001 if model in WITH_LIKELIHOODS else 0.005
    assert shipped.differences(expected["pictures"], measured, share, 0.01) == []


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_a_file_coded_on_another_stack_decodes_to_the_same_picture(model):
    key, codec = shipped_codec(model)
    expected = shipped.golden_of(model)[key]
    decoded = codec.decompress(base64.b64decode(expected["cut"]["file"]))
    assert metrics.psnr(shipped.cut(), decoded) == pytest.approx(expected["cut"]["psnr"], abs=0.01)


@pytest.mark.parametrize("model", WITH_LIKELIHOODS)
def test_the_counted_rate_of_a_photograph_is_within_a_percent_of_the_estimate(model):
    _, codec = shipped_codec(model)
    image = shipped.pictures()[shipped.FIRST]
    counted = 8 * container.payload_size(codec.compress(image))
    estimate = codec.rate_estimate(image) * image.shape[0] * image.shape[1]
    assert estimate > 1000 and abs(counted - estimate) < 0.01 * estimate + 64
