"""What the numbers of Deshmukh and Pollett are worth: next to plain interpolation, to each other, and to the networks.

Nothing is trained. Every printed number is read from the published tables and from `published/text.csv`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from common import metrics
from common.data.fetch import KODAK
from common.tables import figures
from common.tables.command import Options
from common.tables.document import EXACT_SCALE, Reproduction, claim
from common.tables.figures import POINTS, REFERENCE, Basis, Line
from common.tables.verdicts import same_digits
from papers.deshmukh_irm import losses
from papers.deshmukh_irm.reproduction.references import (
    AREAS,
    FILTERS,
    KODIM23,
    PSNR,
    SSIM,
    TABLES,
    Cost,
    Count,
    PrintedRow,
    Quality,
    costs_of,
    counts,
    entries_of,
    floors_of,
    mean_of,
    plain_bpp,
    printed,
    printed_rows,
    sources_of,
    table_of,
)
from papers.deshmukh_irm.reproduction.test_pictures import AVERAGE, GREY, PLAIN, bicubic, scaled

COMPARABLE = 1.2  # ratios up to here count as about the same, as of times (speed.csv)


def reproduce(options: Options) -> Reproduction:
    """Return the audit, on Kodak and the named pictures or on what stands in."""
    sources = sources_of(options)
    reproduction = Reproduction(notes=sources.notes, provenance={"test_set": sources.about})
    floors, entries = floors_of(sources.set), entries_of(sources.named)
    costs, counted = costs_of(sources.set), counts()
    name = f"{sources.about['set']}, {len(sources.set)} picture{'s' if len(sources.set) > 1 else ''}"
    reproduction.claims = [
        *(headline_claims(floors) if sources.complete else []),
        *(named_claims(entries, sources.named) if entries else []),
        *rate_claims(costs, name),
        filter_claim(floors, name),
        *arithmetic_claims(),
        *equation_claims(scaled(sources.set[-1][1], 1)),
        *count_claims(counted),
    ]
    reproduction.further = further(floors, entries, costs, counted, name)
    reproduction.notes += notes(entries, counted)
    if entries:
        basis = Basis(EXACT_SCALE, "named pictures of Set12, Set14 and Kodak")
        reproduction.figures = {"": drawn(entries, basis), "pictures": gallery(entries, sources.named, basis)}
    return reproduction


# --- claims --------------------------------------------------------------------------------------------------------


def headline_claims(floors: Mapping[tuple[str, str], Quality]) -> list[dict[str, Any]]:
    """Judge whether plain bicubic on all of Kodak, in colour, has the quality of the abstract."""
    plain, grey = floors["colour", AREAS], floors["grey", AREAS]
    text, paper = "Plain bicubic from half the sides has the abstract's {} on Kodak in colour", "Abstract, proposed"
    note = f"In grey {grey.psnr:.2f} dB and {grey.ssim:.3f}. The abstract's are means of five other pictures."
    return [
        claim(f"{text.format(PSNR)}, dB", "rounds to", str(printed(paper, PSNR)), _short(plain.psnr), note),
        claim(text.format(SSIM), "rounds to", str(printed(paper, SSIM)), _short(plain.ssim)),
    ]


def named_claims(entries: Sequence[PrintedRow], originals: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
    """Judge the values that are printed of the named pictures."""
    judged = []
    for table in TABLES:
        rows = [entry for entry in entries if entry.table == table]
        judged += [_beaten(table, PSNR, [entry for entry in rows if entry.legible]), _beaten(table, SSIM, rows)]
    judged += [_as_low(entries), _baboon(entries), _whichever_parrots(originals)]
    five = mean_of([entry.plain for entry in entries if entry.table == "Table 5"])
    text = "The abstract's PSNR is above plain bicubic's on the five pictures that it is of, dB"
    note = f"SSIM: plain bicubic {five.ssim:.3f}, printed {printed('Abstract, proposed', SSIM):g}."
    return [claim(text, "above", _short(five.psnr), printed("Abstract, proposed", PSNR), note), *judged]


def _beaten(table: str, measure: str, entries: Sequence[PrintedRow]) -> dict[str, Any]:
    """Judge whether all that is printed of a measure is above plain bicubic."""
    values = [[getattr(of, measure.lower()) for of in (e.printed, e.plain, e.hardest)] for e in entries]
    note = ", ".join(f"{e.row} {ours:.4g} ({plain:.4g})" for e, (ours, plain, _) in zip(entries, values, strict=True))
    above, at_best = (sum(of[0] > of[i] for of in values) for i in (1, 2))
    note = f"Printed (interpolated): {note}. Were each re-scaled by the filter that is worst for it: {at_best}."
    text = f"{table}: the printed {measure} is above plain bicubic's, pictures"
    return claim(text, "equals", len(values), above, note)


def _as_low(entries: Sequence[PrintedRow]) -> dict[str, Any]:
    """Judge whether Table 1's pictures can have so little SSIM at their PSNR."""
    rows = [entry for entry in entries if entry.table == "Table 1"]
    low = [entry.row for entry in rows if entry.printed.ssim >= min(entry.ways.values())]
    spans = (f"{entry.row} {min(entry.ways.values()):.2f} to {max(entry.ways.values()):.2f}" for entry in rows)
    least = sorted({min(entry.ways, key=lambda way: entry.ways[way]) for entry in rows})
    text = f"Table 1: {', '.join(rows[0].ways)} of the printed PSNR have as little SSIM, pictures"
    return claim(text, "equals", len(rows), len(low), f"{', '.join(spans)}, the least by {' and '.join(least)}.")


