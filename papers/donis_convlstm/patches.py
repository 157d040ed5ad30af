"""The pictures of Donis and Brown, Section II-D: two sets one after the other, perhaps once more turned."""

from collections.abc import Callable

import cv2
import numpy as np

from common import data
from common.errors import RelicError
from papers.donis_convlstm.config import Config


class TrainingTiles:
    """A config's pictures, in order: `x`, uint8 (N, 32, 32, 3), to learn from; `validation`, the last share of them.

    Being the last, the pictures of validation are all of the second set, or of its turned copies. `digests` has one
    sha256 for each set. Raises RelicError where a set is missing, too small, or one that results are measured on.
    """

    def __init__(self, config: Config) -> None:
        """Load the sets, scale what is larger, and split."""
        self.digests: dict[str, str] = {}
        wanted = config.pictures // (2 if config.rotated else 1)
        parts: list[np.ndarray] = []
        for name, count in config.training_sets:
            data.refuse_test_set(name)
            count = min(count, wanted - sum(map(len, parts)))
            if count > 0:
                parts.append(self._first(name, count, config.patch_size))
        x = np.concatenate(parts)
        if len(x) < wanted:
            names = ", ".join(name for name, _ in config.training_sets)
            raise RelicError(f"{names} have {len(x)} pictures, {wanted} are wanted: add pictures to the last set")
        x = np.concatenate([x, np.rot90(x, axes=(1, 2))]) if config.rotated else x
        self.x, self.validation = np.split(x, [config.training_pictures])

    def _first(self, name: str, count: int, size: int) -> np.ndarray:
        """Return the first `count` pictures of a set, uint8 (count, size, size, 3), fewer where it has no more."""
        pictures, self.digests[name] = data.load(name, count)
        return np.stack([as_tile(picture, size) for _, picture in pictures])


def as_tile(picture: np.ndarray, size: int) -> np.ndarray:
    """Return a uint8 picture as RGB of size x size: its middle square, scaled by area; raises RelicError if smaller."""
    side = min(picture.shape[:2])
    if side < size:
        raise RelicError(f"a picture of {picture.shape[0]}x{picture.shape[1]} is below {size}x{size}: take it out")
    top, left = ((length - side) // 2 for length in picture.shape[:2])
    square = picture[top : top + side, left : left + side]
    square = square if side == size else cv2.resize(square, (size, size), interpolation=cv2.INTER_AREA)
    return square if square.ndim == 3 else cv2.cvtColor(square, cv2.COLOR_GRAY2RGB)


def batches(config: Config, x: np.ndarray, seed: int) -> Callable[[int], dict[str, np.ndarray]]:
    """Return the inputs of a step, a function of seed and step alone; an epoch sees every picture at most once."""
    if config.epoch_steps < 1:
        raise RelicError(f"{len(x)} pictures are less than a batch of {config.batch_size}: add pictures")

    def batch(step: int) -> dict[str, np.ndarray]:
        epoch, place = divmod(step, config.epoch_steps)
        permutation = np.random.Generator(np.random.Philox(np.random.SeedSequence((seed, epoch)))).permutation(len(x))
        chosen = permutation[place * config.batch_size :][: config.batch_size]
        return {"x": x[chosen], "step": np.full(len(chosen), step, np.int32)}

    return batch
