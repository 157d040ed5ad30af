"""Data sets downloaded, or made from archives that are here, into the cache: each appears whole and verified."""

import errno
import fcntl
import os
import re
import shutil
import urllib.parse
from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import contextmanager
from pathlib import Path

from common.data import archives, catalogue, downloads, native, recorded
from common.data.catalogue import Archive, KnownSet
from common.data.downloads import Expected
from common.data.places import archive_places, archives_root, cache_root, where
from common.errors import RelicError, goes_on
from common.files import expanded, in_words

KODAK_URL = catalogue.SETS["kodak"].files
# Size in bytes and sha256 of the originals.
KODAK = recorded.files("kodak")
REPORTED = 25  # files of a set that are named one by one
GOES_ON = "the same command goes on from here"

Report = Callable[[str], None]


def fetch(name: str, url: str = "", given: Sequence[Path] = (), report: Report = print) -> None:
    """Put a set known here into the cache: download it, or make it from archives, `given` or found.

    url: where its files or its archive are, in place of the public address. What an earlier call left is gone on with,
    and of several processes one works while the others wait. Raises RelicError where the set cannot be had; nothing
    that looks like the set is left then.
    """
    key = catalogue.key_of(name)
    if not key:
        raise catalogue.refuse_unknown(name)
    known = catalogue.SETS[key]
    if key in catalogue.BUILT_IN:
        report(f"{key} needs no fetching: it is built in")
        return
    if not known.files and not known.archives:
        raise RelicError(f"{key} cannot be fetched, as no public source of it is known: {catalogue.how_to_get(key)}")
    target = expanded(str(cache_root())) / key
    place = where(key)
    # Files in the cache are compared and mended, where they may be downloaded unasked.
    if place and (place != str(target) or known.asks) and not url and not given:
        report(f"{key} is there already and nothing is fetched: `python -m common.data verify {key}` checks it")
        return
    if known.asks and not url and not given:
        raise RelicError(
            f"{key} is not downloaded unasked, as its public source states no licence: if you may use it, add "
            f"--url {known.files}"
        )
    with _one_at_a_time(expanded(str(cache_root())), report), goes_on(GOES_ON), _full_disk_named(key, target):
        if known.files and not given and not url.endswith(archives.ENDINGS):
            _fetch_files(key, target, url or known.files, report)
        elif target.is_dir():
            report(f"{key} is there already: remove {target} to make it anew")
        else:
            _make(key, known, target, _archives(key, known, url, given, report), report)


@contextmanager
def _one_at_a_time(folder: Path, report: Report) -> Iterator[None]:
    """Hold a folder, which is made where it is missing, and wait where another process does."""
    folder.mkdir(parents=True, exist_ok=True)
    held = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report("another process is fetching: waiting for it")
            fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)


@contextmanager
def _full_disk_named(key: str, target: Path) -> Iterator[None]:
    """Say of a disk that becomes full which set it is too small for."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        place = f"no space left on the disk of {target.parent} for all of {key}"
        raise RelicError(f"{place}: free some, then {GOES_ON}; or set RELIC_CACHE to a folder elsewhere") from error


def _partial(target: Path) -> Path:
    """Return where a set is made, hidden from those that look for sets."""
    return target.with_name(f".{target.name}.partial")


def _check_room(key: str, folder: Path, size: int) -> None:
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(existing).free
    if free < size:
        held = sum(path.stat().st_size for path in _partial(folder).rglob("*") if path.is_file())
        if free + held < size:
            raise RelicError(
                f"{key} needs {in_words(size)} on the disk of {existing}, which has {in_words(free)} left: free some, "
                "or set RELIC_CACHE to a folder elsewhere"
            )


# --- sets of files that are downloaded one by one ------------------------------------------------------------------


def _fetch_files(key: str, target: Path, url: str, report: Report) -> None:
    """Download the recorded files of a set from below `url`, those that are here and right excepted."""
    listed = recorded.files(key)
    _check_room(key, target, 0 if target.is_dir() else catalogue.SETS[key].size)
    folder = target if target.is_dir() else _partial(target)
    remedy = f"put your copy of the set into $RELIC_DATA/{key}"
    step = 1 if len(listed) <= REPORTED else 50
    for number, (name, (size, sha256)) in enumerate(listed.items(), start=1):
        path, expected = folder / name, Expected(size, sha256)
        if path.is_file() and not downloads.mismatch(path, expected):
            continue
        path.unlink(missing_ok=True)
        downloads.download(f"{url.rstrip('/')}/{urllib.parse.quote(name)}", path, expected, remedy)
        if number % step == 0 or number == len(listed):
            report(f"{number:{len(str(len(listed)))}}/{len(listed)} {name}")
    if folder != target:
        os.replace(folder, target)


# --- sets made from archives ---------------------------------------------------------------------------------------


def _archives(key: str, known: KnownSet, url: str, given: Sequence[Path], report: Report) -> list[Path]:
    """Return the archives that a set is made from: the given ones, those found here, else downloaded; all verified."""
    if given and not known.archives:
        raise RelicError(f"{key} is made from no archive: leave --archive out")
    if given and len(given) != len(known.archives):
        names = " and ".join(archive.file for archive in known.archives)
        raise RelicError(f"{key} is made from {names}: give --archive {len(known.archives)} times")
    if given:
        pairs = zip(known.archives, _sorted(known, given), strict=True)
        return [_checked(path, archive, report) for archive, path in pairs]
    return [_found_or_downloaded(key, known, archive, url, report) for archive in known.archives]


def _sorted(known: KnownSet, given: Sequence[Path]) -> list[Path]:
    """Return given archives in the order of the known ones, where they have their names, else as they come."""
    by_name = {path.name: path for path in given}
    names = [archive.file for archive in known.archives]
    return [by_name[name] for name in names] if set(by_name) == set(names) else list(given)


def _expected(archive: Archive) -> Expected:
    return Expected(archive.size, archive.sha256, archive.md5)


def _checked(path: Path, archive: Archive, report: Report) -> Path:
    """Return an archive's path; raise RelicError where it is not there or is another one."""
    if not path.is_file():
        raise RelicError(f"no such file: {path}")
    if archive.sha256 or archive.md5:
        report(f"checking {path}")
    reason = downloads.mismatch(path, _expected(archive))
    if reason:
        raise RelicError(f"{path} is not {archive.file} as published, or not all of it: {reason}")
    return path


