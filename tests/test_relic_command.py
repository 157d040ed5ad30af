"""The command `relic`: it starts fast, trains, codes files both ways, and answers every mistake with one line."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from narrow import run_steps_eagerly
from PIL import Image, ImageCms

import papers
from common import metrics
from common.coding import container
from common.coding.container import Header
from common.config import Setting
from common.data import read_image, write_png
from common.errors import RelicError
from common.training import runs
from papers import __main__ as command

ROOT = Path(__file__).resolve().parents[1]
MODEL = "cheng_resnet/hyperprior_3"
FRAMEWORKS = ("tensorflow", "keras", "jax", "torch", "tensorflow_compression", "matplotlib", "skimage")


def relic(*arguments):
    """Run the command in this process; return its exit status or sentence, None where all went well."""
    before, sys.argv = sys.argv, ["relic", *map(str, arguments)]
    try:
        command.main()
    except SystemExit as stop:
        return stop.code
    finally:
        sys.argv = before
    return None


def process(*arguments, **settings):
    """Run the command in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **settings}
    line = [sys.executable, "-m", "papers", *map(str, arguments)]
    return subprocess.run(line, env=environment, capture_output=True, text=True, timeout=600)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Work in an empty folder with a small picture and without weights."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RELIC_RESULTS", str(tmp_path / "results"))
    image = np.random.RandomState(0).randint(0, 256, (30, 40, 3)).astype(np.uint8)
    write_png(tmp_path / "picture.png", image)
    return tmp_path


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Return a folder of results with weights that `relic train` made at scale smoke."""
    folder = tmp_path_factory.mktemp("results")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RELIC_RESULTS", str(folder))
        run_steps_eagerly(patch)
        assert relic("train", MODEL, "--scale", "smoke") is None
    return folder


@pytest.fixture(scope="module")
def codec_of():
    """Return what makes a codec of weights, once for each weights: to compile a network takes seconds."""
    from papers.cheng_resnet.codec import Codec

    made = {}
    return lambda stored: made.get(stored.digest) or made.setdefault(stored.digest, Codec(stored))


@pytest.fixture
def with_weights(here, trained, codec_of, monkeypatch):
    monkeypatch.setenv("RELIC_RESULTS", str(trained))
    monkeypatch.setattr("papers.cheng_resnet.codec.Codec", codec_of)
    return here


def assert_refused(arguments, *words):
    """Run the command; check that it fails with one sentence that has these words, and changes no file."""

    def listing():
        paths = (path for path in Path.cwd().rglob("*") if path.is_file())
        return {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in paths}

    before = listing()
    sentence = relic(*arguments)
    assert isinstance(sentence, str) and sentence.startswith("error: ") and "\n" not in sentence, sentence
    assert all(word in sentence for word in words), sentence
    assert listing() == before


# --- without weights -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [["--help"], ["list"], ["compress", "--help"], ["list", "--settings", MODEL]])
def test_what_needs_no_network_starts_within_a_second_and_imports_no_framework(arguments, tmp_path):
    code = "import sys; from papers.__main__ import main; sys.argv = ['relic', *sys.argv[1:]]\ntry: main()\nfinally: "
    code += f"import time; print(sorted(set({FRAMEWORKS}) & set(sys.modules)), time.process_time(), file=sys.stderr)"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "RELIC_RESULTS": str(tmp_path)}
    result = subprocess.run([sys.executable, "-c", code, *arguments], env=environment, capture_output=True, text=True)
    frameworks, seconds = result.stderr.split()
    assert (result.returncode, frameworks) == (0, "[]") and len(result.stdout.splitlines()) > 5
    assert float(seconds) < 1.0  # of one processor, however busy


def test_the_list_shows_every_preset_with_the_weights_that_are_here(here, capsys):
    for scale, seed in (("small", 1), ("smoke", 0)):
        path = runs.Run("cheng_resnet", "resnet4", scale, seed).shipped / "weights.safetensors"
        path.parent.mkdir(parents=True)
        path.write_bytes(b"")
    assert relic("list") is None
    rows = dict(line.split(None, 1) for line in capsys.readouterr().out.splitlines())
    assert list(rows) == list(papers.all_presets()) and len(rows) >= 10
    assert rows.pop("cheng_resnet/resnet4").strip() == "small seed 1, smoke seed 0"
    assert {row.strip() for row in rows.values()} == {"-"}


@pytest.mark.parametrize("name", ["seed²", "seed٣", "seed01", "seed", "seed1 old"])
def test_a_folder_whose_name_is_no_seed_holds_no_weights(name, here, capsys):
    path = runs.Run("cheng_resnet", "resnet4", "small", 1).shipped.with_name(name) / "weights.safetensors"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"")
    assert relic("list") is None
    assert {line.split(None, 1)[1].strip() for line in capsys.readouterr().out.splitlines()} == {"-"}


def test_the_settings_of_a_preset_come_with_their_sources(here, capsys):
    assert relic("list", "--settings", "cheng_resnet/resnet4_subpixel") is None
    lines = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines()}
    assert lines["sub_pixel"][:2] == ["True", "sourced:"] and lines["lmbda"][:2] == ["5.0", "sourced:"]
    assert lines["leaky_slope"][:2] == ["0.2", "assumed:"]


@pytest.mark.parametrize(
    "arguments, words",
    [
        ([], ["the following arguments are required: command"]),
        (["paint"], ["invalid choice: 'paint'"]),
        (["compress", "picture.png"], ["-m/--model"]),
        (["train", MODEL, "--seed", "first"], ["'first' is not a seed"]),
        (["train", MODEL, "--minutes", "0"], ["minutes"]),
        (["train", MODEL, "--minutes", "soon"], ["minutes"]),
        (["train", "resnet4"], ["'resnet4' is not a preset", "relic list"]),
        (["train", "cheng_resnet/resnet5"], ["unknown preset cheng_resnet/resnet5", "resnet4_subpixel"]),
        (["train", "someone/resnet4"], ["unknown paper 'someone'", "cheng_resnet"]),
        (["train", MODEL, "--scale", "huge"], ["unknown scale 'huge'", "smoke, small, medium, paper"]),
        (["list", "--settings", "cheng_resnet/resnet5"], ["unknown preset"]),
        (["compress", "picture.png", "-m", "cheng_resnet/resnet5"], ["unknown preset"]),
        (["compress", "missing.png", "-m", MODEL], ["missing.png", "no such file"]),
        (["evaluate", "sample", "-m", "resnet4", "--images", "1"], ["'resnet4' is not a preset"]),
        (["evaluate", "no_such_set", "-m", MODEL], ["no_such_set"]),
        (["evaluate", "sample", "-m", MODEL, "--images", "0"], ["limit of 0"]),
        (["decompress", "missing.rlic"], ["missing.rlic"]),
        (["decompress", "picture.png"], ["not a RELIC file"]),
        (["decompress", "."], ["directory"]),
    ],
)
def test_a_mistake_is_answered_with_one_sentence(arguments, words, here):
    assert_refused(arguments, *words)


def test_a_mistake_costs_status_1_one_line_on_stderr_and_no_traceback(here):
    result = process("compress", "missing.png", "-m", MODEL)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.count("\n") == 1 and result.stderr.startswith("error: ") and "missing.png" in result.stderr


def test_a_text_file_that_is_named_like_a_picture_is_refused(here):
    (here / "text.png").write_text("no picture\n")
    assert_refused(["compress", "text.png", "-m", MODEL], "text.png", "not a")


@pytest.mark.parametrize(
    "model, words",
    [("cheng_resnet/resnet5", ["unknown preset"]), ("else/where", ["unknown paper"]), ("plain", ["preset"])],
)
def test_a_file_of_an_unknown_model_is_refused(model, words, here):
    (here / "file.rlic").write_bytes(container.pack(Header(model, bytes(8), 3, 4, 3), [b"a", b"b"]))
    assert_refused(["decompress", "file.rlic"], *words)


def test_a_file_whose_weights_are_not_here_names_them_and_where_they_belong(here):
    (here / "file.rlic").write_bytes(container.pack(Header(MODEL, bytes(range(8)), 3, 4, 3), [b"a", b"b"]))
    assert_refused(["decompress", "file.rlic"], "0001020304050607", MODEL, str(here / "results" / "models"))


def test_a_file_of_a_picture_above_the_limit_is_refused_before_its_weights_are_looked_for(here, monkeypatch):
    (here / "file.rlic").write_bytes(container.pack(Header(MODEL, bytes(8), 30, 40, 3), [b"a", b"b"]))
    monkeypatch.setenv("RELIC_MAX_PIXELS", "1199")
    assert_refused(["decompress", "file.rlic"], "30x40 has more than 1199 pixels", "RELIC_MAX_PIXELS")
    assert_refused(["compress", "picture.png", "-m", MODEL], "picture.png", "more than 1199 pixels", "RELIC_MAX_PIXELS")


@pytest.mark.stack
def test_a_preset_without_weights_or_a_wrong_scale_of_them_is_refused_with_what_to_do(here):
    assert_refused(["compress", "picture.png", "-m", MODEL], "no weights for", "nothing", f"relic train {MODEL}")
    assert_refused(["compress", "picture.png", "-m", MODEL, "--scale", "huge"], "unknown scale 'huge'")
    assert_refused(["evaluate", ".", "-m", MODEL, "--seed", "3"], "no weights for", "seed 3")


# --- evaluate ------------------------------------------------------------------------------------------------------


@pytest.fixture
def own_data(here, monkeypatch):
    """Let data sets lie in a folder of their own, and the pictures of the folder `set` in the working directory."""
    monkeypatch.setenv("RELIC_DATA", str(here / "data"))
    monkeypatch.setenv("RELIC_CACHE", str(here / "cache"))
    for name in ("x/1.png", "y/1.png", "a.png"):
        write_png(here / "set" / name, read_image(here / "picture.png"))
    return here


def test_evaluate_says_which_pictures_it_takes_and_which_files_not(own_data, loaded, capsys):
    for name in ("b.jfif", "notes.txt"):
        (own_data / "set" / name).write_bytes(b"")
    assert relic("evaluate", "set", "-m", MODEL) is None
    printed = capsys.readouterr()
    assert printed.err == "the folder set without 2 other files (b.jfif, notes.txt): 3 pictures\n"
    assert [line.split()[0] for line in printed.out.splitlines()] == ["picture", "a", "x/1.png", "y/1.png", "mean"]


def test_a_data_set_comes_before_a_folder_of_its_name_which_evaluate_says(own_data, loaded, capsys):
    write_png(own_data / "data" / "set" / "of_the_set.png", read_image(own_data / "picture.png"))
    for name, said in (
        ("set", f"the data set set (the folder of that name is .{os.sep}set): 1 picture\n"),
        ("./set", "the folder set: 3 pictures\n"),
    ):
        assert relic("evaluate", name, "-m", MODEL) is None
        assert capsys.readouterr().err == said


def test_the_columns_stand_below_each_other_however_long_a_name_is(own_data, loaded, capsys):
    (own_data / "set" / "a.png").rename(own_data / "set" / f"{'n' * 40}.png")
    assert relic("evaluate", "set", "-m", MODEL) is None
    assert len({len(line) for line in capsys.readouterr().out.splitlines()}) == 1


@pytest.mark.parametrize(
    "values, shown",
    [([0.5, 0.7], "  0.6000"), ([0.5, None, 0.7], "  0.6000 (of 2)"), ([None, None], "       -")],
)
def test_a_mean_over_some_of_the_pictures_says_of_how_many(values, shown):
    assert command._shown_mean(values) == shown


# --- coding settings -----------------------------------------------------------------------------------------------


@pytest.fixture
def loaded(here, monkeypatch):
    """Let a paper have two coding settings; return the arguments that its codec is loaded with."""
    calls = []
    codec = SimpleNamespace(compress=lambda image: b"file", decompress=lambda data: np.zeros((30, 40, 3), np.uint8))
    fake = SimpleNamespace(load=lambda *given, **coding: calls.append((*given, coding)) or codec)
    settings = {"iterations": Setting(16, 1, 16, "passes of the network"), "code_bits": Setting(8, 2, 8, "bits, 100 %")}
    monkeypatch.setattr(papers.config_of("cheng_resnet"), "CODING", settings, raising=False)
    monkeypatch.setitem(sys.modules, "papers.cheng_resnet.codec", fake)
    return calls


@pytest.mark.parametrize(
    "options, coding",
    [
        ([], {}),
        (["--iterations", "8"], {"iterations": 8}),
        (["--code-bits=2", "--iterations", "1"], {"code_bits": 2, "iterations": 1}),
    ],
)
def test_the_coding_settings_of_a_paper_are_options_of_coding(options, coding, loaded):
    assert relic("compress", *options, "picture.png", "-m", MODEL, "--seed", "3") is None
    assert relic("compress", "picture.png", "--force", "--model", MODEL, *options) is None
    assert relic("evaluate", ".", f"-m{MODEL}", *options) is None
    _paper, preset = MODEL.split("/")
    assert loaded == [(preset, None, 3, coding), (preset, None, None, coding), (preset, None, None, coding)]
    assert papers.load(MODEL, **coding) and loaded[-1] == (preset, None, None, coding)


@pytest.mark.parametrize("value", [np.int64(4), np.uint8(4), 4])
def test_a_coding_setting_may_be_an_integer_of_numpy(value, loaded):
    papers.load(MODEL, iterations=value)
    assert loaded[-1][-1] == {"iterations": 4} and type(loaded[-1][-1]["iterations"]) is int


@pytest.mark.parametrize("value", [4.0, np.float32(4), True, "4", None])
def test_what_is_no_whole_number_is_no_coding_setting(value, loaded):
    with pytest.raises(RelicError, match=f"iterations {value} is not from 1 to 16, a whole number"):
        papers.load(MODEL, iterations=value)


@pytest.mark.parametrize(
    "options, words",
    [
        (["--iterations", "17"], ["iterations 17 is not from 1 to 16"]),
        (["--code-bits", "1"], ["code_bits 1 is not from 2 to 8"]),
        (["--iterations", "few"], ["--iterations", "invalid int value: 'few'"]),
        (["--iterations"], ["--iterations: expected one argument"]),
        (["--quality", "3"], ["unrecognized arguments: --quality 3", "--iterations, --code-bits"]),
    ],
)
@pytest.mark.parametrize("name, what", [("compress", "picture.png"), ("evaluate", ".")])
def test_a_coding_setting_that_does_not_exist_or_is_out_of_range_is_refused(name, what, options, words, loaded):
    assert_refused([name, what, "-m", MODEL, *options], *words)
    assert loaded == []


def test_a_paper_without_coding_settings_takes_none(here, monkeypatch):
    monkeypatch.setattr(papers.config_of("cheng_resnet"), "CODING", {})
    assert_refused(["compress", "picture.png", "-m", MODEL, "--bits", "4"], "--bits 4", f"settings of {MODEL}: none")
    assert_refused(["evaluate", ".", "-m", "resnet4", "--bits", "4"], "'resnet4' is not a preset")
    assert_refused(["train", MODEL, "--bits", "4"], "unrecognized arguments: --bits 4")
    with pytest.raises(RelicError, match="cheng_resnet has no coding setting bits: it has none"):
        papers.load(MODEL, bits=4)


def test_a_target_and_the_setting_that_is_searched_for_it_exclude_each_other(here):
    assert_refused(["compress", "picture.png", "-m", MODEL, "--bpp", "1", "--step", "2"], "leave --step out")
    assert_refused(["compress", "picture.png", "-m", MODEL, "--bpp", "1", "--psnr", "30"], "not allowed with argument")
    assert_refused(["compress", "picture.png", "-m", MODEL, "--ms-ssim", "1"], "--ms-ssim 1 is not above 0 and below 1")
    assert_refused(["compress", "picture.png", "-m", MODEL, "--bytes", "0"], "'0' is not a whole number of at least 1")
    assert_refused(["compress", "picture.png", "-m", "deshmukh_irm/rgb", "--bpp", "1"], "no setting that its rate")
    assert_refused(["compress", "picture.png", "-m", MODEL, "--step", "0.1"], "step 0.1", "a multiple of 1/16")


@pytest.mark.stack
def test_compress_finds_a_number_of_bytes_and_says_how(with_weights, capsys):
    assert relic("compress", "picture.png", "-m", MODEL) is None
    size = (with_weights / "picture.rlic").stat().st_size
    capsys.readouterr()
    assert relic("compress", "picture.png", "-m", MODEL, "--bytes", size, "-o", "same.rlic") is None
    said = capsys.readouterr().out
    assert "; step " in said and f"{size} bytes in " in said and "coding" in said
    assert (with_weights / "same.rlic").stat().st_size <= size
    assert_refused(["compress", "picture.png", "-m", MODEL, "--bytes", "9", "--force"], "9 bytes is out of reach of")


def test_loading_refuses_the_same_settings_as_the_command(loaded):
    with pytest.raises(RelicError, match="no coding setting bits: it has iterations, code_bits"):
        papers.load(MODEL, bits=4)
    with pytest.raises(RelicError, match="iterations 0 is not from 1 to 16"):
        papers.load(MODEL, iterations=0)


def test_the_help_and_the_list_show_the_coding_settings_of_a_model(loaded, capsys):
    assert relic("compress", "-m", MODEL, "--help") == 0
    said = capsys.readouterr().out
    assert "--iterations N" in said and "passes of the network: 1 to 16 (default: 16)" in said
    assert "--code-bits N" in said and "bits, 100 %: 2 to 8 (default: 8)" in said
    assert relic("compress", "--help") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "--iterations" not in said and "coding settings of the model's paper are options too" in said
    assert relic("list", "--settings", MODEL) is None
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[-2:]] == [["--iterations", "16"], ["--code-bits", "8"]]
    assert lines[-2].endswith("coding: 1 to 16, passes of the network")


@pytest.mark.parametrize("name", ["compress", "decompress", "evaluate"])
def test_the_help_of_what_takes_pictures_says_how_large_they_may_be(name, capsys):
    assert relic(name, "--help") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "more than 80000000 pixels are refused; RELIC_MAX_PIXELS=N in the environment sets another limit" in said


@pytest.mark.parametrize("model", papers.all_presets())
def test_no_coding_setting_has_the_name_of_another_option(model, here, capsys):
    assert relic("evaluate", "-m", model, "--help") == 0
    said = capsys.readouterr().out
    assert all(said.count(f"  --{name.replace('_', '-')} N") == 1 for name in papers.coding_settings(model))


def test_loading_a_preset_says_the_same_as_the_command(here):
    with pytest.raises(RelicError, match="is not a preset: write paper/preset"):
        papers.load("resnet4")
    with pytest.raises(RelicError, match="unknown preset cheng_resnet/resnet5"):
        papers.load("cheng_resnet/resnet5")


# --- with weights --------------------------------------------------------------------------------------------------


@pytest.mark.stack
def test_training_ships_weights_and_says_how_they_were_made(trained):
    folder = trained / "smoke" / "models" / "smoke" / MODEL / "seed0"
    assert sorted(path.name for path in folder.iterdir()) == ["log.csv", "run.json", "weights.safetensors"]
    said = json.loads((folder / "run.json").read_text())
    assert (said["preset"], said["scale"], said["seed"], said["steps"]) == (MODEL, "smoke", 0, 2)
    assert said["config"]["num_filters"] == 16 and list(said["data"]) == said["config"]["training_sets"]
    assert all(len(digest) == 64 for digest in said["data"].values()) and said["training_seconds"] > 0


@pytest.mark.stack
def test_a_picture_survives_compress_and_decompress_through_files(with_weights, capsys):
    assert relic("compress", "picture.png", "-m", MODEL) is None
    said = capsys.readouterr().out
    size = (with_weights / "picture.rlic").stat().st_size
    assert said == f"picture.rlic: {size} bytes, {8 * size / 1200:.4f} bpp\n"
    assert relic("decompress", "picture.rlic", "-o", "new/folder/decoded.png") is None
    assert capsys.readouterr().out == "new/folder/decoded.png: 40 x 30 pixels\n"
    decoded = read_image(with_weights / "new" / "folder" / "decoded.png")
    codec = papers.load(MODEL, scale="smoke", seed=0)
    file = (with_weights / "picture.rlic").read_bytes()
    assert codec.compress(read_image(with_weights / "picture.png")) == file
    np.testing.assert_array_equal(decoded, codec.decompress(file))


@pytest.mark.stack
def test_weights_trained_with_other_settings_are_refused_by_the_fields_that_differ(here, trained):
    """Weights of scale smoke, put where those of medium belong."""
    source = trained / "smoke" / "models" / "smoke" / MODEL / "seed0" / "weights.safetensors"
    target = here / "results" / "models" / "medium" / MODEL / "seed0" / "weights.safetensors"
    target.parent.mkdir(parents=True)
    target.write_bytes(source.read_bytes())
    assert_refused(["compress", "picture.png", "-m", MODEL], "another config (num_filters differ)")


def test_decompress_says_that_a_progressive_file_was_cut(here, monkeypatch, capsys):
    whole = container.pack(Header("a/b", bytes(8), 2, 3, 3), [b"first", b"second", b"third"])
    codec = SimpleNamespace(decompress=lambda data: np.zeros((2, 3, 3), np.uint8))
    monkeypatch.setattr(papers, "load_for", lambda data: codec)
    for file, rest in ((whole, ""), (whole[:-1], ", from 2 of 3 sections: the file was cut")):
        (here / "some.rlic").write_bytes(file)
        assert relic("decompress", "some.rlic", "-o", "some.png") is None
        assert capsys.readouterr().out == f"some.png: 3 x 2 pixels{rest}\n"


def test_a_colour_profile_goes_through_the_coded_file_and_is_counted(here, monkeypatch, capsys):
    """littleCMS's sRGB profile with other primaries, and as it is, which a PNG without a profile means anyway."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    profile = srgb.replace(b"rXYZ", b"....").replace(b"gXYZ", b"rXYZ").replace(b"....", b"gXYZ")
    file = container.pack(Header("a/b", bytes(8), 30, 40, 3), [b"coded"])
    image = read_image(here / "picture.png")
    codec = SimpleNamespace(compress=lambda image: file, decompress=lambda data: image)
    monkeypatch.setattr(papers, "load", lambda *_, **__: codec)
    monkeypatch.setattr(papers, "load_for", lambda data: codec)
    for name, embedded in (("wide", profile), ("standard", srgb), ("none", None)):
        Image.fromarray(image).save(here / f"{name}.png", icc_profile=embedded)
        assert relic("compress", f"{name}.png", "-m", MODEL) is None
        coded = (here / f"{name}.rlic").read_bytes()
        kept = f", with its colour profile: {len(coded) - len(file)} bytes" if name == "wide" else ""
        assert capsys.readouterr().out == f"{name}.rlic: {len(coded)} bytes, {8 * len(coded) / 1200:.4f} bpp{kept}\n"
        assert coded == (container.with_profile(file, profile) if kept else file)
        assert relic("decompress", f"{name}.rlic", "-o", f"new/{name}.png") is None
        with Image.open(here / "new" / f"{name}.png") as decoded:
            assert decoded.info.get("icc_profile") == (profile if kept else None)
        capsys.readouterr()


