"""Table 1 of Paka and Khatter: PSNR of the autoencoder, JPEG, JPEG2000 and BPG on seven pictures of Kodak.

    python -m experiments.table1_paka                  # shipped weights, pictures coded to bytes and back: minutes
    python -m experiments.table1_paka --scale smoke    # a minute: trains for two steps, checks the plumbing
    python -m experiments.table1_paka --scale paper --train    # the paper's own schedule: 1.3e15 FLOP

Expect at scale paper: our network has 33.40 dB in the mean, published 25.60; 2 claims hold, 4 do not.

Proposed: our training on our test pictures; only its mean compares, as the paper does not name its pictures. The other
columns: the worst PSNR the codec can give, which is above what is printed. Beside them: the setting at which each codec
reaches the proposed PSNR and the bits it then takes, and the bits that the paper does not count.
"""

from common.tables.command import Options, main
from common.tables.document import Reproduction
from papers.paka_autoencoder import config

TABLE = "paka_autoencoder/table1"
# Which of our test pictures stands in which row.
ROWS = {str(number): name for number, name in enumerate(config.TEST_PICTURES, 1)}
NETWORKS = {"Proposed": config.AUTOENCODER}
MINUTES = 3


def reproduce(options: Options) -> Reproduction:
    """Measure the proposed codec and the others on our test pictures."""
    from papers.paka_autoencoder.reproduction import table1

    return table1.reproduce(options)


if __name__ == "__main__":
    main(TABLE, ROWS, reproduce, networks=NETWORKS)
