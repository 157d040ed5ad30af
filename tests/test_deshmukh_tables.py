"""Tables 1 to 6 of Deshmukh and Pollett: rows, pictures, cells by hand, plain bicubic, stand-ins, what is missing."""

import dataclasses
import functools
import importlib
import json
import re
import zlib
from pathlib import Path

import numpy as np
import pytest
from figure_rules import broken_rules
from narrow import known_arrays, picture
from PIL import Image

from common import backend, data, metrics
from common import config as common_config
from common.data.pictures import to_uint8
from common.errors import RelicError
from common.tables import command as tables_command
from common.tables import document as document_module
from common.tables import files as table_files
from common.tables import networks, published
from common.training import checkpoints, runs, weights
from papers.deshmukh_irm import codec as codec_module
from papers.deshmukh_irm import config, huffman, model
from papers.deshmukh_irm.codec import Codec
from papers.deshmukh_irm.reproduction import tables as paper_tables
from papers.deshmukh_irm.reproduction import test_pictures
from papers.deshmukh_irm.reproduction.test_pictures import AVERAGE, bicubic, scaled

stack = pytest.mark.stack
EXPERIMENTS = {number: importlib.import_module(f"experiments.table{number}_deshmukh") for number in range(1, 7)}
OF_NUMBERS, OF_PICTURES = (1, 3, 5), (2, 4, 6)
PRESETS = dict(
    zip(EXPERIMENTS, ("baseline_as_written", "baseline_as_written", "rgb", "rgb", "grey", "grey"), strict=True)
)
ALL = pytest.mark.parametrize("number", EXPERIMENTS)
SIDE = 48  # of the pictures in most tests
NAMED_FILE = re.compile(r"^(\w+) is (\w+/\w+)\.(?:png|bmp), sha256 ([0-9a-f]{64})\.$")


def options_of(number, **more):
    module = EXPERIMENTS[number]
    return tables_command.Options(module.TABLE, module.ROWS, **{"scale": "small", **more})


def files_of(number):
    """Return set and stem by row."""
    return {row: file for row, file in EXPERIMENTS[number].ROWS.items() if file}


def document_of(number, found, scale="small"):
    document = document_module.join(EXPERIMENTS[number].TABLE, scale, None, found)
    assert document_module.recompute(document) == document == json.loads(json.dumps(document))
    return document


def cells_of(document):
    return {(cell["row"], cell["column"]): cell for cell in document["cells"]}


# --- narrow networks -----------------------------------------------------------------------------------------------


def as_it_is(function, networks=()):
    """Compute layer by layer: a graph for each network takes longer."""
    return lambda *x: backend.to_numpy(function(*x))


@functools.cache
def codec_of(preset, noise=0.002):
    """Return a preset's codec of narrow networks with few layers, near interpolation."""
    settings = config.at_scale(getattr(config, preset.upper()), "smoke")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backend, "compiled", as_it_is)
        patch.setattr(model, "DEPTH", 1)
        patch.setattr(model, "BASELINE_LAYERS", 2)
        backend.set_seed(0)
        networks = codec_module.networks_of(settings)
        arrays, rng = checkpoints.model_arrays(networks), np.random.default_rng(0)
        arrays = {name: array + np.abs(rng.normal(0, noise, array.shape)) for name, array in arrays.items()}
        if preset == "srgan":
            arrays = known_arrays(networks)
        checkpoints.set_model_arrays(networks, arrays, Path("narrow"))
        frequencies = codec_module.frequencies(settings, networks, picture(64, 64)[None, ..., : settings.channels])
        fields, digest = dataclasses.asdict(settings), preset.encode().ljust(8)[:8]
        return Codec(weights.Weights(Path("narrow"), f"deshmukh_irm/{preset}", fields, arrays, frequencies, digest))


@pytest.fixture
def known(monkeypatch):
    """Let the tables find narrow networks, and no SRGAN, and scale their pictures to fewer pixels."""

    def one_codec(preset, options):
        name = common_config.preset_of(preset)[1]
        return codec_of(name), {"preset": f"deshmukh_irm/{name}", "device": "none"}

    monkeypatch.setattr(networks, "one_codec", one_codec)
    monkeypatch.setattr(paper_tables, "srgan_of", lambda options: (None, {}))
    monkeypatch.setattr(test_pictures, "SIDE", SIDE)


