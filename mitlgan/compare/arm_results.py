"""One arm, measured: its figures at each budget, its cost, its pictures."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from mitlgan.artifacts.card import read_card, read_weights_hash
from mitlgan.artifacts.load_save import require_same_weights
from mitlgan.artifacts.loaded_artifact import LoadedArtifact, load_artifact
from mitlgan.compare.arm_costs import arm_cost
from mitlgan.compare.arms import COMPOSED, PRETRAINING_SUFFIX
from mitlgan.compare.evaluator import CachedEvaluator
from mitlgan.compare.layer_swaps import measure_layer_swap
from mitlgan.compare.nearest_images import nearest_training_images
from mitlgan.compare.paste_results import measure_paste
from mitlgan.compare.plan import RESOURCE_UNITS, ComparisonPlan
from mitlgan.compare.snapshots import BudgetResult, best_within_budget, extractor_fields, iteration_cost, mean_curve, mean_over_seeds
from mitlgan.compare.trained_arms import DomainRun, TrainedArm
from mitlgan.data.recipe_data import open_recipe_data
from mitlgan.images.pixels import to_uint8
from mitlgan.metrics.protocol import flat_metrics
from mitlgan.report.run_figures import write_run_figures
from mitlgan.report.sample_pictures import PICTURES, stage_pictures
from mitlgan.report.schema import ArmResult, Picture
from mitlgan.runtime.json_files import read_log
from mitlgan.training.progress_animation import encode_progress
from mitlgan.training.run_directory import Run

DIVERGED = "diverged at iteration"
"""How the notes of a card begin if its artifact was kept after its training had diverged; see `Counters.divergence`."""


def measure_arm(trained: TrainedArm, domain: DomainRun, plan: ComparisonPlan, evaluator: CachedEvaluator) -> ArmResult:
    """Measure an arm at each budget, and return all that the report shows of it."""
    if trained.arm.name == "paste":
        return measure_paste(trained, domain, plan, evaluator)
    if trained.failure:
        return _diverged_result(trained, domain, plan)
    results = _budget_results(trained, domain, evaluator)
    last = results[-1]
    path = last.snapshots[0].path
    loaded = load_artifact(path, device=evaluator.device)
    run = trained.runs[0] if trained.runs else None
    if run is not None and run.artifact_file == path and not domain.budgets:
        write_run_figures(run, last.figures[0], last.weights[0])
    images = loaded.layers(range(PICTURES))
    cards = [read_card(snapshot.path) for snapshot in last.snapshots]
    has_diverged = any(DIVERGED in card.notes for card in cards)
    result = ArmResult(
        name=_result_name(trained, domain), label=f"{trained.arm.label} (diverged)" if has_diverged else trained.arm.label, diverged=has_diverged,
        role="composed" if trained.arm.name == COMPOSED else "baseline", run_dir=str(run.path) if run else str(path),
        stats=list(read_log(run.stats_file)) if run else (), timing=list(read_log(run.timing_file)) if run else (),
        evaluations=mean_curve(trained.snapshots) if domain.budgets else (), cost=arm_cost(trained, domain, loaded, path),
        metrics=last.metrics, samples=to_uint8(images.output), seeds=[int(card.recipe.get("seed", 0)) for card in cards],
        notes=[*trained.arm.notes, *_notes(loaded, last, domain, evaluator)],
        budget_results=[_budget_row(one) for one in results] if domain.budgets else (),
        recipes_tried=plan.trials.get(trained.arm.name, 1), snapshots_tried=max((len(one) for one in trained.snapshots), default=1),
        length=trained.length, progress=encode_progress(run) if run else None,
    )  # fmt: skip
    result = dataclasses.replace(result, **_by_extractor(evaluator, last))
    if loaded.composer is not None:
        numbers, grid = measure_layer_swap(loaded, loaded.card, evaluator, loaded.tensors_sha256)
        result = dataclasses.replace(result, layers=stage_pictures(images), separation=numbers, separation_grid=grid)
    pictures, sentence = nearest_training_images(evaluator, path, open_recipe_data(domain.setup.recipe))
    for snapshot, weights in zip(last.snapshots, last.weights, strict=True):
        require_same_weights(snapshot.path, weights)  # all that the report shows of the arm is of one network
    return dataclasses.replace(result, neighbours=[Picture(*picture) for picture in pictures], memorised=sentence)


def _diverged_result(trained: TrainedArm, domain: DomainRun, plan: ComparisonPlan) -> ArmResult:
    """Return the curves of an arm whose training diverged, without figures."""
    run = trained.runs[0]
    return ArmResult(
        name=_result_name(trained, domain), label=f"{trained.arm.label} (diverged)", role="baseline", run_dir=str(run.path), diverged=True,
        stats=list(read_log(run.stats_file)), timing=list(read_log(run.timing_file)), notes=[*trained.arm.notes, trained.failure],
        seeds=[one.recorded_recipe().seed for one in trained.runs], recipes_tried=plan.trials.get(trained.arm.name, 1), length=trained.length,
        progress=encode_progress(run),
    )  # fmt: skip


def _result_name(trained: TrainedArm, domain: DomainRun) -> str:
    """Return the arm's name; without budgets the WGAN is called `baseline`, as in earlier versions."""
    name = trained.arm.name
    return name.replace("wgan", "baseline") if not domain.budgets and name in ("wgan", f"wgan{PRETRAINING_SUFFIX}") else name


