"""The papers' tables as they are typed in `papers/<key>/published/<table>.csv`: printed digits, tolerances, notes.

The file is the printed table as CSV, below lines that begin with `#` and hold `key: value`:

    citation, title, section, read      text
    test set, pictures                  name of the pictures, their number
    digest                              sha256 of their pixels, where they are no set of common/data/digests.py
    label                               the columns that together name a row (default: the first)
    units, measured as, better          `column word, column word`: unit; field of a measurement; higher or lower
    tolerance                           `column 0.25, column 3%, column exact`
    note                                a sentence (may repeat)
    misprint, inconsistent              `row | column | sentence`, `*` for every row or column (may repeat)

A cell is a number, empty or `-` where the paper prints nothing, or `picture` where only a curve is published. A figure,
a list of claims or an audit has a header row and no rows; units are needed where there are cells, tolerances where
there are numbers.
"""

import csv
import importlib.util
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import NoReturn

from common.config import is_whole_number
from common.errors import RelicError

TEXT_KEYS = ("citation", "title", "section", "read", "test set", "digest", "label")
COLUMN_KEYS = ("units", "measured as", "better", "tolerance")
REQUIRED_KEYS = ("citation", "title", "section", "read")
PICTURE = "picture"


@dataclass(frozen=True)
class Tolerance:
    """How far a reproduced value may lie from the printed one: `size` in the column's unit, or as a share of it."""

    text: str
    size: float
    relative: bool

    def around(self, published: float) -> float:
        """Return the allowed distance from `published`, in the column's unit."""
        return self.size * abs(published) if self.relative else self.size


@dataclass(frozen=True)
class Remark:
    """A misprint or inconsistency of the paper: which row and column (`*` for all) and what is wrong with it."""

    kind: str
    row: str
    column: str
    text: str


@dataclass
class Published:
    """One published table: rows, columns and cells as printed, with tolerances, notes and the pictures it is about."""

    path: Path
    rows: list[str] = field(default_factory=list)
    columns: list[str] = field(default_factory=list)
    cells: dict[tuple[str, str], str] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    pictures: int | None = None
    units: dict[str, str] = field(default_factory=dict)
    measured_as: dict[str, str] = field(default_factory=dict)
    better: dict[str, str] = field(default_factory=dict)
    tolerances: dict[str, Tolerance] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)

    @property
    def test_set(self) -> str:
        """Name of the published test pictures, empty where the table needs none."""
        return self.texts.get("test set", "")

    @property
    def digest(self) -> str:
        """sha256 of the pixels of the published test pictures, empty where they are known by their name alone."""
        from common import data

        return self.texts.get("digest") or data.known_digest(self.test_set, self.pictures)

    def printed(self, row: str, column: str) -> str | None:
        """Return a cell as printed, None where the paper prints nothing."""
        return self.cells.get((row, column))

    def value(self, row: str, column: str) -> float | None:
        """Return a cell's number (an int for whole numbers without exponent), None where there is none."""
        text = self.cells.get((row, column))
        return None if text is None or text == PICTURE else number(text)

    def remarks_on(self, row: str, column: str) -> list[Remark]:
        """Return the misprints and inconsistencies that concern one cell."""
        return [r for r in self.remarks if r.row in ("*", row) and r.column in ("*", column)]


def number(text: str) -> float:
    """Return the value of a printed number: an int where it is one, else a float."""
    return int(text) if is_whole_number(text.lstrip("+-")) else float(text)


def published_folder(paper: str) -> Path:
    """Return `papers/<paper>/published`; raise RelicError where there is no such paper."""
    spec = importlib.util.find_spec("papers")
    for root in spec.submodule_search_locations or () if spec else ():
        folder = Path(root) / paper / "published"
        if folder.is_dir():
            return folder
    raise RelicError(f"no published tables for paper {paper!r}: `relic list` names the papers")


def load(table: str) -> Published:
    """Read the published table `<paper>/<table>`, e.g. `cheng_resnet/table4`."""
    paper, _, name = table.partition("/")
    return read(published_folder(paper) / f"{name}.csv")


