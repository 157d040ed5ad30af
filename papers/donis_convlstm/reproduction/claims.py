"""Sentences of Donis and Brown judged: by the authors' logs, by ours, and by what the networks give back."""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from common.config import find_preset, presets
from common.tables import figures, intervals, networks
from common.tables import measure as measure_module
from common.tables.command import Options
from common.tables.document import WHOLE_SET, Reproduction
from common.tables.figures import Basis
from common.tables.numbers import rounded
from common.training import shipped
from papers.donis_convlstm import config
from papers.donis_convlstm.config import at_scale
from papers.donis_convlstm.reproduction import claims_logged, claims_measured, figures6and7, training_spread
from papers.donis_convlstm.reproduction.claims_logged import AGAIN, AUTHORS, last
from papers.donis_convlstm.reproduction.training_spread import Source, Training, spread

SMOKE_PRESETS = ("as_run", "mae")
# What one picture for all inputs reaches is about 0.5; the authors' run that never got away ends at 0.516.
PLATEAU = 0.55
LEFT = f"epoch it exceeds {PLATEAU:g}"
COLUMNS = {
    "SSIM, test": "ssim",
    "SSIM of range 2, test": "ssim_range_2",
    "PSNR, dB, test": "psnr",
    "luma kept": "luma_kept",
    "chroma kept": "chroma_kept",
    "between pictures kept": "between_kept",
}
MARGIN = 0.02  # of 1 - loss, beside the marks of a figure
# The settings as figures name them.
NAMES = {
    "as_run": "as the authors ran it: batch 64",
    "as_written": "as the paper writes it",
    **{f"batch_{size}": f"batch {size}" for size in (32, 64, 128, 512, 1024)},
    **{f"set_{size}k": f"{size} thousand pictures" for size in (50, 100, 200)},
    "mae": "mean absolute error as loss",
    "relu": "ReLU for LeakyReLU",
    AGAIN: f"batch 512 again: {AGAIN}",
}
SPREAD = ("trainings", "last 1 - loss", "standard deviation", "lowest", "highest")
HOW = (
    "A difference is judged against what training again changes: the standard deviation s of trainings of one setting, "
    "pooled over the settings that have several, of which the rest is taken to have the same. The interval is "
    "t s sqrt(sum of w^2 / n) to either side, w the weights of the groups and n their trainings. So one training is "
    "enough to decide what is larger than chance, and two are not enough to decide what is smaller.",
    "Kept: the variance of the outputs as a share of the inputs', over all pixels of the test pictures (luma, chroma) "
    "or between pictures at each pixel. The first is 1 for a perfect codec, the last 0 for one picture for all inputs.",
    "Validation is of the last 5 % of the pictures, which are other ones for each training set: of the second set, or "
    "turned. The test pictures are the same for all.",
)


def reproduce(options: Options) -> Reproduction:
    """Measure what has weights on the test pictures, read the logs, judge and draw. Only scale smoke trains."""
    pictures = figures6and7.test_pictures(options)
    configs = {preset: find_preset(config, preset) for preset in wanted(options.scale)}
    known = networks.networks_of(configs, options.scale, options.seeds)
    seeds = known.seeds
    every = [(preset, seed) for preset, of in seeds.items() for seed in of]
    summary_of = partial(summary, options.scale, pictures.x)
    tests = dict(zip(every, measure_module.over_networks(options, summary_of, every), strict=True))
    trainings = {
        preset: [
            claims_logged.training(network, shipped.log(network, options.scale, seed), tests[preset, seed])
            for seed in seeds[preset]
        ]
        for preset, network in configs.items()
    }
    reproduction = judged(claims_logged.ours(trainings), claims_logged.authors(), options.scale)
    initialisations = 2 if options.scale == "smoke" else claims_measured.INITIALISATIONS
    reproduction.claims += claims_measured.vanishing(options.scale, pictures.x, initialisations)
    reproduction.pictures = [
        {"row": preset, "seed": seed, "picture": WHOLE_SET, **values} for (preset, seed), values in tests.items()
    ]
    reproduction.notes += [pictures.note] if pictures.note else []
    reproduction.notes += [*HOW, stand_ins(options.scale)]
    reproduction.missing = known.missing
    reproduction.provenance = {"test_set": pictures.about, "networks": known.made_by}
    return reproduction


