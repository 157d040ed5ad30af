"""Deshmukh and Pollett as a codec: the ICM's picture in 8 bits, an entropy coder, and the IRM.

Sections of a file: how it was coded (one byte, with the SRGAN's digest where it takes part), then every channel of the
code. The paper's networks have one or three channels; either codes every picture: one for colour goes through three
channels that are equal, one for grey through R, G and B apart.
"""

import copy
from typing import Any

import numpy as np

from common import backend
from common.coding import container
from common.coding.container import ContainerError
from common.coding.range_coder import FrequencyTables
from common.config import restored
from common.data.pictures import mean_of_channels, to_uint8
from common.errors import RelicError
from common.metrics import check_picture
from common.tiling import apply_by_strips
from common.training import checkpoints, shipped, weights
from papers.deshmukh_irm import config, entropy_coders
from papers.deshmukh_irm.config import FACTOR, Compression, Config, SuperResolution
from papers.deshmukh_irm.entropy_coders import HUFFMAN
from papers.deshmukh_irm.model import Model
from papers.deshmukh_irm.scaling import REACH, quarter, scaled_down
from papers.deshmukh_irm.super_resolution import Adversary

STRIP_PIXELS = 2**19  # a picture goes through a network in strips of about so many pixels, for memory's sake
LAYERS = 20  # convolutions of the deeper IRM, the baseline's: as many pixels does it see on every side
GENERATOR_REACH = 44  # pixels of a code that the SRGAN sees on every side: 4 + 32 + 1 + 1 + 0.5 + 1, and some
SRGAN_FLAG = 2  # of a file's first byte; below it the entropy coder


def networks_of(settings: Any) -> Any:
    """Return freshly initialised networks of a config, whose `transforms` are what a weights file holds."""
    return Adversary(settings) if isinstance(settings, SuperResolution) else Model(settings)


