"""How large a picture and a training set in memory may be: checked against what files claim before memory is taken."""

import os

from common.config import is_whole_number
from common.errors import RelicError

VARIABLE = "RELIC_MAX_PIXELS"
MAX_PIXELS = 80_000_000  # unless the variable says otherwise
HELP = f"Pictures of more than {MAX_PIXELS} pixels are refused; {VARIABLE}=N in the environment sets another limit."


DATA_VARIABLE = "RELIC_DATA_MEMORY"
DATA_MEMORY = 1024  # MiB, unless the variable says otherwise


def max_pixels() -> int:
    """Return the most pixels that a picture may have: `RELIC_MAX_PIXELS`; raises RelicError where it is no number."""
    return _number(VARIABLE, MAX_PIXELS, "pixels")


def data_memory() -> int:
    """Return the most bytes that decoded training sets may take together: `RELIC_DATA_MEMORY`, in MiB.

    Larger ones are decoded as training meets their pictures. Raises RelicError where it is no number.
    """
    return _number(DATA_VARIABLE, DATA_MEMORY, "MiB") << 20


def _number(variable: str, otherwise: int, unit: str) -> int:
    text = os.environ.get(variable) or str(otherwise)
    if not (is_whole_number(text) and len(text) < 20 and int(text) > 0):
        raise RelicError(f"{variable}={text!r} is not a number of {unit}: set it to one above 0, or leave it unset")
    return int(text)


def check_size(height: int, width: int) -> None:
    """Raise RelicError for a picture of more pixels than `max_pixels`."""
    limit = max_pixels()
    if height * width > limit:
        raise RelicError(
            f"a picture of {height}x{width} has more than {limit} pixels: set {VARIABLE} to a higher limit, if there "
            "is memory for it"
        )