def test_decompress_drops_a_profile_that_does_not_fit_the_picture(here, monkeypatch):
    file = container.pack(Header("a/b", bytes(8), 2, 3, 1), [b"coded"], b"a profile of something else")
    (here / "some.rlic").write_bytes(file)
    codec = SimpleNamespace(decompress=lambda data: np.zeros((2, 3), np.uint8))
    monkeypatch.setattr(papers, "load_for", lambda data: codec)
    assert relic("decompress", "some.rlic", "-o", "some.png") is None
    with Image.open(here / "some.png") as decoded:
        assert "icc_profile" not in decoded.info


@pytest.mark.slow
@pytest.mark.stack
def test_another_process_with_another_number_of_threads_decodes_the_same_picture(with_weights, trained):
    assert relic("compress", "picture.png", "-m", MODEL, "-o", "coded.rlic") is None
    libraries = ("OPENBLAS_NUM", "OMP_NUM", "MKL_NUM", "TF_NUM_INTRAOP", "TF_NUM_INTEROP")
    number = "3" if os.environ.get("TF_NUM_INTRAOP_THREADS") == "1" else "1"
    threads = {f"{name}_THREADS": number for name in libraries}
    result = process("decompress", "coded.rlic", RELIC_RESULTS=str(trained), **threads)
    assert (result.returncode, result.stderr) == (0, "") and result.stdout == "coded.png: 40 x 30 pixels\n"
    expected = papers.load(MODEL).decompress((with_weights / "coded.rlic").read_bytes())
    np.testing.assert_array_equal(read_image(with_weights / "coded.png"), expected)


