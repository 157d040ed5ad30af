"""Dynamic Huffman coding: exact round trips, a slow coder from the definition, sizes against proofs, damage."""

import collections
import heapq
import importlib.util
import math
import sys
import tracemalloc

import numpy as np
import pytest

from common.errors import RelicError
from papers.deshmukh_irm import huffman
from papers.deshmukh_irm.huffman import HuffmanError, decode, encode, entropy_bits

PHI = (1 + math.sqrt(5)) / 2
TEXT = b"It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness"


def gaussian(rng, sigma, count):
    return np.clip(np.rint(rng.normal(128, sigma, count)), 0, 255).astype(np.uint8).tobytes()


def fibonacci(count, order):
    """Return `count` bytes with 1, 1, 2, 3, 5, ... occurrences: the counts whose Huffman trees are the deepest."""
    counts = [1, 1]
    while len(counts) < count:
        counts.append(counts[-1] + counts[-2])
    data = np.repeat(np.arange(count, dtype=np.uint8) * 5, counts)
    return {"rising": data, "falling": data[::-1], "shuffled": np.random.default_rng(1).permutation(data)}[order]


RNG = np.random.default_rng(2)
SAMPLES = {
    "nothing": b"",
    "one": b"\x07",
    "two": b"\x07\x06",
    "same": b"\xff" * 1000,
    "all": bytes(range(256)),
    "all_falling": bytes(range(255, -1, -1)),
    "all_twice": bytes(range(256)) * 2,
    "all_but_one": bytes(range(255)) * 3,
    "cycle": bytes(range(256)) * 20,
    "text": TEXT * 20,
    "random": RNG.bytes(5000),
    "gaussian": gaussian(RNG, 20, 10_000),
    "narrow": gaussian(RNG, 0.4, 5000),
    "two_halves": gaussian(RNG, 2, 5000) + RNG.bytes(500) + bytes(5000),
    "fibonacci_rising": fibonacci(17, "rising").tobytes(),
    "fibonacci_falling": fibonacci(17, "falling").tobytes(),
    "fibonacci_shuffled": fibonacci(17, "shuffled").tobytes(),
}
by_sample = pytest.mark.parametrize("data", SAMPLES.values(), ids=SAMPLES.keys())


def optimum(weights):
    """Return the least sum of weight times depth of a binary tree with these leaves."""
    heap, cost = list(weights), 0
    heapq.heapify(heap)
    while len(heap) > 1:
        merged = heapq.heappop(heap) + heapq.heappop(heap)
        heapq.heappush(heap, merged)
        cost += merged
    return cost


def static_size(data):
    """Return the bits of the best static Huffman code of bytes, without its table."""
    return optimum(collections.Counter(data).values())


