"""Audit of Deshmukh and Pollett: the printed numbers next to plain interpolation, to each other and to the networks.

    python -m experiments.audit_deshmukh                # half a minute: nothing is trained; Kodak, Set12 and Set14
    python -m experiments.audit_deshmukh --images 4     # the same with fewer pictures of Kodak

Expect at scale exact: plain bicubic on Kodak has the abstract's 28.48 dB and 0.86; 5 claims hold, 24 do not.

Bicubic interpolation on Kodak and on the named pictures, what SSIM pictures of the printed PSNR have, the filter of the
re-scaling, averages, Eq. 1 and 2 as printed, parameters and operations, and what a code takes beside JPEG.
"""

from typing import Any

from common.tables.command import Options, main
from common.tables.document import Reproduction

TABLE = "deshmukh_irm/audit"
ROWS: dict[str, Any] = {}
MINUTES = 0.5


def reproduce(options: Options) -> Reproduction:
    """Compute everything anew on the test pictures."""
    from papers.deshmukh_irm.reproduction import audit

    return audit.reproduce(options)


if __name__ == "__main__":
    main(TABLE, ROWS, reproduce, trained=False)
