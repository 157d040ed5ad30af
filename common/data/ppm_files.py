"""PPM, PGM and PBM files: what their header says, and whether a second picture follows the first."""

import re

from common.data import refusals

_NUMBER = rb"(?:\s|#[^\r\n]*[\r\n])+(\d+)"
_BILEVEL = re.compile(rb"P([14])" + 2 * _NUMBER)
_LEVELS = re.compile(rb"P([2356])" + 3 * _NUMBER)
_COMMENT = re.compile(rb"#[^\r\n]*")
_NEXT = re.compile(rb"\s*P[1-7]\s")
FLOATS = (b"Pf", b"PF")
MAGICS = (*(b"P%d" % number for number in range(1, 7)), *FLOATS)
PLAIN, RGB = (1, 2, 3), (3, 6)


def check(data: bytes) -> None:
    """Raise RelicError for a file of more than 8 bits a sample, of floats or of several pictures."""
    if data[:2] in FLOATS:
        raise refusals.other_samples("float")
    header = _BILEVEL.match(data) or _LEVELS.match(data)
    if not header:
        raise ValueError("its header has no size")
    number, width, height, *largest = map(int, header.groups())
    bits = largest[0].bit_length() if largest else 1
    if bits > 8:
        raise refusals.other_samples("16-bit")
    if number in PLAIN:
        is_alone = b"P" not in _COMMENT.sub(b"", data[header.end() :])
    else:
        bytes_of_row = (3 if number in RGB else 1) * width if largest else -(-width // 8)
        is_alone = not _NEXT.match(data, header.end() + 1 + height * bytes_of_row)
    if not is_alone:
        raise refusals.several_pictures()
