"""Lengths of training for equal budgets: of real images, of measured seconds (wall or CPU), or of multiply-accumulates.

Multiply-accumulates of training are counted, not measured; see `stages.training_work`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from mitlgan.artifacts.card import GeneratorSpec
from mitlgan.errors import UsageError
from mitlgan.recipe import Recipe, parse_recipe, with_overrides, with_total_kimg
from mitlgan.runtime.progress import UNBOUNDED_KIMG
from mitlgan.stages.training_work import count_stretches
from mitlgan.training.work import run_kimg_for, run_work

TERA = 1e12
CLOCKS = {"seconds": None, "cpu-seconds": "cpu"}
"""Resource in seconds -> `training.clock`."""

MIN_LENGTH_S = 0.1
EARLY_FRACTIONS = (0.25, 0.5)
"""Fractions of the first budget at which arms are measured, too: the thesis asks about early training."""


def measurement_points(budgets: Sequence[float]) -> tuple[float, ...]:
    """Return where arms are measured: early on, and at each budget."""
    return tuple(sorted({*(share * budgets[0] for share in EARLY_FRACTIONS), *budgets}))


def training_macs(recipe: Recipe, layers: Mapping[str, GeneratorSpec], kimg: float) -> float:
    """Return what the first kimg of a training cost, in tera multiply-accumulates: step by step of a ladder, each with its critic's own time.

    Args:
        recipe: Of any stage.
        layers: How the frozen generators of a composition are built; empty for a generator.
        kimg: Thousand real images shown to the critic, from the beginning of the run.

    Raises:
        UsageError: The critic's frozen network is not on this machine.
    """
    return run_work(count_stretches(recipe, layers), kimg) / TERA


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
            total += training_macs(parse_recipe(tree), layers, float(record.get("kimg", 0.0)))
        except UsageError:
            return None
    return total


def _kimg_for_macs(recipe: Recipe, layers: Mapping[str, GeneratorSpec], points: Sequence[float]) -> list[float]:
    """Return after how many kimg a training has cost so much at each point, if it ends at the last: early steps of a ladder are cheap.

    Args:
        recipe: Of any stage, and of any length.
        layers: As in `training_macs`.
        points: In tera multiply-accumulates, increasing.
    """
    whole = with_total_kimg(recipe, _length_for_macs(recipe, layers, points[-1]))
    stretches = count_stretches(whole, layers)
    return [run_kimg_for(stretches, point * TERA) for point in points]


def _length_for_macs(recipe: Recipe, layers: Mapping[str, GeneratorSpec], macs: float) -> float:
    """Return for how many kimg a recipe must be made to train so that all of it costs so much.

    By `with_total_kimg` the steps of a ladder grow with the length, and the critic's own time grows up to the recipe's. So the cost goes in straight
    lines between nothing, the recipe's length and any length at which a step becomes longer than its critic's own time, and from there on.
    """
    stretches = count_stretches(recipe, layers)
    ends_kimg = [stretch.recipe.training.kimg for stretch in stretches]
    steps_kimg = [end - begin for begin, end in pairwise([0.0, *ends_kimg])]
    longer = {max(1.0, stretch.critic_first_kimg / kimg) for stretch, kimg in zip(stretches, steps_kimg, strict=True)}
    low_kimg = low = 0.0
    for kimg in sorted(recipe.training.kimg * factor for factor in longer | {1.0}):
        cost = training_macs(with_total_kimg(recipe, kimg), layers, kimg)
        if macs <= cost:
            return low_kimg + (kimg - low_kimg) * (macs - low) / (cost - low)
        low_kimg, low = kimg, cost
    both = sum(kimg * stretch.cost.both for stretch, kimg in zip(stretches, steps_kimg, strict=True)) / sum(steps_kimg)
    return low_kimg + (macs - low) * TERA / both


def with_equal_length(recipe: Recipe, resource: str, layers: Mapping[str, GeneratorSpec], stage: float, extra: float = 0.0) -> Recipe:
    """Return a recipe that trains for as long as the composition's stage, and as its pretrainings if they are counted.

    Args:
        recipe: Of an arm.
        resource: A key of `plan.RESOURCE_UNITS` other than time.
        layers: As in `training_macs`; only read where the resource is multiply-accumulates.
        stage: What the composition's stage took, in the unit of the resource.
        extra: What the pretrainings took; an artifact is kept at the length of the stage alone.
    """
    if resource in CLOCKS:
        stage_end, end = (max(MIN_LENGTH_S, round(length, 1)) for length in (stage, stage + extra))
        return _with_length(recipe, resource, end, [stage_end] if extra else None)
    stage_end, end = stage, stage + extra
    if resource == "macs":
        stage_end, end = (round(kimg, 3) for kimg in _kimg_for_macs(recipe, layers, (stage, stage + extra)))
    return _with_length(recipe, resource, end, [stage_end] if extra else None)


def with_schedule(recipe: Recipe, budgets: Sequence[float], resource: str, layers: Mapping[str, GeneratorSpec], *, extra: float = 0.0) -> Recipe:
    """Return a recipe that trains for the longest budget and keeps artifacts where it is measured.

    Args:
        recipe: Of an arm.
        budgets: In the unit of the resource, increasing.
        resource: A key of `plan.RESOURCE_UNITS` other than time.
        layers: As in `training_macs`; only read where the resource is multiply-accumulates.
        extra: Added to each budget, for pretraining that is counted.
    """
    points = measurement_points(budgets)
    if extra:
        points = tuple(sorted({*points, *(budget + extra for budget in budgets)}))
    if resource in CLOCKS:
        lengths = [max(MIN_LENGTH_S, round(point, 3)) for point in points]
    else:
        lengths = [round(kimg, 6) for kimg in (_kimg_for_macs(recipe, layers, points) if resource == "macs" else points)]
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
