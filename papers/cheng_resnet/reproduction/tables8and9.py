"""Tables 8 and 9 of Cheng et al. (2019): what is counted beside the printed columns; what the text claims of counts."""

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
from papers.cheng_resnet.reproduction.text_numbers import printed

LITTLE = 0.05  # share of the FLOPs, of what increases them "only a little"
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
    """Return what sections 2.2 to 4 claim of the architectures by Table 9's row, judged against the counts."""
    return [*_fields(networks), *_sizes(networks), *_wide(networks)]


def _fields(networks: Mapping[str, Sequence[LayerRow]]) -> list[dict[str, Any]]:
    strided = "The first layer of a stage has stride 2, so that the next ones see twice as far; {} is for stride 1."
    judged = []
    for count, row in (("three", "ResNet-3x3(3)"), ("four", "ResNet-3x3(4)")):
        side = int(printed(f"Receptive field of {count} 3x3 kernels", "Side"))
        text = f"A stage of {count} 3x3 sees as much as one {side}x{side} (Section 2.2)"
        judged.append(claim(text, "equals", side, stage_field(networks[row]), strided.format(side)))
    return judged


def _sizes(networks: Mapping[str, Sequence[LayerRow]]) -> list[dict[str, Any]]:
    three, four = networks["ResNet-3x3(3)"], networks["ResNet-3x3(4)"]
    wide, large = networks["ResNet-3x3(4)-SubPixel-Bottleneck192"], networks["HyperPrior-9"]
    by_eq2 = "The table's FLOPs, {:.3g} against {:.3g}, count the zeros between a transposed convolution's samples."
    as_printed = by_eq2.format(flops_as_printed(four), flops_as_printed(large))
    return [
        claim("ResNet-3x3(3) has fewer parameters than HyperPrior-9", "below", parameters(large), parameters(three)),
        claim("ResNet-3x3(4) has fewer parameters than HyperPrior-9", "below", parameters(large), parameters(four)),
        claim("Bottleneck192 has fewer parameters than HyperPrior-9", "below", parameters(large), parameters(wide)),
        claim(
            "The residual networks' size grows (Section 4): parameters of ResNet-3x3(4) and HyperPrior-5",
            "above",
            parameters(networks["HyperPrior-5"]),
            parameters(four),
        ),
        claim("ResNet-3x3(4) has fewer FLOPs by Eq. 2 than HyperPrior-9", "below", flops(large), flops(four)),
        claim("ResNet-3x3(4) carries out fewer MACs", "below", flops_executed(large), flops_executed(four), as_printed),
    ]


def _wide(networks: Mapping[str, Sequence[LayerRow]]) -> list[dict[str, Any]]:
    narrow, wide = networks["ResNet-3x3(4)-SubPixel"], networks["ResNet-3x3(4)-SubPixel-Bottleneck192"]
    last = [parameters([row for row in rows if row.name == "E4_conv4"]) for rows in (narrow, wide)]
    added = parameters(wide) - parameters(narrow)
    rise = round(flops_as_printed(wide) / flops_as_printed(narrow) - 1, 4)
    text = "Only the last layer of the encoder has more filters (Section 3): parameters that Bottleneck192 adds"
    note = "The hyper networks, the 1x1 layers, the prior and the decoder's first blocks are wider too."
    return [
        claim(text, "equals", last[1] - last[0], added, note),
        claim("Bottleneck192 increases FLOPs only a little (Section 3): share of them", "below", LITTLE, rise),
    ]
