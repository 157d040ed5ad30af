"""The test pictures of Deshmukh and Pollett, Section 4: named classical pictures and Kodak, scaled to 200x200."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from common import data
from common.errors import RelicError
from common.tables.command import Options
from papers.deshmukh_irm.patches import with_channels

SIDE = 200
SMOKE_PICTURES = 2
STAND_IN = "sample"
AVERAGE = "Average"
PSNR, SSIM = "PSNR", "SSIM"  # as the tables head their columns
PLAIN = "plain bicubic"
KODIM23 = "kodak/kodim23"  # Parrots in colour, and what grey Parrots may be as well
# The paper names the motifs alone. Set and stem of the file that each row takes; published/ has the digests.
COLOUR = {"Baboon": "set14/baboon", "Lenna": "set14/lenna", "Peppers": "set14/pepper", "Parrots": KODIM23}
GREY = {
    "Cameraman": "set12/01",
    "Peppers": "set12/03",
    "Lenna": "set12/08",
    "Parrots": "set12/07",
    "House": "set12/02",
}


@dataclass(frozen=True)
class NamedPictures:
    """Pictures by row, uint8 200x200x3 or 200x200; their names, what a table says of them, a note on stand-ins."""

    x: dict[str, np.ndarray]
    names: dict[str, str]
    about: dict[str, Any]
    note: str = ""


def test_pictures(options: Options, channels: int) -> NamedPictures:
    """Return the pictures of `options.rows`, whose values are set and stem (the average has None), scaled to 200x200.

    `--data` and the embedded pictures, where a set is not here, stand in: their first ones take the rows in order.
    """
    wanted = {row: name for row, name in options.rows.items() if name}
    limit = options.images or (SMOKE_PICTURES if options.scale == "smoke" else len(wanted))
    wanted = dict(list(wanted.items())[:limit])
    if options.data is not None:
        return _standing_in(wanted, data.images("", None, options.data), options.data.name, channels)
    try:
        originals = named(wanted.values())
    except RelicError as error:
        note = f"{error}. The embedded set {STAND_IN} stands in: no absolute value is comparable."
        return _standing_in(wanted, data.images(STAND_IN), STAND_IN, channels, note)
    pictures = {row: originals[name] for row, name in wanted.items()}
    return _scaled(pictures, wanted, "named pictures", channels)


def named(names: Iterable[str]) -> dict[str, np.ndarray]:
    """Return pictures by `set/stem` as they are stored; raises RelicError where one is not here."""
    stems: dict[str, list[str]] = {}
    for name in dict.fromkeys(names):
        stems.setdefault(name.partition("/")[0], []).append(name.partition("/")[2])
    return {f"{of}/{stem}": image for of in stems for stem, _, image in data.named_entries(of, stems[of])}


def _standing_in(
    wanted: Mapping[str, str], others: list[tuple[str, np.ndarray]], name: str, channels: int, note: str = ""
) -> NamedPictures:
    pairs = list(zip(wanted, others, strict=False))
    rows = {row: image for row, (_, image) in pairs}
    stand_ins = ", ".join(f"{stem} as {row}" for row, (stem, _) in pairs)
    note = f"{note} In the rows stand other pictures: {stand_ins}.".strip()
    return _scaled(rows, {row: stem for row, (stem, _) in pairs}, name, channels, note)


def _scaled(
    pictures: Mapping[str, np.ndarray], names: Mapping[str, str], of: str, channels: int, note: str = ""
) -> NamedPictures:
    about = {"name": of, "pictures": len(pictures), "digest": data.pixel_digest(list(pictures.items()))}
    x = {row: scaled(image, channels) for row, image in pictures.items()}
    return NamedPictures(x, {row: names[row] for row in x}, about, note)


def scaled(image: np.ndarray, channels: int) -> np.ndarray:
    """Return a uint8 picture at 200x200, in colour or its luma: by areas, whatever its proportions.

    The paper names no filter. Without anti-aliasing the pictures would be 4 dB harder (`audit_deshmukh`).
    """
    return cv2.resize(with_channels(image, channels), (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def bicubic(x: np.ndarray, stride: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Return a uint8 picture scaled down by areas, which is a code of the same size, and scaled up again by OpenCV."""
    height, width = x.shape[:2]
    sides = (-(-width // stride), -(-height // stride))
    small = cv2.resize(x, sides, interpolation=cv2.INTER_AREA)
    return small, cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
