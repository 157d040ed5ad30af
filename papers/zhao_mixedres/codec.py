"""The codec of Zhao et al., Section 2: FDNN's representation as a file of a standard codec, decoded and given to PPNN.

The networks are grey, as the paper's. Of a colour picture they code the luma (BT.601, full range, as JPEG's); its
chroma goes through the same standard codec without them, both planes in one grey picture, scaled to half the sides of
the representation as JPEG's 4:2:0 does. Sections of a file: the representation, then the chroma of a colour picture.
"""

import contextlib
import copy
from typing import Any, NamedTuple

import cv2
import numpy as np

from common import backend
from common.coding import container
from common.coding.container import ContainerError
from common.config import restored
from common.data import pictures
from common.data.pictures import to_uint8
from common.errors import RelicError
from common.metrics import check_picture
from common.tiling import apply_by_strips
from common.training import checkpoints, shipped, weights
from papers.zhao_mixedres import config
from papers.zhao_mixedres.config import Config
from papers.zhao_mixedres.learning import Networks
from papers.zhao_mixedres.standard_codec import shortest_file, standard_codec

STRIP_PIXELS = 2**19  # a picture goes through a network in strips of about so many pixels, for memory's sake
HALO = 16  # rows of the representation around a strip: the layers of a network see 14 of them at most


class Latents(NamedTuple):
    """What a picture is to the standard codec, whatever its quality."""

    planes: list[np.ndarray]  # uint8: the representation, then the chroma of a colour picture
    height: int  # of the picture
    width: int


