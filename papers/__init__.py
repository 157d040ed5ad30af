"""The five papers; `load` gives a trained codec of any of them."""

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

# The package `common` that lies beside this one, not another of that name in the working directory, which comes first.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
try:
    from common.config import Setting, find_preset, presets
    from common.errors import RelicError
except ImportError as error:
    other = getattr(sys.modules.get("common"), "__file__", None)
    raise ImportError(f"{other} was imported as `common` before RELIC's package of that name: rename it") from error
finally:
    del sys.path[0]


def names() -> list[str]:
    """Return the keys of the papers that are here: the folders with a config."""
    return sorted(path.parent.name for path in Path(__file__).parent.glob("*/config.py"))


def config_of(paper: str) -> ModuleType:
    """Return a paper's config module; raises RelicError that lists the papers for an unknown key."""
    if paper not in names():
        raise RelicError(f"unknown paper {paper!r}: choose one of {', '.join(names())}")
    return import_module(f"papers.{paper}.config")


def all_presets() -> dict[str, Any]:
    """Return the Config of every preset by id, e.g. `cheng_resnet/resnet4_subpixel`."""
    return {f"{paper}/{name}": value for paper in names() for name, value in presets(config_of(paper)).items()}


def split_id(model: str) -> tuple[str, str]:
    """Return (paper, preset) of an id like `cheng_resnet/resnet4_subpixel`; raises RelicError unless it is a preset."""
    paper, _, preset = model.partition("/")
    if not preset:
        raise RelicError(f"{model!r} is not a preset: write paper/preset; `relic list` shows all")
    find_preset(config_of(paper), preset)
    return paper, preset


def coding_settings(model: str) -> dict[str, Setting]:
    """Return what a preset's codec takes beside weights, by name: `CODING` of its paper's config."""
    return dict(getattr(config_of(split_id(model)[0]), "CODING", {}))


def rate_setting(model: str) -> tuple[str, Setting]:
    """Return the name of the coding setting that orders a preset's files by their size, and the setting.

    Raises RelicError where its paper has none.
    """
    for name, setting in coding_settings(model).items():
        if setting.rate:
            return name, setting
    raise RelicError(f"the codec of {model} has no setting that its rate rises or falls with: leave the target out")


def load(model: str, scale: str | None = None, seed: int | None = None, **coding: float) -> Any:
    """Return the codec of a preset, e.g. `load("cheng_resnet/resnet4_subpixel")`.

    Its weights are those of the best scale and lowest seed that are here unless given; `coding` are settings of its
    paper, e.g. `load("paka_autoencoder/autoencoder", bits=4)` or `step=1.25` of Cheng's, which only coding needs: they
    stand in the file. Raises RelicError for an unknown preset or setting, a setting out of range, and where there are
    no such weights.
    """
    paper, preset = split_id(model)
    known = coding_settings(model)
    for name, value in coding.items():
        if name not in known:
            there = f"it has {', '.join(known)}" if known else "it has none"
            raise RelicError(f"{paper} has no coding setting {name}: {there}")
        coding[name] = known[name].of_parts(known[name].check(name, value))
    return _codec_module(paper).load(preset, scale, seed, **coding)


def load_for(data: bytes) -> Any:
    """Return the codec that coded `data`, with the very weights its header names; raises RelicError if unknown."""
    from common.coding import container
    from common.training import shipped

    header, _ = container.unpack(data, allow_missing_sections=True)
    paper, _ = split_id(header.model)
    stored = shipped.of_digest(header.model, header.weights_digest)
    return _codec_module(paper).Codec(stored)


def _codec_module(paper: str) -> ModuleType:
    from common import backend

    backend.refuse_fork()
    return import_module(f"papers.{paper}.codec")
