"""Finds files that may be masks, as far as names tell: `mask/NAME.png` and `original/NAME.jpg`, or `7/mask.png` and `7/image.png`.

Such names may also be those of classes, of carnival masks or labels of bottles, so they decide nothing: `mask_pairs` looks at the pixels.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto

from mitlgan.data.sources.mask_files import DETAILS, MASK_FOLDER_WORDS, MASK_WORDS, PICTURE_WORDS, Key, common_depth, innermost, read_folder, stem_of
from mitlgan.data.sources.split_folders import splits_in_name

_VAGUE_WORDS = {"ann", "lbl", "lab", "parse", "ids", "manual", "anno", "stho", "ndho"} | {"maske", "masken", "masque", "masques"}
CANDIDATE_FOLDER_WORDS = MASK_FOLDER_WORDS | _VAGUE_WORDS | {"labeled", "labelled", "pha", "phas"}
"""Words for masks in the name of a folder, if pixels agree."""
_INSTANCE_WORDS = {"instance", "instances"}
"""Such words where other folders are of masks; by itself it is what DreamBooth calls a user's own pictures."""
CANDIDATE_WORDS = (
    MASK_WORDS
    | {"label", "labels", "annotation", "annotations", "annot", "pha", "segm", "semantic"}
    | {"anno", "stho", "ndho", "maske", "masken", "masque", "masques"}
)
"""Words for masks in the name of a file, if pixels agree."""
_DETAILS_OF_MASKS = DETAILS | CANDIDATE_WORDS | _INSTANCE_WORDS | {"truth", "ground", "viz", "vis", "overlay"}
_SURE_WORDS = (CANDIDATE_WORDS | CANDIDATE_FOLDER_WORDS | _INSTANCE_WORDS) - (_VAGUE_WORDS - {"anno"})
_JOINED_MARKS = ("masks", "mask", "labels", "label")
_JOINED_WORDS = (
    _DETAILS_OF_MASKS
    | MASK_FOLDER_WORDS
    | PICTURE_WORDS
    | {"bin", "train", "training", "test", "testing", "val", "valid", "validation", "cloth", "clothes", "objects", "obj", "inst", "sem"}
    | {"hair", "body", "person", "human", "fg", "bg", "foreground", "background", "id", "ids", "part", "parts", "file", "files"}
)
"""Words that are one with a word for masks, such as `masklabel` or `trainmasks`; others are words of their own, as `damask` and `labelmaker` are."""
_LIKELY_WORDS = PICTURE_WORDS | {"original", "originals", "source", "src", "frames", "fg", "fgr", "foreground", "data", "color", "im", "merged"}
"""Words for the folder of the pictures, where several have the names of the masks."""
_LIKELY_FOLDER_WORDS = (_LIKELY_WORDS - {"photo", "picture", "scene"}) | {"bilder", "fotos"}
"""Those that are less likely the name of a class, next to one of drawings."""
_WORD = re.compile(r"[^\W\d_]+|\d+")
_MARK = re.compile(rf"(?<![^\W\d_])(?:{'|'.join(sorted(CANDIDATE_WORDS, key=len, reverse=True))})(?![^\W\d_])", re.IGNORECASE)
_INSTANCE_COLORS = re.compile(r"(?<![^\W\d_])instance_(?:colou?r|id)", re.IGNORECASE)
_CHANNEL = re.compile(r"_\d{4}$|(?<=\d)_\d$")  # of nnU-Net: `BRATS_001_0000` is the first channel of `BRATS_001`; of DressCode: `000001_0`
_PICTURE_WORDS = PICTURE_WORDS | {"camera"}
_NUMBER, _FOLDER = "#", "/"
_CONTRARIES = ("no", "non", "not", "un", "without")


class Tie(Enum):
    """By what a file belongs to its picture."""

    NAME = auto()
    """Its own name, without words for masks."""
    PART = auto()
    """The beginning of its name, or a number in it, so that a picture may have several."""
    FOLDER = auto()
    """The name of its folder, which is next to it."""
    ALONE = auto()
    """There is no other picture in that place."""


