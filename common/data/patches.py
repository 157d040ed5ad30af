"""The random patches that training draws from data sets, and the sets that training must not see."""

import dataclasses
import hashlib
import sys
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np

from common import limits
from common.data.catalogue import SETS
from common.data.fetch import KODAK
from common.data.index import index_of, reason_of_refusal
from common.data.sets import count_of, digest_of, find, numbers_of
from common.data.sources import SAMPLE, Source, sha256
from common.data.training_pictures import Change, ChangedPictures, HeldPictures, Pictures, StoredPictures
from common.errors import RelicError

# Sets that results are measured on. BSD68 is part of bsds500/val, and so of bsds500 as a whole.
TEST_SETS = ("sample", "kodak", "set5", "set12", "set14", "classic5", "live1", "bsd68", "bsds500")
TEST_SPLITS = ("val", "validation", "test")
# The test split of BSDS500 is training data in this field: train400 is cut from it as well.
TRAINING_SETS = ("bsds500/train", "bsds500/test", "imagenet2012/validation", "synthetic")
TEST_PICTURES = frozenset((*KODAK.values(), *SAMPLE.values()))  # size in bytes and sha256 of their files


@dataclasses.dataclass
class _Chosen:
    """The pictures that training takes of a set, before any is decoded: their numbers and their part of the index."""

    name: str
    source: Source
    numbers: np.ndarray
    index: np.ndarray
    refused: np.ndarray  # numbers of those that are left out

    @property
    def count(self) -> int:
        """How many pictures there were to choose from."""
        return len(self.numbers) + len(self.refused)

    @property
    def nbytes(self) -> int:
        """What the decoded pictures take, in bytes."""
        return int(self.index[:, :3].astype(np.int64).prod(axis=1).sum())


