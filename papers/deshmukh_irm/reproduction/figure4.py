"""Figure 4 of Deshmukh and Pollett: the code saved as a picture in an image file format, and what that costs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import PIL
from PIL import Image

from common import metrics
from common.classical import codecs, libraries
from common.evaluate import Codec
from common.metrics import check_picture
from common.tables import figures, intervals, measure, networks, published
from common.tables import test_pictures as table_pictures
from common.tables.command import Options
from common.tables.document import Reproduction, claim
from common.tables.figures import Basis
from common.tables.numbers import DIGITS, mean
from papers.deshmukh_irm import codec as codec_module
from papers.deshmukh_irm import config
from papers.deshmukh_irm.reproduction.test_pictures import SIDE, scaled

LIMIT = 0.25  # dB: the suite's tolerance for PSNR, from which on formats differ substantially
SIZES = {"original_bytes": "Original", "compressed_bytes": "Compressed", "decompressed_bytes": "Decompressed"}
# PSNR against the picture's own pixels, in the order in which a lossy format takes from it.
QUALITIES = {
    "psnr_unsaved": "restored from the code as computed",
    "psnr": "restored from the code as saved",
    "psnr_written": "in the decompressed file",
}
RELIC = ".rlic, Huffman"
ENDINGS = {"JPEG": ".jpg", "PNG": ".png", "BMP": ".bmp", "WebP": ".webp", "TIFF": ".tif", "JPEG2000": ".jp2"}

Entries = Mapping[str, Sequence[Mapping[str, Any]]]  # the measurements of every format, one a picture


# --- formats -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Format:
    """An image file format of ENDINGS as Pillow or OpenCV writes it where nothing but the format is asked for."""

    name: str
    library: str

    def compress(self, image: np.ndarray) -> bytes:
        """Return the file of a uint8 picture HxWx3 (RGB) or HxW."""
        check_picture(image)
        if self.library == "OpenCV":
            return libraries.opencv_file(ENDINGS[self.name], image, [])
        return libraries.pillow_file(Image.fromarray(image), self.name)

    def decompress(self, data: bytes) -> np.ndarray:
        """Return the uint8 picture HxWx3 (RGB) or HxW of a file; RelicError where it is none."""
        if self.library == "OpenCV":
            return libraries.opencv_picture(self.name, data, has_signature=True)
        return libraries.pillow_picture(self.name, data)


# The paper gives no settings: the rows are Pillow's defaults, since Keras reads and writes pictures by Pillow.
PILLOW: dict[str, Codec] = {name: Format(name, "Pillow") for name in ENDINGS}
OPENCV: dict[str, Codec] = {f"{name}, OpenCV": Format(name, "OpenCV") for name in ENDINGS}
FINEST_JPEG = "JPEG 4:4:4, quality 100"
WAYS = {**PILLOW, **OPENCV, FINEST_JPEG: codecs.Jpeg(100, "4:4:4")}
LOSSLESS = ("PNG", "BMP", "TIFF", "JPEG2000", "PNG, OpenCV", "BMP, OpenCV", "WebP, OpenCV", "TIFF, OpenCV")
# Which formats are compared with each other. The finest settings of all but JPEG lose nothing.
READINGS = {
    "Pillow's defaults": tuple(PILLOW),
    "OpenCV's defaults": tuple(OPENCV),
    "the finest settings": (*LOSSLESS, FINEST_JPEG),
}


# --- measuring -----------------------------------------------------------------------------------------------------


def figure4(options: Options) -> Reproduction:
    """Count the bytes of original, compressed and decompressed files by format, and judge how their quality differs."""
    pictures, test_set, note = table_pictures.pictures_of(options, published.load(options.table))
    reproduction, codec = networks.begun(options, config.RGB, test_set, note)
    if codec is None:
        return reproduction
    formats, reproduction.missing = usable()
    small = [(name, scaled(picture, 3)) for name, picture in pictures]
    entries: dict[str, list[dict[str, Any]]] = {}
    with measure.progress(len(formats), "format") as bar:
        for row, way in formats.items():
            entries[row] = [{"row": row, "seed": 0, "picture": name, **measured(codec, way, x)} for name, x in small]
            bar.update()
    reproduction.pictures = [entry for row in options.rows for entry in entries.get(row, ())]
    reproduction.further, reproduction.claims = further(entries), claims(entries)
    reproduction.further["Compressed, bytes"][RELIC] = _rounded(mean([len(codec.compress(x)) for _, x in small]))
    reproduction.figures = drawn(
        {row: entries[row] for row in options.rows if row in entries}, figures.basis_of(options.scale, test_set)
    )
    reproduction.notes += notes()
    return reproduction


def usable() -> tuple[dict[str, Codec], dict[str, str]]:
    """Return the formats that can be written here, and why a row of the figure cannot."""
    reason = codecs.family("JPEG2000").missing()
    gone = {"JPEG2000": reason} if reason else {}
    return {row: way for row, way in WAYS.items() if row not in gone}, gone


def measured(codec: codec_module.Codec, way: Codec, x: np.ndarray) -> dict[str, Any]:
    """Return the bytes of the three files of a uint8 picture in a format, and the PSNR of what is restored, in dB.

    As in the paper the original file is read, and the code that is restored is the one that was saved.
    """
    original = way.compress(x)
    code = codec.code(way.decompress(original))
    compressed = way.compress(code)
    saved = way.decompress(compressed)
    unsaved = codec.restored(code, x)
    x_hat = unsaved if np.array_equal(saved, code) else codec.restored(saved, x)
    decompressed = way.compress(x_hat)
    restored = (unsaved, x_hat, way.decompress(decompressed))
    sizes = {field: len(file) for field, file in zip(SIZES, (original, compressed, decompressed), strict=True)}
    return {**sizes, **{field: round(metrics.psnr(x, y), DIGITS) for field, y in zip(QUALITIES, restored, strict=True)}}


# --- judging -------------------------------------------------------------------------------------------------------


def further(entries: Entries) -> dict[str, dict[str, float]]:
    """Return by format the bytes, their ratios, the PSNR after each step, and what the steps cost together."""
    means = {row: {f: mean([e[f] for e in of]) for f in (*SIZES, *QUALITIES)} for row, of in entries.items()}
    table = {f"{name}, bytes": {row: _rounded(of[f]) for row, of in means.items()} for f, name in SIZES.items()}
    for field in ("compressed_bytes", "decompressed_bytes"):
        title = f"{SIZES[field]} / original"
        table[title] = {row: _rounded(of[field] / of["original_bytes"]) for row, of in means.items()}
    for field, name in QUALITIES.items():
        table[f"PSNR {name}"] = {row: _rounded(of[field]) for row, of in means.items()}
    best = means["PNG"]["psnr_written"]
    table["cost of the format, dB"] = {row: _rounded(best - of["psnr_written"]) for row, of in means.items()}
    return table


def claims(entries: Entries) -> list[dict[str, Any]]:
    """Judge whether the formats' quality differs by less than LIMIT, and whether every format's files get smaller."""
    readings = {of: {r: entries[r] for r in ("PNG", *rows) if r in entries} for of, rows in READINGS.items()}
    losses = [_saving(of, chosen) for of, chosen in readings.items()]
    judged = [*(_spread(of, chosen) for of, chosen in readings.items()), *losses, _same(entries)]
    rows = [row for row in PILLOW if row in entries]
    sizes = {row: [mean([entry[field] for entry in entries[row]]) for field in SIZES] for row in rows}
    smaller = sum(compressed < original for original, compressed, _ in sizes.values())
    larger = [row for row, (original, _, decompressed) in sizes.items() if decompressed > original]
    note = f"Pillow's defaults. The decompressed file is larger than the original in {', '.join(larger) or 'none'}."
    text = "'Useful for a variety of file formats': formats whose compressed file is smaller than the original"
    return [*judged, claim(text, "equals", len(sizes), smaller, note)]


def _spread(reading: str, entries: Entries) -> dict[str, Any]:
    """Judge by how much the mean PSNR of the decompressed files differs from PNG's where it does most, in dB."""
    levels = {row: np.array([entry["psnr_written"] for entry in of]) for row, of in entries.items()}
    costs = {row: float(np.mean(levels["PNG"] - of)) for row, of in levels.items()}
    worst = max(costs, key=lambda row: abs(costs[row]))
    ordered = sorted((levels["PNG"], levels[worst]), key=np.mean, reverse=True)
    interval = intervals.interval_of_difference(*ordered) if costs[worst] else None
    text = "'The loss and overall quality … do not vary substantially with a change in file formats'"
    text += f", {reading}: largest difference to PNG, dB ({worst})"
    return claim(text, "below", LIMIT, _rounded(abs(costs[worst])), _listed(costs), interval)


