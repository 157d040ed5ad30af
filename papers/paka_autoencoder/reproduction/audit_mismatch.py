"""What a codec and a mistake make of PSNR, on uint8 pictures of 512x768: the computations of the audit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np

from common import evaluate, metrics
from common.classical import codecs
from common.data.pictures import to_uint8
from papers.paka_autoencoder.config import NUM_TEST, TEST_PICTURES
from papers.paka_autoencoder.reproduction import audit_mistakes, published_codecs

JPEG_QUALITY, JPEG2000_RATE = 50, 20  # about equal in PSNR
# JPEG2000 and what stands for BPG at equal rates: 0.25, 0.5 and 1.3 bits per pixel.
JPEG2000_RATES = (10, JPEG2000_RATE, 50)
BPG_SETTINGS = {"BPG": (40, 35, 27), "HEVC intra": (20, 30, 44)}
FLAT = "flat picture of the mean colour"
BLOCK = 64
DRAWS = 5000

Pictures = Sequence[np.ndarray]


@dataclass(frozen=True)
class Coded:
    """Pictures after a codec: decoded, uint8; their PSNR in dB, float64 (N,), and mean rate in bits per pixel."""

    pictures: list
    psnr: np.ndarray
    bpp: float


@dataclass(frozen=True)
class Signs:
    """What was computed, each in dB: PSNR by label, differences of two codecs by label, means of seven by label."""

    floors: Mapping[str, np.ndarray]
    pairs: np.ndarray
    pairs_apart: np.ndarray  # |JPEG - JPEG2000| on wrong pictures
    mistakes: Mapping[str, tuple[np.ndarray, np.ndarray]]  # of JPEG, and |JPEG - JPEG2000|
    differences: Mapping[str, tuple[np.ndarray, np.ndarray]]  # |JPEG2000 - BPG| on right and on wrong pictures
    means: Mapping[str, np.ndarray]
    codecs: tuple[str, ...]  # labels of what coded


def compute(named: Mapping[str, np.ndarray]) -> Signs:
    """Return all signs of named uint8 pictures of 512x768, at least two."""
    pictures = list(named.values())
    stands_for_bpg = published_codecs.family_of("BPG")
    of_bpg = [stands_for_bpg.make(setting) for setting in BPG_SETTINGS[stands_for_bpg.name]]
    used = [codecs.family("JPEG").make(JPEG_QUALITY), *map(codecs.family("JPEG2000").make, JPEG2000_RATES), *of_bpg]
    jpeg, *others = [code(codec, pictures) for codec in used]
    jpeg2000, bpg = others[: len(JPEG2000_RATES)], others[len(JPEG2000_RATES) :]
    middle = jpeg2000[JPEG2000_RATES.index(JPEG2000_RATE)]
    levels = psnr_between(pictures, pictures)
    # Our test pictures where all are here, else the first ones.
    ours = [i for i, name in enumerate(named) if name in TEST_PICTURES]
    chosen = ours if len(ours) == NUM_TEST else list(range(min(NUM_TEST, len(named))))
    return Signs(
        floors=floors(pictures),
        pairs=levels[np.triu_indices(len(levels), 1)],
        pairs_apart=differences(pictures, jpeg, middle)[1],
        mistakes={name: mistaken(name, pictures, jpeg, middle) for name in audit_mistakes.MISTAKES},
        differences={
            f"{described('JPEG2000', a)}, {described(stands_for_bpg.name, b)}": differences(pictures, a, b)
            for a, b in zip(jpeg2000, bpg, strict=True)
        },
        means={
            f"our {len(chosen)} pictures": means_of_derangements(levels[np.ix_(chosen, chosen)]),
            **random_sevens(levels),
        },
        codecs=tuple(codec.label for codec in used),
    )


def described(name: str, coded: Coded) -> str:
    """Return a codec's name with its mean rate and PSNR."""
    return f"{name} ({coded.bpp:.2f} bpp, {np.mean(coded.psnr):.1f} dB)"


