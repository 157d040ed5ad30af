"""Metrics against closed forms, scikit-image and TensorFlow; the tensor forms against the array forms."""

import math

import cv2
import numpy as np
import pytest

from common import metrics
from common.errors import RelicError

C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
SIZES = [(161, 161), (203, 251), (256, 192)]


def photograph(height: int, width: int) -> np.ndarray:
    data = pytest.importorskip("skimage.data")
    return np.ascontiguousarray(data.astronaut()[:height, 100 : 100 + width])


def damaged(image: np.ndarray, strength: float) -> np.ndarray:
    """Return a blurred, noisy copy of a picture."""
    noise = np.random.default_rng(0).normal(0, 255 * strength, image.shape)
    return np.clip(cv2.GaussianBlur(image, (0, 0), 1 + 9 * strength) + noise, 0, 255).astype(np.uint8)


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)


def rough(height: int, width: int) -> np.ndarray:
    """Return a picture with contrast everywhere on every scale: 16 to 239, the sum of squares of 1 to 16 pixels."""
    generator = np.random.default_rng(2)
    octaves = [np.kron(generator.random((height // n, width // n, 3)), np.ones((n, n, 1))) for n in (1, 2, 4, 8, 16)]
    return np.round(16 + 223 * np.mean(octaves, axis=0)).astype(np.uint8)


def flat(value: int, size: tuple = (176, 161, 3)) -> np.ndarray:
    return np.full(size, value, np.uint8)


def textbook_ms_ssim(x: np.ndarray, y: np.ndarray) -> float:
    """Return MS-SSIM from its five filtered maps in float64, one channel at a time."""
    ndimage = pytest.importorskip("scipy.ndimage")

    def blur(array):
        return ndimage.gaussian_filter(array, 1.5, radius=5)[5:-5, 5:-5]

    def halve(array):
        array = np.pad(array, [(0, side % 2) for side in array.shape], "symmetric")
        return array.reshape(array.shape[0] // 2, 2, array.shape[1] // 2, 2).mean((1, 3))

    def of_channel(a, b):
        product = 1.0
        for scale, weight in enumerate((0.0448, 0.2856, 0.3001, 0.2363, 0.1333)):
            if scale:
                a, b = halve(a), halve(b)
            mean_a, mean_b = blur(a), blur(b)
            covariance = blur(a * b) - mean_a * mean_b
            variances = blur(a * a) - mean_a**2 + blur(b * b) - mean_b**2
            term = (2 * covariance + C2) / (variances + C2)
            if scale == 4:
                term = term * (2 * mean_a * mean_b + C1) / (mean_a**2 + mean_b**2 + C1)
            product *= max(term.mean(), 0) ** weight
        return product

    return float(np.mean([of_channel(x[..., c].astype(float), y[..., c].astype(float)) for c in range(3)]))


# --- arrays ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [1, 7, 128, 255])
def test_psnr_of_a_constant_difference_is_its_closed_form(step):
    x, y = flat(0), flat(step)
    assert metrics.mse(x, y) == metrics.mse(y, x) == step**2
    assert metrics.psnr(x, y) == pytest.approx(20 * math.log10(255 / step), abs=1e-12)


def test_psnr_of_identical_pictures_is_infinite():
    assert metrics.psnr(noise(5, 4), noise(5, 4)) == math.inf


def test_mse_averages_over_pixels_and_channels():
    x = np.zeros((2, 2, 3), np.uint8)
    y = x.copy()
    y[1, 0, 2] = 6
    assert metrics.mse(x, y) == 3.0
    assert metrics.mse(x[..., 2], y[..., 2]) == 9.0


@pytest.mark.parametrize("strength", [0.01, 0.1, 0.5])
@pytest.mark.parametrize("size", [(11, 11), (64, 75), (203, 251)])
def test_ssim_equals_that_of_scikit_image(size, strength):
    structural_similarity = pytest.importorskip("skimage.metrics").structural_similarity
    x = photograph(*size)
    y = damaged(x, strength)
    settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
    assert metrics.ssim(x, y) == pytest.approx(structural_similarity(x, y, channel_axis=2, **settings), abs=1e-10)
    assert metrics.ssim(x[..., 0], y[..., 0]) == pytest.approx(
        structural_similarity(x[..., 0], y[..., 0], **settings), abs=1e-10
    )


@pytest.mark.parametrize("a, b", [(0, 255), (100, 120), (255, 255)])
def test_flat_pictures_differ_by_their_luminance_alone(a, b):
    luminance = (2 * a * b + C1) / (a**2 + b**2 + C1)
    assert metrics.ssim(flat(a), flat(b)) == pytest.approx(luminance, abs=1e-9)
    assert metrics.ms_ssim(flat(a), flat(b)) == pytest.approx(luminance**0.1333, abs=1e-9)


@pytest.mark.parametrize("strength", [0.01, 0.1, 0.5])
@pytest.mark.parametrize("size", SIZES)
def test_ms_ssim_equals_its_textbook_form(size, strength):
    x = photograph(*size)
    y = damaged(x, strength)
    assert metrics.ms_ssim(x, y) == pytest.approx(textbook_ms_ssim(x, y), abs=1e-10)
    assert metrics.ms_ssim(x, y) == pytest.approx(metrics.ms_ssim(y, x), abs=1e-12)


@pytest.mark.parametrize("size", SIZES)
def test_ms_ssim_equals_that_of_tensorflow(size):
    tensorflow = pytest.importorskip("tensorflow")
    x = photograph(*size)
    ys = [damaged(x, strength) for strength in (0.01, 0.1, 0.5)]
    expected = tensorflow.image.ssim_multiscale(np.stack([x] * 3), np.stack(ys), 255)
    np.testing.assert_allclose([metrics.ms_ssim(x, y) for y in ys], expected, atol=2e-5)


def test_ms_ssim_of_a_grey_picture_is_that_of_its_three_equal_channels():
    x = photograph(161, 170)[..., 1]
    y = damaged(x, 0.1)
    assert metrics.ms_ssim(x, y) == pytest.approx(metrics.ms_ssim(np.dstack([x] * 3), np.dstack([y] * 3)), abs=1e-12)


def test_ms_ssim_is_one_for_identical_and_zero_for_opposite_pictures():
    x = rough(176, 176)
    assert metrics.ms_ssim(x, x) == 1.0
    assert metrics.ms_ssim(x, 255 - x) == 0.0


@pytest.mark.parametrize("size", [(160, 161), (161, 160), (1, 1)])
def test_ms_ssim_of_a_side_below_161_pixels_names_the_limit(size):
    with pytest.raises(RelicError, match="at least 161 pixels"):
        metrics.ms_ssim(noise(*size), noise(*size))


def test_161_pixels_are_the_limit_of_tensorflow_too():
    tensorflow = pytest.importorskip("tensorflow")
    assert metrics.MS_SSIM_SMALLEST == 161
    assert float(tensorflow.image.ssim_multiscale(noise(161, 161)[None], noise(161, 161)[None], 255)[0]) == 1.0
    with pytest.raises(tensorflow.errors.InvalidArgumentError):
        tensorflow.image.ssim_multiscale(noise(160, 161)[None], noise(160, 161)[None], 255)


def test_ssim_of_a_side_below_11_pixels_names_the_limit():
    with pytest.raises(RelicError, match="at least 11 pixels"):
        metrics.ssim(noise(10, 30), noise(10, 30))


@pytest.mark.parametrize("function", [metrics.mse, metrics.psnr, metrics.ssim, metrics.ms_ssim])
@pytest.mark.parametrize(
    "x, y, words",
    [
        (flat(0), flat(0, (161, 176, 3)), "same shape"),
        (flat(0), flat(0, (176, 161)), "same shape"),
        (flat(0), flat(0).astype(np.float32), "float32"),
        (flat(0) / 255, flat(0) / 255, "float64"),
        (flat(0, (176, 161, 4)), flat(0, (176, 161, 4)), "HxWx3"),
        (flat(0, (0, 5, 3)), flat(0, (0, 5, 3)), "uint8 array"),
        ([[1]], [[1]], "list"),
    ],
)
def test_what_is_not_two_pictures_of_one_shape_is_refused_with_one_sentence(function, x, y, words):
    with pytest.raises(RelicError, match=words) as refusal:
        function(x, y)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_the_chroma_slope_is_the_share_of_the_colour_that_is_left_and_its_psnr_sees_only_that(share):
    grey = np.full((64, 64, 3), 128.0)
    colour = np.kron(np.array([[[60, -20, 40], [-40, 30, 10]]]), np.ones((64, 32, 1)))
    x, y = (np.rint(grey + part * colour).astype(np.uint8) for part in (1.0, share))
    assert metrics.chroma_slope(x, y) == pytest.approx(share, abs=0.01)
    ycc = [cv2.cvtColor(image, cv2.COLOR_RGB2YCrCb)[..., 1:].astype(float) for image in (x, y)]
    squared = np.mean(np.square(ycc[0] - ycc[1]))  # OpenCV rounds them
    if squared:
        assert metrics.chroma_psnr(x, y) == pytest.approx(10 * math.log10(255**2 / squared), abs=0.2)
    brighter = x + np.uint8(20)
    assert metrics.chroma_slope(x, brighter) == pytest.approx(1) and metrics.chroma_psnr(x, brighter) > 200


def test_ms_ssim_in_db_counts_the_nines():
    assert metrics.ms_ssim_db(0.9) == pytest.approx(10)
    assert metrics.ms_ssim_db(0.999) == pytest.approx(30)
    assert metrics.ms_ssim_db(0.0) == 0
    assert metrics.ms_ssim_db(1.0) == math.inf
    assert math.isnan(metrics.ms_ssim_db(math.nan))


@pytest.mark.parametrize("kind", [np.matrix, np.ma.MaskedArray])
def test_a_matrix_and_a_masked_array_are_no_pictures(kind):
    with pytest.raises(RelicError, match=f"not {kind.__name__}: convert it first"):
        metrics.check_picture(np.zeros((16, 16), np.uint8).view(kind))


def test_an_array_that_is_mapped_from_a_file_is_a_picture(tmp_path):
    metrics.check_picture(np.memmap(tmp_path / "pixels", np.uint8, "w+", shape=(4, 5, 3)))


def test_bits_per_pixel_are_bits_over_pixels():
    assert metrics.bits_per_pixel(3 * 20 * 30, 20, 30) == 24
    assert metrics.bits_per_pixel(1, 16, 1) == 0.5


# --- curves ----------------------------------------------------------------------------------------------------------


RATES = (0.1, 0.25, 0.5, 1.1, 2.0)
QUALITIES = (24.0, 27.5, 30.0, 33.0, 35.5)


def random_curve(generator: np.random.Generator, points: int) -> tuple[np.ndarray, np.ndarray]:
    """Return rates and qualities that rise, from about 0.1 bpp and 25 dB to 2 bpp and 37 dB, in steps of any size."""

    def rising(first: float, last: float) -> np.ndarray:
        return np.interp(np.sort([0, 1, *generator.uniform(0, 1, points - 2)]), (0, 1), (first, last))

    rates = np.exp(rising(math.log(generator.uniform(0.1, 0.13)), math.log(generator.uniform(1, 3))))
    return rates, rising(generator.uniform(24, 26), generator.uniform(34, 40))


@pytest.mark.parametrize("points", [(4, 4), (4, 9), (12, 5)])
def test_bd_rate_and_bd_psnr_equal_those_of_the_package_bjontegaard(points):
    bjontegaard = pytest.importorskip("bjontegaard")
    settings = {"method": "pchip", "require_matching_points": False, "min_overlap": 0}
    for seed in range(12):
        generator = np.random.default_rng(seed)
        curves = *random_curve(generator, points[0]), *random_curve(generator, points[1])
        for ours, theirs in ((metrics.bd_rate, bjontegaard.bd_rate), (metrics.bd_psnr, bjontegaard.bd_psnr)):
            assert ours(*curves) == pytest.approx(theirs(*curves, **settings), rel=1e-6, abs=1e-6), seed


@pytest.mark.parametrize("factor, percent", [(0.5, -50.0), (1.0, 0.0), (1.25, 25.0), (3.0, 200.0)])
def test_a_rate_changed_everywhere_by_a_factor_is_that_bd_rate(factor, percent):
    rates = [factor * rate for rate in RATES]
    assert metrics.bd_rate(RATES, QUALITIES, rates, QUALITIES) == pytest.approx(percent, abs=1e-9)


@pytest.mark.parametrize("gain", [1.0, 0.0, -2.5])
def test_a_quality_changed_everywhere_by_a_constant_is_that_bd_psnr(gain):
    qualities = [quality + gain for quality in QUALITIES]
    assert metrics.bd_psnr(RATES, QUALITIES, RATES, qualities) == pytest.approx(gain, abs=1e-12)


@pytest.mark.parametrize("slope", [2.0, 6.0])
def test_curves_that_are_straight_over_the_log_rate_have_a_closed_form_whatever_their_points(slope):
    ours, theirs = np.array([0.12, 0.3, 0.5, 0.9, 2.1]), np.array([0.1, 0.35, 0.4, 1.0])
    curves = theirs, 30 + slope * np.log2(theirs), ours, 31.5 + slope * np.log2(ours)
    assert metrics.bd_psnr(*curves) == pytest.approx(1.5, abs=1e-9)
    assert metrics.bd_rate(*curves) == pytest.approx(100 * (2 ** (-1.5 / slope) - 1), abs=1e-9)


def test_the_better_codec_has_a_negative_bd_rate_and_a_positive_bd_psnr_and_the_worse_one_the_reverse():
    better = [0.8 * rate for rate in RATES], [quality + 0.3 for quality in QUALITIES]
    assert metrics.bd_rate(RATES, QUALITIES, *better) < -20 and metrics.bd_psnr(RATES, QUALITIES, *better) > 0.3
    assert metrics.bd_rate(*better, RATES, QUALITIES) > 25 and metrics.bd_psnr(*better, RATES, QUALITIES) < -0.3


@pytest.mark.parametrize("function", [metrics.bd_rate, metrics.bd_psnr])
def test_neither_order_nor_repeated_points_change_a_bd(function):
    ours = [1.1 * rate for rate in RATES], [quality + 0.7 for quality in QUALITIES]
    order = [3, 0, 4, 1, 2, 3, 3]
    shuffled = [[values[i] for i in order] for values in ours]
    backwards = RATES[::-1], QUALITIES[::-1]
    assert function(*backwards, *shuffled) == function(RATES, QUALITIES, *ours)
    assert function(*shuffled, *backwards) == function(*ours, RATES, QUALITIES)


@pytest.mark.parametrize("function", [metrics.bd_rate, metrics.bd_psnr])
@pytest.mark.parametrize(
    "rates, qualities, words",
    [
        (RATES[:3], QUALITIES[:3], "the codec has 3: measure more"),
        (RATES[:3] * 2, QUALITIES[:3] * 2, "the codec has 3: measure more"),
        ([], [], "the codec has 0: measure more"),
        (0.5, 30.0, "as many rates as qualities"),
        (RATES, 30.0, "as many rates as qualities"),
        (RATES, QUALITIES[:4], "as many rates as qualities"),
        ([RATES] * 2, [QUALITIES] * 2, "as many rates as qualities"),
        (RATES, (*QUALITIES[:4], math.inf), "lossless"),
        (RATES, (math.nan, *QUALITIES[1:]), "no finite quality"),
        ((0.0, *RATES[1:]), QUALITIES, "no rate above 0"),
        ((math.inf, *RATES[1:]), QUALITIES, "no rate above 0"),
        (RATES, (*QUALITIES[:3], 29.0, 35.5), r"does not rise with its rate \(30 at 0.5 bpp, 29 at 1.1 bpp\)"),
        (RATES, (*QUALITIES[:3], 30.0, 35.5), r"does not rise with its rate \(30 at 0.5 bpp, 30 at 1.1 bpp\)"),
        ((0.1, 0.25, 0.5, 0.5, 2.0), QUALITIES, r"does not rise with its rate \(30 at 0.5 bpp, 33 at 0.5 bpp\)"),
    ],
)
def test_what_is_not_a_rising_curve_of_four_points_is_refused_with_one_sentence(function, rates, qualities, words):
    with pytest.raises(RelicError, match=words) as refusal:
        function(RATES, QUALITIES, rates, qualities)
    assert "\n" not in str(refusal.value)
    with pytest.raises(RelicError, match=words.replace("the codec", "the reference")):
        function(rates, qualities, RATES, QUALITIES)


@pytest.mark.parametrize("function, along", [(metrics.bd_rate, "qualities"), (metrics.bd_psnr, "rates")])
@pytest.mark.parametrize("share, words", [(0.51, ""), (0.49, "share 49%"), (0.0, "share 0%"), (-1.0, "share 0%")])
def test_curves_that_share_less_than_half_of_the_narrower_ones_range_are_refused(function, along, share, words):
    def straight(first: float, last: float) -> tuple[np.ndarray, np.ndarray]:
        doublings = np.linspace(first, last, 5)
        return 2.0**doublings, 30 + doublings

    narrow, wide = straight(0, 2), straight(2 - 2 * share, 10)
    for curves in ((*narrow, *wide), (*wide, *narrow)):
        if not words:
            assert function(*curves) == pytest.approx(0, abs=1e-9)
            continue
        with pytest.raises(RelicError, match=f"{words} of the narrower one's {along}, 50% are needed"):
            function(*curves)


# --- tensors ---------------------------------------------------------------------------------------------------------


def tensor_value(function, x: np.ndarray, y: np.ndarray, **settings) -> np.ndarray:
    """Return a tensor metric of two batches of arrays as an array."""
    from common import backend

    tensors = [backend.ops.convert_to_tensor(np.asarray(array, np.float32)) for array in (x, y)]
    return backend.to_numpy(function(*tensors, **settings))


@pytest.mark.stack
@pytest.mark.parametrize("size", SIZES)
def test_the_tensor_forms_equal_the_array_forms_for_every_picture_of_a_batch(size):
    x = photograph(*size)
    ys = [damaged(x, strength) for strength in (0.01, 0.1, 0.5)]
    batch = np.stack([x] * 3), np.stack(ys)
    expected = [metrics.ms_ssim(x, y) for y in ys]
    np.testing.assert_allclose(tensor_value(metrics.ms_ssim_tensor, *batch), expected, atol=2e-6)
    np.testing.assert_allclose(
        tensor_value(metrics.ms_ssim_tensor, batch[0] / 255, batch[1] / 255, max_val=1.0), expected, atol=2e-6
    )
    np.testing.assert_allclose(tensor_value(metrics.ssim_tensor, *batch), [metrics.ssim(x, y) for y in ys], atol=2e-6)


@pytest.mark.stack
def test_the_tensor_forms_take_any_number_of_channels():
    x = photograph(161, 176)
    y = damaged(x, 0.1)
    grey = tensor_value(metrics.ms_ssim_tensor, x[None, ..., :1], y[None, ..., :1])
    np.testing.assert_allclose(grey, metrics.ms_ssim(x[..., 0], y[..., 0]), atol=2e-6)


@pytest.mark.stack
def test_the_tensor_form_of_identical_pictures_is_exactly_one():
    assert tensor_value(metrics.ms_ssim_tensor, noise(161, 161)[None], noise(161, 161)[None]) == 1.0


@pytest.mark.stack
@pytest.mark.parametrize("floor, expected", [(1e-3, 1e-3**1.0001), (0.1, 0.1**1.0001), (None, 0.0)])
def test_opposite_pictures_are_held_up_by_the_floor_alone(floor, expected):
    x = rough(176, 192)[None].astype(np.float32)
    assert tensor_value(metrics.ms_ssim_tensor, x, 255 - x, floor=floor) == pytest.approx(expected, rel=1e-5)


@pytest.mark.stack
def test_the_floor_changes_nothing_where_every_term_is_above_it():
    x = photograph(161, 176)
    pair = x[None], damaged(x, 0.1)[None]
    with_floor = tensor_value(metrics.ms_ssim_tensor, *pair, floor=1e-3)
    assert with_floor == tensor_value(metrics.ms_ssim_tensor, *pair)


@pytest.mark.stack
@pytest.mark.parametrize("size", [(None, None), (160, 256)])
def test_tensors_of_unknown_or_too_small_size_are_refused(size):
    from common import backend

    x = backend.keras.Input((*size, 3))
    with pytest.raises(RelicError, match="known sides of at least 161"):
        metrics.ms_ssim_tensor(x, x)


def gradient(function, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the gradient to `y` of the mean of a tensor metric, by TensorFlow."""
    tensorflow = pytest.importorskip("tensorflow")
    from common import backend

    if backend.BACKEND != "tensorflow":
        pytest.skip("the tape is TensorFlow's")
    x, y = (tensorflow.constant(array[None], tensorflow.float32) for array in (x, y))
    with tensorflow.GradientTape() as tape:
        tape.watch(y)
        value = tensorflow.reduce_mean(function(x, y))
    return tape.gradient(value, y).numpy()


@pytest.mark.stack
def test_the_gradient_equals_that_of_tensorflow():
    tensorflow = pytest.importorskip("tensorflow")
    x = photograph(170, 203)
    y = damaged(x, 0.1)
    expected = gradient(lambda a, b: tensorflow.image.ssim_multiscale(a, b, 255.0), x, y)
    found = gradient(metrics.ms_ssim_tensor, x, y)
    np.testing.assert_allclose(found, expected, atol=1e-3 * np.abs(expected).max())


@pytest.mark.stack
@pytest.mark.parametrize("other", ["identical", "opposite", "black", "grey", "white", "noise"])
@pytest.mark.parametrize("first", ["photograph", "rough", "black", "grey"])
def test_with_a_floor_every_gradient_is_finite(first, other):
    size = 176, 192
    pictures = {"photograph": photograph(*size), "rough": rough(*size), "noise": noise(*size)}
    pictures.update({name: flat(v, (*size, 3)) for name, v in {"black": 0, "grey": 128, "white": 255}.items()})
    x = pictures[first]
    pictures.update(identical=x, opposite=255 - x)
    found = gradient(lambda a, b: metrics.ms_ssim_tensor(a, b, floor=1e-3), x, pictures[other])
    assert np.isfinite(found).all()


@pytest.mark.stack
def test_the_gradient_that_the_floor_keeps_finite_is_not_finite_in_tensorflow():
    tensorflow = pytest.importorskip("tensorflow")
    x = rough(176, 192)
    found = gradient(lambda a, b: tensorflow.image.ssim_multiscale(a, b, 255.0), x, 255 - x)
    assert not np.isfinite(found).all()
