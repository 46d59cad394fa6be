"""Peak signal-to-noise ratio: 10 log10(1 / MSE) in dB, for mean squared errors over [0, 1]."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

MAX_DB = 120.0
"""Also that of equal images: float32 is not more exact."""


def psnr_db(error: float) -> float:
    """Return the PSNR of a mean squared error over [0, 1]; at most `MAX_DB`."""
    return -10 * math.log10(max(error, 10 ** (-MAX_DB / 10)))


def psnrs_db(errors: Tensor) -> NDArray[np.float64]:
    """Return the PSNR of each of many errors (N,)."""
    return np.array([psnr_db(error) for error in errors.tolist()])
