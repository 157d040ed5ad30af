"""Sentences of Cheng et al. judged: from the pictures of Tables 1 to 5 as they are written, from logs, and by counts.

Tables are not measured anew: each says in its own json what it was made with. Only the stack of 3x3 without shortcuts,
which no table has, is measured here.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from common.files import results_dir
from common.tables import equal_rate, files, intervals, measure, networks, published
from common.tables.command import Options
from common.tables.document import Reproduction, claim
from common.tables.numbers import DIGITS, mean
from common.tables.test_pictures import pictures_of
from common.training import shipped
from papers.cheng_resnet import complexity, config
from papers.cheng_resnet.reproduction import structures, tables8and9, text_numbers

PLAIN, RESIDUAL = "Stack of four 3x3 without shortcuts", "ResNet-3x3(4)-TConv"
TABLES = ("table1", "table2", "table3", "table4", "table5")
NAMES, UNITS = {"psnr": "PSNR", "ms_ssim": "MS-SSIM", "bpp": "rate"}, {"psnr": " dB", "ms_ssim": "", "bpp": " bpp"}
FEWEST_TRAININGS = 2
LAST = 0.1  # share of a log whose mean is what a training ends with
CONVERGED = 1.1  # of what the residual network ends with: fixed before the stack was trained
NO_BENEFIT = 0.002  # of MS-SSIM, the tables' tolerance: a difference below it is no benefit
HOW = (
    f"Trained networks are compared as the written tables have them, at equal rate: {equal_rate.HOW}.",
    f"What takes trainings is judged from {FEWEST_TRAININGS} of each network on, as one may be better by chance. Where "
    "a sentence is undecided, its note says what effect could have been detected: half the interval.",
)

Entries = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Sentence:
    """A sentence that is true if a row of a table lies beyond another by `relation` and `limit`, in `measured`.

    At the other row's rate, or where `own_rate` as each was measured.
    """

    text: str
    table: str
    ours: str
    other: str
    measured: str = "psnr"
    relation: str = "above"
    limit: float = 0.0
    own_rate: bool = False


_MAIN = "Larger kernels in the main autoencoder are better (Section 2.1): {}"
_BETTER = "{} is better than {} (Section {})"
_WIDE, _NARROW = "ResNet-3x3(4)-Bottleneck192", "ResNet-3x3(4)-Bottleneck128"
_AUX = ("table3", "HyperPrior-9-Aux-9", "HyperPrior-9-Aux-5", "ms_ssim")
_RESIDUAL = (
    ("ResNet-3x3(4)-TConv", "ResNet-3x3(3)", "2.2"),
    ("ResNet-3x3(3)", "Hyperprior-9", "2.2"),
    ("ResNet-3x3(4)-TConv", "Hyperprior-9", "2.2"),
    ("ResNet-3x3(4)-SubPixel", "ResNet-3x3(4)-TConv", "2.3"),
)
SENTENCES = (
    *(
        Sentence(_MAIN.format(f"{name}-{larger} than {name}-{smaller}"), table, f"{name}-{larger}", f"{name}-{smaller}")
        for table, name in (("table1", "Baseline"), ("table2", "HyperPrior"))
        for larger, smaller in ((5, 3), (9, 5), (9, 3))
    ),
    Sentence(
        "A larger kernel in the auxiliary autoencoder brings no benefit (Section 2.1)",
        *_AUX,
        relation="below",
        limit=NO_BENEFIT,
    ),
    Sentence("It even gets worse (Section 2.1): Aux-9 than Aux-5", *_AUX, relation="below"),
    *(
        Sentence(_BETTER.format(ours, other, section), "table4", ours, other, measured)
        for ours, other, section in _RESIDUAL
        for measured in ("ms_ssim", "psnr")
    ),
    Sentence("Bottleneck192 reduces the bitrate (Section 3)", "table5", _WIDE, _NARROW, "bpp", "below", own_rate=True),
    *(
        Sentence("Bottleneck192 degrades quality (Section 3)", "table5", _WIDE, _NARROW, measured, "below", 0.0, True)
        for measured in ("ms_ssim", "psnr")
    ),
    Sentence(
        "More filters increase the capacity (Section 3): Bottleneck192 is better", "table5", _WIDE, _NARROW, "ms_ssim"
    ),
)
WITHOUT_SHORTCUTS = tuple(
    Sentence("A stack without shortcuts is worse (Section 2.2)", "table4", PLAIN, RESIDUAL, measured, "below")
    for measured in ("ms_ssim", "psnr")
)


@dataclass
class Tables:
    """Written tables of one scale: their pictures, what made them, and for each that is not here how to get it."""

    entries: dict[str, list[Mapping[str, Any]]] = field(default_factory=dict)
    made_by: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)


def reproduce(options: Options) -> Reproduction:
    """Measure the stack without shortcuts where it is trained, then judge it, the written tables and the counts."""
    pictures, test_set, _ = pictures_of(options, published.load(options.table))
    tables = written(options, [name for name, _ in pictures], test_set["name"])
    reproduction = measure.rate_distortion(dataclasses.replace(options, rows={PLAIN: config.PLAIN4}))
    known = networks.networks_of({RESIDUAL: config.RESNET4}, options.scale, options.seeds)
    reproduction.figures = {}
    reproduction.missing = {**tables.missing, **reproduction.missing}
    reproduction.provenance["networks"] = {**tables.made_by, **known.made_by, **reproduction.provenance["networks"]}
    both = [*tables.entries.get("table4", []), *reproduction.pictures]
    trained = judged(SENTENCES, tables.entries)
    plain = judged(WITHOUT_SHORTCUTS, {"table4": both}) if reproduction.pictures else []
    reproduction.claims = [*trained, *convergence(options), *plain, *counted()]
    reproduction.notes = [*HOW, *tables.notes, *reproduction.notes]
    return reproduction


# --- written tables --------------------------------------------------------------------------------------------------


def written(options: Options, pictures: Sequence[str], test_set: str) -> Tables:
    """Read Tables 1 to 5 of a scale; of their pictures and seeds those that are asked for."""
    tables = Tables()
    for table in TABLES:
        path = results_dir() / options.scale / f"cheng_resnet/{table}.json"
        command = f"`python -m experiments.{table}_cheng --scale {options.scale}`"
        if not path.is_file():
            tables.missing[table] = f"No such table at scale {options.scale}: {command} writes it."
            continue
        document = files.read(path)
        made, entries = document["provenance"], document["pictures"]
        if made["test_set"]["name"] != test_set:
            tables.missing[table] = f"It is of {made['test_set']['name']}, not of {test_set}: {command} with --data."
            continue
        seeds = options.seeds
        tables.entries[table] = [
            one for one in entries if one["picture"] in pictures and (seeds is None or one["seed"] in seeds)
        ]
        tables.made_by.update({f"{table}: {row}": about for row, about in made.get("networks", {}).items()})
        tables.notes.append(f"{table}: by `{made.get('command')}`, commit {str(made.get('commit'))[:10]}.")
        lacking = equal_rate.without_curves(tables.entries[table])
        if lacking:
            tables.missing[table] = f"{', '.join(lacking)} without curves: {command} measures them."
    return tables


def judged(sentences: Sequence[Sentence], entries: Mapping[str, Entries]) -> list[dict[str, Any]]:
    """Return the claims of those sentences whose rows were measured."""
    found = [(sentence, _difference(sentence, entries.get(sentence.table, []))) for sentence in sentences]
    return [_claim(sentence, of, entries[sentence.table]) for sentence, of in found if of]


def _difference(sentence: Sentence, entries: Entries) -> dict[str, Any] | None:
    """Return what `equal_rate.difference` does, None where there is no difference."""
    if sentence.own_rate:
        return at_own_rates(entries, sentence.ours, sentence.other, sentence.measured)
    found = equal_rate.difference(entries, sentence.ours, sentence.other, sentence.measured)
    return found if found and found["reproduced"] is not None else None


def at_own_rates(entries: Entries, ours: str, other: str, measured: str) -> dict[str, Any] | None:
    """Return the plain difference of two rows over their pictures and seeds, as `equal_rate.difference`."""
    known: dict[str, dict[tuple[int, str], float]] = {ours: {}, other: {}}
    for entry in entries:
        if entry["row"] in known and entry[measured] is not None:
            known[entry["row"]][entry["seed"], entry["picture"]] = entry[measured]
    seeds = {row: sorted({seed for seed, _ in of}) for row, of in known.items()}
    pictures = [
        name
        for name in dict.fromkeys(entry["picture"] for entry in entries)
        if all((seed, name) in of for row, of in known.items() for seed in seeds[row])
    ]
    if not pictures or not all(seeds.values()):
        return None
    both = [np.array([[of[seed, name] for name in pictures] for seed in seeds[row]]) for row, of in known.items()]
    return {
        "reproduced": mean(both[0].flat) - mean(both[1].flat),
        "interval": intervals.interval_of_difference(*both),
        "seeds": [len(of) for of in seeds.values()],
        "pictures": len(pictures),
        "left_out": 0,
    }


def _claim(sentence: Sentence, found: Mapping[str, Any], entries: Entries) -> dict[str, Any]:
    unit, seeds = UNITS[sentence.measured], found["seeds"]
    where = "" if sentence.own_rate else " at equal rate"
    text = f"{sentence.text}: {NAMES[sentence.measured]}{where}{',' * bool(unit)}{unit}"
    enough = min(seeds) >= FEWEST_TRAININGS
    note = f"{seeds[0]} and {seeds[1]} trainings, {found['pictures']} pictures."
    if found["left_out"]:
        note += f" {found['left_out']} are left out, whose curves do not reach the rate."
    bd = None if sentence.own_rate else equal_rate.bd(entries, sentence.ours, sentence.other, sentence.measured)
    if bd and bd["rate"] is not None:
        note += f" BD-rate {bd['rate']:+.1f} %."
    interval = found["interval"]
    if interval and not enough:
        note += f" Over pictures alone the interval is {interval[0]:+.3g} to {interval[1]:+.3g}{unit}."
    if interval and enough and interval[0] <= sentence.limit <= interval[1]:
        note += f" An effect of {intervals.half_width(interval):.2g}{unit} could have been detected."
    value = round(float(found["reproduced"]), DIGITS)
    return claim(text, sentence.relation, sentence.limit, value, note, interval if enough else None, measured=True)


# --- logs ------------------------------------------------------------------------------------------------------------


def convergence(options: Options) -> list[dict[str, Any]]:
    """Judge by the logs whether the stack without shortcuts ends far above the residual network, seed by seed."""
    compared = (config.PLAIN4, config.RESNET4)
    there = set.intersection(*(set(shipped.shipped_seeds(network, options.scale)) for network in compared))
    seeds = sorted(seed for seed in there if options.seeds is None or seed in options.seeds)
    logs = [[shipped.log(network, options.scale, seed) for network in compared] for seed in seeds]
    return [convergence_claim(logs)] if logs else []


def convergence_claim(logs: Sequence[Sequence[Sequence[Mapping[str, Any]]]]) -> dict[str, Any]:
    """Judge pairs of logs: of the stack without shortcuts and of the residual network of the same seed."""
    ends = [tuple(map(end_of, pair)) for pair in logs]
    ratios = np.array([plain / residual for plain, residual in ends])
    interval = intervals.interval_over_trainings(ratios)
    starts = [plain[0]["loss"] for plain, _ in logs]
    each = [
        f"from {start:.3g} to {plain:.3g}, with shortcuts to {residual:.3g}"
        for start, (plain, residual) in zip(starts, ends, strict=True)
    ]
    note = f"By seed {'; '.join(each)}: means of the last tenth of the logs."
    if interval and interval[0] <= CONVERGED <= interval[1]:
        note += f" An effect of {intervals.half_width(interval):.2g} could have been detected."
    text = "The stack of 3x3 kernels without shortcuts cannot converge (Section 2.2): its last loss by ResNet-3x3(4)'s"
    return claim(text, "above", CONVERGED, round(float(ratios.mean()), DIGITS), note, interval, measured=True)


def end_of(log: Sequence[Mapping[str, Any]]) -> float:
    """Return the mean loss of the last tenth of a log's rows, of at least one."""
    return mean(row["loss"] for row in log[-max(1, round(LAST * len(log))) :])


