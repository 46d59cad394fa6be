"""The tables of a report, in words, as HTML, Markdown and LaTeX show them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from mitlgan.metrics import metric_table
from mitlgan.metrics.metric_table import Metric
from mitlgan.report.formatting import DASH, count, distance_name, duration, number, with_spread
from mitlgan.report.ratios import kid_ratios
from mitlgan.report.schema import Anchor, ArmResult, Comparison, Row
from mitlgan.report.table import Table, TableRow
from mitlgan.runtime.progress import finite

METRICS = tuple(metric for metric in metric_table.METRICS if metric.heading is not None)
"""In the order of their columns; FD and KID are always shown, the others if any row has them."""

SEPARATION = (
    ("matte_iou", "Matte overlap", "IoU of the matte found by swapping and the reference matte; 1 is perfect"),
    ("matte_mae", "Matte error", "mean absolute difference of the two; 0 is perfect"),
    ("compositionality", "Compositionality R²", "1: each pixel is a fixed mixture of two layers"),
    ("leak_b_to_f", "Background in foreground", "0: opaque objects hide the background; an average of both layers has 0.25"),
    ("leak_b_to_f_recoloured", "the same without colour", "after removing one affine change of colour per picture: lighting may match"),
    ("leak_f_to_b", "Foreground in background", "0: objects change nothing where they are not"),
    ("boundary_ratio", "Boundary", "compared with real scenes: below 1 edges bleed, above 1 they look cut out"),
    ("mean_matte", "Mean matte", "share of the picture that does not follow the background"),
    ("degenerate", "Degenerate mattes", "share of pictures that are all foreground or all background; such pictures fool every other number"),
)
"""Key, label and meaning of the numbers of layer separation."""

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


def metrics_table(comparison: Comparison) -> Table:
    """Return the metrics of all arms, then of all anchors; metrics that no row has are left out."""
    rows: Sequence[ArmResult | Anchor] = [*comparison.arms, *comparison.anchors]
    metrics = [m for m in METRICS if m.column in ("fd", "kid") or any(finite(row.metrics.get(m.column)) is not None for row in rows)]
    secondary = comparison.extractors[1:]
    arms = [TableRow(arm.label, "", _metric_cells(arm, metrics, secondary), index) for index, arm in enumerate(comparison.arms)]
    anchors = [TableRow(anchor.label, anchor.meaning, _metric_cells(anchor, metrics, secondary), None, True) for anchor in comparison.anchors]
    captions = [f"Measured by {comparison.extractors[0]}, unless a heading names another extractor."] if comparison.extractors else []
    if any(not anchor.has_counts_of(comparison.protocol) for anchor in comparison.anchors):
        distance = distance_name(comparison.protocol.get("extractor"))
        captions.append(f"Where a row names its numbers of pictures, arms have others: compare KID, as {distance} falls with them.")
    return Table("arm", _metric_headings(metrics, comparison.extractors), arms + anchors, " ".join(captions))


def cost_columns(comparison: Comparison) -> Table:
    """Return what each arm cost, with a dash for every anchor; columns that are not known are left out."""
    unknown = {MACS_HEADING} if all(arm.cost.macs(total=False) is None for arm in comparison.arms) else set()
    if not comparison.budget_unit or all(arm.cost.cpu_seconds(total=False) is None for arm in comparison.arms):
        unknown |= {*CPU_HEADINGS}
    headings = [heading for heading in COST_HEADINGS if heading not in unknown]
    arms = [TableRow(arm.label, "", _cost_cells(arm, headings), index) for index, arm in enumerate(comparison.arms)]
    anchors = [TableRow(anchor.label, anchor.meaning, [DASH] * len(headings), None, True) for anchor in comparison.anchors]
    return Table("arm", headings, arms + anchors)


def summary_table(comparison: Comparison) -> Table:
    """Return metrics and costs of all rows."""
    return metrics_table(comparison).joined(cost_columns(comparison))


def numbers_table(comparison: Comparison) -> Table:
    """Return the main table of a page, without costs if these have a table of their own."""
    table = metrics_table(comparison) if _has_cost_table(comparison) else summary_table(comparison)
    distance = distance_name(comparison.protocol.get("extractor"))
    caption = "Anchors show what a number means." if comparison.anchors else f"{distance} and KID: lower is better."
    return dataclasses.replace(table, caption=" ".join(filter(None, (caption, table.caption))))


def cost_table(comparison: Comparison) -> Table | None:
    """Return what each arm cost, if the main table leaves it out."""
    if not _has_cost_table(comparison):
        return None
    table = cost_columns(comparison)
    return dataclasses.replace(table, rows=[row for row in table.rows if row.arm is not None])


def _has_cost_table(comparison: Comparison) -> bool:
    """Return whether costs have a table of their own: with budgets there are many columns, and more do not fit a page."""
    return bool(comparison.budget_unit) or len(summary_table(comparison).headings) > MAX_COLUMNS


def _metric_headings(metrics: Sequence[Metric], extractors: Sequence[str]) -> list[str]:
    """Return headings that name the extractor of every distance; the other metrics are of the first, as the caption says."""
    first, *secondary = extractors or ("",)
    kid = f"KID ({first})" if secondary else "KID"
    headings = [kid if metric.column == "kid" else str(metric.heading).format(distance=distance_name(first)) for metric in metrics]
    return headings + [heading for name in secondary for heading in (distance_name(name), f"KID ({name})")]


def _metric_cells(row: ArmResult | Anchor, metrics: Sequence[Metric], secondary: Sequence[str]) -> list[str]:
    cells = [with_std(row.metrics, metric) for metric in metrics]
    return cells + [with_std(row.by_extractor.get(name, {}), metric) for name in secondary for metric in METRICS[:2]]


def _cost_cells(arm: ArmResult, headings: Sequence[str]) -> list[str]:
    cost = arm.cost
    kimg = [number(cost.kimg(total=total)) for total in (False, True)]
    seconds = [duration(cost.seconds(total=total)) for total in (False, True)]
    cpu_seconds = [duration(cost.cpu_seconds(total=total)) for total in (False, True)]
    cells = [*kimg, *seconds, *cpu_seconds, number(cost.macs(total=False)), count(cost.trained_parameters), count(cost.macs_per_image)]
    return [cell for heading, cell in zip(COST_HEADINGS, cells, strict=True) if heading in headings]


def with_std(metrics: Mapping[str, Any], metric: Metric) -> str:
    """Return a metric and, if it is known, its standard deviation: "1.352 ± 0.080"."""
    return with_spread(metrics.get(metric.column), metrics.get(f"{metric.column}_std"), metric.report_decimals)


def budget_table(comparison: Comparison) -> Table | None:
    """Return the distance of each arm at each budget; None if arms are compared at one length only."""
    budgets = sorted({float(row["budget"]) for arm in comparison.arms for row in arm.budget_results})
    if not budgets:
        return None
    rows = []
    for index, arm in enumerate(comparison.arms):
        by_budget = {float(row["budget"]): row for row in arm.budget_results}
        rows.append(TableRow(arm.label, _tuning(arm), [_budget_cell(by_budget.get(budget)) for budget in budgets], index))
    return Table("arm", [f"{budget:,g} {comparison.budget_unit}" for budget in budgets], rows)


def _budget_cell(row: Row | None) -> str:
    if row is None:
        return DASH
    chosen = ", ".join(f"{kimg:g}" for kimg in row.get("chosen_kimg", ()))
    return with_std(row, METRICS[0]) + (f" ({chosen})" if chosen else "")


def _tuning(arm: ArmResult) -> str:
    recipes = f"{arm.recipes_tried} recipe{'s' if arm.recipes_tried > 1 else ''} tried"
    snapshots = f"{arm.snapshots_tried} snapshot{'s' if arm.snapshots_tried > 1 else ''} or settings to choose from"
    seeds = f"{len(arm.seeds)} seeds" if len(arm.seeds) > 1 else "one seed" if arm.seeds else "nothing trained"
    return f"{recipes}, {snapshots}, {seeds}"


def kid_ratio_table(comparison: Comparison) -> Table | None:
    """Return the KID ratios of each arm at each budget, plain and above the floor; None if there are none."""
    ratios = kid_ratios(comparison)
    if not ratios:
        return None
    names = list(dict.fromkeys(ratio.extractor for ratio in ratios))
    floors = {ratio.extractor: ratio.floor for ratio in ratios if ratio.floor is not None}
    budgets = sorted({ratio.budget for ratio in ratios}, key=lambda budget: budget or 0.0)
    headings = ["KID" if budget is None else f"{budget:,g} {comparison.budget_unit}" for budget in budgets]
    headings += [f"{heading}, above the floor" for heading in headings] if floors else []
    rows = []
    for index, arm in enumerate(comparison.arms):
        for name in names:
            own = {ratio.budget: ratio for ratio in ratios if (ratio.arm, ratio.extractor) == (arm.name, name)}
            cells = [number(own[budget].plain) if budget in own else DASH for budget in budgets]
            cells += [number(own[budget].above) if budget in own else DASH for budget in budgets] if floors else []
            rows += [TableRow(f"{arm.label}, by {name}" if len(names) > 1 else arm.label, "", cells, index)] if own else []
    by = f" by {names[0]}" if len(names) == 1 and names[0] else ""
    caption = f"KID of the composition{by}, divided by the KID of each other arm (means over seeds). Below 1, the composition is closer to real scenes."
    if floors:
        subtracted = " and ".join(number(floor, 3) + (f" ({name})" if len(names) > 1 else "") for name, floor in floors.items())
        caption += f" Above the floor: after subtracting {subtracted}, the KID of real layers pasted, from both."
    return Table("composition over", headings, rows, caption)


def separation_table(comparison: Comparison) -> Table | None:
    """Return the separation of layers, with arms in columns; None if no arm is made of layers."""
    arms = [arm for arm in comparison.arms if arm.separation]
    if not arms:
        return None
    rows = [
        TableRow(label, meaning, [number(arm.separation.get(key), 3) for arm in arms], None)
        for key, label, meaning in SEPARATION
        if any(key in arm.separation for arm in arms)
    ]
    references = sorted({str(arm.separation["reference_matte"]) for arm in arms if arm.separation.get("reference_matte")})
    swaps = sorted({f"{arm.separation.get('foregrounds')} x {arm.separation.get('backgrounds')}" for arm in arms})
    several = " Of the first seed of each arm alone." if any(len(arm.seeds) > 1 for arm in arms) else ""
    caption = f"Reference matte: {'; '.join(references) or 'none'}. Swaps: {', '.join(swaps)}.{several}"
    return Table("measure", [arm.label for arm in arms], rows, caption)


def domain_table(comparisons: Sequence[Comparison]) -> Table:
    """Return the distance of each arm in each domain, as in Table 7.4 of the thesis."""
    labels = list(dict.fromkeys(arm.label for comparison in comparisons for arm in comparison.arms))
    rows = []
    for label in labels:
        arms = [next((arm for arm in comparison.arms if arm.label == label), None) for comparison in comparisons]
        rows.append(TableRow(label, "", [DASH if arm is None else with_std(arm.metrics, METRICS[0]) for arm in arms], None))
    name = distance_name(comparisons[0].protocol.get("extractor"))
    return Table("arm", [comparison.domains[0].name for comparison in comparisons], rows, f"{name} by domain; lower is better.")
