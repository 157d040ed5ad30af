"""What libraries in C say of a damaged picture: they print it on standard error, and nowhere else.

It is caught, to be the reason of a refusal or to be left out: the user reads one sentence.
"""

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager

EVERYTHING = re.compile("")
_ONE_AT_A_TIME = threading.Lock()  # standard error is the whole process's


@contextmanager
def complaints(pattern: re.Pattern[str]) -> Iterator[list[str]]:
    """Give a list that in the end holds the lines of this pattern that were printed on standard error meanwhile.

    Other lines, which come from other threads, are printed then. One thread at a time is within.
    """
    said: list[str] = []
    with _ONE_AT_A_TIME, os.fdopen(os.memfd_create("complaints"), "rb+") as file:
        errors = _standard_error()
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
