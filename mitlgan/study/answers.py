"""Scoring a study: participants' answers -> how real each picture and each arm looks, with intervals."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mitlgan.errors import DataError
from mitlgan.runtime.text_files import read_text
from mitlgan.study.page import SCHEMA_VERSION
from mitlgan.study.real_or_fake import RealnessShare, realness_share

MAX_BYTES = 10_000_000
MAX_PAGE_BYTES = 2_000_000_000


@dataclass(frozen=True)
class StudyScore:
    """Result of a study.

    Attributes:
        arms: Realness by arm, "real" among them.
        pictures: Realness of each picture, with its arm and source, in the study's order.
        participants: Number of those who answered.
        split: Split of the real pictures; empty if the key does not name it.
        repeated: Number of files left out, since the same participant saved one later, or one that has all its answers.
    """

    arms: dict[str, RealnessShare]
    pictures: list[dict[str, Any]]
    participants: int
    split: str = ""
    repeated: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return the result as JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class _Answers:
    """A file that a participant saved.

    Attributes:
        participant: Who answered.
        saved_ms: When it was saved, in milliseconds since 1970; None in files of an earlier version.
        choices: The answers by picture: True means "real".
    """

    path: Path
    participant: str
    saved_ms: int | None
    choices: Mapping[int, bool]


def score_answers(key: Path, answers: Sequence[Path]) -> StudyScore:
    """Score a study from its key and its participants' files.

    Args:
        key: `key.json` of the study.
        answers: One file per participant, of which the one saved last counts if there are several; if a file answers a picture twice, the last answer
            counts.

    Raises:
        DataError: A file is not what it should be, or belongs to another study; or two files of one participant differ, and which was saved last is
            unknown.
    """
    study = _read_json(key)
    items = study.get("items")
    if not isinstance(items, list) or not all(isinstance(item, dict) and {"arm", "source"} <= item.keys() for item in items):
        raise DataError(f"{key}: not a study's key; `mitlgan study make` writes key.json")
    files: dict[str, list[_Answers]] = {}
    for path in answers:
        one = _read_answers(path, str(study.get("study")), len(items))
        files.setdefault(one.participant, []).append(one)
    counted = [_saved_last(own) for own in files.values()]
    by_item = [[one.choices[index] for one in counted if index in one.choices] for index in range(len(items))]
    by_arm: dict[str, list[bool]] = {}
    for item, choices in zip(items, by_item, strict=True):
        by_arm.setdefault(str(item["arm"]), []).extend(choices)
    pictures = [{**item, **asdict(realness_share(choices))} for item, choices in zip(items, by_item, strict=True)]
    arms = {name: realness_share(choices) for name, choices in sorted(by_arm.items())}
    participants = sum(bool(one.choices) for one in counted)
    return StudyScore(arms, pictures, participants, str(study.get("split", "")), len(answers) - len(counted))


def read_pictures(page: Path, key: Path) -> list[str]:
    """Return the pictures of a study's page as data: URIs, in the study's order.

    Args:
        page: The study's `study.html`.
        key: Its `key.json`.

    Raises:
        DataError: The page is not that of the key.
    """
    study = _read_json(key)
    text = read_text(page, str(page), DataError, MAX_PAGE_BYTES)
    match = re.search(r"const pictures = (\[.*?\]);", text)
    uris = json.loads(match[1]) if match else []
    if str(study.get("study")) not in text or len(uris) != len(study.get("items") or []):
        raise DataError(f"{page}: not the page of {key}; give that which `mitlgan study make` wrote with it")
    return [str(uri) for uri in uris]


def _read_answers(path: Path, study: str, count: int) -> _Answers:
    """Return the answers of a file; who answered is, on a page of an earlier version, the file itself."""
    content = _read_json(path)
    if content.get("study") != study:
        raise DataError(f"{path}: answers of another study ({str(content.get('study'))[:40]!r}, not {study!r})")
    choices: dict[int, bool] = {}
    rows = content.get("answers")
    for row in rows if isinstance(rows, list) else [None]:
        index, real = (row.get("item"), row.get("real")) if isinstance(row, dict) else (None, None)
        if type(index) is not int or not isinstance(real, bool) or not 0 <= index < count:
            raise DataError(f"{path}: not a study's answers; the study's page saves them")
        choices[index] = real
    participant, saved_ms = content.get("participant"), content.get("saved_ms")
    known = participant if isinstance(participant, str) and participant else str(path.resolve())
    return _Answers(path, known, saved_ms if type(saved_ms) is int else None, choices)


def _saved_last(files: Sequence[_Answers]) -> _Answers:
    """Return which of the files of one participant counts, whatever their order.

    Raises:
        DataError: They differ, and which was saved last is unknown.
    """
    latest_ms = max((one.saved_ms for one in files if one.saved_ms is not None), default=None)
    rivals = sorted((one for one in files if one.saved_ms in (None, latest_ms)), key=lambda one: one.saved_ms is None)
    for one in rivals:
        if all(other.choices.items() <= one.choices.items() for other in rivals):
            return one
    first = rivals[0]
    other = next(other for other in rivals if not other.choices.items() <= first.choices.items())
    raise DataError(
        f"{first.path} and {other.path}: other answers of the same participant, and no time tells which was saved last; give that one alone"
    )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(read_text(path, str(path), DataError, MAX_BYTES))
    except (ValueError, RecursionError):
        raise DataError(f"{path}: not a JSON file of a study") from None
    if not isinstance(content, dict) or content.get("schema_version") != SCHEMA_VERSION:
        raise DataError(f"{path}: not a file of a study of schema_version {SCHEMA_VERSION}")
    return content
