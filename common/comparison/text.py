"""What a comparison of codecs writes: json, csv, a page with a plot of two panels, curves in the field's layout."""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from common import files
from common.comparison.changes import ANCHOR, ANCHORS, AT_EQUAL, BD, MEASURES, Document, mean_curves
from common.tables import text as table_text
from common.tables.text import Section

NAMES = {"psnr": "PSNR", "ms_ssim": "MS-SSIM in dB"}
BETWEEN = " … "
# Rates that the plot shows, in bits per pixel: below nothing is left of most pictures, above there is nothing to see.
SHOWN = (0.05, 2.0)
AROUND = 1.15  # times the rates of codecs with one point, which lie on each other: what a second row of panels shows


def write(document: Document, svg: bool = False) -> Path:
    """Write `rd_kodak.json`, `.csv`, `.md`, `.png` (and `.svg`) and `rd_kodak_curves.json`; return the json's path."""
    from common.tables import figures

    path = place(document)
    files.write_json(path, document)
    for suffix, text in ((".csv", as_csv(document)), (".md", as_markdown(document))):
        with files.atomic_file(path.with_suffix(suffix)) as file:
            file.write(text.encode())
    files.write_json(path.with_name(f"{path.stem}_curves.json"), curves(document))
    figures.save(plot(document), path.with_suffix(""), svg)
    return path


def place(document: Document) -> Path:
    """Return where a document's json belongs: `results/suite`, `results/smoke`, or for a part `results/runs/suite`."""
    base = files.results_dir()
    folder = {"smoke": base / "smoke", "suite": base / "suite"}.get(document["scale"], base / "runs" / "suite")
    is_part = not document["complete"] and document["scale"] != "smoke"
    return (base / "runs" / "suite" if is_part else folder) / f"{document['table']}.json"


def read() -> Document:
    """Return the complete comparison that was written last; raises RelicError where there is none."""
    path = files.results_dir() / "suite" / "rd_kodak.json"
    fields = {"curves": list, "points": list, "provenance": dict}
    return files.read_json(path, "there is no comparison to reuse, leave out --reuse", fields)


# --- curves --------------------------------------------------------------------------------------------------------


def curves(document: Document) -> list[dict[str, Any]]:
    """Return the mean curves over pictures in the field's layout."""
    about = f"{document['title']}; means over pictures at equal setting"
    return [
        {
            "name": curve["codec"],
            "description": f"{about}, {curve['pictures']} pictures; {_joined(curve)}",
            "results": {
                "bpp": curve["bpp"],
                "psnr-rgb": curve["psnr"],
                "psnr-rgb-of-mean-error": curve["psnr_of_mean"],
                "ms-ssim-rgb": curve["ms_ssim"],
                "encoding_time": curve["encoding_time"],
                "decoding_time": curve["decoding_time"],
            },
        }
        for curve in mean_curves(document)
    ]


def plot(document: Document) -> Any:
    """Return the plot: PSNR and MS-SSIM in dB over bits per pixel, means over pictures at equal setting."""
    from common.metrics import ms_ssim_db
    from common.tables import figures

    panels: dict[str, list[figures.Line]] = {"PSNR (dB)": [], "MS-SSIM (dB)": []}
    alone: list[float] = []
    for curve in mean_curves(document):
        ms_ssim = [None if value is None else ms_ssim_db(value) for value in curve["ms_ssim"]]
        kind = figures.NETWORKS if _joins_networks(curve) else figures.CURVE
        for lines, quality in zip(panels.values(), (curve["psnr"], ms_ssim), strict=True):
            lines.append(figures.Line(curve["codec"], curve["bpp"], quality, kind))
        alone += curve["bpp"] if len(curve["bpp"]) == 1 else []
    test_set = document["provenance"]["test_set"]
    basis = figures.basis_of(scales(document) or figures.EXACT_SCALE, test_set)
    closer = (min(alone) / AROUND, max(alone) * AROUND) if len(alone) > 1 else None
    note = "A point is a mean over the pictures at one setting."
    note += " The lower row shows the rates around the codecs of one point." if closer else ""
    return figures.rate_distortion(panels, document["title"], basis, log_x=True, limits=SHOWN, closer=closer, note=note)


def _joins_networks(curve: Mapping[str, Any]) -> bool:
    """Return whether the points of a curve are those of different networks."""
    return curve["kind"] == "learned" and len({*curve["made_by"]}) > 1


