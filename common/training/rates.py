"""How fast the trainings went whose logs are here: operations a second, by paper and device."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from common.config import SCALES, presets, restored
from common.training import shipped
from common.training.runs import Run

# What the rows of a training of several parts say of the part: each has steps that take a time of their own.
PART = ("part", "network", "alternation", "iterations")


@dataclass(frozen=True)
class Rate:
    """What trainings of a paper reached on a kind of device, those of one scale: floating-point operations a second."""

    paper: str
    device: str
    scale: str
    flops: float
    logs: int

    @property
    def is_of_a_cpu(self) -> bool:
        """Return whether no accelerator computed."""
        return self.device.startswith("CPU")


def reached(config_module: Any) -> list[Rate]:
    """Return what the trainings of a paper reached, the fastest device first; of each device the best scale there is.

    That is the one with the widest networks, whose operations take least time each.
    """
    by_device: dict[str, Rate] = {}
    paper = config_module.__name__.split(".")[-2]
    for scale in reversed(SCALES[1:]):
        found: dict[str, list[tuple[float, float]]] = {}
        for name, config in presets(config_module).items():
            for seed in shipped.shipped_seeds(config, scale):
                run = Run(paper, name, scale, seed)
                about = shipped.about(run)
                seconds = steady_seconds(shipped.log(config, scale, seed))
                if about and seconds:
                    found.setdefault(_device(about), []).append((_flops(config, about, run), seconds))
        for device, logs in found.items():
            flops, seconds = (sum(values) for values in zip(*logs, strict=True))
            by_device.setdefault(device, Rate(paper, device, scale, flops / seconds, len(logs)))
    return sorted(by_device.values(), key=lambda rate: -rate.flops)


def steady_seconds(log: Sequence[Mapping[str, Any]]) -> float:
    """Return the seconds that the steps of a log take by themselves, without compiling, pauses and checkpoints.

    In each part of the training, every step counts with the mean of the middle half of the rows.
    """
    parts: dict[tuple, list[tuple[float, float]]] = {}
    step, second = 0.0, 0.0
    for row in log:
        steps, seconds = row["step"] - step, row["seconds"] - second
        step, second = row["step"], row["seconds"]
        if steps > 0:
            parts.setdefault(tuple(row.get(name) for name in PART), []).append((steps, seconds / steps))
    return sum(sum(steps for steps, _ in rows) * _middle([each for _, each in rows]) for rows in parts.values())


def _middle(values: Sequence[float]) -> float:
    cut = len(values) // 4
    return statistics.fmean(sorted(values)[cut : len(values) - cut])


def _device(about: Mapping[str, Any]) -> str:
    """Name the kind of device of a run.json; of a CPU also how many cores."""
    device, machine = about.get("device", "unknown"), about.get("machine", "")
    return f"CPU, {machine.rpartition(', ')[2]}" if device == "CPU" and "cores" in machine else device


def _flops(config: Any, about: Mapping[str, Any], run: Run) -> float:
    """Return the operations of a training by the config that it had; no paper changes that one at scale paper."""
    complexity = import_module(f"{type(config).__module__.rpartition('.')[0]}.complexity")
    own = restored(type(config), about["config"], run.shipped / "run.json")
    return complexity.training_flops(own, "paper")
