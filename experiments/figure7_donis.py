"""Figure 7 of Donis and Brown: poorer examples of pictures through one iteration, beside their originals.

    python -m experiments.figure7_donis                  # shipped weights: half a minute
    python -m experiments.figure7_donis --scale smoke    # the same with trainings of a step

Expect at scale small: SSIM 0.236 and 12.2 dB, where all pictures have 0.576 and 16.7 dB; published as pictures.

The test pictures with the lowest SSIM, a few at fixed ranks, and the same ones through the network as the paper
describes it.
"""

from common.tables.command import Options, main
from common.tables.document import Reproduction
from papers.donis_convlstm import config

TABLE = "donis_convlstm/figure7"
ROWS = {"poorer": config.AS_RUN}
MINUTES = 0.5


def reproduce(options: Options) -> Reproduction:
    """Choose and draw pictures."""
    from papers.donis_convlstm.reproduction import figures6and7

    return figures6and7.reproduce(options, "lowest")


if __name__ == "__main__":
    main(TABLE, ROWS, reproduce)
