"""The codecs of Donis and Brown: the iterative one for pictures of any size, and one iteration for tiles of 32x32.

A file of the iterative codec has a section for each iteration, 32 bits for 16x16 pixels: cut after some of them it is
the file of so few iterations. Its networks see at most 1536x1536 pixels at once: of larger pictures the sides are cut
into the fewest parts of at most 96 positions of the code, equal but for one position, and tiles are coded apart. A
file of one iteration has one section: bits, or the code's 128 numbers a tile as little-endian float32.
"""

import copy
import itertools
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from common import backend
from common.backend import ops
from common.coding import container
from common.coding.container import ContainerError
from common.config import restored
from common.data.pictures import mean_of_channels, padded, to_uint8
from common.errors import RelicError
from common.training import checkpoints, shipped, weights
from papers.donis_convlstm import bit_planes, config, model
from papers.donis_convlstm.config import CODING, MAX_ITERATIONS, Config, Iterative
from papers.donis_convlstm.learning import OneIteration, Unrolled
from papers.donis_convlstm.model import STRIDE, binarized

ITERATIONS = CODING["iterations"].default
TILE_SIDE = 96  # positions of the code: a tile of the iterative codec takes about 3 GB of memory at most
BATCH = 128  # tiles of 32x32 that pass a network of one iteration at once


class Latents(NamedTuple):
    """A picture's sections, as many as it may have: a file of fewer iterations has the first of them."""

    sections: list[bytes]
    height: int  # of the picture
    width: int
    channels: int