def _saving(reading: str, entries: Entries) -> dict[str, Any]:
    """Judge what saving the code in a format takes from the picture that is restored from it, in dB."""
    losses = {row: np.array([e["psnr_unsaved"] - e["psnr"] for e in of]) for row, of in entries.items()}
    means = {row: mean(loss) for row, loss in losses.items()}
    worst = max(means, key=lambda row: means[row])
    interval = intervals.interval_of_mean(losses[worst]) if means[worst] else None
    text = f"Of it, saving the code as a picture, {reading}: largest loss, dB ({worst})"
    return claim(text, "below", LIMIT, _rounded(means[worst]), _listed(means), interval)


def _listed(costs: Mapping[str, float]) -> str:
    said = [f"{cost:.2f} dB {row}" for row, cost in costs.items() if cost]
    return f"{', '.join(said) or '0 dB everywhere'}{', 0 dB the others' if 0 < len(said) < len(costs) else ''}."


def _same(entries: Entries) -> dict[str, Any]:
    """Judge whether all formats without loss give the same PSNR on every picture."""
    levels = {row: [e["psnr_written"] for e in entries[row]] for row in LOSSLESS if row in entries}
    same = sum(of == levels["PNG"] for of in levels.values())
    text = "Formats without loss that restore every picture as well as PNG does"
    return claim(text, "equals", len(levels), same, f"{'; '.join(levels)}.")


