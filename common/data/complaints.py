"""What libraries in C say of a damaged picture: they print it on standard error, and nowhere else."""

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def complaints(pattern: re.Pattern[str]) -> Iterator[list[str]]:
    """Give a list that in the end holds the lines of this pattern that were printed on standard error meanwhile.

    Other lines, which come from other threads, are printed then. Standard error is the whole process's: one at a time.
    """
    said: list[str] = []
    errors = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            yield said
        finally:
            os.dup2(errors, 2)
            os.close(errors)
            file.seek(0)
            for line in file.read().decode(errors="replace").splitlines():
                if pattern.search(line):
                    said.append(line)
                else:
                    print(line, file=sys.stderr)
