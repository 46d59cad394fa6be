"""What a comparison or the demo would take on this machine, from a few measured steps of each of its trainings."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from mitlgan.artifacts.card import GeneratorSpec
from mitlgan.artifacts.known_artifacts import ARMS_FOLDER
from mitlgan.compare.arms import COMPOSED, ArmSpec, check_baseline_name, composed_arm, resolve_arms, resolve_baseline
from mitlgan.compare.budgets import measurement_points, training_macs, with_equal_length, with_schedule
from mitlgan.compare.critic_networks import domain_critic_networks
from mitlgan.compare.demo import JOBS, demo_recipes, find_shipped_layers
from mitlgan.compare.domains import DomainSetup, check_pictures, planned_specs, resolve_domains, resolve_plan
from mitlgan.compare.evaluator import CachedEvaluator
from mitlgan.compare.finished_composition import open_composition
from mitlgan.compare.layer_cards import generator_spec, generator_specs, read_cards
from mitlgan.compare.open_evaluator import open_evaluator
from mitlgan.compare.plan import KIMG, TIME, ComparisonPlan
from mitlgan.compare.pretraining import extra_budget, pretraining_costs, resolve_resource
from mitlgan.compare.training_checks import check_trainings
from mitlgan.compare.unfinished_comparisons import find_unfinished
from mitlgan.data.recipe_data import note_demo_data, open_recipe_data
from mitlgan.recipe import Recipe, with_overrides
from mitlgan.recipe.advice import training_advice
from mitlgan.runtime.distributed import World
from mitlgan.runtime.progress import Say, SilentReporter
from mitlgan.stages.context import RunContext
from mitlgan.stages.estimate import TrainingEstimate, WorkEstimate, estimate_run

ANCHORS = 3
"""Rows of a report besides its arms that are measured, too."""
TIMED_IMAGES = 64
Specs = Mapping[str, GeneratorSpec]


@dataclasses.dataclass
class Estimator:
    """Measures trainings; those that differ in their seed alone are measured once.

    Attributes:
        world: Device to compute on.
        say: Receives advice on the recipes; None gives none.
    """

    world: World
    say: Say | None = None
    _measured: dict[str, TrainingEstimate] = dataclasses.field(default_factory=dict)

    def training(self, label: str, recipe: Recipe, layers: Specs | None = None) -> TrainingEstimate:
        """Return what a training takes; see `estimate_run`."""
        key = f"{with_overrides(recipe, seed=0)!r} {layers!r}"
        if key not in self._measured:
            pack = None if self.say is None else open_recipe_data(recipe)
            if self.say is not None and pack is not None:
                for line in training_advice(recipe, len(pack)):
                    self.say(f"{label}: {line}")
            self._measured[key] = estimate_run(recipe, self.world, layers=layers, pack=pack)
        return dataclasses.replace(self._measured[key], label=label)


def estimate_comparison(plan: ComparisonPlan, context: RunContext) -> WorkEstimate:
    """Return what `run_comparison` would train and measure, without finished runs of its layers and of baselines of a finished composition.

    Raises:
        MitlganError: As `run_comparison` before its first training.
    """
    for baseline in plan.baselines:
        check_baseline_name(baseline)
    estimator, steps, measuring_s = Estimator(context.world, context.reporter.say), list[list[TrainingEstimate]](), 0.0
    request, plan = plan, resolve_plan(plan, context.root, context.reporter.say)
    setups = resolve_domains(plan, context.root, context.reporter.say)
    check_pictures(setups, context.reporter.say)
    begun = find_unfinished(plan, request, context) if plan.trains_compositions else None
    for setup in setups:
        if plan.trains_compositions and not plan.domains:
            note_demo_data(setup.recipe, plan.data, context.reporter.say)
        evaluator = open_evaluator(plan, setup.recipe, context, domain_critic_networks(plan, setup))
        if plan.trains_compositions:
            check_trainings(plan, setup, context, is_new=begun is None)
        arms = _trained_here(plan, setup, context, estimator) if plan.trains_compositions else _baselines(plan, setup, context, estimator)
        steps += arms
        points = len(measurement_points(plan.budgets)) if plan.budgets else 0
        measuring_s += _measuring_seconds(evaluator, setup.recipe.size_px, (1 + len(plan.baselines)) * plan.seeds, points)
    return WorkEstimate([step for step in steps if step], plan.jobs, measuring_s)


def estimate_demo(*, quick: bool = False, pretrained: bool = False) -> WorkEstimate:
    """Return what `run_demo` would take; arguments as there."""
    recipes = demo_recipes(quick)
    shipped = find_shipped_layers(recipes, pretrained)
    estimator = Estimator(World(0, 1, torch.device("cpu")))
    trained = [role for role, path in shipped.items() if path is None]
    small = [estimator.training(f"pretrain {role}", recipes.layers[role]) for role in trained]
    larger = [estimator.training(f"enlarge {role}", recipes.larger[role]) for role in trained if role in recipes.larger]
    last = {role: recipes.larger.get(role, recipe) for role, recipe in recipes.layers.items()}
    specs = {role: generator_spec(last[role]) if path is None else generator_specs({role: path})[role] for role, path in shipped.items()}
    composition = estimator.training("compose", recipes.composition, specs)
    extra_s = sum(layer.cpu_seconds for layer in [*small, *larger]) if len(trained) == len(shipped) else 0.0
    wgan = resolve_baseline("wgan", recipes.composition, specs).recipe
    assert wgan is not None
    uses_layers = recipes.baseline.command == "compose"
    label, own_extra_s = ("thesis' composition", 0.0) if uses_layers else ("plain generator", extra_s)
    baselines = [
        estimator.training(label, with_equal_length(recipes.baseline, "cpu-seconds", {}, composition.cpu_seconds, own_extra_s), specs),
        estimator.training("WGAN", with_equal_length(wgan, "cpu-seconds", {}, composition.cpu_seconds, extra_s)),
    ]
    context = RunContext(estimator.world, SilentReporter(), Path())
    evaluator = open_evaluator(ComparisonPlan(baselines=("wgan",)), recipes.composition, context)
    measuring_s = _measuring_seconds(evaluator, recipes.composition.size_px, 1 + len(baselines), 0)
    return WorkEstimate([step for step in (small, larger, [composition], baselines) if step], JOBS, measuring_s)


def _baselines(plan: ComparisonPlan, setup: DomainSetup, context: RunContext, estimator: Estimator) -> list[list[TrainingEstimate]]:
    """Return the trainings of a finished composition's baselines."""
    composition = open_composition(plan, setup, context)
    specs = composition.card.generator_specs()
    arms = [
        arm for arm in resolve_arms(plan.baselines, composition.recipe, specs, plan.trials)[1:] if arm.recipe is not None and plan.baseline_run is None
    ]
    trainings = [(arm, composition.training(arm)) for arm in arms]
    return [[
        estimator.training(arm.label, training.recipe, specs if arm.uses_layers else None)
        for arm, training in trainings
        if training.find_artifact(context.root) is None
    ]]  # fmt: skip


