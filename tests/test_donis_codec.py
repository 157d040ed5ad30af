"""Donis and Brown's codecs: bits to bytes, files that may be cut after any iteration, tiles."""

import dataclasses
import hashlib
import itertools
import math
import tracemalloc
from functools import cache

import numpy as np
import pytest
from narrow import known_arrays, picture

from common import backend
from common.backend import ops
from common.coding import container
from common.coding.container import ContainerError
from common.errors import RelicError
from common.training import checkpoints, runs, weights
from papers.donis_convlstm import bit_planes, config
from papers.donis_convlstm import codec as codec_module
from papers.donis_convlstm.codec import Codec, load
from papers.donis_convlstm.learning import OneIteration, Unrolled

stack = pytest.mark.stack
CHANNELS = 32


# --- bits ----------------------------------------------------------------------------------------------------------


def random_maps(shape, probability=0.5, seed=0):
    return np.random.RandomState(seed).rand(*shape) < probability


def smooth_maps(iterations, height, width):
    """Return bits that mostly equal their neighbours, which is how codes of pictures are."""
    rng = np.random.RandomState(1)
    rows, columns = np.mgrid[:height, :width] / 5.0
    waves = [np.sin(rows * a + columns * b + c) for a, b, c in rng.uniform(-1, 1, (CHANNELS, 3)) * (1, 1, 3)]
    return np.stack(waves, axis=-1)[None] + rng.normal(0, 0.1, (iterations, height, width, CHANNELS)) > 0


MAPS = {
    "random": random_maps((3, 5, 4, CHANNELS)),
    "rare ones": random_maps((4, 6, 7, CHANNELS), 0.05),
    "smooth": smooth_maps(3, 16, 24),
    "constant": np.ones((2, 16, 24, CHANNELS), bool),
    "one position": random_maps((16, 1, 1, CHANNELS)),
    "one column": random_maps((2, 9, 1, CHANNELS), 0.1),
    "no whole bytes": random_maps((2, 3, 3, 5)),
    "random, then rare": np.concatenate([random_maps((1, 8, 8, 32)), random_maps((1, 8, 8, 32), 0.02)]),
    "none": np.zeros((0, 4, 4, CHANNELS), bool),
}


