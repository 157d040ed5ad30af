"""Figures 3 and 4 of Deshmukh and Pollett: counted files against closed forms, what lossy formats cost, stand-ins."""

import dataclasses
import importlib
import math
from pathlib import Path

import numpy as np
import pytest
from figure_rules import broken_rules
from narrow import picture
from PIL import Image

from common import metrics
from common.classical import codecs
from common.errors import RelicError
from common.tables import command, networks, published
from common.tables import document as document_module
from common.training import checkpoints, weights
from papers.deshmukh_irm import codec as codec_module
from papers.deshmukh_irm import config, huffman
from papers.deshmukh_irm.reproduction import figure3, figure4, test_pictures
from papers.deshmukh_irm.reproduction.figure4 import FINEST_JPEG, LOSSLESS, PILLOW, WAYS

NAMES = ("figure3", "figure4")
LOSSY = {"JPEG", "WebP", "JPEG, OpenCV", "JPEG2000, OpenCV", FINEST_JPEG}


@pytest.fixture(scope="module")
def codec():
    """Return the preset for colour with narrow networks, that restore about what plain interpolation would."""
    settings = dataclasses.replace(config.at_scale(config.RGB, "smoke"), num_maps=4)
    networks = codec_module.networks_of(settings)
    arrays = checkpoints.model_arrays(networks)
    code = codec_module.frequencies(settings, networks, picture(64, 64)[None])
    fields = dataclasses.asdict(settings)
    stored = weights.Weights(Path("narrow"), "deshmukh_irm/rgb", fields, arrays, code, bytes(8))
    return codec_module.Codec(stored)


def options_of(name, **more):
    module = importlib.import_module(f"experiments.{name}_deshmukh")
    return command.Options(module.TABLE, module.ROWS, "small", **more)


def judged(found, name):
    document = document_module.join(f"deshmukh_irm/{name}", "small", None, found)
    assert document_module.recompute(document) == document
    return document


def verdicts_of(found):
    return [one["verdict"] for one in found.claims]


@pytest.fixture
def known(codec, monkeypatch):
    """Let the figures find the narrow codec."""
    monkeypatch.setattr(networks, "one_codec", lambda preset, options: (codec, {"preset": "narrow"}))


@pytest.fixture
def folder(tmp_path):
    """Return a folder of JPEG files, one of them grey and one below, and of files that are no JPEG."""
    place = tmp_path / "photographs"
    (place / "below").mkdir(parents=True)
    for name, channels, quality in (("b.jpg", 3, 90), ("a.JPEG", 1, 50), ("below/c.jpg", 3, 20)):
        (place / name).write_bytes(codecs.Jpeg(quality).compress(picture(50, 70, channels, seed=quality)))
    (place / "d.png").write_bytes(b"not read")
    (place / ".hidden.jpg").write_bytes(b"not read")
    return place


# --- formats ---


def test_every_format_that_is_said_to_lose_nothing_gives_all_pixels_back_and_the_others_do_not():
    assert {*LOSSLESS, *LOSSY} == set(WAYS) and not LOSSY & set(LOSSLESS)
    x = picture(41, 58)
    same = {row for row, way in WAYS.items() if np.array_equal(way.decompress(way.compress(x)), x)}
    assert same == set(LOSSLESS)
    for row in LOSSY:
        assert metrics.psnr(x, WAYS[row].decompress(WAYS[row].compress(x))) > 25


@pytest.mark.parametrize("row", ["BMP", "BMP, OpenCV"])
@pytest.mark.parametrize("width", [1, 2, 3, 4, 41])
def test_a_bmp_file_is_its_two_headers_and_rows_of_whole_words(row, width):
    assert len(WAYS[row].compress(picture(7, width))) == 54 + 7 * 4 * math.ceil(3 * width / 4)


def test_an_uncompressed_tiff_file_holds_all_pixels_and_little_else():
    x = picture(30, 40)
    assert 0 < len(WAYS["TIFF"].compress(x)) - x.size < 300 and x.tobytes() in WAYS["TIFF"].compress(x)


def test_the_libraries_defaults_are_the_qualities_that_the_notes_name():
    x = picture(64, 80)
    expected = {
        "JPEG": codecs.Jpeg(75),
        "JPEG, OpenCV": codecs.Jpeg(95),
        "WebP": codecs.WebP(80),
        "WebP, OpenCV": codecs.WebP(codecs.WEBP_LOSSLESS),
        "JPEG2000, OpenCV": codecs.Jpeg2000(250, "OpenCV"),
    }
    for row, coder in expected.items():
        assert len(WAYS[row].compress(x)) == pytest.approx(len(coder.compress(x)), rel=0.01), row


