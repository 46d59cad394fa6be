"""The numbers of a comparison laid out: summary table, one line of distances, shares of the time."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from mitlgan.report.formatting import DASH, METRICS, Metric, count, distance_name, duration, number, with_std
from mitlgan.report.ratios import kid_ratios
from mitlgan.report.schema import Anchor, ArmResult, Comparison, Row, StageCost
from mitlgan.runtime.progress import finite

SEPARATION = (
    ("matte_iou", "Matte overlap", "of what the swap reveals with the reference; 1 is right"),
    ("matte_mae", "Matte error", "mean absolute difference of the two; 0 is right"),
    ("compositionality", "Compositionality R²", "1: each pixel is a fixed mixture of two layers"),
    ("leak_b_to_f", "Background in foreground", "0: nothing of it shows through opaque objects; an average of both layers has 0.25"),
    ("leak_b_to_f_recoloured", "the same but for colour", "after one affine change of colour per picture is taken out: light may match"),
    ("leak_f_to_b", "Foreground in background", "0: objects change nothing where they are not"),
    ("boundary_ratio", "Boundary", "against real scenes: below 1 edges bleed, above 1 they are cut out"),
    ("mean_matte", "Mean matte", "share of the picture that does not follow the background"),
    ("degenerate", "Degenerate mattes", "share of pictures that are all foreground or all background: they fool every other number"),
)
"""Key, label and meaning of the separation's numbers, as the report shows them."""

MAX_COLUMNS = 13
MACS_HEADING = "tera-MACs, this stage"
CPU_HEADINGS = ("CPU time, this stage", "CPU time, total")
COST_HEADINGS = (
    "kimg, this stage",
    "kimg, total",
    "time, this stage",
    "time, total",
    *CPU_HEADINGS,
    MACS_HEADING,
    "parameters trained",
    "MACs per image",
)


@dataclass(frozen=True)
class TableRow:
    """One row of the summary table, already in words.

    Args:
        label: Row heading.
        meaning: What the row stands for; empty for arms.
        cells: One per column.
        arm: Position of the arm, which gives its colour; None for an anchor.
        anchor: Whether it is one.
    """

    label: str
    meaning: str
    cells: Sequence[str]
    arm: int | None
    anchor: bool = False


@dataclass(frozen=True)
class Table:
    """A table in words.

    Args:
        corner: Heading of the first column.
        headings: Of the others.
        rows: In order.
        caption: Above it; may be empty.
    """

    corner: str
    headings: Sequence[str]
    rows: Sequence[TableRow]
    caption: str = ""


@dataclass(frozen=True)
class DistanceMark:
    """An arm or an anchor on the line of distances; `percent` of the largest distance."""

    fd: float
    label: str
    arm: int | None
    percent: float


@dataclass(frozen=True)
class TimeBar:
    """The training time of one arm; each stage with its percentage of the dearest arm's time."""

    arm: int
    label: str
    total_s: float
    speed: str
    stages: Sequence[tuple[StageCost, float]]


def summary_table(comparison: Comparison) -> tuple[list[str], list[TableRow]]:
    """Headings (without the first) and rows, arms before anchors; metrics that no row has are left out."""
    rows: Sequence[ArmResult | Anchor] = [*comparison.arms, *comparison.anchors]
    metrics = [m for m in METRICS if m.key in ("fd", "kid") or any(finite(row.metrics.get(m.key)) is not None for row in rows)]
    further = comparison.extractors[1:]
    unknown = {MACS_HEADING} if all(arm.cost.macs(total=False) is None for arm in comparison.arms) else set()
    if not comparison.budget_unit or all(arm.cost.cpu_seconds(total=False) is None for arm in comparison.arms):
        unknown |= {*CPU_HEADINGS}
    costs = [heading for heading in COST_HEADINGS if heading not in unknown]
    headings = [*_headings(metrics, comparison.extractors), *costs]
    arms = [TableRow(arm.label, "", [*_cells(arm, metrics, further), *_cost_cells(arm, costs)], index) for index, arm in enumerate(comparison.arms)]
    no_cost = [DASH] * len(costs)
    anchors = [TableRow(a.label, a.meaning, [*_cells(a, metrics, further), *no_cost], None, True) for a in comparison.anchors]
    return headings, arms + anchors


