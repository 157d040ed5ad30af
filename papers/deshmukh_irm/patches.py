"""The augmented images of Deshmukh and Pollett, Section 4: random base point, flips, rotation by any angle."""

import math
from collections.abc import Sequence
from functools import partial

import cv2
import numpy as np

from common.data import ChangedPictures, Pictures, TrainingPatches
from common.errors import RelicError
from papers.deshmukh_irm.config import Config

VALIDATED = 32  # images of the validation pictures, always the same


class Patches:
    """Augmented images, uint8 (P, P, c): number n depends on the training seed and on n alone.

    Attributes: `training`, `validation`, the pictures as uint8 (H, W, 3) or (H, W), every fifth one being validated on;
    `about`, what run.json says of the training sets. Raises RelicError for a test set, and for too few pictures.
    """

    def __init__(self, config: Config, seed: int) -> None:
        source = TrainingPatches(config.training_sets, config.patch_size, seed, augment=False)
        self.config, self.seed, self.about = config, seed, source.about
        pictures = ChangedPictures(source.pictures, partial(with_channels, channels=config.channels))
        is_validated = np.arange(len(pictures)) % round(1 / config.validation_share) == 0
        self.validation = pictures.part(np.flatnonzero(is_validated))
        self.training = pictures.part(np.flatnonzero(~is_validated))
        if not self.training:
            raise RelicError(f"{', '.join(config.training_sets)}: one picture is not enough to train and to validate")

    def batch(self, step: int, batch_size: int) -> np.ndarray:
        """Return the images of a training step, uint8 (batch_size, P, P, c)."""
        numbers = list(range(step * batch_size, (step + 1) * batch_size))
        if self.config.images:
            numbers = [number % self.config.images for number in numbers]
        return self._images(self.training, [(self.seed, number) for number in numbers])

    def validated(self) -> np.ndarray:
        """Return images of the validation pictures, the same for every seed, uint8 (VALIDATED, P, P, c)."""
        return self._images(self.validation, [(number,) for number in range(VALIDATED)])

    def _images(self, pictures: Pictures, seeds: Sequence[tuple[int, ...]]) -> np.ndarray:
        generators = [np.random.Generator(np.random.Philox(np.random.SeedSequence(seed))) for seed in seeds]
        draws = np.stack([generator.random(7) for generator in generators])
        chosen = pictures.read((draws[:, 0] * len(pictures)).astype(np.int64).tolist())
        return np.stack([self._image(picture, draw) for picture, draw in zip(chosen, draws[:, 1:], strict=True)])

    def _image(self, picture: np.ndarray, draws: np.ndarray) -> np.ndarray:
        half, angle, across, down, flip, mirror = draws
        if half < self.config.half_size_share and min(picture.shape[:2]) >= 2 * self.config.patch_size:
            picture = cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        flips = (1 - 2 * (flip < 0.5), 1 - 2 * (mirror < 0.5))
        image = turned(picture, self.config.patch_size, 2 * math.pi * angle, (across, down), flips)
        return image.reshape(self.config.patch_size, self.config.patch_size, self.config.channels)


def turned(
    picture: np.ndarray, size: int, angle: float, place: tuple[float, float], flips: tuple[int, int] = (1, 1)
) -> np.ndarray:
    """Return a square of a uint8 picture that is turned by `angle` (radians) and flipped, size x size.

    `place`, two numbers from 0 to 1, says where along width and height the square lies; it does not reach beyond the
    picture, and where the picture is too small for that, the picture is mirrored at its edges: no corner is black.
    """
    cosine, sine = math.cos(angle), math.sin(angle)
    reach = (abs(cosine) + abs(sine)) * size / 2
    sides = picture.shape[1], picture.shape[0]
    middle = [
        reach + part * (side - 2 * reach) if side > 2 * reach else side / 2
        for part, side in zip(place, sides, strict=True)
    ]
    # From pixels of the square to pixels of the picture, about both centres; pixel centres are at .5.
    turn = np.array([[cosine, -sine], [sine, cosine]]) * np.array(flips)
    shift = np.array(middle) - turn @ np.full(2, size / 2) + turn @ np.full(2, 0.5) - 0.5
    matrix = np.column_stack([turn, shift])
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(picture, matrix, (size, size), flags=flags, borderMode=cv2.BORDER_REFLECT_101)


def with_channels(image: np.ndarray, channels: int) -> np.ndarray:
    """Return a uint8 picture HxWx3 or HxW as HxWx3, or as its luma HxW for one channel."""
    if channels == 1:
        return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) if image.ndim == 3 else image
    return image if image.ndim == 3 else cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)
