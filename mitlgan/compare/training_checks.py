"""What can be refused before the first training of a comparison, and would otherwise be at the beginning of a later one, after hours."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path

from mitlgan import networks
from mitlgan.artifacts.card import GeneratorSpec, read_card
from mitlgan.compare.arms import ArmSpec, resolve_arms
from mitlgan.compare.budgets import with_schedule
from mitlgan.compare.domains import DomainSetup, check_composition, planned_specs
from mitlgan.compare.layer_cards import read_cards
from mitlgan.compare.layer_pictures import sets_of_record
from mitlgan.compare.plan import KIMG, ComparisonPlan
from mitlgan.compare.pretraining import pretraining_costs, resolve_resource
from mitlgan.data.recipe_data import open_recipe_data
from mitlgan.errors import naming_option
from mitlgan.recipe import require_generator_learns, require_trainable
from mitlgan.runtime.progress import Say, SilentReporter, ignore_message
from mitlgan.stages.context import RunContext
from mitlgan.stages.pretrain import check_new_start
from mitlgan.stages.resume import warn_if_data_differs


def check_arms(arms: Sequence[ArmSpec], layers: Mapping[str, Path], specs: Mapping[str, GeneratorSpec]) -> None:
    """Check that the networks of all baselines that train can be built.

    Args:
        arms: The baselines.
        layers: Artifact of each layer that exists already.
        specs: How each layer's generator is built, in the order of their latents.

    Raises:
        UsageError: The layers do not suit a composition, an arm would have to go on from another training, or weights of a critic's frozen network
            are missing; the message names the arm.
        ArtifactError: An artifact is no layer of that name and size.
    """
    for arm in arms:
        if arm.recipe is not None:
            with naming_option(f"--baseline {arm.name}"):
                instead = "train it by itself and give its run as the baseline, or leave it out"
                check_new_start(arm.recipe, instead, has_generator=arm.from_foreground)
                if arm.uses_layers:
                    check_composition(arm.recipe, layers, specs)


def check_trainings(plan: ComparisonPlan, setup: DomainSetup, context: RunContext, *, is_new: bool) -> None:
    """Refuse, before the first training of a domain, what would be refused at the beginning of a later one, after hours.

    Args:
        plan: As `resolve_plan` returned it.
        setup: One of its domains.
        context: Where its runs are.
        is_new: Whether no earlier call began it; what an earlier version began may have recipes that no training begins with now.

    Raises:
        UsageError: A training cannot be made of its recipe, its layers or the budgets; the message names the arm.
        ArtifactError: An artifact does not fit.
        DataError: Pictures that layers are to be trained on again are missing.
    """
    require = require_trainable if is_new else require_generator_learns
    quiet = dataclasses.replace(context, reporter=SilentReporter())
    resource = resolve_resource(plan, read_cards(setup.layers).values(), quiet)
    pretraining_costs(setup.layers, resource, plan.count_pretraining, ignore_message)
    if plan.pretrain_seeds:
        _check_pictures_of_layers(setup, context.reporter.say)
    for seed in range(setup.recipe.seed, setup.recipe.seed + plan.seeds):
        for chain in setup.pretrainings_for_seed(seed, plan.pretrain_seeds).values():
            for recipe in chain.recipes:
                with naming_option(chain.label):
                    require(recipe)
                    networks.require_critic_weights(recipe.critic)
    specs = planned_specs(setup)
    ours, *others = arms = resolve_arms(plan.baselines, setup.recipe, specs, plan.trials)
    check_arms(others, setup.layers, specs)
    require(setup.recipe)
    with naming_option(f"--recipe {setup.recipe.name}"):
        check_new_start(setup.recipe, "compose it by itself and name its run by --composed")
    for arm in arms:
        if arm.recipe is not None:
            unit = resource if plan.budgets or arm is not ours else KIMG  # without budgets the composition alone has its recipe's length
            with nullcontext() if arm is ours else naming_option(f"--baseline {arm.name}"):
                with_schedule(arm.recipe, plan.budgets or (setup.recipe.training.kimg,), unit, specs if arm.uses_layers else {})


def _check_pictures_of_layers(setup: DomainSetup, say: Say) -> None:
    """Say where the pictures of layers that are trained again are by now, and warn if they changed since."""
    for name, chain in setup.chains_of_artifacts(say).items():
        with naming_option(f"--pretrain-seeds: {name}"):
            warn_if_data_differs(chain.recipe, open_recipe_data(chain.recipe), sets_of_record(read_card(setup.layers[name]).training_records()[0]), say)
