"""The log of a training that runs: a csv file beside its checkpoint, which has every row as soon as it is there."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from common.files import atomic_file
from common.training.ship import columns_of, csv_rows, log_csv


class LogFile:
    """A csv file of rows as `common.training.ship.log_csv` writes them; begins with `rows`, in place of what is there.

    A row with further columns has the file written anew. Raises OSError where it cannot be written.
    """

    def __init__(self, path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
        self._path, self._rows = path, list(rows)
        self._write()

    def append(self, row: Mapping[str, Any]) -> None:
        """Add a row, which is in the file when this returns."""
        self._rows.append(row)
        if columns_of(self._rows) != self._columns:
            self._write()
            return
        with self._path.open("a", encoding="utf-8") as file:
            file.write(csv_rows([row], self._columns))

    def _write(self) -> None:
        self._columns = columns_of(self._rows)
        with atomic_file(self._path) as file:
            file.write(log_csv(self._rows).encode())
