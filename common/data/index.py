"""How large the pictures of a set are, without decoding them; of a large set it is found out once and kept."""

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from common import limits
from common.data.pictures import decode_image, shape_by_header
from common.data.places import cache_root
from common.data.sources import Source, sha256
from common.data.workers import shared_workers
from common.errors import RelicError, describe_os_error
from common.files import atomic_file, expanded

MANY = 2000  # pictures: the headers of fewer are read in a second
HEAD = 2**14  # bytes that hold a JPEG file's header, unless a thumbnail or a colour profile comes before its sizes
GROUP, GROUPS = 64, 64  # headers that a process reads at once, and how many of these are under way
REFUSED = (0, 0, 0)

Shape = tuple[int, int, int]


def index_of(source: Source, numbers: Sequence[int], name: str) -> np.ndarray:
    """Return height, width, channels and bytes of pictures, int32 (N, 4), by their headers.

    Height and width are those of the decoded picture; the first three are 0 where the header shows that it is refused,
    for its colours in CMYK, its 16 bits and so on. Bytes are those of what it is stored as. Raises RelicError for
    damage that is met. The index of a whole set of MANY pictures is kept below the cache, until a path, a size or a
    time of change is another.
    """
    if not source.is_encoded:
        return _rows([(*source.shape(number), source.sizes[number]) for number in numbers])  # type: ignore[index]
    if source.is_read_in_turn:
        return _in_turn(source, numbers, name)
    if len(numbers) < MANY:
        return _rows([_row(source, number) for number in numbers])
    if len(numbers) < len(source):
        return _in_parallel(source, numbers, name)
    index = _kept(source)
    if index is None:
        index = _in_parallel(source, numbers, name)
        _keep(source, index, name)
    return index


def reason_of_refusal(source: Source, number: int) -> str:
    """Return why a picture is refused that the index says is."""
    try:
        shape_by_header(source.encoded(number))
    except RelicError as refusal:
        return str(refusal)
    return "its file has changed"


def _rows(rows: Sequence[tuple[int, ...]]) -> np.ndarray:
    return np.minimum(np.array(rows, np.int64).reshape(len(rows), 4), 2**31 - 1).astype(np.int32)


def _row(source: Source, number: int) -> tuple[int, ...]:
    """Return one picture's row of the index."""
    head = source.encoded(number, HEAD)
    shape = shape_by_head(head)
    if shape is None:
        head = source.encoded(number)
        shape = shape_of(head, source.place_of(number))
    return *shape, len(head) if source.sizes is None else source.sizes[number]


def shape_by_head(data: bytes) -> Shape | None:
    """Return the shape by a file's first bytes, REFUSED where they show that it is, None where they do not do."""
    try:
        return shape_by_header(data)
    except RelicError:
        return REFUSED


def shapes_by_heads(heads: Sequence[bytes]) -> list[tuple[Shape | None, int]]:
    """Return the shapes by files' first bytes, and how many bytes there were."""
    return [(shape_by_head(head), len(head)) for head in heads]


def shape_of(data: bytes, place: str) -> Shape:
    """Return the shape of the picture in a whole file, which is decoded where the header does not tell."""
    shape = shape_by_head(data)
    if shape is not None:
        return shape
    image = decode_image(data, place)
    return image.shape[0], image.shape[1], 3 if image.ndim == 3 else 1


def _in_turn(source: Source, numbers: Sequence[int], name: str) -> np.ndarray:
    """Return the index of a set that is too small for random access to be missed; raise RelicError for a larger one."""
    rows, size = [], 0
    for number in numbers:
        rows.append(_row(source, number))
        size += rows[-1][0] * rows[-1][1] * rows[-1][2]
        if size > limits.data_memory():
            most = f"{limits.data_memory() >> 20} MiB"
            raise RelicError(
                f"{name} decodes to more than {most} and was not prepared as array_record, so that no picture is read "
                f"without those before it: prepare it anew, or set {limits.DATA_VARIABLE} to more MiB"
            )
    return _rows(rows)


def _in_parallel(source: Source, numbers: Sequence[int], name: str) -> np.ndarray:
    print(f"{name}: reading the sizes of {len(numbers):,} pictures", file=sys.stderr)
    index = np.empty((len(numbers), 4), np.int32)
    with tqdm(total=len(numbers), desc=name, unit="picture", disable=None, dynamic_ncols=True) as bar:
        for start in range(0, len(numbers), GROUP * GROUPS):
            part = numbers[start : start + GROUP * GROUPS]
            index[start : start + len(part)] = _part(source, part)
            bar.update(len(part))
    return index


def _part(source: Source, numbers: Sequence[int]) -> np.ndarray:
    """Return some rows of the index, which processes find out."""

    def heads(group: Sequence[int]) -> tuple[list[bytes]]:
        return ([source.encoded(number, HEAD) for number in group],)

    def whole(number: int) -> tuple[bytes, str]:
        return source.encoded(number), source.place_of(number)

    groups = [numbers[start : start + GROUP] for start in range(0, len(numbers), GROUP)]
    workers = shared_workers()
    found: list[tuple[Shape | None, int]] = sum(
        workers.map(shapes_by_heads, [partial(heads, group) for group in groups]), []
    )
    missing = [place for place, (shape, _) in enumerate(found) if shape is None]
    others = workers.map(shape_of, [partial(whole, numbers[place]) for place in missing])
    shapes = [shape or REFUSED for shape, _ in found]
    for place, shape in zip(missing, others, strict=True):
        shapes[place] = shape
    sizes = [size for _, size in found] if source.sizes is None else source.sizes[np.asarray(numbers)]
    return _rows([(*shape, size) for shape, size in zip(shapes, sizes, strict=True)])


# --- what is kept --------------------------------------------------------------------------------------------------


def _path_of(source: Source) -> Path:
    return expanded(str(cache_root().parent)) / "sizes" / f"{sha256(source.place.encode(errors='surrogateescape'))}.npz"


def _kept(source: Source) -> np.ndarray | None:
    try:
        with np.load(_path_of(source), allow_pickle=False) as kept:
            index = kept["index"]
            is_current = str(kept["stamp"]) == source.stamp()
    except Exception:  # there is none, or as many kinds of damage as numpy reports: it is made anew
        return None
    return index if is_current and index.shape == (len(source), 4) and index.dtype == np.int32 else None


def _keep(source: Source, index: np.ndarray, name: str) -> None:
    path = _path_of(source)
    try:
        with atomic_file(path) as file:
            np.savez(file, stamp=source.stamp(), index=index)
    except OSError as error:
        said = f"the sizes of its pictures cannot be kept and are read again next time ({describe_os_error(error)})"
        print(f"{name}: {said}", file=sys.stderr)
