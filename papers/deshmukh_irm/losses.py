"""The loss of Deshmukh and Pollett, Eq. 2: of float tensors (B, H, W, C) in about [0, 1]."""

from typing import Any

from common.backend import ops


def squared_error(x: Any, x_hat: Any) -> Any:
    """Return Eq. 2's first term, the mean of (x - x_hat)^2 over pixels: what the text calls it, not what is printed."""
    return ops.mean(ops.square(x - x_hat))


def squared_sum(x: Any, x_hat: Any) -> Any:
    """Return Eq. 2's first term as it is printed: of each picture the square of the sum of differences, their mean.

    It is zero for any x_hat with the mean of x, so that nothing could be learned from it.
    """
    return ops.mean(ops.square(ops.sum(x - x_hat, axis=(1, 2, 3))))


def penalty(u: Any, x_hat: Any, kind: str) -> Any:
    """Return Eq. 2's second term, the mean absolute difference of the up-sampled code u to I_out.

    kind: `output`, I_out is the output x_hat, as the reason given for the term has it; `literal`, the output of block 5
    alone, x_hat - u, as the text has it "before they are added together"; `none`, 0.
    """
    if kind == "none":
        return ops.zeros(())
    other = x_hat if kind == "output" else x_hat - u
    return ops.mean(ops.abs(u - other))
