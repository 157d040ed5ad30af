"""Table 2 of Cheng et al. (2019): kernel size of the networks with a hyperprior, Kodak, trained for MSE.

    python -m experiments.table2_cheng                  # shipped weights, every picture to bytes and back: minutes
    python -m experiments.table2_cheng --scale smoke    # seconds to a minute: trains for two steps, checks the plumbing
    python -m experiments.table2_cheng --scale paper --train    # the paper's own schedule

Expect at scale small: HyperPrior-3 has 25.135 dB and HyperPrior-5 25.566 at 0.266 bpp; published 32.488 and 32.976.
"""

from common.tables.command import Options, main
from common.tables.document import Reproduction
from papers.cheng_resnet import config

TABLE = "cheng_resnet/table2"
ROWS = {
    "HyperPrior-3": config.HYPERPRIOR_3,
    "HyperPrior-5": config.HYPERPRIOR_5,
    "HyperPrior-9": config.HYPERPRIOR_9,
}
REFERENCE = "HyperPrior-3"
MINUTES = 2


def reproduce(options: Options) -> Reproduction:
    """Measure the codecs of the table's rows on Kodak."""
    from common.tables import measure

    return measure.rate_distortion(options)


if __name__ == "__main__":
    main(TABLE, ROWS, reproduce, REFERENCE)
