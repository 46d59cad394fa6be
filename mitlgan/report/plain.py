"""The report without its pictures: Markdown for people, JSON for programs."""

from __future__ import annotations

import numbers
from collections.abc import Mapping, Sequence
from typing import Any

from mitlgan.report.model import Arm, Comparison
from mitlgan.report.tables import table
from mitlgan.report.verdict import caveats, warnings
from mitlgan.report.wording import finite, markdown_text, printable

SCHEMA_VERSION = 1


def summary(comparison: Comparison) -> dict[str, Any]:
    """All numbers of the report as JSON values; what is not finite is null."""
    verdict = comparison.verdict
    found = {
        "schema_version": SCHEMA_VERSION,
        "title": comparison.title,
        "verdict": verdict and {"outcome": verdict.outcome, "headline": verdict.headline, "reasons": verdict.reasons},
        "arms": [_arm_summary(arm) for arm in comparison.arms],
        "anchors": [{"name": a.name, "label": a.label, "meaning": a.meaning, "metrics": a.metrics} for a in comparison.anchors],
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


def _arm_summary(arm: Arm) -> dict[str, Any]:
    cost = arm.cost
    return {
        "name": arm.name,
        "label": arm.label,
        "role": arm.role,
        "run_dir": arm.run_dir,
        "seeds": arm.seeds,
        "metrics": arm.metrics,
        "evaluations": arm.evaluations,
        "cost": {
            "kimg_stage": cost.kimg(total=False),
            "kimg_total": cost.kimg(total=True),
            "seconds_stage": cost.seconds(total=False),
            "seconds_total": cost.seconds(total=True),
            "trained_parameters": cost.trained_parameters,
            "parameters": cost.parameters,
            "macs_per_image": cost.macs_per_image,
            "stages": [{"label": s.label, "kimg": s.kimg, "seconds": s.seconds, "pretraining": s.pretraining} for s in cost.stages],
        },
        "notes": arm.notes,
    }


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


def markdown(comparison: Comparison) -> str:
    """The report as Markdown, pictures and curves left out."""
    lines = [f"# {markdown_text(comparison.title)}", ""]
    if comparison.verdict:
        lines += [f"**{markdown_text(comparison.verdict.headline)}**", "", *_bullets(comparison.verdict.reasons), ""]
    lines += _bullets([f"Warning: {warning}" for warning in warnings(comparison)])
    lines += ["", "## Numbers", "", *_table_lines(comparison)]
    sections: tuple[tuple[str, Sequence[str]], ...] = (
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


def _table_lines(comparison: Comparison) -> list[str]:
    headings, rows = table(comparison)
    lines = ["| arm | " + " | ".join(map(markdown_text, headings)) + " |", "|---|" + "--:|" * len(headings)]
    return lines + ["| " + " | ".join(map(markdown_text, (row.label, *row.cells))) + " |" for row in rows]


def _bullets(items: Sequence[str]) -> list[str]:
    return [f"- {markdown_text(item)}" for item in items]