def test_what_is_no_file_of_a_format_is_one_clear_error():
    for way in WAYS.values():
        with pytest.raises(RelicError, match="these bytes are no"):
            way.decompress(b"nothing of the kind")


# --- Figure 4 ---


@pytest.fixture
def four(known, tmp_path):
    """Return Figure 4 of two pictures in a folder."""
    for seed in range(2):
        Image.fromarray(picture(220, 260, seed=seed)).save(tmp_path / f"{seed}.png")
    return figure4.figure4(options_of("figure4", data=tmp_path))


@pytest.mark.slow
@pytest.mark.stack
def test_figure_4_counts_three_files_in_each_format_and_restores_the_code_that_was_saved(four, codec, tmp_path):
    document = judged(four, "figure4")
    assert {cell["verdict"] for cell in document["cells"]} == {"published only as a picture"}
    cells = {(cell["row"], cell["column"]): cell["reproduced"] for cell in document["cells"]}
    assert len(cells) == 18 and None not in cells.values()
    bmp = [cells["BMP", column] for column in ("Original", "Compressed", "Decompressed")]
    assert bmp == [54 + 200 * 200 * 3, 54 + 100 * 100 * 3, 54 + 200 * 200 * 3]
    by_row = {row: [e for e in four.pictures if e["row"] == row] for row in PILLOW}
    for row in set(PILLOW) & set(LOSSLESS):
        assert [e["psnr_written"] for e in by_row[row]] == [e["psnr"] for e in by_row["PNG"]]
    x = test_pictures.scaled(picture(220, 260, seed=0), 3)
    file = codec.compress(x)
    assert by_row["PNG"][0]["psnr"] == pytest.approx(metrics.psnr(x, codec.decompress(file)), abs=1e-6)
    (same,) = (one for one in four.claims if "without loss" in one["claim"])
    assert same["verdict"] == "holds" and same["found"] == len(LOSSLESS)
    sizes = [len(codec.compress(test_pictures.scaled(picture(220, 260, seed=seed), 3))) for seed in range(2)]
    assert four.further["Compressed, bytes"][figure4.RELIC] == pytest.approx(np.mean(sizes), abs=1e-4)
    assert set(four.figures) == {"", "quality"}
    assert [broken for figure in four.figures.values() for broken in broken_rules(figure)] == []
    assert four.provenance["test_set"]["name"] == tmp_path.name and four.provenance["test_set"]["pictures"] == 2


def test_jpeg_takes_something_from_the_original_from_the_code_and_from_what_is_restored(codec):
    x = test_pictures.scaled(picture(220, 260), 3)
    jpeg, found = codecs.Jpeg(75), figure4.measured(codec, WAYS["JPEG"], x)
    code = codec.code(WAYS["JPEG"].decompress(WAYS["JPEG"].compress(x)))
    restored = codec.restored(jpeg.decompress(jpeg.compress(code)), x)
    assert found["psnr_unsaved"] == pytest.approx(metrics.psnr(x, codec.restored(code, x)), abs=1e-6)
    assert found["psnr"] == pytest.approx(metrics.psnr(x, restored), abs=0.02)  # the libraries' decoders may differ
    assert found["psnr"] < found["psnr_unsaved"] < figure4.measured(codec, WAYS["PNG"], x)["psnr"]


def entries_of(cost, saving, compressed=50):
    """Return measurements of six pictures, of which lossy formats take `cost` dB in all, `saving` of it by the code."""
    levels = {row: (cost, saving) if row in LOSSY - {FINEST_JPEG} else (0.0, 0.0) for row in WAYS}
    sizes = {"original_bytes": 100, "compressed_bytes": compressed, "decompressed_bytes": 101}
    return {
        row: [
            {"psnr_unsaved": 30.0 + i, "psnr": 30.0 + i - kept, "psnr_written": 30.0 + i - lost, **sizes}
            for i in range(6)
        ]
        for row, (lost, kept) in levels.items()
    }