def _found_or_downloaded(key: str, known: KnownSet, archive: Archive, url: str, report: Report) -> Path:
    own = archives_root() / archive.file
    for path in (*archive_places(archive.file), own):
        if path.is_file():
            return _checked(path, archive, report)
    address = url if url.endswith(archives.ENDINGS) else f"{url.rstrip('/')}/{archive.file}" if url else archive.url
    if not address:
        raise RelicError(to_be_given(key, known))
    partial = own.with_name(f"{own.name}.partial")
    _check_room(key, own, archive.size + known.size - (partial.stat().st_size if partial.exists() else 0))
    report(f"downloading {archive.file}{f', {in_words(archive.size)}' if archive.size else ''}, from {address}")
    downloads.download(address, own, _expected(archive), f"give your copy of it by --archive {archive.file}")
    return own


def to_be_given(key: str, known: KnownSet) -> str:
    """Return the sentence on an archive that the user has to bring."""
    archive = known.archives[0]
    places = " or ".join(str(path.parent) for path in archive_places(archive.file))
    return (
        f"{key} is made from {archive.file} ({in_words(archive.size)}, md5 {archive.md5}), which {known.home} gives to "
        f"those who register: put it into {places} and run this again, or add --archive PATH"
    )


def _make(key: str, known: KnownSet, target: Path, paths: Sequence[Path], report: Report) -> None:
    """Make a set from its archives, beside its place first; remove those that were downloaded for it."""
    folder = _partial(target)
    layout = native.LAYOUTS.get(key)
    _check_room(key, target, known.size * (2 if layout else 1))
    wanted = layout.wanted if layout else _wanted(key, known)
    report(f"unpacking {', '.join(path.name for path in paths)}")
    folder.mkdir(parents=True, exist_ok=True)
    downloaded = [path for path in paths if path.parent == archives_root()]
    try:
        unpacked = {name for path in paths for name in archives.unpack(path, wanted, folder)}
        for path in archives.left_in(folder, unpacked):
            path.unlink()
        if layout:
            _convert(key, layout, folder, unpacked)
        else:
            _check_unpacked(key, known, folder, unpacked, paths)
    except RelicError:
        shutil.rmtree(folder)
        _remove(downloaded)
        raise
    os.replace(folder, target)
    _remove(downloaded)


def _remove(paths: Sequence[Path]) -> None:
    for path in paths:
        path.unlink()


def _wanted(key: str, known: KnownSet) -> Callable[[str], str]:
    """Return what gives the place of an archive's member in a set, empty for one that is none of its pictures."""
    pattern, listed = re.compile(known.members), recorded.files(key)

    def wanted(path: str) -> str:
        match = pattern.fullmatch(path)
        name = "/".join(match.groups()) if match else ""
        return name if not listed or name in listed else ""

    return wanted


def _check_unpacked(key: str, known: KnownSet, folder: Path, unpacked: Set[str], paths: Sequence[Path]) -> None:
    """Raise RelicError unless all pictures of a set are there, and its recorded files the very ones."""
    source = " and ".join(str(path) for path in paths)
    if len(unpacked) != known.pictures:
        count = f"{len(unpacked):,} of the {known.pictures:,} pictures of {key}"
        raise RelicError(f"{source} holds {count}: it is another archive, or not all of it")
    for name, (size, sha256) in recorded.files(key).items():
        if downloads.mismatch(folder / name, Expected(size, sha256)):
            raise RelicError(f"{source} holds another {name} than {key}: its sha256 is not the recorded one")


def _convert(key: str, layout: native.Layout, folder: Path, unpacked: Set[str]) -> None:
    missing = [name for names in layout.files.values() for name in names if name not in unpacked]
    if missing:
        raise RelicError(f"the archive of {key} lacks {layout.folder}/{missing[0]}: it is another archive")
    native.write_arrays(layout, folder, folder / f"{key}.npz")
    for name in unpacked:
        (folder / name).unlink()
