"""Where the codec columns of Table 1 can come from: Paka and Khatter print 7.7 to 13.7 dB for JPEG, JPEG2000 and BPG.

Every printed number is read from the published table.
"""

from typing import Any

import numpy as np

from common.classical import codecs
from common.errors import RelicError
from common.tables import figures, published
from common.tables import test_pictures as table_pictures
from common.tables.command import Options
from common.tables.document import EXACT_SCALE, Reproduction, claim
from common.tables.figures import Basis
from papers.paka_autoencoder.pictures import resized
from papers.paka_autoencoder.reproduction import audit_losses
from papers.paka_autoencoder.reproduction.audit_mismatch import FLAT, Pictures, Signs, code, compute
from papers.paka_autoencoder.reproduction.published_codecs import (
    CODECS,
    PROPOSED,
    family_of,
    printed,
    printed_differences,
    printed_distances,
    printed_range,
    slips,
)

NUMBERS = ("lowest", "median", "highest")


def reproduce(options: Options) -> Reproduction:
    """Return the audit of Table 1 on Kodak: what codecs can give, and what mistakes would."""
    named, test_set, note = table_pictures.pictures_of(options, published.load(options.table))
    if len(named) < 2:
        raise RelicError("the audit compares different pictures: use at least two")
    pictures = {name: resized(image) for name, image in named}
    signs = compute(pictures)
    reproduction = Reproduction(notes=[note] if note else [])
    reproduction.claims = [*claims(signs), *audit_losses.claims()]
    reproduction.further = further(signs)
    reproduction.notes += [*notes(signs), f"The mistakes and differences are those of {'; '.join(signs.codecs)}."]
    reproduction.notes += [same_mean_by_jpeg(list(pictures.values())), slips()]
    reproduction.figures = drawn(signs, figures.basis_of(EXACT_SCALE, test_set))
    reproduction.provenance = {"test_set": test_set}
    return reproduction


def summary(values: Any) -> dict[str, float]:
    """Return the least, the middle and the greatest of some values."""
    return {"lowest": float(np.min(values)), "median": float(np.median(values)), "highest": float(np.max(values))}


def share_in_range(values: np.ndarray) -> float:
    """Return the share of values within the range of the printed codec columns."""
    low, high = printed_range()
    return float(np.mean((values >= low) & (values <= high)))


def further(signs: Signs) -> dict[str, dict[str, float]]:
    """Return the audit's numbers as columns by row."""
    rows: dict[str, dict[str, float]] = {f"PSNR, {column}, printed": summary(printed(column)) for column in CODECS}
    rows.update({f"PSNR, {name}": summary(values) for name, values in signs.floors.items()})
    low, high = printed_range()
    share, apart = f"share in {low:.1f} to {high:.1f} dB", "JPEG to JPEG2000, median"
    for name, (levels, distances) in {"different pictures": (signs.pairs, signs.pairs_apart), **signs.mistakes}.items():
        more = {share: share_in_range(levels), apart: float(np.median(distances))}
        rows[f"PSNR, {name}"] = {**summary(levels), **more}
    rows["|JPEG - JPEG2000|, printed"] = summary(printed_distances())
    rows["|JPEG2000 - BPG|, printed, rows without slips"] = summary(printed_differences())
    for name, (on_right, on_wrong) in signs.differences.items():
        rows[f"|difference|, right picture, {name}"] = summary(on_right)
        rows[f"|difference|, wrong picture, {name}"] = summary(on_wrong)
    rows.update({f"mean in a wrong order, {name}": summary(values) for name, values in signs.means.items()})
    columns = (*NUMBERS, share, apart)
    return {column: {row: values[column] for row, values in rows.items() if column in values} for column in columns}


def claims(signs: Signs) -> list[dict[str, Any]]:
    """Return what Table 1 implies about the codecs, judged."""
    judged = []
    for column in CODECS:
        name = f"{family_of(column).name}, coarsest"
        text = f"{column} can be as bad as the best value printed for it: lowest PSNR of any picture, dB"
        judged.append(claim(text, "below", max(printed(column)), float(signs.floors[name].min()), f"{name} setting."))
    flat, best = float(np.median(signs.floors[FLAT])), printed_range()[1]
    judged.append(claim("The best codec value printed is above the median of a flat colour, dB", "above", flat, best))
    same = "JPEG2000 and BPG differ as little as printed on the right picture: median, dB"
    widest = max(printed_differences())
    on_right = min(float(np.median(values)) for values, _ in signs.differences.values())
    judged.append(claim(same, "below", widest, on_right, "The widest printed difference of the rows without slips."))
    return [*judged, _one_mistake(signs)]


