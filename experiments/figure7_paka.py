"""Figure 7 of Paka and Khatter: three test pictures by the autoencoder, JPEG, JPEG2000 and BPG, side by side.

    python -m experiments.figure7_paka                  # shipped weights: a minute
    python -m experiments.figure7_paka --scale smoke    # the same with a training of two steps

Expect at scale paper: kodim09 has 35.68 dB at 20.94 bpp, and JPEG 35.69 dB at 0.5976 bpp; published as pictures.

The paper gives neither rates nor settings. Here every codec has the coarsest setting that reaches the PSNR of the
autoencoder in 8 bits a value; bits per pixel and PSNR stand under each picture.
"""

from common.tables.command import Options, main
from common.tables.document import Reproduction
from papers.paka_autoencoder import config

TABLE = "paka_autoencoder/figure7"
ROWS = {name: name for name in config.SHOWN}
NETWORKS = {"Proposed": config.AUTOENCODER}
MINUTES = 1


def reproduce(options: Options) -> Reproduction:
    """Code the three pictures."""
    from papers.paka_autoencoder.reproduction import figures5to8

    return figures5to8.figure7(options)


if __name__ == "__main__":
    main(TABLE, ROWS, reproduce, networks=NETWORKS)
