"""Parameters, multiply-accumulates and receptive fields of Cheng et al. (2019), read from the built Keras models.

Eq. 2: Para = (h * w * C_in + 1) * C_out, without the 1 where there is no bias; FLOPs = Para * H' * W', with H' x W' the
size of the layer's output for a 256x256 picture. So "FLOPs" are multiply-accumulates, a bias counts as one, and a
transposed convolution counts at its larger, up-sampled size. Section 4 leaves out GDN, IGDN and the factorized prior.
Of Joint's masked convolution all 25 taps count, as they are stored and, in training, multiplied; the codec uses 12.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from papers.cheng_resnet.config import Config, at_scale

PICTURE_SIZE = 256
CONVOLUTIONS = ("conv", "tconv", "subpixel")


@dataclass(frozen=True)
class LayerRow:
    """One layer with weights: a row of Table 8. `height` and `width` are those of its own output, in pixels."""

    name: str
    kind: str  # conv, tconv, subpixel (a convolution whose output is rearranged by depth_to_space), gdn, igdn, prior
    kernel: tuple[int, int]
    stride: int
    c_in: int
    c_out: int
    height: int
    width: int
    parameters: int
    macs: int  # by Eq. 2; 0 for the prior
    bias: bool


@cache
def layers(config: Config) -> tuple[LayerRow, ...]:
    """Return the layers of a config's network in the order of the data flow, for a 256x256 picture."""
    from papers.cheng_resnet.model import Model

    model = Model(config)
    size = (PICTURE_SIZE, PICTURE_SIZE, 3)
    y = (PICTURE_SIZE // 16, PICTURE_SIZE // 16, config.bottleneck)
    z = (PICTURE_SIZE // 64, PICTURE_SIZE // 64, config.bottleneck)
    rows = _rows(model.analysis_transform, size)
    if config.has_hyperprior:
        rows += _rows(model.hyper_analysis_transform, y)
        rows += [_prior_row(model.prior)]
        rows += _rows(model.hyper_synthesis_transform, z)
        if config.has_context:
            rows += _rows(model.entropy_parameters, y, (*y[:2], 2 * config.bottleneck))
    else:
        rows += [_prior_row(model.prior)]
    return tuple(rows + _rows(model.synthesis_transform, y))


def _rows(transform: Any, *input_shapes: tuple[int, int, int]) -> list[LayerRow]:
    """Return the layers with weights of a functional model applied to inputs of (height, width, channels)."""
    from common.backend import keras

    names = {layer.name for layer in transform.layers}
    weighted = [layer for layer in transform.layers if layer.weights]
    # The models take any size; symbolic tensors of one size tell every layer's output without computing anything.
    probe = keras.Model(transform.inputs, [layer.output for layer in weighted])
    inputs = [keras.Input(shape, batch_size=1) for shape in input_shapes]
    outputs = probe(inputs if len(inputs) > 1 else inputs[0])
    return [
        _row(layer, output.shape, f"{layer.name}_d2s" in names) for layer, output in zip(weighted, outputs, strict=True)
    ]


def _row(layer: Any, output_shape: Any, rearranged: bool) -> LayerRow:
    from common.layers import keras_kind

    _, height, width, channels = output_shape
    parameters = _count(layer)
    kinds = {"Conv2D": "subpixel" if rearranged else "conv", "Conv2DTranspose": "tconv"}
    kind = kinds.get(keras_kind(layer)) or ("igdn" if layer.inverse else "gdn")
    return LayerRow(
        name=layer.name,
        kind=kind,
        kernel=tuple(getattr(layer, "kernel_size", (1, 1))),
        stride=getattr(layer, "strides", (1, 1))[0],
        c_in=int(layer.input.shape[-1]),
        c_out=int(channels),
        height=int(height),
        width=int(width),
        parameters=parameters,
        macs=parameters * int(height) * int(width),
        bias=bool(getattr(layer, "use_bias", True)),
    )


def _prior_row(prior: Any) -> LayerRow:
    channels = prior.channels
    return LayerRow("factorized_prior", "prior", (1, 1), 1, channels, channels, 0, 0, _count(prior), 0, True)


def _count(layer: Any) -> int:
    count = 0
    for weight in layer.weights:
        size = 1
        for side in weight.shape:
            size *= int(side)
        count += size
    return count


def parameters(rows: Sequence[LayerRow]) -> int:
    """Return the number of parameters as Tables 8 and 9 count them, with GDN, IGDN and prior (46 a channel)."""
    return sum(row.parameters for row in rows)


def flops(rows: Sequence[LayerRow]) -> int:
    """Return the FLOPs by Eq. 2: every convolution counted at the size of its own output."""
    return sum(row.macs for row in rows if row.kind in CONVOLUTIONS)


def flops_as_printed(rows: Sequence[LayerRow]) -> int:
    """Return the FLOPs in the convention that meets Table 9.

    As Eq. 2, but a last sub-pixel layer is counted at 256x256, after depth_to_space, though it runs at 128x128.
    """
    last = rows[-1]
    return flops(rows) + (3 * last.macs if last.kind == "subpixel" else 0)


def flops_executed(rows: Sequence[LayerRow]) -> int:
    """Return the multiply-accumulates that are carried out, a bias counted as one.

    A transposed convolution multiplies at the size of its input; Eq. 2 also counts the zeros between its samples.
    """
    return sum(_executed(row) for row in rows if row.kind in CONVOLUTIONS)


def _executed(row: LayerRow) -> int:
    if row.kind != "tconv":
        return row.macs
    bias = row.c_out if row.bias else 0
    pixels = row.height * row.width
    return (row.parameters - bias) * pixels // row.stride**2 + bias * pixels


def normalisation_flops(rows: Sequence[LayerRow]) -> int:
    """Return the FLOPs of GDN and IGDN by Eq. 2, which section 4 states as 7.10e8."""
    return sum(row.macs for row in rows if row.kind in ("gdn", "igdn"))


def stage_field(rows: Sequence[LayerRow]) -> int:
    """Return the receptive field, in pixels a side, of one output of the encoder's first stage in the stage's input.

    A stage is what halves the size: one convolution, or in the residual networks three or four on the main path.
    """
    return receptive_field([row for row in _main_path(rows) if row.name == "conv1" or row.name.startswith("E1_")])


def analysis_field(rows: Sequence[LayerRow]) -> int:
    """Return the receptive field, in pixels a side, of one element of y in the picture."""
    return receptive_field(_main_path(rows))


def _main_path(rows: Sequence[LayerRow]) -> list[LayerRow]:
    """Return the convolutions of the analysis transform without the 1x1 shortcuts beside them."""
    convolutions = [row for row in rows if row.kind == "conv" and not row.name.endswith("_shortcut")]
    return [row for row in convolutions if row.name.startswith("conv") or row.name[:2] in ("E1", "E2", "E3", "E4")]


def receptive_field(rows: Sequence[LayerRow]) -> int:
    """Return how many input pixels a side one output of a chain of convolutions sees."""
    field, jump = 1, 1
    for row in rows:
        field += (row.kernel[0] - 1) * jump
        jump *= row.stride
    return field


# --- from the settings alone -----------------------------------------------------------------------------------------


def training_flops(config: Config, scale: str) -> float:
    """Return the floating-point operations of a config's training at a scale, as they are carried out.

    Two operations a multiply-accumulate, and three passes' worth a picture: one forward, two backward.
    """
    shortened = at_scale(config, scale)
    pictures = shortened.batch_size * shortened.steps * (shortened.patch_size / PICTURE_SIZE) ** 2
    return 6.0 * macs(shortened) * pictures


def macs(config: Config) -> int:
    """Return what `flops_executed` counts of a config's network, without building it, which takes seconds."""
    coded = [*_hyper_analysis(config), *_hyper_synthesis(config)] if config.has_hyperprior else []
    return sum([*_analysis(config), *_synthesis(config), *coded])


def _conv(kernel: int, inputs: int, outputs: int, size: int, bias: bool = True) -> int:
    """Count a convolution by the side of its output."""
    return (kernel**2 * inputs + bias) * outputs * size**2


def _tconv(kernel: int, inputs: int, outputs: int, size: int, stride: int = 2) -> int:
    """Count a transposed convolution by the side of its output; it multiplies at the size of its input."""
    return kernel**2 * inputs * outputs * (size // stride) ** 2 + outputs * size**2


def _identity_unit(filters: int, size: int) -> int:
    return 2 * _conv(3, filters, filters, size)


def _analysis(config: Config) -> Iterator[int]:
    inputs, filters, size = 3, config.num_filters, PICTURE_SIZE
    kernel = 3 if config.is_residual else config.kernel_size
    for _ in range(3):
        size //= 2
        yield _conv(kernel, inputs, filters, size)
        if config.convolutions_a_stage == 4:
            yield _conv(3, filters, filters, size)
        if config.has_projections:
            yield _conv(1, inputs, filters, size)
        if config.is_residual:
            yield _identity_unit(filters, size)
        inputs = filters
    yield _conv(kernel, filters, config.bottleneck, size // 2, bias=False)


def _synthesis(config: Config) -> Iterator[int]:
    inputs, filters, size = config.bottleneck, config.num_filters, PICTURE_SIZE // 16
    kernel = 3 if config.is_residual else config.kernel_size

    def up(kernel: int, inputs: int, outputs: int) -> int:
        return (
            _conv(kernel, inputs, 4 * outputs, size // 2) if config.sub_pixel else _tconv(kernel, inputs, outputs, size)
        )

    if config.is_residual:
        yield _identity_unit(inputs, size)
    for _ in range(3):
        size *= 2
        yield up(kernel, inputs, filters)
        if config.convolutions_a_stage == 4:
            yield _conv(3, filters, filters, size)
        if config.has_projections:
            yield up(1, inputs, filters)
        if config.is_residual:
            yield _identity_unit(filters, size)
        inputs = filters
    size *= 2
    yield up(kernel, filters, 3)


def _hyper_analysis(config: Config) -> Iterator[int]:
    width, kernel, size = config.bottleneck, config.aux_kernel_size, PICTURE_SIZE // 16
    stack = [(3, 1), (3, 1), (3, 2), (3, 1), (3, 2)] if config.is_residual else [(3, 1), (kernel, 2), (kernel, 2)]
    for own, stride in stack:
        size //= stride
        yield _conv(own, width, width, size)


def _hyper_synthesis(config: Config) -> Iterator[int]:
    width, filters, kernel, size = config.bottleneck, config.num_filters, config.aux_kernel_size, PICTURE_SIZE // 64
    wide, inputs = width * 3 // 2, width
    stack = [(width, kernel, 2), (wide, kernel, 2), (2 * width, 3, 1)]
    if config.is_residual:
        stack = [(width, 3, 1), (width, 3, 2), (wide, 3, 1), (wide, 3, 2), (2 * width, 3, 1)]
    for outputs, own, stride in stack:
        size *= stride
        yield _tconv(own, inputs, outputs, size, stride)
        inputs = outputs
    if config.has_context:  # all 25 taps: the masked ones are zeros that are multiplied
        yield _conv(5, width, 2 * width, size)
        inputs = 4 * width
    yield _conv(1, inputs, 5 * filters, size) + _conv(1, 5 * filters, 4 * filters, size)
    yield _conv(1, 4 * filters, 2 * width, size, bias=False)
