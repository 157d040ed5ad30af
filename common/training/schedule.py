"""What the networks of experiments still lack, and training it: in turn, so that a cut finds rows and seeds equal."""

import dataclasses
import sys
import time
from collections.abc import Iterable, Sequence
from importlib import import_module
from typing import Any

from common.config import differing_fields, preset_of
from common.errors import RelicError
from common.training import checkpoints, shipped
from common.training.options import given_options
from common.training.runs import Run

TURN = 5.0  # minutes that one training goes on for before the next one's turn
LARGE_GPU, TWO_CORES = 5e13, 1e11  # operations a second that trainings reach, for estimates


@dataclasses.dataclass(frozen=True)
class Training:
    """One preset's training with one seed: `config` is that of the scale."""

    run: Run
    config: Any
    package: str  # of the paper

    @property
    def name(self) -> str:
        """Preset, scale and seed in words."""
        return f"{self.run.paper}/{self.run.preset} at scale {self.run.scale}, seed {self.run.seed}"

    @property
    def steps(self) -> int:
        """Steps of all parts of the training."""
        return sys.modules[type(self.config).__module__].total_steps(self.config)

    @property
    def is_shipped(self) -> bool:
        """Return whether weights of this very config are there."""
        about = self.about
        there = (self.run.shipped / "weights.safetensors").is_file()
        return there and not differing_fields(about.get("config", {}), self.config)

    @property
    def about(self) -> dict[str, Any]:
        """What run.json says of the shipped weights, whatever their recipe; empty where there is none."""
        return shipped.about(self.run)

    @property
    def progress(self) -> tuple[int, float]:
        """Return the steps done and the seconds they took."""
        if self.is_shipped:
            return self.about["steps"], self.about["training_seconds"]
        kept = self._kept()
        return sum(about["step"] for about in kept), sum(about["seconds"] for about in kept)

    @property
    def is_begun(self) -> bool:
        """Return whether there is a checkpoint of this very config."""
        return bool(self._kept())

    def go_on(self, minutes: float | None = None) -> bool:
        """Train for so many minutes, from the checkpoint where it is of this config; ship it when it is finished."""
        import_module("common.backend").forget_models()
        train_preset = import_module(f"{self.package}.train").train_preset
        run, resume = self.run, self.is_begun
        clock = {"minutes": minutes, "resume": resume, "restart": not resume}
        return train_preset(run.preset, run.scale, run.seed, **clock, **given_options(run))

    def _kept(self) -> list[dict[str, Any]]:
        """Return what the checkpoints say of themselves, where all are of this config.

        A part of a training has its own steps and rate.
        """
        paths = sorted(self.run.checkpoint.parent.glob("checkpoint*.npz"))
        kept = [checkpoints.checkpoint_about(path) for path in paths]
        own = set() if paths == [self.run.checkpoint] else {"steps", "learning_rate", "phases"}
        differing = (set(differing_fields(about["config"], self.config)) - own for about in kept)
        return [] if any(differing) else kept


def trainings(configs: Iterable[Any], scale: str, seeds: Sequence[int], **options: Any) -> list[Training]:
    """Return the trainings of presets at a scale, all presets of the first seed before those of the second.

    options: how to train, as in `common.training.options`.
    """
    wanted = []
    for seed in seeds:
        for config in dict.fromkeys(configs):
            package = type(config).__module__.rpartition(".")[0]
            at_scale = sys.modules[type(config).__module__].at_scale
            wanted.append(Training(Run(*preset_of(config), scale, seed, **options), at_scale(config, scale), package))
    return wanted


def next_of(wanted: Sequence[Training], busy: Sequence[Training] = ()) -> Training | None:
    """Return the training with the least share of its steps done, None where all are shipped or busy."""
    lacking = [training for training in wanted if training not in busy and not training.is_shipped]
    return min(lacking, key=lambda training: training.progress[0] / training.steps, default=None)


def complete(wanted: Sequence[Training], minutes: float | None = None, turn: float = TURN) -> list[Training]:
    """Train what is not shipped, always the one with the least share of its steps done; return what is left.

    Each goes on for `turn` minutes at a time and is shipped as it ends. Ends after `minutes`, where they are given.
    """
    started = time.monotonic()
    while least := next_of(wanted):
        lacking = [training for training in wanted if not training.is_shipped]
        left = None if minutes is None else minutes - (time.monotonic() - started) / 60
        if left is not None and left <= 0:
            return lacking
        alone = None if len(lacking) == 1 else turn
        print(f"training {least.name}: from step {least.progress[0]} of {least.steps}", file=sys.stderr, flush=True)
        least.go_on(min(value for value in (left, alone, 1e9) if value is not None))
    return []


def require_weights(configs: Iterable[Any], scale: str, command: str) -> None:
    """Raise RelicError that says what is missing, and how long it takes, where no preset has weights at a scale."""
    presets = {preset_of(config): config for config in configs}
    if any(shipped.shipped_seeds(config, scale) for config in presets.values()):
        return
    flops = sum(_complexity(config).training_flops(config, scale) for config in presets.values())
    paper, names = next(iter(presets))[0], ", ".join(preset for _, preset in presets)
    raise RelicError(
        f"no weights at scale {scale} of {paper} for {names}: `{command}` trains them, {flops:.1e} FLOP, "
        f"about {_hours(flops / LARGE_GPU)} on a large GPU or {_hours(flops / TWO_CORES)} on two CPU cores"
    )


def _complexity(config: Any) -> Any:
    return import_module(f"{type(config).__module__.rpartition('.')[0]}.complexity")


def _hours(seconds: float) -> str:
    if seconds < 90:
        return "a minute"
    if seconds < 5400:
        return f"{round(seconds / 60)} minutes"
    return f"{seconds / 3600:,.0f} hours" if seconds < 48 * 3600 else f"{seconds / 86400:,.0f} days"
