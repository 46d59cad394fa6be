"""Where the pieces of cut pictures lie: which are used, in which split, and which are kept apart; changed in place, by moving files only."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mitlgan.data.curate.perceptual_hash import PictureHash, find_near_pairs, group_equal_files, hash_from_json
from mitlgan.data.layers.holdout import HoldoutSize, Photograph, SplitAssignment, assign_splits, augmented_families, splits_by_folder
from mitlgan.data.sources.split_folders import SPLITS
from mitlgan.runtime.files import disk_errors, write_json

FOLDERS = ("fg", "bg", "scene", "set-aside")
UNUSED_FOLDER = ".parked"  # pieces that are not used lie here, so that they can come back
CHOICES_FILE = ".choices.json"
SURE_BITS, SURE_COLOUR, SURE_WORST = 3, 4.0, 20
"""Pictures nearer than this are the same one, saved again; see `near_pairs`, whose own limits also take two shirts on one carpet for alike."""


@dataclass(frozen=True)
class ManualChoices:
    """What a person decided, by names of pictures, or of single backgrounds (`bg/NAME.png`).

    Attributes:
        exclude: Left out.
        keep: Used, whatever speaks against it.
    """

    exclude: frozenset[str] = frozenset()
    keep: frozenset[str] = frozenset()

    @classmethod
    def read(cls, out: Path) -> ManualChoices:
        """Those of an earlier call; none where there was none."""
        with suppress(OSError, ValueError, KeyError, TypeError):
            values = json.loads((out / CHOICES_FILE).read_text(encoding="utf-8"))
            return cls(frozenset(values["exclude"]), frozenset(values["keep"]))
        return cls()

    def updated(self, exclude: Iterable[str], keep: Iterable[str]) -> ManualChoices:
        """With later ones: the last word on a picture counts, and `exclude` where both are said at once."""
        out, back = frozenset(exclude), frozenset(keep)
        return ManualChoices((self.exclude - back) | out, (self.keep | back) - out)

    def write(self, out: Path) -> None:
        """Keep them for the next call."""
        write_json(out / CHOICES_FILE, {"exclude": sorted(self.exclude), "keep": sorted(self.keep)})


@dataclass(frozen=True)
class ConfidenceLimits:
    """How far cuts must be trusted to be used.

    Attributes:
        cut: Least confidence of a cut; below it the picture is set aside.
        fill: Least confidence of a filled background.
        doubtful: Cuts below are used, and shown first.
    """

    cut: float
    fill: float
    doubtful: float


def decide(lines: Sequence[Mapping[str, Any]], choices: ManualChoices, limits: ConfidenceLimits) -> list[dict[str, Any]]:
    """Each picture's `decision` and `reason`, and the `used` ones of its pieces.

    Args:
        lines: What was found of each picture; see `cutting.Cut.record`.
        choices: By hand.
        limits: Of confidence.
    """
    same = _duplicates(lines, choices)
    excluded = {line["sha256"] for line in lines if line["name"] in choices.exclude and "sha256" in line}
    records = []
    for position, line in enumerate(lines):
        decision, reason = "used", ""
        if "unreadable" in line:
            decision, reason = "unreadable", line["unreadable"]
        elif line["name"] in choices.exclude or (line["sha256"] in excluded and line["name"] not in choices.keep):
            decision, reason = "excluded", "named in --exclude" if line["name"] in choices.exclude else "the same file as one named in --exclude"
        elif position in same:
            decision, reason = "duplicate", same[position]
        elif not any(piece.startswith("fg/") for piece in line["pieces"]):
            decision, reason = "set aside", line["fault"]
        elif line["name"] not in choices.keep:
            fault = line["fault"] or _below(line, limits.cut)
            decision, reason = ("set aside", fault) if fault else (decision, reason)
        doubtful = decision == "used" and line["name"] not in choices.keep and line.get("confidence", 1.0) < limits.doubtful
        record = {key: value for key, value in line.items() if key not in ("outline", "colours", "unreadable")}
        record |= {"decision": decision, "reason": reason, "doubtful": doubtful}
        if decision == "used":
            record["used"] = [piece for piece in line["pieces"] if _wanted(piece, line, choices, limits)]
        else:
            record["used"] = [piece for piece in line.get("pieces", ()) if decision == "set aside" and piece.startswith("set-aside/")]
        records.append(record)
    return records


def _below(line: Mapping[str, Any], least: float) -> str:
    confidence = line.get("confidence", 1.0)
    return f"doubtful: {line['doubt']} (confidence {confidence:.2f}, less than {least:.2f})" if confidence < least else ""


def _wanted(piece: str, line: Mapping[str, Any], choices: ManualChoices, limits: ConfidenceLimits) -> bool:
    """Whether a piece of a used picture is used."""
    if piece in choices.exclude or piece.startswith("set-aside/"):
        return False
    filled = piece.startswith("bg/") and not piece.endswith("-patch.png")
    return not filled or piece in choices.keep or line.get("fill_confidence", 1.0) >= limits.fill


def _duplicates(lines: Sequence[Mapping[str, Any]], choices: ManualChoices) -> dict[int, str]:
    """Pictures that are there already, with the reason; of each group the one that a person keeps, or else that is cut best, stays."""
    readable = [position for position, line in enumerate(lines) if "unreadable" not in line]
    looks = [_look(lines[position]) for position in readable]
    found: dict[int, str] = {}
    equal = [(group[0], other, "the same file as") for group in group_equal_files(looks) for other in group[1:]]
    alike = [(one, other, "the same picture as") for one, other in find_near_pairs(looks, SURE_BITS, SURE_COLOUR, SURE_WORST)]
    for one, other, words in equal + [pair for pair in alike if looks[pair[0]].sha256 != looks[pair[1]].sha256]:
        first, second = readable[one], readable[other]
        if first in found or second in found or lines[second]["name"] in choices.keep:
            continue
        if words != "the same file as" and _rank(lines[second]) > _rank(lines[first]) and lines[first]["name"] not in choices.keep:
            first, second = second, first
        found[second] = f"{words} {lines[first]['name']!r}"
    return found


def _rank(line: Mapping[str, Any]) -> tuple[bool, float]:
    return not line["fault"], line.get("confidence", 0.0)


def _look(line: Mapping[str, Any]) -> PictureHash:
    look = hash_from_json(dict(line))
    assert look is not None  # every readable picture's line has it
    return look


def assign_pictures(spec: str, records: Sequence[Mapping[str, Any]], lines: Sequence[Mapping[str, Any]], holdout: HoldoutSize) -> SplitAssignment:
    """The split of each picture; those that are not used have the one that they would have."""
    names = [record["name"] for record in records]
    parts = list(zip(records, lines, splits_by_folder(names), augmented_families(spec, names), strict=True))
    used = [Photograph(_look(line), split, family) for record, line, split, family in parts if record["decision"] == "used"]
    found = assign_splits(used, holdout)
    splits = iter(found.splits)
    return SplitAssignment(tuple(next(splits) if record["decision"] == "used" else "" for record in records), found.note)


def move_pieces(out: Path, records: Sequence[dict[str, Any]], splits: Sequence[str], lines: Sequence[Mapping[str, Any]]) -> list[str]:
    """Move every piece to where it belongs, and tell each record's `files` and `split`.

    Stopped at any moment, the same call ends with the same files: a piece lies in one place at a time, and is looked for in all of them.

    Returns:
        Pieces that have gone since they were cut.
    """
    gone: list[str] = []
    for folder in FOLDERS:
        present = _present(out, folder)
        for record, line, split in zip(records, lines, splits, strict=True):
            for piece in line.get("pieces", ()):
                if not piece.startswith(f"{folder}/"):
                    continue
                used = piece in record["used"]
                target = _target(folder, piece, split) if used else f"{UNUSED_FOLDER}/{piece}"
                if piece not in present:
                    gone.append(piece)
                    continue
                with disk_errors(out / target):
                    (out / target).parent.mkdir(parents=True, exist_ok=True)
                    for place in present[piece]:  # one, unless somebody made copies
                        if place != target:
                            (out / place).replace(out / target)
                if used:
                    record.setdefault("files", []).append(target)
        for split in SPLITS:
            with suppress(OSError):  # not empty, or not there
                (out / folder / split).rmdir()
    for record, split in zip(records, splits, strict=True):
        record["files"] = sorted(record.get("files", []))
        record |= {"split": split} if split else {}
        del record["used"]
    return gone


def _target(folder: str, piece: str, split: str) -> str:
    return piece if folder == "set-aside" or not split else f"{folder}/{split}/{piece.removeprefix(f'{folder}/')}"


def _present(out: Path, folder: str) -> dict[str, list[str]]:
    """Where each piece of a folder lies now, relative to `out`."""
    found: dict[str, list[str]] = {}
    for place in (f"{UNUSED_FOLDER}/{folder}", folder, *(f"{folder}/{split}" for split in SPLITS)):
        with disk_errors(out / place):
            if (out / place).is_dir():
                for path in (out / place).iterdir():
                    found.setdefault(f"{folder}/{path.name}", []).append(f"{place}/{path.name}")
    return found
