"""Finds masks in segmentation sets: `masks/NAME.png` next to `images/NAME.jpg`, or `NAME_mask.png` next to `NAME.jpg`.

Masks are no pictures to train on. They are recognised by their folder or name, and by the picture that they belong to; a class folder that
happens to be called `masks`, next to other classes, holds pictures.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

MASK_WORDS = frozenset(
    {"mask", "masks", "matte", "mattes", "alpha", "alphas", "trimap", "trimaps", "segmentation", "segmentations", "gt", "groundtruth"}
)
PICTURE_WORDS = frozenset(
    {"image", "images", "img", "imgs", "photo", "photos", "picture", "pictures", "jpegimages", "rgb", "input", "inputs", "scene", "scenes"}
)
_SEPARATORS = "_-. "
Parts = tuple[str, ...]


def match_masks(names: Sequence[str]) -> dict[str, str]:
    """Return the masks among the names of pictures, each with the name of its picture.

    Args:
        names: Names relative to the source, with slashes.
    """
    candidates = [name for name in names if _may_be_mask(name)]
    if not candidates:
        return {}
    pictures = [name for name in names if not _may_be_mask(name)]
    by_stem = {_stem(name): name for name in pictures}
    by_parts: dict[Parts, str] = {}
    for name in pictures:
        parts = PurePosixPath(_stem(name)).parts
        for key in (parts, *_without_folder(parts, PICTURE_WORDS)):
            by_parts.setdefault(key, name)
    matches = {name: by_stem.get(_without_mask_word(name)) or _match_by_folder(name, by_parts) for name in candidates}
    return {mask: picture for mask, picture in matches.items() if picture is not None}


def _may_be_mask(name: str) -> bool:
    *folders, _ = PurePosixPath(name).parts
    return bool(_without_mask_word(name)) or any(folder.lower() in MASK_WORDS for folder in folders)


def _match_by_folder(name: str, by_parts: dict[Parts, str]) -> str | None:
    """Return the picture of the same name in the folder above a mask folder, or in a folder of pictures next to it."""
    parts = PurePosixPath(_stem(name)).parts
    last = _without_mask_words(parts[-1])
    keys = ((*key[:-1], stem) for key in _without_folder(parts, MASK_WORDS) for stem in (parts[-1], *last))
    return next((by_parts[key] for key in keys if key in by_parts), None)


def _without_folder(parts: Parts, words: frozenset[str]) -> list[Parts]:
    """Return a path without each of its folders that is called by one of some words."""
    return [(*parts[:index], *parts[index + 1 :]) for index, part in enumerate(parts[:-1]) if part.lower() in words]


def _without_mask_word(name: str) -> str:
    """Return `a/NAME` for `a/NAME_mask.png`; empty for any other name."""
    return next((stem for stem in _without_mask_words(_stem(name)) if stem), "")


def _without_mask_words(stem: str) -> Iterator[str]:
    """Yield a stem without each mask word that it ends with after a separator."""
    for word in MASK_WORDS:
        if stem.lower().endswith(word) and len(stem) > len(word) and stem[-len(word) - 1] in _SEPARATORS:
            yield stem[: -len(word) - 1]


def _stem(name: str) -> str:
    return str(PurePosixPath(name).with_suffix("")) if PurePosixPath(name).suffix else name