@pytest.mark.stack
def test_evaluate_prints_what_every_picture_costs_and_the_mean(with_weights, capsys):
    write_png(with_weights / "set" / "a.png", read_image(with_weights / "picture.png"))
    write_png(with_weights / "set" / "b.png", read_image(with_weights / "picture.png")[::-1])
    assert relic("evaluate", "set", "-m", MODEL) is None
    header, *rows = (line.split() for line in capsys.readouterr().out.splitlines())
    assert header == ["picture", "bpp", "payload", "estimate", "PSNR", "MS-SSIM"]
    assert [row[0] for row in rows] == ["a", "b", "mean"]
    image = read_image(with_weights / "set" / "a.png")
    codec = papers.load(MODEL)
    file = codec.compress(image)
    rates = [8 * len(file) / 1200, 8 * container.payload_size(file) / 1200, codec.rate_estimate(image)]
    numbers = [[float(value) for value in row[1:5]] for row in rows]
    assert numbers[0] == pytest.approx([*rates, metrics.psnr(image, codec.decompress(file))], abs=1e-4)
    assert numbers[2] == pytest.approx(np.mean(numbers[:2], axis=0), abs=1.1e-4)
    assert [row[5] for row in rows] == ["-"] * 3  # 30 x 40 pixels are too few for MS-SSIM
    assert relic("evaluate", "set", "-m", MODEL, "--images", "1") is None
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["picture", "a", "mean"]


