"""Tables 8 and 9 of Cheng et al. (2019): what is counted beside the printed columns, and what the text claims of it."""

from collections.abc import Mapping, Sequence
from typing import Any

from common.tables.document import claim
from papers.cheng_resnet.complexity import (
    LayerRow,
    analysis_field,
    flops,
    flops_as_printed,
    flops_executed,
    parameters,
    stage_field,
)

FURTHER_COLUMNS = {
    "FLOPs, Eq. 2 at the layer's own output": flops,
    "MACs carried out": flops_executed,
    "receptive field of a stage": stage_field,
    "of the analysis transform": analysis_field,
}
NOTES = (
    "FLOPs are compared in the paper's convention: by Eq. 2, but with the last sub-pixel layer of the SubPixel rows "
    "counted at 256x256, after depth_to_space. Counted at its own output, sub-pixel up-sampling adds nothing to TConv.",
    "Eq. 2 counts a transposed convolution at its output, four times the multiply-accumulates that a stride of 2 "
    "needs. Carried out, the order changes: HyperPrior-9 has less than ResNet-3x3(4), and TConv less than SubPixel.",
)


def claims(networks: Mapping[str, Sequence[LayerRow]]) -> list[dict[str, Any]]:
    """Return what sections 2.2 and 4 claim of the architectures by Table 9's row, judged against the counts."""
    three, four = networks["ResNet-3x3(3)"], networks["ResNet-3x3(4)"]
    wide, large = networks["ResNet-3x3(4)-SubPixel-Bottleneck192"], networks["HyperPrior-9"]
    strided = "The first layer of a stage has stride 2, so that the next ones see twice as far; {} is for stride 1."
    by_eq2 = "The table's FLOPs, {:.3g} against {:.3g}, count the zeros between a transposed convolution's samples."
    printed = by_eq2.format(flops_as_printed(four), flops_as_printed(large))
    return [
        claim("A stage of three 3x3 sees as much as one 7x7", "equals", 7, stage_field(three), strided.format(7)),
        claim("A stage of four 3x3 sees as much as one 9x9", "equals", 9, stage_field(four), strided.format(9)),
        claim("ResNet-3x3(3) has fewer parameters than HyperPrior-9", "below", parameters(large), parameters(three)),
        claim("ResNet-3x3(4) has fewer parameters than HyperPrior-9", "below", parameters(large), parameters(four)),
        claim("Bottleneck192 has fewer parameters than HyperPrior-9", "below", parameters(large), parameters(wide)),
        claim("ResNet-3x3(4) has fewer FLOPs by Eq. 2 than HyperPrior-9", "below", flops(large), flops(four)),
        claim("ResNet-3x3(4) carries out fewer MACs", "below", flops_executed(large), flops_executed(four), printed),
    ]