_Way = tuple[Key, str, Tie]
"""The folder of a picture, without what says masks, a name or number of it, and by what a file with that way belongs to it."""


@dataclass(frozen=True)
class Candidate:
    """A file that may be a mask.

    Attributes:
        picture: The picture of which it may be the mask.
        role: What names it so, without numbers and the picture's name: `mask`, `mask_*`; those of one role are judged together.
        tie: By what it belongs to the picture.
        is_contested: Whether pictures of several folders have its name, as those of several classes do.
        may_be_class: Whether it is, and none of these folders is called as one of pictures, or of a split, is, or as its own without words for masks.
        is_vague: Whether its words for masks are joined with other ones, or of no use alone, so that photographs of such names are no surprise.
        is_loose: Whether these words may be those of a class, such as `manual`, and neither its name nor the folder of the picture tells more.
    """

    picture: str
    role: str
    tie: Tie
    is_contested: bool
    may_be_class: bool
    is_vague: bool
    is_loose: bool


@dataclass(frozen=True)
class _Place:
    """A folder: whether it is one of masks, or of a class, its path, this without the folders that say masks, or pictures, and the former."""

    is_marked: bool
    is_class: bool
    path: Key
    core: Key
    bare: Key
    mark: str


def find_candidates(names: Sequence[str], masks: Collection[str]) -> dict[str, Candidate]:
    """Return the names of pictures that may be those of masks.

    Args:
        names: Relative to the source, with slashes.
        masks: Those of them that are masks by their names, which are left away.
    """
    folders = {name: name.rpartition("/")[0] for name in names}
    places = _read_places(folders.values())
    marked = [name for name in names if name not in masks and _may_be_mask(name, places[folders[name]])]
    if not marked:
        return {}
    ways = {name: list(_ways(name, places[folders[name]])) for name in marked}
    keys = {way[:2] for own in ways.values() for way in own}
    cores = {core for core, _ in keys}
    pictures: dict[tuple[Key, str], list[str]] = defaultdict(list)
    alone: dict[Key, list[str]] = defaultdict(list)
    skipped = {*marked, *masks}
    for name in names:
        place = places[folders[name]]
        if place.is_marked or name in skipped:
            continue
        for core in cores.intersection((place.path, place.bare, *_shortened(place.path))):
            alone[core] += [name] if len(alone[core]) < 2 else []
            stems = _picture_keys(stem_of(name))
            for key in (*stems, *(_FOLDER + stem for stem in stems if core == place.path)):
                if (core, key) in keys:
                    pictures[core, key].append(name)
    hits = _unique_hits(pictures, folders)
    hits |= {(core, ""): names for core, names in alone.items() if len(names) == 1}
    matches = {name: way for name, own in ways.items() if (way := next((way for way in own if way[:2] in hits), None))}
    return _choose(matches, hits, folders, places)


def _may_be_mask(name: str, place: _Place) -> bool:
    if place.is_class:
        return False
    stem = stem_of(name)
    return place.is_marked or any(mark.search(stem) for mark in (_MARK, _INSTANCE_COLORS)) or any(map(_is_joined, _words(stem)))


def _is_joined(word: str) -> bool:
    """Whether a word, in lower case, is one for masks with another known one, such as `binmask`."""
    return any(
        (word.startswith(mark) and word[len(mark) :] in _JOINED_WORDS) or (word.endswith(mark) and word[: -len(mark)] in _JOINED_WORDS)
        for mark in _JOINED_MARKS
        if mark in word
    )


def _says_mask(word: str) -> bool:
    return word in _DETAILS_OF_MASKS or _is_joined(word)


def _unique_hits(pictures: Mapping[tuple[Key, str], Sequence[str]], folders: Mapping[str, str]) -> dict[tuple[Key, str], Sequence[str]]:
    """Return the pictures of each key, but for a number that several of one folder have, such as a date."""
    return {way: hits for way, hits in pictures.items() if not way[1].startswith(_NUMBER) or len({folders[hit] for hit in hits}) == len(hits)}


