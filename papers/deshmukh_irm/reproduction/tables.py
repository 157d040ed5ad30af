"""Tables 1 to 6 of Deshmukh and Pollett: named pictures coded to bytes and back, next to plain interpolation."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from common import evaluate, metrics
from common.classical import operating_points
from common.config import preset_of
from common.data.pictures import to_uint8
from common.errors import RelicError
from common.tables import figures, measure, networks
from common.tables.command import Options
from common.tables.document import Reproduction, claim
from common.tables.numbers import DIGITS, mean, rounded
from common.training import shipped
from papers.deshmukh_irm import config, huffman
from papers.deshmukh_irm.codec import Codec
from papers.deshmukh_irm.config import Compression
from papers.deshmukh_irm.entropy_coders import RANGE_CODER
from papers.deshmukh_irm.reproduction.references import plain_bpp, quality
from papers.deshmukh_irm.reproduction.test_pictures import (
    AVERAGE,
    GREY,
    KODIM23,
    PLAIN,
    PSNR,
    SIDE,
    SSIM,
    NamedPictures,
    bicubic,
    named,
    scaled,
    test_pictures,
)

# The presets of the tables of pictures, as figures name them.
DRAWN_AS = {
    "grey": "Proposed, grey",
    "rgb": "Proposed, colour",
    "baseline_as_written": "Baseline as the paper describes it",
}
BICUBIC, SRGAN = "bicubic up-sampling", "SRGAN up-sampling"

PictureEntry = Mapping[str, Any]


# --- networks ------------------------------------------------------------------------------------------------------


def srgan_of(options: Options) -> tuple[Codec | None, dict[str, Any]]:
    """Return the SRGAN and what a table says of them: at the table's scale, else the best that is here."""
    preset = config.SRGAN
    seeds = networks.seeds_of(preset, options.scale, options.seeds)[:1] if options.scale == "smoke" else []
    try:
        stored = shipped.of_preset(config, "srgan", options.scale, *seeds)
    except RelicError:
        try:
            stored = shipped.of_preset(config, "srgan")
        except RelicError:
            return None, {}
    return Codec(stored), networks.made_by(preset, stored.scale, [stored.seed])


# --- measuring -----------------------------------------------------------------------------------------------------


def measured(codec: Codec, x: np.ndarray, name: str) -> dict[str, Any]:
    """Return what coding a uint8 picture costs and gives, with plain bicubic, and JPEG at equal counted bpp, beside it.

    Fields in bytes, in dB and from 0 to 1, rounded; `<way>_psnr` and `<way>_ssim` of the ways to up-sample.
    """
    whole = evaluate.measure(codec.with_settings(), x, name, ("ssim", "ms_ssim"))
    code = codec.code(x)
    small, plain = bicubic(x, codec.config.stride)
    entry: dict[str, Any] = {"picture": name, "bpp": whole.bpp, "ms_ssim": whole.ms_ssim, "bytes": whole.num_bytes}
    entry.update({"range_coder_bytes": len(codec.with_settings(RANGE_CODER).compress(x))})
    entry.update({"code_bytes": code.size, "plain_bytes": len(huffman.encode(small.ravel()))})
    entry.update(_named("plain", quality(x, plain)))
    entry.update(_named("bicubic", whole))
    u = codec.upsampled(code / np.float32(255))
    entry["without_irm_psnr"] = metrics.psnr(x, to_uint8(u).reshape(x.shape))
    entry.update(_named("unrounded", quality(x, codec.restored(codec.unrounded_code(x), x))))
    if codec.srgan:
        entry.update(_named("srgan", evaluate.measure(codec, x, name, ("ssim",))))
        u = codec.upsampled(code / np.float32(255), codec.srgan)
        entry["srgan_alone_psnr"] = metrics.psnr(x, to_uint8(u).reshape(x.shape))
    return rounded({**entry, **operating_points.jpegs_at_bpp(x, whole.bpp)})


def _named(way: str, measured: Any) -> dict[str, float]:
    """Return PSNR and SSIM of a measurement or a `Quality` by the names that they have in an entry."""
    return {f"{way}_psnr": measured.psnr, f"{way}_ssim": measured.ssim}


