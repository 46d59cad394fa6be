"""A comparison with a composition that is already trained: baselines are trained to match its length."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mitlgan.artifacts.card import Card
from mitlgan.compare.arm_training import ArmTraining, run_trainings
from mitlgan.compare.arms import WGAN_ARMS, ArmSpec, initial_artifact, match_length, resolve_arms
from mitlgan.compare.domains import DomainSetup
from mitlgan.compare.finished_runs import extract_layers, load_baseline_run, read_finished_card
from mitlgan.compare.layer_cards import read_cards
from mitlgan.compare.plan import ComparisonPlan
from mitlgan.compare.pretraining import extra_budget, pretraining_costs, resolve_resource
from mitlgan.compare.snapshots import final_snapshot, kept_snapshots
from mitlgan.compare.trained_arms import DomainRun, TrainedArm, failed_arm, untrained_arm, with_both_lengths
from mitlgan.compare.training_checks import check_arms
from mitlgan.data.splits import held_out_training_warning
from mitlgan.errors import naming_option
from mitlgan.recipe import Recipe
from mitlgan.runtime.progress import format_duration
from mitlgan.stages.context import RunContext
from mitlgan.training.run_directory import Run


@dataclass(frozen=True)
class FinishedComposition:
    """A trained composition, and what each of its baselines gets.

    Attributes:
        run: Its run.
        card: Its card.
        recipe: Its recipe.
        layers: Artifact of each frozen layer.
        resource: What all arms get the same amount of, a key of `plan.RESOURCE_UNITS` other than time.
        pretraining_costs: What the training of each layer took of it; empty if pretraining is not counted.
    """

    run: Run
    card: Card
    recipe: Recipe
    layers: Mapping[str, Path]
    resource: str
    pretraining_costs: Mapping[str, float]

    def training(self, arm: ArmSpec) -> ArmTraining:
        """Return the training of a baseline."""
        with naming_option(f"--baseline {arm.name}"):
            recipe = match_length(arm, self.recipe, self.card, resource=self.resource, extra=self.extra_budget(arm))
        layers = self.layers if arm.uses_layers else {}
        return ArmTraining(f"baseline {arm.name}", recipe, layers, initial_artifact(arm, self.recipe, self.layers), is_required=False)

    def extra_budget(self, arm: ArmSpec) -> float:
        """Return what a baseline gets beyond the composition's last stage."""
        return extra_budget(arm, self.recipe, self.pretraining_costs)


def compare_with_finished(plan: ComparisonPlan, setup: DomainSetup, context: RunContext) -> DomainRun:
    """Take a trained composition as it is, and train or take its baselines."""
    composition = open_composition(plan, setup, context)
    if warning := held_out_training_warning(composition.recipe.data.source, composition.recipe.role, composition.card.data):
        context.reporter.say(warning)
    specs = composition.card.generator_specs()
    ours, *baselines = resolve_arms(plan.baselines, composition.recipe, specs, plan.trials)
    ready = {arm.name: load_baseline_run(plan.baseline_run, composition.card) for arm in baselines if plan.baseline_run and arm.name in WGAN_ARMS}
    check_arms([arm for arm in baselines if arm.name not in ready], composition.layers, specs)
    trainings = {arm.name: composition.training(arm) for arm in baselines if arm.recipe is not None and arm.name not in ready}
    for arm in baselines:
        if arm.name in trainings and composition.extra_budget(arm) and (limit_s := trainings[arm.name].recipe.training.limit_s):
            context.reporter.say(f"{arm.label}: {format_duration(limit_s)} of training, as long as all stages of the composition together")
    run_trainings(list(trainings.values()), context, jobs=plan.jobs)
    arms = [TrainedArm(ours, [composition.run], [[final_snapshot(composition.run)]])]
    for arm in baselines:
        if arm.name in ready:
            arms += _baseline_arms(composition, arm, ready[arm.name], 0.0, context)
        elif arm.recipe is None:
            arms.append(untrained_arm(arm, counts_pretraining=bool(composition.pretraining_costs)))
        elif failed := failed_arm(arm, [trainings[arm.name]], context):
            arms.append(failed)
        else:
            run = trainings[arm.name].finished_run(context.root)
            arms += _baseline_arms(composition, arm, run, composition.extra_budget(arm), context)
    return DomainRun(setup, composition.card, arms, resource=composition.resource, pretraining_costs=composition.pretraining_costs)


def open_composition(plan: ComparisonPlan, setup: DomainSetup, context: RunContext) -> FinishedComposition:
    """Return the finished composition of a setup, and what its baselines get."""
    run = setup.composed
    assert run is not None
    assert run.artifact_file is not None
    card, layers = read_finished_card(run), extract_layers(run.artifact_file)
    resource = resolve_resource(plan, read_cards(layers).values(), context, composition=card)
    costs = pretraining_costs(layers, resource, plan.count_pretraining, context.reporter.say)
    return FinishedComposition(run, card, setup.recipe, layers, resource, costs)


def _baseline_arms(composition: FinishedComposition, arm: ArmSpec, run: Run, extra: float, context: RunContext) -> list[TrainedArm]:
    context.reporter.say(f"baseline: {run.path}")
    end = final_snapshot(run)
    stage_end = next(iter(kept_snapshots(run)), end)  # the artifact that was kept when it was as long as the composition's stage
    return with_both_lengths(arm, [run], [[end]], extra, counts_pretraining=bool(composition.pretraining_costs), stage_snapshots=[[stage_end]])
