"""Files written on one stack and decoded on every other: the same latents, and nearly the same pictures.

A process has one stack, so each of them is another program: `python -m experiments.decode_matrix --folder …` in the
environment of the stack, with so many processors. They leave arrays in a folder, from which the matrix is drawn.
"""

import base64
import hashlib
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import RelicError
from common.files import atomic_file, write_json
from common.provenance import provenance

GREATEST, SHARE = 1, 1e-4  # of 255, and of the pixels: what is promised of pictures
THREADS = (1, 2)
KEPT, BROKEN = "kept", "broken"
# Stack: folder of its environment, the package that shows it, environment variables, how it is made.
STACKS: dict[str, tuple[tuple[str, ...], str, dict[str, str], str]] = {
    "tfc": ((".venv",), "tensorflow_compression", {"RELIC_STACK": "tfc"}, "setup"),
    "keras3/tensorflow": (
        (".venv-keras3", ".venv"),
        "tensorflow",
        {"RELIC_STACK": "keras3", "KERAS_BACKEND": "tensorflow"},
        "setup-keras3",
    ),
    "keras3/jax": ((".venv-jax",), "jax", {"RELIC_STACK": "keras3", "KERAS_BACKEND": "jax"}, "setup-jax"),
    "keras3/torch": ((".venv-torch",), "torch", {"RELIC_STACK": "keras3", "KERAS_BACKEND": "torch"}, "setup-torch"),
}


