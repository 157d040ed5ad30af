"""One way to get a number: a codec turns a picture into bytes and back, bytes are counted and uint8 is compared."""

import dataclasses
import time
from typing import Protocol

import numpy as np

from common import metrics
from common.errors import RelicError


class Codec(Protocol):
    """What every codec can do: pictures are uint8 HxWx3 or HxW of any size from 1x1."""

    def compress(self, image: np.ndarray) -> bytes:
        """Return the file of a uint8 picture."""

    def decompress(self, data: bytes) -> np.ndarray:
        """Return the uint8 picture, of the original shape, from its file alone."""


@dataclasses.dataclass(frozen=True)
class Measurement:
    """What coding one picture cost and gave.

    `bpp` counts the whole file over the picture's pixels, `payload_bpp` the file without its header; `psnr` is in dB,
    `ms_ssim` from 0 to 1 and None where a side is below 161 pixels; times are wall-clock seconds.
    """

    name: str
    height: int
    width: int
    num_bytes: int
    payload_bytes: int
    bpp: float
    payload_bpp: float
    psnr: float
    ms_ssim: float | None
    encoding_time: float
    decoding_time: float


def measure(codec: Codec, image: np.ndarray, name: str) -> Measurement:
    """Code one uint8 picture HxWx3 or HxW to bytes and back, and return what it cost and gave.

    Raises RelicError where the codec does not return bytes, or from them a uint8 picture of the same shape.
    """
    metrics.check_picture(image)
    start = time.perf_counter()
    data = codec.compress(image)
    encoded = time.perf_counter()
    if not isinstance(data, bytes):
        raise RelicError(f"{name}: compress returned {type(data).__name__}, it must return bytes")
    start_decoding = time.perf_counter()
    decoded = codec.decompress(data)
    end = time.perf_counter()
    _check_decoded(image, decoded, name)
    height, width = image.shape[:2]
    payload_bytes = payload_size(data)
    return Measurement(
        name=name,
        height=height,
        width=width,
        num_bytes=len(data),
        payload_bytes=payload_bytes,
        bpp=metrics.bits_per_pixel(len(data), height, width),
        payload_bpp=metrics.bits_per_pixel(payload_bytes, height, width),
        psnr=metrics.psnr(image, decoded),
        ms_ssim=metrics.ms_ssim(image, decoded) if min(height, width) >= metrics.MS_SSIM_SMALLEST else None,
        encoding_time=encoded - start,
        decoding_time=end - start_decoding,
    )


def _check_decoded(image: np.ndarray, decoded: np.ndarray, name: str) -> None:
    metrics.check_picture(decoded)
    if decoded.shape != image.shape:
        raise RelicError(f"{name}: a picture of shape {image.shape} was decompressed to {decoded.shape}")


def payload_size(data: bytes) -> int:
    """Return the bytes of a file without the header of this project's format; all bytes of any other format."""
    from common.coding import container

    return container.payload_size(data) if data[:4] == container.MAGIC else len(data)