@pytest.fixture
def srgan(monkeypatch, known):
    monkeypatch.setattr(paper_tables, "srgan_of", lambda options: (codec_of("srgan"), {"preset": "deshmukh_irm/srgan"}))
    return codec_of("srgan")


def original(file):
    """Return a drawn picture in place of a file `set/stem`: those of Set12 are grey."""
    return picture(60, 70, 1 if file.startswith("set12") else 3, seed=zlib.crc32(file.encode()))


@pytest.fixture
def drawn(monkeypatch):
    """Let all sets be here, with drawn pictures."""

    def entries(name, stems):
        return [(stem, "digest", original(f"{name}/{stem}")) for stem in stems]

    monkeypatch.setattr(data, "named_entries", entries)


@pytest.fixture
def nothing(monkeypatch, tmp_path):
    """Let no set and no weights be here."""
    for name in ("RELIC_DATA", "RELIC_CACHE", "TFDS_DATA_DIR", "RELIC_RESULTS"):
        monkeypatch.setenv(name, str(tmp_path / "nothing"))


@pytest.fixture
def folder(tmp_path):
    """Return a folder of three pictures, of which one is grey."""
    place = tmp_path / "own"
    place.mkdir()
    for i, channels in enumerate((3, 1, 3)):
        Image.fromarray(picture(60, 80, channels, seed=i)).save(place / f"{i}.png")
    return place


# --- what is published ---------------------------------------------------------------------------------------------


@ALL
def test_rows_are_the_published_ones_in_their_order_and_networks_are_the_tables(number):
    module, paper = EXPERIMENTS[number], published.load(f"deshmukh_irm/table{number}")
    assert f"deshmukh_irm/table{number}" == module.TABLE and list(module.ROWS) == paper.rows
    needed = [PRESETS[number], *(["baseline_jiang"] if number < 3 else [])]
    assert {preset: getattr(config, preset.upper()) for preset in needed} == module.NETWORKS
    assert (AVERAGE in module.ROWS) == (number in OF_NUMBERS) and module.ROWS.get(AVERAGE) is None
    assert (paper.test_set, paper.pictures) == ("named pictures", len(files_of(number)))
    assert paper.columns == (["PSNR", "SSIM"] if number in OF_NUMBERS else ["Reconstructed"])


@ALL
def test_the_notes_name_the_file_that_each_row_takes(number):
    notes = [NAMED_FILE.match(note) for note in published.load(f"deshmukh_irm/table{number}").notes]
    assert {note[1]: note[2] for note in notes if note} == files_of(number)


def test_rows_take_the_same_files_in_all_tables_of_colour_and_in_all_of_grey():
    for number in EXPERIMENTS:
        files = test_pictures.COLOUR if number in (3, 4) else test_pictures.GREY
        assert files_of(number).items() <= files.items()
    notes = [note for number in EXPERIMENTS for note in published.load(f"deshmukh_irm/table{number}").notes]
    named = {match[2]: set() for match in map(NAMED_FILE.match, notes) if match}
    for match in filter(None, map(NAMED_FILE.match, notes)):
        named[match[2]].add(match[3])
    assert len(named) == 9 and all(len(digests) == 1 for digests in named.values())


@pytest.mark.slow
@ALL
def test_the_published_digests_are_those_of_the_pictures(number):
    paper = published.load(f"deshmukh_irm/table{number}")
    places = [file.split("/") for file in files_of(number).values()]
    try:
        found = {f"{of}/{stem}": data.named_entries(of, [stem])[0] for of, stem in places}
    except RelicError as error:
        pytest.skip(f"the named pictures are not all here: {error}")
    for match in filter(None, map(NAMED_FILE.match, paper.notes)):
        assert found[match[2]][1] == match[3], match[2]
    about = test_pictures.test_pictures(options_of(number), 1).about
    assert about["digest"] == paper.texts["digest"], f"table {number}: {about['digest']}"
    assert document_module.is_published_set(paper, about)


