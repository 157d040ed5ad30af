"""The networks of a table: which seeds of a preset have weights, what made them, and how to get what is missing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from common.config import preset_of
from common.errors import RelicError
from common.tables.command import Options
from common.tables.document import Reproduction
from common.training import shipped
from common.training.runs import Run
from common.training.shipped import SHOWN_DIGITS, shipped_seeds

# Of run.json, what a table says of a training.
MADE_BY = ("steps", "training_seconds", "stack", "backend", "precision", "device")


@dataclass(frozen=True)
class Networks:
    """What a table says of presets, by row: `seeds` to measure, `made_by` of those with any, `missing` of others."""

    seeds: dict[str, list[int]]
    made_by: dict[str, dict[str, Any]]
    missing: dict[str, str]


def networks_of(configs: Mapping[str, Any], scale: str, asked: Sequence[int] | None = None) -> Networks:
    """Return what is known of presets, by the names that their configs have; seeds as in `seeds_of`."""
    seeds = {row: seeds_of(config, scale, asked) for row, config in configs.items()}
    made = {row: made_by(configs[row], scale, of) for row, of in seeds.items() if of}
    return Networks(seeds, made, {row: how_to_train(configs[row], scale) for row, of in seeds.items() if not of})


def begun(
    options: Options, config: Any, test_set: dict[str, Any], note: str, name: str = ""
) -> tuple[Reproduction, Any]:
    """Return a reproduction that knows its pictures and its one network, and that network's codec.

    Without weights the codec is None, and the reproduction says for every row how to train it. `name` is the network's
    in the provenance, by default its preset's. Raises RelicError where several seeds are asked for.
    """
    codec, made = one_codec(config, options)
    reproduction = Reproduction(notes=[note] if note else [])
    reproduction.provenance = {"test_set": test_set, "networks": {name or preset_of(config)[1]: made} if made else {}}
    if codec is None:
        reproduction.missing = {row: how_to_train(config, options.scale) for row in options.rows}
    return reproduction, codec


def one_codec(config: Any, options: Options) -> tuple[Any, dict[str, Any]]:
    """Return a preset's codec of the first seed and what made it, (None, {}) where there are no weights at the scale.

    Raises RelicError where several seeds are asked for.
    """
    if options.seeds is not None and len(options.seeds) > 1:
        raise RelicError("this experiment measures one training: name one of the seeds")
    seeds = seeds_of(config, options.scale, options.seeds)[:1]
    return (codec_of(config, options.scale, seeds[0]), made_by(config, options.scale, seeds)) if seeds else (None, {})


def codec_of(config: Any, scale: str, seed: int) -> Any:
    """Return the codec of a preset's weights."""
    return _module("codec", config).load(preset_of(config)[1], scale, seed)


def seeds_of(config: Any, scale: str, asked: Sequence[int] | None = None) -> list[int]:
    """Return the seeds to measure: those asked for, else all that have weights; RelicError for one without.

    Only scale smoke trains what is missing.
    """
    there = shipped_seeds(config, scale)
    if scale == "smoke":
        wanted = list(asked or there or [0])
        for seed in (seed for seed in wanted if seed not in there):
            # What an interrupted smoke training left behind is worth nothing.
            _module("train", config).train_preset(preset_of(config)[1], scale, seed, restart=True)
        return wanted
    missing = [seed for seed in asked or () if seed not in there]
    if missing and there:
        names = ", ".join(map(str, there))
        preset = "/".join(preset_of(config))
        raise RelicError(f"{preset}, scale {scale}, has no seed {missing[0]}: --seeds may be {names}")
    return [seed for seed in there if asked is None or seed in asked]


def how_to_train(config: Any, scale: str) -> str:
    """Say which command makes the weights of a preset that are missing, and how many operations it takes."""
    preset, flops = "/".join(preset_of(config)), _module("complexity", config).training_flops(config, scale)
    return f"No weights at scale {scale}: `relic train {preset} --scale {scale}` trains them ({flops:.1e} FLOP)."


def made_by(config: Any, scale: str, seeds: Sequence[int]) -> dict[str, Any]:
    """Return what a table says of a preset's networks, from their run.json."""
    paper, preset = preset_of(config)
    about = [shipped.about(Run(paper, preset, scale, seed)) for seed in seeds]
    known: dict[str, Any] = {"preset": f"{paper}/{preset}", "seeds": ", ".join(map(str, seeds))}
    columns = {"width": [a.get("config", {}).get("num_filters") for a in about]}
    columns.update({key: [a.get(key) for a in about] for key in MADE_BY})
    columns["weights"] = [a.get("weights_sha256", "")[:SHOWN_DIGITS] or None for a in about]
    for key, values in columns.items():
        shown = list(dict.fromkeys(str(value) for value in values if value is not None))
        if shown:
            known[key.replace("_", " ")] = " and ".join(shown)
    return known


def _module(name: str, config: Any) -> Any:
    """Return a module of the paper that a config belongs to: codec, train or complexity."""
    return import_module(f"{type(config).__module__.rpartition('.')[0]}.{name}")
