"""A data set on this machine against what is recorded of the files that this suite's results were made with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from common.data import catalogue, downloads, native, recorded
from common.data.downloads import Expected
from common.data.pictures import is_picture
from common.data.places import not_found, where
from common.data.sets import digest_of, read_entries
from common.data.sources import arrays_of, files_below

SHOWN = 5  # names of each kind


@dataclass(frozen=True)
class Comparison:
    """How a set compares: `lines` say it; `agrees` only where all that is recorded is there, and nothing else."""

    agrees: bool
    lines: Sequence[str] = field(default_factory=list)


def verify(name: str) -> Comparison:
    """Compare a set with its recorded files, digests or, where there are neither, its number of pictures.

    Raises RelicError for a name that is no set's, a set that is not here, and one that cannot be read.
    """
    key = catalogue.key_of(name)
    if not key:
        raise catalogue.refuse_unknown(name)
    if key in catalogue.BUILT_IN:
        count = len(read_entries(key, None))
        return Comparison(count == catalogue.SETS[key].pictures, [f"{key}: {count} pictures, checked as they are read"])
    place = where(key)
    if not place:
        raise not_found(key)
    folder = Path(place)
    paths = [path for path in files_below(folder) if is_picture(path)]
    if recorded.files(key) and paths:
        return _files(key, folder, paths)
    if not recorded.summaries(key, catalogue.SETS[key].parts):
        return _counted(key, folder, paths)
    return _digests(key)


def _files(key: str, folder: Path, paths: Sequence[Path]) -> Comparison:
    """Compare a folder with the recorded files, one by one."""
    listed: Mapping[str, tuple[int, str]] = recorded.files(key)
    found = {path.relative_to(folder).as_posix(): path for path in paths}
    missing = [name for name in listed if name not in found]
    differing = [
        name
        for name, (size, sha256) in listed.items()
        if name in found and (not found[name].is_file() or downloads.mismatch(found[name], Expected(size, sha256)))
    ]
    extra = [name for name in found if name not in listed]
    same = len(listed) - len(missing) - len(differing)
    lines = [f"{key} in {folder}: {same} of {len(listed)} files are the recorded ones"]
    lines += [
        f"  {len(names)} {what}: {', '.join(names[:SHOWN])}{' …' if len(names) > SHOWN else ''}"
        for what, names in (("missing", missing), ("differ", differing), ("extra", extra))
        if names
    ]
    return Comparison(not (missing or differing or extra), lines)


def _digests(key: str) -> Comparison:
    """Compare what is read of a set, or of each of its parts, with one digest."""
    agrees, lines = True, []
    for name, (pictures, digest) in recorded.summaries(key, catalogue.SETS[key].parts).items():
        entries = read_entries(name, None)
        same = digest_of(entries) == digest
        agrees = agrees and same
        are = "are the recorded ones" if same else f"are not the {pictures:,} recorded ones"
        lines.append(f"{name}: {len(entries):,} pictures {are}")
    return Comparison(agrees, lines)


def _counted(key: str, folder: Path, paths: Sequence[Path]) -> Comparison:
    """Compare the number of pictures, where no digest is recorded."""
    known = catalogue.SETS[key]
    arrays = arrays_of(folder / known.parts[0]) if known.parts else folder
    count = len(paths) or sum(native.counts(arrays).values())
    told = "no digest of its files is recorded; `fetch` verifies the archive that it makes the set from"
    return Comparison(
        count == known.pictures, [f"{key} in {folder}: {count:,} of {known.pictures:,} pictures", f"  {told}"]
    )
