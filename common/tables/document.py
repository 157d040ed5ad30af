"""The join: one published table next to what was reproduced, as one document with deltas, intervals and verdicts.

A document is plain data (json): `table`, `scale`, `reference`, `cells`, `differences`, `gate`, `claims`, `further`,
`missing`, `notes`, `pictures`, `provenance` and, where something is drawn, `figures`: the names of the files beside it.
Where rows were measured along steps of their quantiser, differences have `equal_rate`, and `curves` are BD-rates.
Everything judged in it follows from its pictures (or counted values), its provenance and the published file, so
`recompute(document) == document` for every committed one. Where the published file has no rows (a figure, claims, an
audit) there are no cells, and any rows may be measured.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import numpy as np

from common.tables import equal_rate, intervals, numbers, published, verdicts
from common.tables.published import Published

Document = dict
EXACT_SCALE = "exact"
SMALLEST_MS_SSIM_SIDE = 161
WHOLE_SET = "whole set"  # the picture of a measurement that is of all pictures together


@dataclass
class Reproduction:
    """What an experiment found, before it is judged.

    `values[row][column]` are numbers counted or computed otherwise; `pictures` are measurements, one mapping a row,
    seed and picture (WHOLE_SET in all of them: of a set as a whole) with the fields that the published file's
    `measured as` names. `missing[row]` says why a row was not run, `further[column][row]` are columns that the
    paper lacks, `claims` come from `claim`. `figures[suffix]` are drawn by common.tables.figures; "" is the main one.
    `provenance["obstacles"][column]` says why a column's values cannot be compared with the paper's, "" where they
    can at every scale; other columns follow from scale and test pictures.
    """

    values: dict[str, dict[str, float]] = field(default_factory=dict)
    pictures: list[dict[str, Any]] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    further: dict[str, dict[str, float]] = field(default_factory=dict)
    claims: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    provenance: dict[str, Any] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)


def claim(
    text: str,
    relation: str,
    claimed: float | str,
    found: float,
    note: str = "",
    interval: Sequence[float] | None = None,
    measured: bool = False,
) -> dict[str, Any]:
    """Return a judged claim, which holds if `found <relation> claimed`; relations as in `verdicts.of_claim`.

    Where the paper claims no number, `claimed` is what `found` must exceed or stay below for its sentence to be true.
    `interval` is the 95 % interval of `found`, as in `common.tables.intervals`: if it covers `claimed`, nothing is
    decided. What is `measured` and has none, of too few trainings or pictures, is not judged; counts have none.
    """
    judged: dict[str, Any] = dict(claim=text, relation=relation, claimed=claimed, found=found, verdict="", note=note)
    if measured or interval is not None:
        judged["interval"] = _rounded_interval(interval)
    return _judged(judged)


def _judged(recorded: Mapping[str, Any]) -> dict[str, Any]:
    """Return a claim with the verdict that follows from it; one whose interval is None is not judged."""
    if "interval" in recorded and recorded["interval"] is None:
        return {**recorded, "verdict": verdicts.NOT_JUDGED}
    verdict = verdicts.of_claim(recorded["relation"], recorded["claimed"], recorded["found"], recorded.get("interval"))
    return {**recorded, "verdict": verdict}


def join(table: str, scale: str, reference: str | None, reproduction: Reproduction) -> Document:
    """Return the document of a table: every published cell with its reproduced value and verdict, then the rest."""
    paper = published.load(table)
    _check_rows(paper, reproduction, reference)
    document: Document = {
        "table": table,
        "title": paper.texts["title"],
        "citation": f"{paper.texts['citation']}, section {paper.texts['section']}",
        "scale": scale,
        "reference": reference,
        "cells": _cells(paper, scale, reproduction),
        "differences": _differences(paper, scale, reference, reproduction) if reference else [],
        "gate": _gate(paper, reproduction),
        "claims": reproduction.claims,
        "further": reproduction.further,
        "missing": reproduction.missing,
        "notes": reproduction.notes,
        "pictures": reproduction.pictures,
        "provenance": reproduction.provenance,
    }
    if reference and has_curves(reproduction):
        document["curves"] = _whole_curves(paper, reference, reproduction)
    if reproduction.figures:
        document["figures"] = [figure_name(table, suffix) for suffix in reproduction.figures]
    return document


def figure_name(table: str, suffix: str) -> str:
    """Return the file name of a figure: `figure7.png`, with a suffix `figure7_<suffix>.png`."""
    return "_".join(part for part in (table.rpartition("/")[2], suffix) if part) + ".png"


def recompute(document: Document) -> Document:
    """Return the document judged anew from its own pictures, counted values and provenance."""
    paper = published.load(document["table"])
    values: dict[str, dict[str, float]] = {}
    for cell in document["cells"]:
        if cell["reproduced"] is not None and cell["column"] not in paper.measured_as:
            values.setdefault(cell["row"], {})[cell["column"]] = cell["reproduced"]
    claims = [_judged(recorded) for recorded in document["claims"]]
    kept = {key: document[key] for key in ("pictures", "missing", "further", "notes", "provenance")}
    reproduction = Reproduction(values=values, claims=claims, **kept)
    anew = join(document["table"], document["scale"], document["reference"], reproduction)
    return {**anew, "figures": document["figures"]} if "figures" in document else anew


def _check_rows(paper: Published, reproduction: Reproduction, reference: str | None) -> None:
    if not paper.rows:
        return
    named = {*reproduction.values, *reproduction.missing, *(p["row"] for p in reproduction.pictures)}
    named.update([reference] if reference else [])
    unknown = sorted(named - set(paper.rows))
    if unknown:
        raise ValueError(f"{paper.path.name} has no row {unknown[0]!r}")


# --- cells ---------------------------------------------------------------------------------------------------------


def _cells(paper: Published, scale: str, reproduction: Reproduction) -> list[dict[str, Any]]:
    obstacles = {column: _obstacle(paper, scale, reproduction.provenance, column) for column in paper.columns}
    cells = []
    for row in paper.rows:
        values = {column: value_of(paper, reproduction, row, column) for column in paper.columns}
        for column in (c for c in paper.columns if paper.printed(row, c) is not None):
            verdict = verdicts.of_row(paper, row, values, obstacles[column])[column]
            cells.append(_cell(paper, scale, reproduction, row, column, values[column], verdict, obstacles[column]))
    return cells


def _cell(
    paper: Published,
    scale: str,
    reproduction: Reproduction,
    row: str,
    column: str,
    value: float | None,
    verdict: str,
    obstacle: str,
) -> dict[str, Any]:
    target = paper.value(row, column)
    tolerance = paper.tolerances.get(column)
    note = _measuring_note(paper, reproduction, row, column)
    if note and value is None:
        verdict = verdicts.NOT_COMPARABLE
    notes = [reproduction.missing.get(row, "")] if verdict == verdicts.NOT_RUN else [note]
    notes += [obstacle] if verdict == verdicts.NOT_COMPARABLE else []
    notes += [remark.text for remark in paper.remarks_on(row, column)]
    return {
        "row": row,
        "column": column,
        "printed": paper.printed(row, column),
        "published": target,
        "reproduced": value,
        "delta": None if value is None or target is None else _rounded(value - target),
        "tolerance": None if tolerance is None or target is None else _rounded(tolerance.around(target)),
        "interval": _interval_of(paper, reproduction, row, column),
        "verdict": verdict,
        "scale": scale,
        "note": " ".join(note for note in notes if note),
    }


def value_of(paper: Published, reproduction: Reproduction, row: str, column: str) -> float | None:
    """Return a reproduced cell: the given value or the mean of the row's pictures (and seeds), None where not run."""
    given = reproduction.values.get(row, {}).get(column)
    if given is not None or column not in paper.measured_as:
        return given
    return numbers.mean_of_known(_measured(paper, reproduction, row, column))


