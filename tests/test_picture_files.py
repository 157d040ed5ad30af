"""Odd and incomplete picture files: what is whole is read exactly, what lacks pixels is refused by its reason."""

import io
import os
import re
import struct
import tracemalloc
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

from common.classical import codecs
from common.coding.container import MAX_PROFILE_LENGTH
from common.data import jpeg_files
from common.data.pictures import decode_image, png
from common.data.profiles import profile_to_keep
from common.errors import RelicError

Y, X = np.mgrid[:48, :64]
COLOURS = np.stack([Y * 5, X * 3, X * Y], axis=-1).astype(np.uint8)
GREY = COLOURS[..., 2].copy()
ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))


def encoded(image, file_format, **options):
    """Return the bytes of a picture file."""
    buffer = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(buffer, file_format, **options)
    return buffer.getvalue()


def assert_read(data, expected):
    found = decode_image(data, "file")
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, expected)


def assert_refused(data, reason):
    with pytest.raises(RelicError, match=f"^cannot read file: .*{reason}") as refusal:
        decode_image(data, "file")
    assert "\n" not in str(refusal.value)


# --- PNG


def chunk(name, content, crc=None):
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", crc or zlib.crc32(name + content))


def png_file(rows, size=(48, 64), depth=8, colour_type=2, interlaced=0, before=b"", after=b""):
    """Return a PNG of these filtered rows, with other chunks before and after them."""
    header = struct.pack(">2I5B", size[1], size[0], depth, colour_type, 0, 0, interlaced)
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + before
    return start + chunk(b"IDAT", zlib.compress(rows)) + after + chunk(b"IEND", b"")


def rows_of(image):
    """Return a picture's rows, each after the number of its filter: none."""
    return b"".join(b"\0" + row.tobytes() for row in image)


def passes_of(image):
    """Return the rows of an interlaced picture."""
    passes = [image[top::down, left::right] for top, left, down, right in ADAM7]
    return b"".join(rows_of(part) for part in passes if part.size)


def packed(levels, depth):
    """Return the rows of samples of 1, 2 or 4 bits."""
    bits = (levels[..., None] >> np.arange(depth)[::-1] & 1).astype(np.uint8)
    return rows_of(np.packbits(bits.reshape(len(levels), -1), axis=1))


