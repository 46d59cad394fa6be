"""How pretraining counts: the resource of which all arms get the same amount, what the pretrainings took of it, and what each arm gets for that."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mitlgan.artifacts.card import Card, read_weights_hash
from mitlgan.artifacts.times import TIMES_FILE
from mitlgan.artifacts.training_records import uncounted_records
from mitlgan.compare.arms import ArmSpec, finetune_layer
from mitlgan.compare.budgets import records_macs
from mitlgan.compare.layer_cards import read_cards
from mitlgan.compare.plan import RESOURCE_UNITS, TIME, ComparisonPlan
from mitlgan.errors import UsageError
from mitlgan.recipe import Recipe
from mitlgan.stages.context import RunContext


def resolve_resource(plan: ComparisonPlan, layers: Iterable[Card], context: RunContext, *, composition: Card | None = None) -> str:
    """Return a key of `plan.RESOURCE_UNITS` other than time, for a plan that may ask for time.

    Time means CPU seconds, which other programs do not use up, if training is on the CPU and the CPU time of every stage is known. Otherwise it means
    seconds; or kimg, if trainings share the machine.

    Args:
        plan: The request.
        layers: Cards of the frozen layers.
        context: Where the other arms are trained.
        composition: Card of a composition that is taken as it is.
    """
    if plan.equal != TIME:
        return plan.equal
    cards = [*layers, *([composition] if composition is not None else [])]
    if context.world.device.type == "cpu" and all(card.cpu_seconds for card in cards):
        return "cpu-seconds"
    if plan.jobs == 1:
        return "seconds"
    context.reporter.say("--jobs: trainings that share this machine cannot be compared by time; all get equal kimg (--jobs 1 compares by time)")
    return "kimg"


def pretraining_costs(layers: Mapping[str, Path], resource: str, is_required: bool | None, say: Callable[[str], None]) -> dict[str, float]:
    """Return what the training of each layer took; empty if it is not counted, or is unknown and not required.

    A generator that several layers are, or grew from, counts for the first of them.

    Args:
        layers: Artifact of each layer.
        resource: A key of `plan.RESOURCE_UNITS`.
        is_required: True requires it, False leaves it out, None counts it if it is known.
        say: Logs why it is not counted.

    Raises:
        UsageError: It is required and unknown.
    """
    if is_required is False:
        return {}
    costs, counted = {}, set[str]()
    for name, card in read_cards(layers).items():
        records = uncounted_records(read_weights_hash(layers[name]), card.training_records(), counted)
        cost, reason = _records_cost(records, name, resource)
        if records and not cost:
            if is_required:
                raise UsageError(f"--count-pretraining: {reason}")
            say(f"warning: {reason}; the pretrainings are not counted, and the baselines are as long as the composition's stage alone")
            return {}
        costs[name] = cost
    return costs


def _records_cost(records: Sequence[Mapping[str, Any]], name: str, resource: str) -> tuple[float, str]:
    """Return what the trainings of a layer and of the generators that it grew from took, or 0 and why that is unknown."""
    if resource == "macs":
        return records_macs(records, {}) or 0.0, f"the cost of {name} is not known in multiply-accumulates; use --equal kimg or seconds"
    costs = [float(record.get(resource.replace("-", "_")) or 0.0) for record in records]
    reason = f"no card or {TIMES_FILE} of {name} says how many {RESOURCE_UNITS[resource]} its training took; give an artifact with its {TIMES_FILE}"
    return sum(costs) if all(costs) else 0.0, reason


def extra_budget(arm: ArmSpec, composition: Recipe, costs: Mapping[str, float]) -> float:
    """Return what an arm gets beyond the composition's stage: the cost of all pretrainings, except those that it has had itself.

    Args:
        arm: A composition of the same layers has had all pretrainings; an arm that starts from a layer's weights has had that layer's.
        composition: Recipe of the composition.
        costs: See `pretraining_costs`.
    """
    if not costs or arm.uses_layers:
        return 0.0
    own = finetune_layer(composition, costs) if arm.from_foreground else None
    return sum(cost for name, cost in costs.items() if name != own)