def reproduce(options: Options, preset: Compression, others: Mapping[str, Compression] | None = None) -> Reproduction:
    """Measure a preset on the named pictures of the table, and judge whether it beats plain bicubic on every one.

    `others` are presets by the name under which their PSNR and SSIM stand beside.
    """
    pictures, reproduction, codec = _begun(options, preset)
    if codec is None:
        return reproduction
    with measure.progress(len(pictures.x)) as bar:
        for row, x in pictures.x.items():
            reproduction.pictures.append({"row": row, "seed": 0, **measured(codec, x, pictures.names[row])})
            bar.update()
    reproduction.values = cells(reproduction.pictures)
    reproduction.further = further(reproduction.pictures, options, codec)
    reproduction.claims = gate(reproduction.pictures)
    reproduction.notes += notes(codec)
    for name, other in (others or {}).items():
        _beside(reproduction, name, other, options, pictures)
    return reproduction


def _beside(
    reproduction: Reproduction, name: str, preset: Compression, options: Options, pictures: NamedPictures
) -> None:
    """Add PSNR and SSIM of another preset's codec to what a table has further."""
    codec, about = networks.one_codec(preset, options)
    if codec is None:
        reproduction.notes.append(f"{name}: {networks.how_to_train(preset, options.scale)}")
        return
    rows = {row: evaluate.measure(codec, x, pictures.names[row], ("ssim",)) for row, x in pictures.x.items()}
    for column, field in ((PSNR, "psnr"), (SSIM, "ssim")):
        of = {row: round(getattr(whole, field), DIGITS) for row, whole in rows.items()}
        reproduction.further[f"{name}, {column}"] = {**of, AVERAGE: _mean(of, options)}
    reproduction.provenance["networks"][preset_of(preset)[1]] = about


def _begun(options: Options, preset: Compression) -> tuple[NamedPictures, Reproduction, Codec | None]:
    """Return the pictures, a reproduction that knows them and the networks, and the codec, None without weights."""
    pictures = test_pictures(options, preset.channels)
    reproduction, codec = networks.begun(options, preset, pictures.about, pictures.note)
    if codec is None:
        return pictures, reproduction, None
    few = "Fewer pictures were asked for, or are here."
    reproduction.missing = {row: few for row in options.rows if row not in (*pictures.x, AVERAGE)}
    if preset.architecture == "proposed":
        srgan, about = srgan_of(options)
        codec = codec.with_settings(srgan=srgan)
        reproduction.provenance["networks"].update({"srgan": about} if about else {})
    return pictures, reproduction, codec


