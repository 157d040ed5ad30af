"""Figure 5 of Paka and Khatter: test pictures and what the trained autoencoder gives back, with PSNR.

python -m experiments.figure5_paka                  # shipped weights: a minute at most
python -m experiments.figure5_paka --scale smoke    # the same with a training of two steps

Expect at scale paper: PSNR from 28.06 dB (kodim24) to 35.69 dB (kodim09); published as pictures.
"""

from common.tables.command import Options, main
from common.tables.document import Reproduction
from papers.paka_autoencoder import config

TABLE = "paka_autoencoder/figure5"
ROWS = {name: name for name in config.TEST_PICTURES}
NETWORKS = {"Proposed": config.AUTOENCODER}
MINUTES = 0.3


def reproduce(options: Options) -> Reproduction:
    """Reconstruct our test pictures."""
    from papers.paka_autoencoder.reproduction import figures5to8

    return figures5to8.figure5(options)


if __name__ == "__main__":
    main(TABLE, ROWS, reproduce, networks=NETWORKS)
