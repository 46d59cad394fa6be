"""Composites demo scenes: an object on a background, both from the scenes' own pools, with the true matte.

Scene `index` of a split is a pure function of (split, index): a longer set begins with the shorter one.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mitlgan.data.build.resize import RESIZE_FILTERS

SCENE_COUNTS = {"train": 3000, "validation": 2000, "test": 5000}
SPLIT_SEEDS = {"train": 1001, "validation": 1002, "test": 1003}
# A pair of object i and background j belongs to the split that lists (i + j) mod 10: no pair is ever in two splits.
SPLIT_PAIRS = {"train": range(0, 3), "validation": range(3, 5), "test": range(5, 10)}
SCALE_RANGE = (0.45, 0.85)  # longest side of the object / side of the scene
MAX_OUTSIDE = 0.1  # of the object's width and height


class ScenePlan(NamedTuple):
    """The random choices for one scene.

    Attributes:
        object: Index in the pool of objects.
        background: Index in the pool of backgrounds.
        scale: Longest side of the object / side of the scene.
        shift: Horizontal and vertical, 0 to 1, see `composite`.
        mirror: Whether the object, and whether the background, is mirrored.
    """

    object: int
    background: int
    scale: float
    shift: tuple[float, float]
    mirror: tuple[bool, bool]


class SceneCompositor:
    """Composites scenes of one split.

    Args:
        split: "train", "validation" or "test".
        objects: RGBA, cut to their outlines.
        backgrounds: RGB, squares of one size, at which the scenes are composited.
    """

    def __init__(self, split: str, objects: list[Image.Image], backgrounds: list[Image.Image]) -> None:
        self.split = split
        self.objects = [picture.convert("RGBa") for picture in objects]
        self.backgrounds = backgrounds
        self._permutation = lru_cache(maxsize=2)(self._permute)

    def _permute(self, cycle: int) -> NDArray[np.int64]:
        return np.random.default_rng([SPLIT_SEEDS[self.split], cycle]).permutation(len(self.objects))

    def plan(self, index: int) -> ScenePlan:
        """Return the choices for scene `index`: every object is used once before any is used twice, all else is random."""
        cycle, position = divmod(index, len(self.objects))
        object_index = int(self._permutation(cycle)[position])
        rng = np.random.default_rng([SPLIT_SEEDS[self.split], cycle, position])
        background = int(rng.integers(len(self.backgrounds)))
        while (object_index + background) % 10 not in SPLIT_PAIRS[self.split]:
            background = int(rng.integers(len(self.backgrounds)))
        scale = float(rng.uniform(*SCALE_RANGE))
        across, down = (float(share) for share in rng.random(2))
        mirror, mirror_background = (bool(coin) for coin in rng.random(2) < 0.5)
        return ScenePlan(object_index, background, scale, (across, down), (mirror, mirror_background))

    def make(self, index: int, size_px: int, resize: str) -> tuple[NDArray[np.uint8], dict[str, int | float | bool]]:
        """Return scene `index`, (4, H, W) uint8, RGB and matte, and its record for the manifest."""
        plan = self.plan(index)
        picture, matte = composite(self.objects[plan.object], self.backgrounds[plan.background], plan.scale, plan.shift, plan.mirror)
        record = {"object": plan.object, "place": plan.background, "scale": round(plan.scale, 4)}
        return _to_size(picture, matte, size_px, resize), {**record, "mirrored": plan.mirror[0], "place_mirrored": plan.mirror[1]}


def composite(
    picture: Image.Image, background: Image.Image, scale: float, shift: tuple[float, float], mirror: tuple[bool, bool]
) -> tuple[Image.Image, Image.Image]:
    """Composite one object on one background at its size.

    Args:
        picture: RGBa, premultiplied.
        background: RGB, square.
        scale: Longest side of the object / side of the background.
        shift: Horizontal and vertical, 0 to 1, over all positions that leave at most `MAX_OUTSIDE` of the object outside.
        mirror: Whether to mirror the object, and whether to mirror the background.

    Returns:
        The scene (RGB) and its matte (L), of the background's size.
    """
    ratio = scale * background.width / max(picture.size)
    width, height = (max(1, round(side * ratio)) for side in picture.size)
    scaled = picture.resize((width, height), Image.Resampling.LANCZOS)
    if mirror[0]:
        scaled = scaled.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if mirror[1]:
        background = background.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    left, top = (_position(side, share, background.width) for side, share in zip((width, height), shift, strict=True))
    layer = Image.new("RGBa", background.size)
    layer.paste(scaled, (left, top))
    front = np.array(layer).astype(np.uint16)  # (H, W, 4)
    matte = front[..., 3:]
    # Premultiplied color + (255 - matte) * background / 255, rounded; the minimum removes the filter's overshoot above the matte.
    pixels = np.minimum(front[..., :3], matte) + ((255 - matte) * np.array(background) + 127) // 255
    return Image.fromarray(pixels.astype(np.uint8)), Image.fromarray(matte[..., 0].astype(np.uint8))


def _position(side: int, share: float, size_px: int) -> int:
    lowest, highest = -MAX_OUTSIDE * side, size_px - (1 - MAX_OUTSIDE) * side
    return round(lowest + share * (highest - lowest))


def _to_size(picture: Image.Image, matte: Image.Image, size_px: int, resize: str) -> NDArray[np.uint8]:
    if size_px != picture.width:
        picture, matte = (plane.resize((size_px, size_px), RESIZE_FILTERS[resize]) for plane in (picture, matte))
    return np.ascontiguousarray(np.dstack([np.array(picture), np.array(matte)]).transpose(2, 0, 1))
