"""Table 7 of Cheng et al. (2019): the entries to CLIC, one of two networks for each picture so that 0.15 bpp are kept.

    python -m experiments.table7_cheng                  # shipped weights, every picture to bytes and back: minutes
    python -m experiments.table7_cheng --scale smoke    # minutes: trains seven networks for two steps
    python -m experiments.table7_cheng --scale paper --train    # the paper's own schedule

Expect no table yet, as no weights are here; published 0.9724 at 0.150 bpp, the headline's 0.972.

Rates are total bits over total pixels; the means over pictures, PSNR pooled over all pixels, the greedy choice and its
bound stand beside. Rows whose two networks leave nothing to choose at 0.15 bpp say so.
"""

from common.tables.command import Options, main
from common.tables.document import Reproduction
from papers.cheng_resnet import config

TABLE = "cheng_resnet/table7"
NETWORKS = {
    "HyperPrior-9": config.HYPERPRIOR_9_MSSSIM,
    "HyperPrior-9, 10": config.HYPERPRIOR_9_MSSSIM_LAMBDA10,
    "TConv": config.RESNET4,
    "TConv, 10": config.RESNET4_LAMBDA10,
    "SubPixel": config.RESNET4_SUBPIXEL,
    "SubPixel, 10": config.RESNET4_SUBPIXEL_LAMBDA10,
    "Bottleneck192": config.RESNET4_SUBPIXEL_BOTTLENECK192,
    "Bottleneck192, 10": config.RESNET4_SUBPIXEL_BOTTLENECK192_LAMBDA10,
}
# The networks that each picture may be coded with; the headline is that of another row, the best.
BEST = "KattolabSSIM, ResNet-3x3(4)-SubPixel + Wide Bottleneck + Rate Control"
ROWS: dict[str, str | tuple[str, ...]] = {
    "Kattolab, HyperPrior-9": ("HyperPrior-9",),
    "Kattolab, HyperPrior-9 + Rate Control": ("HyperPrior-9", "HyperPrior-9, 10"),
    "Kattolab, ResNet-3x3(4)-TConv + Rate Control": ("TConv", "TConv, 10"),
    "Kattolabv2, ResNet-3x3(4)-SubPixel + Rate Control": ("SubPixel", "SubPixel, 10"),
    BEST: ("Bottleneck192", "Bottleneck192, 10"),
    "Section 5, headline": BEST,
}
MINUTES = 8


def reproduce(options: Options) -> Reproduction:
    """Measure all networks on the challenge's pictures and choose."""
    from papers.cheng_resnet.reproduction import rate_control

    return rate_control.entries(options, NETWORKS)


if __name__ == "__main__":
    main(TABLE, ROWS, reproduce, networks=NETWORKS)
