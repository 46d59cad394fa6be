"""Equal files and look-alikes within and across sets, counted for each two sets whatever their order."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from mitlgan.data.curate.perceptual_hash import PictureHash, find_near_pictures, group_equal_files

File = tuple[str, str]
"""The set and the name of a picture."""


@dataclass(frozen=True)
class DuplicatePair:
    """Two pictures that are equal (`exact`) or look alike, in one set or in two."""

    first_set: str
    first: str
    second_set: str
    second: str
    exact: bool


@dataclass(frozen=True)
class Duplicates:
    """The duplicates in some sets.

    Attributes:
        groups: Groups of equal files, each in the order of the sets. Thousands of equal files would be millions of pairs.
        look_alikes: Pairs of pictures that look alike and are not equal.
    """

    groups: list[list[File]]
    look_alikes: list[DuplicatePair]

    def pairs(self) -> Iterator[DuplicatePair]:
        """Yield the pairs, equal ones first, those of small groups before those of large ones; see `count_by_sets` for which they are."""
        for group in sorted(self.groups, key=len):
            parts = _divide(group)
            for part in parts.values():
                yield from (DuplicatePair(*part[0], *other, exact=True) for other in part[1:])
            for one, other in itertools.combinations(parts.values(), 2):
                yield from (DuplicatePair(*first, *second, exact=True) for first, second in itertools.product(one, other))
        yield from self.look_alikes

    def count_by_sets(self, origin_of: Callable[[File], object] = lambda _: None) -> dict[tuple[str, str], Counter[bool]]:
        """Return the number of equal (True) and of look-alike (False) pairs for each two sets, or within one.

        Of n equal files in one set, n - 1 are too many; of n in one and m in another set, n * m pairs are in both.

        Args:
            origin_of: Returns what a file was made of, or None; files of one origin are no pair.
        """
        counts: dict[tuple[str, str], Counter[bool]] = defaultdict(Counter)
        for group in self.groups:
            origins = {name: Counter(map(origin_of, part)) for name, part in _divide(group).items()}
            for name, part in origins.items():
                counts[name, name][True] += part[None] + len(part.keys() - {None}) - 1
            for (one, first), (other, second) in itertools.combinations(origins.items(), 2):
                of_one_origin = sum(first[origin] * second[origin] for origin in first.keys() - {None})
                counts[one, other][True] += first.total() * second.total() - of_one_origin
        for pair in self.look_alikes:
            first_origin = origin_of((pair.first_set, pair.first))
            if first_origin is None or first_origin != origin_of((pair.second_set, pair.second)):
                counts[pair.first_set, pair.second_set][False] += 1
        return {names: +kinds for names, kinds in counts.items() if kinds.total()}

    def count(self) -> int:
        """Return the number of all pairs."""
        return sum(kinds.total() for kinds in self.count_by_sets().values())


def find_duplicates(files: Sequence[File], looks: Sequence[Sequence[PictureHash]]) -> Duplicates:
    """Return the duplicates among the pictures of all sets, which are one after the other.

    Args:
        files: The pictures.
        looks: The hashes of each; see `find_near_pictures`.
    """
    groups = group_equal_files([hashes[0] for hashes in looks])
    group_of = {position: number for number, group in enumerate(groups) for position in group}
    near = [pair for pair in find_near_pictures(looks) if pair[0] not in group_of or group_of[pair[0]] != group_of.get(pair[1])]
    look_alikes = [DuplicatePair(*files[one], *files[other], exact=False) for one, other in near]
    return Duplicates([[files[position] for position in group] for group in groups], look_alikes)


def _divide(group: Sequence[File]) -> dict[str, list[File]]:
    """Return the files of a group by their set."""
    parts: dict[str, list[File]] = defaultdict(list)
    for file in group:
        parts[file[0]].append(file)
    return parts