def mistaken(name: str, pictures: Pictures, first: Coded, second: Coded) -> tuple[np.ndarray, np.ndarray]:
    """Return one codec's PSNR after a mistake, and how far the other's lies from it, both (N,) in dB."""
    levels = audit_mistakes.psnr(name, pictures, first.pictures)
    return levels, np.abs(levels - audit_mistakes.psnr(name, pictures, second.pictures))


def floors(pictures: Pictures) -> dict[str, np.ndarray]:
    """Return the PSNR (N,) that every codec here has at its coarsest setting, and that of a flat mean colour."""
    families = codecs.available()
    coarsest = {f"{f.name}, coarsest": code(f.make(f.settings[0]), pictures).psnr for f in families}
    return {**coarsest, FLAT: np.array([metrics.psnr(x, flat(x)) for x in pictures])}


def flat(picture: np.ndarray) -> np.ndarray:
    """Return a uint8 picture of one colour, the mean of another."""
    return np.broadcast_to(to_uint8(picture.mean(axis=(0, 1)), 1.0), picture.shape)


def differences(pictures: Pictures, first: Coded, second: Coded) -> tuple[np.ndarray, np.ndarray]:
    """Return how far two codecs' PSNR lie apart, |dB|, on the right pictures (N,) and on wrong ones (N (N - 1),)."""
    apart = np.abs(psnr_between(pictures, first.pictures) - psnr_between(pictures, second.pictures))
    return right(apart), wrong(apart)


def means_of_derangements(levels: np.ndarray) -> np.ndarray:
    """Return the mean PSNR of N pictures in every order that leaves none in its place, from a matrix (N, N)."""
    places = np.arange(len(levels))
    orders = np.array([order for order in permutations(places) if (np.array(order) != places).all()])
    return levels[places, orders].mean(axis=1)


def random_sevens(levels: np.ndarray) -> dict[str, np.ndarray]:
    """Return the mean PSNR of seven pictures drawn at random, in random orders that leave none in its place."""
    if len(levels) <= NUM_TEST:
        return {}
    generator = np.random.default_rng(0)
    places = np.arange(NUM_TEST)
    means: list[float] = []
    while len(means) < DRAWS:
        order = generator.permutation(NUM_TEST)
        chosen = generator.choice(len(levels), NUM_TEST, replace=False)
        if (order != places).all():
            means.append(float(levels[chosen, chosen[order]].mean()))
    return {f"any {NUM_TEST} of them": np.array(means)}


def code(codec: Any, pictures: Pictures) -> Coded:
    """Code uint8 pictures to bytes and back."""
    coded = [evaluate.round_trip(codec, picture, f"picture {i}", ()) for i, picture in enumerate(pictures, 1)]
    psnr, rates = ([getattr(measured, name) for measured, _ in coded] for name in ("psnr", "bpp"))
    return Coded([decoded for _, decoded in coded], np.array(psnr), float(np.mean(rates)))


def psnr_between(originals: Pictures, others: Pictures) -> np.ndarray:
    """Return the PSNR in dB, float64 (N, M), of each of N uint8 pictures with each of M, all of one shape."""
    a, b = np.stack(originals), np.stack(others)
    squares = np.zeros((len(a), len(b)))
    for top in range(0, a.shape[1], BLOCK):  # by rows, for memory's sake; sums of products of bytes are exact
        p, q = (x[:, top : top + BLOCK].reshape(len(x), -1).astype(np.float64) for x in (a, b))
        squares += np.square(p).sum(axis=1)[:, None] + np.square(q).sum(axis=1) - 2 * (p @ q.T)
    with np.errstate(divide="ignore"):
        return 10 * np.log10(255.0**2 * a[0].size / squares)


def right(levels: np.ndarray) -> np.ndarray:
    """Return the values (N,) of pictures compared with themselves, of a matrix (N, N)."""
    return np.diag(levels)


def wrong(levels: np.ndarray) -> np.ndarray:
    """Return the values (N (N - 1),) of pictures compared with others, of a matrix (N, N)."""
    return levels[~np.eye(len(levels), dtype=bool)]
