"""JPEG files, decoded by OpenCV, whose version is the same everywhere, and refused where libjpeg warns of damage.

libjpeg makes some picture of whatever it is given, and says so on standard error alone: Pillow leaves that out, OpenCV
passes it on.
"""

import re
from collections.abc import Iterator

import cv2
import numpy as np

from common.complaints import complaints
from common.data import refusals

SIGNATURE = b"\xff\xd8"
START_OF_FRAME = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
START_OF_SCAN, START_OF_IMAGE, END_OF_IMAGE, TEMPORARY = 0xDA, 0xD8, 0xD9, 0x01
COEFFICIENTS = 64

_MARKER = re.compile(rb"\xff([\x01-\xcf\xd8-\xfe])")  # in coded data 0xFF is followed by 0 or a restart's number
_LIBRARIES = re.compile(
    r"Corrupt JPEG|Premature end of JPEG|Inconsistent progression|Invalid SOS|Unknown Adobe|Warning: unknown JFIF"
    r"|\[ ?[A-Z]+:\d+@|imdecode"
)
_LEFT_OVER = re.compile(r"(\d+) extraneous bytes before marker 0xd9")


def decoded(data: bytes) -> np.ndarray:
    """Return the picture of a JPEG file in RGB or grey, its orientation not applied; raises ValueError for damage."""
    pixels = _decoded(data)
    if _lacks_scans(data):
        raise ValueError("scans are missing: the file was cut")
    return pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)


def check(data: bytes) -> None:
    """Raise ValueError where libjpeg warns of damage in a JPEG file, or cannot read it."""
    _decoded(data)


def check_depth(data: bytes) -> None:
    """Raise RelicError for a JPEG file whose samples have more than 8 bits."""
    depth = next((content[0] for marker, content in _segments(data) if marker in START_OF_FRAME and content), 8)
    if depth > 8:
        raise refusals.other_samples(f"{depth}-bit")


def _decoded(data: bytes) -> np.ndarray:
    """Return the picture of a JPEG file as OpenCV orders its channels."""
    with complaints(_LIBRARIES) as said:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    warnings = [line for line in said if not _is_about_padding(line, data)]
    if pixels is None or warnings:
        raise ValueError(warnings[0] if warnings else "libjpeg cannot decode it")
    return pixels


def _is_about_padding(line: str, data: bytes) -> bool:
    """Return whether a warning is about zeros that some cameras put between the picture and its end."""
    left_over = _LEFT_OVER.search(line)
    return left_over is not None and not data[: data.rfind(b"\xff\xd9")][-int(left_over[1]) :].strip(b"\0")


def _lacks_scans(data: bytes) -> bool:
    """Return whether the scans of a file leave out a component, or the last bits of its coefficients.

    libjpeg takes a progressive file that ends between two scans for a whole one.
    """
    bits_left: dict[int, np.ndarray] = {}
    for marker, content in _segments(data):
        if marker in START_OF_FRAME:
            bits_left = {component: np.ones(COEFFICIENTS, np.uint8) for component in content[6::3]}
        elif marker == START_OF_SCAN:
            end = 1 + 2 * content[0]
            first, last, approximation = content[end : end + 3]
            for component in content[1:end:2]:
                bits_left[component][first : last + 1] = approximation & 0x0F
    return any(left.any() for left in bits_left.values())


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the marker and the content of the segments of a JPEG file up to its end; coded data are skipped."""
    position = len(SIGNATURE)
    while match := _MARKER.search(data, position):
        marker, start = match[1][0], match.end()
        if marker == END_OF_IMAGE:
            return
        has_content = marker not in (START_OF_IMAGE, TEMPORARY)
        position = start + (int.from_bytes(data[start : start + 2], "big") if has_content else 0)
        if has_content:
            yield marker, data[start + 2 : position]
