"""Runs a comparison: trains or takes every arm, measures all alike, writes the report. A second call continues where the first stopped."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mitlgan.compare.arms import check_baseline_name
from mitlgan.compare.critic_networks import domain_critic_networks
from mitlgan.compare.domains import DomainSetup, check_pictures, resolve_domains, resolve_plan
from mitlgan.compare.equal_budgets import train_for_budgets
from mitlgan.compare.evaluator import CachedEvaluator
from mitlgan.compare.finished_composition import compare_with_finished
from mitlgan.compare.open_evaluator import open_evaluator
from mitlgan.compare.plan import ComparisonPlan
from mitlgan.compare.plan_record import PlanRecord
from mitlgan.compare.report_builder import build_comparison
from mitlgan.compare.trained_arms import DomainRun
from mitlgan.compare.training_checks import check_trainings
from mitlgan.compare.unfinished_comparisons import find_unfinished
from mitlgan.data.recipe_data import note_demo_data
from mitlgan.errors import MitlganError, ResourceError, Stopped, UsageError
from mitlgan.report.html import ReportPaths, write_reports
from mitlgan.report.schema import Comparison
from mitlgan.report.summary import report_summary
from mitlgan.runtime.files import lock_folder
from mitlgan.stages.context import RunContext
from mitlgan.training import run_directory
from mitlgan.training.run_directory import Run


@dataclass(frozen=True)
class ComparisonResult:
    """A finished comparison.

    Attributes:
        run: Directory of the report.
        paths: Files of the report.
        comparison: Its content, for the first domain.
        others: For the other domains.
    """

    run: Path
    paths: ReportPaths
    comparison: Comparison
    others: Sequence[Comparison] = ()

    @property
    def verdict(self) -> str:
        """The outcome in one sentence, or in one sentence per domain."""
        verdicts = [(c.title, c.verdict.headline) for c in (self.comparison, *self.others) if c.verdict]
        return verdicts[0][1] if len(verdicts) == 1 else " ".join(f"{title}: {headline}" for title, headline in verdicts)

    @property
    def html(self) -> Path:
        """The page."""
        return self.paths.html

    def summary(self) -> dict[str, Any]:
        """Return the report's numbers and paths."""
        values = {"run": str(self.run), "report": str(self.paths.html), **report_summary(self.comparison)}
        return values | ({"domains": [report_summary(comparison) for comparison in (self.comparison, *self.others)]} if self.others else {})


def run_comparison(plan: ComparisonPlan, context: RunContext) -> ComparisonResult:
    """Train or take the arms, measure them, write the report.

    Raises:
        UsageError: There is no composition, or the extractor's weights are missing; raised before any training.
        MitlganError: As raised by training and evaluation.
    """
    if context.world.size > 1:
        raise UsageError("torchrun: compare works in one process; only its trainings (`pretrain scene`, `compose`) take several")
    for baseline in plan.baselines:
        check_baseline_name(baseline)
    request, plan = plan, resolve_plan(plan, context.root, context.reporter.say)
    setups = resolve_domains(plan, context.root, context.reporter.say)
    check_pictures(setups, context.reporter.say)
    if plan.trains_compositions and not plan.domains:
        note_demo_data(setups[0].recipe, plan.data, context.reporter.say)
    evaluators = [open_evaluator(plan, setup.recipe, context, domain_critic_networks(plan, setup)) for setup in setups]
    for evaluator in evaluators:
        for warning in evaluator.optimism_warnings(chooses_snapshots=plan.trains_compositions):  # before hours of training, not only in the report
            context.reporter.say(warning)
    if plan.trains_compositions:
        begun = find_unfinished(plan, request, context)
        for setup in setups:
            check_trainings(plan, setup, context, is_new=begun is None)
        out = begun or _begin(plan, setups[0], context)
        with _locked(out):
            trained = [train_for_budgets(plan, setup, evaluator, context) for setup, evaluator in zip(setups, evaluators, strict=True)]
            return _write_report(plan, trained, evaluators, out, context)
    domains = [compare_with_finished(plan, setup, context) for setup in setups]
    out = run_directory.create_run(context.root, "compare", setups[0].recipe.name, {"status.json": _status_text("running")})
    with _locked(out):
        return _write_report(plan, domains, evaluators, out, context)


def _write_report(
    plan: ComparisonPlan, domains: Sequence[DomainRun], evaluators: Sequence[CachedEvaluator], out: Run, context: RunContext
) -> ComparisonResult:  # fmt: skip
    comparisons = [build_comparison(plan, domain, evaluator, context) for domain, evaluator in zip(domains, evaluators, strict=True)]
    paths = write_reports(out.path, comparisons)
    arms = {trained.arm.name: [str(run.path) for run in trained.runs] for domain in domains for trained in domain.arms}
    out.write_status({"state": "done", "command": "compare", "arms": arms})
    return ComparisonResult(out.path, paths, comparisons[0], comparisons[1:])


@contextmanager
def _locked(out: Run) -> Iterator[None]:
    """Lock the report's directory for this process, and record in its status how the comparison ended."""
    with lock_folder(out.path):
        out.write_status({"state": "running", "command": "compare"})
        try:
            yield
        except MitlganError as error:
            with suppress(ResourceError):
                out.write_status({"state": "stopped" if isinstance(error, Stopped) else "failed", "command": "compare"})
            raise


def _begin(plan: ComparisonPlan, setup: DomainSetup, context: RunContext) -> Run:
    """Create the report's directory, with the plan written before the first training.

    Args:
        plan: As `resolve_plan` returned it.
        setup: The first domain.
        context: Where the folder is.
    """
    record = PlanRecord.of_plan(plan, context.root)
    files = {"plan.json": json.dumps(record.to_json(), indent=2) + "\n", "status.json": _status_text("running")}
    return run_directory.create_run(context.root, "compare", setup.recipe.name, files)


def _status_text(state: str) -> str:
    return json.dumps({"state": state, "command": "compare"}, indent=2) + "\n"
