"""A second decoder of `.rlic` files in plain Python, written from docs/file_format.md alone: container and symbols.
Nothing of the project and no package takes part, so the document is what both decoders have in common.
"""

import zlib
from itertools import product
from operator import mul


def unpack(data):
    """Return `{version, model, digest, height, width, channels, step, profile, sections}`; ValueError if damaged."""
    if data[:4] != b"RLIC" or data[4] not in (1, 2, 3):
        raise ValueError("no such file")
    at = 6 + data[5]  # behind the model's id
    header = {"version": data[4], "model": data[6:at].decode("ascii"), "digest": data[at : at + 8], "step": 0}
    at += 8
    for name in ("height", "width", "channels", "count"):
        header[name], at = varint(data, at)
    lengths = []
    for _ in range(header.pop("count")):
        length, at = varint(data, at)
        lengths.append(length)
    header["profile"] = None
    if header["version"] == 3:
        folded, at = varint(data, at)
        header["step"] = -(folded + 1) // 2 if folded % 2 else folded // 2
    if header["version"] > 1:
        size, at = varint(data, at)
        header["profile"] = zlib.decompress(data[at : at + size]) if size else None
        at += size
    crc, header["sections"] = zlib.crc32(data[:at]), []
    at = checked(data, at, crc)
    for length in lengths:
        section = data[at : at + length]
        crc = zlib.crc32(section, crc)
        at = checked(data, at + length, crc)
        header["sections"].append(section)
    if at != len(data):
        raise ValueError("bytes after the end")
    return header


def checked(data, at, crc):
    """Return where a CRC ends that stands at a place."""
    if data[at : at + 4] != crc.to_bytes(4, "little"):
        raise ValueError("damaged or cut")
    return at + 4


def varint(data, at):
    """Return a number and where it ends."""
    number = 0
    for i in range(5):
        number |= (data[at + i] & 127) << 7 * i
        if data[at + i] < 128:
            return number, at + i + 1
    raise ValueError("a number of more than five bytes")


class RangeDecoder:
    """The state of the range coder, and what it reads next."""

    def __init__(self, data):
        self.data, self.at, self.range = data, 0, 2**64 - 1
        self.point = self.word() << 32 | self.word()

    def word(self):
        """Return the next 32 bits, zeros behind the end."""
        word = int.from_bytes(self.data[self.at : self.at + 4].ljust(4, b"\0"), "big")
        self.at += 4
        return word

    def symbol(self, widths):
        """Return the place of the next symbol among widths that sum to 2**24."""
        scale = self.range >> 24
        quantile, left = self.point // scale, 0
        for place, width in enumerate(widths):
            if quantile < left + width:
                self.take(left, width, scale)
                return place
            left += width
        raise ValueError("no encoder wrote these bytes")

    def uniform(self, count):
        """Return the next of so many equally wide symbols, a power of two."""
        scale, width = self.range >> 24, 2**24 // count
        place = self.point // scale // width
        self.take(place * width, width, scale)
        return place

    def take(self, left, width, scale):
        """Go on behind a symbol."""
        self.point -= left * scale
        self.range = width * scale
        if self.range < 2**32:
            self.range <<= 32
            self.point = self.point << 32 | self.word()


def tables(arrays):
    """Return (row of counts, first value) of every table of a part's arrays, given as lists."""
    found, start = [], 0
    for length, offset in zip(arrays["lengths"], arrays["offsets"], strict=True):
        found.append((arrays["frequencies"][start : start + length], offset))
        start += length
    return found


def symbols(section, indexes, of_part):
    """Return the values of a section, flat, whose tables are those of `indexes`, flat."""
    decoder, values, escaped = RangeDecoder(section), [0] * len(indexes), []
    for i in sorted(range(len(indexes)), key=lambda i: indexes[i]):
        counts, first = of_part[indexes[i]]
        place = decoder.symbol([256 * count for count in counts])
        values[i] = first + place
        if place == len(counts) - 1:
            escaped.append(i)
    lengths = [max(2 ** (15 - i), 1) for i in range(33)]
    lengths[0] = 2**16 - sum(lengths[1:])
    bits = [decoder.symbol([256 * count for count in lengths]) for _ in escaped]
    numbers = [2**b for b in bits]
    for shift in (0, 16):
        for i, b in enumerate(bits):
            if b > shift:
                numbers[i] += decoder.uniform(2 ** min(b - shift, 16)) << shift
    for i, number in zip(escaped, numbers, strict=True):
        excess, (counts, first) = number - 1, of_part[indexes[i]]
        above = first + len(counts) - 1
        values[i] = first - 1 - excess // 2 if excess % 2 else above + excess // 2
    return values


