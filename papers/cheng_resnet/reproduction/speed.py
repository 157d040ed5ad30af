"""How long training takes, side by side: filter gradients as matrix products, and a chunk beside its steps."""

import dataclasses
import os
import time
from collections.abc import Mapping

import numpy as np

from common import convolutions
from common.tables.command import Options
from common.tables.document import Reproduction, claim
from common.timing import Stopwatch, Work, seconds
from common.training import loop, presets
from common.training.feed import Feed
from papers.cheng_resnet import config
from papers.cheng_resnet.config import Config, at_scale
from papers.cheng_resnet.model import Model

PRECISION = "float32"  # matrix products are for it; processors that multiply in bfloat16 train in that
LIBRARY, PRODUCTS = "TensorFlow's kernel", "matrix products"
SLACK = 1.1  # what a chunk may take, of the time from its first step to its last
NETWORKS = {"Hyperprior-5": config.HYPERPRIOR_5, "ResNet-3x3(4)-SubPixel": config.RESNET4_SUBPIXEL}


def reproduce(options: Options) -> Reproduction:
    """Time training steps with both filter gradients, and chunks of steps; judge the ratios."""
    reproduction = Reproduction()
    load = os.getloadavg()[0]
    smoke = options.scale == "smoke"
    rounds, filters, size = (2, 16, 64) if smoke else (7, 128, 128)
    rows: dict[str, dict[str, float]] = {}
    for name, preset in NETWORKS.items():
        settings = dataclasses.replace(at_scale(preset, "medium"), batch_size=2, distortion="mse")
        settings = dataclasses.replace(settings, num_filters=filters, patch_size=size)
        times = seconds(both_gradients(settings), rounds)
        ratio = float(np.median(times[LIBRARY][:, 0] / times[PRODUCTS][:, 0]))
        rows[f"training step of {name}"] = {**medians(times), "ratio": float(f"{ratio:.3g}")}
        text = f"With all its filter gradients as matrix products a training step of {name} is faster"
        reproduction.claims.append(claim(text, "above", 1.0, float(f"{ratio:.3g}")))
    shares = chunk_shares(dataclasses.replace(settings, num_filters=16, steps=1000), 4 if smoke else 8)
    share = float(f"{np.median(shares):.4g}")
    reproduction.claims.append(claim("A chunk of steps takes hardly longer than its steps", "below", SLACK, share))
    reproduction.further = {column: {row: of[column] for row, of in rows.items() if column in of} for column in COLUMNS}
    reproduction.notes = [*NOTES, f"Running or waiting programs in the minute before: {load:.1f} on average."]
    reproduction.provenance = {"precision": PRECISION, "load before": round(load, 2)}
    return reproduction


COLUMNS = (f"{LIBRARY} (ms)", f"{PRODUCTS} (ms)", "ratio")
NOTES = (
    "Two patches of 128x128 a step, 128 filters, float32; the two networks take turns, medians by the clock.",
    "Both filter gradients are equal to 1e-5 of their greatest value. Trainings use products on processors without "
    "AVX-512 alone, at stride 1; where the processor multiplies in bfloat16 they do so, with TensorFlow's kernels.",
    "A chunk: 20 steps of a narrow network from `fit` begins until it returns, over the time from its first step's "
    "beginning to its last one's end; TensorFlow's tuner once doubled it.",
)


def both_gradients(settings: Config) -> dict[str, Work]:
    """Return a training step of a network with TensorFlow's filter gradients, and one with matrix products."""
    size, batch = settings.patch_size, settings.batch_size
    x = np.random.default_rng(0).integers(0, 256, (batch, size, size, 3), dtype=np.uint8)
    inputs = {"x": x, "step": np.zeros(batch, np.int32)}
    library = presets.build(Model, settings, 0, PRECISION)
    products = presets.build(Model, settings, 0, PRECISION)
    for network, by_products in ((library, False), (products, True)):
        with convolutions.filter_gradients(by_products):
            network.train_on_batch(inputs)  # which traces it
    return {LIBRARY: lambda: library.train_on_batch(inputs), PRODUCTS: lambda: products.train_on_batch(inputs)}


def chunk_shares(settings: Config, chunks: int, steps: int = 20) -> np.ndarray:
    """Return how long chunks of a training take over their steps alone, without the first one, which compiles."""
    model = presets.build(Model, settings, 0, PRECISION)
    size = settings.patch_size

    def batch(step: int) -> dict[str, np.ndarray]:
        x = np.full((settings.batch_size, size, size, 3), step % 256, np.uint8)
        return {"x": x, "step": np.full(settings.batch_size, step, np.int32)}

    watch = Stopwatch()
    shares = []
    with Feed(batch, settings.steps) as feed:
        for chunk in range(chunks + 1):
            started = time.perf_counter()
            loop.fit_chunk(model, feed.take(chunk * steps, (chunk + 1) * steps), chunk * steps, [watch])
            shares.append((time.perf_counter() - started) / watch.seconds)
    return np.array(shares[1:])


def medians(times: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Return the median time of each work by the clock, in milliseconds."""
    return {f"{name} (ms)": float(f"{1e3 * np.median(values[:, 0]):.4g}") for name, values in times.items()}
