"""The recipes of a composition's layers belong to its own: family, variant and size."""

from __future__ import annotations

import pytest

from mitlgan.recipe import composition_settings, generator_settings, load_layer_recipe, load_recipe, shipped_recipe_names
from mitlgan.recipe.layer_recipes import layer_settings

COMPOSITIONS = [name for name in shipped_recipe_names() if load_recipe(name).composer is not None]


@pytest.mark.parametrize("name", COMPOSITIONS)
def test_every_shipped_composition_has_recipes_for_its_layers(name: str) -> None:
    composition = load_recipe(name)
    for layer in ("fg", "bg", "hat"):
        recipe = load_layer_recipe(layer, composition, name, None, [])
        assert (recipe.role, recipe.size_px) == ("bg" if layer == "bg" else "fg", composition.size_px)
        assert recipe.generator is not None
        if composition.composer is not None and composition.composer.fusion.kind == "alpha" and layer != "bg":
            assert recipe.generator.image_channels == 4


@pytest.mark.parametrize(
    ("composition", "layer", "expected"),
    [
        ("thesis/compose", "fg", "thesis/pretrain_fg"),
        ("thesis-32/compose", "bg", "thesis-32/pretrain_bg"),
        ("recommended/compose-32", "fg", "recommended/fg-32"),
        ("recommended/compose-64-grown", "fg", "recommended/fg-64-grown"),
        ("recommended/three-32", "hat", "recommended/fg-32"),
        ("few/compose-64", "bg", "few/bg-64"),
        ("thesis/compose-add", "fg", "thesis/pretrain_fg"),
        ("thesis/compose-half", "bg", "thesis/bg-half"),
    ],
)
def test_family_size_and_variant(composition: str, layer: str, expected: str) -> None:
    assert load_layer_recipe(layer, load_recipe(composition), composition, None, []) == load_recipe(expected)


def test_the_thesis_layers_at_another_size() -> None:
    composition = load_recipe("thesis/compose", ["size_px=64"])
    recipe = load_layer_recipe("fg", composition, "thesis/compose", None, ["size_px=64", "training.kimg=3"])
    assert (recipe.size_px, recipe.generator.widths, recipe.training.kimg) == (64, (96, 48, 24, 12), 3)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("setting", "of_generator", "of_composer"),
    [
        ("generator.width=4", True, False),
        (" generator.width = 4", True, False),
        ("generator={width=4}", True, False),
        ("generator_optimiser.learning_rate=1e-3", False, False),
        ("composer={}", False, True),
        ("composer.placement.mattes=scenes", False, True),
        ("training.kimg=3", False, False),
    ],
)
def test_settings_go_where_their_table_is(setting: str, of_generator: bool, of_composer: bool) -> None:
    assert generator_settings([setting]) == [setting] * of_generator
    assert composition_settings([setting]) == [setting] * (not of_generator)
    assert layer_settings([setting]) == [setting] * (not of_composer)
