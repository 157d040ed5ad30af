"""Table 5 of Deshmukh and Pollett: PSNR and SSIM of the proposed model on grey pictures, 200x200.

    python -m experiments.table5_deshmukh                  # shipped weights, pictures coded to bytes and back: a minute
    python -m experiments.table5_deshmukh --scale smoke    # seconds: trains for two steps, checks the plumbing
    python -m experiments.table5_deshmukh --scale paper --train    # the paper's own schedule

Expect at scale medium: 32.90 dB / 0.95 on average, plain bicubic 30.05 / 0.931; published 28.48 / 0.86.

The up-sampling is bicubic interpolation, as in training; the paper's SRGAN stands beside it.
Of several trainings the first is measured, or the one that `--seeds` names.
Plain bicubic interpolation from a code of the same size is what every picture has to beat.
"""

from common.tables.command import Options, main
from common.tables.document import Reproduction
from papers.deshmukh_irm import config

TABLE = "deshmukh_irm/table5"
# Set and stem of the picture that each row takes.
ROWS = {
    "Cameraman": "set12/01",
    "Peppers": "set12/03",
    "Lenna": "set12/08",
    "Parrots": "set12/07",
    "House": "set12/02",
    "Average": None,
}
NETWORKS = {"grey": config.GREY}
MINUTES = 0.5


def reproduce(options: Options) -> Reproduction:
    """Measure the codec on the named pictures."""
    from papers.deshmukh_irm.reproduction import tables as paper_tables

    return paper_tables.reproduce(options, config.GREY)


if __name__ == "__main__":
    main(TABLE, ROWS, reproduce, networks=NETWORKS)
