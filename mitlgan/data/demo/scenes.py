"""Demo scenes: an object of the scenes' own pool on a place of the scenes' own pool, with its true matte.

Scene `index` of a split is a pure function of (split, index): a longer set begins with the shorter one.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mitlgan.data.build.resize import RESIZE_FILTERS
from mitlgan.data.demo.archive import ARCHIVE_PX

SCENE_COUNTS = {"train": 3000, "validation": 2000, "test": 5000}
SPLIT_SEEDS = {"train": 1001, "validation": 1002, "test": 1003}
# A pair of object i and place j belongs to the split that lists (i + j) mod 10: no pair is ever in two splits.
SPLIT_PAIRS = {"train": range(0, 3), "validation": range(3, 5), "test": range(5, 10)}
SCALE_RANGE = (0.45, 0.85)  # longest side of the object / side of the scene
OUTSIDE = 0.1  # of the object's width and height may lie outside the scene


class ScenePlan(NamedTuple):
    """What was drawn for one scene.

    Attributes:
        object: Index in the pool of objects.
        place: Index in the pool of places.
        scale: Longest side of the object / side of the scene.
        shift: Across and down, 0 to 1, see `compose`.
        mirror: Whether the object, and the place, is mirrored.
    """

    object: int
    place: int
    scale: float
    shift: tuple[float, float]
    mirror: tuple[bool, bool]


class SceneCompositor:
    """Composites scenes of one split.

    Args:
        split: "train", "validation" or "test".
        objects: RGBA, cut to their outlines.
        places: RGB, 64 px square.
    """

    def __init__(self, split: str, objects: list[Image.Image], places: list[Image.Image]) -> None:
        self.split = split
        self.objects = [picture.convert("RGBa") for picture in objects]
        self.places = places
        self._permutation = lru_cache(maxsize=2)(self._draw)

    def _draw(self, cycle: int) -> NDArray[np.int64]:
        return np.random.default_rng([SPLIT_SEEDS[self.split], cycle]).permutation(len(self.objects))

    def draw(self, index: int) -> ScenePlan:
        """What scene `index` is made of: every object comes once before any comes twice, all else is drawn at random."""
        cycle, position = divmod(index, len(self.objects))
        chosen = int(self._permutation(cycle)[position])
        rng = np.random.default_rng([SPLIT_SEEDS[self.split], cycle, position])
        place = int(rng.integers(len(self.places)))
        while (chosen + place) % 10 not in SPLIT_PAIRS[self.split]:
            place = int(rng.integers(len(self.places)))
        scale = float(rng.uniform(*SCALE_RANGE))
        across, down = (float(share) for share in rng.random(2))
        mirror, mirror_place = (bool(coin) for coin in rng.random(2) < 0.5)
        return ScenePlan(chosen, place, scale, (across, down), (mirror, mirror_place))

    def make(self, index: int, size_px: int, resize: str) -> tuple[NDArray[np.uint8], dict[str, int | float | bool]]:
        """Scene `index`: (4, H, W) uint8, RGB and matte, and what was drawn for it."""
        drawn = self.draw(index)
        picture, matte = composite(self.objects[drawn.object], self.places[drawn.place], drawn.scale, drawn.shift, drawn.mirror)
        said = {"object": drawn.object, "place": drawn.place, "scale": round(drawn.scale, 4)}
        return _to_size(picture, matte, size_px, resize), {**said, "mirrored": drawn.mirror[0], "place_mirrored": drawn.mirror[1]}


def composite(
    picture: Image.Image, place: Image.Image, scale: float, shift: tuple[float, float], mirror: tuple[bool, bool]
) -> tuple[Image.Image, Image.Image]:
    """Lay one object on one place at 64 px.

    Args:
        picture: RGBa, premultiplied.
        place: RGB, 64 px square.
        scale: Longest side of the object / 64 px.
        shift: Across and down, 0 to 1, over all positions that leave at most `OUTSIDE` of the object outside.
        mirror: Whether to mirror the object, and the place.

    Returns:
        The scene (RGB) and its matte (L), 64 px.
    """
    ratio = scale * ARCHIVE_PX / max(picture.size)
    width, height = (max(1, round(side * ratio)) for side in picture.size)
    placed = picture.resize((width, height), Image.Resampling.LANCZOS)
    if mirror[0]:
        placed = placed.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if mirror[1]:
        place = place.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    left, top = (_position(side, share) for side, share in zip((width, height), shift, strict=True))
    layer = Image.new("RGBa", place.size)
    layer.paste(placed, (left, top))
    front = np.array(layer).astype(np.uint16)  # (H, W, 4)
    matte = front[..., 3:]
    # Premultiplied colour + (255 - matte) * place / 255, rounded; the minimum undoes the filter's overshoot above the matte.
    pixels = np.minimum(front[..., :3], matte) + ((255 - matte) * np.array(place) + 127) // 255
    return Image.fromarray(pixels.astype(np.uint8)), Image.fromarray(matte[..., 0].astype(np.uint8))


def _position(side: int, share: float) -> int:
    lowest, highest = -OUTSIDE * side, ARCHIVE_PX - (1 - OUTSIDE) * side
    return round(lowest + share * (highest - lowest))


def _to_size(picture: Image.Image, matte: Image.Image, size_px: int, resize: str) -> NDArray[np.uint8]:
    if size_px != ARCHIVE_PX:
        picture, matte = (plane.resize((size_px, size_px), RESIZE_FILTERS[resize]) for plane in (picture, matte))
    return np.ascontiguousarray(np.dstack([np.array(picture), np.array(matte)]).transpose(2, 0, 1))
