"""A table's document as text for the terminal and as markdown: the same sections, set twice."""

import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import zip_longest
from typing import Any

from common.tables import equal_rate, published, verdicts
from common.tables.document import ANCHORS
from common.tables.published import PICTURE, Published

MANY_CELLS = 40
WIDEST_COLUMN = 60  # characters, on a terminal


@dataclass
class Section:
    """A heading, a grid of texts with its header row, and sentences below it."""

    heading: str
    header: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    sentences: list[str] = field(default_factory=list)


def sections(document: Mapping[str, Any]) -> list[Section]:
    """Return the parts of a document in reading order; empty ones are left out."""
    paper = published.load(document["table"])
    parts = [
        _cells(paper, document),
        _differences(paper, document),
        _whole_curves(document),
        _gate(document),
        _further(document),
        _not_run(document),
        _claims(document),
        Section("Notes", sentences=[*document["notes"], *paper.notes]),
        Section("How it was made", sentences=provenance(document)),
    ]
    return [part for part in parts if part.rows or part.sentences]


def as_text(document: Mapping[str, Any]) -> str:
    """Return the document for a terminal, columns aligned."""
    return plain_text(_title(document), sections(document))


def as_markdown(document: Mapping[str, Any]) -> str:
    """Return the document as a markdown page."""
    figures = [f"![{document['title']}]({name})" for name in document.get("figures", ())]
    return markdown(_title(document), [document["citation"], *figures], sections(document))


def plain_text(title: str, parts: Sequence[Section]) -> str:
    """Return a title and sections for a terminal, columns aligned."""
    lines = [title]
    for section in parts:
        lines += ["", section.heading, *_aligned(section)]
        lines += [f"  {sentence}" for sentence in section.sentences]
    return "\n".join(lines)


def markdown(title: str, paragraphs: Sequence[str], parts: Sequence[Section]) -> str:
    """Return a title, paragraphs and sections as a markdown page."""
    lines = [f"# {title}"]
    for paragraph in paragraphs:
        lines += ["", paragraph]
    for section in parts:
        lines += ["", f"## {section.heading}", ""]
        if section.rows:
            lines += [_bar(section.header), _bar(["---"] * len(section.header)), *map(_bar, section.rows), ""]
        lines += [f"- {sentence}" for sentence in section.sentences]
    return "\n".join(line for i, line in enumerate(lines) if line or lines[i - 1]).rstrip() + "\n"


def _bar(fields: Sequence[str]) -> str:
    return "| " + " | ".join(text.replace("|", "\\|") for text in fields) + " |"


def _aligned(section: Section) -> list[str]:
    if not section.rows:
        return []
    grid = [[textwrap.wrap(text, WIDEST_COLUMN) or [""] for text in row] for row in (section.header, *section.rows)]
    widths = [max(len(line) for row in grid for line in row[i]) for i in range(len(section.header))]
    header, *rows = ([_padded(line, widths) for line in zip_longest(*row, fillvalue="")] for row in grid)
    return [*header, _padded(["-" * width for width in widths], widths), *(line for row in rows for line in row)]


def _padded(texts: Sequence[str], widths: Sequence[int]) -> str:
    return "  " + "  ".join(text.ljust(width) for text, width in zip(texts, widths, strict=True)).rstrip()


def _title(document: Mapping[str, Any]) -> str:
    """Return e.g. "Table 1 of paka_autoencoder: …, scale small", or "Audit of …" for `audit` and `audit_paka`."""
    paper, _, name = document["table"].partition("/")
    kind = name.partition("_")[0].rstrip("0123456789")
    number = name[len(kind) :].partition("_")[0]
    what = " ".join(filter(None, [kind.capitalize(), number]))
    return f"{what} of {paper}: {document['title']}, scale {document['scale']}"


# --- numbers -------------------------------------------------------------------------------------------------------


