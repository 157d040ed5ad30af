"""Measuring codecs: bytes are counted and uint8 compared."""

import dataclasses
import math
import time

import numpy as np
import pytest

from common import evaluate, metrics
from common.coding.container import Header, pack
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
