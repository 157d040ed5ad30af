"""Lists the experiments, or runs one: `python -m experiments [NAME ...]`.

    python -m experiments                                  # what there is, with results so far
    python -m experiments --json                           # the same for programs
    python -m experiments --hours                          # what training them as the papers did takes, by own logs
    python -m experiments table9_cheng [its arguments]     # the same as python -m experiments.table9_cheng

An experiment is a module with TABLE (`<paper>/<table>`), ROWS (label as printed: config), MINUTES (at the default
scale) and a docstring whose first line says what it shows, and whose line that begins with Expect says what its written
table has. Figures and audits have a TABLE too, with rows or without; what concerns all papers has one without a paper.
"""

import argparse
import importlib
import json
import runpy
import sys
from collections import Counter
from typing import Any

from common import files
from common.command_line import Parser
from common.errors import RelicError, run_main
from common.tables import files as table_files
from common.tables import hours
from common.training.schedule import networks
from experiments import names


def describe(name: str) -> dict[str, Any]:
    """Return `{name, paper, table, shows, minutes, scales, verdicts}`; verdicts count cells, else claims, by scale."""
    module = importlib.import_module(f"experiments.{name}")
    verdicts = {}
    for path in sorted(files.results_dir().glob(f"*/{module.TABLE}.json")):
        document = table_files.read(path)
        judged = document.get("cells") or document.get("claims", [])
        scale = path.relative_to(files.results_dir()).parts[0]
        verdicts[scale] = dict(Counter(judgement["verdict"] for judgement in judged))
    return {
        "name": name,
        "paper": module.TABLE.rpartition("/")[0] or "suite",
        "table": module.TABLE,
        "shows": (module.__doc__ or "").strip().splitlines()[0],
        "minutes": module.MINUTES,
        "scales": list(verdicts),
        "verdicts": verdicts,
    }


def _print_list(described: list[dict[str, Any]]) -> None:
    for experiment in described:
        print(f"{experiment['name']}  ({experiment['paper']}, about {experiment['minutes']:g} min)")
        print(f"    {experiment['shows']}")
        for scale, counts in experiment["verdicts"].items():
            judged = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
            print(f"    {scale}: {judged or 'nothing to judge'}")
        if not experiment["verdicts"]:
            print("    no results yet")


def _main() -> None:
    description = (__doc__ or "").splitlines()[0]
    parser = Parser(prog="python -m experiments", description=description, allow_abbrev=False)
    parser.add_argument("name", nargs="?", help="run this experiment with the arguments that follow")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true", help="print the list as json")
    parser.add_argument("--hours", action="store_true", help="print how long training at scale paper takes")
    arguments = parser.parse_args()
    if arguments.hours:
        print(hours.as_text({name: networks(importlib.import_module(f"experiments.{name}")) for name in names()}))
    elif arguments.name is None:
        described = [describe(name) for name in names()]
        print(json.dumps(described, indent=1)) if arguments.json else _print_list(described)
    elif arguments.name not in names():
        raise RelicError(f"no experiment {arguments.name!r}: choose one of {', '.join(names())}")
    else:
        sys.argv = [f"experiments.{arguments.name}", *arguments.arguments]
        runpy.run_module(f"experiments.{arguments.name}", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    run_main(_main)
