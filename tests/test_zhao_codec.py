"""The codec of Zhao et al.: a standard codec's file in our container, and what networks that do nothing make of it."""

import dataclasses
import functools
import io
import math
import struct

import cv2
import numpy as np
import pytest
from narrow import picture
from PIL import Image
from test_container import mutations

from common import backend, metrics
from common.classical import codecs
from common.coding import container
from common.coding.container import ContainerError
from common.errors import RelicError
from common.training import checkpoints, weights
from papers.zhao_mixedres import codec as codec_module
from papers.zhao_mixedres import config
from papers.zhao_mixedres.codec import Codec
from papers.zhao_mixedres.learning import Networks
from papers.zhao_mixedres.standard_codec import shortest_file

stack = pytest.mark.stack


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """Return narrow networks of a preset as learning starts: bicubic in low resolution, the identity in full."""

    @functools.cache
    def save(preset):
        narrow = dataclasses.replace(getattr(config, preset.upper()), num_maps=4)
        backend.set_seed(2)  # some starts leave networks whose outputs hardly depend on anything
        path = tmp_path_factory.mktemp(preset) / "weights.safetensors"
        weights.save(path, f"zhao_mixedres/{preset}", narrow, checkpoints.model_arrays(Networks(narrow)), {})
        return weights.load(path)

    return save


@pytest.fixture(scope="module")
def codec_of(stored):
    """Return a function from a preset's name to the codec of these networks, compiled once."""
    return functools.cache(lambda preset: Codec(stored(preset)))


@stack
def test_around_networks_that_do_nothing_it_is_jpeg(codec_of):
    image = picture(67, 45, channels=1)
    codec, jpeg = codec_of("full_qf20"), codecs.Jpeg(20, optimised=True)
    file = codec.compress(image)
    assert container.unpack(file)[1] == [jpeg.compress(image)]
    np.testing.assert_array_equal(codec.decompress(file), jpeg.decompress(jpeg.compress(image)))


@stack
def test_in_low_resolution_jpeg_codes_a_quarter_of_the_pixels(codec_of):
    image = picture(128, 96, channels=1)
    codec = codec_of("low_qf10")
    file = codec.compress(image)
    (section,) = container.unpack(file)[1]
    y = codec.representation(image)
    assert section == codecs.Jpeg(10, optimised=True).compress(y)
    # Within a level of Pillow's, which rounds between rows and columns.
    assert difference(y, scaled(image, 64, 48)) <= 1
    z = codecs.Jpeg(10).decompress(section)
    assert difference(codec.decompress(file), scaled(z, 128, 96)) <= 1


@stack
def test_files_with_the_standards_huffman_tables_still_decode(codec_of):
    image = picture(67, 45, channels=1)
    codec = codec_of("full_qf20")
    before = codec.with_settings()
    before.standard = codecs.Jpeg(20)
    file, older = codec.compress(image), before.compress(image)
    assert len(older) > len(file)
    np.testing.assert_array_equal(codec.decompress(older), codec.decompress(file))


def scaled(image, height, width):
    return np.asarray(Image.fromarray(image).resize((width, height), Image.BICUBIC))


def difference(x, y):
    return np.abs(x.astype(int) - y)[10:-10, 10:-10].max()


def test_a_colour_picture_is_its_luma_by_the_networks_and_its_chroma_by_the_standard_codec(codec_of):
    image = picture(70, 50)
    codec = codec_of("full_qf20")
    sections = container.unpack(codec.compress(image))[1]
    luma, cr, cb = cv2.split(cv2.cvtColor(image, cv2.COLOR_RGB2YCrCb))
    assert sections[0] == codecs.Jpeg(20, optimised=True).compress(luma)
    chroma = codecs.Jpeg(20).decompress(sections[1])
    assert chroma.shape == (2 * 35, 25)  # half the sides, both planes
    small = [cv2.resize(plane, (25, 35), interpolation=cv2.INTER_AREA) for plane in (cr, cb)]
    assert metrics.psnr(np.concatenate(small), chroma) > 30


def test_colour_is_about_as_good_as_jpegs_own(codec_of):
    image = picture(160, 160)
    decoded, jpeg = codec_of("full_qf20"), codecs.Jpeg(20)
    own = metrics.psnr(image, jpeg.decompress(jpeg.compress(image)))
    assert abs(metrics.psnr(image, decoded.decompress(decoded.compress(image))) - own) < 1.5


