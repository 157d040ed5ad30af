"""Deshmukh and Pollett's times: ratios against the numbers of the text, works that take turns, untrained codecs."""

import dataclasses

import numpy as np
import pytest
from narrow import picture

from common import backend
from common.tables import document as document_module
from common.tables import published, verdicts
from common.tables.command import Options
from experiments import speed_deshmukh
from papers.deshmukh_irm import config, huffman
from papers.deshmukh_irm.reproduction import speed
from papers.deshmukh_irm.reproduction.speed import (
    BASELINE,
    COMPRESSING,
    DECOMPRESSING,
    PLAIN,
    PROPOSED,
    SRGAN,
    TRAINING,
)
from papers.deshmukh_irm.reproduction.test_pictures import bicubic
from papers.deshmukh_irm.scaling import scaled_down

stack = pytest.mark.stack
TABLE = "deshmukh_irm/speed"


# --- published ratios ----------------------------------------------------------------------------------------------


def of_text(quantity, column):
    return published.load("deshmukh_irm/text").value(quantity, column)


def inverse(kind, one, other):
    """Return the ratio of times of two works whose speeds are printed."""
    return of_text(f"{kind}, {other}", "Speed") / of_text(f"{kind}, {one}", "Speed")


def test_published_ratios_are_the_quotients_of_the_texts_numbers():
    bicubic_ = "proposed with bicubic"
    expected = [
        of_text("Epoch, proposed", "Minutes") / of_text("Epoch, baseline", "Minutes"),
        1 - of_text("Less training by separable layers", "Share") / 100,
        inverse("Compression", "proposed", "baseline"),
        inverse("Decompression", "proposed", "baseline"),
        inverse("Decompression", bicubic_, "baseline"),
        inverse("Decompression", "proposed", bicubic_),
        1 - of_text("Less inference by separable layers", "Share") / 100,
    ]
    table = published.load(TABLE)
    assert table.rows == list(speed_deshmukh.ROWS)
    for row, value in zip(table.rows, expected, strict=True):
        assert verdicts.same_digits(value, table.printed(row, "Time")), row
    assert table.tolerances["Time"].around(1.0) == pytest.approx(0.2)


def test_the_networks_are_those_of_the_paper_and_only_smoke_has_others():
    for preset in speed.PRESETS.values():
        settings = speed.settings_of(preset, "exact")
        changed = {name for name, value in vars(settings).items() if value != getattr(preset, name)}
        assert changed == {"start", "batch_size", "patch_size"} and settings.num_maps == 64
        assert speed.settings_of(preset, "smoke").num_maps == 4


@pytest.mark.slow
@stack
def test_operations_are_those_of_complexity_and_the_srgan_has_more_than_the_irm():
    found = speed.operations("exact")
    assert set(found) == {(kind, work) for kind, works in WORKS.items() for work in works}
    ratios = {row: found[kind, one] / found[kind, other] for row, (kind, one, other) in speed_deshmukh.ROWS.items()}
    expected = [0.5832, 0.7095, 0.00568, 1.4257, 0.5915, 2.4105, 0.7095]
    assert list(ratios.values()) == pytest.approx(expected, rel=1e-3)


# --- works ---------------------------------------------------------------------------------------------------------


def codec_of(preset):
    return speed.untrained(speed.settings_of(preset, "smoke"), preset)


@pytest.mark.slow
@stack
@pytest.mark.parametrize("preset", [config.GREY, config.BASELINE_AS_WRITTEN], ids=["proposed", "baseline"])
def test_codes_of_untrained_networks_are_the_pictures_scaled_down(preset):
    codec, x = codec_of(preset), picture(40, 48, 1)
    code = codec.code(x)
    assert np.abs(code - scaled_down(x[..., None].astype(np.float32), 2)).max() <= 0.51
    data = codec.compress(x)
    assert len(data) > len(huffman.encode(code.ravel()))
    decoded = codec.decompress(data)
    assert decoded.shape == x.shape and np.abs(decoded.astype(int) - bicubic(x)[1]).mean() < 3


@pytest.mark.slow
@stack
def test_the_srgan_takes_part_in_decompressing_grey_pictures():
    enlarging = speed.untrained(speed.at_scale(config.SRGAN, "smoke"), config.SRGAN)
    codec, x = codec_of(config.GREY).with_settings(srgan=enlarging), picture(40, 48, 1)
    decoded = codec.decompress(codec.compress(x))
    assert decoded.shape == x.shape and decoded.dtype == np.uint8
    assert enlarging.digest != codec.digest