def scales(document: Document) -> str:
    """Return at which scales the networks were trained, and whose: `medium (Cheng), small (Donis, Paka)`."""
    whose: dict[str, dict[str, None]] = {}
    for curve in document["curves"]:
        for made_by in curve["made_by"] if curve["kind"] == "learned" else ():
            for scale in re.findall(r", scale (\w+), seed", made_by):
                whose.setdefault(scale, {})[curve["codec"].partition(",")[0]] = None
    return ", ".join(f"{scale} ({', '.join(names)})" for scale, names in whose.items())


# --- texts ---------------------------------------------------------------------------------------------------------


def as_text(document: Document) -> str:
    """Return the document for a terminal."""
    return table_text.plain_text(document["title"], sections(document))


def as_markdown(document: Document) -> str:
    """Return the document as a markdown page."""
    figure = f"![{document['title']}]({document['table']}.png)"
    return table_text.markdown(document["title"], [figure], sections(document))


def sections(document: Document) -> list[Section]:
    """Return the parts of a document in reading order; empty ones are left out."""
    missing = [f"{codec}: {why.rstrip('.')}." for codec, why in document["missing"].items()]
    parts = [
        *(_whole_curves(document, anchor) for anchor in ANCHORS),
        *(_single_points(document, anchor) for anchor in ANCHORS),
        _points(document),
        _beside_published(document),
        _times(document),
        Section("Not run", sentences=missing),
        Section("Notes", sentences=document["notes"]),
        Section("How it was made", sentences=_made_by(document) + table_text.provenance(document)),
    ]
    return [part for part in parts if part.rows or part.sentences]


def _whole_curves(document: Document, anchor: str) -> Section:
    changes = _changes(document, anchor, BD)
    section = Section(f"Against {anchor}: BD-rate, BD-PSNR and BD-MS-SSIM")
    section.header = ["codec", "BD-rate, PSNR", "BD-PSNR", "pictures", "BD-rate, MS-SSIM", "BD-MS-SSIM", "pictures"]
    section.rows = [[change["codec"], *_cells(change)] for change in changes]
    section.sentences = [
        "A BD-rate below 0: fewer bits for the same quality; a BD-PSNR or BD-MS-SSIM (in dB, -10 log10(1 - MS-SSIM)) "
        "above 0: better at the same rate. The two may differ in sign where a curve saturates: over all qualities that "
        "both reach, most may lie where few bits are saved, over all rates where much is lost. Interpolated by "
        "piecewise cubic Hermite polynomials (pchip) over the logarithm of the rate, per picture, then averaged, in "
        "brackets the 95 % interval over pictures; pictures on which two curves share less than half of the narrower "
        "one's range are left out.",
        *([f"{ANCHORS[0]}, is the stronger anchor: verdicts are against it."] if anchor == ANCHORS[0] else []),
    ]
    return section if changes else Section("")


def _single_points(document: Document, anchor: str) -> Section:
    changes = _changes(document, anchor, AT_EQUAL)
    section = Section(f"Against {anchor} at equal quality and at equal rate: codecs with too few points for BD values")
    section.header = ["codec", "point", "rate at equal PSNR", "PSNR at equal rate", "pictures"]
    section.header += ["rate at equal MS-SSIM", "MS-SSIM at equal rate", "pictures"]
    section.rows = [[change["codec"], change["setting"], *_cells(change)] for change in changes]
    section.sentences = [
        f"Against the rate of {anchor} at the point's quality, and its quality (MS-SSIM in dB) at the point's rate, on "
        "the same picture: quality linear in the logarithm of the rate between measured points; pictures on which "
        f"{anchor} has no such quality or rate are left out."
    ]
    return section if changes else Section("")


def _changes(document: Document, anchor: str, method: str) -> list[dict[str, Any]]:
    return [change for change in document["changes"] if (change["anchor"], change["method"]) == (anchor, method)]


def _points(document: Document) -> Section:
    """Return the points of the learned codecs; those of the classical ones stand in the plot and the json."""
    section = Section("Points of the learned codecs", ["codec", "point", "bpp", "PSNR", "of mean error"])
    section.header += ["MS-SSIM", "pictures"]
    for curve in mean_curves(document):
        if curve["kind"] == "learned":
            points = zip(*(curve[f] for f in ("settings", "bpp", "psnr", "psnr_of_mean", "ms_ssim")), strict=True)
            section.rows += [[curve["codec"], *map(_number, point), str(curve["pictures"])] for point in points]
    section.sentences = [
        "Means over pictures; beside the mean of PSNR stands the PSNR of the mean squared error of all pictures, which "
        "other suites report."
    ]
    return section if section.rows else Section("")


