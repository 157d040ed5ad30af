"""What libraries in C say of a damaged picture: they print it on standard error, and nowhere else."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def complaints(pattern: re.Pattern[str]) -> Iterator[list[str]]:
    """Give a list that in the end holds the lines of this pattern that were printed on standard error meanwhile.

    Other lines, which come from other threads, are printed then. Standard error is the whole process's: one at a time.
    """
    said: list[str] = []
    errors = _standard_error()
    with os.fdopen(os.memfd_create("complaints"), "rb+") as file:
        os.dup2(file.fileno(), 2)
        try:
            yield said
        finally:
            os.dup2(errors, 2)
            file.seek(0)
            for line in file.read().splitlines(keepends=True):
                text = line.decode(errors="replace").rstrip()
                if pattern.search(text):
                    said.append(text)
                else:
                    os.write(errors, line)
            os.close(errors)


def _standard_error() -> int:
    """Return a second number of the standard error, or what takes its place where it is closed."""
    try:
        return os.dup(2)
    except OSError:
        return os.open(os.devnull, os.O_WRONLY)
