"""Decides which pieces of cut pictures are used and in which split, and moves their files there; nothing is cut again."""

from __future__ import annotations

import filecmp
import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mitlgan.data.curate.perceptual_hash import SQUARE, PictureHash, find_near_pairs, group_equal_files, hash_from_json, hashes_from_json
from mitlgan.data.kept_splits import KeptSplits
from mitlgan.data.layers.holdout import HoldoutSize, Photograph, SplitAssignment, assign_splits, find_families
from mitlgan.data.sources.split_folders import SPLITS
from mitlgan.data.splits import UNASSIGNED_REASON
from mitlgan.errors import DataError, UsageError, raise_resource_fault
from mitlgan.runtime.files import translate_disk_errors, write_json

FOLDERS = ("fg", "bg", "scene", "set-aside")
UNUSED_FOLDER = ".parked"  # keeps pieces that are not used, so that they can be used later
CHOICES_FILE = ".choices.json"
MAX_CUT_NS = 60 * 10**9
"""Longer than the pieces of one picture need to be written."""
MAX_DUPLICATE_BITS, MAX_DUPLICATE_COLOR, MAX_DUPLICATE_PEAK = 3, 4.0, 20
"""Nearer pictures are the same one, saved again; the wider limits of `find_near_pairs` also match two shirts on one carpet."""


@dataclass(frozen=True)
class ManualChoices:
    """What the user decided, by names of pictures, or of single backgrounds (`bg/NAME.png`).

    Attributes:
        exclude: Names to leave out.
        keep: Names to use in any case.
    """

    exclude: frozenset[str] = frozenset()
    keep: frozenset[str] = frozenset()

    @classmethod
    def read(cls, out: Path) -> ManualChoices:
        """Read the choices of an earlier call; empty if there was none.

        Raises:
            DataError: They cannot be read: without them, pictures that the user has excluded would be used again.
        """
        path = out / CHOICES_FILE
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            lists = [values["exclude"], values["keep"]]
            if not all(isinstance(names, list) and all(isinstance(name, str) for name in names) for names in lists):
                raise TypeError
        except FileNotFoundError:
            return cls()
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise_resource_fault(error, str(path))
            raise DataError(
                f"{path}: what was chosen by --exclude and --keep cannot be read; remove the file, and give every --exclude and --keep again"
            ) from None
        return cls(*map(frozenset, lists))

    def updated(self, exclude: Iterable[str], keep: Iterable[str]) -> ManualChoices:
        """Return the choices after a later call, whose choices win; `exclude` wins over `keep` of the same call."""
        new_exclude, new_keep = frozenset(exclude), frozenset(keep)
        return ManualChoices((self.exclude - new_keep) | new_exclude, (self.keep | new_keep) - new_exclude)

    def write(self, out: Path) -> None:
        """Save the choices for the next call."""
        write_json(out / CHOICES_FILE, {"exclude": sorted(self.exclude), "keep": sorted(self.keep)}, root=out)


@dataclass(frozen=True)
class ConfidenceLimits:
    """The confidence that cuts need to be used.

    Attributes:
        cut: Minimum confidence of a cut; below it the picture is set aside.
        fill: Minimum confidence of a filled background.
        doubtful: Cuts below are used, and shown first.
    """

    cut: float
    fill: float
    doubtful: float


def decide(lines: Sequence[Mapping[str, Any]], choices: ManualChoices, limits: ConfidenceLimits, unassigned: frozenset[str]) -> list[dict[str, Any]]:
    """Return a record of each picture with its `decision` and `reason`, and its `used` pieces.

    Args:
        lines: Journal line of each picture; see `cut.CutResult.record`.
        choices: Decisions of the user.
        limits: Minimum confidences.
        unassigned: Names of the pictures that are in none of the source's splits.
    """
    excluded = frozenset(line["sha256"] for line in lines if line["name"] in choices.exclude and "sha256" in line)
    verdicts = [_judge(line, choices, limits, unassigned, excluded) for line in lines]
    duplicates = _find_duplicates(lines, [decision for decision, _ in verdicts], choices, limits)
    records = []
    for position, line in enumerate(lines):
        decision, reason = ("duplicate", duplicates[position]) if position in duplicates else verdicts[position]
        record = {key: value for key, value in line.items() if key not in ("outline", "colours", "cutout", SQUARE, "unreadable")}
        is_doubtful = decision == "used" and line["name"] not in choices.keep and line.get("confidence", 1.0) < limits.doubtful
        record |= {"decision": decision, "reason": reason, "doubtful": is_doubtful}
        if decision == "used":
            record["used"] = [piece for piece in line["pieces"] if _is_used(piece, line, choices, limits)]
        else:
            record["used"] = [piece for piece in line.get("pieces", ()) if decision == "set aside" and piece.startswith("set-aside/")]
        records.append(record)
    return records