@pytest.mark.stack
@pytest.mark.parametrize("output", ["picture.png/coded.rlic", "picture.png/"])
def test_an_output_that_cannot_be_written_is_refused_and_nothing_is_left(output, with_weights):
    named = f": {output.split('/')[0]}"
    assert_refused(["compress", "picture.png", "-m", MODEL, "-o", output], named)
    assert relic("compress", "picture.png", "-m", MODEL, "-o", "good.rlic") is None
    assert_refused(["decompress", "good.rlic", "-o", output.replace(".rlic", ".png")], named)


@pytest.mark.stack
def test_decompress_keeps_the_picture_that_is_there_unless_it_is_named(with_weights):
    original = (with_weights / "picture.png").read_bytes()
    assert relic("compress", "picture.png", "-m", MODEL) is None
    assert_refused(["decompress", "picture.rlic"], "picture.png exists", "-o")
    assert_refused(["decompress", "picture.rlic", "-o", "decoded.jpg"], "decoded.png")
    assert (with_weights / "picture.png").read_bytes() == original and not (with_weights / "decoded.jpg").exists()
    assert relic("decompress", "picture.rlic", "-o", "picture.png") is None
    assert (with_weights / "picture.png").read_bytes() != original


@pytest.mark.stack
def test_compress_replaces_neither_the_picture_nor_a_file_that_is_there(with_weights):
    original = (with_weights / "picture.png").read_bytes()
    assert_refused(["compress", "picture.png", "-m", MODEL, "-o", "picture.png"], "is the file that is read")
    assert (with_weights / "picture.png").read_bytes() == original
    (with_weights / "picture.jpg").write_bytes((with_weights / "picture.png").read_bytes())
    assert relic("compress", "picture.png", "-m", MODEL) is None
    assert_refused(["compress", "picture.jpg", "-m", MODEL], "picture.rlic exists", "--force")
    assert relic("compress", "picture.jpg", "-m", MODEL, "--force") is None
    assert relic("compress", "picture.jpg", "-m", MODEL, "-o", "picture.rlic") is None


