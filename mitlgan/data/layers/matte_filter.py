"""Whether a matte can be used, in words; what cannot is set aside and shown, never silently used."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mitlgan.data.layers.matting import border_mask, import_opencv


@dataclass(frozen=True)
class MatteFilter:
    """Limits of a usable matte, as shares of the picture unless said otherwise.

    Attributes:
        min_area: Smaller objects are too few pixels to learn from.
        max_area: Larger ones leave no background.
        max_border: Share of the picture's edge that the object may touch; one that is cut off on several sides is no whole object.
        min_largest: Share of the object that its two largest connected pieces must hold; two, since things come in pairs.
        max_undecided: Pixels between 10 and 90 % opacity, as a share of the object.
    """

    min_area: float = 0.02
    max_area: float = 0.85
    max_border: float = 0.25
    min_largest: float = 0.75
    max_undecided: float = 0.5

    def reject_reason(self, matte: NDArray[np.uint8]) -> str:
        """Why a matte (H, W) is set aside; empty when it is good."""
        inside = matte > 127
        area = float(inside.mean())
        if area < self.min_area:
            return f"empty: the object covers {area:.1%}, less than {self.min_area:.0%}"
        if area > self.max_area:
            return f"full: the object covers {area:.0%}, more than {self.max_area:.0%}"
        touched = float(inside[border_mask(inside.shape, 0.0)].mean())
        if touched > self.max_border:
            return f"cut off: the object touches {touched:.0%} of the border, more than {self.max_border:.0%}"
        largest = largest_pieces_fraction(inside)
        if largest < self.min_largest:
            return f"fragmented: the two largest pieces are {largest:.0%} of the object, less than {self.min_largest:.0%}"
        undecided = float(((matte > 25) & (matte < 230)).sum() / inside.sum())
        if undecided > self.max_undecided:
            return f"undecided: half-clear pixels come to {undecided:.0%} of the object's number, more than {self.max_undecided:.0%}"
        return ""


def largest_pieces_fraction(inside: NDArray[np.bool_]) -> float:
    """Share of an object that its two largest connected pieces hold; 0 for none."""
    cv2 = import_opencv()
    _, _, stats, _ = cv2.connectedComponentsWithStats(inside.astype(np.uint8), connectivity=8)
    areas = np.sort(stats[1:, cv2.CC_STAT_AREA])
    return float(areas[-2:].sum() / areas.sum()) if len(areas) else 0.0
