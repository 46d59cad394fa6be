"""What a training's own statistics show: mode collapse, a game that one side has won, fakes that pass as real, the best step.

Mode collapse has two indicators. Where snapshots were measured: the mean distance of two samples in the features of an extractor, relative to that of
two real pictures. Otherwise: samples that are nearly identical in pixels. Each objective also recognizes a lost game by its scores, such as those of
Benedetti (2019): critic loss 25 to 30, generator loss 0, D(G(z)) 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mitlgan.artifacts.run_steps import best_by_statistics
from mitlgan.metrics.diversity import COLLAPSE_DIVERSITY
from mitlgan.report.formatting import number, share
from mitlgan.runtime.progress import finite

Row = Mapping[str, Any]

PASSING_FRACTION = 0.1
"""Fraction of a training, at its end, over which passing fakes are counted."""


@dataclass(frozen=True)
class TrainingPosition:
    """A point in a training; means over seeds have no iteration."""

    iteration: int
    kimg: float

    def __str__(self) -> str:
        return (f"iteration {self.iteration:,}, " if self.iteration else "") + f"{number(self.kimg)} kimg"


@dataclass(frozen=True)
class Diagnosis:
    """What the statistics of one training show.

    Attributes:
        collapsed: Start of mode collapse; None if there was none.
        collapsed_by: What shows it, "features" or "pixels".
        lost: The objective's diagnosis of a game that one side has won, with its date; empty if the game is open.
        passing: Share of generated images, at the end of training, that the critic takes for real (classic objectives) or scores above the median
            real picture (Wasserstein); None if it was not logged. 0.5 is a draw.
        best: The best step by the indicators alone: the smallest gap between real and generated scores after its peak.
        measured_best: The best snapshot of those measured against the last set of pictures, and its distance.
    """

    collapsed: TrainingPosition | None = None
    collapsed_by: str = ""
    lost: str = ""
    passing: float | None = None
    best: TrainingPosition | None = None
    measured_best: tuple[TrainingPosition, float] | None = None

    def sentences(self) -> list[str]:
        """Return the diagnosis in sentences."""
        sentences = []
        if self.collapsed is not None:
            sentences.append(f"Mode collapse since {self.collapsed}, shown by the distances of samples in {self.collapsed_by}.")
        if self.lost:
            sentences.append(f"{self.lost[:1].upper()}{self.lost[1:]}.")
        if self.passing is not None:
            sentences.append(
                f"{share(self.passing)} of the last generated images pass as real with the critic; 50 % is a draw, and more means that "
                "the critic no longer tells them apart."
            )
        if self.best is not None:
            sentences.append(
                f"Best step by the indicators (real and generated scores closest after their peak): {self.best}. Only a measurement can confirm it."
            )
        if self.measured_best is not None:
            position, distance = self.measured_best
            sentences.append(f"Best measured snapshot: {position}, {number(distance)}.")
        return sentences


def diagnose(stats: Sequence[Row], evaluations: Sequence[Row] = ()) -> Diagnosis:
    """Diagnose a training from its statistics.

    Args:
        stats: Rows of `stats.jsonl`.
        evaluations: Rows of `evaluations.jsonl`.
    """
    by_features, by_pixels = _collapse_start(evaluations), next((row for row in stats if row.get("collapsed")), None)
    collapse = by_features or by_pixels
    measured = [row for row in evaluations_of_last_set(evaluations) if finite(row.get("fd")) is not None]
    best = min(measured, key=lambda row: float(row["fd"]), default=None)
    return Diagnosis(
        collapsed=None if collapse is None else _position(collapse),
        collapsed_by="" if collapse is None else "features" if by_features else "pixels",
        lost=next((str(row["diagnosis"]) for row in reversed(stats) if row.get("diagnosis")), ""),
        passing=_passing(stats),
        best=None if (row := best_by_statistics(stats)) is None else _position(row),
        measured_best=None if best is None else (_position(best), float(best["fd"])),
    )


def evaluations_of_last_set(evaluations: Sequence[Row]) -> list[Row]:
    """Return the rows of the real pictures that the last row is of: distances to two sets cannot be compared.

    Args:
        evaluations: Rows of `evaluations.jsonl`; those of earlier versions, and of comparisons, do not say of which pictures they are.
    """
    return [row for row in evaluations if _set_of(row) == _set_of(evaluations[-1])]


def _set_of(row: Row) -> tuple[Any, ...]:
    return tuple(row.get(key) for key in ("split", "real", "data_sha256"))


def _collapse_start(evaluations: Sequence[Row]) -> Row | None:
    """Return the first measured snapshot since which all samples are nearly identical; those of the untrained network do not count."""
    first = None
    for row in reversed(evaluations):
        diversity = finite(row.get("diversity"))
        if diversity is None or diversity >= COLLAPSE_DIVERSITY or not row.get("kimg"):
            break
        first = row
    return first


def _passing(stats: Sequence[Row]) -> float | None:
    values = [value for row in stats[-max(1, int(len(stats) * PASSING_FRACTION)) :] if (value := finite(row.get("fakes_passed"))) is not None]
    return float(np.mean(values)) if values else None


def _position(row: Row) -> TrainingPosition:
    return TrainingPosition(int(row.get("iteration") or 0), float(row.get("kimg") or 0.0))
