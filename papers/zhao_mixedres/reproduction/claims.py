"""Sentences of Zhao et al. judged, from trained codecs next to each other and to standard codecs at equal counted rate.

All that is judged follows from the document's measurements: points of networks, and differences of comparisons.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from common.classical import codecs
from common.config import find_preset
from common.data import Picture
from common.tables import figures, intervals, networks, published
from common.tables import measure as measure_module
from common.tables import test_pictures as table_pictures
from common.tables.command import Options
from common.tables.document import Reproduction, claim
from common.tables.numbers import DIGITS
from papers.zhao_mixedres import codec as codec_module
from papers.zhao_mixedres import complexity, config
from papers.zhao_mixedres.config import FULL, LOW
from papers.zhao_mixedres.patches import grey
from papers.zhao_mixedres.reproduction import claims_figures, points
from papers.zhao_mixedres.reproduction.equal_rate import (
    STANDARD,
    PictureEntry,
    RateCurves,
    curve_of,
    difference_entry,
    differences,
    point_entry,
)

NAMES, UNITS = {"psnr": "PSNR", "ssim": "SSIM"}, {"psnr": " dB", "ssim": ""}
CROSSING = "low and full resolution"
FEWEST_TRAININGS = 2
HOW = (
    "To compare a codec at the setting it was trained for, the other one is measured at the two settings with files "
    "next to its size and interpolated, linear in the logarithm of the rate. Two networks are compared at the rate of "
    "either, and the mean is taken: at a setting that it was not trained for, a network is at a disadvantage. Where a "
    "codec has no file of that size, both are compared at the size of its nearest file. Rates count whole files.",
    "At low and at high rate trainings for several qualities stand in place of seeds. Intervals are of pictures and "
    "trainings: with two to four of the latter they are too narrow rather than too wide.",
    "JPEG, in the networks' files and as the codec that they are compared with, has Huffman tables made for the "
    "picture: the stronger anchor, which is judged. Beside it stands JPEG with the standard's tables, as in papers.",
)
STANDARD_TABLES = "{}, standard tables"  # the comparison with the weaker JPEG beside one with the stronger


@dataclasses.dataclass(frozen=True)
class PresetComparison:
    """A sentence that is true if the first codec of each pair, a preset, is better than the second, any codec.

    Several pairs are trainings for several qualities, which stand in place of seeds. What is not `judged` is said in
    the note of the comparison that it stands beside.
    """

    name: str
    sentence: str
    pairs: tuple[tuple[str, str], ...]
    judged: bool = True

    @property
    def presets(self) -> list[str]:
        """Return the presets that are compared."""
        return list(dict.fromkeys(name for pair in self.pairs for name in pair if name not in STANDARD))


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is compared: presets in low and in full resolution, and `comparisons` of them and of the ablations."""

    low: tuple[str, ...] = LOW
    full: tuple[str, ...] = FULL

    @property
    def comparisons(self) -> list[PresetComparison]:
        """Return all comparisons, whether their networks have weights or not."""
        return [*_at("low rate", self.low), *_at("high rate", self.full), *_ablations()]

    @property
    def presets(self) -> list[str]:
        """Return the presets of all comparisons."""
        return list(dict.fromkeys(name for comparison in self.comparisons for name in comparison.presets))

    @property
    def extensions(self) -> dict[str, tuple[int, ...]]:
        """Return further settings of the outermost networks, so that the curves of both resolutions overlap."""
        return {self.low[-1]: points.ABOVE_LOW, self.full[0]: points.BELOW_FULL}


def _at(rate: str, names: Sequence[str]) -> list[PresetComparison]:
    jiang = [f"jiang_{name}" for name in names]
    better = f"At {rate} the proposed codec is better than"
    return [
        PresetComparison(f"Jiang, {rate}", f"{better} Jiang's (Section 3.2)", tuple(zip(names, jiang, strict=True))),
        *_with_jpeg(f"JPEG, {rate}", f"{better} JPEG (Section 3.2)", names),
        *_with_jpeg(f"Jiang to JPEG, {rate}", f"At {rate} Jiang's codec is better than JPEG (Fig. 2)", jiang),
    ]


def _with_jpeg(name: str, sentence: str, presets: Sequence[str]) -> list[PresetComparison]:
    """Return the comparison of presets with the stronger JPEG, and with the weaker one beside it."""
    stronger, weaker = (tuple((preset, jpeg) for preset in presets) for jpeg in (codecs.JPEG_OPTIMISED, codecs.JPEG))
    beside = PresetComparison(STANDARD_TABLES.format(name), sentence, weaker, judged=False)
    return [PresetComparison(name, sentence, stronger), beside]


