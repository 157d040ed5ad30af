"""The training patches of Zhao et al., Section 3.1: crops of 400 pictures, rotated and flipped, 3200 in all."""

import cv2
import numpy as np

from common.data import ChangedPictures, TrainingPatches
from common.errors import RelicError
from papers.zhao_mixedres.config import Config


class Patches:
    """A fixed set of grey patches: `patches_per_picture` random crops of every picture, each turned in another way.

    Attributes: `x`, uint8 (N, P, P), picture by picture; `pictures`, the grey pictures themselves; `about`, what
    run.json says of the training sets. Raises RelicError for a test set, and where the pictures are too few or too
    small.
    """

    def __init__(self, config: Config, seed: int) -> None:
        """Cut the patches of a training seed."""
        source = TrainingPatches(config.training_sets, config.patch_size, seed, augment=False)
        self.about = source.about
        self.pictures = ChangedPictures(source.pictures, grey)
        generator = np.random.Generator(np.random.Philox(seed))
        size, count = config.patch_size, config.patches_per_picture
        if len(self.pictures) * count < config.batch_size:
            few = f"{len(self.pictures)} pictures of {', '.join(config.training_sets)}"
            raise RelicError(f"{few} give less than a batch of {config.batch_size} patches: add pictures")
        self.x = np.empty((len(self.pictures) * count, size, size), np.uint8)
        for i, picture in enumerate(self.pictures):
            for which in range(count):
                top, left = (int(generator.integers(0, side - size + 1)) for side in picture.shape)
                self.x[i * count + which] = turned(picture[top : top + size, left : left + size], which)


def grey(image: np.ndarray) -> np.ndarray:
    """Return the luma of a uint8 picture HxWx3, rounded to uint8 HxW; a grey one as it is."""
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) if image.ndim == 3 else image


def turned(patch: np.ndarray, which: int) -> np.ndarray:
    """Return a square patch in one of its eight orientations: turned by which quarters, mirrored from the fourth on."""
    quarter = np.rot90(patch, which % 4)
    return quarter[:, ::-1] if which // 4 % 2 else quarter
