"""The sets of tensorflow-datasets: prepared by it on request, read from what it prepared."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from common.data.places import not_found, prepared_root
from common.data.sources import Source, sha256
from common.errors import RelicError, one_line
from common.files import expanded


def tensorflow_datasets() -> Any:
    """Return the module tensorflow_datasets, imported only now; raise RelicError where it cannot be."""
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise RelicError(f"tensorflow-datasets is missing ({error}): pip install tensorflow-datasets") from error
    if not hasattr(tfds, "core"):  # it prints some of its import errors and goes on without its contents
        raise RelicError("tensorflow-datasets cannot be imported: install the versions that this project requires")
    return tfds


class Records(Source):
    """The pictures of a split that tensorflow-datasets has prepared, without TensorFlow where it did as array_record.

    They are taken encoded and decoded here, so that one rule holds for the pictures of every source.
    """

    def __init__(self, name: str) -> None:
        """Find `set[/config][/split]`; raise RelicError where it is not there or is damaged."""
        self.place, self.name = f"{name} in {prepared_root()}", name
        self._one_at_a_time = threading.Lock()  # its readers open their files when they are first asked
        with self._damage_named():
            self._builder, split, self._key, self._examples = _opened(name)
            self._split = self._builder.info.splits[split]
        self.paths = [f"{split}_{index:06d}" for index in range(self._split.num_examples)]
        self.is_read_in_turn = isinstance(self._examples, _InTurn)

    def encoded(self, number: int, most: int | None = None) -> bytes:
        """Return the bytes of a picture file; raise RelicError for damage."""
        with self._damage_named(), self._one_at_a_time:
            return bytes(self._examples[number][self._key])

    def place_of(self, number: int) -> str:
        """Return the picture's number and the set's name."""
        return f"picture {number} of {self.name}"

    def stamp(self) -> str:
        """Return a sha256 over the set's full name, which has its version, and its files' sizes and times of change."""
        states = [os.stat(path) for path in self._split.filepaths]
        files = [(state.st_size, state.st_mtime_ns) for state in states]
        return sha256(repr((self._builder.info.full_name, files)).encode())

    @contextmanager
    def _damage_named(self) -> Iterator[None]:
        try:
            yield
        except RelicError:
            raise
        except Exception as error:  # its parsers and readers of records report damage by many
            where = f"cannot read {self.place}"
            raise RelicError(f"{where}: truncated or damaged, prepare it anew ({_reason(error)})") from error


class _InTurn:
    """Examples that are read one after the other, as those of a tfrecord: to go back is to begin again."""

    def __init__(self, begin: Callable[[], Iterator[Any]]) -> None:
        self._begin, self._left, self._next = begin, begin(), 0

    def __getitem__(self, number: int) -> Any:
        if number < self._next:
            self._left, self._next = self._begin(), 0
        for _ in range(self._next, number):
            next(self._left)
        self._next = number + 1
        return next(self._left)


def _reason(error: Exception) -> str:
    """Return what an error says in one line, which is not too long."""
    return one_line(error)[:500] or type(error).__name__


def _opened(name: str) -> tuple[Any, str, str, Any]:
    """Return the builder of a prepared set, the split, the key of its pictures, and its examples by their numbers."""
    tfds = tensorflow_datasets()
    parent, _, last = name.rpartition("/")
    for set_name, split in ((name, ""), (parent, last)):
        try:
            builder = tfds.core.read_only_builder.builder_from_files(set_name, data_dir=prepared_root())
        except (tfds.core.registered.DatasetNotFoundError, ValueError):
            continue
        split = split or _only_split(set_name, builder)
        return builder, split, *_examples(tfds, builder, set_name, split)
    raise not_found(name)


def _only_split(name: str, builder: Any) -> str:
    """Return the split that a set's bare name means: its only one, and of clic the one that results are given on."""
    splits = list(builder.info.splits)
    if len(splits) == 1:
        return splits[0]
    if name == "clic":
        return "validation"
    raise RelicError(f"{name} has several splits: name one of {', '.join(f'{name}/{split}' for split in splits)}")


def _examples(tfds: Any, builder: Any, name: str, split: str) -> tuple[str, Any]:
    if split not in builder.info.splits:
        raise RelicError(f"{name} has no split {split}: choose one of {', '.join(builder.info.splits)}")
    keys = [key for key, feature in builder.info.features.items() if isinstance(feature, tfds.features.Image)]
    if not keys:
        raise RelicError(f"{name} holds no pictures: choose a set of pictures")
    encoded = {keys[0]: tfds.decode.SkipDecoding()}
    if builder.info.file_format == tfds.core.FileFormat.ARRAY_RECORD:
        return keys[0], builder.as_data_source(split, decoders=encoded)
    return keys[0], _InTurn(lambda: iter(tfds.as_numpy(builder.as_dataset(split=split, decoders=encoded))))


def prepare(name: str) -> None:
    """Let tensorflow-datasets download a set it knows and prepare it as array_record; raise RelicError if it fails."""
    tfds, folder = tensorflow_datasets(), expanded(str(prepared_root()))
    try:
        builder = tfds.builder(name, data_dir=folder, file_format="array_record")
    except (tfds.core.registered.DatasetNotFoundError, ValueError) as error:
        put = f"put its pictures into $RELIC_DATA/{name}, or take one of `python -m common.data list`"
        raise RelicError(f"tensorflow-datasets knows no set {name}, so it cannot be fetched: {put}") from error
    config = tfds.download.DownloadConfig(try_download_gcs=False)
    try:
        builder.download_and_prepare(download_config=config)
    except Exception as error:  # whatever its many downloaders and parsers raise
        what = f"tensorflow-datasets could not prepare {name}, get it by hand or retry"
        raise RelicError(f"{what}: {_reason(error)}") from error
