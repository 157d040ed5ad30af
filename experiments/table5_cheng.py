"""Table 5 of Cheng et al. (2019): a wide bottleneck, Kodak, trained for MS-SSIM.

    python -m experiments.table5_cheng                  # shipped weights, every picture to bytes and back: minutes
    python -m experiments.table5_cheng --scale smoke    # seconds to a minute: trains for two steps, checks the plumbing
    python -m experiments.table5_cheng --scale paper --train    # the paper's own schedule

Expect at scale small: 25.592 and 25.360 dB at 0.1751 and 0.1696 bpp; published 26.498 and 26.317.
"""

from common.tables.command import Options, main
from common.tables.document import Reproduction
from papers.cheng_resnet import config

TABLE = "cheng_resnet/table5"
ROWS = {
    "ResNet-3x3(4)-Bottleneck128": config.RESNET4_SUBPIXEL,
    "ResNet-3x3(4)-Bottleneck192": config.RESNET4_SUBPIXEL_BOTTLENECK192,
}
REFERENCE = "ResNet-3x3(4)-Bottleneck128"
MINUTES = 1.5


def reproduce(options: Options) -> Reproduction:
    """Measure the codecs of the table's rows on Kodak."""
    from common.tables import measure

    return measure.rate_distortion(options)


if __name__ == "__main__":
    main(TABLE, ROWS, reproduce, REFERENCE)
