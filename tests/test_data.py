"""Data sets: what is read, what is refused, where sets come from, and what training draws from them."""

import errno
import functools
import hashlib
import importlib
import importlib.util
import io
import os
import shutil
import subprocess
import sys
import time
import tracemalloc
import types
import zipfile
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from common import data, limits
from common.data import __main__ as data_command
from common.data import digests, index, pictures
from common.data import prepared as prepared_sets
from common.data import sets as data_sets
from common.errors import RelicError, run_main

ROOT = Path(__file__).resolve().parents[1]
HERE = {key: os.environ.get(key) for key in ("RELIC_DATA", "RELIC_CACHE")}  # before a test sets its own


def noise(height=20, width=30, channels=3, seed=0):
    """Return a random picture, which no two places or seeds share."""
    shape = (height, width, channels) if channels else (height, width)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def smooth(height=24, width=40):
    """Return a picture that lossy formats keep nearly as it is."""
    y, x = np.mgrid[:height, :width]
    return np.stack([y * 5, x * 5, y + x], axis=-1).astype(np.uint8)


def encoded(image, file_format, **options):
    """Return the bytes of a picture file."""
    buffer = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(buffer, file_format, **options)
    return buffer.getvalue()


def write(path, content):
    """Write bytes, or an array as PNG, below folders that are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else encoded(content, "PNG"))
    return path


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    """Point every place that sets are looked for to empty folders of this test."""
    monkeypatch.setenv("RELIC_DATA", str(tmp_path / "own"))
    monkeypatch.setenv("RELIC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "prepared"))


# --- reading and writing picture files


@pytest.mark.parametrize("channels", [3, 0], ids=["rgb", "grey"])
@pytest.mark.parametrize(
    "name, options",
    [
        ("a.png", {}),
        ("a.bmp", {}),
        ("a.tif", {}),
        ("a.TIFF", {"compression": "tiff_lzw"}),
        ("a.webp", {"lossless": True}),
        ("a.PPM", {}),
        ("a.pgm", {}),
    ],
)
def test_lossless_files_are_read_exactly(tmp_path, name, options, channels):
    image = noise(channels=channels)
    file_format = {".tif": "TIFF", ".ppm": "PPM", ".pgm": "PPM"}.get(name[1:].lower(), name[2:].upper())
    x = data.read_image(write(tmp_path / name, encoded(image, file_format, **options)))
    if name == "a.webp" and not channels:
        x = x[..., 0]  # WebP has no grey
    np.testing.assert_array_equal(x, image)
    assert x.dtype == np.uint8


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp"])
def test_a_colour_picture_is_what_opencv_reads_in_rgb_order(tmp_path, name):
    cv2.imwrite(str(tmp_path / name), smooth())
    difference = data.read_image(tmp_path / name).astype(int) - cv2.imread(str(tmp_path / name))[:, :, ::-1]
    assert np.abs(difference).max() <= 1  # decoders of JPEG may round differently


def test_a_grey_jpeg_has_two_dimensions(tmp_path):
    path = write(tmp_path / "grey.jpg", encoded(smooth()[..., 0], "JPEG", quality=100))
    assert data.read_image(path).shape == (24, 40)
    assert np.abs(data.read_image(path).astype(int) - smooth()[..., 0]).max() <= 2


def test_a_palette_is_looked_up(tmp_path):
    image = Image.fromarray((np.arange(12).reshape(3, 4) % 3).astype(np.uint8), "P")
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    x = data.read_image(write(tmp_path / "p.png", encoded(image, "PNG")))
    np.testing.assert_array_equal(x[0, :3], [[10, 20, 30], [40, 50, 60], [70, 80, 90]])
    assert x.shape == (3, 4, 3)


def test_a_bilevel_picture_becomes_grey_0_and_255(tmp_path):
    image = Image.fromarray(np.array([[0, 255], [255, 255]], np.uint8)).convert("1")
    np.testing.assert_array_equal(
        data.read_image(write(tmp_path / "b.png", encoded(image, "PNG"))), [[0, 255], [255, 255]]
    )


def test_opaque_alpha_is_dropped_and_transparency_refused(tmp_path):
    rgba = np.dstack([noise(), np.full((20, 30), 255, np.uint8)])
    np.testing.assert_array_equal(data.read_image(write(tmp_path / "opaque.png", rgba)), noise())
    grey_alpha = Image.merge("LA", [Image.fromarray(noise(channels=0)), Image.new("L", (30, 20), 255)])
    path = write(tmp_path / "la.png", encoded(grey_alpha, "PNG"))
    np.testing.assert_array_equal(data.read_image(path), noise(channels=0))
    rgba[3, 4, 3] = 254
    with pytest.raises(RelicError, match="glass.png: it has transparent pixels"):
        data.read_image(write(tmp_path / "glass.png", rgba))


def test_a_colour_declared_transparent_counts_only_where_it_is_used(tmp_path):
    image = np.zeros((2, 2, 3), np.uint8)
    unused = encoded(image, "PNG", transparency=(1, 2, 3))
    np.testing.assert_array_equal(data.read_image(write(tmp_path / "unused.png", unused)), image)
    with pytest.raises(RelicError, match="transparent"):
        data.read_image(write(tmp_path / "used.png", encoded(image, "PNG", transparency=(0, 0, 0))))


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.ppm"])
@pytest.mark.parametrize("channels", [3, 0], ids=["rgb", "grey"])
def test_16_bit_files_are_refused_by_name(tmp_path, name, channels):
    name = name.replace("ppm", "ppm" if channels else "pgm")
    assert cv2.imwrite(str(tmp_path / name), noise(channels=channels).astype(np.uint16) * 257)
    with pytest.raises(RelicError, match=f"{name}: its samples are 16-bit"):
        data.read_image(tmp_path / name)


def test_other_colour_spaces_and_several_pictures_in_a_file_are_refused_by_name(tmp_path):
    with pytest.raises(RelicError, match="print.jpg: its colours are CMYK"):
        data.read_image(write(tmp_path / "print.jpg", encoded(Image.new("CMYK", (8, 8)), "JPEG")))
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    film = encoded(frames[0], "TIFF", save_all=True, append_images=frames[1:])
    with pytest.raises(RelicError, match="film.tif: it holds several pictures"):
        data.read_image(write(tmp_path / "film.tif", film))


@pytest.mark.parametrize(
    "orientation, turned",
    [
        (1, lambda x: x),
        (2, np.fliplr),
        (3, lambda x: np.rot90(x, 2)),
        (4, np.flipud),
        (5, lambda x: x.swapaxes(0, 1)),
        (6, lambda x: np.rot90(x, -1)),
        (8, np.rot90),
    ],
)
def test_an_exif_orientation_is_applied(tmp_path, orientation, turned):
    exif = Image.Exif()
    exif[0x0112] = orientation
    x = data.read_image(write(tmp_path / "a.png", encoded(noise(), "PNG", exif=exif)))
    np.testing.assert_array_equal(x, turned(noise()))
    x = data.read_image(write(tmp_path / "a.jpg", encoded(smooth(), "JPEG", exif=exif, quality=95)))
    assert np.abs(x.astype(int) - turned(smooth())).mean() < 3


KINDS = [
    ("PNG", {}),
    ("JPEG", {}),
    ("JPEG", {"progressive": True}),
    ("BMP", {}),
    ("WEBP", {}),
    ("TIFF", {}),
    ("TIFF", {"compression": "tiff_lzw"}),
    ("PPM", {}),
]


@pytest.mark.parametrize("file_format, options", KINDS, ids=lambda kind: str(kind))
def test_a_truncated_file_is_refused_and_never_another_picture(file_format, options):
    whole = encoded(noise(9, 11), file_format, **options)
    picture, refused = pictures.decode_image(whole, "whole"), 0
    for length in range(len(whole)):
        try:
            np.testing.assert_array_equal(pictures.decode_image(whole[:length], "part"), picture)
        except RelicError as error:
            refused += 1
            assert str(error).startswith("cannot read part: ") and "\n" not in str(error)
    assert refused >= len(whole) - 4  # the last bytes may hold nothing of the picture


def test_no_flipped_bit_of_a_png_gives_another_picture():
    whole = encoded(noise(9, 11), "PNG")
    refused = 0
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << position % 8
        try:
            np.testing.assert_array_equal(pictures.decode_image(bytes(damaged), "damaged"), noise(9, 11))
        except RelicError:
            refused += 1
    assert refused >= len(whole) - 12  # the empty last chunk


@pytest.mark.parametrize(
    "content, reason",
    [
        (b"", "the file is empty"),
        (b"hello, world" * 9, "not a PNG"),
        (b"\x89PNG\r\n\x1a\n", "cannot read"),
        (b"GIF89a" + bytes(50), "not a PNG"),
    ],
)
def test_a_file_without_a_picture_is_refused_with_its_path(tmp_path, content, reason):
    path = write(tmp_path / "x.png", content)
    with pytest.raises(RelicError, match=reason) as refusal:
        data.read_image(path)
    assert str(path) in str(refusal.value)


def test_a_missing_file_and_a_folder_are_refused_with_their_path(tmp_path):
    with pytest.raises(RelicError, match="cannot read .*gone.png: no such file"):
        data.read_image(tmp_path / "gone.png")
    with pytest.raises(RelicError, match="is a directory"):
        data.read_image(tmp_path)


@pytest.mark.parametrize("side", [9_000, 60_000])
def test_a_picture_of_absurd_size_is_refused_before_it_is_decoded(tmp_path, side):
    bomb = bytearray(encoded(noise(2, 2), "PNG"))
    bomb[16:24] = side.to_bytes(4, "big") * 2
    bomb[29:33] = zlib.crc32(bytes(bomb[12:29])).to_bytes(4, "big")
    with pytest.raises(RelicError, match="more than 80000000 pixels"):
        data.read_image(write(tmp_path / "bomb.png", bytes(bomb)))


@pytest.mark.parametrize("shape", [(5, 7, 3), (5, 7), (1, 1)])
def test_a_written_png_reads_back(tmp_path, shape):
    image = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    data.write_png(tmp_path / "new" / "a.png", image)
    np.testing.assert_array_equal(data.read_image(tmp_path / "new" / "a.png"), image)
    np.testing.assert_array_equal(
        cv2.imread(str(tmp_path / "new" / "a.png"), cv2.IMREAD_UNCHANGED),
        image[..., ::-1] if image.ndim == 3 else image,
    )


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    data.write_png(tmp_path / "a.png", noise())

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError):
        data.write_png(tmp_path / "a.png", noise(seed=1))
    np.testing.assert_array_equal(data.read_image(tmp_path / "a.png"), noise())
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_a_written_png_has_the_permissions_that_the_umask_leaves_and_any_name_that_the_disk_takes(tmp_path):
    path, before = tmp_path / f"{'é' * 121}.png", os.umask(0o077)
    try:
        data.write_png(path, noise())
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("image", [np.zeros((4, 4)), np.zeros((4, 4, 4), np.uint8), np.zeros((0, 4), np.uint8)])
def test_only_8_bit_rgb_and_grey_arrays_are_written(tmp_path, image):
    with pytest.raises(RelicError, match="a picture is uint8"):
        data.write_png(tmp_path / "a.png", image)


# --- floats to pixels


def test_floats_become_the_nearest_level_and_stay_in_range():
    values = np.array([-1.0, -0.001, 0.0, 0.4999 / 255, 0.5001 / 255, 0.5, 254.6 / 255, 1.0, 3.0])
    found = pictures.to_uint8(values)
    assert found.dtype == np.uint8 and found.tolist() == [0, 0, 0, 0, 1, 128, 255, 255, 255]
    levels = np.array([[-0.5, 0.5, 1.5], [2.5, 254.5, 255.5]])  # halves become even
    assert pictures.to_uint8(levels, 1.0).tolist() == [[0, 0, 2], [2, 254, 255]]


def floats_near_halves():
    """Return float32 values: all near a half of a level, others, some far out of range."""
    halves = ((np.arange(-2, 258) + 0.5) / 255).astype(np.float32)
    near = (halves.view(np.int32) + np.arange(-100, 101, dtype=np.int32)[:, None]).view(np.float32).ravel()
    generator = np.random.default_rng(0)
    bits = generator.integers(0, 2**32, 100_000, np.uint32).view(np.float32)
    return np.concatenate([near, generator.uniform(-1, 2, 100_000).astype(np.float32), bits[np.isfinite(bits)]])


def rounded_then_clipped(values, scale):
    with np.errstate(over="ignore"):
        return np.clip(np.rint(values * scale), 0, 255).astype(np.uint8)


def test_clipping_before_rounding_gives_the_levels_that_clipping_after_it_does():
    values = floats_near_halves()
    for scale in (255.0, np.float32(255)):
        np.testing.assert_array_equal(pictures.to_uint8(values), rounded_then_clipped(values, scale))
    exact = values.astype(np.float64)
    np.testing.assert_array_equal(pictures.to_uint8(exact), rounded_then_clipped(exact, 255.0))
    levels = values[np.abs(values) < 1e30] * np.float32(255)
    np.testing.assert_array_equal(pictures.to_uint8(levels, 1.0), rounded_then_clipped(levels, 1.0))


def test_near_halves_the_product_in_float32_is_another_than_in_float64():
    values = floats_near_halves()
    differing = pictures.to_uint8(values) != pictures.to_uint8(values.astype(np.float64))
    assert 0 < differing.sum() < 300  # so neither stands for the other: values keep their type


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_makes_no_picture(value):
    values = np.full((4, 5), 0.5, np.float32)
    values[2, 3] = value
    with pytest.raises(RelicError, match="no picture can be made of NaN or infinite values"):
        pictures.to_uint8(values)


def test_the_mean_of_three_channels_is_rounded_and_halves_become_even():
    image = np.array([[[0, 0, 1], [0, 1, 1], [255, 255, 255], [10, 20, 40]]], np.uint8)
    assert pictures.mean_of_channels(image).tolist() == [[0, 1, 255, 23]]
    halves = np.array([[[0, 1], [1, 2]]], np.uint8)
    assert pictures.mean_of_channels(halves).tolist() == [[0, 2]]
    equal = np.repeat(noise(channels=0)[..., None], 3, axis=-1)
    np.testing.assert_array_equal(pictures.mean_of_channels(equal), equal[..., 0])


# --- where sets come from


def test_a_set_is_its_folder_in_order_of_paths(tmp_path):
    folder = tmp_path / "own" / "mine" / "train"
    for seed, name in enumerate(["b.png", "a.jpeg.png", "c/a.png"]):
        write(folder / name, noise(seed=seed))
    for ignored in ("SHA256SUMS", ".hidden.png", "notes.txt"):
        write(folder / ignored, b"not a picture")
    found = data.images("mine/train")
    assert [stem for stem, _ in found] == ["a.jpeg", "b", "a"]
    np.testing.assert_array_equal(found[1][1], noise(seed=0))
    assert [stem for stem, _ in data.images("mine/train", limit=2)] == ["a.jpeg", "b"]


def test_pictures_whose_files_have_one_stem_are_named_by_their_paths(tmp_path):
    folder = tmp_path / "own" / "mine"
    for name in ("a.png", "a.bmp", "b.png", "x/1.png", "y/1.png"):
        write(folder / name, noise())
    assert [name for name, _ in data.images("mine")] == ["a.bmp", "a.png", "b", "x/1.png", "y/1.png"]
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
        for path in sorted(folder.rglob("*.*")):
            archive.write(path, path.relative_to(folder))
    (tmp_path / "own" / "zipped").mkdir()
    (tmp_path / "images.zip").rename(tmp_path / "own" / "zipped" / "images.zip")
    assert [name for name, _ in data.images("zipped")] == [name for name, _ in data.images("mine")]


@pytest.mark.parametrize(
    "name, shown", [(b"caf\xe9", "caf\\udce9"), (b"two\nlines", "two\\nlines"), ("é".encode(), "é")]
)
def test_a_picture_has_a_name_that_every_file_and_terminal_can_hold(name, shown, tmp_path):
    write(tmp_path / os.fsdecode(name + b".png"), noise())
    assert [name for name, _ in data.images("", directory=tmp_path)] == [shown]


def test_hidden_folders_are_left_out_and_linked_ones_entered_once(tmp_path):
    folder = tmp_path / "own" / "mine"
    for name in ("a.png", ".ipynb_checkpoints/a-checkpoint.png", "x/.git/b.png"):
        write(folder / name, noise())
    write(tmp_path / "elsewhere" / "c.png", noise())
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    (folder / "linked_again").symlink_to(tmp_path / "elsewhere")
    (folder / "x" / "circle").symlink_to(folder)
    assert [name for name, _ in data.images("mine")] == ["a", "c"]
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
        for name in ("a.png", "__MACOSX/._a.png", ".thumbnails/a.png"):
            archive.writestr(name, encoded(noise(), "PNG"))
    (tmp_path / "own" / "zipped").mkdir()
    (tmp_path / "images.zip").rename(tmp_path / "own" / "zipped" / "images.zip")
    assert [name for name, _ in data.images("zipped")] == ["a"]


@pytest.mark.parametrize("what", ["broken link", "pipe"])
def test_what_is_named_like_a_picture_and_cannot_be_read_is_refused(what, tmp_path):
    write(tmp_path / "a.png", noise())
    path = tmp_path / "x" / "b.png"
    path.parent.mkdir()
    path.symlink_to(tmp_path / "nowhere.png") if what == "broken link" else os.mkfifo(path)
    with pytest.raises(RelicError, match="cannot read .*b.png: a broken link or no plain file"):
        data.images("", directory=tmp_path)


def test_a_folder_that_cannot_be_read_is_refused(tmp_path, monkeypatch):
    write(tmp_path / "a.png", noise())
    write(tmp_path / "closed" / "b.png", noise())
    scandir = os.scandir

    def denied(path):
        if Path(path).name == "closed":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", denied)
    with pytest.raises(RelicError, match="cannot read .*closed: permission denied"):
        data.images("", directory=tmp_path)


def test_files_that_are_not_named_like_pictures_can_be_listed(tmp_path):
    for name in ("a.png", "x/b.jfif", "notes.txt", ".hidden"):
        write(tmp_path / name, noise())
    assert data.left_out(tmp_path) == ["notes.txt", "x/b.jfif"]
    (tmp_path / "a.png").rename(tmp_path / "all.zip")
    assert data.left_out(tmp_path) == []  # the zip file is the set


def test_without_a_home_folder_the_users_data_are_found_and_nothing_is_written(tmp_path, monkeypatch):
    write(tmp_path / "own" / "mine" / "a.png", noise())
    monkeypatch.setenv("RELIC_CACHE", "~no-such-user/cache")
    monkeypatch.setenv("TFDS_DATA_DIR", "~no-such-user/prepared")
    assert [name for name, _ in data.images("mine")] == ["a"]
    with pytest.raises(RelicError, match="no data set kodak in .*own/kodak, ~no-such-user/cache/data/kodak"):
        data.images("kodak")
    for name in ("kodak", "cifar10"):
        with pytest.raises(RelicError, match="no home folder is known for ~no-such-user"):
            data_command.fetch(name)


def test_a_name_is_that_of_a_set_where_some_place_has_one(tmp_path):
    write(tmp_path / "own" / "mine" / "a.png", noise())
    names = ("mine", "sample", "yours", "./mine", "mine/", ".", "", str(tmp_path / "own" / "mine"))
    assert [name for name in names if data.is_here(name)] == ["mine", "sample"]


def test_the_users_folder_comes_before_the_cache_and_the_cache_before_nothing(tmp_path, monkeypatch):
    write(tmp_path / "cache" / "data" / "mine" / "cached.png", noise())
    assert data.images("mine")[0][0] == "cached"
    write(tmp_path / "own" / "mine" / "own.png", noise())
    assert data.images("mine")[0][0] == "own"
    monkeypatch.delenv("RELIC_DATA")
    assert data.images("mine")[0][0] == "cached"


def test_any_folder_is_read_whatever_the_name(tmp_path):
    write(tmp_path / "anywhere" / "x.png", noise())
    assert [stem for stem, _ in data.images("kodak", directory=tmp_path / "anywhere")] == ["x"]
    with pytest.raises(RelicError, match="no such folder of pictures"):
        data.images("kodak", directory=tmp_path / "nowhere")


def test_a_folder_without_pictures_is_one_clear_error(tmp_path):
    write(tmp_path / "own" / "mine" / "readme.txt", b"soon")
    with pytest.raises(RelicError, match="no pictures in .*mine: put files ending in .png"):
        data.images("mine")


def test_a_missing_set_says_how_to_get_it_and_under_which_terms():
    with pytest.raises(RelicError, match="fetch kodak.*RELIC_DATA/kodak.*Eastman Kodak for unrestricted use"):
        data.images("kodak")
    with pytest.raises(
        RelicError, match=r"fetch bsds500`, or put its pictures into \$RELIC_DATA/bsds500/train \(terms: non-"
    ):
        data.images("bsds500/train")
    with pytest.raises(RelicError, match="fetch cifar10`.*terms"):
        data.images("cifar10/train")
    with pytest.raises(RelicError, match=r"no data set unheard_of .*\$RELIC_DATA/unheard_of"):
        data.images("unheard_of")


@pytest.mark.parametrize("name", ["", "..", "../other", "/absolute", "a//b", "a/../b", "./a", "a/"])
def test_a_name_cannot_leave_the_data_folder(name):
    with pytest.raises(RelicError, match="is no data set's name"):
        data.images(name)


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_that_leaves_nothing_is_refused(limit):
    with pytest.raises(RelicError, match="leaves none"):
        data.images("sample", limit)


def test_a_zip_file_alone_in_its_folder_is_the_set(tmp_path):
    folder = tmp_path / "own" / "zipped"
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / "images.zip", "w") as archive:
        archive.writestr("val/b.png", encoded(noise(seed=1), "PNG"))
        archive.writestr("val/a.png", encoded(noise(seed=2), "PNG"))
        archive.writestr("val/readme.txt", "no picture")
    found = data.images("zipped")
    assert [stem for stem, _ in found] == ["a", "b"]
    np.testing.assert_array_equal(found[0][1], noise(seed=2))
    whole = (folder / "images.zip").read_bytes()
    (folder / "images.zip").write_bytes(whole[:-40])
    with pytest.raises(RelicError, match="images.zip: truncated, damaged"):
        data.images("zipped")


def zipped(compression):
    """Return a zip file of three pictures."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for seed in range(3):
            archive.writestr(f"val/{seed}.png", encoded(noise(seed=seed), "PNG"))
    return buffer.getvalue()