@pytest.mark.parametrize(
    "cost, saving, expected",
    [
        (1.0, 0.5, ["does not hold"] * 2 + ["holds"] + ["does not hold"] * 2 + ["holds"]),
        (0.5, 0.1, ["does not hold"] * 2 + ["holds"] * 4),
        (-0.5, 0.1, ["does not hold"] * 2 + ["holds"] * 4),
        (0.25, 0.25, ["undecided"] * 2 + ["holds"] + ["undecided"] * 2 + ["holds"]),
        (0.0, 0.0, ["holds"] * 6),
    ],
)
def test_formats_differ_substantially_from_a_quarter_of_a_decibel_on(cost, saving, expected):
    judged_claims = figure4.claims(entries_of(cost, saving))
    assert [one["verdict"] for one in judged_claims] == [*expected, "holds", "holds"]
    assert judged_claims[0]["found"] == abs(cost) and judged_claims[3]["found"] == saving
    assert "JPEG, PNG, BMP, WebP, TIFF, JPEG2000." in judged_claims[-1]["note"]


def test_a_format_whose_compressed_file_is_no_smaller_is_counted():
    last = figure4.claims(entries_of(0.0, 0.0, compressed=100))[-1]
    assert (last["claimed"], last["found"], last["verdict"]) == (6, 0, "does not hold")


def test_a_pillow_without_jpeg2000_leaves_one_row_out(known, monkeypatch, folder):
    monkeypatch.setattr(codecs.features, "check", lambda feature: False)
    found = figure4.figure4(options_of("figure4", data=folder / "below"))
    assert list(found.missing) == ["JPEG2000"] and "without JPEG2000" in found.missing["JPEG2000"]
    assert len(judged(found, "figure4")["cells"]) == 18 and len(found.pictures) == 5


# --- Figure 3 ---


@pytest.mark.stack
def test_figure_3_counts_the_files_as_they_are_on_disk_and_as_they_are_coded(known, codec, folder):
    found = figure3.figure3(options_of("figure3", data=folder))
    paths = [folder / name for name in ("a.JPEG", "b.jpg", "below/c.jpg")]
    assert [entry["picture"] for entry in found.pictures] == ["a", "b", "c"]
    assert [entry["before_bytes"] for entry in found.pictures] == [path.stat().st_size for path in paths]
    assert [entry["raw_bytes"] for entry in found.pictures] == [50 * 70, 50 * 70 * 3, 50 * 70 * 3]
    x = np.asarray(Image.open(paths[1]))
    second = found.pictures[1]
    assert second["after_bytes"] == len(codec.compress(x))
    assert second["range_coder_bytes"] == len(codec.with_settings(1).compress(x))
    small = test_pictures.bicubic(x)[0]
    assert second["plain_bytes"] == sum(len(huffman.encode(np.ascontiguousarray(small[..., i]))) for i in range(3))
    assert broken_rules(found.figures[""]) == []
    sizes, ratios = ({line.get_label(): line for line in axes.lines} for axes in found.figures[""].axes)
    assert "after" in sizes and "plain bicubic's code, Huffman" in ratios  # which would hide each other
    (before, after) = judged(found, "figure3")["cells"]
    assert before["reproduced"] == pytest.approx(np.mean([path.stat().st_size for path in paths]))
    assert after["reproduced"] == pytest.approx(np.mean([entry["after_bytes"] for entry in found.pictures]))
    assert found.provenance["test_set"]["name"] == "photographs" and "1 of the pictures are grey" in found.notes[-1]


def test_one_picture_in_eight_is_decoded_and_compared_with_jpeg_of_its_psnr(known, codec, folder, monkeypatch):
    monkeypatch.setattr(figure3, "EVERY", 2)
    found = figure3.figure3(options_of("figure3", data=folder))
    assert ["psnr" in entry for entry in found.pictures] == [True, False, True]
    x, last = np.asarray(Image.open(folder / "below/c.jpg")), found.pictures[-1]
    assert last["psnr"] == pytest.approx(metrics.psnr(x, codec.decompress(codec.compress(x))), abs=1e-6)
    jpeg = codecs.Jpeg(last["jpeg_quality"])
    assert len(jpeg.compress(x)) == last["jpeg_bytes"]
    coarser = codecs.Jpeg(last["jpeg_quality"] - 1)
    assert metrics.psnr(x, coarser.decompress(coarser.compress(x))) < last["psnr"]
    assert metrics.psnr(x, jpeg.decompress(jpeg.compress(x))) >= last["psnr"] - 1e-6
    assert found.further["of pictures"][figure3.OTHERS["jpeg_bytes"]] == 2


