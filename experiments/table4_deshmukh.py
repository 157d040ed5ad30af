"""Table 4 of Deshmukh and Pollett: pictures of 200x200 and their reconstructions by the proposed model, in colour.

    python -m experiments.table4_deshmukh                  # shipped weights: half a minute
    python -m experiments.table4_deshmukh --scale smoke    # the same with a training of two steps

Expect at scale medium: Peppers 32.82 dB, Parrots 34.08, Lenna 34.50; published as pictures.
"""

from common.tables.command import Options, main
from common.tables.document import Reproduction
from papers.deshmukh_irm import config

TABLE = "deshmukh_irm/table4"
# Set and stem of the picture that each row takes.
ROWS = {
    "Peppers": "set14/pepper",
    "Parrots": "kodak/kodim23",
    "Lenna": "set14/lenna",
}
NETWORKS = {"rgb": config.RGB}
MINUTES = 0.4


def reproduce(options: Options) -> Reproduction:
    """Draw every picture, its code and its reconstruction."""
    from papers.deshmukh_irm.reproduction import tables as paper_tables

    return paper_tables.gallery(options, config.RGB)


if __name__ == "__main__":
    main(TABLE, ROWS, reproduce, networks=NETWORKS)
