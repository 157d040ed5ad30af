"""Rate and quality on Kodak: every classical codec that is here and every shipped codec of the suite, against JPEG.

    python -m experiments.rd_kodak                       # shipped weights, pictures coded to bytes and back: minutes
    python -m experiments.rd_kodak --scale smoke         # seconds: two embedded pictures, few settings
    python -m experiments.rd_kodak --codecs WebP AVIF    # these and JPEG, apart from the complete comparison

Expect at scale suite: BD-rates of -57.9 % for AVIF, -47.2 % for JPEG2000; Cheng's SubPixel -63.0 % at equal MS-SSIM.

A plot of two panels (PSNR and MS-SSIM in dB over bits per pixel), BD values against JPEG, and times. A paper takes part
by CURVES in its config.
"""

from collections.abc import Sequence

import papers
from common.comparison import command
from common.config import PlannedCurve

TABLE = command.TABLE
MINUTES = 14


def curves() -> dict[str, Sequence[PlannedCurve]]:
    """Return what every paper takes part with, by paper."""
    return {paper: getattr(papers.config_of(paper), "CURVES", ()) for paper in papers.names()}


if __name__ == "__main__":
    command.main(curves(), papers.load)