@dataclass(frozen=True, eq=False)
class Case:
    """One golden file: weights, settings of coding, and whether its picture is grey."""

    model: str
    scale: str
    seed: int = 0
    grey: bool = False
    coding: Mapping[str, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Return what a row is called, e.g. `cheng_resnet/resnet4_subpixel small, step 2.5, grey`."""
        settings = [f"{name} {value:g}" for name, value in self.coding.items()]
        return ", ".join([f"{self.model} {self.scale}", *settings, *["grey"] * self.grey])

    def picture(self) -> np.ndarray:
        """Return the picture that is coded, uint8 96x128x3 or 96x128: a part of an embedded photograph."""
        from common import data

        part = dict(data.images("sample"))["chelsea"][64:160, 128:256]
        return np.ascontiguousarray(part[..., 1] if self.grey else part)


Load = Callable[..., Any]  # (preset's id, scale, seed, coding settings by name) -> Codec
Arrays = dict[str, np.ndarray]


def latents_digest(codec: Any, data: bytes) -> str:
    """Return the sha256 of what a file decodes to before any float network: shape, type and numbers."""
    latents = np.ascontiguousarray(codec.latents_of(data))
    little = latents.astype(latents.dtype.newbyteorder("<"))
    return hashlib.sha256(f"{latents.dtype.kind}{latents.shape}".encode() + little.tobytes()).hexdigest()


def difference(a: np.ndarray, b: np.ndarray) -> tuple[int, int]:
    """Return the greatest difference of two uint8 pictures of one shape, of 255, and how many pixels differ."""
    apart = np.abs(a.astype(int) - b.astype(int))
    return int(apart.max()), int((apart.reshape(*a.shape[:2], -1) > 0).any(axis=-1).sum())


def is_kept(same_latents: bool, greatest: int, pixels: int, picture: np.ndarray) -> bool:
    """Return whether the promise is kept: latents identical, at most 1 of 255 in at most 1 pixel of 10,000.

    A picture of fewer pixels may have one.
    """
    most = max(1, int(SHARE * picture.shape[0] * picture.shape[1]))
    return same_latents and greatest <= GREATEST and pixels <= most


# --- in the environment of one stack -------------------------------------------------------------------------------


def work(cases: Sequence[Case], load: Load, threads: int, folder: Path) -> None:
    """Write the files of all cases with so many processors, wait for those of the other stacks, and decode them all.

    What comes out lies in `folder`; `folder/all.json` says whose files there will be.
    """
    processors = sorted(os.sched_getaffinity(0))
    first = os.getpid() % len(processors)
    os.sched_setaffinity(0, (processors[first:] + processors)[:threads])
    own = folder / _stem(os.environ["RELIC_MATRIX_STACK"], threads)
    codecs = {case: load(case.model, case.scale, case.seed, **case.coding) for case in cases}
    coded = {case.name: codec.compress(case.picture()) for case, codec in codecs.items()}
    write_json(Path(f"{own}-made.json"), provenance())
    _save(Path(f"{own}-files.npz"), {name: np.frombuffer(data, np.uint8) for name, data in coded.items()})
    while len(files := _files(folder)) < len(json.loads((folder / "all.json").read_text())["writers"]):
        time.sleep(0.5)
    decoded: Arrays = {}
    for case, codec in codecs.items():
        for data in {read[case.name].tobytes() for read in files.values()}:
            key = hashlib.sha256(data).hexdigest()
            decoded[f"{key} latents"] = np.array(latents_digest(codec, data))
            decoded[f"{key} picture"] = codec.decompress(data)
    _save(Path(f"{own}-decoded.npz"), decoded)


def _stem(stack: str, threads: int) -> str:
    return f"{stack.replace('/', '-')}-{threads}"


def _save(path: Path, arrays: Arrays) -> None:
    with atomic_file(path) as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def _files(folder: Path) -> dict[tuple[str, int], Arrays]:
    """Return the files that were written, by stack and threads."""
    found = {}
    for stack in STACKS:
        for threads in THREADS:
            path = folder / f"{_stem(stack, threads)}-files.npz"
            if path.exists():
                with np.load(path) as arrays:
                    found[stack, threads] = dict(arrays)
    return found


# --- all of them ---------------------------------------------------------------------------------------------------


def pythons(roots: Sequence[Path]) -> dict[str, Path]:
    """Return the Python of every stack whose environment lies in one of the folders."""
    found: dict[str, Path] = {}
    for stack, (names, package, _, _) in STACKS.items():
        for folder in (root / name for root in roots for name in names):
            if any(folder.glob(f"lib/python*/site-packages/{package}")):
                found.setdefault(stack, folder / "bin/python")
    return found


def measure(module: str, cases: Sequence[Case], scale: str, roots: Sequence[Path]) -> dict[str, Any]:
    """Return the document: every file of every stack decoded on every stack, with 1 and 2 threads.

    module: what is run in each environment, `main` of which is a command of `work`. Raises RelicError where an
    environment fails, with the last line that it said.
    """
    there = pythons(roots)
    if not there:
        raise RelicError(f"no environment of a stack lies in {', '.join(map(str, roots))}: run `make setup` there")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_json(folder / "all.json", {"writers": [[stack, threads] for stack in there for threads in THREADS]})
        # All at once, as each waits for the files of the others.
        started = {
            _stem(stack, threads): _started(module, there[stack], stack, threads, folder, scale)
            for stack in there
            for threads in THREADS
        }
        _wait(started, folder)
        return _document(cases, scale, list(there), folder)


def _started(module: str, python: Path, stack: str, threads: int, folder: Path, scale: str) -> subprocess.Popen[str]:
    number = str(threads)
    limits = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    environment = {**os.environ, **STACKS[stack][2], **dict.fromkeys(limits, number), "RELIC_MATRIX_STACK": stack}
    environment["PYTHONPATH"] = str(Path(__file__).resolve().parents[2])
    command = [str(python), "-m", module, "--scale", scale, "--threads", number, "--folder", str(folder)]
    with (folder / f"{_stem(stack, threads)}-said.txt").open("w") as said:
        return subprocess.Popen(command, env=environment, stdout=said, stderr=said, text=True)


def _wait(started: Mapping[str, subprocess.Popen[str]], folder: Path) -> None:
    """Wait until all programs have ended; end them all and raise RelicError where one fails."""
    try:
        while any(program.poll() is None for program in started.values()):
            for name, program in started.items():
                if program.poll():
                    said = (folder / f"{name}-said.txt").read_text().strip().splitlines()
                    raise RelicError(f"{name} (stack and threads) failed: {(said or ['it said nothing'])[-1]}")
            time.sleep(0.5)
    finally:
        for program in started.values():
            program.kill()
            program.wait()


def _document(cases: Sequence[Case], scale: str, stacks: Sequence[str], folder: Path) -> dict[str, Any]:
    files, decoded = _files(folder), {}
    for stack in stacks:
        for threads in THREADS:
            with np.load(folder / f"{_stem(stack, threads)}-decoded.npz") as arrays:
                decoded[stack, threads] = dict(arrays)
    made = {stack: json.loads((folder / f"{_stem(stack, 1)}-made.json").read_text()) for stack in stacks}
    missing = {stack: f"make {STACKS[stack][3]}" for stack in STACKS if stack not in stacks}
    return {
        "table": "decode_matrix",
        "title": "Files of every codec, written on one stack and decoded on the others",
        "scale": scale,
        "cells": [cell for case in cases for writer in stacks for cell in _cells(case, writer, files, decoded)],
        "files": [_written(case, writer, stacks[0], files) for case in cases for writer in stacks],
        "golden": _golden(cases, stacks, files, decoded),
        "missing": missing,
        "stacks": {stack: about["versions"] | {"python": about["python"]} for stack, about in made.items()},
        "provenance": {
            key: value for key, value in provenance().items() if key not in ("stack", "backend", "versions")
        },
    }


def _cells(case: Case, writer: str, files: Any, decoded: Any) -> Iterator[dict[str, Any]]:
    """Yield how every stack decodes one stack's file, against how that one does with 1 thread."""
    key = hashlib.sha256(files[writer, 1][case.name].tobytes()).hexdigest()
    own = decoded[writer, 1]
    for (reader, threads), arrays in decoded.items():
        picture = own[f"{key} picture"]
        same = str(arrays[f"{key} latents"]) == str(own[f"{key} latents"])
        greatest, pixels = difference(arrays[f"{key} picture"], picture)
        yield {
            "file": case.name,
            "writer": writer,
            "reader": reader,
            "threads": threads,
            "same_latents": same,
            "greatest": greatest,
            "pixels_of_10000": round(1e4 * pixels / (picture.shape[0] * picture.shape[1]), 2),
            "verdict": KEPT if is_kept(same, greatest, pixels, picture) else BROKEN,
        }


def _written(case: Case, writer: str, first: str, files: Any) -> dict[str, Any]:
    """Return what a stack wrote: its bytes, and whether they are those of the first stack and of two threads."""
    data, others, twice = (files[stack][case.name].tobytes() for stack in ((writer, 1), (first, 1), (writer, 2)))
    as_first, as_twice = data == others, data == twice
    return {
        "file": case.name,
        "writer": writer,
        "bytes": len(data),
        "same_as_first": as_first,
        "same_with_2_threads": as_twice,
    }


def _golden(cases: Sequence[Case], stacks: Sequence[str], files: Any, decoded: Any) -> list[dict[str, Any]]:
    """Return every file that differs from others once, with what its first writer decodes it to."""
    found: dict[tuple[str, bytes], dict[str, Any]] = {}
    for case in cases:
        for writer in stacks:
            data = files[writer, 1][case.name].tobytes()
            key = hashlib.sha256(data).hexdigest()
            if (case.name, data) in found:
                found[case.name, data]["writers"].append(writer)
                continue
            arrays = decoded[writer, 1]
            found[case.name, data] = {
                "case": case.name,
                "writers": [writer],
                "file": base64.b64encode(data).decode(),
                "latents": str(arrays[f"{key} latents"]),
                "picture": base64.b64encode(_png(arrays[f"{key} picture"])).decode(),
            }
    return list(found.values())


def _png(picture: np.ndarray) -> bytes:
    import cv2

    return cv2.imencode(".png", picture[..., ::-1] if picture.ndim == 3 else picture)[1].tobytes()
