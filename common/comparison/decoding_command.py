"""The command line of the decode matrix, for the whole and for the program that runs in each environment."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from common.command_line import Parser, at_least, parser_of_module
from common.comparison.decoding import Case, Load, measure, work
from common.errors import run_main
from common.provenance import module_command

SUITE, SMOKE = "suite", "smoke"
ROOT = Path(__file__).resolve().parents[2]


def main(cases: Sequence[Case], promises: Mapping[str, Sequence[str]], load: Load) -> None:
    """Run the command line on golden files and on the promises by paper; `load(model, scale, seed, **coding)`."""
    run_main(lambda: _main(cases, promises, load))


def _main(cases: Sequence[Case], promises: Mapping[str, Sequence[str]], load: Load) -> None:
    arguments = _parser().parse_args()
    cases = cases[:1] if arguments.scale == SMOKE else cases
    if arguments.folder:
        work(cases, load, arguments.threads, arguments.folder)
        return
    from common.comparison import decoding_text

    module = module_command().rpartition(" ")[2]
    document = measure(module, cases, arguments.scale, arguments.environments)
    path = decoding_text.write(document, promises)
    print(decoding_text.as_text(document, promises))
    print(f"\nwritten: {path.with_suffix('.md')} (also .json and {path.stem}_files.json)")
    decoding_text.check(document)


def _parser() -> Parser:
    parser = parser_of_module()
    scales = "suite: every file; smoke: the first (default: suite)"
    parser.add_argument("--scale", choices=(SMOKE, SUITE), default=SUITE, metavar="SCALE", help=scales)
    where = "folders with the .venv, .venv-keras3, … of the stacks (default: this checkout)"
    parser.add_argument("--environments", type=Path, nargs="+", default=[ROOT], metavar="DIR", help=where)
    # How the programs in the environments are started.
    parser.add_argument("--threads", type=at_least(1), default=1, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    return parser
