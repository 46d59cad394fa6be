"""What the arms of a comparison have in common and what not, according to what each was really trained with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from mitlgan.artifacts.card import Card, read_card
from mitlgan.compare.arm_costs import pretraining_stages
from mitlgan.compare.arms import WGAN_ARMS, stage_length
from mitlgan.compare.budgets import CLOCKS
from mitlgan.compare.finished_runs import read_finished_card
from mitlgan.compare.plan import RESOURCE_UNITS, ComparisonPlan
from mitlgan.compare.trained_arms import DomainRun, TrainedArm
from mitlgan.data.recipe_data import open_recipe_data
from mitlgan.errors import ArtifactError, DataError, UsageError
from mitlgan.recipe import Recipe, diff_recipes, parse_recipe, with_data_source
from mitlgan.stages.existing_runs import data_change_of_run

COMPARED_SETTINGS = (
    "critic.",
    "critic_start.",
    "objective.",
    "augment.",
    "generator_optimiser.",
    "critic_optimiser.",
    "training.batch",
    "training.ema_halflife_kimg",
)
SECONDS_TOLERANCE = 0.05
"""Relative difference in time up to which lengths count as equal."""


@dataclass(frozen=True)
class Fairness:
    """Clauses for the report.

    Attributes:
        equal: What all arms share, one clause each.
        unequal: What differs, one clause each.
        other_pictures: Which arms were trained on other pictures than those that are measured, one sentence each.
        lengths_match: Whether every arm has the length that it should have; an arm that was trained elsewhere may not.
    """

    equal: list[str]
    unequal: list[str]
    other_pictures: list[str]
    lengths_match: bool


def describe_fairness(plan: ComparisonPlan, domain: DomainRun, validation_split: str) -> Fairness:
    """Return what the arms of a domain have in common and what not.

    Args:
        plan: Of the comparison.
        domain: Its arms.
        validation_split: The split on which snapshots and thresholds are chosen.
    """
    baselines = domain.arms[1:]
    settings = [clause for trained in baselines for clause in _different_settings(trained, domain)]
    scenes = [clause for trained in baselines for clause in _different_scenes(trained, domain)]
    lengths = [clause for trained in baselines for clause in _different_length(trained, domain, plan)]
    recipe = domain.setup.recipe
    others = [sentence for trained in domain.arms for sentence in _other_pictures(trained, domain)]
    equal = [] if scenes or others else [f"the {len(open_recipe_data(recipe)):,} training scenes"]
    if not lengths:
        equal += _equal_lengths(domain)
    if domain.budgets:
        budgets = ", ".join(f"{budget:g}" for budget in domain.budgets)
        when = "fixed before training: " if plan.budgets else ""
        equal.append(f"budgets, {when}{budgets} {RESOURCE_UNITS[domain.resource]}; at each the best snapshot up to it, chosen on {validation_split}")
    if not settings:
        objective = f"objective ({recipe.objective.kind}, {recipe.objective.critic_steps} critic steps)"
        equal.append(f"critic, {objective}, optimizers, batch {recipe.training.batch}, weight averaging")
    equal.append("the measurement: extractors, number of samples, seeds, resizing")
    return Fairness(equal, [*_inherent_differences(domain, validation_split), *settings, *scenes, *lengths], others, not lengths)


def _equal_lengths(domain: DomainRun) -> Iterator[str]:
    unit, lengths = RESOURCE_UNITS[domain.resource], {trained.length for trained in domain.arms[1:]}
    if "total" in lengths:
        yield f"{unit} of all stages, pretraining included: what the headline compares"
    if "stage" in lengths:
        yield f"{unit} of this stage" + (": what is compared below the headline" if "total" in lengths else "")


def _inherent_differences(domain: DomainRun, validation_split: str) -> Iterator[str]:
    """Yield differences that follow from what the arms are."""
    if any(not trained.arm.uses_layers and trained.snapshots for trained in domain.arms):
        yield "the composition's generators were pretrained on foregrounds and backgrounds that no generator of whole scenes saw"
    yield "trained parameters and multiply-accumulates per image: see the table"
    if domain.pretraining_costs and domain.resource in CLOCKS:
        yield "the time of pretraining is taken from the layers' cards, whatever machine they were trained on"
    composer = domain.setup.recipe.composer
    if composer is not None and composer.placement is not None and composer.placement.mattes is not None:
        yield "the composition knew from mattes of scenes how large its foregrounds are and where they are; no other arm saw those mattes"
    if any(trained.arm.from_foreground for trained in domain.arms):
        yield "the WGAN from the foreground's weights has seen the foregrounds, too, through its initial weights"
    for trained in domain.arms:
        if any("critic" in run.read_inputs() for run in trained.runs):
            yield f"{trained.arm.label}: its critic started from another run's weights, not from scratch"
    if any(trained.arm.name == "paste" for trained in domain.arms):
        yield f"the pasted layers are not trained on scenes at all: only the threshold of their matte is chosen, on {validation_split}"


def _different_settings(trained: TrainedArm, domain: DomainRun) -> Iterator[str]:
    if not trained.snapshots:
        return
    recipe = _recipe(trained)
    if recipe is None:
        yield f"{trained.arm.label}: its recipe is unknown"
        return
    for key, (theirs, ours) in diff_recipes(recipe, domain.setup.recipe).items():
        if key.startswith(COMPARED_SETTINGS):
            yield f"{trained.arm.label}: {key} is {_value_text(theirs)}; the composition's is {_value_text(ours)}"


def _different_scenes(trained: TrainedArm, domain: DomainRun) -> Iterator[str]:
    if trained.snapshots and _pictures(trained) != _pictures(domain.arms[0]):
        yield f"{trained.arm.label}: trained on different pictures than the composition"


def _other_pictures(trained: TrainedArm, domain: DomainRun) -> Iterator[str]:
    """Yield a sentence if an arm was trained on other pictures than the domain's are now, all along or for a part of its length."""
    source = domain.setup.recipe.data.source
    for run in trained.runs:
        with suppress(ArtifactError, DataError, UsageError):  # nothing says it
            if change := data_change_of_run(run, with_data_source(run.recorded_recipe(), source)):
                yield f"{trained.arm.label}: it was trained on other pictures than those that are measured ({change})."
                return


