"""Data sets by name, as uint8 arrays in memory, and the random patches that training draws from them.

A name is a folder, `kodak` or `bsds500/train`, looked for in this order: `$RELIC_DATA/<name>`, the cache
`$RELIC_CACHE/data/<name>` (default ~/.cache/relic), the sets that tensorflow-datasets has prepared, with their split
where they have several: `cifar10/train`. `sample` is embedded: three photographs that scikit-image ships.

    python -m common.data list           # the sets known here, where they are found, and their terms
    python -m common.data fetch kodak    # download into the cache, every file verified
    python -m common.data fetch cifar10  # let tensorflow-datasets download and prepare a set
"""
from __future__ import annotations

import argparse
import itertools
import os
from pathlib import Path, PurePosixPath
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence, Tuple, Union

import cv2
import numpy as np

from common.errors import RelicError, run_main
from common.fetch import KNOWN, KODAK, KODAK_URL, fetch_kodak, how_to_get
from common.pictures import decode_image, read_image, write_png
from common.sources import EMBEDDED, SAMPLE, Entry, arrays_of, read_arrays, read_folder, sha256

__all__ = ["TrainingPatches", "images", "load", "read_image", "tensorflow_datasets", "write_png"]

Picture = Tuple[str, np.ndarray]  # stem of the file's name, uint8 picture

MAX_SET_BYTES = 2 ** 34
# Sets that results are measured on. BSD68 is part of bsds500/val, and so of bsds500 as a whole.
TEST_SETS = ("sample", "kodak", "set5", "set12", "set14", "classic5", "live1", "bsd68", "bsds500")
TEST_SPLITS = ("val", "validation", "test")
# The test split of BSDS500 is training data in this field: train400 is cut from it as well.
TRAINING_SETS = ("bsds500/train", "bsds500/test", "imagenet2012/validation", "synthetic")
TEST_PICTURES = frozenset(digest for _, digest in KODAK.values()) | frozenset(SAMPLE.values())


def images(name: str, limit: Optional[int] = None, directory: Union[str, Path, None] = None) -> List[Picture]:
    """Return a set's pictures as (stem, uint8 array (height, width, 3) or (height, width)), in order of their paths.

    `limit` keeps the first ones; `directory` reads that folder, whatever the name. Raises RelicError where the set is
    not found, saying how to get it, and for an empty folder or an unreadable picture.
    """
    return load(name, limit, directory)[0]


def load(
    name: str, limit: Optional[int] = None, directory: Union[str, Path, None] = None
) -> Tuple[List[Picture], str]:
    """Return what `images` returns, and one sha256 over the sorted sha256 of the files (or arrays) read."""
    entries = _entries(name, limit, directory)
    return [(stem, image) for stem, _, image in entries], _digest(entries)


def _entries(name: str, limit: Optional[int], directory: Union[str, Path, None] = None) -> List[Entry]:
    if limit is not None and limit < 1:
        raise RelicError(f"a limit of {limit} pictures leaves none: give 1 or more")
    found = _find(name) if directory is None else read_folder(Path(directory).expanduser())
    entries, size = [], 0
    for entry in itertools.islice(found, limit):
        entries.append(entry)
        size += entry[2].nbytes
        if size > MAX_SET_BYTES:
            raise RelicError(f"{name} needs more than {MAX_SET_BYTES >> 30} GiB of memory: give a smaller limit")
    return entries


def _digest(entries: Sequence[Entry]) -> str:
    return sha256("\n".join(sorted(digest for _, digest, _ in entries)).encode())


def _find(name: str) -> Iterator[Entry]:
    """Read a named set from the first place that has it."""
    if name in EMBEDDED:
        return EMBEDDED[name]()
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts or str(path) != name:
        raise RelicError(f"{name!r} is no data set's name: write it like kodak or bsds500/train")
    for root in roots():
        if (root / name).is_dir():
            return read_folder(root / name)
        if arrays_of(root / name).is_file():
            return read_arrays(arrays_of(root / name), path.name)
    if (prepared_root() / path.parts[0]).is_dir():
        return _read_prepared(name)
    raise _not_found(name)


def _not_found(name: str) -> RelicError:
    places = ", ".join(str(root / name) for root in roots())
    return RelicError(f"no data set {name} in {places} nor {prepared_root()}: {how_to_get(name)}")


def roots() -> List[Path]:
    """Return the folders that named sets are looked for in: `$RELIC_DATA` where it is set, then the cache."""
    own = os.environ.get("RELIC_DATA")
    return [Path(own).expanduser(), cache_root()] if own else [cache_root()]


def cache_root() -> Path:
    """Return the folder that fetched sets are kept in: `$RELIC_CACHE/data`, where RELIC_CACHE is ~/.cache/relic."""
    return Path(os.environ.get("RELIC_CACHE") or "~/.cache/relic").expanduser() / "data"


