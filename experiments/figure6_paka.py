"""Figure 6 of Paka and Khatter: training and validation loss over the epochs, from the log of our training.

python -m experiments.figure6_paka    # seconds: reads the log that is shipped with the weights

Expect at scale paper: the loss ends at 0.0002394 in training and 0.0005571 in validation; published as curves.
"""

from common.tables.command import Options, main
from common.tables.document import Reproduction
from papers.paka_autoencoder import config

TABLE = "paka_autoencoder/figure6"
# The pictures that each curve's loss is of; the training crops them, validation takes them whole.
ROWS = {"Training": config.TRAINING_PICTURES, "Validation": config.VALIDATION_PICTURES}
NETWORKS = {"Proposed": config.AUTOENCODER}
MINUTES = 0.1


def reproduce(options: Options) -> Reproduction:
    """Read and draw the losses."""
    from papers.paka_autoencoder.reproduction import figure6

    return figure6.figure6(options)


if __name__ == "__main__":
    main(TABLE, ROWS, reproduce, networks=NETWORKS)