def read(path: Path) -> Published:
    """Read a published table; raise RelicError with file and line where it is malformed."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise RelicError(f"no published table {path.name}: {path.parent} holds the tables of this paper") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise RelicError(f"{path}, line {line}: the file is not UTF-8 text: save it as UTF-8") from None
    comments = [(n, line[1:].strip()) for n, line in enumerate(lines, 1) if line.startswith("#")]
    body = [(n, line) for n, line in enumerate(lines, 1) if line.strip() and not line.startswith("#")]
    if not body:
        _fail(path, len(lines), "the table has no header row")
    table = Published(path)
    keyed = [(n, *_key_and_value(path, n, text)) for n, text in comments]
    for n, key, value in keyed:
        _read_text(table, n, key, value)
    _read_body(table, body)
    for n, key, value in keyed:
        _read_about_cells(table, n, key, value)
    needed = [*REQUIRED_KEYS, *(["units"] if table.cells else [])]
    needed += ["tolerance"] if set(table.cells.values()) - {PICTURE} else []
    missing = [key for key in needed if key not in {key for _, key, _ in keyed}]
    if missing:
        _fail(path, 1, f"the header lacks `# {missing[0]}: ...`")
    return table


def _fail(path: Path, line: int, what: str) -> NoReturn:
    raise RelicError(f"{path}, line {line}: {what}")


def _key_and_value(path: Path, line: int, text: str) -> tuple[str, str]:
    key, colon, value = text.partition(":")
    known = TEXT_KEYS + COLUMN_KEYS + ("pictures", "note", "misprint", "inconsistent")
    if not colon or key not in known:
        _fail(path, line, f"`# {text[:40]}` is not `# key: value` with a known key ({', '.join(known)})")
    return key, value.strip()


def _read_text(table: Published, line: int, key: str, value: str) -> None:
    if key in TEXT_KEYS:
        table.texts[key] = value
    elif key == "note":
        table.notes.append(value)
    elif key == "pictures":
        if not is_whole_number(value):
            _fail(table.path, line, f"`pictures: {value}` is not a whole number")
        table.pictures = int(value)


def _read_body(table: Published, body: Sequence[tuple[int, str]]) -> None:
    header, labels = _header(table, *body[0])
    for line, text in body[1:]:
        fields = _fields(table, line, text)
        if len(fields) != len(header):
            _fail(table.path, line, f"{len(fields)} fields where the header row has {len(header)}")
        cells = dict(zip(header, (f.strip() for f in fields), strict=True))
        row = ", ".join(cells.pop(label) for label in labels)
        if row in table.rows:
            _fail(table.path, line, f"row {row!r} stands twice")
        table.rows.append(row)
        for column, printed in cells.items():
            _read_cell(table, line, row, column, printed)


def _fields(table: Published, line: int, text: str) -> list[str]:
    try:
        return next(csv.reader([text]))
    except csv.Error as error:
        _fail(table.path, line, f"the row is no csv: {error}")


def _header(table: Published, line: int, text: str) -> tuple[list[str], list[str]]:
    header = [name.strip() for name in _fields(table, line, text)]
    labels = [name.strip() for name in table.texts.get("label", header[0]).split(",")]
    if len(set(header)) != len(header):
        _fail(table.path, line, "a column stands twice in the header row")
    if header[: len(labels)] != labels:
        _fail(table.path, line, f"the header row does not begin with the label columns {', '.join(labels)}")
    table.columns = header[len(labels) :]
    return header, labels


def _read_cell(table: Published, line: int, row: str, column: str, printed: str) -> None:
    if printed in ("", "-"):
        return
    if printed != PICTURE:
        try:
            finite = Decimal(printed).is_finite()
        except InvalidOperation:
            finite = False
        if not finite:
            _fail(table.path, line, f"{column} of row {row!r} is {printed!r}: neither a number, `-` nor `{PICTURE}`")
    table.cells[row, column] = printed


def _read_about_cells(table: Published, line: int, key: str, value: str) -> None:
    if key in ("misprint", "inconsistent"):
        table.remarks.append(_remark(table, line, key, value))
    elif key in COLUMN_KEYS:
        for part in value.split(","):
            column, word = _column_and_word(table, line, part.strip())
            _set_column(table, line, key, column, word)


def _remark(table: Published, line: int, kind: str, value: str) -> Remark:
    parts = [part.strip() for part in value.split("|")]
    if len(parts) != 3:
        _fail(table.path, line, f"`{kind}` needs `row | column | sentence`")
    row, column, text = parts
    if row != "*" and row not in table.rows:
        _fail(table.path, line, f"`{kind}` names row {row!r}, which the table does not have")
    if column != "*" and column not in table.columns:
        _fail(table.path, line, f"`{kind}` names column {column!r}, which the table does not have")
    return Remark(kind, row, column, text)


def _column_and_word(table: Published, line: int, part: str) -> tuple[str, str]:
    for column in sorted(table.columns, key=len, reverse=True):
        if part.startswith(column + " "):
            return column, part[len(column) :].strip()
    _fail(table.path, line, f"{part!r} does not begin with one of the columns {', '.join(table.columns)}")


def _set_column(table: Published, line: int, key: str, column: str, word: str) -> None:
    if key == "units":
        table.units[column] = word
    elif key == "measured as":
        table.measured_as[column] = word
    elif key == "better":
        if word not in ("higher", "lower"):
            _fail(table.path, line, f"better {column} {word!r}: say higher or lower")
        table.better[column] = word
    else:
        table.tolerances[column] = _tolerance(table, line, word)


def _tolerance(table: Published, line: int, word: str) -> Tolerance:
    if word == "exact":
        return Tolerance(word, 0.0, False)
    try:
        size = float(word.rstrip("%")) / (100 if word.endswith("%") else 1)
    except ValueError:
        size = math.nan
    if not (math.isfinite(size) and size >= 0):
        _fail(table.path, line, f"tolerance {word!r} is not a number, a percentage or `exact`")
    return Tolerance(word, size, word.endswith("%"))
