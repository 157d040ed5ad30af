"""What training the experiments at scale paper takes, at the rates of the trainings whose logs are here."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from common.files import results_dir
from common.tables.numbers import hours_in_words
from common.tables.text import Section, plain_text
from common.training import rates
from common.training.rates import Rate
from common.training.schedule import training_flops

BORROWED = "*"

Known = dict[str, dict[str, Rate]]  # by paper and device


def as_text(experiments: Mapping[str, Sequence[Any]]) -> str:
    """Return a table with a row for every experiment that trains, by name its configs, each training with one seed."""
    trained = {name: configs for name, configs in experiments.items() if configs}
    modules = {sys.modules[type(config).__module__] for configs in trained.values() for config in configs}
    known: Known = {module.__name__.split(".")[-2]: {} for module in modules}
    for module in modules:
        for rate in rates.reached(module):
            known[rate.paper][rate.device] = rate
    devices = {rate.device: rate.is_of_a_cpu for of in known.values() for rate in of.values()}
    columns = sorted(devices, key=lambda device: (devices[device], device))
    rows = [_row(name, configs, known, columns) for name, configs in trained.items()]
    every = dict.fromkeys(config for configs in trained.values() for config in configs)
    section = Section(
        "Hours of training, one seed each",
        ["experiment", "trainings", "FLOP", *columns],
        [*rows, _row("all, each training once", list(every), known, columns)],
        [*(_sources(known) or [f"No training has a log below {results_dir()}, so no rate is known."]), *_legend(rows)],
    )
    return plain_text("Training at scale paper", [section])


def _row(name: str, configs: Sequence[Any], known: Known, devices: Sequence[str]) -> list[str]:
    flops = sum(training_flops(config, "paper") for config in configs)
    return [name, str(len(configs)), f"{flops:.1e}", *(_hours(configs, known, device) for device in devices)]


def _hours(configs: Sequence[Any], known: Known, device: str) -> str:
    papers = [type(config).__module__.split(".")[-2] for config in configs]
    slowest = min(of[device].flops for of in known.values() if device in of)
    own = [known[paper][device].flops if device in known[paper] else slowest for paper in papers]
    seconds = sum(training_flops(config, "paper") / rate for config, rate in zip(configs, own, strict=True))
    hours, mark = seconds / 3600, "" if all(device in known[paper] for paper in papers) else BORROWED
    return hours_in_words(hours) + mark


def _sources(known: Known) -> list[str]:
    every = sorted((rate for of in known.values() for rate in of.values()), key=lambda rate: (rate.paper, rate.device))
    return [
        f"{rate.paper} on {rate.device}: {rate.flops:.1e} FLOP/s, from {rate.logs} log{'s' * (rate.logs != 1)} "
        f"at scale {rate.scale}."
        for rate in every
    ]


def _legend(rows: Sequence[Sequence[str]]) -> list[str]:
    is_borrowed = any(cell.endswith(BORROWED) for row in rows for cell in row)
    return (
        [f"{BORROWED} No log of this paper on that device: at the slowest rate of the others."] if is_borrowed else []
    )
