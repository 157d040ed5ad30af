"""Configurations: fields that say where their value comes from, the scales, the presets of a paper, and its curves."""

import dataclasses
import json
import math
import numbers
import sys
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

from common.errors import RelicError

SCALES = ("smoke", "small", "medium", "paper")


def is_whole_number(text: str) -> bool:
    """Return whether a text has the digits 0 to 9 alone: `str.isdigit` takes superscripts too, which `int` refuses."""
    return text.isascii() and text.isdigit()


def integer(value: Any) -> int | None:
    """Return a whole number of Python or NumPy as an int; None for anything else, also for 4.0 and True."""
    return int(value) if isinstance(value, numbers.Integral) and not isinstance(value, bool) else None


@dataclasses.dataclass(frozen=True)
class Setting:
    """A number that a codec takes beside its weights; `CODING` of a config names them.

    Whole, or a multiple of 1 / `parts`. rate: 1 where files grow with the number, -1 where they shrink, 0 where it does
    not order them: `relic compress` looks for a rate or a quality by a setting that does. of_preset: whether each
    preset has a default of its own, and not this one.
    """

    default: int
    smallest: int
    largest: int
    help: str
    parts: int = 1
    rate: int = 0
    of_preset: bool = False

    @property
    def default_text(self) -> str:
        """What a codec takes that is given nothing."""
        return "the preset's" if self.of_preset else str(self.default)

    def of_parts(self, number: int) -> float:
        """Return the value that so many parts are: an int where it is whole, or one part is."""
        return number if self.parts == 1 else number // self.parts if number % self.parts == 0 else number / self.parts

    def check(self, name: str, value: float) -> int:
        """Return `value` as a number of parts; RelicError that names the setting and its range for anything else."""
        is_number = isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)
        number = integer(value) if self.parts == 1 or not is_number else round(value * self.parts)
        if number is None or number / self.parts != value or not self.smallest <= value <= self.largest:
            kind = "a whole number" if self.parts == 1 else f"a multiple of 1/{self.parts}"
            raise RelicError(f"{name} {value} is not from {self.smallest} to {self.largest}, {kind}")
        return number


@dataclasses.dataclass(frozen=True)
class PlannedCurve:
    """Quality over rate of one paper's codec: presets with their coding settings, `CURVES` of a config.

    pictures: stems of the Kodak pictures that none of its networks was trained on; None where that is all of them.
    """

    label: str
    points: Sequence[tuple[str, Mapping[str, int]]]
    pictures: Sequence[str] | None = None


def sourced(value: Any, where: str, recipe: bool = False) -> Any:
    """Declare a dataclass field whose default the paper states, with the place that states it; see `assumed`."""
    return dataclasses.field(default=value, metadata={"status": "sourced", "source": where, "recipe": recipe})


def assumed(value: Any, why: str, recipe: bool = False) -> Any:
    """Declare a dataclass field whose default the paper does not state, with the reason for the choice.

    recipe: whether the field says only how the network is trained, so that weights of another value still are those
    of the preset.
    """
    return dataclasses.field(default=value, metadata={"status": "assumed", "source": why, "recipe": recipe})


def differing_fields(saved: Mapping[str, Any], config: Any, recipe: bool | None = None) -> list[str]:
    """Return the names of the fields that json kept of a config and that are not those of `config`, sorted.

    A field that the json does not know has its default; one that the config does not know differs. recipe: only fields
    of the recipe (True), only others (False), or all (None).
    """
    kept = {field.name: field for field in dataclasses.fields(config)}
    ours = json.loads(json.dumps(dataclasses.asdict(config)))
    defaults = {name: json.loads(json.dumps(field.default)) for name, field in kept.items()}
    differing = [name for name in kept if saved.get(name, defaults[name]) != ours[name]]
    differing += set(saved) - set(kept)
    wanted = [n for n in differing if recipe is None or recipe == bool(n in kept and kept[n].metadata.get("recipe"))]
    return sorted(wanted)


def describe(config: Any) -> list[dict[str, Any]]:
    """List a config's fields as `{name, value, default, status, source}`, in order of declaration."""
    return [
        {
            "name": field.name,
            "value": getattr(config, field.name),
            "default": field.default,
            "status": field.metadata.get("status", ""),
            "source": field.metadata.get("source", ""),
        }
        for field in dataclasses.fields(config)
    ]


def presets(module: ModuleType) -> dict[str, Any]:
    """Return the presets of a paper's config module: its upper-case `Config` constants by lower-cased name."""
    return {
        name.lower(): value
        for name, value in vars(module).items()
        if name.isupper() and not name.startswith("_") and isinstance(value, module.Config)
    }


def preset_of(config: Any) -> tuple[str, str]:
    """Return paper and preset of a config, e.g. `("cheng_resnet", "resnet4_subpixel")`."""
    module = sys.modules[type(config).__module__]
    for name, value in presets(module).items():
        if value == config:
            return module.__name__.split(".")[-2], name
    raise ValueError(f"{module.__name__} has no constant for {config}")


def find_preset(module: ModuleType, name: str) -> Any:
    """Return a preset's Config; raise RelicError that lists the paper's presets for an unknown name."""
    known = presets(module)
    if name not in known:
        paper = module.__name__.split(".")[-2]
        raise RelicError(f"unknown preset {paper}/{name}: choose one of {', '.join(known)}")
    return known[name]


def restored(kind: Any, fields: Mapping[str, Any], where: object) -> Any:
    """Return the Config `kind` of fields that json has kept; those it does not know are left out.

    Raises RelicError that says `where` for one whose value has another type than its default.
    """
    kept = {name: _tuple(value) for name, value in fields.items()}
    known = {field.name: field.default for field in dataclasses.fields(kind) if field.name in kept}
    for name, default in known.items():
        if not _is_like(kept[name], default):
            raise RelicError(f"{where} has a wrong config ({name} is {kept[name]!r}): restore the file")
    return kind(**{name: kept[name] for name in known})


def _is_like(value: Any, default: Any) -> bool:
    """Return whether a value has the type of a field's default; a whole number is a float too, a bool no number."""
    kinds = (int, float) if isinstance(default, float) else type(default)
    return isinstance(value, kinds) and isinstance(value, bool) == isinstance(default, bool)


def _tuple(value: Any) -> Any:
    return tuple(map(_tuple, value)) if isinstance(value, list) else value


def check_scale(scale: str) -> str:
    """Return `scale` if it is one of `SCALES`; raise RelicError naming them otherwise."""
    if scale not in SCALES:
        raise RelicError(f"unknown scale {scale!r}: choose one of {', '.join(SCALES)}")
    return scale