@pytest.mark.stack
def test_an_output_may_be_a_folder_or_stdout(with_weights, capfdbinary):
    (with_weights / "there").mkdir()
    for folder in ("new/", "there"):
        assert relic("compress", "picture.png", "-m", MODEL, "-o", folder) is None
        assert (with_weights / folder / "picture.rlic").exists()
    capfdbinary.readouterr()
    assert relic("compress", "picture.png", "-m", MODEL, "-o", "-") is None
    printed = capfdbinary.readouterr()
    assert printed.out == (with_weights / "new" / "picture.rlic").read_bytes() and b"bpp" in printed.err
    assert relic("decompress", "new/picture.rlic", "-o", "-") is None
    assert capfdbinary.readouterr().out.startswith(b"\x89PNG")


@pytest.mark.parametrize("seed", ["-1", str(2**32), "1.5", "one", "²", "٣"])
def test_a_seed_is_a_whole_number_of_32_bits(seed, here):
    assert_refused(["train", MODEL, "--scale", "smoke", f"--seed={seed}"], "is not a seed", str(2**32 - 1))


def test_names_that_a_terminal_cannot_show_are_printed_with_backslashes(here):
    (here / os.fsdecode(b"caf\xe9.png")).write_bytes(b"no picture")
    for encoding in ("utf-8:strict", "ascii:strict"):
        result = process("compress", os.fsdecode(b"caf\xe9.png"), "-m", MODEL, PYTHONIOENCODING=encoding)
        assert result.returncode == 1 and result.stderr.count("\n") == 1 and "caf\\udce9.png" in result.stderr
    assert "…" not in process("evaluate", "--help", PYTHONIOENCODING="ascii:strict").stdout


