"""From a decoded picture to the square pixels of a pack: crop, resize, channel order."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

RESIZE_FILTERS = {
    "lanczos": Image.Resampling.LANCZOS,
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
    "box": Image.Resampling.BOX,
    "nearest": Image.Resampling.NEAREST,
}


def center_square(width: int, height: int) -> tuple[int, int, int, int]:
    """The largest centred square of a picture: left, top, right, bottom (px)."""
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    return left, top, left + side, top + side


def crop_and_resize(picture: Image.Image, size_px: int, resize: str) -> Image.Image:
    """Cut the centred square and resize it.

    Args:
        picture: RGB or RGBA; RGBA is resized premultiplied, so that the colour of transparent pixels cannot bleed into edges.
        size_px: Height and width of the result.
        resize: A key of `RESIZES`.

    Returns:
        RGB, or RGBa (premultiplied) for RGBA.
    """
    if picture.mode == "RGBA":
        picture = picture.convert("RGBa")
    box = center_square(*picture.size)
    if picture.size == (size_px, size_px):
        return picture
    return picture.resize((size_px, size_px), RESIZE_FILTERS[resize], box=box)


def to_planes(picture: Image.Image) -> NDArray[np.uint8]:
    """Pixels in a pack's order, (C, H, W); colours never above their alpha (filters with negative lobes overshoot)."""
    if picture.mode == "RGB":  # band after band in each row, as a library's loop has it, is half the way
        rows = np.frombuffer(picture.tobytes("raw", "RGB;L"), np.uint8).reshape(picture.height, 3, picture.width)
        return np.ascontiguousarray(rows.transpose(1, 0, 2))
    pixels = np.array(picture)  # (H, W, C)
    if picture.mode == "RGBa":
        np.minimum(pixels[..., :3], pixels[..., 3:], out=pixels[..., :3])
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))
