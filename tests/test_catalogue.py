"""The catalogue of data sets agrees with itself, with what uses the sets, and with what others publish of them."""

import hashlib
import importlib.util
import io
import itertools
import re
import sys
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import papers
from common import data
from common.config import SCALES
from common.data import __main__ as data_command
from common.data import catalogue, digests, fetch, native, recorded, uses
from common.data.listing import WIDTH, about, table
from common.data.verify import verify
from common.errors import RelicError, run_main
from common.tables import published

ROOT = Path(__file__).resolve().parents[1]
FETCHED = [name for name, known in catalogue.SETS.items() if known.files or known.archives]


@pytest.fixture(autouse=True)
def own(tmp_path, monkeypatch):
    """Point every place that sets are looked for to empty folders of this test; return the user's own."""
    monkeypatch.setenv("RELIC_DATA", str(tmp_path / "own"))
    monkeypatch.setenv("RELIC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "prepared"))
    return tmp_path / "own"


def write_picture(path, seed=0):
    """Write a PNG that no two seeds share; return its bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (8, 9, 3), np.uint8)).save(buffer, "PNG")
    path.write_bytes(buffer.getvalue())
    return buffer.getvalue()


# --- who uses which set ---------------------------------------------------------------------------------------------


def test_the_typed_trainings_are_those_of_every_preset_at_every_scale():
    found = defaultdict(lambda: defaultdict(set))
    for (model, config), scale in itertools.product(papers.all_presets().items(), SCALES):
        paper = model.split("/")[0]
        for entry in papers.config_of(paper).at_scale(config, scale).training_sets:
            found[entry if isinstance(entry, str) else entry[0]][paper].add(scale)
    in_order = {
        name: {paper: " ".join(sorted(scales, key=SCALES.index)) for paper, scales in by_paper.items()}
        for name, by_paper in found.items()
    }
    assert in_order == {name: dict(by_paper) for name, by_paper in uses.TRAINING.items()}


def test_the_typed_tests_are_those_of_the_published_tables():
    found = defaultdict(lambda: defaultdict(set))
    for path in (ROOT / "papers").glob("*/published/*.csv"):
        paper, name = path.parts[-3], path.stem
        for used in published.load(f"{paper}/{name}").test_set.split(", "):
            if used == "named pictures":
                source = (ROOT / f"experiments/{name}_deshmukh.py").read_text()
                for own_set in re.findall(r'": "(\w+)/\w+"', source):
                    found[own_set][paper].add(name)
            elif used:
                found[used][paper].add(name)
    # Measured besides: Zhao's second set, and the named pictures in Deshmukh's audit.
    found["classic5"]["zhao_mixedres"].add("figure2")
    for name in ("set12", "set14"):
        found[name]["deshmukh_irm"].add("audit")
    typed = {
        name: {paper: set(tables.split()) for paper, tables in by_paper.items()}
        for name, by_paper in uses.TESTING.items()
    }
    assert typed == {name: dict(by_paper) for name, by_paper in found.items()}


@pytest.mark.parametrize("name", sorted({*uses.TRAINING, *uses.TESTING}))
def test_every_set_that_is_used_is_known_and_told_of(name):
    key = catalogue.key_of(name)
    assert key and any(name in line for line in uses.sentences(key)) and uses.papers(key)


def test_papers_are_named_in_short():
    assert [uses.papers(name) for name in ("synthetic", "imagenet_sample", "set12", "live1")] == [
        "all",
        "all but Zhao",
        "Deshmukh, Zhao",
        "",
    ]


# --- the facts ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted((ROOT / "common/data/recorded").glob("*.csv")), ids=lambda path: path.stem)
def test_recorded_files_are_as_many_and_as_large_as_the_catalogue_says(path):
    known, files = catalogue.SETS[path.stem], recorded.files(path.stem)
    assert len(files) == known.pictures and sum(size for size, _ in files.values()) == known.size
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for _, digest in files.values())
    assert len({digest for _, digest in files.values()}) == len(files)
    assert [name for name in files if name.startswith("/") or ".." in name] == []


def test_a_recorded_part_has_the_digest_that_reading_it_gives(own):
    kodak = "c6c8e5aaf02cf314aaa490dcf178a54c263f93b70a9d8914cb56b55488cd3013"
    assert recorded.summaries("kodak") == {"kodak": (24, kodak)}
    parts = recorded.summaries("bsds500", catalogue.SETS["bsds500"].parts)
    assert {name: count for name, (count, _) in parts.items()} == dict(
        zip(("bsds500/train", "bsds500/val", "bsds500/test"), (200, 100, 200), strict=True)
    )
    contents = [write_picture(own / f"mine/{seed}.png", seed) for seed in range(3)]
    assert data.load("mine")[1] == recorded.set_digest([hashlib.sha256(x).hexdigest() for x in contents])


def test_kodak_has_the_names_and_as_many_pictures_as_the_papers_count():
    assert list(fetch.KODAK) == [f"kodim{number:02}.png" for number in range(1, 25)]


@pytest.mark.parametrize("name", sorted(catalogue.SETS))
def test_a_set_is_known_in_full(name):
    known = catalogue.SETS[name]
    assert known.contents and known.pictures and known.terms
    assert bool(known.members) == bool(known.archives and name not in native.LAYOUTS)
    assert not known.stands_for or known.stands_for in catalogue.SETS
    assert not known.files or (recorded.files(name) and known.files.endswith("/"))
    assert (name in catalogue.BUILT_IN) or (known.size and (known.home or known.note))
    for archive in known.archives:
        assert not archive.url or archive.url.endswith(f"/{archive.file}")
        assert re.fullmatch("([0-9a-f]{64})?", archive.sha256) and re.fullmatch("([0-9a-f]{32})?", archive.md5)


@pytest.mark.parametrize("name", sorted(native.LAYOUTS))
def test_cifar_and_stl10_have_the_pictures_and_bytes_that_they_are_made_to(name):
    known, layout = catalogue.SETS[name], native.LAYOUTS[name]
    assert tuple(layout.pictures) == known.parts and sum(layout.pictures.values()) == known.pictures
    assert 0 <= known.size - known.pictures * 3 * layout.side**2 < 2000


def tfds_checksums():
    """Return size and sha256 by file name of all archives that tensorflow-datasets knows, from its own lists."""
    spec = importlib.util.find_spec("tensorflow_datasets")
    if spec is None:
        pytest.skip("tensorflow-datasets is not installed")
    folder = Path(spec.origin).parent
    paths = [*folder.glob("url_checksums/*.txt"), *folder.glob("datasets/*/checksums.tsv")]
    rows = [line.split("\t") for path in paths for line in path.read_text().splitlines() if "\t" in line]
    return {row[0].rsplit("/", 1)[-1]: (int(row[1]), row[2]) for row in rows}


def test_sizes_and_digests_of_archives_are_those_of_tensorflow_datasets():
    known = tfds_checksums()
    compared = [archive for one in catalogue.SETS.values() for archive in one.archives if archive.sha256]
    assert {archive.file: (archive.size, archive.sha256) for archive in compared} == {
        archive.file: known[archive.file] for archive in compared
    }
    assert len(compared) == 9


def test_every_digest_of_pixels_is_of_a_known_set():
    names = {name for names, _ in digests.DIGESTS for name in names.split(", ")}
    assert [name for name in names if not catalogue.key_of(name)] == []


def test_the_recorded_files_are_package_data():
    setup = (ROOT / "setup.cfg").read_text()
    assert "common.data = recorded/*.csv" in setup and list((ROOT / "common/data").glob("recorded/*.csv"))


@pytest.mark.parametrize(
    "name, key",
    [
        ("bsds500/val", "bsds500"),
        ("cifar10/train", "cifar10"),
        ("clic", "clic/validation"),
        ("imagenet2012/train", "imagenet2012/train"),
        ("imagenet2012", ""),
        ("cifar10/unlabelled", ""),
        ("kodak/", ""),
        ("", ""),
    ],
)
def test_a_name_is_that_of_a_set_or_of_a_part_of_one(name, key):
    assert catalogue.key_of(name) == key


@pytest.mark.parametrize("name", sorted({*uses.TRAINING, *uses.TESTING} - {"synthetic"}))
def test_a_missing_set_names_the_command_that_helps(name):
    key = catalogue.key_of(name)
    with pytest.raises(RelicError) as refusal:
        data.images(name)
    assert f"`python -m common.data {'fetch' if key in FETCHED else 'list'} {key}`" in str(refusal.value)


# --- list -----------------------------------------------------------------------------------------------------------


def test_the_list_is_a_table_of_all_sets_for_a_terminal_of_100_columns(own, monkeypatch):
    monkeypatch.setenv("RELIC_DATA", "/data")  # however long the user's own paths are
    monkeypatch.setenv("RELIC_CACHE", "/cache")
    monkeypatch.setenv("TFDS_DATA_DIR", "/prepared")
    lines = table()
    assert max(map(len, lines)) <= WIDTH
    assert [line.split()[0] for line in lines[2 : 2 + len(catalogue.SETS)]] == list(catalogue.SETS)


@pytest.mark.parametrize("name", sorted(catalogue.SETS))
def test_all_about_a_set_is_told_in_100_columns(name):
    lines, known = about(name), catalogue.SETS[name]
    too_long = [line[13:] for line in lines if len(line) > WIDTH]
    assert [text for text in too_long if " " in text and not text.startswith("python -m")] == []  # to be copied
    told = " ".join(" ".join(lines).split())
    facts = [known.contents, known.terms, known.home, known.files, known.note, known.stands_for]
    facts += [fact for archive in known.archives for fact in (archive.file, archive.url, archive.md5, archive.sha256)]
    facts += [digest for _, digest in recorded.summaries(name, known.parts).values()]
    assert [fact for fact in facts if fact not in told] == []


def test_the_command_line_lists_places_and_terms(own, monkeypatch, capsys):
    write_picture(own / "kodak/kodim01.png")

    def listed(*arguments):
        monkeypatch.setattr(sys, "argv", ["data", "list", *arguments])
        run_main(data_command.main)
        return capsys.readouterr().out

    assert re.search(r"^kodak +24 +15 MB +15 MB +RELIC_DATA +fetch +Cheng, Deshmukh, Paka$", listed(), re.MULTILINE)
    about_kodak = listed("kodak")
    assert f"here       {own}/kodak\n" in about_kodak and "unrestricted use" in about_kodak


def test_where_a_set_is_here_is_told(tmp_path):
    (tmp_path / "own/set12").mkdir(parents=True)
    (tmp_path / "cache/data/kodak").mkdir(parents=True)
    (tmp_path / "prepared/cifar10").mkdir(parents=True)
    (tmp_path / "cache/data/.set14.partial").mkdir(parents=True)
    places = {line.split()[0]: line for line in filter(None, table())}
    names = ("set12", "kodak", "cifar10", "set14")
    found = [re.search(r" (RELIC_DATA|cache|tfds|-)  ", places[name])[1] for name in names]
    assert found == ["RELIC_DATA", "cache", "tfds", "-"]


@pytest.mark.parametrize("command", ["list", "verify"])
def test_an_unknown_name_is_one_sentence(monkeypatch, command):
    monkeypatch.setattr(sys, "argv", ["data", command, "imagenet"])
    with pytest.raises(SystemExit, match="error: no data set imagenet is known here: `python -m common.data list`"):
        run_main(data_command.main)


# --- verify ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def listed(own, monkeypatch):
    """Record seven pictures of set12, which the user has; return their folder."""
    contents = {f"{seed:02}.png": write_picture(own / f"set12/{seed:02}.png", seed) for seed in range(1, 8)}
    table_of = {name: (len(content), hashlib.sha256(content).hexdigest()) for name, content in contents.items()}
    monkeypatch.setattr(recorded, "files", lambda name: table_of if name == "set12" else {})
    return own / "set12"


def run_verify(monkeypatch, capsys, name):
    """Return exit status and lines of the command."""
    monkeypatch.setattr(sys, "argv", ["data", "verify", name])
    with pytest.raises(SystemExit) as stop:
        run_main(data_command.main)
    return stop.value.code, capsys.readouterr().out.splitlines()


def test_a_set_of_the_recorded_files_is_verified(listed, monkeypatch, capsys):
    (listed / "SHA256SUMS").write_text("no picture")
    status, lines = run_verify(monkeypatch, capsys, "set12")
    assert (status, lines) == (0, [f"set12 in {listed}: 7 of 7 files are the recorded ones"])


def test_what_is_missing_differs_or_is_extra_is_named(listed, monkeypatch, capsys):
    (listed / "01.png").unlink()
    write_picture(listed / "02.png", 99)
    (listed / "03.png").write_bytes((listed / "03.png").read_bytes()[:-1])
    for seed in range(6):
        write_picture(listed / f"x/{seed}.png", 50 + seed)
    status, lines = run_verify(monkeypatch, capsys, "set12")
    assert status == 1 and lines == [
        f"set12 in {listed}: 4 of 7 files are the recorded ones",
        "  1 missing: 01.png",
        "  2 differ: 02.png, 03.png",
        "  6 extra: x/0.png, x/1.png, x/2.png, x/3.png, x/4.png …",
    ]


def test_arrays_are_verified_by_one_digest(own, monkeypatch, capsys):
    x = np.random.default_rng(0).integers(0, 256, (2, 3, 4, 4, 3), np.uint8)
    (own / "cifar10_subset").mkdir(parents=True)
    np.savez(own / "cifar10_subset/cifar10_subset.npz", x_train=x[0], x_test=x[1])
    made = {name: (3, data.load(name)[1]) for name in ("cifar10_subset/train", "cifar10_subset/test")}
    monkeypatch.setattr(recorded, "SUMMARIES", made)
    status, lines = run_verify(monkeypatch, capsys, "cifar10_subset")
    assert status == 0 and lines == [f"{name}: 3 pictures are the recorded ones" for name in made]
    np.savez(own / "cifar10_subset/cifar10_subset.npz", x_train=x[0], x_test=x[0])
    status, lines = run_verify(monkeypatch, capsys, "cifar10_subset/test")
    assert status == 1 and lines[1] == "cifar10_subset/test: 3 pictures are not the 3 recorded ones"


@pytest.mark.parametrize("pictures, agrees", [(3, True), (4, False)])
def test_where_no_digest_is_recorded_pictures_are_counted(own, monkeypatch, pictures, agrees):
    for seed in range(3):
        write_picture(own / f"coco/validation/{seed}.png", seed)
    known = replace(catalogue.SETS["coco/validation"], pictures=pictures)
    monkeypatch.setattr(catalogue, "SETS", {**catalogue.SETS, "coco/validation": known})
    comparison = verify("coco/validation")
    assert comparison.agrees == agrees and f"3 of {pictures} pictures" in comparison.lines[0]


def test_arrays_without_a_recorded_digest_are_counted(own, monkeypatch):
    (own / "cifar10").mkdir(parents=True)
    x = np.zeros((5, 4, 4, 3), np.uint8)
    np.savez(own / "cifar10/cifar10.npz", x_train=x, x_test=x[:2])
    assert not verify("cifar10").agrees
    monkeypatch.setattr(catalogue, "SETS", {"cifar10": replace(catalogue.SETS["cifar10"], pictures=7)})
    assert verify("cifar10").agrees


def test_a_set_that_is_not_here_says_how_to_get_it():
    with pytest.raises(RelicError, match="no data set train400 in .*fetch train400"):
        verify("train400")


def test_the_embedded_pictures_are_verified_as_they_are_read():
    assert verify("sample").agrees and verify("synthetic").agrees
