"""Pictures as 8-bit RGB or grey arrays: read from files that hold just that, made of floats, written atomically."""

import io
import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image

from common.data import jpeg_files, png_files, ppm_files, refusals, tiff_files
from common.errors import RelicError, one_line
from common.files import atomic_file
from common.metrics import check_picture

EXTENSIONS = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "TIFF", "PPM")
SIGNATURES = {"JPEG": (jpeg_files.SIGNATURE,), "TIFF": (*tiff_files.SIGNATURES, b"MM\0+"), "BMP": (b"BM",)}
TURNED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SIDEWAYS = (5, 6, 7, 8)  # orientations that exchange height and width

_ONE_AT_A_TIME = threading.Lock()  # filters of warnings and standard error are the whole process's


def is_picture(path: str | Path) -> bool:
    """Return whether the name ends like a picture's and is not hidden."""
    name = os.path.basename(path)
    return os.path.splitext(name)[1].lower() in EXTENSIONS and not name.startswith(".")


def read_image(path: str | Path) -> np.ndarray:
    """Read a picture file as uint8, (height, width, 3) in RGB order or (height, width) where it is grey.

    The rules are those of `decode_image`. Raises RelicError with the path for a file that is missing, empty,
    truncated, damaged, not a picture or refused by those rules.
    """
    return decode_image(read_file(path), str(path))


def read_file(path: str | Path, most: int | None = None) -> bytes:
    """Return a file's bytes, or the first of them; raise RelicError with its path where it cannot be read."""
    try:
        with open(path, "rb", buffering=0 if most else -1) as file:
            return file.read(-1 if most is None else most)
    except OSError as error:
        raise RelicError(f"cannot read {path}: {(error.strerror or str(error)).lower()}") from error


@contextmanager
def without_warnings() -> Iterator[None]:
    """Ignore what Pillow warns of, in one thread at a time."""
    with _ONE_AT_A_TIME, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def decode_image(data: bytes, where: str) -> np.ndarray:
    """Decode the bytes of a picture file to uint8, (height, width, 3) RGB or (height, width) grey; `where` names it.

    Samples of 8 bits are returned as stored, shallower ones scaled to 0..255, palettes looked up, bilevel pictures
    made grey 0 and 255, an alpha channel that is opaque everywhere dropped (in a BMP also one that is 0 everywhere), an
    EXIF orientation applied; colour profiles are ignored, and pages of a TIFF that are smaller versions of another.
    Refused with a RelicError that names the reason: 16-bit, signed and floating-point samples, transparency, CMYK and
    other colour spaces, several pictures in one file, more than `limits.max_pixels()` pixels, and whatever is empty,
    truncated or damaged: what libpng and libjpeg warn of, and pixels that the file lacks. One picture is decoded at a
    time.
    """
    if not data:
        raise RelicError(f"cannot read {where}: the file is empty")
    try:
        with without_warnings():
            return _decode(data)
    except RelicError as refusal:
        raise RelicError(f"cannot read {where}: {refusal}") from None
    except Image.UnidentifiedImageError as error:
        raise RelicError(f"cannot read {where}: {_what_it_is(data)}") from error
    except Image.DecompressionBombError as error:
        raise RelicError(f"cannot read {where}: {refusals.too_large()}") from error
    except MemoryError:
        raise
    except Exception as error:  # decoders report damage by OSError, SyntaxError, ValueError, struct.error, zlib.error …
        raise RelicError(f"cannot read {where}: truncated or damaged ({one_line(error)})") from error


def _what_it_is(data: bytes) -> str:
    """Return what to say of a file that Pillow does not open."""
    for name, signatures in SIGNATURES.items():
        if data.startswith(signatures):
            return f"a {name} file that is damaged or of a rare kind; convert it to PNG first"
    return f"not a {', '.join(FORMATS[:-1])} or {FORMATS[-1]} picture"


