"""The simple charts of a report: one line of distances, and bars of training time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mitlgan.report.formatting import number
from mitlgan.report.schema import Anchor, ArmResult, Comparison, Row, StageCost
from mitlgan.runtime.progress import finite


@dataclass(frozen=True)
class DistanceMark:
    """An arm or an anchor on the line of distances; `percent` is relative to the largest distance."""

    fd: float
    label: str
    arm: int | None
    percent: float


@dataclass(frozen=True)
class TimeBar:
    """The training time of one arm; each stage with its percentage of the longest time of any arm. `speed` is that of the stage that it names."""

    arm: int
    label: str
    total_s: float
    speed: str
    stages: Sequence[tuple[StageCost, float]]


def distance_line(comparison: Comparison) -> list[DistanceMark]:
    """Return arms and anchors on one line from zero to the largest distance, best first; empty if there is nothing to compare."""
    rows: list[tuple[ArmResult | Anchor, int | None]] = [(arm, index) for index, arm in enumerate(comparison.arms)]
    rows += [(anchor, None) for anchor in comparison.anchors]
    measured = [(fd, row.label, arm) for row, arm in rows if (fd := finite(row.metrics.get("fd"))) is not None]
    largest = max((fd for fd, _, _ in measured), default=0.0)
    if len(measured) < 2 or largest <= 0:
        return []
    return [DistanceMark(fd, label, arm, round(100 * max(fd, 0.0) / largest, 1)) for fd, label, arm in sorted(measured, key=lambda row: row[0])]


def time_bars(comparison: Comparison) -> list[TimeBar]:
    """Return the time of every stage as a share of the longest arm's time; empty if no time is known."""
    totals = [sum(stage.seconds or 0.0 for stage in arm.cost.stages) for arm in comparison.arms]
    longest = max(totals, default=0.0)
    if longest <= 0:
        return []
    bars = []
    for index, (arm, total) in enumerate(zip(comparison.arms, totals, strict=True)):
        stages = [(stage, round(100 * (stage.seconds or 0.0) / longest, 2)) for stage in arm.cost.stages]
        bars.append(TimeBar(index, arm.label, total, _speed(arm), stages))
    return bars


def _speed(arm: ArmResult) -> str:
    """Return the speed of an arm's own stage over its whole length, and how much of the logged steps' time was not computing."""
    kimg, seconds = finite(arm.cost.kimg(total=False)), finite(arm.cost.seconds(total=False))
    parts = [f"{number(kimg * 1000 / seconds)} images/s"] if kimg and seconds and seconds > 0 else []
    if (overhead := _overhead_fraction(arm.timing)) is not None:
        parts.append(f"{overhead:.1%} loop overhead")
    own = " and ".join(stage.label for stage in arm.cost.stages if not stage.pretraining)
    return f"{own}: {', '.join(parts)}" if parts and own and len(arm.cost.stages) > 1 else ", ".join(parts)


def _overhead_fraction(timing: Sequence[Row]) -> float | None:
    """Return the share of all logged steps' time, in which a slow step counts for its length; None if none was logged."""
    rows = [(finite(row.get("overhead_fraction")), finite(row.get("images_per_s"))) for row in timing]
    times = [(fraction, 1 / speed) for fraction, speed in rows if fraction is not None and speed is not None and speed > 0]
    return sum(fraction * time for fraction, time in times) / sum(time for _, time in times) if times else None