def bit_maps(sections, height, width, channels):
    """Return the bits of Donis's iterations, each flat in order of rows, columns, channels."""
    row, size = width * channels, height * width * channels
    counts = [[1, 1] for _ in range(27 * channels)]
    before, previous, maps = [2] * size, [2] * size, []
    for section in sections:
        packed = [section[1 + i // 8] >> 7 - i % 8 & 1 for i in range(size)] if section[0] == 0 else None
        decoder = RangeDecoder(section[1:]) if packed is None else None
        counts = [[max(n // 2, 1) for n in pair] for pair in counts]
        bits = []
        for start in range(0, size, row):
            above = bits[start - row : start] if start else [2] * row
            known = zip(above, previous[start : start + row], before[start : start + row], strict=True)
            contexts = [(9 * a + 3 * p + o) * channels + i % channels for i, (a, p, o) in enumerate(known)]
            if packed is None:
                for context in contexts:
                    zeros, ones = counts[context]
                    share = min(max(2**16 * ones // (zeros + ones), 1), 2**16 - 1)
                    bits.append(decoder.symbol([256 * (2**16 - share), 256 * share]))
            else:
                bits += packed[start : start + row]
            for context, bit in zip(contexts, bits[start:], strict=True):
                counts[context][bit] += 2
            for context in {context for context in contexts if sum(counts[context]) > 128}:
                counts[context] = [(n + 1) // 2 for n in counts[context]]
        maps.append(bits)
        before, previous = previous, bits
    return maps


def scale_indexes(log_sigmas, step):
    """Return the indexes of the tables of scales, from logarithms in units of 1/1024."""
    lowest, level = -2370043391, 132129085
    fine = [min(max(value * 2**20 - lowest, 0), 63 * level) - step * level // 16 for value in log_sigmas]
    return [min(max((value + level // 2) // level, 0), 63) for value in fine]


def hyper_decoder(z, layers):
    """Return outputs of z (rows, columns, channels); layers: (transposed, stride, leaky, kernel (., ., out, in), …)."""
    x, before = [[[min(max(v, 1 - 2**17), 2**17 - 1) for v in place] for place in row] for row in z], 0
    for number, (transposed, stride, leaky, kernel, bias, point) in enumerate(layers, 1):
        limit = 2**31 - 1 if number == len(layers) else 2**17 - 1
        height, width, pad = len(x) * stride, len(x[0]) * stride, max(len(kernel) - stride, 0) // 2
        starts = [rounded(int(b * 2**24), -before) for b in bias]
        taps = [[[[int(w * 2**24) for w in of] for of in tap] for tap in row] for row in kernel]
        y = [[list(starts) for _ in range(width)] for _ in range(height)]
        sign, pad = (1, -pad) if transposed else (-1, pad)
        for row, column, i, j in product(range(len(x)), range(len(x[0])), range(len(taps)), range(len(taps))):
            m, n = row * stride + sign * i + pad, column * stride + sign * j + pad
            if 0 <= m < height and 0 <= n < width:
                y[m][n] = [v + sum(map(mul, x[row][column], w)) for v, w in zip(y[m][n], taps[i][j], strict=True)]
        shift, before = before + 24 - point, point
        x = [[[_activated(rounded(v, shift), leaky, limit) for v in place] for place in row] for row in y]
    return x


def rounded(number, shift):
    """Return number / 2**shift to the nearest integer, ties to even."""
    if shift <= 0:
        return number << -shift
    low, half = number & (1 << shift) - 1, 1 << shift - 1
    return (number >> shift) + (low > half or (low == half and number >> shift & 1))


def _activated(value, leaky, limit):  # slope 1/5, to the nearest
    value = (2 * value + 5) // 10 if leaky and value < 0 else value
    return min(max(value, -limit), limit)
