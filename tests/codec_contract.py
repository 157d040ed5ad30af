"""What every codec keeps to, whatever its paper. A test module runs it with fixtures of its own.

stored: the weights, a `common.training.weights.Weights`; codec: their `Codec`, at any of its settings; sizes: height,
width and channels of the pictures that it codes, `SIZES` or others, the last of them small: its file is damaged.
"""

import base64
import dataclasses
import json
import re
import tracemalloc
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import pytest
from narrow import picture
from shipped import GOLDEN
from test_container import mutations

from common.coding import container
from common.coding.container import ContainerError, Header
from common.errors import RelicError

# One pixel, one column, one row, one row past a multiple of 64, odd sides, whole strides of every network.
SIZES = [(1, 1, 3), (1, 1, 1), (2, 1, 3), (1, 100, 3), (65, 3, 1), (33, 19, 3), (64, 64, 3), (12, 10, 3)]
NO_PICTURES = {
    "floats": np.zeros((8, 8, 3), np.float32),
    "grey floats": np.zeros((8, 8), np.float64),
    "16 bits": np.zeros((8, 8, 3), np.uint16),
    "four channels": np.zeros((8, 8, 4), np.uint8),
    "one channel": np.zeros((8, 8, 1), np.uint8),
    "no rows": np.zeros((0, 8, 3), np.uint8),
    "one row alone": np.zeros(8, np.uint8),
    "a batch": np.zeros((1, 8, 8, 3), np.uint8),
    "a list": [[0, 0], [0, 0]],
}
PROGRESSIVE = "donis_convlstm/iterative"  # and what starts so: a file that was cut after an iteration is a picture
RANDOM_FILES = 4  # of each codec
MOST_SECTIONS = 40  # more than any codec writes


class CodecContract:
    """Pictures of any size return, always the same; whatever else a codec is given it refuses with one sentence."""

    @pytest.fixture(scope="class")
    def image(self, sizes):
        """Return the small picture."""
        return picture(*sizes[-1])

    @pytest.fixture(scope="class")
    def file(self, codec, image):
        """Return the file of the small picture."""
        return codec.compress(image)

    def test_a_picture_of_any_size_comes_back_in_its_shape(self, codec, sizes):
        for size in sizes[:-1]:
            image = picture(*size)
            decoded = codec.decompress(codec.compress(image))
            assert decoded.dtype == np.uint8 and decoded.shape == image.shape

    def test_a_file_names_its_preset_its_weights_and_the_size_of_its_picture(self, stored, sizes, file):
        header, sections = container.unpack(file)
        assert isinstance(file, bytes) and header == Header(stored.model, stored.digest, *sizes[-1])
        assert 0 < len(sections) < MOST_SECTIONS

    def test_the_same_picture_gives_the_same_file_and_the_same_file_the_same_picture(self, codec, file, image):
        assert file == codec.compress(image.copy())
        decoded = codec.decompress(file)
        assert decoded.dtype == np.uint8 and decoded.shape == image.shape
        np.testing.assert_array_equal(decoded, codec.decompress(file))

    def test_what_is_no_picture_is_refused(self, codec):
        for kind, array in NO_PICTURES.items():
            with pytest.raises(RelicError) as caught:
                codec.compress(array)
            sentence = "a picture is a uint8 array HxWx3 or HxW, not [^\n]+: convert it first"
            assert re.fullmatch(sentence, str(caught.value)), kind

    def test_a_flipped_bit_in_any_byte_is_refused(self, codec, file):
        refuse_flipped_bits(codec, file)

    def test_a_file_is_refused_wherever_it_was_cut_unless_what_is_left_is_a_picture(self, codec, file, image):
        if codec.model_id.startswith(PROGRESSIVE):
            for length in range(0, len(file), 20):
                picture_or_refusal(codec, file[:length], image.shape)
        else:
            for length in range(len(file)):
                refusal(codec, file[:length])
        refusal(codec, file + b"\0")

    def test_files_of_other_weights_other_presets_and_other_papers_are_refused_by_what_they_need(self, codec, file):
        header, sections = container.unpack(file)
        forged = dataclasses.replace(header, weights_digest=bytes(8))
        others = {file: container.unpack(file)[0].model for file in files_of_others(codec.digest)}
        assert len({model.split("/")[0] for model in others.values()}) > 1
        for other, model in {**others, container.pack(forged, sections): codec.model_id}.items():
            assert f"coded by {model} with other weights" in refusal(codec, other)

    def test_another_number_of_sections_is_refused(self, codec, file):
        header, sections = container.unpack(file)
        wrong = [[], (sections * MOST_SECTIONS)[:MOST_SECTIONS]]
        if not codec.model_id.startswith(PROGRESSIVE):
            wrong += [sections[:-1], [*sections, b""], [*sections, sections[-1]]]
        for others in wrong:
            sentence = refusal(codec, container.pack(header, others))
            assert sentence.startswith(f"this is no file of {codec.model_id}, or a newer one's") or sentence in (
                f"a file of {codec.model_id} has {len(sections)} sections, not {len(others)}",
                "the file was cut before the end of its first iteration: copy it again",
            )

    def test_what_no_checksum_shows_gives_a_picture_or_one_sentence(self, codec, file, image):
        """Of sections and sizes that are wrong in a file whose checksums are right."""
        header, sections = container.unpack(file)
        for others in forged_sections(sections):
            decoded = picture_or_refusal(codec, container.pack(header, others), image.shape)
            assert decoded is None or any(others), "of nothing no picture can be made"
        height, width, channels = header.height, header.width, header.channels
        for size in (
            (height + 1, width, channels),
            (height, 100, channels),
            (1, 1, channels),
            (height, width, 4 - channels),
        ):
            other = Header(header.model, header.weights_digest, *size)
            picture_or_refusal(codec, container.pack(other, sections), size if size[2] == 3 else size[:2])

    def test_random_damage_below_right_checksums_gives_a_picture_or_one_sentence(self, codec, file):
        """Of the sizes that a header claims and of any bytes of a section, in files that are sealed anew."""
        header, sections = container.unpack(file)
        rng = np.random.default_rng(0)
        for _ in range(RANDOM_FILES):
            height, width, i = int(rng.integers(1, 40)), int(rng.integers(1, 40)), int(rng.integers(len(sections)))
            other = dataclasses.replace(header, height=height, width=width) if rng.integers(2) else header
            changed = next(mutations(sections[i], rng)) if sections[i] else b"\0"
            some = [*sections[:i], changed, *sections[i + 1 :]]
            shape = (other.height, other.width, 3) if other.channels == 3 else (other.height, other.width)
            picture_or_refusal(codec, container.pack(other, some), shape)

    def test_a_small_file_that_claims_a_large_picture_is_refused_before_memory_is_taken_for_it(self, codec, file):
        """Of as many pixels as a header can claim, whatever the limit is that a user has set."""
        header, sections = container.unpack(file)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("RELIC_MAX_PIXELS", str(container.MAX_PIXELS))
            for height, width in ((2**14, 2**14), (65535, 4096), (4096, 65535)):
                large = dataclasses.replace(header, height=height, width=width)
                for some in (sections, [sections[0], *[b""] * (len(sections) - 1)], [sections[0]] * len(sections)):
                    assert taken_by_refusal(codec, container.pack(large, some)) < 2**20

    def test_sections_in_the_wrong_order_do_not_give_the_picture(self, codec, file, image):
        header, sections = container.unpack(file)
        if sections != sections[::-1]:
            swapped = picture_or_refusal(codec, container.pack(header, sections[::-1]), image.shape)
            assert swapped is None or not np.array_equal(swapped, codec.decompress(file))


