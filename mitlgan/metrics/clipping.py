"""Clipped pixels: patches at the dark or bright end of the range that a set of images reaches.

The source thesis names black, white and "burnt-out" patches on every image of its composition (Élő 2021). Its last ReLU cannot reach below the
middle of the range, so the dark end is the lowest value of the set of images, not 0: flat gray is as clipped there as flat black is elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from mitlgan.metrics.feature_arrays import FeatureSets

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
        self._largest = torch.zeros(LEVELS, dtype=torch.int64)
        self._smallest = torch.zeros(LEVELS, dtype=torch.int64)
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
        values = images.cpu().float()
        largest = functional.max_pool2d(values.amax(1, keepdim=True), PATCH_PX, 1)  # (N, 1, H - 2, W - 2)
        smallest = -functional.max_pool2d(-values.amin(1, keepdim=True), PATCH_PX, 1)
        self._largest += torch.bincount(largest.long().flatten(), minlength=LEVELS)
        self._smallest += torch.bincount(smallest.long().flatten(), minlength=LEVELS)
        self._lowest = min(self._lowest, int(values.min()))
        self._highest = max(self._highest, int(values.max()))

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
