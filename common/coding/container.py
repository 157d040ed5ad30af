"""The file format: a small header that says what the file needs, and sections of coded data.

    bytes    field
    4        magic "RLIC"
    1        format version: 1; 2 where the picture has a colour profile; 3 where its latents have a step of their own
    1 + n    model id: its length, then ASCII such as cheng_resnet/resnet4_subpixel
    8        first bytes of the sha256 of the weights
    varint   height, width, channels, number of sections, length of each section
    varint   in version 3 alone: the step, in sixteenths of a scale, as 2s where it is not negative, else as -2s - 1
    varint n in versions 2 and 3: length of the profile, and the profile (ICC) compressed by zlib; 0 only in version 3
    4        CRC-32 of everything above
    then for each section its bytes and
    4        CRC-32 of the header and all sections up to here, their CRCs aside

A varint has 7 bits a byte, low bits first, the top bit set in all but the last byte; CRCs are little-endian. Because
the header holds the lengths and a section's CRC continues the header's, a section that is cut, moved, repeated or taken
from another file is noticed. The profile stands before the sections, so that a file that was cut keeps it; codecs
neither write nor read it.
"""

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from common import limits
from common.errors import RelicError

MAGIC = b"RLIC"
FORMAT_VERSION = 3
VERSION_WITHOUT_STEP = 2
VERSION_WITHOUT_PROFILE = 1
MAX_STEP = 2**10  # either way, in sixteenths: as many scales as there are
MAX_SIDE = 65535
MAX_PIXELS = 2**28
MAX_SECTIONS = 4096
MAX_SECTION_LENGTH = 2**32 - 1
MAX_PROFILE_LENGTH = 2**22  # before it is compressed

_MODEL_ID = re.compile(r"[a-z0-9_]+(/[a-z0-9_]+)*")
_MODEL_ID_LENGTH = 80
_CRC_LENGTH = 4


class ContainerError(RelicError):
    """A file that is not ours, is damaged or comes from a newer version; or a header that cannot be written."""


@dataclass(frozen=True)
class Header:
    """What a decoder needs besides the sections.

    model: id of the preset; weights_digest: first 8 bytes of the weights' sha256; height, width: of the unpadded
    picture, 1 to 65535 each and 2**28 pixels in all; channels: 1 or 3; step: what the latents are quantised with, as in
    `common.coding.quantisation`, 0 for whole numbers. Raises ContainerError for anything else.
    """

    model: str
    weights_digest: bytes
    height: int
    width: int
    channels: int
    step: int = 0

    def __post_init__(self) -> None:
        if len(self.model) > _MODEL_ID_LENGTH or not _MODEL_ID.fullmatch(self.model):
            shown = self.model[:_MODEL_ID_LENGTH]
            raise ContainerError(f"the model id {shown!r} must be like paper/preset, of a-z, 0-9 and _")
        if len(self.weights_digest) != 8:
            raise ContainerError(f"the weights' digest must have 8 bytes, not {len(self.weights_digest)}")
        size = f"a picture of {self.height}x{self.width}"
        if not (1 <= self.height <= MAX_SIDE and 1 <= self.width <= MAX_SIDE):
            raise ContainerError(f"{size} must have sides from 1 to {MAX_SIDE}: resize it")
        if self.height * self.width > MAX_PIXELS:
            raise ContainerError(f"{size} exceeds {MAX_PIXELS} pixels: cut it in parts")
        if self.channels not in (1, 3):
            raise ContainerError(f"a picture must have 1 or 3 channels, not {self.channels}")
        if abs(self.step) > MAX_STEP:
            raise ContainerError(f"a step lies between -{MAX_STEP} and {MAX_STEP} sixteenths, not at {self.step}")

    def check_weights(self, model: str, weights_digest: bytes, has_steps: bool = False) -> None:
        """Raise ContainerError unless a file with this header was coded by these weights of this model.

        A codec that `has_steps` decodes files with one, others refuse them.
        """
        if self.step and not has_steps:
            raise ContainerError(f"this is no file of {model}, which has no steps: compress the picture again")
        if (self.model, self.weights_digest) != (model, weights_digest):
            raise ContainerError(f"this file was coded by {self.model} with other weights: load those to decode it")


def pack(header: Header, sections: Sequence[bytes], profile: bytes | None = None) -> bytes:
    """Return a file of the header, the sections, in order, and the picture's colour profile, if it has one.

    Raises ContainerError for more than 4096 sections and a profile above MAX_PROFILE_LENGTH bytes, RelicError for a
    picture of more than `limits.max_pixels()`.
    """
    limits.check_size(header.height, header.width)
    if len(sections) > MAX_SECTIONS:
        raise ContainerError(f"a file holds at most {MAX_SECTIONS} sections, not {len(sections)}")
    sections = [bytes(section) for section in sections]
    lengths = [len(section) for section in sections]
    if max(lengths, default=0) > MAX_SECTION_LENGTH:
        raise ContainerError(f"a section holds at most {MAX_SECTION_LENGTH} bytes")
    if profile and len(profile) > MAX_PROFILE_LENGTH:
        raise ContainerError(f"a colour profile holds at most {MAX_PROFILE_LENGTH} bytes, not {len(profile)}")
    model = header.model.encode("ascii")
    version = FORMAT_VERSION if header.step else VERSION_WITHOUT_STEP if profile else VERSION_WITHOUT_PROFILE
    numbers = (header.height, header.width, header.channels, len(sections), *lengths)
    start = MAGIC + bytes([version, len(model)]) + model + bytes(header.weights_digest)
    start += b"".join(_varint(int(number)) for number in numbers)
    if header.step:
        start += _varint(2 * header.step if header.step > 0 else -2 * header.step - 1)
    if version > VERSION_WITHOUT_PROFILE:
        compressed = zlib.compress(profile, level=9) if profile else b""
        start += _varint(len(compressed)) + compressed
    crc = zlib.crc32(start)
    parts = [start, _crc_bytes(crc)]
    for section in sections:
        crc = zlib.crc32(section, crc)
        parts += [section, _crc_bytes(crc)]
    return b"".join(parts)


