"""The composition's KID divided by that of each other arm, at each budget: as it is, and after subtracting the KID of perfect layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mitlgan.report.schema import Anchor, ArmResult, Comparison
from mitlgan.runtime.progress import finite

FLOOR = "real_pasted"
"""The anchor that is the floor: real objects on real backgrounds, which no composition of generated layers can be expected to beat."""


@dataclass(frozen=True)
class KidRatio:
    """The composition against one arm at one budget; KIDs are means over seeds. Below 1 the composition is closer to real scenes.

    Attributes:
        extractor: Name of what measured both; "" where a report names none.
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

    extractor: str
    arm: str
    label: str
    budget: float | None
    ours: float
    theirs: float
    plain: float
    floor: float | None
    above: float | None


def kid_ratios(comparison: Comparison) -> list[KidRatio]:
    """Return the ratios by extractor, arm and budget; empty if there is no composition or no KID. An arm whose training diverged has none.

    The first extractor measures at every budget, the others at the last one only.
    """
    composed = next((arm for arm in comparison.arms if arm.role == "composed"), None)
    if composed is None or composed.diverged:
        return []
    first, *others = comparison.extractors or [""]
    ratios = []
    for extractor in (None, *others):
        ours = _kid_by_budget(composed, extractor)
        floor = next((_floor(anchor, extractor) for anchor in comparison.anchors if anchor.name == FLOOR), None)
        ratios += [
            _ratio(extractor or first, arm, budget, ours[budget], theirs, floor)
            for arm in comparison.arms
            if arm is not composed and not arm.diverged
            for budget, theirs in _kid_by_budget(arm, extractor).items()
            if budget in ours and theirs > 0
        ]
    return ratios


def _kid_by_budget(arm: ArmResult, extractor: str | None) -> dict[float | None, float]:
    """Return an arm's KIDs by a further extractor, or by the first one if None."""
    last = float(arm.budget_results[-1]["budget"]) if arm.budget_results else None
    rows: Sequence[tuple[float | None, Mapping[str, Any]]]
    if extractor is not None:
        rows = [(last, arm.by_extractor.get(extractor, {}))]
    else:
        rows = [(float(row["budget"]), row) for row in arm.budget_results] or [(None, arm.metrics)]
    return {budget: kid for budget, row in rows if (kid := finite(row.get("kid"))) is not None}


def _floor(anchor: Anchor, extractor: str | None) -> float | None:
    return finite((anchor.metrics if extractor is None else anchor.by_extractor.get(extractor, {})).get("kid"))


def _ratio(extractor: str, arm: ArmResult, budget: float | None, ours: float, theirs: float, floor: float | None) -> KidRatio:
    above = None if floor is None or theirs <= floor else (ours - floor) / (theirs - floor)
    return KidRatio(extractor, arm.name, arm.label, budget, ours, theirs, ours / theirs, floor, above)