def mutations(content, seed, count=150):
    """Yield a file's bytes with one byte to four changed, or cut, as random numbers have it."""
    generator = np.random.default_rng(seed)
    for _ in range(count):
        changed = bytearray(content)
        for _ in range(int(generator.integers(1, 5))):
            changed[int(generator.integers(len(changed)))] = int(generator.integers(256))
        yield bytes(changed[: None if generator.random() < 0.8 else int(generator.integers(len(changed)))])


@pytest.mark.parametrize("method", ["STORED", "DEFLATED", "BZIP2", "LZMA"])
def test_a_damaged_zip_file_gives_its_pictures_or_one_sentence_that_names_it(tmp_path, method):
    whole, archive = zipped(getattr(zipfile, f"ZIP_{method}")), tmp_path / "images.zip"
    originals = {noise(seed=seed).tobytes() for seed in range(3)}
    archive.write_bytes(whole)
    assert len(data.images("any", directory=tmp_path)) == 3
    refused = 0
    for changed in mutations(whole, seed=len(method)):
        archive.write_bytes(changed)
        try:
            found = data.images("any", directory=tmp_path)
            assert {image.tobytes() for _, image in found} <= originals
        except RelicError as error:
            refused += 1
            assert str(archive) in str(error) and "\n" not in str(error)
    assert refused > 75


