"""Classical codecs: any picture comes back, colours are rounded, and other decoders read the same files."""

import io
import os
import re
import stat
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import PIL
import pytest
from PIL import Image, features

from common import data
from common.classical import codecs, libraries
from common.classical.codecs import Avif, Bpg, HevcIntra, Jpeg, Jpeg2000, WebP
from common.errors import RelicError
from common.metrics import psnr

SHAPES = [(1, 1), (1, 1, 3), (1, 7), (1, 7, 3), (9, 1, 3), (17, 33), (17, 33, 3)]
IN_MEMORY = ["JPEG", "JPEG, optimised tables", "JPEG2000", "WebP", "AVIF", "HEVC intra"]
FINE = {"JPEG": 95, "JPEG, optimised tables": 95, "JPEG2000": 900, "WebP": 95, "AVIF": 95, "HEVC intra": 80}

# Stands for both programs: keeps the picture as it is behind the head of a BPG file, and says how it was called.
FAKE_BPG = """#!{python}
import os, sys
name, arguments = os.path.basename(sys.argv[0]), sys.argv[1:]
if arguments == ["-h"]:
    print("BPG Image Encoder version 0.9.8")
    sys.exit(1)
open({log!r}, "a").write(" ".join([name] + arguments) + "\\n")
target, source = arguments[arguments.index("-o") + 1], arguments[-1]
content = open(source, "rb").read()
if name == "bpgenc":
    is_grey = content[25] == 0
    content = b"BPG\\xfb" + (b"\\x00" if is_grey else b"\\x60") + content
else:
    content = content[5:]
{extra}
open(target, "wb").write(content)
"""


def photograph(height: int = 176, width: int = 192) -> np.ndarray:
    picture = pytest.importorskip("skimage.data")
    return np.ascontiguousarray(picture.astronaut()[:height, 100 : 100 + width])


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def coded(codec, image: np.ndarray) -> np.ndarray:
    return codec.decompress(codec.compress(image))


def usable(name: str) -> codecs.Family:
    family = codecs.family(name)
    if family.missing():
        pytest.skip(family.missing())
    return family


# --- settings ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*IN_MEMORY, "BPG"])
def test_a_setting_may_be_an_integer_of_numpy_and_nothing_else_that_equals_one(name):
    make = codecs.family(name).make
    for number in (np.int64(1), np.uint8(1)):
        assert make(number) == make(1) and "1" in repr(make(number)) and "np" not in repr(make(number))
    for value in (1.0, np.float64(1), True, "1", None):
        with pytest.raises(RelicError, match=f"has no \\w+ {value}: choose .* a whole number"):
            make(value)


@pytest.mark.parametrize("name", IN_MEMORY)
def test_an_integer_of_numpy_gives_the_same_bytes_and_files_may_be_views_of_memory(name):
    family, image = usable(name), noise(40, 48, 3)
    file = family.make(np.int64(FINE[name])).compress(image)
    codec = family.make(FINE[name])
    assert file == codec.compress(image)
    assert np.array_equal(codec.decompress(memoryview(file)), codec.decompress(file))


# --- every codec -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", IN_MEMORY)
def test_any_size_and_both_kinds_come_back_from_the_bytes_alone(name, shape):
    family = usable(name)
    for setting in (family.settings[0], FINE[name]):
        decoded = family.make(FINE[name]).decompress(family.make(setting).compress(noise(*shape)))
        assert decoded.shape == shape and decoded.dtype == np.uint8 and decoded.flags.writeable


@pytest.mark.parametrize("name", IN_MEMORY)
def test_a_grey_picture_comes_back_grey_and_close(name):
    image = photograph()[..., 1].copy()
    assert psnr(image, coded(usable(name).make(FINE[name]), image)) > 38


