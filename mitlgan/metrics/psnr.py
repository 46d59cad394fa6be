"""Peak signal-to-noise ratio, from mean squared errors over [0, 1]: 10 log10(1 / MSE), in dB."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

MAX_DB = 120.0
"""Of equal pictures, too: nothing is more exact in float32."""


def psnr_db(error: float) -> float:
    """Of a mean squared error over [0, 1]; at most `HIGHEST_DB`."""
    return -10 * math.log10(max(error, 10 ** (-MAX_DB / 10)))


def psnrs_db(errors: Tensor) -> NDArray[np.float64]:
    """Of many (N,)."""
    return np.array([psnr_db(error) for error in errors.tolist()])
