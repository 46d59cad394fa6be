"""Who is ahead when: intervals of an axis in which the composition's curve is below a baseline's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from mitlgan.compare.arms import PRETRAINING_SUFFIX
from mitlgan.compare.snapshots import AXES
from mitlgan.report.formatting import number
from mitlgan.report.schema import ArmResult

AHEAD, EQUAL, BEHIND = "ahead", "equal", "behind"
Interval = tuple[float, float, str]
"""Start, end, and whether the composition is ahead, behind or equal in between."""
ROUNDING = 1e-9
"""Gap, relative to the distances, up to which two curves are equal."""


def lead_intervals(ours: Sequence[Mapping[str, Any]], theirs: Sequence[Mapping[str, Any]], axis: str, *, shift: float = 0.0) -> list[Interval]:
    """Return where the composition is ahead of a baseline, interpolating linearly between measurements.

    Args:
        ours: Rows of `mean_curve`.
        theirs: Rows of `mean_curve`.
        axis: A key of `AXES`.
        shift: Added to the composition's positions, to count its pretraining.

    Returns:
        Intervals in order, over the range that both curves cover; empty if there is none. One in which the curves only touch has no length.
    """
    (x, y), (u, v) = (([row[axis] + move for row in rows], [row["fd"] for row in rows]) for rows, move in ((ours, shift), (theirs, 0.0)))
    if not x or not u:
        return []
    low, high = max(x[0], u[0]), min(x[-1], u[-1])
    if low > high or (low == high and (len(x) > 1 or len(u) > 1)):
        return []
    grid = np.unique(np.clip([*x, *u, low, high], low, high))
    own, other = np.interp(grid, x, y), np.interp(grid, u, v)
    gap = np.where(np.abs(own - other) <= ROUNDING * np.maximum(np.abs(own), np.abs(other)), 0.0, own - other)
    points = [(low, float(gap[0]))]
    for (a, first), (b, second) in pairwise(zip(grid.tolist(), gap.tolist(), strict=True)):
        if first * second < 0:  # the curves cross between a and b
            points.append((a + (b - a) * first / (first - second), 0.0))
        points.append((b, second))
    return _merged(points)


def _merged(points: Sequence[tuple[float, float]]) -> list[Interval]:
    """Return the intervals of a gap that is linear between points and changes its sign only at them."""
    pieces = [(a, b, _side(first + second)) for (a, first), (b, second) in pairwise(points)] or [(points[0][0], points[0][0], _side(points[0][1]))]
    gaps = dict(points)
    intervals: list[Interval] = []
    for start, end, side in pieces:
        if intervals and intervals[-1][2] == side and (side == EQUAL or gaps[start]):
            intervals[-1] = (intervals[-1][0], end, side)
            continue
        if intervals and intervals[-1][2] == side:  # they touch at its start
            intervals.append((start, start, EQUAL))
        intervals.append((start, end, side))
    return intervals


def _side(gap: float) -> str:
    return AHEAD if gap < 0 else BEHIND if gap > 0 else EQUAL


def describe_intervals(intervals: Sequence[Interval], unit: str) -> str:
    """Return intervals as a clause: "ahead from 1.2 to 5 kimg, equal at 5 kimg, behind from 5 to 20 kimg"."""
    return ", ".join(f"{side} {f'at {a:,.3g}' if a == b else f'from {a:,.3g} to {b:,.3g}'} {unit}" for a, b, side in intervals)


def lead_sentences(arms: Sequence[ArmResult], validation_split: str) -> list[str]:
    """Return who is ahead when, on each axis, without the composition's pretraining and with it; the composition is the first arm.

    An arm whose training diverged is not compared.
    """
    ours, *others = arms
    sentences = []
    rivals = [] if ours.diverged else [arm for arm in others if not arm.diverged and not arm.name.endswith(PRETRAINING_SUFFIX)]
    for other in (arm for arm in rivals if len(arm.evaluations) > 1):
        clauses = [describe_intervals(lead_intervals(ours.evaluations, other.evaluations, axis), unit) for axis, unit in AXES.items()]
        if any(clauses):
            sentences.append(
                f"Composition against {other.label}, by distance on {validation_split}, without its pretraining: {'; '.join(filter(None, clauses))}."
            )
        sentences += _lead_with_pretraining(ours, other)
    return sentences


def _lead_with_pretraining(ours: ArmResult, other: ArmResult) -> list[str]:
    pretraining_kimg = sum(stage.kimg or 0.0 for stage in ours.cost.stages if stage.pretraining)
    if pretraining_kimg <= 0 or not ours.evaluations or not other.evaluations:
        return []
    clause = describe_intervals(lead_intervals(ours.evaluations, other.evaluations, "kimg", shift=pretraining_kimg), "kimg")
    if clause:
        return [f"With its {number(pretraining_kimg)} kimg of pretraining included: {clause}."]
    first, last = ours.evaluations[0], other.evaluations[-1]
    return [
        f"With its {number(pretraining_kimg)} kimg of pretraining included, the composition is first measured at "
        f"{number(pretraining_kimg + first['kimg'])} kimg ({number(first['fd'])}); {other.label} ended at {number(last['kimg'])} kimg "
        f"({number(last['fd'])})."
    ]
