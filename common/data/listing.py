"""What `python -m common.data list` prints: a table of all sets in 100 columns, or all about one."""

import os
import textwrap
from collections.abc import Sequence

from common.data import catalogue, digests, recorded, uses
from common.data.catalogue import Archive, KnownSet
from common.data.places import cache_root, prepared_root, where
from common.files import in_words

WIDTH = 100
HEADINGS = ("set", "pictures", "download", "on disk", "here", "get", "used by")
WIDTHS = (23, 9, 8, 7, 10, 7, 21)
NUMBERS = (1, 2, 3)  # columns that are flush right
_WRAPPER = textwrap.TextWrapper(WIDTH, subsequent_indent=" " * 13, break_long_words=False, break_on_hyphens=False)


def table() -> list[str]:
    """Return the lines of the table of all sets and what its words mean."""
    rows = [HEADINGS, ["-" * width for width in WIDTHS]]
    rows += [_row(name, known) for name, known in catalogue.SETS.items()]
    legend = (
        f"here: RELIC_DATA is {os.environ.get('RELIC_DATA') or 'not set'}, the cache {cache_root()}, tfds what "
        f"tensorflow-datasets prepared in {prepared_root()}.",
        "get: `fetch` is `python -m common.data fetch SET`; `ask` the same, which says what --url to add, as no "
        "licence is stated; `archive` the same, once you have its archive; `own` has no public source that is known.",
        "`python -m common.data list SET` says all about a set, `python -m common.data verify SET` checks its files.",
    )
    wrapped = [line for sentence in legend for line in textwrap.wrap(sentence, WIDTH, break_on_hyphens=False)]
    return [*map(_line, rows), "", *wrapped]


def _line(cells: Sequence[str]) -> str:
    padded = [
        cell.rjust(width) if column in NUMBERS else cell.ljust(width)
        for column, (cell, width) in enumerate(zip(cells, WIDTHS, strict=True))
    ]
    return "  ".join(padded).rstrip()


def _row(name: str, known: KnownSet) -> list[str]:
    download = _download(known)
    return [
        name,
        f"{known.pictures:,}",
        in_words(download) if download else "-",
        in_words(known.size) if known.size else "-",
        _place(where(name)),
        _how(name, known),
        uses.papers(name) or "-",
    ]


def _download(known: KnownSet) -> int:
    """Return how many bytes are downloaded for a set."""
    return known.size if known.files else sum(archive.size for archive in known.archives)


def _place(place: str) -> str:
    """Return a short name of a place."""
    own = os.environ.get("RELIC_DATA")
    if not place or place == "built in":
        return place or "-"
    if own and place.startswith(os.path.expanduser(own)):
        return "RELIC_DATA"
    return "cache" if place.startswith(str(cache_root())) else "tfds"


def _how(name: str, known: KnownSet) -> str:
    if name in catalogue.BUILT_IN:
        return "-"
    if not catalogue.is_downloadable(known):
        return "archive" if known.archives else "own"
    return "ask" if known.asks else "fetch"


def about(name: str) -> list[str]:
    """Return the lines that say all about one set; raise RelicError for a name that is of none."""
    key = catalogue.key_of(name)
    if not key:
        raise catalogue.refuse_unknown(name)
    known = catalogue.SETS[key]
    facts = [
        ("what", known.contents),
        ("pictures", f"{known.pictures:,}"),
        ("parts", ", ".join(f"{key}/{part}" for part in known.parts)),
        ("used for", "\n".join(uses.sentences(key))),
        ("stands for", f"{known.stands_for}, at scales smaller than the paper's" if known.stands_for else ""),
        ("terms", known.terms),
        ("on disk", in_words(known.size) if known.size else ""),
        ("here", where(key) or "no"),
        ("home page", known.home),
        ("files at", known.files),
        ("archive", "\n".join(_archive(archive, known) for archive in known.archives)),
        ("to get it", _to_get(key, known)),
        ("sha256 of", "\n".join(_digests(key, known))),
        ("note", known.note),
    ]
    lines = [key]
    for label, text in facts:
        for number, part in enumerate(text.splitlines()):
            first = f"  {label if number == 0 else '':<11}"
            is_copied = " " not in part or part.startswith("python ")
            lines += [first + part] if is_copied else _WRAPPER.wrap(first + part)
    return lines


def _archive(archive: Archive, known: KnownSet) -> str:
    if known.asks:
        return f"{archive.file}, as its home page gives it, does for --archive"
    digest = f"sha256 {archive.sha256}" if archive.sha256 else ""
    said = [archive.url, f"{archive.size:,} bytes" if archive.size else "", f"md5 {archive.md5}" if archive.md5 else ""]
    return ", ".join([archive.file, *filter(None, [*said, digest])])


def _to_get(key: str, known: KnownSet) -> str:
    command = f"python -m common.data fetch {key}"
    how = _how(key, known)
    if how == "fetch":
        return command
    if how == "ask":
        return f"{command} --url {known.files}"
    if how == "archive":
        return f"{command} --archive {known.archives[0].file}, which its home page gives to those who register"
    return "" if key in catalogue.BUILT_IN else f"put its pictures into $RELIC_DATA/{key}"


def _digests(key: str, known: KnownSet) -> list[str]:
    """Return one line for each digest of what this suite's results were made with."""
    lines = [
        f"sorted sha256 of {name}, {pictures:,} pictures: {digest}"
        for name, (pictures, digest) in recorded.summaries(key, known.parts).items()
    ]
    return lines + [
        f"pixels of {name}, {pictures} pictures: {digest}"
        for (name, pictures), digest in digests.DIGESTS.items()
        if key in [catalogue.key_of(part) for part in name.split(", ")]
    ]
