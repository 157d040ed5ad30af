"""Figure 5 of Donis and Brown: PSNR over the epochs for three sizes of the training set, from logs.

    python -m experiments.figure5_donis                  # seconds: reads the logs that are shipped with the weights
    python -m experiments.figure5_donis --scale smoke    # seconds: trains every row for one step
    python -m experiments.figure5_donis --scale paper --train    # the paper's own schedule

Expect at scale small: validation 234.7, 261.5, 150.1 for 50, 100, 200 thousand; published 325.8, 248.5, 357.8.

Drawn are the squared PSNR, which the paper calls PSNR, of the authors' logs and of ours, and the same on correct axes.
"""

from common.tables.command import Options, main
from common.tables.document import Reproduction
from papers.donis_convlstm import config

TABLE = "donis_convlstm/figure5"
ROWS = {"50 thousand": config.SET_50K, "100 thousand": config.AS_RUN, "200 thousand": config.SET_200K}
REFERENCE = "100 thousand"
MINUTES = 0.2


def reproduce(options: Options) -> Reproduction:
    """Read and draw the curves."""
    from papers.donis_convlstm.reproduction import figures2to5

    return figures2to5.reproduce(options, figures2to5.PSNR)


if __name__ == "__main__":
    main(TABLE, ROWS, reproduce, REFERENCE)
