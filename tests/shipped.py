"""What the shipped weights do with the embedded pictures, and how it is compared with tests/golden/<preset>.json."""

import base64
import json
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import papers
from common import data, evaluate, metrics
from common.training import shipped as shipped_weights
from common.training import weights

GOLDEN = Path(__file__).parent / "golden"
FIRST = "chelsea"  # the smallest of the pictures
CUT = 64  # pixels a side of its corner, whose file is in the golden files


# Networks that are trained otherwise than another preset's, and are the same: they would show nothing new.
SAME_NETWORKS = {
    "cheng_resnet/": (
        "hyperprior_9",
        "hyperprior_9_msssim_lambda10",
        "resnet4_lambda10",
        "resnet4_subpixel_lambda10",
        "resnet4_subpixel_bottleneck192_lambda10",
    ),
    "zhao_mixedres/half_": ("jiang", "without_vcnn", "vcnn_on_z", "l2", "without_ssim", "interpolated"),
    "deshmukh_irm/grey_": ("penalty_literal", "without_penalty", "peak1", "images400", "stl10"),
}


def different_networks() -> list[str]:
    """Return the ids of the shipped presets without those that are another one's network, trained otherwise."""
    same = {f"{start}{end}" for start, ends in SAME_NETWORKS.items() for end in ends}
    return [model for model in presets() if model not in same]


def presets() -> list[str]:
    """Return the ids of the presets whose weights are shipped, smoke runs aside."""
    return [model for model in papers.all_presets() if shipped(model)]


def shipped(model: str) -> dict[str, Path]:
    """Return a preset's weights files by `<scale>/seed<k>`."""
    found = shipped_weights.shipped(*model.split("/"))
    return {f"{scale}/seed{seed}": path for scale, seed, path in found if scale != "smoke"}


def first_seeds(model: str) -> list[str]:
    """Return of every scale of a preset the weights of the lowest seed, as `<scale>/seed<k>`: these code pictures."""
    return list({key.split("/")[0]: key for key in reversed(shipped(model))}.values())


def smallest(model: str) -> str:
    """Return which weights of a preset are the smallest: what every stack can code a photograph with in seconds."""
    paths = shipped(model)
    return min(first_seeds(model), key=lambda key: paths[key].stat().st_size)


@cache
def pictures() -> dict[str, np.ndarray]:
    """Return the embedded photographs by name."""
    return dict(data.images("sample"))


def cut() -> np.ndarray:
    """Return the corner of the first picture that golden files hold coded."""
    return np.ascontiguousarray(pictures()[FIRST][:CUT, :CUT])


def codec_of(stored: weights.Weights) -> Any:
    """Return the codec of weights in memory."""
    return import_module(f"papers.{stored.model.split('/')[0]}.codec").Codec(stored)


def measure(codec: Any, name: str) -> dict[str, float]:
    """Return counted bpp and PSNR of one embedded picture."""
    measured = evaluate.measure(codec, pictures()[name], name, ())
    return {"bpp": round(measured.bpp, 6), "psnr": round(measured.psnr, 4)}


def measure_all(model: str) -> dict[str, dict[str, Any]]:
    """Return what a preset's golden file holds of each weights file: of further seeds the digest alone."""
    first = first_seeds(model)
    return {key: measure_file(path, key in first) for key, path in shipped(model).items()}


def measure_file(path: Path, codes: bool) -> dict[str, Any]:
    """Return the digest of a weights file and, where it codes, every picture's numbers and one coded picture."""
    stored = weights.load(path)
    if not codes:
        return {"weights": stored.digest.hex()}
    codec = codec_of(stored)
    file = codec.compress(cut())
    psnr = round(metrics.psnr(cut(), codec.decompress(file)), 4)
    numbers = {name: measure(codec, name) for name in pictures()}
    coded = {"file": base64.b64encode(file).decode(), "psnr": psnr}
    return {"weights": stored.digest.hex(), "pictures": numbers, "cut": coded}


def golden_of(model: str) -> dict[str, Any]:
    """Return a preset's golden file; fail the test where there is none."""
    path = GOLDEN / f"{model}.json"
    if not path.exists():
        pytest.fail(f"no tests/golden/{model}.json: run pytest -m regression --update-golden and commit it")
    return json.loads(path.read_text())


def differences(expected: dict[str, Any], measured: dict[str, Any], bpp_share: float, psnr_db: float) -> list[str]:
    """List the numbers of pictures in `measured` that are further from those expected than the tolerance."""
    found = []
    for name, numbers in measured.items():
        golden = expected[name]
        if abs(numbers["bpp"] - golden["bpp"]) > bpp_share * golden["bpp"]:
            found.append(f"{name}: {numbers['bpp']} bpp, not {golden['bpp']}")
        if not abs(numbers["psnr"] - golden["psnr"]) <= psnr_db:
            found.append(f"{name}: {numbers['psnr']} dB, not {golden['psnr']}")
    return found
