"""The cards of layers, and how their generators are built."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mitlgan.artifacts.card import Card, GeneratorSpec, read_card
from mitlgan.errors import ArtifactError
from mitlgan.recipe import Recipe


def read_cards(layers: Mapping[str, Path]) -> dict[str, Card]:
    """Return the card of each layer."""
    return {name: read_card(path) for name, path in layers.items()}


def generator_spec(recipe: Recipe) -> GeneratorSpec:
    """Return how the generator of a recipe is built."""
    assert recipe.generator is not None
    return GeneratorSpec(recipe.generator, recipe.size_px)


def generator_specs(layers: Mapping[str, Path]) -> dict[str, GeneratorSpec]:
    """Return how each layer's generator is built.

    Raises:
        ArtifactError: A layer is not a generator.
    """
    specs = {}
    for name, card in read_cards(layers).items():
        if card.generator is None:
            raise ArtifactError(f"--{name} {layers[name]}: is a composer; give a generator")
        specs[name] = GeneratorSpec(card.generator, card.size_px)
    return specs
