"""Holes: where a picture is to be filled, from the option `--hole`."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mitlgan.data.decode.image_file import UnreadableImageError, decode_bytes, read_file
from mitlgan.data.decode.mask_plane import MaskMeaning, read_mask
from mitlgan.data.random_masks import center_hole
from mitlgan.errors import DataError, UsageError

CENTER = ("center", "centre")
MIN_HOLE_BRIGHTNESS = 128
ROUNDING_PX = 1e-6
_WAY_OUT = "save it without transparency: the hole white, all else black"
_RECTANGLE = re.compile(r"-?\d+(\.\d+)?%?(,-?\d+(\.\d+)?%?)*")


def parse_hole(spec: str, height: int, width: int) -> NDArray[np.bool_]:
    """Return the hole that `--hole` names.

    Args:
        spec: `center` (half the sides); `x,y,w,h` (left, top, width and height in px, or in per cent of the picture's sides); or a mask of the
            picture's size: white inside the hole and black outside, or painted inside and transparent outside; see `read_hole`.
        height: Height of the picture (px).
        width: Width of the picture (px).

    Returns:
        (H, W), True inside the hole.

    Raises:
        UsageError: The rectangle is malformed or leaves the picture.
        DataError: The mask cannot be read, has another size, does not say which part is the hole, or marks nothing or everything.
    """
    rectangle = _RECTANGLE.fullmatch("".join(spec.split()))  # as people write it: 25%, 25%, 50%, 50%
    if spec in CENTER:
        hole = center_hole(height, width)
    elif rectangle:
        hole = _rectangle(rectangle[0], height, width)
    else:
        hole = _mask(spec, height, width)
    if not hole.any():
        raise DataError(f"--hole {spec}: marks no pixel; {'give a larger one' if rectangle else 'paint the hole white and the rest black'}")
    if hole.all():
        raise DataError(f"--hole {spec}: covers the whole picture; leave a part of it visible")
    return hole


def _rectangle(spec: str, height: int, width: int) -> NDArray[np.bool_]:
    parts = spec.split(",")
    is_number = [len(part) <= 12 and ("." not in part or part.endswith("%")) for part in parts]  # no half px, but half a per cent
    if len(parts) != 4 or not all(is_number) or min(float(part.removesuffix("%")) for part in parts[2:]) <= 0:
        raise UsageError(f"--hole {spec}: give x,y,w,h in px, such as 8,8,16,16, or in per cent, such as 25%,25%,50%,50%, or center, or a mask file")
    left, top, wide, high = (_length_px(part, side) for part, side in zip(parts, (width, height, width, height), strict=True))
    if left < 0 or top < 0 or left + wide > width + ROUNDING_PX or top + high > height + ROUNDING_PX:
        raise UsageError(f"--hole {spec}: leaves the picture, which is {width} x {height} px")
    hole = np.zeros((height, width), dtype=np.bool_)
    hole[round(top) : round(top + high), round(left) : round(left + wide)] = True  # rounded edges: two halves meet in the middle
    return hole


def _length_px(text: str, side_px: int) -> float:
    """Return a length in px, from a number of px or per cent of a side."""
    return float(text.removesuffix("%")) * side_px / 100 if text.endswith("%") else float(text)


def _mask(spec: str, height: int, width: int) -> NDArray[np.bool_]:
    path = Path(spec)
    if not path.exists():
        raise DataError(f"--hole {spec}: no such file; give a mask file, x,y,w,h or center")
    try:
        content = read_file(path)
        mask = decode_bytes(content, keep_alpha=True, ignore_profile=True)
    except UnreadableImageError as error:
        raise DataError(f"--hole {spec}: {error}") from None
    if (mask.height, mask.width) != (height, width):
        raise DataError(f"--hole {spec}: is {mask.width} x {mask.height} px, the picture {width} x {height} px; give a mask of its size")
    try:
        return read_hole(content, mask.picture, path.name)
    except UnreadableImageError as error:
        raise DataError(f"--hole {spec}: {error}") from None


def read_hole(content: bytes, mask: Image.Image, name: str) -> NDArray[np.bool_]:
    """Return the hole that a mask marks, white or painted on transparency.

    Args:
        content: Content of its file.
        mask: RGBA, decoded from it with `ignore_profile`.
        name: Of its file.

    Returns:
        (H, W), True inside the hole.

    Raises:
        UnreadableImageError: It does not say which part is the hole; see `read_mask`. The message goes on from the name of the mask.
    """
    plane, meaning = read_mask(content, mask, name, "the hole")
    if meaning is MaskMeaning.CUTOUT:
        raise UnreadableImageError(f"is a picture with transparency, not a mask; {_WAY_OUT}")
    levels = np.asarray(plane)
    hole: NDArray[np.bool_] = levels > int(levels.max()) // 2 if meaning is MaskMeaning.PAINT else levels >= MIN_HOLE_BRIGHTNESS
    return hole
