"""Table 1 of Cheng et al. (2019): kernel size of the networks without side information, Kodak, trained for MSE.

    python -m experiments.table1_cheng                  # shipped weights, every picture to bytes and back: minutes
    python -m experiments.table1_cheng --scale smoke    # seconds to a minute: trains for two steps, checks the plumbing
    python -m experiments.table1_cheng --scale paper --train    # the paper's own schedule

Expect at scale small: Baseline-3 has 25.028 dB, Baseline-5 25.572 dB; published 32.160 and 32.859.
"""

from common.tables.command import Options, main
from common.tables.document import Reproduction
from papers.cheng_resnet import config

TABLE = "cheng_resnet/table1"
ROWS = {
    "Baseline-3": config.BASELINE_3,
    "Baseline-5": config.BASELINE_5,
    "Baseline-9": config.BASELINE_9,
}
REFERENCE = "Baseline-3"
MINUTES = 2


def reproduce(options: Options) -> Reproduction:
    """Measure the codecs of the table's rows on Kodak."""
    from common.tables import measure

    return measure.rate_distortion(options)


if __name__ == "__main__":
    main(TABLE, ROWS, reproduce, REFERENCE)
