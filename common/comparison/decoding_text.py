"""The decode matrix as text, and its files."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from common.comparison.decoding import BROKEN, THREADS
from common.errors import RelicError
from common.files import atomic_file, results_dir, write_json
from common.tables.text import Section, markdown, plain_text

LEGEND = (
    "same: latents and picture identical to the last bit. A number: latents identical, pictures differ by so many of "
    "255 at most, in brackets in how many pixels of 10,000. LATENTS: the latents differ.",
    "Pictures are compared with how the writer itself decodes the file with 1 thread. Columns: reader, threads.",
    "Bytes: of the file, by the writer with 1 thread; = as the first writer's, else own; those of 2 threads are the "
    "same unless it says so.",
)


def write(document: Mapping[str, Any], promises: Mapping[str, Sequence[str]]) -> Path:
    """Write `decode_matrix.json`, `.md`, and the files themselves as `decode_matrix_files.json`; return the first."""
    path = results_dir() / document["scale"] / f"{document['table']}.json"
    write_json(path, {key: value for key, value in document.items() if key != "golden"})
    write_json(path.with_name(f"{path.stem}_files.json"), {"files": document["golden"]})
    with atomic_file(path.with_suffix(".md")) as file:
        file.write(markdown(document["title"], (), sections(document, promises)).encode())
    return path


def as_text(document: Mapping[str, Any], promises: Mapping[str, Sequence[str]]) -> str:
    """Return the matrix for a terminal."""
    return plain_text(document["title"], sections(document, promises))


def check(document: Mapping[str, Any]) -> None:
    """Raise RelicError that names the first cell whose promise is broken."""
    for cell in document["cells"]:
        if cell["verdict"] == BROKEN:
            raise RelicError("the promise is broken: {file}, written on {writer}, read on {reader}".format(**cell))


def sections(document: Mapping[str, Any], promises: Mapping[str, Sequence[str]]) -> list[Section]:
    """Return the promises, the matrix, and how it was made."""
    stacks = list(document["stacks"])
    readers = [(stack, threads) for stack in stacks for threads in THREADS]
    cells = {(c["file"], c["writer"], c["reader"], c["threads"]): c for c in document["cells"]}
    header = ["file", "writer", "bytes", *(f"{stack} {threads}" for stack, threads in readers)]
    rows = [
        [f["file"], f["writer"], _bytes(f), *(_shown(cells[f["file"], f["writer"], *reader]) for reader in readers)]
        for f in document["files"]
    ]
    counts = Counter(cell["verdict"] for cell in document["cells"])
    verdict = ", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items(), reverse=True)) + "."
    missing = [
        f"Not run: {stack}, as its environment is not here: {how}." for stack, how in document["missing"].items()
    ]
    promised = [[codec, *texts] for codec, texts in promises.items()]
    return [
        Section("Promised", ["codec", "bytes of a picture", "latents of a file", "picture of a file"], promised, []),
        Section("Matrix", header, rows, [verdict, *LEGEND, *missing]),
        Section("How it was made", [], [], _made(document)),
    ]


def _shown(cell: Mapping[str, Any]) -> str:
    if not cell["same_latents"]:
        return "LATENTS"
    shown = f"{cell['greatest']} ({cell['pixels_of_10000']:g})" if cell["greatest"] else "same"
    return f"{shown} {BROKEN}" if cell["verdict"] == BROKEN else shown


def _bytes(file: Mapping[str, Any]) -> str:
    threads = "" if file["same_with_2_threads"] else ", with 2 threads others"
    return f"{file['bytes']} {'=' if file['same_as_first'] else 'own'}{threads}"


def _made(document: Mapping[str, Any]) -> list[str]:
    versions = [
        f"{stack}: {', '.join(f'{name} {version}' for name, version in about.items())}"
        for stack, about in document["stacks"].items()
    ]
    return [*versions, *(f"{key}: {value}" for key, value in document["provenance"].items())]
