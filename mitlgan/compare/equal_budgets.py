"""A comparison that trains every arm for the same budgets, once per seed."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mitlgan.artifacts.card import GeneratorSpec
from mitlgan.artifacts.known_artifacts import ARMS_FOLDER
from mitlgan.compare.arm_training import ArmTraining, run_trainings
from mitlgan.compare.arms import COMPOSED, ArmSpec, initial_artifact, resolve_arms
from mitlgan.compare.budgets import with_schedule
from mitlgan.compare.domains import DomainSetup
from mitlgan.compare.evaluator import CachedEvaluator
from mitlgan.compare.finished_runs import read_finished_card
from mitlgan.compare.layer_cards import generator_specs, read_cards
from mitlgan.compare.layer_chains import run_chains
from mitlgan.compare.plan import ComparisonPlan
from mitlgan.compare.pretraining import extra_budget, pretraining_costs, resolve_resource
from mitlgan.compare.snapshots import final_snapshot, iteration_cost, measure_snapshots, up_to_budget
from mitlgan.compare.trained_arms import DomainRun, TrainedArm, failed_arm, untrained_arm, with_both_lengths
from mitlgan.recipe import with_overrides
from mitlgan.stages.context import RunContext


@dataclass(frozen=True)
class EqualBudgets:
    """What all trainings of a domain share.

    Attributes:
        setup: What is composed.
        layers: Artifact of each frozen layer, by seed.
        arms: The composition first.
        specs: How each frozen layer is built.
        pretraining_costs: What the training of each layer took; empty if pretraining is not counted.
    """

    setup: DomainSetup
    layers: Mapping[int, Mapping[str, Path]]
    arms: Sequence[ArmSpec]
    specs: Mapping[str, GeneratorSpec]
    pretraining_costs: Mapping[str, float]

    def extra_budget(self, arm: ArmSpec) -> float:
        """Return what an arm gets beyond the budgets."""
        return extra_budget(arm, self.setup.recipe, self.pretraining_costs)

    def trainings(self, arms: Sequence[ArmSpec], budgets: Sequence[float], resource: str) -> dict[tuple[str, int], ArmTraining]:
        """Return the training of each arm and seed."""
        return {(arm.name, seed): self._training(arm, seed, budgets, resource) for seed in self.layers for arm in arms}

    def _training(self, arm: ArmSpec, seed: int, budgets: Sequence[float], resource: str) -> ArmTraining:
        assert arm.recipe is not None
        recipe = with_schedule(arm.recipe, budgets, resource, self.specs if arm.uses_layers else {}, extra=self.extra_budget(arm))
        layers = self.layers[seed]
        return ArmTraining(
            " ".join(part for part in (self.setup.name, arm.name, f"seed {seed}") if part), with_overrides(recipe, seed=seed),
            layers if arm.uses_layers else {}, initial_artifact(arm, self.setup.recipe, layers), is_required=arm.name == COMPOSED,
        )  # fmt: skip


def train_for_budgets(plan: ComparisonPlan, setup: DomainSetup, evaluator: CachedEvaluator, context: RunContext) -> DomainRun:
    """Train every arm of a domain for the same budgets, once per seed.

    Without budgets the composition trains for the length of its recipe, and the others for as long as it took.
    """
    context = dataclasses.replace(context, root=context.root / ARMS_FOLDER)
    layers = _train_layers(plan, setup, context)
    seed = setup.recipe.seed
    specs = generator_specs(layers[seed])
    arms = resolve_arms(plan.baselines, setup.recipe, specs, plan.trials)
    resource = resolve_resource(plan, read_cards(layers[seed]).values(), context)
    costs = pretraining_costs(layers[seed], resource, plan.count_pretraining, context.reporter.say)
    shared = EqualBudgets(setup, layers, arms, specs, costs)
    trainings, budgets = _run(shared, plan, resource, context)
    card = read_finished_card(trainings[COMPOSED, seed].finished_run(context.root))
    measured = _measure(shared, trainings, (budgets[-1], resource), evaluator, context)
    return DomainRun(setup, card, measured, budgets=budgets, resource=resource, pretraining_costs=costs)


def _train_layers(plan: ComparisonPlan, setup: DomainSetup, context: RunContext) -> dict[int, dict[str, Path]]:
    """Return the artifact of each layer by seed, trained here if it has to be."""
    first = setup.recipe.seed
    by_seed = {seed: setup.pretrainings_for_seed(seed, plan.pretrain_seeds) for seed in range(first, first + plan.seeds)}
    run_chains([chain for pretrainings in by_seed.values() for chain in pretrainings.values()], context, jobs=plan.jobs)
    own = {seed: {name: chain.artifact(context.root) for name, chain in pretrainings.items()} for seed, pretrainings in by_seed.items()}
    return {seed: setup.in_order({**setup.layers, **layers}) for seed, layers in own.items()}


def _run(
    shared: EqualBudgets, plan: ComparisonPlan, resource: str, context: RunContext
) -> tuple[dict[tuple[str, int], ArmTraining], tuple[float, ...]]:
    """Run all trainings; return them by arm and seed, and the budgets."""
    arms = [arm for arm in shared.arms if arm.recipe is not None]
    length_kimg = shared.setup.recipe.training.kimg
    if plan.budgets or resource == "kimg":
        budgets = plan.budgets or (length_kimg,)
        trainings = shared.trainings(arms, budgets, resource)
        run_trainings(list(trainings.values()), context, jobs=plan.jobs)
        return trainings, tuple(budgets)
    trainings = shared.trainings(arms[:1], (length_kimg,), "kimg")
    run_trainings(list(trainings.values()), context, jobs=plan.jobs)
    lengths = [final_snapshot(training.finished_run(context.root)).position(resource) for training in trainings.values()]
    budgets = (max(lengths),)  # what the slowest seed took: no other arm gets less
    trainings |= shared.trainings(arms[1:], budgets, resource)
    run_trainings(list(trainings.values()), context, jobs=plan.jobs)
    return trainings, budgets


def _measure(
    shared: EqualBudgets,
    trainings: Mapping[tuple[str, int], ArmTraining],
    longest: tuple[float, str],
    evaluator: CachedEvaluator,
    context: RunContext,
) -> list[TrainedArm]:
    """Return every arm with its snapshots, measured; the longest budget, in the unit of its resource, ends an arm of this stage alone."""
    measured = []
    for arm in shared.arms:
        own = [training for (name, _), training in trainings.items() if name == arm.name]
        if arm.recipe is None:
            measured.append(untrained_arm(arm, counts_pretraining=bool(shared.pretraining_costs)))
        elif failed := failed_arm(arm, own, context):
            measured.append(failed)
        else:
            runs = [training.finished_run(context.root) for training in own]
            snapshots = [measure_snapshots(run, evaluator) for run in runs]
            stage = [up_to_budget(own, *longest, iteration_cost(run, own, longest[1])) for run, own in zip(runs, snapshots, strict=True)]
            measured += with_both_lengths(
                arm, runs, snapshots, shared.extra_budget(arm), counts_pretraining=bool(shared.pretraining_costs), stage_snapshots=stage
            )
    return measured