def _number(value: Any) -> str:
    return "-" if value is None else value if isinstance(value, str) else f"{value:.4f}"


def _cells(change: Mapping[str, Any]) -> list[str]:
    texts = []
    for measure in MEASURES:
        of = change[measure]
        counts = dict.fromkeys(f"{of[name]} of {change['pictures']}" for name in ("pictures", "db_pictures"))
        texts += [_bounded(of["percent"], of["interval"], 1, " %"), _bounded(of["db"], of["db_interval"], 2, " dB")]
        texts.append(", ".join(counts))
    return texts


def _bounded(value: float | None, interval: Sequence[float] | None, digits: int, unit: str) -> str:
    if value is None:
        return "-"
    bounds = BETWEEN.join(f"{bound:+.{digits}f}" for bound in interval or ())
    return f"{value:+.{digits}f}{unit}" + (f" ({bounds})" if bounds else "")


def _beside_published(document: Document) -> Section:
    section = Section("The anchors beside published curves of the same codecs")
    section.header = ["codec", "published", "BD-rate, PSNR", "BD-PSNR", "BD-rate, MS-SSIM", "BD-MS-SSIM"]
    for row in document.get("beside_published", ()):
        cells = [f"{row[of][key]:{form}}" for of in MEASURES for key, form in (("percent", "+.1f"), ("db", "+.2f"))]
        units = (" %", " dB", " %", " dB")
        section.rows.append([row["codec"], row["published"], *map("".join, zip(cells, units, strict=True))])
    section.sentences = [
        "A BD-PSNR below 0 is what an anchor falls short of the published curve, a mean over the same pictures. Where "
        "HEVC intra stands for BPG, that much is missing. Published: CompressAI's results for Kodak (JPEG and WebP by "
        "Pillow, JPEG2000 by ffmpeg, AV1 by libaom, BPG with x265, 4:4:4). Interpolated by pchip."
    ]
    return section if section.rows else Section("")


def _times(document: Document) -> Section:
    section = Section("Time per picture", ["codec", "encoding", f"of {ANCHOR}'s", "decoding", f"of {ANCHOR}'s"])
    for row in document["times"]:
        cells = [_time(row, field) for field in ("encoding_time", "decoding_time")]
        section.rows.append([row["codec"], *(text for cell in cells for text in cell)])
    section.sentences = [
        "Wall clock, two classical codecs at a time: medians over pictures of the mean over settings, and of its ratio "
        f"to {ANCHOR}'s on the same picture."
    ]
    return section


def _time(row: Mapping[str, Any], field: str) -> list[str]:
    ratio = row[f"{field}_ratio"]
    return [f"{1000 * row[field]:.1f} ms", f"{ratio:.0f} x" if ratio >= 100 else f"{ratio:.3g} x"]


def _made_by(document: Document) -> list[str]:
    return [f"{curve['codec']}: {_joined(curve)}." for curve in document["curves"]]


def _joined(curve: Mapping[str, Any]) -> str:
    """Return a curve's settings and what made it: of classical codecs one label, as only the setting differs."""
    made_by = dict.fromkeys(curve["made_by"]) if curve["kind"] == "learned" else curve["made_by"][:1]
    settings = [f"settings {' | '.join(curve['settings'])}"] if len(curve["settings"]) > 1 else []
    return "; ".join([*settings, *made_by])


def as_csv(document: Document) -> str:
    """Return the changes and the times as csv, one line for each change and measure of quality."""
    names = ["anchor", "codec", "setting", "method", "quality", "percent", "interval_low", "interval_high", "pictures"]
    names += ["db", "db_interval_low", "db_interval_high", "db_pictures", "of_pictures"]
    names += ["encoding_time", "encoding_time_ratio", "decoding_time", "decoding_time_ratio"]
    times = {row["codec"]: {name: row[name] for name in names[-4:]} for row in document["times"]}
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    for change in document["changes"]:
        for measure in MEASURES:
            writer.writerow({**change, **_csv_cells(change, measure), **times[change["codec"]]})
    return text.getvalue()


def _csv_cells(change: Mapping[str, Any], measure: str) -> dict[str, Any]:
    cells = {"quality": NAMES[measure], "of_pictures": change["pictures"]}
    for prefix, value in (("", "percent"), ("db_", "db")):
        low, high = change[measure][f"{prefix}interval"] or (None, None)
        cells |= {value: change[measure][value], f"{prefix}interval_low": low, f"{prefix}interval_high": high}
        cells[f"{prefix}pictures"] = change[measure][f"{prefix}pictures"]
    return cells
