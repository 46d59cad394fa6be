"""Finds the masks among the pictures of a source: by their names where these are enough, else by what a few of them look like.

Files that only may be masks by their names (see `mask_candidates`) are judged by role, such as all of the folder `mask`, split by split. Some of each
role are decoded, with their pictures, and some of the others whose first bytes are not as those of its masks. If all of them are masks, those of the
role are, too, as their names say so. A role of which a part may be masks stays as a whole, as it may be a class that is called so, with photographs
and drawings. Where files of such names stay, a line says so.

A role stays, too, in doubt, where one picture has so many of its masks that these may be of a cover, their names are those of several classes, or a
picture is a drawing: then they are of a class of drawings, such as letters called alpha, most of which only look less like masks than these.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from mitlgan.data.decode.image_file import ImageHeader
from mitlgan.data.sources.even_sample import evenly_spaced
from mitlgan.data.sources.leftovers import MAX_NAMES
from mitlgan.data.sources.mask_candidates import Candidate, Tie, find_candidates
from mitlgan.data.sources.mask_files import match_masks
from mitlgan.data.sources.mask_look import Look, levels_of_set
from mitlgan.data.sources.mask_set import MaskSet
from mitlgan.data.sources.mask_twins import MAX_JUDGED, MAX_LOOKED_AT, find_twins, match_twin_masks, split_of_folder
from mitlgan.data.sources.named_masks import find_photographs
from mitlgan.data.sources.twin_files import TwinFiles
from mitlgan.data.sources.unnamed_masks import find_unnamed

MAX_ROLES, MAX_LOOKED_AT_ACROSS = 32, 32
"""Roles of which files are decoded, and files of a role that is spread over many folders; of one in a single folder, `MAX_LOOKED_AT`."""
MIN_FLAT_MASKS = 0.5
"""Share of the decoded files from which on those that are grey next to pictures in colours are masks with soft edges."""
MAX_CLASS_SHARE = 0.1
"""Share of the files of a role from which on names that several folders have, none of them called as one of pictures, make it a class."""


@dataclass(frozen=True)
class MaskSearch:
    """The masks among the pictures of a source.

    Attributes:
        masks: Name of each, with that of its picture.
        doubtful: Names of those that have the name of a mask, and stay.
        twins: See `find_twins`; of all pictures.
        unnamed: Groups of those that look like masks, without such a name, and stay; see `find_unnamed`.
    """

    masks: Mapping[str, str]
    doubtful: tuple[str, ...]
    twins: Sequence[Sequence[str]]
    unnamed: Sequence[Sequence[str]] = ()

    def describe_doubtful(self) -> list[str]:
        """Return in one line each how many pictures may be masks by their names, and by their looks; none if there are none."""
        return [*self._describe_named(), *self._describe_unnamed()]

    def _describe_unnamed(self) -> list[str]:
        if not self.unnamed:
            return []
        firsts, count = [group[0] for group in self.unnamed], sum(map(len, self.unnamed))
        examples = [*firsts, *(name for group in self.unnamed for name in group[1:])]
        return [
            f"{count:,} files look like masks of other pictures, flat and in the same few levels ({_list_some(examples)}), but may be drawings: "
            "not left out; move masks among them out of the data, or name them in --exclude of data prepare or data split"
        ]

    def _describe_named(self) -> list[str]:
        if not self.doubtful:
            return []
        is_one = len(self.doubtful) == 1
        count = "1 file has the name of a mask" if is_one else f"{len(self.doubtful):,} files have the names of masks"
        own = "a picture of its own" if is_one else "pictures of their own"
        return [
            f"{count} of another picture, but may be {own} ({_list_some(self.doubtful)}): not left out; move masks among "
            "them out of the data, or name them in --exclude of data prepare or data split (files of all splits are counted, and excluded ones)"
        ]

    def describe_chosen(self) -> list[str]:
        """Return in one line how many lines of a list seem to name masks; none if there are none."""
        names = sorted([*self.masks, *self.doubtful])
        if not names:
            return []
        count = "1 line of the list seems to name a mask" if len(names) == 1 else f"{len(names):,} lines of the list seem to name masks"
        return [
            f"{count} of another picture ({_list_some(names)}): taken, as the list names them; remove such lines if they are no pictures to train on"
        ]


def _list_some(names: Sequence[str]) -> str:
    """Return the first of some names, as a line lists them."""
    return ", ".join([*names[:MAX_NAMES], *(["..."] if len(names) > MAX_NAMES else [])])


def search_masks(names: Sequence[str], read: Callable[[str], bytes], read_header: Callable[[str], ImageHeader]) -> MaskSearch:
    """Return the masks among pictures.

    Args:
        names: All pictures of the source, in the order in which they are read fastest.
        read: Returns the content of a file, or raises `UnreadableImageError`.
        read_header: Returns what its first bytes tell, or raises `UnreadableImageError`.
    """
    ordered = sorted(names)  # what is chosen, as a sample or one of several, is the same in each archive of the same files
    named = match_masks(ordered)
    doubtful = find_photographs(named, names, read, read_header)
    photographs = frozenset(doubtful)
    masks = {name: picture for name, picture in named.items() if name not in photographs}
    if candidates := find_candidates(ordered, named):
        pairs = _Pairs(candidates, names, read, read_header)
        masks |= pairs.masks
        doubtful += pairs.doubtful
    twins = find_twins(ordered)
    rest = [group for twin in twins if len(group := [name for name in twin if name not in masks]) > 1]
    masks |= match_twin_masks(rest, names, read, read_header)
    unnamed = find_unnamed([name for name in ordered if name not in masks], set(doubtful), names, read, read_header)
    return MaskSearch(masks, tuple(sorted(name for name in doubtful if name not in masks)), twins, unnamed)


@dataclass(frozen=True)
class _Verdict:
    """How many of the decoded files of a role are masks, grey with soft edges, pictures of the size of theirs, and other pictures."""

    masks: Sequence[str]
    soft: int
    equal: int
    other: int

    @property
    def is_sure(self) -> bool:
        """Whether masks are all that was seen, and enough of them have no soft edges."""
        return bool(self.masks) and not self.equal and not self.other and len(self.masks) >= MIN_FLAT_MASKS * (len(self.masks) + self.soft)

    @property
    def has_masks(self) -> bool:
        return bool(self.masks or self.soft)

    @property
    def has_pictures(self) -> bool:
        """Whether pictures are all that was seen."""
        return not self.has_masks and bool(self.equal or self.other)


class _Pairs:
    """Candidates and what their pixels tell."""

    def __init__(
        self, candidates: Mapping[str, Candidate], names: Sequence[str], read: Callable[[str], bytes], read_header: Callable[[str], ImageHeader]
    ) -> None:
        self._candidates = candidates
        groups = [[candidate.picture, name] for name, candidate in candidates.items()]
        self._files = TwinFiles(groups, names, read, read_header)
        roles: dict[tuple[str, str], list[str]] = defaultdict(list)
        for name, candidate in candidates.items():
            roles[split_of_folder(_folder(name)), candidate.role].append(name)
        self._roles = list(roles.values())

    @cached_property
    def _verdicts(self) -> list[tuple[list[str], _Verdict | None]]:
        """The names of each role, with what the decoded ones tell; None if none was decoded, as there are too many roles."""
        looked_at = [names[0] for names in evenly_spaced(self._roles, MAX_ROLES)]
        samples = {names[0]: evenly_spaced(names, _sample_size(names)) for names in self._roles if names[0] in set(looked_at)}
        self._files.decode(one for sample in samples.values() for name in sample for one in (name, self._candidates[name].picture))
        for names in self._roles:
            if (sample := samples.get(names[0])) and not any(look for name in sample if (look := self._files.looks[name]) and not look.is_blank):
                samples[names[0]] = evenly_spaced(names, MAX_JUDGED)  # most masks are of pictures without an object
                self._files.decode(one for name in samples[names[0]] for one in (name, self._candidates[name].picture))
        return [(names, self._judge(samples[names[0]]) if names[0] in samples else None) for names in self._roles]

    def _judge(self, sample: Sequence[str]) -> _Verdict:
        flat: list[str] = []
        soft = equal = other = 0
        for name in sample:
            candidate = self._candidates[name]
            look, picture = self._files.looks[name], self._files.looks[candidate.picture]
            if look is None or picture is None or look.is_blank:
                continue
            is_loose = candidate.is_contested or candidate.tie in (Tie.ALONE, Tie.FOLDER)
            if look.size != picture.size and (is_loose or not look.has_shape_of(picture)):
                other += 1
            elif look.may_be_mask and not picture.is_drawn:
                flat.append(name)
            elif look.is_soft_mask_of(picture):
                soft += 1
            else:
                equal += 1
        masks = flat if self._are_of_one_set(flat) else []
        return _Verdict(masks, soft, equal + len(flat) - len(masks), other)

    def _are_of_one_set(self, names: Sequence[str]) -> bool:
        """Whether flat files are grey, as few clip arts are, or share their colours."""
        looks: list[Look] = [look for name in names if (look := self._files.looks[name])]
        return all(look.is_grey for look in looks) or bool(levels_of_set(looks, self._files.have_numbers(names)))

    @cached_property
    def masks(self) -> dict[str, str]:
        """The masks, each with the name of its picture."""
        sure = [names for names, verdict in self._verdicts if verdict and verdict.is_sure and self._is_sound(names)]
        return {name: self._candidates[name].picture for names in sure if not self._has_others(names) for name in names}

    def _has_others(self, names: Sequence[str]) -> bool:
        """Whether a role that seems to be of masks has other files, too.

        Those are decoded whose first bytes are not as its masks', such as heavier ones, or any where these do not tell photographs, as in JPEG.
        """
        self._files.peek(names)
        headers, masks = self._files.headers, [name for name in names if self._files.looks.get(name)]
        like = MaskSet(frozenset(masks), frozenset(), [header for name in masks if (header := headers[name])], is_own=True)
        rest = [name for name in names if name not in self._files.looks and not (like.is_told_by_weight and like.is_like(headers[name]))]
        sample = evenly_spaced(rest, MAX_JUDGED)
        self._files.decode(one for name in sample for one in (name, self._candidates[name].picture))
        verdict = self._judge([*masks, *sample])
        return bool(verdict.equal or verdict.other)

    def _is_sound(self, names: Sequence[str]) -> bool:
        """Whether the files of a role may be masks: few may be of a class by their names, and no picture has more of them than there are pictures."""
        candidates = [self._candidates[name] for name in names]
        if sum(candidate.may_be_class or candidate.is_loose for candidate in candidates) > MAX_CLASS_SHARE * len(names):
            return False
        counts = Counter(candidate.picture for candidate in candidates)
        return max(counts.values()) <= len(counts)

    @cached_property
    def doubtful(self) -> list[str]:
        """Those that are taken for pictures, though more than their names speaks for masks: some of their role, or the size of a single other file."""
        left: list[str] = []
        for names, verdict in self._verdicts:
            is_class = (
                verdict is not None
                and verdict.has_pictures
                and (verdict.other > verdict.equal or self._candidates[names[0]].is_contested or self._candidates[names[0]].is_vague)
            )
            left += [name for name in names if not is_class and name not in self.masks]
        return left


def _folder(name: str) -> str:
    return name.rpartition("/")[0]


def _sample_size(names: Sequence[str]) -> int:
    """Return how many files of a role are decoded."""
    is_spread = len({_folder(name) for name in names}) > 1
    return MAX_LOOKED_AT_ACROSS if is_spread else MAX_LOOKED_AT