def test_a_zip_file_with_a_name_that_is_not_utf8_is_refused_with_its_path(tmp_path):
    whole = zipped(zipfile.ZIP_STORED)
    central = whole.rindex(b"PK\1\2")  # the directory's entry of the last picture, whose name is to be UTF-8 now
    changed = bytearray(whole[:central] + whole[central:].replace(b"val/2.png", b"val/\xff.png"))
    changed[central + 9] |= 0x08
    write(tmp_path / "images.zip", bytes(changed))
    with pytest.raises(RelicError, match="images.zip: truncated, damaged"):
        data.images("any", directory=tmp_path)


def test_a_member_of_a_zip_file_that_unpacks_to_more_than_it_says_takes_little_memory(tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.png", bytes(2**26))
    bomb = bytearray(buffer.getvalue())
    central = bomb.rindex(b"PK\1\2")
    bomb[22:26] = bomb[central + 24 : central + 28] = (2**10).to_bytes(4, "little")  # the size that it claims
    write(tmp_path / "bomb.zip", bytes(bomb))
    tracemalloc.start()
    try:
        with pytest.raises(RelicError, match="bomb.zip: truncated, damaged"):
            data.images("any", directory=tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 2**21
    finally:
        tracemalloc.stop()


def test_a_damaged_npz_file_gives_its_pictures_or_one_sentence_that_names_it(tmp_path):
    archive = tmp_path / "own" / "small" / "small.npz"
    archive.parent.mkdir(parents=True)
    np.savez_compressed(archive, x_train=noise(8, 8)[None])
    for changed in mutations(archive.read_bytes(), seed=0):
        archive.write_bytes(changed)
        try:
            np.testing.assert_array_equal(data.images("small/train")[0][1], noise(8, 8))
        except RelicError as error:
            assert str(archive) in str(error)


def test_an_npz_file_holds_its_splits(tmp_path):
    archive = tmp_path / "own" / "small" / "small.npz"
    archive.parent.mkdir(parents=True)
    x = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)
    np.savez_compressed(archive, x_train=x, x_test=x[:2], y_train=np.arange(5), x_float=np.zeros((2, 8, 8)))
    assert len(data.images("small/train")) == 5 and len(data.images("small/test")) == 2
    np.testing.assert_array_equal(data.images("small/train")[4][1], x[4])
    with pytest.raises(RelicError, match="no x_val"):
        data.images("small/val")
    with pytest.raises(RelicError, match="not uint8"):
        data.images("small/float")
    with pytest.raises(RelicError, match="name small/train"):
        data.images("small")
    archive.write_bytes(archive.read_bytes()[:200])
    with pytest.raises(RelicError, match="small.npz: truncated"):
        data.images("small/train")


def test_the_embedded_set_is_three_colour_photographs():
    found = data.images("sample")
    assert [(stem, x.shape) for stem, x in found] == [
        ("astronaut", (512, 512, 3)),
        ("chelsea", (300, 451, 3)),
        ("coffee", (400, 600, 3)),
    ]
    pixels = hashlib.sha256(b"".join(x.tobytes() for _, x in found)).hexdigest()
    assert pixels == "172baba871eef265a6254fa891900846e8150597302b19e0583b52924ac64be7"


def test_the_digest_of_a_set_depends_on_every_byte_and_on_no_name(tmp_path):
    for folder, names in (("one", "ab"), ("two", "cb")):
        for seed, name in enumerate(names):
            write(tmp_path / "own" / folder / f"{name}.png", noise(seed=seed))
    files = [(tmp_path / "own" / "one" / name).read_bytes() for name in ("a.png", "b.png")]
    lines = "\n".join(sorted(hashlib.sha256(content).hexdigest() for content in files))
    assert data.load("one")[1] == data.load("two")[1] == hashlib.sha256(lines.encode()).hexdigest()
    write(tmp_path / "own" / "two" / "c.png", noise(seed=7))
    assert data.load("one")[1] != data.load("two")[1]


def test_pictures_are_known_by_shapes_and_bytes_in_order_and_not_by_their_names():
    first, second = noise(seed=1), noise(seed=2)
    digest = data.pixel_digest([("a", first), ("b", second)])
    assert digest == data.pixel_digest([("c", np.asfortranarray(first)), ("d", second)])
    others = [[second, first], [first], [first, second.reshape(30, 20, 3)], [first, second ^ 1]]
    assert digest not in [data.pixel_digest([("", image) for image in images]) for images in others]


@pytest.mark.parametrize("name, count", digests.DIGESTS, ids=lambda value: str(value))
def test_the_sets_that_results_are_measured_on_have_the_digests_that_are_stated(name, count, monkeypatch):
    for key, value in HERE.items():
        monkeypatch.setenv(key, value) if value else monkeypatch.delenv(key)
    try:
        there = [picture for part in name.split(", ") for picture in data.images(part)][:count]
    except RelicError as error:
        pytest.skip(f"the set is not here: {error}")
    assert data.pixel_digest(there) == data.known_digest(name, count)
    assert data.known_digest(name, count - 1) == data.known_digest(name, None) == ""


def test_a_set_that_memory_cannot_hold_asks_for_a_limit(tmp_path, monkeypatch):
    for seed in range(3):
        write(tmp_path / "own" / "big" / f"{seed}.png", noise(seed=seed))
    monkeypatch.setattr(data_sets, "MAX_SET_BYTES", 4000)
    with pytest.raises(RelicError, match="give a smaller limit"):
        data.images("big")
    assert len(data.images("big", limit=2)) == 2


# --- patches for training


def coordinates(height, width, number):
    """Return a picture whose pixels say their row, their column and the picture's number."""
    y, x = np.mgrid[:height, :width]
    return np.stack([y, x, np.full_like(x, number)], axis=-1).astype(np.uint8)


@pytest.fixture
def patches(tmp_path):
    """Return a function that makes patches of two pictures of known content."""
    write(tmp_path / "own" / "mine" / "wide.png", coordinates(40, 100, 1))
    write(tmp_path / "own" / "mine" / "high.png", coordinates(120, 32, 0))
    return functools.partial(data.TrainingPatches, ["mine"], 32)


def test_a_patch_is_a_window_of_a_picture(patches):
    x = patches(seed=0, augment=False).batch(0, 500)
    assert x.shape == (500, 32, 32, 3) and x.dtype == np.uint8
    tops, lefts = x[:, 0, 0, 0], x[:, 0, 0, 1]
    plane = coordinates(150, 150, 0)[:, :, :2]
    for patch, top, left in zip(x, tops, lefts, strict=True):
        np.testing.assert_array_equal(patch[:, :, :2], plane[top : top + 32, left : left + 32])
        assert (patch[:, :, 2] == patch[0, 0, 2]).all()
    wide = x[:, 0, 0, 2] == 1
    assert 200 < wide.sum() < 300  # every picture is equally likely
    assert set(tops[wide]) == set(range(9)) and {0, 68} <= set(lefts[wide])  # the first and the last place occur
    assert set(lefts[~wide]) == {0}


def test_half_of_the_patches_are_mirrored_and_the_windows_stay(patches):
    plain, x = patches(seed=0, augment=False).batch(3, 500), patches(seed=0, augment=True).batch(3, 500)
    mirrored = (x != plain).any(axis=(1, 2, 3))
    assert 200 < mirrored.sum() < 300
    np.testing.assert_array_equal(x[mirrored], plain[mirrored, :, ::-1])


def test_a_batch_depends_on_seed_and_step_alone(patches):
    first, second = patches(seed=5, augment=True), patches(seed=5, augment=True)
    forward = [first.batch(step, 8) for step in range(4)]
    np.random.seed(1)
    backward = [second.batch(step, 8) for step in reversed(range(4))]
    np.testing.assert_array_equal(forward, backward[::-1])
    assert len({batch.tobytes() for batch in forward}) == 4
    assert (patches(seed=6, augment=True).batch(0, 8) != forward[0]).any()


def test_batches_are_the_same_on_every_machine(patches):
    x = patches(seed=5, augment=True).batch(7, 16)
    assert hashlib.sha256(x.tobytes()).hexdigest() == "3b14767218763fd9e8945f026a8d1c16f08621a3319b6e53b2652cc3e34bd98c"


def test_grey_pictures_give_three_equal_channels(tmp_path):
    write(tmp_path / "own" / "grey" / "g.png", noise(40, 40, channels=0))
    x = data.TrainingPatches(["grey"], 40, seed=0, augment=False).batch(0, 2)
    np.testing.assert_array_equal(x, np.repeat(noise(40, 40, channels=0)[None, :, :, None], 3, axis=3)[[0, 0]])


def test_pictures_smaller_than_a_patch_are_skipped_and_counted(tmp_path, patches):
    write(tmp_path / "own" / "mine" / "small.png", noise(31, 90))
    made = patches(seed=0, augment=False)
    assert made.skipped == {"mine": 1} and len(made.pictures) == 2
    assert made.digests == {"mine": data.load("mine")[1]}
    with pytest.raises(RelicError, match="no picture of mine is at least 121x121"):
        data.TrainingPatches(["mine"], 121, seed=0, augment=False)


def test_patches_come_from_several_sets(tmp_path, patches):
    write(tmp_path / "own" / "other" / "x.png", coordinates(32, 32, 9))
    made = data.TrainingPatches(["mine", "other"], 32, seed=0, augment=False)
    assert set(made.batch(0, 100)[:, 0, 0, 2]) == {0, 1, 9}
    assert set(made.digests) == {"mine", "other"}


def test_patches_come_faster_than_the_fastest_training_step_takes_them(tmp_path):
    for number in range(4):
        write(tmp_path / "own" / "mine" / f"{number}.png", noise(300, 400, seed=number))
    made = data.TrainingPatches(["mine"], 256, seed=0, augment=True)
    start = time.process_time()
    for step in range(20):
        made.batch(step, 16)
    assert 20 * 16 / (time.process_time() - start) > 300


@pytest.mark.parametrize(
    "name",
    [
        "kodak",
        "set12",
        "set14",
        "classic5",
        "clic",
        "clic_subset",
        "clic/train",
        "sample",
        "bsds500",
        "bsds500/val",
        "Kodak",
        "cifar10/test",
        "imagenet2012/test",
    ],
)
def test_training_on_a_test_set_is_refused_by_name(tmp_path, name):
    write(tmp_path / "own" / name / "a.png", noise(40, 40))
    with pytest.raises(RelicError, match=f"{name} is or holds a test set"):
        data.TrainingPatches([name], 32, seed=0, augment=False)


@pytest.mark.parametrize("name", ["bsds500/train", "bsds500/test", "cifar10/train", "train400", "coco128_val"])
def test_training_sets_are_not_refused(tmp_path, name):
    write(tmp_path / "own" / name / "a.png", noise(40, 40))
    assert data.TrainingPatches([name], 32, seed=0, augment=False).batch(0, 1).shape == (1, 32, 32, 3)


def test_a_test_picture_under_another_name_is_refused(tmp_path):
    coffee = Path(importlib.util.find_spec("skimage").origin).parent / "data" / "coffee.png"
    write(tmp_path / "own" / "mine" / "innocent.png", coffee.read_bytes())
    with pytest.raises(RelicError, match="mine holds innocent, a picture that results are measured on"):
        data.TrainingPatches(["mine"], 32, seed=0, augment=False)


# --- the command line


def test_the_command_line_alone_shows_its_help_and_a_mistake_is_one_sentence(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["data"])
    run_main(data_command.main)
    assert "fetch" in capsys.readouterr().out
    for arguments in (["paint"], ["fetch"], ["verify"]):
        monkeypatch.setattr(sys, "argv", ["data", *arguments])
        with pytest.raises(SystemExit, match="error: .*python -m common.data"):
            run_main(data_command.main)


# --- tensorflow-datasets


def prepare(builder):
    """Prepare a set without asking the network for a prepared one."""
    config = prepared_sets.tensorflow_datasets().download.DownloadConfig(try_download_gcs=False)
    builder.download_and_prepare(download_config=config)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Return a folder with a small set that tensorflow-datasets prepared as array_record, and its builder's class."""
    pytest.importorskip("tensorflow_datasets")
    tfds = prepared_sets.tensorflow_datasets()

    class TinyPictures(tfds.core.GeneratorBasedBuilder):
        """Five pictures to train on and two to test on."""

        VERSION = tfds.core.Version("1.0.0")
        pkg_dir_path = Path(__file__).parent

        def _info(self):
            return tfds.core.DatasetInfo(
                builder=self,
                disable_shuffling=True,
                features=tfds.features.FeaturesDict(
                    {
                        "label": tfds.features.ClassLabel(num_classes=5),
                        "image": tfds.features.Image(shape=(None, None, 3)),
                    }
                ),
            )

        def _split_generators(self, dl_manager):
            return {"train": self._generate_examples(range(5)), "test": self._generate_examples(range(5, 7))}

        def _generate_examples(self, seeds):
            for seed in seeds:
                yield seed, {"image": noise(40, 30 + seed, seed=seed), "label": 0}

    folder = tmp_path_factory.mktemp("prepared")
    prepare(TinyPictures(data_dir=folder, file_format="array_record"))
    return folder, TinyPictures


def check_tiny_pictures():
    found = data.images("tiny_pictures/train")
    assert [stem for stem, _ in found] == [f"train_{index:06d}" for index in range(5)]
    for seed, (_, x) in enumerate(found):
        np.testing.assert_array_equal(x, noise(40, 30 + seed, seed=seed))
    assert len(data.images("tiny_pictures/test")) == 2


def test_a_prepared_set_is_read_by_name_and_split(prepared, monkeypatch, capfd):
    monkeypatch.setenv("TFDS_DATA_DIR", str(prepared[0]))
    check_tiny_pictures()
    assert len(data.images("tiny_pictures/train", limit=3)) == 3
    made = data.TrainingPatches(["tiny_pictures/train"], 32, seed=0, augment=False)
    assert made.skipped == {"tiny_pictures/train": 2} and made.batch(0, 2).shape == (2, 32, 32, 3)
    monkeypatch.setattr(limits, "data_memory", lambda: 1)
    monkeypatch.setattr(index, "MANY", 2)
    for _ in range(2):  # the second time from the index that was kept
        decoded = data.TrainingPatches(["tiny_pictures/train"], 32, seed=0, augment=False)
        np.testing.assert_array_equal(decoded.batch(0, 8), made.batch(0, 8))
        assert decoded.skipped == made.skipped and decoded.digests["tiny_pictures/train"].startswith("sizes:")
    assert capfd.readouterr().err.count("tiny_pictures/train: reading the sizes of 5 pictures") == 1
    with pytest.raises(RelicError, match="name one of tiny_pictures/train, tiny_pictures/test"):
        data.images("tiny_pictures")
    with pytest.raises(RelicError, match="tiny_pictures has no split val"):
        data.images("tiny_pictures/val")


@pytest.mark.parametrize("pattern", ["*-train.array_record*", "dataset_info.json"])
def test_a_prepared_set_that_is_damaged_is_one_sentence(prepared, monkeypatch, tmp_path, pattern):
    shutil.copytree(prepared[0], tmp_path / "copy")
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "copy"))
    (path,) = (tmp_path / "copy").rglob(pattern)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(RelicError, match="cannot read tiny_pictures/train in .*: truncated or damaged") as refusal:
        data.images("tiny_pictures/train")
    assert "\n" not in str(refusal.value)


