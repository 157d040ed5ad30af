"""How many patches a second training gets of a set, and how much memory that takes."""

import math
import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from common.data.patches import TrainingPatches
from common.data.training_pictures import HeldPictures
from common.errors import RelicError

BATCH, AHEAD = 16, 4  # patches of a step, and steps that are under way at once, as in training


@dataclass(frozen=True)
class Speed:
    """What was measured: MiB are the most that this process and each worker had resident, shared memory in each."""

    pictures: int
    in_memory: bool
    start_seconds: float
    patches_per_second: float
    processor_seconds_per_patch: float
    mib: float
    mib_of_workers: tuple[float, ...]


def measured(name: str, patch_size: int, seconds: float) -> Speed:
    """Return how fast patches of a training set come for so many seconds.

    Raises RelicError as TrainingPatches does, and where nothing can be measured.
    """
    if patch_size < 1 or not 0 < seconds < math.inf:
        raise RelicError(
            f"patches of {patch_size}x{patch_size} in {seconds} s cannot be timed: give more than 0 of both"
        )
    start = time.monotonic()
    patches = TrainingPatches([name], patch_size, 0, augment=True)
    in_memory = isinstance(patches.pictures, HeldPictures)
    patches.batch(0, BATCH)  # the processes start
    started = time.monotonic()
    workers = [process.pid for process in patches.pictures.processes]
    before = _processor_seconds(workers)
    taken = _taken(patches, seconds)
    busy, elapsed = _processor_seconds(workers) - before, time.monotonic() - started
    memory = [_peak_mib(process) for process in (os.getpid(), *workers)]
    return Speed(
        len(patches.pictures), in_memory, started - start, taken / elapsed, busy / taken, memory[0], tuple(memory[1:])
    )


def _taken(patches: TrainingPatches, seconds: float) -> int:
    """Return how many patches came within so many seconds."""
    start, steps = time.monotonic(), count(1)

    def take() -> int:
        taken = len(patches.batch(next(steps), BATCH))
        while time.monotonic() - start < seconds:
            taken += len(patches.batch(next(steps), BATCH))
        return taken

    with ThreadPoolExecutor(AHEAD) as pool:
        takers = [pool.submit(take) for _ in range(AHEAD)]
        return sum(taker.result() for taker in takers)


def _processor_seconds(workers: list[int]) -> float:
    """Return the processor time that this process and others have taken so far."""
    ticks = 0
    for process in workers:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])  # of the user and of the system
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")


def _peak_mib(process: int) -> float:
    """Return the most memory that a process had resident, in MiB."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def report(name: str, patch_size: int, seconds: float) -> None:
    """Print what `measured` returns."""
    found = measured(name, patch_size, seconds)
    decoded = f"decoded in {len(found.mib_of_workers)} processes" if found.mib_of_workers else "read from the disk"
    where = "in memory" if found.in_memory else decoded
    print(f"{name}: {found.pictures:,} pictures, {where}; started in {found.start_seconds:.1f} s")
    processors = len(os.sched_getaffinity(0))
    print(f"{found.patches_per_second:.0f} patches of {patch_size}x{patch_size} a second on {processors} processors,")
    print(f"{1000 * found.processor_seconds_per_patch:.2f} ms of a processor for each")
    print(" + ".join(f"{mib:.0f}" for mib in (found.mib, *found.mib_of_workers)) + " MiB of memory at most")