def _choose(
    matches: Mapping[str, _Way], hits: Mapping[tuple[Key, str], Sequence[str]], folders: Mapping[str, str], places: Mapping[str, _Place]
) -> dict[str, Candidate]:
    """Return the candidates with one of the pictures of their name: from the folder whose name says so, or that has most of the names."""
    uses = Counter(way[:2] for way in matches.values())  # many files may be met by one key with many pictures, so that each key is read once
    folders_of = {way: {folders[hit] for hit in hits[way]} for way in uses}
    counts = Counter[str]()
    for way, count in uses.items():
        counts.update(dict.fromkeys(folders_of[way], count))
    ranks = {folder: (not _LIKELY_WORDS.isdisjoint(_words(folder)), count) for folder, count in counts.items()}
    chosen = {way: max(hits[way], key=lambda hit: ranks[folders[hit]]) for way in uses}
    may_be_class = {way for way in uses if len(folders_of[way]) > 1 and not _has_folder_of_pictures(folders_of[way])}
    own_folders = {mark: _without_mask_words(mark) for mark in {places[folders[name]].mark for name in matches}}
    candidates = {}
    for name, (core, key, tie) in matches.items():
        way, place = (core, key), places[folders[name]]
        own = own_folders[place.mark]
        named = next((hit for hit in hits[way] if own and "_".join(_words(folders[hit].rpartition("/")[2])) == own), "")  # `cats` of `cats_mask`
        picture = named or chosen[way]
        role = _role(place.mark, stem_of(picture)) if place.is_marked else _role(stem_of(name))
        words = _words(place.mark if place.is_marked else stem_of(name))
        is_vague = _SURE_WORDS.isdisjoint(words)
        is_loose = is_vague and not named and not _VAGUE_WORDS.isdisjoint(words) and not _is_as_in_sets(name, picture, place.is_marked)
        candidates[name] = Candidate(picture, role, tie, len(folders_of[way]) > 1, way in may_be_class and not named, is_vague, is_loose)
    return candidates


def _is_as_in_sets(mask: str, picture: str, is_marked: bool) -> bool:
    """Whether a mask has the picture's name before its own words, or is in a folder of masks next to one that is called as that of pictures."""
    if not is_marked:
        return stem_of(mask).casefold().startswith(stem_of(picture).casefold())
    own = set(mask.split("/")[:-1])
    others = [part for part in picture.split("/")[:-1] if part not in own]
    return any(splits_in_name(part) or not _LIKELY_FOLDER_WORDS.isdisjoint(_words(part)) for part in others)


def _has_folder_of_pictures(folders: Collection[str]) -> bool:
    """Whether one of several folders is called as one of pictures, or of a split, is, in what these do not share."""
    paths = [tuple(folder.split("/")) for folder in folders]
    depth = common_depth(paths)
    return any(splits_in_name(part) or not _LIKELY_WORDS.isdisjoint(_words(part)) for path in paths for part in path[depth:])


def _read_places(folders: Collection[str]) -> dict[str, _Place]:
    unique = set(folders)
    paths = {folder: tuple(folder.split("/")) if folder else () for folder in unique}
    depth = common_depth(list(paths.values()))  # a folder around all tells nothing
    unique_parts = {part for path in paths.values() for part in path[depth:]}
    mask_words = CANDIDATE_FOLDER_WORDS | {word for part in unique_parts for word in _words(part) if _is_joined(word)}
    parts = {part: read_folder(part, mask_words) for part in unique_parts}
    if any(part.is_mask for part in parts.values()):
        parts |= {part: read_folder(part, mask_words | _INSTANCE_WORDS) for part, read in parts.items() if not read.is_picture}
    classes = _classes(parts)
    parts |= {part: replace(parts[part], is_mask=False) for part in classes}
    places = {}
    for folder, path in paths.items():
        inner = path[depth:]
        is_marked = innermost([parts[part] for part in inner]).is_mask
        core = tuple(part for part in inner if not (is_marked and parts[part].is_mask))
        bare = tuple(part for part in inner if not parts[part].is_picture)
        places[folder] = _Place(is_marked, not classes.isdisjoint(inner), inner, core, bare, "/".join(part for part in inner if parts[part].is_mask))
    return places