def _measured(paper: Published, reproduction: Reproduction, row: str, column: str) -> list[float | None]:
    name = paper.measured_as[column]
    return [picture[name] for picture in reproduction.pictures if picture["row"] == row]


def _measuring_note(paper: Published, reproduction: Reproduction, row: str, column: str) -> str:
    """Say on how many pictures a measure is defined where that is not on all."""
    if column not in paper.measured_as or column in reproduction.values.get(row, {}):
        return ""
    measured = _measured(paper, reproduction, row, column)
    defined = sum(value is not None for value in measured)
    if defined == len(measured):
        return ""
    reason = f" (no side below {SMALLEST_MS_SSIM_SIDE} pixels)" if paper.measured_as[column] == "ms_ssim" else ""
    return f"{column} is defined{reason} on {defined} of {len(measured)} measurements."


def _obstacle(paper: Published, scale: str, provenance: Mapping[str, Any], column: str) -> str:
    """Say why a column's absolute values cannot be compared with the paper's, empty where they can."""
    if column in provenance.get("obstacles", {}):
        return provenance["obstacles"][column]
    used = provenance.get("test_set") or {}
    reasons = [f"scale {scale} shortens network or training"] if scale not in (EXACT_SCALE, "paper") else []
    if paper.test_set and not is_published_set(paper, used):
        reasons.append(f"the test pictures are not all of {paper.test_set}")
    return f"Absolute values are not comparable: {' and '.join(reasons)}." if reasons else ""


