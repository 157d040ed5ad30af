"""List, fetch and time data sets.

python -m common.data list           # the sets known here, where they are found, and their terms
python -m common.data fetch kodak    # download into the cache, every file verified
python -m common.data fetch cifar10  # let tensorflow-datasets download and prepare a set
python -m common.data time imagenet2012/validation  # patches a second for training, and memory
"""

from common.command_line import Parser
from common.data import speed
from common.data.fetch import KNOWN, KODAK_URL, fetch_kodak, how_to_get
from common.data.places import cache_root, prepared_root, roots
from common.data.prepared import prepare
from common.errors import RelicError, run_main
from common.files import expanded


def fetch(name: str, url: str = KODAK_URL) -> None:
    """Fetch a named set: Kodak into the cache, others through tensorflow-datasets; raise RelicError if it fails."""
    known = KNOWN.get(name)
    if name == "kodak":
        fetch_kodak(expanded(str(cache_root())) / name, url)
    elif name == "sample":
        print("sample needs no fetching: scikit-image ships it")
    elif known is not None and not known.fetched:
        raise RelicError(f"{name} cannot be fetched: {how_to_get(name)}")
    else:
        prepare(name)
    print(f"{name}: {where(name)}")


def where(name: str) -> str:
    """Return the place a known set would be read from, or "-"."""
    if name == "sample":
        return "scikit-image"
    folders = [root / name for root in (*roots(), prepared_root()) if (root / name).is_dir()]
    return str(folders[0]) if folders else "-"


def print_sets() -> None:
    """Print the sets known here: name, what they hold, where they are found, and their terms."""
    for name, known in KNOWN.items():
        print(f"{name:<18} {known.contents:<36} {where(name):<24} {known.terms}")


def main() -> None:
    """Run the command line: `list` or `fetch NAME`; without a command, show the help."""
    parser = Parser(prog="python -m common.data", description="List, fetch and time data sets.")
    commands = parser.add_subparsers(dest="command", metavar="command", parser_class=Parser)
    commands.add_parser("list", help="the sets known here, where they are found, and their terms")
    fetching = commands.add_parser("fetch", help="download a set")
    fetching.add_argument("name", help="kodak, or a set that tensorflow-datasets knows")
    fetching.add_argument("--url", default=KODAK_URL, help="where Kodak's files are (default %(default)s)")
    timing = commands.add_parser("time", help="measure how fast a set gives patches, and the memory that takes")
    timing.add_argument("name", help="a set to train on, as imagenet2012/validation")
    timing.add_argument("--patch-size", type=int, default=256, help="side of a patch (default %(default)s)")
    timing.add_argument("--seconds", type=float, default=10.0, help="how long to measure (default %(default)s)")
    arguments = parser.parse_args()
    if arguments.command == "list":
        print_sets()
    elif arguments.command == "fetch":
        fetch(arguments.name, arguments.url)
    elif arguments.command == "time":
        speed.report(arguments.name, arguments.patch_size, arguments.seconds)
    else:
        parser.print_help()


if __name__ == "__main__":
    run_main(main)
