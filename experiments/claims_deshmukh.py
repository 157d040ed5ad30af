"""Sentences of Deshmukh and Pollett judged: baseline, skips, separable layers, loss, data, SRGAN, colours, formats.

    python -m experiments.claims_deshmukh                  # shipped weights, three trainings each: minutes
    python -m experiments.claims_deshmukh --scale smoke    # a minute: trains two networks for two steps

Expect at scale small: +0.65 dB to the baseline as written, -0.29 to Jiang's, +1.28 to bicubic; 9 claims hold, 9 do not.

Networks that differ in one thing, on Kodak scaled to 200x200. Positive is what the paper says.
"""

from common.config import presets
from common.tables.command import Options, main
from common.tables.document import Reproduction
from papers.deshmukh_irm import config

TABLE = "deshmukh_irm/claims"
ROWS: dict[str, str] = {}
# A scale with these is the default; of the other presets, those that are there are used.
NETWORKS = {"grey": config.GREY, "grey_without_skips": config.GREY_WITHOUT_SKIPS}
# What is compared beside them, for --train.
FURTHER = {
    name: preset
    for name, preset in presets(config).items()
    if (name.startswith(("grey", "baseline")) and preset not in (config.GREY_DILATION2,)) or name == "rgb"
}
MINUTES = 3


def reproduce(options: Options) -> Reproduction:
    """Measure on the test pictures, read the logs and judge."""
    from papers.deshmukh_irm.reproduction import claims

    return claims.reproduce(options)


if __name__ == "__main__":
    main(TABLE, ROWS, reproduce, networks=NETWORKS, further=FURTHER)
