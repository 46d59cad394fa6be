"""Finds masks in segmentation sets: `masks/NAME.png` next to `images/NAME.jpg`, or `NAME_mask.png` next to `NAME.jpg`.

Masks are no pictures to train on. They are recognised by a folder or name that says so, such as `SegmentationClass/`, `annotations/trimaps/`,
`train_masks/` or `DUTS-TR-Mask/`, and by the picture that they belong to, which has the same name in the same place once the words for masks and
pictures are left away. A class folder that happens to be called `masks` or `labels`, next to other classes, holds pictures.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from mitlgan.data.sources.split_folders import split_of_name

MASK_WORDS = frozenset(
    {
        "mask", "masks", "matte", "mattes", "alpha", "alphas", "trimap", "trimaps", "seg", "segs", "segmentation", "segmentations", "gt", "gts",
        "groundtruth", "groundtruths", "labelids", "labeltrainids", "instanceids",
    }
)  # fmt: skip
"""Words for masks in the name of a file or folder, in lower case."""
MASK_FOLDER_WORDS = MASK_WORDS | {
    "label", "labels", "annotation", "annotations", "annot", "annots", "anno", "segm", "semantic", "semantics", "panoptic", "parsing", "parsings",
    "silhouette", "silhouettes", "stuffthingmap", "stuffthingmaps",
}  # fmt: skip
"""Words for masks in the name of a folder; `shirt_label.jpg` beside `shirt.jpg` is a photograph."""
PICTURE_WORDS = frozenset(
    {
        "image", "images", "img", "imgs", "photo", "photos", "picture", "pictures", "jpegimages", "leftimg8bit", "rgb", "input", "inputs", "sat",
        "scene", "scenes",
    }
)  # fmt: skip
DETAILS = frozenset(
    {"class", "object", "instance", "fine", "coarse", "color", "colour", "aug", "raw", "full", "binary", "map", "maps", "png", "jpg", "jpeg"}
)
"""Words that say which masks or pictures they are, beside a word for them: `SegmentationClass`, `masks_png`."""
_LAST_WORDS = MASK_WORDS | DETAILS | {"truth", "ids"}
_SEPARATORS = "_. -"
_WORD_END = re.compile(rf"[{_SEPARATORS}]+|(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
Key = tuple[str, ...]


@dataclass(frozen=True)
class FolderName:
    """What the name of a folder says.

    Attributes:
        is_mask: Whether it holds masks.
        is_picture: Whether it holds pictures.
        rest: Its name without that, which is equal for the masks and the pictures of one part of a set; empty if nothing is left.
    """

    is_mask: bool
    is_picture: bool
    rest: str


def match_masks(names: Sequence[str]) -> dict[str, str]:
    """Return the masks among the names of pictures, each with the name of its picture.

    Args:
        names: Names relative to the source, with slashes.
    """
    places = {name: name.rpartition("/")[0] for name in names}
    paths = {place: tuple(place.split("/")) if place else () for place in set(places.values())}
    depth = common_depth(list(paths.values()))  # a folder around all tells nothing
    folders = {folder: read_folder(folder) for path in paths.values() for folder in path[depth:]}
    deciding = {place: innermost([folders[folder] for folder in path[depth:]]) for place, path in paths.items()}
    marked = {place for place, folder in deciding.items() if folder.is_mask}
    keys = {place: tuple(rest for folder in path[depth:] if (rest := folders[folder].rest)) for place, path in paths.items()}
    matches = _match_beside(places)
    if not marked:
        return matches
    pictures: dict[tuple[Key, str], str] = {}
    for name, place in places.items():
        if place not in marked and name not in matches:
            for stem in _picture_stems(stem_of(name)):
                pictures.setdefault((keys[place], stem), name)
    for name, place in places.items():
        if place in marked and name not in matches:
            own = ((keys[place], stem) for stem in _stems_of_picture(stem_of(name)))
            if picture := next((pictures[one] for one in own if one in pictures), ""):
                matches[name] = picture
    unmatched = [name for name, place in places.items() if place in marked and name not in matches]
    return matches | _match_numbered(unmatched, [name for name, place in places.items() if deciding[place].is_picture])


def _match_numbered(masks: Sequence[str], pictures: Sequence[str]) -> dict[str, str]:
    """Return the masks of folders of masks that belong to a picture elsewhere by a name that no other picture has.

    Such are `ISIC_0012_segmentation.png` of `ISIC_0012.jpg`, where the mask's own name says mask, too, and `00012_hair.png` of `12.jpg`.

    Args:
        masks: Names in folders of masks.
        pictures: Names in folders of pictures.
    """
    by_stem: dict[str, str] = {}
    for name in pictures if masks else ():
        stem = _without_zeros(stem_of(name))
        by_stem[stem] = "" if stem in by_stem else name
    matches: dict[str, str] = {}
    for name in masks:
        stem = stem_of(name)
        number = stem.partition("_")[0]
        start = _without_mask_words(stem) or (number if number.isdecimal() and (number != stem or number != _without_zeros(number)) else "")
        if start and (picture := by_stem.get(_without_zeros(start))):
            matches[name] = picture
    return matches


def _without_zeros(stem: str) -> str:
    """Return a name without the zeros before its number; other names as they are."""
    return stem.lstrip("0") or "0" if stem.isdecimal() else stem


def _match_beside(places: Mapping[str, str]) -> dict[str, str]:
    """Return the masks whose name, without the words for masks, is that of a picture in the same folder.

    Args:
        places: Folder of each name.
    """
    starts = {name: start for name in places if (start := _without_mask_words(stem_of(name)))}
    if not starts:
        return {}
    pictures: dict[tuple[str, str], str] = {}
    for name, place in places.items():
        for stem in () if name in starts else _picture_stems(stem_of(name)):
            pictures.setdefault((place, stem), name)
    return {name: pictures[places[name], start] for name, start in starts.items() if (places[name], start) in pictures}


def common_depth(paths: Sequence[Key]) -> int:
    """Return how many folders are around all of some files."""
    first, last = min(paths, default=()), max(paths, default=())
    return next((depth for depth, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), min(len(first), len(last)))


def innermost(folders: Sequence[FolderName]) -> FolderName:
    """Return the innermost of nested folders that tells what is in it: `segmentation/images/` holds pictures; else one that tells nothing."""
    return next((folder for folder in reversed(folders) if folder.is_mask or folder.is_picture), FolderName(False, False, ""))


def read_folder(name: str, mask_words: Collection[str] = MASK_FOLDER_WORDS) -> FolderName:
    """Read the name of a folder.

    `train_masks` belongs to `train`, but `ski_mask`, a class, does not belong to `ski`: beside other words than a split's, only `ski_images` does.

    Args:
        name: Of the folder itself.
        mask_words: Words for masks, in lower case.
    """
    folded = " ".join(word.casefold() for word in _WORD_END.split(name) if word).replace("ground truth", "groundtruth").split()
    whole = "".join(folded)
    if whole in mask_words or whole in PICTURE_WORDS:
        return FolderName(whole in mask_words, whole in PICTURE_WORDS, "")
    is_mask, is_picture = any(word in mask_words for word in folded), not PICTURE_WORDS.isdisjoint(folded)
    if not is_mask and not is_picture:
        return FolderName(False, False, name.casefold())
    others = [word for word in folded if word not in mask_words and word not in PICTURE_WORDS and word not in DETAILS]
    rest = "".join(others)
    if rest in mask_words:  # ground_truth_mask
        rest = ""
    return FolderName(is_mask, is_picture and not is_mask, rest if not rest or split_of_name(rest) else f"{rest} of images")


def _without_mask_words(stem: str) -> str:
    """Return `NAME` for `NAME_mask` or `NAME_ground_truth`; empty for any other stem."""
    if stem[max(map(stem.rfind, _SEPARATORS)) + 1 :].casefold() not in _LAST_WORDS:
        return ""  # fast, for millions of names
    return next((start for start, end in _cuts(stem) if _is_mask_end(end)), "")


def _is_mask_end(end: str) -> bool:
    words = [word.casefold() for word in re.split(f"[{_SEPARATORS}]+", end)]
    return "".join(words) in MASK_WORDS or (not MASK_WORDS.isdisjoint(words) and MASK_WORDS.union(DETAILS).issuperset(words))


def _picture_stems(stem: str) -> Iterator[str]:
    """Yield the stems by which a mask may name its picture: that of the picture, and `NAME` for `NAME_image` or `NAME_leftImg8bit`."""
    yield stem
    index = max(map(stem.rfind, _SEPARATORS))
    if index > 0 and stem[index + 1 :].casefold() in PICTURE_WORDS:
        yield stem[:index]


def _stems_of_picture(stem: str) -> Iterator[str]:
    """Yield the stems that the picture of a mask in a folder of masks may have: `a_b`, then `a`, for `a_b`, as one may have several masks."""
    yield stem
    for start, _ in reversed(list(_cuts(stem))):
        yield start


def _cuts(stem: str) -> Iterator[tuple[str, str]]:
    """Yield what is before and after each separator of a stem, from the first one on."""
    for index in range(1, len(stem) - 1):
        if stem[index] in _SEPARATORS:
            yield stem[:index], stem[index + 1 :]


def stem_of(name: str) -> str:
    """Return the name of a file without its folder and suffix."""
    base = name.rpartition("/")[2]
    return base.rpartition(".")[0] or base
