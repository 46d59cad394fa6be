"""What the arms of a comparison have alike and what not: read from what they were really trained with, for an arm may be given as it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mitlgan import artifact, stages
from mitlgan.artifact import Card
from mitlgan.compare.arms import baseline_recipe
from mitlgan.compare.budgets import CLOCKS
from mitlgan.compare.contender import Contender, Domain
from mitlgan.compare.plan import EQUAL, Plan
from mitlgan.errors import UsageError
from mitlgan.recipe import Recipe, differences, parse

SETTINGS = (
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
class Equality:
    """Clauses for the report.

    Attributes:
        equal: What all arms share, one clause each.
        unequal: What differs, one clause each.
        budget: "at equal kimg, of this stage"; empty where an arm had more or less.
    """

    equal: list[str]
    unequal: list[str]
    budget: str


def equality(plan: Plan, domain: Domain, chosen_on: str) -> Equality:
    """What the arms of a domain have alike and what not; `chosen_on` is the split on which snapshots and thresholds are chosen."""
    recipe = domain.setting.recipe
    others = domain.contenders[1:]
    settings, scenes, lengths = ([clause for one in others for clause in found(one, domain, plan)] for found in (_settings, _scenes, _length))
    counted = "pretraining counted" if plan.count_pretraining and not domain.budgets else "of this stage"
    objective = f"objective ({recipe.objective.kind}, {recipe.objective.critic_steps} critic steps)"
    shared = f"critic, {objective}, optimisers, batch {recipe.training.batch}, averaging"
    equal = [] if scenes else [f"the {len(stages.pictures(recipe)):,} scenes that all trained on"]
    equal += [] if lengths else [f"{EQUAL[plan.equal]} {counted}"]
    if domain.budgets:
        budgets = ", ".join(f"{budget:g}" for budget in domain.budgets)
        equal.append(f"budgets, fixed before training: {budgets} {EQUAL[plan.equal]}; at each the best snapshot up to it, chosen on {chosen_on}")
    equal += [] if settings else [shared]
    equal.append("the measurement: extractor, number of images, seeds, resize")
    budget = "" if lengths else f"at equal {EQUAL[plan.equal]}, {counted}"
    return Equality(equal, [*_by_nature(domain, chosen_on), *settings, *scenes, *lengths], budget)


def _by_nature(domain: Domain, chosen_on: str) -> list[str]:
    found = [
        "the composition's generators were pretrained on foregrounds and backgrounds that a plain WGAN never saw",
        "trained parameters and multiply-accumulates per image: see the table",
    ]
    placement = None if (composed := domain.setting.recipe.composer) is None else composed.placement
    if placement is not None and placement.mattes is not None:
        found.append("the composition was told by mattes of scenes how large its foregrounds are there, and where; no other arm saw those mattes")
    if any(contender.arm.starts for contender in domain.contenders):
        found.append("the WGAN from the foreground's weights saw the foregrounds, too, by its start")
    for contender in domain.contenders:
        if any("critic" in run.inputs() for run in contender.runs):
            found.append(f"{contender.arm.label}: its critic began with another run's, not anew")
    if any(contender.arm.name == "paste" for contender in domain.contenders):
        found.append(f"the pasted layers are not trained on scenes at all: only the threshold of their matte is chosen, on {chosen_on}")
    return found


def _settings(contender: Contender, domain: Domain, plan: Plan) -> Iterator[str]:
    if not contender.trainings:
        return
    trained = _recipe(contender)
    if trained is None:
        yield f"{contender.arm.label}: its recipe is not known"
        return
    for key, (theirs, ours) in differences(trained, domain.setting.recipe).items():
        if key.startswith(SETTINGS):
            yield f"{contender.arm.label}: {key} is {_shown(theirs)}, the composition's {_shown(ours)}"


def _scenes(contender: Contender, domain: Domain, plan: Plan) -> Iterator[str]:
    if contender.trainings and _card(contender).data.get("content_sha256") != _card(domain.contenders[0]).data.get("content_sha256"):
        yield f"{contender.arm.label}: trained on other pictures than the composition"


def _length(contender: Contender, domain: Domain, plan: Plan) -> Iterator[str]:
    """Of an arm that was given; those that are trained here have the plan's length."""
    given = contender.arm.fixed is not None or (contender.arm.name == "wgan" and plan.baseline_run is not None)
    if not given:
        return
    recipe, card = domain.setting.recipe, _card(contender)
    wanted = baseline_recipe(recipe, domain.card, equal=plan.equal, count_pretraining=plan.count_pretraining).training
    if plan.equal in CLOCKS:
        assert wanted.limit_s is not None
        took, unit = (card.cpu_seconds, "CPU s") if wanted.clock == "cpu" else (card.seconds, "s")
        if abs(took - wanted.limit_s) > SECONDS_TOLERANCE * wanted.limit_s:
            yield f"{contender.arm.label}: {took:,.4g} {unit}, where {wanted.limit_s:,.4g} {unit} would be equal"
    elif abs(card.kimg - wanted.kimg) > recipe.training.batch * recipe.objective.critic_steps / 1000:
        yield f"{contender.arm.label}: {card.kimg:,.4g} kimg, where {wanted.kimg:,.4g} kimg would be equal"


def _recipe(contender: Contender) -> Recipe | None:
    try:
        return contender.runs[0].load_recipe() if contender.runs else parse(_card(contender).recipe)
    except UsageError:
        return None


def _card(contender: Contender) -> Card:
    return artifact.read_card(contender.trainings[0][-1].path)


def _shown(value: Any) -> str:
    return "absent" if value is None else str(value)
