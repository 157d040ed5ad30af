"""What the command lines share: errors of one line, and how numbers are read."""

import argparse
import math
import sys
from collections.abc import Callable
from typing import NoReturn

from common.config import is_whole_number
from common.errors import RelicError


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        raise RelicError(f"{message} (see {self.prog} --help)")


def parser_of_module(description: str = "") -> Parser:
    """Return a parser for the running module, described by its docstring, else by `description`."""
    module = sys.modules["__main__"]
    spec = getattr(module, "__spec__", None)
    return Parser(
        prog=f"python -m {spec.name}" if spec else None,
        description=module.__doc__ or description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def at_least(least: int) -> Callable[[str], int]:
    """Return a conversion of an argument to a whole number of at least `least`."""

    def convert(text: str) -> int:
        if not is_whole_number(text) or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least {least}")
        return int(text)

    return convert


def seed(text: str) -> int:
    """Return a seed, 0 to 2^32 - 1; raises ArgumentTypeError for anything else."""
    if not is_whole_number(text) or int(text) >= 2**32:
        raise argparse.ArgumentTypeError(f"{text!r} is not a seed: give a whole number from 0 to {2**32 - 1}")
    return int(text)


def devices(text: str) -> str:
    """Return a number of devices of at least 1, or `all`; raises ArgumentTypeError for anything else."""
    if text != "all" and (not is_whole_number(text) or int(text) < 1):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of devices: give 1 or more, or all")
    return text


def minutes(text: str) -> float:
    """Return a number of minutes above 0; raises ArgumentTypeError for anything else."""
    return _above_zero(text, "minutes")


def bits(text: str) -> float:
    """Return a number of bits per pixel above 0; raises ArgumentTypeError for anything else."""
    return _above_zero(text, "bits per pixel")


def _above_zero(text: str, unit: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of {unit} above 0")
    return number
