"""Figure 4 of Paka and Khatter: the network layer by layer, from the built model, and what the text says of it."""

from collections.abc import Sequence
from typing import Any

from common.tables.document import Reproduction, claim
from papers.paka_autoencoder.complexity import LayerRow, layers
from papers.paka_autoencoder.config import Config

TOTAL = "Total"
CODE = "conv2d_3"  # the last layer of the encoder, and the sixth of the listing with its input
BITS_PER_INPUT_VALUE = 8


def figure4(config: Config) -> Reproduction:
    """Return the lines of Fig. 4, what the paper says of them, and each output's size next to the input's."""
    rows = layers(config)
    reproduction = Reproduction(claims=claims(rows))
    for row in rows:
        shape = {"Height": row.height, "Width": row.width, "Channels": row.channels}
        reproduction.values[row.name] = {**shape, "Param": row.parameters}
    reproduction.values[TOTAL] = {"Param": sum(row.parameters for row in rows)}
    macs = {row.name: row.macs for row in rows}
    reproduction.further = {
        "values": {row.name: row.values for row in rows},
        "times the input's values": {row.name: row.values / rows[0].values for row in rows},
        "multiply-accumulates": {**macs, TOTAL: sum(macs.values())},
    }
    return reproduction


def claims(rows: Sequence[LayerRow]) -> list[dict[str, Any]]:
    """Return what section 3.2 says of the encoder's output, judged by its size."""
    by_name = {row.name: row for row in rows}
    given, code = rows[0], by_name[CODE]
    smallest = min(rows[1:-1], key=lambda row: row.values)
    times = code.values / given.values
    as_floats = 32 / BITS_PER_INPUT_VALUE * times
    larger = (
        f"The code, {code.height}x{code.width}x{code.channels}, has {times:.2f} times the values of the picture, as "
        f"float32 {as_floats:.1f} times its bits. The smallest tensor between input and output, {smallest.name}, has "
        f"{smallest.values / given.values:.2f} times the values."
    )
    lower = "The encoder compresses the data into lower dimensions: values of the code"
    sixth = f"The sixth line of the listing is {rows[5].name}; the 3 channels are the input's."
    return [
        claim(lower, "below", given.values, code.values, larger),
        claim("The output of the sixth layer is of channel 3", "equals", 3, rows[5].channels, sixth),
    ]
