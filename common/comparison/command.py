"""Rate and quality of many codecs on the same pictures: measured points, changes against JPEG, times.

The document is plain data (json): `curves` (a codec, its settings, what made them), `points` (one entry a codec and
picture, with lists over the settings), `changes` and `times` (which follow from the points: `changes.judge`),
`missing` (why a codec was not run), `notes`, `provenance`. Learned codecs take part by `CURVES` of their config.
"""

import argparse
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from common import files
from common.command_line import at_least, parser_of_module
from common.comparison.changes import ANCHORS, FIELDS, Document, judge
from common.comparison.public_curves import beside_published
from common.config import SCALES, PlannedCurve
from common.data import Picture
from common.errors import RelicError, run_main
from common.tables.document import is_published_set
from common.tables.numbers import plain
from common.tables.published import Published

TABLE = "rd_kodak"
SUITE, SMOKE = "suite", "smoke"
SMOKE_SETTINGS = 4
JOBS = min(2, os.cpu_count() or 1)

Load = Callable[..., Any]  # (preset's id, scale, seed, coding settings by name) -> Codec


@dataclass(frozen=True)
class ComparisonOptions:
    """What the command line asks for: scale of the weights, pictures, codecs by name (None: all there are)."""

    scale: str | None = None
    images: int | None = None
    data: Path | None = None
    codecs: Sequence[str] | None = None


@dataclass(frozen=True)
class TrainedPoint:
    """One point of a learned codec's curve: preset's id, coding settings, and the weights, which are here."""

    model: str
    coding: Mapping[str, int]
    scale: str
    seed: int
    digest: str

    @property
    def setting(self) -> str:
        """Return preset and coding settings, e.g. `autoencoder, bits 4`."""
        return ", ".join([self.model.partition("/")[2], *(f"{name} {value}" for name, value in self.coding.items())])

    @property
    def label(self) -> str:
        """Return whose weights made the point."""
        return f"{self.model}, scale {self.scale}, seed {self.seed}, weights sha256 {self.digest[:16]}"


@dataclass
class Measured:
    """What was measured of some codecs: parts of a document."""

    curves: list[dict[str, Any]] = field(default_factory=list)
    points: list[dict[str, Any]] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)

    reused: list[str] = field(default_factory=list)

    def add_curve(self, codec: str, kind: str, settings: list[str], made_by: list[str]) -> dict[str, Any]:
        """Add what a codec's points are, and return it; their measurements go to `points`."""
        self.curves.append({"codec": codec, "kind": kind, "settings": settings, "made_by": made_by})
        return self.curves[-1]

    def reuse(self, known: Document | None, curve: dict[str, Any], pictures: Sequence[Picture]) -> bool:
        """Return whether an earlier document has the very same codec on these pictures; take the points it then has."""
        earlier = known or {"curves": [], "points": []}
        points = [point for point in earlier["points"] if point["codec"] == curve["codec"]]
        if curve not in earlier["curves"] or [point["picture"] for point in points] != [name for name, _ in pictures]:
            return False
        self.points += points
        self.reused.append(curve["codec"])
        return True

    def sort(self) -> None:
        """Put the points in the order of the curves."""
        order = [curve["codec"] for curve in self.curves]
        self.points.sort(key=lambda entry: order.index(entry["codec"]))


def compare(
    options: ComparisonOptions, curves: Mapping[str, Sequence[PlannedCurve]], load: Load, known: Document | None = None
) -> Document:
    """Measure every classical codec that is here and the curves of every paper; return the document.

    `curves` are `CURVES` by paper, `load(model, scale, seed, **coding)` returns a Codec. JPEG with both kinds of
    Huffman tables, the anchors, is always measured. From `known`, an earlier document, those curves are taken that had
    the same pictures, settings and weights (or library). Raises RelicError for a codec's name that does not exist.
    """
    from common import provenance

    started = time.monotonic()
    check_names(options.codecs, curves)
    pictures, test_set, notes = _pictures(options)
    known = known if known and known["provenance"]["test_set"]["digest"] == test_set["digest"] else None
    # Learned ones first: weights that cannot be used are found before minutes have passed.
    learned = _learned(options, curves, load, pictures, known, on_kodak=test_set["name"] != "sample")
    classical = _classical(options, pictures, known)
    document: Document = {
        "table": TABLE,
        "title": f"Rate and quality on {_named(test_set)}: classical codecs and the learned codecs of this suite",
        "scale": options.scale or SUITE,
        "complete": options == ComparisonOptions(data=options.data)
        and is_published_set(_test_pictures(None), test_set),
        "curves": classical.curves + learned.curves,
        "points": classical.points + learned.points,
        "missing": {**classical.missing, **learned.missing},
        "notes": notes,
    }
    seconds = round(time.monotonic() - started, 1)
    origin = {"test_set": test_set, "seconds": seconds, **provenance.provenance()}
    reused = classical.reused + learned.reused
    if known and reused:
        earlier = f"{known['provenance']['command']}, commit {known['provenance']['commit']}"
        origin["reused"] = f"{', '.join(reused)}: measured by an earlier run ({earlier})"
    if document["complete"]:
        document["beside_published"] = beside_published(document)
    return {**document, **judge(document), "provenance": origin}


