"""Where arms stand at each budget: the best snapshot up to it, chosen on validation pictures, over all seeds; and who is ahead when."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

Row = Mapping[str, Any]
Interval = tuple[float, float, bool]
"""From, to, and whether we are ahead in between."""

AXES = {"kimg": "kimg", "seconds": "seconds", "cpu_seconds": "CPU seconds", "macs": "tera-MACs"}
"""What arms can be compared along -> its unit."""


@dataclass(frozen=True)
class Snapshot:
    """A snapshot of one training.

    Attributes:
        kimg: Thousand real images shown to the critic by then.
        seconds: Measured.
        cpu_seconds: Likewise, of the CPU.
        macs: Tera multiply-accumulates of training.
        path: The artifact.
        validation: Its distance on the validation pictures, if it had to be measured.
        numbers: All of the validation measures.
    """

    kimg: float
    seconds: float
    cpu_seconds: float
    macs: float
    path: Path
    validation: float | None = None
    numbers: Mapping[str, float] | None = None

    def position(self, axis: str) -> float:
        """Where it lies on an axis, a key of `AXES` or of `plan.EQUAL`."""
        return float(getattr(self, axis.replace("-", "_")))


@dataclass(frozen=True)
class BudgetResult:
    """One arm at one budget, over its seeds.

    Attributes:
        budget: In the unit of the comparison.
        metrics: Mean of each number over seeds, and its spread as `<name>_std`; with one seed `kid_std` is over KID's subsets.
        chosen: What was chosen at each seed.
        values: Distance of each seed.
    """

    budget: float
    metrics: dict[str, float]
    chosen: tuple[Snapshot, ...]
    values: tuple[float, ...]


MAX_OVERSHOOT_ITERATIONS = 10
"""Iterations of the mean's length that a single one may last, where a checkpoint is written or another program wants the core."""


def best_within_budget(points: Sequence[Snapshot], budget: float, axis: str, iteration: float) -> Snapshot:
    """The snapshot with the lowest validation distance among those within a budget; the only one where nothing was measured.

    Within it is, too, the snapshot that was kept for it, at the first iteration that had reached it, unless that passed it by more than `SLOW` of them.

    Args:
        points: Of one training, in time order.
        budget: In the unit of the axis.
        axis: A key of `AXES` or of `plan.EQUAL`.
        iteration: What one comes to, on average.
    """
    places = [point.position(axis) for point in points]
    reached = next((place for place in places if place >= budget - iteration / 2), budget)  # budgets are rounded by less than that
    last = max(budget, reached if reached <= budget + MAX_OVERSHOOT_ITERATIONS * iteration else budget)
    within = [point for point, place in zip(points, places, strict=True) if place <= last] or list(points[:1])
    return min(within, key=lambda point: math.inf if point.validation is None else point.validation)


def mean_over_seeds(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Mean over seeds, and the standard deviation of the seeds as `<name>_std`."""
    if len(rows) == 1:
        return dict(rows[0])
    found: dict[str, float] = {}
    for key in rows[0]:
        if not key.endswith("_std") and all(key in row for row in rows):
            values = [row[key] for row in rows]
            found[key], found[f"{key}_std"] = float(np.mean(values)), float(np.std(values, ddof=1))
    return found


def mean_curve(trainings: Sequence[Sequence[Snapshot]]) -> list[dict[str, Any]]:
    """Distance on the validation pictures over training, mean over seeds: rows with each axis, `fd` and `fd_std`."""
    rows = []
    for points in zip(*trainings, strict=False):
        values = [point.validation for point in points if point.validation is not None]
        if len(values) < len(points):
            continue
        row: dict[str, Any] = {axis: float(np.mean([point.position(axis) for point in points])) for axis in AXES}
        row |= mean_over_seeds([point.numbers or {"fd": point.validation or 0.0} for point in points])
        rows.append(row | {"seeds": len(values)})
    return rows


def lead_intervals(
    ours: Sequence[Mapping[str, Any]], theirs: Sequence[Mapping[str, Any]], axis: str, *, shift: float = 0.0
) -> list[tuple[float, float, bool]]:
    """Stretches of an axis and whether we are ahead there, by straight lines between what was measured.

    Args:
        ours: Rows of `mean_curve`.
        theirs: Likewise.
        axis: A key of `AXES`.
        shift: What is added to our places, for pretraining that is counted.

    Returns:
        (from, to, ahead) in order, over the places that both curves cover; empty where there are none.
    """
    (x, y), (u, v) = (([row[axis] + move for row in rows], [row["fd"] for row in rows]) for rows, move in ((ours, shift), (theirs, 0.0)))
    if not x or not u:
        return []
    low, high = max(x[0], u[0]), min(x[-1], u[-1])
    if low > high or (low == high and (len(x) > 1 or len(u) > 1)):
        return []
    grid = np.unique(np.clip([*x, *u, low, high], low, high))
    gap = np.interp(grid, x, y) - np.interp(grid, u, v)
    cuts = [low]
    for (a, first), (b, second) in pairwise(zip(grid, gap, strict=True)):
        if first * second < 0:
            cuts.append(float(a + (b - a) * first / (first - second)))
    cuts.append(high)
    found: list[Interval] = []
    for a, b in pairwise(cuts):
        middle = (a + b) / 2
        ahead = bool(np.interp(middle, x, y) < np.interp(middle, u, v))
        if found and found[-1][2] == ahead:
            found[-1] = (found[-1][0], b, ahead)
        else:
            found.append((a, b, ahead))
    return found


def describe_intervals(stretches: Sequence[Interval], unit: str) -> str:
    """Stretches as a clause: "ahead from 1.2 to 5 kimg, behind from 5 to 20 kimg"."""
    return ", ".join(f"{'ahead' if ahead else 'behind'} from {a:,.3g} to {b:,.3g} {unit}" for a, b, ahead in stretches)
