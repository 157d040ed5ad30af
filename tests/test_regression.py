"""Shipped weights code the embedded pictures as they did when tests/golden was written (`pytest --update-golden`)."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import shipped

from common.training import weights

pytestmark = pytest.mark.regression

BPP_SHARE, PSNR_DB = 0.005, 0.02
MODELS = shipped.presets()


@pytest.mark.parametrize("model", MODELS)
def test_a_shipped_preset_codes_the_embedded_pictures_as_it_did(model, golden):
    measured = shipped.measure_all(model)
    expected = golden(model, measured)
    assert set(measured) == set(expected)
    for key, values in measured.items():
        assert values["weights"] == expected[key]["weights"], f"{model} {key} is not the file tests/golden is of"
        if key not in shipped.first_seeds(model):
            continue
        assert len(values["pictures"]) == len(expected[key]["pictures"]) == 3
        assert shipped.differences(expected[key]["pictures"], values["pictures"], BPP_SHARE, PSNR_DB) == []


LAST_LAYERS = {
    "analysis_transform": ("/E4_conv4/kernel", "/conv4/kernel"),
    "synthesis_transform": ("/D4_out/kernel", "/Tconv4/kernel"),
}


@pytest.mark.parametrize("transform", LAST_LAYERS)
def test_changing_one_weight_fails_the_comparison(transform):
    """The largest weight of a transform's last layer becomes eight times as large, of the other sign: wrong bits."""
    key = shipped.smallest(MODELS[0])
    path = shipped.shipped(MODELS[0])[key]
    expected = shipped.golden_of(MODELS[0])[key]["pictures"]
    stored = weights.load(path)
    (name,) = (transform + layer for layer in LAST_LAYERS[transform] if transform + layer in stored.arrays)
    changed = stored.arrays[name].copy()
    changed.flat[np.abs(changed).argmax()] *= -8
    assert (changed != stored.arrays[name]).sum() == 1
    codec = shipped.codec_of(dataclasses.replace(stored, arrays={**stored.arrays, name: changed}))
    measured = {shipped.FIRST: shipped.measure(codec, shipped.FIRST)}
    assert shipped.differences(expected, measured, BPP_SHARE, PSNR_DB) != []


@pytest.mark.parametrize(
    "bpp, psnr, count",
    [(1.0, 30.0, 0), (1.0049, 29.981, 0), (1.0051, 30.0, 1), (0.9949, 30.0, 1), (1.0, 30.021, 1), (2.0, np.nan, 2)],
)
def test_the_comparison_allows_half_a_percent_of_rate_and_a_fiftieth_of_a_decibel(bpp, psnr, count):
    expected = {"a": {"bpp": 1.0, "psnr": 30.0}, "b": {"bpp": 0.1, "psnr": 20.0}}
    measured = {"a": {"bpp": bpp, "psnr": psnr}, "b": {"bpp": 0.1, "psnr": 20.0}}
    assert len(shipped.differences(expected, measured, BPP_SHARE, PSNR_DB)) == count


def test_weights_are_shipped_and_every_golden_file_has_its_weights():
    assert MODELS, "no weights below results/models: train a preset or restore them"
    papers = {model.split("/")[0] for model in MODELS}
    files = [path for paper in papers for path in (shipped.GOLDEN / paper).glob("*.json")]
    assert {f"{path.parent.name}/{path.stem}" for path in files} == set(MODELS)


def test_without_shipped_weights_this_test_file_fails(tmp_path):
    environment = {**os.environ, "RELIC_RESULTS": str(tmp_path), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    chosen = f"{Path(__file__)}::test_weights_are_shipped_and_every_golden_file_has_its_weights"
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-m", "regression", chosen]
    result = subprocess.run(command, env=environment, cwd=Path(__file__).parents[1], capture_output=True, text=True)
    assert result.returncode == 1 and "no weights below results/models" in result.stdout
