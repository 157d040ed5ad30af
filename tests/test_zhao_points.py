"""Points and curves of Zhao et al.: counted bytes, linear in the log rate, upper envelope, where curves cross."""

import math

import numpy as np
import pytest
from narrow import picture

from common import metrics
from common.classical import codecs
from common.coding import container
from common.errors import RelicError
from papers.zhao_mixedres.reproduction import points
from papers.zhao_mixedres.reproduction.points import Point

GREY = np.full((32, 32), 100, np.uint8)


def curve(*rates_and_levels, first=1):
    """Return points of (bpp, PSNR); SSIM is a hundredth of it, and the payload takes half of the file."""
    return [Point(first + i, bpp, bpp / 2, psnr, psnr / 100) for i, (bpp, psnr) in enumerate(rates_and_levels)]


def rates(curve):
    return [point.bpp for point in curve]


class Brighter:
    """A codec that makes a picture `levels` brighter and writes it as it is, in our container or without one."""

    def __init__(self, levels, header=None):
        self.levels, self.header = levels, header

    def compress(self, image):
        return container.pack(self.header, [image.tobytes()]) if self.header else image.tobytes()

    def decompress(self, data):
        payload = container.unpack(data)[1][0] if self.header else data
        return np.frombuffer(payload, np.uint8).reshape(GREY.shape) + np.uint8(self.levels)


# --- measuring ---


def test_every_byte_of_a_file_counts_and_the_quality_is_that_of_the_decoded_picture():
    point = points.measure(Brighter(5), GREY, 7)
    assert (point.setting, point.bpp, point.payload_bpp) == (7, 8.0, 8.0)
    assert point.psnr == pytest.approx(20 * math.log10(255 / 5), rel=1e-12)
    luminance = (2 * 100 * 105 + 2.55**2) / (100**2 + 105**2 + 2.55**2)  # SSIM of flat pictures
    assert point.ssim == pytest.approx(luminance, rel=1e-12)


def test_the_header_of_our_container_counts_but_for_the_payload():
    header = container.Header("zhao_mixedres/low_qf10", bytes(8), 32, 32, 1)
    point = points.measure(Brighter(1, header), GREY, 10)
    assert point.bpp == metrics.bits_per_pixel(len(container.pack(header, [GREY.tobytes()])), 32, 32) > 8
    assert point.payload_bpp == 8.0


def test_a_picture_too_small_for_ssim_has_no_point():
    with pytest.raises(RelicError, match="SSIM needs sides of at least 11 pixels, not 10x40"):
        points.measure(codecs.Jpeg(10), np.zeros((10, 40), np.uint8), 10)


def test_jpegs_points_are_its_files_at_every_quality():
    image = picture(64, 48, channels=1)
    found = points.jpeg(image)
    assert [point.setting for point in found] == list(points.JPEG_QUALITIES)
    assert {2, 3, 4, 5, 10, 15, 20, 25, 30} <= set(points.JPEG_QUALITIES)
    for point in found:
        file = codecs.Jpeg(point.setting).compress(image)
        decoded = codecs.Jpeg(point.setting).decompress(file)
        assert point.bpp == point.payload_bpp == 8 * len(file) / (64 * 48)
        assert (point.psnr, point.ssim) == (metrics.psnr(image, decoded), metrics.ssim(image, decoded))
    assert points.jpeg(image, (10,)) == [point for point in found if point.setting == 10]


# --- between points ---


def test_between_two_points_the_quality_is_linear_in_the_logarithm_of_the_rate():
    line = curve((0.4, 34.0), (0.1, 30.0))  # in any order
    assert points.at_rate(line, 0.2) == pytest.approx(32.0, abs=1e-12)
    assert points.at_rate(line, 0.1 * 4**0.25) == pytest.approx(31.0, abs=1e-12)
    assert points.at_rate(line, 0.2, "ssim") == pytest.approx(0.32, abs=1e-12)
    assert points.at_rate(line, 0.1, rate="payload_bpp") == pytest.approx(32.0, abs=1e-12)


def test_at_the_rate_of_a_point_the_quality_is_its_own_to_the_last_bit():
    generator = np.random.default_rng(3)
    line = curve(*zip(generator.uniform(0.01, 2, 500), generator.uniform(20, 40, 500), strict=True))
    assert [points.at_rate(line, point.bpp) for point in line] == [point.psnr for point in line]


def test_nothing_is_known_outside_a_curve():
    line = curve((0.1, 30.0), (0.4, 34.0))
    assert [points.at_rate(line, bpp) for bpp in (0.0999, 0.4001)] == [None, None]
    assert points.at_rate([], 0.2) is None
    assert [points.at_rate(line[:1], bpp) for bpp in (0.1, 0.2)] == [30.0, None]


# --- the upper envelope ---


def test_the_envelope_of_curves_without_common_rates_has_the_points_of_both():
    low, full = curve((0.1, 27.0), (0.2, 29.0)), curve((0.3, 31.0), (0.5, 33.0), first=10)
    assert points.envelope(low, full) == points.envelope(full, low) == [*low, *full]
    assert points.envelope(low, []) == points.envelope([], low) == low and points.envelope([], []) == []


