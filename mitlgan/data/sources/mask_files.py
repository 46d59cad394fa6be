"""Masks of pictures that lie as segmentation sets have them: `masks/NAME.png` beside `images/NAME.jpg`, or `NAME_mask.png` beside `NAME.jpg`.

They are no pictures to train on. They are told by their place and by the picture of their name; a class folder that happens to be called `masks`,
beside others of its kind, is one of pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

MASK_WORDS = frozenset(
    {"mask", "masks", "matte", "mattes", "alpha", "alphas", "trimap", "trimaps", "segmentation", "segmentations", "gt", "groundtruth"}
)
PICTURE_WORDS = frozenset(
    {"image", "images", "img", "imgs", "photo", "photos", "picture", "pictures", "jpegimages", "rgb", "input", "inputs", "scene", "scenes"}
)
_SEPARATORS = "_-. "


def match_masks(names: Sequence[str]) -> dict[str, str]:
    """Of the names of pictures those that are masks of others, each with the name of its picture.

    Args:
        names: Relative to the source, with slashes.
    """
    if not any(_may_be_mask(name) for name in names):
        return {}
    pictures = [name for name in names if not _may_be_mask(name)]
    by_stem = {_stem(name): name for name in pictures}
    by_place: dict[tuple[str, ...], str] = {}
    for name in pictures:
        parts = PurePosixPath(_stem(name)).parts
        by_place.setdefault(parts, name)
        for index, part in enumerate(parts[:-1]):
            if part.lower() in PICTURE_WORDS:
                by_place.setdefault((*parts[:index], *parts[index + 1 :]), name)
    found = {name: by_stem.get(_unmarked(name)) or _of_folder(name, by_place) for name in names if _may_be_mask(name)}
    return {mask: picture for mask, picture in found.items() if picture is not None}


def _may_be_mask(name: str) -> bool:
    *folders, _ = PurePosixPath(name).parts
    return bool(_unmarked(name)) or any(part.lower() in MASK_WORDS for part in folders)


def _of_folder(name: str, by_place: dict[tuple[str, ...], str]) -> str | None:
    """The picture of the same name in the folder above, or in one of pictures beside."""
    parts = PurePosixPath(_stem(name)).parts
    places = [(*parts[:index], *parts[index + 1 :]) for index, part in enumerate(parts[:-1]) if part.lower() in MASK_WORDS]
    last = parts[-1]
    bare = [
        last,
        *(last[: -len(word) - 1] for word in MASK_WORDS if last.lower().endswith(word) and last[-len(word) - 1 : -len(word)] in tuple(_SEPARATORS)),
    ]
    return next((by_place[(*place[:-1], stem)] for place in places for stem in bare if (*place[:-1], stem) in by_place), None)


def _unmarked(name: str) -> str:
    """Of `a/NAME_mask.png` `a/NAME`; empty of any other name."""
    stem = _stem(name)
    for word in MASK_WORDS:
        if stem.lower().endswith(word) and len(stem) > len(word) + 1 and stem[-len(word) - 1] in _SEPARATORS:
            return stem[: -len(word) - 1]
    return ""


def _stem(name: str) -> str:
    return str(PurePosixPath(name).with_suffix("")) if PurePosixPath(name).suffix else name
