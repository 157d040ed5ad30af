"""Steps of quantisation: any rate from one network whose latents have a Gaussian model.

A latent y with mean mu and scale sigma is coded as q = round((y - mu) / delta) and decoded as q * delta + mu, where
delta = r^k and r is the ratio of neighbouring scales of the coder's tables. The scale of q is sigma / delta, which is k
tables lower: an index that is shifted in integers, so a file decodes to the same numbers everywhere. k is a multiple of
1/16, for fine control of the rate; a step is the whole number 16 k, of either sign, and 0 is delta = 1.
"""

import math

import numpy as np

from common.coding.range_coder import LOG_SCALE_STEP
from common.config import Setting

STEPS_PER_SCALE = 16
SETTING = Setting(
    0, -24, 40, "quantiser's step, as a power of 1.131: coarser above 0, finer below", parts=STEPS_PER_SCALE
)


def delta(step: int) -> float:
    """Return the width of a quantiser's intervals, where whole numbers have 1."""
    return math.exp(step * LOG_SCALE_STEP / STEPS_PER_SCALE)


def quantised(values: np.ndarray, step: int) -> np.ndarray:
    """Return int32 symbols of float values, the latents without their means."""
    return np.rint(values / np.float32(delta(step))).astype(np.int32)


def restored(symbols: np.ndarray, step: int) -> np.ndarray:
    """Return the float32 values that stand for the symbols."""
    return symbols.astype(np.float32) * np.float32(delta(step))