@pytest.mark.parametrize(
    "after, expected",
    [
        ([90, 90, 90], ["holds"] * 5),
        ([90, 90, 110], ["holds", "does not hold", "holds", "holds", "holds"]),
        ([110, 110, 90], ["does not hold", "does not hold", "holds", "does not hold", "does not hold"]),
    ],
)
def test_a_reduction_is_judged_by_the_median_and_by_every_picture(after, expected):
    sizes = {"before_bytes": 100, "raw_bytes": 500, "plain_bytes": 100, "range_coder_bytes": 100}
    sizes |= {"jpeg_bytes": 120, "optimised_bytes": 100}
    entries = [{"after_bytes": size, **sizes} for size in after]
    assert [one["verdict"] for one in figure3.claims(entries)] == expected
    smaller = figure3.further(entries)["after is smaller, pictures"]
    assert smaller["JPEG of the data set"] == sum(size < 100 for size in after) and smaller["uncompressed"] == 3


def test_a_psnr_that_jpeg_does_not_reach_is_left_out():
    x = np.random.RandomState(0).randint(0, 256, (40, 40, 3), np.uint8)
    assert list(figure3._as_good(x, metrics.psnr(x, x ^ 1))) == ["psnr"]
    entries = [{"after_bytes": 1, "before_bytes": 2, "raw_bytes": 4, "plain_bytes": 2, "range_coder_bytes": 2}]
    assert len(figure3.claims(entries)) == 4
    assert figure3.OTHERS["optimised_bytes"] not in str(figure3.further(entries))


def test_a_folder_without_jpeg_files_is_one_clear_error(known, tmp_path):
    Image.fromarray(picture(8, 8)).save(tmp_path / "a.png")
    with pytest.raises(RelicError, match="no JPEG files in"):
        figure3.figure3(options_of("figure3", data=tmp_path))


# --- both ---


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_fewer_pictures_may_be_asked_for_and_smoke_takes_two(name, known, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(figure4, "WAYS", {row: WAYS[row] for row in ("JPEG", "PNG")})
    for seed in range(3):
        Image.fromarray(picture(60, 60, seed=seed)).save(tmp_path / f"{seed}.jpg", quality=95)
    reproduce = getattr({"figure3": figure3, "figure4": figure4}[name], name)
    options = options_of(name, data=tmp_path if name == "figure4" else folder, images=1)
    for asked, count in ((options, 1), (dataclasses.replace(options, images=None, scale="smoke"), 2)):
        found = reproduce(asked)
        assert found.provenance["test_set"]["pictures"] == len({e["picture"] for e in found.pictures}) == count


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_where_the_pictures_are_not_here_the_embedded_ones_stand_in(name, known, monkeypatch, tmp_path):
    monkeypatch.setenv("RELIC_DATA", str(tmp_path))
    monkeypatch.setenv("RELIC_CACHE", str(tmp_path))
    monkeypatch.setattr(figure4, "WAYS", {row: WAYS[row] for row in ("JPEG", "PNG")})
    reproduce = getattr({"figure3": figure3, "figure4": figure4}[name], name)
    found = reproduce(options_of(name, images=1))
    assert "sample" in found.notes[0] and "no absolute value is comparable" in found.notes[0].lower()
    assert {entry["picture"] for entry in found.pictures} == {"astronaut"}
    if name == "figure3":
        (_, image), *_ = figure3.data.images("sample", 1)
        assert found.pictures[0]["before_bytes"] == len(codecs.Jpeg(90).compress(image))


@pytest.mark.parametrize("name", NAMES)
def test_without_weights_it_says_how_to_make_them(name, monkeypatch, folder):
    monkeypatch.setattr(networks, "one_codec", lambda preset, options: (None, {}))
    monkeypatch.setattr("papers.deshmukh_irm.complexity.training_flops", lambda *of: 1e15)
    reproduce = getattr({"figure3": figure3, "figure4": figure4}[name], name)
    found = reproduce(options_of(name, data=folder / "below"))
    assert not found.pictures and not found.claims
    assert all("relic train deshmukh_irm/rgb --scale small" in reason for reason in found.missing.values())
    assert list(found.missing) == published.load(f"deshmukh_irm/{name}").rows
