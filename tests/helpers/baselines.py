"""Recipes of baselines, as a comparison makes them."""

from __future__ import annotations

from mitlgan.artifacts.card import Card
from mitlgan.compare.arms import match_length, resolve_baseline
from mitlgan.recipe import Recipe


def baseline_recipe(recipe: Recipe, card: Card, *, baseline: str = "wgan", resource: str = "kimg", extra: float = 0.0) -> Recipe:
    """What a baseline trains beside a composition of this recipe and card."""
    return match_length(resolve_baseline(baseline, recipe, card.generator_specs()), recipe, card, resource=resource, extra=extra)
