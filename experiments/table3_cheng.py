"""Table 3 of Cheng et al. (2019): kernel size of the auxiliary autoencoder, Kodak, trained for MS-SSIM.

    python -m experiments.table3_cheng                  # shipped weights, every picture to bytes and back: minutes
    python -m experiments.table3_cheng --scale smoke    # seconds to a minute: trains for two steps, checks the plumbing
    python -m experiments.table3_cheng --scale paper --train    # the paper's own schedule

Expect at scale small: both have an MS-SSIM of 0.9025, at 0.160 and 0.159 bpp; published 0.9591 and 0.9590.
"""

from common.tables.command import Options, main
from common.tables.document import Reproduction
from papers.cheng_resnet import config

TABLE = "cheng_resnet/table3"
ROWS = {
    "HyperPrior-9-Aux-5": config.HYPERPRIOR_9_MSSSIM,
    "HyperPrior-9-Aux-9": config.HYPERPRIOR_9_AUX9_MSSSIM,
}
REFERENCE = "HyperPrior-9-Aux-5"
MINUTES = 1.5


def reproduce(options: Options) -> Reproduction:
    """Measure the codecs of the table's rows on Kodak."""
    from common.tables import measure

    return measure.rate_distortion(options)


if __name__ == "__main__":
    main(TABLE, ROWS, reproduce, REFERENCE)
