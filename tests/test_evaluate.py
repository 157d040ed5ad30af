"""Measuring codecs: bytes are counted and uint8 compared."""

import dataclasses
import json
import math
import time
from pathlib import Path

import numpy as np
import pytest

from common import evaluate, metrics
from common.coding.container import Header, pack
from common.errors import RelicError
from common.tables.measure import fields

ROOT = Path(__file__).parents[1]


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
    found = evaluate.measure(Raw(image.shape, error=5), image, "", ("ssim", "ms_ssim"))
    assert found.psnr == pytest.approx(20 * math.log10(51))
    assert found.ssim == metrics.ssim(image, image + np.uint8(5)) < 1
    assert found.ms_ssim == metrics.ms_ssim(image, image + np.uint8(5)) < 1


@pytest.mark.parametrize(
    "asked, has_ssim, has_ms_ssim",
    [(("ms_ssim",), False, True), (("ssim",), True, False), (("ssim", "ms_ssim"), True, True), ((), False, False)],
)
def test_similarities_that_are_not_asked_for_are_none_and_not_computed(asked, has_ssim, has_ms_ssim, monkeypatch):
    image, computed = flat(161, 170), []
    for name in ("ssim", "ms_ssim"):
        monkeypatch.setattr(metrics, name, lambda x, y, name=name: computed.append(name) or 0.5)
    found = evaluate.measure(Raw(image.shape), image, "", asked)
    assert (found.ssim, found.ms_ssim) == (0.5 if has_ssim else None, 0.5 if has_ms_ssim else None)
    assert sorted(computed) == sorted(asked)


def test_unless_told_otherwise_ms_ssim_is_computed_alone():
    image = flat(161, 170)
    found = evaluate.measure(Raw(image.shape), image, "")
    assert (found.ssim, found.ms_ssim) == (None, 1.0)


def test_the_decoded_picture_is_there_for_those_who_show_it():
    image = picture(30, 20)
    found, decoded = evaluate.round_trip(Raw(image.shape, error=5), image, "p", ("ssim",))
    assert np.array_equal(decoded, image + np.uint8(5))
    assert (found.psnr, found.ssim) == (metrics.psnr(image, decoded), metrics.ssim(image, decoded))


def test_a_rate_is_that_of_the_whole_file_which_is_not_decoded():
    class Encoder(Raw):
        def decompress(self, data):
            raise AssertionError("a rate needs no picture")

    assert evaluate.rate(Encoder((4, 8), prefix=b"four"), flat(4, 8)) == 8 + 8 * 4 / 32


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


@pytest.mark.parametrize("table", ["small/cheng_resnet/table4", "paper/paka_autoencoder/table1"])
def test_committed_tables_hold_all_of_a_measurement_but_its_name_and_ssim(table):
    committed = json.loads((ROOT / f"results/{table}.json").read_text())["pictures"][0]
    names = {field.name for field in dataclasses.fields(evaluate.Measurement)}
    found = fields(evaluate.measure(Raw((4, 4)), flat(4, 4), "p", ("ssim", "ms_ssim")))
    assert "ssim" not in committed and list(found) == [key for key in committed if key in names]


@pytest.mark.parametrize("name, smallest", [("ssim", 11), ("ms_ssim", 161)])
def test_ssim_is_none_below_11_pixels_and_ms_ssim_below_161(name, smallest):
    for sides, expected in (((0, 0), 1.0), ((-1, 0), None), ((0, -1), None)):
        size = tuple(smallest + side for side in sides)
        assert getattr(evaluate.measure(Raw(size), flat(*size), "", (name,)), name) == expected


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
