"""The numbers of a report as JSON."""

from __future__ import annotations

import numbers
from collections.abc import Mapping, Sequence
from typing import Any

from mitlgan.report.caveats import caveats, warnings
from mitlgan.report.formatting import printable
from mitlgan.report.ratios import KidRatio, kid_ratios
from mitlgan.report.schema import ArmResult, Comparison
from mitlgan.runtime.progress import finite

SCHEMA_VERSION = 1


def report_summary(comparison: Comparison) -> dict[str, Any]:
    """Return all numbers of a report as JSON values; null if not finite."""
    verdict = comparison.verdict
    values = {
        "schema_version": SCHEMA_VERSION,
        "title": comparison.title,
        "verdict": verdict and {"outcome": verdict.outcome, "headline": verdict.headline, "reasons": verdict.reasons},
        "arms": [_arm_summary(arm) for arm in comparison.arms],
        "anchors": [
            {"name": a.name, "label": a.label, "meaning": a.meaning, "metrics": a.metrics, "by_extractor": a.by_extractor, "counts": a.counts}
            for a in comparison.anchors
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
    return {key: _jsonable(value) for key, value in values.items()}


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
        "extractor": ratio.extractor, "arm": ratio.arm, "label": ratio.label, "budget": ratio.budget, "kid": ratio.ours,
        "kid_of_arm": ratio.theirs, "floor": ratio.floor, "ratio": ratio.plain, "ratio_above_floor": ratio.above,
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
