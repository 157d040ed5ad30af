"""Table 4 of Cheng et al. (2019): residual networks and sub-pixel up-sampling, Kodak, trained for MS-SSIM.

    python -m experiments.table4_cheng                  # shipped weights, pictures coded to bytes and back: minutes
    python -m experiments.table4_cheng --scale smoke    # a minute: trains for two steps, checks the plumbing
    python -m experiments.table4_cheng --scale paper --train    # the paper's own schedule: 7.3e18 FLOP

Expect at scale medium: SubPixel has 25.796 dB and 0.9472 at 0.1650 bpp; published 26.498, 0.9622 and 0.1700.

The table spans 0.23 dB, so its content is the differences to Hyperprior-9, which are judged over pictures and seeds.
Every row is also set against JPEG at equal counted bits.
"""

from common.tables.command import Options, main
from common.tables.document import Reproduction
from papers.cheng_resnet import config

TABLE = "cheng_resnet/table4"
ROWS = {
    "Hyperprior-9": config.HYPERPRIOR_9_MSSSIM,
    "ResNet-3x3(3)": config.RESNET3,
    "ResNet-3x3(4)-TConv": config.RESNET4,
    "ResNet-3x3(4)-SubPixel": config.RESNET4_SUBPIXEL,
}
REFERENCE = "Hyperprior-9"
MINUTES = 5


def reproduce(options: Options) -> Reproduction:
    """Measure the four codecs on Kodak."""
    from common.tables import measure

    return measure.rate_distortion(options)


if __name__ == "__main__":
    main(TABLE, ROWS, reproduce, REFERENCE)
