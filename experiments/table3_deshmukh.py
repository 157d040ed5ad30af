"""Table 3 of Deshmukh and Pollett: PSNR and SSIM of the proposed model on colour pictures, 200x200.

    python -m experiments.table3_deshmukh                  # shipped weights, pictures coded to bytes and back: a minute
    python -m experiments.table3_deshmukh --scale smoke    # seconds: trains for two steps, checks the plumbing
    python -m experiments.table3_deshmukh --scale paper --train    # the paper's own schedule

Expect at scale medium: 32.25 dB / 0.93 on average, plain bicubic 29.61 / 0.888; published 28.45 / 0.81.

The up-sampling is bicubic interpolation, as in training; the paper's SRGAN stands beside it.
Of several trainings the first is measured, or the one that `--seeds` names.
Plain bicubic interpolation from a code of the same size is what every picture has to beat.
"""

from common.tables.command import Options, main
from common.tables.document import Reproduction
from papers.deshmukh_irm import config

TABLE = "deshmukh_irm/table3"
# Set and stem of the picture that each row takes.
ROWS = {
    "Baboon": "set14/baboon",
    "Lenna": "set14/lenna",
    "Peppers": "set14/pepper",
    "Parrots": "kodak/kodim23",
    "Average": None,
}
NETWORKS = {"rgb": config.RGB}
MINUTES = 0.5


def reproduce(options: Options) -> Reproduction:
    """Measure the codec on the named pictures."""
    from papers.deshmukh_irm.reproduction import tables as paper_tables

    return paper_tables.reproduce(options, config.RGB)


if __name__ == "__main__":
    main(TABLE, ROWS, reproduce, networks=NETWORKS)
