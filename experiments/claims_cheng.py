"""Sentences of Cheng et al. (2019) judged: kernels, depth, shortcuts, up-sampling, the bottleneck, sizes, structures.

    python -m experiments.claims_cheng                  # reads Tables 1 to 5, measures the stack without shortcuts
    python -m experiments.claims_cheng --scale smoke    # a minute: trains two networks for two steps

Expect no table yet, as no weights are here; trained networks are compared on the 24 pictures of Kodak.

Tables 1 to 5 are judged as they were written: run their experiments first; what is not there is named with its command.
"""

from common.tables.command import Options, main
from common.tables.document import Reproduction
from papers.cheng_resnet import config

TABLE = "cheng_resnet/claims"
ROWS: dict[str, str] = {}
# What no table has, and what it is compared with. All others come with the tables.
NETWORKS = {"plain4": config.PLAIN4, "resnet4": config.RESNET4}
MINUTES = 1.5


def reproduce(options: Options) -> Reproduction:
    """Judge the written tables, the logs and the counts."""
    from papers.cheng_resnet.reproduction import claims

    return claims.reproduce(options)


if __name__ == "__main__":
    main(TABLE, ROWS, reproduce, networks=NETWORKS)