def test_a_folder_of_the_user_comes_before_a_prepared_set(prepared, monkeypatch, tmp_path):
    monkeypatch.setenv("TFDS_DATA_DIR", str(prepared[0]))
    write(tmp_path / "own" / "tiny_pictures" / "train" / "mine.png", noise())
    assert [stem for stem, _ in data.images("tiny_pictures/train")] == ["mine"]


def test_an_array_record_set_is_read_without_tensorflow(prepared, monkeypatch, tmp_path):
    (tmp_path / "tensorflow.py").write_text("raise ImportError('this test has no tensorflow')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("TFDS_DATA_DIR", str(prepared[0]))
    program = "from common import data; print(len(data.images('tiny_pictures/train')))"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT)
    assert run.stdout == "5\n", run.stderr


def test_a_tfrecord_set_is_read_through_tensorflow(prepared, monkeypatch, tmp_path):
    pytest.importorskip("tensorflow")
    prepare(prepared[1](data_dir=tmp_path, file_format="tfrecord"))
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    check_tiny_pictures()
    made = data.TrainingPatches(["tiny_pictures/train"], 32, seed=0, augment=False)
    np.testing.assert_array_equal(made.pictures[0], noise(40, 32, seed=2))
    monkeypatch.setattr(limits, "data_memory", lambda: 1)
    with pytest.raises(RelicError, match="was not prepared as array_record.* prepare it anew, or set RELIC_DATA_MEM"):
        data.TrainingPatches(["tiny_pictures/train"], 32, seed=0, augment=False)


def test_fetching_a_set_that_tensorflow_datasets_knows_prepares_it(prepared, capsys):
    data_command.fetch("tiny_pictures")
    check_tiny_pictures()
    with pytest.raises(RelicError, match="knows no set no_such_set"):
        data_command.fetch("no_such_set")


def test_without_tensorflow_datasets_a_prepared_set_says_what_is_missing(tmp_path, monkeypatch):
    (tmp_path / "prepared" / "cifar10").mkdir(parents=True)
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    with pytest.raises(RelicError, match="pip install tensorflow-datasets"):
        data.images("cifar10/train")
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", types.ModuleType("half of it"))
    with pytest.raises(RelicError, match="tensorflow-datasets cannot be imported"):
        data.images("cifar10/train")
