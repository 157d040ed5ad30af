"""Processes that decode pictures for training.

Threads would take turns: standard error, where decoders complain, is the whole process's. Processes that are forked
lack the frameworks' threads, and `multiprocessing` imports the main module, and with it a framework, into those that it
spawns; so each is a Python of its own that is sent functions of this package and their arguments.
"""

import os
import pickle
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection, Pipe
from typing import Any

from common.errors import RelicError

MOST_WORKERS = 8  # of about 70 MB each
# A picture is larger than what malloc keeps: without these, each is memory that the system has to clear anew.
ENVIRONMENT = {
    "MALLOC_MMAP_THRESHOLD_": str(2**25),
    "MALLOC_TRIM_THRESHOLD_": str(2**26),
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
}
# A whole group gets Ctrl-C and a polite kill: the training saves before it ends, and needs its processes until then.
PROGRAM = """
import signal
for stop in (signal.SIGINT, signal.SIGTERM):
    signal.signal(stop, signal.SIG_IGN)
from common.data.workers import serve
serve({})
"""

Arguments = tuple[Any, ...]

_starting = threading.Lock()
_shared: list["Workers"] = []


class Workers:
    """So many processes, which end when this one does; several threads may use them at once."""

    def __init__(self, count: int) -> None:
        self.processes: list[subprocess.Popen] = []
        self.is_broken = False
        self._idle: queue.SimpleQueue[Connection] = queue.SimpleQueue()
        for _ in range(count):
            self._start()
        # As many threads wait for files as wait for processes.
        self._threads = ThreadPoolExecutor(2 * count, "decoding")

    def _start(self) -> None:
        ours, theirs = Pipe()
        with theirs:
            command = [sys.executable, "-P", "-c", PROGRAM.format(theirs.fileno())]
            path = os.pathsep.join(os.path.abspath(folder) for folder in sys.path)
            environment = {**os.environ, **ENVIRONMENT, "PYTHONPATH": path}
            self.processes.append(subprocess.Popen(command, pass_fds=[theirs.fileno()], env=environment))
        self._idle.put(ours)

    def map(self, function: Callable[..., Any], reads: Sequence[Callable[[], Arguments]]) -> list[Any]:
        """Return `function(*read())` for each: read here, in threads, the function called in the processes.

        An exception of either is raised. RelicError where a process was killed, from then on always: what was killed
        once for want of memory would be again.
        """
        futures = [self._threads.submit(self._call, function, read) for read in reads]
        try:
            return [future.result() for future in futures]
        finally:
            for future in futures:
                future.cancel()

    def _call(self, function: Callable[..., Any], read: Callable[[], Arguments]) -> Any:
        message = _message((function, read()))
        process = self._idle.get()
        try:
            if self.is_broken:
                raise EOFError
            process.send_bytes(message)
            answer = process.recv_bytes()
        except (EOFError, OSError) as error:
            self.is_broken = True
            raise RelicError(
                "a process that decodes pictures was killed, perhaps for want of memory: start again, a training with "
                "--resume"
            ) from error
        finally:
            self._idle.put(process)  # also one that is gone: whoever takes it shall not wait for ever
        found = pickle.loads(answer)
        if isinstance(found, BaseException):
            raise found
        return found


def shared_workers() -> Workers:
    """Return this process's workers, two for each processor it may use; new ones after one was killed.

    While one waits for its next picture the other decodes.
    """
    with _starting:
        if not _shared or _shared[-1].is_broken:
            _shared[:] = [Workers(min(2 * len(os.sched_getaffinity(0)), MOST_WORKERS))]
        return _shared[-1]


def _message(content: Any) -> bytes:
    return pickle.dumps(content, pickle.HIGHEST_PROTOCOL)  # which copies arrays once less than the default


def serve(number: int) -> None:
    """Answer what comes through the connection with this file descriptor, until its other end is closed."""
    import cv2

    cv2.setNumThreads(1)
    connection = Connection(number)
    while True:
        try:
            function, arguments = pickle.loads(connection.recv_bytes())
        except (EOFError, OSError):
            return
        try:
            answer = function(*arguments)
        except Exception as error:
            answer = error
        try:
            connection.send_bytes(_message(answer))
        except OSError:
            return
