"""The kernel of bicubic interpolation."""
from __future__ import annotations

import numpy as np


def cubic(distance: np.ndarray, a: float = -0.5) -> np.ndarray:
    """Return Keys' cubic convolution kernel, float64, at some distances in samples; zero from 2 on."""
    t = np.abs(distance)
    near = (a + 2) * t**3 - (a + 3) * t**2 + 1
    far = a * (t**3 - 5 * t**2 + 8 * t - 4)
    return np.where(t <= 1, near, np.where(t < 2, far, 0.0))
