"""Measuring codecs: bytes are counted and uint8 compared; JPEG as the anchor."""
from __future__ import annotations

import dataclasses
import io
import math
import re
import time

import cv2
import numpy as np
import pytest

from common import codecs, evaluate, metrics
from common.codecs import Curve, Jpeg
from common.container import Header, pack
from common.errors import RelicError


class Raw:
    """Stores the pixels as they are, behind `prefix`, and adds `error` to every pixel it gives back."""

    def __init__(self, shape: tuple, prefix: bytes = b"", error: int = 0) -> None:
        self.shape, self.prefix, self.error = shape, prefix, error

    def compress(self, image: np.ndarray) -> bytes:
        return self.prefix + image.tobytes()

    def decompress(self, data: bytes) -> np.ndarray:
        return np.frombuffer(data[len(self.prefix) :], np.uint8).reshape(self.shape) + np.uint8(self.error)


def picture(height: int = 176, width: int = 192) -> np.ndarray:
    data = pytest.importorskip("skimage.data")
    return np.ascontiguousarray(data.astronaut()[:height, 100 : 100 + width])


def flat(*shape: int) -> np.ndarray:
    return np.full(shape, 100, np.uint8)


# --- measure ---------------------------------------------------------------------------------------------------------


def test_raw_pixels_cost_24_bits_and_lose_nothing():
    image = picture(30, 20)
    found = evaluate.measure(Raw(image.shape), image, "kodim01.png")
    assert (found.name, found.height, found.width) == ("kodim01.png", 30, 20)
    assert found.num_bytes == found.payload_bytes == 3 * 30 * 20
    assert found.bpp == found.payload_bpp == 24
    assert found.psnr == math.inf


def test_every_byte_of_the_file_counts():
    image = flat(4, 8)
    assert evaluate.measure(Raw(image.shape, prefix=b"RIFF and 8 more"), image, "grey").bpp == 8 + 8 * 15 / 32


def test_the_quality_is_that_of_the_decoded_picture():
    image = flat(161, 170, 3)
    found = evaluate.measure(Raw(image.shape, error=5), image, "")
    assert found.psnr == pytest.approx(20 * math.log10(51))
    assert found.ms_ssim == metrics.ms_ssim(image, image + np.uint8(5)) < 1


def test_the_payload_leaves_out_the_header_of_the_container():
    class InContainer(Raw):
        def compress(self, image):
            return pack(Header("some/model", bytes(8), *image.shape), [b"z" * 7, b"y" * 90])

        def decompress(self, data):
            return flat(16, 10, 3)

    found = evaluate.measure(InContainer(()), flat(16, 10, 3), "")
    assert found.payload_bytes == 97
    assert found.num_bytes == len(InContainer(()).compress(flat(16, 10, 3))) > 97
    assert found.payload_bpp == 8 * 97 / 160
    assert found.bpp == 8 * found.num_bytes / 160


@pytest.mark.parametrize("size, has_ms_ssim", [((161, 161), True), ((160, 161), False), ((161, 160), False)])
def test_ms_ssim_is_none_below_161_pixels(size, has_ms_ssim):
    found = evaluate.measure(Raw(size), flat(*size), "")
    assert found.ms_ssim == (1.0 if has_ms_ssim else None)


def test_encoding_and_decoding_are_timed_apart():
    class Slow(Raw):
        def compress(self, image):
            time.sleep(0.05)
            return super().compress(image)

        def decompress(self, data):
            time.sleep(0.2)
            return super().decompress(data)

    found = evaluate.measure(Slow((4, 4)), flat(4, 4), "")
    assert 0.05 <= found.encoding_time < 0.2 <= found.decoding_time


@pytest.mark.parametrize("decoded", [flat(4, 5), flat(5, 4, 3), flat(5, 4) / 255, None])
def test_a_codec_that_gives_back_no_such_picture_is_refused(decoded):
    class Wrong(Raw):
        def decompress(self, data):
            return decoded

    with pytest.raises(RelicError):
        evaluate.measure(Wrong((5, 4)), flat(5, 4), "p")


def test_a_codec_that_returns_no_bytes_is_refused():
    class Keeps(Raw):
        def compress(self, image):
            return image

    with pytest.raises(RelicError, match="must return bytes"):
        evaluate.measure(Keeps((5, 4)), flat(5, 4), "p")


