"""The colour profiles (ICC) of picture files: samples stay as they are, but what their colours mean is kept."""

import io
import zlib

import numpy as np
from PIL import Image

from common.coding.container import MAX_PROFILE_LENGTH
from common.data import png_files
from common.data.pictures import without_warnings

LEVELS = np.arange(0, 256, 17, dtype=np.uint8)
SRGB_DIFFERENCE = 2  # levels: what differs less is one of the many profiles that are meant to be sRGB


def profile_to_keep(data: bytes, image: np.ndarray) -> bytes | None:
    """Return the ICC profile of a picture file whose uint8 picture is `image`, None where there is none to keep.

    A picture without a profile is taken as sRGB, so a profile that is sRGB is not kept; nor is one for other colours
    than the picture's, RGB or grey, one above MAX_PROFILE_LENGTH bytes, or one that is damaged.
    """
    profile = _profile(data)
    if not profile or len(profile) > MAX_PROFILE_LENGTH or not fits(profile, image):
        return None
    return profile if _differs_from_srgb(profile, image.ndim == 2) else None


def fits(profile: bytes, image: np.ndarray) -> bool:
    """Return whether an ICC profile is one for the colours of a picture, (height, width, 3) RGB or (height, width)."""
    from PIL import ImageCms  # only now: most pictures have no profile

    try:
        colours = ImageCms.ImageCmsProfile(io.BytesIO(profile)).profile.xcolor_space
    except OSError:
        return False
    return colours.strip() == ("GRAY" if image.ndim == 2 else "RGB")


def _profile(data: bytes) -> bytes | None:
    if not data.startswith(png_files.SIGNATURE):
        with without_warnings(), Image.open(io.BytesIO(data)) as image:
            return image.info.get("icc_profile")
    _, _, compressed = png_files.contents(data).get(b"iCCP", b"").partition(b"\0")  # after the profile's name
    try:
        return zlib.decompressobj().decompress(compressed[1:], MAX_PROFILE_LENGTH + 1)  # after the method's number
    except zlib.error:
        return None


def _differs_from_srgb(profile: bytes, is_grey: bool) -> bool:
    """Return whether a profile gives colours another meaning than sRGB; its name does not tell."""
    from PIL import ImageCms

    axes = [LEVELS] * (1 if is_grey else 3)
    samples = np.stack(np.meshgrid(*axes), axis=-1).reshape(len(LEVELS), -1, len(axes))
    image = Image.fromarray(samples[..., 0] if is_grey else samples)
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    try:
        turned = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except ImageCms.PyCMSError:  # it fits, but cannot be applied
        return False
    return bool(np.abs(np.asarray(turned).astype(int) - samples).max() > SRGB_DIFFERENCE)