def refuse_flipped_bits(codec: Any, file: bytes) -> None:
    """Check that a codec refuses a file with one bit of a byte changed, whichever byte it is."""
    for position in range(len(file)):
        damaged = bytearray(file)
        damaged[position] ^= 1 << position % 8
        refusal(codec, bytes(damaged))


def refusal(codec: Any, file: bytes) -> str:
    """Return the sentence with which a codec refuses a file; the test fails where it does not."""
    with pytest.raises(ContainerError) as caught:
        codec.decompress(file)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def taken_by_refusal(codec: Any, file: bytes) -> int:
    """Return the most bytes that Python and NumPy hold while a codec refuses a file; fail where it does not."""
    tracemalloc.start()
    try:
        with pytest.raises(RelicError):
            codec.decompress(file)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def picture_or_refusal(codec: Any, file: bytes, shape: tuple[int, ...]) -> np.ndarray | None:
    """Return the picture of this shape that a codec makes of a file, None where it refuses it with one sentence."""
    try:
        decoded = codec.decompress(file)
    except RelicError as error:
        assert re.search("damaged|file", str(error)) and "\n" not in str(error)
        return None
    assert decoded.dtype == np.uint8 and decoded.shape == shape
    return decoded


def forged_sections(sections: list[bytes]) -> Iterator[list[bytes]]:
    """Yield sections of which one is empty, cut, longer, constant, noise or has a flipped bit, and none at all."""
    rng = np.random.default_rng(0)
    yield [b""] * len(sections)
    for i in sorted({0, len(sections) - 1}):
        section = sections[i]
        middle = len(section) // 2
        flipped = section[:middle] + bytes([section[middle] ^ 0x10]) + section[middle + 1 :]
        noise = rng.bytes(len(section))
        for wrong in (b"", section[:-1], section[:middle], section + b"\0", b"\xff" * len(section), noise, flipped):
            yield [*sections[:i], wrong, *sections[i + 1 :]]


def files_of_others(digest: bytes) -> list[bytes]:
    """Return the file of a small picture by the shipped weights of each preset and scale but those of this digest."""
    return [file for file in _golden_files() if container.unpack(file)[0].weights_digest != digest]


@cache
def _golden_files() -> list[bytes]:
    stored = [json.loads(path.read_text()) for path in sorted(GOLDEN.glob("*/*.json"))]
    coded = [numbers["cut"]["file"] for weights in stored for numbers in weights.values() if "cut" in numbers]
    return [base64.b64decode(file) for file in coded]
