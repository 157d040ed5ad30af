"""Files of a wanted size or quality: the search in closed forms, and every codec that has a setting to search."""

import functools
import math
from types import SimpleNamespace

import numpy as np
import pytest
import shipped
from narrow import as_it_is

import papers
from common import backend, metrics
from common.coding import container
from common.config import Setting
from common.errors import RelicError
from common.targets import MOST_CODINGS, Target, find, search
from common.training import weights

IMAGE = np.zeros((100, 80, 3), np.uint8)  # 1000 bytes are 1 bpp
STEP = Setting(0, -24, 40, "step", parts=16, rate=-1)
SHAPES = {
    "straight": lambda p: 12 + 0.009 * p,
    "bent": lambda p: 12 + 4 * math.tanh(p / 300),
    "steep at one end": lambda p: 10 + math.log2(700 + p),
    "a staircase": lambda p: 12 + 0.1 * (p // 10),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_neighbours_on_both_sides_of_a_value_are_found_among_a_thousand(shape):
    value = SHAPES[shape]
    for wanted in np.linspace(value(-640), value(384), 40)[1:-1]:
        asked = []
        known = search(lambda p, asked=asked: asked.append(p) or value(p), wanted, -640, 384, 0, 6 / 1024)
        assert len(asked) == len(set(asked)) == len(known) <= MOST_CODINGS
        if shape in ("straight", "steep at one end"):
            assert any(p + 1 in known and known[p] < wanted <= known[p + 1] for p in known)
        assert min(abs(v - wanted) for v in known.values()) < (0.1 if shape == "a staircase" else 0.014)


def test_a_value_that_no_position_has_is_looked_for_at_the_end():
    for wanted, end in ((0.0, -640), (99.0, 384)):
        assert end in search(SHAPES["straight"], wanted, -640, 384, 0, 6 / 1024)


def toy(sizes, quality=None):
    """Return a codec whose file at a value of its setting has so many bytes, and what it was asked for."""
    asked = []

    def at(step):
        data = bytes([round(4 * (step + 24)) % 256]) * sizes(step)
        return SimpleNamespace(compress_latents=lambda latents: asked.append(step) or data)

    shown = lambda data: np.full(IMAGE.shape, quality(len(data)), np.uint8)  # noqa: E731
    return SimpleNamespace(model_id="a/b", with_settings=at, latents=lambda image: 0, decompress=shown), asked


def test_bytes_are_a_budget_and_bpp_the_nearest_file():
    sizes = lambda step: round(1000 * 2 ** (-step / 6))  # noqa: E731
    every = sorted(sizes(n / 16) for n in range(-24 * 16, 40 * 16 + 1))
    for wanted in (37, 400, 999, 1000, 1001, 3210):
        codec, asked = toy(sizes)
        found = find(codec, IMAGE, Target("bytes", wanted), ("step", STEP))
        assert len(found.file.data) == max(size for size in every if size <= wanted)
        assert found.codings == len(asked) <= MOST_CODINGS and f"in {len(asked)} coding" in found.about
        codec, _ = toy(sizes)
        near = find(codec, IMAGE, Target("bpp", wanted / 1000), ("step", STEP)).file
        assert abs(len(near.data) - wanted) == min(abs(size - wanted) for size in every)
        assert sizes(near.setting) == len(near.data)


def test_a_quality_is_reached_by_the_smallest_file_that_does():
    quality = lambda size: 12 - 3 * math.log10(size)  # noqa: E731 of grey levels of error
    sizes = lambda step: round(1000 * 2 ** (-step / 6))  # noqa: E731
    psnr = lambda size: metrics.psnr(IMAGE, np.full(IMAGE.shape, quality(size), np.uint8))  # noqa: E731
    wanted = psnr(1500)
    codec, asked = toy(sizes, quality)
    found = find(codec, IMAGE, Target("psnr", wanted), ("step", STEP))
    assert found.file.value >= wanted and len(asked) <= MOST_CODINGS
    assert psnr(0.9 * len(found.file.data)) < wanted or len(found.file.data) < 1500


def test_what_counts_of_a_file_is_what_is_written():
    codec, _ = toy(lambda step: round(1000 * 2 ** (-step / 6)))
    found = find(codec, IMAGE, Target("bytes", 2000), ("step", STEP), finished=lambda data: data + bytes(700))
    assert 1980 <= len(found.file.data) <= 2000 and found.file.data.endswith(bytes(700))


@pytest.mark.parametrize("kind, wanted", [("bytes", 5), ("bytes", 17000), ("bpp", 0.005), ("bpp", 17)])
def test_a_target_out_of_reach_is_refused_with_the_range_that_there_is(kind, wanted):
    codec, asked = toy(lambda step: round(1000 * 2 ** (-step / 6)))
    with pytest.raises(RelicError) as caught:
        find(codec, IMAGE, Target(kind, wanted), ("step", STEP))
    ends = ("0.0100 bpp", "16.0000 bpp") if kind == "bpp" else ("10 bytes", "16000 bytes")
    assert f"out of reach of a/b: this picture has {ends[0]} (step 40) to {ends[1]} (step -24)" in str(caught.value)
    assert len(asked) <= MOST_CODINGS


def test_a_codec_of_one_rate_is_refused_in_one_sentence():
    def with_settings(**_):
        raise RelicError("it has no bits to choose")

    codec = SimpleNamespace(model_id="a/b", with_settings=with_settings)
    with pytest.raises(RelicError, match=r"a/b has one rate \(it has no bits to choose\)"):
        find(codec, IMAGE, Target("bpp", 1), ("step", STEP))


@pytest.mark.parametrize(
    "kind, wanted", [("bpp", 0), ("bpp", -1), ("psnr", math.nan), ("ms_ssim", 1), ("bpp", math.inf)]
)
def test_what_no_file_can_have_is_no_target(kind, wanted):
    with pytest.raises(RelicError, match="is not above 0"):
        Target(kind, wanted)


# --- codecs --------------------------------------------------------------------------------------------------------

# Of each paper a preset, its setting, and how near a rate is found: few iterations and bits are far apart.
RATES = {
    "cheng_resnet/resnet3": ("step", 0.01),
    "donis_convlstm/iterative": ("iterations", 0.35),
    "paka_autoencoder/autoencoder": ("bits", 0.35),
    "zhao_mixedres/full_qf20": ("quality", 0.05),
}


@functools.cache
def codec_of(model):
    """Return the codec of a preset's smallest shipped weights, computed layer by layer, and its files by setting."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backend, "compiled", as_it_is)
        return shipped.codec_of(weights.load(shipped.shipped(model)[shipped.smallest(model)]))


@functools.cache
def photograph():
    return np.ascontiguousarray(shipped.pictures()[shipped.FIRST][:192, 96:288])


def coded(model, value):
    return codec_of(model).with_settings(**{papers.rate_setting(model)[0]: value}).compress(photograph())


@pytest.mark.stack
@pytest.mark.parametrize("model", RATES)
def test_every_codec_with_a_setting_finds_a_rate_and_its_file_is_that_of_the_setting(model):
    name, near = RATES[model]
    assert papers.rate_setting(model)[0] == name
    image, wanted = photograph(), 0.6 if name in ("iterations", "quality") else 0.4 if name == "step" else 10
    found = find(codec_of(model), image, Target("bpp", wanted), papers.rate_setting(model))
    assert found.codings <= MOST_CODINGS and abs(found.file.value / wanted - 1) < near
    assert found.file.value == 8 * len(found.file.data) / image[..., 0].size
    assert found.file.data == coded(model, found.file.setting)
    with pytest.raises(RelicError, match="100 bpp is out of reach"):
        find(codec_of(model), image, Target("bpp", 100), papers.rate_setting(model))


@pytest.mark.stack
@pytest.mark.parametrize("kind, wanted", [("bytes", 3000), ("psnr", 23.0), ("ms_ssim", 0.9)])
def test_other_targets_are_reached_by_the_next_setting_that_there_is(kind, wanted):
    """One step coarser a quality is not reached, one step finer the bytes are exceeded."""
    model = "cheng_resnet/resnet3"
    found = find(codec_of(model), photograph(), Target(kind, wanted), papers.rate_setting(model))
    assert found.codings <= MOST_CODINGS
    if kind == "bytes":
        assert 0.98 * wanted < len(found.file.data) <= wanted < len(coded(model, found.file.setting - 1 / 16))
    else:
        measure = getattr(metrics, kind)
        decoded = [codec_of(model).decompress(coded(model, found.file.setting + more)) for more in (0, 1 / 16)]
        reached, coarser = (measure(photograph(), x_hat) for x_hat in decoded)
        assert reached == found.file.value >= wanted > coarser


@pytest.mark.stack
def test_the_rate_of_a_trained_network_falls_with_the_step_and_is_within_a_few_percent_of_the_estimate():
    codec, image = codec_of("cheng_resnet/resnet3"), photograph()
    latents, sizes = codec.latents(image), []
    for step in (-16, -8, -1, 0, 1, 4, 12, 24):
        at = codec.with_settings(step=step)
        sizes.append(8 * container.payload_size(at.compress_latents(latents)))
        estimate = at.rate_estimate(image) * image[..., 0].size
        assert abs(sizes[-1] - estimate) < 0.03 * estimate + 64
    assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize(
    "model, words",
    [
        ("paka_autoencoder/bottleneck_lambda0_040", "no bits to choose"),
        ("donis_convlstm/as_run", "one iteration"),
    ],
)
def test_presets_of_one_rate_have_no_target(model, words):
    with pytest.raises(RelicError, match=f"has one rate .*{words}"):
        find(codec_of(model), photograph(), Target("bpp", 1), papers.rate_setting(model))


def test_a_paper_without_a_setting_that_orders_rates_has_no_target():
    with pytest.raises(RelicError, match="deshmukh_irm/rgb has no setting that its rate rises or falls with"):
        papers.rate_setting("deshmukh_irm/rgb")


def test_a_setting_in_parts_is_read_and_shown_as_a_number():
    assert [STEP.check("step", value) for value in (1.25, -0.0625, np.float32(2), 3)] == [20, -1, 32, 48]
    assert [str(STEP.of_parts(number)) for number in (20, -1, 32)] == ["1.25", "-0.0625", "2"]
    for value in (0.1, 40.0625, -25, math.nan, "1"):
        with pytest.raises(RelicError, match="is not from -24 to 40, a multiple of 1/16"):
            STEP.check("step", value)