def like(printed: str, value: float | None, signed: bool = False) -> str:
    """Return a value with a printed number's digits: like("26.266", 26.2) is 26.200, like("3.88e10", 4e10) 4.00e10."""
    if value is None:
        return "-"
    unit = verdicts.last_digit(printed)
    rounded = Decimal(repr(value)).quantize(unit)
    sign = "+" if signed and rounded > 0 else ""
    if "e" not in printed.lower():
        return sign + format(abs(rounded) if rounded == 0 else rounded, "f")
    if rounded == 0:
        return "0"
    digits = max(rounded.adjusted() - unit.adjusted(), 0)
    mantissa, _, exponent = f"{rounded:.{digits}e}".partition("e")
    return f"{sign}{mantissa}e{int(exponent)}"


def _interval(printed: str, interval: Sequence[float] | None) -> str:
    if interval is None:
        return "-"
    # One digit more than printed: an interval is narrower than the digits of a table.
    finer = printed + "0" if "." in printed and "e" not in printed.lower() else printed
    return f"{like(finer, interval[0], True)} … {like(finer, interval[1], True)}"


# --- sections ------------------------------------------------------------------------------------------------------


def _cells(paper: Published, document: Mapping[str, Any]) -> Section:
    cells = document["cells"]
    counts = Counter(cell["verdict"] for cell in cells)
    section = Section("Published and reproduced")
    if not cells:
        return section
    if len(cells) > MANY_CELLS:
        _by_row(section, cells)
    else:
        section.header = ["row", "column", "published", "ours", "difference", "tolerance", "verdict"]
        section.rows = [_cell(paper, cell) for cell in cells]
    section.sentences = [", ".join(f"{counts[v]} {v}" for v in verdicts.CELL_VERDICTS if counts[v]) + "."]
    for note in dict.fromkeys(cell["note"] for cell in cells if cell["note"]):
        section.sentences.append(f"{_named(cells, note)}: {note}")
    return section


def _named(cells: Sequence[Mapping[str, Any]], note: str) -> str:
    """Name the cells that share a note: all, whole rows, or one by one."""
    noted = [cell for cell in cells if cell["note"] == note]
    if len(noted) == len(cells):
        return "All cells"
    sizes, rows = (Counter(cell["row"] for cell in some) for some in (cells, noted))
    whole = [row for row, count in rows.items() if count == sizes[row]]
    single = [f"{cell['column']} of {cell['row']}" for cell in noted if cell["row"] not in whole]
    return "; ".join(whole + single)


def _cell(paper: Published, cell: Mapping[str, Any]) -> list[str]:
    printed = cell["printed"]
    if printed == PICTURE:
        return [cell["row"], cell["column"], printed, _ours(cell), "-", "-", cell["verdict"]]
    tolerance, delta = paper.tolerances[cell["column"]].text, like(printed, cell["delta"], signed=True)
    return [cell["row"], cell["column"], printed, _ours(cell), delta, tolerance, cell["verdict"]]


def _ours(cell: Mapping[str, Any]) -> str:
    printed, value = cell["printed"], cell["reproduced"]
    return _plain(value) if printed == PICTURE else like(printed, value)


def _by_row(section: Section, cells: Sequence[Mapping[str, Any]]) -> None:
    """Set a long table with one line a row: its values, and what does not agree."""
    columns = list(dict.fromkeys(cell["column"] for cell in cells))
    section.header = ["row", *columns, "verdict"]
    for row in dict.fromkeys(cell["row"] for cell in cells):
        row_cells = {cell["column"]: cell for cell in cells if cell["row"] == row}
        values = [_ours(row_cells[c]) if c in row_cells else "" for c in columns]
        section.rows.append([row, *values, _row_verdict(row_cells)])


def _row_verdict(row_cells: Mapping[str, Mapping[str, Any]]) -> str:
    counts = Counter(cell["verdict"] for cell in row_cells.values())
    parts = [f"{counts[v]} {v}" for v in verdicts.CELL_VERDICTS if counts[v] and v != verdicts.DIFFERS]
    differing = [(column, cell) for column, cell in row_cells.items() if cell["verdict"] == verdicts.DIFFERS]
    return ", ".join(parts + [f"{column} differs (published {cell['printed']})" for column, cell in differing])


