"""Answers of a study -> how real each picture and each arm seems, with intervals."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mitlgan.errors import DataError
from mitlgan.runtime.text_files import read_text
from mitlgan.study.page import SCHEMA_VERSION

Z_95 = 1.959963984540054
LIMIT_BYTES = 10_000_000


@dataclass(frozen=True)
class RealnessShare:
    """How often something was taken for real.

    Attributes:
        real: Answers "real".
        answers: All answers.
        realness: Their share; None without answers.
        low: Lower end of its 95 % Wilson interval.
        high: Upper end.
    """

    real: int
    answers: int
    realness: float | None
    low: float
    high: float


@dataclass(frozen=True)
class StudyScore:
    """What participants said.

    Attributes:
        arms: Realness by arm, "real" among them.
        pictures: Realness of each picture, with its arm and source, in the study's order.
        participants: Files of answers.
        split: What the real pictures are of; empty where the key does not say.
    """

    arms: dict[str, RealnessShare]
    pictures: list[dict[str, Any]]
    participants: int
    split: str = ""

    def as_json(self) -> dict[str, Any]:
        """For printing."""
        return asdict(self)


def wilson_interval(hits: int, count: int) -> tuple[float, float]:
    """Interval of a share (Wilson 1927, p. 212): right for few answers, and at 0 and 1, where the usual one has no width.

    Args:
        hits: Of `count`.
        count: 0 gives (0, 1).
    """
    if count == 0:
        return 0.0, 1.0
    share = hits / count
    z = Z_95
    denominator = 1 + z**2 / count
    middle = (share + z**2 / (2 * count)) / denominator
    half = z * math.sqrt(share * (1 - share) / count + z**2 / (4 * count**2)) / denominator
    return max(0.0, middle - half), min(1.0, middle + half)


def score_answers(key: Path, answers: Sequence[Path]) -> StudyScore:
    """Read a study's key and its participants' files.

    Args:
        key: `key.json` of the study.
        answers: One file per participant; a second answer of one file to a picture replaces the first.

    Raises:
        DataError: A file is not what it should be, or belongs to another study.
    """
    study = _read(key)
    items = study.get("items")
    if not isinstance(items, list) or not all(isinstance(item, dict) and {"arm", "source"} <= item.keys() for item in items):
        raise DataError(f"{key}: not a study's key; `mitlgan study make` writes key.json")
    given = [_answers(path, str(study.get("study")), len(items)) for path in answers]
    per_item = [[chosen[place] for chosen in given if place in chosen] for place in range(len(items))]
    arms: dict[str, list[bool]] = {}
    for item, said in zip(items, per_item, strict=True):
        arms.setdefault(str(item["arm"]), []).extend(said)
    pictures = [{**item, **asdict(_share(said))} for item, said in zip(items, per_item, strict=True)]
    return StudyScore({name: _share(said) for name, said in sorted(arms.items())}, pictures, len(given), str(study.get("split", "")))


def _share(said: Sequence[bool]) -> RealnessShare:
    low, high = wilson_interval(sum(said), len(said))
    return RealnessShare(sum(said), len(said), sum(said) / len(said) if said else None, low, high)


def _answers(path: Path, study: str, count: int) -> Mapping[int, bool]:
    found = _read(path)
    if found.get("study") != study:
        raise DataError(f"{path}: answers of another study ({str(found.get('study'))[:40]!r}, not {study!r})")
    chosen: dict[int, bool] = {}
    rows = found.get("answers")
    for row in rows if isinstance(rows, list) else [None]:
        place, real = (row.get("item"), row.get("real")) if isinstance(row, dict) else (None, None)
        if type(place) is not int or not isinstance(real, bool) or not 0 <= place < count:
            raise DataError(f"{path}: not a study's answers; the study's page saves them")
        chosen[place] = real
    return chosen


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(read_text(path, str(path), DataError, LIMIT_BYTES))
    except (ValueError, RecursionError):
        raise DataError(f"{path}: not a JSON file of a study") from None
    if not isinstance(found, dict) or found.get("schema_version") != SCHEMA_VERSION:
        raise DataError(f"{path}: not a file of a study of schema_version {SCHEMA_VERSION}")
    return found
