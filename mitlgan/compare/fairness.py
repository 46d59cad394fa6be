"""What the arms of a comparison have alike and what not: read from what they were really trained with, for an arm may be given as it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from mitlgan.artifacts.card import Card, read_card
from mitlgan.compare.arm_results import DomainRun, TrainedArm
from mitlgan.compare.arms import WGAN_ARMS, composition_length
from mitlgan.compare.budgets import CLOCKS
from mitlgan.compare.plan import RESOURCE_UNITS, ComparisonPlan
from mitlgan.data.recipe_data import open_recipe_data
from mitlgan.errors import UsageError
from mitlgan.recipe import Recipe, diff_recipes, parse_recipe

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


@dataclass(frozen=True)
class Fairness:
    """Clauses for the report.

    Attributes:
        equal: What all arms share, one clause each.
        unequal: What differs, one clause each.
        lengths: Whether every arm is as long as it should be; one that was given may not be.
    """

    equal: list[str]
    unequal: list[str]
    lengths: bool


def describe_fairness(plan: ComparisonPlan, domain: DomainRun, chosen_on: str) -> Fairness:
    """What the arms of a domain have alike and what not; `chosen_on` is the split on which snapshots and thresholds are chosen."""
    recipe, unit = domain.setup.recipe, RESOURCE_UNITS[domain.equal]
    others = domain.arms[1:]
    settings, scenes, lengths = ([clause for one in others for clause in found(one, domain, plan)] for found in (_settings, _scenes, _length))
    objective = f"objective ({recipe.objective.kind}, {recipe.objective.critic_steps} critic steps)"
    shared = f"critic, {objective}, optimisers, batch {recipe.training.batch}, averaging"
    equal = [] if scenes else [f"the {len(open_recipe_data(recipe)):,} scenes that all trained on"]
    if not lengths:
        totals = any(one.length == "total" for one in others)
        equal += [f"{unit} of all stages, pretrainings counted in: what the headline compares"] if totals else []
        equal += [f"{unit} of this stage" + (": what stands below the headline" if totals else "")] if _alone(others) else []
    if domain.budgets:
        budgets = ", ".join(f"{budget:g}" for budget in domain.budgets)
        fixed = "fixed before training: " if plan.budgets else ""
        equal.append(f"budgets, {fixed}{budgets} {unit}; at each the best snapshot up to it, chosen on {chosen_on}")
    equal += [] if settings else [shared]
    equal.append("the measurement: extractors, number of images, seeds, resize")
    return Fairness(equal, [*_inherent_differences(domain, chosen_on), *settings, *scenes, *lengths], not lengths)


def _alone(others: Sequence[TrainedArm]) -> bool:
    return any(one.length == "stage" for one in others)


def _inherent_differences(domain: DomainRun, chosen_on: str) -> list[str]:
    found = []
    if any(not contender.arm.uses_layers and contender.snapshots for contender in domain.arms):
        found.append("the composition's generators were pretrained on foregrounds and backgrounds that no generator of whole scenes saw")
    found.append("trained parameters and multiply-accumulates per image: see the table")
    if domain.pretraining_costs and domain.equal in CLOCKS:
        found.append("the pretrainings' time is what the layers' cards say, on whatever machine they were trained")
    placement = None if (composed := domain.setup.recipe.composer) is None else composed.placement
    if placement is not None and placement.mattes is not None:
        found.append("the composition was told by mattes of scenes how large its foregrounds are there, and where; no other arm saw those mattes")
    if any(contender.arm.from_foreground for contender in domain.arms):
        found.append("the WGAN from the foreground's weights saw the foregrounds, too, by its start")
    for contender in domain.arms:
        if any("critic" in run.read_inputs() for run in contender.runs):
            found.append(f"{contender.arm.label}: its critic began with another run's, not anew")
    if any(contender.arm.name == "paste" for contender in domain.arms):
        found.append(f"the pasted layers are not trained on scenes at all: only the threshold of their matte is chosen, on {chosen_on}")
    return found


def _settings(contender: TrainedArm, domain: DomainRun, plan: ComparisonPlan) -> Iterator[str]:
    if not contender.snapshots:
        return
    trained = _recipe(contender)
    if trained is None:
        yield f"{contender.arm.label}: its recipe is not known"
        return
    for key, (theirs, ours) in diff_recipes(trained, domain.setup.recipe).items():
        if key.startswith(COMPARED_SETTINGS):
            yield f"{contender.arm.label}: {key} is {_shown(theirs)}, the composition's {_shown(ours)}"


def _scenes(contender: TrainedArm, domain: DomainRun, plan: ComparisonPlan) -> Iterator[str]:
    if contender.snapshots and _card(contender).data.get("content_sha256") != _card(domain.arms[0]).data.get("content_sha256"):
        yield f"{contender.arm.label}: trained on other pictures than the composition"


def _length(contender: TrainedArm, domain: DomainRun, plan: ComparisonPlan) -> Iterator[str]:
    """Of an arm that was given; those that are trained here have the plan's length."""
    given = contender.arm.artifact is not None or (contender.arm.name in WGAN_ARMS and plan.baseline_run is not None)
    if not given:
        return
    recipe, card, end = domain.setup.recipe, _card(contender), contender.snapshots[0][-1]
    wanted = composition_length(recipe, domain.card, domain.equal) + sum(domain.pretraining_costs.values())
    took, unit = end.position(domain.equal), RESOURCE_UNITS[domain.equal]
    update = recipe.training.batch * recipe.objective.critic_steps / 1000
    if abs(took - wanted) > (update * took / card.kimg if card.kimg and domain.equal not in CLOCKS else SECONDS_TOLERANCE * wanted):
        yield f"{contender.arm.label}: {took:,.4g} {unit}, where {wanted:,.4g} {unit} would be equal"


def _recipe(contender: TrainedArm) -> Recipe | None:
    try:
        return contender.runs[0].load_recipe() if contender.runs else parse_recipe(_card(contender).recipe)
    except UsageError:
        return None


def _card(contender: TrainedArm) -> Card:
    return read_card(contender.snapshots[0][-1].path)


def _shown(value: Any) -> str:
    return "absent" if value is None else str(value)