def _decode(data: bytes) -> np.ndarray:
    page = 0
    if data.startswith(png_files.SIGNATURE):
        image = png_files.decoded(data)
        return np.array(_turned(_as_rgb_or_grey(image), image))
    if data.startswith(tiff_files.SIGNATURES):
        page = tiff_files.page_of_picture(data)
    elif data.startswith(ppm_files.MAGICS):
        data = ppm_files.plain_header(data)
    elif data.startswith(jpeg_files.SIGNATURE):
        jpeg_files.check_depth(data)
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        image.seek(page)
        refusals.check_size(image.height, image.width)
        _refuse_other_samples_and_frames(image)
        if image.format in ("JPEG", "MPO"):
            pixels = jpeg_files.decoded(data)
            return np.array(_turned(Image.fromarray(pixels), image)) if _orientation(image) in TURNED else pixels
        if image.format == "TIFF":  # which Pillow turns by itself
            tiff_files.load(image)
            return np.array(_as_rgb_or_grey(image))
        return np.array(_turned(_as_rgb_or_grey(image), image))


def _refuse_other_samples_and_frames(image: Image.Image) -> None:
    if image.mode[0] in "IF":
        raise refusals.other_samples("16-bit or float")
    if image.mode not in ("1", "L", "LA", "P", "PA", "RGB", "RGBA"):
        raise RelicError(f"its colours are {image.mode}; convert it to RGB or grey first")
    if image.format not in ("MPO", "TIFF") and getattr(image, "n_frames", 1) > 1:
        raise refusals.several_pictures()


def _as_rgb_or_grey(image: Image.Image) -> Image.Image:
    image.load()
    _check_palette(image)
    if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        least, most = rgba.getchannel("A").getextrema()
        # Of a BMP's fourth bytes 0 everywhere, programs that know no alpha channel leave them so.
        if least != 255 and not (image.format == "BMP" and most == 0):
            raise refusals.transparent_pixels()
        image = image.convert("L") if image.mode == "LA" else rgba
    return image.convert("L" if image.mode in ("1", "L") else "RGB")


def _check_palette(image: Image.Image) -> None:
    """Raise ValueError where a pixel has a colour that the palette lacks."""
    if image.mode == "P" and image.palette is not None:
        most = image.getextrema()[1]
        colours = len(image.palette.palette) // len(image.palette.mode)
        if most >= colours:  # type: ignore[operator]
            raise ValueError(f"a pixel has colour {most} of a palette of {colours}")


def _turned(picture: Image.Image, image: Image.Image) -> Image.Image:
    """Return a picture turned as the EXIF orientation of its file, opened as `image`, asks for."""
    orientation = _orientation(image)
    return picture.transpose(TURNED[orientation]) if orientation in TURNED else picture


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation of an opened file, 1 where it has none."""
    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # Pillow reports damage by many; what cannot be read asks for nothing
        return 1


def shape_by_header(data: bytes) -> tuple[int, int, int] | None:
    """Return (height, width, channels) of what `decode_image` makes of a JPEG or PNG file, by its header alone.

    For a JPEG file its first bytes may do. None where they do not, for damage and for other formats: what is decoded
    tells. Raises RelicError, without a name, for what the header shows to be refused.
    """
    try:
        with without_warnings():
            return _shape_by_header(data)
    except RelicError:
        raise
    except Exception:  # as many kinds as decoders have
        return None


def _shape_by_header(data: bytes) -> tuple[int, int, int] | None:
    if data.startswith(png_files.SIGNATURE):
        height, width, is_colour, orientation = png_files.header(data)
    elif data.startswith(jpeg_files.SIGNATURE):
        jpeg_files.check_depth(data)
        with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
            _refuse_other_samples_and_frames(image)
            height, width, is_colour, orientation = image.height, image.width, image.mode != "L", _orientation(image)
    else:
        return None
    sides = (width, height) if orientation in SIDEWAYS else (height, width)
    return (*sides, 3 if is_colour else 1)


def size_of(data: bytes) -> tuple[int, int] | None:
    """Return (height, width) of a picture file by its header, None where it is none; no pixel is decoded."""
    try:
        with without_warnings(), Image.open(io.BytesIO(data)) as image:
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


def png(image: np.ndarray, name: str = "a picture", profile: bytes | None = None) -> bytes:
    """Return a uint8 picture, (height, width, 3) RGB or (height, width) grey, as a PNG file, with its ICC profile.

    Raises RelicError, which says `name`, for other shapes and types.
    """
    is_picture_shape = image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)
    if image.dtype != np.uint8 or not is_picture_shape or 0 in image.shape:
        kind = f"{image.dtype} {image.shape}"
        raise RelicError(f"cannot write {name}: a picture is uint8 (height, width[, 3]), not {kind}")
    file = io.BytesIO()
    Image.fromarray(image).save(file, format="PNG", icc_profile=profile)
    return file.getvalue()
