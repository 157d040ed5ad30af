"""Which batch sizes and pictures the authors' trainings had, by two metrics in their logs.

`residual_loss` is (sum |x - x_hat| / (B 32 32 3 n))^2 with the batch size B and the number n that were asked for; its
mean over an epoch counts every batch alike. `mae` is a mean over pictures. So sqrt(residual_loss) n / mae is the batch
that came over the one asked for, but for the last batch of an epoch: of r < B pictures it counts (r / B)^2. How much
that takes away, more in validation, which has few batches, tells into how many batches the pictures were cut.
"""

import math

import numpy as np

from papers.donis_convlstm.config import AS_RUN, SET_50K, SET_200K
from papers.donis_convlstm.reproduction import authors_logs

BATCH_SIZES = (16, 32, 64, 128, 256, 512, 1024, 2048)
FACTORS = {f"ssim_n_{n}": n for n in (1, 5, 9, 15)}
RUNS = (*authors_logs.RUNS.values(), *FACTORS)
EARLY = 5  # epochs in which a batch's error still falls much from the first batch to the last
# What the runs are named after; those of the batch study and with several n are not named after their pictures.
PICTURES = {f"ssim_train_{preset.pictures}": preset.pictures for preset in (SET_50K, AS_RUN, SET_200K)}
BATCHES = {run: int(run.rpartition("_")[2]) for run in RUNS if run.startswith("ssim_batch")}


def over_asked(run: str, prefix: str = "") -> float:
    """Return sqrt(residual_loss) n / mae of a run, of validation with the prefix `val_`: the median of late epochs."""
    return float(np.median(_over_asked(run, prefix)))


def _over_asked(run: str, prefix: str) -> np.ndarray:
    residual, error = (np.array(authors_logs.logged(run, prefix + name)) for name in ("residual_loss", "mae"))
    return (np.sqrt(residual) * FACTORS.get(run, 1) / error)[EARLY:]


def share_left(pictures: int, batch_size: int) -> float:
    """Return what the last batch leaves of sqrt(residual_loss) n / mae, where all pictures have the same error."""
    whole, rest = divmod(pictures, batch_size)
    return math.sqrt((whole + (rest / batch_size) ** 2) / (whole + (rest > 0)))


def expected(pictures: int, batch_size: int) -> float:
    """Return `observed` for a set of so many pictures, validation included."""
    validated = round(pictures * AS_RUN.validation_share)
    return share_left(validated, batch_size) / share_left(pictures - validated, batch_size)


def observed(run: str) -> float:
    """Return the ratio of validation over that of training, the median of late epochs.

    In it n, the batch asked for, and the spread of errors over batches, which raises the mean of a square, cancel.
    """
    return float(np.median(_over_asked(run, "val_") / _over_asked(run, "")))


def batch_size(runs: tuple[str, ...], count: int) -> int:
    """Return which of BATCH_SIZES comes nearest to the logs of runs of one setting, with so many pictures."""
    quotient = sum(map(observed, runs)) / len(runs)
    return min(BATCH_SIZES, key=lambda size: abs(expected(count, size) - quotient))


def pictures(run: str, size: int) -> int:
    """Return which of the numbers of pictures comes nearest to the logs of a run with batches of so many."""
    return min(PICTURES.values(), key=lambda count: abs(expected(count, size) - observed(run)))


def settings() -> dict[str, tuple[int, int]]:
    """Return pictures and batch size of every run: one of them by its name, the other by its logs.

    The logs alone tell the quotient of both. The run that is named after batches of 32 is taken by what came over what
    was asked for. Those with several n are named after neither: with the pictures of the batch study they have one
    batch size, the nearest to all four.
    """
    by_run = {run: (count, batch_size((run,), count)) for run, count in PICTURES.items()}
    for run, size in BATCHES.items():
        came = round(over_asked(run)) * size
        by_run[run] = (pictures(run, came), came)
    size = batch_size(tuple(FACTORS), AS_RUN.pictures)
    by_run.update(dict.fromkeys(FACTORS, (AS_RUN.pictures, size)))
    return {run: by_run[run] for run in RUNS}
