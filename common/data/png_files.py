"""PNG files, read as strictly as libpng reads them: Pillow neither counts the pixels nor compares their checksums.

What says nothing about pixels is left out before Pillow sees it, so that neither a long text, a large colour profile
nor a damaged comment keeps a picture from being read.
"""

import io
import struct
import zlib
from collections.abc import Iterator

import numpy as np
from PIL import ExifTags, Image
from PIL.PngImagePlugin import PngImageFile

from common.data import refusals

SIGNATURE = b"\x89PNG\r\n\x1a\n"
CRITICAL = (b"IHDR", b"PLTE", b"IDAT", b"IEND")
OF_PIXELS = (b"IHDR", b"PLTE", b"tRNS", b"eXIf", b"IDAT", b"IEND")  # without them a picture would look otherwise
GREY, RGB, PALETTE, RGB_ALPHA = 0, 2, 3, 6
CHANNELS = {GREY: 1, RGB: 3, PALETTE: 1, 4: 2, RGB_ALPHA: 4}  # by colour type
DEPTHS = {GREY: (1, 2, 4, 8, 16), RGB: (8, 16), PALETTE: (1, 2, 4, 8), 4: (8, 16), RGB_ALPHA: (8, 16)}
WHOLE = ((0, 0, 1, 1),)
ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))


def decoded(data: bytes) -> Image.Image:
    """Return the picture of a PNG file, its transparency checked but for that of palettes and alpha channels.

    Raises RelicError for 16-bit samples, transparency, several pictures and too many pixels; other exceptions for
    damage.
    """
    chunks = contents(data)
    if b"fdAT" in chunks:
        raise refusals.several_pictures()
    width, height, depth, colour_type, _, _, interlaced = struct.unpack(">2I5B", chunks[b"IHDR"])
    refusals.check_size(height, width)
    if depth not in DEPTHS.get(colour_type, ()) or (colour_type == PALETTE and b"PLTE" not in chunks):
        raise ValueError(f"no colours of type {colour_type} with {depth} bits")
    if depth > 8:
        raise refusals.other_samples(f"{depth}-bit")
    size = _size_of_rows(height, width, depth * CHANNELS[colour_type], ADAM7 if interlaced else WHOLE)
    # Pillow compares a transparent grey level without scaling it, so it sees the transparency of palettes alone.
    transparency = chunks.pop(b"tRNS", None) if colour_type in (GREY, RGB) else None
    # The rows have been inflated to be counted: stored, they cost Pillow no second inflation.
    chunks[b"IDAT"] = zlib.compress(_inflated(chunks[b"IDAT"], size), level=0)
    image = PngImageFile(_with_pixels_alone(chunks))
    image.load()
    if transparency and _is_used(transparency, image, depth, CHANNELS[colour_type]):
        raise refusals.transparent_pixels()
    return image


def header(data: bytes) -> tuple[int, int, bool, int]:
    """Return height, width, whether there are colours, and the EXIF orientation of a PNG file; no pixel is decoded.

    Raises as `decoded` does for other samples and for damage of its chunks.
    """
    chunks = contents(data)
    width, height, depth, colour_type = struct.unpack_from(">2I2B", chunks[b"IHDR"])
    if depth > 8:
        raise refusals.other_samples(f"{depth}-bit")
    exif = Image.Exif()
    exif.load(chunks.get(b"eXIf", b""))
    return height, width, colour_type in (RGB, PALETTE, RGB_ALPHA), exif.get(ExifTags.Base.Orientation, 1)


def contents(data: bytes) -> dict[bytes, bytes]:
    """Return what a PNG file's chunks hold, by their names, of several chunks of a name joined.

    A chunk that is damaged and says nothing about pixels is left out; raises ValueError for any other damage.
    """
    found: dict[bytes, list[bytes]] = {}
    for name, content in _chunks(data):
        found.setdefault(name, []).append(content)
    if not {b"IHDR", b"IDAT"} <= set(found):
        raise ValueError("no header or no image data")
    return {name: b"".join(parts) for name, parts in found.items()}


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = len(SIGNATURE)
    while position + 12 <= len(data):
        length, name = struct.unpack_from(">I4s", data, position)
        end = position + 8 + length
        is_critical = not name[0] & 0x20
        if data[end : end + 4] == zlib.crc32(data[position + 4 : end]).to_bytes(4, "big"):
            if is_critical and name not in CRITICAL:
                raise ValueError(f"unknown chunk {name!r}")
            yield name, data[position + 8 : end]
        elif is_critical or name in OF_PIXELS:
            raise ValueError(f"chunk {name!r} is damaged or cut")
        if name == b"IEND":
            return
        position = end + 4
    raise ValueError("the file was cut")


def _with_pixels_alone(chunks: dict[bytes, bytes]) -> io.BytesIO:
    """Return a PNG file of the chunks that pixels depend on, which are taken from the dictionary: they may be large."""
    file = io.BytesIO()
    file.write(SIGNATURE)
    for name in OF_PIXELS:
        if name in chunks:
            content = chunks.pop(name)
            file.write(struct.pack(">I4s", len(content), name))
            file.write(content)
            file.write(struct.pack(">I", zlib.crc32(content, zlib.crc32(name))))
    file.seek(0)
    return file


def _size_of_rows(height: int, width: int, bits: int, passes: tuple[tuple[int, int, int, int], ...]) -> int:
    """Return how many bytes all rows have, each after its filter's number; a pass is (top, left, step down, right)."""
    size = 0
    for top, left, down, right in passes:
        rows, columns = -(-(height - top) // down), -(-(width - left) // right)
        size += rows * (1 + -(-columns * bits // 8)) if rows > 0 and columns > 0 else 0
    return size


def _inflated(data: bytes, size: int) -> bytes:
    rows = zlib.decompressobj().decompress(data, size)
    if len(rows) < size:
        raise ValueError(f"not enough image data: {len(rows)} of {size} bytes")
    return rows


def _is_used(transparency: bytes, image: Image.Image, depth: int, channels: int) -> bool:
    """Return whether a pixel has the grey value or colour that is declared transparent."""
    most = 2**depth - 1
    colour = np.array(struct.unpack(f">{channels}H", transparency)) & most
    samples = np.asarray(image.convert("L") if channels == 1 else image)
    return bool((samples.reshape(-1, channels) == colour * (255 // most)).all(axis=1).any())
