"""Tables of trained codecs: every row's codec turns every test picture into bytes and back, next to JPEG."""

import dataclasses
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from common import metrics
from common.data import Picture
from common.errors import RelicError
from common.tables import equal_rate, networks, published
from common.tables.command import Options
from common.tables.document import Reproduction
from common.tables.numbers import DIGITS, mean_of_known, plain
from common.tables.test_pictures import pictures_of

NO_STEPS = "has no curve: its codec has no steps of the quantiser, so nothing of it is compared at equal rate."
FIGURE_NOTE = (
    f"Points are means over pictures and seeds at steps {', '.join(map(str, equal_rate.STEPS))} of the quantiser; "
    "the middle one is the table's."
)
CHROMA_NOTE = "Chroma slope: how much of Cb and Cr is left, 1 all, 0 none (a grey or sepia picture)."
CHROMA = {"chroma slope": "chroma_slope", "PSNR of Cb and Cr (dB)": "chroma_psnr"}
CURVE = (equal_rate.RATE, *equal_rate.MEASURES)
ESTIMATE_NOTE = "Rate estimate: what the model's likelihoods give for the latents; files also have headers."
ESTIMATE = {"rate estimate (bpp)": "rate_estimate"}


def rate_distortion(options: Options) -> Reproduction:
    """Measure every row that has weights on the table's test pictures; of others say how to train them."""
    pictures, test_set, note = pictures_of(options, published.load(options.table))
    reproduction = Reproduction(notes=[note] if note else [])
    known = networks.networks_of(options.rows, options.scale, options.seeds)
    reproduction.missing = known.missing
    measure = partial(_measurements, options.rows, options.scale, pictures)
    every = [(row, seed) for row, seeds in known.seeds.items() for seed in seeds]
    reproduction.pictures = [entry for entries in options.over_networks(measure, every) for entry in entries]
    add_columns(reproduction)
    reproduction.provenance = {"test_set": test_set, "networks": known.made_by}
    reproduction.figures = curves_figure(options, reproduction)
    return reproduction


def add_columns(reproduction: Reproduction) -> None:
    """Add to a reproduction of measured pictures the columns that the paper lacks, and what is to be said of them."""
    of_chroma = chroma(reproduction.pictures)
    of_estimate = {column: of for column, f in ESTIMATE.items() if (of := means(reproduction.pictures, f))}
    reproduction.further = {**of_chroma, **of_estimate}
    reproduction.notes += [CHROMA_NOTE] if of_chroma else []
    reproduction.notes += [ESTIMATE_NOTE] if of_estimate else []
    rows = dict.fromkeys(entry["row"] for entry in reproduction.pictures)
    lacking = equal_rate.without_curves(reproduction.pictures)
    for row in lacking if len(lacking) < len(rows) or of_estimate else ():
        reproduction.notes.append(f"{row} {NO_STEPS}")


def curves_figure(options: Options, reproduction: Reproduction) -> dict[str, Any]:
    """Return the figure of the rows' curves and of their points without a step, {} where no row has a curve."""
    curves = equal_rate.mean_curves(reproduction.pictures)
    if not curves:
        return {}
    from common.tables import figures

    panels: dict[str, list[Any]] = {"PSNR (dB)": [], "MS-SSIM (dB)": []}
    for lines, field in zip(panels.values(), equal_rate.MEASURES, strict=True):
        for row, curve in curves.items():
            if field in curve:
                lines.append(figures.Line(row, curve["bpp"], [equal_rate.in_db(q, field) for q in curve[field]]))
    basis = figures.basis_of(options.scale, reproduction.provenance["test_set"])
    title = published.load(options.table).texts["title"]
    drawn = {label: lines for label, lines in panels.items() if lines}
    return {"": figures.rate_distortion(drawn, title, basis, note=FIGURE_NOTE)}


def over_networks(options: Options, function: Callable[[Any], Any], every: Sequence[Any]) -> Iterator[Any]:
    """Yield `function(network)` of every network, in order, on the cluster that the command line names, with a bar."""
    with progress(len(every), "network") as bar:
        for measured in options.over_networks(function, every):
            bar.update()
            yield measured