def _classes(parts: Collection[str]) -> set[str]:
    """Return the names of folders of which one has the contrary of the other: `mask` and `no_mask`."""
    texts = {part: "".join(_words(part)) for part in parts}
    negated = {no + text: text for text in texts.values() if text for no in _CONTRARIES}
    pairs = {text for other in texts.values() if other in negated for text in (other, negated[other])}
    return {part for part, text in texts.items() if text in pairs}


def _shortened(path: Key) -> Iterator[Key]:
    """Yield a path without each of its folders."""
    for index in range(len(path)):
        yield path[:index] + path[index + 1 :]


def _ways(name: str, place: _Place) -> Iterator[_Way]:
    """Yield the folders, without what says masks, and the keys by which the picture of a mask may be met, the surest first."""
    stem = stem_of(name)
    marks = [part for part in place.path if place.is_marked and part not in place.core]
    number = _longest_number(_words(stem))
    # `cat7_masks/0.png` belongs to the `cat7.jpg` next to the folder, rather than to a `0.jpg`
    yield from ((place.core, _FOLDER + key, Tie.FOLDER) for part in marks if (key := _without_mask_words(part)))
    for core in (place.core, *_shortened(place.core)):
        yield from ((core, key, tie) for key, tie in dict.fromkeys(_mask_keys(stem)))
        if number:
            yield core, _NUMBER + number, Tie.PART
    if place.is_marked or not _without_mask_words(stem):
        yield place.core, "", Tie.ALONE


def _mask_keys(stem: str) -> Iterator[tuple[str, Tie]]:
    """Yield what the picture of a mask may be called: its name; that without words for masks; the beginning before a last word."""
    bare = _without_mask_words(stem)
    yield from ((key, Tie.NAME) for key in ("_".join(_words(stem)), bare) if key)
    rest = bare.split("_")
    for end in range(len(rest) - 1, 0, -1):
        yield "_".join(rest[:end]), Tie.PART


def _picture_keys(stem: str) -> set[str]:
    words = _words(stem)
    keys = {"_".join(words), _without_words(stem, _PICTURE_WORDS), "_".join(_words(_CHANNEL.sub("", stem)))}
    return keys | ({_NUMBER + number} if (number := _longest_number(words)) else set())


def _words(text: str) -> list[str]:
    """Return the words and numbers of a name, in lower case, numbers without zeros before them."""
    return [word.lstrip("0") or "0" if word.isdecimal() else word.casefold() for word in _WORD.findall(text)]


def _without_words(text: str, words: Collection[str]) -> str:
    return "_".join(word for word in _words(text) if word not in words)


def _without_mask_words(text: str) -> str:
    return "_".join(word for word in _words(text) if not _says_mask(word))


def _longest_number(words: Sequence[str]) -> str:
    return max((word for word in words if word.isdecimal()), key=len, default="")


def role_of_name(text: str) -> str:
    """Return what in a name says mask, such as `masks_*`, without numbers and all other words."""
    return _role(text)


def _role(mark: str, stem: str | None = None) -> str:
    """Return what in a name says mask, such as `mask_*`, without numbers.

    Args:
        mark: The name of a file, or the folders of masks.
        stem: The name of the picture, the words of which are left away; by default all words that do not say mask are.
    """
    own = frozenset() if stem is None else frozenset(_words(stem))
    words = [word if _says_mask(word) or (stem is not None and word not in own and not word.isdecimal()) else "*" for word in _words(mark)]
    return "_".join(word for index, word in enumerate(words) if word != "*" or words[index - 1 : index] != ["*"])
