"""Pictures as 8-bit RGB or grey arrays: read from files that hold just that, made of floats, written atomically."""

import io
import re
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from common.errors import RelicError
from common.files import atomic_file
from common.metrics import check_picture

EXTENSIONS = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "TIFF", "PPM")
MAX_PIXELS = 80_000_000
BITS_PER_SAMPLE = 258  # the TIFF tag


def is_picture(path: str | Path) -> bool:
    """Return whether the name ends like a picture's and is not hidden."""
    path = Path(path)
    return path.suffix.lower() in EXTENSIONS and not path.name.startswith(".")


def read_image(path: str | Path) -> np.ndarray:
    """Read a picture file as uint8, (height, width, 3) in RGB order or (height, width) where it is grey.

    The rules are those of `decode_image`. Raises RelicError with the path for a file that is missing, empty,
    truncated, damaged, not a picture or refused by those rules.
    """
    return decode_image(read_file(path), str(path))


def read_file(path: str | Path) -> bytes:
    """Return a file's bytes; raise RelicError with its path where it cannot be read."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise RelicError(f"cannot read {path}: {(error.strerror or str(error)).lower()}") from error


def decode_image(data: bytes, where: str) -> np.ndarray:
    """Decode the bytes of a picture file to uint8, (height, width, 3) RGB or (height, width) grey; `where` names it.

    Samples of 8 bits are returned as stored, shallower ones scaled to 0..255, palettes looked up, bilevel pictures
    made grey 0 and 255, an alpha channel that is opaque everywhere dropped, an EXIF orientation applied; colour
    profiles are ignored. Refused with a RelicError that names the reason: 16-bit and floating-point samples,
    transparency, CMYK and other colour spaces, several pictures in one file, more than MAX_PIXELS pixels, and
    whatever is empty, truncated or damaged.
    """
    if not data:
        raise RelicError(f"cannot read {where}: the file is empty")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _decode(data, where)
    except RelicError:
        raise
    except Image.UnidentifiedImageError as error:
        raise RelicError(f"cannot read {where}: not a {', '.join(FORMATS[:-1])} or PPM picture") from error
    except Image.DecompressionBombError as error:
        raise _too_large(where) from error
    except Exception as error:  # decoders report damage by OSError, SyntaxError, ValueError, struct.error, zlib.error …
        raise RelicError(f"cannot read {where}: truncated or damaged ({error})") from error


def _decode(data: bytes, where: str) -> np.ndarray:
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        if image.width * image.height > MAX_PIXELS:
            raise _too_large(where)
        if image.format == "PNG":
            _verify_png(data)
        _refuse_what_8_bits_cannot_hold(image, data, where)
        image.load()
        ImageOps.exif_transpose(image, in_place=True)
        return np.array(_as_rgb_or_grey(image, where))


def _too_large(where: str) -> RelicError:
    return RelicError(f"cannot read {where}: it has more than {MAX_PIXELS} pixels; crop or scale it first")


def _verify_png(data: bytes) -> None:
    """Check every chunk's CRC: decoding alone neither compares those of the pixels nor misses the end of the file."""
    with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
        image.verify()


def _refuse_what_8_bits_cannot_hold(image: Image.Image, data: bytes, where: str) -> None:
    if image.mode[0] in "IF" or _bits_per_sample(image, data) > 8:
        raise RelicError(f"cannot read {where}: its samples are 16-bit or float; convert them to 8 bits first")
    if image.mode not in ("1", "L", "LA", "P", "PA", "RGB", "RGBA"):
        raise RelicError(f"cannot read {where}: its colours are {image.mode}; convert it to RGB or grey first")
    if image.format != "MPO" and getattr(image, "n_frames", 1) > 1:
        raise RelicError(f"cannot read {where}: it holds several pictures; save the one you mean alone")


def _bits_per_sample(image: Image.Image, data: bytes) -> int:
    """Return the depth stored in the file, which the decoded mode hides: 16-bit RGB is handed out as 8-bit."""
    if image.format == "PNG":
        return data[24]  # IHDR: signature 8, length 4, name 4, width 4, height 4, depth 1
    if image.format == "TIFF":
        return max(image.tag_v2.get(BITS_PER_SAMPLE, (1,)))  # type: ignore[attr-defined]
    if image.format == "PPM":
        header = re.sub(rb"#[^\n]*", b"", data[:4096]).split(None, 4)  # magic, width, height, largest value
        return int(header[3]).bit_length() if header[0] in (b"P2", b"P3", b"P5", b"P6") else 1
    return 8


def _as_rgb_or_grey(image: Image.Image, where: str) -> Image.Image:
    if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        if rgba.getchannel("A").getextrema()[0] < 255:  # type: ignore[operator]
            raise RelicError(f"cannot read {where}: it has transparent pixels; flatten it on a background first")
        image = image.convert("L") if image.mode in ("L", "LA") else rgba
    if image.mode in ("1", "L"):
        return image.convert("L")
    return image.convert("RGB")


def size_of(data: bytes) -> tuple[int, int] | None:
    """Return (height, width) of a picture file by its header, None where it is none; no pixel is decoded."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data)) as image:
                return image.height, image.width
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def padded(image: np.ndarray, multiple: int) -> np.ndarray:
    """Return a uint8 picture HxWx3 or HxW as H'xW'x3, its edges repeated until the sides are multiples.

    Grey gives three equal channels. Raises RelicError for what is no picture.
    """
    check_picture(image)
    x = image if image.ndim == 3 else np.repeat(image[:, :, None], 3, axis=-1)
    return np.pad(x, [(0, -x.shape[0] % multiple), (0, -x.shape[1] % multiple), (0, 0)], mode="edge")


def to_uint8(values: np.ndarray, scale: float = 255.0) -> np.ndarray:
    """Return floats of any shape, in about [0, 255 / scale], as the nearest of 0 to 255, uint8; halves become even.

    scale: 255 for values from 0 to 1, 1 for values from 0 to 255. The product is taken in the values' own type: near
    halves float32 and float64 round differently. Raises RelicError where a value is NaN or infinite.
    """
    if not np.isfinite(values).all():
        raise RelicError("no picture can be made of NaN or infinite values: the weights or the file are damaged")
    return np.rint(np.clip(values, 0.0, 255.0 / scale) * scale).astype(np.uint8)


def mean_of_channels(image: np.ndarray) -> np.ndarray:
    """Return the mean of a uint8 picture's channels, (H, W, C), rounded to uint8 (H, W); halves become even."""
    return to_uint8(image.mean(axis=-1), 1.0)


def write_png(path: str | Path, image: np.ndarray) -> None:
    """Write a uint8 picture, (height, width, 3) RGB or (height, width) grey, as PNG: complete or not at all.

    Missing folders are made. Raises RelicError for other shapes and types.
    """
    data = png(image, str(path))
    with atomic_file(Path(path)) as file:
        file.write(data)


def png(image: np.ndarray, name: str = "a picture") -> bytes:
    """Return a uint8 picture, (height, width, 3) RGB or (height, width) grey, as a PNG file.

    Raises RelicError, which says `name`, for other shapes and types.
    """
    is_picture_shape = image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)
    if image.dtype != np.uint8 or not is_picture_shape or 0 in image.shape:
        kind = f"{image.dtype} {image.shape}"
        raise RelicError(f"cannot write {name}: a picture is uint8 (height, width[, 3]), not {kind}")
    file = io.BytesIO()
    Image.fromarray(image).save(file, format="PNG")
    return file.getvalue()
