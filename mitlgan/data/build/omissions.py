"""Decides which pictures `data prepare` leaves out, such as blank ones and duplicates."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from mitlgan.data.build.prepare_image import BLANK, PrepareSettings
from mitlgan.data.curate.perceptual_hash import PictureHash, are_blank, find_near_pictures, hash_from_json, hashes_from_json

if TYPE_CHECKING:
    from mitlgan.data.curate.reference_sets import ReferenceSet


class Omissions:
    """The pictures that a pack leaves out; of pictures that look alike the first stays.

    Args:
        lines: Journal line of each picture.
        settings: What is left out.
        references: Sets whose pictures are left out.

    Attributes:
        records: By position, a record with `name` and `reason`; `bad` if the file is no usable picture.
    """

    def __init__(self, lines: list[dict[str, Any]], settings: PrepareSettings, references: list[ReferenceSet]) -> None:
        self._lines = lines
        self.records: dict[int, dict[str, Any]] = {position: line for position, line in enumerate(lines) if "outline" not in line}
        hashes = {position: value for position, line in enumerate(lines) if (value := hash_from_json(line))}
        self._omit_worthless(hashes, settings)
        for reference in references:
            self._omit_known(hashes, reference, settings.dedupe == "near")
        if settings.dedupe != "none":
            self._omit_duplicates(hashes)
        if settings.dedupe == "near":
            self._omit_look_alikes(hashes)

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

    def _omit_duplicates(self, hashes: dict[int, PictureHash]) -> None:
        first: dict[str, int] = {}
        for position, value in hashes.items():
            if position not in self.records and first.setdefault(value.sha256, position) != position:
                self._omit(position, f"duplicate: the same file as {self._lines[first[value.sha256]]['name']!r}")

    def _omit_look_alikes(self, hashes: dict[int, PictureHash]) -> None:
        positions = [position for position in hashes if position not in self.records]
        for one, other in find_near_pictures([hashes_from_json(self._lines[position]) for position in positions]):
            if positions[one] not in self.records:
                self._omit(positions[other], f"near duplicate: looks like {self._lines[positions[one]]['name']!r}")
