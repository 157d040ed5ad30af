"""Figures 2 to 5 of Donis and Brown: values of training and validation over the epochs, the authors' and ours.

What the figures call MS-SSIM is 1 - loss, where the loss is the square of 1 - SSIM, and what they call PSNR is its
square. Beside the axes as plotted stand those that the labels promise, as far as the logs go. All follows from logs
alone: the authors' own (`histories`), and ours, which are shipped with the weights.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from common.tables import figures, networks
from common.tables.command import Options
from common.tables.document import WHOLE_SET, Reproduction
from common.tables.figures import Basis, Line
from common.tables.numbers import DIGITS, mean, rounded
from common.training import shipped
from papers.donis_convlstm.config import at_scale
from papers.donis_convlstm.reproduction import authors_logs

Log = list[dict[str, float]]
Logs = dict[str, dict[int, Log]]  # by row and seed
AUTHORS, OURS = "authors", "ours"


@dataclass(frozen=True)
class Panel:
    """One part of a figure: whose logs, which column of them, what that is, and what is shown of a value."""

    whose: str
    column: str
    label: str
    shown: Callable[[float], float] = float


@dataclass(frozen=True)
class Quantity:
    """What a figure shows: panels as plotted (training, validation; the authors', ours), and with correct axes."""

    plotted: tuple[Panel, Panel, Panel, Panel]
    correct: tuple[Panel, ...]


def complement(loss: float) -> float:
    """Return what Figs. 2 and 4 plot of a loss."""
    return 1 - loss


def ssim_of(loss: float) -> float:
    """Return the mean SSIM of range 2 that a loss (1 - SSIM)^2 is of; of a mean of losses it is at most the mean."""
    return 1 - math.sqrt(loss)


MS_SSIM = Quantity(
    plotted=(
        Panel(AUTHORS, "SSIMLoss", "training: 1 - loss", complement),
        Panel(AUTHORS, "val_SSIMLoss", "validation: 1 - loss", complement),
        Panel(OURS, "loss", "training: 1 - loss", complement),
        Panel(OURS, "validation_loss", "validation: 1 - loss", complement),
    ),
    correct=(
        Panel(AUTHORS, "SSIMLoss", "training: SSIM, range 2, derived", ssim_of),
        Panel(AUTHORS, "val_SSIMLoss", "validation: SSIM, range 2, derived", ssim_of),
        Panel(OURS, "loss", "training: SSIM, range 2, derived", ssim_of),
        Panel(OURS, "validation_ssim_range_2", "validation: SSIM, range 2"),
        Panel(OURS, "validation_ssim", "validation: SSIM, range 1, the true one"),
    ),
)
PSNR = Quantity(
    plotted=(
        Panel(AUTHORS, "PSNRLoss", "training: PSNR² (dB²)"),
        Panel(AUTHORS, "val_PSNRLoss", "validation: PSNR² (dB²)"),
        Panel(OURS, "psnr_squared", "training: PSNR² (dB²)"),
        Panel(OURS, "validation_psnr_squared", "validation: PSNR² (dB²)"),
    ),
    correct=(
        Panel(AUTHORS, "PSNRLoss", "training: PSNR (dB), derived", math.sqrt),
        Panel(AUTHORS, "val_PSNRLoss", "validation: PSNR (dB), derived", math.sqrt),
        Panel(OURS, "psnr", "training: PSNR (dB)"),
        Panel(OURS, "validation_psnr", "validation: PSNR (dB)"),
    ),
)


def reproduce(options: Options, quantity: Quantity) -> Reproduction:
    """Return the values at the last epoch of every seed, the curves, and what they are worth."""
    reproduction = Reproduction()
    known = networks.networks_of(options.rows, options.scale, options.seeds)
    reproduction.missing = known.missing
    logs: Logs = {
        row: {seed: shipped.log(options.rows[row], options.scale, seed) for seed in known.seeds[row]}
        for row in known.made_by
    }
    reproduction.pictures = measurements(quantity, logs)
    reproduction.further = further(quantity, logs, options)
    reproduction.figures = drawn(quantity, logs, options)
    reproduction.notes = notes(quantity, logs, options)
    reproduction.provenance = {"networks": known.made_by}
    return reproduction


# --- values --------------------------------------------------------------------------------------------------------


def curve(panel: Panel, log: Log) -> list[float]:
    """Return what a panel shows of a log of ours, one value an epoch."""
    return [round(panel.shown(row[panel.column]), DIGITS) for row in log]


def authors_curve(panel: Panel, label: str) -> list[float]:
    """Return what a panel shows of the authors' log of a row."""
    return [panel.shown(value) for value in authors_logs.logged(authors_logs.RUNS[label], panel.column)]


def measurements(quantity: Quantity, logs: Logs) -> list[dict[str, Any]]:
    """Return the values as plotted after the last epoch, of each row and seed, over all pictures together."""
    names = dict(zip(("training", "validation"), quantity.plotted[2:], strict=True))
    return [
        {"row": row, "seed": seed, "picture": WHOLE_SET, **{name: curve(p, log)[-1] for name, p in names.items()}}
        for row, row_logs in logs.items()
        for seed, log in row_logs.items()
    ]


def further(quantity: Quantity, logs: Logs, options: Options) -> dict[str, dict[str, float]]:
    """Return what else is known of each row; of several seeds the mean."""
    columns: dict[str, dict[str, float]] = {}
    for row, row_logs in logs.items():
        for column, value in _row_columns(quantity, row, list(row_logs.values()), options).items():
            columns.setdefault(column, {})[row] = value
    return columns


def _row_columns(quantity: Quantity, row: str, row_logs: Sequence[Log], options: Options) -> dict[str, float]:
    shortened = at_scale(options.rows[row], options.scale)
    lasts = [log[-1] for log in row_logs]
    steps = lasts[0]["step"]
    known: dict[str, float] = {"pictures learned from": shortened.training_pictures}
    known.update({"epochs": steps / shortened.epoch_steps, "steps": int(steps), "seeds": len(lasts)})
    known["training seconds"] = mean([last["seconds"] for last in lasts])
    for panel in quantity.plotted:
        theirs = panel.whose == AUTHORS
        curves = [authors_curve(panel, row)] if theirs else [curve(panel, log) for log in row_logs]
        what = f"{panel.label.partition(':')[0]} after 1 epoch{', authors' if theirs else ''}"
        known[what] = mean([values[0] for values in curves])
    validation = [curve(quantity.plotted[3], log)[-1] for log in row_logs]
    known.update({"validation, lowest seed": min(validation), "validation, highest seed": max(validation)})
    known["validation SSIM, range 1"] = mean([last["validation_ssim"] for last in lasts])
    known["validation PSNR, dB"] = mean([last["validation_psnr"] for last in lasts])
    derived = quantity.correct[1]
    known[f"{derived.label}, authors"] = round(authors_curve(derived, row)[-1], DIGITS)
    return rounded(known)


# --- drawing -------------------------------------------------------------------------------------------------------


def drawn(quantity: Quantity, logs: Logs, options: Options) -> dict[str, Any]:
    """Return the curves as plotted and on correct axes, and how far trainings of one setting lie apart."""
    number = options.table.rpartition("figure")[2]
    basis = figures.Basis(f"{options.scale} (ours)", f"authors from their own logs; {whose_pictures(options)}")
    names = {row: name_of(row, options) for row in options.rows}
    drawings = {}
    kinds = {"": (quantity.plotted, "as plotted"), "correct": (quantity.correct, "on correct axes")}
    several = any(len(row_logs) > 1 for row_logs in logs.values())
    note = "Of ours, thin lines of one colour are trainings from several seeds." if several else ""
    for suffix, (panels, axes) in kinds.items():
        shown = {f"{panel.whose}, {panel.label}": lines(panel, logs, names) for panel in panels}
        title = f"Fig. {number} {axes}"
        drawings[suffix] = figures.panels(shown, "epoch", title, basis, columns=2, same_y=True, note=note)
    title = f"Fig. {number}, validation after the last epoch"
    drawings["spread"] = spread(quantity, logs, names, title, basis)
    return drawings


def name_of(row: str, options: Options) -> str:
    """Return a row's label, with the pictures that ours has where those are fewer than the label says."""
    asked, used = options.rows[row].pictures, at_scale(options.rows[row], options.scale).pictures
    counted = row.endswith("thousand") and asked != used
    return f"{row} (ours: {used / 1000:g} thousand)" if counted else row


def lines(panel: Panel, logs: Logs, names: Mapping[str, str]) -> list[Line]:
    """Return the curves of a panel by their row's name, one a row of the authors, one a row and seed of ours."""
    if panel.whose == AUTHORS:
        curves = [(row, authors_curve(panel, row)) for row in names]
    else:
        curves = [(row, curve(panel, log)) for row, row_logs in logs.items() for log in row_logs.values()]
    return [Line(names[row], range(1, len(values) + 1), values) for row, values in curves]


def spread(quantity: Quantity, logs: Logs, names: Mapping[str, str], title: str, basis: Basis) -> Any:
    """Draw the last values of validation of every training of the rows, and of the settings the authors repeated."""
    theirs, ours = quantity.plotted[1], quantity.plotted[3]
    rows: dict[str, dict[str, list[float]]] = {}
    for row, name in names.items():
        own = [curve(ours, log)[-1] for log in logs.get(row, {}).values()]
        rows[name] = {"authors": [authors_curve(theirs, row)[-1]], "ours, a mark a seed": own}
    again = "authors' trainings of one setting"
    rows.update({f"{name}, again": {again: values} for name, values in authors_repeated(theirs).items()})
    return figures.strips(rows, theirs.label, title, basis)


# --- what must be said ---------------------------------------------------------------------------------------------


def whose_pictures(options: Options) -> str:
    """Return which pictures stand in for the paper's, and what a figure validates on."""
    rows = options.rows.values()
    used, asked = (
        ", ".join(f"{pictures:,}" for pictures in dict.fromkeys(numbers))
        for numbers in ([at_scale(c, options.scale).pictures for c in rows], [config.pictures for config in rows])
    )
    stand_in = f"{asked} pictures" if used == asked else f"ours {used} pictures in place of {asked}"
    return f"{stand_in}, the last {100 * next(iter(rows)).validation_share:g} % to validate"


def notes(quantity: Quantity, logs: Logs, options: Options) -> list[str]:
    """Return the sentences that belong to the figure."""
    about = [pictures_note(options), batches_note(options), validation_note(options), axes_note(quantity, logs)]
    return [note for note in (*about, authors_note(quantity, options), seeds_note(quantity, logs)) if note]


def pictures_note(options: Options) -> str:
    """Say what stands in for the paper's pictures, and how many steps are left of its schedule."""
    pairs = [(config, at_scale(config, options.scale)) for config in options.rows.values()]
    if all(config.pictures == shortened.pictures for config, shortened in pairs):
        return ""
    first = pairs[0][1]
    sets = ", ".join(f"{count:,} of {name}" for name, count in first.training_sets)
    steps = "; ".join(f"{shortened.steps:,} of {config.steps:,}" for config, shortened in pairs)
    return (
        "The pictures that stand in for CIFAR-10 and CIFAR-100 are, as many as a row wants, in this order: "
        f"{sets}. So {first.epochs} epochs have fewer steps than the paper's, row by row {steps}: over the same epochs "
        "ours are the curves of shorter trainings."
    )


def validation_note(options: Options) -> str:
    """Say which pictures validate."""
    configs = list(options.rows.values())
    note = f"Validation takes the last {100 * configs[0].validation_share:g} % of a row's pictures"
    if len({config.pictures for config in configs}) == 1:
        return f"{note}, which are the same in all rows and all from the second set."
    return (
        f"{note}: of the first set for 50 thousand, of the second for 100 thousand, and for 200 thousand turned copies "
        "of pictures that are learned from as they were. So the rows differ by what they are validated on, too."
    )


def axes_note(quantity: Quantity, logs: Logs) -> str:
    """Say what the derived values are worth, from our logs, which have both."""
    rows = [row for row_logs in logs.values() for log in row_logs.values() for row in log]
    if not rows:
        return ""
    if quantity is MS_SSIM:
        off = max(row["validation_ssim_range_2"] - ssim_of(row["validation_loss"]) for row in rows)
        return (
            "Derived SSIM is 1 - sqrt(loss). A logged loss is a mean of squares, the root of which is at least the "
            f"mean: the mean SSIM is no lower than derived, and in our validation at most {off:.1g} higher. The SSIM "
            "of range 1, that of the pictures, does not follow from the authors' logs."
        )
    off = max(math.sqrt(row["validation_psnr_squared"]) - row["validation_psnr"] for row in rows)
    return (
        "Derived PSNR is the root of the mean square that is plotted, and so at least the mean PSNR; in our validation "
        f"it is up to {off:.2f} dB higher."
    )


def batches_note(options: Options) -> str:
    """Say which of the authors' rows had other batches than ours of the same label, as their logs tell."""
    theirs = {row: authors_logs.SETTINGS[authors_logs.RUNS[row]][0] for row in options.rows}
    other = [row for row, config in options.rows.items() if config.batch_size != theirs[row]]
    sizes = sorted({theirs[row] for row in other})
    if not other:
        return ""
    ours = sorted({options.rows[row].batch_size for row in other})
    return (
        f"The authors' logs tell that {', '.join(other)} had batches of {', '.join(map(str, sizes))}; ours has "
        f"{', '.join(map(str, ours))}."
    )


def authors_note(quantity: Quantity, options: Options) -> str:
    """Compare the authors' rows with their trainings of one setting."""
    panel = quantity.plotted[1]
    rows = [authors_curve(panel, row)[-1] for row in options.rows]
    same = authors_repeated(panel)
    told = " and ".join(f"{_range(values)} ({len(values)} of {setting})" for setting, values in same.items())
    more = "more" if max(map(np.ptp, same.values())) > np.ptp(rows) else "less"
    return (
        "The authors' logs hold trainings of the same batch size and pictures (learning rates are not in them). In "
        f"validation, as plotted, they end with {told}, the rows of this figure with {_range(rows)}: trainings of one "
        f"setting differ by {more} than the settings do."
    )


def authors_repeated(panel: Panel) -> dict[str, list[float]]:
    """Return the last values of the authors' trainings of one setting, for each that they trained more than once."""
    return {
        f"{size} thousand, batch {batch}": [panel.shown(authors_logs.logged(run, panel.column)[-1]) for run in runs]
        for (batch, size), runs in authors_logs.repeated().items()
    }


def seeds_note(quantity: Quantity, logs: Logs) -> str:
    """Compare our trainings that differ in the seed alone with the differences between rows."""
    panel = quantity.plotted[3]
    lasts = {row: [curve(panel, log)[-1] for log in row_logs.values()] for row, row_logs in logs.items()}
    repeated = [f"{row} {_range(values)} ({len(values)} seeds)" for row, values in lasts.items() if len(values) > 1]
    single = [row for row, values in lasts.items() if len(values) == 1]
    said = []
    if repeated:
        means = [mean(values) for values in lasts.values()]
        said.append("In validation, as plotted, our trainings that differ in the seed alone end with")
        said.append(f"{', '.join(repeated)}. The means of the rows are {_range(means)}.")
    if single:
        said.append(f"One training each of {', '.join(single)} decides nothing about them.")
    return " ".join(said)


def _range(values: Sequence[float]) -> str:
    return f"{min(values):.4g} to {max(values):.4g}"
