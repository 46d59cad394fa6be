"""What a training's own numbers say about it: collapse and since when, a game that one side has won, fakes that pass, the best step.

Two witnesses tell of mode collapse: the mean distance of two samples in the features of a named extractor, over that of two real pictures, where
snapshots were measured; and the losses' signature, as Benedetti (2019) saw it (critic loss 25 to 30, generator loss 0, D(G(z)) 1, every sample the
same) and as each objective knows it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mitlgan.metrics.diversity import COLLAPSE_DIVERSITY
from mitlgan.report.formatting import number
from mitlgan.runtime.progress import finite

Row = Mapping[str, Any]

CALM = 0.05
"""Share of a training over which indicators are averaged."""

PASSING_SHARE = 0.1
"""Share of a training, its end, over which passing fakes are counted."""


@dataclass(frozen=True)
class TrainingPosition:
    """A point of a training; means over seeds have no iteration."""

    iteration: int
    kimg: float

    def __str__(self) -> str:
        return (f"iteration {self.iteration:,}, " if self.iteration else "") + f"{number(self.kimg)} kimg"


@dataclass(frozen=True)
class Diagnosis:
    """What is known of one training.

    Attributes:
        collapsed: Where collapse set in, and which witness says so; None where no witness does.
        collapsed_by: "features" or "pixels".
        lost: What the objective says of a game that one side has won, with its date; empty where it is open.
        passing: Share of generated images, over the end of training, that the critic takes for real (classic objectives), or scores above
            the median real picture (Wasserstein); None where it was not logged. 0.5 is the best a generator can reach.
        best: The best step by the indicators alone: the smallest gap between real and generated scores after its peak.
        measured_best: The best measured snapshot, and its distance.
    """

    collapsed: TrainingPosition | None = None
    collapsed_by: str = ""
    lost: str = ""
    passing: float | None = None
    best: TrainingPosition | None = None
    measured_best: tuple[TrainingPosition, float] | None = None

    def sentences(self) -> list[str]:
        """The same for readers."""
        found = []
        if self.collapsed is not None:
            found.append(f"Mode collapse since {self.collapsed}, by its samples' distances in {self.collapsed_by}.")
        if self.lost:
            found.append(f"{self.lost[:1].upper()}{self.lost[1:]}.")
        if self.passing is not None:
            found.append(f"{self.passing:.0%} of the last generated images pass as real with the critic; 50 % is the best there is.")
        if self.best is not None:
            found.append(
                f"Best step by the indicators (real and generated scores closest after their peak): {self.best}. Only a measure can confirm it."
            )
        if self.measured_best is not None:
            place, distance = self.measured_best
            found.append(f"Best measured snapshot: {place}, {number(distance)}.")
        return found


def diagnose(stats: Sequence[Row], evaluations: Sequence[Row] = ()) -> Diagnosis:
    """Read a training's statistics.

    Args:
        stats: Rows of `stats.jsonl`.
        evaluations: Rows of `evaluations.jsonl`.
    """
    by_features, by_pixels = _first_of_last_stretch(evaluations), next((row for row in stats if row.get("collapsed")), None)
    witness = by_features or by_pixels
    measured = [row for row in evaluations if finite(row.get("fd")) is not None]
    best = min(measured, key=lambda row: float(row["fd"]), default=None)
    return Diagnosis(
        collapsed=None if witness is None else _place(witness),
        collapsed_by="" if witness is None else "features" if by_features else "pixels",
        lost=next((str(row["diagnosis"]) for row in reversed(stats) if row.get("diagnosis")), ""),
        passing=_passing(stats),
        best=_best(stats),
        measured_best=None if best is None else (_place(best), float(best["fd"])),
    )


def _first_of_last_stretch(evaluations: Sequence[Row]) -> Row | None:
    """The first measured snapshot from which on all were nearly alike; the untrained network's sameness is no collapse."""
    first = None
    for row in reversed(evaluations):
        diversity = finite(row.get("diversity"))
        if diversity is None or diversity >= COLLAPSE_DIVERSITY or not row.get("kimg"):
            break
        first = row
    return first


def _passing(stats: Sequence[Row]) -> float | None:
    values = [value for row in stats[-max(1, int(len(stats) * PASSING_SHARE)) :] if (value := finite(row.get("fakes_passed"))) is not None]
    return float(np.mean(values)) if values else None


def _best(stats: Sequence[Row]) -> TrainingPosition | None:
    """Where the gap between real and generated scores is smallest after its peak: before it the critic itself is not trained yet."""
    rows = [row for row in stats if _gap(row) is not None and not row.get("collapsed")]
    width = max(1, int(len(rows) * CALM))
    if len(rows) < 20:
        return None
    gaps = np.array([_gap(row) for row in rows], np.float64)
    calm = np.convolve(gaps, np.ones(width) / width, mode="valid")
    peak = int(calm.argmax())
    place = peak + int(np.abs(calm[peak:]).argmin())
    return _place(rows[min(place + width // 2, len(rows) - 1)])


def _gap(row: Row) -> float | None:
    real, fake = finite(row.get("probability_real")), finite(row.get("probability_fake"))
    return real - fake if real is not None and fake is not None else finite(row.get("wasserstein"))


def _place(row: Row) -> TrainingPosition:
    return TrainingPosition(int(row.get("iteration") or 0), float(row.get("kimg") or 0.0))