def is_published_set(paper: Published, used: Mapping[str, Any]) -> bool:
    """Return whether `{name, pictures, digest}` are the published pictures, by digest where there is one."""
    digest = paper.digest
    same = used.get("digest") == digest if digest else used.get("name") == paper.test_set
    return same and paper.pictures in (None, used.get("pictures"))


# --- differences to the reference row ------------------------------------------------------------------------------


def _differences(paper: Published, scale: str, reference: str, reproduction: Reproduction) -> list[dict[str, Any]]:
    columns = [c for c in paper.columns if paper.value(reference, c) is not None]
    pairs = [(row, c) for row in paper.rows if row != reference for c in columns if paper.value(row, c) is not None]
    return [_difference(paper, scale, reference, reproduction, row, column) for row, column in pairs]


def _difference(
    paper: Published, scale: str, reference: str, reproduction: Reproduction, row: str, column: str
) -> dict[str, Any]:
    printed = [paper.cells[label, column] for label in (row, reference)]
    target = float(Decimal(printed[0]) - Decimal(printed[1]))
    ours = [_matrix(paper, reproduction, label, column) for label in (row, reference)]
    measured = ours[0] is not None and ours[1] is not None
    interval = _interval(reproduction, *ours) if measured else None
    given = _given_difference(reproduction, row, reference, column)
    reproduced = numbers.mean(ours[0].flat) - numbers.mean(ours[1].flat) if measured else given
    # A difference of counts has no uncertainty: its interval is itself. One of single trainings has an unknown one.
    counted = not measured and paper.tolerances[column].text == "exact"
    repeated = measured and min(m.shape[0] for m in ours) > 1
    sure = (reproduced, reproduced) if counted and reproduced is not None else interval if repeated else None
    verdict = verdicts.of_difference(target, reproduced, sure)
    if scale == "smoke" and reproduced is not None:
        verdict = verdicts.NOT_COMPARABLE
    judged = {
        "row": row,
        "reference": reference,
        "column": column,
        "published": target,
        "reproduced": _rounded(reproduced),
        "interval": _rounded_interval(interval),
        "seeds": [m.shape[0] for m in ours] if measured else [0, 0],
        "pictures": ours[0].shape[1] if measured else 0,
        "verdict": verdict,
    }
    if has_curves(reproduction):
        judged["equal_rate"] = _at_equal(paper, scale, reproduction, judged)
    return judged


def has_curves(reproduction: Reproduction) -> bool:
    """Return whether any row was measured along the steps of its quantiser."""
    return any("curve" in picture for picture in reproduction.pictures)


