"""The pictures a table is measured on, or what stands in for them."""

import os
from pathlib import Path
from typing import Any

from common.data import Picture
from common.errors import RelicError
from common.files import printable
from common.tables.command import Options
from common.tables.document import is_published_set
from common.tables.published import Published

SMOKE_IMAGES = 2
EMBEDDED = "sample"


def stand_in(test_set: str) -> str:
    """Return the set that stands in for one that is not here: the catalogue's, where that is here, else `sample`."""
    from common import data
    from common.data import catalogue

    known = (name for name, of in catalogue.SETS.items() if of.stands_for == test_set and data.is_here(name))
    return next(known, EMBEDDED)


def pictures_of(options: Options, paper: Published) -> tuple[list[Picture], dict[str, Any], str]:
    """Return the test pictures, `{name, pictures, digest}` of them, and a sentence where they are a stand-in."""
    from common import data

    limit = options.images or (SMOKE_IMAGES if options.scale == "smoke" else None)
    note = ""
    if options.data is not None:
        folder = Path(os.path.abspath(options.data))  # which has a name also where it is given as "."
        name, pictures = printable(folder.name), data.images(paper.test_set, limit, options.data)
    else:
        try:
            name, pictures = paper.test_set, data.images(paper.test_set, limit)
        except RelicError as error:
            name = stand_in(paper.test_set)
            pictures = data.images(name, limit)
            kind = "embedded set" if name == EMBEDDED else "set"
            note = f"{error}. The {kind} {name} stands in for {paper.test_set}: no absolute value is comparable."
            command = f"python -m common.data fetch {paper.test_set}"
            note += "" if command in note else f" `{command}` downloads it."
    about = {"name": name, "pictures": len(pictures), "digest": data.pixel_digest(pictures)}
    if options.data is not None and is_published_set(paper, about) and paper.digest:
        about["name"] = paper.test_set
    return pictures, about, note
