"""The side of the square of its file that each picture of a pack was made from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FACE_CROP = "square around the largest face"
"""What the manifest of a pack of such squares names its crop."""
KEPT_PX = "kept_px"
"""Key in a picture's origin: that side in pixels of the file, where it is shorter than the shorter side of the picture, as around a face."""


def kept_size_px(origin: Mapping[str, Any], size_px: int) -> tuple[int, int]:
    """Return width and height of what a picture was made from (px); all of its file, but for a square that is smaller.

    Args:
        origin: Of the picture, as the manifest of its pack has it.
        size_px: Of the pack; a picture whose origin says nothing has this size.
    """
    side = origin.get(KEPT_PX)
    width, height = (int(side or origin.get(key) or size_px) for key in ("width", "height"))
    return width, height