def _trained_here(plan: ComparisonPlan, setup: DomainSetup, context: RunContext, estimator: Estimator) -> list[list[TrainingEstimate]]:
    """Return the trainings of a domain: its layers, the composition, then the baselines that are as long."""
    root, first = context.root / ARMS_FOLDER, setup.recipe.seed
    needed = [training for seed in range(first, first + plan.seeds) for training in setup.pretrainings_for_seed(seed, plan.pretrain_seeds).values()]
    layers = [estimator.training(chain.label, recipe) for chain in needed if chain.find_artifact(root) is None for recipe in chain.recipes]
    specs = planned_specs(setup)
    arms = [arm for arm in resolve_arms(plan.baselines, setup.recipe, specs, plan.trials) if arm.recipe is not None]
    resource = resolve_resource(plan, read_cards(setup.layers).values(), context) if plan.equal == TIME else plan.equal
    costs = {} if resource == KIMG and plan.count_pretraining is None else _pretraining_costs(plan, setup, resource, context, estimator)

    def estimates(own: Sequence[ArmSpec], budgets: Sequence[float], unit: str) -> list[TrainingEstimate]:
        rows = []
        for arm in own:
            assert arm.recipe is not None
            used = specs if arm.uses_layers else {}
            recipe = with_schedule(arm.recipe, budgets, unit, used, extra=extra_budget(arm, setup.recipe, costs))
            rows += [estimator.training(f"{arm.label}, seed {first + seed}", recipe, used) for seed in range(plan.seeds)]
        return rows

    if plan.budgets or resource == KIMG:
        return [layers, estimates(arms, plan.budgets or (setup.recipe.training.kimg,), resource)]
    composed = estimates([composed_arm(setup.recipe)], (setup.recipe.training.kimg,), KIMG)
    length = {"seconds": composed[0].seconds, "cpu-seconds": composed[0].cpu_seconds}.get(resource)
    if length is None:
        length = training_macs(setup.recipe, specs, setup.recipe.training.kimg)
    return [layers, composed, estimates([arm for arm in arms if arm.name != COMPOSED], (length,), resource)]


def _pretraining_costs(plan: ComparisonPlan, setup: DomainSetup, resource: str, context: RunContext, estimator: Estimator) -> dict[str, float]:
    """Return what the training of each layer took or will take; empty if it is not counted."""
    if plan.count_pretraining is False:
        return {}
    costs = pretraining_costs(setup.layers, resource, plan.count_pretraining, context.reporter.say)
    for name, chain in setup.pretrainings.items():
        rows = [estimator.training(chain.label, recipe) for recipe in chain.recipes]
        known = {"seconds": sum(row.seconds for row in rows), "cpu-seconds": sum(row.cpu_seconds for row in rows)}
        known[KIMG] = sum(recipe.training.kimg for recipe in chain.recipes)
        macs = sum(training_macs(recipe, {}, recipe.training.kimg) for recipe in chain.recipes) if resource == "macs" else 0.0
        costs[name] = known.get(resource, macs)
    return costs if len(costs) == len(setup.layers) + len(setup.pretrainings) else {}


def _measuring_seconds(evaluator: CachedEvaluator, size_px: int, arms: int, points: int) -> float:
    """Return about how long measuring takes: of each arm, each anchor and the real pictures, at the end and at each point."""
    samples, total_s = evaluator.protocol.samples, 0.0
    images = torch.randint(0, 256, (TIMED_IMAGES, 3, size_px, size_px), dtype=torch.uint8)
    for one in (evaluator, *evaluator.secondary):
        one.extractor(images)  # the first call is slower
        start_s = time.perf_counter()
        one.extractor(images)
        per_image_s = (time.perf_counter() - start_s) / TIMED_IMAGES
        chosen = arms * points * min(samples, len(one.validation)) if one is evaluator else 0
        total_s += per_image_s * ((arms + ANCHORS) * samples + one.real_count + chosen)
    return total_s
