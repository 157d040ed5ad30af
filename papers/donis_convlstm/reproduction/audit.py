"""What the axes of Donis and Brown's figures mean: the measures recomputed from logs and on crude pictures.

Nothing is trained. The printed values are those of the authors' own logs (`histories`), from which the figures are.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from common.tables import figures
from common.tables.command import Options
from common.tables.document import EXACT_SCALE, Reproduction, claim
from common.tables.figures import POINTS, REFERENCE, Basis, Line
from common.tables.numbers import DIGITS
from papers.donis_convlstm import complexity, config
from papers.donis_convlstm.complexity import REFERENCE_PICTURES, REFERENCE_TILES
from papers.donis_convlstm.config import MAX_ITERATIONS
from papers.donis_convlstm.reproduction import authors_logs, batch_sizes, crude_codecs, figures6and7
from papers.donis_convlstm.reproduction.crude_codecs import (
    BPP,
    JPEG,
    MS_SSIM,
    PLOTTED,
    PLOTTED_PSNR,
    PSNR,
    SSIM,
    SSIM_2,
    Crude,
)
from papers.donis_convlstm.reproduction.figures6and7 import CODE_BPP

VALUES = 32 * 32 * 3
PIXEL_BITS = 24
SAME = "mean of all pictures"
SHOWN = (SAME, "4x4 pixels, bicubic", "8x8 pixels, bicubic", "luma alone", "JPEG quality 10")
SHOWN_RANKS = (0.9, 0.5, 0.1)  # of the test pictures by SSIM, as shares
DEFAULT_BATCH = 512  # of the authors' code

Table = Mapping[str, Mapping[str, float]]


def reproduce(options: Options) -> Reproduction:
    """Measure the stand-ins on the test pictures, read the logs, and judge what they allow to say."""
    pictures = figures6and7.test_pictures(options)
    stand_ins = crude_codecs.all_of(pictures.x)
    table = crude_codecs.table(pictures.x, stand_ins)
    reproduction = Reproduction(notes=[pictures.note] if pictures.note else [])
    reproduction.claims = [*psnr_claims(), *ms_ssim_claims(table), *rate_claims(table), *run_claims()]
    reproduction.further = by_column({**table, **runs_table()})
    reproduction.notes += [*notes(table), *further_notes()]
    reproduction.figures = drawn(pictures.x, stand_ins, table, figures.basis_of(EXACT_SCALE, pictures.about))
    reproduction.provenance = {"test_set": pictures.about}
    return reproduction


def by_column(rows: Table) -> dict[str, dict[str, float]]:
    """Return rows of columns as columns of rows, rounded to what their pictures can tell."""
    columns = dict.fromkeys(column for values in rows.values() for column in values)
    return {
        column: {row: _rounded(values[column]) for row, values in rows.items() if column in values}
        for column in columns
    }


def _rounded(value: float) -> float:
    return value if isinstance(value, int) else round(value, DIGITS)


# --- the measures --------------------------------------------------------------------------------------------------


def plotted(run: str, column: str) -> list[float]:
    """Return what Figs. 2 and 4 plot of a run, by the column of its loss."""
    return [1 - loss for loss in authors_logs.logged(run, column)]


def logged_psnr() -> np.ndarray:
    """Return all values of Figs. 3 and 5, of training and validation."""
    columns = ("PSNRLoss", "val_PSNRLoss")
    return np.array([authors_logs.logged(run, column) for run in authors_logs.RUNS.values() for column in columns])


def psnr_claims() -> list[dict[str, Any]]:
    """Judge whether what Figs. 3 and 5 plot can be decibels."""
    values, most = logged_psnr(), 20 * math.log10(255) + 10 * math.log10(VALUES)
    low, high = values.min(), values.max()
    note = f"One value of {VALUES} wrong by one of 255 levels leaves {most:.1f} dB, the most below infinity. The logs' "
    note += f"{low:.1f} to {high:.1f} are squares: {math.sqrt(low):.2f} to {math.sqrt(high):.2f} dB."
    return [claim("Figs. 3 and 5 show PSNR: the least value plotted", "below", round(most, 2), round(low, 2), note)]


def ms_ssim_claims(table: Table) -> list[dict[str, Any]]:
    """Judge what a plotted value at the lower end of Section IV-B's range says of the pictures."""
    claimed = authors_logs.claimed_accuracy()[0] / 100
    finals = {run: plotted(run, "val_SSIMLoss")[-1] for run in batch_sizes.RUNS}
    reached = sorted(1 - math.sqrt(1 - value) for value in finals.values() if value >= claimed)
    squared = f"The {len(reached)} runs of {len(finals)} that end at {claimed:g} or more have an SSIM of range 2 of "
    squared += f"{reached[0]:.3f} to {reached[-1]:.3f}; of a mean of squares the root is at most the mean."
    text = f"A plotted {claimed:g} is an MS-SSIM or SSIM of {claimed:g} (IV-B)"
    line = interpolated(table, PLOTTED, SSIM, claimed)
    own = f"Interpolated between the qualities of JPEG here. {squared}"
    same = table[SAME]
    share = f"{SAME}: SSIM {same[SSIM]:.3f}, MS-SSIM of two scales {same[MS_SSIM]:.3f}, PSNR {same[PSNR]:.2f} dB."
    percent = "A percentage of accuracy (IV-B) is near 0 where all inputs give one picture: what is plotted of it"
    return [
        claim(f"{text}: SSIM of range 1 where JPEG is plotted at {claimed:g}", "above", claimed, line, own),
        claim(percent, "below", 0.1, round(same[PLOTTED], 4), share),
    ]