def _ablations() -> list[PresetComparison]:
    around = "The networks around {0} are better than {0} alone (Section 3.2)"
    rows = (
        ("Jiang", "half_jiang", "The proposed codec is better than Jiang's at one quality (Section 3.2)"),
        ("no VCNN", "half_without_vcnn", "FDNN learns better through VCNN than through PPNN (Section 3.2)"),
        ("VCNN on z", "half_vcnn_on_z", "VCNN learns better from y (Section 2) than from z (Section 2.3)"),
        ("L2", "half_l2", "L1 is better than L2 (Section 2.1)"),
        ("no SSIM loss", "half_without_ssim", "FDNN learns better with the SSIM loss (Eq. 4)"),
        ("interpolation", "half_interpolated", "A learned representation is better than interpolation (Section 1)"),
    )
    comparisons = [PresetComparison(name, sentence, (("half", other),)) for name, other, sentence in rows]
    comparisons += _with_jpeg("JPEG", around.format("JPEG"), ["half"])
    for name in ("JPEG2000", "WebP"):
        comparisons.append(PresetComparison(name, around.format(name), ((f"half_{name.lower()}", name),)))
    return comparisons


def reproduce(options: Options) -> Reproduction:
    """Measure what has weights on the test pictures, judge and draw it. Only scale smoke trains what is missing."""
    named, test_set, note = table_pictures.pictures_of(options, published.load(options.table))
    pictures = [(name, grey(image)) for name, image in named]
    plan = Plan(LOW[:1], FULL[:1]) if options.scale == "smoke" else Plan()
    seeds = {preset: seeds_of(options, preset) for preset in plan.presets}
    curves = RateCurves(lambda preset, seed: codec_module.load(preset, options.scale, seed))
    reproduction = judged(measure(plan, seeds, curves, pictures), plan)
    reproduction.notes += [note] if note else []
    reproduction.missing = not_run(plan, seeds, options.scale)
    basis = figures.basis_of(options.scale, test_set)
    reproduction.figures = claims_figures.figures_of(
        reproduction.pictures, plan.low, plan.full, curves, pictures, basis
    )
    configs = {preset: find_preset(config, preset) for preset in seeds if seeds[preset]}
    about = {preset: networks.made_by(network, options.scale, seeds[preset]) for preset, network in configs.items()}
    reproduction.provenance = {"test_set": test_set, "networks": about}
    return reproduction


# --- measuring -----------------------------------------------------------------------------------------------------


def seeds_of(options: Options, preset: str) -> list[int]:
    """Return the seeds of a preset; `options.seeds` chooses among those of the ablations alone."""
    chosen = options if preset.startswith("half") else dataclasses.replace(options, seeds=None)
    return networks.seeds_of(find_preset(config, preset), chosen.scale, chosen.seeds)


def measure(
    plan: Plan, seeds: Mapping[str, Sequence[int]], curves: RateCurves, pictures: Sequence[Picture]
) -> list[PictureEntry]:
    """Return the points of all networks, then the differences of all comparisons whose networks have weights."""
    trainings = [(preset, seed) for preset in seeds for seed in seeds[preset]]
    pairs = [
        (comparison, pair, seed)
        for comparison in plan.comparisons
        for pair in comparison.pairs
        for seed in shared(comparison, pair, seeds)
    ]
    entries = []
    with measure_module.progress(len(trainings) + len(pairs), "row") as bar:
        for preset, seed in trainings:
            bar.set_description(f"{preset}, seed {seed}")
            for setting in (curves.trained_setting(preset, seed), *plan.extensions.get(preset, ())):
                entries += [point_entry(preset, seed, setting, curves, picture) for picture in pictures]
            bar.update()
        for comparison, pair, seed in pairs:
            bar.set_description(f"{' and '.join(pair)}, seed {seed}")
            entries += [difference_entry(comparison.name, pair, seed, curves, picture) for picture in pictures]
            bar.update()
    return entries


def shared(comparison: PresetComparison, pair: tuple[str, str], seeds: Mapping[str, Sequence[int]]) -> list[int]:
    """Return the seeds that both codecs of a pair have; none where some network of the comparison has no weights."""
    if not all(seeds[preset] for preset in comparison.presets):
        return []
    return [seed for seed in seeds[pair[0]] if pair[1] in STANDARD or seed in seeds[pair[1]]]


