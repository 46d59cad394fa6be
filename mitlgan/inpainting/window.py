"""Inpainting a picture of any size: a window around the hole goes through a filler and is blended back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from mitlgan.errors import DataError
from mitlgan.images.pixels import to_float
from mitlgan.inpainting.fillers import Filler
from mitlgan.inpainting.poisson import poisson_blend

Pixels = NDArray[np.uint8]
Hole = NDArray[np.bool_]
WINDOW_FACTOR = 2
"""Side of the window over the hole's longer side: fillers are trained on centered holes of half the side."""
GRAY = 128


@dataclass(frozen=True)
class InpaintResult:
    """Results of inpainting, (H, W, 3) each.

    Attributes:
        masked: The picture, gray inside the hole.
        filled: The hole filled as the method fills it.
        blended: The same with the seam blended; outside the hole both equal the picture.
    """

    masked: Pixels
    filled: Pixels
    blended: Pixels


def inpaint(picture: Pixels, hole: Hole, filler: Filler) -> InpaintResult:
    """Fill a hole.

    Args:
        picture: (H, W, 3).
        hole: (H, W), True inside; not empty and not everything.
        filler: The method. If it has a size of its own, it gets a square around the hole at that size, and its result is enlarged again.

    Raises:
        DataError: No square of the picture contains the hole and some of its surroundings.
    """
    area = window(hole, filler.size_px)
    rows, columns = area
    beyond = [(side.start, length - side.stop) for side, length in ((rows, hole.shape[0]), (columns, hole.shape[1]))]
    # A hole may end at the border of the window while the picture continues: there is a seam there as well.
    fill = np.pad(_run_filler(picture[area], hole[area], filler), (*beyond, (0, 0)), mode="edge")
    masked, filled = picture.copy(), picture.copy()
    masked[hole] = GRAY
    filled[hole] = np.rint(fill[hole]).clip(0, 255).astype(np.uint8)
    return InpaintResult(masked, filled, poisson_blend(picture, fill, hole))


def window(hole: Hole, size_px: int | None) -> tuple[slice, slice]:
    """Return the square around a hole for a filler: `WINDOW_FACTOR` times the hole's longer side and at least its own size, within the picture.

    Args:
        hole: (H, W).
        size_px: The filler's own size; None gets the whole picture.

    Returns:
        Slices of rows and columns.

    Raises:
        DataError: No square of the picture contains the hole and some of its surroundings.
    """
    height, width = hole.shape
    if size_px is None:
        return slice(0, height), slice(0, width)
    rows, columns = (np.flatnonzero(hole.any(axis=axis)) for axis in (1, 0))
    high, wide = int(rows[-1] - rows[0]) + 1, int(columns[-1] - columns[0]) + 1
    longest, largest = max(high, wide), min(height, width)
    side = min(max(WINDOW_FACTOR * longest, size_px), largest)
    top, left = (
        min(max(0, int(indices[0] + indices[-1] + 1 - side) // 2), length - side) for indices, length in ((rows, height), (columns, width))
    )  # fmt: skip
    area = slice(top, top + side), slice(left, left + side)
    if longest > side or hole[area].all():
        raise DataError(f"--hole: {wide} x {high} px leave too little of a picture of {width} x {height} px; fill it in parts, or use --method opencv")
    return area


def _run_filler(picture: Pixels, hole: Hole, filler: Filler) -> NDArray[np.float64]:
    """Run a filler on the window; returns the whole window, (H, W, 3), 0 to 255."""
    pictures = to_float(torch.from_numpy(picture.copy()).permute(2, 0, 1)[None])
    holes = torch.from_numpy(hole).float()[None, None]
    resizes = filler.size_px not in (None, hole.shape[0])
    images = filler.fill(*(_resize_inputs(pictures, holes, filler.size_px or 0) if resizes else (pictures, holes)))
    if resizes:
        images = _enlarge(images, hole.shape[0])
    values: NDArray[np.float64] = images.add(1).mul(127.5)[0].permute(1, 2, 0).double().numpy()
    return values


def _resize_inputs(pictures: Tensor, holes: Tensor, size_px: int) -> tuple[Tensor, Tensor]:
    """Resize picture and hole; hidden pixels do not contribute, and a pixel that is partly hole counts as hole."""
    visible = interpolate(1 - holes, size=(size_px, size_px), mode="area")
    colors = interpolate(pictures * (1 - holes), size=(size_px, size_px), mode="area") / visible.clamp_min(1e-6)
    return colors, (visible < 1 - 1e-4).float()


def _enlarge(images: Tensor, side_px: int) -> Tensor:
    return interpolate(images, size=(side_px, side_px), mode="bicubic", align_corners=False, antialias=images.shape[-1] > side_px).clamp(-1, 1)