class Codec:
    """One trained network. Deterministic on one machine and stack; bytes decode on any machine and stack."""

    def __init__(self, stored: weights.Weights) -> None:
        """Build the network of a weights file; raises RelicError if names or shapes do not fit."""
        self.model_id, self.digest = stored.model, stored.digest
        kind = Iterative if "reconstruction" in stored.config else Config
        self.config = restored(kind, stored.config, stored.path)
        self.iterations = ITERATIONS if self.config.is_iterative else 1
        self.networks = (Unrolled if self.config.is_iterative else OneIteration)(self.config)
        checkpoints.set_model_arrays(self.networks, stored.arrays, str(stored.path))
        self.code: Any = (IterativeCode if self.config.is_iterative else TiledCode)(self.networks)

    def with_settings(self, iterations: int = ITERATIONS) -> "Codec":
        """Return the same networks with another number of iterations, 1 to 16; nothing is compiled again.

        Raises RelicError for iterations that there are not, and for more than one of a network of one.
        """
        iterations = CODING["iterations"].check("iterations", iterations)
        if not self.config.is_iterative and iterations not in (1, ITERATIONS):
            raise RelicError(f"{self.model_id} has one iteration, not {iterations}: leave iterations out")
        other = copy.copy(self)
        other.iterations = iterations if self.config.is_iterative else 1
        return other

    def compress(self, image: np.ndarray) -> bytes:
        """Return the bytes of a uint8 picture, H x W x 3 or H x W, of any size from 1x1."""
        return self.compress_latents(self._latents(image, self.iterations))

    def latents(self, image: np.ndarray) -> Latents:
        """Return what `compress` codes of a picture, the same for any number of iterations."""
        return self._latents(image, MAX_ITERATIONS)

    def compress_latents(self, latents: Latents) -> bytes:
        """Return the bytes of a picture whose latents are known, the same as `compress`."""
        sections, *size = latents
        return container.pack(container.Header(self.model_id, self.digest, *size), sections[: self.iterations])

    def _latents(self, image: np.ndarray, iterations: int) -> Latents:
        sections = self.code.sections(padded(image, self.code.multiple), iterations)
        return Latents(sections, image.shape[0], image.shape[1], 3 if image.ndim == 3 else 1)

    def decompress(self, data: bytes) -> np.ndarray:
        """Return the uint8 picture of `compress`, whatever its iterations; raises ContainerError for anything else.

        A file that was cut after some iterations gives the picture of those.
        """
        header, sections = self._unpacked(data)
        return self._pictures(header, sections, 1)[0]

    def progressive(self, data: bytes) -> list[np.ndarray]:
        """Return the pictures after each iteration of a file, in one pass; the last is that of `decompress`."""
        header, sections = self._unpacked(data)
        return self._pictures(header, sections, len(sections))

    def latents_of(self, data: bytes) -> np.ndarray:
        """Return what a file's bytes decode to before any float network: the code of every iteration.

        Bits, uint8 (iterations, h, w, C), of the iterative codec; else float32 (h, w, C), bits being -1 and 1.
        """
        header, sections = self._unpacked(data)
        return self.code.of_sections(sections, self._code_shape(header))

    def reconstructed(self, pictures: np.ndarray) -> np.ndarray:
        """Return what one iteration gives back of pictures, uint8 (N, 32, 32, 3), without any bytes.

        Raises RelicError for the iterative codec and for what are no such pictures.
        """
        if self.config.is_iterative:
            raise RelicError(f"{self.model_id} has no single iteration: compress and decompress the pictures")
        size = self.config.patch_size
        if pictures.dtype != np.uint8 or pictures.ndim != 4 or pictures.shape[1:] != (size, size, 3):
            raise RelicError(f"pictures are uint8 (N, {size}, {size}, 3), not {pictures.dtype} {pictures.shape}")
        return self.code.decoded(self.code.encoded(pictures))

    def _unpacked(self, data: bytes) -> tuple[container.Header, list[bytes]]:
        """Return a file's header and its complete sections, of which there is at least one."""
        header, sections = container.unpack(data, allow_missing_sections=True)
        header.check_weights(self.model_id, self.digest)
        if len(sections) > (MAX_ITERATIONS if self.config.is_iterative else 1):
            raise ContainerError(f"this is no file of {self.model_id}, or a newer one's: compress the picture again")
        if not sections:
            raise ContainerError("the file was cut before the end of its first iteration: copy it again")
        return header, sections

    def _pictures(self, header: container.Header, sections: Sequence[bytes], last: int) -> list[np.ndarray]:
        """Return the pictures after the last so many iterations."""
        pictures = self.code.pictures(sections, self._code_shape(header), last)
        cut = [picture[: header.height, : header.width] for picture in pictures]
        return cut if header.channels == 3 else [mean_of_channels(picture) for picture in cut]

    def _code_shape(self, header: container.Header) -> tuple[int, int, int]:
        multiple = self.code.multiple
        height, width = (side + -side % multiple for side in (header.height, header.width))
        return height // STRIDE, width // STRIDE, self.config.code_channels


