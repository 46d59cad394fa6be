"""What `plan.json` says of a comparison: its plan, and which files the plan meant.

A plan names files as they were typed, which depends on the working folder and on where the project was. The record therefore also says where each of
them is, seen from the runs, too, and which tensors it holds.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

from mitlgan.artifacts.card import read_weights_hash
from mitlgan.artifacts.known_artifacts import with_shipped
from mitlgan.artifacts.loaded_artifact import is_artifact_reference
from mitlgan.compare.plan import BUILT_IN_BASELINES, ComparisonPlan
from mitlgan.errors import MitlganError
from mitlgan.recipe import NO_PATHS, pictures_of_setting, with_full_source
from mitlgan.runtime.outer_folders import folders_around_runs, searched_folders
from mitlgan.training.run_directory import Run

PLACES_KEY = "places"
PATH_KEYS = ("composed", "layers", "data", "settings", "weights", "recipe", "fg_recipe", "bg_recipe", "baselines", "triples")
"""Keys of a plan whose texts may name files and folders."""


@dataclass(frozen=True)
class Place:
    """Where a file or folder is, and what it holds.

    Attributes:
        path: Absolute.
        from_runs: Relative to the folder of the runs.
        tensors_sha256: Hash of the tensors of its artifact; None: it is no artifact.
    """

    path: str
    from_runs: str
    tensors_sha256: str | None = None

    @classmethod
    def parse(cls, values: Any) -> Self | None:
        """Return the place that a file says, which may come from anywhere; None if it says none."""
        texts = values if isinstance(values, dict) else {}
        path, from_runs = texts.get("path"), texts.get("from_runs")
        return cls(path, from_runs, _hash_or_none(texts.get("tensors_sha256"))) if isinstance(path, str) and isinstance(from_runs, str) else None

    def is_same(self, other: Place) -> bool:
        """Return whether both hold the same tensors or, if one of them is no artifact, are at the same place: here, or seen from the runs."""
        if self.tensors_sha256 is not None and other.tensors_sha256 is not None:
            return self.tensors_sha256 == other.tensors_sha256
        return self._is_there(other)

    def was_changed(self, now: Place) -> bool:
        """Return whether an artifact was replaced at its place, such as by training it on."""
        return self._is_there(now) and None not in (self.tensors_sha256, now.tensors_sha256) and self.tensors_sha256 != now.tensors_sha256

    def _is_there(self, other: Place) -> bool:
        return self.path == other.path or self.from_runs == other.from_runs


@dataclass(frozen=True)
class PlanRecord:
    """The content of a `plan.json`.

    Attributes:
        values: The plan, as `ComparisonPlan.to_json` returns it, with the full path of pictures that a setting names; of a damaged file, anything.
        places: Place of each text in it that names a file or folder; empty in those of earlier versions.
        root: Folder of the runs.
    """

    values: Mapping[str, Any]
    places: Mapping[str, Place]
    root: Path

    @classmethod
    def of_plan(cls, plan: ComparisonPlan, root: Path) -> Self:
        """Return the record of a plan."""
        plan = replace(plan, settings=tuple(with_full_source(setting) for setting in plan.settings))
        paths = {text: text for text in _path_texts(plan)} | {text: path for text in plan.settings if (path := _picture_path(text)) is not None}
        places = {text: place for text, path in paths.items() if (place := find_place(path, root)) is not None}
        return cls(json.loads(json.dumps(plan.to_json())), places, root)

    @classmethod
    def of_json(cls, content: Mapping[str, Any], root: Path) -> Self:
        """Return the record that a file holds; places that are not valid are left out."""
        written = content.get(PLACES_KEY)
        parsed = {text: Place.parse(values) for text, values in written.items()} if isinstance(written, dict) else {}
        places = {text: place for text, place in parsed.items() if place is not None}
        return cls({key: value for key, value in content.items() if key != PLACES_KEY}, places, root)

    def to_json(self) -> dict[str, Any]:
        """Return the content of the file."""
        places = {text: asdict(place) for text, place in self.places.items()}
        return {**self.values, **({PLACES_KEY: places} if places else {})}

    def is_same(self, other: PlanRecord) -> bool:
        """Return whether this record, of any time, asks for the same as one of now: equal values, and the same files however they are named."""
        return self.values.keys() == other.values.keys() and all(
            self._is_same_value(self.values[key], value, other, is_path=key in PATH_KEYS) for key, value in other.values.items()
        )

    def changed_artifacts(self, other: PlanRecord) -> list[str]:
        """Return the artifacts, as this record names them, that were replaced since, if it asks for the same as one of now but for their tensors."""
        now = {text: next((one for one in other.places.values() if place.was_changed(one)), None) for text, place in self.places.items()}
        changed = {text: place for text, place in now.items() if place is not None}
        return list(changed) if changed and replace(self, places={**self.places, **changed}).is_same(other) else []

    def _is_same_value(self, value: Any, now: Any, other: PlanRecord, *, is_path: bool) -> bool:
        """Compare along the value of now, as the other may be of any form and depth."""
        if isinstance(now, dict):
            return isinstance(value, dict) and value.keys() == now.keys() and all(
                self._is_same_value(value[key], inner, other, is_path=is_path and key != "name") for key, inner in now.items()
            )  # fmt: skip
        if isinstance(now, list):
            return isinstance(value, list) and len(value) == len(now) and all(
                self._is_same_value(one, inner, other, is_path=is_path) for one, inner in zip(value, now, strict=True)
            )  # fmt: skip
        if is_path and isinstance(now, str) and isinstance(value, str):
            return self._is_same_file(value, now, other.places.get(now))
        return bool(value == now)

    def _is_same_file(self, text: str, now: str, place_now: Place | None) -> bool:
        place = self.places.get(text)
        if place_now is None or place is None:
            of_earlier_version = place is None and place_now is not None and any(one.path == place_now.path for one in self.possible_places(text))
            return (place is None and now in (text, *self._full_settings(text))) or of_earlier_version
        return place.is_same(place_now)

    def possible_places(self, text: str) -> Iterator[Place]:
        """Yield the places that a path of an earlier version may have meant: seen from here, and from the folders around the runs."""
        for base in self._possible_bases():
            if (place := find_place(base / text, self.root)) is not None:
                yield place

    def _full_settings(self, setting: str) -> list[str]:
        """Return what a setting of an earlier version may have meant, which named its pictures as they were typed.

        Those that the nearest folder around the runs that has any has are meant, else those that the working folder has.
        """
        meanings = [with_full_source(setting, base) for base in self._possible_bases()]
        present = [one for one in meanings[1:] if any(find_place(path, self.root) is not None for path in pictures_of_setting(one))]
        return present[:1] or meanings

    def _possible_bases(self) -> tuple[Path, ...]:
        return (Path(), *searched_folders(folders_around_runs(self.root)))


def find_place(path: str | Path, root: Path) -> Place | None:
    """Return the place of a file or folder; None if there is none, or its name is not one that a disk could have.

    Args:
        path: Seen from the working folder; `pretrained/NAME` is that of a shipped artifact where this folder has none.
        root: Folder of the runs.
    """
    try:
        place = with_shipped(Path(path)).resolve(strict=True)
        return Place(str(place), os.path.relpath(place, root.resolve()), _tensors_hash(place))
    except (OSError, ValueError, RuntimeError):  # it is absent, holds a zero, or is a circle of links
        return None


def _tensors_hash(path: Path) -> str | None:
    try:
        file = path if path.is_file() else Run(path).artifact_file
        return None if file is None or file.suffix != ".safetensors" else _hash_or_none(read_weights_hash(file))
    except MitlganError:  # such as the weights of an extractor, which are no artifact
        return None


def _hash_or_none(value: Any) -> str | None:
    return value if isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) else None


def _picture_path(setting: str) -> str | None:
    """Return the path of pictures that a setting names, and nothing else; None if it does not."""
    key, _, path = setting.partition("=")
    return path if key in NO_PATHS and path not in NO_PATHS[key] else None


def _path_texts(plan: ComparisonPlan) -> list[str]:
    """Return the texts of a plan that name files or folders, if there are such, but for settings."""
    sources = [plan.data, *(source for spec in plan.domains for source in (*spec.sources.values(), spec.scene))]
    recipes = [plan.recipe, plan.fg_recipe, plan.bg_recipe, *(name for name in plan.baselines if name not in BUILT_IN_BASELINES)]
    names = [plan.composed, plan.weights, *plan.layers.values(), *(one for one in sources if one != "demo"), *recipes]
    return [str(name) for name in names if name and not is_artifact_reference(name)]
