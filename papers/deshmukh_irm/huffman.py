"""Bytes to fewer bytes and back: dynamic Huffman coding, algorithm FGK, the entropy coder of section 3.1.

One pass, no table. Both sides begin with a tree of one leaf, the zero leaf, that stands for all bytes not yet seen, and
count each byte into the tree after it is coded. A byte that was seen costs the path to its leaf, left 0, right 1. A new
one costs the path to the zero leaf and its rank q from 0 among the m bytes not yet seen, in ascending order: with
m = 2**e + r and r < 2**e, q in e + 1 bits if q < 2 r, else q - r in e bits (the code of Knuth and of Vitter; that list
the bytes in another order). The zero leaf then splits, left into a new zero leaf, right into the byte's; for the last
of the 256 it becomes the byte's. Bits fill bytes from the top; zeros fill the last one.

The tree stays a Huffman tree by Gallager's sibling property: its nodes, numbered from the left and from below, have
non-decreasing weights, and siblings have adjacent numbers. Along the path from the leaf to the root each node changes
places with the highest-numbered one of its weight, if that is not its parent, before its weight grows by 1.

Sources: D. E. Knuth, "Dynamic Huffman Coding", Journal of Algorithms 6, 1985, reference [8] of the paper; J. S. Vitter,
"Design and Analysis of Dynamic Huffman Codes", Journal of the ACM 34, 1987. A change of the bits is a change of the
file format's version.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from common.errors import RelicError

try:
    import numba
    import numba.extending
except ImportError:  # an optional extra: without it the same functions run in Python and give the same bits
    numba = None  # type: ignore[assignment, unused-ignore]

# Nodes are places 0 to 510, the root last, siblings at 2 k and 2 k + 1. What moves when nodes change places is their
# content: the pair k of children below them, or LEAF + byte. place[content] is where it stands now, -1 if nowhere; for
# a pair that is the parent. With m bytes not yet seen, the zero leaf stands at 2 m - 2 and all places above are used.
ROOT, ABOVE_ROOT = 510, 511
LEAF = 256
ZERO_LEAF = LEAF + 256

# A node's uncle has a higher number, so it weighs no less than the node: up a path weights grow at least like
# Fibonacci's numbers F, and a leaf of weight w at depth d in a tree of weight t has w F(d + 1) <= t, so that
# d <= 1 + log_phi(t / w). F(48) > 2**32: paths have at most 46 bits, as the zero leaf is as deep as its sibling. With a
# rank's 8 bits and the 7 that wait for a full byte they fit the compiler's 64-bit integers.
MAX_COUNT = 2**32 - 1

# Bits behind the end that the decoder may read before it looks where it is: a path and a rank.
_TAIL = 512

_REMEDY = "compress the picture again"


class HuffmanError(RelicError):
    """Coded data that are cut, too long or not of this many bytes."""


def encode(data: bytes | np.ndarray) -> bytes:
    """Return the code of bytes or of a uint8 array of any shape, in C order; nothing gives no bytes.

    Neither the number nor the shape is coded. Raises ValueError for other dtypes and for 2**32 bytes or more.
    Source: section 3.1, "a Python implementation of Huffman coding [8]".
    """
    values = _as_values(data)
    # Summed over the t bytes, the bound on a depth is t + log_phi((t - 1)! / prod (c - 1)!) bits, with the count c of
    # each distinct byte. That is at most t + log_phi(257**t 255!) < 12.6 t + 2420; the ranks add at most 2048.
    target, end = _run(_write_codes, values, 13 * values.size // 8 + 1024)
    return target[:end].tobytes()


def decode(data: bytes, count: int) -> np.ndarray:
    """Return the uint8 (count,) array that `encode` turned into `data`.

    Every sequence of bits is the code of some bytes, so damage mostly gives other bytes: noticing it is the task of a
    checksum of `data`, as the container has. Raises HuffmanError for data that are cut or too long or whose last bits
    are not zeros, before anything is allocated if `count` is impossible; raises ValueError for a negative `count`. Time
    and memory are bounded by `count` and the length of `data`, of which each byte takes about 20.
    """
    coded = _as_values(data)
    if count < 0:
        raise ValueError(f"count must not be negative, and is {count}")
    # The first byte costs 8 bits, any other at least 1.
    if count > min(max(8 * coded.size - 7, 0), MAX_COUNT):
        raise HuffmanError(f"{coded.size} bytes of code are too few for {count} values: {_REMEDY}")
    bits = np.unpackbits(np.append(coded, np.zeros(_TAIL // 8, np.uint8)))
    values, end = _run(_read_codes, bits, count)
    if end < 0:
        raise HuffmanError(f"the coded data were cut: {_REMEDY}")
    if 8 * coded.size - end >= 8 or bits[end:].any():
        raise HuffmanError(f"the coded data go on after {count} values: {_REMEDY}")
    return values


def entropy_bits(data: bytes | np.ndarray) -> float:
    """Return the empirical entropy of order 0 of bytes or a uint8 array, in bits of all its values together.

    Raises ValueError for other dtypes.
    """
    values = _as_values(data)
    counts = np.bincount(values)
    counts = counts[counts > 0]
    return float((counts * np.log2(values.size / counts)).sum())


def _as_values(data: bytes | np.ndarray) -> np.ndarray:
    """Return bytes or a uint8 array as a flat uint8 array; raises ValueError for other dtypes and too many values."""
    values = data if isinstance(data, np.ndarray) else np.frombuffer(data, np.uint8)
    if values.dtype != np.uint8:
        raise ValueError(f"Huffman coding takes bytes or uint8 values, not {values.dtype}")
    if values.size > MAX_COUNT:
        raise ValueError(f"Huffman coding takes at most {MAX_COUNT} values, not {values.size}")
    return np.ascontiguousarray(values).reshape(-1)


def _new_tree() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the int64 weights and contents of the places, and the places of the contents, of a zero leaf alone."""
    weight = np.zeros(ABOVE_ROOT + 1, np.int64)
    content = np.full(ABOVE_ROOT, ZERO_LEAF, np.int64)
    place = np.full(LEAF + 256, -1, np.int64)
    # Climbing stops above the root, whose weight no node has.
    weight[ABOVE_ROOT], place[ROOT // 2] = -1, ABOVE_ROOT
    return weight, content, place


def _run(kernel: Callable[..., int], source: np.ndarray, size: int) -> tuple[np.ndarray, int]:
    """Call a kernel with a new tree; return its target, uint8 (size,), and its result."""
    source, target = source.view(), np.empty(size, np.uint8)
    # The memory of bytes is read-only and that of arrays is not: for one type numba compiles once.
    source.setflags(write=False)
    if hasattr(kernel, "py_func"):
        return target, kernel(source, target, *_new_tree())
    # Python indexes bytes and lists several times as fast as arrays.
    return target, kernel(source.tobytes(), target.data, *(table.tolist() for table in _new_tree()))


def _compiled(function: Callable[..., int]) -> Callable[..., int]:
    """Return a kernel as numba compiles it, its Python source being `py_func`; without numba, the kernel."""
    if numba is None:
        return function
    try:
        return numba.njit(cache=True)(function)  # type: ignore[no-any-return]
    except RuntimeError:  # numba may write neither beside this file nor at home: it compiles in every process
        return numba.njit(function)  # type: ignore[no-any-return]


def _inlined(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function unchanged, that compiled kernels may call too."""
    return numba.extending.register_jitable(function) if numba else function  # type: ignore[no-any-return]


@_inlined
def _rank_code(unseen: int) -> tuple[int, int]:
    """Return e and r with 2**e + r = unseen: the first 2 r ranks have e + 1 bits, the others e."""
    bits = 0
    while 2 << bits <= unseen:
        bits += 1
    return bits, unseen - (1 << bits)


@_inlined
def _rank(byte: int, place: Any) -> int:
    """Return how many smaller bytes have no leaf."""
    rank = 0
    for other in range(LEAF, LEAF + byte):
        if place[other] < 0:
            rank += 1
    return rank


@_inlined
def _byte_of_rank(rank: int, place: Any) -> int:
    """Return the byte without a leaf that `_rank` gives this rank."""
    byte = 0
    while rank > 0 or place[LEAF + byte] >= 0:
        if place[LEAF + byte] < 0:
            rank -= 1
        byte += 1
    return byte


@_inlined
def _add_leaf(byte: int, unseen: int, content: Any, place: Any) -> int:
    """Split the zero leaf, or give it to the last byte; return the place of the byte's leaf, of weight zero."""
    leaf = 0
    if unseen > 1:
        zero = 2 * unseen - 2
        leaf = zero - 1
        content[zero] = leaf >> 1
        place[leaf >> 1] = zero
    content[leaf] = LEAF + byte
    place[LEAF + byte] = leaf
    return leaf


@_inlined
def _count(node: int, weight: Any, content: Any, place: Any) -> None:
    """Add 1 to the weight of a leaf and of all nodes above it, each where no node of its old weight is higher."""
    while node != ABOVE_ROOT:
        old = weight[node]
        if weight[node + 1] == old:
            leader = node + 1
            while weight[leader + 1] == old:
                leader += 1
            # A parent has the weight of its child if the other child is the zero leaf; it is then the only one above.
            if leader != place[node >> 1]:
                lower, higher = content[node], content[leader]
                content[node], content[leader] = higher, lower
                place[lower], place[higher] = leader, node
                node = leader
        weight[node] = old + 1
        node = place[node >> 1]


@_compiled
def _write_codes(source: Any, target: Any, weight: Any, content: Any, place: Any) -> int:
    """Code the bytes of `source` into `target` from an empty tree; return how many bytes were written."""
    unseen, end, waiting, num_waiting = 256, 0, 0, 0
    for byte in source:
        leaf = place[LEAF + byte]
        node = leaf if leaf >= 0 else 2 * unseen - 2
        code, length = 0, 0
        while node != ROOT:
            code |= (node & 1) << length
            length += 1
            node = place[node >> 1]
        if leaf < 0:
            rank, (bits, rest) = _rank(byte, place), _rank_code(unseen)
            if rank < 2 * rest:
                bits += 1
            else:
                rank -= rest
            code = code << bits | rank
            length += bits
            leaf = _add_leaf(byte, unseen, content, place)
            unseen -= 1
        waiting = waiting << length | code
        num_waiting += length
        while num_waiting >= 8:
            num_waiting -= 8
            target[end] = waiting >> num_waiting
            waiting &= (1 << num_waiting) - 1
            end += 1
        _count(leaf, weight, content, place)
    if num_waiting:
        target[end] = waiting << 8 - num_waiting
        end += 1
    return end


@_compiled
def _read_codes(source: Any, target: Any, weight: Any, content: Any, place: Any) -> int:
    """Fill `target` with the bytes whose code `source` holds, a bit an item and _TAIL more.

    Return how many bits they took, or -1 if there were too few.
    """
    unseen, end, num_bits = 256, 0, len(source) - _TAIL
    for index in range(len(target)):
        node = content[ROOT]
        while node < LEAF:
            node = content[2 * node + source[end]]
            end += 1
        if node == ZERO_LEAF:
            bits, rest = _rank_code(unseen)
            rank = 0
            for _ in range(bits):
                rank = 2 * rank + source[end]
                end += 1
            if rank < rest:
                rank = 2 * rank + source[end]
                end += 1
            else:
                rank += rest
            node = LEAF + _byte_of_rank(rank, place)
            _add_leaf(node - LEAF, unseen, content, place)
            unseen -= 1
        if end > num_bits:
            return -1
        target[index] = node - LEAF
        _count(place[node], weight, content, place)
    return end
