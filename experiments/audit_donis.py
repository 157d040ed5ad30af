"""Audit of Donis and Brown: what the figures' axes show, what crude pictures score on them, which settings runs had.

    python -m experiments.audit_donis                # half a minute: nothing is trained
    python -m experiments.audit_donis --images 200   # the same with fewer pictures

Expect at scale exact: one picture for all inputs is plotted at 0.505 with an SSIM of 0.138; 8 claims do not hold.

The measures that the figures plot, recomputed from the authors' logs and on pictures without detail or colour, next to
the measures that the labels name; the code's rate without a binarizer; batch sizes by what two metrics divide by.
"""

from typing import Any

from common.tables.command import Options, main
from common.tables.document import Reproduction

TABLE = "donis_convlstm/audit"
ROWS: dict[str, Any] = {}
MINUTES = 0.5


def reproduce(options: Options) -> Reproduction:
    """Compute everything anew on the test pictures."""
    from papers.donis_convlstm.reproduction import audit

    return audit.reproduce(options)


if __name__ == "__main__":
    main(TABLE, ROWS, reproduce, trained=False)
