"""Lengths of training for equal budgets: of real images, of measured seconds (wall or CPU), or of multiply-accumulates.

Multiply-accumulates of training are counted, not measured; see `stages.training_work`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mitlgan.artifacts.card import GeneratorSpec
from mitlgan.errors import UsageError
from mitlgan.recipe import Recipe, ladder_steps, parse_recipe, with_overrides, with_total_kimg
from mitlgan.runtime.progress import UNBOUNDED_KIMG
from mitlgan.stages.training_work import macs_per_kimg

TERA = 1e12
CLOCKS = {"seconds": None, "cpu-seconds": "cpu"}
"""Resource in seconds -> `training.clock`."""

MIN_LENGTH_S = 0.1
EARLY_FRACTIONS = (0.25, 0.5)
"""Fractions of the first budget at which arms are measured, too: the thesis asks about early training."""


def measurement_points(budgets: Sequence[float]) -> tuple[float, ...]:
    """Return where arms are measured: early on, and at each budget."""
    return tuple(sorted({*(share * budgets[0] for share in EARLY_FRACTIONS), *budgets}))


def training_macs(recipe: Recipe, layers: Mapping[str, GeneratorSpec]) -> float:
    """Return the cost of training, in tera multiply-accumulates per thousand real images shown to the critic; of a ladder, the mean over its kimg.

    Args:
        recipe: Of any stage.
        layers: How the frozen generators of a composition are built; empty for a generator.
    """
    return _mean_macs(recipe, step_macs(recipe, layers))


def records_macs(records: Sequence[Mapping[str, Any]], layers: Mapping[str, GeneratorSpec]) -> float | None:
    """Return the tera multiply-accumulates of the trainings of an artifact's card; None if a record lacks its recipe.

    Args:
        records: Of `Card.training_records`.
        layers: As in `training_macs`.
    """
    total = 0.0
    for record in records:
        tree = record.get("made_by")
        if not isinstance(tree, dict):
            return None
        try:
            recipe, kimg = parse_recipe(tree), float(record.get("kimg", 0.0))
            total += kimg * (macs_per_kimg(recipe, layers, kimg) / TERA if recipe.grow is None else training_macs(recipe, layers))
        except UsageError:
            return None
    return total


def step_macs(recipe: Recipe, layers: Mapping[str, GeneratorSpec]) -> tuple[float, ...]:
    """Return the cost of training at each size of a ladder, or the one cost of a recipe without; see `training_macs`."""
    steps = zip(ladder_steps(recipe), _step_lengths(recipe), strict=True)
    return tuple(macs_per_kimg(step, layers, kimg) / TERA for step, kimg in steps)


def _step_lengths(recipe: Recipe) -> list[float]:
    return [step.kimg for step in recipe.grow or ()] or [recipe.training.kimg]


def _mean_macs(recipe: Recipe, costs: Sequence[float]) -> float:
    lengths = _step_lengths(recipe)
    return sum(length * cost for length, cost in zip(lengths, costs, strict=True)) / sum(lengths)


def _kimg_at_macs(recipe: Recipe, costs: Sequence[float], macs: float, end_macs: float) -> float:
    """Return after how many kimg a training has cost so much, if all of it costs `end_macs`: early steps of a ladder are cheap."""
    lengths = _step_lengths(recipe)
    factor = end_macs / (_mean_macs(recipe, costs) * sum(lengths))
    kimg, left = 0.0, macs
    for length, cost in zip(lengths, costs, strict=True):
        reached = min(length * factor, left / cost)
        kimg, left = kimg + reached, left - reached * cost
    return kimg


def with_equal_length(recipe: Recipe, resource: str, costs: Sequence[float], stage: float, extra: float = 0.0) -> Recipe:
    """Return a recipe that trains for as long as the composition's stage, and as its pretrainings if they are counted.

    Args:
        recipe: Of an arm.
        resource: A key of `plan.RESOURCE_UNITS` other than time.
        costs: Its `step_macs`; any value where the resource is another.
        stage: What the composition's stage took, in the unit of the resource.
        extra: What the pretrainings took; an artifact is kept at the length of the stage alone.
    """
    if resource in CLOCKS:
        stage_end, end = (max(MIN_LENGTH_S, round(length, 1)) for length in (stage, stage + extra))
        return _with_length(recipe, resource, end, [stage_end] if extra else None)
    stage_end, end = (
        round(_kimg_at_macs(recipe, costs, length, stage + extra), 3) if resource == "macs" else length for length in (stage, stage + extra)
    )
    return _with_length(recipe, resource, end, [stage_end] if extra else None)


def with_schedule(recipe: Recipe, budgets: Sequence[float], resource: str, costs: Sequence[float], *, extra: float = 0.0) -> Recipe:
    """Return a recipe that trains for the longest budget and keeps artifacts where it is measured.

    Args:
        recipe: Of an arm.
        budgets: In the unit of the resource, increasing.
        resource: A key of `plan.RESOURCE_UNITS` other than time.
        costs: Its `step_macs`; any value where the resource is another.
        extra: Added to each budget, for pretraining that is counted.
    """
    points = measurement_points(budgets)
    if extra:
        points = tuple(sorted({*points, *(budget + extra for budget in budgets)}))
    if resource in CLOCKS:
        lengths = [max(MIN_LENGTH_S, round(point, 3)) for point in points]
    else:
        lengths = [round(_kimg_at_macs(recipe, costs, point, points[-1]) if resource == "macs" else point, 6) for point in points]
    return _with_length(recipe, resource, lengths[-1], lengths)


def _with_length(recipe: Recipe, resource: str, end: float, artifact_points: Sequence[float] | None) -> Recipe:
    """Return a recipe that ends at a length and keeps artifacts on the way, in seconds or kimg; None leaves the recipe's own points.

    It keeps none at intervals: each would be measured as a candidate.

    Raises:
        UsageError: The recipe ends after seconds, and a learning rate of it follows the kimg.
    """
    for key in ("generator_optimiser", "critic_optimiser"):
        if resource in CLOCKS and getattr(recipe, key).schedule != "none":
            raise UsageError(
                f"{key}.schedule follows the length in kimg, which is not known where all arms get equal seconds; compare by --equal kimg or "
                "--equal macs, or leave the schedule out"
            )
    recipe = with_overrides(recipe, training__artifact_kimg=None, training__artifact_iterations=None)
    if resource in CLOCKS:
        recipe = with_overrides(with_total_kimg(recipe, UNBOUNDED_KIMG), training__limit_s=end, training__clock=CLOCKS[resource])
        return recipe if artifact_points is None else with_overrides(recipe, training__keep_s=list(artifact_points), training__keep_kimg=[])
    recipe = with_overrides(with_total_kimg(recipe, end), training__limit_s=None, training__clock=None)
    return recipe if artifact_points is None else with_overrides(recipe, training__keep_kimg=list(artifact_points), training__keep_s=[])