def rank_code(byte, seen):
    """Return the bits that number a new byte, by counting: the codes of e bits are those that are left."""
    unseen = [other for other in range(256) if other not in seen]
    shorter = len(unseen).bit_length() - 1
    longer_codes = 2 * (len(unseen) - 2**shorter)
    rank = unseen.index(byte)
    bits, number = (shorter + 1, rank) if rank < longer_codes else (shorter, rank - longer_codes // 2)
    return f"{number:0{bits}b}" if bits else ""


class Node:
    def __init__(self, symbol=None, children=()):
        self.symbol, self.weight, self.parent, self.children = symbol, 0, None, list(children)
        for child in children:
            child.parent = self

    def path(self):
        if self.parent is None:
            return ""
        return self.parent.path() + str([child is self for child in self.parent.children].index(True))


class SlowCoder:
    """Algorithm FGK as one would tell it: nodes that know their parents, numbered by their order in a list."""

    def __init__(self):
        self.zero = Node("zero")
        self.nodes = [self.zero]
        self.leaves = {}

    def code(self, byte):
        """Return the bits of one byte and count it."""
        if byte in self.leaves:
            bits = self.leaves[byte].path()
        else:
            bits = self.zero.path() + rank_code(byte, self.leaves)
            self.add(byte)
        node = self.leaves[byte]
        while node:
            self.move_up(node)
            node.weight += 1
            node = node.parent
        return bits

    def add(self, byte):
        if len(self.leaves) == 255:
            self.zero.symbol, self.leaves[byte] = byte, self.zero
            return
        split = self.zero
        self.zero, self.leaves[byte] = Node("zero"), Node(byte)
        split.symbol, split.children = None, [self.zero, self.leaves[byte]]
        self.zero.parent = self.leaves[byte].parent = split
        self.nodes = split.children + self.nodes

    def move_up(self, node):
        """Exchange a node with the last of its weight in the list, unless that is its parent."""
        other = [same for same in self.nodes if same.weight == node.weight][-1]
        if other is node or other is node.parent:
            return
        i, j = (next(k for k, same in enumerate(self.nodes) if same is one) for one in (node, other))
        self.nodes[i], self.nodes[j] = other, node
        here, there = node.parent.children, other.parent.children
        k, m = (0 if children[0] is one else 1 for children, one in ((here, node), (there, other)))
        here[k], there[m] = other, node
        node.parent, other.parent = other.parent, node.parent

    def check(self, counts):
        """Gallager's theorem, and that no code has fewer bits for the counts so far."""
        weights = [node.weight for node in self.nodes]
        assert weights == sorted(weights) and self.nodes[-1].parent is None and len(self.nodes) % 2 == 1
        for left, right in zip(self.nodes[:-1:2], self.nodes[1::2], strict=True):
            assert left.parent.children == [left, right]
            assert left.parent.weight == left.weight + right.weight
        assert {byte: leaf.weight for byte, leaf in self.leaves.items()} == counts
        length = sum(leaf.weight * len(leaf.path()) for leaf in self.leaves.values())
        assert length == optimum([*counts.values()] + [0] * (len(counts) < 256))


def slow_encode(data, check=False):
    coder, counts, bits = SlowCoder(), collections.Counter(), ""
    for byte in data:
        bits += coder.code(byte)
        counts[byte] += 1
        if check:
            coder.check(counts)
    return bits


def to_bytes(bits):
    bits = bits.replace(" ", "")
    return bytes(int(bits[i : i + 8].ljust(8, "0"), 2) for i in range(0, len(bits), 8))


def write_codes(data, tree):
    """Go on coding `data` with the arrays of a tree in which all its bytes are, or with a new one."""
    source = np.frombuffer(data, np.uint8)
    compiled = hasattr(huffman._write_codes, "py_func")
    huffman._write_codes(source if compiled else source.tolist(), np.zeros(1000 + 2 * len(data), np.uint8), *tree)


def tree_after(data):
    """Return the arrays of weights, contents and places in which the coder keeps its tree, after coding `data`."""
    tree = huffman._new_tree()
    write_codes(data, tree)
    return tree


def depths(place):
    """Return the number of nodes above each place that is used."""
    result = {510: 0}
    for node in range(509, -1, -1):
        if place[node // 2] >= 0:
            result[node] = result[int(place[node // 2])] + 1
    return result


@by_sample
def test_data_come_back(data):
    code = encode(data)
    decoded = decode(code, len(data))
    assert isinstance(code, bytes) and decoded.dtype == np.uint8 and decoded.shape == (len(data),)
    assert decoded.tobytes() == data
    decoded[:] = 0  # the caller may change what it got


def test_several_hundred_random_sources_come_back():
    for seed in range(300):
        rng = np.random.default_rng(seed)
        letters = rng.permutation(256)[: rng.integers(1, 257)].astype(np.uint8)
        p = rng.exponential(size=letters.size) ** rng.integers(0, 9)
        data = rng.choice(letters, size=int(2 ** rng.uniform(0, 11)), p=p / p.sum())
        code = encode(data)
        np.testing.assert_array_equal(decode(code, data.size), data)


@pytest.mark.parametrize("count", [1, 2, 8, 9, 10, 1000, 4097])
@pytest.mark.parametrize("byte", [0, 77, 255])
def test_a_byte_repeated_costs_8_bits_and_then_1_bit_each(byte, count):
    assert encode(bytes([byte]) * count) == to_bytes(f"{byte:08b}" + "1" * (count - 1))


def test_two_bytes_in_turn_cost_what_their_tree_says():
    """After "ab" the root has a on one side, above b and the zero leaf: a costs 1 bit, b 2.

    They would change places only if both had one weight when b is counted, but a is always one ahead then.
    """
    data = b"ab" * 500
    new_letters = 8 + (1 + len(rank_code(ord("b"), b"a")))
    assert len(encode(data)) == math.ceil((new_letters + 499 * (1 + 2)) / 8)


def test_the_bits_of_abracadabra_are_those_worked_out_by_hand():
    """At each byte: its bits, and the nodes that then are below the root, in order, in pairs, with weights.

    0 is the zero leaf; capitals are the parents of pairs, named as they appear: P of 0 and a new b, Q of 0 and r, ...
    """
    bits = [
        "01100001",  # a is the 97th of 256 from 0               (0 a1)
        "0 01100001",  # b is the 97th too, for a is gone        (0 b1) (P1 a1)              P over 0 b
        "00 01110000",  # r is the 112th; P passes a             (0 r1) (Q1 b1) (a1 P2)      Q over 0 r, P over Q b
        "0",  # a is the last of its weight                      (0 r1) (Q1 b1) (a2 P2)
        "100 01100001",  # c is the 97th; Q passes b             (0 c1) (R1 r1) (b1 Q2) (a2 P3)
        "0",  # a again                                          (0 c1) (R1 r1) (b1 Q2) (a3 P3)
        "1100 01100001",  # d is the 97th; R passes r and b      (0 d1) (S1 c1) (b1 r1) (R2 Q2) (a3 P4)
        "0",  # a again                                          (0 d1) (S1 c1) (b1 r1) (R2 Q2) (a4 P4)
        "110",  # b passes r                                     (0 d1) (S1 c1) (r1 b2) (R2 Q3) (a4 P5)
        "110",  # r is the last of its weight                    (0 d1) (S1 c1) (r2 b2) (R2 Q4) (a4 P6)
        "0",  # a again                                          (0 d1) (S1 c1) (r2 b2) (R2 Q4) (a5 P6)
    ]
    for length in range(1, 12):
        assert encode(b"abracadabra"[:length]) == to_bytes("".join(bits[:length]))
    weight, content, place = tree_after(b"abracadabra")
    assert weight[500:511].tolist() == [0, 1, 1, 1, 2, 2, 2, 4, 5, 6, 11]
    leaves = {chr(content[node] - huffman.LEAF): node for node in range(501, 511) if content[node] >= huffman.LEAF}
    assert leaves == {"d": 501, "c": 503, "r": 504, "b": 505, "a": 508}
    assert [place[node // 2] for node in range(500, 510, 2)] == [502, 506, 507, 509, 510]


@pytest.mark.parametrize("data", [TEXT, bytes(range(40)) * 3, fibonacci(9, "rising").tobytes(), b"aab" * 40])
def test_every_bit_is_that_of_a_slow_coder_whose_tree_is_optimal_after_every_byte(data):
    assert encode(data) == to_bytes(slow_encode(data, check=True))


def test_every_bit_is_that_of_the_slow_coder_when_all_bytes_are_seen():
    rng = np.random.default_rng(3)
    data = rng.permutation(256).astype(np.uint8).tobytes() + gaussian(rng, 30, 300)
    assert encode(data) == to_bytes(slow_encode(data))
    coder, counts = SlowCoder(), collections.Counter(data)
    for byte in data:
        coder.code(byte)
    coder.check(counts)


@pytest.mark.parametrize("name", ["text", "all_but_one", "all_twice", "gaussian", "fibonacci_shuffled", "two_halves"])
def test_the_coders_own_tree_has_the_sibling_property_and_is_optimal_for_the_counts(name):
    data = SAMPLES[name]
    for length in np.unique(np.geomspace(1, len(data), 12).astype(int)):
        counts = collections.Counter(data[:length])
        weight, content, place = tree_after(data[:length])
        depth = depths(place)
        nodes = sorted(depth)
        assert nodes == list(range(511 - len(nodes), 511)) and (np.diff(weight[nodes]) >= 0).all()
        leaves = {byte: int(place[huffman.LEAF + byte]) for byte in counts}
        assert {byte: weight[node] for byte, node in leaves.items()} == counts
        assert all(content[node] == huffman.LEAF + byte for byte, node in leaves.items())
        for pair in range(nodes[0] // 2, 255):
            assert weight[place[pair]] == weight[2 * pair] + weight[2 * pair + 1] and content[place[pair]] == pair
        cost = sum(counts[byte] * depth[node] for byte, node in leaves.items())
        assert cost == optimum([*counts.values()] + [0] * (len(counts) < 256))


@pytest.mark.parametrize("order", ["rising", "falling", "shuffled"])
def test_fibonacci_counts_make_the_deepest_tree_and_come_back(order):
    """Huffman's merges of 0, 1, 1, 2, 3, 5, ... each join the next count to all the smaller ones: a comb."""
    data = fibonacci(20, order)
    assert max(depths(tree_after(data.tobytes())[2]).values()) == 20
    np.testing.assert_array_equal(decode(encode(data), data.size), data)


def test_weights_beyond_32_bits_do_not_overflow():
    """A tree times 2**31 is a Huffman tree, from which the coder goes on."""
    weight, content, place = tree_after(b"abracadabra")
    weight[:511] *= 2**31
    write_codes(b"crab" * 5, (weight, content, place))
    assert weight[510] == 11 * 2**31 + 20
    leaves = [weight[place[huffman.LEAF + byte]] for byte in b"abcdr"]
    assert leaves == [5 * 2**31 + 5, 2**32 + 5, 2**31 + 5, 2**31, 2**32 + 5]


def rank_bits(data):
    """Return the bits of all ranks, and the number of distinct bytes."""
    seen = list(dict.fromkeys(data))
    return sum(len(rank_code(byte, set(seen[:k]))) for k, byte in enumerate(seen)), len(seen)


@by_sample
def test_the_paths_take_no_less_than_the_static_code_less_one_bit_for_each_distinct_byte(data):
    """D >= S - n + 1 (Vitter 1987, section 3), for D the bits without the ranks, S the static code's, n distinct bytes.

    Let H be the cost of the optimal tree, zero leaf included, for the counts so far. Counting a byte in the tree that
    coded it with l bits makes the tree's cost H + l, or H + l + 1 if the zero leaf splits, and the next optimum is no
    more. So D >= H at the end less the number of splits: S + (least count) - n, or without a zero leaf S - 255.
    """
    if data:
        ranks, distinct = rank_bits(data)
        assert 8 * len(encode(data)) - ranks >= static_size(data) - distinct + 1


@by_sample
def test_the_paths_take_no_more_than_the_depth_of_huffman_trees_allows(data):
    """A leaf of weight w in a tree of weight t has at most depth 1 + log_phi(t / w) (Katona and Nemetz 1976).

    For a node weighs no more than its uncle, so weights grow up the path like Fibonacci's numbers. The zero leaf is as
    deep as its sibling, of weight 1 or more. Over all bytes, of which the first has no path, the weights t multiply to
    (total - 1)! and the weights w of each distinct byte to (count - 1)!.
    """
    if data:
        counts = collections.Counter(data).values()
        growth = math.lgamma(len(data)) - sum(math.lgamma(count) for count in counts)
        most = len(data) - 1 + growth / math.log(PHI) + rank_bits(data)[0]
        assert 8 * len(encode(data)) - 7 <= most + 1e-6
        assert most / 8 < 13 * len(data) // 8 + 1024  # what `encode` allocates


@by_sample
def test_the_entropy_is_that_of_its_definition_and_the_best_static_code_is_near_it(data):
    counts = collections.Counter(data)
    entropy = -sum(count * math.log2(count / len(data)) for count in counts.values())
    assert math.isclose(entropy_bits(data), entropy, abs_tol=1e-9)
    assert entropy - 1e-6 <= static_size(data) < entropy + len(data) or len(counts) < 2


def test_the_static_sizes_of_known_trees_are_right():
    assert [static_size(data) for data in (b"", b"a", b"aaaa", b"ab", b"aab")] == [0, 0, 0, 2, 3]
    assert static_size(bytes(range(256)) * 3) == entropy_bits(bytes(range(256)) * 3) == 8 * 768
    # a 0, b 10, r 110, c 1110, d 1111
    assert static_size(b"abracadabra") == 5 * 1 + 2 * 2 + 2 * 3 + 4 + 4
    # Each merge of Fibonacci counts joins the sum of all that are smaller: F(k + 2) - 1.
    sums = np.cumsum(np.bincount(fibonacci(22, "rising"))[::5])
    assert static_size(fibonacci(22, "shuffled").tobytes()) == sums[1:].sum()


def test_long_typical_data_take_less_than_half_a_percent_more_than_the_static_code():
    data = gaussian(np.random.default_rng(4), 20, 100_000)
    assert entropy_bits(data) < static_size(data) < 8 * len(encode(data)) < 1.005 * static_size(data)


def test_arrays_of_any_shape_and_bytes_like_objects_are_coded_alike():
    data = np.random.default_rng(5).integers(0, 9, size=(6, 7, 8)).astype(np.uint8)
    code = encode(data.tobytes())
    for same in (data, np.asfortranarray(data), data.ravel(), bytearray(data.tobytes()), memoryview(data.tobytes())):
        assert encode(same) == code
    assert encode(data[:, ::2]) == encode(data[:, ::2].tobytes())
    assert decode(bytearray(code), np.int64(336)).tobytes() == data.tobytes()
    assert entropy_bits(data) == entropy_bits(data.tobytes())


@pytest.mark.parametrize("dtype", [np.int8, np.uint16, np.int64, np.float32, bool])
def test_arrays_of_other_types_are_refused(dtype):
    for function in (encode, entropy_bits, lambda data: decode(data, 3)):
        with pytest.raises(ValueError, match="takes bytes or uint8 values"):
            function(np.zeros(3, dtype))


def test_more_values_than_the_coder_can_count_are_refused():
    with pytest.raises(ValueError, match="at most"):
        encode(np.broadcast_to(np.uint8(0), 2**32))


def decodes_or_is_refused(data, count):
    """Return whether `data` decodes; if so the result must be the one whose code is `data`."""
    try:
        values = decode(data, count)
    except HuffmanError:
        return False
    assert values.shape == (count,) and encode(values) == data
    return True


def test_garbage_decodes_to_what_it_is_the_code_of_or_is_refused():
    decoded = 0
    for seed in range(800):
        rng = np.random.default_rng(seed)
        data = rng.bytes(int(rng.integers(0, 40)))
        decoded += decodes_or_is_refused(data, int(rng.integers(0, 8 * len(data) + 2)))
        # One byte says which is the first, then it repeats.
        decoded += decodes_or_is_refused(data[:1] + b"\xff" * len(data), 8 * len(data) + 1)
    assert 400 < decoded < 1200


@pytest.mark.parametrize("byte", [0x00, 0x01, 0x55, 0x7F, 0x80, 0xFE, 0xFF])
@pytest.mark.parametrize("length", [1, 2, 3, 64, 1000])
def test_codes_of_one_byte_repeated_decode_or_are_refused(byte, length):
    for count in {0, 1, 2, length, 8 * length - 8, 8 * length - 7, 8 * length}:
        decodes_or_is_refused(bytes([byte]) * length, count)


def test_flipped_bits_give_other_bytes_or_are_refused():
    code = encode(TEXT)
    for bit in range(8 * len(code)):
        changed = bytearray(code)
        changed[bit // 8] ^= 128 >> bit % 8
        if decodes_or_is_refused(bytes(changed), len(TEXT)):
            assert decode(changed, len(TEXT)).tobytes() != TEXT


@by_sample
def test_cut_and_continued_codes_are_refused(data):
    code = encode(data)
    for length in {0, 1, len(code) // 2, len(code) - 2, len(code) - 1} & set(range(len(code))):
        with pytest.raises(HuffmanError, match="cut|too few"):
            decode(code[:length], len(data))
    for tail in (b"\x00", b"\x01", b"\xff" * 4, bytes(100)):
        with pytest.raises(HuffmanError, match="go on"):
            decode(code + tail, len(data))


def test_bits_after_the_last_code_must_be_zeros():
    code = encode(b"aaa")  # 8 + 1 + 1 bits
    for bit in range(6):
        with pytest.raises(HuffmanError, match="go on after 3 values: compress the picture again"):
            decode(bytes([code[0], code[1] | 1 << bit]), 3)
    with pytest.raises(RelicError):
        decode(b"\x00", 0)


def test_impossible_counts_are_refused_before_anything_is_allocated():
    code = encode(bytes(57))  # 8 + 56 bits, and no more values would fit 8 bytes
    assert len(code) == 8 and decode(code, 57).tobytes() == bytes(57)
    tracemalloc.start()
    for data, count in ((code, 58), (code, 10**9), (code, 2**60), (b"", 1), (b"", 2**32), (b"\x01", 2)):
        with pytest.raises(HuffmanError, match="too few"):
            decode(data, count)
    with pytest.raises(ValueError, match="negative"):
        decode(code, -1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100_000


def test_the_memory_of_decoding_is_bounded_by_its_arguments():
    data = b"\x00" + b"\xff" * 4000
    tracemalloc.start()
    decodes_or_is_refused(data, 8 * len(data) - 7)
    decodes_or_is_refused(data, 10)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 30 * len(data) + 50_000


@by_sample
def test_compiled_and_interpreted_kernels_give_the_same_bytes(data, monkeypatch):
    pytest.importorskip("numba", reason="numba, an optional extra, is not installed")
    code = encode(data)
    assert decode(code, len(data)).tobytes() == data
    for name in ("_write_codes", "_read_codes"):
        monkeypatch.setattr(huffman, name, getattr(huffman, name).py_func)
    assert encode(data) == code and decode(code, len(data)).tobytes() == data


def test_without_numba_the_same_source_runs_in_python(monkeypatch):
    for name in ("numba", "numba.extending"):
        monkeypatch.setitem(sys.modules, name, None)
    spec = importlib.util.spec_from_file_location("huffman_in_python", huffman.__file__)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert not hasattr(module._write_codes, "py_func")
    assert module.encode(TEXT) == encode(TEXT) and module.decode(encode(TEXT), len(TEXT)).tobytes() == TEXT