def progress(total: int, unit: str = "picture") -> Any:
    """Return a bar on stderr, which shows on terminals only."""
    from tqdm import tqdm

    return tqdm(total=total, unit=unit, file=sys.stderr, dynamic_ncols=True, disable=None)


def fields(measured: Any) -> dict[str, Any]:
    """Return a `common.evaluate.Measurement` as tables of trained codecs hold it: all but its name and SSIM."""
    return {key: value for key, value in dataclasses.asdict(measured).items() if key not in ("name", "ssim")}


def _measurements(
    rows: Mapping[str, Any], scale: str, pictures: Sequence[Picture], network: tuple[str, int]
) -> list[dict[str, Any]]:
    """Return the measurements of all pictures by the network of a row and seed."""
    row, seed = network
    codec = networks.codec_of(rows[row], scale, seed)
    with progress(len(pictures)) as bar:
        bar.set_description(f"{row}, seed {seed}")
        return [_measurement(codec, row, seed, picture, bar) for picture in pictures]


def _measurement(codec: Any, row: str, seed: int, picture: Picture, bar: Any) -> dict[str, Any]:
    """Return the measurement of one picture as plain data, its chroma's, JPEG's at equal counted bpp, and its curve."""
    from common import evaluate
    from common.classical import operating_points

    name, image = picture
    stepped = _codecs_by_step(codec)
    measured, decoded = evaluate.round_trip(stepped.get(0, codec), image, name)
    values = {**fields(measured), **operating_points.jpegs_at_bpp(image, measured.bpp)}
    if image.ndim == 3:
        values.update(chroma_psnr=metrics.chroma_psnr(image, decoded))
        values.update(chroma_slope=metrics.chroma_slope(image, decoded))
    if hasattr(codec, "rate_estimate"):
        values.update(rate_estimate=codec.rate_estimate(image))
    entry = {"row": row, "seed": seed, "picture": name, **{key: plain(value) for key, value in values.items()}}
    if stepped:
        points = [measured if step == 0 else evaluate.measure(stepped[step], image, name) for step in stepped]
        entry["curve"] = {"step": list(stepped)} | {f: [plain(getattr(p, f)) for p in points] for f in CURVE}
    bar.update()
    return entry


class _Coder:
    """A codec at one step, which shares the latents of its one picture with those at other steps."""

    def __init__(self, codec: Any, known: dict[str, Any]) -> None:
        self.codec, self.known = codec, known
        self.decompress = codec.decompress

    def compress(self, image: np.ndarray) -> bytes:
        if "latents" not in self.known:
            self.known["latents"] = self.codec.latents(image)
        return self.codec.compress_latents(self.known["latents"])


def _codecs_by_step(codec: Any) -> dict[int, _Coder]:
    """Return for one picture a codec of each step of the curve, {} where the codec has no steps."""
    if not all(hasattr(codec, name) for name in ("latents", "compress_latents", "with_settings")):
        return {}
    known: dict[str, Any] = {}
    try:
        return {step: _Coder(codec.with_settings(step=step), known) for step in equal_rate.STEPS}
    except (RelicError, TypeError):  # a network without scales of its latents, a codec with other settings
        return {}


def chroma(entries: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Return how true the colours of each row are, by column and row: means over the pictures that have any."""
    columns = {column: means(entries, field) for column, field in CHROMA.items()}
    return {column: of for column, of in columns.items() if of}


def means(entries: Sequence[Mapping[str, Any]], field: str) -> dict[str, float]:
    """Return the mean of a field for each row, over the pictures that have it; rows without any are left out."""
    rows = dict.fromkeys(entry["row"] for entry in entries)
    values = {row: mean_of_known(entry.get(field) for entry in entries if entry["row"] == row) for row in rows}
    return {row: round(value, DIGITS) for row, value in values.items() if value is not None}
