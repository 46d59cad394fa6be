"""Random features that resemble those of networks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def features(count: int, dim: int, seed: int, shift: float = 0.0, decay: float = 0.0) -> NDArray[np.float32]:
    """Correlated, non-negative, unevenly scaled: like pooled network features."""
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).standard_normal((dim, dim)) / np.sqrt(dim)
    scales = np.exp(-decay * np.arange(dim) / dim)
    return np.maximum((rng.standard_normal((count, dim)) * scales) @ mixing + 0.5 + shift, 0).astype(np.float32)
