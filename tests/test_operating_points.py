"""Curves of classical codecs and the settings that reach a rate or a quality, against trying every setting."""

import functools

import numpy as np
import pytest

from common import evaluate, metrics
from common.classical import codecs, operating_points
from common.classical.codecs import Family, Jpeg
from common.classical.operating_points import MeasuredCurve
from common.errors import RelicError
from common.tables.document import ANCHORS

JPEG = codecs.family("JPEG")
BLACK = np.zeros((10, 10), np.uint8)


def picture(height: int = 176, width: int = 192) -> np.ndarray:
    data = pytest.importorskip("skimage.data")
    return np.ascontiguousarray(data.astronaut()[:height, 100 : 100 + width])


def flat(*shape: int) -> np.ndarray:
    return np.full(shape, 100, np.uint8)


@pytest.fixture(scope="module")
def every() -> MeasuredCurve:
    """Return JPEG's curve over all its settings."""
    return operating_points.curve(JPEG, picture(), range(1, 101))


# --- curves ----------------------------------------------------------------------------------------------------------


def test_a_curve_rises_strictly_in_rate(every):
    assert (np.diff(every.bpp) > 0).all() and (np.diff(every.settings) > 0).all()
    assert len(every.bpp) == len(every.psnr) == len(every.ms_ssim) == len(every.settings) > 80
    assert every.psnr[-1] > every.psnr[0] + 10


def test_a_curve_holds_what_measuring_gives(every):
    found = evaluate.measure(Jpeg(50), picture(), "")
    at = list(every.settings).index(50)
    assert (every.bpp[at], every.psnr[at], every.ms_ssim[at]) == (found.bpp, found.psnr, found.ms_ssim)


def test_a_curve_is_drawn_over_the_grid_unless_told_otherwise():
    found = operating_points.curve(JPEG, picture(64, 64))
    assert set(found.settings) <= set(JPEG.grid) and len(found.settings) > 20


def test_of_settings_with_equal_rates_a_curve_keeps_the_finest():
    image = flat(16, 16, 3)
    sizes = [len(Jpeg(q).compress(image)) for q in (1, 2, 3)]
    assert len(set(sizes)) == 1
    assert list(operating_points.curve(JPEG, image, (1, 2, 3)).settings) == [3]


def test_small_pictures_have_curves_without_ms_ssim():
    assert np.isnan(operating_points.curve(JPEG, picture(32, 32), (20, 80)).ms_ssim).all()


def test_a_curve_over_a_setting_that_does_not_exist_is_refused():
    with pytest.raises(RelicError, match="JPEG has no setting 0"):
        operating_points.curve(JPEG, picture(32, 32), (0, 50))


# --- at a rate -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bpp", [0.33, 0.5, 0.77, 1.9, 4.0])
def test_bisection_finds_what_the_whole_curve_says(every, bpp):
    found = operating_points.at_bpp(JPEG, picture(), bpp)
    assert found["bpp_low"] < found["bpp"] == bpp <= found["bpp_high"]
    assert not any(found["bpp_low"] < rate < found["bpp_high"] for rate in every.bpp)
    assert found["ms_ssim"] == pytest.approx(np.interp(bpp, every.bpp, every.ms_ssim), abs=1e-12)
    assert found["psnr"] == pytest.approx(np.interp(bpp, every.bpp, every.psnr), abs=1e-9)


@pytest.mark.parametrize("quality", [3, 7, 50, 100])
def test_at_a_rate_that_jpeg_has_the_values_are_those_of_that_file(quality):
    exact = evaluate.measure(Jpeg(quality), picture(), "")
    found = operating_points.at_bpp(JPEG, picture(), exact.bpp)
    assert found["bpp_high"] == exact.bpp
    assert found["psnr"] == pytest.approx(exact.psnr, abs=1e-12)
    assert found["ms_ssim"] == pytest.approx(exact.ms_ssim, abs=1e-12)


