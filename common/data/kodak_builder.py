"""The Kodak set as a tensorflow-datasets builder, for those who keep their data sets there.

    python -c "from common.data.kodak_builder import Kodak; Kodak(file_format='array_record').download_and_prepare()"

It holds the same 24 originals that `python -m common.data fetch kodak` downloads, in one split, `test`.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from common.data.fetch import KODAK, KODAK_URL
from common.data.prepared import tensorflow_datasets

tfds = tensorflow_datasets()


class Kodak(tfds.core.GeneratorBasedBuilder):  # type: ignore[name-defined,misc]
    """Kodak Lossless True Color Image Suite: uint8 RGB pictures of 768x512 or 512x768, with their file names."""

    VERSION = tfds.core.Version("1.0.0")
    # The base class reads these from a file beside the module; here they are the table that `fetch` checks against.
    url_infos = {
        KODAK_URL + name: tfds.core.download.checksums.UrlInfo(size, digest, name)
        for name, (size, digest) in KODAK.items()
    }

    def _info(self) -> Any:
        return tfds.core.DatasetInfo(
            builder=self,
            description="24 photographs scanned without loss, released by Eastman Kodak for unrestricted use.",
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(None, None, 3), encoding_format="png"),
                    "file_name": tfds.features.Text(),
                }
            ),
            homepage="http://r0k.us/graphics/kodak/",
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[tuple[int, dict[str, str]]]]:
        files = dl_manager.download({name: KODAK_URL + name for name in KODAK})
        return {"test": self._generate_examples(files)}

    def _generate_examples(self, files: dict[str, Path]) -> Iterator[tuple[int, dict[str, str]]]:
        for number, name in enumerate(sorted(files)):
            yield number, {"image": str(files[name]), "file_name": name}
