"""The composition's KID divided by that of each other arm, at each budget: as it is, and after subtracting the KID of perfect layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mitlgan.report.schema import ArmResult, Comparison
from mitlgan.runtime.progress import finite

FLOOR = "real_pasted"
"""The anchor that is the floor: real objects on real backgrounds, which no composition of generated layers can be expected to beat."""


@dataclass(frozen=True)
class KidRatio:
    """The composition against one arm at one budget; KIDs are means over seeds. Below 1 the composition is closer to real scenes.

    Attributes:
        arm: Name of the other arm.
        label: Its name for readers.
        budget: In the comparison's unit; None if arms are compared at one length only.
        ours: KID of the composition.
        theirs: KID of the other arm.
        plain: ours / theirs.
        floor: KID of perfect layers; None if it was not measured.
        above: (ours - floor) / (theirs - floor), not positive if the composition is as good as perfect layers; None if the floor is unknown, or
            the other arm is not above it.
    """

    arm: str
    label: str
    budget: float | None
    ours: float
    theirs: float
    plain: float
    floor: float | None
    above: float | None


def kid_ratios(comparison: Comparison) -> list[KidRatio]:
    """Return the ratios by arm and budget; empty if there is no composition or no KID."""
    composed = next((arm for arm in comparison.arms if arm.role == "composed"), None)
    if composed is None:
        return []
    ours = _kid_by_budget(composed)
    floor = next((finite(anchor.metrics.get("kid")) for anchor in comparison.anchors if anchor.name == FLOOR), None)
    return [
        _ratio(arm, budget, ours[budget], theirs, floor)
        for arm in comparison.arms
        if arm is not composed
        for budget, theirs in _kid_by_budget(arm).items()
        if budget in ours and theirs > 0
    ]


def _kid_by_budget(arm: ArmResult) -> dict[float | None, float]:
    rows: Sequence[tuple[float | None, Mapping[str, Any]]] = [(float(row["budget"]), row) for row in arm.budget_results] or [(None, arm.metrics)]
    return {budget: kid for budget, row in rows if (kid := finite(row.get("kid"))) is not None}


def _ratio(arm: ArmResult, budget: float | None, ours: float, theirs: float, floor: float | None) -> KidRatio:
    above = None if floor is None or theirs <= floor else (ours - floor) / (theirs - floor)
    return KidRatio(arm.name, arm.label, budget, ours, theirs, ours / theirs, floor, above)