def _baboon(entries: Sequence[PrintedRow]) -> dict[str, Any]:
    """Judge whether Table 3's picture of the highest SSIM is one that is easy to code."""
    rows = [entry for entry in entries if entry.table == "Table 3"]
    best = max(rows, key=lambda entry: entry.printed.ssim)
    rank = 1 + sum(entry.plain.ssim > best.plain.ssim for entry in rows)
    note = "Plain bicubic: " + ", ".join(f"{entry.row} {entry.plain.ssim:.3f}" for entry in rows) + "."
    text = f"Table 3: {best.row}, whose SSIM is the highest printed, has the highest by plain bicubic: rank"
    return claim(text, "equals", 1, rank, note)


def _whichever_parrots(originals: Mapping[str, np.ndarray]) -> dict[str, Any]:
    psnrs = {}
    for file in (GREY["Parrots"], KODIM23):
        x = scaled(originals[file], 1)
        psnrs[file] = metrics.psnr(x, bicubic(x)[1])
    note = f"Plain bicubic: {', '.join(f'{file} {psnr:.2f} dB' for file, psnr in psnrs.items())}."
    text = "Table 5: the PSNR of Parrots is above plain bicubic's whichever parrots they are, dB"
    return claim(text, "above", _short(max(psnrs.values())), table_of("Table 5").value("Parrots", PSNR) or 0, note)


def rate_claims(costs: Mapping[str, Cost], name: str) -> list[dict[str, Any]]:
    """Judge what a code takes against what JPEG takes for the abstract's PSNR."""
    judged = []
    for kind, cost in costs.items():
        text = f"Plain bicubic's code, {kind}, Huffman coded, is below JPEG of the abstract's PSNR, bpp ({name})"
        note = f"The ICM's code is as large: {cost.raw:g} bpp in 8 bits, where JPEG has {cost.jpeg_psnr:.2f} dB. "
        note += "JPEG has optimised Huffman tables."
        judged.append(claim(text, "below", _short(cost.jpeg_bpp), _short(cost.coded), note))
    return judged


def filter_claim(floors: Mapping[tuple[str, str], Quality], name: str) -> dict[str, Any]:
    """Judge whether it matters how pictures are re-scaled to 200x200, which the paper does not say."""
    psnrs = {filter_: floors["grey", filter_].psnr for filter_ in (AREAS, *FILTERS)}
    note = ", ".join(f"{filter_} {psnr:.2f} dB" for filter_, psnr in psnrs.items())
    text = f"The filter of the re-scaling hardly matters: span of plain bicubic's PSNR, grey, dB ({name})"
    limit = table_of("Table 5").tolerances[PSNR].size
    span = _short(max(psnrs.values()) - min(psnrs.values()))
    return claim(text, "below", limit, span, f"{note}; only that by areas is anti-aliased.")


