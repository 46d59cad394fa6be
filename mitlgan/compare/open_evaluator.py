"""Opens the evaluator of a composition: its real images, its validation images and its extractors."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection

from mitlgan.compare.evaluator import CachedEvaluator
from mitlgan.compare.plan import ComparisonPlan
from mitlgan.data.recipe_data import open_recipe_data
from mitlgan.data.sources.split_folders import correct_split
from mitlgan.data.splits import choose_evaluation_split, resolve_split
from mitlgan.errors import DataError
from mitlgan.metrics.extractors.names import OFFLINE_EXTRACTOR, SECOND_EXTRACTOR
from mitlgan.metrics.open_extractors import open_extractors, open_recipe_extractors
from mitlgan.metrics.protocol import EvalProtocol
from mitlgan.networks.feature_networks.mobilenet_v2 import mobilenet_weights
from mitlgan.recipe import Recipe, setting_keys
from mitlgan.stages.context import RunContext


def open_evaluator(plan: ComparisonPlan, recipe: Recipe, context: RunContext, taught_by: Collection[str] = ()) -> CachedEvaluator:
    """Return the evaluator for all arms that are compared with a composition.

    Args:
        plan: The request.
        recipe: Of the composition.
        context: Its device samples the artifacts.
        taught_by: Networks that critics of any arm look through, which cannot judge; see `domain_critic_networks`.

    Raises:
        UsageError: Weights are missing, or an extractor cannot judge; raised before any training.
        DataError: There are fewer than two images to measure against.
    """
    source, device, say = recipe.data.source, str(context.world.device), context.reporter.say
    is_requested = any("evaluation.split" in setting_keys(text) for text in plan.settings)
    notes: list[str] = []
    split = choose_evaluation_split(source, recipe.role, recipe.evaluation.split if is_requested else None, recipe.evaluation.split, notes.append)
    real, training = open_recipe_data(recipe, split, say=say), open_recipe_data(recipe)
    split = correct_split(split, real.content_sha256, training.content_sha256)
    if len(real) < 2:
        raise DataError(f"{source}: one {split} image is too few to measure against; hold out more (`--holdout N` of `mitlgan data split`)")
    if split != "train":  # otherwise the evaluator's own warnings say so, here and in the report
        for note in notes:
            say(note)
    validation_split = resolve_split(source, recipe.role, "validation")
    validation = open_recipe_data(recipe, validation_split)
    validation_split = correct_split(validation_split, validation.content_sha256, training.content_sha256)
    names = plan.extractors or extractor_names(recipe)
    protocol = EvalProtocol(extractor=names[0], samples=plan.samples or recipe.evaluation.samples, split=split)
    if plan.extractors:
        networks = open_extractors(protocol, names, weights=plan.weights, device=device, critic_networks=taught_by)
    else:
        networks = open_recipe_extractors(protocol, names, weights=plan.weights, device=device, critic_networks=taught_by, say=say)
    for network in networks.values():
        network.require_pictures(real.size_px, real.channels)
    first, *others = [
        CachedEvaluator(dataclasses.replace(protocol, extractor=name), real, validation, validation_split, network, device, context.reporter)
        for name, network in networks.items()
    ]
    return dataclasses.replace(first, secondary=tuple(others))


def extractor_names(recipe: Recipe) -> tuple[str, ...]:
    """Return a recipe's extractors; if there is only one, also a second with the same input size that is available offline."""
    names = recipe.evaluation.extractors
    base, at, size_px = names[0].partition("@")
    second = OFFLINE_EXTRACTOR if base != OFFLINE_EXTRACTOR else SECOND_EXTRACTOR
    if len(names) > 1 or (second == SECOND_EXTRACTOR and mobilenet_weights() is None):
        return names
    return (*names, f"{second}{at}{size_px}" if base in (OFFLINE_EXTRACTOR, SECOND_EXTRACTOR) else second)
