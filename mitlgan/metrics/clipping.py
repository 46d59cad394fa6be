"""Clipped pixels: patches at the dark or bright end of the range that a set of images reaches.

The source thesis names black, white and "burnt-out" patches on every image of its composition (Élő 2021). Its last ReLU cannot reach below the
middle of the range, so the dark end is the lowest value of the set of images, not 0: flat gray is as clipped there as flat black is elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mitlgan.metrics.feature_arrays import FeatureSets

if TYPE_CHECKING:
    from torch import Tensor

LEVELS = 256
TOLERANCE = 2
"""A value this close to an end, of 255, counts as clipped."""
PATCH_PX = 3
"""Side of the square whose pixels must all be clipped: a single dark or bright pixel is detail, not a fault."""


class ClippedShares(NamedTuple):
    """Shares of clipped pixels in a set of images.

    Attributes:
        dark: Share of pixels in [0, 1] that are the center of a patch whose every value is clipped at the lowest end.
        bright: The same for the highest end.
        lowest: The smallest value in the set, 0 to 255.
        highest: The largest value in the set.
    """

    dark: float
    bright: float
    lowest: int
    highest: int


class ClippingCounter:
    """Counts over a stream of images, in constant memory.

    For each pixel it counts the largest and the smallest value of the patch around it, over all channels: the ends of the range are known only after
    the last image.
    """

    def __init__(self) -> None:
        self._largest = np.zeros(LEVELS, dtype=np.int64)
        self._smallest = np.zeros(LEVELS, dtype=np.int64)
        self._lowest, self._highest = LEVELS - 1, 0

    def count_through(self, batches: Iterable[Tensor]) -> Iterator[Tensor]:
        """Count batches and yield them unchanged."""
        for batch in batches:
            self.add(batch)
            yield batch

    def add(self, images: Tensor) -> None:
        """Count images, uint8 (N, C, H, W); pixels whose patch leaves the image are not counted."""
        if not len(images) or min(images.shape[2:]) < PATCH_PX:
            return
        from scipy.ndimage import maximum_filter, minimum_filter

        values = images.cpu().numpy()
        inside = (slice(None), *[slice(PATCH_PX // 2, -(PATCH_PX // 2))] * 2)
        largest = maximum_filter(values.max(1), (1, PATCH_PX, PATCH_PX))[inside]  # (N, H - 2, W - 2)
        smallest = minimum_filter(values.min(1), (1, PATCH_PX, PATCH_PX))[inside]
        self._largest += np.bincount(largest.ravel(), minlength=LEVELS)
        self._smallest += np.bincount(smallest.ravel(), minlength=LEVELS)
        self._lowest = min(self._lowest, int(values.min()))
        self._highest = max(self._highest, int(values.max()))

    def merge(self, other: ClippingCounter) -> None:
        """Count what another counter has counted."""
        self._largest += other._largest
        self._smallest += other._smallest
        self._lowest, self._highest = min(self._lowest, other._lowest), max(self._highest, other._highest)

    def result(self) -> ClippedShares:
        """Return the shares over all counted images.

        Raises:
            ValueError: No image was counted.
        """
        total = int(self._largest.sum())
        if not total:
            raise ValueError("no image was counted")
        dark = int(self._largest[: self._lowest + TOLERANCE + 1].sum())
        bright = int(self._smallest[max(0, self._highest - TOLERANCE) :].sum())
        return ClippedShares(dark / total, bright / total, self._lowest, self._highest)


def measure_clipping(sets: FeatureSets) -> dict[str, dict[str, Any]]:
    """Return the metrics `burnt_dark` and `burnt_bright`."""
    shares = sets.clipping.result()
    return {"burnt_dark": {"value": shares.dark, "lowest": shares.lowest}, "burnt_bright": {"value": shares.bright, "highest": shares.highest}}
