"""Weights files: what goes in comes out, and whatever is damaged or belongs elsewhere is refused with one sentence."""

import contextlib
import dataclasses
import hashlib
import json
import types

import numpy as np
import pytest
from safetensors.numpy import save as serialise
from test_container import mutations

from common import files
from common.config import restored
from common.errors import RelicError
from common.tables import networks
from common.training import runs, shipped, weights


@dataclasses.dataclass(frozen=True)
class Config:
    width: int = 3
    drops: tuple = ((0.5, 0.1),)


ARRAYS = {
    "body/dense/kernel": np.linspace(-2, 2, 3, dtype=np.float32)[:, None] / 3,
    "body/dense/bias": np.array([65504.0], np.float32),
}
INTEGERS = {
    "prior/frequencies": np.array([60000, 5536], np.uint16),
    "prior/lengths": np.array([2], np.int32),
    "priority/offsets": np.array([-1], np.int32),
}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "seed0" / "weights.safetensors"
    weights.save(path, "paper/preset", Config(), ARRAYS, INTEGERS)
    return path


def refusal(path):
    """Return the sentence that refuses to load a file."""
    with pytest.raises(RelicError) as caught:
        weights.load(path)
    sentence = str(caught.value)
    assert str(path) in sentence and "\n" not in sentence
    return sentence