def _named(test_set: Mapping[str, Any]) -> str:
    return f"{test_set['name'].capitalize()}, {test_set['pictures']} pictures"


def check_names(wanted: Sequence[str] | None, curves: Mapping[str, Sequence[PlannedCurve]]) -> None:
    """Raise RelicError that lists the names unless each is a classical codec's, a curve's label or a paper's key."""
    from common.classical import codecs

    labels = [curve.label for paper_curves in curves.values() for curve in paper_curves]
    known = [*(family.name for family in codecs.FAMILIES), *curves, *labels]
    for name in wanted or ():
        if name.lower() not in [known_name.lower() for known_name in known]:
            raise RelicError(f"--codecs {name}: no such codec, choose from {'; '.join(known)}")


def _is_wanted(options: ComparisonOptions, *names: str) -> bool:
    wanted = [name.lower() for name in options.codecs or ()]
    return not wanted or any(name.lower() in wanted for name in names)


def _test_pictures(scale: str | None) -> Published:
    """Return the test set as published tables name theirs: Kodak, or the embedded one for smoke runs."""
    if scale == SMOKE:
        return Published(Path(TABLE), texts={"test set": "sample"})
    return Published(Path(TABLE), texts={"test set": "kodak"}, pictures=24)


def _pictures(options: ComparisonOptions) -> tuple[list[Picture], dict[str, Any], list[str]]:
    """Return the test pictures, `{name, pictures, digest}` of them, and a sentence where they stand in for others."""
    from common.tables import command
    from common.tables import test_pictures as table_pictures

    asked = command.Options(TABLE, {}, options.scale or SUITE, options.images, options.data)
    pictures, test_set, note = table_pictures.pictures_of(asked, _test_pictures(options.scale))
    return pictures, test_set, [note] if note else []


# --- measuring -----------------------------------------------------------------------------------------------------


def _classical(options: ComparisonOptions, pictures: Sequence[Picture], known: Document | None) -> Measured:
    """Measure the families of classical codecs that are here and asked for, and JPEG."""
    from common.classical import codecs

    measured = Measured()
    settings: dict[str, Sequence[int]] = {}
    for family in codecs.FAMILIES:
        if family.name not in ANCHORS and not _is_wanted(options, family.name):
            continue
        if family.missing():
            measured.missing[family.name] = family.missing()
            continue
        chosen = _settings(family, options.scale)
        coders: list[Any] = [family.make(setting) for setting in chosen]
        made_by = [coder.label for coder in coders]
        curve = measured.add_curve(family.name, "classical", [str(setting) for setting in chosen], made_by)
        if not measured.reuse(known, curve, pictures):
            settings[family.name] = chosen
    tasks = [(name, settings[name], picture) for picture in pictures for name in settings]
    with _progress(sum(len(chosen) for _, chosen, _ in tasks)) as bar:
        for entry in _in_order(tasks):
            measured.points.append(entry)
            bar.set_description(f"{entry['codec']}, {entry['picture']}")
            bar.update(len(entry["bpp"]))
    measured.sort()
    return measured


def _settings(family: Any, scale: str | None) -> tuple[int, ...]:
    """Return the settings of a classical codec's curve, a few for smoke runs.

    Every second one of the grid changes a BD-rate by some tenths of a percent; those of the anchors, which all are
    compared with, are all measured.
    """
    if scale == SMOKE:
        return tuple(family.grid[round(i)] for i in np.linspace(0, len(family.grid) - 1, SMOKE_SETTINGS))
    return family.grid if family.name in ANCHORS else family.grid[::2]


def _in_order(tasks: Sequence[Any]) -> Iterator[dict[str, Any]]:
    """Yield the entry of every task, measured in JOBS processes."""
    if JOBS == 1:
        yield from map(_measure_family, tasks)
        return
    # Spawned: a forked copy of a process whose libraries have started threads may hang.
    executor = ProcessPoolExecutor(JOBS, multiprocessing.get_context("spawn"), _start_worker)
    try:
        yield from executor.map(_measure_family, tasks)
    finally:
        executor.shutdown(cancel_futures=True)


def _start_worker() -> None:
    """Leave Ctrl-C to the first process, and the other processors to the other workers."""
    import cv2

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(1)


def _measure_family(task: tuple[str, Sequence[int], Picture]) -> dict[str, Any]:
    """Code one picture with all settings of a classical codec."""
    from common import evaluate
    from common.classical import codecs

    name, settings, (picture, image) = task
    family = codecs.family(name)
    return _entry(name, picture, [evaluate.measure(family.make(setting), image, picture) for setting in settings])


