"""Numbers of the text of Cheng et al. (2019) that no table has, beside those of the settings and of the built models.

    python -m experiments.audit_cheng    # seconds: nothing is trained

Expect at scale exact: all are exact but one: the text gives the rate control's second network 8, Table 6 gives it 10.
"""

from typing import Any

from common.tables.command import Options, main
from common.tables.document import Reproduction

TABLE = "cheng_resnet/text"
ROWS: dict[str, Any] = {}
MINUTES = 0.6


def reproduce(options: Options) -> Reproduction:
    """Count and read at the paper's width and schedule, whatever the scale."""
    from papers.cheng_resnet.reproduction import text_numbers

    return Reproduction(values=text_numbers.values(), missing={text_numbers.THRESHOLD: text_numbers.A_RULE})


if __name__ == "__main__":
    main(TABLE, ROWS, reproduce, trained=False)
