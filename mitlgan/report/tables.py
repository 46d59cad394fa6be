"""The numbers of a comparison laid out: summary table, one line of distances, shares of the time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mitlgan.report.model import Anchor, Arm, Comparison, StageCost
from mitlgan.report.wording import DASH, METRICS, count, distance_name, duration, finite, number, with_spread

COST_HEADINGS = ("kimg, this stage", "kimg, total", "time, this stage", "time, total", "parameters trained", "MACs per image")


@dataclass(frozen=True)
class TableRow:
    """One row of the summary table, already in words.

    Args:
        label: Row heading.
        meaning: What the row stands for; empty for arms.
        cells: One per column.
        arm: Position of the arm, which gives its colour; None for an anchor.
    """

    label: str
    meaning: str
    cells: Sequence[str]
    arm: int | None


@dataclass(frozen=True)
class Mark:
    """An arm or an anchor on the line of distances; `percent` of the largest distance."""

    fd: float
    label: str
    arm: int | None
    percent: float


@dataclass(frozen=True)
class Bar:
    """The training time of one arm; each stage with its percentage of the dearest arm's time."""

    arm: int
    label: str
    total_s: float
    speed: str
    stages: Sequence[tuple[StageCost, float]]


def table(comparison: Comparison) -> tuple[list[str], list[TableRow]]:
    """Headings (without the first) and rows, arms before anchors; metrics that no row has are left out."""
    rows: Sequence[Arm | Anchor] = [*comparison.arms, *comparison.anchors]
    metrics = [m for m in METRICS if m.key in ("fd", "kid") or any(finite(row.metrics.get(m.key)) is not None for row in rows)]
    name = distance_name(comparison.protocol.get("extractor"))
    headings = [m.label.format(distance=name) for m in metrics] + list(COST_HEADINGS)
    arms = [
        TableRow(arm.label, "", [*(with_spread(arm.metrics, m) for m in metrics), *_cost_cells(arm)], index)
        for index, arm in enumerate(comparison.arms)
    ]
    no_cost = [DASH] * len(COST_HEADINGS)
    anchors = [TableRow(a.label, a.meaning, [*(with_spread(a.metrics, m) for m in metrics), *no_cost], None) for a in comparison.anchors]
    return headings, arms + anchors


def _cost_cells(arm: Arm) -> list[str]:
    cost = arm.cost
    kimg = [number(cost.kimg(total=total)) for total in (False, True)]
    seconds = [duration(cost.seconds(total=total)) for total in (False, True)]
    return [*kimg, *seconds, count(cost.trained_parameters), count(cost.macs_per_image)]


def marks(comparison: Comparison) -> list[Mark]:
    """Arms and anchors on one line from zero to the largest distance, best first; empty when there is nothing to compare."""
    rows: list[tuple[Arm | Anchor, int | None]] = [(arm, index) for index, arm in enumerate(comparison.arms)]
    rows += [(anchor, None) for anchor in comparison.anchors]
    known = [(fd, row.label, arm) for row, arm in rows if (fd := finite(row.metrics.get("fd"))) is not None]
    largest = max((fd for fd, _, _ in known), default=0.0)
    if len(known) < 2 or largest <= 0:
        return []
    return [Mark(fd, label, arm, round(100 * max(fd, 0.0) / largest, 1)) for fd, label, arm in sorted(known, key=lambda found: found[0])]


def bars(comparison: Comparison) -> list[Bar]:
    """Time of every stage as shares of the dearest arm; empty when no arm's time is known."""
    totals = [sum(stage.seconds or 0.0 for stage in arm.cost.stages) for arm in comparison.arms]
    dearest = max(totals, default=0.0)
    if dearest <= 0:
        return []
    found = []
    for index, (arm, total) in enumerate(zip(comparison.arms, totals, strict=True)):
        stages = [(stage, round(100 * (stage.seconds or 0.0) / dearest, 2)) for stage in arm.cost.stages]
        found.append(Bar(index, arm.label, total, _speed(arm), stages))
    return found


def _speed(arm: Arm) -> str:
    last = arm.timing[-1] if arm.timing else {}
    speed, overhead = finite(last.get("images_per_s")), finite(last.get("overhead_fraction"))
    told = [] if speed is None else [f"{number(speed)} images/s"]
    return ", ".join(told if overhead is None else [*told, f"{overhead:.1%} loop overhead"])
