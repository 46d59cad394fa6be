"""Random holes for training and measuring inpainting: a centered square, boxes, brush strokes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Hole = NDArray[np.bool_]
BOX_SIDES = (0.25, 0.625)  # range of a box's sides / side of the picture
STROKE_COUNTS = (1, 3)
SEGMENT_COUNTS = (2, 5)
BRUSH_WIDTHS = (1 / 16, 3 / 16)  # range / side of the picture
SEGMENT_LENGTHS = (0.15, 0.45)  # range / side of the picture


def center_hole(height: int, width: int) -> Hole:
    """Return the centered rectangle of half the sides, (H, W): a quarter of the picture, as in Pathak et al. 2016."""
    hole = np.zeros((height, width), dtype=np.bool_)
    top, left = (height - height // 2) // 2, (width - width // 2) // 2
    hole[top : top + height // 2, left : left + width // 2] = True
    return hole


def draw_holes(count: int, size_px: int, shares: Mapping[str, float], rng: np.random.Generator) -> Hole:
    """Draw random holes.

    Args:
        count: Number of holes.
        size_px: Height and width of the pictures.
        shares: Relative frequency of each of `centre`, `box` and `strokes`.
        rng: Source of every random number.

    Returns:
        (N, 1, H, W), True inside a hole.
    """
    kinds = [kind for kind, share in shares.items() if share > 0]
    weights = np.array([shares[kind] for kind in kinds])
    kind_indices = rng.choice(len(kinds), size=count, p=weights / weights.sum())
    return np.stack([_KINDS[kinds[index]](size_px, rng) for index in kind_indices])[:, None]


def _centre(size_px: int, rng: np.random.Generator) -> Hole:
    return center_hole(size_px, size_px)


def _box(size_px: int, rng: np.random.Generator) -> Hole:
    hole = np.zeros((size_px, size_px), dtype=np.bool_)
    min_px, max_px = (max(1, round(share * size_px)) for share in BOX_SIDES)
    height, width = (int(side) for side in rng.integers(min_px, max_px, size=2, endpoint=True))
    top, left = int(rng.integers(size_px - height, endpoint=True)), int(rng.integers(size_px - width, endpoint=True))
    hole[top : top + height, left : left + width] = True
    return hole


def _strokes(size_px: int, rng: np.random.Generator) -> Hole:
    """Draw strokes of a round brush with random turns (Yu et al. 2019, algorithm 1)."""
    plane = Image.new("1", (size_px, size_px))
    draw = ImageDraw.Draw(plane)
    for _ in range(int(rng.integers(*STROKE_COUNTS, endpoint=True))):
        brush = max(1, round(size_px * rng.uniform(*BRUSH_WIDTHS)))
        x, y = rng.uniform(0, size_px - 1, size=2)
        angle = rng.uniform(0, 2 * np.pi)
        for _ in range(int(rng.integers(*SEGMENT_COUNTS, endpoint=True))):
            length = size_px * rng.uniform(*SEGMENT_LENGTHS)
            end = np.clip([x + length * np.cos(angle), y + length * np.sin(angle)], 0, size_px - 1)
            draw.line([(x, y), (float(end[0]), float(end[1]))], fill=1, width=brush)
            for corner in ((x, y), end):
                draw.ellipse([corner[0] - brush / 2, corner[1] - brush / 2, corner[0] + brush / 2, corner[1] + brush / 2], fill=1)
            (x, y), angle = end, angle + rng.uniform(-np.pi / 2, np.pi / 2)
    return np.array(plane, dtype=np.bool_)


_KINDS = {"centre": _centre, "box": _box, "strokes": _strokes}