def arithmetic_claims() -> list[dict[str, Any]]:
    """Judge whether the printed numbers agree with each other."""
    baseline, own = table_of("Table 1"), table_of("Table 3")
    judged = []
    for measure in (PSNR, SSIM):
        ours, theirs = (printed("Abstract, baseline", measure), baseline.value(AVERAGE, measure))
        text = f"The abstract's {measure} of the baseline is the average of the baseline's table, Table 1"
        note = "It is" if ours == own.value(AVERAGE, measure) else "It is not even"
        judged.append(claim(text, "equals", theirs or 0, ours, f"{note} Table 3's, of the proposed model in colour."))
    own_epoch, their_epoch = (printed(f"Epoch, {name}", "Minutes") for name in ("proposed", "baseline"))
    faster = str(printed("Faster convergence by skip connections", "Share"))
    epochs, hours = printed("Epochs", "Number"), printed("Training in all", "Hours")
    named_kodak = printed("Pictures of Kodak", "Number")
    jiang = [printed(f"Section {section}, Jiang et al.", PSNR) for section in ("2.1", "4")]
    return [
        *judged,
        _averages(),
        claim(
            f"The {faster} % by which skip connections let it converge faster are what an epoch takes less, %",
            *("rounds to", faster, _short(100 * (1 - own_epoch / their_epoch))),
            f"Of the whole proposed model against the baseline: {own_epoch:g} and {their_epoch:g} minutes.",
        ),
        claim(f"{epochs:g} epochs take more than {hours:g} hours", "above", hours, _short(epochs * own_epoch / 60)),
        claim(f"Kodak has {named_kodak:g} pictures", "equals", named_kodak, len(KODAK)),
        claim("Sections 2.1 and 4 cite the same PSNR of Jiang et al., dB", "equals", jiang[0], jiang[1]),
    ]


def _averages() -> dict[str, Any]:
    """Judge whether the printed averages are those of the printed cells."""
    right, wrong = 0, []
    for table in TABLES:
        average = mean_of(list(printed_rows(table).values()))
        whole = all(table_of(table).value(row, PSNR) is not None for row in TABLES[table][1])
        for measure, value in ((PSNR, average.psnr), (SSIM, average.ssim))[0 if whole else 1 :]:
            text = table_of(table).printed(AVERAGE, measure) or ""
            same = same_digits(round(value, 9), text)
            right += same
            wrong += [] if same else [f"{table}'s {measure} is {text}, its cells' {value:.3f}"]
    return claim("The printed averages are those of their cells", "equals", right + len(wrong), right, _said(wrong))


def _said(sentences: Sequence[str]) -> str:
    return f"{'; '.join(sentences)}." if sentences else ""


def equation_claims(x: np.ndarray) -> list[dict[str, Any]]:
    """Judge Eq. 1 and Eq. 2 as they are printed, on a uint8 picture in grey."""
    shuffled = np.random.default_rng(0).permutation(x.ravel()).reshape(x.shape)
    pair = [values[None, ..., None].astype(np.float32) for values in (x, shuffled)]
    summed = float(losses.squared_sum(*pair))
    note = f"The mean of squares, as which the text describes it, is {metrics.mse(x, shuffled):.0f} (0 to 255 squared)."
    own, of_unit = (printed_ssim_of_itself(x, peak) for peak in (255.0, 1.0))
    said = f"For values from 0 to 1 it is {of_unit:.3g}. A product, not a sum, stands in SSIM's numerator."
    return [
        claim("Eq. 2's first term tells a picture from its own pixels in a random order", "above", 0, summed, note),
        claim("Eq. 1 gives a picture and itself the SSIM 1", "equals", 1, _short(own), said),
    ]


def printed_ssim_of_itself(x: np.ndarray, peak: float) -> float:
    """Return Eq. 1 as printed, of a whole uint8 picture and itself, with values up to `peak`."""
    values = x * (peak / 255)
    mean, variance = 2 * np.mean(values) ** 2 + (0.01 * peak) ** 2, 2 * np.var(values) + (0.03 * peak) ** 2
    return float((mean + variance) / (mean * variance))