def test_another_setting_changes_the_file_and_any_of_these_codecs_decodes_it(codec_of):
    image = picture(64, 64, channels=1)
    codec = codec_of("low_qf10")
    fine = codec.with_settings(quality=90)
    assert len(fine.compress(image)) > len(codec.compress(image))
    np.testing.assert_array_equal(codec.decompress(fine.compress(image)), fine.decompress(fine.compress(image)))
    assert codec.standard == codecs.Jpeg(10, optimised=True)
    with pytest.raises(RelicError, match="no quality 101"):
        codec.with_settings(quality=101)


@pytest.mark.slow
@stack
@pytest.mark.parametrize("preset", ["low_qf10", "full_qf20"])
def test_a_flat_picture_stays_flat_to_its_edges(preset, stored):
    """Of zeros around it the layers would make other levels near the edges. A transposed layer has a period of two."""
    file = stored(preset)
    rng = np.random.RandomState(0)
    spread = {name: a + rng.normal(0, 0.02, a.shape).astype(np.float16) for name, a in file.arrays.items()}
    codec = Codec(dataclasses.replace(file, arrays=spread))
    for side in (2, 50):
        flat = np.full((side, side), 190, np.uint8)
        assert np.ptp(codec.representation(flat)) <= 1
        x_hat, stride = codec.restored(flat), codec.config.stride
        assert all(np.ptp(x_hat[i::stride, j::stride]) <= 1 for i in range(stride) for j in range(stride))


@pytest.mark.slow
@stack
@pytest.mark.parametrize("preset", ["low_qf10", "full_qf20"])
def test_strips_change_nothing(preset, stored, monkeypatch):
    """Weights that reach as far as the layers do: every kernel is spread over its window."""
    file = stored(preset)
    rng = np.random.RandomState(0)
    spread = {name: a + rng.normal(0, 0.02, a.shape).astype(np.float16) for name, a in file.arrays.items()}
    file = dataclasses.replace(file, arrays=spread)
    image = picture(150, 40, channels=1)
    whole = Codec(file)
    y = whole.representation(image)
    x_hat = whole.restored(y)
    monkeypatch.setattr(codec_module, "STRIP_PIXELS", 40 * 20)
    strips = Codec(file)
    # Rounding may tip over where sums of floats differ in their last bits.
    assert np.abs(strips.representation(image).astype(int) - y).max() <= 1
    assert np.abs(strips.restored(y).astype(int) - x_hat).max() <= 1
    monkeypatch.setattr(codec_module, "HALO", 2)
    assert np.abs(Codec(file).restored(y).astype(int) - x_hat).max() > 1


def damaged(section):
    """Return files that could stand in a section's place but are not its picture."""
    wrong_size = codecs.Jpeg(10).compress(picture(8, 8, channels=1))
    colour = codecs.Jpeg(10).compress(picture(20, 20))
    return {"cut": section[:20], "empty": b"", "other bytes": b"\0" * 100, "other size": wrong_size, "colour": colour}


@pytest.mark.slow
@pytest.mark.parametrize("how", damaged(b""))
def test_a_damaged_jpeg_section_is_one_clear_error(how, codec_of):
    codec = codec_of("low_qf10")
    header, (section,) = container.unpack(codec.compress(picture(40, 40, channels=1)))
    with pytest.raises(ContainerError, match="the JPEG file inside this file is damaged"):
        codec.decompress(container.pack(header, [damaged(section)[how]]))


# --- files inside files --------------------------------------------------------------------------------------------


def claiming(file, height, width):
    """Return a JPEG, WebP or JPEG2000 file whose header claims a picture of another size."""
    if file[:2] == b"\xff\xd8":
        at = file.index(b"\xff\xc0") + 5  # SOF0: marker, length, depth, then height and width
        return file[:at] + struct.pack(">HH", height, width) + file[at + 4 :]
    if file[:4] == b"RIFF":
        at = file.index(b"\x9d\x01\x2a") + 3  # VP8: the start code, then width and height in 14 bits
        return file[:at] + struct.pack("<HH", min(width, 16383), min(height, 16383)) + file[at + 4 :]
    box, size = file.index(b"ihdr") + 4, file.index(b"\xff\x51") + 6
    file = file[:box] + struct.pack(">II", height, width) + file[box + 8 :]
    file = file[:size] + struct.pack(">II", width, height) + file[size + 8 :]
    return file[: size + 16] + struct.pack(">II", width, height) + file[size + 24 :]  # one tile of all


