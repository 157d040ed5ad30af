"""Multiply-accumulates of Zhao et al.'s networks, and what a training takes.

They are counted from the settings alone, which takes no time; tests compare them with the built Keras models.
"""

from papers.zhao_mixedres.config import Config, at_scale, turns

INNER, LARGE, SMALL = 6, 81, 9  # layers between the first and the last, and the weights of the two kernels


def macs(config: Config, height: int, width: int) -> dict[str, int]:
    """Return the multiplications with weights for one picture x of height x width, by network, without biases.

    `fdnn` and `ppnn`; VCNN takes what PPNN takes. Sides are multiples of the config's stride. Counted are the paper's
    convolutions, however they are computed, and those multiplied with the zeros of a padding too.
    """
    maps, pixels = config.num_maps, height * width
    coded = pixels // config.stride**2
    # FDNN's second layer has the stride. PPNN's last, transposed layer multiplies at the size of its input.
    fdnn = LARGE * maps * pixels + (INNER * SMALL * maps**2 + LARGE * maps) * coded
    ppnn = (2 * LARGE * maps + INNER * SMALL * maps**2) * coded
    return {"fdnn": fdnn, "ppnn": ppnn}


def training_flops(config: Config, scale: str) -> float:
    """Return the floating-point operations of a config's training at a scale.

    Two operations a multiply-accumulate. The network that learns takes three passes' worth a patch, one forward and two
    backward; the one that only hands a gradient on to FDNN takes two. Left out are the passes without learning that
    make the patches of each sub-problem: with 400 pictures 0.5 % at scale paper, up to a fifth more at small.
    """
    shortened = at_scale(config, scale)
    macs_of_patch = macs(shortened, shortened.patch_size, shortened.patch_size)
    learning = {
        "ppnn": 3 * macs_of_patch["ppnn"],
        "vcnn": 3 * macs_of_patch["ppnn"],
        "fdnn": 3 * macs_of_patch["fdnn"] + 2 * macs_of_patch["ppnn"],
    }
    patches = shortened.batch_size * shortened.steps
    return 2.0 * patches * sum(count * learning[network] for network, count in turns(shortened).items())
