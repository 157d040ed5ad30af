"""Data sets by name, as uint8 arrays, and the random patches that training draws from them.

A name is a folder, `kodak` or `bsds500/train`, looked for in this order: `$RELIC_DATA/<name>`, the cache
`$RELIC_CACHE/data/<name>` (default ~/.cache/relic), the sets that tensorflow-datasets has prepared, with their split
where they have several: `cifar10/train`. `sample` is embedded: three photographs that scikit-image ships.
`python -m common.data` lists, fetches and times them.

Training sets that decode to more than `RELIC_DATA_MEMORY` MiB together (default 1024) are not held in memory: their
pictures are decoded when training meets them, by processes of their own.
"""

from common.data.digests import known_digest, pixel_digest
from common.data.patches import TrainingPatches, refuse_test_set
from common.data.pictures import read_image, write_png
from common.data.places import roots
from common.data.sets import Picture, images, is_here, load, named_entries
from common.data.sources import files_below, left_out
from common.data.training_pictures import ChangedPictures, Pictures

__all__ = [
    "ChangedPictures",
    "Picture",
    "Pictures",
    "TrainingPatches",
    "files_below",
    "images",
    "is_here",
    "known_digest",
    "left_out",
    "load",
    "named_entries",
    "pixel_digest",
    "read_image",
    "refuse_test_set",
    "roots",
    "write_png",
]