class IterativeCode:
    """Code maps of the iterative codec: the same networks again and again, states and estimate carried."""

    multiple = STRIDE  # sides of a picture

    def __init__(self, networks: Unrolled) -> None:
        self.config, self.networks = networks.config, networks

    def sections(self, x: np.ndarray, iterations: int) -> list[bytes]:
        """Return the sections of a uint8 picture (H, W, 3) of whole positions."""
        shape = (iterations, x.shape[0] // STRIDE, x.shape[1] // STRIDE, self.config.code_channels)
        maps = np.empty(shape, np.uint8)
        for rows, columns in tiles(*shape[1:3]):
            maps[:, rows, columns] = self._encoded(x[pixels(rows), pixels(columns)], iterations)
        return bit_planes.encode(maps)

    def pictures(self, sections: Sequence[bytes], shape: tuple[int, int, int], last: int) -> np.ndarray:
        """Return the uint8 pictures (last, H, W, 3) after the last iterations of a code of some shape (h, w, C)."""
        maps = self.of_sections(sections, shape)
        pictures = np.empty((last, shape[0] * STRIDE, shape[1] * STRIDE, 3), np.uint8)
        for rows, columns in tiles(*shape[:2]):
            for i, x_hat in enumerate(self._decoded(maps[:, rows, columns]), last - len(maps)):
                if i >= 0:
                    pictures[i, pixels(rows), pixels(columns)] = _picture(x_hat)
        return pictures

    def of_sections(self, sections: Sequence[bytes], shape: tuple[int, int, int]) -> np.ndarray:
        """Return the bits of sections, uint8 (iterations, h, w, C); raises ContainerError for damaged ones."""
        return bit_planes.decode(sections, shape)

    def _encoded(self, tile: np.ndarray, iterations: int) -> np.ndarray:
        """Return the bits (iterations, h, w, C) of a uint8 tile (H, W, 3)."""
        x = tile[None].astype(np.float32) / 255.0
        carried = [np.full_like(x, 0.5), *self._states(model.encoder_state, x), *self._states(model.decoder_state, x)]
        maps = []
        for i in range(iterations):
            bits, *carried = self._encode_once(x, self._gain(i), *carried)
            maps.append(bits[0])
        return np.stack(maps)

    def _decoded(self, maps: np.ndarray) -> Iterator[np.ndarray]:
        """Yield x_hat, float32 (H, W, 3), after each iteration of a tile's bits (iterations, h, w, C)."""
        height, width = (STRIDE * side for side in maps.shape[1:3])
        x_hat = np.full((1, height, width, 3), 0.5, np.float32)
        carried = [x_hat, *self._states(model.decoder_state, x_hat)]
        for i, bits in enumerate(maps):
            carried = self._decode_once(bits[None].astype(np.float32), self._gain(i), *carried)
            yield carried[0][0]

    def _states(self, shapes: Any, x: np.ndarray) -> list[np.ndarray]:
        return [np.zeros(shape, np.float32) for shape in shapes(self.config, *x.shape[:3])]

    def _gain(self, iteration: int) -> np.ndarray:
        return np.array(self.config.gain(iteration), np.float32)

    @cached_property
    def _encode_once(self) -> Any:
        """x, the residual's gain, x_hat, states of encoder and decoder -> bits (0 or 1), the next x_hat and states."""
        num_into = 2 * (len(self.config.encoder_filters) - 1)

        def encode(x, gain, x_hat, *states):
            code, *into = self.networks.encoder([gain * (x - x_hat), *states[:num_into]])
            bits = ops.cast(binarized(code) >= 0.0, "float32")
            return (bits, *self._next(bits, gain, x_hat, states[num_into:], into))

        return backend.compiled(encode)

    @cached_property
    def _decode_once(self) -> Any:
        """Bits (0 or 1), the residual's gain, x_hat, states of the decoder -> the next x_hat and states."""
        return backend.compiled(lambda bits, gain, x_hat, *states: self._next(bits, gain, x_hat, states, []))

    def _next(self, bits: Any, gain: Any, x_hat: Any, states: Sequence[Any], into: Sequence[Any]) -> tuple:
        """Return the next x_hat, states of the encoder (as they are) and of the decoder."""
        output, *out_of = self.networks.decoder([2.0 * bits - 1.0, *states])
        return (model.next_estimate(self.config, x_hat, output, gain), *into, *out_of)


class TiledCode:
    """Codes of one iteration: pictures cut in tiles of 32x32, every tile a code of 2x2 positions."""

    def __init__(self, networks: OneIteration) -> None:
        self.config, self.networks = networks.config, networks
        self.multiple = self.config.patch_size
        self.is_binary = self.config.binarizer != "none"

    def sections(self, x: np.ndarray, iterations: int = 1) -> list[bytes]:
        """Return the one section of a uint8 picture (H, W, 3) of whole tiles."""
        code = joined(self.encoded(cut(x, self.multiple)), x.shape[1] // self.multiple)
        return bit_planes.encode(code[None] > 0) if self.is_binary else [code.astype("<f4").tobytes()]

    def pictures(self, sections: Sequence[bytes], shape: tuple[int, int, int], last: int = 1) -> np.ndarray:
        """Return the uint8 picture, as (1, H, W, 3), of a code of some shape (h, w, C)."""
        code = self.of_sections(sections, shape)
        side = self.multiple // STRIDE
        return joined(self.decoded(cut(code, side)), shape[1] // side)[None]

    def of_sections(self, sections: Sequence[bytes], shape: tuple[int, int, int]) -> np.ndarray:
        """Return the code of sections, float32 (h, w, C); raises ContainerError for damaged ones."""
        if self.is_binary:
            return 2.0 * bit_planes.decode(sections, shape)[0].astype(np.float32) - 1.0
        if len(sections[0]) != 4 * np.prod(shape):
            raise _damaged()
        code = np.frombuffer(sections[0], "<f4").astype(np.float32)
        if not np.isfinite(code).all():
            raise _damaged()
        return code.reshape(shape)

    def encoded(self, x: np.ndarray) -> np.ndarray:
        """Return the codes, float32 (N, 2, 2, C), of uint8 tiles (N, 32, 32, 3); bits are -1 or 1."""
        return np.concatenate([self._encode(part.astype(np.float32) / 255.0) for part in _batches(x)])

    def decoded(self, codes: np.ndarray) -> np.ndarray:
        """Return the uint8 tiles of codes; raises ContainerError for numbers that no encoder gives."""
        return np.concatenate([_picture(self._decode(part)) for part in _batches(codes)])

    @cached_property
    def _encode(self) -> Any:
        """x, float32 (N, 32, 32, 3), -> codes."""

        def encode(x):
            code = self.networks.encoder(x)
            return 2.0 * ops.cast(binarized(code) >= 0.0, "float32") - 1.0 if self.is_binary else code

        return backend.compiled(encode)

    @cached_property
    def _decode(self) -> Any:
        """Codes -> x_hat."""
        return backend.compiled(lambda codes: self.networks.decoder(codes))


def load(preset: str, scale: str | None = None, seed: int | None = None, **coding: int) -> Codec:
    """Return the codec of a preset with its shipped weights, as `common.training.shipped.of_preset` chooses them.

    coding: as `Codec.with_settings`.
    """
    codec = Codec(shipped.of_preset(config, preset, scale, seed))
    return codec.with_settings(**coding) if coding else codec


def tiles(height: int, width: int) -> Iterator[tuple[slice, slice]]:
    """Yield rows and columns of the tiles of a code map, each side at most TILE_SIDE and all about equal."""
    rows, columns = (_parts(side) for side in (height, width))
    return ((r, c) for r in rows for c in columns)


def _parts(side: int) -> list[slice]:
    """Return the fewest slices of at most TILE_SIDE that make up a side; their lengths differ by at most 1."""
    count = -(-side // TILE_SIDE)
    ends = [i * side // count for i in range(count + 1)]
    return [slice(start, stop) for start, stop in itertools.pairwise(ends)]


def pixels(positions: slice) -> slice:
    """Return the rows or columns of pixels of positions of the code."""
    return slice(positions.start * STRIDE, positions.stop * STRIDE)


def cut(x: np.ndarray, size: int) -> np.ndarray:
    """Return the squares of an array (H, W, C) of whole ones, row by row, as (N, size, size, C)."""
    height, width, channels = x.shape
    squares = x.reshape(height // size, size, width // size, size, channels).transpose(0, 2, 1, 3, 4)
    return squares.reshape(-1, size, size, channels)


def joined(squares: np.ndarray, columns: int) -> np.ndarray:
    """Return the array (H, W, C) of squares (N, size, size, C), so many in a row."""
    count, size, _, channels = squares.shape
    rows = squares.reshape(count // columns, columns, size, size, channels).transpose(0, 2, 1, 3, 4)
    return rows.reshape(count // columns * size, columns * size, channels)


def _picture(x_hat: np.ndarray) -> np.ndarray:
    """Return x_hat as uint8; raises ContainerError for NaN and infinities, which a damaged code leads to."""
    try:
        return to_uint8(x_hat)
    except RelicError as error:
        raise _damaged() from error


def _batches(x: np.ndarray) -> list[np.ndarray]:
    return [x[i : i + BATCH] for i in range(0, len(x), BATCH)]


def _damaged() -> ContainerError:
    return ContainerError("the code in this file is damaged: compress the picture again")