def _different_length(trained: TrainedArm, domain: DomainRun, plan: ComparisonPlan) -> Iterator[str]:
    """Check an arm that was trained elsewhere; those that are trained here have the plan's length."""
    if trained.arm.artifact is None and (trained.arm.name not in WGAN_ARMS or plan.baseline_run is None):
        return
    recipe, end = domain.setup.recipe, trained.snapshots[0][-1]
    expected = stage_length(recipe, domain.card, domain.resource) + sum(domain.pretraining_costs.values())
    length, unit = end.position(domain.resource), RESOURCE_UNITS[domain.resource]
    if domain.pretraining_costs:
        layers = pretraining_stages(read_card(end.path)).values()
        length += sum(getattr(layer, domain.resource.replace("-", "_")) or 0.0 for layer in layers)
    update_kimg = recipe.training.batch * recipe.objective.critic_steps / 1000
    is_counted = end.kimg and domain.resource not in CLOCKS
    tolerance = update_kimg * length / end.kimg if is_counted else SECONDS_TOLERANCE * expected
    if abs(length - expected) > tolerance:
        yield f"{trained.arm.label}: {length:,.4g} {unit}; equal would be {expected:,.4g} {unit}"


def _recipe(trained: TrainedArm) -> Recipe | None:
    try:
        return trained.runs[0].recorded_recipe() if trained.runs else parse_recipe(_card(trained).recipe)
    except UsageError:
        return None


def _pictures(trained: TrainedArm) -> Any:
    """Return the hash of an arm's training pictures: of its whole training, since early steps of a ladder see reduced ones."""
    card = read_finished_card(trained.runs[0]) if trained.runs else _card(trained)
    return card.data.get("content_sha256")


def _card(trained: TrainedArm) -> Card:
    return read_card(trained.snapshots[0][-1].path)


def _value_text(value: Any) -> str:
    return "absent" if value is None else str(value)
