"""Figure 3 of Deshmukh and Pollett: files of COCO's pictures, already JPEG, against those of ICM and Huffman coding."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from common import data, evaluate
from common.classical import codecs, operating_points
from common.data import pictures
from common.errors import RelicError
from common.tables import figures, measure, networks
from common.tables.command import Options
from common.tables.document import Reproduction, claim
from common.tables.figures import POINTS, REFERENCE, Basis, Line
from common.tables.numbers import DIGITS
from papers.deshmukh_irm import config
from papers.deshmukh_irm.codec import Codec
from papers.deshmukh_irm.entropy_coders import RANGE_CODER
from papers.deshmukh_irm.reproduction.references import plain_bytes
from papers.deshmukh_irm.reproduction.test_pictures import SMOKE_PICTURES, STAND_IN, bicubic

ROW = "COCO"
FOLDER = "coco128_val"
JPEG_ENDINGS = (".jpg", ".jpeg")
STAND_IN_QUALITY = 90
EVERY = 8  # pictures of which one is decoded: restoring pictures of COCO's size takes longer than all the rest
# What a picture's .rlic file is compared with, by the field that counts its bytes.
OTHERS = {
    "before_bytes": "JPEG of the data set",
    "raw_bytes": "uncompressed",
    "plain_bytes": "plain bicubic's code, Huffman",
    "range_coder_bytes": "the same code, range coder",
    "optimised_bytes": "JPEG of the same PSNR, optimised tables",
    "jpeg_bytes": "JPEG of the same PSNR",
}
LABELS = {"after_bytes": "after", **OTHERS, "before_bytes": "before, JPEG of the data set"}


class File(NamedTuple):
    """A picture file: its name without ending, its bytes on disk, and its uint8 picture HxWx3 or HxW."""

    name: str
    size: int
    image: np.ndarray


# --- files ---------------------------------------------------------------------------------------------------------


def files_of(options: Options) -> tuple[list[File], dict[str, Any], str]:
    """Return the JPEG files, `{name, pictures, digest}` of their pictures, and a sentence where they are a stand-in."""
    limit = options.images or (SMOKE_PICTURES if options.scale == "smoke" else None)
    folder = options.data or next((root / FOLDER for root in data.roots() if (root / FOLDER).is_dir()), None)
    if folder:
        name, note, files = folder.name, "", read_files(folder, limit)
    else:
        coder = codecs.Jpeg(STAND_IN_QUALITY)
        coded = [(name, coder.compress(image)) for name, image in data.images(STAND_IN, limit)]
        files = [File(name, len(jpeg), coder.decompress(jpeg)) for name, jpeg in coded]
        name, note = STAND_IN, f"No folder {FOLDER} in {', '.join(map(str, data.roots()))}: the embedded set {STAND_IN}"
        note += f", coded as JPEG of quality {STAND_IN_QUALITY}, stands in. No absolute value is comparable."
    digest = data.pixel_digest([(file.name, file.image) for file in files])
    return files, {"name": name, "pictures": len(files), "digest": digest}, note


def read_files(folder: Path, limit: int | None) -> list[File]:
    """Return the first JPEG files of a folder and of those below it; raises RelicError where there are none."""
    paths = [path for path in data.files_below(folder) if path.suffix.lower() in JPEG_ENDINGS][:limit]
    if not paths:
        raise RelicError(f"no JPEG files in {folder}: the figure is about files ending in {', '.join(JPEG_ENDINGS)}")
    files = [(path, pictures.read_file(path)) for path in paths]
    return [File(path.stem, len(file), pictures.decode_image(file, str(path))) for path, file in files]


# --- measuring -----------------------------------------------------------------------------------------------------


def figure3(options: Options) -> Reproduction:
    """Count the bytes of every picture's files, judge what the paper says of them, and draw them."""
    files, test_set, note = files_of(options)
    reproduction, codec = networks.begun(options, config.RGB, test_set, note)
    if codec is None:
        return reproduction
    with measure.progress(len(files)) as bar:
        for index, file in enumerate(files):
            reproduction.pictures.append(measured(codec, file, decode=index % EVERY == 0))
            bar.update()
    reproduction.further, reproduction.claims = further(reproduction.pictures), claims(reproduction.pictures)
    reproduction.figures = {"": drawn(reproduction.pictures, figures.basis_of(options.scale, test_set))}
    reproduction.notes += notes(files, reproduction.pictures)
    return reproduction


def measured(codec: Codec, file: File, decode: bool) -> dict[str, Any]:
    """Return the bytes of a picture's file as it was, coded, and stored otherwise.

    decode: whether it is decoded as well, for its PSNR and the bytes of a JPEG file as good as that.
    """
    x = file.image
    whole = evaluate.measure(codec, x, file.name, ()) if decode else None
    after = whole.num_bytes if whole else len(codec.compress(x))
    small = bicubic(x, codec.config.stride)[0]
    entry: dict[str, Any] = {"row": ROW, "seed": 0, "picture": file.name}
    entry.update(before_bytes=file.size, after_bytes=after, raw_bytes=x.size)
    entry["range_coder_bytes"] = len(codec.with_settings(RANGE_CODER).compress(x))
    entry["plain_bytes"] = plain_bytes(small)
    return {**entry, **(_as_good(x, whole.psnr) if whole else {})}