@pytest.mark.parametrize("bpp, end", [(0.001, 0), (100.0, -1)])
def test_beyond_its_range_the_values_and_rates_are_those_of_the_smallest_or_largest_file(every, bpp, end):
    found = operating_points.at_bpp(JPEG, picture(), bpp)
    assert found["bpp"] == found["bpp_low"] == found["bpp_high"] == every.bpp[end] != bpp
    assert (found["psnr"], found["ms_ssim"]) == (every.psnr[end], every.ms_ssim[end])


def test_only_the_two_neighbouring_settings_are_measured(monkeypatch):
    measured = []

    def counting(codec, image, name):
        measured.append(codec.quality)
        return evaluate.measure(codec, image, name)

    monkeypatch.setattr(operating_points, "measure", counting)
    operating_points.at_bpp(JPEG, picture(), 0.8)
    assert len(measured) == 2 and measured[1] == measured[0] + 1


def test_small_pictures_have_a_psnr_and_no_ms_ssim_at_a_rate():
    found = operating_points.at_bpp(JPEG, picture(32, 32), 3.5)
    assert found["ms_ssim"] is None
    assert 15 < found["psnr"] < 50


def test_jpeg_at_a_rate_is_better_with_tables_made_for_the_picture():
    found = operating_points.jpegs_at_bpp(picture(), 0.5)
    assert set(found) == {f"{jpeg}_{of}" for jpeg in ANCHORS for of in ("bpp", "psnr", "ms_ssim")}
    assert found["optimised_psnr"] > found["jpeg_psnr"] + 0.3 and found["optimised_bpp"] == found["jpeg_bpp"] == 0.5


def test_another_codec_is_met_at_a_rate_too():
    found = operating_points.at_bpp(codecs.family("JPEG2000"), picture(), 1.0)
    assert found["bpp_low"] < 1 <= found["bpp_high"] < found["bpp_low"] + 0.1
    assert found["psnr"] > operating_points.at_bpp(JPEG, picture(), 1.0)["psnr"]


# --- the setting for a quality or a rate -----------------------------------------------------------------------------


class Listed:
    """A codec of grey pictures 10x10: setting s takes sizes[s] bytes and makes black as bright as errors[s]."""

    def __init__(self, setting: int, sizes: list, errors: list, asked: list) -> None:
        self.size, self.error, self.asked = sizes[setting], errors[setting], asked
        self.setting = setting

    def compress(self, image: np.ndarray) -> bytes:
        self.asked.append(self.setting)
        return bytes([self.error]) * self.size

    def decompress(self, data: bytes) -> np.ndarray:
        return np.full((10, 10), data[0], np.uint8)


def listed(sizes: list, errors: list, asked: list, order=None) -> Family:
    make = functools.partial(Listed, sizes=sizes, errors=errors, asked=asked)
    settings = tuple(order or range(len(sizes)))
    return Family("Listed", make, settings, settings, lambda: "")


def out_of_order(generator: np.random.Generator, count: int, top: int) -> list:
    """Return rising numbers of which neighbours were exchanged and some are equal."""
    values = np.sort(generator.integers(1, top, count))
    for at in range(0, count - 1, 2):
        if generator.random() < 0.5:
            values[[at, at + 1]] = values[[at + 1, at]]
    return values.tolist()


@pytest.mark.parametrize("seed", range(30))
def test_bisection_agrees_with_trying_every_setting_where_neighbours_are_out_of_order(seed):
    generator = np.random.default_rng(seed)
    sizes, errors = out_of_order(generator, 60, 400), out_of_order(generator, 60, 100)[::-1]
    family, image = listed(sizes, errors, []), BLACK
    psnr = metrics.psnr(image, image + np.uint8(generator.integers(max(errors[-3:]), 120)))
    bpp = 8 * int(generator.integers(max(sizes[:3]), 420)) / 100
    good_enough = [s for s in range(60) if metrics.psnr(image, image + np.uint8(errors[s])) >= psnr]
    small_enough = [s for s in range(60) if 8 * sizes[s] / 100 <= bpp]
    assert operating_points.setting_for_psnr(family, image, psnr)[0] == good_enough[0]
    assert operating_points.setting_for_bpp(family, image, bpp)[0] == small_enough[-1]


