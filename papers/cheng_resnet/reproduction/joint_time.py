"""What Joint gives and takes beside HyperPrior-5: rate and quality on the test set, and times of coding as ratios.

Section 2.1 calls Joint's sequential decoding extremely time-consuming when the picture becomes larger. Times are of
both codecs in one run, taking turns, and of Joint in the two orders of `papers.cheng_resnet.joint`: fronts, in which
its files are, and raster order, as the paper has it. HyperPrior-5 is as wide and but for the context the same network.
"""

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np

from common.tables import measure, networks, published
from common.tables.command import Options
from common.tables.document import Reproduction, claim
from common.tables.test_pictures import pictures_of
from common.timing import Work, seconds
from papers.cheng_resnet import config, joint
from papers.cheng_resnet.codec import Codec
from papers.cheng_resnet.config import Config

SIZES = ((256, 256), (512, 768), (1024, 1536))  # heights and widths, the last one six and twenty-four times the first
SMOKE_SIZES = ((64, 64), (128, 128))
ROUNDS, SMOKE_ROUNDS = 3, 1
HYPERPRIOR, FRONTS, RASTER = "HyperPrior-5", "Joint-5", "Joint-5 in raster order"
QUALITY = {"bpp": "bpp", "PSNR (dB)": "psnr", "MS-SSIM": "ms_ssim"}
NOTES = (
    "Times are medians by the clock of both codecs in turns, on pictures made of the first test picture; a ratio is "
    "the median over rounds of a time over HyperPrior-5's beside it. Only they can be compared.",
    "Files of Joint are coded in fronts of positions that see nothing of each other, w + 3 (h - 1) steps for w x h "
    "latents; in raster order, the paper's, there are w h. Both give the same latents.",
    "Context and 1x1 layers compute in NumPy on the CPU, also where all else is computed by an accelerator.",
)

Times = dict[str, dict[str, np.ndarray]]  # seconds of each round, by work and codec


def reproduce(options: Options) -> Reproduction:
    """Measure both codecs' rate and quality and, where both are there, their times."""
    reproduction = measure.rate_distortion(options)
    reproduction.further = {
        **{column: measure.means(reproduction.pictures, name) for column, name in QUALITY.items()},
        **reproduction.further,
    }
    reproduction.notes += NOTES
    hyperprior, context = (_codec(preset, options) for preset in (config.HYPERPRIOR_5, config.JOINT_5))
    if hyperprior and context:
        image = pictures_of(options, published.load(options.table))[0][0][1]
        measured = times(hyperprior, context, image, options.scale == "smoke")
        reproduction.further.update(columns(measured))
        reproduction.claims = claims(measured)
    return reproduction


def times(hyperprior: Codec, context: Codec, image: np.ndarray, smoke: bool = False) -> dict[tuple[int, int], Times]:
    """Return how long encoding and decoding take, by height and width of the picture, work and codec."""
    assert context.context is not None
    raster = copy.copy(context)
    raster.context = context.context.in_order(joint.raster)
    codecs = {HYPERPRIOR: hyperprior, FRONTS: context, RASTER: raster}
    sizes, rounds = (SMOKE_SIZES, SMOKE_ROUNDS) if smoke else (SIZES, ROUNDS)
    measured = {}
    for size in sizes:
        picture = enlarged(image, *size)
        files = {name: codec.compress(picture) for name, codec in codecs.items()}
        encoding: dict[str, Work] = {name: _encoding(codec, picture) for name, codec in codecs.items()}
        decoding: dict[str, Work] = {name: _decoding(codec, files[name]) for name, codec in codecs.items()}
        measured[size] = {"encoding": _clock(encoding, rounds), "decoding": _clock(decoding, rounds)}
    return measured


def ratio(measured: Mapping[tuple[int, int], Times], size: tuple[int, int], work: str, codec: str) -> float:
    """Return the time of a codec's work over that of HyperPrior-5."""
    of = measured[size][work]
    return float(f"{np.median(of[codec] / of[HYPERPRIOR]):.3g}")


def columns(measured: Mapping[tuple[int, int], Times]) -> dict[str, dict[str, float]]:
    """Return a column for each size and work, of milliseconds and of ratios, by codec."""
    found: dict[str, dict[str, float]] = {}
    for (height, width), works in measured.items():
        for work, of in works.items():
            name = f"{work} {width}x{height}"
            found[f"{name} (ms)"] = {codec: float(f"{1e3 * np.median(each):.4g}") for codec, each in of.items()}
            ratios = {codec: ratio(measured, (height, width), work, codec) for codec in (FRONTS, RASTER)}
            found[f"{name}, ratio"] = ratios
    return found


def claims(measured: Mapping[tuple[int, int], Times]) -> list[dict[str, Any]]:
    """Return what Section 2.1 says of Joint's time, judged by its decoding in raster order and in fronts."""
    small, large = min(measured), max(measured)
    found = []
    for codec in (RASTER, FRONTS):
        at_small, at_large = (ratio(measured, size, "decoding", codec) for size in (small, large))
        note = f"At {large[1]}x{large[0]}; at {small[1]}x{small[0]} {at_small:g} times as long."
        text = f"{codec}: sequential decoding is time-consuming, in times of HyperPrior-5's"
        found.append(claim(text, "above", 1.0, at_large, note))
        text = f"{codec}: the more so the larger the picture, in times of HyperPrior-5's"
        found.append(claim(text, "above", at_small, at_large))
    return found


def enlarged(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return a uint8 picture of this size: the beginning of another one, which is mirrored where it is smaller."""
    sides = [(0, max(0, side - own)) for side, own in zip((height, width), image.shape, strict=False)]
    return np.pad(image, [*sides, *[(0, 0)] * (image.ndim - 2)], "symmetric")[:height, :width]


def _codec(preset: Config, options: Options) -> Codec | None:
    """Return the codec of a preset's first seed, None where it has no weights."""
    seeds = networks.seeds_of(preset, options.scale, options.seeds)
    return networks.codec_of(preset, options.scale, seeds[0]) if seeds else None


def _encoding(codec: Codec, picture: np.ndarray) -> Work:
    return lambda: codec.compress(picture)


def _decoding(codec: Codec, file: bytes) -> Work:
    return lambda: codec.decompress(file)


def _clock(works: Mapping[str, Work], rounds: int) -> dict[str, np.ndarray]:
    return {name: of[:, 0] for name, of in seconds(works, rounds).items()}
