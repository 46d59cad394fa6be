"""One picture of any size: the part of it around the hole goes through a filler, and comes back without a seam."""

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
SEEN = 2
"""A filler sees so many times the hole's longer side, which is what it was trained on: a centred hole of half the side."""
GREY = 128


@dataclass(frozen=True)
class InpaintResult:
    """What became of a picture, (H, W, 3) each.

    Attributes:
        left: The picture, grey where the hole is.
        filled: The hole filled as the method draws it.
        blended: Likewise, and the seam evened out; outside of the hole both are exactly the picture.
    """

    left: Pixels
    filled: Pixels
    blended: Pixels


def inpaint(picture: Pixels, hole: Hole, filler: Filler) -> InpaintResult:
    """Fill a hole.

    Args:
        picture: (H, W, 3).
        hole: (H, W), True where it is; neither nowhere nor everywhere.
        filler: How. One with a size of its own sees a square around the hole, reduced to that size; what it draws is enlarged again.

    Raises:
        DataError: The hole is too large for a square of the picture that shows something else, too.
    """
    part = window(hole, filler.size_px)
    rows, columns = part
    beyond = [(seen.start, full - seen.stop) for seen, full in ((rows, hole.shape[0]), (columns, hole.shape[1]))]
    # A hole may end where the window ends and the picture goes on: the seam is there, too.
    drawn = np.pad(_drawn(picture[part], hole[part], filler), (*beyond, (0, 0)), mode="edge")
    left, filled = picture.copy(), picture.copy()
    left[hole] = GREY
    filled[hole] = np.rint(drawn[hole]).clip(0, 255).astype(np.uint8)
    return InpaintResult(left, filled, poisson_blend(picture, drawn, hole))


def window(hole: Hole, size_px: int | None) -> tuple[slice, slice]:
    """The square around a hole that a filler sees: `SEEN` times the hole's longer side and at least its own size, as far as the picture goes.

    Args:
        hole: (H, W).
        size_px: The filler's own size; None sees the whole picture.

    Returns:
        Rows and columns.

    Raises:
        DataError: No square of the picture shows the hole and something around it.
    """
    height, width = hole.shape
    if size_px is None:
        return slice(0, height), slice(0, width)
    rows, columns = (np.flatnonzero(hole.any(axis=axis)) for axis in (1, 0))
    high, wide = int(rows[-1] - rows[0]) + 1, int(columns[-1] - columns[0]) + 1
    longest, largest = max(high, wide), min(height, width)
    side = min(max(SEEN * longest, size_px), largest)
    top, left = (
        min(max(0, int(found[0] + found[-1] + 1 - side) // 2), full - side) for found, full in ((rows, height), (columns, width))
    )  # fmt: skip
    part = slice(top, top + side), slice(left, left + side)
    if longest > side or hole[part].all():
        raise DataError(f"--hole: {wide} x {high} px leave too little of a picture of {width} x {height} px; fill it in parts, or take --method opencv")
    return part


def _drawn(picture: Pixels, hole: Hole, filler: Filler) -> NDArray[np.float64]:
    """The whole window as a filler draws it, (H, W, 3), 0 to 255."""
    pictures = to_float(torch.from_numpy(picture.copy()).permute(2, 0, 1)[None])
    holes = torch.from_numpy(hole).float()[None, None]
    resizes = filler.size_px not in (None, hole.shape[0])
    found = filler.fill(*(_reduced(pictures, holes, filler.size_px or 0) if resizes else (pictures, holes)))
    if resizes:
        found = _enlarged(found, hole.shape[0])
    values: NDArray[np.float64] = found.add(1).mul(127.5)[0].permute(1, 2, 0).double().numpy()
    return values


def _reduced(pictures: Tensor, holes: Tensor, size_px: int) -> tuple[Tensor, Tensor]:
    """Picture and hole at another size; what the hole hides flows into nothing, and a pixel that is partly hole is hole."""
    known = interpolate(1 - holes, size=(size_px, size_px), mode="area")
    colours = interpolate(pictures * (1 - holes), size=(size_px, size_px), mode="area") / known.clamp_min(1e-6)
    return colours, (known < 1 - 1e-4).float()


def _enlarged(images: Tensor, side_px: int) -> Tensor:
    return interpolate(images, size=(side_px, side_px), mode="bicubic", align_corners=False, antialias=images.shape[-1] > side_px).clamp(-1, 1)
