"""What a user sees when something goes wrong: one sentence and a non-zero exit status."""

import contextlib
import errno
import io
import os
import sys
from collections.abc import Callable, Iterator


class RelicError(ValueError):
    """A mistake or a missing thing that the user can mend; its text is one sentence that says how."""


def run_main(main: Callable[[], object]) -> None:
    """Run a command line and turn the failures a user can mend into one line on stderr.

    Exits with 1 after `RelicError` and operating-system errors (no space, no permission, no such file), with 130
    after Ctrl-C, with 0 when the reader of a pipe has gone. Everything else is a defect and keeps its traceback.
    What a terminal cannot show, as a name that is not UTF-8, is printed with backslashes.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        main()
    except RelicError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt as interrupt:
        print(str(interrupt) or "stopped", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        sys.exit(f"error: {describe_os_error(error)}")
    except MemoryError:
        sys.exit("error: not enough memory: take a smaller picture, or a machine that has more")


@contextlib.contextmanager
def goes_on(how: str) -> Iterator[None]:
    """Let what Ctrl-C says, of work that is kept, end with how the work goes on."""
    try:
        yield
    except KeyboardInterrupt as interrupt:
        raise KeyboardInterrupt(f"{str(interrupt) or 'stopped'}: {how}") from None


def one_line(said: object) -> str:
    """Return what an error or a program says, in one line."""
    return " ".join(str(said).split())


def describe_os_error(error: OSError) -> str:
    """Return one sentence for an operating-system error, with the path it concerns."""
    what = "no space left on the disk" if error.errno == errno.ENOSPC else (error.strerror or str(error))
    # Of a renaming, the second name is the one that the user gave.
    filename = error.filename2 or error.filename
    return f"{what}: {filename}" if filename else what