def _headings(metrics: Sequence[Metric], extractors: Sequence[str]) -> list[str]:
    """Every distance by its extractor; the other measures are of the first, which the caption says."""
    first, *further = extractors or ("",)
    named = f"KID ({first})" if further else "KID"
    headings = [named if m.key == "kid" else m.label.format(distance=distance_name(first)) for m in metrics]
    return headings + [text for name in further for text in (distance_name(name), f"KID ({name})")]


def _cells(row: ArmResult | Anchor, metrics: Sequence[Metric], further: Sequence[str]) -> list[str]:
    own = [with_std(row.metrics, metric) for metric in metrics]
    return own + [with_std(row.by_extractor.get(name, {}), metric) for name in further for metric in METRICS[:2]]


def measured_by(comparison: Comparison) -> str:
    """Who measured what stands under headings that name no extractor; empty where that is not known."""
    return f"Measured by {comparison.extractors[0]}, where a heading names no other." if comparison.extractors else ""


def numbers_table(comparison: Comparison) -> Table:
    """The same with its caption."""
    headings, rows = summary_table(comparison)
    if _costs_apart(comparison, headings):
        count = sum(1 for heading in headings if heading not in COST_HEADINGS)
        headings, rows = headings[:count], [dataclasses.replace(row, cells=row.cells[:count]) for row in rows]
    name = distance_name(comparison.protocol.get("extractor"))
    caption = "All rows are measured alike; anchors say what a number means." if comparison.anchors else f"{name} and KID: lower is better."
    return Table("arm", headings, rows, " ".join(filter(None, (caption, measured_by(comparison)))))


def cost_table(comparison: Comparison) -> Table | None:
    """What each arm cost, where the table of numbers leaves it out."""
    headings, rows = summary_table(comparison)
    if not _costs_apart(comparison, headings):
        return None
    first = sum(1 for heading in headings if heading not in COST_HEADINGS)
    return Table("arm", headings[first:], [dataclasses.replace(row, cells=row.cells[first:]) for row in rows if row.arm is not None])


def _costs_apart(comparison: Comparison, headings: Sequence[str]) -> bool:
    """Whether costs have a table of their own: with budgets there is much to tell of each arm, and more columns do not fit a page."""
    return bool(comparison.budget_unit) or len(headings) > MAX_COLUMNS


def _cost_cells(arm: ArmResult, headings: Sequence[str]) -> list[str]:
    cost = arm.cost
    kimg = [number(cost.kimg(total=total)) for total in (False, True)]
    seconds = [duration(cost.seconds(total=total)) for total in (False, True)]
    cpu_seconds = [duration(cost.cpu_seconds(total=total)) for total in (False, True)]
    cells = [*kimg, *seconds, *cpu_seconds, number(cost.macs(total=False)), count(cost.trained_parameters), count(cost.macs_per_image)]
    return [cell for heading, cell in zip(COST_HEADINGS, cells, strict=True) if heading in headings]


def budget_table(comparison: Comparison) -> Table | None:
    """Arms by budgets; None where arms stand at one length only."""
    budgets = sorted({float(row["budget"]) for arm in comparison.arms for row in arm.budget_results})
    if not budgets:
        return None
    rows = []
    for index, arm in enumerate(comparison.arms):
        by_budget = {float(row["budget"]): row for row in arm.budget_results}
        rows.append(TableRow(arm.label, _tuning(arm), [_standing(by_budget.get(budget)) for budget in budgets], index))
    return Table("arm", [f"{budget:,g} {comparison.budget_unit}" for budget in budgets], rows)


def _standing(row: Row | None) -> str:
    if row is None:
        return DASH
    chosen = ", ".join(f"{kimg:g}" for kimg in row.get("chosen_kimg", ()))
    return with_std(row, METRICS[0]) + (f" ({chosen})" if chosen else "")


def _tuning(arm: ArmResult) -> str:
    recipes = f"{arm.recipes_tried} recipe{'s' if arm.recipes_tried > 1 else ''} tried"
    snapshots = f"{arm.snapshots_tried} snapshot{'s' if arm.snapshots_tried > 1 else ''} or settings to choose among"
    seeds = f"{len(arm.seeds)} seeds" if len(arm.seeds) > 1 else "one seed" if arm.seeds else "nothing trained"
    return f"{recipes}, {snapshots}, {seeds}"


