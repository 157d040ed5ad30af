"""Figure 3 of Deshmukh and Pollett: file sizes of pictures of COCO before and after compression.

    python -m experiments.figure3_deshmukh                  # shipped weights: two minutes
    python -m experiments.figure3_deshmukh --images 16      # the first 16 pictures alone
    python -m experiments.figure3_deshmukh --scale smoke    # two pictures, and a training of two steps

Expect at scale medium: files grow to 1.216 times the JPEG's, median, 35 of 128 shrink; published as a picture.

Before is the JPEG file of the data set (--data DIR: a folder of such files), after is the picture's complete .rlic
file with the paper's dynamic Huffman coder. Other ways to store the same pictures stand beside them.
"""

from common.tables.command import Options, main
from common.tables.document import Reproduction
from papers.deshmukh_irm import config

TABLE = "deshmukh_irm/figure3"
ROWS = {"COCO": config.RGB}
MINUTES = 2


def reproduce(options: Options) -> Reproduction:
    """Code the pictures, count all files, and draw their sizes."""
    from papers.deshmukh_irm.reproduction import figure3

    return figure3.figure3(options)


if __name__ == "__main__":
    main(TABLE, ROWS, reproduce)