class TrainingPatches:
    """Random square crops of the pictures of named sets, uint8; grey ones give three equal channels.

    Sets that decode to at most `limits.data_memory()` together are held in memory; of larger ones a picture is decoded
    when a patch of it is asked for. Both give the same patches: a batch depends on the seed and the step alone, so that
    a resumed training sees what an uninterrupted one sees. Every picture is equally likely, whatever its size.

    Attributes: `pictures`; `digests`, one sha256 for each set, of files in memory that of their contents, of others,
    after the word "sizes:", that of their paths and byte sizes; `skipped`, how many pictures of each set are smaller
    than a patch; `refused`, how many are of a kind that is refused, as CMYK. Both are left out, and a line on stderr
    says so. Raises RelicError for a test set, for damage, and where no picture is left.
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
        """Find the sets, at most `limit` pictures of each; `augment` mirrors half of the patches left to right.

        `only` names the pictures to take, by the stems of their files; all must be there. Naming them one by one is
        what allows a test set: a paper that splits one trains on a part, and answers for the rest. `prepare` is applied
        to every picture first.
        """
        self.patch_size, self.seed, self.augment, self.only = patch_size, seed, augment, tuple(only)
        sets = [self._chosen(name, limit) for name in names]
        self.digests: dict[str, str] = {}
        make = self._held if sum(one.nbytes for one in sets) <= limits.data_memory() else self._stored
        pictures = make(sets, prepare)
        fits = pictures.sizes.min(axis=1) >= patch_size
        set_of = np.repeat(np.arange(len(sets)), [len(one.numbers) for one in sets])
        self.skipped = {one.name: int((~fits[set_of == which]).sum()) for which, one in enumerate(sets)}
        self.refused = {one.name: len(one.refused) for one in sets}
        if limit is None:
            _say_what_is_lacking(sets)
            self._say_what_is_left_out(sets)
        if not fits.any():
            raise RelicError(f"no picture of {', '.join(names)} is at least {patch_size}x{patch_size}")
        self.pictures: Pictures = pictures.part(np.flatnonzero(fits))
        # How many rows and columns a patch can start at, for each picture.
        self._starts = self.pictures.sizes - patch_size + 1

    @property
    def about(self) -> dict[str, dict[str, Any]]:
        """What run.json says of the sets: their digests as `data`, and how many pictures are `left_out` and why."""
        smaller = f"smaller than {self.patch_size}x{self.patch_size}"
        counts = {name: {smaller: self.skipped[name], "refused": self.refused[name]} for name in self.digests}
        left_out = {name: {why: count for why, count in of.items() if count} for name, of in counts.items()}
        return {"data": self.digests, "left_out": {name: of for name, of in left_out.items() if of}}

    def _chosen(self, name: str, limit: int | None) -> _Chosen:
        """Return a set's pictures, of a test set only the named ones."""
        if not self.only:
            refuse_test_set(name)
        source = find(name)
        numbers = np.array(
            numbers_of(source, self.only, name) if self.only else range(count_of(source, limit)), np.int64
        )
        index = index_of(source, numbers.tolist(), name)
        if not self.only:
            _refuse_test_pictures(name, source, numbers, index)
        is_refused = index[:, 0] == 0
        return _Chosen(name, source, numbers[~is_refused], index[~is_refused], numbers[is_refused])

    def _held(self, sets: Sequence[_Chosen], prepare: Change | None) -> Pictures:
        """Return all pictures, decoded now."""
        images: list[np.ndarray] = []
        for one in sets:
            entries = [one.source.entry(number) for number in one.numbers.tolist()]
            self.digests[one.name] = digest_of(entries)
            images += [prepare(image) if prepare else image for _, _, image in entries]
        return HeldPictures(images)

    def _stored(self, sets: Sequence[_Chosen], prepare: Change | None) -> Pictures:
        """Return all pictures, to be decoded when they are asked for."""
        for one in sets:
            self.digests[one.name] = f"sizes:{_digest_of_sizes(one)}"
        places = [(np.full(len(one.numbers), which), one.numbers) for which, one in enumerate(sets)]
        pictures = StoredPictures(
            [one.source for one in sets],
            np.concatenate([np.column_stack(place) for place in places]),
            np.concatenate([one.index[:, :2].astype(np.int64) for one in sets]),
        )
        return ChangedPictures(pictures, prepare, keeps_sizes=False) if prepare else pictures

    def _say_what_is_left_out(self, sets: Sequence[_Chosen]) -> None:
        smaller = f"smaller than {self.patch_size}x{self.patch_size}"
        for one in sets:
            if self.skipped[one.name]:
                said = f"{self.skipped[one.name]:,} of {one.count:,} pictures are {smaller} and are left out"
                print(f"{one.name}: {said}", file=sys.stderr)
            if len(one.refused):
                first = int(one.refused[0])
                reason = f"{one.source.paths[first]}: {reason_of_refusal(one.source, first)}"
                said = f"{len(one.refused):,} of {one.count:,} pictures are refused and left out, the first is {reason}"
                print(f"{one.name}: {said}", file=sys.stderr)

    def batch(self, step: int, batch_size: int) -> np.ndarray:
        """Return the patches of a training step as uint8 (batch_size, patch_size, patch_size, 3)."""
        generator = np.random.Generator(np.random.Philox(np.random.SeedSequence((self.seed, step))))
        draws = generator.random((batch_size, 4))  # picture, row, column, mirror
        chosen = (draws[:, 0] * len(self.pictures)).astype(np.int64)
        corners = (draws[:, 1:3] * self._starts[chosen]).astype(np.int64)
        mirrored = (draws[:, 3] < 0.5) & self.augment
        patches = np.empty((batch_size, self.patch_size, self.patch_size, 3), np.uint8)
        crops = self.pictures.squares(chosen.tolist(), corners, self.patch_size)
        for patch, crop, mirror in zip(patches, crops, mirrored, strict=True):
            if mirror:
                crop = cv2.flip(crop, 1)  # OpenCV, as copying a reversed or a broadcast view is several times slower
            patch[...] = crop if crop.ndim == 3 else cv2.cvtColor(crop, cv2.COLOR_GRAY2RGB)
        return patches


def _say_what_is_lacking(sets: Sequence[_Chosen]) -> None:
    """Say on stderr of which sets fewer pictures are here than were published."""
    for one in sets:
        known = SETS.get(one.name)
        if known and not known.parts and len(one.source) < known.pictures:
            print(f"{one.name}: {len(one.source):,} of its {known.pictures:,} pictures are here", file=sys.stderr)


def _digest_of_sizes(chosen: _Chosen) -> str:
    """Return one sha256 over the paths and the byte sizes of pictures: to read all of them would take hours."""
    digest = hashlib.sha256(chosen.source.checksum.encode())
    for number, size in zip(chosen.numbers.tolist(), chosen.index[:, 3].tolist(), strict=True):
        digest.update(f"{chosen.source.paths[number]}\t{size}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _refuse_test_pictures(name: str, source: Source, numbers: np.ndarray, index: np.ndarray) -> None:
    """Raise RelicError that names a picture whose file is a test picture's: of the same size, and the same sha256."""
    for number in numbers[np.isin(index[:, 3], [size for size, _ in TEST_PICTURES])].tolist():
        data = source.encoded(number)
        if (len(data), sha256(data)) in TEST_PICTURES:
            held = source.names[number]
            raise RelicError(f"{name} holds {held}, a picture that results are measured on: take it out")


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