def wanted(scale: str) -> list[str]:
    """Return the presets of one iteration, at scale smoke two of them."""
    single = [preset for preset, network in presets(config).items() if not network.is_iterative]
    return [preset for preset in single if scale != "smoke" or preset in SMOKE_PRESETS]


def summary(scale: str, x: np.ndarray, network: tuple[str, int]) -> dict[str, float]:
    """Return `figures6and7.summary` of the network of a preset and seed."""
    preset, seed = network
    return figures6and7.summary(x, figures6and7.reconstructed(find_preset(config, preset), scale, seed, x))


def stand_ins(scale: str) -> str:
    """Say how large the training sets are at a scale, and how long a training is."""
    sizes = {p: at_scale(find_preset(config, p), scale) for p in ("set_50k", "as_run", "set_200k")}
    counts = ", ".join(f"{network.pictures:,} for {find_preset(config, p).pictures:,}" for p, network in sizes.items())
    steps = ", ".join(f"{network.epoch_steps}" for network in sizes.values())
    said = "" if scale == "paper" else "Training sets are stand-ins of what pictures are here: "
    return f"{said}{counts}; {steps} steps an epoch, {sizes['as_run'].epochs} epochs."


# --- judging -------------------------------------------------------------------------------------------------------


def judged(mine: Source, theirs: Source, scale: str) -> Reproduction:
    """Return the claims, the spread of all settings, and the figures, which follow from trainings alone."""
    sentences = [*claims_logged.SENTENCES, *claims_measured.SENTENCES]
    claims = [training_spread.judged(sentence, source) for sentence in sentences for source in (theirs, mine)]
    reproduction = Reproduction(claims=[judgement for judgement in claims if judgement])
    reproduction.claims += [*claims_measured.author_claims(), *claims_measured.counted()]
    reproduction.notes = [*central(mine, theirs), *the_same(mine), *not_judged(mine)]
    reproduction.further = further(mine, theirs)
    reproduction.figures = drawn(mine, theirs, scale)
    return reproduction


def central(mine: Source, theirs: Source) -> list[str]:
    """Say how far trainings of one setting lie apart, and what that leaves of the figures' differences."""
    own, others = spread(mine, last), spread(theirs, last)
    assert others is not None
    finals = {group: last(of[0]) for group, of in theirs.trainings.items() if group != AGAIN}
    again = [last(training) for training in theirs.trainings[AGAIN]]
    without = float(np.std(sorted(again)[1:], ddof=1))
    said = f"The authors trained one setting four times ({AGAIN}): the last 1 - loss has a standard deviation of "
    said += f"{others[0]:.3f}, and without the one that failed of {without:.3f}. The final values of Figs. 2 and 4, "
    said += f"single trainings, reach from {min(finals.values()):.3f} to {max(finals.values()):.3f}. Between two of "
    said += f"them {detectable(*others):.2f} could be told from chance, and {detectable(without, len(again) - 2):.3f} "
    said += "if none ever failed."
    notes = [said]
    if own is not None:
        notes.append(
            f"Ours, of one setting, have a standard deviation of {own[0]:.3f} ({own[1]} degrees of freedom): between "
            f"single trainings {detectable(*own):.2f} could be told from chance."
        )
    return notes


def detectable(deviation: float, degrees: int) -> float:
    """Return the least difference between two single trainings that is decided."""
    return math.sqrt(2.0) * intervals.student(degrees) * deviation


