"""The figures of a run's network: those of its card, else those that a comparison left in its folder; never those of an earlier network."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from mitlgan.artifacts.card import Card, read_weights_hash
from mitlgan.artifacts.picture_sets import sets_of_card
from mitlgan.data.sources.split_folders import TRAIN, with_correct_splits
from mitlgan.errors import ArtifactError
from mitlgan.metrics.protocol import flat_metrics
from mitlgan.recipe import Recipe
from mitlgan.runtime.command_line import command_line
from mitlgan.runtime.files import write_json
from mitlgan.runtime.json_files import read_json
from mitlgan.runtime.progress import ignore_message
from mitlgan.stages.evaluate import open_real_pictures
from mitlgan.training.run_directory import Run

FIGURES_FILE = "metrics.json"
"""What a comparison measured of a run's network. The card is the home of figures: it is written with the network, and a longer training replaces it."""


class RunFigures(NamedTuple):
    """What was measured of the network that a run has now.

    Attributes:
        figures: As `metrics.protocol.evaluate_each` returns them, each with the split that it was measured on; empty if there are none.
        others: Those of a comparison of the same network, if the card has others; else empty.
        remarks: Sentences on figures that are not of this network, or may not be.
    """

    figures: dict[str, Any]
    others: dict[str, Any]
    remarks: list[str]


def write_run_figures(run: Run, figures: dict[str, Any], tensors_sha256: str) -> None:
    """Write a comparison's figures into the folder of a run, with the hash of the tensors that were measured.

    Args:
        run: The run.
        figures: As `metrics.protocol.evaluate_each` returns them.
        tensors_sha256: See `read_weights_hash`; read before the measurement, as a longer training may replace the network meanwhile.
    """
    write_json(run.path / FIGURES_FILE, {**figures, "tensors_sha256": tensors_sha256}, root=run.path)


def read_run_figures(run: Run, card: Card | None) -> RunFigures:
    """Read what was measured of a run's network.

    Args:
        run: Its directory.
        card: Of its network; None if it has none, and so no figures.

    Raises:
        ArtifactError: The figures that count are damaged.
        ResourceError: Their file is a link or not a regular file.
    """
    file, recorded = run.path / FIGURES_FILE, read_json(run.path / FIGURES_FILE)
    if card is None or run.artifact_file is None:
        return RunFigures({}, {}, [])
    measure = command_line(["evaluate", run.path, "--write-card"])
    named, remark = _remark(file, recorded, run.artifact_file, measure)
    training = str(card.data.get("content_sha256", ""))
    if "frechet" in card.metrics:
        if _checked(card.metrics, training) is None:
            raise ArtifactError(f"{run.artifact_file}: the figures in its card are damaged; measure again with `{measure}`")
        return RunFigures(card.metrics, (_checked(recorded, training) or {}) if named else {}, [])
    if named is False or not recorded:
        return RunFigures(card.metrics, {}, remark)
    figures = _checked(recorded, training)
    if figures is None:
        raise ArtifactError(f"{file}: damaged; measure again with `{measure}`, or remove it")
    return RunFigures(figures, {}, remark)


def are_of_pictures_now(figures: Mapping[str, Any], recipe: Recipe, card: Card, split: str | None = None) -> bool:
    """Whether figures are of the real pictures that an evaluation of a network would take now; these may have changed since.

    Args:
        figures: As `metrics.protocol.evaluate_each` returns them; may be empty.
        recipe: Of the network; says which pictures.
        card: Of the network.
        split: The split of the pictures; None takes that of an evaluation whose user names none.

    Raises:
        DataError: There are no such pictures, or they cannot be used.
    """
    real, name = open_real_pictures(recipe, card, split, recipe.evaluation.split, ignore_message)
    measured = figures.get("frechet")
    return isinstance(measured, Mapping) and (measured.get("data_sha256"), measured.get("split")) == (real.content_sha256, name)


def is_of_training_pictures(figures: Mapping[str, Any], card: Card | None) -> bool:
    """Whether figures are of pictures that the network was trained on: by their hash, for a folder of any other pictures counts as split train, too.

    Args:
        figures: As of `are_of_pictures_now`.
        card: Of the network; None if it has none. Where it or the figures name no pictures, as those of earlier versions, the split decides.

    Raises:
        ArtifactError: The card's sets of pictures are damaged.
    """
    measured = figures.get("frechet")
    if not isinstance(measured, Mapping):
        return False
    sets = () if card is None else sets_of_card(card.data)
    if not sets or not measured.get("data_sha256"):
        return measured.get("split") == TRAIN
    return measured["data_sha256"] in {entry.content_sha256 for entry in sets}


def say_their_pictures(figures: Mapping[str, Any]) -> bool:
    """Whether figures say of which real pictures they are; if they do not, nothing says that these are other ones than an evaluation would take now.

    Args:
        figures: As of `are_of_pictures_now`.
    """
    measured = figures.get("frechet")
    return isinstance(measured, Mapping) and bool(measured.get("data_sha256"))


def _remark(file: Path, recorded: dict[str, Any], artifact: Path, measure: str) -> tuple[bool | None, list[str]]:
    """Return whether recorded figures are of an artifact, None if they do not say it, and what is to be said of them.

    Earlier versions did not name its tensors, but wrote the figures after them.
    """
    if not recorded:
        return None, []
    if "tensors_sha256" in recorded:
        if recorded["tensors_sha256"] == read_weights_hash(artifact):
            return True, []
        left_out = f"The figures of an earlier network are left out: {file.name} names other tensors than this network's"
        return False, [f"{left_out}; `{measure}` measures this one."]
    if file.stat().st_mtime_ns >= artifact.stat().st_mtime_ns:
        return None, [f"{file.name} is of an earlier version, and does not say which network its figures are of; `{measure}` measures this one."]
    # a copy of the artifact is newer as well, and one into whose card a score was written
    left_out = f"Figures that may be of an earlier network are left out: {file.name} does not say which, and is older than this network's file"
    return False, [f"{left_out}; `{measure}` measures this one."]


def _checked(figures: dict[str, Any], training_sha256: str) -> dict[str, Any] | None:
    """Return figures, each with the split that it was measured on; None unless they have the values that a report shows."""
    try:
        corrected: dict[str, Any] = with_correct_splits(figures, training_sha256)
        if "frechet" in corrected and not all(value is None or math.isfinite(value) for value in flat_metrics(corrected).values()):
            return None
        dict(corrected.get("protocol", {}))
        measured = corrected.get("frechet", {})
        odd = any(isinstance(measured.get(key), dict | list) for key in ("split", "split_recorded", "generated", "real", "data_sha256"))
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        return None
    return None if odd else corrected
