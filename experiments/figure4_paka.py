"""Figure 4 of Paka and Khatter: output shape and parameters of every layer, counted from the built model.

    python -m experiments.figure4_paka    # seconds: nothing is trained

Expect at scale exact: 45 cells exact.

Every cell is met to its last digit. Beside the printed columns: how many values every output has, as a multiple of the
input's, and multiply-accumulates. The code is larger than the picture.
"""

from common.tables.command import Options, main
from common.tables.document import Reproduction
from papers.paka_autoencoder import config

TABLE = "paka_autoencoder/figure4"
# What a line stands for in the built model: a layer by its name; the total has all of them.
ROWS = {
    **{name: name for name in ("input_1", "conv2d_1", "max_pooling2d_1", "conv2d_2", "max_pooling2d_2", "conv2d_3")},
    **{name: name for name in ("conv2d_4", "up_sampling2d_1", "conv2d_5", "up_sampling2d_2", "conv2d_6")},
    "Total": "",
}
MINUTES = 0.1


def reproduce(options: Options) -> Reproduction:
    """Count the layers of the paper's network."""
    from papers.paka_autoencoder.reproduction import figure4

    return figure4.figure4(config.AUTOENCODER)


if __name__ == "__main__":
    main(TABLE, ROWS, reproduce, trained=False)
