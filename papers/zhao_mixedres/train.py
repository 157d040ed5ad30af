"""Alternating learning of Zhao et al., Section 2.3: PPNN, VCNN and FDNN in turn, with JPEG round trips between them."""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from common import backend, metrics
from common.data.pictures import to_uint8
from common.training import loop, presets, runs, timing
from common.training.phases import fit_parts
from common.training.ship import ship
from papers.zhao_mixedres import config as config_module
from papers.zhao_mixedres.config import Config
from papers.zhao_mixedres.learning import FDNN, PPNN, VCNN, Networks, SubProblem
from papers.zhao_mixedres.patches import Patches
from papers.zhao_mixedres.standard_codec import coded, standard_codec

BATCH = 64  # patches that a network is applied to at once
REPORTED = 16  # whole training pictures that are coded after each alternation


@dataclasses.dataclass(frozen=True)
class Part:
    """One sub-problem of one alternation, counted from 1."""

    alternation: int
    network: str

    @property
    def name(self) -> str:
        """Name the part's checkpoint."""
        return f"{self.alternation}_{self.network}"


def parts(config: Config) -> list[Part]:
    """Return the parts of a training in their order: P1, P2, P3 in every alternation, then P1 for the last FDNN."""
    turn = [PPNN, VCNN, FDNN] if config.through == VCNN else [PPNN, FDNN]
    turns = [Part(i + 1, network) for i in range(config.alternations) for network in turn]
    return [*turns, Part(config.alternations + 1, PPNN)]


def build(config: Config, seed: int, precision: str | None = None) -> Networks:
    """Return the networks as learning starts; precision defaults to the fastest here."""
    return presets.initialised(lambda settings, _: Networks(settings), config, seed, precision)


def train(config: Config, run: runs.Run) -> tuple[Any, dict[str, Any]] | None:
    """Train the networks of one codec; return them with what run.json says of that, or None when time ran out first."""
    patches = Patches(config, run.seed)
    networks = build(config, run.seed, run.precision)
    plan, reports = parts(config), []

    def fit_part(index: int, own: runs.Run) -> tuple[bool, list[dict[str, Any]]]:
        part = plan[index]
        model = sub_problem(config, networks, part.network)
        batch = batches(config, networks, patches, part, (run.seed, index))
        finished, _, rows = loop.fit(model, config, batch, own)
        if part.network == PPNN and finished:
            reports.append(report(config, networks, patches.pictures[:REPORTED]))
        return finished, [{**row, "network": part.network, "alternation": part.alternation} for row in rows]

    log = fit_parts(run, [part.name for part in plan], fit_part)
    if log is None:
        return None
    about = {"steps": log[-1]["step"], "training_seconds": log[-1]["seconds"], **patches.about}
    return networks, {**about, "alternations": reports, "log": log}


def sub_problem(config: Config, networks: Networks, name: str) -> SubProblem:
    """Return the compiled model that trains one of the networks, with an optimizer of its own."""
    return presets.compiled(SubProblem(config, networks, name), config)


# --- what the networks learn from ----------------------------------------------------------------------------------


def batches(
    config: Config, networks: Networks, patches: Patches, part: Part, seed: tuple[int, int]
) -> Callable[[int], dict[str, np.ndarray]]:
    """Return the inputs of a step, which depend on seed, part and step alone; every epoch sees each patch once."""
    material: list[tuple[np.ndarray, np.ndarray]] = []

    def batch(step: int) -> dict[str, np.ndarray]:
        if not material:  # a part that is complete needs none
            material.append(pairs(config, networks, patches.x, part.network))
        source, target = material[0]
        chosen = order(len(target), config.batch_size, seed, step)
        return {"source": source[chosen], "target": target[chosen]}

    return batch


def order(count: int, batch_size: int, seed: tuple[int, int], step: int) -> np.ndarray:
    """Return which of `count` patches a step takes: the next of a permutation, a new one for every epoch."""
    in_epoch = count // batch_size
    permutation = np.random.Generator(np.random.Philox(np.random.SeedSequence((*seed, step // in_epoch))))
    return permutation.permutation(count)[step % in_epoch * batch_size :][:batch_size]


def pairs(config: Config, networks: Networks, x: np.ndarray, network: str) -> tuple[np.ndarray, np.ndarray]:
    """Return (source, target) of a sub-problem for patches x, uint8 (N, P, P), with the networks as they are now.

    PPNN: z and x. VCNN: y, or z where the config says so, and PPNN's output, float16. FDNN: x and x.
    """
    if network == FDNN:
        return x, x
    y = to_uint8(apply(networks.fdnn, x))
    z = coded(standard_codec(config), y)
    if network == PPNN:
        return z, x
    return (y if config.vcnn_input == "y" else z), apply(networks.ppnn, z).astype(np.float16)


def apply(network: Any, pictures: np.ndarray) -> np.ndarray:
    """Return a network's outputs, float32 (N, H', W') in about [0, 1], for uint8 (N, H, W)."""
    forward = backend.compiled(lambda x: network(x, training=False), [network])
    chunks = [pictures[i : i + BATCH, :, :, None] for i in range(0, len(pictures), BATCH)]
    return np.concatenate([forward(chunk.astype(np.float32) / 255)[..., 0] for chunk in chunks])


def report(config: Config, networks: Networks, pictures: list[np.ndarray]) -> dict[str, float]:
    """Return mean PSNR (dB) and rate (bits of the standard codec's files per pixel) of whole training pictures."""
    codec, stride = standard_codec(config), config.stride
    rates, levels = [], []
    for picture in pictures:
        x = picture[: len(picture) // stride * stride, : picture.shape[1] // stride * stride]
        file = codec.compress(to_uint8(apply(networks.fdnn, x[None]))[0])
        x_hat = to_uint8(apply(networks.ppnn, codec.decompress(file)[None]))[0]
        rates.append(metrics.bits_per_pixel(len(file), *x.shape))
        levels.append(metrics.psnr(x, x_hat))
    return {"psnr": round(float(np.mean(levels)), 4), "bpp": round(float(np.mean(rates)), 6)}


# --- from settings to weights --------------------------------------------------------------------------------------


def train_preset(preset: str, scale: str, seed: int = 0, **options: Any) -> bool:
    """Train a preset and ship it; return whether it is finished. As `common.training.train_preset`."""
    return presets.train_preset(config_module, train, ship, preset, scale, seed, **options)


def _alone(config: Config, precision: str | None, name: str) -> SubProblem:
    return sub_problem(config, build(config, 0, precision), name)


def loops(config: Config, precision: str | None = None) -> list[timing.Loop]:
    """Return the loops of steps of a training, to be timed; what makes the patches of a sub-problem is none."""
    size, batch = config.patch_size, config.batch_size
    # Not what decides how long a step takes: the standard codec, and which differences the losses take.
    like = (config.stride, config.num_maps, size, batch)

    def one(part: Part) -> timing.Loop:
        source = size if part.network == FDNN else size // config.stride
        shapes = {"source": (batch, source, source), "target": (batch, size, size)}
        model = partial(_alone, config, precision, part.network)
        return timing.Loop((part.network, *like), config.steps, shapes, model)

    return [one(part) for part in parts(config)]
