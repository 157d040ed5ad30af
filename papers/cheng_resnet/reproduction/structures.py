"""The search for the structure of Cheng et al.'s residual networks: which of 10,240 meet Table 9's parameters.

The figures name the blocks, but not which layers have a bias, what a projection is, or how the auxiliary autoencoder
follows the main one. Each `Structure` is one way to settle that; its parameters follow by Eq. 2 from closed forms,
without a model. What the text settles does not vary, as GDN once a stage and kernels of 3x3. Parameters do not tell
where a layer without any stands, nor on which side of the bottleneck a unit at 16x16 is.
"""

import dataclasses
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from common.tables import published
from papers.cheng_resnet import config
from papers.cheng_resnet.config import Config

PRIOR_PARAMETERS = 46  # a channel
COLOURS = 3
NETWORKS = {
    "ResNet-3x3(3)": config.RESNET3,
    "ResNet-3x3(4)": config.RESNET4,
    "ResNet-3x3(4)-SubPixel": config.RESNET4_SUBPIXEL,
    "ResNet-3x3(4)-SubPixel-Bottleneck192": config.RESNET4_SUBPIXEL_BOTTLENECK192,
}
AS_TABLE_8, ONE, TWO, TWO_EACH, TWO_PROJECTED = (
    "Table 8's",
    "a 3x3 for each 5x5",
    "two 3x3 for each 5x5",
    "two 3x3 for each 5x5 and each 3x3",
    "two 3x3 and a projection for each 5x5",
)


@dataclass(frozen=True)
class Structure:
    """One way to settle what the figures leave open; the defaults are what is built."""

    auxiliary: str = TWO
    projection_kernel: int = 1
    projection_bias: bool = True
    projections_in_three: bool = False  # in ResNet-3x3(3) too
    conv4_bias: bool = False
    conv4_projection: bool = False
    last_bias: bool = True
    last_projection: bool = False
    unit_at_16: bool = True  # a unit that keeps the size beside the bottleneck, M wide
    sub_pixel_auxiliary: bool = False  # in the SubPixel rows, as the main decoder
    wide_auxiliary: bool = True  # 192 channels in Bottleneck192, as the bottleneck
    wide_one_by_one: bool = False  # 960 and 768 channels there in place of 640 and 512


OPTIONS: dict[str, tuple] = {
    **{field.name: (False, True) for field in dataclasses.fields(Structure)},
    "auxiliary": (AS_TABLE_8, ONE, TWO, TWO_EACH, TWO_PROJECTED),
    "projection_kernel": (1, 3),
}
BUILT = Structure()


def structures() -> Iterator[Structure]:
    """Yield every structure that is searched."""
    for values in itertools.product(*OPTIONS.values()):
        yield Structure(**dict(zip(OPTIONS, values, strict=True)))


def printed() -> dict[str, int]:
    """Return Table 9's parameters of the four residual networks."""
    table = published.load("cheng_resnet/table9")
    return {row: int(table.value(row, "Para") or 0) for row in NETWORKS}


def fitting(targets: Mapping[str, int]) -> dict[str, list[Structure]]:
    """Return the structures that meet each row's number of parameters."""
    found: dict[str, list[Structure]] = {row: [] for row in targets}
    for structure in structures():
        for row, target in targets.items():
            if parameters(structure, NETWORKS[row]) == target:
                found[row].append(structure)
    return found


def meeting_all(found: Mapping[str, list[Structure]]) -> list[Structure]:
    """Return the structures that meet every row."""
    first, *others = found.values()
    return [structure for structure in first if all(structure in other for other in others)]


def parameters(structure: Structure, network: Config) -> int:
    """Return the parameters of a residual network built so, with GDN and the factorized prior."""
    return _analysis(structure, network) + _synthesis(structure, network) + _auxiliary(structure, network)


# --- parts -----------------------------------------------------------------------------------------------------------


