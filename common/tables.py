"""The experiments' command line: reproduce one published table, judge it, write json, csv, md and figures, print it.

An experiment declares `ROWS` (label as printed: config) and `reproduce(options) -> Reproduction`, and calls `main`.
"""
from __future__ import annotations

import argparse
import csv
import io
import json
import math
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Mapping, NoReturn, Sequence

from common import published, runs, schedule, table_text, weights
from common.config import SCALES, check_scale, preset_of
from common.errors import RelicError, run_main
from common.join import EXACT_SCALE, Document, Reproduction, claim, figure_name, is_published_set, join, recompute

SHOWN_DIGITS = 16  # of the sha256 of weights, in a table's provenance

__all__ = ["Document", "Options", "Reproduction", "claim", "join", "main", "preset_of", "recompute", "write"]


@dataclass(frozen=True)
class Options:
    """What the command line asks of `reproduce`: rows and scale, pictures and seeds (None: all there are)."""

    table: str
    rows: Mapping[str, Any]
    scale: str
    images: int | None = None
    data: Path | None = None
    seeds: Sequence[int] | None = None


def main(
    table: str,
    rows: Mapping[str, Any],
    reproduce: Callable[[Options], Reproduction],
    reference: str | None = None,
    trained: bool = True,
    networks: Mapping[str, Any] | None = None,
    further: Mapping[str, Any] | None = None,
) -> None:
    """Run an experiment's command line on `<paper>/<table>`; nothing is trained for a table of counts.

    `rows` maps the printed row labels to configs; `reference` is the row that the others' differences are taken to.
    `networks` are the configs that are needed where the rows are something else, e.g. pictures; `further` are those
    that `--train` trains as well.
    """
    run_main(lambda: _main(table, rows, reproduce, reference, trained, networks or rows, further or {}))


def _main(
    table: str,
    rows: Mapping[str, Any],
    reproduce: Callable[[Options], Reproduction],
    reference: str | None,
    trained: bool,
    networks: Mapping[str, Any],
    further: Mapping[str, Any],
) -> None:
    arguments = _parser(table, trained).parse_args()
    scale = arguments.scale or (best_scale(networks) if trained else EXACT_SCALE)
    _check_folder(arguments.data)
    if trained:
        _have_networks([*networks.values(), *further.values()], scale, arguments)
    options = Options(table, rows, scale, arguments.images, arguments.data, arguments.seeds)
    started = time.monotonic()
    found = reproduce(options)
    seconds = round(time.monotonic() - started, 1)
    found.provenance = {"scale": scale, **found.provenance, "seconds": seconds, **runs.provenance()}
    document = join(table, scale, reference, found)
    path = write(document, found.figures, arguments.svg)
    if arguments.json:
        runs.write_json(arguments.json, document)
    print(table_text.as_text(document))
    print(f"\nwritten: {path.with_suffix('.md')} (also {', '.join(['.json', '.csv', *document.get('figures', ())])})")


def _have_networks(configs: Sequence[Any], scale: str, arguments: argparse.Namespace) -> None:
    """Train what is missing, where that is asked for; raise RelicError where no network or not enough time is there."""
    command = f"{runs.module_command()} --scale {scale} --train"
    if arguments.train:
        left = schedule.complete(schedule.trainings(configs, scale, arguments.seeds or (0,)), arguments.minutes)
        if left:
            done, steps = left[0].progress[0], left[0].steps
            raise RelicError(
                f"time is out before the table: {len(left)} trainings are not finished, the first of them, "
                f"{left[0].name}, is at step {done} of {steps}: the same command goes on"
            )
    elif scale != "smoke":  # which trains by itself
        schedule.require_weights(configs, scale, command)


# --- the command line ----------------------------------------------------------------------------------------------


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        raise RelicError(message)


def _scale(text: str) -> str:
    try:
        return check_scale(text)
    except RelicError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def at_least(least: int) -> Callable[[str], int]:
    """Return a conversion of an argument to a whole number of at least `least`."""

    def convert(text: str) -> int:
        if not text.isdigit() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least {least}")
        return int(text)

    return convert