def not_run(plan: Plan, seeds: Mapping[str, Sequence[int]], scale: str) -> dict[str, str]:
    """Say by comparison which networks have no weights and how to train them."""
    needed = {
        **{comparison.name: comparison.presets for comparison in plan.comparisons if comparison.judged},
        CROSSING: [*plan.low, *plan.full],
    }
    missing = {name: [preset for preset in presets if not seeds[preset]] for name, presets in needed.items()}
    return {
        name: " ".join(networks.how_to_train(find_preset(config, preset), scale) for preset in of)
        for name, of in missing.items()
        if of
    }


# --- judging -------------------------------------------------------------------------------------------------------


def judged(entries: list[PictureEntry], plan: Plan) -> Reproduction:
    """Return claims, further columns and notes, which follow from the measurements alone."""
    reproduction, measured = Reproduction(pictures=entries, notes=[*HOW]), {entry["row"] for entry in entries}
    for comparison in plan.comparisons:
        own = [entry for entry in entries if entry["row"] == comparison.name]
        if not comparison.judged:
            continue
        claims = comparison_claims(comparison, own, beside(comparison, entries)) if own else []
        reproduction.claims += claims
        if not claims and measured.issuperset(comparison.presets):
            reproduction.notes.append(
                f"{comparison.name}: not judged. That takes {FEWEST_TRAININGS} trainings and "
                f"{intervals.MINIMUM_PICTURES} pictures at least, as one training may be better by chance."
            )
    reproduction.claims += [*crossing_claims(entries, plan), complexity_claim()]
    reproduction.further = further(entries, plan)
    return reproduction


def beside(comparison: PresetComparison, entries: Sequence[PictureEntry]) -> list[PictureEntry]:
    """Return the differences to the weaker JPEG that stand beside a comparison with the stronger one."""
    return [entry for entry in entries if entry["row"] == STANDARD_TABLES.format(comparison.name)]


def comparison_claims(
    comparison: PresetComparison, entries: Sequence[PictureEntry], weaker: Sequence[PictureEntry] = ()
) -> list[dict[str, Any]]:
    """Judge a comparison by the mean difference over trainings and pictures; nothing with too few of either.

    `weaker` are the same differences to JPEG with the standard's tables, whose mean the note says.
    """
    claims = []
    for quality, name in NAMES.items():
        values = differences(entries, comparison.name, quality)
        interval = intervals.interval_of_mean(values)
        if interval is None or len(values) < FEWEST_TRAININGS:
            return []
        half, unit = (interval[1] - interval[0]) / 2, UNITS[quality]
        note = f"{_about(comparison, entries)}{_of_other_size(entries, quality)} "
        note += f"Half the interval, {half:.2g}{unit}, is the effect that could be detected."
        if weaker:
            mean = float(np.mean([entry[quality] for entry in weaker]))
            note += f" To JPEG with the standard's tables: {mean:.3g}{unit}."
        text = f"{comparison.sentence}: {name}{',' * bool(unit)}{unit}"
        claims.append(claim(text, "above", 0, round(float(values.mean()), DIGITS), note, interval))
    return claims


def _about(comparison: PresetComparison, entries: Sequence[PictureEntry]) -> str:
    """Say what a comparison's mean is taken over."""
    trainings = list(dict.fromkeys((entry["codec"], entry["seed"]) for entry in entries))
    count = len({entry["picture"] for entry in entries})
    qualities = ", ".join(str(find_preset(config, ours).quality) for ours, _ in comparison.pairs)
    seeds = ", ".join(str(seed) for seed in dict.fromkeys(seed for _, seed in trainings))
    which = f"seeds {seeds}" if len(comparison.pairs) == 1 else f"for qualities {qualities}, in place of seeds"
    return f"{len(trainings)} trainings ({which}) on {count} pictures."


def _of_other_size(entries: Sequence[PictureEntry], quality: str) -> str:
    """Say how often the second codec has no file of the first one's size, and what compares its nearest file to it."""
    apart = [entry for entry in entries if "nearest_rate" in entry]
    if not apart:
        return ""
    larger = sum(entry["nearest_rate"] > entry["rate"] for entry in apart)
    size = "larger" if larger == len(apart) else "smaller" if not larger else "larger or smaller"
    mean = np.mean([entry[f"own_{quality}" if "nearest_rate" in entry else quality] for entry in entries])
    said = f" In {len(apart)} of {len(entries)} cases the second codec's nearest file is {size}, and the first one is "
    said += "used at another setting to be of equal rate; at its own, against that file, the mean is "
    return f"{said}{mean:.3g}{UNITS[quality]}."


