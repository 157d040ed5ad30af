"""Differences between groups of trainings of Donis and Brown, judged against what training again changes.

That is measured where a source has several trainings of one setting, and taken to be the same for all settings, so that
single trainings can be judged as well.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from common.tables import intervals
from common.tables.document import claim
from common.tables.numbers import DIGITS


@dataclass(frozen=True)
class Training:
    """Values of validation after each epoch, as the figures plot them, and means over the test pictures."""

    plotted: tuple[float, ...]  # 1 - loss, which Figs. 2 and 4 call MS-SSIM
    psnr_squared: tuple[float, ...]  # dB^2, which Figs. 3 and 5 call PSNR
    test: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Source:
    """Whose trainings these are, by group; those of `repeats` are several of one setting each.

    `observed`: they are the ones that the paper tells of.
    """

    whose: str
    trainings: Mapping[str, Sequence[Training]]
    repeats: tuple[str, ...]
    observed: bool = False


Value = Callable[[Training], "float | None"]


@dataclass(frozen=True)
class Sentence:
    """A sentence that is true if the weighted sum of groups' mean values is above (or below) a limit.

    `observed` ones tell what the authors saw in their curves, which nothing but these decides: there the first group is
    compared with the largest of the others. `always` ones tell of every training of a group, so that one that differs
    refutes them. `remark` is what to know of a sentence.
    """

    text: str
    value: Value
    weights: Mapping[str, float]
    relation: str = "above"
    limit: float = 0.0
    observed: bool = False
    always: bool = False
    remark: str = ""


@dataclass(frozen=True)
class Effect:
    """A weighted sum of groups' means, half its 95 % interval, and the spread that this follows from."""

    value: float
    half: float
    spread: float
    degrees: int


def spread(source: Source, value: Value) -> tuple[float, int] | None:
    """Return the pooled standard deviation of a value between trainings of one setting, and its degrees of freedom."""
    groups = [[value(training) for training in source.trainings[group]] for group in source.repeats]
    arrays = [np.array(of, np.float64) for of in groups if len(of) > 1 and None not in of]
    degrees = sum(len(of) - 1 for of in arrays)
    if not degrees:
        return None
    return math.sqrt(sum(float(np.square(of - of.mean()).sum()) for of in arrays) / degrees), degrees


def effect(source: Source, value: Value, weights: Mapping[str, float]) -> Effect | None:
    """Return the weighted sum of groups' means, None where one has no value or nothing was trained twice.

    Half the interval is t s sqrt(sum of w^2 / n) with the pooled spread s and n trainings in a group.
    """
    means = group_means(source, value, weights)
    known = spread(source, value)
    if means is None or known is None:
        return None
    total = math.fsum(weight * means[group] for group, weight in weights.items())
    variance = sum(weight**2 / len(source.trainings[group]) for group, weight in weights.items())
    half = intervals.student(known[1]) * known[0] * math.sqrt(variance)
    return Effect(total, half, *known)


def group_means(source: Source, value: Value, groups: Mapping[str, float]) -> dict[str, float] | None:
    """Return the mean of a value for each group, None where a group has none."""
    means = {}
    for group in groups:
        values = [value(training) for training in source.trainings.get(group, ())]
        numbers = [number for number in values if number is not None]
        if not numbers or len(numbers) < len(values):
            return None
        means[group] = math.fsum(numbers) / len(numbers)
    return means


def judged(sentence: Sentence, source: Source) -> dict[str, Any] | None:
    """Return a sentence as a judged claim, None where the source cannot judge it."""
    means = group_means(source, sentence.value, sentence.weights)
    if means is None:
        return None
    text = f"{sentence.text}; {source.whose}"
    note = "; ".join(f"{group} {mean:.4g}{_of(source, group)}" for group, mean in means.items()) + "."
    note += f" {sentence.remark}" if sentence.remark else ""
    if sentence.observed and source.observed:
        note += " This is what their curves show, whatever another training would."
        return claim(text, sentence.relation, sentence.limit, round(standing_out(means), DIGITS), note)
    worst = farthest(sentence, source) if sentence.always else None
    if worst is not None:
        note += " One training that differs refutes what is said of all."
        return claim(text, sentence.relation, sentence.limit, round(worst, DIGITS), note)
    difference = effect(source, sentence.value, sentence.weights)
    if difference is None:
        return None
    interval = (difference.value - difference.half, difference.value + difference.half)
    note += f" Trainings of one setting have a standard deviation of {difference.spread:.2g} "
    note += f"({difference.degrees} degrees of freedom); half the interval, {difference.half:.2g}, is what could be "
    note += "detected."
    return claim(text, sentence.relation, sentence.limit, round(difference.value, DIGITS), note, interval)


def standing_out(means: Mapping[str, float]) -> float:
    """Return by how much the first group is above the largest of the others, its own value where it is the only one."""
    first_one, *others = means.values()
    return first_one - max(others) if others else first_one


def farthest(sentence: Sentence, source: Source) -> float | None:
    """Return the value of the training that contradicts a sentence most, None where none does."""
    values = [sentence.value(training) for group in sentence.weights for training in source.trainings[group]]
    known = [value for value in values if value is not None]
    worst = max(known) if sentence.relation == "below" else min(known)
    contradicts = worst >= sentence.limit if sentence.relation == "below" else worst <= sentence.limit
    return worst if contradicts else None


def _of(source: Source, group: str) -> str:
    count = len(source.trainings[group])
    return f" (mean of {count})" if count > 1 else ""
