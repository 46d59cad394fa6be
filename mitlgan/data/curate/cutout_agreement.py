"""Tells copies of cut-outs from other objects of their outline and colour, by the pixels inside the mattes, wherever these are in their frames."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

REDUCED_PX = 12
"""Side of the small copies: finer ones tell a copy of 32 px from its original."""
REACH = 2.2
"""What is reduced reaches as many standard deviations of the opacity from its middle; those of a filled square reach 1.7."""
MIN_OVERLAP = 0.85
"""What both mattes cover, of what either does: more of nearly all copies of 32 px and above; thin lines that are cropped have less."""
MAX_COLOR_DIFFERENCE = 6.0
"""Mean difference where both are opaque (0 to 255): at most 6 of nearly all copies, at least 9.5 of garments of one outline and colour."""
_BLOCK = 512  # pairs compared at once, few enough to stay in the cache


def reduce_cutout(picture: Image.Image) -> bytes:
    """Return the pixels of a small copy of an RGBA picture, which does not depend on where its object is, or how large.

    Returns:
        `REDUCED_PX` squared, four bytes each, colours multiplied by opacity; empty if the picture is all transparent.
    """
    opacity = np.asarray(picture.getchannel("A"), dtype=np.float64)
    if not opacity.any():
        return b""
    box = [_span(opacity.sum(axis)) for axis in (0, 1)]
    around = math.ceil(max(0, *(max(-low, high - side) for (low, high), side in zip(box, picture.size, strict=True))))
    framed = Image.new("RGBa", (picture.width + 2 * around, picture.height + 2 * around))
    framed.paste(picture.convert("RGBa"), (around, around))
    (left, right), (top, bottom) = box
    corners = (left + around, top + around, right + around, bottom + around)
    return framed.resize((REDUCED_PX, REDUCED_PX), Image.Resampling.BILINEAR, corners).tobytes()


def _span(weights: NDArray[np.float64]) -> tuple[float, float]:
    """Return where an object begins and ends (px), by the mean and spread of its opacity: a small crop or a soft edge changes these little."""
    middles = np.arange(len(weights)) + 0.5
    middle = np.average(middles, weights=weights)
    reach = REACH * math.sqrt(np.average((middles - middle) ** 2, weights=weights) + 1 / 12)  # of one pixel alone
    return float(middle - reach), float(middle + reach)


def find_copies(cutouts: Mapping[int, bytes], pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the pairs that may be copies: of two cut-outs, those whose mattes and pixels are alike; all others.

    A perceptual hash sees a cut-out on an empty ground: there, outline and mean colour decide, which two garments may share.

    Args:
        cutouts: By position, as `reduce_cutout` returns them.
        pairs: Of positions.
    """
    used = np.array(sorted({position for pair in pairs for position in pair if position in cutouts}), dtype=np.int64)
    if not len(used):
        return list(pairs)
    pixels = np.frombuffer(b"".join(cutouts[int(position)] for position in used), np.uint8).reshape(-1, REDUCED_PX**2, 4)  # (N, pixels, RGBA)
    opacity = pixels[..., 3].astype(np.float32)
    colors = np.rint(pixels[..., :3] * (255 / np.maximum(opacity, 1))[..., None]).astype(np.int16).transpose(0, 2, 1).copy()  # (N, RGB, pixels)
    copies: list[tuple[int, int]] = []
    for start in range(0, len(pairs), _BLOCK):
        block = np.array(pairs[start : start + _BLOCK])
        rows = np.searchsorted(used, block).clip(max=len(used) - 1)
        is_compared = (used[rows] == block).all(1)
        first, second = rows.T
        both, either = np.minimum(opacity[first], opacity[second]), np.maximum(opacity[first], opacity[second])
        areas = both.sum(1)
        difference = np.abs(colors[first] - colors[second]).sum(1, dtype=np.int16)  # (pairs, pixels)
        is_overlapping = areas >= MIN_OVERLAP * either.sum(1)
        is_alike = is_overlapping & (areas > 0) & ((difference * both).sum(1) <= 3 * MAX_COLOR_DIFFERENCE * areas)
        copies += [pairs[start + number] for number in np.flatnonzero(is_alike | ~is_compared).tolist()]
    return copies
