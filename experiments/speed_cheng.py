"""Times of training Cheng et al.'s networks: filter gradients as matrix products, and chunks of steps without a wait.

    python -m experiments.speed_cheng                  # about two minutes, nothing is trained to an end
    python -m experiments.speed_cheng --scale smoke    # the same with tiny networks

Expect at scale exact: matrix products train at 0.758 and 0.929 times the speed; a chunk takes 1.018 times its steps.

The paper prints no times. Compared works take turns in one run; a running campaign pauses.
"""

from typing import Any

from common.tables.command import Options, main
from common.tables.document import Reproduction

TABLE = "cheng_resnet/speed"
ROWS: dict[str, Any] = {}
MINUTES = 2


def reproduce(options: Options) -> Reproduction:
    """Time training steps and chunks."""
    from papers.cheng_resnet.reproduction import speed

    return speed.reproduce(options)


if __name__ == "__main__":
    main(TABLE, ROWS, reproduce, trained=False)
