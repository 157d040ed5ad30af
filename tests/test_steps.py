"""Steps of the quantiser: exact widths, tables derived in integers, and Cheng's files at any of them."""

import dataclasses
import math
from functools import cache

import numpy as np
import pytest
from codec_contract import CodecContract, refusal
from narrow import as_it_is, narrow_model, picture, save

from common import backend
from common.coding import container, quantisation, range_coder
from common.coding.container import ContainerError
from common.coding.integer_network import OUTPUT_POINT, scale_indexes
from common.coding.quantisation import MAX_SYMBOLS, delta, tables_at
from common.coding.range_coder import LOG_SCALE_STEP, TOTAL, FrequencyTables
from common.errors import RelicError
from common.training import weights
from papers.cheng_resnet.codec import Codec

PRESETS = ["baseline_3", "hyperprior_3"]
ALL_STEPS = range(quantisation.SETTING.smallest * 16, quantisation.SETTING.largest * 16 + 1)


def test_sixteen_steps_are_one_scale_and_widths_are_powers_to_the_last_digits():
    for step in (*ALL_STEPS, -1024, 1024):
        assert delta(step) == pytest.approx(math.exp(step * LOG_SCALE_STEP / 16), rel=1e-12, abs=2.0**-40)
    assert delta(0) == 1.0 and delta(16) == 1243488710981 / 2**40  # exp() of a library may end otherwise


def test_whole_steps_shift_an_index_by_exactly_as_many_scales():
    log_sigma = np.arange(-40, 100) << (OUTPUT_POINT - 4)
    plain = scale_indexes(log_sigma)
    for k in (-24, -3, 1, 7, 40):
        np.testing.assert_array_equal(scale_indexes(log_sigma, 16 * k), np.clip(plain - k, 0, 63))


# --- tables for channels -------------------------------------------------------------------------------------------


def tables_of(scale=3.0, mean=1.3, first=-20, last=24):
    edges = np.arange(first, last + 2) - 0.5
    cumulative = 0.5 * (1 + np.array([math.erf((edge - mean) / scale / 2**0.5) for edge in edges]))
    return FrequencyTables.from_pmfs([np.diff(cumulative)], [1 + cumulative[0] - cumulative[-1]], [first])


def test_tables_of_every_step_are_tables():
    """Sums and counts above 0 are checked where tables are made."""
    tables = tables_of()
    for step in ALL_STEPS[::7]:
        at = tables_at(tables, step)
        first, last = at.bounds(0)
        assert (first - 0.5) * delta(step) <= -20.5 + delta(step) and (last + 0.5) * delta(step) >= 24.5 - delta(step)
    assert tables_at(tables, 0) is tables


def test_a_derived_count_is_what_lies_over_the_symbol_s_interval_on_straight_lines():
    tables = tables_of()
    counts = tables.frequencies[0, : tables.lengths[0] - 1]
    halves, cumulative = np.arange(-20.5, 25), np.concatenate([[0], np.cumsum(counts)])
    for step in (-300, -40, -1, 1, 16, 100, 640):
        at = tables_at(tables, step)
        symbols = at.offsets[0] + np.arange(at.lengths[0])
        expected = np.diff(np.interp((symbols - 0.5) * delta(step), halves, cumulative))
        shared = expected * (TOTAL - at.lengths[0]) / TOTAL + 1
        assert np.abs(at.frequencies[0, : at.lengths[0] - 1] - shared).max() <= 1.01


def test_derived_counts_are_fixed():
    """Every machine must derive these integers: a change of one is a change of the file format."""
    at = tables_at(FrequencyTables.from_pmfs([np.array([1, 5, 8, 3.0])], [0.25], [-1]), 24)
    assert (at.offsets.tolist(), at.frequencies.tolist()) == ([-1], [[3414, 22461, 30777, 7933, 951]])


def test_a_wide_table_at_a_fine_step_keeps_the_middle():
    tables = FrequencyTables.from_pmfs([np.ones(3000)], [0.01], [-1000])
    at = tables_at(tables, -24 * 16)
    first, last = at.bounds(0)
    assert last - first + 1 == MAX_SYMBOLS and (first + last) / 2 * delta(-24 * 16) == pytest.approx(500, abs=20)
    symbols = np.array([first - 5, first, last, last + 9, 0], np.int32)
    coded = range_coder.encode(symbols, np.zeros(5, np.int32), at)
    np.testing.assert_array_equal(range_coder.decode(coded, np.zeros(5, np.int32), at), symbols)


