"""Files of every codec, written on each stack and decoded on all others with 1 and 2 threads, as a matrix.

    python -m experiments.decode_matrix                                  # in every environment that make has made here
    python -m experiments.decode_matrix --scale smoke                    # one file, written to results/smoke
    python -m experiments.decode_matrix --environments . ../other        # environments of other checkouts too

Expect at scale suite: 162 kept; 1 of 255 in 0.81 pixels of 10,000 where a picture differs at all.

No paper promises it. docs/file_format.md says what the files hold.
"""

import papers
from common.comparison import decoding_command
from common.comparison.decoding import Case

TABLE = "decode_matrix"
MINUTES = 6
CASES = (
    Case("cheng_resnet/resnet4_subpixel", "small"),
    Case("cheng_resnet/resnet4_subpixel", "small", grey=True, coding={"step": 2.5}),
    Case("deshmukh_irm/rgb", "small", grey=True),
    Case("deshmukh_irm/grey", "small", coding={"coder": 1}),
    Case("donis_convlstm/as_run", "small"),
    Case("donis_convlstm/iterative", "small", coding={"iterations": 4}),
    Case("paka_autoencoder/autoencoder", "paper", coding={"bits": 4}),
    Case("paka_autoencoder/bottleneck_lambda0_012", "small", grey=True),
    Case("zhao_mixedres/low_qf10", "small"),
)
_SUMS = "within 1 of 255 in 1 pixel of 10,000: one pass of a float network, whose sums round differently"
PROMISES = {
    "cheng_resnet": (
        "may differ: latents are floats that are rounded, now and then from the other side of a half",
        "identical: range coder, tables, means and scales are integers",
        _SUMS,
    ),
    "paka_autoencoder": ("may differ, as Cheng's", "identical: range coder and tables are integers", _SUMS),
    "deshmukh_irm": ("may differ, as Cheng's", "identical: Huffman trees count, tables are integers", _SUMS),
    "donis_convlstm": (
        "may differ, and more with every iteration: residuals of decoded floats come back into the networks",
        "identical: bits by counts of integers, or floats as they stand in the file",
        f"{_SUMS}; sums that states carry through the iterations too, so it is measured, not proved",
    ),
    "zhao_mixedres": (
        "may differ: FDNN's floats are rounded to samples, and one other sample changes the bytes of its block of JPEG",
        "identical: samples of a JPEG, WebP or JPEG2000 file, with one version of its decoder",
        _SUMS,
    ),
}

if __name__ == "__main__":
    decoding_command.main(CASES, PROMISES, papers.load)
