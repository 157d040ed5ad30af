"""The file format: what is written is read back, and what was changed is refused."""

import hashlib
import tracemalloc
import zlib

import numpy as np
import pytest

from common import limits
from common.coding import container
from common.coding.container import ContainerError, Header, pack, payload_size, profile_of, section_counts, unpack
from common.errors import RelicError

DIGEST = bytes.fromhex("0123456789abcdef")
HEADER = Header("cheng_resnet/resnet4_subpixel", DIGEST, 512, 768, 3)
SECTIONS = [b"side information", b"", b"latent " * 40, b"\x00"]
PROFILE = b"an ICC profile " * 30
GOLDEN_START = (
    "524c4943" "01" "1d" "6368656e675f7265736e65742f7265736e6574345f737562706978656c" "0123456789abcdef"
    "8004" "8006" "03" "04" "10" "00" "9802" "01"
)  # fmt: skip


def sealed(start: bytes) -> bytes:
    """Return hand-made header bytes with their right CRC, so that only what they say can be refused."""
    return start + zlib.crc32(start).to_bytes(4, "little")


def crafted(numbers: bytes, model: bytes = b"a/b", version: int = 1) -> bytes:
    return sealed(b"RLIC" + bytes([version, len(model)]) + model + DIGEST + numbers)


@pytest.fixture
def no_limit(monkeypatch):
    """Let pictures have as many pixels as a header can say."""
    monkeypatch.setenv("RELIC_MAX_PIXELS", str(container.MAX_PIXELS))


@pytest.mark.parametrize("sections", [[], [b""], [b"x"], SECTIONS, [bytes(200_000)], [b"s"] * 300])
@pytest.mark.parametrize("size", [(1, 1), (512, 768), (65535, 1), (4096, 65535)])
def test_a_file_gives_back_its_header_and_sections(sections, size, no_limit):
    header = Header("a/b", DIGEST, *size, 1)
    assert unpack(pack(header, sections)) == (header, sections)


def test_of_a_file_that_was_cut_the_complete_sections_are_counted():
    file = pack(HEADER, SECTIONS)
    assert section_counts(file) == (4, 4) and section_counts(file[:-1]) == (3, 4)
    with pytest.raises(ContainerError, match="header of the file is damaged or cut"):
        section_counts(file[:30])


def test_the_bytes_of_the_format_are_fixed():
    assert pack(HEADER, SECTIONS)[: len(GOLDEN_START) // 2].hex() == GOLDEN_START
    assert hashlib.sha256(pack(HEADER, SECTIONS)).hexdigest() == (
        "6e021cc7229f70d104621d19b0e0cb88f2143d85c63f505948b7c5bcf053b907"
    )


def test_a_section_s_crc_continues_the_header_s():
    start = bytes.fromhex(GOLDEN_START)
    expected, covered = sealed(start), start
    for section in SECTIONS:
        covered += section
        expected += section + zlib.crc32(covered).to_bytes(4, "little")
    assert pack(HEADER, SECTIONS) == expected


def test_bytes_bytearray_and_memoryview_are_alike():
    data = pack(HEADER, [bytearray(b"ab"), memoryview(b"cd")])
    assert data == pack(HEADER, [b"ab", b"cd"])
    assert unpack(bytearray(data)) == unpack(memoryview(data)) == (HEADER, [b"ab", b"cd"])


def test_sizes_of_payload_and_header_add_up_to_the_file():
    data = pack(HEADER, SECTIONS)
    assert payload_size(data) == sum(map(len, SECTIONS))
    assert len(data) - payload_size(data) == len(GOLDEN_START) // 2 + 4 + 4 * len(SECTIONS)
    cut = data[:-1]
    assert payload_size(cut) == sum(map(len, SECTIONS[:-1]))


def test_the_format_costs_32_bytes_besides_the_model_id_for_a_small_picture_of_two_sections():
    header = Header("cheng_resnet/resnet4_subpixel", DIGEST, 32, 32, 3)
    assert len(pack(header, [b"z" * 9, b"y" * 50])) - 59 == 32 + len(header.model)


def mutations(data, rng):
    """Yield flips, cuts, insertions, deletions, repetitions, reversals and noise without end, none equal to `data`."""
    while True:
        kind, at, other = rng.integers(7), int(rng.integers(len(data))), int(rng.integers(len(data)))
        low, high = sorted((at, other))
        if kind == 0:
            changed = data[:at] + bytes([data[at] ^ 1 << int(rng.integers(8))]) + data[at + 1 :]
        elif kind == 1:
            changed = data[:at]
        elif kind == 2:
            changed = data[:at] + rng.bytes(int(rng.integers(1, 9))) + data[at:]
        elif kind == 3:
            changed = data[:low] + data[high:]
        elif kind == 4:
            changed = data[:high] + data[low:]
        elif kind == 5:
            changed = data[:low] + data[low:high][::-1] + data[high:]
        else:
            changed = data[:low] + rng.bytes(high - low) + data[high:]
        if changed != data:
            yield changed


@pytest.mark.parametrize("profile", [None, PROFILE], ids=["version 1", "version 2"])
@pytest.mark.parametrize("allow_missing_sections", [False, True])
def test_two_thousand_random_mutations_never_give_a_wrong_result(allow_missing_sections, profile):
    rng = np.random.default_rng(0)
    sections = [rng.bytes(30), rng.bytes(1), rng.bytes(300), b"", rng.bytes(30)]
    data = pack(HEADER, sections, profile)
    refused = 0
    for changed, _ in zip(mutations(data, rng), range(2000), strict=False):
        try:
            header, found = unpack(changed, allow_missing_sections)
        except ContainerError:
            refused += 1
            continue
        assert allow_missing_sections and header == HEADER and profile_of(changed) == profile
        assert len(found) < len(sections) and found == sections[: len(found)]
        assert len(changed) < len(data)
    assert refused == 2000 if not allow_missing_sections else refused > 1000


@pytest.mark.parametrize("profile", [None, PROFILE], ids=["version 1", "version 2"])
def test_every_flipped_bit_is_refused_even_where_sections_may_be_missing(profile):
    data = pack(HEADER, SECTIONS, profile)
    for bit in range(8 * len(data)):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ContainerError):
            unpack(bytes(changed), allow_missing_sections=True)