def prepared_root() -> Path:
    """Return the folder tensorflow-datasets keeps its prepared sets in: `$TFDS_DATA_DIR` or ~/tensorflow_datasets."""
    return Path(os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets").expanduser()


def tensorflow_datasets() -> Any:
    """Return the module tensorflow_datasets, imported only now; raise RelicError where it cannot be."""
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise RelicError(f"tensorflow-datasets is missing ({error}): pip install tensorflow-datasets") from error
    if not hasattr(tfds, "core"):  # it prints some of its import errors and goes on without its contents
        raise RelicError("tensorflow-datasets cannot be imported: install the versions that this project requires")
    return tfds


def _read_prepared(name: str) -> Iterator[Entry]:
    """Read `set[/config][/split]` as tensorflow-datasets prepared it."""
    tfds = tensorflow_datasets()
    parent, _, last = name.rpartition("/")
    for set_name, split in ((name, ""), (parent, last)):
        try:
            builder = tfds.core.read_only_builder.builder_from_files(set_name, data_dir=prepared_root())
        except (tfds.core.registered.DatasetNotFoundError, ValueError):
            continue
        return _read_builder(tfds, builder, set_name, split or _only_split(set_name, builder))
    raise _not_found(name)


def _only_split(name: str, builder: Any) -> str:
    """Return the split that a set's bare name means: its only one, and of clic the one that results are given on."""
    splits = list(builder.info.splits)
    if len(splits) == 1:
        return splits[0]
    if name == "clic":
        return "validation"
    raise RelicError(f"{name} has several splits: name one of {', '.join(f'{name}/{split}' for split in splits)}")


def _read_builder(tfds: Any, builder: Any, name: str, split: str) -> Iterator[Entry]:
    """Yield the pictures of a prepared split, without TensorFlow where it was prepared as array_record.

    They are taken encoded and decoded here, so that one rule holds for the pictures of every source.
    """
    if split not in builder.info.splits:
        raise RelicError(f"{name} has no split {split}: choose one of {', '.join(builder.info.splits)}")
    keys = [key for key, feature in builder.info.features.items() if isinstance(feature, tfds.features.Image)]
    if not keys:
        raise RelicError(f"{name} holds no pictures: choose a set of pictures")
    encoded = {keys[0]: tfds.decode.SkipDecoding()}
    if builder.info.file_format == tfds.core.FileFormat.ARRAY_RECORD:
        examples = builder.as_data_source(split, decoders=encoded)
    else:
        examples = tfds.as_numpy(builder.as_dataset(split=split, decoders=encoded))
    for index, example in enumerate(examples):
        data = bytes(example[keys[0]])
        yield f"{split}_{index:06d}", sha256(data), decode_image(data, f"picture {index} of {name}/{split}")


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
        limit: Optional[int] = None,
        only: Sequence[str] = (),
        prepare: Optional[Callable[[np.ndarray], np.ndarray]] = None,
    ) -> None:
        """Load the sets, at most `limit` pictures of each; `augment` mirrors half of the patches left to right.

        `only` names the pictures to take, by the stems of their files; all must be there. Naming them one by one is
        what allows a test set: a paper that splits one trains on a part, and answers for the rest. `prepare` is applied
        to every picture first.
        """
        self.patch_size, self.seed, self.augment, self.only = patch_size, seed, augment, tuple(only)
        self._prepare = prepare
        self.pictures: List[np.ndarray] = []
        self.digests: Dict[str, str] = {}
        self.skipped: Dict[str, int] = {}
        for name in names:
            self._add(name, self._chosen(name, limit))
        if not self.pictures:
            raise RelicError(f"no picture of {', '.join(names)} is at least {patch_size}x{patch_size}")
        # How many rows and columns a patch can start at, for each picture.
        self._starts = np.array([image.shape[:2] for image in self.pictures]) - patch_size + 1

    def _chosen(self, name: str, limit: Optional[int]) -> List[Entry]:
        """Return a set's entries, of a test set only the named ones."""
        if self.only:
            return named_entries(name, self.only)
        refuse_test_set(name)
        entries = _entries(name, limit)
        known = [stem for stem, digest, _ in entries if digest in TEST_PICTURES]
        if known:
            raise RelicError(f"{name} holds {known[0]}, a picture that results are measured on: take it out")
        return entries

    def _add(self, name: str, entries: Sequence[Entry]) -> None:
        images = [self._prepare(image) if self._prepare else image for _, _, image in entries]
        kept = [image for image in images if min(image.shape[:2]) >= self.patch_size]
        self.pictures += kept
        self.digests[name] = _digest(entries)
        self.skipped[name] = len(entries) - len(kept)

    def batch(self, step: int, batch_size: int) -> np.ndarray:
        """Return the patches of a training step as uint8 (batch_size, patch_size, patch_size, 3)."""
        generator = np.random.Generator(np.random.Philox(np.random.SeedSequence((self.seed, step))))
        draws = generator.random((batch_size, 4))  # picture, row, column, mirror
        chosen = (draws[:, 0] * len(self.pictures)).astype(np.int64)
        corners = (draws[:, 1:3] * self._starts[chosen]).astype(np.int64)
        mirrored = (draws[:, 3] < 0.5) & self.augment
        patches = np.empty((batch_size, self.patch_size, self.patch_size, 3), np.uint8)
        for patch, picture, (top, left), mirror in zip(patches, chosen, corners, mirrored):
            crop = self.pictures[picture][top:top + self.patch_size, left:left + self.patch_size]
            if mirror:
                crop = cv2.flip(crop, 1)  # OpenCV, as copying a reversed or a broadcast view is several times slower
            patch[...] = crop if crop.ndim == 3 else cv2.cvtColor(crop, cv2.COLOR_GRAY2RGB)
        return patches