# --- cells ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@stack
@pytest.mark.parametrize("number", OF_NUMBERS)
def test_cells_are_of_the_pictures_that_return_from_their_bytes_and_the_last_row_is_their_mean(number, known, drawn):
    found = quality_of(number)
    codec, cells = codec_of(PRESETS[number]), {}
    for row, file in files_of(number).items():
        x = scaled(original(file), codec.config.channels)
        assert x.shape == (SIDE, SIDE, 3)[: 3 if number == 3 else 2]
        x_hat = codec.decompress(codec.compress(x))
        assert not np.array_equal(x_hat, bicubic(x)[1])
        cells[row] = {"PSNR": metrics.psnr(x, x_hat), "SSIM": metrics.ssim(x, x_hat)}
    cells[AVERAGE] = {name: np.mean([of[name] for of in cells.values()]) for name in ("PSNR", "SSIM")}
    assert list(found.values) == list(cells) and found.missing == {}
    for row, columns in cells.items():
        assert found.values[row] == pytest.approx(columns, abs=1e-5)
    cell = cells_of(document_of(number, found))
    assert all(cell[row, "SSIM"]["reproduced"] == found.values[row]["SSIM"] for row in cells)


def quality_of(number, **more):
    return EXPERIMENTS[number].reproduce(options_of(number, **more))


def test_the_average_counts_every_picture_once():
    rows = {"a": (30.0, 0.5), "b": (32.0, 0.75), "c": (37.0, 1.0)}
    entries = [{"row": row, "bicubic_psnr": psnr, "bicubic_ssim": ssim} for row, (psnr, ssim) in rows.items()]
    found = paper_tables.cells(entries)
    assert list(found) == ["a", "b", "c", AVERAGE] and found["b"] == {"PSNR": 32.0, "SSIM": 0.75}
    assert found[AVERAGE] == {"PSNR": 33.0, "SSIM": 0.75}


