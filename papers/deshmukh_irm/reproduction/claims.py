"""Sentences of Deshmukh and Pollett judged: networks that differ in one thing, over pictures of Kodak and trainings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from common import evaluate, metrics
from common.classical import codecs
from common.config import find_preset
from common.data.pictures import to_uint8
from common.tables import figures, intervals, networks, published
from common.tables import measure as measure_module
from common.tables import test_pictures as table_pictures
from common.tables.command import Options
from common.tables.document import Reproduction, claim
from common.tables.figures import Basis
from common.tables.numbers import DIGITS, rounded
from common.training import shipped
from papers.deshmukh_irm import codec as codec_module
from papers.deshmukh_irm import config, huffman
from papers.deshmukh_irm.codec import Codec
from papers.deshmukh_irm.reproduction import claims_learning, tables
from papers.deshmukh_irm.reproduction.references import printed, quality
from papers.deshmukh_irm.reproduction.test_pictures import PLAIN, SIDE, bicubic, scaled

# Presets that are compared, as figures name them.
NAMES = {
    PLAIN: "plain bicubic, nothing trained",
    "grey": "proposed, grey",
    "rgb": "proposed, colour",
    "baseline_as_written": "baseline as the paper describes it",
    "baseline_jiang": "baseline as Jiang et al. have it",
    "grey_without_skips": "without skip connections",
    "grey_without_separable": "without separable layers",
    "grey_icm64": "64 maps in the ICM",
    "grey_penalty_literal": "Eq. 2's second term read literally",
    "grey_without_penalty": "without Eq. 2's second term",
    "grey_peak1": "pixels from 0 to 1",
    "grey_images400": "400 images",
    "grey_stl10": "trained on STL-10",
}
PRESETS = tuple(name for name in NAMES if name != PLAIN)
SMOKE_PRESETS = ("grey", "grey_without_skips")
PICTURE_FORMATS: dict[str, evaluate.Codec] = {"JPEG quality 95": codecs.Jpeg(95), "WebP quality 90": codecs.WebP(90)}
LIMIT = 0.25  # dB: the suite's tolerance of a PSNR, for sentences that something does not matter
# Fields of a measurement: title in the table, unit after a difference, digits shown.
FIELDS = {
    "psnr": "PSNR, dB",
    "ssim": "SSIM",
    "entropy": "entropy of the code, bits a value",
    "deviation": "standard deviation of the code, levels",
    "distinct": "distinct values of the code",
    "residual": "what the IRM adds, mean levels",
    "srgan_psnr": "PSNR with the SRGAN, dB",
}

PictureEntry = Mapping[str, Any]


@dataclass(frozen=True)
class RowComparison:
    """A sentence that is true if a measure of one preset lies beyond that of another: by `relation` and `limit`."""

    sentence: str
    ours: str
    other: str
    field: str = "psnr"
    relation: str = "above"
    limit: float = 0.0


_BETTER = "The proposed model is better than the baseline (Sections 4 and 5)"
_LOSS = "Eq. 2's second term gives codes of {0} (Section 1), {1}"
_READINGS = {"towards the output": "grey", "literally": "grey_penalty_literal"}
COMPARISONS = (
    RowComparison(f"{_BETTER} as the paper describes it", "grey", "baseline_as_written"),
    RowComparison(f"{_BETTER} as the paper describes it", "grey", "baseline_as_written", "ssim"),
    RowComparison(f"{_BETTER} as Jiang et al. have it", "grey", "baseline_jiang"),
    RowComparison(f"{_BETTER} as Jiang et al. have it", "grey", "baseline_jiang", "ssim"),
    RowComparison("Skip connections help (Section 1)", "grey", "grey_without_skips"),
    RowComparison("Separable layers cost no quality", "grey", "grey_without_separable", limit=-LIMIT),
    RowComparison("64 maps in the ICM are no better than three", "grey_icm64", "grey", "psnr", "below", LIMIT),
    RowComparison("Grey pictures are coded better than colour ones (Section 4)", "grey", "rgb"),
    RowComparison("Grey pictures are coded better than colour ones (Section 4)", "grey", "rgb", "ssim"),
    RowComparison("More augmented images are better than 400 (Section 4)", "grey", "grey_images400"),
    RowComparison("COCO is better than STL-10 (Section 4)", "grey", "grey_stl10"),
    *(
        RowComparison(_LOSS.format(what, f"read {how}"), preset, "grey_without_penalty", field, "below")
        for how, preset in _READINGS.items()
        for what, field in (("lower variance", "deviation"), ("fewer values", "distinct"), ("less entropy", "entropy"))
    ),
    RowComparison("The second term costs no quality, read literally", "grey_penalty_literal", "grey", limit=-LIMIT),
    RowComparison("On pixels from 0 to 1 the loss lets the IRM add as much", "grey_peak1", "grey", "residual"),
    RowComparison("On pixels from 0 to 1 the loss gives as good pictures", "grey_peak1", "grey", limit=-LIMIT),
    RowComparison("Trained on pixels from 0 to 1 they are better than plain bicubic", "grey_peak1", PLAIN, limit=LIMIT),
    RowComparison("The networks are better than plain bicubic", "grey", PLAIN),
)


def reproduce(options: Options) -> Reproduction:
    """Measure what has weights on the test pictures, and judge. Only scale smoke trains what is missing."""
    named, test_set, note = table_pictures.pictures_of(options, published.load(options.table))
    presets = SMOKE_PRESETS if options.scale == "smoke" else PRESETS
    configs = {preset: find_preset(config, preset) for preset in presets}
    known = networks.networks_of(configs, options.scale, options.seeds)
    seeds = known.seeds
    srgan, about_srgan = tables.srgan_of(options)
    entries = measure(options.scale, seeds, named, srgan)
    every = [(preset, seed) for preset in seeds for seed in seeds[preset]]
    logs = {(preset, seed): shipped.log(configs[preset], options.scale, seed) for preset, seed in every}
    reproduction = judged(
        entries, logs, 20 if options.scale == "smoke" else claims_learning.INITIALISATIONS, named[0][1]
    )
    reproduction.notes += [note] if note else []
    reproduction.missing = known.missing
    reproduction.provenance = {
        "test_set": test_set,
        "networks": {**known.made_by, **({"srgan": about_srgan} if srgan else {})},
    }
    reproduction.figures = {"": drawn(entries, figures.basis_of(options.scale, test_set))}
    return reproduction


# --- measuring -----------------------------------------------------------------------------------------------------


def measure(
    scale: str, seeds: Mapping[str, Sequence[int]], pictures: Sequence[tuple[str, np.ndarray]], srgan: Codec | None
) -> list[dict[str, Any]]:
    """Return one entry a preset, seed and picture, with those of plain bicubic."""
    grey = [(name, scaled(image, 1)) for name, image in pictures]
    entries = [{"row": PLAIN, "seed": 0, "picture": name, **plain_values(x)} for name, x in grey]
    every = [(preset, seed) for preset, of in seeds.items() for seed in of]
    with measure_module.progress(len(every), "network") as bar:
        for preset, seed in every:
            bar.set_description(f"{preset}, seed {seed}")
            codec = codec_module.load(preset, scale, seed).with_settings(srgan=srgan)
            channels = codec.config.channels
            for name, image in pictures:
                measured = picture_values(codec, scaled(image, channels), name)
                entries.append({"row": preset, "seed": seed, "picture": name, **measured})
            bar.update()
    return [rounded(entry) for entry in entries]


def picture_values(codec: Codec, x: np.ndarray, name: str) -> dict[str, float]:
    """Return the FIELDS of a codec on a uint8 picture, and its PSNR with the code saved in other formats."""
    whole, x_hat = evaluate.round_trip(codec.with_settings(), x, name, ("ssim",))
    code = codec.code(x)
    u = to_uint8(codec.upsampled(code / np.float32(255))).reshape(x.shape)
    added = float(np.abs(u.astype(np.float64) - x_hat).mean())
    measured = {**_quality(whole), **code_values(code), "residual": added}
    if codec.srgan and codec.config.architecture == "proposed":
        measured["srgan_psnr"] = evaluate.measure(codec, x, name, ()).psnr
    picture = code if code.shape[2] == 3 else code[..., 0]
    for title, saved in PICTURE_FORMATS.items():
        again = saved.decompress(saved.compress(picture)).reshape(code.shape)
        measured[title] = metrics.psnr(x, codec.restored(again, x))
    return measured


def plain_values(x: np.ndarray) -> dict[str, float]:
    """Return the FIELDS of plain bicubic on a grey uint8 picture."""
    small, x_hat = bicubic(x)
    return {**_quality(quality(x, x_hat)), **code_values(small[..., None])}


def _quality(measured: Any) -> dict[str, float]:
    return {"psnr": measured.psnr, "ssim": measured.ssim}


def code_values(code: np.ndarray) -> dict[str, float]:
    """Return entropy (bits a value), standard deviation and distinct values of a code, (h, w, c): means of channels."""
    planes = [np.ascontiguousarray(code[..., i]) for i in range(code.shape[2])]
    return {
        "entropy": float(np.mean([huffman.entropy_bits(plane) / plane.size for plane in planes])),
        "deviation": float(np.mean([plane.std() for plane in planes])),
        "distinct": float(np.mean([len(np.unique(plane)) for plane in planes])),
    }


# --- judging -------------------------------------------------------------------------------------------------------


def judged(
    entries: list[dict[str, Any]], logs: claims_learning.Logs, initialisations: int, picture: np.ndarray
) -> Reproduction:
    """Return claims, means and notes, which follow from measurements and logs, and from untrained networks."""
    reproduction = Reproduction(pictures=entries)
    rows = {entry["row"] for entry in entries}
    claims = [comparison_claim(entries, each) for each in COMPARISONS if {each.ours, each.other} <= rows]
    if any("srgan_psnr" in entry for entry in entries):
        claims.append(srgan_claim(entries))
    claims += [format_claim(entries, name) for name in PICTURE_FORMATS]
    reproduction.claims = [each for each in claims if "interval" in each]
    reproduction.claims += [
        *claims_learning.claims(logs),
        *claims_learning.starts_claims(initialisations, scaled(picture, 1)),
    ]
    reproduction.further = further(entries)
    reproduction.notes = notes(entries, logs)
    if len(reproduction.claims) < len(claims):
        reproduction.notes.insert(0, f"Not judged: that takes {intervals.MINIMUM_PICTURES} pictures at least.")
    return reproduction


def matrix(entries: Sequence[PictureEntry], row: str, field: str) -> np.ndarray:
    """Return the measurements of a row as float (seeds, pictures)."""
    own = [entry for entry in entries if entry["row"] == row]
    seeds = dict.fromkeys(entry["seed"] for entry in own)
    return np.array([[entry[field] for entry in own if entry["seed"] == seed] for seed in seeds], np.float64)


def comparison_claim(entries: Sequence[PictureEntry], comparison: RowComparison) -> dict[str, Any]:
    """Judge a comparison by the mean difference over trainings and pictures, with its interval."""
    ours, other = (matrix(entries, row, comparison.field) for row in (comparison.ours, comparison.other))
    text = f"{comparison.sentence}: {comparison.ours} - {comparison.other}, {FIELDS[comparison.field]}"
    trainings = f"{len(ours)} and {len(other)} trainings"
    return _judged(text, comparison, ours, other, trainings, intervals.interval_of_difference(ours, other))


def same_networks_claim(entries: Sequence[PictureEntry], comparison: RowComparison) -> dict[str, Any]:
    """Judge two ways to use the same networks, `one.field` and PSNR, by the mean difference, paired by training too."""
    ours, other = (matrix(entries, comparison.ours, field) for field in (comparison.field, "psnr"))
    text = f"{comparison.sentence}: {comparison.ours}, PSNR, dB"
    return _judged(text, comparison, ours, other, f"{len(ours)} trainings", intervals.interval_of_mean(ours - other))


def _judged(
    text: str, comparison: RowComparison, ours: np.ndarray, other: np.ndarray, trainings: str, interval: Any
) -> dict[str, Any]:
    difference = round(float(ours.mean() - other.mean()), DIGITS)
    note = f"{ours.mean():.4g} and {other.mean():.4g}; {trainings}, {ours.shape[1]} pictures."
    if interval is not None:
        note += f" Half the interval, {(interval[1] - interval[0]) / 2:.2g}, is the effect that could be detected."
    return claim(text, comparison.relation, comparison.limit, difference, note, interval)


def srgan_claim(entries: Sequence[PictureEntry]) -> dict[str, Any]:
    """Judge whether up-sampling by the SRGAN is better than by interpolation, on the same networks and codes."""
    rows = ("Abstract, proposed", "Section 4, proposed with bicubic")
    gain = " and ".join(str(printed(row, "PSNR")) for row in rows)
    sentence = f"The SRGAN is better than bicubic up-sampling (Section 4, {gain} dB)"
    return same_networks_claim(entries, RowComparison(sentence, "grey", "grey", "srgan_psnr"))


def format_claim(entries: Sequence[PictureEntry], name: str) -> dict[str, Any]:
    """Judge whether it does not matter in which format the code is saved as a picture (Section 4)."""
    sentence = f"It hardly matters in which file format the code is saved (Section 4), {name}"
    return same_networks_claim(entries, RowComparison(sentence, "grey", "grey", name, limit=-LIMIT))


def further(entries: Sequence[PictureEntry]) -> dict[str, dict[str, float]]:
    """Return the means of every row and field that it has."""
    rows = list(dict.fromkeys(entry["row"] for entry in entries))
    table: dict[str, dict[str, float]] = {}
    for field, title in FIELDS.items():
        having = [row for row in rows if all(field in e for e in entries if e["row"] == row)]
        table[title] = {row: float(f"{matrix(entries, row, field).mean():.5g}") for row in having}
    return {title: of for title, of in table.items() if of}


def notes(entries: Sequence[PictureEntry], logs: claims_learning.Logs) -> list[str]:
    """Return what explains the numbers."""
    said = [
        "Differences are paired by picture; intervals are over pictures and trainings. With three trainings they are "
        "too narrow rather than too wide.",
        "Read literally, Eq. 2's second term compares u with what block 5 adds: both are equal where u has half the "
        "values of the picture, so that the code has half the contrast and one bit less. That is the low variance of "
        "Section 1. Towards the output, which is the reason that Section 3.4 gives, it has no such effect.",
        "With pixels from 0 to 1 a mean absolute difference weighs more than a mean square: what the IRM could gain is "
        "less than what adding anything costs, and the networks stay interpolation. The published tables have its "
        "quality (`audit_deshmukh`); which values the authors had is not known.",
        "COCO and STL-10: as many images and steps, 102 and 197 pictures that they are cut from here.",
        "All file formats: `figure4_deshmukh`. Times: `speed_deshmukh`.",
    ]
    return [*said, *claims_learning.notes(logs)]


# --- drawing -------------------------------------------------------------------------------------------------------


def drawn(entries: Sequence[PictureEntry], basis: Basis) -> Any:
    """Return the PSNR of all rows, a mark a training."""
    rows: dict[str, dict[str, list[float]]] = {}
    for row in dict.fromkeys(entry["row"] for entry in entries):
        levels = matrix(entries, row, "psnr").mean(axis=1)
        rows[NAMES[row]] = {"a training, mean of the pictures": levels.tolist()}
    title = f"PSNR of pictures scaled to {SIDE}x{SIDE}, grey but for one row"
    return figures.strips(rows, "PSNR (dB)", title, basis, means=True)
