"""The campaign's command line: the trainings of a list of experiments, one after the other, at low priority."""

import importlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any

from common import cluster, files
from common.command_line import at_least, minutes, parser_of_module
from common.errors import goes_on, run_main
from common.tables import files as table_files
from common.tables.plan import texts
from common.training import cluster as cluster_training
from common.training import schedule, shipped, side_by_side
from common.training.locks import one_campaign
from common.training.options import add_options, given_options

NICENESS = 10

PlanEntry = tuple  # experiment, scale, seeds
Trainings = list[schedule.Training]


def main(plan: Sequence[PlanEntry]) -> None:
    """Run the command line on a plan: entries of an experiment's name, a scale, and seeds."""
    run_main(lambda: _main(plan))


def _main(plan: Sequence[PlanEntry]) -> None:
    parser = parser_of_module()
    parser.add_argument("--minutes", type=minutes, metavar="M", help="stop after so many; the same command goes on")
    parser.add_argument(
        "--workers",
        type=at_least(1),
        metavar="N",
        help="trainings at a time, each with its share of the cores (default: 1; on CPUs as many as cores are fastest; "
        "on a cluster one for each GPU, else for each core)",
    )
    parser.add_argument("--cluster", metavar="ADDRESS", help=cluster.HELP)
    add_options(parser)
    parser.add_argument("--dry-run", action="store_true", help="print what training takes here, and train nothing")
    parser.add_argument("--status", action="store_true", help="print how far every training is, and train nothing")
    arguments = parser.parse_args()
    if arguments.dry_run:
        options = given_options(arguments)
        for text in texts([training for entry in plan for training in trainings(*entry, **options)]):
            print(text, flush=True)
        return
    if arguments.status:
        print("\n".join(status(plan)))
        return
    os.nice(NICENESS)
    with one_campaign(), goes_on("the same command goes on"):
        work(plan, arguments.minutes, arguments.workers, arguments.cluster, **given_options(arguments))


def work(
    plan: Sequence[PlanEntry],
    limit: float | None = None,
    workers: int | None = None,
    address: str | None = None,
    **options: Any,
) -> None:
    """Train what the entries lack, in their order, for `limit` minutes at most; write the tables of complete ones.

    Several workers train side by side, on the cluster at an address where there is one; one that finds nothing to do
    in an entry takes from the next one. options: how to train, as in `common.training.options`.
    """
    started = time.monotonic()
    groups = [trainings(*entry, **options) for entry in plan]
    with ExitStack() as stack:
        there = stack.enter_context(cluster.connected(address))
        # Over all entries: on a cluster the trainings of later ones go on while a table is written.
        turns = stack.enter_context(cluster_training.tasks(there, workers)) if there else None
        for number, (name, scale, _) in enumerate(plan):
            wanted, later = groups[number], groups[number + 1 :]
            lacked = [training for training in wanted if not training.is_shipped]
            left = None if limit is None else limit - (time.monotonic() - started) / 60
            if lacked and ((left is not None and left <= 0) or _complete(wanted, left, workers or 1, later, turns)):
                print(f"out of time at {name}, scale {scale}: the same command goes on", file=sys.stderr)
                return
            if lacked or not _is_written(name, scale, wanted):
                # A process of its own, as the record of a table names the command that wrote it.
                where = ["--cluster", address] if address else []
                command = [sys.executable, "-m", f"experiments.{name}", "--scale", scale, *where]
                subprocess.run(command, check=True)


def _complete(
    wanted: Trainings,
    left: float | None,
    workers: int,
    later: Sequence[Trainings],
    turns: side_by_side.Turns | None,
) -> Trainings:
    if turns:
        return side_by_side.advance(wanted, turns, left, later)
    if workers == 1:
        return schedule.complete(wanted, left)
    return side_by_side.complete(wanted, workers, left, later)


def trainings(name: str, scale: str, seeds: Sequence[int], **options: Any) -> Trainings:
    """Return the trainings that an experiment's networks need at a scale."""
    configs = schedule.networks(importlib.import_module(f"experiments.{name}"))
    return schedule.trainings(configs, scale, seeds, **options)


def _is_written(name: str, scale: str, wanted: Sequence[schedule.Training]) -> bool:
    """Return whether an experiment's table was measured with the weights that are there."""
    path = files.results_dir() / scale / f"{importlib.import_module(f'experiments.{name}').TABLE}.json"
    networks = str(table_files.read(path)["provenance"].get("networks")) if path.is_file() else ""
    return all(training.about["weights_sha256"][: shipped.SHOWN_DIGITS] in networks for training in wanted)


def status(plan: Sequence[PlanEntry]) -> Iterator[str]:
    """Yield a heading, then one line for every training of a plan."""
    yield f"{'preset':52} {'scale':6} {'seed':>4} {'steps':>17} {'seconds':>8}  device, shipped"
    for training in dict.fromkeys(t for name, scale, seeds in plan for t in trainings(name, scale, seeds)):
        run, about, (step, seconds) = training.run, training.about, training.progress
        shipped = f"{about.get('device')}, {about.get('shipped', 'shipped')}" if training.is_shipped else "-"
        if about and not training.is_shipped:
            shipped = "- (weights of another recipe are there)"
        done = f"{step} of {training.steps}"
        yield f"{run.paper + '/' + run.preset:52} {run.scale:6} {run.seed:4} {done:>17} {seconds:8.0f}  {shipped}"
