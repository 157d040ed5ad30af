"""What `relic train` and every `--train` are told of how to train, whatever is trained: one list for all of them."""

import argparse
from collections.abc import Mapping
from typing import Any

# By the name of a field of `runs.Run` whose default is None, what `add_argument` takes of the option `--name`.
OPTIONS: dict[str, dict[str, Any]] = {}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Give a command line the options of all trainings."""
    for name, settings in OPTIONS.items():
        parser.add_argument(_option(name), dest=name, **settings)


def given_options(said: object) -> dict[str, Any]:
    """Return the options, by name, that are not None in parsed arguments or a `runs.Run`."""
    values = {name: getattr(said, name) for name in OPTIONS}
    return {name: value for name, value in values.items() if value is not None}


def as_arguments(options: Mapping[str, Any]) -> list[str]:
    """Return options as the arguments of a command line."""
    return [part for name, value in options.items() for part in (_option(name), str(value))]


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"
