"""A decoder written from docs/file_format.md alone reads files of every codec; files of other stacks read the same."""

import base64
import io
import json
import re
from functools import cache
from pathlib import Path

import numpy as np
import plain_decoder
import pytest
from PIL import Image
from shipped import GOLDEN

import papers
from common.coding import container, range_coder
from common.coding.integer_network import scale_indexes
from common.comparison import decoding
from common.training import shipped
from papers.donis_convlstm import bit_planes

ROOT = Path(__file__).resolve().parent.parent
WRITTEN = json.loads((ROOT / "results/suite/decode_matrix_files.json").read_text())["files"]
FILES = {f"{one['case']} of {one['writers'][0]}": one for one in WRITTEN}


def file_of(one):
    return base64.b64decode(one["file"])


@cache
def weights_of(model, digest):
    return shipped.of_digest(model, digest)


def read(one):
    """Return a file as the plain decoder reads its container, and its weights."""
    header = plain_decoder.unpack(file_of(one))
    return header, weights_of(header["model"], header["digest"])


def lists(arrays):
    return plain_decoder.tables({name: array.tolist() for name, array in arrays.items()})


def of_paper(paper):
    return {key: one for key, one in FILES.items() if one["case"].startswith(paper)}


def test_the_plain_decoder_has_at_most_200_lines_and_imports_nothing_but_the_standard_library():
    source = (ROOT / "tests/plain_decoder.py").read_text()
    assert len(source.splitlines()) <= 200
    assert set(re.findall(r"^(?:from|import) (\w+)", source, re.M)) <= {"zlib", "itertools", "operator"}


def golden_files():
    """Return every file of tests/golden."""
    for path in sorted(GOLDEN.glob("*/*.json")):
        for key, values in json.loads(path.read_text()).items():
            if "cut" in values:
                yield f"{path.parent.name}/{path.stem} {key}", base64.b64decode(values["cut"]["file"])


def test_the_plain_decoder_reads_the_container_of_every_golden_file():
    files = dict(golden_files()) | {key: file_of(one) for key, one in FILES.items()}
    assert len({name.partition("/")[0] for name in files}) == 5
    for name, data in files.items():
        header, sections = container.unpack(data)
        plain = plain_decoder.unpack(data)
        assert plain["sections"] == sections, name
        assert plain["model"] == header.model and plain["digest"] == header.weights_digest
        for field in ("height", "width", "channels", "step"):
            assert plain[field] == getattr(header, field)


def test_versions_profiles_and_damage_are_read_as_the_project_reads_them():
    header = container.Header("a/b", bytes(range(8)), 3, 300, 3)
    data = container.pack(header, [b"one", b"", b"three" * 99], b"profile")
    plain = plain_decoder.unpack(data)
    assert (plain["version"], plain["profile"], plain["width"]) == (2, b"profile", 300)
    for position in range(6, len(data)):
        damaged = bytearray(data)
        damaged[position] ^= 1
        with pytest.raises((ValueError, IndexError, plain_decoder.zlib.error)):
            plain_decoder.unpack(bytes(damaged))


def test_escapes_of_every_length_are_read_in_the_order_of_their_tables():
    rng = np.random.default_rng(0)
    tables = range_coder.gaussian_tables([0.3, 2.0, 40.0])
    far = rng.integers(-(2 ** rng.integers(1, 31, 300)), 2 ** rng.integers(1, 31, 300))
    values = np.where(rng.random(300) < 0.5, rng.integers(-2, 3, 300), far)
    values[:2] = range_coder.INT32_MIN, range_coder.INT32_MAX
    indexes = rng.integers(0, 3, 300)
    section = range_coder.encode(values, indexes, tables)
    assert plain_decoder.symbols(section, indexes.tolist(), lists(tables.to_arrays())) == values.tolist()


