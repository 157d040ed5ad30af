"""The random patches that training draws from data sets, and the sets that training must not see."""

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from common.data.fetch import KODAK
from common.data.sets import digest_of, named_entries, read_entries
from common.data.sources import SAMPLE, StoredPicture
from common.errors import RelicError

# Sets that results are measured on. BSD68 is part of bsds500/val, and so of bsds500 as a whole.
TEST_SETS = ("sample", "kodak", "set5", "set12", "set14", "classic5", "live1", "bsd68", "bsds500")
TEST_SPLITS = ("val", "validation", "test")
# The test split of BSDS500 is training data in this field: train400 is cut from it as well.
TRAINING_SETS = ("bsds500/train", "bsds500/test", "imagenet2012/validation", "synthetic")
TEST_PICTURES = frozenset(digest for _, digest in KODAK.values()) | frozenset(SAMPLE.values())


class TrainingPatches:
    """Random square crops of the pictures of named sets, held in memory as uint8; grey ones give three equal channels.

    A batch depends on the seed and the step alone, so that a resumed training sees what an uninterrupted one sees.
    Every picture is equally likely, whatever its size. Attributes: `digests`, one sha256 for each set; `skipped`, how
    many pictures of each set are smaller than a patch. Raises RelicError for a test set, or where no picture is left.
    """

    def __init__(
        self,
        names: Sequence[str],
        patch_size: int,
        seed: int,
        augment: bool,
        limit: int | None = None,
        only: Sequence[str] = (),
        prepare: Callable[[np.ndarray], np.ndarray] | None = None,
    ) -> None:
        """Load the sets, at most `limit` pictures of each; `augment` mirrors half of the patches left to right.

        `only` names the pictures to take, by the stems of their files; all must be there. Naming them one by one is
        what allows a test set: a paper that splits one trains on a part, and answers for the rest. `prepare` is applied
        to every picture first.
        """
        self.patch_size, self.seed, self.augment, self.only = patch_size, seed, augment, tuple(only)
        self._prepare = prepare
        self.pictures: list[np.ndarray] = []
        self.digests: dict[str, str] = {}
        self.skipped: dict[str, int] = {}
        for name in names:
            self._add(name, self._chosen(name, limit))
        if not self.pictures:
            raise RelicError(f"no picture of {', '.join(names)} is at least {patch_size}x{patch_size}")
        # How many rows and columns a patch can start at, for each picture.
        self._starts = np.array([image.shape[:2] for image in self.pictures]) - patch_size + 1

    def _chosen(self, name: str, limit: int | None) -> list[StoredPicture]:
        """Return a set's entries, of a test set only the named ones."""
        if self.only:
            return named_entries(name, self.only)
        refuse_test_set(name)
        entries = read_entries(name, limit)
        known = [stem for stem, digest, _ in entries if digest in TEST_PICTURES]
        if known:
            raise RelicError(f"{name} holds {known[0]}, a picture that results are measured on: take it out")
        return entries

    def _add(self, name: str, entries: Sequence[StoredPicture]) -> None:
        images = [self._prepare(image) if self._prepare else image for _, _, image in entries]
        kept = [image for image in images if min(image.shape[:2]) >= self.patch_size]
        self.pictures += kept
        self.digests[name] = digest_of(entries)
        self.skipped[name] = len(entries) - len(kept)

    def batch(self, step: int, batch_size: int) -> np.ndarray:
        """Return the patches of a training step as uint8 (batch_size, patch_size, patch_size, 3)."""
        generator = np.random.Generator(np.random.Philox(np.random.SeedSequence((self.seed, step))))
        draws = generator.random((batch_size, 4))  # picture, row, column, mirror
        chosen = (draws[:, 0] * len(self.pictures)).astype(np.int64)
        corners = (draws[:, 1:3] * self._starts[chosen]).astype(np.int64)
        mirrored = (draws[:, 3] < 0.5) & self.augment
        patches = np.empty((batch_size, self.patch_size, self.patch_size, 3), np.uint8)
        for patch, picture, (top, left), mirror in zip(patches, chosen, corners, mirrored, strict=True):
            crop = self.pictures[picture][top : top + self.patch_size, left : left + self.patch_size]
            if mirror:
                crop = cv2.flip(crop, 1)  # OpenCV, as copying a reversed or a broadcast view is several times slower
            patch[...] = crop if crop.ndim == 3 else cv2.cvtColor(crop, cv2.COLOR_GRAY2RGB)
        return patches


def refuse_test_set(name: str) -> None:
    """Raise RelicError if the named set is one that results are measured on."""
    parts = name.lower().split("/")
    if name in TRAINING_SETS:
        return
    is_test_split = len(parts) > 1 and parts[-1] in TEST_SPLITS
    if is_test_split or any(part in TEST_SETS or part.startswith("clic") for part in parts):
        raise RelicError(
            f"{name} is or holds a test set, and training on it would make results on it worthless: "
            "choose training sets such as imagenet_sample or bsds500/train"
        )
