"""Recipes for trainings shorter than Cheng et al.'s: what each part of them gives, on held-out pictures of BSDS500.

    python -m experiments.recipes_cheng --train          # trains what is not here, two hours on one core, and measures
    python -m experiments.recipes_cheng --scale smoke    # a minute: trains for one step, checks the plumbing

The trainings are pilots, half as long as those of scale small, and not shipped: their table is what is kept of them.
Each recipe differs in one thing from another one, which the claims name. The paper's own schedule is none of them.
"""

from common.tables.command import Options, main
from common.tables.document import Reproduction
from papers.cheng_resnet import config

TABLE = "cheng_resnet/recipes"
ROWS = {
    "SubPixel, drops": config.PILOT_DROPS,
    "SubPixel, decay": config.PILOT_DECAY,
    "SubPixel, average": config.PILOT_AVERAGE,
    "SubPixel, squared error": config.PILOT_SQUARED_ERROR,
    "SubPixel, less squared error": config.PILOT_LESS_SQUARED_ERROR,
    "SubPixel, rounded": config.PILOT_ROUNDED,
    "SubPixel, colours": config.PILOT_COLOURS,
    "Hyperprior-9, drops": config.PILOT_HYPERPRIOR_9_DROPS,
    "Hyperprior-9, colours": config.PILOT_HYPERPRIOR_9_COLOURS,
}
REFERENCES = {
    "SubPixel, decay": "SubPixel, drops",
    "SubPixel, average": "SubPixel, decay",
    "SubPixel, squared error": "SubPixel, average",
    "SubPixel, less squared error": "SubPixel, squared error",
    "SubPixel, rounded": "SubPixel, squared error",
    "SubPixel, colours": "SubPixel, drops",
    "Hyperprior-9, colours": "Hyperprior-9, drops",
}
MINUTES = 6


def reproduce(options: Options) -> Reproduction:
    """Measure the networks of all recipes on the held-out pictures."""
    from papers.cheng_resnet.reproduction import recipes

    return recipes.reproduce(options, REFERENCES)


if __name__ == "__main__":
    main(TABLE, ROWS, reproduce)
