"""PPM, PGM and PBM files: what their header says, and whether a second picture follows the first."""

import re

import numpy as np

from common.data import refusals

FLOATS = (b"Pf", b"PF")
MAGICS = (*(b"P%d" % number for number in range(1, 7)), *FLOATS)
PLAIN, RGB = (1, 2, 3), (3, 6)

_NUMBER = rb"(?:\s|#[^\r\n]*[\r\n])+(\d+)"
_END = rb"(?:\s|#[^\r\n]*[\r\n])"
_BILEVEL = re.compile(rb"P([14])" + 2 * _NUMBER + _END)
_LEVELS = re.compile(rb"P([2356])" + 3 * _NUMBER + _END)
_COMMENT = re.compile(rb"#[^\r\n]*")
_NEXT = re.compile(rb"\s*P[1-7]\s")


def plain_header(data: bytes) -> bytes:
    """Return a file with a header of three or four numbers alone: Pillow reads fewer comments than netpbm.

    Raises RelicError for more than 8 bits a sample, floats, too many pixels and several pictures; ValueError for
    damage.
    """
    if data[:2] in FLOATS:
        raise refusals.other_samples("float")
    header = _BILEVEL.match(data) or _LEVELS.match(data)
    if not header:
        raise ValueError("its header has no size")
    number, width, height, *largest = map(int, header.groups())
    refusals.check_size(height, width)
    if largest and largest[0] > 255:
        raise refusals.other_samples("16-bit")
    body = data[header.end() :]
    _check_body(body, number, height, width, *largest)
    return b"P%d %s\n" % (number, b" ".join(b"%d" % value for value in (width, height, *largest))) + body


def _check_body(body: bytes, number: int, height: int, width: int, largest: int = 0) -> None:
    """Refuse a second picture, and samples above the largest; `largest` is 0 where a sample is one bit."""
    if number in PLAIN:
        is_alone = b"P" not in _COMMENT.sub(b"", body)
    else:
        size = height * ((3 if number in RGB else 1) * width if largest else -(-width // 8))
        is_alone = not _NEXT.match(body, size)
        if largest and np.frombuffer(body[:size], np.uint8).max(initial=0) > largest:
            raise ValueError(f"a sample is above {largest}")
    if not is_alone:
        raise refusals.several_pictures()
