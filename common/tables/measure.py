"""Tables of trained codecs: every row's codec turns every test picture into bytes and back, next to JPEG."""

import dataclasses
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from common import metrics
from common.data import Picture
from common.tables import networks, published
from common.tables.command import Options
from common.tables.document import Reproduction
from common.tables.numbers import DIGITS, mean_of_known, plain
from common.tables.test_pictures import pictures_of

CHROMA_NOTE = "Chroma slope: how much of Cb and Cr is left, 1 all, 0 none (a grey or sepia picture)."
CHROMA = {"chroma slope": "chroma_slope", "PSNR of Cb and Cr (dB)": "chroma_psnr"}


def rate_distortion(options: Options) -> Reproduction:
    """Measure every row that has weights on the table's test pictures; of others say how to train them."""
    pictures, test_set, note = pictures_of(options, published.load(options.table))
    reproduction = Reproduction(notes=[note] if note else [])
    known = networks.networks_of(options.rows, options.scale, options.seeds)
    reproduction.missing = known.missing
    measure = partial(_measurements, options.rows, options.scale, pictures)
    every = [(row, seed) for row, seeds in known.seeds.items() for seed in seeds]
    reproduction.pictures = [entry for entries in options.over_networks(measure, every) for entry in entries]
    reproduction.further = chroma(reproduction.pictures)
    reproduction.notes += [CHROMA_NOTE] if reproduction.further else []
    reproduction.provenance = {"test_set": test_set, "networks": known.made_by}
    return reproduction


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
    """Return the measurement of one picture as plain data, its chroma's and JPEG's at equal counted bpp beside it."""
    from common import evaluate
    from common.classical import operating_points

    name, image = picture
    measured, decoded = evaluate.round_trip(codec, image, name)
    values = {**fields(measured), **operating_points.jpegs_at_bpp(image, measured.bpp)}
    if image.ndim == 3:
        values.update(chroma_psnr=metrics.chroma_psnr(image, decoded))
        values.update(chroma_slope=metrics.chroma_slope(image, decoded))
    bar.update()
    return {"row": row, "seed": seed, "picture": name, **{key: plain(value) for key, value in values.items()}}


def chroma(entries: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Return how true the colours of each row are, by column and row: means over the pictures that have any."""
    columns = {column: means(entries, field) for column, field in CHROMA.items()}
    return {column: of for column, of in columns.items() if of}


def means(entries: Sequence[Mapping[str, Any]], field: str) -> dict[str, float]:
    """Return the mean of a field for each row, over the pictures that have it; rows without any are left out."""
    rows = dict.fromkeys(entry["row"] for entry in entries)
    values = {row: mean_of_known(entry.get(field) for entry in entries if entry["row"] == row) for row in rows}
    return {row: round(value, DIGITS) for row, value in values.items() if value is not None}
