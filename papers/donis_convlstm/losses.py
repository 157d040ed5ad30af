"""Losses and metrics of Donis and Brown, of pictures as float tensors (B, 32, 32, 3), in [0, 1] or about so.

What the authors' program computes is not what its figures are labelled with: `ssim_squared` is the loss whose
complement Figs. 2 and 4 show as MS-SSIM, `psnr_squared` what Figs. 3 and 5 show as PSNR.
"""

import math
from typing import Any

from common.backend import batch_mean, ops
from common.metrics import ms_ssim_tensor, ssim_tensor

# Five scales need 161 pixels, so of Wang's weights the two of the scales that 32 pixels have; not normalised.
SCALE_WEIGHTS = (0.0448, 0.2856)
AS_RUN_RANGE = 2.0  # of SSIM in the authors' code, although the pictures' is 1


def ssim_squared(x: Any, x_hat: Any) -> Any:
    """Return (1 - mean SSIM with range 2)^2, a scalar: the loss of the authors' code."""
    return ops.square(1.0 - batch_mean(ssim_tensor(x, x_hat, max_val=AS_RUN_RANGE)))


def ms_ssim(x: Any, x_hat: Any, floor: float) -> Any:
    """Return 1 - mean MS-SSIM of two scales, a scalar: the loss that Section II-B names."""
    return 1.0 - ops.mean(ms_ssim_tensor(x, x_hat, max_val=1.0, floor=floor, weights=SCALE_WEIGHTS))


def mae(x: Any, x_hat: Any) -> Any:
    """Return the mean absolute error, a scalar."""
    return ops.mean(ops.abs(x - x_hat))


def psnr(x: Any, x_hat: Any) -> Any:
    """Return the PSNR of each picture in dB for range 1, (B,); 100 at most."""
    error = ops.maximum(ops.mean(ops.square(x - x_hat), axis=(1, 2, 3)), 1e-10)
    return ops.log(error) * (-10.0 / math.log(10.0))