def count_claims(counts: Mapping[tuple[str, str], Count]) -> list[dict[str, Any]]:
    """Judge what the text says of the networks' sizes."""
    irm, theirs, generator = counts["proposed, grey", "irm"], counts["baseline", "irm"], counts["SRGAN", "generator"]
    added = generator.layers
    compressing = counts["baseline", "icm"].macs / counts["proposed, grey", "icm"].macs
    decoding = (irm.macs + generator.macs) / theirs.macs
    speeds = [printed(f"Decompression, {name}", "Speed") for name in ("baseline", "proposed")]
    more = f"With the SRGAN's {generator.parameters:,} it has more."
    return [
        claim("The SRGAN adds more than twenty convolutions", "above", printed("Layers of the SRGAN", "Number"), added),
        claim(
            "The IRM is of five convolutional layers, one a block (3.3)",
            *("equals", printed("Blocks of the IRM, each of one convolutional layer", "Number"), irm.layers),
            "The same section describes 1 + 3 x 5 + 1, which is built here.",
        ),
        claim(
            "The decompression network is larger than the baseline's (1): parameters",
            *("above", theirs.parameters, irm.parameters, more),
        ),
        claim(
            "The compressing networks are essentially the same (4): multiply-accumulates, baseline over proposed",
            *("below", COMPARABLE, _short(compressing), "As read here: 64 maps against three."),
        ),
        claim(
            "Decompression changes only slightly (5): multiply-accumulates with the SRGAN over the baseline's",
            *("below", COMPARABLE, _short(decoding), f"Of the printed times the ratio is {speeds[0] / speeds[1]:.3g}."),
        ),
    ]


# --- columns, notes, figures ---------------------------------------------------------------------------------------


def further(
    floors: Mapping[tuple[str, str], Quality],
    entries: Sequence[PrintedRow],
    costs: Mapping[str, Cost],
    counted: Mapping[tuple[str, str], Count],
    name: str,
) -> dict[str, dict[str, float]]:
    """Return the audit's numbers as columns by row."""
    rows: dict[str, dict[str, float]] = {
        f"{entry.table}, {entry.row} ({entry.file})": _of_entry(entry) for entry in entries
    }
    for (kind, filter_), floor in floors.items():
        rows[f"{name}, {kind}, re-scaled by {filter_}"] = {f"{PLAIN}, PSNR": floor.psnr, f"{PLAIN}, SSIM": floor.ssim}
    for kind, cost in costs.items():
        plain, what = floors[kind, AREAS].psnr, f"{name}, {kind}: "
        rows[f"{what}code of half the sides in 8 bits"] = {"bpp": cost.raw, f"{PLAIN}, PSNR": plain}
        rows[f"{what}this code, Huffman coded"] = {"bpp": cost.coded, f"{PLAIN}, PSNR": plain}
        rows[f"{what}JPEG, optimised tables, of the code's 8 bits"] = {"bpp": cost.raw, "JPEG, PSNR": cost.jpeg_psnr}
        for tables, bpp in (("optimised", cost.jpeg_bpp), ("standard", cost.standard_bpp)):
            row = f"{what}JPEG, {tables} tables, of the abstract's PSNR"
            rows[row] = {"bpp": bpp, "JPEG, PSNR": cost.jpeg_reached}
    for (network, part), count in counted.items():
        values = {"parameters": count.parameters, "GMAC": count.macs / 1e9, "convolutions": count.layers}
        rows[f"{network}, {part}"] = values
    columns = dict.fromkeys(column for values in rows.values() for column in values)
    return {c: {row: _short(values[c]) for row, values in rows.items() if c in values} for c in columns}


def _of_entry(entry: PrintedRow) -> dict[str, float]:
    ways = entry.ways.values()
    return {
        "printed PSNR": entry.printed.psnr,
        "printed SSIM": entry.printed.ssim,
        f"{PLAIN}, PSNR": entry.plain.psnr,
        f"{PLAIN}, SSIM": entry.plain.ssim,
        "by the worst filter, PSNR": entry.hardest.psnr,
        "by the worst filter, SSIM": entry.hardest.ssim,
        "SSIM at the printed PSNR, least": min(ways),
        "SSIM at the printed PSNR, greatest": max(ways),
    }


