"""What a baseline of a comparison trains."""

from __future__ import annotations

from mitlgan.artifacts.card import Card
from mitlgan.compare.arms import match_length, resolve_baseline
from mitlgan.recipe import Recipe


def baseline_recipe(recipe: Recipe, card: Card, *, equal: str = "kimg", extra: float = 0.0) -> Recipe:
    """The recipe of `--baseline wgan` beside a composition."""
    return match_length(resolve_baseline("wgan", recipe, card.generator_specs()), recipe, card, equal=equal, extra=extra)