def note_digest(path):
    """Write the run.json that a training puts beside its weights."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    files.write_json(path.parent / "run.json", {"weights_sha256": digest})


def test_weights_come_back_as_float16_and_integers_as_they_were(path):
    stored = weights.load(path)
    assert (stored.path, stored.model) == (path, "paper/preset")
    assert set(stored.arrays) == set(ARRAYS) and set(stored.integers) == set(INTEGERS)
    for name, array in ARRAYS.items():
        assert stored.arrays[name].dtype == np.float16
        np.testing.assert_array_equal(stored.arrays[name], array.astype(np.float16))
    for name, array in INTEGERS.items():
        assert stored.integers[name].dtype == array.dtype
        np.testing.assert_array_equal(stored.integers[name], array)
    weights.check_config(stored, Config())


def test_a_part_of_the_integers_is_what_lies_below_its_name_alone(path):
    assert set(weights.load(path).part("prior")) == {"frequencies", "lengths"}
    assert weights.load(path).part("prio") == {}


def test_the_digest_is_that_of_the_file_and_the_same_for_the_same_weights(path, tmp_path):
    again = weights.save(tmp_path / "again.safetensors", "paper/preset", Config(), ARRAYS, INTEGERS)
    assert again == hashlib.sha256(path.read_bytes()).hexdigest()
    assert weights.load(path).digest == bytes.fromhex(again)[:8]


def test_strided_integers_are_stored_in_their_order(tmp_path):
    columns = np.arange(12, dtype=np.int32).reshape(3, 4).T
    weights.save(tmp_path / "w.safetensors", "paper/preset", Config(), {}, {"a/b": columns})
    np.testing.assert_array_equal(weights.load(tmp_path / "w.safetensors").integers["a/b"], columns)


@pytest.mark.parametrize("value", [np.nan, np.inf, 65520.0, -1e30])
def test_weights_that_float16_cannot_hold_are_refused_by_name_and_nothing_is_written(value, tmp_path):
    arrays = {**ARRAYS, "body/dense/bias": np.array([value], np.float32)}
    with pytest.raises(RelicError, match="body/dense/bias.*diverged"):
        weights.save(tmp_path / "w.safetensors", "paper/preset", Config(), arrays, {})
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_not_there_is_refused(tmp_path):
    assert "no weights at" in refusal(tmp_path / "weights.safetensors")
    assert "no weights at" in refusal(tmp_path)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00",
        b"\x89PNG\r\n\x1a\n" + bytes(100),
        b"plain text, long enough to be more than a length",
        (2).to_bytes(8, "little") + b"{}",
        (2).to_bytes(8, "little") + b"[]",
        (4).to_bytes(8, "little") + b"null",
        (20).to_bytes(8, "little") + b'{"__metadata__":{}} ',
    ],
)
def test_a_file_that_holds_no_weights_is_refused(data, tmp_path):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(data)
    assert "damaged weights" in refusal(path)


def test_a_truncated_file_is_refused_wherever_it_was_cut(path):
    data = path.read_bytes()
    for length in [*range(0, len(data), 37), len(data) - 1]:
        path.write_bytes(data[:length])
        assert "damaged weights" in refusal(path)


def test_any_flipped_bit_is_refused_by_the_digest_in_run_json(path):
    note_digest(path)
    weights.load(path)
    data = path.read_bytes()
    rng = np.random.RandomState(0)
    for position in rng.randint(0, len(data), 60):
        damaged = bytearray(data)
        damaged[position] ^= 1 << rng.randint(8)
        path.write_bytes(damaged)
        assert "sha256" in refusal(path)


def test_without_run_json_a_flipped_bit_never_ends_in_anything_but_a_sentence(path):
    data = path.read_bytes()
    refused = 0
    for position in range(len(data)):
        path.write_bytes(data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :])
        try:
            weights.load(path)
        except RelicError as error:
            refused += str(path) in str(error)
    assert refused > 50


NO_RUN = {
    "no object": b"[]",
    "a number": b"5",
    "null": b"null",
    "cut": b"{",
    "nested": b"[" * 100_000,
    "not UTF-8": b'{"weights_sha256": "\xff"}',
    "UTF-16": '{"weights_sha256": "ab"}'.encode("utf-16"),
    "no digest": b"{}",
    "a digest that is a number": b'{"weights_sha256": 5}',
}


@pytest.mark.parametrize("run", NO_RUN)
def test_an_unreadable_run_json_does_not_hide_good_weights_but_one_line_says_so_once(run, path, capsys):
    (path.parent / "run.json").write_bytes(NO_RUN[run])
    for _ in range(2):
        assert weights.load(path).model == "paper/preset"
    assert capsys.readouterr().err == f"note: {path} was not verified, as its run.json names no sha256 for it\n"


def test_verified_weights_are_loaded_without_a_word_and_those_without_a_run_json_with_one_line(path, capsys):
    weights.load(path)
    assert capsys.readouterr().err == f"note: {path} was not verified, as its run.json is not there\n"
    note_digest(path)
    weights.load(path)
    assert capsys.readouterr().err == ""


def forged(path, arrays, metadata):
    """Write a safetensors file whose digest is the one in run.json, whatever it holds."""
    path.write_bytes(serialise(arrays, metadata))
    note_digest(path)


METADATA = {"model": "paper/preset", "config": "{}"}
HALF = ARRAYS["body/dense/bias"].astype(np.float16)


@pytest.mark.parametrize(
    "arrays, words",
    [
        ({"a/kernel": np.array([1, np.nan], np.float16)}, "a/kernel is not finite"),
        ({"a/kernel": HALF, "b/kernel": np.array([[-np.inf]], np.float16)}, "b/kernel is not finite"),
        ({"a/kernel": np.array([1, 2], np.int16)}, "a/kernel is int16, not float16"),
        ({"a/kernel": np.array([1, 2], np.float32)}, "a/kernel is float32, not float16"),
        ({"a/kernel": np.array([True])}, "a/kernel is bool, not float16"),
        ({"a/kernel": HALF, "integers/prior/lengths": HALF}, "prior/lengths is float16, not integers"),
    ],
)
def test_arrays_that_no_training_writes_are_refused_by_name_although_the_digest_is_right(arrays, words, path):
    forged(path, arrays, METADATA)
    assert f"damaged weights {path}: {words}: restore the file" in refusal(path)


@pytest.mark.parametrize(
    "metadata",
    [
        {"config": "{}"},
        {"model": "paper/preset"},
        {**METADATA, "config": "["},
        {**METADATA, "config": "[]"},
        {**METADATA, "config": "null"},
        {**METADATA, "config": "[" * 100_000},
    ],
)
def test_metadata_of_another_shape_are_refused_although_the_digest_is_right(metadata, path):
    forged(path, {"a/kernel": HALF}, metadata)
    assert "damaged weights" in refusal(path)


@pytest.mark.parametrize(
    "header", [b"5", b"[]", b'{"__metadata__": []}', b'{"__metadata__": {"model": 5}}', b"[" * 9999]
)
def test_a_header_of_another_shape_is_refused(header, path):
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    assert "damaged weights" in refusal(path)


def test_two_hundred_random_mutations_of_a_weights_file_end_in_one_sentence_or_in_sound_weights(path):
    """Of its header and its numbers, whose digest is noted anew each time, as by someone who means it."""
    data, rng, refused = path.read_bytes(), np.random.default_rng(0), 0
    for changed, _ in zip(mutations(data, rng), range(200), strict=False):
        path.write_bytes(changed)
        note_digest(path)
        try:
            stored = weights.load(path)
        except RelicError as error:
            refused += 1
            assert str(path) in str(error) and "\n" not in str(error)
        else:
            assert all(array.dtype == np.float16 and np.isfinite(array).all() for array in stored.arrays.values())
            assert all(array.dtype.kind in "iu" for array in stored.integers.values())
    assert refused > 100


def test_three_hundred_random_mutations_of_a_run_json_change_nothing_or_end_in_one_sentence(results):
    run = runs.Run("paper", "preset", "small", 2)
    beside = run.shipped / "run.json"
    digest = hashlib.sha256(shipped_path("small", 2).read_bytes()).hexdigest()
    said = {"config": {"width": 3}, "steps": 5, "training_seconds": 1.5, "weights_sha256": digest}
    files.write_json(beside, said)
    data, rng = beside.read_bytes(), np.random.default_rng(0)
    for changed, _ in zip(mutations(data, rng), range(300), strict=False):
        beside.write_bytes(changed)
        for read in (lambda: shipped.about(run)["steps"] + 1, lambda: weights.load(shipped_path("small", 2))):
            with contextlib.suppress(RelicError):
                read()


WRONG_FIELDS = {
    "a word": {"width": "three"},
    "a list": {"width": [3]},
    "null": {"width": None},
    "a bool": {"width": True},
    "a float": {"width": 3.5},
    "no list": {"drops": 5},
}


@pytest.mark.parametrize("fields", WRONG_FIELDS.values(), ids=WRONG_FIELDS)
def test_a_config_of_other_types_is_refused_with_the_file_and_the_field(fields):
    (name,) = fields
    with pytest.raises(RelicError, match=rf"there\.safetensors has a wrong config \({name} is .*: restore the file"):
        restored(Config, fields, "there.safetensors")
    assert restored(Config, {"width": 4, "drops": [[1, 2]], "gone": 5}, "") == Config(4, ((1, 2),))


def test_weights_of_another_config_are_refused_by_the_fields_that_differ(path):
    with pytest.raises(RelicError, match=r"weights\.safetensors.*\(drops, width differ\)"):
        weights.check_config(weights.load(path), Config(width=4, drops=()))


# --- finding -------------------------------------------------------------------------------------------------------


@pytest.fixture
def results(tmp_path, monkeypatch):
    """Return a folder of results with three weights files of one preset, each with other numbers."""
    monkeypatch.setenv("RELIC_RESULTS", str(tmp_path))
    for number, (scale, seed) in enumerate([("small", 10), ("small", 2), ("smoke", 0)]):
        arrays = {"a": np.array([number], np.float32)}
        weights.save(shipped_path(scale, seed), "paper/preset", Config(), arrays, {})
    return tmp_path


def shipped_path(scale, seed):
    return runs.Run("paper", "preset", scale, seed).shipped / "weights.safetensors"


def test_weights_are_listed_from_the_best_scale_and_the_lowest_seed(results):
    assert [(scale, seed) for scale, seed, _ in shipped.shipped("paper", "preset")] == [
        ("small", 2),
        ("small", 10),
        ("smoke", 0),
    ]
    assert shipped.shipped("paper", "other") == []
    (results / "models" / "small" / "paper" / "preset" / "seed_x").mkdir()
    (results / "models" / "small" / "paper" / "preset" / "seed_x" / "weights.safetensors").write_bytes(b"")
    assert len(shipped.shipped("paper", "preset")) == 3


def test_choosing_takes_the_best_scale_and_the_lowest_seed_unless_told(results):
    assert shipped.choose("paper", "preset") == shipped_path("small", 2)
    assert shipped.choose("paper", "preset", "smoke") == shipped_path("smoke", 0)
    assert shipped.choose("paper", "preset", seed=10) == shipped_path("small", 10)
    assert shipped.choose("paper", "preset", seed=0) == shipped_path("smoke", 0)


def test_choosing_what_is_not_there_says_what_is_and_how_to_train_it(results):
    with pytest.raises(RelicError) as caught:
        shipped.choose("paper", "preset", "medium", 3)
    for words in (
        "paper/preset at scale medium seed 3",
        "there is: small seed 2, small seed 10, smoke seed 0",
        "relic train paper/preset --scale medium",
    ):
        assert words in str(caught.value)
    with pytest.raises(RelicError, match=r"there is: nothing.*relic train paper/other --scale small"):
        shipped.choose("paper", "other")
    with pytest.raises(RelicError, match="unknown scale 'huge': choose one of smoke, small, medium, paper"):
        shipped.choose("paper", "preset", "huge")


def test_shipped_weights_have_the_scale_and_seed_of_their_place(results):
    found = [weights.load(path) for _, _, path in shipped.shipped("paper", "preset")]
    assert [(stored.scale, stored.seed) for stored in found] == [("small", 2), ("small", 10), ("smoke", 0)]


def test_weights_are_found_by_the_digest_that_a_coded_picture_names(results):
    for scale, seed in [("small", 10), ("small", 2), ("smoke", 0)]:
        digest = hashlib.sha256(shipped_path(scale, seed).read_bytes()).digest()[:8]
        assert shipped.find("paper/preset", digest) == shipped_path(scale, seed)


def test_weights_that_name_another_preset_are_refused_where_they_code_and_where_they_decode(results):
    path = shipped_path("small", 2)
    weights.save(path, "paper/other", Config(), {"a": np.array([7.0], np.float32)}, {})
    module = types.ModuleType("papers.paper.config")
    vars(module).update(Config=Config, PRESET=Config(), at_scale=lambda config, scale: config)
    sentence = f"{path} holds weights of 'paper/other', not of paper/preset: restore the file"
    with pytest.raises(RelicError) as caught:
        shipped.of_preset(module, "preset")
    assert str(caught.value) == sentence
    with pytest.raises(RelicError) as caught:
        shipped.of_digest("paper/preset", weights.load(path).digest)
    assert str(caught.value) == sentence
    assert shipped.of_preset(module, "preset", seed=10).path == shipped_path("small", 10)


@pytest.mark.parametrize("content", [b"[]", b"{", b"{}", b"[" * 100_000, b"\xff"])
def test_a_run_json_of_another_shape_is_one_sentence_where_its_training_is_asked_for(content, results):
    run = runs.Run("paper", "preset", "small", 2)
    (run.shipped / "run.json").write_bytes(content)
    with pytest.raises(RelicError, match=r"run\.json (holds no JSON|has no proper 'config').*: restore it, or remove"):
        shipped.about(run)


def test_a_table_names_stack_backend_precision_and_device_of_its_trainings_as_far_as_their_run_json_does(
    results, monkeypatch
):
    said = {"config": {}, "steps": 5, "training_seconds": 1.5, "weights_sha256": "ab" * 32}
    said.update({"stack": "tfc", "backend": "tensorflow", "device": "CPU"})
    newer = {**said, "stack": "keras3", "backend": "jax", "device": "NVIDIA H200", "precision": "bfloat16"}
    files.write_json(runs.Run("paper", "preset", "small", 2).shipped / "run.json", said)
    files.write_json(runs.Run("paper", "preset", "small", 10).shipped / "run.json", newer)
    monkeypatch.setattr(networks, "preset_of", lambda config: ("paper", "preset"))
    older = networks.made_by(Config(), "small", [2])
    assert "precision" not in older and (older["stack"], older["device"]) == ("tfc", "CPU")
    both = networks.made_by(Config(), "small", [2, 10])
    assert (both["stack"], both["backend"]) == ("tfc and keras3", "tensorflow and jax")
    assert (both["precision"], both["device"]) == ("bfloat16", "CPU and NVIDIA H200")
    assert list(both)[-5:] == ["stack", "backend", "precision", "device", "weights"]


def test_replaced_weights_are_not_taken_for_the_old_ones(results):
    path = shipped_path("small", 2)
    old = weights.load(path).digest
    assert shipped.find("paper/preset", old) == path
    weights.save(path, "paper/preset", Config(), {"a": np.array([7.0], np.float32)}, {})
    assert shipped.find("paper/preset", weights.load(path).digest) == path
    with pytest.raises(RelicError, match=f"{old.hex()} of paper/preset, which are not here"):
        shipped.find("paper/preset", old)


def test_the_config_in_the_file_is_readable_without_this_program(path):
    data = path.read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    assert json.loads(header["__metadata__"]["config"]) == {"width": 3, "drops": [[0.5, 0.1]]}
