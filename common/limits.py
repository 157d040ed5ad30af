"""How large a picture may be: what a file claims is checked against it before memory is taken for the picture."""

import os

from common.config import is_whole_number
from common.errors import RelicError

VARIABLE = "RELIC_MAX_PIXELS"
MAX_PIXELS = 80_000_000  # unless the variable says otherwise
HELP = f"Pictures of more than {MAX_PIXELS} pixels are refused; {VARIABLE}=N in the environment sets another limit."


def max_pixels() -> int:
    """Return the most pixels that a picture may have: `RELIC_MAX_PIXELS`; raises RelicError where it is no number."""
    text = os.environ.get(VARIABLE) or str(MAX_PIXELS)
    if not (is_whole_number(text) and len(text) < 20 and int(text) > 0):
        raise RelicError(f"{VARIABLE}={text!r} is not a number of pixels: set it to one above 0, or leave it unset")
    return int(text)


def check_size(height: int, width: int) -> None:
    """Raise RelicError for a picture of more pixels than `max_pixels`."""
    limit = max_pixels()
    if height * width > limit:
        raise RelicError(
            f"a picture of {height}x{width} has more than {limit} pixels: set {VARIABLE} to a higher limit, if there "
            "is memory for it"
        )
