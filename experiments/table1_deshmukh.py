"""Table 1 of Deshmukh and Pollett: PSNR and SSIM of the baseline on grey pictures, 200x200.

    python -m experiments.table1_deshmukh                  # shipped weights, pictures coded to bytes and back: a minute
    python -m experiments.table1_deshmukh --scale smoke    # seconds: trains for two steps, checks the plumbing
    python -m experiments.table1_deshmukh --scale paper --train    # the paper's own schedule

Expect at scale small: 30.09 dB / 0.95 on average, plain bicubic 29.22 / 0.935; published 28.00 / 0.56.

The baseline as Jiang et al. have it stands beside the one that the paper describes.
Of several trainings the first is measured, or the one that `--seeds` names.
Plain bicubic interpolation from a code of the same size is what every picture has to beat.
"""

from common.tables.command import Options, main
from common.tables.document import Reproduction
from papers.deshmukh_irm import config

TABLE = "deshmukh_irm/table1"
# Set and stem of the picture that each row takes.
ROWS = {
    "Lenna": "set12/08",
    "Peppers": "set12/03",
    "Parrots": "set12/07",
    "Average": None,
}
NETWORKS = {"baseline_as_written": config.BASELINE_AS_WRITTEN, "baseline_jiang": config.BASELINE_JIANG}
MINUTES = 0.5


def reproduce(options: Options) -> Reproduction:
    """Measure the codec on the named pictures."""
    from papers.deshmukh_irm.reproduction import tables as paper_tables

    return paper_tables.reproduce(options, config.BASELINE_AS_WRITTEN, {"as Jiang et al.": config.BASELINE_JIANG})


if __name__ == "__main__":
    main(TABLE, ROWS, reproduce, networks=NETWORKS)
