"""What a finished project says: where everything is, how good it is, and what to do next."""

from __future__ import annotations

from typing import Any

from mitlgan.data.curate.check_advice import MIN_HELD_OUT
from mitlgan.project.make import ProjectResult
from mitlgan.project.plan import shown_path
from mitlgan.report.formatting import BELOW_ZERO, with_spread
from mitlgan.report.tables import METRICS
from mitlgan.runtime.command_line import command_line


def describe_outcome(result: ProjectResult) -> str:
    """Return for people where things are and what to do next."""
    photographs = shown_path(result.plan.request.photographs)
    rows = {
        "scenes": result.sheet, "report": result.report, "composition": result.artifact, "cut photographs": result.layers / "sheet.html",
    }  # fmt: skip
    lines = [f"{name:<16} {path}" for name, path in rows.items()]
    lines.append(f"{'quality':<16} {_quality(result)}")
    steps = {
        "play with it": ["studio", "--runs", str(result.run.parent.parent)],
        "more scenes": ["sample", str(result.out), "-n", "64", "--layers"],
        "better cuts": [*result.plan.split_command(result.layers), "--exclude", "exclude.txt"],
        "better pictures": ["make", photographs, "--minutes", "60", "--out", f"{result.out}-60"],
        "against a WGAN": ["compare", "--composed", str(result.run), "--out", str(result.run.parent.parent)],
    }
    described = [f"{title:<16} {command_line(words)}" for title, words in steps.items()]
    described.insert(list(steps).index("better cuts") + 1, f"{'':<16} then the same `mitlgan make` again, which trains on them")
    return "\n".join([*lines, "", *described])


def _quality(result: ProjectResult) -> str:
    kid = result.metrics["kid"]
    text = f"KID {with_spread(kid, result.metrics.get('kid_std'), METRICS[1].report_decimals)}"
    if not result.real:
        return f"{text} against the training's own photographs, which flatters: none were held out"
    doubt = f"; uncertain with fewer than {MIN_HELD_OUT}" if result.real < MIN_HELD_OUT else ""
    return f"{text} against {result.real:,} held-out photographs (lower is better{doubt}{f'; {BELOW_ZERO}' if kid < 0 else ''})"


def outcome_to_json(result: ProjectResult) -> dict[str, Any]:
    """Return paths and numbers."""
    return {
        "out": str(result.out),
        "photographs": result.plan.count,
        "recipes": result.plan.family,
        "size_px": result.plan.size_px,
        "lengths_kimg": dict(result.plan.lengths_kimg),
        "run": str(result.run),
        "artifact": str(result.artifact),
        "sheet": str(result.sheet),
        "report": str(result.report),
        "layers": str(result.layers),
        "held_out": result.real,
        "metrics": dict(result.metrics),
    }
