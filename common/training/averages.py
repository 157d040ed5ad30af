"""The exponential moving average of a network's weights, which a training may ship in place of its last step's."""

from collections.abc import Mapping

import numpy as np


class WeightAverage:
    """An average whose memory grows with the training: the decay of step t is min(decay, (1 + t) / (10 + t)).

    It takes in the weights at the end of each row of the log, with the decay of all steps since the last. `arrays` are
    float32 by the names of `common.training.checkpoints.model_arrays`, empty before the first update.
    """

    def __init__(self, decay: float) -> None:
        if not 0.0 < decay < 1.0:
            raise ValueError(f"an average's decay lies between 0 and 1, not at {decay}")
        self.decay, self.step = decay, 0
        self.arrays: dict[str, np.ndarray] = {}

    def update(self, arrays: Mapping[str, np.ndarray], step: int) -> None:
        """Take in the weights after so many steps."""
        kept = min(self.decay, (1 + step) / (10 + step)) ** (step - self.step) if self.arrays else 0.0
        before, self.step = self.arrays or arrays, step
        self.arrays = {name: np.float32(kept) * before[name] + np.float32(1 - kept) * arrays[name] for name in arrays}

    def restore(self, arrays: Mapping[str, np.ndarray], step: int) -> None:
        """Set the average to one that was kept after so many steps."""
        self.arrays, self.step = dict(arrays), step
