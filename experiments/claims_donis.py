"""Sentences of Donis and Brown judged: batch sizes, training sets, losses, activations, colours, counts.

    python -m experiments.claims_donis                  # shipped weights and logs: minutes
    python -m experiments.claims_donis --scale smoke    # a minute: trains two networks for a step

Expect at scale small: larger batches start worse by 0.169, to end better is undecided; 11 claims hold, 12 do not.

Differences between trainings are judged against what training the same network again changes, in the authors' own logs
and in ours.
"""

from common.tables.command import Options, main
from common.tables.document import Reproduction
from papers.donis_convlstm import config

TABLE = "donis_convlstm/claims"
ROWS: dict[str, str] = {}
# A scale with these is the default; of the other presets, those that are there are used.
NETWORKS = {"as_run": config.AS_RUN, "set_50k": config.SET_50K}
MINUTES = 2


def reproduce(options: Options) -> Reproduction:
    """Measure on the test pictures, read the logs and judge."""
    from papers.donis_convlstm.reproduction import claims

    return claims.reproduce(options)


if __name__ == "__main__":
    main(TABLE, ROWS, reproduce, networks=NETWORKS)