def _at_equal(
    paper: Published, scale: str, reproduction: Reproduction, plain: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Return a difference at the reference's rate; of rates that at its MS-SSIM, in percent, which has no verdict.

    None where the row has no curves or the column is of something else. `detectable` is the effect that could have been
    detected where the interval covers 0.
    """
    row, reference, measure = plain["row"], plain["reference"], paper.measured_as.get(plain["column"])
    if measure in equal_rate.MEASURES:
        found = equal_rate.difference(reproduction.pictures, row, reference, measure)
    elif measure == equal_rate.RATE:
        found = equal_rate.rate_difference(reproduction.pictures, row, reference)
    else:
        return None
    if found is None:
        return None
    sure = found["interval"] if min(found["seeds"]) > 1 else None
    found = {**found, "reproduced": _rounded(found["reproduced"]), "interval": _rounded_interval(found["interval"])}
    if measure == equal_rate.RATE:
        return {**found, "verdict": "", "detectable": None}
    verdict = verdicts.of_difference(plain["published"], found["reproduced"], sure)
    if found["reproduced"] is None:
        verdict = verdicts.UNDECIDED  # it was run, but no picture has the rate
    elif scale == "smoke":
        verdict = verdicts.NOT_COMPARABLE
    undetected = sure is not None and sure[0] <= 0 <= sure[1]
    return {
        **found,
        "verdict": verdict,
        "detectable": _rounded(intervals.half_width(found["interval"])) if undetected else None,
    }


def _whole_curves(paper: Published, reference: str, reproduction: Reproduction) -> list[dict[str, Any]]:
    """Return BD-rate and BD-PSNR, or BD-MS-SSIM, of every row's curves against the reference's."""
    curves = []
    for row in (row for row in paper.rows if row != reference):
        for measure in equal_rate.MEASURES:
            found = equal_rate.bd(reproduction.pictures, row, reference, measure)
            if found:
                rounded = {"rate": _rounded(found["rate"]), "quality": _rounded(found["quality"])}
                curves.append({"row": row, "measure": measure, **found, **rounded})
    return curves


def _given_difference(reproduction: Reproduction, row: str, reference: str, column: str) -> float | None:
    ours, theirs = (reproduction.values.get(label, {}).get(column) for label in (row, reference))
    return None if ours is None or theirs is None else ours - theirs


def _matrix(paper: Published, reproduction: Reproduction, row: str, column: str) -> Any:
    """Return the measurements of a cell as (seeds, pictures), over the pictures where every row has them; else None."""
    if column not in paper.measured_as:
        return None
    name = paper.measured_as[column]
    values = {(p["seed"], p["picture"]): p[name] for p in reproduction.pictures if p["row"] == row}
    undefined = {p["picture"] for p in reproduction.pictures if p[name] is None}
    seeds = sorted({seed for seed, _ in values})
    pictures = [p for p in dict.fromkeys(p["picture"] for p in reproduction.pictures) if p not in undefined]
    if not seeds or not pictures:
        return None
    return np.array([[values[seed, picture] for picture in pictures] for seed in seeds], np.float64)


def _interval_of(paper: Published, reproduction: Reproduction, row: str, column: str) -> list[float] | None:
    if column in reproduction.values.get(row, {}):
        return None
    matrix = _matrix(paper, reproduction, row, column)
    return None if matrix is None else _rounded_interval(_interval(reproduction, matrix))


def _interval(reproduction: Reproduction, *matrices: np.ndarray) -> Any:
    """Return the interval of a row's mean or of the difference of two: over trainings alone for sets as wholes."""
    if any(p["picture"] == WHOLE_SET for p in reproduction.pictures):
        return intervals.interval_over_trainings(*(matrix[:, 0] for matrix in matrices))
    interval_of = intervals.interval_of_mean if len(matrices) == 1 else intervals.interval_of_difference
    return interval_of(*matrices)


# --- the JPEG gate -------------------------------------------------------------------------------------------------


ANCHORS = ("optimised", "jpeg")  # the strongest first; how operating_points.jpegs_at_bpp's fields begin


def _gate(paper: Published, reproduction: Reproduction) -> list[dict[str, Any]]:
    """Count for each row the pictures whose MS-SSIM, averaged over seeds, is above JPEG's at equal counted bpp.

    `beats_optimised` is against JPEG with optimised Huffman tables, the stronger anchor, `beats_jpeg` against JPEG with
    the standard's.
    """
    needed = ("ms_ssim", *(f"{anchor}_ms_ssim" for anchor in ANCHORS))
    compared = [p for p in reproduction.pictures if all(p.get(name) is not None for name in needed)]
    gates = (_gate_of(row, [p for p in compared if p["row"] == row]) for row in paper.rows)
    return [gate for gate in gates if gate["pictures"]]


def _gate_of(row: str, pictures: list[dict[str, Any]]) -> dict[str, Any]:
    gate: dict[str, Any] = {"row": row, "pictures": len({p["picture"] for p in pictures})}
    for anchor in ANCHORS:
        gains: dict[str, float] = {}
        for p in pictures:
            gains[p["picture"]] = gains.get(p["picture"], 0.0) + p["ms_ssim"] - p[f"{anchor}_ms_ssim"]
        gate[f"beats_{anchor}"] = sum(gain > 0 for gain in gains.values())
    for name in ("bpp", "ms_ssim", *(f"{anchor}_{of}" for anchor in ANCHORS for of in ("bpp", "ms_ssim"))):
        gate[name] = _rounded(numbers.mean_of_known(p[name] for p in pictures))
    return gate


def _rounded(value: float | None) -> float | None:
    """Round away the last bits of a computed number, which depend on the processor."""
    return value if value is None or isinstance(value, int) else float(f"{value:.8g}")


def _rounded_interval(interval: Any) -> list[float] | None:
    return None if interval is None else [float(f"{bound:.6g}") for bound in interval]
