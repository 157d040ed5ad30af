"""Numbers as documents hold them: rounded to what can be measured, and their means."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

DIGITS = 6


def plain(value: Any) -> Any:
    """Return a number as plain data: rounded, None where it is not finite (a lossless picture's PSNR)."""
    if value is None or isinstance(value, (str, int)):
        return value
    number = float(value)
    return round(number, DIGITS) if math.isfinite(number) else None


def rounded(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return a mapping with its floats rounded and everything else as it is."""
    return {key: round(float(v), DIGITS) if isinstance(v, float) else v for key, v in entry.items()}


def mean(values: Iterable[float]) -> float:
    """Return the mean of numbers, which does not depend on their order."""
    numbers = list(values)
    return math.fsum(numbers) / len(numbers)


def mean_of_known(values: Iterable[float | None]) -> float | None:
    """Return the mean of those numbers that are there, None where none is."""
    known = [value for value in values if value is not None]
    return mean(known) if known else None


def hours_in_words(hours: float) -> str:
    """Return hours with two digits, whole ones from 10 on: `0.24`, `1,250`."""
    return f"{hours:,.0f}" if hours >= 10 else f"{hours:.2g}"