def _differences(paper: Published, document: Mapping[str, Any]) -> Section:
    section = Section(f"Differences to {document['reference']}: what the table shows")
    section.header = ["row", "column", "published", "ours", "95 % interval", "verdict"]
    for d in document["differences"]:
        printed = paper.cells[d["row"], d["column"]]
        signed = [like(printed, d["published"], True), like(printed, d["reproduced"], True)]
        section.rows.append([d["row"], d["column"], *signed, _interval(printed, d["interval"]), d["verdict"]])
    if any("equal_rate" in d for d in document["differences"]):
        _add_equal_rate(paper, document, section)
    measured = [d for d in document["differences"] if d["interval"]]
    if measured:
        seeds = sorted({n for d in measured for n in d["seeds"]})
        over = "pictures" if seeds == [1] else "pictures and seeds"
        over += f", paired by picture: {measured[0]['pictures']} pictures"
        if measured[0]["pictures"] == 1:
            over = "seeds alone, by Student's t"
        counted = f"{' to '.join(map(str, seeds[:: max(1, len(seeds) - 1)]))} seed{'s' if seeds[-1] > 1 else ''} a row"
        section.sentences.insert(0, f"Intervals over {over}, {counted}.")
        if seeds[0] == 1:
            section.sentences.append(
                "With one seed the interval leaves out what another training would change, so no sign is decided."
            )
        elif seeds[0] < 4:
            section.sentences.append("So few seeds show only roughly what another training would change.")
    return section


def _add_equal_rate(paper: Published, document: Mapping[str, Any], section: Section) -> None:
    """Set beside each difference that at the reference's rate, and say how it is found and what is left out."""
    reference = document["reference"]
    section.header += ["ours at equal rate", "its 95 % interval", "its verdict", "detectable"]
    for line, d in zip(section.rows, document["differences"], strict=True):
        line += _equal_rate(paper.cells[d["row"], d["column"]], d["equal_rate"])
    section.sentences = [
        f"At equal rate: {equal_rate.HOW}. The reference is {reference}.",
        f"Rate: how much more of it a row takes at the MS-SSIM that {reference} has, found likewise.",
        "The published differences are of rows at their own, nearly equal rates: they stand beside both of ours.",
    ]
    if any(d["equal_rate"] and d["equal_rate"]["detectable"] for d in document["differences"]):
        section.sentences.append("Detectable: half the interval, the effect that could have been decided.")
    short = [d for d in document["differences"] if d["equal_rate"] and d["equal_rate"]["left_out"]]
    for d in short:
        left, of = d["equal_rate"]["left_out"], d["equal_rate"]["pictures"] + d["equal_rate"]["left_out"]
        section.sentences.append(
            f"{d['row']}, {d['column']}: {left} of {of} pictures are left out, where a curve does not reach the other."
        )


def _equal_rate(printed: str, found: Mapping[str, Any] | None) -> list[str]:
    if found is None or found["reproduced"] is None:
        return ["-", "-", found["verdict"] if found else "-", "-"]
    if not found["verdict"]:  # a rate at equal quality, in percent
        interval = _interval("0.0", found["interval"])
        return [f"{like('0.0', found['reproduced'], True)} %", interval + " %" * (interval != "-"), "-", "-"]
    detectable = "-" if found["detectable"] is None else like(printed, found["detectable"])
    values = like(printed, found["reproduced"], True), _interval(printed, found["interval"])
    return [*values, found["verdict"], detectable]


def _bd(value: float | None, pictures: int, digits: str, unit: str) -> list[str]:
    return ["-" if value is None else f"{value:+{digits}} {unit}", str(pictures)]


def _whole_curves(document: Mapping[str, Any]) -> Section:
    """Set BD-rate and BD-PSNR of the rows' curves side by side."""
    header = ["row", "measure", "BD-rate", "pictures", "BD-PSNR or BD-MS-SSIM", "pictures"]
    names = {"psnr": "PSNR", "ms_ssim": "MS-SSIM"}
    rows = []
    for c in document.get("curves", ()):
        rates = _bd(c["rate"], c["pictures"], ".1f", "%")
        qualities = _bd(c["quality"], c["quality_pictures"], ".3f", "dB")
        rows.append([c["row"], names[c["measure"]], *rates, *qualities])
    section = Section(f"Whole curves against {document['reference']}'s", header, rows)
    section.sentences = [
        "Over the steps of the quantiser, per picture, by pchip, where curves share enough; no interval, no verdict."
    ]
    return section if rows else Section("")