# --- codecs --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stored_of(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    return cache(lambda preset: weights.load(save(folder / f"{preset}.safetensors", preset, narrow_model(preset))))


@pytest.fixture(scope="module")
def codec_of(stored_of):
    """Return a function from a preset's name to a narrow codec with known weights, not compiled."""

    @cache
    def made(preset):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(backend, "compiled", as_it_is)
            return Codec(stored_of(preset))

    return made


@pytest.mark.stack
@pytest.mark.parametrize("preset", PRESETS)
def test_latents_return_at_every_step_and_a_file_needs_no_setting_to_be_decoded(preset, codec_of):
    codec, image = codec_of(preset), picture(64, 128)
    latents = codec.latents(image)
    for step in (-24, -1.0625, 0.5, 3, 40):
        at = codec.with_settings(step=step)
        file = at.compress(image)
        header, sections = container.unpack(file)
        assert header.step == 16 * step and file == at.compress_latents(latents)
        mean = 0 if latents.z_hat is None else codec._mean_and_scale(latents.z_hat)[0]
        expected = quantisation.restored(quantisation.quantised(latents.residuals, header.step), header.step) + mean
        np.testing.assert_array_equal(codec._latent(sections, 64, 128, header.step), expected)
        assert np.abs(expected - mean - latents.residuals).max() <= 0.51 * delta(header.step)
        np.testing.assert_array_equal(codec.decompress(file), at.decompress(file))


@pytest.mark.stack
@pytest.mark.parametrize("preset", PRESETS)
def test_step_zero_writes_the_file_of_a_codec_without_steps(preset, codec_of):
    codec, image = codec_of(preset), picture(33, 19)
    file = codec.compress(image)
    assert (
        file
        == codec.with_settings(step=0).compress(image)
        == codec.with_settings(step=4).with_settings().compress(image)
    )
    assert file[4] == container.VERSION_WITHOUT_PROFILE


@pytest.mark.stack
@pytest.mark.parametrize("preset", PRESETS)
def test_files_grow_as_the_step_shrinks_and_the_estimate_tells_by_how_much(preset, codec_of):
    codec, image = codec_of(preset), picture(128, 128)
    latents, sizes = codec.latents(image), []
    for step in range(-24, 25, 8):
        at = codec.with_settings(step=step)
        sizes.append(8 * container.payload_size(at.compress_latents(latents)))
        estimate = at.rate_estimate(image) * image.shape[0] * image.shape[1]
        if preset == "baseline_3":  # scales of known weights are not those of the latents: a trained one is below
            assert abs(sizes[-1] - estimate) < 0.03 * estimate + 64
    assert sizes == sorted(sizes, reverse=True) and sizes[0] > 2 * sizes[-1]


@pytest.mark.stack
@pytest.mark.parametrize("preset", PRESETS)
def test_steps_that_no_codec_writes_and_those_of_codecs_without_any_are_refused(preset, codec_of):
    codec = codec_of(preset)
    header, sections = container.unpack(codec.with_settings(step=2).compress(picture(12, 10)))
    for step in (-1024, -385, 641, 1024):
        sentence = refusal(codec, container.pack(dataclasses.replace(header, step=step), sections))
        assert "a file's step is from -384 to 640 sixteenths" in sentence
    for step in (0.1, 41, math.inf, True, "1"):
        with pytest.raises(RelicError, match="is not from -24 to 40, a multiple of 1/16"):
            codec.with_settings(step=step)
    with pytest.raises(ContainerError, match="which has no steps"):
        header.check_weights(header.model, header.weights_digest)


@pytest.mark.stack
class TestCodecsAtAStep(CodecContract):
    """What every codec keeps to, of Cheng's at a step."""

    @pytest.fixture(scope="class", params=PRESETS)
    def stored(self, request, stored_of):
        return stored_of(request.param)

    @pytest.fixture(scope="class")
    def codec(self, stored, codec_of):
        return codec_of(stored.model.split("/")[1]).with_settings(step=-3.5)

    @pytest.fixture(scope="class")
    def sizes(self):
        return [(1, 1, 3), (33, 19, 3), (12, 10, 1)]

    def test_a_file_names_its_preset_its_weights_and_the_size_of_its_picture(self, stored, sizes, file):
        header, sections = container.unpack(file)
        assert header == container.Header(stored.model, stored.digest, *sizes[-1], step=-56) and sections
