"""Joint of Cheng et al. (2019) beside Hyperprior-5, Kodak, trained for MSE: what context gives, and what it takes.

    python -m experiments.joint_cheng                  # shipped weights, every picture to bytes and back: minutes
    python -m experiments.joint_cheng --scale smoke    # seconds to a minute: trains for two steps, checks the plumbing

Expect no table yet, as no weights are here; Kodak has 24 pictures, and the paper prints no numbers of Joint.

Times are of both codecs in one run, taking turns; a running campaign pauses.
"""

from common.tables.command import Options, main
from common.tables.document import Reproduction
from papers.cheng_resnet import config

TABLE = "cheng_resnet/joint"
ROWS = {"HyperPrior-5": config.HYPERPRIOR_5, "Joint-5": config.JOINT_5}
MINUTES = 5


def reproduce(options: Options) -> Reproduction:
    """Measure both codecs on Kodak, and their times on pictures of three sizes."""
    from papers.cheng_resnet.reproduction import joint_time

    return joint_time.reproduce(options)


if __name__ == "__main__":
    main(TABLE, ROWS, reproduce)
