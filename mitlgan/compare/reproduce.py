"""The command that makes a report again: every option that is not the default, and what was taken where the user named nothing."""

from __future__ import annotations

from pathlib import Path

from mitlgan.compare.plan import KIMG, TIME, ComparisonPlan, DomainSpec
from mitlgan.compare.sweep_plan import SweepPlan
from mitlgan.runtime.command_line import command_line, option_words
from mitlgan.stages.context import RUNS, RunContext


def comparison_command(plan: ComparisonPlan, context: RunContext) -> str:
    """Return the command of a comparison.

    Args:
        plan: As `resolve_plan` returned it.
        context: In which it ran.
    """
    options = option_words([
        *(("--baseline", name) for name in plan.baselines), ("--composed", plan.composed), ("--baseline-run", plan.baseline_run),
        ("--recipe", plan.recipe), ("--fg-recipe", plan.fg_recipe), ("--bg-recipe", plan.bg_recipe),
        *(("--layer", f"{name}={path}") for name, path in plan.layers.items()), ("--data", plan.data),
        ("--budgets", ",".join(map(_exact, plan.budgets)) or None), ("--seeds", plan.seeds if plan.seeds > 1 else None),
        ("--equal", plan.equal if plan.equal != (KIMG if plan.budgets else TIME) else None), ("--samples", plan.samples),
        ("--jobs", plan.jobs if plan.jobs > 1 else None), *(("--domain", _domain(spec)) for spec in plan.domains),
        *(("--set", setting) for setting in plan.settings), *(("--trials", f"{arm}={count}") for arm, count in plan.trials.items()),
        *(("--extractor", name) for name in plan.extractors), ("--weights", plan.weights),
        ("--out", context.root if context.root != RUNS else None), ("--device", context.device if context.device != "auto" else None),
        ("--threads", context.threads),
    ])  # fmt: skip
    flags = {"--count-pretraining": plan.count_pretraining, "--stage-only": plan.count_pretraining is False, "--pretrain-seeds": plan.pretrain_seeds}
    return command_line(["compare", *options, *(name for name, is_set in flags.items() if is_set)])


def sweep_command(plan: SweepPlan, out: Path, *, train: bool) -> str:
    """Return the command of a sweep; arguments as of `run_sweep`."""
    options = option_words([
        *(("--data", text) for text in plan.data), *(("--scale", text) for text in plan.scale), *(("--vary", text) for text in plan.vary),
        *(("--set", text) for text in plan.settings), *(("--extractor", name) for name in plan.extractors), ("--weights", plan.weights),
        ("--samples", plan.samples), ("--jobs", plan.jobs), ("--out", out),
    ])  # fmt: skip
    return command_line(["sweep", *plan.recipes, *options, *([] if train else ["--rank-only"])])


def _domain(spec: DomainSpec) -> str:
    layers = [f"{name}={source}" for name, source in spec.layers.items()] or [spec.fg, spec.bg]
    return f"{spec.name}={','.join([*layers, spec.scene])}"


def _exact(number: float) -> str:
    return short if float(short := f"{number:g}") == number else repr(number)
