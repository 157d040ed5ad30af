"""Times of Deshmukh and Pollett's networks: the proposed ones against the baseline, with and without separable layers.

    python -m experiments.speed_deshmukh                  # about three minutes, nothing is trained to an end
    python -m experiments.speed_deshmukh --scale smoke    # the same with tiny networks

Expect at scale exact: training takes 0.678 of the baseline's time, decompressing 0.678; published 0.803 and 0.953.

Training steps, and pictures of 200x200 compressed to bytes and decompressed, by the compared networks in turn, with
bicubic up-sampling and with the SRGAN. Ratios are compared with the paper's; its times are of a GPU.
"""

from common.tables.command import Options, main
from common.tables.document import Reproduction

TABLE = "deshmukh_irm/speed"
# Of each ratio: what is timed, and which two of its works.
ROWS = {
    "Training, proposed / baseline": ("training", "proposed", "baseline"),
    "Training, separable layers / without": ("training", "proposed", "without separable layers"),
    "Compressing, proposed / baseline": ("compressing", "proposed", "baseline"),
    "Decompressing, SRGAN / baseline": ("decompressing", "SRGAN", "baseline"),
    "Decompressing, bicubic / baseline": ("decompressing", "proposed", "baseline"),
    "Decompressing, SRGAN / bicubic": ("decompressing", "SRGAN", "proposed"),
    "Decompressing, separable layers / without": ("decompressing", "proposed", "without separable layers"),
}
MINUTES = 3


def reproduce(options: Options) -> Reproduction:
    """Time every pair of works."""
    from papers.deshmukh_irm.reproduction import speed

    return speed.reproduce(options)


if __name__ == "__main__":
    main(TABLE, ROWS, reproduce, trained=False)
