"""Figure 4 of Deshmukh and Pollett: sizes of original, compressed and decompressed files in six image file formats.

    python -m experiments.figure4_deshmukh                  # shipped weights: a minute
    python -m experiments.figure4_deshmukh --images 5       # the first 5 pictures alone
    python -m experiments.figure4_deshmukh --scale smoke    # two pictures, and a training of two steps

Expect at scale medium: in all 6 formats codes are smaller; JPEG ends 6.07 dB below PNG; published as a picture.

Pictures of 200x200 are written in a format and read; their code is saved as a picture in the same format, read and
restored, and the result written in the format again. What saving the code in a lossy format costs is judged.
"""

from common.tables.command import Options, main
from common.tables.document import Reproduction
from papers.deshmukh_irm import config

TABLE = "deshmukh_irm/figure4"
# The format of each row, by the ending of its files.
ROWS = {"JPEG": ".jpg", "PNG": ".png", "BMP": ".bmp", "WebP": ".webp", "TIFF": ".tif", "JPEG2000": ".jp2"}
NETWORKS = {"rgb": config.RGB}
MINUTES = 1


def reproduce(options: Options) -> Reproduction:
    """Write and read all files, and draw their sizes and the quality of what is restored."""
    from papers.deshmukh_irm.reproduction import figure4

    return figure4.figure4(options)


if __name__ == "__main__":
    main(TABLE, ROWS, reproduce, networks=NETWORKS)