@pytest.mark.parametrize("key", of_paper("cheng_resnet"))
def test_cheng_s_latents_are_decoded_without_the_project_hyper_decoder_included(key):
    header, stored = read(FILES[key])
    channels = stored.config["num_filters"]
    rows, columns = (-(-header[side] // 64) for side in ("height", "width"))
    z = plain_decoder.symbols(
        header["sections"][0], list(range(channels)) * rows * columns, lists(stored.part("prior"))
    )
    outputs = plain_decoder.hyper_decoder(np.reshape(z, (rows, columns, channels)).tolist(), hyper_layers(stored))
    mu, log_sigma = np.split(np.array(outputs), 2, axis=-1)
    indexes = plain_decoder.scale_indexes(log_sigma.ravel().tolist(), header["step"])
    q = plain_decoder.symbols(header["sections"][1], indexes, lists(stored.part("gaussian")))
    assert indexes == scale_indexes(log_sigma, header["step"]).ravel().tolist()
    delta = np.float32(np.exp(0.12305479932808384 * header["step"] / 16))
    y_hat = np.reshape(q, mu.shape).astype(np.float32) * delta + (mu / 1024).astype(np.float32)
    codec = papers.load_for(file_of(FILES[key]))
    np.testing.assert_array_equal(y_hat, codec.latents_of(file_of(FILES[key])))


def hyper_layers(stored):
    """Return the layers as the document lists them, of a preset with residual blocks."""
    points = stored.part("hyper_decoder")["points"].tolist()
    names = [f"HTconv{i}" for i in range(1, 6)] + ["layer1", "layer2", "layer3"]
    found = []
    for name, stride, point in zip(names, (1, 2, 1, 2, 1, 1, 1, 1), points, strict=True):
        kernel, bias = (stored.arrays.get(f"hyper_synthesis_transform/{name}/{part}") for part in ("kernel", "bias"))
        transposed = name.startswith("HTconv")
        kernel = kernel if transposed else kernel.swapaxes(2, 3)
        bias = np.zeros(kernel.shape[2]) if bias is None else bias
        leaky = name not in ("HTconv5", "layer3")
        found.append((transposed, stride, leaky, kernel.tolist(), bias.tolist(), point))
    return found


@pytest.mark.parametrize("key", [*of_paper("paka_autoencoder"), *of_paper("deshmukh_irm/grey")])
def test_paka_s_integers_and_deshmukh_s_range_coded_code_are_decoded_by_the_document(key):
    header, stored = read(FILES[key])
    settings, *sections = header["sections"]
    latents = papers.load_for(file_of(FILES[key])).latents_of(file_of(FILES[key]))
    if header["model"].startswith("deshmukh"):
        part, indexes = "code", [0] * latents[..., 0].size
        assert settings == b"\1"
    else:
        part = f"bits{settings[0]}" if settings[0] else "prior"
        indexes = list(range(latents.shape[2])) * (latents.shape[0] * latents.shape[1])
    tables = lists(stored.part(part))
    planes = [plain_decoder.symbols(section, indexes, tables) for section in sections]
    expected = [latents.ravel()] if len(planes) == 1 else [latents[..., i].ravel() for i in range(len(planes))]
    assert planes == [plane.tolist() for plane in expected]


@pytest.mark.parametrize("key", of_paper("donis_convlstm/iterative"))
def test_donis_s_bits_are_decoded_by_the_document(key):
    header, stored = read(FILES[key])
    channels = stored.config["code_channels"]
    rows, columns = (-(-header[side] // 16) for side in ("height", "width"))
    maps = plain_decoder.bit_maps(header["sections"], rows, columns, channels)
    latents = papers.load_for(file_of(FILES[key])).latents_of(file_of(FILES[key]))
    assert maps == latents.reshape(len(maps), -1).tolist()


def test_packed_and_adaptive_iterations_are_read_in_any_order():
    rng = np.random.default_rng(0)
    maps = (rng.random((4, 5, 6, 3)) < 0.15).astype(np.uint8)
    maps[1], maps[3] = rng.integers(0, 2, maps[1].shape), maps[2]
    sections = bit_planes.encode(maps)
    assert [section[0] for section in sections] == [1, 0, 1, 1]
    assert plain_decoder.bit_maps(sections, 5, 6, 3) == maps.reshape(4, -1).tolist()


@pytest.mark.stack
@pytest.mark.parametrize("key", FILES)
def test_a_file_of_any_stack_decodes_to_its_latents_and_nearly_its_picture(key):
    one = FILES[key]
    codec = papers.load_for(file_of(one))
    picture = codec.decompress(file_of(one))
    expected = np.asarray(Image.open(io.BytesIO(base64.b64decode(one["picture"]))))
    greatest, pixels = decoding.difference(picture, expected)
    same = decoding.latents_digest(codec, file_of(one)) == one["latents"]
    assert decoding.is_kept(same, greatest, pixels, picture), (same, greatest, pixels)


def test_the_promise_allows_one_pixel_of_10000_and_one_of_255():
    picture = np.zeros((100, 200), np.uint8)
    assert decoding.is_kept(True, 1, 2, picture) and not decoding.is_kept(True, 1, 3, picture)
    assert not decoding.is_kept(True, 2, 1, picture) and not decoding.is_kept(False, 0, 0, picture)
    other = picture.copy()
    other[3, 4] = 1
    assert decoding.difference(picture, other) == (1, 1)