def with_profile(data: bytes, profile: bytes) -> bytes:
    """Return a file that `pack` made with the colour profile of its picture; raises ContainerError as `pack` does."""
    return pack(*unpack(data), profile)


def profile_of(data: bytes) -> bytes | None:
    """Return the colour profile of a file's picture, None where it has none; raises ContainerError for a bad one."""
    compressed = _read_header(bytes(data))[2]
    if compressed is None:
        return None
    stream = zlib.decompressobj()
    try:
        profile = stream.decompress(compressed, MAX_PROFILE_LENGTH + 1)
    except zlib.error:
        profile = b""
    if not 1 <= len(profile) <= MAX_PROFILE_LENGTH or not stream.eof or stream.unused_data:
        raise ContainerError(f"the file's colour profile is damaged or above {MAX_PROFILE_LENGTH} bytes")
    return profile


def unpack(data: bytes, allow_missing_sections: bool = False) -> tuple[Header, list[bytes]]:
    """Return the header and the sections of a file that `pack` made.

    With `allow_missing_sections`, a file that was cut after its header gives the sections that are complete. Raises
    ContainerError, with a sentence that says what to do, for any other change of the bytes, and RelicError for a file
    that claims a picture of more than `limits.max_pixels()`.
    """
    data = bytes(data)
    header, lengths, _, position = _read_header(data)
    limits.check_size(header.height, header.width)
    end = position + sum(lengths) + _CRC_LENGTH * len(lengths)
    if len(data) > end:
        raise ContainerError(f"the file has {len(data) - end} bytes after its end: remove them or copy the file again")
    if len(data) < end and not allow_missing_sections:
        raise ContainerError(f"the file was cut, {end - len(data)} bytes are missing: copy it again")
    crc = zlib.crc32(data[: position - _CRC_LENGTH])
    sections: list[bytes] = []
    for length in lengths:
        stop = position + length
        if stop + _CRC_LENGTH > len(data):
            break
        crc = zlib.crc32(data[position:stop], crc)
        if data[stop : stop + _CRC_LENGTH] != _crc_bytes(crc):
            raise ContainerError(f"section {len(sections) + 1} of the file is damaged: copy it again")
        sections.append(data[position:stop])
        position = stop + _CRC_LENGTH
    return header, sections


def section_counts(data: bytes) -> tuple[int, int]:
    """Return how many sections of a file are complete, and how many it had before it was cut; raises ContainerError."""
    return len(unpack(data, allow_missing_sections=True)[1]), len(_read_header(bytes(data))[1])


def payload_size(data: bytes) -> int:
    """Return the bytes of a file that are coded data: the lengths of its complete sections; raises ContainerError."""
    return sum(map(len, unpack(data, allow_missing_sections=True)[1]))


def _read_header(data: bytes) -> tuple[Header, list[int], bytes | None, int]:
    """Return the header, the length of each section, the compressed profile if any, and where the first section is."""
    if data[:4] != MAGIC:
        raise ContainerError("this is not a RELIC file: give a file that `relic compress` wrote")
    if len(data) > 4 and data[4] > FORMAT_VERSION:
        raise ContainerError(f"the file has format version {data[4]}, newer than {FORMAT_VERSION}: update RELIC")
    reader = _Reader(data, position=5)
    model, digest = reader.take(reader.take(1)[0]), reader.take(8)
    height, width, channels, num_sections = (reader.varint() for _ in range(4))
    # Before the CRC is checked a number may be anything: this one says how long to go on.
    if num_sections > MAX_SECTIONS:
        raise _damaged_header()
    lengths = [reader.varint() for _ in range(num_sections)]
    folded = reader.varint() if data[4] > VERSION_WITHOUT_STEP else 0
    profile = reader.take(reader.varint()) if data[4] > VERSION_WITHOUT_PROFILE else None
    crc = zlib.crc32(data[: reader.position])
    if reader.take(_CRC_LENGTH) != _crc_bytes(crc) or not data[4]:
        raise _damaged_header()
    step = -(folded + 1) // 2 if folded % 2 else folded // 2
    # One form for each file: a step of 0 is version 1 or 2.
    if data[4] > VERSION_WITHOUT_STEP and not step:
        raise _damaged_header()
    header = Header(model.decode("ascii", "replace"), digest, height, width, channels, step)
    return header, lengths, profile if step == 0 else profile or None, reader.position


class _Reader:
    """Takes bytes and varints from the front; raises ContainerError where they end."""

    def __init__(self, data: bytes, position: int) -> None:
        self.data, self.position = data, position

    def take(self, count: int) -> bytes:
        taken = self.data[self.position : self.position + count]
        if len(taken) < count:
            raise _damaged_header()
        self.position += count
        return taken

    def varint(self) -> int:
        number = 0
        for shift in range(0, 35, 7):
            byte = self.take(1)[0]
            number |= (byte & 0x7F) << shift
            if byte < 0x80:
                return number
        raise _damaged_header()


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number >= 0x80:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(encoded) + bytes([number])


def _crc_bytes(crc: int) -> bytes:
    return crc.to_bytes(_CRC_LENGTH, "little")


def _damaged_header() -> ContainerError:
    return ContainerError("the header of the file is damaged or cut: copy the file again")
