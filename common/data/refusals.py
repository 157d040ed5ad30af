"""What a picture file is refused for, each a sentence that `decode_image` begins with the file's name."""

from common import limits
from common.errors import RelicError


def check_size(height: int, width: int) -> None:
    """Raise RelicError for more than `limits.max_pixels()` pixels, ValueError for none."""
    if height * width > limits.max_pixels():
        raise too_large()
    if height * width == 0:
        raise ValueError(f"a picture of {height}x{width} has no pixels")


def too_large() -> RelicError:
    """Return the refusal of more than `limits.max_pixels()` pixels."""
    limit = limits.max_pixels()
    return RelicError(f"it has more than {limit} pixels; crop or scale it first, or set {limits.VARIABLE}")


def other_samples(kind: str) -> RelicError:
    """Return the refusal of samples of a kind, such as 16-bit, that unsigned 8 bits cannot hold."""
    return RelicError(f"its samples are {kind}; convert them to unsigned 8 bits first")


def several_pictures() -> RelicError:
    """Return the refusal of a file with several pictures."""
    return RelicError("it holds several pictures; save the one you mean alone")


def transparent_pixels() -> RelicError:
    """Return the refusal of transparency."""
    return RelicError("it has transparent pixels; flatten it on a background first")
