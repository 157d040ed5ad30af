"""Table 2 of Deshmukh and Pollett: pictures of 200x200 and their reconstructions by the baseline.

    python -m experiments.table2_deshmukh                  # shipped weights: half a minute
    python -m experiments.table2_deshmukh --scale smoke    # the same with a training of two steps

Expect at scale small: Lenna 31.95 dB, Peppers 29.43, Parrots 28.87; published as pictures.
"""

from common.tables.command import Options, main
from common.tables.document import Reproduction
from papers.deshmukh_irm import config

TABLE = "deshmukh_irm/table2"
# Set and stem of the picture that each row takes.
ROWS = {
    "Lenna": "set12/08",
    "Peppers": "set12/03",
    "Parrots": "set12/07",
}
# As in Table 1.
NETWORKS = {"baseline_as_written": config.BASELINE_AS_WRITTEN, "baseline_jiang": config.BASELINE_JIANG}
MINUTES = 0.4


def reproduce(options: Options) -> Reproduction:
    """Draw every picture, its code and its reconstruction."""
    from papers.deshmukh_irm.reproduction import tables as paper_tables

    return paper_tables.gallery(options, config.BASELINE_AS_WRITTEN)


if __name__ == "__main__":
    main(TABLE, ROWS, reproduce, networks=NETWORKS)
