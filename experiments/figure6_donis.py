"""Figure 6 of Donis and Brown: better examples of pictures through one iteration, beside their originals.

    python -m experiments.figure6_donis                  # shipped weights: half a minute
    python -m experiments.figure6_donis --scale smoke    # the same with trainings of a step

Expect at scale small: SSIM 0.843 and 21.1 dB, where all pictures have 0.576 and 16.7 dB; published as pictures.

The test pictures with the highest SSIM, a few at fixed ranks, and the same ones through the network as the paper
describes it.
"""

from common.tables.command import Options, main
from common.tables.document import Reproduction
from papers.donis_convlstm import config

TABLE = "donis_convlstm/figure6"
ROWS = {"better": config.AS_RUN}
MINUTES = 0.5


def reproduce(options: Options) -> Reproduction:
    """Choose and draw pictures."""
    from papers.donis_convlstm.reproduction import figures6and7

    return figures6and7.reproduce(options, "highest")


if __name__ == "__main__":
    main(TABLE, ROWS, reproduce)
