"""Table 8 of Cheng et al. (2019): parameters and FLOPs of HyperPrior-9 layer by layer, counted from the built model.

    python -m experiments.table8_cheng    # seconds: nothing is trained

Expect at scale exact: 139 cells are exact, 1 differs: the output channels of Tconv4, 3 and printed 128, are a misprint.
"""

from typing import Any

from common.tables.command import Options, main
from common.tables.document import Reproduction
from papers.cheng_resnet import config

TABLE = "cheng_resnet/table8"
# The layers of the built model that make up a row; a total has all of them.
ROWS = {
    **{name: (name,) for name in ("conv1", "conv2", "conv3", "conv4")},
    "GDN/IGDN": ("gdn1", "gdn2", "gdn3", "igdn1", "igdn2", "igdn3"),
    **{name: (name,) for name in ("Hconv1", "Hconv2", "Hconv3")},
    "FactorizedPrior": ("factorized_prior",),
    **{name: (name,) for name in ("HTconv1", "HTconv2", "HTconv3", "layer1", "layer2", "layer3")},
    **{name: (name,) for name in ("Tconv1", "Tconv2", "Tconv3", "Tconv4")},
    "Total": (),
}
MINUTES = 0.2


def reproduce(options: Options) -> Reproduction:
    """Count the layers of HyperPrior-9 at the paper's width, whatever the scale."""
    from papers.cheng_resnet import complexity

    layers = complexity.layers(config.HYPERPRIOR_9)
    by_name = {layer.name: layer for layer in layers}
    reproduction = Reproduction()
    for row, names in options.rows.items():
        chosen = [by_name[name] for name in names] or layers
        reproduction.values[row] = {"Para": complexity.parameters(chosen), "FLOPs": complexity.flops(chosen)}
        if len(chosen) == 1 and chosen[0].kind != "prior":
            reproduction.values[row].update(_shape(chosen[0]))
    return reproduction


def _shape(layer: Any) -> dict[str, float]:
    sizes = {"Kernel h": layer.kernel[0], "Kernel w": layer.kernel[1], "Cin": layer.c_in, "Cout": layer.c_out}
    return {**sizes, "H'": layer.height, "W'": layer.width}


if __name__ == "__main__":
    main(TABLE, ROWS, reproduce, trained=False)