# --- counts ----------------------------------------------------------------------------------------------------------


def counted() -> list[dict[str, Any]]:
    """Judge what counts and printed numbers decide, at the paper's width whatever the scale."""
    rows = {"HyperPrior-5": config.HYPERPRIOR_5, "HyperPrior-9": config.HYPERPRIOR_9, **structures.NETWORKS}
    layers = {row: complexity.layers(network) for row, network in rows.items()}
    return [*tables8and9.claims(layers), *_rates(), structure_claim()]


def _rates() -> list[dict[str, Any]]:
    """Set Table 6's printed rates against the threshold that the text says they lie around."""
    table = published.load("cheng_resnet/table6")
    threshold = text_numbers.printed(text_numbers.THRESHOLD, "Rate")
    low, high = (table.value(row, "Rate") or 0.0 for row in table.rows)
    network = text_numbers.printed("Second network of the rate control", "Lambda")
    text = f"The rate with the {{}} lambda is {{}} {threshold:g} bpp (Section 3): as Table 6 prints it"
    note = f"The text gives the second network lambda = {network:g}, Table 6 has {table.rows[1].rpartition(', ')[2]}."
    return [
        claim(text.format("first", "below"), "below", threshold, low),
        claim(text.format("second", "above"), "above", threshold, high, note),
    ]


def structure_claim() -> dict[str, Any]:
    """Judge whether one structure alone meets the parameters of Table 9's residual rows."""
    found = structures.fitting(structures.printed())
    count = sum(1 for _ in structures.structures())
    each = ", ".join(f"{row} {len(of)}" for row, of in found.items())
    text = f"One structure alone of {count:,} has the parameters of all four residual rows of Table 9"
    return claim(text, "equals", 1, len(structures.meeting_all(found)), f"Those of one row: {each}.")