def _by_extractor(evaluator: CachedEvaluator, last: BudgetResult) -> dict[str, Any]:
    """Return the metrics of the secondary extractors, and the distance of each seed by extractor, as fields of `ArmResult`."""
    rows = {one.extractor.name: [flat_metrics(one.evaluate_artifact(shot.path)) for shot in last.snapshots] for one in evaluator.secondary}
    return extractor_fields(evaluator.extractor.name, last.values, rows)


def _budget_results(trained: TrainedArm, domain: DomainRun, evaluator: CachedEvaluator) -> list[BudgetResult]:
    runs: list[Run | None] = [*trained.runs] or [None] * len(trained.snapshots)
    results = []
    for budget in domain.budgets or (float("inf"),):
        limit = budget + (trained.extra_budget if trained.arm.counts_pretraining else 0.0)
        best = [
            best_within_budget(snapshots, limit, domain.resource, iteration_cost(run, snapshots, domain.resource))
            for run, snapshots in zip(runs, trained.snapshots, strict=True)
        ]
        weights = tuple(read_weights_hash(snapshot.path) for snapshot in best)
        figures = tuple(evaluator.evaluate_artifact(snapshot.path) for snapshot in best)
        results.append(BudgetResult(budget, mean_over_seeds([flat_metrics(one) for one in figures]), tuple(best), figures, weights))
    return results


def _budget_row(result: BudgetResult) -> dict[str, Any]:
    means = {key: float(np.mean([snapshot.position(key) for snapshot in result.snapshots])) for key in ("seconds", "cpu_seconds", "macs")}
    chosen_kimg = [round(snapshot.kimg, 3) for snapshot in result.snapshots]
    return {"budget": result.budget, **result.metrics, "chosen_kimg": chosen_kimg, "values": list(result.values), **means}


def _notes(loaded: LoadedArtifact, last: BudgetResult, domain: DomainRun, evaluator: CachedEvaluator) -> list[str]:
    notes = [loaded.card.notes] if loaded.card.notes else []
    if domain.budgets:
        chosen = ", ".join(f"{snapshot.kimg:g}" for snapshot in last.snapshots)
        limit = f"the best on {evaluator.validation_split} up to {last.budget:g} {RESOURCE_UNITS[domain.resource]}"
        notes.append(f"Its figures are of its snapshots at {chosen} kimg, {limit}. The samples are from the first.")
    if loaded.card.size_px < domain.setup.recipe.size_px:
        notes.append(f"At this length it was still at {loaded.card.size_px} px of its ladder of sizes; its pictures were enlarged for the figures.")
    if loaded.composer is not None and any(layer.sha256_before != layer.sha256_after for layer in loaded.card.layers.values()):
        notes.append("Its frozen layers changed.")
    return notes
