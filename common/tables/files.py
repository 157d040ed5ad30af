"""A table's files: json, csv, markdown, figures and curves, written and read."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.errors import RelicError
from common.files import atomic_file, read_json, results_dir, write_json
from common.tables import published
from common.tables import text as table_text
from common.tables.document import Document, figure_name, is_published_set
from common.tables.numbers import mean_of_known

REMEDY = "run its experiment again"


def write(
    document: Document, figures: Mapping[str, Any] | None = None, svg: bool = False, limited: bool = False
) -> Path:
    """Write `<table>.json`, `.csv`, `.md`, figures, and `<table>_curves.json` of measured rows; return the json's path.

    `figures[suffix]` are those that the document names: `<table>.png` for "", else `<table>_<suffix>.png`, and with
    `svg` as svg too what is not made of pixels. `limited` as of `place`.
    """
    path = place(document, limited)
    _write_figures(path, figures or {}, svg)
    write_json(path, document)
    _write_text(path.with_suffix(".csv"), as_csv(document))
    _write_text(path.with_suffix(".md"), table_text.as_markdown(document))
    if any("bpp" in picture for picture in document["pictures"]):
        write_json(path.with_name(f"{path.stem}_curves.json"), curves(document))
    return path


def place(document: Document, limited: bool = False) -> Path:
    """Return where a document's json belongs: `results/<scale>/<paper>/<table>.json`.

    A table measured on other or fewer pictures than the published ones, and where no set is published a `limited` one,
    for which certain pictures were asked, goes below `results/runs`, so that a quick look never replaces a complete
    table; smoke results stay in `results/smoke`.
    """
    paper = published.load(document["table"])
    base = results_dir()
    measured_on = document["provenance"].get("test_set") or {}
    partial = not is_published_set(paper, measured_on) if paper.test_set else limited
    if partial and document["scale"] != "smoke":
        base = base / "runs"
    return base / document["scale"] / f"{document['table']}.json"


def _write_figures(path: Path, drawn: Mapping[str, Any], svg: bool) -> None:
    if drawn:
        from common.tables import figures as drawing

        for suffix, figure in drawn.items():
            drawing.save(figure, path.with_name(figure_name(path.stem, suffix)).with_suffix(""), svg)


def _write_text(path: Path, text: str) -> None:
    with atomic_file(path) as file:
        file.write(text.encode(errors="backslashreplace"))  # a folder's name may not be UTF-8


def as_csv(document: Document) -> str:
    """Return the cells as csv, one line each, or the claims where there are no cells; an interval takes two fields."""
    lines, names = document["cells"], ["row", "column", "printed", "published", "reproduced", "delta", "tolerance"]
    if not lines and document["claims"]:
        lines, names = document["claims"], ["claim", "relation", "claimed", "found"]
        lines = [{**line, "scale": document["scale"]} for line in lines]
    names += ["interval_low", "interval_high", "verdict", "scale", "note"]
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    for line in lines:
        low, high = line.get("interval") or (None, None)
        writer.writerow({**line, "interval_low": low, "interval_high": high})
    return text.getvalue()


def curves(document: Document) -> list[dict[str, Any]]:
    """Return one rate-distortion curve a row in the field's layout: one point, the mean over pictures and seeds."""
    fields = {"bpp": "bpp", "psnr-rgb": "psnr", "ms-ssim-rgb": "ms_ssim"}
    fields.update({"encoding_time": "encoding_time", "decoding_time": "decoding_time"})
    about = f"{document['citation']}; {document['title']}; scale {document['scale']}"
    rows = dict.fromkeys(picture["row"] for picture in document["pictures"])
    curve = {}
    for row in rows:
        measured = [picture for picture in document["pictures"] if picture["row"] == row]
        curve[row] = {name: [mean_of_known(p.get(f) for p in measured)] for name, f in fields.items()}
    return [{"name": row, "description": about, "results": results} for row, results in curve.items()]


def read(path: Path) -> Document:
    """Read a written table; raises RelicError where the file is not one."""
    document = read_json(path, REMEDY)
    judged = [document.get("cells", []), document.get("claims", [])]
    are_judged = all(isinstance(lines, list) and all(map(_has_verdict, lines)) for lines in judged)
    if not are_judged or not isinstance(document.get("provenance", {}), dict):
        raise RelicError(f"{path} is not the JSON of a table: {REMEDY}")
    return document


def _has_verdict(line: Any) -> bool:
    return isinstance(line, dict) and isinstance(line.get("verdict"), str)
