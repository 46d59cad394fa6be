"""Tells copies of a cut-out from other objects of its outline and colour, by the pixels inside the mattes."""

from __future__ import annotations

import numpy as np
from PIL import Image

from mitlgan.data.curate.perceptual_hash import HASH_PX, MAX_NEAR_COLOR

MIN_OVERLAP = 0.9
"""Share of the area that either matte covers: at most 0.87 of garments that were taken for one another, at least 0.91 of resized copies."""


def reduce_cutout(picture: Image.Image) -> bytes:
    """Return the pixels of a small copy of an RGBA picture: `HASH_PX` squared, four bytes each, colours multiplied by opacity."""
    return picture.convert("RGBa").resize((HASH_PX, HASH_PX), Image.Resampling.BOX).tobytes()


def do_cutouts_agree(one: bytes, other: bytes) -> bool:
    """Return whether two cut-outs may be copies: their mattes cover the same area, and the pixels inside both are alike.

    A perceptual hash sees a cut-out on an empty ground: there, outline and mean colour decide, which two garments may share.

    Args:
        one: As `reduce_cutout` returns it.
        other: The same, of the other.
    """
    first, second = (np.frombuffer(pixels, np.uint8).reshape(-1, 4).astype(np.int16) for pixels in (one, other))  # (N, RGBA)
    inside = np.minimum(first[:, 3], second[:, 3]) > 127
    covered = int((np.maximum(first[:, 3], second[:, 3]) > 127).sum())
    if not covered:  # too thin to tell
        return True
    if inside.sum() < MIN_OVERLAP * covered:
        return False
    return float(np.abs(first[inside, :3] - second[inside, :3]).mean()) <= MAX_NEAR_COLOR