def crossing_claims(entries: Sequence[PictureEntry], plan: Plan) -> list[dict[str, Any]]:
    """Judge whether low resolution is better at the least rate of both curves and full resolution at the greatest."""
    if {*plan.low, *plan.full} - {entry["row"] for entry in entries}:
        return []
    pictures = list(dict.fromkeys(entry["picture"] for entry in entries))
    claims = []
    for quality, name in NAMES.items():
        won = [picture for picture in pictures if crosses(*resolutions(entries, plan, picture), quality)]
        note = _where(entries, plan, quality, pictures)
        note += f" Not so on {', '.join(sorted({*pictures} - {*won}))}." if len(won) < len(pictures) else ""
        text = f"Low resolution is better up to a rate and full beyond it (Section 1): pictures, by {name}"
        claims.append(claim(text, "equals", len(pictures), len(won), note))
    return claims


def _where(entries: Sequence[PictureEntry], plan: Plan, quality: str, pictures: Sequence[str]) -> str:
    """Say how the two resolutions are compared, and where they cross."""
    rates = [points.crossing(*resolutions(entries, plan, picture), quality) for picture in pictures]
    known, mean = [rate for rate in rates if rate is not None], points.crossing(*resolutions(entries, plan), quality)
    seeds = ", ".join(str(seed) for seed in sorted({e["seed"] for e in entries if e["row"] in (*plan.low, *plan.full)}))
    said = f"Trainings of seed {seeds}, at the least and at the greatest rate that the curves of both have."
    if known:
        said += f" Full resolution is better from {min(known):.2f} to {max(known):.2f} bpp on"
        said += f", for the mean of the pictures from {mean:.2f} bpp on." if mean else "."
    return said


def resolutions(
    entries: Sequence[PictureEntry], plan: Plan, picture: str | None = None
) -> tuple[list[points.Point], list[points.Point]]:
    """Return the curves in low and in full resolution of a picture, or of the mean of all."""
    return curve_of(entries, plan.low, picture), curve_of(entries, plan.full, picture)


def crosses(low: Sequence[points.Point], full: Sequence[points.Point], quality: str) -> bool:
    """Return whether low is better at the least rate that both curves have, and full at the greatest."""
    ends = [[point.bpp for point in curve] for curve in (low, full)]
    least, greatest = max(map(min, ends)), min(map(max, ends))
    (a, b), (c, d) = ([points.at_rate(curve, rate, quality) for rate in (least, greatest)] for curve in (low, full))
    return a is not None and b is not None and c is not None and d is not None and a > c and b < d


def complexity_claim() -> dict[str, Any]:
    """Judge by counting whether FDNN's stride of 2 saves multiply-accumulates."""
    low, full = (complexity.macs(find_preset(config, name), 160, 160)["fdnn"] for name in (LOW[0], FULL[0]))
    text = "FDNN's stride of 2 makes it less complex (Section 2.2): multiply-accumulates in full over low resolution"
    note = f"{full / 1e9:.2f} and {low / 1e9:.2f} thousand million for 160x160 pixels."
    return claim(text, "above", 1, round(full / low, DIGITS), note)


def further(entries: Sequence[PictureEntry], plan: Plan) -> dict[str, dict[str, Any]]:
    """Return rate and quality of the networks at the setting they were trained for, and where the curves cross."""
    columns: dict[str, dict[str, Any]] = {"rate, bpp": {}, "PSNR, dB": {}, "SSIM": {}}
    for preset in dict.fromkeys(entry["row"] for entry in entries if "setting" in entry):
        trained_for = find_preset(config, preset).quality
        point = next(point for point in curve_of(entries, [preset]) if point.setting == trained_for)
        for column, value in zip(columns.values(), (point.bpp, point.psnr, point.ssim), strict=True):
            column[preset] = round(value, DIGITS)
    rows: dict[str, str | None] = {entry["picture"]: entry["picture"] for entry in entries}
    for quality, name in NAMES.items():
        rates = {}
        for row, picture in {**rows, "mean of the pictures": None}.items():
            rates[row] = points.crossing(*resolutions(entries, plan, picture), quality)
        if any(rates.values()):
            rounded = {row: rate and round(rate, DIGITS) for row, rate in rates.items()}
            columns[f"full is better from, bpp, {name}"] = rounded
    return {name: column for name, column in columns.items() if column}