def _one_mistake(signs: Signs) -> dict[str, Any]:
    """Judge whether one mistake, the same for all codecs, could part JPEG from JPEG2000 as far as is printed."""
    fitting = [distances for levels, distances in signs.mistakes.values() if share_in_range(levels) > 0.5]
    largest = max((float(np.median(distances)) for distances in fitting), default=0.0)
    text = "One mistake, the same for all codecs, parts JPEG from JPEG2000 as far as printed: largest median, dB"
    note = "Of the mistakes that bring more than half of the pictures into the range of the printed values."
    return claim(text, "above", float(np.median(printed_distances())), largest, note)


def notes(signs: Signs) -> list[str]:
    """Return the audit's conclusions as sentences."""
    medians = [[float(np.median(values)) for values in both] for both in signs.differences.values()]
    least_right, most_wrong = min(a for a, _ in medians), max(b for _, b in medians)
    columns = ", ".join(f"{column} {np.mean(printed(column)):.2f}" for column in CODECS)
    means = "; ".join(f"{name} {v.mean():.2f} ± {v.std():.2f} dB" for name, v in signs.means.items())
    low, high = printed_range()
    return [
        f"First sign: {100 * share_in_range(signs.pairs):.0f} % of the pairs of different pictures lie in the range of "
        f"the printed values, {low:.2f} to {high:.2f} dB; their median is {np.median(signs.pairs):.2f} dB.",
        f"Second sign: JPEG2000 and BPG differ by {np.median(printed_differences()):.4f} dB in the median of the "
        f"printed rows without slips. At equal rates the median here is at least {least_right:.2f} dB on the right "
        f"picture and at most {most_wrong:.4f} dB on wrong ones: what the printed values share is a mismatch.",
        f"Third sign: the columns' printed means are {columns} dB; pictures in a wrong order give, as mean and "
        f"spread, {means}.",
        "JPEG's column does not follow JPEG2000's and BPG's, as one mistake common to all codecs would make it: its "
        "files seem to have been matched in another order. That is an inference: the paper does not describe it.",
    ]


def same_mean_by_jpeg(pictures: Pictures) -> str:
    """Say at which quality and rate JPEG reaches the mean of the printed proposed column on uint8 pictures."""
    target = float(np.mean(printed(PROPOSED)))
    family = codecs.family("JPEG")
    for setting in family.settings:
        coded = code(family.make(setting), pictures)
        level = float(np.mean(coded.psnr))
        if level >= target:
            return (
                f"The proposed column has a mean of {target:.2f} dB. Over these pictures JPEG reaches it at quality "
                f"{setting}, with {level:.2f} dB at {coded.bpp:.2f} bpp."
            )
    return f"JPEG does not reach the proposed column's mean of {target:.2f} dB over these pictures."


def drawn(signs: Signs, basis: Basis) -> dict[str, Any]:
    """Return two figures: PSNR of wrong pairs above codecs and printed values; differences of JPEG2000 and BPG."""
    marks = {f"{column}, printed": printed(column) for column in CODECS}
    marks.update({name: values.tolist() for name, values in signs.floors.items()})
    title = "PSNR between different Kodak pictures: the printed values lie there, no codec does"
    first = figures.histogram(
        {"pairs of different pictures": signs.pairs.tolist()}, "PSNR (dB)", title, basis, marks=marks
    )
    on_right, on_wrong = next(iter(signs.differences.values()))
    without, everything = printed_differences(), printed_differences(slips=True)
    second = figures.histogram(
        {"right picture": on_right.tolist(), "wrong picture": on_wrong.tolist()},
        "|JPEG2000 - BPG| (dB)",
        "Two codecs differ by hundredths of a dB on wrong pictures, by decibels on the right ones",
        basis,
        marks={"printed": without, "printed, slips": [value for value in everything if value not in without]},
        log_x=True,
    )
    return {"": first, "differences": second}
