"""A report as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from mitlgan.report.caveats import caveats, warnings
from mitlgan.report.formatting import markdown_text, printable
from mitlgan.report.schema import Comparison
from mitlgan.report.table import Table
from mitlgan.report.tables import budget_table, domain_table, kid_ratio_table, separation_table, summary_table


def reports_markdown(comparisons: Sequence[Comparison]) -> str:
    """Return the reports of one or several domains as Markdown; several begin with one table of all."""
    reports = [report_markdown(comparison) for comparison in comparisons]
    if len(comparisons) > 1:
        heading = f"# Compositions and baselines in {len(comparisons)} domains"
        verdicts = [f"{comparison.title}: {comparison.verdict.headline}" for comparison in comparisons if comparison.verdict]
        reports.insert(0, "\n".join([heading, "", *table_lines(domain_table(comparisons)), "", *_bullets(verdicts), ""]))
    return "\n\n".join(reports)


def report_markdown(comparison: Comparison) -> str:
    """Return the report as Markdown, without pictures and curves. It names no other file, so that it can be kept alone."""
    lines = [f"# {markdown_text(comparison.title)}", ""]
    if comparison.verdict:
        lines += [f"**{markdown_text(comparison.verdict.headline)}**", "", *_bullets(comparison.verdict.reasons), ""]
    lines += _bullets([f"Warning: {warning}" for warning in warnings(comparison)])
    lines += ["", "## Numbers", "", *table_lines(summary_table(comparison))]
    tables = (
        ("At each budget", budget_table(comparison)),
        ("How far ahead, by KID", kid_ratio_table(comparison)),
        ("Do the layers stay apart?", separation_table(comparison)),
    )
    for heading, table in tables:
        if table is not None:
            lines += ["", f"## {heading}", "", *table_lines(table)]
    memorized = [f"{arm.label}: {arm.memorised}" for arm in comparison.arms if arm.memorised]
    sections: tuple[tuple[str, Sequence[str]], ...] = (
        ("What its numbers show", comparison.findings),
        ("Who is ahead when", comparison.lead_sentences),
        ("New pictures, or memorized ones?", memorized),
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
    return "\n".join([*lines, "", f"Made by {markdown_text(comparison.made_by)}.", ""])


def table_lines(table: Table) -> list[str]:
    """Return a table as lines of Markdown, below its caption."""
    caption = [markdown_text(table.caption), ""] if table.caption else []
    cells = [(table.corner, *table.headings), *((row.label, *row.cells) for row in table.rows)]
    heading, *rows = ["| " + " | ".join(map(markdown_text, line)) + " |" for line in cells]
    return [*caption, heading, "|---|" + "--:|" * len(table.headings), *rows]


def _bullets(items: Sequence[str]) -> list[str]:
    return [f"- {markdown_text(item)}" for item in items]
