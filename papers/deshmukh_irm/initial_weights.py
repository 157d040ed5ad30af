"""Initial weights with which the networks are plain interpolation: a short training has to learn the rest alone.

The code is the picture scaled down, by averages as far as three taps reach, and the IRM adds nothing to it. All other
maps keep their Glorot start.
"""

from typing import Any

import numpy as np

from common import backend
from papers.deshmukh_irm.config import Compression

# Of typical pictures in [0, 1]: what batch normalisation takes away and has to give back.
MEAN, DEVIATION = 0.45, 0.25


def as_interpolation(config: Compression, icm: Any, irm: Any) -> None:
    """Set the weights of both networks of a config: the first maps of the ICM carry the channels, the IRM adds 0."""
    own = range(config.channels)
    for number in (1, 2, 3):
        taps = _averaging(config) if number == min(config.strided_layer, 3) and config.dilation == 1 else _centre()
        _carry(icm.get_layer(f"C{number}_conv"), np.outer(taps, taps), own, alone=number == 3)
    if config.icm_batch_norm:
        _undo(icm.get_layer("C2_norm"), own)
    last = irm.get_layer("R5_conv")
    backend.assign(last.kernel, np.zeros(tuple(last.kernel.shape), np.float32))


def _centre() -> np.ndarray:
    return np.array([0.0, 1.0, 0.0])


def _averaging(config: Compression) -> np.ndarray:
    """Return the taps of a strided layer: "same" padding puts none before an even number of rows and columns."""
    if config.stride == 1:
        return _centre()
    return np.array([1.0, 1.0, float(config.stride > 2)]) / min(config.stride, 3)


def _carry(layer: Any, kernel: np.ndarray, channels: range, alone: bool) -> None:
    """Let the first maps of a convolution be its first inputs, filtered; `alone`: no other input reaches a map."""
    weights = backend.to_numpy(layer.kernel).copy()
    weights[..., : len(channels)] = 0.0
    if alone:
        weights[...] = 0.0
    for channel in channels:
        weights[:, :, channel, channel] = kernel
    backend.assign(layer.kernel, weights)


def _undo(layer: Any, channels: range) -> None:
    """Let batch normalisation keep pictures as they are, in training on average and else exactly."""
    values = {"gamma": DEVIATION, "beta": MEAN, "moving_mean": MEAN, "moving_variance": DEVIATION**2 - layer.epsilon}
    for name, value in values.items():
        variable = getattr(layer, name)
        array = backend.to_numpy(variable).copy()
        array[list(channels)] = value
        backend.assign(variable, array)