def interpolated(table: Table, known: str, wanted: str, value: float) -> float:
    """Return a column of JPEG where another one has a value, between its qualities."""
    rows = sorted((row[known], row[wanted]) for name, row in table.items() if name.startswith(JPEG))
    x, y = np.array(rows).T
    return round(float(np.interp(value, x, y)), 4)


# --- the rate ------------------------------------------------------------------------------------------------------


def rate_claims(table: Table) -> list[dict[str, Any]]:
    """Judge the code of the program, which has no binarizer, as the compressed picture that it is taken for."""
    rate, one_bit = CODE_BPP[config.AS_RUN], CODE_BPP[config.AS_WRITTEN]
    numbers = f"{config.AS_RUN.code_channels * 4} numbers of {figures6and7.FLOAT_BITS} bits, "
    numbers += f"{PIXEL_BITS / rate:g} times less than the picture; bits would be {PIXEL_BITS / one_bit:g} times less."
    best = math.sqrt(logged_psnr()[1::2].max())
    level = "The root of the most that is plotted of validation in Figs. 3 and 5, on other pictures than JPEG's. "
    level += f"{crude_codecs.jpeg_label()}, without headers, between its qualities."
    return [
        claim("The code is binary (II-A), bpp, where the program has no binarizer", "equals", one_bit, rate, numbers),
        claim(
            f"At the {rate:g} bpp of that code the best run is above JPEG, dB: JPEG's PSNR",
            "below",
            round(best, 4),
            interpolated(table, BPP, PSNR, rate),
            level,
        ),
        claim(
            f"The best run needs fewer bits than JPEG: JPEG's rate at its {best:.2f} dB, bpp",
            "above",
            rate,
            interpolated(table, PSNR, BPP, best),
        ),
    ]


# --- the runs ------------------------------------------------------------------------------------------------------


def runs_table() -> dict[str, dict[str, float]]:
    """Return of every run of the authors the last values of validation, and what its logs tell of its batches."""
    rows = {}
    for run, (pictures, size) in batch_sizes.settings().items():
        loss, squared = (authors_logs.logged(run, column)[-1] for column in ("val_SSIMLoss", "val_PSNRLoss"))
        measures = {PLOTTED: 1 - loss, SSIM_2: 1 - math.sqrt(loss), PLOTTED_PSNR: squared, PSNR: math.sqrt(squared)}
        rows[f"authors' {run}"] = {
            **measures,
            "batch came / asked": batch_sizes.over_asked(run),
            "validation / training": batch_sizes.observed(run),
            "expected": batch_sizes.expected(pictures, size),
            "pictures": pictures,
            "batch size": size,
        }
    return rows