@pytest.mark.parametrize("name", IN_MEMORY)
def test_a_colour_picture_without_colour_stays_a_colour_picture(name):
    image = np.full((20, 30, 3), 100, np.uint8)
    decoded = coded(usable(name).make(FINE[name]), image)
    assert decoded.shape == image.shape and np.abs(decoded.astype(int) - 100).max() <= 2


@pytest.mark.parametrize("channel", range(3))
@pytest.mark.parametrize("name", IN_MEMORY)
def test_red_green_and_blue_keep_their_places(name, channel):
    image = np.zeros((40, 48, 3), np.uint8)
    image[..., channel] = 255
    assert np.abs(coded(usable(name).make(FINE[name]), image).astype(int) - image).max() <= 6


@pytest.mark.parametrize("name", IN_MEMORY)
def test_the_same_picture_gives_the_same_bytes(name):
    codec, image = usable(name).make(FINE[name]), photograph()
    assert codec.compress(image) == codec.compress(np.asfortranarray(image)) == codec.compress(image.copy())


@pytest.mark.parametrize("name", IN_MEMORY)
def test_rate_and_quality_rise_with_the_setting(name):
    family, image = usable(name), photograph()
    files = [family.make(setting).compress(image) for setting in family.grid[::4]]
    quality = [psnr(image, family.make(family.grid[0]).decompress(file)) for file in files]
    assert (np.diff([len(file) for file in files]) > 0).all()
    assert (np.diff(quality) > 0).all() and quality[-1] > quality[0] + 8


@pytest.mark.parametrize("content", [b"", b"\xff\xd8", b"RIFF\0\0\0\0WEBP", b"BPG\xfb", b"RLIC and more", bytes(500)])
@pytest.mark.parametrize("name", [*IN_MEMORY, "BPG"])
def test_what_is_no_file_of_the_format_is_refused(name, content):
    if name != "BPG":
        usable(name)
    with pytest.raises(RelicError, match="are no .* file|BPG needs"):
        codecs.family(name).make(30).decompress(content)


