"""Tells copies of cut-outs from other objects of their outline and colour, by the pixels inside the mattes, wherever these are in their frames."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image

MEASURED_PX = 64
"""Longer side of the copy of a picture that is measured, so that a pack of it tells the same."""
MIN_OPAQUE = 250
"""Of 255: a picture that is so opaque everywhere is no cut-out."""
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
    """Return the pixels of a small copy of a cut-out, which does not depend on where its object is, or how large.

    Args:
        picture: Of any mode; RGBA or RGBa if it has transparency.

    Returns:
        `REDUCED_PX` squared, four bytes each, colours multiplied by opacity; empty if the picture is all transparent, or all but opaque.
    """
    if picture.mode not in ("RGBA", "RGBa") or np.asarray(picture.getchannel(3)).min() >= MIN_OPAQUE:
        return b""
    scale = MEASURED_PX / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    small = picture.convert("RGBa").resize(size, Image.Resampling.BOX)
    opacity = np.asarray(small.getchannel(3), dtype=np.float64)
    if not opacity.any() or opacity.min() >= MIN_OPAQUE:
        return b""
    box = [_span(opacity.sum(axis)) for axis in (0, 1)]
    blended = max(high - low for low, high in box) / REDUCED_PX  # so far beyond the box pixels count
    around = math.ceil(max(0, *(max(-low, high - side) + blended for (low, high), side in zip(box, size, strict=True))))
    framed = Image.new("RGBa", (size[0] + 2 * around, size[1] + 2 * around))
    framed.paste(small, (around, around))
    (left, right), (top, bottom) = box
    corners = (left + around, top + around, right + around, bottom + around)
    return framed.resize((REDUCED_PX, REDUCED_PX), Image.Resampling.BILINEAR, corners).tobytes()


def _span(weights: NDArray[np.float64]) -> tuple[float, float]:
    """Return where an object begins and ends (px), by the mean and spread of its opacity: a small crop or a soft edge changes these little."""
    middles = np.arange(len(weights)) + 0.5
    middle = np.average(middles, weights=weights)
    reach = REACH * math.sqrt(np.average((middles - middle) ** 2, weights=weights) + 1 / 12)  # of one pixel alone
    return float(middle - reach), float(middle + reach)


class Cutouts:
    """Cut-outs that are compared in pairs, far more of which are compared than there are cut-outs.

    A perceptual hash sees a cut-out on an empty ground: there, outline and mean colour decide, which two garments may share.

    Args:
        cutouts: By position, as `reduce_cutout` returns them; pictures that are none are absent.
    """

    def __init__(self, cutouts: Mapping[int, bytes]) -> None:
        self._positions = np.array(sorted(cutouts), dtype=np.int64)
        pixels = np.frombuffer(b"".join(cutouts[position] for position in sorted(cutouts)), np.uint8).reshape(-1, REDUCED_PX**2, 4)
        opacity = pixels[..., 3].astype(np.float32)
        colors = np.rint(pixels[..., :3] * (255 / np.maximum(opacity, 1))[..., None]).astype(np.int16).transpose(0, 2, 1).copy()
        self._opacity, self._colors = opacity, colors  # (N, pixels), (N, RGB, pixels)

    def may_be_copies(self, pairs: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return for each pair of positions (N, 2) whether one may be a copy of the other: always, unless both are cut-outs."""
        copies = np.ones(len(pairs), dtype=np.bool_)
        if not len(self._positions):
            return copies
        rows = np.searchsorted(self._positions, pairs).clip(max=len(self._positions) - 1)
        compared = np.flatnonzero((self._positions[rows] == pairs).all(1))
        for start in range(0, len(compared), _BLOCK):
            block = compared[start : start + _BLOCK]
            copies[block] = self._are_alike(*rows[block].T)
        return copies

    def _are_alike(self, first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return whether mattes and pixels of each two rows (N,) are alike."""
        opacity, colors = self._opacity, self._colors
        both, either = np.minimum(opacity[first], opacity[second]), np.maximum(opacity[first], opacity[second])
        areas = both.sum(1)
        difference = np.abs(colors[first] - colors[second]).sum(1, dtype=np.int16)  # (pairs, pixels)
        is_overlapping = areas >= MIN_OVERLAP * either.sum(1)
        alike: NDArray[np.bool_] = is_overlapping & (areas > 0) & ((difference * both).sum(1) <= 3 * MAX_COLOR_DIFFERENCE * areas)
        return alike
