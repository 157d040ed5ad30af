"""Sets that memory cannot hold: their pictures are decoded by processes, and give the patches that memory would."""

import functools
import hashlib
import importlib.util
import io
import os
import signal
import subprocess
import sys
import time
import tracemalloc
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from common import data, limits
from common.data import __main__ as data_command
from common.data import index, workers
from common.errors import RelicError, run_main
from papers.deshmukh_irm import config as deshmukh_config
from papers.deshmukh_irm.patches import Patches as DeshmukhPatches
from papers.paka_autoencoder.config import TRAINING_PICTURES
from papers.paka_autoencoder.pictures import resized
from papers.zhao_mixedres import config as zhao_config
from papers.zhao_mixedres.patches import Patches as ZhaoPatches

HERE = os.environ.get("RELIC_DATA")  # before a test sets its own


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    """Point every place that sets are looked for to empty folders of this test."""
    monkeypatch.setenv("RELIC_DATA", str(tmp_path / "own"))
    monkeypatch.setenv("RELIC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "prepared"))


@pytest.fixture
def no_memory(monkeypatch):
    """Let no set be small enough to be held in memory."""
    monkeypatch.setattr(limits, "data_memory", lambda: 1)


def smooth(height, width, seed=0):
    """Return a picture that JPEG keeps nearly as it is."""
    y, x = np.mgrid[:height, :width]
    return np.stack([y + seed, x * 2, (y + x) // 2], axis=-1).astype(np.uint8)


def encoded(image, file_format, **options):
    buffer = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(buffer, file_format, **options)
    return buffer.getvalue()


def turned(orientation):
    exif = Image.Exif()
    exif[274] = orientation
    return exif


def files():
    """Return picture files of many kinds by their names, all larger than 32x32 but two."""
    palette = Image.fromarray(smooth(40, 50)).quantize(7)
    return {
        "a/colour.jpg": encoded(smooth(60, 90, 1), "JPEG", quality=90),
        "a/grey.jpg": encoded(smooth(64, 70, 2)[..., 0], "JPEG"),
        "a/on_its_side.jpg": encoded(smooth(40, 80, 3), "JPEG", exif=turned(6)),
        "a/progressive.jpg": encoded(smooth(50, 45, 4), "JPEG", progressive=True, subsampling=0),
        "b/long_header.jpg": encoded(smooth(44, 58, 5), "JPEG", icc_profile=bytes(60_000)),
        "b/on_its_side.png": encoded(smooth(40, 85, 6), "PNG", exif=turned(8)),
        "b/palette.png": encoded(palette, "PNG"),
        "b/bilevel.png": encoded(Image.fromarray(smooth(48, 48)[..., 1]).convert("1"), "PNG"),
        "b/picture.webp": encoded(smooth(52, 66, 7), "WEBP"),
        "c/picture.bmp": encoded(smooth(36, 68, 8), "BMP"),
        "c/picture.tif": encoded(smooth(39, 47, 9), "TIFF", compression="tiff_lzw"),
        "c/small.jpg": encoded(smooth(31, 90), "JPEG"),
        "c/turned_small.jpg": encoded(smooth(90, 31), "JPEG", exif=turned(5)),
    }


def write(folder, contents):
    for name, content in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def photographs(tmp_path, count=6, name="mine"):
    """Write JPEG files of a set; return them by name."""
    contents = {f"{number}.jpg": encoded(smooth(50, 60 + number, number), "JPEG") for number in range(count)}
    write(tmp_path / "own" / name, contents)
    return contents


def digest(patches, steps=(0, 1, 7), batch_size=16):
    return hashlib.sha256(b"".join(patches.batch(step, batch_size).tobytes() for step in steps)).hexdigest()


def stored_as_files(folder):
    write(folder / "mine", files())


def stored_as_a_zip_file(folder):
    folder = folder / "mine"
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / "mine.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files().items():
            archive.writestr(name, content)


def stored_as_arrays(folder):
    folder.mkdir(parents=True)
    x = np.stack([smooth(40, 50, number) for number in range(5)])
    np.savez(folder / "own.npz", x_mine=x)


# --- the same patches


@pytest.mark.parametrize("store", [stored_as_files, stored_as_a_zip_file, stored_as_arrays])
@pytest.mark.parametrize("many", [2, 2000], ids=["many", "few"])
def test_patches_of_decoded_pictures_are_those_of_pictures_in_memory(tmp_path, monkeypatch, store, many):
    store(tmp_path / "own")
    held = data.TrainingPatches(["mine", "synthetic"], 32, seed=3, augment=True)
    monkeypatch.setattr(limits, "data_memory", lambda: 1)
    monkeypatch.setattr(index, "MANY", many)
    for _ in range(2):  # the second time from the index that was kept
        stored = data.TrainingPatches(["mine", "synthetic"], 32, seed=3, augment=True)
        np.testing.assert_array_equal(stored.pictures.sizes, held.pictures.sizes)
        assert digest(stored) == digest(held) and stored.skipped == held.skipped
    for one, other in zip(stored.pictures, held.pictures, strict=True):
        np.testing.assert_array_equal(one, other)


# Of the implementation that held all pictures in memory.
TODAY = {
    "photographs": "b315412254b806940cb97c4241482ae81aef3c90eafd419771f49fca06d22555",
    "train400": "92038ce8056fc2d558f44ecc1e934cb663feace513ab72af479b9640303aa7f7",
    "kodak": "69d3b9bcfacd4d9576c5459d529da5b2ea34578ba1ecabab83034b8fc7b9a267",
    "zhao_mixedres": "d32593565e102f8573d0b004a6d0a69a46b95ad1fbf6c17b0e535ac95e6f1e42",
    "deshmukh_irm grey": "7fbe9fa6b2768950181fd1beb9b2146fa4817f96fef989016b39ab51788d9327",
    "deshmukh_irm srgan": "f84ad577fc3779e0423ee42032eb5d1205d2144af4bd305ff1a77982f0df7b27",
}


def deshmukh_digest(config):
    made = DeshmukhPatches(config, 3)
    return hashlib.sha256(made.batch(5, 16).tobytes() + made.validated().tobytes()).hexdigest()


def patches_digest(name):
    """Return the digest of patches that a training at scale small or medium, or Paka's, sees."""
    if name == "photographs":
        names = ("imagenet_sample", "bsds500/train", "bsds500/test")
        return digest(data.TrainingPatches(names, 256, 3, augment=True))
    if name == "train400":
        return digest(data.TrainingPatches(("train400",), 160, 3, augment=True))
    if name == "kodak":
        return digest(data.TrainingPatches(("kodak",), 256, 3, True, only=TRAINING_PICTURES, prepare=resized))
    if name == "zhao_mixedres":
        config = zhao_config.at_scale(zhao_config.LOW_QF10, "small")
        return hashlib.sha256(ZhaoPatches(config, 3).x.tobytes()).hexdigest()
    if name == "deshmukh_irm grey":
        return deshmukh_digest(deshmukh_config.at_scale(deshmukh_config.GREY, "small"))
    return deshmukh_digest(deshmukh_config.at_scale(deshmukh_config.SRGAN, "medium"))


@pytest.mark.slow
@pytest.mark.parametrize("mebibytes", [1, 1024], ids=["decoded", "in_memory"])
@pytest.mark.parametrize("name", TODAY)
def test_the_patches_of_the_trainings_that_were_shipped_are_what_they_were(name, mebibytes, monkeypatch):
    monkeypatch.setenv("RELIC_DATA", HERE or "")
    monkeypatch.setenv("RELIC_DATA_MEMORY", str(mebibytes))
    try:
        found = patches_digest(name)
    except RelicError as error:
        pytest.skip(f"a set is not here: {error}")
    assert found == TODAY[name]


def test_batches_that_several_threads_ask_for_are_those_of_one(tmp_path, no_memory):
    photographs(tmp_path)
    made = data.TrainingPatches(["mine"], 32, seed=0, augment=True)
    in_turn = [made.batch(step, 8) for step in range(12)]
    with ThreadPoolExecutor(6) as pool:
        at_once = list(pool.map(lambda step: made.batch(step, 8), reversed(range(12))))[::-1]
    np.testing.assert_array_equal(at_once, in_turn)


def test_named_and_prepared_pictures_are_the_same_decoded_or_in_memory(tmp_path, monkeypatch):
    photographs(tmp_path)
    make = functools.partial(
        data.TrainingPatches, ["mine"], 32, 0, True, only=("4", "1"), prepare=lambda image: image[::2]
    )
    monkeypatch.setattr(data.patches, "refuse_test_set", lambda name: pytest.fail("named ones are allowed"))
    with pytest.raises(RelicError, match="at least 32x32"):
        make()  # 25 rows are left of 50
    make = functools.partial(
        data.TrainingPatches, ["mine"], 32, 0, True, only=("4", "1"), prepare=lambda image: image[5:, ::-1]
    )
    held = make()
    assert held.pictures.sizes.tolist() == [[45, 64], [45, 61]]
    monkeypatch.setattr(limits, "data_memory", lambda: 1)
    assert digest(make()) == digest(held)


# --- what is left out, refused, broken


def test_what_is_smaller_than_a_patch_is_left_out_said_and_recorded(tmp_path, no_memory, capfd):
    write(tmp_path / "own" / "mine", files())
    made = data.TrainingPatches(["mine"], 32, seed=0, augment=False)
    assert made.skipped == {"mine": 2} and len(made.pictures) == len(files()) - 2
    assert made.about["left_out"] == {"mine": {"smaller than 32x32": 2}}
    assert capfd.readouterr().err == "mine: 2 of 13 pictures are smaller than 32x32 and are left out\n"


@pytest.mark.parametrize("memory", [1, 2**30], ids=["decoded", "in_memory"])
def test_pictures_in_cmyk_are_left_out_said_and_recorded(tmp_path, memory, monkeypatch, capfd):
    monkeypatch.setattr(limits, "data_memory", lambda: memory)
    photographs(tmp_path, 3)
    expected = digest(data.TrainingPatches(["mine"], 32, seed=0, augment=False))
    separations = Image.fromarray(smooth(40, 40)).convert("CMYK")
    write(tmp_path / "own" / "mine", {"0b.jpg": encoded(separations, "JPEG")})
    made = data.TrainingPatches(["mine"], 32, seed=0, augment=False)
    assert made.about["left_out"] == {"mine": {"refused": 1}} and digest(made) == expected
    assert "mine: 1 of 4 pictures are refused and left out, the first is 0b.jpg: its colours are CMYK" in (
        capfd.readouterr().err
    )


@pytest.mark.parametrize("many", [2, 2000], ids=["many", "few"])
def test_a_truncated_picture_is_named_by_the_step_that_meets_it_and_no_other_step_fails(
    tmp_path, no_memory, monkeypatch, many
):
    monkeypatch.setattr(index, "MANY", many)
    contents = photographs(tmp_path)
    whole = data.TrainingPatches(["mine"], 32, seed=0, augment=False)
    drawn = [whole.batch(step, 1) for step in range(20)]
    path = tmp_path / "own" / "mine" / "3.jpg"
    path.write_bytes(contents["3.jpg"][:-200])
    made = data.TrainingPatches(["mine"], 32, seed=0, augment=False)
    failed = 0
    for step in range(20):
        try:
            np.testing.assert_array_equal(made.batch(step, 1), drawn[step])
        except RelicError as error:
            failed += 1
            assert str(error).startswith(f"cannot read {path}: truncated or damaged")
    assert 0 < failed < 12


@pytest.mark.parametrize("many", [2, 2000], ids=["many", "few"])
def test_a_file_that_is_no_picture_is_named_before_the_first_step(tmp_path, no_memory, monkeypatch, many):
    monkeypatch.setattr(index, "MANY", many)
    photographs(tmp_path)
    write(tmp_path / "own" / "mine", {"5.jpg": b"\xff\xd8\xff\xe0 cut"})
    with pytest.raises(RelicError, match=r"cannot read .*mine/5.jpg: truncated or damaged"):
        data.TrainingPatches(["mine"], 32, seed=0, augment=False)


def test_a_picture_that_has_changed_since_the_start_is_named(tmp_path, no_memory):
    photographs(tmp_path, 1)
    made = data.TrainingPatches(["mine"], 32, seed=0, augment=False)
    write(tmp_path / "own" / "mine", {"0.jpg": encoded(smooth(50, 70), "JPEG")})
    with pytest.raises(RelicError, match="mine/0.jpg: it is 50x70 and was 50x60"):
        made.batch(0, 2)


@pytest.mark.parametrize("many", [2, 2000], ids=["many", "few"])
def test_a_test_picture_under_another_name_is_refused(tmp_path, no_memory, monkeypatch, many):
    monkeypatch.setattr(index, "MANY", many)
    coffee = Path(importlib.util.find_spec("skimage").origin).parent / "data" / "coffee.png"
    write(tmp_path / "own" / "mine", {**files(), "c/innocent.png": coffee.read_bytes()})
    for _ in range(2):
        with pytest.raises(RelicError, match="mine holds innocent, a picture that results are measured on"):
            data.TrainingPatches(["mine"], 32, seed=0, augment=False)


# --- what is known before the first step


def test_the_sizes_of_a_large_set_are_read_once_and_again_where_a_file_changes(tmp_path, no_memory, monkeypatch, capfd):
    monkeypatch.setattr(index, "MANY", 2)
    contents = photographs(tmp_path)

    def reads():
        made = data.TrainingPatches(["mine"], 32, seed=0, augment=False)
        assert [(50, 60 + number) for number in range(len(made.pictures))] == list(map(tuple, made.pictures.sizes))
        return "mine: reading the sizes of" in capfd.readouterr().err

    assert reads() and not reads()
    path = tmp_path / "own" / "mine" / "1.jpg"
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))
    assert reads() and not reads()
    path.rename(path.with_name("1b.jpg"))
    assert reads() and not reads()
    write(tmp_path / "own" / "mine", {"6.jpg": encoded(smooth(50, 66), "JPEG")})
    assert reads() and not reads()
    (kept,) = (tmp_path / "cache" / "sizes").iterdir()
    kept.write_bytes(kept.read_bytes()[:100])
    assert reads() and not reads()
    path.with_name("1b.jpg").write_bytes(contents["1.jpg"] + b"\0")
    assert reads() and not reads()


def test_where_sizes_cannot_be_kept_one_line_says_so(tmp_path, no_memory, monkeypatch, capfd):
    monkeypatch.setattr(index, "MANY", 2)
    photographs(tmp_path)
    write(tmp_path, {"cache": b"a file where a folder should be"})
    data.TrainingPatches(["mine"], 32, seed=0, augment=False).batch(0, 2)
    assert "mine: the sizes of its pictures cannot be kept and are read again next time (" in capfd.readouterr().err


def test_the_digest_of_a_large_set_is_one_of_paths_and_sizes_and_says_so(tmp_path, no_memory):
    contents = photographs(tmp_path)
    made = data.TrainingPatches(["mine"], 32, seed=0, augment=False)
    lines = "".join(f"{name}\t{len(content)}\n" for name, content in sorted(contents.items()))
    assert made.about["data"] == {"mine": f"sizes:{hashlib.sha256(lines.encode()).hexdigest()}"}


@pytest.mark.parametrize("value", ["0", "much", "-1", "1.5"])
def test_a_memory_that_is_no_number_is_refused(tmp_path, monkeypatch, value):
    photographs(tmp_path, 1)
    monkeypatch.setenv("RELIC_DATA_MEMORY", value)
    with pytest.raises(RelicError, match=f"RELIC_DATA_MEMORY='{value}' is not a number of MiB"):
        data.TrainingPatches(["mine"], 32, seed=0, augment=False)


def test_an_uncompressed_array_stays_on_the_disk(tmp_path, monkeypatch):
    monkeypatch.setenv("RELIC_DATA_MEMORY", "1")
    (tmp_path / "own" / "set").mkdir(parents=True)
    x = np.random.default_rng(0).integers(0, 256, (300, 96, 96, 3), np.uint8)
    np.savez(tmp_path / "own" / "set" / "set.npz", y=np.zeros(3), x_unlabelled=x)
    tracemalloc.start()
    try:
        made = data.TrainingPatches(["set/unlabelled"], 96, seed=0, augment=False)
        batch = made.batch(0, 8)
        assert tracemalloc.get_traced_memory()[1] < x.nbytes / 8
    finally:
        tracemalloc.stop()
    held = {picture.tobytes() for picture in x}
    assert len(made.pictures) == 300 and all(patch.tobytes() in held for patch in batch)
    np.testing.assert_array_equal(data.images("set/unlabelled")[7][1], x[7])
    x[3, 2, 1, 0] ^= 1
    np.savez(tmp_path / "own" / "set" / "set.npz", y=np.zeros(3), x_unlabelled=x)
    assert data.TrainingPatches(["set/unlabelled"], 96, seed=0, augment=False).digests != made.digests


# --- the processes


def test_the_processes_load_no_framework_and_not_the_main_module(tmp_path, no_memory):
    photographs(tmp_path, 2)
    data.TrainingPatches(["mine"], 32, seed=0, augment=False).batch(0, 2)
    (loaded,) = workers.shared_workers().map(eval, [lambda: ("sorted(__import__('sys').modules)",)])
    assert "common.data.pictures" in loaded
    assert not {name.split(".")[0] for name in loaded} & {
        *("tensorflow", "keras", "jax", "torch", "tensorflow_datasets", "pytest", "papers")
    }


def test_ctrl_c_and_a_polite_kill_of_the_whole_group_leave_the_processes_to_the_training(tmp_path, no_memory):
    photographs(tmp_path, 2)
    made = data.TrainingPatches(["mine"], 32, seed=0, augment=False)
    before = made.batch(0, 4)
    for process in workers.shared_workers().processes:
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
    np.testing.assert_array_equal(made.batch(0, 4), before)


def test_a_killed_process_ends_the_step_with_one_sentence_and_the_next_training_has_new_ones(tmp_path, no_memory):
    photographs(tmp_path, 2)
    made = data.TrainingPatches(["mine"], 32, seed=0, augment=False)
    before = made.batch(0, 64)
    workers.shared_workers().processes[0].kill()
    workers.shared_workers().processes[0].wait()
    for _ in range(3):  # and no later step goes on
        with pytest.raises(RelicError, match="a process that decodes pictures was killed"):
            made.batch(0, 64)
    again = data.TrainingPatches(["mine"], 32, seed=0, augment=False)
    np.testing.assert_array_equal(again.batch(0, 64), before)


PROGRAM = """
import sys, time
from common import data, limits
from common.data import workers
limits.data_memory = lambda: 1
data.TrainingPatches(["mine"], 32, seed=0, augment=False).batch(0, 4)
print(*(process.pid for process in workers.shared_workers().processes), flush=True)
time.sleep(float(sys.argv[1]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0, 60], ids=["ended", "killed"])
def test_no_process_outlives_the_training(tmp_path, seconds):
    photographs(tmp_path, 2)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-c", PROGRAM, str(seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as training:
        processes = [int(word) for word in training.stdout.readline().split()]
        if seconds:
            training.kill()
        training.wait(20)
    assert processes
    deadline = time.monotonic() + 10
    while any(map(is_running, processes)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(is_running, processes))


def is_running(process):
    try:
        return ") Z " not in Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False


def test_a_set_is_timed_by_a_command(tmp_path, no_memory, monkeypatch, capsys):
    photographs(tmp_path)
    command = ["data", "time", "mine", "--patch-size", "32", "--seconds", "0.2"]
    monkeypatch.setattr(sys, "argv", command)
    run_main(data_command.main)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("mine: 6 pictures, decoded in ")
    assert int(lines[1].split()[0]) > 0 and "patches of 32x32 a second" in lines[1]
    assert "MiB of memory at most" in lines[3]
    monkeypatch.setattr(sys, "argv", [*command[:-1], "0"])
    with pytest.raises(SystemExit, match="error: patches of 32x32 in 0.0 s cannot be timed"):
        run_main(data_command.main)
