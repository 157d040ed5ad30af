"""What trainings still take, said before anything is trained: steps, hours on this device, memory, disk, data sets."""

import os
import sys
from collections.abc import Hashable, Iterator, Mapping, Sequence
from importlib import import_module

from common import limits
from common.config import find_preset
from common.data import catalogue, is_here
from common.errors import RelicError
from common.files import in_words
from common.tables.numbers import hours_in_words
from common.tables.text import Section, plain_text
from common.training import data_sets, timing
from common.training.options import given_options
from common.training.schedule import Training, training_flops
from common.training.timing import Loop, Timed

TITLE = "The plan: nothing is trained and nothing is written"
HEADINGS = ["preset", "scale", "seed", "state", "steps left", "FLOP left", "hours left", "seconds a step (steps timed)"]


def texts(wanted: Sequence[Training]) -> Iterator[str]:
    """Yield the plan of all trainings: their data sets at once, then what they take, timed by a few steps of each kind.

    Raises RelicError where they are to share several devices: one is timed.
    """
    wanted = list(dict.fromkeys(wanted))
    if any("devices" in given_options(training.run) for training in wanted):
        raise RelicError("the plan times one device: leave --devices out")
    yield plain_text(TITLE, [_sets(wanted)])
    yield plain_text("", [_trainings(wanted)]).removeprefix("\n")


def _trainings(wanted: Sequence[Training]) -> Section:
    """Return the section on what trainings take, after timing a few steps of each kind that is left."""
    left = [training for training in wanted if not training.is_shipped]
    loops = {training: _loops(training) for training in left}
    taken = _timed(loops)
    seconds = {like: each.seconds for like, each in taken.items()}
    hours = {of: timing.seconds_left(loops[of], seconds, of.progress[0]) / 3600 for of in left}
    rows = [_row(training, hours.get(training, 0.0), loops.get(training, []), taken) for training in wanted]
    steps, flops = (sum(of(training) for training in wanted) for of in (_steps_left, _flops_left))
    sums = [f"{steps:,}", f"{flops:.1e}", hours_in_words(sum(hours.values())), ""]
    total = ["all", "", "", f"{len(left)} of {len(wanted)} left", *sums]
    measured = _measured(left, taken, loops) if left else ["All are shipped: nothing is left to train."]
    return Section("Trainings", HEADINGS, [*rows, total], measured)


def _loops(training: Training) -> list[Loop]:
    """Return the loops of a training; its paper's train module starts the stack."""
    train = import_module(f"{training.package}.train")
    return train.loops(training.config, given_options(training.run).get("precision"))


def _timed(loops: Mapping[Training, Sequence[Loop]]) -> dict[Hashable, Timed]:
    """Time each kind of step once, and say on stderr which, as it may take minutes."""
    kinds: dict[Hashable, tuple[str, Loop]] = {}
    for training, of in loops.items():
        for one in of:
            kinds.setdefault(one.like, (training.run.preset, one))
    taken = {}
    for number, (like, (preset, one)) in enumerate(kinds.items(), 1):
        print(f"timing steps of {preset}, kind {number} of {len(kinds)}", file=sys.stderr, flush=True)
        taken[like] = timing.timed(one)
    return taken


def _row(training: Training, hours: float, loops: Sequence[Loop], taken: dict[Hashable, Timed]) -> list[str]:
    run, done = training.run, training.progress[0]
    state = f"step {done:,} of {training.steps:,}" if done else "not begun"
    kinds = dict.fromkeys(one.like for one in loops)
    times = ", ".join(f"{taken[like].seconds:.3g} ({taken[like].steps})" for like in kinds)
    return [
        f"{run.paper}/{run.preset}",
        run.scale,
        str(run.seed),
        "shipped" if training.is_shipped else state,
        f"{_steps_left(training):,}",
        f"{_flops_left(training):.1e}",
        hours_in_words(hours),
        times or "-",
    ]


def _steps_left(training: Training) -> int:
    return 0 if training.is_shipped else training.steps - training.progress[0]


def _flops_left(training: Training) -> float:
    preset = find_preset(sys.modules[type(training.config).__module__], training.run.preset)
    return training_flops(preset, training.run.scale) * _steps_left(training) / training.steps


# --- what they need ------------------------------------------------------------------------------------------------


def _measured(left: Sequence[Training], taken: dict[Hashable, Timed], loops: dict[Training, list[Loop]]) -> list[str]:
    """Return sentences on time, memory and disk of the trainings that are left."""
    from common import backend

    precision = given_options(left[0].run).get("precision") or backend.fast_precision()
    device, on_device, cores = backend.device(), backend.device_memory_peak(), len(os.sched_getaffinity(0))
    where = f"{device}, {cores} cores" if device == "CPU" else device
    is_busy = os.getloadavg()[0] > 2 * cores  # one training keeps all cores busy by itself
    busy = " Other programs keep the processors busy now: left to itself a training takes less." if is_busy else ""
    beside = f" and {in_words(on_device)} of the device's memory" if on_device else ""
    checkpoints = [sum(taken[one.like].checkpoint for one in loops[training]) for training in left]
    written = max(taken[one.like].checkpoint for training in left for one in loops[training])
    weights = sum(taken[loops[training][-1].like].weights for training in left)
    return [
        f"Hours: measured with stack {backend.STACK}, backend {backend.BACKEND}, precision {precision}, device "
        f"{where}, one training at a time, by steps after the first, with drawn pictures. Compiling, reading "
        f"pictures and validation come on top.{busy}",
        f"Memory: {in_words(timing.peak_memory())}{beside}, measured, the most that this process took to time them; "
        f"beside it the decoded pictures of the data sets, at most {in_words(limits.data_memory())}, or the processes "
        "that decode those of larger ones.",
        f"Disk: {in_words(sum(checkpoints) + written)} of checkpoints, the largest twice while it is written, and "
        f"{in_words(weights)} of weights, computed from the networks that were timed.",
    ]


def _sets(wanted: Sequence[Training]) -> Section:
    """Return the section on the data sets that all of the trainings read."""
    here = {name: is_here(name) for name in data_sets.names(wanted)}
    keys = {name: catalogue.key_of(name) for name in here}
    sizes = {key: catalogue.SETS[key].size for key in keys.values() if key}
    rows = [
        [name, "found" if found else "not found", in_words(sizes[keys[name]]) if sizes.get(keys[name]) else "-"]
        for name, found in here.items()
    ]
    lacking = {keys[name] for name, found in here.items() if not found}
    room = sum(size for key, size in sizes.items() if key in lacking)
    needed = [f"Those that are not here take {in_words(room)} on the disk, beside their archives."] if room else []
    hows = [f"{name}: {catalogue.how_to_get(name)}." for name, found in here.items() if not found]
    return Section("Data sets", ["name", "here", "on disk, with all parts"], rows, [*needed, *hows])