def test_a_picture_that_is_not_uint8_is_refused_before_it_is_coded():
    with pytest.raises(RelicError, match="uint8"):
        evaluate.measure(None, flat(5, 4) / 255, "p")


def test_a_measurement_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        evaluate.measure(Raw((5, 4)), flat(5, 4), "p").bpp = 0


# --- evaluate and mean -----------------------------------------------------------------------------------------------


def test_pictures_are_measured_in_order_and_progress_sees_each():
    images = [("b", flat(4, 4)), ("a", flat(4, 4))]
    seen = []
    found = evaluate.evaluate(Raw((4, 4)), images, seen.append)
    assert [m.name for m in found] == ["b", "a"]
    assert seen == found
    assert [m.name for m in evaluate.evaluate(Raw((4, 4)), iter(images))] == ["b", "a"]


def measurement(**fields) -> evaluate.Measurement:
    return dataclasses.replace(evaluate.measure(Raw((4, 4)), flat(4, 4), "p"), **fields)


def test_the_mean_counts_every_picture_once_whatever_its_size():
    found = [measurement(bpp=1.0, height=4), measurement(bpp=2.0, height=4000)]
    assert evaluate.mean(found, "bpp") == 1.5


def test_there_is_no_mean_where_a_picture_has_no_value():
    assert evaluate.mean([measurement(ms_ssim=0.5), measurement(ms_ssim=None)], "ms_ssim") is None


@pytest.mark.parametrize("field", ["name", "bitrate"])
def test_the_mean_of_what_is_no_number_names_the_fields(field):
    with pytest.raises(RelicError, match="choose one of height, .*bpp"):
        evaluate.mean([measurement()], field)


def test_there_is_no_mean_of_no_pictures():
    with pytest.raises(RelicError, match="at least one"):
        evaluate.mean([], "bpp")


# --- JPEG ------------------------------------------------------------------------------------------------------------


def sampling_factors(data: bytes) -> list[int]:
    """Return each component's sampling byte from the frame header (marker SOF0) of a JPEG file."""
    start = data.index(b"\xff\xc0") + 9
    return [data[start + 2 + 3 * component] for component in range(data[start])]


def test_colour_has_half_resolution_both_ways():
    assert sampling_factors(Jpeg(95).compress(picture())) == [0x22, 0x11, 0x11]


def test_a_grey_picture_has_one_component():
    assert len(sampling_factors(Jpeg(50).compress(picture()[..., 0]))) == 1


def test_another_decoder_reads_the_same_picture():
    pillow = pytest.importorskip("PIL.Image")
    image = picture()
    data = Jpeg(90).compress(image)
    theirs = np.asarray(pillow.open(io.BytesIO(data)), np.float64)
    assert theirs.shape == image.shape
    assert np.abs(theirs - Jpeg(90).decompress(data)).mean() < 1
    assert np.abs(theirs - image).mean() < 5


def test_red_stays_red():
    image = np.zeros((16, 16, 3), np.uint8)
    image[..., 0] = 255
    assert np.abs(Jpeg(95).decompress(Jpeg(95).compress(image)).astype(int) - image).max() <= 3


@pytest.mark.parametrize("shape", [(1, 1), (1, 1, 3), (1, 17, 3), (9, 3), (33, 8, 3)])
def test_any_size_and_both_kinds_come_back(shape):
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    data = Jpeg(60).compress(image)
    decoded = Jpeg(60).decompress(data)
    assert decoded.shape == shape and decoded.dtype == np.uint8
    assert Jpeg(60).compress(image) == data


def test_the_label_names_the_library_and_its_version():
    assert Jpeg(30).label.startswith("JPEG 4:2:0 quality 30, OpenCV " + cv2.__version__)
    assert re.search(r"jpeg\S* \d+", Jpeg(30).label.split("(")[1])


@pytest.mark.parametrize("quality", [-1, 101])
def test_a_quality_outside_0_to_100_is_refused(quality):
    with pytest.raises(RelicError, match="choose 0 to 100"):
        Jpeg(quality)


@pytest.mark.parametrize("data", [b"", b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"RLIC and more"])
def test_what_is_no_jpeg_file_is_refused(data):
    with pytest.raises(RelicError, match="no JPEG file"):
        Jpeg(50).decompress(data)


def test_a_side_that_jpeg_cannot_hold_is_refused():
    with pytest.raises(RelicError, match="65500"):
        Jpeg(50).compress(np.zeros((1, 65501), np.uint8))


