"""Table 6 of Deshmukh and Pollett: pictures of 200x200 and their reconstructions by the proposed model, grey.

    python -m experiments.table6_deshmukh                  # shipped weights: half a minute
    python -m experiments.table6_deshmukh --scale smoke    # the same with a training of two steps

Expect at scale medium: Peppers 32.00 dB, Parrots 30.82, Lenna 33.50; published as pictures.
"""

from common.tables.command import Options, main
from common.tables.document import Reproduction
from papers.deshmukh_irm import config

TABLE = "deshmukh_irm/table6"
# Set and stem of the picture that each row takes.
ROWS = {
    "Peppers": "set12/03",
    "Parrots": "set12/07",
    "Lenna": "set12/08",
}
NETWORKS = {"grey": config.GREY}
MINUTES = 0.4


def reproduce(options: Options) -> Reproduction:
    """Draw every picture, its code and its reconstruction."""
    from papers.deshmukh_irm.reproduction import tables as paper_tables

    return paper_tables.gallery(options, config.GREY)


if __name__ == "__main__":
    main(TABLE, ROWS, reproduce, networks=NETWORKS)
