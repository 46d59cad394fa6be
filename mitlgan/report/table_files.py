"""The tables of a report as files: CSV for programs, LaTeX for papers."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Any

from mitlgan.report.formatting import DASH, printable
from mitlgan.report.ratios import kid_ratios
from mitlgan.report.schema import Comparison
from mitlgan.report.table import Table
from mitlgan.report.tables import METRICS, budget_table, domain_table, metrics_table
from mitlgan.runtime.progress import finite

RATIO_COLUMNS = ("kid_ratio", "kid_ratio_above_floor")
"""The composition's KID divided by that of the row's arm; see `ratios.KidRatio`."""


def csv_table(comparisons: Sequence[Comparison]) -> str:
    """Return all numbers as CSV, with a row for each domain, arm and budget, and for each anchor; full precision, empty if unknown."""
    keys = (
        "domain",
        "arm",
        "role",
        "budget",
        "unit",
        "seeds",
        "extractor",
        *(key for metric in METRICS for key in (metric.column, f"{metric.column}_std")),
        *RATIO_COLUMNS,
    )
    out = io.StringIO()
    writer = csv.DictWriter(out, keys, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for comparison in comparisons:
        for row in _csv_rows(comparison):
            writer.writerow({key: _csv_cell(value) for key, value in row.items()})
    return out.getvalue()


def _csv_rows(comparison: Comparison) -> Iterator[dict[str, Any]]:
    domain = comparison.domains[0].name if comparison.domains else ""
    first = "".join(comparison.extractors[:1])
    shared = {"domain": domain, "extractor": first}
    pairs = {(ratio.extractor, ratio.arm, ratio.budget): (ratio.plain, ratio.above) for ratio in kid_ratios(comparison)}
    ratios = {place: dict(zip(RATIO_COLUMNS, both, strict=True)) for place, both in pairs.items()}
    for arm in comparison.arms:
        own = {**shared, "arm": arm.label, "role": arm.role, "unit": comparison.budget_unit, "seeds": len(arm.seeds)}
        for row in arm.budget_results or [arm.metrics]:
            budget = float(row["budget"]) if arm.budget_results else None
            yield {**row, **own, **ratios.get((first, arm.name, budget), {})}
        last: dict[str, Any] = {"budget": arm.budget_results[-1]["budget"]} if arm.budget_results else {}
        for name, metrics in arm.by_extractor.items():
            yield {**metrics, **own, **last, "extractor": name, **ratios.get((name, arm.name, last.get("budget")), {})}
    for anchor in comparison.anchors:
        own = {**shared, "arm": anchor.label, "role": "anchor"}
        yield {**anchor.metrics, **own}
        for name, metrics in anchor.by_extractor.items():
            yield {**metrics, **own, "extractor": name}


def _csv_cell(value: Any) -> str:
    """Return a value as text that no spreadsheet takes for a formula."""
    if isinstance(value, str):
        text = printable(value)
        return f"'{text}" if text[:1] in ("=", "+", "-", "@") else text
    number = finite(value)
    return "" if number is None else repr(number)


def latex_table(comparisons: Sequence[Comparison]) -> str:
    """Return the table of distances for a paper: arms by budgets, or by metrics without budgets, with the anchors below.

    Several domains begin with one table of all, arms by domains.
    """
    overview = [_latex_lines("all domains", domain_table(comparisons))] if len(comparisons) > 1 else []
    own = [_latex_lines(comparison.title, budget_table(comparison) or metrics_table(comparison)) for comparison in comparisons]
    return "\n\n".join([*overview, *own]) + "\n"


def _latex_lines(title: str, table: Table) -> str:
    rows = {is_anchor: [_latex_row([row.label, *row.cells]) for row in table.rows if row.anchor is is_anchor] for is_anchor in (False, True)}
    lines = [rf"\begin{{tabular}}{{l{'r' * len(table.headings)}}}", r"\hline", _latex_row([table.corner, *table.headings]), r"\hline", *rows[False]]
    lines += [r"\hline", *rows[True]] if rows[True] else []
    return "\n".join([f"% {printable(title)}", *lines, r"\hline", r"\end{tabular}"])


def _latex_row(cells: Sequence[str]) -> str:
    return " & ".join(latex_text(cell) for cell in cells) + r" \\"


def latex_text(text: str) -> str:
    """Return text for LaTeX."""
    special = {"±": r"$\pm$", DASH: "--", "²": "$^2$", "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    return "".join(special.get(char, f"\\{char}" if char in "&%$#_{}" else char) for char in printable(text))
