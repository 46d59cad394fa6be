"""The pictures that the studio may train on: the folders and prepared sets that it was started with, and the demo's. Clients name them by id only."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mitlgan.artifacts.card import LAYER_ROLES
from mitlgan.data.splits import DEMO
from mitlgan.errors import DataError
from mitlgan.studio.errors import RequestRefused

ROLES = (*LAYER_ROLES, "scene")


@dataclass(frozen=True)
class TrainingSet:
    """Pictures to train on.

    Attributes:
        id: Id in the studio.
        name: Name for display: the last part of its path.
        sources: The `--data` value of each role. A set that `data split` wrote has a folder per role; any other one serves for all roles.
        is_split: Whether it has a folder per role.
    """

    id: str
    name: str
    sources: Mapping[str, str]
    is_split: bool = False

    def covers(self, source: str) -> bool:
        """Return whether a run's `data.source` is one of this set's."""
        if DEMO in (source, self.id):
            return source == self.id
        return any(source == own or os.path.realpath(source) == own for own in self.sources.values())


DEMO_SET = TrainingSet(DEMO, "Demo pictures", dict.fromkeys(ROLES, DEMO))


def offer_sets(paths: Sequence[Path], *, with_demo: bool) -> dict[str, TrainingSet]:
    """Return the sets of some paths by id, in their order, and finally the demo's.

    Raises:
        DataError: A path does not exist.
    """
    sets: dict[str, TrainingSet] = {}
    for path in paths:
        if not path.exists():
            raise DataError(f"--data {path}: no such folder or file; give a folder of pictures, an archive, a pack, or what `data split` wrote")
        one = _describe(path.resolve())
        sets[one.id] = one
    return sets | ({DEMO: DEMO_SET} if with_demo else {})


def empty_folders(paths: Sequence[Path]) -> list[Path]:
    """Return the folders without any file: nothing can be trained on them until pictures are there."""
    return [path for path in paths if path.is_dir() and not any(files for _, _, files in os.walk(path))]


def require_set(sets: Mapping[str, TrainingSet], set_id: str, role: str) -> str:
    """Return the `--data` value of a set and role.

    Raises:
        RequestRefused: 404, there is no such set; 422, it has no pictures of that role.
    """
    if set_id not in sets:
        raise RequestRefused(404, "set: the studio was not started with these pictures; start it with `--data DIR`, and choose one of /api/training")
    source = sets[set_id].sources.get(role)
    if source is None:
        raise RequestRefused(422, f"set: {sets[set_id].name} has no folder {role}; choose another set, or run `mitlgan data split` again")
    return source


def _describe(path: Path) -> TrainingSet:
    parts = {role: str(path / role) for role in ROLES if (path / role).is_dir()}
    name = path.name.encode("utf-8", "replace").decode() or "pictures"
    set_id = hashlib.sha256(os.fsencode(path)).hexdigest()[:12]
    return TrainingSet(set_id, name, parts or dict.fromkeys(ROLES, str(path)), bool(parts))