class Codec:
    """One trained preset. Deterministic on one machine and stack; decodes files of every setting.

    With `srgan` a file asks for the SRGAN's up-sampling, and names its weights.
    """

    def __init__(self, stored: weights.Weights) -> None:
        """Build the networks of a weights file; raises RelicError if names, shapes or tables do not fit."""
        self.model_id, self.digest = stored.model, stored.digest
        self.config: Any = restored(config.kind_of(stored.config), stored.config, stored.path)
        self.networks = networks_of(self.config)
        checkpoints.set_model_arrays(self.networks, stored.arrays, str(stored.path))
        self.tables = FrequencyTables.from_arrays(stored.part("code"), self.config.channels)
        self.coder: int = HUFFMAN
        self.srgan: Codec | None = None
        self.passes = _passes(self.networks)

    def with_settings(self, coder: int = HUFFMAN, srgan: "Codec | int | None" = None) -> "Codec":
        """Return these networks with other coding settings; nothing is compiled again.

        srgan: the SRGAN's codec, or 1 for the one that is shipped; 0 or None for bicubic interpolation. Raises
        RelicError for other numbers, where its weights are not here, and for an SRGAN around an SRGAN.
        """
        if not isinstance(srgan, Codec):
            srgan = config.CODING["srgan"].check("srgan", srgan or 0)
        if srgan and isinstance(self.config, SuperResolution):
            raise RelicError(f"{self.model_id} is itself what the setting srgan asks for: leave it out")
        other = copy.copy(self)
        other.coder = config.CODING["coder"].check("coder", coder)
        other.srgan = srgan if isinstance(srgan, Codec) else load("srgan") if srgan else None
        return other

    # --- bytes -----------------------------------------------------------------------------------------------------

    def compress(self, image: np.ndarray) -> bytes:
        """Return the bytes of a uint8 picture, H x W x 3 or H x W, of any size from 1x1."""
        check_picture(image)
        channels = 3 if image.ndim == 3 else 1
        code = self.code(image)
        coded = [entropy_coders.encode(self.coder, plane, self.tables, i) for i, plane in enumerate(_planes(code))]
        settings = bytes([self.coder + SRGAN_FLAG]) + self.srgan.digest if self.srgan else bytes([self.coder])
        height, width = image.shape[:2]
        header = container.Header(self.model_id, self.digest, height, width, channels)
        return container.pack(header, [settings, *coded])

    def decompress(self, data: bytes) -> np.ndarray:
        """Return the uint8 picture of `compress`, whatever its settings; raises ContainerError for anything else."""
        image, code, digest = self._decoded(data)
        return self.restored(code, image, self._srgan(digest))

    def latents_of(self, data: bytes) -> np.ndarray:
        """Return what a file's bytes decode to before any float network: the code, uint8 (h, w, c)."""
        return self._decoded(data)[1]

    def _decoded(self, data: bytes) -> tuple[np.ndarray, np.ndarray, bytes]:
        """Return a picture of a file's size, its code and the SRGAN's digest; raises ContainerError for other files."""
        header, sections = container.unpack(data)
        header.check_weights(self.model_id, self.digest)
        # Only its shape counts, and takes no memory: the code may be too short for it.
        image = np.broadcast_to(np.uint8(0), (header.height, header.width, *[3] * (header.channels == 3)))
        shape = self.code_shape(image)
        settings = sections[0] if len(sections) == 1 + shape[2] else b""
        if settings[:1] not in (b"\0", b"\1", b"\2", b"\3") or len(settings) != (9 if settings[0] >= SRGAN_FLAG else 1):
            raise ContainerError(f"this is no file of {self.model_id}, or a newer one's: compress the picture again")
        coder = settings[0] % SRGAN_FLAG
        planes = [entropy_coders.decode(coder, s, shape[:2], self.tables, i) for i, s in enumerate(sections[1:])]
        return image, np.stack(planes, axis=-1), settings[1:]

    def _srgan(self, digest: bytes) -> "Codec | None":
        """Return the SRGAN that a file was made for; raises RelicError where its weights are not here."""
        if not digest or (self.srgan and self.srgan.digest == digest):
            return self.srgan if digest else None
        return Codec(shipped.of_digest("deshmukh_irm/srgan", digest))

    # --- pictures --------------------------------------------------------------------------------------------------

    def code_shape(self, image: np.ndarray) -> tuple[int, int, int]:
        """Return the shape of a picture's code: its sides over the stride, and its channels."""
        stride = self.config.stride
        height, width = (-(-side // stride) for side in image.shape[:2])
        return height, width, max(self.config.channels, 3 if image.ndim == 3 else 1)

    def code(self, image: np.ndarray) -> np.ndarray:
        """Return the code of a uint8 picture: uint8, shaped as `code_shape` says; values beyond 0 to 255 clipped."""
        return to_uint8(self.unrounded_code(image))

    def unrounded_code(self, image: np.ndarray) -> np.ndarray:
        """Return the code of a uint8 picture before clipping and rounding, float32 in about [0, 1]."""
        height, width, _ = self.code_shape(image)
        stride = self.config.stride
        planes = image[..., None] if image.ndim == 2 else image
        sides = [(0, height * stride - image.shape[0]), (0, width * stride - image.shape[1]), (0, 0)]
        x = np.pad(planes, sides, mode="edge")
        return self._by_channels(x, self._analysed)

    def restored(self, code: np.ndarray, image: np.ndarray, srgan: "Codec | None" = None) -> np.ndarray:
        """Return the picture, uint8 of the shape of `image`, of a code, uint8 or float32 in [0, 1].

        srgan: what up-samples, bicubic interpolation without one.
        """
        values = code / np.float32(255) if code.dtype == np.uint8 else code
        x_hat = self._by_channels(values, lambda part: self._synthesised(part, srgan))
        x_hat = to_uint8(x_hat[: image.shape[0], : image.shape[1]])
        if image.ndim == 3:
            return x_hat
        return x_hat[..., 0] if x_hat.shape[2] == 1 else mean_of_channels(x_hat)

    def upsampled(self, code: np.ndarray, srgan: "Codec | None" = None) -> np.ndarray:
        """Return u, float32 (H, W, c), of a code, float32 (h, w, c): bicubic, or by the SRGAN and scaled down."""
        if srgan is None:
            return self._applied("upsample", code, (1, self.config.stride), REACH)
        u = scaled_down(srgan._by_channels(code, srgan._generated), FACTOR // self.config.stride)
        # The SRGAN has three channels, of a grey code too.
        return u if u.shape[2] == code.shape[2] else u.mean(axis=-1, keepdims=True)

    def _by_channels(self, x: np.ndarray, apply: Any) -> np.ndarray:
        """Apply networks to a picture (H, W, C), channel by channel or with equal channels where they have others."""
        if self.config.channels == x.shape[2]:
            return apply(x)
        if x.shape[2] == 1:
            return apply(np.repeat(x, 3, axis=-1))
        return np.concatenate([apply(np.ascontiguousarray(x[..., i : i + 1])) for i in range(x.shape[2])], axis=-1)

    def _analysed(self, x: np.ndarray) -> np.ndarray:
        if isinstance(self.config, SuperResolution):
            return quarter(x).astype(np.float32) / np.float32(255)
        stride = self.config.stride
        return self._applied("icm", x / np.float32(255), (stride, 1), LAYERS)

    def _synthesised(self, code: np.ndarray, srgan: "Codec | None") -> np.ndarray:
        if isinstance(self.config, SuperResolution):
            return self._generated(code)
        return self._applied("irm", self.upsampled(code, srgan), (1, 1), LAYERS)

    def _generated(self, code: np.ndarray) -> np.ndarray:
        return self._applied("generator", code, (1, FACTOR), GENERATOR_REACH)

    def _applied(self, name: str, x: np.ndarray, ratio: tuple[int, int], halo: int) -> np.ndarray:
        """Return a network's output, float32 (H', W', c), for a picture (H, W, c), strip by strip."""
        size = STRIP_PIXELS // (x.shape[1] * ratio[0] * ratio[1] ** 2)
        return apply_by_strips(self.passes[name], x.astype(np.float32), ratio, size, halo)


def _passes(networks: Any) -> dict[str, Any]:
    """Return each network as a compiled function of float32 pictures (1, H, W, c)."""

    def compiled(network: Any) -> Any:
        return backend.compiled(lambda x: network(x, training=False))

    passes = {name: compiled(network) for name, network in networks.transforms.items()}
    upsample = getattr(networks, "upsample", None)
    return passes if upsample is None else {**passes, "upsample": backend.compiled(upsample)}


def _planes(code: np.ndarray) -> list[np.ndarray]:
    return [np.ascontiguousarray(code[..., i]) for i in range(code.shape[2])]


def load(preset: str, scale: str | None = None, seed: int | None = None, **coding: int) -> Codec:
    """Return the codec of a preset with its shipped weights, as `common.training.shipped.of_preset` chooses them.

    coding: as `Codec.with_settings`.
    """
    codec = Codec(shipped.of_preset(config, preset, scale, seed))
    return codec.with_settings(**coding) if coding else codec


def frequencies(settings: Config, networks: Any, images: np.ndarray) -> dict[str, np.ndarray]:
    """Return the frequencies of the code's values for a weights file, from uint8 images (N, P, P, c)."""
    if isinstance(settings, Compression):
        apply = backend.compiled(lambda x: networks.icm(x, training=False))
        codes = to_uint8(apply(images.astype(np.float32) / np.float32(255)))
    else:
        codes = np.stack([quarter(image) for image in images])
    tables = entropy_coders.tables([codes[..., i] for i in range(codes.shape[-1])])
    return {f"code/{name}": array for name, array in tables.to_arrays().items()}