@pytest.mark.parametrize("height, width", [(48, 64), (1, 1), (5, 3), (2, 9), (1, 5), (8, 8)])
def test_a_png_has_as_many_pixels_as_its_header_says_or_is_refused(height, width):
    image = COLOURS[:height, :width]
    for rows, interlaced in ((rows_of(image), 0), (passes_of(image), 1)):
        assert_read(png_file(rows, (height, width), interlaced=interlaced), image)
        assert_read(png_file(rows + b"more", (height, width), interlaced=interlaced), image)
        for kept in (len(rows) - 1, len(rows) // 2, 0):
            data = png_file(rows[:kept], (height, width), interlaced=interlaced)
            assert_refused(data, "damaged .not enough image data")


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_shallow_samples_are_scaled_and_counted_bit_by_bit(depth):
    levels, most = X * Y % 2**depth, 2**depth - 1
    rows = packed(levels, depth)
    assert_read(png_file(rows, depth=depth, colour_type=0), levels * 255 // most)
    assert_refused(png_file(rows[:-1], depth=depth, colour_type=0), "not enough image data")
    palette = np.random.default_rng(0).integers(0, 256, (2**depth, 3), np.uint8)
    whole = chunk(b"PLTE", palette.tobytes())
    assert_read(png_file(rows, depth=depth, colour_type=3, before=whole), palette[levels])
    short = chunk(b"PLTE", palette[:-1].tobytes())
    assert_refused(png_file(rows, depth=depth, colour_type=3, before=short), f"colour {most} of a palette of {most}")
    assert_refused(png_file(rows, depth=depth, colour_type=3), "damaged")


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_a_grey_level_declared_transparent_counts_only_where_it_is_used(depth):
    most = 2**depth - 1
    levels = most - 1 - X % most
    rows = packed(levels, depth)
    unused, used = (chunk(b"tRNS", struct.pack(">H", level)) for level in (most, most - 1))
    assert_read(png_file(rows, depth=depth, colour_type=0, before=unused), levels * (255 // most))
    assert_refused(png_file(rows, depth=depth, colour_type=0, before=used), "transparent pixels")


@pytest.mark.parametrize(
    "other",
    [
        chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(2**21))),
        chunk(b"iTXt", b"Comment\0\1\0\0\0" + zlib.compress(bytes(2**21))),
        chunk(b"tEXt", b"Comment\0" + bytes(2**21)),
        chunk(b"iCCP", b"large\0\0" + zlib.compress(bytes(2**21))),
        chunk(b"iCCP", b"no zlib stream"),
        chunk(b"tEXt", b"Comment\0hello", crc=1),
        chunk(b"pHYs", b"short"),
    ],
    ids=lambda other: f"{other[4:8].decode()} {len(other)}",
)
def test_what_says_nothing_about_pixels_keeps_no_png_from_being_read(other):
    assert_read(png_file(rows_of(COLOURS), before=other), COLOURS)
    assert_read(png_file(rows_of(COLOURS), after=other), COLOURS)


def test_chunks_that_a_picture_would_look_different_without_must_be_whole():
    rows, palette = bytes(48 * 65), chunk(b"PLTE", bytes(9))
    for damaged in (chunk(b"tRNS", b"\0", crc=1), chunk(b"eXIf", b"II*\0", crc=1), chunk(b"PLTE", bytes(9), crc=1)):
        data = png_file(rows, colour_type=3, before=(b"" if damaged[4:8] == b"PLTE" else palette) + damaged)
        assert_refused(data, f"chunk b'{damaged[4:8].decode()}' is damaged")
    assert_refused(png_file(rows_of(COLOURS), before=chunk(b"ABCD", b"")), "unknown chunk b'ABCD'")
    whole = png_file(rows_of(COLOURS))
    assert_refused(whole[:-12], "the file was cut")
    assert_refused(whole[:8] + chunk(b"IEND", b""), "no header or no image data")


@pytest.mark.parametrize("depth, colour_type", [(3, 0), (8, 5), (4, 2), (0, 0)])
def test_a_png_of_colours_that_do_not_exist_is_damaged_and_not_another_format(depth, colour_type):
    assert_refused(png_file(rows_of(COLOURS), depth=depth, colour_type=colour_type), "truncated or damaged")


def test_an_animation_is_several_pictures_and_one_of_a_single_frame_is_none():
    first, second = Image.fromarray(COLOURS), Image.fromarray(255 - COLOURS)
    for file_format in ("PNG", "WEBP", "TIFF"):
        film = encoded(first, file_format, save_all=True, append_images=[second])
        assert_refused(film, "several pictures")
    assert_read(encoded(first, "PNG", save_all=True), COLOURS)


# --- JPEG


JPEGS = [{}, {"subsampling": 0}, {"subsampling": "4:1:1"}, {"progressive": True}, {"restart_marker_rows": 1}]


@pytest.mark.parametrize("options", JPEGS, ids=str)
def test_a_jpeg_closed_before_its_pixels_end_is_refused_and_nothing_is_printed(options, capfd):
    whole = encoded(COLOURS, "JPEG", quality=90, **options)
    assert_read(whole, np.array(Image.open(io.BytesIO(whole))))
    start = whole.index(b"\xff\xda") + 20
    for end in np.linspace(start, len(whole) - 20, 12).astype(int):
        assert_refused(whole[:end] + b"\xff\xd9", "damaged .(Corrupt JPEG data|Premature end|scans are missing)")
        assert_refused(whole[:end], "damaged")
    assert capfd.readouterr() == ("", "")


def test_a_progressive_jpeg_closed_between_two_scans_is_refused():
    whole = encoded(COLOURS, "JPEG", quality=90, progressive=True)
    scans = [match.start() for match in re.finditer(b"\xff\xda", whole)]
    assert len(scans) == 10
    for scan in scans[1:]:
        tables = whole.rfind(b"\xff\xc4", 0, scan)  # the scan's own
        assert_refused(whole[:tables] + b"\xff\xd9", "scans are missing")


def test_zeros_between_a_jpeg_s_pixels_and_its_end_are_no_damage_and_left_over_data_are():
    whole = encoded(COLOURS, "JPEG", quality=90)
    assert_read(whole[:-2] + bytes(20) + whole[-2:], np.array(Image.open(io.BytesIO(whole))))
    assert_refused(whole[:-2] + b"left over" + whole[-2:], "extraneous bytes")
    restarting = encoded(COLOURS, "JPEG", quality=90, restart_marker_rows=1)
    assert_refused(restarting.replace(b"\xff\xd1", b""), "extraneous bytes")


def test_what_others_print_while_a_jpeg_is_decoded_is_printed(monkeypatch, capfd):
    decode = cv2.imdecode

    def interrupted(*arguments):
        os.write(2, b"from another thread\n")
        return decode(*arguments)

    monkeypatch.setattr(jpeg_files.cv2, "imdecode", interrupted)
    whole = encoded(COLOURS, "JPEG", quality=90)
    assert_read(whole, np.array(Image.open(io.BytesIO(whole))))
    assert_refused(whole[: len(whole) // 2] + b"\xff\xd9", "Corrupt JPEG data")
    assert capfd.readouterr() == ("", "from another thread\n" * 2)


def test_a_jpeg_is_read_without_a_standard_error():
    whole = encoded(COLOURS, "JPEG", quality=90)
    errors = os.dup(2)
    try:
        os.close(2)
        assert_read(whole, np.array(Image.open(io.BytesIO(whole))))
        assert_refused(whole[: len(whole) // 2] + b"\xff\xd9", "Corrupt JPEG data")
    finally:
        os.dup2(errors, 2)
        os.close(errors)


def test_what_a_library_says_in_several_lines_is_one_sentence(monkeypatch):
    def failing(*_):
        raise cv2.error("OpenCV failed\n> an assertion\n")

    monkeypatch.setattr(jpeg_files.cv2, "imdecode", failing)
    assert_refused(encoded(COLOURS, "JPEG"), "OpenCV failed > an assertion")


def test_a_jpeg_of_12_bits_or_without_a_size_is_refused_by_its_reason():
    whole = encoded(COLOURS, "JPEG")
    frame = whole.index(b"\xff\xc0")
    assert_refused(whole[: frame + 4] + b"\x0c" + whole[frame + 5 :], "its samples are 12-bit")
    assert_refused(whole[: frame + 5] + bytes(2) + whole[frame + 7 :], "a JPEG file that is damaged or of a rare kind")


# --- EXIF


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    "file_format, options",
    [("PNG", {}), ("WEBP", {"lossless": True}), ("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"})],
)
def test_every_orientation_is_applied_once(file_format, options, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    expected = np.array(ImageOps.exif_transpose(Image.open(io.BytesIO(encoded(COLOURS, "PNG", exif=exif)))))
    options = options | ({"tiffinfo": {0x0112: orientation}} if file_format == "TIFF" else {"exif": exif})
    assert_read(encoded(COLOURS, file_format, **options), expected)


def exif_of(*entries):
    """Return EXIF data of (tag, type, the four bytes of its value)."""
    body = b"".join(struct.pack("<HHI", tag, kind, 1) + value for tag, kind, value in entries)
    return b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + body + bytes(4)


TURNING = (0x0112, 3, struct.pack("<HH", 6, 0))


@pytest.mark.parametrize(
    "odd",
    [
        (0x0100, 3, b"\xff\xff\0\0"),
        (0x0103, 8, struct.pack("<hh", -3, 0)),
        (0x9203, 10, struct.pack("<I", 99999)),
        (0x010F, 2, struct.pack("<I", 99999)),
        (0x8769, 4, struct.pack("<I", 99999)),
        (0x0213, 99, b"odd!"),
    ],
)
def test_odd_values_beside_an_orientation_do_not_matter(odd):
    entries = sorted([TURNING, odd])
    assert_read(encoded(COLOURS, "PNG", exif=exif_of(*entries)), np.rot90(COLOURS, -1))
    whole = encoded(COLOURS, "JPEG", exif=exif_of(*entries))
    assert_read(whole, np.rot90(np.array(Image.open(io.BytesIO(encoded(COLOURS, "JPEG")))), -1))


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0", b"Exif\0\0garbage", exif_of(TURNING)[:14], b"Exif\0\0II*\0\x08\0\0\0\xff\xff"]
)
def test_exif_data_that_cannot_be_read_ask_for_nothing(exif):
    assert_read(encoded(COLOURS, "WEBP", lossless=True, exif=exif), COLOURS)
    whole = encoded(COLOURS, "JPEG", exif=exif)
    assert_read(whole, np.array(Image.open(io.BytesIO(encoded(COLOURS, "JPEG")))))


# --- BMP, TIFF, PPM


def test_an_alpha_channel_of_zeros_is_none_in_a_bmp_and_transparent_elsewhere():
    samples = np.dstack([COLOURS[::-1, :, ::-1], np.zeros((48, 64), np.uint8)])
    masks = struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    size = 14 + 124 + samples.nbytes
    header = struct.pack("<IiiHHIIiiII", 124, 64, 48, 1, 32, 3, samples.nbytes, 0, 0, 0, 0) + masks
    file = b"BM" + struct.pack("<IHHI", size, 0, 0, 138) + header.ljust(124, b"\0")
    assert_read(file + samples.tobytes(), COLOURS)
    samples[0, 0, 3] = 255
    assert_refused(file + samples.tobytes(), "transparent pixels")
    assert_refused(encoded(np.dstack([COLOURS, np.zeros((48, 64), np.uint8)]), "PNG"), "transparent pixels")


def tiff_file(*pages):
    """Return a TIFF of pages, each a dictionary of tags to lists of numbers and the bytes that its strips lie in.

    Strips begin at the number 0 of the bytes.
    """
    data, link = b"II*\0" + bytes(4), 4
    for tags, strips in pages:
        start = len(data)
        data += strips + bytes(len(strips) % 2)
        entries, values = [], b""
        position = len(data) + 2 + 12 * len(tags) + 4
        for tag, numbers in sorted(tags.items()):
            numbers = [number + start for number in numbers] if tag in (273, 324) else numbers
            stored = struct.pack(f"<{len(numbers)}I", *numbers)
            where = stored if len(numbers) == 1 else struct.pack("<I", position + len(values))
            values += stored if len(numbers) > 1 else b""
            entries.append(struct.pack("<HHI", tag, 4, len(numbers)) + where)
        data = data[:link] + struct.pack("<I", len(data)) + data[link + 4 :]
        link = len(data) + 2 + 12 * len(tags)
        data += struct.pack("<H", len(tags)) + b"".join(entries) + bytes(4) + values
    return data


def page(image, rows=48, **changes):
    """Return a page of uncompressed strips; `changes` are tags, such as t254=[1]."""
    channels = 1 if image.ndim == 2 else 3
    parts = [image[top : top + rows].tobytes() for top in range(0, len(image), rows)]
    offsets = np.cumsum([0, *map(len, parts)])[:-1].tolist()
    tags = {
        256: [image.shape[1]],
        257: [image.shape[0]],
        258: [8] * channels,
        259: [1],
        262: [channels - channels // 3],
    }
    tags |= {273: offsets, 277: [channels], 278: [rows], 279: [len(part) for part in parts]}
    return tags | {int(tag[1:]): value for tag, value in changes.items()}, b"".join(parts)


@pytest.mark.parametrize("rows", [1, 7, 16, 48])
def test_a_tiff_of_any_strips_tiles_or_planes_is_read_exactly(rows):
    assert_read(tiff_file(page(COLOURS, rows)), COLOURS)
    assert_read(tiff_file(page(GREY, rows)), GREY)
    planes = [page(plane, rows) for plane in np.moveaxis(COLOURS, -1, 0)]
    offsets = [64 * 48 * number + offset for number, (tags, _) in enumerate(planes) for offset in tags[273]]
    tags, _ = page(COLOURS, rows, t273=offsets, t279=planes[0][0][279] * 3, t284=[2])
    assert_read(tiff_file((tags, b"".join(strips for _, strips in planes))), COLOURS)
    tiles = [COLOURS[top : top + 16, left : left + 32].tobytes() for top in (0, 16, 32) for left in (0, 32)]
    tags, _ = page(COLOURS, t322=[32], t323=[16], t324=[1536 * number for number in range(6)], t325=[1536] * 6)
    assert_read(tiff_file(({tag: tags[tag] for tag in tags if tag not in (273, 278, 279)}, b"".join(tiles))), COLOURS)


@pytest.mark.parametrize(
    "changes, reason",
    [
        ({"t279": [3072, 1536, 3072]}, "strips or tiles are cut"),
        ({"t279": [3072, 0, 3072]}, "strips or tiles are missing"),
        ({"t279": [3072, 3072]}, "strips or tiles are missing"),
        ({"t273": [0, 3072]}, "strips or tiles are missing"),
        ({"t273": [0, 3072, 99999]}, "truncated or damaged"),
        ({"t256": [0]}, "no pixels"),
        ({"t339": [2, 2, 2]}, "its samples are 8-bit signed"),
        ({"t258": [32, 32, 32], "t339": [3, 3, 3]}, "its samples are 32-bit float"),
        ({"t258": [16, 16, 16]}, "its samples are 16-bit"),
        ({"t262": [99]}, "a TIFF file that is damaged or of a rare kind"),
    ],
)
def test_a_tiff_that_lacks_pixels_or_has_other_samples_is_refused_by_its_reason(changes, reason):
    assert_refused(tiff_file(page(COLOURS, 16, **changes)), reason)


@pytest.mark.parametrize("compression", ["tiff_lzw", "packbits", "tiff_adobe_deflate", "jpeg"])
def test_a_strip_of_a_compressed_tiff_that_ends_early_is_refused(compression):
    whole = encoded(COLOURS, "TIFF", compression=compression, tiffinfo={278: 48})
    size = Image.open(io.BytesIO(whole)).tag_v2[279][0]
    decode_image(whole, "whole")
    entry = whole.rindex(struct.pack("<HHII", 279, 4, 1, size))
    assert_refused(whole[: entry + 8] + struct.pack("<I", size // 2) + whole[entry + 12 :], "truncated or damaged")


def test_a_small_tiff_that_claims_millions_of_strips_takes_little_memory():
    claim = tiff_file(page(GREY, t256=[1], t257=[80_000_000], t278=[1]))
    tracemalloc.start()
    try:
        assert_refused(claim, "strips or tiles are missing")
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def test_of_a_tiff_s_pages_smaller_versions_are_ignored_and_others_are_several_pictures():
    full, thumbnail = page(COLOURS), page(COLOURS[::4, ::4].copy(), t254=[1])
    old = page(COLOURS[::4, ::4].copy(), t255=[2])
    for pages in ((full, thumbnail), (thumbnail, full), (full, old), (thumbnail, old, full)):
        assert_read(tiff_file(*pages), COLOURS)
    inks = page(COLOURS, t258=[8] * 4, t262=[5], t277=[4], t279=[4 * 64 * 48])
    assert_refused(tiff_file(thumbnail, (inks[0], bytes(4 * 64 * 48))), "its colours are CMYK")
    assert_refused(tiff_file(full, full), "several pictures")
    assert_refused(tiff_file(full, page(COLOURS, t254=[2])), "several pictures")
    alone = bytearray(tiff_file(full))
    directory = int.from_bytes(alone[4:8], "little")
    end = directory + 2 + 12 * len(full[0])
    alone[end : end + 4] = alone[4:8]  # the first page follows itself
    assert_read(bytes(alone), COLOURS)


GREY_PGM = b"P5 64 48 255\n" + GREY.tobytes()


@pytest.mark.parametrize(
    "data, expected",
    [
        (b"P6\n#" + b"long " * 2000 + b"\n64 48\n255\n" + COLOURS.tobytes(), COLOURS),
        (b"P6#a\n64#b\n#c\n48\t#d\r\n255#e\n" + COLOURS.tobytes(), COLOURS),
        (b"P5\r\n00000000000064 48\r\n255\n" + GREY.tobytes() + b"\n", GREY),
        (b"P5 64 48 100\n" + (GREY % 101).tobytes(), np.rint(GREY % 101 / 100 * 255)),
        (b"P3 64 48 255\n" + b"\n# P3 1 1\n".join(b"%d" % value for value in COLOURS.ravel()), COLOURS),
        (b"P2 64 48 3 " + b" ".join(b"%d" % value for value in GREY.ravel() % 4), GREY % 4 * 85),
        (b"P1\n64 48\n" + b"".join(b"%d" % value for value in GREY.ravel() % 2), (1 - GREY % 2) * 255),
        (b"P4 64 48\n" + np.packbits(GREY % 2, axis=1).tobytes(), (1 - GREY % 2) * 255),
    ],
    ids=lambda value: str(value[:12]) if isinstance(value, bytes) else "",
)
def test_the_kinds_of_ppm_are_read_whatever_their_comments(data, expected):
    assert_read(data, expected)


@pytest.mark.parametrize(
    "data, reason",
    [
        (GREY_PGM * 2, "several pictures"),
        (GREY_PGM + b"\nP4 8 1\n\0", "several pictures"),
        (2 * b"P1 2 2 0110\n", "several pictures"),
        (GREY_PGM[:-1], "truncated or damaged"),
        (b"P2 2 2 255 1 2 3", "truncated or damaged"),
        (b"P5 64 48 100\n" + GREY.tobytes(), "a sample is above 100"),
        (b"P5 64 48 256\n" + bytes(2 * GREY.size), "its samples are 16-bit"),
        (b"PF 64 48 -1.0\n" + bytes(12 * GREY.size), "its samples are float"),
        (b"P5 0 48 255\n", "no pixels"),
        (b"P5 99999999999999999999 48 255\n", "more than 80000000 pixels"),
        (b"P5 64", "its header has no size"),
    ],
)
def test_a_ppm_that_lacks_pixels_or_holds_more_is_refused_by_its_reason(data, reason):
    assert_refused(data, reason)


@pytest.mark.parametrize("mutated", ["PNG", "JPEG", "BMP", "WEBP", "TIFF", "PPM", "LZW"])
def test_random_damage_is_a_picture_or_one_sentence(mutated, capfd):
    options = {"LZW": {"compression": "tiff_lzw"}, "JPEG": {"progressive": True}}.get(mutated, {})
    whole = encoded(COLOURS[:16, :16], {"LZW": "TIFF"}.get(mutated, mutated), **options)
    generator = np.random.default_rng(0)
    for _ in range(150):
        changed = bytearray(whole)
        for _ in range(int(generator.integers(1, 4))):
            changed[int(generator.integers(len(changed)))] = int(generator.integers(256))
        try:
            image = decode_image(bytes(changed), "file")
            assert image.dtype == np.uint8 and image.ndim in (2, 3)
        except RelicError as error:
            assert str(error).startswith("cannot read file: ") and "\n" not in str(error)
    assert capfd.readouterr() == ("", "")


def test_pictures_read_in_several_threads_leave_the_filters_of_warnings_as_they_are():
    files = [encoded(COLOURS, name) for name in ("PNG", "TIFF", "JPEG")] * 40
    before = list(warnings.filters)
    with ThreadPoolExecutor(8) as pool:
        shapes = set(pool.map(lambda file: decode_image(file, "file").shape, files))
    assert warnings.filters == before and shapes == {COLOURS.shape}


def test_codecs_and_readers_in_several_threads_leave_standard_error_as_it_is(capfd):
    file = encoded(COLOURS, "JPEG")
    reads = [lambda: decode_image(file, "file"), lambda: codecs.Jpeg(50).decompress(file)] * 100
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda read: read(), reads))
    os.write(2, b"heard")
    assert capfd.readouterr() == ("", "heard")


# --- colour profiles


def icc(**changes):
    """Return littleCMS's sRGB profile with the contents of tags, by their signatures, replaced from their 8th byte."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    for number in range(int.from_bytes(profile[128:132], "big")):
        name, start, _ = struct.unpack_from(">4sII", profile, 132 + 12 * number)
        content = changes.get(name.decode().strip(), b"")
        profile[start + 8 : start + 8 + len(content)] = content
    return profile


def grey_icc(exponent):
    """Return a profile of grey whose curve is a power."""
    profile = icc(rTRC=bytes(4) + struct.pack(">I", round(exponent * 2**16)))
    profile[16:20] = b"GRAY"
    return bytes(profile).replace(b"rTRC", b"kTRC", 1)


SRGB = bytes(icc())
WIDE = bytes(icc(rXYZ=struct.pack(">3I", 0x8000, 0x4000, 0), gXYZ=struct.pack(">3I", 0x4000, 0xB000, 0x800)))


@pytest.mark.parametrize("name", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_a_profile_that_is_not_srgb_is_kept_whatever_it_calls_itself(name):
    assert b"sRGB" in WIDE.replace(b"\0", b"")
    assert profile_to_keep(encoded(COLOURS, name, icc_profile=WIDE), COLOURS) == WIDE
    assert profile_to_keep(encoded(COLOURS, name, icc_profile=SRGB), COLOURS) is None
    assert profile_to_keep(encoded(COLOURS, name), COLOURS) is None


def test_a_profile_of_other_colours_than_the_pictures_is_dropped():
    power = grey_icc(1.0)
    assert profile_to_keep(encoded(GREY, "PNG", icc_profile=power), GREY) == power
    assert profile_to_keep(encoded(GREY, "PNG", icc_profile=WIDE), GREY) is None
    assert profile_to_keep(encoded(COLOURS, "PNG", icc_profile=power), COLOURS) is None


@pytest.mark.parametrize(
    "profile", [b"no profile", WIDE[:200], WIDE + bytes(MAX_PROFILE_LENGTH), bytes(2**21), WIDE[:128] + bytes(999)]
)
def test_a_profile_that_is_damaged_or_too_large_is_dropped(profile):
    data = png_file(rows_of(COLOURS), before=chunk(b"iCCP", b"profile\0\0" + zlib.compress(profile)))
    assert_read(data, COLOURS)
    assert profile_to_keep(data, COLOURS) is None


def test_a_written_png_has_the_profile_that_it_is_given():
    for profile in (None, WIDE):
        data = png(COLOURS, profile=profile)
        assert Image.open(io.BytesIO(data)).info.get("icc_profile") == profile
        assert_read(data, COLOURS)
