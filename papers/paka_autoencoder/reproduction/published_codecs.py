"""The columns of Table 1: what is printed, and which codec stands for each column here."""

from functools import lru_cache
from typing import Any

from common.classical import codecs
from common.errors import RelicError
from common.tables import published
from common.tables.published import Published

TABLE1 = "paka_autoencoder/table1"
PROPOSED = "Proposed"
# The families that can stand for a column, the best first; BPG is HEVC's intra coding in its own container, and JPEG is
# the same pixels with either kind of Huffman tables: verdicts are against the smaller files.
CODECS = {"JPEG": (codecs.JPEG_OPTIMISED,), "JPEG2000": ("JPEG2000",), "BPG": ("BPG", "HEVC intra")}
SETTINGS = {
    codecs.JPEG_OPTIMISED: "quality {}",
    "JPEG2000": "rate {}/1000",
    "HEVC intra": "quality {}",
    "BPG": "quantiser {}",
}


def family_of(column: str) -> Any:
    """Return the codec family that stands for a column of Table 1, the first that can be used here."""
    families = [codecs.family(name) for name in CODECS[column]]
    for family in families:
        if not family.missing():
            return family
    raise RelicError(families[-1].missing())


def stand_in() -> list[str]:
    """Say what stands for BPG, nothing where BPG itself is here."""
    name = family_of("BPG").name
    said = f"{name} stands for BPG, whose coding it is; BPG's programs are not here. Against BPG's published curve it "
    return [] if name == "BPG" else [f"{said}is measured by rd_kodak."]


@lru_cache(maxsize=1)
def table1() -> Published:
    """Return the published Table 1."""
    return published.load(TABLE1)


def printed(column: str) -> list[float]:
    """Return a column of Table 1 as numbers, in dB."""
    values = [table1().value(row, column) for row in table1().rows]
    return [float(value) for value in values if value is not None]


def printed_range() -> tuple[float, float]:
    """Return the smallest and the largest printed PSNR of a codec."""
    values = [value for column in CODECS for value in printed(column)]
    return min(values), max(values)


def printed_differences(slips: bool = False) -> list[float]:
    """Return |JPEG2000 - BPG| in dB of the printed rows, with or without the rows that hold a slip."""
    paper = table1()
    marked = {remark.row for row in paper.rows for remark in paper.remarks_on(row, "BPG")}
    pairs = zip(paper.rows, printed("JPEG2000"), printed("BPG"), strict=True)
    return [abs(a - b) for row, a, b in pairs if slips or row not in marked]


def slips() -> str:
    """Say what is wrong with the printed BPG values of images 1 and 6."""
    jpeg2000, bpg = printed("JPEG2000"), printed("BPG")
    corrected = bpg[0] - 1
    return (
        f"Slips: image 1's BPG value is its JPEG2000 value plus {bpg[0] - jpeg2000[0]:.5f}, so one digit is wrong. "
        f"Image 6's BPG value is image 1's corrected one within {abs(bpg[5] - corrected):.5f} dB, and lies "
        f"{bpg[5] - jpeg2000[5]:.2f} dB from image 6's JPEG2000 value."
    )


def printed_distances() -> list[float]:
    """Return |JPEG - JPEG2000| in dB of the printed rows."""
    return [abs(a - b) for a, b in zip(printed("JPEG"), printed("JPEG2000"), strict=True)]