def packed_size(maps):
    return -(-maps[0].size // 8)


@pytest.mark.parametrize("name", MAPS)
def test_bits_return(name):
    maps = MAPS[name]
    sections = bit_planes.encode(maps)
    assert len(sections) == len(maps)
    np.testing.assert_array_equal(bit_planes.decode(sections, maps.shape[1:]), maps)
    assert bit_planes.encode(maps.astype(np.uint8)) == sections


@pytest.mark.parametrize("name", [name for name in MAPS if name != "none"])
def test_a_section_is_range_coded_only_where_that_is_smaller(name):
    maps = MAPS[name]
    for section, one in zip(bit_planes.encode(maps), maps, strict=True):
        assert len(section) <= 1 + packed_size(maps)
        is_packed = section == bytes([bit_planes.PACKED]) + np.packbits(one).tobytes()
        assert is_packed == (len(section) == 1 + packed_size(maps)) == (section[0] == bit_planes.PACKED)


def test_random_bits_are_packed_and_others_are_not():
    modes = {name: [section[0] for section in bit_planes.encode(maps)] for name, maps in MAPS.items()}
    assert set(modes["random"]) == set(modes["one position"]) == {bit_planes.PACKED}
    assert set(modes["rare ones"]) == set(modes["smooth"]) == {bit_planes.ADAPTIVE}
    assert modes["random, then rare"] == [bit_planes.PACKED, bit_planes.ADAPTIVE]


def test_constant_bits_cost_next_to_nothing():
    assert max(map(len, bit_planes.encode(MAPS["constant"]))) < packed_size(MAPS["constant"]) / 6


def test_bits_that_follow_from_those_before_cost_little():
    """Random bits, each the same as above, as one iteration before, or as two before."""
    noise = random_maps((4, 24, 24, CHANNELS))
    alike = {
        "above": np.repeat(noise[:, :1], 24, axis=1),
        "one iteration before": np.repeat(noise[:1], 4, axis=0),
        "two iterations before": np.tile(noise[:2], (2, 1, 1, 1)),
    }
    packed = packed_size(noise)
    sizes = {how: [len(section) / packed for section in bit_planes.encode(maps)] for how, maps in alike.items()}
    assert max(sizes["above"]) < 0.25
    assert max(sizes["one iteration before"][1:]) < 0.25 and sizes["one iteration before"][0] > 0.99
    assert max(sizes["two iterations before"][2:]) < 0.25 and min(sizes["two iterations before"][:2]) > 0.99


def counted_length(maps):
    """Return the bits of each section by the counts that the module describes, one bit after the other."""
    counts, lengths = {}, []
    _, height, width, channels = maps.shape
    for i, one in enumerate(maps):
        counts = {context: [max(n // 2, 1) for n in pair] for context, pair in counts.items()}
        length = 0.0
        for row in range(height):
            seen = []
            for column, channel in itertools.product(range(width), range(channels)):
                above = one[row - 1, column, channel] if row else None
                before = [maps[i - k][row, column, channel] if i >= k else None for k in (1, 2)]
                seen.append(((channel, above, *before), int(one[row, column, channel])))
            for context, bit in seen:
                pair = counts.get(context, [1, 1])
                length -= math.log2(pair[bit] / sum(pair))
            for context, bit in seen:
                counts.setdefault(context, [1, 1])[bit] += 2
            for context in {context for context, _ in seen}:
                if sum(counts[context]) > 128:
                    counts[context] = [(n + 1) // 2 for n in counts[context]]
        lengths.append(length)
    return lengths


def test_the_range_coder_reaches_the_length_of_its_counts():
    maps = np.concatenate([smooth_maps(3, 24, 15)[..., :4], np.zeros((2, 24, 15, 4), bool)])
    lengths = counted_length(maps)
    for section, length in zip(bit_planes.encode(maps), lengths, strict=True):
        assert section[0] == bit_planes.ADAPTIVE
        assert length / 8 - 4 < len(section) - 1 < 1.01 * length / 8 + 4  # the coder's last word may be left out


def test_the_bytes_of_bits_never_change():
    """Bits of a linear congruence; another digest is another file format."""
    numbers = np.cumsum(np.full(3 * 12 * 10 * CHANNELS, 40503, np.uint64)) * np.uint64(2654435761) % np.uint64(2**32)
    maps = (numbers < np.uint64(2**30)).reshape(3, 12, 10, CHANNELS)
    maps[0] &= maps[1]
    joined = b"".join(bit_planes.encode(maps))
    assert hashlib.sha256(joined).hexdigest()[:16] == "9b6c1e1c44784e2d"


def test_a_section_depends_on_those_before_it_alone():
    maps = MAPS["smooth"]
    assert bit_planes.encode(maps[:2]) == bit_planes.encode(maps)[:2]
    np.testing.assert_array_equal(bit_planes.decode(bit_planes.encode(maps)[:1], maps.shape[1:]), maps[:1])
    with pytest.raises(ContainerError):
        bit_planes.decode(bit_planes.encode(maps)[1:], maps.shape[1:])


@pytest.mark.parametrize("name", ["random", "smooth", "no whole bytes"])
def test_sections_of_a_wrong_length_or_mode_are_refused(name):
    maps = MAPS[name]
    section = bit_planes.encode(maps[:1])[0]
    wrong = [b"", section[:1], section + b"\0", section + bytes(5), bytes([2]) + section[1:]]
    wrong += [bytes([1 - section[0]]) + section[1:], section[:1] + bytes(packed_size(maps) + 1)]
    for damaged in wrong:
        with pytest.raises(ContainerError, match="damaged"):
            bit_planes.decode([damaged], maps.shape[1:])


@pytest.mark.parametrize("bit", [0, 1])
@pytest.mark.parametrize("height, width", [(1, 400), (400, 1), (60, 60), (3, 300)])
def test_the_shortest_sections_that_there_are_have_no_fewer_bytes_than_are_asked_for(height, width, bit):
    maps = np.full((4, height, width, CHANNELS), bit, np.uint8)
    sections = bit_planes.encode(maps)
    assert sections[3][0] == bit_planes.ADAPTIVE and len(sections[3]) < packed_size(maps[:1]) / 20
    np.testing.assert_array_equal(bit_planes.decode(sections, maps.shape[1:]), maps)


@pytest.mark.parametrize("section", [b"\0" + bytes(40), b"\1" + bytes(40), b"\1", b"\0"])
def test_a_few_bytes_that_claim_a_large_map_are_refused_before_memory_is_taken_for_it(section):
    tracemalloc.start()
    try:
        with pytest.raises(ContainerError, match="damaged"):
            bit_planes.decode([section], (1024, 1024, CHANNELS))
        assert tracemalloc.get_traced_memory()[1] < 2**16
    finally:
        tracemalloc.stop()


def test_bits_beyond_the_last_one_are_refused():
    section = bytearray(bit_planes.encode(MAPS["no whole bytes"])[0])
    section[-1] |= 1
    with pytest.raises(ContainerError, match="damaged"):
        bit_planes.decode([bytes(section)], MAPS["no whole bytes"].shape[1:])


@pytest.mark.parametrize("mode", [0, 1, 2, 255])
def test_garbage_is_refused(mode):
    for length in (0, 1, 7, 100, 1000, 1537):
        garbage = bytes([mode]) + np.random.RandomState(length).bytes(length)
        with pytest.raises(ContainerError, match="damaged"):
            bit_planes.decode([garbage], (16, 24, CHANNELS))


def test_cuts_and_flipped_bits_give_other_bits_or_an_error_but_no_crash():
    maps, refused = MAPS["smooth"], 0
    first, section, last = bit_planes.encode(maps)
    flipped = [section[:i] + bytes([section[i] ^ 0x40]) + section[i + 1 :] for i in range(1, len(section), 9)]
    cut = [section[:-i] for i in range(1, 20)]
    for damaged in flipped + cut:
        try:
            assert (bit_planes.decode([first, damaged, last], maps.shape[1:]) != maps).any()
        except ContainerError:
            refused += 1
    assert refused > 0.9 * len(flipped + cut)


# --- pictures ------------------------------------------------------------------------------------------------------


def narrow(preset, **changes):
    return dataclasses.replace(config.at_scale(getattr(config, preset.upper()), "smoke"), **changes)


def known_networks(narrow_config):
    """Return networks whose bits are of both kinds and whose pictures are not grey, with weights in float16."""
    backend.set_seed(0)  # recurrent kernels are near their first values
    networks = (Unrolled if narrow_config.is_iterative else OneIteration)(narrow_config)
    checkpoints.set_model_arrays(networks, weights.to_float16(known_arrays(networks)), "known")
    return networks


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """Return a function from a preset's name to the weights file of narrow networks."""

    @cache
    def save(preset, **changes):
        path = tmp_path_factory.mktemp(preset) / "weights.safetensors"
        networks = known_networks(narrow(preset, **changes))
        weights.save(path, f"donis_convlstm/{preset}", networks.config, checkpoints.model_arrays(networks), {})
        return weights.load(path)

    return save


@pytest.fixture(scope="module")
def codec_of(stored):
    """Return a function from a preset's name and iterations to a codec; the networks are compiled once."""
    made = cache(lambda preset: Codec(stored(preset)))
    return lambda preset, iterations=8: made(preset).with_settings(iterations)


@pytest.mark.slow
@stack
def test_the_networks_of_these_tests_are_no_constants(codec_of):
    file = codec_of("iterative").compress(picture(48, 64))
    maps = maps_of(file)
    assert 0.1 < maps.mean() < 0.9 and (maps.std(axis=(1, 2)) > 0).any()
    assert codec_of("iterative").decompress(file).std() > 2


def maps_of(file):
    """Return the bits of a file, uint8 (iterations, h, w, 32)."""
    header, sections = container.unpack(file)
    return bit_planes.decode(sections, (-(-header.height // 16), -(-header.width // 16), CHANNELS))


def test_a_file_cut_at_any_byte_gives_the_picture_of_its_whole_iterations_or_is_refused(codec_of):
    codec = codec_of("iterative", 4)
    file = codec.compress(picture(31, 40))
    pictures = codec.progressive(file)
    assert len({p.tobytes() for p in pictures}) == len(pictures) == 4  # or a cut could not be told
    sections = container.unpack(file)[1]
    ends = np.cumsum([len(section) + 4 for section in sections])
    ends += len(file) - ends[-1]
    for length in range(len(file) + 1):
        whole = int((ends <= length).sum())
        if whole:
            np.testing.assert_array_equal(codec.decompress(file[:length]), pictures[whole - 1])
        else:
            with pytest.raises(ContainerError, match="cut|not a RELIC file"):
                codec.decompress(file[:length])


def test_fewer_iterations_are_the_start_of_more(codec_of):
    image = picture(40, 33)
    long, short = (codec_of("iterative", iterations).compress(image) for iterations in (8, 4))
    assert container.unpack(long)[1][:4] == container.unpack(short)[1]
    codec = codec_of("iterative", 4)
    np.testing.assert_array_equal(codec.decompress(short), codec.progressive(long)[3])
    np.testing.assert_array_equal(codec.decompress(long), codec.progressive(long)[7])


@pytest.mark.slow
@stack
@pytest.mark.parametrize("preset", ["iterative", "iterative_one_shot"])
def test_the_decoder_adds_all_outputs_or_takes_the_last(preset, codec_of):
    """Against the networks, called one after the other by hand."""
    file, networks = codec_of(preset).compress(picture(32, 48)), codec_of(preset).networks
    state = [ops.zeros((1, *shape)) for shape in decoder_shapes(networks.config, 32, 48)]
    outputs = []
    for one in maps_of(file):
        output, *state = networks.decoder([ops.convert_to_tensor(2.0 * one[None].astype(np.float32) - 1.0), *state])
        outputs.append(backend.to_numpy(output)[0])
    gains = [1.0, *3.0 * 1.1 ** np.arange(7)]
    total = sum(output / gain for output, gain in zip(outputs, gains, strict=True))
    expected = 0.5 + (total if preset == "iterative" else outputs[-1])
    difference = codec_of(preset).decompress(file) - 255 * np.clip(expected, 0, 1)
    assert np.abs(difference).max() <= 0.51


def decoder_shapes(narrow_config, height, width):
    """Return the shapes of h and c of the four ConvLSTM2D, which see 1/16, 1/8, 1/4 and 1/2 of the picture's sides."""
    filters = narrow_config.decoder_filters[1:]
    return [(height // s, width // s, f) for s, f in zip((16, 8, 4, 2), filters, strict=True) for _ in "hc"]


@stack
@pytest.mark.parametrize("reconstruction", ["additive", "one_shot"])
def test_the_codec_iterates_as_training_does(reconstruction, tmp_path):
    """Mean |residual| after each iteration, of training without noise and of the decoded pictures."""
    settings = {"reconstruction": reconstruction, "binarizer": "sign", "batch_size": 1, "patch_size": 32}
    networks = known_networks(narrow("iterative", **settings)).with_iterations(3)
    small = {
        name: 0.3 * a if name.endswith("D_out/kernel") else a for name, a in checkpoints.model_arrays(networks).items()
    }
    checkpoints.set_model_arrays(
        networks, weights.to_float16(small), "known"
    )  # within the range of pictures: nothing clipped
    path = tmp_path / "weights.safetensors"
    weights.save(path, "donis_convlstm/iterative", networks.config, checkpoints.model_arrays(networks), {})
    image = picture(32, 32)
    expected = networks({"x": image[None], "step": np.zeros(1, np.int32)}, training=False)["errors"]
    codec = Codec(weights.load(path)).with_settings(3)
    decoded = codec.progressive(codec.compress(image))
    errors = [np.abs(image / 255.0 - one / 255.0).mean() for one in decoded]
    np.testing.assert_allclose(errors, backend.to_numpy(expected), atol=2e-4)
    assert np.ptp(errors) > 5e-4


@pytest.mark.slow
def test_grey_is_three_equal_channels_and_their_mean(codec_of):
    codec, grey = codec_of("iterative", 4), picture(20, 30, channels=1)
    file = codec.compress(grey)
    colour = codec.compress(np.repeat(grey[..., None], 3, axis=-1))
    assert container.unpack(file)[1] == container.unpack(colour)[1]
    np.testing.assert_array_equal(codec.decompress(file), np.rint(codec.decompress(colour).mean(axis=-1)))


@pytest.mark.slow
def test_tiles_of_a_large_picture_are_coded_apart(codec_of, monkeypatch):
    """Rows of 5 positions are parts of 1, 2 and 2, columns of 3 are parts of 1 and 2; the last of both are padded."""
    codec, image = codec_of("iterative", 4), picture(75, 45)
    parts = [[slice(0, 16), slice(16, 48), slice(48, 75)], [slice(0, 16), slice(16, 45)]]
    alone = [[codec.compress(image[r, c]) for c in parts[1]] for r in parts[0]]
    monkeypatch.setattr(codec_module, "TILE_SIDE", 2)
    file = codec.compress(image)
    together = np.concatenate([np.concatenate([maps_of(f) for f in row], axis=2) for row in alone], axis=1)
    np.testing.assert_array_equal(maps_of(file), together)
    decoded = np.concatenate([np.concatenate([codec.decompress(f) for f in row], axis=1) for row in alone])
    np.testing.assert_array_equal(codec.decompress(file), decoded)


@pytest.mark.parametrize("height, width", [(1, 1), (48, 32), (96, 96), (97, 96), (4096, 1), (193, 250)])
def test_tiles_are_few_equal_and_cover_every_position_once(height, width):
    covered, sizes = np.zeros((height, width), int), []
    for rows, columns in codec_module.tiles(height, width):
        covered[rows, columns] += 1
        sizes.append(covered[rows, columns].shape)
    assert (covered == 1).all() and len(sizes) == -(-height // 96) * -(-width // 96)
    assert np.max(sizes) <= 96 and (np.ptp(sizes, axis=0) <= 1).all()


# --- one iteration -------------------------------------------------------------------------------------------------


def test_as_run_a_tile_is_128_floats(codec_of):
    codec, image = codec_of("as_run"), picture(64, 96)
    (section,) = container.unpack(codec.compress(image))[1]
    assert len(section) * 8 == 4 * image[..., 0].size
    code = np.frombuffer(section, "<f4").reshape(4, 6, CHANNELS)
    expected = codec.networks.encoder(image[None, 32:, 64:].astype(np.float32) / 255)
    np.testing.assert_allclose(code[2:, 4:], backend.to_numpy(expected)[0], rtol=1e-4, atol=1e-5)


def test_as_written_a_tile_is_at_most_128_bits(codec_of):
    image = picture(64, 96)
    (section,) = container.unpack(codec_of("as_written").compress(image))[1]
    assert len(section) <= 1 + 6 * 128 // 8


@stack
@pytest.mark.parametrize("preset", ["as_run", "as_written"])
def test_every_tile_is_a_picture_of_its_own(preset, codec_of, monkeypatch):
    codec, image = codec_of(preset), picture(64, 96)
    decoded = codec.decompress(codec.compress(image))
    assert decoded.std() > 2
    corners = [(row, column) for row in (0, 32) for column in (0, 32, 64)]
    tiles = np.stack([image[row : row + 32, column : column + 32] for row, column in corners])
    monkeypatch.setattr(codec_module, "BATCH", 4)  # two batches, the last one not full
    reconstructed = codec.reconstructed(tiles)
    for (row, column), tile in zip(corners, reconstructed, strict=True):
        # Other batches may add up floats in another order.
        assert np.abs(decoded[row : row + 32, column : column + 32].astype(int) - tile).max() <= 1
    x_hat = backend.to_numpy(codec.networks.reconstructed(tiles.astype(np.float32) / 255.0))
    assert np.abs(reconstructed - 255 * np.clip(x_hat, 0, 1)).max() <= 0.51


def test_the_edges_of_a_picture_are_repeated(codec_of):
    codec, image = codec_of("as_run"), picture(20, 50)
    whole = np.pad(image, [(0, 12), (0, 14), (0, 0)], mode="edge")
    np.testing.assert_array_equal(codec.decompress(codec.compress(image)), both(codec, whole)[:20, :50])


def both(codec, image):
    return codec.decompress(codec.compress(image))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_floats_that_are_no_numbers_are_refused(value, codec_of):
    codec = codec_of("as_run")
    header, (section,) = container.unpack(codec.compress(picture(32, 32)))
    damaged = np.frombuffer(section, "<f4").copy()
    damaged[77] = value
    with pytest.raises(ContainerError, match="the code in this file is damaged"):
        codec.decompress(container.pack(header, [damaged.tobytes()]))


def test_floats_too_large_for_the_networks_are_an_error_or_a_picture(codec_of):
    codec = codec_of("as_run")
    header, (_section,) = container.unpack(codec.compress(picture(32, 32)))
    signs = np.where(np.arange(128) % 3, 1, -1)
    extreme = np.full(128, np.finfo(np.float32).max) * signs
    try:
        assert codec.decompress(container.pack(header, [extreme.astype("<f4").tobytes()])).shape == (32, 32, 3)
    except ContainerError as error:
        assert "damaged" in str(error)


# --- what is refused -----------------------------------------------------------------------------------------------


def test_files_of_other_weights_have_no_progress(codec_of):
    file = codec_of("iterative", 4).compress(picture(20, 20))
    with pytest.raises(ContainerError, match="other weights"):
        codec_of("as_run").progressive(file)


@pytest.mark.parametrize("preset, most", [("iterative", 16), ("as_run", 1), ("as_written", 1)])
def test_more_iterations_than_there_are_and_sections_of_another_picture_are_refused(preset, most, codec_of):
    codec = codec_of(preset)
    header, sections = container.unpack(codec.compress(picture(32, 32)))
    with pytest.raises(ContainerError, match=f"no file of donis_convlstm/{preset}"):
        codec.decompress(container.pack(header, sections[:1] * (most + 1)))
    for wrong in (b"", sections[0][:-1], sections[0] + b"\0", container.unpack(codec.compress(picture(32, 70)))[1][0]):
        with pytest.raises(ContainerError, match="damaged"):
            codec.decompress(container.pack(header, [wrong]))


def test_iterations_that_there_are_not_are_refused(stored, codec_of):
    for iterations in (0, 17):
        with pytest.raises(RelicError, match=f"iterations {iterations} is not from 1 to 16"):
            codec_of("iterative", iterations)
    with pytest.raises(RelicError, match="donis_convlstm/as_run has one iteration, not 3"):
        codec_of("as_run", 3)
    assert [Codec(stored(preset)).iterations for preset in ("iterative", "as_run")] == [8, 1]
    assert codec_of("as_run", 1).iterations == 1


def test_what_are_no_tiles_and_an_iterative_networks_single_iteration_are_refused(codec_of):
    with pytest.raises(RelicError, match=r"pictures are uint8 \(N, 32, 32, 3\), not uint8 \(32, 32, 3\)"):
        codec_of("as_run").reconstructed(picture(32, 32))
    with pytest.raises(RelicError, match="no single iteration"):
        codec_of("iterative").reconstructed(picture(32, 32)[None])


def test_a_preset_is_loaded_with_its_weights_and_iterations(tmp_path, monkeypatch):
    monkeypatch.setenv("RELIC_RESULTS", str(tmp_path))
    with pytest.raises(RelicError, match="no weights for donis_convlstm/iterative"):
        load("iterative")
    networks = known_networks(narrow("iterative"))
    path = runs.Run("donis_convlstm", "iterative", "smoke").shipped / "weights.safetensors"
    weights.save(path, "donis_convlstm/iterative", networks.config, checkpoints.model_arrays(networks), {})
    assert load("iterative", "smoke", iterations=3).iterations == 3
    other = known_networks(narrow("iterative", reconstruction="one_shot"))
    weights.save(path, "donis_convlstm/iterative", other.config, checkpoints.model_arrays(other), {})
    with pytest.raises(RelicError, match="reconstruction"):
        load("iterative", "smoke")
