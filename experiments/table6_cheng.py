"""Table 6 of Cheng et al. (2019): the two networks of the rate control, CLIC, trained for MS-SSIM.

    python -m experiments.table6_cheng                  # shipped weights, every picture to bytes and back: minutes
    python -m experiments.table6_cheng --scale smoke    # a minute: trains for two steps, checks the plumbing
    python -m experiments.table6_cheng --scale paper --train    # the paper's own schedule

Expect no table yet, as no weights are here; published 0.9697 and 0.9765 at 0.1369 and 0.1816 bpp.

The networks of lambda = 10 start from those of lambda = 5 at scales small and medium. Where the challenge's validation
set is not there, photographs of its kind stand in, and no cell is comparable.
"""

from common.tables.command import Options, main
from common.tables.document import Reproduction
from papers.cheng_resnet import config

TABLE = "cheng_resnet/table6"
ROWS = {
    "ResNet-3x3(4)-Bottleneck192, 5": config.RESNET4_SUBPIXEL_BOTTLENECK192,
    "ResNet-3x3(4)-Bottleneck192, 10": config.RESNET4_SUBPIXEL_BOTTLENECK192_LAMBDA10,
}
MINUTES = 5


def reproduce(options: Options) -> Reproduction:
    """Measure both networks on the challenge's pictures."""
    from papers.cheng_resnet.reproduction import rate_control

    return rate_control.networks_alone(options)


if __name__ == "__main__":
    main(TABLE, ROWS, reproduce)
