"""Decides which pictures `data prepare` leaves out, such as blank ones and duplicates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mitlgan.data.build.prepare_image import BLANK, PrepareSettings
from mitlgan.data.curate.perceptual_hash import PictureHash, are_blank, find_near_pictures, hash_from_json, hashes_from_json
from mitlgan.data.layers.holdout import HELD_OUT
from mitlgan.data.pack.kept_square import kept_size_px

if TYPE_CHECKING:
    from mitlgan.data.curate.reference_sets import ReferenceSet


class Omissions:
    """The pictures that a pack leaves out; of equal files the first stays, of pictures that look alike that of the most pixels, see `_rank`.

    Args:
        lines: Journal line of each picture.
        settings: What is left out.
        references: Sets whose pictures are left out.
        split_of: Split that each picture has already, by its name; empty if none has one.

    Attributes:
        records: By position, a record with `name` and `reason`; `bad` if the file is no usable picture.
    """

    def __init__(
        self, lines: list[dict[str, Any]], settings: PrepareSettings, references: list[ReferenceSet], split_of: Mapping[str, str] | None = None
    ) -> None:
        self._lines, self._split_of = lines, split_of or {}
        self.records: dict[int, dict[str, Any]] = {position: line for position, line in enumerate(lines) if "outline" not in line}
        hashes = {position: value for position, line in enumerate(lines) if (value := hash_from_json(line))}
        self._omit_worthless(hashes, settings)
        for reference in references:
            self._omit_known(hashes, reference, settings.dedupe == "near")
        copies = {} if settings.dedupe == "none" else self._find_copies(hashes)
        if settings.dedupe == "near":
            self._omit_look_alikes({position: value for position, value in hashes.items() if position not in copies})
        self._omit_copies(copies)

    def _omit(self, position: int, reason: str) -> None:
        self.records.setdefault(position, {"name": self._lines[position]["name"], "reason": reason})

    def _omit_worthless(self, hashes: dict[int, PictureHash], settings: PrepareSettings) -> None:
        copies = Counter(value.sha256 for value in hashes.values())
        for (position, value), has_one_color in zip(hashes.items(), are_blank(list(hashes.values())), strict=True):
            if settings.placeholder_copies and copies[value.sha256] >= settings.placeholder_copies:
                self._omit(position, f"placeholder: the same file comes {copies[value.sha256]} times")
            elif (has_one_color or BLANK in self._lines[position]) and not settings.keep_blank:
                self._omit(position, "blank: one colour")

    def _omit_known(self, hashes: dict[int, PictureHash], reference: ReferenceSet, near: bool) -> None:
        names = {values[0].sha256: name for name, values in reference.pictures}
        for position, value in hashes.items():
            if value.sha256 in names:
                self._omit(position, f"held out: the same file as {names[value.sha256]!r} in {reference.spec}")
        if near:
            count, positions = len(reference.pictures), list(hashes)
            looks = [values for _, values in reference.pictures] + [hashes_from_json(self._lines[position]) for position in positions]
            for one, other in find_near_pictures(looks):
                if one < count <= other:
                    self._omit(positions[other - count], f"held out: looks like {reference.pictures[one][0]!r} in {reference.spec}")

    def _find_copies(self, hashes: dict[int, PictureHash]) -> dict[int, int]:
        """Return the positions of equal files but the first, each with that of the first."""
        first: dict[str, int] = {}
        used = [(position, value.sha256) for position, value in hashes.items() if position not in self.records]
        return {position: first[sha256] for position, sha256 in used if first.setdefault(sha256, position) != position}

    def _omit_look_alikes(self, hashes: dict[int, PictureHash]) -> None:
        positions = sorted((position for position in hashes if position not in self.records), key=self._rank)
        for one, other in find_near_pictures([hashes_from_json(self._lines[position]) for position in positions]):  # in the order of rank
            if positions[one] not in self.records:
                self._omit(positions[other], f"near duplicate: looks like {self._lines[positions[one]]['name']!r}")

    def _rank(self, position: int) -> tuple[bool, int, int]:
        """Return what sorts pictures that look alike: the held-out ones before those for training, then those of the most pixels, then the first."""
        line = self._lines[position]
        return self._split_of.get(line["name"]) not in HELD_OUT, -min(kept_size_px(line, 0)), position

    def _omit_copies(self, copies: dict[int, int]) -> None:
        """Omit equal files; if the first of them looks like a better picture, so do all."""
        for position, first in copies.items():
            omitted = self.records.get(first)
            self._omit(position, omitted["reason"] if omitted else f"duplicate: the same file as {self._lines[first]['name']!r}")
