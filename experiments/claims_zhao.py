"""Sentences of Zhao et al. judged: the codec, Jiang's and JPEG, low and full resolution, and what each part is for.

    python -m experiments.claims_zhao                  # shipped weights, pictures coded to bytes and back: minutes
    python -m experiments.claims_zhao --scale smoke    # minutes: trains each network for a step, judges next to nothing
    python -m experiments.claims_zhao --seeds 0 1      # of the ablations, which have several, only these

Expect at scale small: 1.18 dB above JPEG at low rate, 1.17 at high, there 0.31 above Jiang's; 16 claims hold, 6 do not.

Two trained codecs are two points of different rate and quality: each is also used at the settings around the rate that
the other one takes, and the differences at equal rate are taken, picture by picture. Positive is what the paper says.
"""

from common.config import presets
from common.tables.command import Options, main
from common.tables.document import Reproduction
from papers.zhao_mixedres import config

TABLE = "zhao_mixedres/claims"
ROWS: dict[str, str] = {}
# The ablations: a scale with all of these is the default. Of the other networks, those that are there are used.
NETWORKS = {name: preset for name, preset in presets(config).items() if name.startswith("half")}
MINUTES = 3


def reproduce(options: Options) -> Reproduction:
    """Measure and judge on the test pictures."""
    from papers.zhao_mixedres.reproduction import claims

    return claims.reproduce(options)


if __name__ == "__main__":
    main(TABLE, ROWS, reproduce, networks=NETWORKS)
