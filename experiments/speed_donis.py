"""Times of Donis and Brown's networks: ConvLSTM2D against its first step, 16 copies or iterations against one.

    python -m experiments.speed_donis                  # about four minutes, nothing is trained to an end
    python -m experiments.speed_donis --scale smoke    # the same with tiny networks

Expect at scale exact: a first step 3.33 times as fast as ConvLSTM2D; 16 iterations take 15.0 times as long, not 30.

Training steps and inference with random pictures, the compared networks in turn; the paper says that 16 iterations
would take about thirty times as long as one.
"""

from typing import Any

from common.tables.command import Options, main
from common.tables.document import Reproduction

TABLE = "donis_convlstm/speed"
ROWS: dict[str, Any] = {}
MINUTES = 4


def reproduce(options: Options) -> Reproduction:
    """Time every pair of networks."""
    from papers.donis_convlstm.reproduction import speed

    return speed.reproduce(options)


if __name__ == "__main__":
    main(TABLE, ROWS, reproduce, trained=False)