def test_the_envelope_takes_of_each_curve_the_points_that_the_other_is_not_better_than():
    low = curve((0.1, 26.0), (0.2, 28.0), (0.4, 30.0), (0.8, 31.0))
    full = curve((0.2, 26.0), (0.4, 30.5), (0.8, 33.0), (1.6, 35.0), first=10)
    assert points.envelope(low, full) == [low[0], low[1], full[1], full[2], full[3]]
    better = curve((0.1, 27.0), (0.4, 31.0), (0.8, 34.0))
    assert points.envelope(low, better) == better


def test_the_envelope_is_nowhere_below_a_point_of_either_curve_and_rises():
    generator = np.random.default_rng(5)
    for _ in range(50):
        low, full = (
            curve(*zip(np.sort(generator.uniform(0.05, 1, n)), np.sort(generator.uniform(25, 35, n)), strict=True))
            for n in (3, 4)
        )
        upper = points.envelope(low, full)
        assert (np.diff(rates(upper)) > 0).all() and (np.diff([point.psnr for point in upper]) > 0).all()
        for point, other in [(p, full) for p in low] + [(p, low) for p in full]:
            beaten = (points.at_rate(other, point.bpp) or 0) > point.psnr
            cheaper = [one.psnr for one in (*low, *full) if one.bpp < point.bpp]
            assert (point in upper) == (not beaten and point.psnr > max(cheaper, default=0))


def test_a_point_that_costs_more_and_gives_no_more_is_not_in_the_envelope():
    falling = curve((0.1, 30.0), (0.2, 29.0), (0.3, 30.0), (0.4, 31.0))
    assert rates(points.envelope(falling, [])) == [0.1, 0.4]


def test_points_that_are_the_same_or_of_one_rate_stand_once_in_the_envelope():
    low, full = curve((0.1, 27.0), (0.2, 29.0)), curve((0.2, 29.0), (0.4, 31.0), first=10)
    assert [(point.bpp, point.psnr) for point in points.envelope(low, full)] == [(0.1, 27), (0.2, 29), (0.4, 31)]
    assert points.envelope(curve((0.2, 29.0)), curve((0.2, 30.0), first=10)) == curve((0.2, 30.0), first=10)


def test_the_envelope_may_be_of_another_quality_and_rate():
    low = [Point(5, 0.2, 0.1, 28.0, 0.80), Point(10, 0.5, 0.2, 29.0, 0.85)]
    full = [Point(10, 0.4, 0.3, 30.0, 0.70), Point(20, 0.8, 0.6, 32.0, 0.90)]
    assert [point.setting for point in points.envelope(low, full)] == [5, 10, 20]
    assert points.envelope(low, full)[1] is full[0]
    assert points.envelope(low, full, "ssim") == [low[0], low[1], full[1]]
    assert points.envelope(low, full, rate="payload_bpp") == [*low, *full]


# --- crossing ---


def test_lines_in_the_log_rate_cross_where_their_formulas_do():
    low = curve(*((bpp, 30 + 2 * math.log2(bpp)) for bpp in (0.1, 0.3, 0.9)))
    full = curve(*((bpp, 31 + 4 * math.log2(bpp)) for bpp in (0.2, 0.35, 0.6, 1.4)), first=10)
    assert points.crossing(low, full) == pytest.approx(2**-0.5, rel=1e-12)
    assert points.crossing(low, full, "ssim") == pytest.approx(2**-0.5, rel=1e-12)
    assert points.crossing(low, full, rate="payload_bpp") == pytest.approx(2**-0.5 / 2, rel=1e-12)


def test_curves_that_meet_in_a_point_cross_there():
    low = curve((0.1, 28.0), (0.2, 30.0), (0.4, 31.0))
    assert points.crossing(low, curve((0.1, 27.0), (0.2, 30.0), (0.4, 32.0))) == pytest.approx(0.2, rel=1e-12)


@pytest.mark.parametrize(
    "full",
    [
        [(0.1, 29.0), (0.4, 33.0)],  # better everywhere
        [(0.1, 27.0), (0.4, 31.0)],  # worse everywhere
        [(0.1, 29.0), (0.4, 31.0)],  # better only at first
        [(0.1, 27.0), (0.2, 31.0), (0.4, 31.0)],  # better only between
        [(0.1, 28.0), (0.4, 32.0)],  # the same
        [(0.5, 33.0), (0.8, 34.0)],  # at other rates
        [(0.4, 33.0), (0.8, 34.0)],  # at one common rate
        [],
    ],
)
def test_curves_of_which_full_does_not_become_better_have_no_crossing(full):
    assert points.crossing(curve((0.1, 28.0), (0.4, 32.0)), curve(*full)) is None


def test_of_several_crossings_the_last_one_counts():
    low = curve((0.1, 28.0), (0.8, 28.0))
    full = curve((0.1, 27.0), (0.2, 29.0), (0.4, 27.0), (0.8, 29.0), first=10)
    assert points.crossing(low, full) == pytest.approx(0.4 * 2**0.5, rel=1e-12)
