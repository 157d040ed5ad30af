"""Sentences of Donis and Brown about their trainings: the authors' logs and ours as values of groups of trainings."""

from collections.abc import Mapping, Sequence

import numpy as np

from papers.donis_convlstm.config import Config
from papers.donis_convlstm.reproduction import authors_logs
from papers.donis_convlstm.reproduction.training_spread import Sentence, Source, Training, Value

AUTHORS, OURS = "authors' logs", "ours"
FACTORS = (1, 5, 9, 15)  # that the authors divided a logged metric by, in four runs that are otherwise the same
AGAIN = "n = 1, 5, 9, 15"
SMALLER, LARGER = ("batch_32", "batch_64", "batch_128"), ("batch_512", "batch_1024")
BATCHES, SETS = (*SMALLER, *LARGER), ("set_50k", "set_100k", "set_200k")


# --- where the values come from ------------------------------------------------------------------------------------


def authors() -> Source:
    """Return the authors' runs; those with several n are trainings of one setting."""
    runs = {f"batch_{label.split()[1]}": run for label, run in authors_logs.RUNS.items() if label.startswith("Batch")}
    runs.update({f"set_{label.split()[0]}k": run for label, run in authors_logs.RUNS.items() if "thousand" in label})
    trainings = {group: [_authors_training(run)] for group, run in runs.items()}
    trainings[AGAIN] = [_authors_training(f"ssim_n_{n}") for n in FACTORS]
    return Source(AUTHORS, trainings, (AGAIN,), observed=True)


def _authors_training(run: str) -> Training:
    plotted = tuple(1 - loss for loss in authors_logs.logged(run, "val_SSIMLoss"))
    return Training(plotted, tuple(authors_logs.logged(run, "val_PSNRLoss")))


def ours(trainings: Mapping[str, Sequence[Training]]) -> Source:
    """Return our trainings by preset, as_run also by the groups that it is part of."""
    known = {preset: of for preset, of in trainings.items() if of}
    aliases = {group: known["as_run"] for group in ("batch_64", "set_100k") if "as_run" in known}
    return Source(OURS, {**known, **aliases}, tuple(known))


def training(config: Config, log: Sequence[Mapping[str, float]], test: Mapping[str, float]) -> Training:
    """Return a training of ours from the rows of its log; without the figures' loss, their value follows from SSIM."""
    if config.loss == "ssim_squared":
        plotted = tuple(1 - row["validation_loss"] for row in log)
    else:
        plotted = tuple(1 - (1 - row["validation_ssim_range_2"]) ** 2 for row in log)
    return Training(plotted, tuple(row["validation_psnr_squared"] for row in log), test)


# --- values of a training ------------------------------------------------------------------------------------------


def first(training: Training) -> float:
    """Return 1 - loss after the first epoch."""
    return training.plotted[0]


def last(training: Training) -> float:
    """Return 1 - loss after the last epoch."""
    return training.plotted[-1]


def tested(name: str) -> Value:
    """Return a function: the mean over the test pictures by that name, None where they were not measured."""
    return lambda training: training.test.get(name)


def plotted_test(training: Training) -> float | None:
    """Return what the figures would plot of the test pictures."""
    similarity = training.test.get("ssim_range_2")
    return None if similarity is None else 1 - (1 - similarity) ** 2


def largest_fall(training: Training) -> float | None:
    """Return the largest fall of PSNR^2 from one epoch to the next, in dB^2; negative where it never falls."""
    return _changes(training, -1.0)


def largest_rise(training: Training) -> float | None:
    """Return the largest rise of PSNR^2 between epochs from the second one on, as all rise steeply from the first."""
    return _changes(training, 1.0, 1)


def _changes(training: Training, sign: float, start: int = 0) -> float | None:
    steps = sign * np.diff(training.psnr_squared)[start:]
    return float(steps.max()) if len(steps) else None


def plotted_at_fall(training: Training) -> float | None:
    """Return how 1 - loss changes between the epochs where PSNR^2 falls most."""
    steps = np.diff(training.psnr_squared)
    return float(np.diff(training.plotted)[int(steps.argmin())]) if len(steps) else None


def fall_by_range(training: Training) -> float | None:
    """Return the largest fall of 1 - loss as a share of its range, less that of PSNR^2 as a share of its own."""
    values = [np.asarray(curve) for curve in (training.plotted, training.psnr_squared)]
    if len(values[0]) < 2 or not all(np.ptp(curve) for curve in values):
        return None
    shares = [float(-np.diff(curve).min() / np.ptp(curve)) for curve in values]
    return shares[0] - shares[1]


# --- the sentences -------------------------------------------------------------------------------------------------


def difference(group: str, others: Sequence[str]) -> dict[str, float]:
    """Return the weights of a group's value less the mean of the others'."""
    return {group: 1.0, **{other: -1.0 / len(others) for other in others if other != group}}


def _others(group: str) -> tuple[str, ...]:
    return tuple(other for other in BATCHES if other != group)


_LARGE = {**dict.fromkeys(LARGER, 1 / len(LARGER)), **dict.fromkeys(SMALLER, -1 / len(SMALLER))}
_MIDDLE = difference("set_100k", ("set_50k", "set_200k"))
_AT_512 = {"batch_512": 1.0}

SENTENCES = (
    Sentence(
        "Larger batches start worse (III-B): 1 - loss after an epoch, mean of 512 and 1024 less that of the others",
        first,
        _LARGE,
        "below",
        remark="An epoch has the fewer steps the larger the batch.",
    ),
    Sentence(
        "Larger batches surpass smaller ones in the end (III-B): last 1 - loss, the same difference", last, _LARGE
    ),
    Sentence(
        "PSNR drops sharply at batch 512 (III-B): largest fall between epochs, dB^2, against the other batches",
        largest_fall,
        difference("batch_512", _others("batch_512")),
        observed=True,
    ),
    Sentence(
        "PSNR rises sharply at batch 128 (III-B): largest rise after epoch 2, dB^2, against the other batches",
        largest_rise,
        difference("batch_128", _others("batch_128")),
        observed=True,
    ),
    Sentence(
        "The drop at 512 is not in MS-SSIM (III-B): change of 1 - loss where PSNR falls most",
        plotted_at_fall,
        _AT_512,
        observed=True,
    ),
    Sentence(
        "MS-SSIM is steadier than PSNR at 512 (III-B): largest fall by the curve's range, 1 - loss less PSNR^2",
        fall_by_range,
        _AT_512,
        "below",
        observed=True,
    ),
    Sentence(
        "100 thousand pictures are worse than 50 and 200 (III-B): last 1 - loss, less their mean",
        last,
        _MIDDLE,
        "below",
    ),
    Sentence(
        "100 thousand pictures are worse than 50 and 200 (III-B): the same of the test pictures",
        plotted_test,
        _MIDDLE,
        "below",
    ),
    Sentence(
        "After one epoch 50 thousand pictures are better than 200 (IV-A): 1 - loss",
        first,
        {"set_50k": 1.0, "set_200k": -1.0},
        observed=True,
        remark="An epoch of 200 thousand has four times the steps.",
    ),
    Sentence(
        "LeakyReLU is better than ReLU (II-B): last 1 - loss, as_run less relu", last, {"as_run": 1.0, "relu": -1.0}
    ),
)
