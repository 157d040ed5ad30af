"""Audit of Paka and Khatter: where 7.7 to 13.7 dB for JPEG, JPEG2000 and BPG can come from; two claims about losses.

    python -m experiments.audit_paka                # a minute or two: nothing is trained, Kodak is needed
    python -m experiments.audit_paka --images 8     # the same with fewer pictures

Expect at scale exact: 9 claims do not hold.

Every codec's worst quality, a flat picture, different pictures compared with each other, and fourteen other mistakes,
on Kodak, next to the printed values.
"""

from typing import Any

from common.tables.command import Options, main
from common.tables.document import Reproduction

TABLE = "paka_autoencoder/audit"
ROWS: dict[str, Any] = {}
MINUTES = 1.5


def reproduce(options: Options) -> Reproduction:
    """Compute everything anew on the test pictures."""
    from papers.paka_autoencoder.reproduction import audit

    return audit.reproduce(options)


if __name__ == "__main__":
    main(TABLE, ROWS, reproduce, trained=False)