PRESETS = ("low_qf10", "half_webp", "half_jpeg2000")


def codec_and_file(codec_of, preset):
    """Return a codec, and header and standard file of a small grey picture."""
    codec = codec_of(preset)
    header, (section,) = container.unpack(codec.compress(picture(40, 36, channels=1)))
    return codec, header, section


@pytest.mark.parametrize("size", [(65500, 65500), (32768, 32768), (16383, 16383), (20, 19), (1, 1)])
@pytest.mark.parametrize("preset", PRESETS)
def test_a_standard_file_of_another_size_than_the_header_s_is_refused_before_it_is_decoded(
    preset, size, codec_of, monkeypatch
):
    codec, header, section = codec_and_file(codec_of, preset)
    monkeypatch.setattr(type(codec.standard), "decompress", lambda *_: pytest.fail("its pixels are not asked for"))
    with pytest.raises(ContainerError, match="file inside this file is damaged: compress the picture again"):
        codec.decompress(container.pack(header, [claiming(section, *size)]))


def test_a_jpeg_file_that_is_too_short_for_the_pixels_it_claims_is_refused_before_it_is_decoded(codec_of, monkeypatch):
    codec, header, section = codec_and_file(codec_of, "low_qf10")
    monkeypatch.setenv("RELIC_MAX_PIXELS", str(container.MAX_PIXELS))
    monkeypatch.setattr(type(codec.standard), "decompress", lambda *_: pytest.fail("its pixels are not asked for"))
    large = dataclasses.replace(header, height=2**14, width=2**14)
    with pytest.raises(ContainerError, match="the JPEG file inside this file is damaged"):
        codec.decompress(container.pack(large, [claiming(section, 2**13, 2**13)]))


@pytest.mark.parametrize("shape", [(8, 8), (256, 512), (333, 77)])
@pytest.mark.parametrize("quality", [1, 10, 100])
def test_no_jpeg_file_is_shorter_than_the_shortest_that_is_taken(quality, shape):
    flat, settings = np.full(shape, 128, np.uint8), config.LOW_QF10
    shortest = shortest_file(settings, *shape)
    assert shortest <= len(codecs.Jpeg(quality, optimised=True).compress(flat)) <= shortest + 200
    assert shortest_file(config.HALF_WEBP, *shape) == 0


def test_a_jpeg2000_file_of_16_bits_is_refused(codec_of):
    codec, header, _ = codec_and_file(codec_of, "half_jpeg2000")
    file = io.BytesIO()
    Image.fromarray(np.full((20, 18), 40_000, np.uint16)).save(file, "JPEG2000")
    with pytest.raises(ContainerError, match="the JPEG2000 file inside this file is damaged"):
        codec.decompress(container.pack(header, [file.getvalue()]))


@pytest.mark.parametrize("preset", PRESETS)
def test_a_hundred_damaged_standard_files_give_a_picture_or_one_sentence_and_no_library_adds_its_own(
    preset, codec_of, monkeypatch, capfd
):
    codec, header, section = codec_and_file(codec_of, preset)
    monkeypatch.setattr(
        codec, "restored", lambda z: np.repeat(np.repeat(z, codec.config.stride, 0), codec.config.stride, 1)
    )
    refused = 0
    for changed, _ in zip(mutations(section, np.random.default_rng(0)), range(100), strict=False):
        try:
            assert codec.decompress(container.pack(header, [changed])).shape == (40, 36)
        except RelicError as error:
            refused += 1
            assert "file inside this file is damaged" in str(error) and "\n" not in str(error)
    assert refused > 20 and capfd.readouterr() == ("", "")


def test_the_halo_is_as_far_as_the_layers_see():
    """Rows of the representation: 9x9 and 3x3 windows reach 4 and 1, strided ones in units of two."""
    full = 4 + 6 * 1 + 4
    low_fdnn = math.ceil((4 + 2 + 5 * 2 + 4 * 2) / 2)
    low_ppnn = 4 + 6 + math.ceil(5 / 2)
    assert max(full, low_fdnn, low_ppnn) <= codec_module.HALO
