"""Figure 6 of Paka and Khatter: the loss of training and validation pictures over the epochs, from our log."""

import math
from typing import Any

from common.tables import figures, networks
from common.tables.command import Options
from common.tables.document import Reproduction
from common.tables.figures import CURVE, REFERENCE, Basis, Line
from common.training import shipped
from common.training.shipped import shipped_seeds
from papers.paka_autoencoder import config
from papers.paka_autoencoder.config import Config, at_scale

LOSSES = {"Training": "loss", "Validation": "validation_loss"}
PUBLISHED_EPOCHS = 1000  # the axis of Fig. 6
LAST = 5


def figure6(options: Options) -> Reproduction:
    """Return the losses over the epochs, and each at the end of the training; of several seeds the first is taken."""
    seeds = networks.seeds_of(config.AUTOENCODER, options.scale, options.seeds)[:1]
    if not seeds:
        return Reproduction(
            missing={row: networks.how_to_train(config.AUTOENCODER, options.scale) for row in options.rows}
        )
    shortened = at_scale(config.AUTOENCODER, options.scale)
    log = shipped.log(config.AUTOENCODER, options.scale, seeds[0])
    check, checked_at = check_of(options.scale)
    basis = figures.Basis(options.scale, "training and validation pictures of Kodak")
    reproduction = Reproduction(
        figures={"": drawn({"": log, f", linear output, scale {checked_at}": check}, shortened, basis)}
    )
    reproduction.notes = [compared(log, check)] if check else []
    reproduction.provenance = {"networks": {"Proposed": networks.made_by(config.AUTOENCODER, options.scale, seeds)}}
    for row, name in LOSSES.items():
        last = log[-1].get(name)
        if last is None:
            reproduction.missing[row] = "This training had no pictures to validate with."
            continue
        reproduction.values[row] = {"Loss": last}
        reproduction.further.setdefault("as PSNR in YCbCr, dB", {})[row] = round(-10 * math.log10(last), 2)
        reproduction.further.setdefault("epochs", {})[row] = round(epochs(log[-1]["step"], shortened), 1)
    reproduction.notes.append(
        f"An epoch is as many pixels as the {len(config.TRAINING_PICTURES)} training pictures have: random crops of "
        f"{shortened.patch_size}x{shortened.patch_size}, {shortened.batch_size} a step. The paper's curves end at "
        f"{PUBLISHED_EPOCHS} epochs, ours at {epochs(log[-1]['step'], shortened):.0f}."
    )
    return reproduction


def check_of(scale: str) -> tuple[list[dict[str, float]], str]:
    """Return the log of the training with a linear output, empty where its weights are not here, and its scale.

    The short one stands beside the paper's schedule too, from which it differs in where it stops alone.
    """
    trained_at = "small" if scale == "paper" and not shipped_seeds(config.AUTOENCODER_LINEAR, scale) else scale
    seeds = shipped_seeds(config.AUTOENCODER_LINEAR, trained_at)
    return shipped.log(config.AUTOENCODER_LINEAR, trained_at, seeds[0]) if seeds else [], trained_at


def compared(log: list[dict[str, float]], check: list[dict[str, float]]) -> str:
    """Say how the validation losses of a sigmoid and of a linear output compare at the end of the check.

    Both had the same crops and learning rate until then. The loss is a mean over the check's last rows, as single ones
    vary by several percent.
    """
    steps = [row["step"] for row in check][-LAST:]
    levels = []
    for rows in (log, check):
        losses = [row.get("validation_loss", row["loss"]) for row in rows if row["step"] in steps]
        levels.append(-10 * math.log10(sum(losses) / len(losses)))
    return (
        f"The check with a linear output: at steps {steps[0]:.0f} to {steps[-1]:.0f} its validation loss is "
        f"{levels[1]:.2f} dB, the sigmoid's {levels[0]:.2f} dB, with one seed each: no difference is decided."
    )


def epochs(steps: float, trained_as: Config) -> float:
    """Return how often a number of steps sees as many pixels as the training pictures have."""
    pixels = trained_as.batch_size * trained_as.patch_size**2
    return steps * pixels / (trained_as.height * trained_as.width * len(config.TRAINING_PICTURES))


def drawn(logs: dict[str, list[dict[str, float]]], trained_as: Config, basis: Basis) -> Any:
    """Return the losses over the epochs as curves, of several trainings by what is added to their names."""
    lines = []
    for added, log in logs.items():
        at = [epochs(row["step"], trained_as) for row in log]
        shown = [(row, name) for row, name in LOSSES.items() if log and name in log[-1]]
        kind = REFERENCE if added else CURVE
        lines += [Line(f"{row}{added}", at, [step.get(name) for step in log], kind) for row, name in shown]
    checked = any(line.kind == REFERENCE for line in lines)
    note = "Thin: the check with a linear output, which ends earlier." if checked else ""
    label = "mean squared error (values 0 to 1)"
    return figures.line_plot(lines, "epoch", label, "Loss of our training", basis, log_y=True, note=note)