@stack
def test_what_stands_beside_is_counted_from_the_same_code(known, drawn):
    found = quality_of(5)
    x, codec = scaled(original("set12/02"), 1), codec_of("grey")
    (entry,) = (entry for entry in found.pictures if entry["row"] == "House")
    assert entry["picture"] == "set12/02" and entry["code_bytes"] == (SIDE // 2) ** 2
    assert entry["bytes"] == len(codec.compress(x))
    assert entry["range_coder_bytes"] == len(codec.with_settings(1).compress(x))
    small, plain = bicubic(x)
    assert entry["plain_bytes"] == len(huffman.encode(small))
    assert entry["plain_psnr"] == pytest.approx(metrics.psnr(x, plain), abs=1e-6)
    without = to_uint8(codec.upsampled(codec.code(x) / np.float32(255)))[..., 0]
    assert entry["without_irm_psnr"] == pytest.approx(metrics.psnr(x, without), abs=1e-6) != entry["bicubic_psnr"]
    unrounded = codec.restored(codec.unrounded_code(x), x)
    assert entry["unrounded_psnr"] == pytest.approx(metrics.psnr(x, unrounded), abs=1e-6) != entry["bicubic_psnr"]
    assert entry["jpeg_bpp"] >= entry["bpp"] - 1e-6 and entry["bpp"] == pytest.approx(entry["bytes"] * 8 / SIDE**2)
    assert found.further["file, bytes"]["House"] == entry["bytes"]
    own = [found.further["file, bytes"][row] for row in files_of(5)]
    assert found.further["file, bytes"][AVERAGE] == pytest.approx(np.mean(own), abs=1e-4)


@stack
@pytest.mark.parametrize("number", [1, 5])
def test_kodaks_parrots_stand_beside_those_of_set12_and_are_no_part_of_the_average(number, known, drawn):
    found = quality_of(number)
    other = "Parrots, kodim23"
    assert other not in found.values and other not in {entry["row"] for entry in found.pictures}
    codec, x = codec_of(PRESETS[number]), scaled(original(paper_tables.KODIM23), 1)
    expected = metrics.psnr(x, bicubic(x)[1])
    psnr, sizes = found.further["plain bicubic, PSNR"], found.further["file, bytes"]
    assert psnr[other] == pytest.approx(expected, abs=1e-6) != psnr["Parrots"]
    assert sizes[other] == len(codec.compress(x))
    assert psnr[AVERAGE] == pytest.approx(np.mean([psnr[row] for row in files_of(number)]), abs=1e-4)


@stack
def test_where_the_parrots_are_kodaks_they_stand_there_once(known, drawn):
    assert "Parrots, kodim23" not in str(quality_of(3).further)


@stack
def test_without_kodak_its_parrots_are_left_out(known, drawn, monkeypatch):
    def named(names):
        raise RelicError("no data set kodak")

    monkeypatch.setattr(paper_tables, "named", named)
    assert list(quality_of(5).further["file, bytes"]) == [*files_of(5), AVERAGE]


@stack
def test_the_baseline_of_jiang_et_al_stands_beside_the_one_that_is_described(known, drawn):
    found = quality_of(1)
    codec, rows = codec_of("baseline_jiang"), {}
    for row, file in files_of(1).items():
        x = scaled(original(file), 1)
        rows[row] = metrics.psnr(x, codec.decompress(codec.compress(x)))
    column = found.further["as Jiang et al., PSNR"]
    assert column == pytest.approx({**rows, AVERAGE: np.mean(list(rows.values()))}, abs=1e-4)
    assert list(found.further["as Jiang et al., SSIM"]) == [*rows, AVERAGE]
    assert list(found.provenance["networks"]) == ["baseline_as_written", "baseline_jiang"]


# --- plain bicubic -------------------------------------------------------------------------------------------------


def entries_of(gains):
    fields = {"plain_psnr": 30.0, "code_bytes": 10000, "bytes": 9100, "plain_bytes": 9000}
    return [{"row": f"row {i}", "bicubic_psnr": 30.0 + gain, **fields} for i, gain in enumerate(gains)]


@pytest.mark.parametrize(
    "gains, won, least, verdict",
    [
        ((0.5, 0.25, 1.0), 3, (1, 0.25), "holds"),
        ((0.5, -0.25, 1.0), 2, (1, -0.25), "does not hold"),
        ((-0.5, -0.25, -1.0), 0, (2, -1.0), "does not hold"),
        ((0.5, 0.25, 0.0), 2, (2, 0.0), "does not hold"),
    ],
)
def test_only_pictures_that_are_better_than_plain_bicubic_count(gains, won, least, verdict):
    count, smallest = paper_tables.gate(entries_of(gains))
    assert (count["found"], count["claimed"], count["verdict"]) == (won, 3, verdict)
    assert (smallest["found"], smallest["claimed"], smallest["verdict"]) == (least[1], 0, verdict)
    assert f"(row {least[0]})" in smallest["claim"]
    assert "10000 bytes" in count["note"] and f"{gains[0]:+.2f} dB on row 0" in count["note"]


@stack
def test_the_gate_of_a_table_is_that_of_its_pictures(known, drawn):
    found = quality_of(5)
    gains = []
    for file in files_of(5).values():
        x, codec = scaled(original(file), 1), codec_of("grey")
        gains.append(metrics.psnr(x, codec.decompress(codec.compress(x))) - metrics.psnr(x, bicubic(x)[1]))
    count, least = found.claims
    assert (count["found"], count["claimed"]) == (sum(gain > 0 for gain in gains), 5)
    assert least["found"] == pytest.approx(min(gains), abs=1e-4)


@stack
def test_pictures_of_200x200_are_compared_with_jpeg_at_equal_rate(known, drawn, monkeypatch):
    monkeypatch.setattr(test_pictures, "SIDE", 200)
    found = quality_of(5, images=1)
    (entry,) = found.pictures
    (gate,) = document_of(5, found)["gate"]
    assert (gate["row"], gate["pictures"]) == ("Cameraman", 1)
    assert gate["beats_jpeg"] == (entry["ms_ssim"] > entry["jpeg_ms_ssim"]) and 0 < entry["ms_ssim"] < 1


# --- the SRGAN -----------------------------------------------------------------------------------------------------


@stack
def test_the_srgan_stands_beside_bicubic_up_sampling_and_changes_no_cell(srgan, drawn, monkeypatch):
    found = quality_of(3, images=1)
    x, codec = scaled(original("set14/baboon"), 3), codec_of("rgb")
    with_srgan = codec.with_settings(srgan=srgan)
    expected = metrics.psnr(x, with_srgan.decompress(with_srgan.compress(x)))
    assert found.further["SRGAN up-sampling, PSNR"]["Baboon"] == pytest.approx(expected, abs=1e-6)
    u = codec.upsampled(codec.code(x) / np.float32(255), srgan)
    alone = metrics.psnr(x, to_uint8(u))
    assert found.further["the SRGAN without IRM, PSNR"]["Baboon"] == pytest.approx(alone, abs=1e-6) != expected
    assert list(found.provenance["networks"]) == ["rgb", "srgan"]
    assert found.notes[-1].endswith("takes no part in training: it stands beside.")
    monkeypatch.setattr(paper_tables, "srgan_of", lambda options: (None, {}))
    assert quality_of(3, images=1).values == found.values


@stack
def test_without_weights_of_the_srgan_a_note_says_so(known, drawn):
    found = quality_of(3, images=1)
    assert found.notes[-1].endswith("it stands beside where there are weights of it, and here are none.")
    assert not [name for name in found.further if "SRGAN" in name] and list(found.provenance["networks"]) == ["rgb"]


@stack
def test_the_baseline_asks_for_no_srgan(known, drawn, monkeypatch):
    monkeypatch.setattr(paper_tables, "srgan_of", lambda options: pytest.fail("the baseline has bicubic scaling alone"))
    assert "SRGAN" not in str(quality_of(1, images=1).notes)


# --- other pictures ------------------------------------------------------------------------------------------------


@stack
@pytest.mark.parametrize("number", OF_NUMBERS)
def test_where_the_pictures_are_not_here_the_sample_stands_in_and_nothing_is_comparable(number, known, nothing):
    found = quality_of(number)
    assert "The embedded set sample stands in: no absolute value is comparable." in found.notes[0]
    assert found.provenance["test_set"]["name"] == "sample" and found.provenance["test_set"]["pictures"] == 3
    rows = list(files_of(number))
    assert [entry["row"] for entry in found.pictures] == rows[:3] and list(found.missing) == rows[3:]
    sample = data.images("sample")
    assert [entry["picture"] for entry in found.pictures] == [stem for stem, _ in sample]
    x = scaled(sample[1][1], codec_of(PRESETS[number]).config.channels)
    assert found.pictures[1]["plain_psnr"] == pytest.approx(metrics.psnr(x, bicubic(x)[1]), abs=1e-6)
    document = document_of(number, found, "paper")
    cells = cells_of(document)
    assert {cell["verdict"] for (row, _), cell in cells.items() if row in rows[3:]} <= {"not run"}
    there = [cell for (row, _), cell in cells.items() if row not in rows[3:]]
    assert {cell["verdict"] for cell in there} == {"not comparable"}
    assert all("the test pictures are not all of named pictures" in cell["note"] for cell in there)
    assert "runs" in table_files.place(document).parts


@stack
def test_the_named_pictures_are_comparable_at_scale_paper(known, drawn, monkeypatch):
    digest = published.load("deshmukh_irm/table5").texts["digest"]
    monkeypatch.setattr(data, "pixel_digest", lambda pictures: digest)
    found = quality_of(5)
    document = document_of(5, found, "paper")
    assert {cell["verdict"] for cell in document["cells"]} <= {"exact", "within", "better", "differs"}
    assert "runs" not in table_files.place(document).parts
    shortened = document_of(5, found)
    assert {cell["verdict"] for cell in shortened["cells"]} == {"not comparable"}


@stack
def test_fewer_pictures_may_be_asked_for_and_smoke_takes_two(known, drawn):
    for more, count in (({"images": 1}, 1), ({"scale": "smoke"}, 2), ({"scale": "smoke", "images": 3}, 3)):
        found = quality_of(5, **more)
        rows = list(files_of(5))
        assert [entry["row"] for entry in found.pictures] == rows[:count] and list(found.missing) == rows[count:]
        assert set(found.missing.values()) == {"Fewer pictures were asked for, or are here."}
        assert found.provenance["test_set"]["pictures"] == count
        psnr = [found.values[row]["PSNR"] for row in rows[:count]]
        assert found.values[AVERAGE]["PSNR"] == pytest.approx(np.mean(psnr), abs=1e-5)
        assert found.claims[0]["claimed"] == count
        assert {cell["verdict"] for cell in document_of(5, found, "paper")["cells"]} == {"not comparable", "not run"}


@stack
@pytest.mark.parametrize("number, shape", [(3, (SIDE, SIDE, 3)), (5, (SIDE, SIDE))])
def test_pictures_of_a_folder_take_the_rows_in_their_order(number, shape, folder, known, nothing):
    options = options_of(number, data=folder)
    pictures = test_pictures.test_pictures(options, 3 if number == 3 else 1)
    assert list(pictures.names.items()) == list(zip(files_of(number), "012", strict=False))
    first = next(iter(files_of(number)))
    assert pictures.note.startswith(f"In the rows stand other pictures: 0 as {first}, 1 as ")
    assert {x.shape for x in pictures.x.values()} == {shape} and pictures.about["name"] == "own"
    found = EXPERIMENTS[number].reproduce(options)
    assert [entry["picture"] for entry in found.pictures] == ["0", "1", "2"]
    assert "stands in" not in str(found.notes)
    two = test_pictures.test_pictures(dataclasses.replace(options, images=2), 1)
    assert list(two.names.values()) == ["0", "1"] and two.about["digest"] != pictures.about["digest"]


def test_pictures_are_scaled_to_200x200_by_areas_whatever_their_proportions():
    x = np.kron(np.arange(6, dtype=np.uint8).reshape(2, 3) * 20, np.ones((200, 200), np.uint8))
    small = scaled(x, 1)
    assert small.shape == (200, 200) and scaled(x, 3).shape == (200, 200, 3)
    assert small[0, 0] == 0 and small[0, -1] == 40 and small[-1, 0] == 60 and small[-1, -1] == 100
    stripes = np.tile(np.array([0, 0, 90], np.uint8), (600, 200))
    assert np.unique(scaled(stripes, 1)).tolist() == [30]


# --- weights -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", EXPERIMENTS)
def test_without_weights_every_row_says_how_to_train_them(number, nothing, drawn, monkeypatch):
    monkeypatch.setattr("papers.deshmukh_irm.complexity.training_flops", lambda preset, scale: 2.5e15)
    found = quality_of(number)
    command = f"relic train deshmukh_irm/{PRESETS[number]} --scale small"
    assert list(found.missing) == list(EXPERIMENTS[number].ROWS)
    assert all(command in reason and "2.5e+15 FLOP" in reason for reason in found.missing.values())
    assert (found.values, found.pictures, found.claims, found.figures) == ({}, [], [], {})
    verdicts = {cell["verdict"] for cell in document_of(number, found)["cells"]}
    assert verdicts == {"not run" if number in OF_NUMBERS else "published only as a picture"}


@stack
def test_a_missing_preset_that_would_stand_beside_is_a_note(known, drawn, monkeypatch):
    of_all = networks.one_codec
    jiang = config.BASELINE_JIANG
    monkeypatch.setattr(networks, "one_codec", lambda p, o: (None, {}) if p == jiang else of_all(p, o))
    monkeypatch.setattr("papers.deshmukh_irm.complexity.training_flops", lambda preset, scale: 2.5e15)
    found = quality_of(1, images=1)
    assert "relic train deshmukh_irm/baseline_jiang --scale small" in found.notes[-1]
    assert found.notes[-1].startswith("as Jiang et al.: ") and list(found.values) == ["Lenna", AVERAGE]
    assert "Jiang" not in str(found.further)


@pytest.fixture
def seen(nothing, monkeypatch):
    """Ship files without content, and list what is trained and loaded."""
    done = []

    def ship(preset, scale, seed, **options):
        path = runs.Run("deshmukh_irm", preset, scale, seed).shipped / "weights.safetensors"
        path.parent.mkdir(parents=True)
        path.write_bytes(b"")

    def train(preset, scale, seed, **options):
        done.append(("trained", preset, scale, seed))
        ship(preset, scale, seed)

    def load(path):
        stored = weights.Weights(path, f"deshmukh_irm/{path.parts[-3]}", {}, {}, {}, bytes(8))
        done.append(("loaded", path.parts[-3], stored.scale, stored.seed))
        return stored

    monkeypatch.setattr("papers.deshmukh_irm.train.train_preset", train)
    monkeypatch.setattr(weights, "load", load)
    monkeypatch.setattr(weights, "check_config", lambda stored, settings: None)
    for module in (paper_tables, codec_module):
        monkeypatch.setattr(module, "Codec", lambda stored, *coding: stored.path.parts[-3])
    return ship, done


def test_of_several_seeds_the_first_is_taken_and_nothing_is_trained(seen):
    ship, done = seen
    for seed in (2, 1):
        ship("grey", "small", seed)
    ship("grey", "medium", 0)
    codec, about = networks.one_codec(config.GREY, options_of(5))
    assert codec == "grey" and (about["preset"], about["seeds"]) == ("deshmukh_irm/grey", "1")
    assert networks.one_codec(config.GREY, options_of(5, seeds=[2]))[1]["seeds"] == "2"
    assert networks.one_codec(config.RGB, options_of(5)) == (None, {})
    with pytest.raises(RelicError, match="one training: name one of the seeds"):
        networks.one_codec(config.GREY, options_of(5, seeds=[0, 2]))
    assert done == [("loaded", "grey", "small", 1), ("loaded", "grey", "small", 2)]


def test_only_smoke_trains_what_is_missing(seen):
    _ship, done = seen
    assert networks.one_codec(config.GREY, options_of(5, scale="smoke"))[0] == "grey"
    assert paper_tables.srgan_of(options_of(5, scale="smoke"))[0] == "srgan"
    expected = [(what, preset, "smoke", 0) for preset in ("grey", "srgan") for what in ("trained", "loaded")]
    assert done == expected


def test_the_srgan_is_that_of_the_scale_or_the_best_that_is_here(seen):
    ship, done = seen
    assert paper_tables.srgan_of(options_of(5)) == (None, {}) and done == []
    ship("srgan", "medium", 3)
    codec, about = paper_tables.srgan_of(options_of(5))
    assert codec == "srgan" and about["seeds"] == "3"
    ship("srgan", "small", 0)
    paper_tables.srgan_of(options_of(5, seeds=[2]))  # the seeds of the table's own networks
    assert done == [("loaded", "srgan", "medium", 3), ("loaded", "srgan", "small", 0)]


# --- tables of pictures --------------------------------------------------------------------------------------------


def shown(figure):
    return [np.asarray(image.get_array()) for image in figure.images]


def in_colours(x):
    return x if x.ndim == 3 else np.dstack([x] * 3)


@stack
@pytest.mark.parametrize("number", OF_PICTURES)
def test_a_gallery_has_each_picture_its_code_and_its_reconstructions_in_the_order_of_the_rows(number, srgan, drawn):
    found = quality_of(number)
    codec, expected, psnr = codec_of(PRESETS[number]), [], {}
    for row, file in files_of(number).items():
        x = scaled(original(file), codec.config.channels)
        x_hat = codec.decompress(codec.compress(x))
        expected += [x, codec.code(x).squeeze(), x_hat, bicubic(x)[1]]
        if number != 2:
            coded = codec.with_settings(srgan=srgan)
            expected.append(coded.decompress(coded.compress(x)))
        psnr[row] = metrics.psnr(x, x_hat)
    pictures = shown(found.figures[""])
    assert len(pictures) == len(expected) == 3 * (4 if number == 2 else 5)
    for one, other in zip(pictures, expected, strict=True):
        np.testing.assert_array_equal(one, in_colours(other))
    texts = [text.get_text() for text in found.figures[""].texts]
    assert " ".join(texts).count(" bpp,") == 3 * (2 if number == 2 else 3)
    assert broken_rules(found.figures[""]) == []
    firsts = [text.partition(",")[0] for text in texts if text.endswith(", original") or text.rstrip(",") in psnr]
    assert firsts == list(psnr)
    cells = cells_of(document_of(number, found))
    assert {row: cell["reproduced"] for (row, _), cell in cells.items()} == pytest.approx(psnr, abs=1e-5)
    assert {cell["verdict"] for cell in cells.values()} == {"published only as a picture"}


@stack
def test_a_gallery_without_the_srgan_has_one_column_less_and_fewer_pictures_fewer_rows(known, drawn):
    assert len(quality_of(6, images=2).figures[""].images) == 2 * 4