def _gate(document: Mapping[str, Any]) -> Section:
    header = ["row", "beats it on", "bpp", "its bpp", "MS-SSIM", "its MS-SSIM"]
    header += ["beats it on, standard tables", "its bpp, standard tables", "its MS-SSIM, standard tables"]
    rows = []
    for g in document["gate"]:
        won = {anchor: f"{g[f'beats_{anchor}']} of {g['pictures']}" for anchor in ANCHORS}
        first = [f"{g[name]:.4f}" for name in ("bpp", "optimised_bpp", "ms_ssim", "optimised_ms_ssim")]
        rows.append([g["row"], won["optimised"], *first, won["jpeg"]])
        rows[-1] += [f"{g[name]:.4f}" for name in ("jpeg_bpp", "jpeg_ms_ssim")]
    section = Section("Against JPEG with optimised Huffman tables: higher MS-SSIM at equal counted bpp", header, rows)
    section.sentences = ["JPEG with the standard's tables, as papers use it, stands beside: the weaker anchor."]
    if any(g[f"{anchor}_bpp"] > 1.001 * g["bpp"] for g in document["gate"] for anchor in ANCHORS):
        section.sentences.append(
            "Where JPEG cannot code as low as a picture's file, its smallest, larger file is taken."
        )
    return section if rows else Section("")


def _further(document: Mapping[str, Any]) -> Section:
    further = document["further"]
    labels = list(dict.fromkeys(row for column in further.values() for row in column))
    rows = [[row, *(_plain(column.get(row)) for column in further.values())] for row in labels]
    return Section("Not in the paper", ["row", *further], rows)


def _not_run(document: Mapping[str, Any]) -> Section:
    """Say why rows are missing where there are no cells to say it in."""
    missing = {} if document["cells"] else document["missing"]
    return Section("Not run", sentences=[f"{row}: {reason}" for row, reason in missing.items()])


def _plain(value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or "-"
    return f"{value:.4g}" if isinstance(value, float) or abs(value) >= 1e9 else str(value)


def _claims(document: Mapping[str, Any]) -> Section:
    claims = document["claims"]
    rows = [[c["claim"], _condition(c), _plain(c["found"]), c["verdict"]] for c in claims]
    section = Section("Claims", ["claim", "holds if", "found", "verdict"], rows)
    if any(c.get("interval") for c in claims):
        section.header.insert(3, "95 % interval")
        for row, c in zip(rows, claims, strict=True):
            row.insert(3, " … ".join(map(_plain, c.get("interval") or ("",))))
    section.sentences = [f"{c['claim']}: {c['note']}" for c in claims if c["note"]]
    return section


def _condition(c: Mapping[str, Any]) -> str:
    claimed = _plain(c["claimed"]) if isinstance(c["claimed"], float) else c["claimed"]
    return f"{c['relation']} {claimed}"


def provenance(document: Mapping[str, Any]) -> list[str]:
    """Return how a document was made, as sentences."""
    about = document["provenance"]
    lines = [f"Scale {document['scale']}."]
    for row, network in about.get("networks", {}).items():
        lines.append(f"{row}: {', '.join(f'{key} {value}' for key, value in network.items())}.")
    if about.get("test_set"):
        used = about["test_set"]
        lines.append(f"Test set: {used['name']}, {used['pictures']} pictures, sha256 of pixels {used['digest'][:16]}.")
    named = ("command", "seconds", "reused", "device", "machine", "stack", "backend", "python", "versions", "commit")
    for key in named:
        if about.get(key):
            lines.append(f"{key}: {_flat(about[key])}")
    return lines


def _flat(value: Any) -> str:
    return ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else str(value)
