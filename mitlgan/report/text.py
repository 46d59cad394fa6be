"""The report without its pictures: Markdown for people, JSON for programs."""

from __future__ import annotations

import csv
import io
import numbers
from collections.abc import Mapping, Sequence
from typing import Any

from mitlgan.report.caveats import caveats, warnings
from mitlgan.report.formatting import DASH, METRICS, markdown_text, printable
from mitlgan.report.ratios import KidRatio, kid_ratios
from mitlgan.report.schema import ArmResult, Comparison
from mitlgan.report.tables import COST_HEADINGS, Table, TableRow, budget_table, kid_ratio_table, measured_by, separation_table, summary_table
from mitlgan.runtime.progress import finite

SCHEMA_VERSION = 1
RATIOS = ("kid_ratio", "kid_ratio_above_floor")
"""Columns of the table: the composition's KID over that of the row's arm; see `ratios.Ratio`."""


def report_summary(comparison: Comparison) -> dict[str, Any]:
    """All numbers of the report as JSON values; what is not finite is null."""
    verdict = comparison.verdict
    found = {
        "schema_version": SCHEMA_VERSION,
        "title": comparison.title,
        "verdict": verdict and {"outcome": verdict.outcome, "headline": verdict.headline, "reasons": verdict.reasons},
        "arms": [_arm_summary(arm) for arm in comparison.arms],
        "anchors": [
            {"name": a.name, "label": a.label, "meaning": a.meaning, "metrics": a.metrics, "by_extractor": a.by_extractor} for a in comparison.anchors
        ],
        "equal_unit": comparison.resource,
        "budget_unit": comparison.budget_unit,
        "kid_ratios": [_ratio_summary(ratio) for ratio in kid_ratios(comparison)],
        "ahead": comparison.lead_sentences,
        "findings": comparison.findings,
        "equal": comparison.equal,
        "unequal": comparison.unequal,
        "warnings": warnings(comparison),
        "caveats": caveats(comparison),
        "protocol": comparison.protocol,
        "environment": comparison.environment,
        "commands": comparison.commands,
        "made_by": comparison.made_by,
    }
    return {key: _jsonable(value) for key, value in found.items()}


def _arm_summary(arm: ArmResult) -> dict[str, Any]:
    cost = arm.cost
    return {
        "name": arm.name,
        "label": arm.label,
        "role": arm.role,
        "run_dir": arm.run_dir,
        "seeds": arm.seeds,
        "length": arm.length,
        "metrics": arm.metrics,
        "by_extractor": arm.by_extractor,
        "values": arm.values,
        "evaluations": arm.evaluations,
        "standings": arm.budget_results,
        "separation": arm.separation,
        "memorised": arm.memorised,
        "recipes_tried": arm.recipes_tried,
        "snapshots_tried": arm.snapshots_tried,
        "cost": {
            "kimg_stage": cost.kimg(total=False),
            "kimg_total": cost.kimg(total=True),
            "seconds_stage": cost.seconds(total=False),
            "seconds_total": cost.seconds(total=True),
            "cpu_seconds_stage": cost.cpu_seconds(total=False),
            "cpu_seconds_total": cost.cpu_seconds(total=True),
            "tera_macs_stage": cost.macs(total=False),
            "tera_macs_total": cost.macs(total=True),
            "trained_parameters": cost.trained_parameters,
            "parameters": cost.parameters,
            "macs_per_image": cost.macs_per_image,
            "stages": [{"label": s.label, "kimg": s.kimg, "seconds": s.seconds, "pretraining": s.pretraining} for s in cost.stages],
        },
        "notes": arm.notes,
    }


def _ratio_summary(ratio: KidRatio) -> dict[str, Any]:
    return {
        "arm": ratio.arm, "label": ratio.label, "budget": ratio.budget, "kid": ratio.ours, "kid_of_arm": ratio.theirs, "floor": ratio.floor,
        "ratio": ratio.plain, "ratio_above_floor": ratio.above,
    }  # fmt: skip