def notes(entries: Sequence[PrintedRow], counted: Mapping[tuple[str, str], Count]) -> list[str]:
    """Return what has to be said of the numbers, and how the printed times stand to the operations."""
    macs = {name: counted[name, "icm"].macs + counted[name, "irm"].macs for name, _ in counted if name != "SRGAN"}
    parameters = [counted["proposed, grey", part].parameters for part in ("icm", "irm")]
    epoch = printed("Epoch, proposed", "Minutes") / printed("Epoch, baseline", "Minutes")
    separable = 1 - printed("Less training by separable layers", "Share") / 100
    own, plain = macs["proposed, grey"], macs["without separable layers"]
    said = [
        f"Operations against printed times of training: {own / macs['baseline']:.2f} of the baseline's and {epoch:.2f} "
        f"of its time; {own / plain:.2f} of those without separable layers and {separable:.2f} of the time. Batch "
        "normalisation and depthwise layers take time beyond their operations (`speed_deshmukh`).",
        f"In grey the proposed networks have {sum(parameters):,} parameters.",
    ]
    if not entries:
        return said
    least = min(value for entry in entries for way, value in entry.ways.items() if way != "noise")
    return [
        "Plain bicubic: the picture of 200x200 scaled down by areas to 100x100 and up by OpenCV. Were pictures "
        "re-scaled to 200x200 without anti-aliasing, of which the paper says nothing, they would be harder, and most "
        "of the printed PSNRs above plain bicubic; the claims' notes count them.",
        "SSIM at the printed PSNR: the picture interpolated from fewer pixels, coded by JPEG, blurred or with white "
        f"noise, just so far that its PSNR is at most the printed one. Without the noise the least is {least:.2f}. "
        "Peppers' PSNR in Table 1 is what the average leaves for it.",
        *said,
    ]


def drawn(entries: Sequence[PrintedRow], basis: Basis) -> Any:
    """Return the printed values over plain bicubic's: what lies below the line is worse than interpolation."""
    panels = {}
    for measure, unit in ((PSNR, " (dB)"), (SSIM, "")):
        field = measure.lower()
        lines = []
        for table in TABLES:
            rows = [entry for entry in entries if entry.table == table]
            x, y = ([getattr(getattr(entry, of), field) for entry in rows] for of in ("plain", "printed"))
            lines.append(Line(f"{table} ({'grey' if TABLES[table][0] == 1 else 'colour'})", x, y, POINTS))
        ends = [f([getattr(entry.plain, field) for entry in entries]) for f in (min, max)]
        panels[f"printed {measure}{unit}"] = [*lines, Line("as good as plain bicubic", ends, ends, REFERENCE)]
    title = "Named pictures, re-scaled by areas: what lies below the line is worse than interpolation"
    return figures.panels(panels, "the same by plain bicubic interpolation from half the sides", title, basis)


def gallery(entries: Sequence[PrintedRow], originals: Mapping[str, np.ndarray], basis: Basis) -> Any:
    """Return each named picture beside plain bicubic, with the printed values below."""
    cells: list[tuple[Any, np.ndarray]] = []
    for file in dict.fromkeys(entry.file for entry in entries):
        rows = [entry for entry in entries if entry.file == file]
        x = scaled(originals[file], TABLES[rows[0].table][0])
        psnrs = [f"{e.printed.psnr:.2f} dB" if e.legible else f"({e.printed.psnr:.2f} dB)" for e in rows]
        caption = [f"{e.table}: {psnr}, {e.printed.ssim:.2f}" for e, psnr in zip(rows, psnrs, strict=True)]
        small, x_hat = bicubic(x)
        plain = f"{plain_bpp(small, x):.2f} bpp, {rows[0].plain.psnr:.2f} dB, {rows[0].plain.ssim:.2f}"
        cells += [([rows[0].row, *caption], x), ([PLAIN, plain], x_hat)]
    title = "Named pictures at 200x200: printed PSNR and SSIM, without a rate; and of plain bicubic from half the "
    title += "sides, Huffman coded without a header"
    return figures.picture_grid([cells[i : i + 6] for i in range(0, len(cells), 6)], title, basis)


def _short(value: float) -> float:
    """Return a number rounded to what is told; counts stay whole."""
    return value if isinstance(value, int) else float(f"{value:.5g}")
