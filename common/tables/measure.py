"""Tables of trained codecs: every row's codec turns every test picture into bytes and back, next to JPEG."""
from __future__ import annotations

import dataclasses
import sys
from typing import Any, Callable

from common.config import preset_of
from common.tables import published
from common.tables.command import Options
from common.tables.document import Reproduction
from common.tables.numbers import plain
from common.tables.test_pictures import Picture, pictures_of
from common.training.shipped import how_to_train, network, seeds_of

Load = Callable[[str, str, int], Any]


def rate_distortion(
    options: Options,
    load: Load,
    train: Callable[..., Any],
    training_flops: Callable[[Any, str], float],
) -> Reproduction:
    """Measure every row that has weights on the table's test pictures.

    `load(preset, scale, seed)` returns a Codec. Only at scale smoke, `train(preset, scale, seed, restart)` makes
    weights that are missing; at others such a row is not run, and `training_flops(config, scale)` says what it takes.
    """
    paper = published.load(options.table)
    pictures, test_set, note = pictures_of(options, paper)
    found = Reproduction(notes=[note] if note else [])
    trained = {row: seeds_of(config, options.scale, options.seeds, train) for row, config in options.rows.items()}
    networks = {row: network(options.rows[row], options.scale, seeds) for row, seeds in trained.items() if seeds}
    with progress(sum(map(len, trained.values())) * len(pictures)) as bar:
        for row, seeds in trained.items():
            if not seeds:
                config = options.rows[row]
                found.missing[row] = how_to_train(config, options.scale, training_flops(config, options.scale))
            for seed in seeds:
                codec = load(preset_of(options.rows[row])[1], options.scale, seed)
                bar.set_description(f"{row}, seed {seed}")
                found.pictures += [_measurement(codec, row, seed, picture, bar) for picture in pictures]
    found.provenance = {"test_set": test_set, "networks": networks}
    return found


def progress(total: int, unit: str = "picture") -> Any:
    """Return a bar on stderr, which shows on terminals only."""
    from tqdm import tqdm

    return tqdm(total=total, unit=unit, file=sys.stderr, dynamic_ncols=True, disable=None)


def _measurement(codec: Any, row: str, seed: int, picture: Picture, bar: Any) -> dict[str, Any]:
    """Return the measurement of one picture as plain data, with JPEG's at equal counted bpp beside it."""
    from common import evaluate
    from common.classical import operating_points

    name, image = picture
    measured = dataclasses.asdict(evaluate.measure(codec, image, name))
    entry = {"row": row, "seed": seed, "picture": measured.pop("name")}
    entry.update({key: plain(value) for key, value in measured.items()})
    jpeg = operating_points.jpeg_at_bpp(image, measured["bpp"])
    entry.update({f"jpeg_{key}": plain(jpeg[key]) for key in ("bpp", "psnr", "ms_ssim")})
    bar.update()
    return entry
