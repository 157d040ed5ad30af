"""Silence of native libraries, which write to stderr what they think of damaged data: the user reads one sentence."""

import os
import threading

_LOCK = threading.Lock()
_stderr: list[int] = []  # where stderr went before the first of those that are silent now
_silent = 0


class SilentLibraries:
    """While any thread is within, what is written to the process' stderr goes nowhere."""

    def __enter__(self) -> None:
        global _silent
        with _LOCK:
            _silent += 1
            if _silent == 1:
                _send_away()

    def __exit__(self, *_: object) -> None:
        global _silent
        with _LOCK:
            _silent -= 1
            if _silent == 0:
                _take_back()


def _send_away() -> None:
    try:
        _stderr.append(os.dup(2))
    except OSError:  # stderr is closed
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)


def _take_back() -> None:
    while _stderr:
        before = _stderr.pop()
        os.dup2(before, 2)
        os.close(before)
