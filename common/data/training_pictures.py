"""The pictures that training draws from: held in memory, or decoded by processes whenever they are asked for."""

import subprocess
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from common.data.pictures import decode_image
from common.data.sources import Source
from common.data.workers import Arguments, shared_workers
from common.errors import RelicError

TOGETHER = 64  # pictures that are in memory where all are read one after the other

Change = Callable[[np.ndarray], np.ndarray]


class Pictures(Sequence[np.ndarray]):
    """Pictures by their numbers, uint8 (height, width, 3) or (height, width); by several threads at once.

    Attributes: `sizes`, their heights and widths, int64 (N, 2); `processes`, those that decode them. Reading one raises
    RelicError that names it if damaged.
    """

    sizes: np.ndarray
    processes: Sequence[subprocess.Popen] = ()

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self.sizes)

    def __getitem__(self, number: Any) -> Any:
        """Return one picture, or a list of those of a slice."""
        if isinstance(number, slice):
            return self.read(range(len(self))[number])
        return self.read([range(len(self))[number]])[0]

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yield all pictures, of which few are in memory."""
        for start in range(0, len(self), TOGETHER):
            yield from self.read(range(start, min(start + TOGETHER, len(self))))

    @abstractmethod
    def read(self, numbers: Sequence[int]) -> list[np.ndarray]:
        """Return several pictures, which takes less time than one by one."""

    @abstractmethod
    def part(self, numbers: np.ndarray) -> "Pictures":
        """Return the pictures of these numbers as a sequence of its own."""

    def squares(self, numbers: Sequence[int], corners: np.ndarray, side: int) -> list[np.ndarray]:
        """Return a square of each of several pictures, whose tops and lefts are in corners, (N, 2)."""
        pictures = zip(self.read(numbers), corners.tolist(), strict=True)
        return [square(picture, top, left, side) for picture, (top, left) in pictures]


class HeldPictures(Pictures):
    """Pictures in memory."""

    def __init__(self, pictures: Sequence[np.ndarray]) -> None:
        """Take the pictures."""
        self._pictures = pictures
        self.sizes = np.array([picture.shape[:2] for picture in pictures], np.int64).reshape(-1, 2)

    def read(self, numbers: Sequence[int]) -> list[np.ndarray]:
        """Return pictures, no copies."""
        return [self._pictures[number] for number in numbers]

    def part(self, numbers: np.ndarray) -> Pictures:
        """Return some of the pictures, no copies."""
        return HeldPictures(self.read(numbers))  # type: ignore[arg-type]


class StoredPictures(Pictures):
    """Pictures of several sources that are read and decoded whenever they are asked for."""

    def __init__(self, sources: Sequence[Source], places: np.ndarray, sizes: np.ndarray) -> None:
        """Take the pictures at `places`, int64 (N, 2), which source and which number there, with their sizes (N, 2)."""
        self._sources, self._places, self.sizes = sources, places, sizes
        self._workers = shared_workers() if any(source.is_encoded for source in sources) else None
        self.processes = self._workers.processes if self._workers else ()

    def read(self, numbers: Sequence[int]) -> list[np.ndarray]:
        """Return pictures, decoded by several processes."""
        return self._decoded(numbers, decoded, [()] * len(numbers))

    def part(self, numbers: np.ndarray) -> Pictures:
        """Return some of the pictures, none of which is read."""
        return StoredPictures(self._sources, self._places[numbers], self.sizes[numbers])

    def squares(self, numbers: Sequence[int], corners: np.ndarray, side: int) -> list[np.ndarray]:
        """Return squares of pictures, decoded by several processes, which send no more than these."""
        return self._decoded(numbers, decoded_square, [(top, left, side) for top, left in corners.tolist()])

    def _decoded(
        self, numbers: Sequence[int], function: Callable[..., np.ndarray], wanted: Sequence[tuple[int, ...]]
    ) -> list[np.ndarray]:
        """Return what a function, `decoded` or `decoded_square`, makes of each picture."""

        def stored(source: Source, own: int, size: tuple[int, int], window: tuple[int, ...]) -> Arguments:
            return source.encoded(own), source.place_of(own), size, *window

        found: list[np.ndarray | None] = []
        reads = []
        for number, window in zip(numbers, wanted, strict=True):
            which, own = self._places[number].tolist()
            source = self._sources[which]
            if source.is_encoded:
                reads.append(partial(stored, source, own, tuple(self.sizes[number].tolist()), window))
            found.append(None if source.is_encoded else square(source.decoded(own), *window))
        others = iter(self._workers.map(function, reads) if self._workers else ())
        return [next(others) if picture is None else picture for picture in found]


class ChangedPictures(Pictures):
    """Pictures that a function changes whenever they are asked for."""

    def __init__(self, pictures: Pictures, change: Change, keeps_sizes: bool = True) -> None:
        """Take pictures and what changes them; where sizes change as well, each is read once to know its own."""
        self._pictures, self._change, self.sizes = pictures, change, pictures.sizes
        if not keeps_sizes:
            sizes = [change(picture).shape[:2] for picture in pictures]
            self.sizes = np.array(sizes, np.int64).reshape(-1, 2)

    def read(self, numbers: Sequence[int]) -> list[np.ndarray]:
        """Return changed pictures."""
        return [self._change(picture) for picture in self._pictures.read(numbers)]

    def part(self, numbers: np.ndarray) -> Pictures:
        """Return some of the changed pictures."""
        some = ChangedPictures(self._pictures.part(numbers), self._change)
        some.sizes = self.sizes[numbers]
        return some


def decoded(data: bytes, place: str, size: tuple[int, int]) -> np.ndarray:
    """Return the picture in a file; raise RelicError where it is damaged or has not the size (height, width)."""
    image = decode_image(data, place)
    if image.shape[:2] != size:
        height, width = image.shape[:2]
        raise RelicError(f"cannot train on {place}: it is {height}x{width} and was {size[0]}x{size[1]}: start anew")
    return image


def decoded_square(data: bytes, place: str, size: tuple[int, int], top: int, left: int, side: int) -> np.ndarray:
    """Return a square of the picture in a file, which takes less time to send."""
    return np.ascontiguousarray(square(decoded(data, place, size), top, left, side))


def square(picture: np.ndarray, top: int = 0, left: int = 0, side: int | None = None) -> np.ndarray:
    """Return a square of a picture, no copy; without a side, the whole picture."""
    return picture if side is None else picture[top : top + side, left : left + side]
