"""Table 9 of Cheng et al. (2019): parameters, FLOPs and relative cost of ten architectures, from the built models.

    python -m experiments.table9_cheng    # seconds: nothing is trained

Expect at scale exact: 30 cells are exact; a stage of three 3x3 sees 11 pixels, one of four sees 15.

Beside the printed columns: FLOPs by Eq. 2 at every layer's own output (the paper counts the last sub-pixel layer after
its rearrangement), multiply-accumulates that are carried out, and receptive fields in pixels. What the text claims of
them is in claims_cheng.
"""

from typing import Any

from common.tables.command import Options, main
from common.tables.document import Reproduction
from papers.cheng_resnet import config

TABLE = "cheng_resnet/table9"
ROWS = {
    "Baseline-3": config.BASELINE_3,
    "Baseline-5": config.BASELINE_5,
    "Baseline-9": config.BASELINE_9,
    "HyperPrior-3": config.HYPERPRIOR_3,
    "HyperPrior-5": config.HYPERPRIOR_5,
    "HyperPrior-9": config.HYPERPRIOR_9,
    "ResNet-3x3(3)": config.RESNET3,
    "ResNet-3x3(4)": config.RESNET4,
    "ResNet-3x3(4)-SubPixel": config.RESNET4_SUBPIXEL,
    "ResNet-3x3(4)-SubPixel-Bottleneck192": config.RESNET4_SUBPIXEL_BOTTLENECK192,
}
NETWORKS: dict[str, Any] = {}  # they are counted, none is trained
MINUTES = 0.4


def reproduce(options: Options) -> Reproduction:
    """Count every architecture at the paper's width, whatever the scale."""
    from papers.cheng_resnet import complexity
    from papers.cheng_resnet.reproduction import tables8and9

    networks = {row: complexity.layers(settings) for row, settings in options.rows.items()}
    base = complexity.flops_as_printed(networks["Baseline-5"])
    reproduction = Reproduction(notes=list(tables8and9.NOTES))
    for row, layers in networks.items():
        flops = complexity.flops_as_printed(layers)
        reproduction.values[row] = {"Para": complexity.parameters(layers), "FLOPs": flops, "Relative": flops / base}
        for column, measure in tables8and9.FURTHER_COLUMNS.items():
            reproduction.further.setdefault(column, {})[row] = measure(layers)
    return reproduction


if __name__ == "__main__":
    main(TABLE, ROWS, reproduce, trained=False)
