"""List, fetch, verify and time data sets.

python -m common.data list                  # all sets: how large, where they are here, how to get them, who uses them
python -m common.data list kodak            # all about one: terms, home page, digests
python -m common.data fetch kodak           # download into the cache, every file verified; a cut download goes on
python -m common.data fetch imagenet2012/validation --archive ILSVRC2012_img_val.tar   # make it from an archive
python -m common.data fetch cifar10 --tfds  # let tensorflow-datasets download and prepare a set
python -m common.data verify kodak          # compare the files that are here with those of this suite's results
python -m common.data time coco/train       # patches of it a second for training, and the memory that takes
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from common.command_line import Parser
from common.data import catalogue, speed
from common.data import fetch as fetching
from common.data.listing import about, table
from common.data.places import where
from common.data.prepared import prepare
from common.data.verify import verify
from common.errors import RelicError, run_main


def fetch(name: str, url: str = "", archives: Sequence[Path] = (), tfds: bool = False) -> None:
    """Fetch a set into the cache, or one that is not known here, or with `tfds`, through tensorflow-datasets."""
    key = catalogue.key_of(name)
    parts = [known for known in catalogue.SETS if known.startswith(f"{name}/")]
    if tfds or (not key and not parts):
        prepare(name)
    elif not key:
        raise RelicError(f"{name} is fetched in parts: fetch {' or '.join(parts)}")
    else:
        fetching.fetch(name, url, archives)
    print(f"{name}: {where(key or name)}")


def main() -> None:
    """Run the command line: `list`, `fetch`, `verify` or `time`; without a command, show the help."""
    parser = Parser(
        prog="python -m common.data",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(dest="command", metavar="command", parser_class=Parser)
    listing = commands.add_parser("list", help="the sets known here, or all about one")
    listing.add_argument("name", nargs="?", help="a set: say all about it")
    getting = commands.add_parser("fetch", help="download a set, or make it from its archive")
    getting.add_argument("name", help="a set of `list`, or one that tensorflow-datasets knows")
    getting.add_argument("--url", default="", help="another address: of the folder of its files, or of its archive")
    getting.add_argument(
        "--archive",
        type=Path,
        action="append",
        default=[],
        help="the archive, as published, to make it from; several times for a set of several",
    )
    getting.add_argument("--tfds", action="store_true", help="let tensorflow-datasets download and prepare it")
    checking = commands.add_parser("verify", help="compare a set's files with the recorded ones")
    checking.add_argument("name", help="a set of `list`")
    timing = commands.add_parser("time", help="measure how fast a set gives patches, and the memory that takes")
    timing.add_argument("name", help="a set to train on")
    timing.add_argument("--patch-size", type=int, default=256, help="side of a patch (default %(default)s)")
    timing.add_argument("--seconds", type=float, default=10.0, help="how long to measure (default %(default)s)")
    arguments = parser.parse_args()
    if arguments.command == "list":
        print("\n".join(about(arguments.name) if arguments.name else table()))
    elif arguments.command == "fetch":
        if arguments.tfds and (arguments.url or arguments.archive):
            raise RelicError("with --tfds tensorflow-datasets knows where a set is: leave --url and --archive out")
        fetch(arguments.name, arguments.url, arguments.archive, arguments.tfds)
    elif arguments.command == "verify":
        comparison = verify(arguments.name)
        print("\n".join(comparison.lines))
        sys.exit(0 if comparison.agrees else 1)
    elif arguments.command == "time":
        speed.report(arguments.name, arguments.patch_size, arguments.seconds)
    else:
        parser.print_help()


if __name__ == "__main__":
    run_main(main)