def _jsonable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {printable(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, Sequence):
        return [_jsonable(item) for item in value]
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return finite(value)
    return printable(value)


def report_markdown(comparison: Comparison) -> str:
    """The report as Markdown, pictures and curves left out."""
    lines = [f"# {markdown_text(comparison.title)}", ""]
    if comparison.verdict:
        lines += [f"**{markdown_text(comparison.verdict.headline)}**", "", *_bullets(comparison.verdict.reasons), ""]
    lines += _bullets([f"Warning: {warning}" for warning in warnings(comparison)])
    lines += ["", "## Numbers", "", *_table_lines(comparison)]
    tables = (
        ("At each budget", budget_table(comparison)),
        ("How far ahead, by KID", kid_ratio_table(comparison)),
        ("Do the layers stay apart?", separation_table(comparison)),
    )
    for heading, extra in tables:
        if extra is not None:
            lines += ["", f"## {heading}", "", *_lines_of(extra)]
    remembered = [f"{arm.label}: {arm.memorised}" for arm in comparison.arms if arm.memorised]
    sections: tuple[tuple[str, Sequence[str]], ...] = (
        ("What its training says", comparison.findings),
        ("Who is ahead when", comparison.lead_sentences),
        ("Own pictures, or learned by heart?", remembered),
        ("What was equal", comparison.equal),
        ("What was not", comparison.unequal),
        ("How far to trust these numbers", caveats(comparison)),
        ("Notes", [f"{arm.label}: {note}" for arm in comparison.arms for note in arm.notes]),
        ("How it was measured", [f"{key}: {value}" for key, value in comparison.protocol.items()]),
        ("Environment", [f"{key}: {value}" for key, value in comparison.environment.items()]),
    )
    for heading, items in sections:
        if items:
            lines += ["", f"## {heading}", "", *_bullets(items)]
    if comparison.commands:
        lines += ["", "## Reproduce", "", *(f"    {printable(command)}" for command in comparison.commands)]
    return "\n".join([*lines, "", f"Made by {markdown_text(comparison.made_by)}. Pictures and curves are in report.html.", ""])


def csv_table(comparisons: Sequence[Comparison]) -> str:
    """All numbers as comma-separated values, a row for each domain, arm and budget, and for each anchor; full precision, empty where unknown."""
    keys = (
        "domain",
        "arm",
        "role",
        "budget",
        "unit",
        "seeds",
        "extractor",
        *(key for metric in METRICS for key in (metric.key, metric.std_key)),
        *RATIOS,
    )
    out = io.StringIO()
    writer = csv.DictWriter(out, keys, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for comparison in comparisons:
        domain = comparison.domains[0].name if comparison.domains else ""
        by_place = {(ratio.arm, ratio.budget): dict(zip(RATIOS, (ratio.plain, ratio.above), strict=True)) for ratio in kid_ratios(comparison)}
        for arm in comparison.arms:
            account = {"domain": domain, "arm": arm.label, "role": arm.role, "unit": comparison.budget_unit, "seeds": len(arm.seeds)}
            account["extractor"] = "".join(comparison.extractors[:1])
            for row in arm.budget_results or [arm.metrics]:
                place = float(row["budget"]) if arm.budget_results else None
                writer.writerow(_cells({**row, **account, **by_place.get((arm.name, place), {})}))
            for name, metrics in arm.by_extractor.items():
                last = {"budget": arm.budget_results[-1]["budget"]} if arm.budget_results else {}
                writer.writerow(_cells({**metrics, **account, **last, "extractor": name}))
        for anchor in comparison.anchors:
            account = {"domain": domain, "arm": anchor.label, "role": "anchor", "extractor": "".join(comparison.extractors[:1])}
            writer.writerow(_cells({**anchor.metrics, **account}))
            for name, metrics in anchor.by_extractor.items():
                writer.writerow(_cells({**metrics, **account, "extractor": name}))
    return out.getvalue()


def _cells(row: Mapping[str, Any]) -> dict[str, str]:
    """As text that a spreadsheet takes for no formula."""
    found = {}
    for key, value in row.items():
        text = repr(known) if (known := finite(value)) is not None else printable(value) if isinstance(value, str) else ""
        found[key] = f"'{text}" if isinstance(value, str) and text[:1] in ("=", "+", "-", "@") else text
    return found


def latex_table(comparisons: Sequence[Comparison]) -> str:
    """The table of distances for a paper: arms by budgets, or by metrics where arms stand at one length, and the anchors below."""
    parts = []
    for comparison in comparisons:
        by_budget = budget_table(comparison)
        headings, rows = summary_table(comparison)
        count = sum(1 for heading in headings if heading not in COST_HEADINGS)
        shown = by_budget or Table("arm", headings[:count], [TableRow(r.label, r.meaning, r.cells[:count], r.arm) for r in rows if r.arm is not None])
        anchors = [] if by_budget else [row for row in rows if row.arm is None]
        lines = [rf"\begin{{tabular}}{{l{'r' * len(shown.headings)}}}", r"\hline", _latex_row([shown.corner, *shown.headings]), r"\hline"]
        lines += [_latex_row([row.label, *row.cells]) for row in shown.rows]
        lines += [r"\hline", *(_latex_row([row.label, *row.cells[:count]]) for row in anchors)] if anchors else []
        parts.append("\n".join([f"% {printable(comparison.title)}", *lines, r"\hline", r"\end{tabular}"]))
    return "\n\n".join(parts) + "\n"


def _latex_row(cells: Sequence[str]) -> str:
    return " & ".join(_latex(cell) for cell in cells) + r" \\"


def _latex(text: str) -> str:
    known = {"±": r"$\pm$", DASH: "--", "²": "$^2$", "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    return "".join(known.get(char, f"\\{char}" if char in "&%$#_{}" else char) for char in printable(text))


def _lines_of(shown: Table) -> list[str]:
    lines = [f"| {shown.corner} | " + " | ".join(map(markdown_text, shown.headings)) + " |", "|---|" + "--:|" * len(shown.headings)]
    lines += ["| " + " | ".join(map(markdown_text, (row.label, *row.cells))) + " |" for row in shown.rows]
    return [*([markdown_text(shown.caption), ""] if shown.caption else []), *lines]


def _table_lines(comparison: Comparison) -> list[str]:
    headings, rows = summary_table(comparison)
    lines = ["| arm | " + " | ".join(map(markdown_text, headings)) + " |", "|---|" + "--:|" * len(headings)]
    lines = [markdown_text(measured_by(comparison)), "", *lines] if comparison.extractors else lines
    return lines + ["| " + " | ".join(map(markdown_text, (row.label, *row.cells))) + " |" for row in rows]


def _bullets(items: Sequence[str]) -> list[str]:
    return [f"- {markdown_text(item)}" for item in items]