def _as_good(x: np.ndarray, psnr: float) -> dict[str, Any]:
    """Return a PSNR in dB, and quality and bytes of JPEG at that PSNR of a picture, unless it cannot reach it.

    `optimised_bytes` are of the same pixels with optimised Huffman tables.
    """
    try:
        setting, jpeg = operating_points.setting_for_psnr(codecs.family("JPEG"), x, psnr)
    except RelicError:
        return {"psnr": round(psnr, DIGITS)}
    optimised = len(codecs.Jpeg(setting, optimised=True).compress(x))
    found = {"jpeg_quality": setting, "jpeg_bytes": jpeg.num_bytes, "optimised_bytes": optimised}
    return {"psnr": round(psnr, DIGITS), **found}


def ratios(entries: Sequence[dict[str, Any]], field: str) -> np.ndarray:
    """Return the bytes of the .rlic files over those of `field`, float64, for the pictures where both were counted."""
    return np.array([entry["after_bytes"] / entry[field] for entry in entries if field in entry], np.float64)


# --- judging -------------------------------------------------------------------------------------------------------


def further(entries: Sequence[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Return by other kind of file its mean bytes, and how a picture's .rlic file compares with it."""
    table: dict[str, dict[str, float]] = {}
    for field, name in OTHERS.items():
        sizes, ratio = [entry[field] for entry in entries if field in entry], ratios(entries, field)
        if sizes:
            columns = {"mean, bytes": round(float(np.mean(sizes)), 1), "after / it, median": _median(ratio)}
            columns.update({"after is smaller, pictures": int(sum(ratio < 1)), "of pictures": len(sizes)})
            for column, value in columns.items():
                table.setdefault(column, {})[name] = value
    return table


def claims(entries: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Judge by medians over the pictures that a file becomes smaller than others of the same picture.

    The paper gives no factor for its "substantially": smaller at all is the least that it can mean.
    """
    text = "'The file size of an image was substantially reduced'"
    before = ratios(entries, "before_bytes")
    smaller = claim(f"{text}: pictures whose file became smaller", "equals", len(before), int(sum(before < 1)))
    judged = [
        _below(f"{text}: after / before, the data set's JPEG", before),
        smaller,
        _below(f"{text}: after / uncompressed", ratios(entries, "raw_bytes")),
        _below("The network's share in it: after / plain bicubic's code, same coder", ratios(entries, "plain_bytes")),
    ]
    jpeg = ratios(entries, "optimised_bytes")
    if jpeg.size:
        text = "Abstract, 'better results … compared to traditional … algorithms': after / JPEG of the same PSNR"
        judged.append(_below(f"{text}, optimised tables", jpeg))
    return judged


def _below(text: str, ratio: np.ndarray) -> dict[str, Any]:
    note = f"{ratio.min():.2f} to {ratio.max():.2f} over {len(ratio)} pictures, below 1 on {sum(ratio < 1)}."
    return claim(f"{text}, median", "below", 1, _median(ratio), note)


def _median(values: np.ndarray) -> float:
    return round(float(np.median(values)), 4)


def notes(files: Sequence[File], entries: Sequence[dict[str, Any]]) -> list[str]:
    """Say what was counted, in bits per pixel, and on how many pictures the PSNR was measured."""
    pixels = [file.image.shape[0] * file.image.shape[1] for file in files]

    def bpp(field: str) -> str:
        return f"{np.median([8 * entry[field] / count for entry, count in zip(entries, pixels, strict=True)]):.2f}"

    grey = sum(file.image.ndim == 2 for file in files)
    said = f"Medians in bits per pixel: {bpp('before_bytes')} before, {bpp('after_bytes')} after, "
    said += f"{bpp('plain_bytes')} of plain bicubic's code. After is the complete file, header included."
    levels = [entry["psnr"] for entry in entries if "psnr" in entry]
    how = f"One picture in {EVERY} is decoded ({len(levels)}): PSNR {np.mean(levels):.2f} dB on average, against the "
    how += "pixels of the data set's JPEG. JPEG of the same PSNR has the coarsest quality that reaches it. "
    how += "It is judged with Huffman tables made for the picture, the stronger anchor; the standard's stand beside."
    threefold = f"{grey} of the pictures are grey: the network for colour codes them as three equal channels."
    return [said, how, *([threefold] if grey else [])]


def drawn(entries: Sequence[dict[str, Any]], basis: Basis) -> Any:
    """Draw the sizes of the files, pictures in the order of their size before, and how much larger after is."""
    ordered = list(enumerate(sorted(entries, key=lambda entry: entry["before_bytes"]), 1))

    def line(field: str, ratio: bool) -> Line:
        values = {
            place: e["after_bytes"] / e[field] if ratio else e[field] / 1000 for place, e in ordered if field in e
        }
        return Line(LABELS[field], list(values), list(values.values()), POINTS)

    sizes = [line(field, ratio=False) for field in ("raw_bytes", "before_bytes", "after_bytes")]
    others = [field for field in OTHERS if field != "raw_bytes" and any(field in e for _, e in ordered)]
    ratios = [line(field, ratio=True) for field in others]
    return figures.panels(
        {
            "file size (kB)": sizes,
            "after / other file": [*ratios, Line("as large as after", [1, len(ordered)], [1.0, 1.0], REFERENCE)],
        },
        "picture, in the order of its size before",
        "Files before (JPEG of the data set) and after (ICM, Huffman)",
        basis,
        columns=1,
        log_y=True,
        note="Below: above 1 the file after is larger than the other one.",
    )
