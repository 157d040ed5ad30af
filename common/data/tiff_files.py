"""TIFF files: which of the pages is the picture, and whether its strips or tiles are all there."""

import io
import re

from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from common.complaints import complaints
from common.data import jpeg_files, refusals

SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0")
BIG = 43  # the version of files with offsets of 64 bits

WIDTH, HEIGHT, BITS_PER_SAMPLE, COMPRESSION, PHOTOMETRIC = 256, 257, 258, 259, 262
SAMPLES_PER_PIXEL, ROWS_PER_STRIP, PLANAR, SAMPLE_FORMAT = 277, 278, 284, 339
SUBFILE_TYPE, OLD_SUBFILE_TYPE, JPEG_TABLES = 254, 255, 347
STRIP_OFFSETS, STRIP_SIZES, TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_SIZES = 273, 279, 322, 323, 324, 325
UNCOMPRESSED, JPEG, YCBCR, SEPARATE_PLANES = 1, 7, 6, 2
SAMPLE_KINDS = {2: "signed", 3: "float", 5: "complex", 6: "complex"}

Tags = ImageFileDirectory_v2

_LIBTIFF = re.compile(r"^[\w.]+: .+\.$")  # the function and a sentence


def page_of_picture(data: bytes) -> int:
    """Return the number of the page to read: the only one that is no smaller version of another one.

    Raises RelicError for several of them, and for samples that are no unsigned numbers of at most 8 bits; ValueError
    for strips that are missing, cut or damaged.
    """
    pages = _pages(data)
    full = [number for number, tags in enumerate(pages) if not _is_reduced(tags)] or [0]
    if len(full) > 1:
        raise refusals.several_pictures()
    tags = pages[full[0]]
    _check_samples(tags)
    refusals.check_size(tags.get(HEIGHT, 0), tags.get(WIDTH, 0))
    _check_parts(tags, data)
    return full[0]


def load(image: Image.Image) -> None:
    """Load the pixels of an image; raise an exception where libtiff says that they are damaged."""
    with complaints(_LIBTIFF) as said:
        image.load()
    if said:
        raise ValueError(said[0])


def _pages(data: bytes) -> list[Tags]:
    file, pages, seen = io.BytesIO(data), [], {0}
    tags = ImageFileDirectory_v2(data[:16] if BIG in data[2:4] else data[:8])
    position = tags.next
    while position not in seen:
        seen.add(position)
        file.seek(position)
        tags = ImageFileDirectory_v2(data[:16] if BIG in data[2:4] else data[:8])
        tags.load(file)
        pages.append(tags)
        position = tags.next
    if not pages:
        raise ValueError("it has no page")
    return pages


def _is_reduced(tags: Tags) -> bool:
    return bool(tags.get(SUBFILE_TYPE, 0) & 1) or tags.get(OLD_SUBFILE_TYPE) == 2


def _check_samples(tags: Tags) -> None:
    bits = max(tags.get(BITS_PER_SAMPLE, (1,)))
    kinds = [SAMPLE_KINDS[kind] for kind in tags.get(SAMPLE_FORMAT, ()) if kind in SAMPLE_KINDS]
    if bits > 8 or kinds:
        raise refusals.other_samples(" ".join([f"{bits}-bit", *kinds[:1]]))


def _check_parts(tags: Tags, data: bytes) -> None:
    """Check what Pillow and libtiff take as it comes: strips (or tiles) that are missing, cut or damaged JPEG."""
    is_tiled = TILE_OFFSETS in tags
    offsets = tags.get(TILE_OFFSETS if is_tiled else STRIP_OFFSETS, ())
    sizes = tags.get(TILE_SIZES if is_tiled else STRIP_SIZES, ())
    heights = _heights_of_parts(tags, min(len(offsets), len(sizes)))
    if not all(sizes[: len(heights)]):
        raise ValueError("strips or tiles are missing")
    if tags.get(COMPRESSION, UNCOMPRESSED) == UNCOMPRESSED and tags.get(PHOTOMETRIC) != YCBCR:
        bytes_of_row = _bytes_of_row(tags)
        if any(size < height * bytes_of_row for size, height in zip(sizes, heights, strict=False)):
            raise ValueError("strips or tiles are cut")
    if tags.get(COMPRESSION) == JPEG:
        tables = bytes(tags.get(JPEG_TABLES, b""))[:-2] or jpeg_files.SIGNATURE  # without their end
        for offset, size in zip(offsets, sizes, strict=False):
            jpeg_files.check(tables + data[offset + len(jpeg_files.SIGNATURE) : offset + size])


def _heights_of_parts(tags: Tags, there: int) -> list[int]:
    """Return how many rows each strip or tile has; raise ValueError where more are needed than are there."""
    height, rows = tags[HEIGHT], tags[TILE_HEIGHT] if TILE_OFFSETS in tags else tags.get(ROWS_PER_STRIP, tags[HEIGHT])
    across = -(-tags[WIDTH] // tags[TILE_WIDTH]) if TILE_OFFSETS in tags else 1
    planes = tags.get(SAMPLES_PER_PIXEL, 1) if tags.get(PLANAR) == SEPARATE_PLANES else 1
    down = -(-height // rows)
    if planes * across * down > there:
        raise ValueError("strips or tiles are missing")
    last = rows if TILE_OFFSETS in tags else height - (down - 1) * rows
    return [*[rows] * (across * (down - 1)), *[last] * across] * planes


def _bytes_of_row(tags: Tags) -> int:
    """Return how many bytes a row of a strip or tile has where it is not compressed."""
    samples = 1 if tags.get(PLANAR) == SEPARATE_PLANES else tags.get(SAMPLES_PER_PIXEL, 1)
    columns = tags[TILE_WIDTH] if TILE_OFFSETS in tags else tags[WIDTH]
    return -(-columns * samples * tags.get(BITS_PER_SAMPLE, (1,))[0] // 8)