def _conv(kernel: int, inputs: int, outputs: int, bias: bool = True) -> int:
    return (kernel**2 * inputs + bias) * outputs


def _up(kernel: int, inputs: int, outputs: int, sub_pixel: bool, bias: bool = True) -> int:
    return _conv(kernel, inputs, 4 * outputs if sub_pixel else outputs, bias)


def _gdn(filters: int) -> int:
    return (filters + 1) * filters


def _unit(filters: int) -> int:
    return 2 * _conv(3, filters, filters)


def _projection(structure: Structure, inputs: int, outputs: int, sub_pixel: bool = False) -> int:
    return _up(structure.projection_kernel, inputs, outputs, sub_pixel, structure.projection_bias)


def _stage(structure: Structure, network: Config, inputs: int, sub_pixel: bool) -> int:
    """Count what changes the size, up or down, and the unit after it."""
    filters = network.num_filters
    four = network.convolutions_a_stage == 4
    count = _up(3, inputs, filters, sub_pixel) + _gdn(filters) + _unit(filters)
    count += _conv(3, filters, filters) if four else 0
    return count + (_projection(structure, inputs, filters, sub_pixel) if four or structure.projections_in_three else 0)


def _analysis(structure: Structure, network: Config) -> int:
    filters, bottleneck = network.num_filters, network.bottleneck
    count = sum(_stage(structure, network, inputs, False) for inputs in (COLOURS, filters, filters))
    count += _conv(3, filters, bottleneck, structure.conv4_bias)
    return count + (_projection(structure, filters, bottleneck) if structure.conv4_projection else 0)


def _synthesis(structure: Structure, network: Config) -> int:
    filters, bottleneck, sub_pixel = network.num_filters, network.bottleneck, network.sub_pixel
    count = _unit(bottleneck) if structure.unit_at_16 else 0
    count += sum(_stage(structure, network, inputs, sub_pixel) for inputs in (bottleneck, filters, filters))
    count += _up(3, filters, COLOURS, sub_pixel, structure.last_bias)
    return count + (_projection(structure, filters, COLOURS, sub_pixel) if structure.last_projection else 0)


def _auxiliary(structure: Structure, network: Config) -> int:
    """Count the hyper networks, the 1x1 layers behind them and the prior."""
    bottleneck, filters = network.bottleneck, network.num_filters
    width = bottleneck if structure.wide_auxiliary else filters
    ones = bottleneck if structure.wide_one_by_one else filters
    wide = bottleneck * 3 // 2
    sub_pixel = network.sub_pixel and structure.sub_pixel_auxiliary
    count = _keeping(structure, bottleneck, width) + 2 * _changing(structure, width, width, False)
    count += _changing(structure, width, width, sub_pixel) + _changing(structure, width, wide, sub_pixel)
    count += _keeping(structure, wide, 2 * bottleneck)
    count += _conv(1, 2 * bottleneck, 5 * ones) + _conv(1, 5 * ones, 4 * ones)
    return count + _conv(1, 4 * ones, 2 * bottleneck, bias=False) + PRIOR_PARAMETERS * width


def _keeping(structure: Structure, inputs: int, outputs: int) -> int:
    """Count what stands for a 3x3 of Table 8's hyper networks."""
    second = _conv(3, outputs, outputs) if structure.auxiliary == TWO_EACH else 0
    return _conv(3, inputs, outputs) + second


def _changing(structure: Structure, inputs: int, outputs: int, sub_pixel: bool) -> int:
    """Count what stands for a 5x5 of theirs, which halves or doubles the size."""
    if structure.auxiliary in (AS_TABLE_8, ONE):
        return _up(5 if structure.auxiliary == AS_TABLE_8 else 3, inputs, outputs, sub_pixel)
    pair = _conv(3, inputs, outputs) + _up(3, outputs, outputs, sub_pixel)
    return pair + (_projection(structure, inputs, outputs, sub_pixel) if structure.auxiliary == TWO_PROJECTED else 0)