def named_entries(name: str, stems: Sequence[str]) -> List[Entry]:
    """Return the entries of a set with these stems, in their order; raise RelicError that names a missing one."""
    entries = {entry[0]: entry for entry in _entries(name, None)}
    missing = [stem for stem in stems if stem not in entries]
    if missing:
        raise RelicError(f"{name} lacks {missing[0]}: {how_to_get(name)}")
    return [entries[stem] for stem in stems]


def refuse_test_set(name: str) -> None:
    """Raise RelicError if the named set is one that results are measured on."""
    parts = name.lower().split("/")
    if name in TRAINING_SETS:
        return
    is_test_split = len(parts) > 1 and parts[-1] in TEST_SPLITS
    if is_test_split or any(part in TEST_SETS or part.startswith("clic") for part in parts):
        raise RelicError(f"{name} is or holds a test set, and training on it would make results on it worthless: "
                         "choose training sets such as imagenet_sample or bsds500/train")


def prepare(name: str) -> None:
    """Let tensorflow-datasets download a set it knows and prepare it as array_record; raise RelicError if it fails."""
    tfds = tensorflow_datasets()
    try:
        builder = tfds.builder(name, data_dir=prepared_root(), file_format="array_record")
    except (tfds.core.registered.DatasetNotFoundError, ValueError) as error:
        put = f"put its pictures into $RELIC_DATA/{name}"
        raise RelicError(f"tensorflow-datasets knows no set {name}, so it cannot be fetched: {put}") from error
    config = tfds.download.DownloadConfig(try_download_gcs=False)
    try:
        builder.download_and_prepare(download_config=config)
    except Exception as error:  # whatever its many downloaders and parsers raise
        reason = " ".join(str(error).split())[:500] or type(error).__name__
        raise RelicError(f"tensorflow-datasets could not prepare {name}, get it by hand or retry: {reason}") from error


def fetch(name: str, url: str = KODAK_URL) -> None:
    """Fetch a named set: Kodak into the cache, others through tensorflow-datasets; raise RelicError if it fails."""
    known = KNOWN.get(name)
    if name == "kodak":
        fetch_kodak(cache_root() / name, url)
    elif name == "sample":
        print("sample needs no fetching: scikit-image ships it")
    elif known is not None and not known.fetched:
        raise RelicError(f"{name} cannot be fetched: {how_to_get(name)}")
    else:
        prepare(name)
    print(f"{name}: {where(name)}")


def where(name: str) -> str:
    """Return the place a known set would be read from, or "-"."""
    if name == "sample":
        return "scikit-image"
    found = [root / name for root in (*roots(), prepared_root()) if (root / name).is_dir()]
    return str(found[0]) if found else "-"


def print_sets() -> None:
    """Print the sets known here: name, what they hold, where they are found, and their terms."""
    for name, known in KNOWN.items():
        print(f"{name:<18} {known.contents:<36} {where(name):<24} {known.terms}")


def main() -> None:
    """Run the command line: `list` or `fetch NAME`."""
    parser = argparse.ArgumentParser(prog="python -m common.data", description="List and fetch data sets.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="the sets known here, where they are found, and their terms")
    fetching = commands.add_parser("fetch", help="download a set")
    fetching.add_argument("name", help="kodak, or a set that tensorflow-datasets knows")
    fetching.add_argument("--url", default=KODAK_URL, help="where Kodak's files are (default %(default)s)")
    arguments = parser.parse_args()
    if arguments.command == "list":
        print_sets()
    else:
        fetch(arguments.name, arguments.url)


if __name__ == "__main__":
    run_main(main)