@pytest.mark.parametrize("name", ["JPEG2000", "AVIF", "HEVC intra", "WebP"])
def test_half_a_file_is_refused(name):
    codec = usable(name).make(FINE[name])
    file = codec.compress(photograph())
    with pytest.raises(RelicError, match="are no"):
        codec.decompress(file[: len(file) // 2])


def test_libraries_say_nothing_of_damage_on_stderr_and_afterwards_stderr_is_as_before(capfd):
    image = noise(48, 48)
    jpeg = Jpeg(50).compress(image)
    damaged = jpeg[: len(jpeg) // 2] + bytes(40) + jpeg[len(jpeg) // 2 + 40 :]
    with ThreadPoolExecutor(4) as pool:
        decoded = list(pool.map(Jpeg(50).decompress, [damaged] * 20))
    assert {picture.shape for picture in decoded} == {image.shape}
    with pytest.raises(RelicError):
        Jpeg2000(100, "OpenCV").decompress(Jpeg2000(100, "OpenCV").compress(image)[:200])
    os.write(2, b"heard")
    assert capfd.readouterr() == ("", "heard")


@pytest.mark.parametrize("software", ["Pillow", "OpenCV"])
def test_jpeg2000_of_16_bits_is_no_file_of_ours(software):
    file = io.BytesIO()
    Image.fromarray(np.full((40, 40), 40_000, np.uint16)).save(file, "JPEG2000")
    with pytest.raises(RelicError, match="no JPEG2000 file"):
        Jpeg2000(100, software).decompress(file.getvalue())


def test_a_jpeg_of_sides_that_opencv_does_not_take_is_no_file_of_ours():
    file = Jpeg(50).compress(noise(8, 8))
    at = file.index(b"\xff\xc0") + 5
    with pytest.raises(RelicError, match="no JPEG file"):
        Jpeg(50).decompress(file[:at] + b"\xff\xdc\xff\xdc" + file[at + 4 :])


@pytest.mark.parametrize("name", [*IN_MEMORY, "BPG"])
def test_what_is_no_uint8_picture_is_refused(name):
    with pytest.raises(RelicError, match="uint8"):
        codecs.family(name).make(30).compress(noise(8, 8) / 255)


@pytest.mark.parametrize(
    "make, settings",
    [
        (Jpeg, (-1, 101, 50.5)),
        (Jpeg2000, (0, 1001)),
        (WebP, (0, 102)),
        (Avif, (-1, 101)),
        (HevcIntra, (-2, 101)),
        (Bpg, (-1, 52)),
    ],
)
def test_a_setting_that_the_codec_does_not_have_is_refused(make, settings):
    for setting in settings:
        with pytest.raises(RelicError, match=rf"has no \w+ {setting}: choose -?\d+ to \d+"):
            make(setting)


@pytest.mark.parametrize("make", [Jpeg, Avif, HevcIntra, Bpg])
def test_a_sampling_that_the_codec_does_not_have_is_refused(make):
    with pytest.raises(RelicError, match="4:2:0, 4:2:2, 4:4:4"):
        make(30, "4:1:1")


@pytest.mark.parametrize("codec, largest", [(Jpeg(50), 65500), (WebP(50), 16383)])
def test_a_side_that_the_format_cannot_hold_is_refused(codec, largest):
    assert coded(codec, np.zeros((1, largest), np.uint8)).shape == (1, largest)
    with pytest.raises(RelicError, match=str(largest)):
        codec.compress(np.zeros((1, largest + 1), np.uint8))


# --- rounded colours -------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, codec, smallest",
    [
        ("JPEG", Jpeg(100, "4:4:4"), 50),
        ("JPEG2000", Jpeg2000(1000), 50),
        ("AVIF", Avif(100, "4:4:4"), 52),
        ("HEVC intra", HevcIntra(-1, "4:4:4"), 52),
    ],
)
def test_the_finest_setting_without_subsampling_gives_50_db_without_a_bias(name, codec, smallest):
    usable(name)
    for _, image in data.images("sample"):
        decoded = coded(codec, image)
        assert psnr(image, decoded) >= smallest
        # Truncated, a channel would be off by half a level on average.
        assert np.abs((decoded.astype(float) - image).mean(axis=(0, 1))).max() < 0.25


@pytest.mark.parametrize("codec", [WebP(101), Jpeg2000(1000, "OpenCV")])
def test_a_lossless_mode_changes_no_pixel(codec):
    for _, image in data.images("sample"):
        assert (coded(codec, image) == image).all()


def test_lossy_webp_rounds_the_luminance():
    # Its colours are always subsampled, so that only greys can show it: 219 levels for 256 leave 57 dB at best.
    for _, image in data.images("sample"):
        grey = np.repeat(image[..., 1:2], 3, axis=2)
        decoded = coded(WebP(100), grey)
        assert psnr(grey, decoded) > 48
        assert np.abs((decoded.astype(float) - grey).mean()) < 0.15


def test_grey_avif_is_lossless_at_its_finest():
    usable("AVIF")
    image = photograph()[..., 1].copy()
    assert (coded(Avif(100), image) == image).all()


def test_subsampled_avif_truncates_its_chroma_as_its_docstring_says():
    usable("AVIF")
    image = photograph()
    bias = (coded(Avif(100, "4:2:0"), image).astype(float) - image).mean(axis=(0, 1))
    assert (np.abs(bias) > 0.25).all() and (np.abs(bias) < 0.9).all()


# --- JPEG ------------------------------------------------------------------------------------------------------------


def sampling_factors(file: bytes) -> list[int]:
    """Return each component's sampling byte from the frame header (marker SOF0) of a JPEG file."""
    start = file.index(b"\xff\xc0") + 9
    return [file[start + 2 + 3 * component] for component in range(file[start])]


@pytest.mark.parametrize("sampling, factor", [("4:2:0", 0x22), ("4:2:2", 0x21), ("4:4:4", 0x11)])
def test_chroma_has_the_resolution_that_was_asked_for(sampling, factor):
    assert sampling_factors(Jpeg(95, sampling).compress(photograph())) == [factor, 0x11, 0x11]


@pytest.mark.parametrize("quality, share", [(1, 0.7), (5, 0.8), (20, 0.95), (95, 1.0)])
def test_optimised_tables_give_the_same_pixels_in_a_smaller_file(quality, share):
    for image in (photograph(), photograph()[..., 1].copy()):
        standard, optimised = Jpeg(quality), Jpeg(quality, optimised=True)
        assert len(optimised.compress(image)) < share * len(standard.compress(image))
        assert (coded(optimised, image) == coded(standard, image)).all()


def test_jpeg_subsamples_both_ways_unless_told_otherwise():
    assert Jpeg(30) == Jpeg(30, "4:2:0")


def test_a_grey_picture_has_one_component():
    assert len(sampling_factors(Jpeg(50).compress(photograph()[..., 0]))) == 1


@pytest.mark.parametrize("quality", [10, 50, 95])
def test_pillow_decodes_the_same_pixels(quality):
    for _, image in data.images("sample"):
        file = Jpeg(quality).compress(image)
        assert (np.asarray(Image.open(io.BytesIO(file))) == Jpeg(quality).decompress(file)).all()


@pytest.mark.stack
@pytest.mark.parametrize("quality, largest, mean", [(10, 4, 1.0), (50, 6, 1.1), (95, 20, 1.6)])
def test_tensorflow_decodes_the_same_pixels_when_told_to_be_accurate_and_others_nearby(quality, largest, mean):
    # By default it takes the fast inverse transform; largest and mean are absolute differences, measured: 3, 4, 18
    # and 0.93, 0.99, 1.53.
    tf = pytest.importorskip("tensorflow")
    for _, image in data.images("sample"):
        file = Jpeg(quality).compress(image)
        ours = Jpeg(quality).decompress(file).astype(int)
        assert (tf.io.decode_jpeg(file, dct_method="INTEGER_ACCURATE").numpy() == ours).all()
        difference = np.abs(tf.io.decode_jpeg(file).numpy() - ours)
        assert difference.max() <= largest and difference.mean() <= mean


# --- JPEG round trips ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(5, 4), (5, 4, 3)])
def test_the_round_trip_of_one_picture_is_coding_and_decoding(shape):
    image = noise(*shape)
    assert (codecs.jpeg_round_trip(image, 30) == coded(Jpeg(30), image)).all()


@pytest.mark.parametrize("shape", [(4, 16, 24, 3), (4, 16, 24)])
def test_a_batch_is_what_its_pictures_are(shape):
    images = noise(*shape)
    before = images.copy()
    found = codecs.jpeg_round_trip(images, 40, "4:4:4")
    assert found.shape == shape and found.dtype == np.uint8
    assert all((one == coded(Jpeg(40, "4:4:4"), image)).all() for one, image in zip(found, images, strict=True))
    assert (images == before).all()


def test_a_batch_of_nothing_stays_nothing():
    assert codecs.jpeg_round_trip(noise(0, 8, 8, 3), 40).shape == (0, 8, 8, 3)


@pytest.mark.parametrize("images", [noise(2, 8, 8, 1), noise(5), noise(8, 8) / 255, noise(1, 1, 8, 8, 3)])
def test_a_round_trip_of_other_arrays_is_refused(images):
    with pytest.raises(RelicError, match="uint8 array"):
        codecs.jpeg_round_trip(images, 40)


# --- JPEG2000 --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("software", ["Pillow", "OpenCV"])
@pytest.mark.parametrize("rate", [20, 100])
def test_jpeg2000_keeps_to_the_rate_that_was_asked_for(software, rate):
    image = photograph(256, 256)
    assert len(Jpeg2000(rate, software).compress(image)) == pytest.approx(image.size * rate / 1000, rel=0.05)


def test_without_a_colour_transform_jpeg2000_loses_several_db():
    for _, image in data.images("sample"):
        apart, together = (coded(Jpeg2000(20, software), image) for software in ("OpenCV", "Pillow"))
        assert psnr(image, together) > psnr(image, apart) + 2


def test_opencv_codes_no_small_pictures_with_jpeg2000():
    assert coded(Jpeg2000(1000, "OpenCV"), noise(32, 32)).shape == (32, 32)
    with pytest.raises(RelicError, match="with Pillow"):
        Jpeg2000(1000, "OpenCV").compress(noise(31, 40))
    with pytest.raises(RelicError, match="not by Kakadu"):
        Jpeg2000(10, "Kakadu")


# --- labels ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, codec, start, library",
    [
        (
            "JPEG",
            Jpeg(30),
            "JPEG 4:2:0 quality 30, standard Huffman tables, ",
            rf"OpenCV {cv2.__version__} \(libjpeg\S* \d\S+\)",
        ),
        ("JPEG2000", Jpeg2000(30), "JPEG2000 9/7, 4:4:4, rate 30/1000, ", r"Pillow \S+ \(OpenJPEG \d\S+\)"),
        (
            "JPEG2000",
            Jpeg2000(30, "OpenCV"),
            "JPEG2000 5/3, RGB apart, rate 30/1000, ",
            rf"OpenCV {cv2.__version__} \(OpenJPEG \d\S+\)",
        ),
        ("WebP", WebP(30), "WebP 4:2:0 quality 30, ", rf"OpenCV {cv2.__version__} \(libwebp, encoder 0x\w+\)"),
        ("WebP", WebP(101), "WebP lossless, ", "OpenCV"),
        ("AVIF", Avif(30), "AVIF 4:4:4 quality 30, speed 3, tune PSNR, ", r"\(libavif \d\S+, aom \d\S+\)"),
        ("AVIF", Avif(30, "4:2:0"), "AVIF 4:2:0 quality 30, ", f"Pillow {PIL.__version__}"),
        (
            "HEVC intra",
            HevcIntra(30),
            "HEVC intra 4:4:4 quality 30, preset veryslow, tune PSNR, ",
            r"\(libheif \d\S+, x265 \d\S+\)",
        ),
    ],
)
def test_a_label_says_codec_sampling_setting_library_and_version(name, codec, start, library):
    usable(name)
    assert codec.label.startswith(start)
    assert re.search(library, codec.label)


# --- BPG -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def fake_bpg(tmp_path, monkeypatch):
    """Return a function that puts stand-ins for BPG's programs on the PATH and returns the file they log to."""

    def install(extra: str = "") -> Path:
        log = tmp_path / "calls"
        for name in ("bpgenc", "bpgdec"):
            path = tmp_path / "bin" / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(FAKE_BPG.format(python=sys.executable, log=str(log), extra=extra))
            path.chmod(path.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
        return log

    return install


def test_bpg_calls_its_programs_with_the_quantiser_and_the_sampling(fake_bpg):
    log, image = fake_bpg(), photograph(17, 33)
    codec = Bpg(37, "4:2:0")
    assert (coded(codec, image) == image).all()
    assert log.read_text().splitlines() == [
        "bpgenc -q 37 -f 420 -b 8 -o picture.bpg picture.png",
        "bpgdec -o picture.png picture.bpg",
    ]
    assert codec.label == "BPG 4:2:0 qp 37, bpgenc 0.9.8"
    assert codecs.family("BPG").missing() == ""


def test_bpg_returns_grey_where_the_file_says_grey_though_its_decoder_writes_colour(fake_bpg):
    in_colour = "import cv2\nif name == 'bpgdec':\n    import numpy\n"
    in_colour += "    grey = cv2.imdecode(numpy.frombuffer(content, 'uint8'), cv2.IMREAD_COLOR)\n"
    fake_bpg(in_colour + "    content = cv2.imencode('.png', grey)[1].tobytes()")
    image = noise(9, 5)
    assert (coded(Bpg(20), image) == image).all()


def test_bpg_leaves_no_files_behind(fake_bpg, tmp_path, monkeypatch):
    fake_bpg()
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    coded(Bpg(20), photograph(8, 8))
    assert list((tmp_path / "scratch").iterdir()) == []


@pytest.mark.parametrize(
    "extra, said",
    [
        ("sys.exit('Unsupported\\nbit depth')", "bpgenc failed, .*: Unsupported bit depth"),
        ("sys.exit(3)", "bpgenc failed, .*: exit status 3"),
        ("sys.exit(0)", "bpgenc failed, .*: exit status 0, no file written"),
    ],
)
def test_what_a_program_of_bpg_says_is_one_error(fake_bpg, extra, said):
    fake_bpg(extra)
    with pytest.raises(RelicError, match=said) as caught:
        Bpg(20).compress(noise(8, 8))
    assert "\n" not in str(caught.value)


def test_a_bpg_decoder_that_writes_no_picture_is_refused(fake_bpg):
    fake_bpg("content = b'nothing' if name == 'bpgdec' else content")
    file = Bpg(20).compress(noise(8, 8))
    with pytest.raises(RelicError, match="no PNG file"):
        Bpg(20).decompress(file)


def test_without_its_programs_bpg_says_how_to_get_them(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "bpgenc" in codecs.family("BPG").missing() and "libbpg" in codecs.family("BPG").missing()
    assert codecs.family("BPG") not in codecs.available()
    for use in (lambda: Bpg(20).compress(noise(8, 8)), lambda: Bpg(20).label):
        with pytest.raises(RelicError, match="install libbpg"):
            use()


def test_a_program_of_bpg_that_cannot_run_is_one_error(monkeypatch, tmp_path):
    program = tmp_path / "bpgenc"
    program.write_bytes(b"\x7fELF of another machine")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    for use in (lambda: Bpg(20).compress(noise(8, 8)), lambda: Bpg(20).label):
        with pytest.raises(RelicError, match="cannot be run"):
            use()


# --- families --------------------------------------------------------------------------------------------------------


def test_there_are_seven_families_and_each_is_found_by_name():
    names = ["JPEG", "JPEG, optimised tables", "JPEG2000", "WebP", "AVIF", "HEVC intra", "BPG"]
    assert [family.name for family in codecs.FAMILIES] == names
    assert [codecs.family(name).name for name in names] == names
    with pytest.raises(RelicError, match=f"choose one of {', '.join(names)}"):
        codecs.family("VVC")


@pytest.mark.parametrize("family", codecs.FAMILIES, ids=lambda family: family.name)
def test_a_grid_is_some_of_the_settings_in_their_order(family):
    assert len(family.grid) > 10 and len(set(family.settings)) == len(family.settings)
    assert [setting for setting in family.settings if setting in family.grid] == list(family.grid)
    for setting in (*family.settings[:2], *family.grid, family.settings[-1]):
        family.make(setting)


def test_libraries_always_bring_jpeg_jpeg2000_and_webp():
    assert {"JPEG", "JPEG2000", "WebP"} <= {family.name for family in codecs.available()}


def test_a_missing_library_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    monkeypatch.setattr(features, "check", lambda feature: False)
    assert "pip install pillow-heif" in codecs.family("HEVC intra").missing()
    assert "pip install 'pillow" in codecs.family("AVIF").missing()
    assert codecs.family("HEVC intra") not in codecs.available()
    with pytest.raises(RelicError, match="pip install pillow-heif"):
        HevcIntra(50).compress(noise(8, 8))


def test_a_library_that_refuses_a_picture_is_one_error():
    with pytest.raises(RelicError, match="cannot code a picture of 8x8"):
        libraries.pillow_file(Image.fromarray(noise(8, 8)), "JPEG2000", num_resolutions=30)