def _judge(
    line: Mapping[str, Any], choices: ManualChoices, limits: ConfidenceLimits, unassigned: frozenset[str], excluded: frozenset[str]
) -> tuple[str, str]:
    """Return the decision on a picture and its reason, whatever other pictures look like.

    Args:
        line: Its journal line.
        choices: See `decide`.
        limits: See `decide`.
        unassigned: See `decide`.
        excluded: sha256 of the files that the user excludes.
    """
    is_kept = line["name"] in choices.keep
    if "unreadable" in line:
        return "unreadable", line["unreadable"]
    if line["name"] in unassigned:
        return "excluded", UNASSIGNED_REASON
    if line["name"] in choices.exclude:
        return "excluded", "named in --exclude"
    if line["sha256"] in excluded and not is_kept:
        return "excluded", "the same file as one named in --exclude"
    if not any(piece.startswith("fg/") for piece in line["pieces"]):
        return "set aside", line["fault"]
    fault = "" if is_kept else line["fault"] or _describe_doubt(line, limits.cut)
    return ("set aside", fault) if fault else ("used", "")


def _describe_doubt(line: Mapping[str, Any], min_confidence: float) -> str:
    """Return why a cut is set aside; empty if its confidence is high enough."""
    confidence = line.get("confidence", 1.0)
    if confidence >= min_confidence:
        return ""
    return f"doubtful: {line['doubt']} (confidence {confidence:.2f}, less than {min_confidence:.2f})"


def _is_used(piece: str, line: Mapping[str, Any], choices: ManualChoices, limits: ConfidenceLimits) -> bool:
    """Whether a piece of a used picture is used."""
    if piece in choices.exclude or piece.startswith("set-aside/"):
        return False
    return not is_fill(piece) or piece in choices.keep or line.get("fill_confidence", 1.0) >= limits.fill


def is_fill(piece: str) -> bool:
    """Whether a piece is a background with a filled hole."""
    return piece.startswith("bg/") and not piece.endswith("-patch.png")


def _find_duplicates(lines: Sequence[Mapping[str, Any]], decisions: Sequence[str], choices: ManualChoices, limits: ConfidenceLimits) -> dict[int, str]:
    """Return the positions of duplicates with the reason.

    Of equal files one stays. Of pictures that look the same, one that is used stays, and all that the user keeps; see `_rank`.
    """
    ranked = [position for position, decision in enumerate(decisions) if decision in ("used", "set aside")]
    ranked.sort(key=lambda position: (decisions[position] != "used", *_rank(lines[position], choices, limits)))
    hashes = {position: _hash_of(lines[position]) for position in ranked}
    stays: dict[int, int] = {}  # in place of each duplicate
    for group in group_equal_files(list(hashes.values())):
        stays |= {ranked[other]: ranked[group[0]] for other in group[1:]}
    used = [position for position in ranked if decisions[position] == "used" and position not in stays]
    near = find_near_pairs([hashes[position] for position in used], MAX_DUPLICATE_BITS, MAX_DUPLICATE_COLOR, MAX_DUPLICATE_PEAK)
    for first, second in ((used[one], used[other]) for one, other in near):  # in the order of rank
        if first not in stays and lines[second]["name"] not in choices.keep:
            stays.setdefault(second, first)
    duplicates: dict[int, str] = {}
    for position, other in stays.items():
        best = stays.get(other, other)  # of equal files, the first may look like a better one
        words = "the same file as" if hashes[position].sha256 == hashes[best].sha256 else "the same picture as"
        duplicates[position] = f"{words} {lines[best]['name']!r}"
    return duplicates


def _rank(line: Mapping[str, Any], choices: ManualChoices, limits: ConfidenceLimits) -> tuple[bool, bool, int, float]:
    """Return what sorts pictures that look the same, the best first: what the user keeps, no doubtful cut, more pixels, the surer cut."""
    confidence = line.get("confidence", 1.0)
    return line["name"] not in choices.keep, confidence < limits.doubtful, -line.get("width", 0) * line.get("height", 0), -confidence


def _hash_of(line: Mapping[str, Any]) -> PictureHash:
    value = hash_from_json(dict(line))
    assert value is not None  # in the line of every readable picture
    return value


def assign_pictures(
    spec: str, records: Sequence[Mapping[str, Any]], lines: Sequence[Mapping[str, Any]], holdout: HoldoutSize, kept: KeptSplits
) -> SplitAssignment:
    """Assign the used pictures to splits; all others have an empty split."""
    names = [record["name"] for record in records]
    parts = list(zip(records, lines, [kept.split_of.get(name, "") for name in names], find_families(spec, names), strict=True))
    used = [Photograph(hashes_from_json(dict(line)), split, family) for record, line, split, family in parts if record["decision"] == "used"]
    assignment = assign_splits(used, holdout)
    splits = iter(assignment.splits)
    return SplitAssignment(tuple(next(splits) if record["decision"] == "used" else "" for record in records), kept.annotate(assignment.note))


