"""Figure 3 of Donis and Brown: PSNR over the epochs for five batch sizes, from logs.

    python -m experiments.figure3_donis                  # seconds: reads the logs that are shipped with the weights
    python -m experiments.figure3_donis --scale smoke    # seconds: trains every row for one step
    python -m experiments.figure3_donis --scale paper --train    # the paper's own schedule

Expect at scale small: validation ends at 260.2 for batch 32, 195.5 for 1024; published 332.0 and 308.4.

Drawn are the squared PSNR, which the paper calls PSNR, of the authors' logs and of ours, and the same on correct axes.
"""

from common.tables.command import Options, main
from common.tables.document import Reproduction
from papers.donis_convlstm import config

TABLE = "donis_convlstm/figure3"
ROWS = {
    "Batch 32": config.BATCH_32,
    "Batch 64": config.AS_RUN,
    "Batch 128": config.BATCH_128,
    "Batch 512": config.BATCH_512,
    "Batch 1024": config.BATCH_1024,
}
REFERENCE = "Batch 64"
MINUTES = 0.2


def reproduce(options: Options) -> Reproduction:
    """Read and draw the curves."""
    from papers.donis_convlstm.reproduction import figures2to5

    return figures2to5.reproduce(options, figures2to5.PSNR)


if __name__ == "__main__":
    main(TABLE, ROWS, reproduce, REFERENCE)
