"""Burnt-out pixels: patches that are clipped at an end of what the images reach, dark and bright ends apart.

The source thesis names black, white and "burnt-out" patches on every image of its composition (Élő 2021). Its last ReLU cannot reach below the
middle of the range, so the dark end is what a set of images reaches, not 0: flat grey is as burnt out there as flat black is elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

LEVELS = 256
TOLERANCE = 2
"""A value that is so near to an end, of 255, counts as clipped."""
PATCH_PX = 3
"""Side of the square whose pixels must all be clipped: a single dark or bright pixel is drawing, not a fault."""


class ClippedShares(NamedTuple):
    """Shares of burnt-out pixels in a set of images.

    Attributes:
        dark: Share of pixels that lie in the middle of a patch whose every value is clipped at the lowest end, in [0, 1].
        bright: Likewise at the highest.
        lowest: The smallest value in the set, 0 to 255.
        highest: The largest.
    """

    dark: float
    bright: float
    lowest: int
    highest: int


class ClippingCounter:
    """Counts over a stream of images, in memory that does not grow with it.

    For each pixel it counts the largest and the smallest value of the patch around it, over all channels; where the ends are is known only when the
    stream has passed.
    """

    def __init__(self) -> None:
        self._largest = torch.zeros(LEVELS, dtype=torch.int64)
        self._smallest = torch.zeros(LEVELS, dtype=torch.int64)
        self._lowest, self._highest = LEVELS - 1, 0

    def count_through(self, batches: Iterable[Tensor]) -> Iterator[Tensor]:
        """The same batches, counted on their way."""
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
        """The shares of all that was counted.

        Raises:
            ValueError: Nothing was.
        """
        total = int(self._largest.sum())
        if not total:
            raise ValueError("no image was counted")
        dark = int(self._largest[: self._lowest + TOLERANCE + 1].sum())
        bright = int(self._smallest[max(0, self._highest - TOLERANCE) :].sum())
        return ClippedShares(dark / total, bright / total, self._lowest, self._highest)