@pytest.mark.stack
def test_an_output_that_does_not_fit_on_the_disk_leaves_nothing_and_keeps_the_old_file(with_weights):
    assert relic("compress", "picture.png", "-m", MODEL, "-o", "good.rlic") is None
    assert relic("decompress", "good.rlic", "-o", "good.png") is None
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50, limits[1]))  # no file may grow beyond 50 bytes
    try:
        assert_refused(["compress", "picture.png", "-m", MODEL, "-o", "new.rlic"], "too large")
        assert_refused(["compress", "picture.png", "-m", MODEL, "-o", "good.rlic"], "too large")
        assert_refused(["decompress", "good.rlic", "-o", "good.png"], "too large")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.stack
def test_a_damaged_file_is_refused_and_no_picture_written(with_weights):
    assert relic("compress", "picture.png", "-m", MODEL) is None
    file = (with_weights / "picture.rlic").read_bytes()
    (with_weights / "cut.rlic").write_bytes(file[:-5])
    assert_refused(["decompress", "cut.rlic"], "5 bytes are missing", "copy it again")
    (with_weights / "flipped.rlic").write_bytes(file[:-9] + bytes([file[-9] ^ 4]) + file[-8:])
    assert_refused(["decompress", "flipped.rlic"], "damaged")


@pytest.mark.stack
def test_a_training_goes_on_only_where_there_is_one_and_starts_anew_only_on_request(with_weights):
    assert_refused(["train", MODEL, "--scale", "smoke"], "--resume", "--restart")
    assert_refused(["train", MODEL, "--scale", "smoke", "--seed", "9", "--resume"], "nothing to resume")


@pytest.mark.parametrize(
    "words, line", [(["stopped at step 3 of 9"], "stopped at step 3 of 9: go on with --resume"), ([], "stopped")]
)
def test_a_training_that_ctrl_c_stops_goes_on_with_resume_where_a_checkpoint_is_kept(words, line, monkeypatch, capsys):
    def train_preset(*_, **__):
        raise KeyboardInterrupt(*words)

    monkeypatch.setitem(sys.modules, "papers.cheng_resnet.train", SimpleNamespace(train_preset=train_preset))
    assert relic("train", MODEL, "--scale", "smoke") == 130
    assert capsys.readouterr().err == f"{line}\n"