def test_a_file_cut_anywhere_is_refused_with_one_sentence():
    data = pack(HEADER, SECTIONS)
    for length in range(len(data)):
        with pytest.raises(ContainerError, match="cut|not a RELIC file"):
            unpack(data[:length])


def test_a_file_cut_anywhere_gives_its_complete_sections_where_some_may_be_missing():
    data = pack(HEADER, SECTIONS)
    start = len(data) - sum(len(section) + 4 for section in SECTIONS)
    ends = start + np.cumsum([len(section) + 4 for section in SECTIONS])
    for length in range(len(data) + 1):
        if length < start:
            with pytest.raises(ContainerError):
                unpack(data[:length], allow_missing_sections=True)
        else:
            complete = int((ends <= length).sum())
            assert unpack(data[:length], allow_missing_sections=True) == (HEADER, SECTIONS[:complete])


@pytest.mark.parametrize("allow_missing_sections", [False, True])
def test_sections_that_are_swapped_repeated_or_from_another_file_are_refused(allow_missing_sections):
    sections = [b"first", b"other", b"third"]
    data = pack(HEADER, sections)
    start = len(data) - 3 * 9
    head, first, second, third = data[:start], data[start : start + 9], data[start + 9 : start + 18], data[-9:]
    other = pack(Header(HEADER.model, DIGEST, 512, 769, 3), sections)
    for changed in (
        head + second + first + third,
        head + first + third + second,
        head + first + first + third,
        head + second + third,
        head + other[start:],
        head + first + other[start + 9 :],
    ):
        with pytest.raises(ContainerError):
            unpack(changed, allow_missing_sections)


@pytest.mark.parametrize("allow_missing_sections", [False, True])
def test_trailing_bytes_are_refused(allow_missing_sections):
    with pytest.raises(ContainerError, match="3 bytes after its end"):
        unpack(pack(HEADER, SECTIONS) + b"abc", allow_missing_sections)


def test_each_refusal_says_what_to_do():
    data = pack(HEADER, SECTIONS)
    for changed, message in (
        (b"", "not a RELIC file: give a file"),
        (b"\x89PNG\r\n", "not a RELIC file: give a file"),
        (data[:4] + b"\x04" + data[5:], "format version 4, newer than 3: update RELIC"),
        (data[:30], "header of the file is damaged or cut: copy the file again"),
        (data[:-1], "1 bytes are missing: copy it again"),
        (data[:-1] + b"!", "section 4 of the file is damaged: copy it again"),
    ):
        with pytest.raises(RelicError, match=message) as caught:
            unpack(changed)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "numbers, message",
    [
        (b"\x00\x01\x03\x00", "0x1 must have sides"),
        (b"\x01\x00\x03\x00", "1x0 must have sides"),
        (b"\x80\x80\x04\x01\x03\x00", "65536x1 must have sides"),
        (b"\xff\xff\x03\xff\xff\x03\x03\x00", "exceeds 268435456 pixels"),
        (b"\x01\x01\x02\x00", "1 or 3 channels, not 2"),
        (b"\x01\x01\x03\x81\x20" + bytes(4097), "header of the file is damaged"),
        (b"\xff\xff\xff\xff\xff\x01\x01\x03\x00", "header of the file is damaged"),
    ],
)
def test_a_well_formed_header_with_impossible_numbers_is_refused(numbers, message):
    with pytest.raises(ContainerError, match=message):
        unpack(crafted(numbers))
    with pytest.raises(ContainerError, match="header of the file is damaged"):
        unpack(crafted(numbers, version=0))


@pytest.mark.parametrize("model", [b"", b"../../etc", b"a/b\n", b"A/b", b"/a", b"a//b", "é".encode(), b"a" * 81])
def test_a_model_id_of_other_characters_or_too_long_is_refused(model):
    with pytest.raises(ContainerError, match="model id"):
        unpack(crafted(b"\x01\x01\x03\x00", model))
    with pytest.raises(ContainerError, match="model id"):
        Header(model.decode("utf-8"), DIGEST, 1, 1, 3)