def move_pieces(out: Path, records: Sequence[dict[str, Any]], splits: Sequence[str], lines: Sequence[Mapping[str, Any]]) -> list[str]:
    """Move every piece to its folder, and add `files` and `split` to each record.

    If the call is interrupted, the next one ends with the same files: a piece is in one place at a time, and is searched in all of them.

    Returns:
        Pieces that no longer exist.

    Raises:
        UsageError: Somebody put another file of a piece's name next to it; nothing is moved.
        ResourceError: The folder cannot be written.
    """
    missing: list[str] = []
    existing_of = {folder: _find_pieces(out, folder) for folder in FOLDERS}
    _refuse_other_files(out, existing_of, {piece for line in lines for piece in line.get("pieces", ())})
    for folder, existing in existing_of.items():
        for record, line, split in zip(records, lines, splits, strict=True):
            for piece in line.get("pieces", ()):
                if not piece.startswith(f"{folder}/"):
                    continue
                is_used = piece in record["used"]
                target = _target(folder, piece, split) if is_used else f"{UNUSED_FOLDER}/{piece}"
                if piece not in existing:
                    missing.append(piece)
                    continue
                with translate_disk_errors(out / target):
                    (out / target).parent.mkdir(parents=True, exist_ok=True)
                    for path in existing[piece]:  # one, unless there are copies
                        if path != target:
                            (out / path).replace(out / target)
                if is_used:
                    record.setdefault("files", []).append(target)
        for split in SPLITS:
            with suppress(OSError):  # not empty, or absent
                (out / folder / split).rmdir()
    for record, split in zip(records, splits, strict=True):
        record["files"] = sorted(record.get("files", []))
        record |= {"split": split} if split else {}
        del record["used"]
    return missing


def find_retouched(out: Path, pieces: Iterable[str], cut_until_ns: int) -> dict[str, Path]:
    """Return the file of each piece of a picture that somebody has written since the picture was cut.

    Args:
        out: The folder.
        pieces: All of the picture; they were written one right after the other.
        cut_until_ns: When its journal was last written, as `st_mtime_ns`.

    Raises:
        ResourceError: The folder cannot be read.
    """
    times: dict[Path, tuple[str, int]] = {}
    for piece in pieces:
        for path in find_piece(out, piece):
            with translate_disk_errors(path), suppress(FileNotFoundError):
                times[path] = piece, path.stat().st_mtime_ns
    until = min([cut_until_ns, *(time + MAX_CUT_NS for _, time in times.values())])
    return {piece: path for path, (piece, time) in times.items() if time > until}


def find_piece(out: Path, piece: str) -> list[Path]:
    """Return the files of a piece, wherever it was moved: one, unless there are copies or somebody has removed it."""
    folder, name = piece.split("/", 1)
    with translate_disk_errors(out):
        return [path for place in _places(folder) if (path := out / place / name).is_file()]


def remove_pieces(out: Path, pieces: Iterable[str]) -> None:
    """Remove pieces, wherever they were moved.

    Raises:
        ResourceError: The folder cannot be written.
    """
    for piece in pieces:
        for path in find_piece(out, piece):
            with translate_disk_errors(path):
                path.unlink(missing_ok=True)


def _refuse_other_files(out: Path, existing_of: Mapping[str, Mapping[str, Sequence[str]]], pieces: set[str]) -> None:
    """Refuse files of one name and different contents, of which one would be written over."""
    for existing in existing_of.values():
        for piece, (first, *others) in existing.items():
            for other in others if piece in pieces else ():
                with translate_disk_errors(out / other):
                    is_copy = filecmp.cmp(out / first, out / other, shallow=False)
                if not is_copy:
                    raise UsageError(f"--out {out}: {first} and {other} differ, but have the name of one piece; move the one that you put there away")


def _target(folder: str, piece: str, split: str) -> str:
    return piece if folder == "set-aside" or not split else f"{folder}/{split}/{piece.removeprefix(f'{folder}/')}"


def _places(folder: str) -> tuple[str, ...]:
    """Return where a piece of a folder may be, relative to the output."""
    return (f"{UNUSED_FOLDER}/{folder}", folder, *(f"{folder}/{split}" for split in SPLITS))


def _find_pieces(out: Path, folder: str) -> dict[str, list[str]]:
    """Return the current paths of each piece of a folder, relative to `out`."""
    paths: dict[str, list[str]] = {}
    for place in _places(folder):
        with translate_disk_errors(out / place):
            if (out / place).is_dir():
                for path in (out / place).iterdir():
                    paths.setdefault(f"{folder}/{path.name}", []).append(f"{place}/{path.name}")
    return paths
