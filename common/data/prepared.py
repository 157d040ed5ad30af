"""The sets of tensorflow-datasets: prepared by it on request, read from what it prepared."""

from collections.abc import Iterator
from typing import Any

from common.data.pictures import decode_image
from common.data.places import not_found, prepared_root
from common.data.sources import StoredPicture, sha256
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


def read_prepared(name: str) -> Iterator[StoredPicture]:
    """Yield the pictures of `set[/config][/split]` as tensorflow-datasets prepared it; raise RelicError for damage."""
    try:
        yield from _read(name)
    except RelicError:
        raise
    except Exception as error:  # its parsers and readers of records report damage by many
        where = f"{name} in {prepared_root()}"
        raise RelicError(f"cannot read {where}: truncated or damaged, prepare it anew ({_reason(error)})") from error


def _reason(error: Exception) -> str:
    """Return what an error says in one line, which is not too long."""
    return one_line(error)[:500] or type(error).__name__


def _read(name: str) -> Iterator[StoredPicture]:
    tfds = tensorflow_datasets()
    parent, _, last = name.rpartition("/")
    for set_name, split in ((name, ""), (parent, last)):
        try:
            builder = tfds.core.read_only_builder.builder_from_files(set_name, data_dir=prepared_root())
        except (tfds.core.registered.DatasetNotFoundError, ValueError):
            continue
        return _read_builder(tfds, builder, set_name, split or _only_split(set_name, builder))
    raise not_found(name)


def _only_split(name: str, builder: Any) -> str:
    """Return the split that a set's bare name means: its only one, and of clic the one that results are given on."""
    splits = list(builder.info.splits)
    if len(splits) == 1:
        return splits[0]
    if name == "clic":
        return "validation"
    raise RelicError(f"{name} has several splits: name one of {', '.join(f'{name}/{split}' for split in splits)}")


def _read_builder(tfds: Any, builder: Any, name: str, split: str) -> Iterator[StoredPicture]:
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


def prepare(name: str) -> None:
    """Let tensorflow-datasets download a set it knows and prepare it as array_record; raise RelicError if it fails."""
    tfds, folder = tensorflow_datasets(), expanded(str(prepared_root()))
    try:
        builder = tfds.builder(name, data_dir=folder, file_format="array_record")
    except (tfds.core.registered.DatasetNotFoundError, ValueError) as error:
        put = f"put its pictures into $RELIC_DATA/{name}"
        raise RelicError(f"tensorflow-datasets knows no set {name}, so it cannot be fetched: {put}") from error
    config = tfds.download.DownloadConfig(try_download_gcs=False)
    try:
        builder.download_and_prepare(download_config=config)
    except Exception as error:  # whatever its many downloaders and parsers raise
        what = f"tensorflow-datasets could not prepare {name}, get it by hand or retry"
        raise RelicError(f"{what}: {_reason(error)}") from error