def kid_ratio_table(comparison: Comparison) -> Table | None:
    """KID ratios, arms by budgets, plain and above the floor; None where there is nothing to divide."""
    found = kid_ratios(comparison)
    if not found:
        return None
    floor = found[0].floor
    budgets = sorted({ratio.budget for ratio in found}, key=lambda budget: budget or 0.0)
    headings = ["KID" if budget is None else f"{budget:,g} {comparison.budget_unit}" for budget in budgets]
    headings += [f"{heading}, above the floor" for heading in headings] if floor is not None else []
    rows = []
    for index, arm in enumerate(comparison.arms):
        own = {ratio.budget: ratio for ratio in found if ratio.arm == arm.name}
        cells = [number(own[budget].plain) if budget in own else DASH for budget in budgets]
        cells += [number(own[budget].above) if budget in own else DASH for budget in budgets] if floor is not None else []
        rows += [TableRow(arm.label, "", cells, index)] if own else []
    by = f", by {comparison.extractors[0]}" if comparison.extractors else ""
    caption = f"KID of the composition{by}, divided by that of each other arm (means over seeds); below 1 the composition is nearer to real scenes."
    if floor is not None:
        caption += f" Above the floor: after {number(floor, 3)}, the KID of real layers pasted, is taken from both."
    return Table("composition over", headings, rows, caption)


def separation_table(comparison: Comparison) -> Table | None:
    """Numbers of every arm that is made of layers, arms in columns; None where there is none."""
    arms = [arm for arm in comparison.arms if arm.separation]
    if not arms:
        return None
    rows = [
        TableRow(label, meaning, [number(arm.separation.get(key), 3) for arm in arms], None)
        for key, label, meaning in SEPARATION
        if any(key in arm.separation for arm in arms)
    ]
    held = sorted({str(arm.separation["reference_matte"]) for arm in arms if arm.separation.get("reference_matte")})
    swaps = sorted({f"{arm.separation.get('foregrounds')} x {arm.separation.get('backgrounds')}" for arm in arms})
    return Table("measure", [arm.label for arm in arms], rows, f"Reference matte: {'; '.join(held) or 'none'}. Swaps: {', '.join(swaps)}.")


def domain_table(comparisons: Sequence[Comparison]) -> Table:
    """Arms by domains, the thesis' Table 7.4: the distance of each."""
    labels = list(dict.fromkeys(arm.label for comparison in comparisons for arm in comparison.arms))
    rows = []
    for label in labels:
        found = [next((arm for arm in comparison.arms if arm.label == label), None) for comparison in comparisons]
        rows.append(TableRow(label, "", [DASH if arm is None else with_std(arm.metrics, METRICS[0]) for arm in found], None))
    name = distance_name(comparisons[0].protocol.get("extractor"))
    return Table("arm", [comparison.domains[0].name for comparison in comparisons], rows, f"{name} by domain; lower is better.")


def distance_line(comparison: Comparison) -> list[DistanceMark]:
    """Arms and anchors on one line from zero to the largest distance, best first; empty when there is nothing to compare."""
    rows: list[tuple[ArmResult | Anchor, int | None]] = [(arm, index) for index, arm in enumerate(comparison.arms)]
    rows += [(anchor, None) for anchor in comparison.anchors]
    known = [(fd, row.label, arm) for row, arm in rows if (fd := finite(row.metrics.get("fd"))) is not None]
    largest = max((fd for fd, _, _ in known), default=0.0)
    if len(known) < 2 or largest <= 0:
        return []
    return [DistanceMark(fd, label, arm, round(100 * max(fd, 0.0) / largest, 1)) for fd, label, arm in sorted(known, key=lambda found: found[0])]


def time_bars(comparison: Comparison) -> list[TimeBar]:
    """Time of every stage as shares of the dearest arm; empty when no arm's time is known."""
    totals = [sum(stage.seconds or 0.0 for stage in arm.cost.stages) for arm in comparison.arms]
    dearest = max(totals, default=0.0)
    if dearest <= 0:
        return []
    found = []
    for index, (arm, total) in enumerate(zip(comparison.arms, totals, strict=True)):
        stages = [(stage, round(100 * (stage.seconds or 0.0) / dearest, 2)) for stage in arm.cost.stages]
        found.append(TimeBar(index, arm.label, total, _speed(arm), stages))
    return found


def _speed(arm: ArmResult) -> str:
    last = arm.timing[-1] if arm.timing else {}
    speed, overhead = finite(last.get("images_per_s")), finite(last.get("overhead_fraction"))
    told = [] if speed is None else [f"{number(speed)} images/s"]
    return ", ".join(told if overhead is None else [*told, f"{overhead:.1%} loop overhead"])
