"""What a picture file is refused for, each a sentence that `decode_image` begins with the file's name."""

from common.errors import RelicError

MAX_PIXELS = 80_000_000


def check_size(height: int, width: int) -> None:
    """Raise RelicError for more than MAX_PIXELS pixels, ValueError for none."""
    if height * width > MAX_PIXELS:
        raise too_large()
    if height * width == 0:
        raise ValueError(f"a picture of {height}x{width} has no pixels")


def too_large() -> RelicError:
    """Return the refusal of more than MAX_PIXELS pixels."""
    return RelicError(f"it has more than {MAX_PIXELS} pixels; crop or scale it first")


def other_samples(kind: str) -> RelicError:
    """Return the refusal of samples of a kind, such as 16-bit, that unsigned 8 bits cannot hold."""
    return RelicError(f"its samples are {kind}; convert them to unsigned 8 bits first")


def several_pictures() -> RelicError:
    """Return the refusal of a file with several pictures."""
    return RelicError("it holds several pictures; save the one you mean alone")


def transparent_pixels() -> RelicError:
    """Return the refusal of transparency."""
    return RelicError("it has transparent pixels; flatten it on a background first")
