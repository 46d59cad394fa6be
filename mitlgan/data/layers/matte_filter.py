"""Decides whether a matte is usable; a picture with an unusable matte is set aside with the reason."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mitlgan.data.layers.matting import border_mask, import_opencv


@dataclass(frozen=True)
class MatteFilter:
    """Limits of a usable matte, as shares of the picture unless said otherwise.

    Attributes:
        min_area: Minimum area of the object; smaller ones have too few pixels to learn from.
        max_area: Maximum area of the object; larger ones leave no background.
        max_border: Maximum share of the picture's edge that the object touches; one cut off on several sides is not whole.
        min_largest: Minimum share of the object in its two largest connected pieces; two, since some things come in pairs.
        max_undecided: Maximum number of pixels between 10 and 90 % opacity, as a share of the object.
    """

    min_area: float = 0.02
    max_area: float = 0.85
    max_border: float = 0.25
    min_largest: float = 0.75
    max_undecided: float = 0.5

    def reject_reason(self, matte: NDArray[np.uint8]) -> str:
        """Return why a matte (H, W) is set aside; empty if it is usable."""
        inside = matte > 127
        area = float(inside.mean())
        if area < self.min_area:
            return f"empty: the object covers {area:.1%}, less than {self.min_area:.0%}"
        if area > self.max_area:
            return f"full: the object covers {area:.0%}, more than {self.max_area:.0%}"
        border = float(inside[border_mask(inside.shape, 0.0)].mean())
        if border > self.max_border:
            return f"cut off: the object touches {border:.0%} of the border, more than {self.max_border:.0%}"
        largest = largest_pieces_fraction(inside)
        if largest < self.min_largest:
            return f"fragmented: the two largest pieces are {largest:.0%} of the object, less than {self.min_largest:.0%}"
        undecided = float(((matte > 25) & (matte < 230)).sum() / inside.sum())
        if undecided > self.max_undecided:
            return f"undecided: half-clear pixels come to {undecided:.0%} of the object's number, more than {self.max_undecided:.0%}"
        return ""


def largest_pieces_fraction(inside: NDArray[np.bool_]) -> float:
    """Return the share of an object in its two largest connected pieces; 0 if there is no object."""
    cv2 = import_opencv()
    _, _, stats, _ = cv2.connectedComponentsWithStats(inside.astype(np.uint8), connectivity=8)
    areas = np.sort(stats[1:, cv2.CC_STAT_AREA])
    return float(areas[-2:].sum() / areas.sum()) if len(areas) else 0.0