@pytest.mark.slow
def test_a_training_step_changes_the_weights(monkeypatch):
    trained = []
    build = speed.presets.build
    monkeypatch.setattr(speed.presets, "build", lambda *a, **k: trained.append(build(*a, **k)) or trained[-1])
    step = speed._step(dataclasses.replace(speed.settings_of(config.GREY, "smoke"), num_maps=2))
    kernel = trained[0].icm.get_layer("C3_conv").kernel
    before = backend.to_numpy(kernel).copy()
    step()
    assert np.abs(backend.to_numpy(kernel) - before).max() > 0


# --- measuring -----------------------------------------------------------------------------------------------------


def test_the_interval_of_a_median_leaves_out_what_a_fair_coin_seldom_gives():
    values = np.array([3.0, 9.0, 1.0, 5.0, 7.0, 2.0, 8.0, 6.0, 4.0])
    assert speed.interval_of_median(values[:5]) is None  # 2 / 32 of the cases are beyond all of them
    assert speed.interval_of_median(values[:6]) == (1.0, 9.0)  # 2 / 64
    assert speed.interval_of_median(values) == (2.0, 8.0)  # 20 / 512, and 92 / 512 one further in


@pytest.mark.parametrize("count", [6, 9, 15])
def test_the_interval_covers_the_median_in_at_least_95_percent_of_cases(count):
    draws = np.random.default_rng(count).exponential(size=(4000, count))
    intervals = np.array([speed.interval_of_median(values) for values in draws])
    inside = np.mean((intervals[:, 0] <= np.log(2)) & (np.log(2) <= intervals[:, 1]))
    assert 0.945 < inside < 0.985


# --- the table -----------------------------------------------------------------------------------------------------

# Seconds of each work, whatever it would have done.
WORKS = {
    TRAINING: {BASELINE: 2.0, PROPOSED: 1.5, PLAIN: 1.6},
    COMPRESSING: {BASELINE: 0.20, PROPOSED: 0.10, PLAIN: 0.10},
    speed.ALONE: {BASELINE: 0.12, PROPOSED: 0.02, PLAIN: 0.02},
    DECOMPRESSING: {BASELINE: 1.0, PROPOSED: 0.6, PLAIN: 0.7, SRGAN: 1.25},
}


@pytest.mark.slow
@stack
def test_the_table_compares_ratios_of_the_same_turn(monkeypatch):
    slower = np.array([1, 1, 3, 1, 1, 1, 1, 100, 1])  # of everything in some turns, by other programs

    def timed(works, rounds):
        assert rounds == len(slower)
        return {name: np.stack([slower * works[name], np.full(rounds, works[name])], axis=1) for name in works}

    monkeypatch.setattr(speed, "groups", lambda scale: {kind: lambda kind=kind: WORKS[kind] for kind in WORKS})
    monkeypatch.setattr(speed, "seconds", timed)
    monkeypatch.setattr(speed, "ROUNDS", len(slower))
    found = speed.reproduce(Options(TABLE, speed_deshmukh.ROWS, "exact"))
    document = document_module.join(TABLE, "exact", None, found)
    assert document_module.recompute(document) == document
    cells = [(cell["reproduced"], cell["verdict"]) for cell in document["cells"]]
    assert cells == [
        (0.75, "within"),
        (0.9375, "within"),
        (0.5, "differs"),
        (1.25, "within"),
        (0.6, "differs"),
        (2.083, "differs"),
        (0.8571, "within"),
    ]
    assert [one["verdict"] for one in document["claims"]] == ["holds"] * 6
    assert document["further"]["clock, median"][speed.ICM_ALONE] == pytest.approx(1 / 6, rel=1e-3)
    assert document["further"]["clock, greatest"]["training, baseline, s"] == 200
    assert document["further"]["multiply-accumulates"]["Training, proposed / baseline"] == 0.5832


def test_a_ratio_whose_turns_disagree_is_undecided():
    values = np.array([0.9, 1.1, 0.95, 1.05, 0.98, 1.02, 0.97, 1.03, 0.99])
    ratios = {row: np.stack([values, values], axis=1) for row in speed_deshmukh.ROWS}
    assert {one["verdict"] for one in speed.claims(ratios)} == {"undecided"}
