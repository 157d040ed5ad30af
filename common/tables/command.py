"""The experiments' command line: reproduce one published table, judge it, write json, csv, md and figures, print it.

An experiment declares `ROWS` (label as printed: config) and `reproduce(options) -> Reproduction`, and calls `main`.
"""

import argparse
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from common import cluster
from common.command_line import at_least, minutes, parser_of_module, seed
from common.config import SCALES, check_scale
from common.errors import RelicError, goes_on, run_main
from common.files import check_writable, results_dir, write_json
from common.provenance import module_command, provenance
from common.tables import files as table_files
from common.tables import plan
from common.tables import text as table_text
from common.tables.document import EXACT_SCALE, Reproduction, join
from common.training import cluster as cluster_training
from common.training import data_sets, schedule
from common.training.options import add_options, given_options
from common.training.shipped import best_scale


@dataclass(frozen=True)
class Options:
    """What the command line asks of `reproduce`: rows and scale, pictures and seeds (None: all there are)."""

    table: str
    rows: Mapping[str, Any]
    scale: str
    images: int | None = None
    data: Path | None = None
    seeds: Sequence[int] | None = None
    over_networks: cluster.Map = map  # as the built-in `map`; on a cluster each item, a network, is a task


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
    configs = [*networks.values(), *further.values()]
    if trained and arguments.dry_run:
        for text in plan.texts(_trainings(configs, scale, arguments)):
            print(text, flush=True)
        return
    _check_folder(arguments.data)
    for path in filter(None, (results_dir() / scale / f"{table}.json", arguments.json)):
        check_writable(path)
    data = arguments.data and Path(os.path.abspath(arguments.data))  # whose name names the test set, also that of "."
    with cluster.connected(arguments.cluster if trained else None) as there:
        if trained:
            _have_networks(configs, scale, arguments, there)
        over_networks = partial(there.map, table.partition("/")[0]) if there else map
        options = Options(table, rows, scale, arguments.images, data, arguments.seeds, over_networks)
        started = time.monotonic()
        reproduction = reproduce(options)
        made = {"seconds": round(time.monotonic() - started, 1), **provenance(), **(there.about if there else {})}
    reproduction.provenance = {"scale": scale, **reproduction.provenance, **made}
    document = join(table, scale, reference, reproduction)
    limited = options.images is not None or options.data is not None
    path = table_files.write(document, reproduction.figures, arguments.svg, limited)
    if arguments.json:
        write_json(arguments.json, document)
    print(table_text.as_text(document))
    print(f"\nwritten: {path.with_suffix('.md')} (also {', '.join(['.json', '.csv', *document.get('figures', ())])})")


def _have_networks(
    configs: Sequence[Any], scale: str, arguments: argparse.Namespace, there: cluster.Cluster | None
) -> None:
    """Train what is missing, where that is asked for; raise RelicError where no network or not enough time is there."""
    command = f"{module_command()} --scale {scale} --train"
    if arguments.train:
        wanted = _trainings(configs, scale, arguments)
        if arguments.fetch:
            data_sets.fetch(wanted)
        data_sets.require(wanted)
        with goes_on("the same command, with --train, goes on"):
            how = partial(cluster_training.complete, there=there) if there else schedule.complete
            left = how(wanted, minutes=arguments.minutes)
        if left:
            done, steps = left[0].progress[0], left[0].steps
            raise RelicError(
                f"time is out before the table: {len(left)} trainings are not finished, the first of them, "
                f"{left[0].name}, is at step {done} of {steps}: the same command goes on"
            )
    elif scale != "smoke":  # which trains by itself
        schedule.require_weights(configs, scale, command)


def _trainings(configs: Sequence[Any], scale: str, arguments: argparse.Namespace) -> list[schedule.Training]:
    return schedule.trainings(configs, scale, arguments.seeds or (0,), **given_options(arguments))


def _scale(text: str) -> str:
    try:
        return check_scale(text)
    except RelicError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _parser(table: str, trained: bool) -> argparse.ArgumentParser:
    parser = parser_of_module(table)
    default = "the best with shipped weights for every row" if trained else "exact: nothing is trained"
    parser.add_argument("--scale", type=_scale, metavar="SCALE", help=f"{', '.join(SCALES)} (default: {default})")
    parser.add_argument("--images", type=at_least(1), metavar="N", help="use only the first N test pictures")
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder of test pictures (default: found by name)")
    parser.add_argument("--seeds", type=seed, nargs="+", metavar="SEED", help="seeds (default: all shipped)")
    if trained:
        parser.add_argument("--train", action="store_true", help="first train what is missing of --seeds (default: 0)")
        parser.add_argument("--minutes", type=minutes, metavar="M", help="of training; the same command goes on later")
        parser.add_argument("--fetch", action="store_true", help="first download training sets, where no terms ask you")
        parser.add_argument("--dry-run", action="store_true", help="print what training takes here, and train nothing")
        add_options(parser)
        parser.add_argument("--cluster", metavar="ADDRESS", help=cluster.HELP)
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
