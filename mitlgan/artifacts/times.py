"""Measured times of an artifact, in a file next to it: equal trainings make equal artifacts and cards, but never take equally long."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mitlgan.errors import ResourceError
from mitlgan.runtime.files import write_json
from mitlgan.runtime.json_files import read_json

TIMES_FILE = "times.json"
TIME_KEYS = frozenset({"seconds", "cpu_seconds", "seconds_median", "seconds_longest"})
MAX_SECONDS = 1e12


def split_times(card: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Split a card, as JSON, into one without times, and its times.

    Returns:
        The card without them; the times, nested as in the card, where the positions in a list are keys.
    """
    return _without_times(card), _times_of(card)


def write_times(artifact: Path, times: Mapping[str, Any], tensors_sha256: str, *, root: Path | None = None, is_new: bool = False) -> None:
    """Write the times of an artifact next to it, before the artifact itself.

    Args:
        artifact: File of the artifact.
        times: As `split_times` returns them.
        tensors_sha256: Hash of the artifact's tensors; times of other tensors are not read.
        root: As of `mitlgan.runtime.files.write_atomically`.
        is_new: As there, unless there are times next to it already.

    Raises:
        ResourceError: The file cannot be written.
    """
    path = artifact.with_name(TIMES_FILE)
    write_json(path, {"tensors_sha256": tensors_sha256, **times}, root=root, is_new=is_new and not os.path.lexists(path))


def add_times(card: Mapping[str, Any], artifact: Path, tensors_sha256: str) -> dict[str, Any]:
    """Return a card, as JSON, with the times that are next to its artifact; what the card itself says stays, as in files of earlier versions.

    Times that are absent, damaged or of other tensors are left out, so that the artifact can be used without them.
    """
    try:
        times = read_json(artifact.with_name(TIMES_FILE))
        merged: dict[str, Any] = _merge(card, times) if times.get("tensors_sha256") == tensors_sha256 else dict(card)
    except (ResourceError, RecursionError):  # a link or a pipe; nesting of thousands
        return dict(card)
    return merged


def _children(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        yield from value.items()
    elif isinstance(value, list):
        yield from ((str(index), item) for index, item in enumerate(value))


def _without_times(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_times(item) for key, item in value.items() if not _is_time(key, item)}
    return [_without_times(item) for item in value] if isinstance(value, list) else value


def _times_of(value: Any) -> dict[str, Any]:
    times = {key: item if _is_time(key, item) else _times_of(item) for key, item in _children(value)}
    return {key: item for key, item in times.items() if item != {}}


def _merge(value: Any, times: Any) -> Any:
    """Return a value with times added to its mappings; times that have no place in it are dropped."""
    if not isinstance(times, dict):
        return value
    if isinstance(value, list):
        return [_merge(item, times.get(str(index))) for index, item in enumerate(value)]
    if not isinstance(value, Mapping):
        return value
    merged = {key: _merge(item, times.get(key)) for key, item in value.items()}
    return merged | {key: item for key, item in times.items() if key not in merged and _is_time(key, item)}


def _is_time(key: str, value: Any) -> bool:
    return key in TIME_KEYS and isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= MAX_SECONDS
