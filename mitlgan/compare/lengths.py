"""What arms get alike, and how much of it: the unit, what the pretrainings took in it, and what each arm gets of that."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from mitlgan.artifacts.card import Card
from mitlgan.compare.arms import ArmSpec, finetune_layer
from mitlgan.compare.budgets import training_macs
from mitlgan.compare.domains import read_cards
from mitlgan.compare.plan import RESOURCE_UNITS, TIME, ComparisonPlan
from mitlgan.errors import UsageError
from mitlgan.recipe import Recipe, parse_recipe
from mitlgan.stages.context import RunContext


def resolve_resource(plan: ComparisonPlan, layers: Iterable[Card], environment: RunContext, *, composition: Card | None = None) -> str:
    """A key of `plan.EQUAL` other than time, for a plan that may ask for time.

    Time is CPU seconds, which nothing else on the machine uses up, where trainings are on the CPU and every stage knows its own; else seconds, unless
    trainings share the machine, which leaves the real images.

    Args:
        plan: What was asked for.
        layers: Cards of the frozen layers.
        environment: Where the others are trained.
        composition: Its card, where it is taken as it is.
    """
    if plan.equal != TIME:
        return plan.equal
    stages = [*layers, *([composition] if composition is not None else [])]
    if environment.world.device.type == "cpu" and all(card.cpu_seconds for card in stages):
        return "cpu-seconds"
    if plan.jobs == 1:
        return "seconds"
    environment.reporter.say("--jobs: trainings that share this machine cannot be compared by time; all get equal kimg (--jobs 1 compares by time)")
    return "kimg"


def pretraining_costs(layers: Mapping[str, Path], equal: str, wanted: bool | None, say: Callable[[str], None]) -> dict[str, float]:
    """What each layer's own training took, in a unit; empty where it is not to be counted, or not known and not insisted on.

    Args:
        layers: Artifact of each.
        equal: A key of `plan.EQUAL`.
        wanted: True insists; None counts it where it is known.
        say: Told why it is not counted.

    Raises:
        UsageError: It is insisted on, and not known.
    """
    if wanted is False:
        return {}
    found = {}
    for name, card in read_cards(layers).items():
        took, reason = _took(card, name, equal)
        if not took:
            if wanted:
                raise UsageError(f"--count-pretraining: {reason}")
            say(f"warning: {reason}; the pretrainings are not counted, and the baselines are as long as the composition's stage alone")
            return {}
        found[name] = took
    return found


def _took(card: Card, name: str, equal: str) -> tuple[float, str]:
    """What a layer's training took, with those of the generators that it grew from, or 0 and why that is not known."""
    if equal == "macs":
        try:
            took = sum(float(one["kimg"]) * training_macs(parse_recipe(dict(one["made_by"]), name), {}) for one in card.training_records())
            return took, f"what {name} took is not known; use --equal seconds"
        except UsageError:
            return 0.0, f"what {name} took is not known in multiply-accumulates; use --equal kimg or seconds"
    each = [float(one.get(equal.replace("-", "_")) or 0.0) for one in card.training_records()]
    return sum(each) if all(each) else 0.0, f"the card of {name} does not say what it took in {RESOURCE_UNITS[equal]}; give one that does"


def extra_budget(arm: ArmSpec, composition: Recipe, before: Mapping[str, float]) -> float:
    """What an arm gets beyond the composition's stage: all pretrainings, but those that it has had itself.

    Args:
        arm: A composition of the same layers has had all of them; one that begins with a layer's weights has had that layer's.
        composition: Its recipe.
        before: See `pretraining`.
    """
    if not before or arm.uses_layers:
        return 0.0
    own = finetune_layer(composition, before) if arm.from_foreground else None
    return sum(took for name, took in before.items() if name != own)