def minutes(text: str) -> float:
    """Return a number of minutes above 0; raises ArgumentTypeError for anything else."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of minutes above 0")
    return number


def _parser(table: str, trained: bool) -> argparse.ArgumentParser:
    module = sys.modules["__main__"]
    spec = getattr(module, "__spec__", None)
    parser = Parser(
        prog=f"python -m {spec.name}" if spec else None,
        description=module.__doc__ or table,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    default = "the best with shipped weights for every row" if trained else "exact: nothing is trained"
    parser.add_argument("--scale", type=_scale, metavar="SCALE", help=f"{', '.join(SCALES)} (default: {default})")
    parser.add_argument("--images", type=at_least(1), metavar="N", help="use only the first N test pictures")
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder of test pictures (default: found by name)")
    parser.add_argument("--seeds", type=at_least(0), nargs="+", metavar="SEED", help="seeds (default: all shipped)")
    if trained:
        parser.add_argument("--train", action="store_true", help="first train what is missing of --seeds (default: 0)")
        parser.add_argument("--minutes", type=minutes, metavar="M", help="of training; the same command goes on later")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the table's json to FILE")
    parser.add_argument("--svg", action="store_true", help="write figures as svg too, those that are not pictures")
    return parser


def _check_folder(folder: Path | None) -> None:
    if folder is None:
        return
    if not folder.is_dir():
        raise RelicError(f"--data {folder}: no such folder")
    if not any(folder.iterdir()):
        raise RelicError(f"--data {folder}: the folder is empty, put the test pictures there")


def shipped_seeds(config: Any, scale: str) -> list[int]:
    """Return the seeds with weights of a config's preset at a scale, in order."""
    return [seed for its_scale, seed, _ in weights.shipped(*preset_of(config)) if its_scale == scale]


def best_scale(rows: Mapping[str, Any]) -> str:
    """Return the best scale that has shipped weights for every row, `small` where none has."""
    for scale in reversed(SCALES[1:]):
        if rows and all(shipped_seeds(config, scale) for config in rows.values()):
            return scale
    return "small"


# --- files ---------------------------------------------------------------------------------------------------------


def write(document: Document, figures: Mapping[str, Any] | None = None, svg: bool = False) -> Path:
    """Write `<table>.json`, `.csv`, `.md`, figures, and `<table>_curves.json` of measured rows; return the json's path.

    `figures[suffix]` are those that the document names: `<table>.png` for "", else `<table>_<suffix>.png`, and with
    `svg` as svg too what is not made of pixels.
    """
    path = place(document)
    _write_figures(path, figures or {}, svg)
    runs.write_json(path, document)
    _write_text(path.with_suffix(".csv"), as_csv(document))
    _write_text(path.with_suffix(".md"), table_text.as_markdown(document))
    if any("bpp" in picture for picture in document["pictures"]):
        runs.write_json(path.with_name(f"{path.stem}_curves.json"), curves(document))
    return path


def place(document: Document) -> Path:
    """Return where a document's json belongs: `results/<scale>/<paper>/<table>.json`.

    A table measured on other or fewer pictures than the published ones goes below `results/runs`, so that a quick look
    never replaces a complete table; smoke results stay in `results/smoke`.
    """
    paper = published.load(document["table"])
    base = runs.results_dir()
    partial = paper.test_set and not is_published_set(paper, document["provenance"].get("test_set") or {})
    if partial and document["scale"] != "smoke":
        base = base / "runs"
    return base / document["scale"] / f"{document['table']}.json"


def _write_figures(path: Path, drawn: Mapping[str, Any], svg: bool) -> None:
    if drawn:
        from common import figures

        for suffix, figure in drawn.items():
            figures.save(figure, path.with_name(figure_name(path.stem, suffix)).with_suffix(""), svg)


def _write_text(path: Path, text: str) -> None:
    with runs.atomic_file(path) as file:
        file.write(text.encode())


def as_csv(document: Document) -> str:
    """Return the cells as csv, one line each, or the claims where there are no cells; an interval takes two fields."""
    lines, names = document["cells"], ["row", "column", "printed", "published", "reproduced", "delta", "tolerance"]
    if not lines and document["claims"]:
        lines, names = document["claims"], ["claim", "relation", "claimed", "found"]
        lines = [{**one, "scale": document["scale"]} for one in lines]
    names += ["interval_low", "interval_high", "verdict", "scale", "note"]
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    for line in lines:
        low, high = line.get("interval") or (None, None)
        writer.writerow({**line, "interval_low": low, "interval_high": high})
    return text.getvalue()


def curves(document: Document) -> list[dict[str, Any]]:
    """Return one rate-distortion curve a row in the field's layout: one point, the mean over pictures and seeds."""
    fields = {"bpp": "bpp", "psnr-rgb": "psnr", "ms-ssim-rgb": "ms_ssim"}
    fields.update({"encoding_time": "encoding_time", "decoding_time": "decoding_time"})
    about = f"{document['citation']}; {document['title']}; scale {document['scale']}"
    rows = dict.fromkeys(picture["row"] for picture in document["pictures"])
    points = {row: [p for p in document["pictures"] if p["row"] == row] for row in rows}
    return [
        {"name": row, "description": about, "results": {name: [_mean(points[row], f)] for name, f in fields.items()}}
        for row in rows
    ]


def _mean(pictures: Sequence[Mapping[str, Any]], name: str) -> float | None:
    values = [p[name] for p in pictures if p.get(name) is not None]
    return math.fsum(values) / len(values) if values else None


def read(path: Path) -> Document:
    """Read a written table; raises RelicError where the file is not one."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RelicError(f"{path} is not the json of a table ({error}): run its experiment again") from None
