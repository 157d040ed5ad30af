"""Figure 8 of Paka and Khatter: PSNR of four codecs over seven pictures, as printed and as measured here.

    python -m experiments.figure8_paka                  # shipped weights: a minute or two
    python -m experiments.figure8_paka --scale smoke    # the same with a training of two steps

Expect at scale paper: 34.07 dB on picture 1, and JPEG 34.39 dB; published as curves.

The printed curves are those of Table 1. Ours are of our test pictures: the autoencoder without coding, and each codec
at 1 bit per pixel and at its coarsest setting.
"""

from common.tables.command import Options, main
from common.tables.document import Reproduction
from papers.paka_autoencoder import config

TABLE = "paka_autoencoder/figure8"
# Which of our test pictures stands for which image.
ROWS = {str(number): name for number, name in enumerate(config.TEST_PICTURES, 1)}
NETWORKS = {"Proposed": config.AUTOENCODER}
MINUTES = 1.5


def reproduce(options: Options) -> Reproduction:
    """Measure the four codecs on our test pictures."""
    from papers.paka_autoencoder.reproduction import figures5to8

    return figures5to8.figure8(options)


if __name__ == "__main__":
    main(TABLE, ROWS, reproduce, networks=NETWORKS)
