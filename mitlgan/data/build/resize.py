"""Turns a decoded picture into the square pixels of a pack: crop, resize, channel order."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mitlgan.errors import UsageError

RESIZE_FILTERS = {
    "lanczos": Image.Resampling.LANCZOS,
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
    "box": Image.Resampling.BOX,
    "nearest": Image.Resampling.NEAREST,
}


def check_filter(resize: str) -> None:
    """Refuse the name of a resize filter that does not exist.

    Raises:
        UsageError: There is no such filter.
    """
    if resize not in RESIZE_FILTERS:
        raise UsageError(f"--resize {resize}: no such filter; choose {', '.join(RESIZE_FILTERS)}")


def center_square(width: int, height: int) -> tuple[int, int, int, int]:
    """Return the largest centered square of a picture: left, top, right, bottom (px)."""
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    return left, top, left + side, top + side


def crop_and_resize(picture: Image.Image, size_px: int, resize: str) -> Image.Image:
    """Cut the centered square and resize it.

    Args:
        picture: Grey, RGB or RGBA; RGBA is resized premultiplied, so that the color of transparent pixels cannot bleed into edges.
        size_px: Height and width of the result.
        resize: A key of `RESIZES`.

    Returns:
        The same mode, or RGBa (premultiplied) for RGBA.
    """
    if picture.mode == "RGBA":
        picture = picture.convert("RGBa")
    box = center_square(*picture.size)
    if picture.size == (size_px, size_px):
        return picture
    return picture.resize((size_px, size_px), RESIZE_FILTERS[resize], box=box)


def to_planes(picture: Image.Image) -> NDArray[np.uint8]:
    """Return pixels in a pack's order, (C, H, W); colors are cut to their alpha, which filters with negative lobes overshoot."""
    if picture.mode == "RGB":  # Pillow separates the bands of each row faster than numpy
        rows = np.frombuffer(picture.tobytes("raw", "RGB;L"), np.uint8).reshape(picture.height, 3, picture.width)
        return np.ascontiguousarray(rows.transpose(1, 0, 2))
    pixels = np.atleast_3d(np.array(picture))  # (H, W, C)
    if picture.mode == "RGBa":
        np.minimum(pixels[..., :3], pixels[..., 3:], out=pixels[..., :3])
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))
