"""What the classical codecs are made of: files and versions of OpenCV, Pillow, pillow-heif and BPG's two programs."""

import functools
import io
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from common.complaints import EVERYTHING, complaints
from common.errors import RelicError, one_line


def no_file(name: str) -> RelicError:
    """Return the error for bytes that are no file of a format."""
    return RelicError(f"these bytes are no {name} file: give the bytes that compress returned")


def not_coded(name: str, shape: tuple[int, ...], error: object) -> RelicError:
    """Return the error for a picture that a library refuses."""
    return RelicError(f"{name} cannot code a picture of {shape[0]}x{shape[1]}, try a smaller part: {one_line(error)}")


def opencv_file(extension: str, image: np.ndarray, settings: list[int]) -> bytes:
    """Return the file that OpenCV writes of a uint8 picture HxWx3 (RGB) or HxW; `settings` are imencode's."""
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image
    try:
        done, data = cv2.imencode(extension, bgr, settings)
    except cv2.error as error:
        raise not_coded(extension[1:], image.shape, error) from error
    if not done:
        raise not_coded(extension[1:], image.shape, "OpenCV refuses it")
    return data.tobytes()


def opencv_picture(name: str, data: bytes, has_signature: bool) -> np.ndarray:
    """Return the uint8 picture HxWx3 (RGB) or HxW that OpenCV reads; RelicError without signature or where it fails."""
    if not has_signature:
        raise no_file(name)
    try:
        with complaints(EVERYTHING):
            image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:  # of sides that OpenCV does not take
        raise no_file(name) from error
    if image is None or image.dtype != np.uint8:
        raise no_file(name)
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB) if image.ndim == 3 else image


def pillow_file(image: Image.Image, name: str, **settings: Any) -> bytes:
    """Return the file that Pillow writes in the format `name`; `settings` are those of the format's `save`."""
    buffer = io.BytesIO()
    try:
        image.save(buffer, name, **settings)
    except (KeyError, OSError, RuntimeError, ValueError) as error:  # KeyError: Pillow without this format
        raise not_coded(name, (image.height, image.width), error) from error
    return buffer.getvalue()


def pillow_picture(name: str, data: bytes) -> np.ndarray:
    """Return the uint8 picture HxWx3 (RGB) or HxW of a file in the format `name`; RelicError where it is none."""
    try:
        with Image.open(io.BytesIO(data), formats=(name,)) as image:
            pixels = np.array(image)
    except Exception as error:  # decoders report damage by OSError, SyntaxError, ValueError, struct.error …
        raise no_file(name) from error
    if pixels.dtype != np.uint8:  # JPEG2000 may have more bits
        raise no_file(name)
    return pixels


def pillow_heif() -> Any:
    """Return the module pillow_heif; RelicError where it is not installed."""
    try:
        import pillow_heif as module
    except ImportError as error:
        raise RelicError("HEVC intra needs pillow-heif: pip install pillow-heif") from error
    return module


def heif_file(image: np.ndarray, **settings: Any) -> bytes:
    """Return the HEIF file that pillow-heif writes of a uint8 picture HxWx3 (RGB) or HxW."""
    height, width = image.shape[:2]
    buffer = io.BytesIO()
    try:
        picture = pillow_heif().from_bytes("RGB" if image.ndim == 3 else "L", (width, height), image.tobytes())
        picture.save(buffer, **settings)
    except (OSError, RuntimeError) as error:
        raise not_coded("HEVC intra", image.shape, error) from error
    return buffer.getvalue()


def heif_picture(data: bytes) -> np.ndarray:
    """Return the uint8 picture HxWx3 (RGB) or HxW of a HEIF file; RelicError where it is none."""
    module = pillow_heif()
    try:
        file = module.open_heif(io.BytesIO(data))
        return np.array(file[0])  # a copy, as the pixels die with the file
    except Exception as error:  # whatever its decoders raise
        raise no_file("HEIF") from error


def program(name: str) -> str:
    """Return the path of an installed program of BPG; RelicError where there is none."""
    path = shutil.which(name)
    if path is None:
        raise RelicError(f"BPG needs the program {name} on the PATH: install libbpg")
    return path


def through(name: str, options: list[str], data: bytes, source: str, target: str) -> bytes:
    """Return the file `target` that a program of BPG writes for the file `source`; RelicError says what it said."""
    path = program(name)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, source).write_bytes(data)
        try:
            done = subprocess.run([path, *options, "-o", target, source], cwd=folder, capture_output=True)
        except OSError as error:
            raise RelicError(f"{path} cannot be run, install it again: {error.strerror}") from error
        if done.returncode or not Path(folder, target).is_file():
            said = one_line((done.stderr or done.stdout).decode(errors="replace"))
            said = said or f"exit status {done.returncode}, no file written"
            raise RelicError(f"{name} failed, give it another picture or file: {said}")
        return Path(folder, target).read_bytes()


# --- versions ------------------------------------------------------------------------------------------------------


@functools.cache
def bpg_version(path: str) -> str:
    """Return the version in the first line of bpgenc's help, which ends with status 1."""
    try:
        said = subprocess.run([path, "-h"], capture_output=True)
    except OSError as error:
        raise RelicError(f"{path} cannot be run, install it again: {error.strerror}") from error
    match = re.search(r"version\s+(\S+)", (said.stdout + said.stderr).decode(errors="replace"))
    return match[1] if match else "of unknown version"


def heif_version() -> str:
    """Return pillow-heif, libheif and x265 with their versions."""
    module = pillow_heif()
    info = module.libheif_info()
    x265 = re.search(r"\((\d[\d.]*)", info["HEIF"])
    return f"pillow-heif {module.__version__} (libheif {info['libheif']}, x265 {x265[1] if x265 else '?'})"


def aom_version() -> str:
    """Return the AV1 encoder of Pillow's libavif and its version, e.g. `aom 3.14.1`."""
    from PIL import AvifImagePlugin

    match = re.search(r"aom \[enc.*?\]:v?([\d.]+)", AvifImagePlugin._avif.codec_versions())
    return f"aom {match[1]}" if match else "aom"


def opencv_libjpeg() -> str:
    """Return OpenCV's JPEG library and its version, e.g. `libjpeg-turbo 3.0.3`."""
    match = _built_with(r"JPEG:.*?(libjpeg\S*)?\s+\(ver ([\w.]+)")
    return f"{match[1] or 'libjpeg'} {match[2]}" if match else "libjpeg"


def opencv_openjpeg() -> str:
    """Return OpenCV's OpenJPEG with its version."""
    match = _built_with(r"JPEG 2000:.*?\(ver ([\w.]+)")
    return f"OpenJPEG {match[1]}" if match else "JPEG2000"


def opencv_libwebp() -> str:
    """Return OpenCV's libwebp, of which OpenCV only knows the number of the encoder's interface."""
    match = _built_with(r"WEBP:.*?encoder: (0x[\da-f]+)")
    return f"libwebp, encoder {match[1]}" if match else "libwebp"


@functools.cache
def _built_with(pattern: str) -> re.Match[str] | None:
    return re.search(r"^\s*" + pattern, cv2.getBuildInformation(), re.MULTILINE)
