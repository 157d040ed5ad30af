"""Figure 2 of Zhao et al.: PSNR and SSIM over counted bits, low and full resolution, JPEG and Jiang's framework.

    python -m experiments.figure2_zhao                  # shipped weights, pictures coded to bytes and back: minutes
    python -m experiments.figure2_zhao --scale smoke    # minutes: trains every network for a few steps
    python -m experiments.figure2_zhao --scale paper --train    # the paper's own schedule: 2.7e18 FLOP

Expect at scale small: BD-PSNR against JPEG, mean of Set12, 1.135 dB, Jiang's 1.051 dB; published as curves.

The paper names none of its four pictures: here they are lena, house, peppers and cameraman of Set12. The other pictures
of Set12, those of classic5 and the means of both are measured too, with BD-rate and BD-PSNR against JPEG. Networks
without weights are left out.
"""

from common.config import presets
from common.tables.command import Options, main
from common.tables.document import Reproduction
from papers.zhao_mixedres import config

TABLE = "zhao_mixedres/figure2"
# Which file of Set12 stands in which row.
ROWS = {"lena": "08", "house": "02", "peppers": "03", "cameraman": "01"}
NETWORKS = {
    prefix + name: presets(config)[prefix + name] for prefix in ("", "jiang_") for name in config.LOW + config.FULL
}
MINUTES = 3


def reproduce(options: Options) -> Reproduction:
    """Measure JPEG and all networks on Set12 and classic5."""
    from papers.zhao_mixedres.reproduction import figure2

    return figure2.reproduce(options)


if __name__ == "__main__":
    main(TABLE, ROWS, reproduce, networks=NETWORKS)