def _learned(
    options: ComparisonOptions,
    curves: Mapping[str, Sequence[PlannedCurve]],
    load: Load,
    pictures: Sequence[Picture],
    known: Document | None,
    on_kodak: bool,
) -> Measured:
    """Measure the curves that are asked for, with the weights that are here, on the pictures that they allow."""
    measured = Measured()
    chosen = [(paper, curve) for paper in curves for curve in curves[paper] if _is_wanted(options, paper, curve.label)]
    tasks = []
    for paper, curve in chosen:
        points = points_of(paper, curve, options.scale)
        allowed = [p for p in pictures if not on_kodak or curve.pictures is None or p[0] in curve.pictures]
        if not points:
            measured.missing[curve.label] = _how_to_train(paper, curve, options.scale)
        elif curve.pictures is not None and not allowed:
            measured.missing[curve.label] = f"It may only be measured on {', '.join(curve.pictures)}: not here."
        else:
            label = _label(curve, len(allowed), len(pictures))
            settings, made_by = [point.setting for point in points], [point.label for point in points]
            added = measured.add_curve(label, "learned", settings, made_by)
            if not measured.reuse(known, added, allowed):
                tasks.append((label, points, allowed))
    with _progress(sum(len(points) * len(allowed) for _, points, allowed in tasks)) as bar:
        for label, points, allowed in tasks:
            measured.points += _measure_points(label, points, allowed, load, bar)
    measured.sort()
    return measured


def _label(curve: PlannedCurve, allowed: int, pictures: int) -> str:
    return curve.label if allowed == pictures else f"{curve.label} ({allowed} picture{'s' if allowed > 1 else ''})"


def points_of(paper: str, curve: PlannedCurve, scale: str | None) -> list[TrainedPoint]:
    """Return the points of a curve whose weights are here: of `scale`, by default the best, smoke runs aside."""
    from common.training import shipped

    trained = []
    for preset, coding in curve.points:
        for its_scale, seed, path in shipped.shipped(paper, preset):
            if its_scale == scale or (scale is None and its_scale != SMOKE):
                digest = files.file_digest(path).hex()
                trained.append(TrainedPoint(f"{paper}/{preset}", coding, its_scale, seed, digest))
                break
    return trained


def _how_to_train(paper: str, curve: PlannedCurve, scale: str | None) -> str:
    presets = dict.fromkeys(preset for preset, _ in curve.points)
    commands = [f"`relic train {paper}/{preset} --scale {scale or 'small'}`" for preset in presets]
    return f"No weights{f' at scale {scale}' if scale else ''}: {', '.join(commands)}."


def _measure_points(
    label: str, points: Sequence[TrainedPoint], pictures: Sequence[Picture], load: Load, bar: Any
) -> list[dict[str, Any]]:
    from common import evaluate

    measured: dict[str, list[Any]] = {name: [] for name, _ in pictures}
    for point in points:
        bar.set_description(f"{label}, {point.setting}")
        codec = load(point.model, point.scale, point.seed, **point.coding)
        for name, image in pictures:
            measured[name].append(evaluate.measure(codec, image, name))
            bar.update()
    return [_entry(label, name, entries) for name, entries in measured.items()]


def _entry(codec: str, picture: str, measured: Sequence[Any]) -> dict[str, Any]:
    """Return the points of one codec and picture as plain data."""
    return {"codec": codec, "picture": picture, **{f: [plain(getattr(m, f)) for m in measured] for f in FIELDS}}


def _progress(total: int) -> Any:
    from common.tables import measure

    return measure.progress(total, "point")


# --- the command line ----------------------------------------------------------------------------------------------


def main(curves: Mapping[str, Sequence[PlannedCurve]], load: Load) -> None:
    """Run the experiment's command line on `CURVES` by paper; `load` as in `compare`."""
    run_main(lambda: _main(curves, load))


def _main(curves: Mapping[str, Sequence[PlannedCurve]], load: Load) -> None:
    from common.comparison import text

    arguments = _parser().parse_args()
    options = ComparisonOptions(arguments.scale, arguments.images, arguments.data, arguments.codecs)
    known = text.read() if arguments.reuse else None
    document = compare(options, curves, load, known)
    path = text.write(document, arguments.svg)
    if arguments.json:
        files.write_json(arguments.json, document)
    print(text.as_text(document))
    print(f"\nwritten: {path.with_suffix('.md')} (also .json, .csv, .png and {path.stem}_curves.json)")


def _parser() -> argparse.ArgumentParser:
    parser = parser_of_module()
    scales = f"of the weights: {', '.join(SCALES)} (default: the best of each preset); smoke: two pictures"
    parser.add_argument("--scale", choices=SCALES, metavar="SCALE", help=scales)
    parser.add_argument("--images", type=at_least(1), metavar="N", help="use only the first N test pictures")
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder of test pictures (default: found by name)")
    names = "classical codecs, papers or curves by their names (default: all); JPEG is always there"
    parser.add_argument("--codecs", nargs="+", metavar="NAME", help=names)
    reuse = "take what the written comparison has of the same codecs, settings, weights and pictures, times included"
    parser.add_argument("--reuse", action="store_true", help=reuse)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the json to FILE")
    parser.add_argument("--svg", action="store_true", help="write the figure as svg too")
    return parser