def run_claims() -> list[dict[str, Any]]:
    """Judge batch sizes by what the logs divide by, and the size study by a second run of the same setting."""
    settings = batch_sizes.settings()
    came = batch_sizes.batch_size(("ssim_batch_32",), config.AS_RUN.pictures)
    ends = [plotted(f"ssim_batch_{size}", "val_SSIMLoss")[-1] for size in (32, 64)]
    named = f"A second sign: the sum over a batch is {batch_sizes.over_asked('ssim_batch_32'):.3f} times what batches "
    named += f"of 32 would give. The curve ends at {ends[0]:.4f}, batch 64's at {ends[1]:.4f}."
    of_50k = plotted("ssim_train_50000", "val_SSIMLoss")[-1]
    same = [run for run, setting in settings.items() if setting == settings["ssim_train_100000"]]
    of_100k = {run: plotted(run, "val_SSIMLoss")[-1] for run in same}
    listed = ", ".join(f"{run} {end:.4f}" for run, end in of_100k.items())
    size = f"By the logs {len(same)} runs have 100 thousand pictures in batches of {settings['ssim_train_100000'][1]}, "
    size += f"and end at {listed}: the point of the figure is the one that failed."
    text = "100 thousand pictures are worse than 50 thousand (III-B): median of the runs of that setting, last epoch"
    median = round(float(np.median(list(of_100k.values()))), 4)
    return [
        claim("Batch 32 of Figs. 2 and 3 is of batches of 32, by validation's last batch", "equals", 32, came, named),
        claim(text, "below", round(of_50k, 4), median, size),
    ]


# --- sentences -----------------------------------------------------------------------------------------------------


def notes(table: Table) -> list[str]:
    """Return what the table of stand-ins shows."""
    nothing, eight, grey = (table[name] for name in (SAME, "8x8 pixels, bicubic", "luma alone"))
    finals = [plotted(run, "val_SSIMLoss")[-1] for run in authors_logs.RUNS.values()]
    best, settings = max(finals), batch_sizes.settings()
    study_sizes = " or ".join(str(size) for size in sorted({settings[run][1] for run in batch_sizes.PICTURES}))
    rate, similarity, level = (interpolated(table, PLOTTED, name, best) for name in (BPP, SSIM, PSNR))
    return [
        "What is plotted as MS-SSIM is 1 - (1 - SSIM)^2 with range 2 on pictures of range 1: both raise it. One "
        f"picture for all inputs is plotted at {nothing[PLOTTED]:.2f} instead of {nothing[SSIM]:.2f}, 8x8 pixels "
        f"scaled up at {eight[PLOTTED]:.2f} instead of {eight[SSIM]:.2f}, and pictures without any colour at "
        f"{grey[PLOTTED]:.3f}: the measure hardly sees colour.",
        f"The runs of Figs. 2 and 4 end between {min(finals):.3f} and {best:.3f} of validation. JPEG is plotted at "
        f"{best:.3f} with {rate:.2f} bpp, an SSIM of {similarity:.3f} and {level:.2f} dB here.",
        f"Plotted as PSNR is its square: one picture for all inputs is at {nothing[PLOTTED_PSNR]:.0f}, for "
        f"{nothing[PSNR]:.2f} dB. That is about where the figures' axes begin.",
        "Of the authors' runs the root of a mean of squares is shown: at least the mean PSNR, at most the mean SSIM.",
        "Rates of thumbnails are 24 bits a pixel that is kept, those of JPEG the bits of its coefficients: its headers "
        "would be longer than those. Its Huffman tables are the standard's, the stronger ones here: tables made for "
        "so small a picture would take more bits than they save.",
        "The two metrics of batches: residual_loss divides by the batch asked for and counts every batch alike, mae is "
        "a mean over pictures. Their quotient in validation over that in training depends on how full the last batches "
        "are: on pictures over batch size. One of both is a run's name, the other follows.",
        f"So the runs of the size study had batches of {study_sizes}, where the program's default is {DEFAULT_BATCH}, "
        "and the one with 100 thousand pictures has the setting of batch 64.",
    ]