def the_same(mine: Source) -> list[str]:
    """Say how many trainings with SSIM as loss end at one picture for all inputs."""
    kept = [training.test.get("between_kept", 1.0) for group in _with_ssim(mine) for training in mine.trainings[group]]
    same = sum(share < claims_measured.THE_SAME for share in kept)
    said = f"Of our {len(kept)} trainings with SSIM as loss {same} gave the same picture for every input: less than "
    return [f"{said}{100 * claims_measured.THE_SAME:g} % of the variance between pictures."] if kept else []


def _with_ssim(mine: Source) -> list[str]:
    return [preset for preset in mine.repeats if find_preset(config, preset).loss == "ssim_squared"]


def not_judged(mine: Source) -> list[str]:
    """Say which sentences wait for trainings of ours."""
    if any(len(mine.trainings[group]) > 1 for group in mine.repeats):
        return []
    return ["None of our settings was trained twice here: no difference between our trainings is judged."]


def further(mine: Source, theirs: Source) -> dict[str, dict[str, Any]]:
    """Return by setting the last 1 - loss and its spread over seeds, and the means over the test pictures."""
    rows = {preset: mine.trainings[preset] for preset in mine.repeats}
    rows[f"{AUTHORS}: {AGAIN}"] = theirs.trainings[AGAIN]
    columns: dict[str, dict[str, Any]] = {name: {} for name in SPREAD}
    for row, of in rows.items():
        known = setting_columns(of)
        if row in mine.repeats and row not in _with_ssim(mine):
            del known[LEFT]  # other losses have other plateaus
        for name, value in known.items():
            columns.setdefault(name, {})[row] = value
    return {name: column for name, column in columns.items() if column}


def setting_columns(trainings: Sequence[Training]) -> dict[str, Any]:
    """Return what is known of one setting's trainings, by column."""
    finals = np.array([last(training) for training in trainings])
    known: dict[str, Any] = dict(zip(SPREAD, (len(finals), float(finals.mean())), strict=False))
    if len(finals) > 1:
        known.update(zip(SPREAD[2:], map(float, (finals.std(ddof=1), finals.min(), finals.max())), strict=True))
    known[LEFT] = ", ".join(str(left(training) or "never") for training in trainings)
    for column, key in COLUMNS.items():
        values = [training.test[key] for training in trainings if key in training.test]
        known.update({column: math.fsum(values) / len(values)} if values else {})
    return rounded(known)


def left(training: Training) -> int | None:
    """Return the first epoch, from 1, whose 1 - loss exceeds what one picture for all inputs reaches."""
    return next((epoch for epoch, value in enumerate(training.plotted, 1) if value > PLATEAU), None)


# --- drawing -------------------------------------------------------------------------------------------------------


def drawn(mine: Source, theirs: Source, scale: str) -> dict[str, Any]:
    """Draw the last 1 - loss of every training by setting, ours and the authors'."""
    own = {name_of(preset, scale): mine.trainings[preset] for preset in mine.repeats}
    others = {NAMES[group]: of for group, of in theirs.trainings.items()}
    levels = [last(training) for of in (*own.values(), *others.values()) for training in of]
    ends = min(levels) - MARGIN, max(levels) + MARGIN
    validated = "validation on the last 5 % of the pictures learned from"
    strips = {"": _strip(own, "Ours: every training of each setting", Basis(scale, validated), ends)} if own else {}
    title = "The authors': single trainings, and four of one setting"
    return {**strips, "authors": _strip(others, title, Basis("of the authors' own logs", validated), ends)}


def name_of(preset: str, scale: str) -> str:
    """Return the name of a setting, with the pictures that its set has at a scale where those are others."""
    asked = find_preset(config, preset)
    used = at_scale(asked, scale).pictures
    counted = preset.startswith("set_") and used != asked.pictures
    return f"{NAMES[preset]}{f' (ours: {used / 1000:g} thousand)' * counted}"


def _strip(groups: Mapping[str, Sequence[Training]], title: str, basis: Basis, ends: tuple[float, float]) -> Any:
    rows = {name: {"a training": [last(training) for training in of]} for name, of in groups.items()}
    label = "validation after the last epoch: 1 - loss"
    return figures.strips(rows, label, title, basis, limits=ends, means=True)