def notes() -> list[str]:
    """Say which settings and libraries wrote the files, and what PSNR is that of."""
    versions = f"Pillow {PIL.__version__}, OpenCV {cv2.__version__}"
    return [
        "The paper gives no settings. Assumed are the defaults of Pillow, by which Keras reads and writes pictures: "
        "JPEG of quality 75 with chroma at half resolution, WebP of quality 80, PNG, BMP, TIFF (not compressed) and "
        "JPEG2000 without loss. OpenCV's beside them: JPEG of quality 95, JPEG2000 at a quarter of the bytes, PNG, "
        f"BMP, WebP and TIFF (LZW) without loss. {versions}.",
        f"PSNR is against the pixels before the original file was written. The limit of {LIMIT} dB is the suite's "
        "tolerance for PSNR, fixed before the run. Up-sampling is bicubic, which the networks were trained with.",
    ]


def drawn(entries: Entries, basis: Basis) -> dict[str, Any]:
    """Draw the mean sizes by format as the paper does, and the mean PSNR after each step."""

    def rows(fields: Mapping[str, str], factor: float) -> dict[str, dict[str, list[float]]]:
        return {
            row: {name: [mean([e[field] for e in of]) * factor] for field, name in fields.items()}
            for row, of in entries.items()
        }

    title = f"Pictures of {SIDE}x{SIDE} in files of a format, and their codes in files of it"
    sizes = figures.strips(rows(SIZES, 0.001), "mean file size (kB)", title, basis, log_x=True)
    return {"": sizes, "quality": figures.strips(rows(QUALITIES, 1.0), "mean PSNR (dB)", title, basis)}


def _rounded(value: float) -> float:
    return round(value, 4)