@pytest.fixture(scope="module")
def tried() -> dict[int, tuple[float, float]]:
    """Return bpp and PSNR of every setting of JPEG."""
    files = {setting: Jpeg(setting).compress(picture()) for setting in JPEG.settings}
    return {s: (8 * len(f) / (176 * 192), metrics.psnr(picture(), Jpeg(s).decompress(f))) for s, f in files.items()}


@pytest.mark.parametrize("psnr", [24.0, 30.0, 33.3, 38.0])
def test_the_setting_for_a_psnr_of_jpeg_is_the_coarsest_that_reaches_it(tried, psnr):
    setting, found = operating_points.setting_for_psnr(JPEG, picture(), psnr)
    assert setting == min(s for s in tried if tried[s][1] >= psnr)
    assert (found.bpp, found.psnr) == tried[setting]


@pytest.mark.parametrize("bpp", [0.4, 1.0, 2.5])
def test_the_setting_for_a_rate_of_jpeg_is_the_finest_that_fits(tried, bpp):
    setting, found = operating_points.setting_for_bpp(JPEG, picture(), bpp)
    assert setting == max(s for s in tried if tried[s][0] <= bpp)
    assert (found.bpp, found.psnr) == tried[setting]


def test_settings_may_fall_from_the_smallest_file_to_the_largest():
    sizes, errors = [40, 30, 20, 10], [1, 2, 3, 4]
    family = listed(sizes, errors, [], order=(3, 2, 1, 0))
    assert operating_points.setting_for_psnr(family, BLACK, 20 * np.log10(255 / 3) - 1e-9)[0] == 2
    assert operating_points.setting_for_bpp(family, BLACK, 2.4)[0] == 1
    assert list(operating_points.curve(family, BLACK).settings) == [3, 2, 1, 0]


def test_beyond_the_range_there_is_a_setting_or_one_sentence():
    family = listed([10, 20, 30], [3, 2, 1], [])
    assert operating_points.setting_for_psnr(family, BLACK, 1.0)[0] == 0
    assert operating_points.setting_for_bpp(family, BLACK, 99.0)[0] == 2
    with pytest.raises(RelicError, match="reaches 60 dB at none"):
        operating_points.setting_for_psnr(family, BLACK, 60.0)
    with pytest.raises(RelicError, match="no file as small as 0.5 bpp"):
        operating_points.setting_for_bpp(family, BLACK, 0.5)


@pytest.mark.parametrize(
    "look_for", [operating_points.at_bpp, operating_points.setting_for_bpp, operating_points.setting_for_psnr]
)
def test_nan_is_nothing_to_look_for(look_for):
    with pytest.raises(RelicError, match="NaN is no"):
        look_for(JPEG, BLACK, float("nan"))


def test_few_settings_are_tried_each_once_before_the_answer_is_measured():
    asked: list = []
    family = listed(list(range(1, 257)), list(range(255, -1, -1)), asked)
    setting, found = operating_points.setting_for_psnr(family, BLACK, 20 * np.log10(255 / 100))
    assert setting == 155 and found.bpp == 8 * 156 / 100
    assert asked.pop() == setting  # measure
    assert len(asked) == len(set(asked)) <= 8 + operating_points.NEIGHBOURS + 1


def test_searching_a_rate_looks_at_no_quality(monkeypatch):
    monkeypatch.setattr(metrics, "ms_ssim", lambda *_: pytest.fail("MS-SSIM was computed"))
    operating_points.setting_for_psnr(JPEG, picture(100, 100), 30.0)
    decoded = []
    monkeypatch.setattr(Jpeg, "decompress", lambda self, data: decoded.append(data) or picture(100, 100))
    operating_points.setting_for_bpp(JPEG, picture(100, 100), 1.0)
    assert len(decoded) == 1