# --- JPEG's curve ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def curve() -> Curve:
    return codecs.jpeg_curve(picture(), range(1, 101))


def test_a_curve_rises_strictly_in_rate(curve):
    assert (np.diff(curve.bpp) > 0).all()
    assert len(curve.bpp) == len(curve.psnr) == len(curve.ms_ssim) == len(curve.qualities) > 80
    assert curve.psnr[-1] > curve.psnr[0] + 10


def test_a_curve_holds_what_measuring_gives(curve):
    found = evaluate.measure(Jpeg(50), picture(), "")
    at = list(curve.qualities).index(50)
    assert (curve.bpp[at], curve.psnr[at], curve.ms_ssim[at]) == (found.bpp, found.psnr, found.ms_ssim)


def test_of_qualities_with_equal_rates_a_curve_keeps_the_highest():
    curve = codecs.jpeg_curve(flat(16, 16, 3), (0, 1, 10, 50))
    rates = [8 * len(Jpeg(q).compress(flat(16, 16, 3))) / 256 for q in (0, 1, 10, 50)]
    assert rates[0] == rates[1]
    assert 0 not in curve.qualities
    assert curve.bpp[-1] == rates[-1] and (np.diff(curve.bpp) > 0).all()


def test_small_pictures_have_curves_without_ms_ssim():
    assert np.isnan(codecs.jpeg_curve(picture(32, 32), (20, 80)).ms_ssim).all()


@pytest.mark.parametrize("bpp, expected", [(0.2, 0.8), (0.3, 0.85), (0.35, 0.875), (0.1, 0.8), (9.0, 0.9)])
def test_ms_ssim_between_two_rates_is_linear_and_constant_outside(bpp, expected):
    curve = Curve(np.array([1, 2]), np.array([0.2, 0.4]), np.array([20.0, 22.0]), np.array([0.8, 0.9]))
    assert codecs.ms_ssim_at_bpp(curve, bpp) == pytest.approx(expected)


@pytest.mark.parametrize("bpp", [0.33, 0.5, 0.77, 1.9, 4.0])
def test_bisection_finds_what_the_whole_curve_says(curve, bpp):
    found = codecs.jpeg_at_bpp(picture(), bpp)
    assert found["bpp_low"] < found["bpp"] == bpp <= found["bpp_high"]
    assert not any(found["bpp_low"] < rate < found["bpp_high"] for rate in curve.bpp)
    assert found["ms_ssim"] == pytest.approx(codecs.ms_ssim_at_bpp(curve, bpp), abs=1e-12)
    assert found["psnr"] == pytest.approx(np.interp(bpp, curve.bpp, curve.psnr), abs=1e-9)


@pytest.mark.parametrize("quality", [3, 7, 50, 100])
def test_at_a_rate_that_jpeg_has_the_values_are_those_of_that_file(quality):
    exact = evaluate.measure(Jpeg(quality), picture(), "")
    found = codecs.jpeg_at_bpp(picture(), exact.bpp)
    assert found["bpp_high"] == exact.bpp
    assert found["psnr"] == pytest.approx(exact.psnr, abs=1e-12)
    assert found["ms_ssim"] == pytest.approx(exact.ms_ssim, abs=1e-12)


@pytest.mark.parametrize("bpp, end", [(0.001, 0), (100.0, -1)])
def test_beyond_its_range_the_values_and_rates_are_those_of_the_smallest_or_largest_file(curve, bpp, end):
    found = codecs.jpeg_at_bpp(picture(), bpp)
    assert found["bpp"] == found["bpp_low"] == found["bpp_high"] == curve.bpp[end] != bpp
    assert (found["psnr"], found["ms_ssim"]) == (curve.psnr[end], curve.ms_ssim[end])


def test_only_the_two_neighbouring_qualities_are_measured(monkeypatch):
    measured = []

    def counting(codec, image, name):
        measured.append(codec.quality)
        return evaluate.measure(codec, image, name)

    monkeypatch.setattr(codecs, "measure", counting)
    codecs.jpeg_at_bpp(picture(), 0.8)
    assert len(measured) == 2 and measured[1] == measured[0] + 1


def test_small_pictures_have_a_psnr_and_no_ms_ssim_at_a_rate():
    found = codecs.jpeg_at_bpp(picture(32, 32), 3.5)
    assert found["ms_ssim"] is None
    assert 15 < found["psnr"] < 50