def cells(entries: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Return PSNR and SSIM by row, and their means as the last one."""
    values = {e["row"]: {PSNR: e["bicubic_psnr"], SSIM: e["bicubic_ssim"]} for e in entries}
    return {**values, AVERAGE: _means(values)}


def _means(values: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    columns = next(iter(values.values()))
    return {column: round(mean(of[column] for of in values.values()), DIGITS) for column in columns}


def further(entries: list[dict[str, Any]], options: Options, codec: Codec) -> dict[str, dict[str, float]]:
    """Return what the paper's table does not have: bytes, plain bicubic, and the other ways to up-sample."""
    if any(entry["picture"] == GREY["Parrots"] for entry in entries):
        entries = [*entries, *_kodim23(codec)]
    fields = {
        "file, bytes": "bytes",
        "with the range coder": "range_coder_bytes",
        "code, bytes": "code_bytes",
        f"{PLAIN}'s code, Huffman, bytes": "plain_bytes",
        f"{PLAIN}, PSNR": "plain_psnr",
        f"{PLAIN}, SSIM": "plain_ssim",
        f"{SRGAN}, PSNR": "srgan_psnr",
        f"{SRGAN}, SSIM": "srgan_ssim",
        "the SRGAN without IRM, PSNR": "srgan_alone_psnr",
        "without the IRM, PSNR": "without_irm_psnr",
        "code not rounded, PSNR": "unrounded_psnr",
        "JPEG of equal bytes, optimised tables, PSNR": "optimised_psnr",
        "JPEG of equal bytes, standard tables, PSNR": "jpeg_psnr",
    }
    table = {name: {e["row"]: e[of] for e in entries if e.get(of) is not None} for name, of in fields.items()}
    return {title: {**of, AVERAGE: _mean(of, options)} for title, of in table.items() if of}


def _mean(of: Mapping[str, float], options: Options) -> float:
    return round(mean(value for row, value in of.items() if row in options.rows), 4)


def _kodim23(codec: Codec) -> list[dict[str, Any]]:
    """Return the measurement of Kodak's parrots, which the row Parrots could mean as well."""
    try:
        picture = scaled(named([KODIM23])[KODIM23], codec.config.channels)
    except RelicError:
        return []
    return [{"row": "Parrots, kodim23", **measured(codec, picture, KODIM23)}]


def gate(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Judge whether the trained networks beat plain bicubic from a code of the same size on every picture."""
    gains = {e["row"]: e["bicubic_psnr"] - e["plain_psnr"] for e in entries}
    least = min(gains, key=lambda row: gains[row])
    text = "Beats plain bicubic from a code of the same size, pictures"
    note = f"By {', '.join(f'{gain:+.2f} dB on {row}' for row, gain in gains.items())}. Both codes have "
    note += f"{entries[0]['code_bytes']} bytes; Huffman coded, with header, "
    sizes = [f"{e['bytes']} ({PLAIN}, without header, {e['plain_bytes']}) on {e['row']}" for e in entries]
    note += f"{', '.join(sizes)}."
    won = sum(gain > 0 for gain in gains.values())
    judged = [claim(text, "equals", len(gains), won, note)]
    return [*judged, claim(f"{text}: least gain, dB ({least})", "above", 0, round(gains[least], 4))]


def notes(codec: Codec) -> list[str]:
    """Say how the cells were measured."""
    said = [
        f"Cells are of {BICUBIC}, which the networks were trained with, from the code in 8 bits. "
        f"{PLAIN.capitalize()}: scaled down by areas and up again by OpenCV."
    ]
    if codec.config.architecture == "baseline":
        return said
    cells_note = "The paper's cells are of the SRGAN, which takes no part in training: it stands beside"
    return [
        *said,
        f"{cells_note}." if codec.srgan else f"{cells_note} where there are weights of it, and here are none.",
    ]


# --- pictures ------------------------------------------------------------------------------------------------------


def gallery(options: Options, preset: Compression) -> Reproduction:
    """Return every picture of a table of pictures beside its code, its reconstruction and plain bicubic."""
    pictures, reproduction, codec = _begun(options, preset)
    if codec is None:
        return reproduction
    rows = []
    for row, x in pictures.x.items():
        code, (small, plain) = codec.code(x), bicubic(x, codec.config.stride)
        whole, x_hat = evaluate.round_trip(codec.with_settings(), x, row, ("ssim",))
        reproduction.values[row] = {"Reconstructed": round(whole.psnr, DIGITS)}
        size = f"its code, {code.shape[1]}x{code.shape[0]}"
        cells: list[figures.Cell] = [(f"{row}, original", x), (size, code if code.shape[2] == 3 else code[..., 0])]
        cells += [(_caption("reconstructed", whole.bpp, whole), x_hat)]
        cells += [(_caption(PLAIN, plain_bpp(small, x), quality(x, plain)), plain)]
        if codec.srgan:
            whole, x_hat = evaluate.round_trip(codec, x, row, ("ssim",))
            cells.append((_caption(f"with {SRGAN}", whole.bpp, whole), x_hat))
        rows.append(cells)
    title = f"{DRAWN_AS[preset_of(preset)[1]]}; bpp of whole files, Huffman coded, plain bicubic's without a header"
    basis = figures.Basis(options.scale, f"{pictures.about['name']} of {SIDE}x{SIDE}")
    reproduction.figures = {"": figures.picture_grid(rows, title, basis)}
    reproduction.notes += notes(codec)
    return reproduction


def _caption(name: str, bpp: float, measured: Any) -> list[str]:
    return [name, f"{bpp:.2f} bpp, {measured.psnr:.2f} dB", f"SSIM {measured.ssim:.3f}"]