def further_notes() -> list[str]:
    """Return what the text says of counts and what they are."""
    tiles, one_bit = REFERENCE_PICTURES * REFERENCE_TILES, CODE_BPP[config.AS_WRITTEN]
    shared, copies = complexity.parameters(config.AS_RUN, recurrent=True), complexity.unshared_parameters(config.AS_RUN)
    return [
        f"27 million times as many tiles (II-D3): 6 million pictures of {REFERENCE_TILES} tiles are "
        f"{tiles // 200_000:,} times 200,000 pictures and {tiles // 100_000:,} times 100,000.",
        f"More iterations are more bits (II-D2 has it the other way round): each adds {one_bit:g} bpp, "
        f"{MAX_ITERATIONS} are {MAX_ITERATIONS * one_bit:g} bpp.",
        f"Weights are shared between iterations (I-B), so that {MAX_ITERATIONS} of them have the {shared:,} of one; "
        f"the almost one billion of II-B and II-D2 are {MAX_ITERATIONS} copies of their own, {copies:,}.",
    ]


# --- drawing -------------------------------------------------------------------------------------------------------


def drawn(x: np.ndarray, stand_ins: Mapping[str, Crude], table: Table, basis: Basis) -> dict[str, Any]:
    """Return two figures: what is plotted over the true SSIM, and pictures with both."""
    groups = list(dict.fromkeys(stand_in.group for stand_in in stand_ins.values()))
    lines = [
        _line(group, [table[name] for name, stand_in in stand_ins.items() if stand_in.group == group])
        for group in groups
    ]
    claimed = authors_logs.claimed_accuracy()[0] / 100
    lines.append(Line(f"{claimed:.0%} of Section IV-B", [0, 1], [claimed] * 2, REFERENCE))
    lines.append(Line("the SSIM itself", [0, 1], [0, 1], REFERENCE))
    title = "What Figs. 2 and 4 plot as MS-SSIM, of crude pictures"
    first = figures.line_plot(
        lines, "SSIM, range 1, mean over test pictures", "1 - (1 - SSIM of range 2)²", title, basis
    )
    return {"": first, "pictures": _grid(x, stand_ins, basis)}


def _line(group: str, rows: Sequence[Mapping[str, float]]) -> Line:
    return Line(group, [row[SSIM] for row in rows], [row[PLOTTED] for row in rows], POINTS)


def _grid(x: np.ndarray, stand_ins: Mapping[str, Crude], basis: Basis) -> Any:
    """Set pictures of some ranks beside their stand-ins."""
    order = np.argsort(figures6and7.measured(x, stand_ins["8x8 pixels, bicubic"].x_hat)["ssim"], kind="stable")
    chosen = [int(order[round(rank * (len(order) - 1))]) for rank in SHOWN_RANKS]
    values = {name: figures6and7.measured(x[chosen], stand_ins[name].x_hat[chosen]) for name in SHOWN}
    rows: list[list[figures.Cell]] = []
    for place, index in enumerate(chosen):
        row: list[figures.Cell] = [("input", figures6and7.enlarged(x[index]))]
        for name in SHOWN:
            own = {key: float(of[place]) for key, of in values[name].items()}
            shown = 1 - (1 - own["ssim_range_2"]) ** 2
            caption = [name, f"{stand_ins[name].bpp:.2g} bpp, {own['psnr']:.1f} dB"]
            caption += [f"plotted {shown:.3f}", f"SSIM {own['ssim']:.3f}"]
            row.append((caption, figures6and7.enlarged(stand_ins[name].x_hat[index])))
        rows.append(row)
    title = (
        f"Crude pictures at {figures6and7.ENLARGED} times their size, what would be plotted of them as MS-SSIM, and "
    )
    title += "their SSIM; rates are means over all pictures"
    return figures.picture_grid(rows, title, basis)
