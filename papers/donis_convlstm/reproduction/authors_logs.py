"""The authors' own logs of Donis and Brown's trainings, which are what their Figs. 2 to 5 show."""

import functools

from common.errors import RelicError
from common.tables import published
from common.tables.published import Published

HISTORIES = "donis_convlstm/histories"
EPOCHS = 15
# Which run is which curve of the figures, by the figures' labels.
RUNS = {f"Batch {size}": f"ssim_batch_{size}" for size in (32, 64, 128, 512, 1024)}
RUNS.update({f"{size} thousand": f"ssim_train_{size}000" for size in (50, 100, 200)})
# What the logs tell of the runs: batch size and thousands of pictures (the notes of histories.csv say how). Where runs
# have the same, they are trainings of one setting: n changes a metric that is logged and nothing that is learned.
SETTINGS = {f"ssim_batch_{size}": (size, 100) for size in (64, 128, 512, 1024)}
SETTINGS.update({"ssim_batch_32": (64, 100), **{f"ssim_n_{n}": (512, 100) for n in (1, 5, 9, 15)}})
SETTINGS.update({f"ssim_train_{size}000": (64, size) for size in (50, 100, 200)})


def repeated() -> dict[tuple[int, int], list[str]]:
    """Return the runs of every setting that was trained more than once, by batch size and thousands of pictures."""
    runs_of: dict[tuple[int, int], list[str]] = {}
    for run, setting in SETTINGS.items():
        runs_of.setdefault(setting, []).append(run)
    return {setting: runs for setting, runs in sorted(runs_of.items()) if len(runs) > 1}


@functools.lru_cache(maxsize=1)
def _table() -> Published:
    return published.load(HISTORIES)


def logged(run: str, column: str) -> list[float]:
    """Return a column of a run, one value an epoch, e.g. `logged("ssim_batch_512", "val_SSIMLoss")`.

    Raises RelicError for a run or column that the authors' logs do not have.
    """
    values = [_table().value(f"{run}, {epoch}", column) for epoch in range(1, EPOCHS + 1)]
    known = [value for value in values if value is not None]
    if len(known) < EPOCHS:
        raise RelicError(f"the authors' logs have no {EPOCHS} epochs of {column} of {run!r}")
    return known


def claimed_accuracy() -> tuple[int, int]:
    """Return from how much to how much percent the test results are, as Section IV-B has it."""
    text = published.load("donis_convlstm/text")
    low, high = (text.value(row, "Accuracy") for row in ("from", "to"))
    assert isinstance(low, int) and isinstance(high, int)
    return low, high
