"""Tables of trained codecs: every row's codec turns every test picture into bytes and back, next to JPEG."""

import dataclasses
import sys
from typing import Any

from common.data import Picture
from common.tables import networks, published
from common.tables.command import Options
from common.tables.document import Reproduction
from common.tables.numbers import plain
from common.tables.test_pictures import pictures_of


def rate_distortion(options: Options) -> Reproduction:
    """Measure every row that has weights on the table's test pictures; of others say how to train them."""
    pictures, test_set, note = pictures_of(options, published.load(options.table))
    reproduction = Reproduction(notes=[note] if note else [])
    known = networks.networks_of(options.rows, options.scale, options.seeds)
    reproduction.missing = known.missing
    with progress(sum(map(len, known.seeds.values())) * len(pictures)) as bar:
        for row, seed in ((row, seed) for row, seeds in known.seeds.items() for seed in seeds):
            codec = networks.codec_of(options.rows[row], options.scale, seed)
            bar.set_description(f"{row}, seed {seed}")
            reproduction.pictures += [_measurement(codec, row, seed, picture, bar) for picture in pictures]
    reproduction.provenance = {"test_set": test_set, "networks": known.made_by}
    return reproduction


def progress(total: int, unit: str = "picture") -> Any:
    """Return a bar on stderr, which shows on terminals only."""
    from tqdm import tqdm

    return tqdm(total=total, unit=unit, file=sys.stderr, dynamic_ncols=True, disable=None)


def fields(measured: Any) -> dict[str, Any]:
    """Return a `common.evaluate.Measurement` as tables of trained codecs hold it: all but its name and SSIM."""
    return {key: value for key, value in dataclasses.asdict(measured).items() if key not in ("name", "ssim")}


def _measurement(codec: Any, row: str, seed: int, picture: Picture, bar: Any) -> dict[str, Any]:
    """Return the measurement of one picture as plain data, with JPEG's at equal counted bpp beside it."""
    from common import evaluate
    from common.classical import operating_points

    name, image = picture
    measured = evaluate.measure(codec, image, name)
    entry = {"row": row, "seed": seed, "picture": name}
    entry.update({key: plain(value) for key, value in fields(measured).items()})
    jpeg = operating_points.jpeg_at_bpp(image, measured.bpp)
    entry.update({f"jpeg_{key}": plain(jpeg[key]) for key in ("bpp", "psnr", "ms_ssim")})
    bar.update()
    return entry