class Codec:
    """One trained pair of FDNN and PPNN. Deterministic on one machine and stack; decodes files of every setting."""

    def __init__(self, stored: weights.Weights) -> None:
        """Build the networks of a weights file; raises RelicError if names or shapes do not fit."""
        self.model_id, self.digest = stored.model, stored.digest
        self.config = restored(Config, stored.config, stored.path)
        self.networks = Networks(self.config)
        checkpoints.set_model_arrays(self.networks, stored.arrays, str(stored.path))
        self.standard = standard_codec(self.config)
        # x, float32 (1, H, W, 1) -> y, and z -> x_hat: shared by copies at other settings, so compiled once.
        self._fdnn = backend.compiled(lambda x: self.networks.fdnn(x, training=False))
        self._ppnn = backend.compiled(lambda z: self.networks.ppnn(z, training=False))

    def with_settings(self, quality: int | None = None) -> "Codec":
        """Return these networks around their standard codec at another quality than the one they were trained for."""
        other = copy.copy(self)
        other.standard = standard_codec(self.config, quality)
        return other

    def compress(self, image: np.ndarray) -> bytes:
        """Return the bytes of a uint8 picture, H x W x 3 or H x W, of any size from 1x1 that JPEG takes."""
        return self.compress_latents(self.latents(image))

    def latents(self, image: np.ndarray) -> Latents:
        """Return what `compress` codes of a picture, the same at every quality."""
        check_picture(image)
        height, width = image.shape[:2]
        if image.ndim == 2:
            return Latents([self.representation(image)], height, width)
        luma, *chroma = cv2.split(cv2.cvtColor(image, cv2.COLOR_RGB2YCrCb))
        sides = self._chroma_sides(height, width)
        small = [cv2.resize(plane, sides[::-1], interpolation=cv2.INTER_AREA) for plane in chroma]
        return Latents([self.representation(luma), np.concatenate(small)], height, width)

    def compress_latents(self, latents: Latents) -> bytes:
        """Return the bytes of a picture whose latents are known, the same as `compress`."""
        channels = 1 if len(latents.planes) == 1 else 3
        header = container.Header(self.model_id, self.digest, latents.height, latents.width, channels)
        return container.pack(header, [self.standard.compress(plane) for plane in latents.planes])

    def compress_representation(self, y: np.ndarray, height: int, width: int) -> bytes:
        """Return the bytes of a grey picture height x width whose representation is known, the same as `compress`."""
        return self.compress_latents(Latents([y], height, width))

    def decompress(self, data: bytes) -> np.ndarray:
        """Return the uint8 picture of `compress`, whatever its setting; raises ContainerError for anything else."""
        header, z, *chroma = self._planes(data)
        height, width = header.height, header.width
        luma = self.restored(z)[:height, :width]
        if not chroma:
            return luma
        small = np.split(chroma[0], 2)
        chroma = [cv2.resize(plane, (width, height), interpolation=cv2.INTER_CUBIC) for plane in small]
        return cv2.cvtColor(cv2.merge([luma, *chroma]), cv2.COLOR_YCrCb2RGB)

    def latents_of(self, data: bytes) -> np.ndarray:
        """Return what a file's bytes decode to before any float network: the samples of its planes, uint8, flat."""
        _, *planes = self._planes(data)
        return np.concatenate([plane.ravel() for plane in planes])

    def representation(self, x: np.ndarray) -> np.ndarray:
        """Return y, uint8 (H / stride, W / stride), of a grey uint8 picture, edges repeated to whole strides."""
        stride = self.config.stride
        whole = np.pad(x, [(0, -side % stride) for side in x.shape], mode="edge")
        return self._applied(self._fdnn, whole, (stride, 1))

    def restored(self, z: np.ndarray) -> np.ndarray:
        """Return x_hat, uint8 (h * stride, w * stride), of a coded representation, uint8 (h, w)."""
        return self._applied(self._ppnn, z, (1, self.config.stride))

    def _applied(self, network: Any, picture: np.ndarray, strides: tuple[int, int]) -> np.ndarray:
        """Return a network's output, uint8 (H', W'), of a uint8 picture (H, W) whose edges go on outside of it.

        Zeros there, as the layers have them, would darken what is near the edges. `strides` as of `apply_by_strips`.
        """
        taken, given = (HALO * stride for stride in strides)
        values = np.pad(picture, taken, mode="edge")[..., None] / np.float32(255)
        size = STRIP_PIXELS // (values.shape[1] * strides[1] ** 2 * strides[0])
        return to_uint8(apply_by_strips(network, values, strides, size, HALO)[given:-given, given:-given, 0])

    def _planes(self, data: bytes) -> tuple[Any, ...]:
        """Return a file's header, its representation and, of a colour picture, its chroma, all uint8 (H, W).

        Raises ContainerError for what is no file of this codec.
        """
        header, sections = container.unpack(data)
        header.check_weights(self.model_id, self.digest)
        if len(sections) != (1 if header.channels == 1 else 2):
            raise ContainerError(f"this is no file of {self.model_id}, or a newer one's: compress the picture again")
        stride, height, width = self.config.stride, header.height, header.width
        z = self._decoded(sections[0], (-(-height // stride), -(-width // stride)))
        if header.channels == 1:
            return header, z
        rows, columns = self._chroma_sides(height, width)
        return header, z, self._decoded(sections[1], (2 * rows, columns))

    def _chroma_sides(self, height: int, width: int) -> tuple[int, int]:
        divisor = 2 * self.config.stride
        return -(-height // divisor), -(-width // divisor)

    def _decoded(self, section: bytes, shape: tuple[int, int]) -> np.ndarray:
        """Return a section's picture; raises ContainerError for a damaged file and one of another size."""
        name = self.config.standard_codec
        picture = np.zeros(0, np.uint8)
        # Before the pixels take memory and time.
        if pictures.size_of(section) == shape and len(section) >= shortest_file(self.config, *shape):
            with contextlib.suppress(RelicError):
                picture = self.standard.decompress(section)
        if picture.shape != shape or picture.dtype != np.uint8:
            raise ContainerError(f"the {name} file inside this file is damaged: compress the picture again")
        return picture


def load(preset: str, scale: str | None = None, seed: int | None = None, **coding: int) -> Codec:
    """Return the codec of a preset with its shipped weights, as `common.training.shipped.of_preset` chooses them.

    coding: as `Codec.with_settings`.
    """
    codec = Codec(shipped.of_preset(config, preset, scale, seed))
    return codec.with_settings(**coding) if coding else codec