def test_what_cannot_be_read_is_not_written():
    for change in ({"height": 0}, {"width": 65536}, {"channels": 4}, {"weights_digest": b"short"}):
        with pytest.raises(ContainerError):
            Header(**{**vars(HEADER), **change})
    with pytest.raises(ContainerError, match="at most 4096 sections"):
        pack(HEADER, [b""] * 4097)
    assert len(unpack(pack(HEADER, [b""] * 4096))[1]) == 4096


@pytest.mark.parametrize("allow_missing_sections", [False, True])
def test_huge_lengths_in_a_valid_header_allocate_nothing(allow_missing_sections, no_limit):
    data = crafted(b"\xff\xff\x03\x80\x20\x03\x80\x20" + b"\xff\xff\xff\xff\x0f" * 4096) + b"some"
    tracemalloc.start()
    try:
        header, found = unpack(data, allow_missing_sections)
        assert allow_missing_sections and (header.height, header.width, found) == (65535, 4096, [])
    except ContainerError as error:
        assert not allow_missing_sections and f"{4096 * (2**32 - 1 + 4) - 4} bytes are missing" in str(error)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 2**20


def test_a_file_keeps_the_colour_profile_of_its_picture_which_is_no_payload():
    plain, data = pack(HEADER, SECTIONS), pack(HEADER, SECTIONS, PROFILE)
    assert (profile_of(plain), profile_of(data)) == (None, PROFILE)
    assert unpack(data) == unpack(plain) == (HEADER, SECTIONS)
    assert payload_size(data) == payload_size(plain) and section_counts(data[:-1]) == (3, 4)
    assert data == container.with_profile(plain, PROFILE) == container.with_profile(bytearray(data), PROFILE)
    assert profile_of(data[:-300]) == PROFILE and len(data) < len(plain) + 50


def test_only_files_with_a_profile_have_the_version_that_older_readers_refuse():
    assert pack(HEADER, SECTIONS, b"") == pack(HEADER, SECTIONS, None) == pack(HEADER, SECTIONS)
    assert (pack(HEADER, [])[4], pack(HEADER, [], PROFILE)[4]) == (1, 2)


@pytest.mark.parametrize(
    "compressed",
    [b"", b"no zlib stream", zlib.compress(b""), zlib.compress(PROFILE)[:-1], zlib.compress(PROFILE) + b"!"],
)
def test_a_profile_that_cannot_be_inflated_is_refused(compressed):
    data = crafted(b"\x01\x01\x03\x00" + bytes([len(compressed)]) + compressed, version=2)
    with pytest.raises(ContainerError, match="colour profile is damaged"):
        profile_of(data)


def test_a_profile_is_bounded_before_it_is_inflated():
    largest = bytes(container.MAX_PROFILE_LENGTH)
    assert profile_of(pack(HEADER, [], largest)) == largest
    with pytest.raises(ContainerError, match="at most 4194304 bytes, not 4194305"):
        pack(HEADER, [], largest + b"!")
    bomb = zlib.compress(bytes(2**26))
    length = bytes([len(bomb) & 0x7F | 0x80, len(bomb) >> 7 & 0x7F | 0x80, len(bomb) >> 14])
    data = crafted(b"\x01\x01\x03\x00" + length + bomb, version=2)
    tracemalloc.start()
    try:
        with pytest.raises(ContainerError, match="damaged or above 4194304 bytes"):
            profile_of(data)
        assert tracemalloc.get_traced_memory()[1] < 2**24
    finally:
        tracemalloc.stop()


def test_a_picture_of_more_pixels_than_the_limit_is_neither_written_nor_read_and_the_sentence_names_it(monkeypatch):
    large, largest = (Header("a/b", DIGEST, 8001, width, 1) for width in (10_000, 9998))
    monkeypatch.delenv("RELIC_MAX_PIXELS", raising=False)
    assert unpack(pack(largest, [])) == (largest, []) and 8001 * 9998 < limits.MAX_PIXELS < 8001 * 10_000
    sentence = "a picture of 8001x10000 has more than 80000000 pixels: set RELIC_MAX_PIXELS to a higher limit, if"
    with pytest.raises(RelicError, match=sentence):
        pack(large, [])
    monkeypatch.setenv("RELIC_MAX_PIXELS", "80010000")
    data = pack(large, [])
    assert unpack(data) == (large, [])
    monkeypatch.setenv("RELIC_MAX_PIXELS", "80009999")
    for some in (False, True):
        with pytest.raises(RelicError, match="has more than 80009999 pixels"):
            unpack(data, allow_missing_sections=some)


@pytest.mark.parametrize("text", ["many", "-1", "0", "1e6", "1.5", "\u00b2", "9" * 5000])
def test_a_limit_that_is_no_number_of_pixels_is_one_sentence(text, monkeypatch):
    monkeypatch.setenv("RELIC_MAX_PIXELS", text)
    with pytest.raises(RelicError, match=r"^RELIC_MAX_PIXELS=.* is not a number of pixels: set it to one above 0"):
        pack(HEADER, [])
