"""Advice before a training."""

from __future__ import annotations

import pytest

from mitlgan.recipe import MlpCriticRecipe, Recipe, load_recipe, shipped_recipe_names
from mitlgan.recipe.advice import layer_count, training_advice

MANY = 2000


def recipe(name: str, *changes: str) -> Recipe:
    return load_recipe(name, list(changes))


@pytest.mark.parametrize(
    ("name", "changes", "pictures", "key", "part"),
    [
        ("classic/akel-09", (), MANY, "generator.kind", "the generator is dense and the critic convolutional"),
        ("recommended/fg-32", ("critic.widths=[8,8,8,8,8]", "critic.dropout=[0,0,0,0,0]", "generator.blocks=1"), MANY, "critic.widths", None),
        ("classic/style-64", ("training.batch=30",), MANY, "training.batch", "groups have 3: give a training.batch that is a multiple of 4"),
        ("classic/style-64", ("training.batch=5",), MANY, "critic.batch_deviation = 4", "one image, which tells the critic nothing"),
        ("recommended/bg-64", (), 400, "augment.probability", "400 pictures are few for a critic of 256 channels"),
    ],
)
def test_each_finding_is_one_line_with_its_key(name: str, changes: tuple[str, ...], pictures: int, key: str, part: str | None) -> None:
    lines = training_advice(recipe(name, *changes), pictures)
    assert len([line for line in lines if key in line]) == 1
    assert all(line.startswith("advice: ") and "\n" not in line for line in lines)
    if part is not None:
        assert any(part in line for line in lines)


@pytest.mark.parametrize(
    ("name", "changes", "pictures"),
    [
        ("recommended/fg-32", (), 200),
        ("recommended/bg-64", (), MANY),
        ("recommended/bg-64", ("augment.probability=auto",), 400),
        ("classic/akel-01", (), MANY),
        ("classic/style-64", ("training.batch=2",), MANY),  # all of a smaller batch are one group, as in the authors' code
        ("classic/style-64", ("training.batch=48",), MANY),
        ("classic/benedetti-products", (), 49_774),
        ("thesis/compose", (), MANY),
    ],
)
def test_what_the_sources_found_well_gets_no_advice(name: str, changes: tuple[str, ...], pictures: int) -> None:
    assert training_advice(recipe(name, *changes), pictures) == []


def test_a_dense_critic_of_a_convolutional_generator_gets_the_same_advice() -> None:
    dense = recipe("recommended/bg-32").model_copy(update={"critic": MlpCriticRecipe(widths=(8,))})
    (line,) = training_advice(dense, MANY)
    assert line.split(";")[0] == "advice: the critic is dense and the generator convolutional"
    assert "digits" not in line


def test_a_grown_generator_counts_its_parents_layers() -> None:
    grown = load_recipe("recommended/fg-64-sharp")
    assert grown.generator is not None
    assert layer_count(grown.generator, 64) == layer_count(load_recipe("recommended/fg-32").generator, 32) == 7  # type: ignore[arg-type]


def test_every_step_of_a_ladder_is_advised_and_each_rule_once() -> None:
    lines = training_advice(recipe("recommended/fg-128-grown"), 300)  # the first step, at 32 px, has 128 channels, the second 256
    assert [line.partition(",")[0] for line in lines] == ["advice: 300 pictures are few for a critic of 512 channels"]


def test_without_the_number_of_pictures_the_networks_are_judged() -> None:
    assert training_advice(recipe("recommended/bg-64")) == []
    (line,) = training_advice(recipe("classic/akel-09"))
    assert line.startswith("advice: the generator is dense and the critic convolutional")
    assert "led his rows on digits here" in line, "our own ranking does not bear the author out"


def test_no_shipped_recipe_gets_advice_but_the_one_whose_author_warns() -> None:
    assert [name for name in shipped_recipe_names() if training_advice(recipe(name), 50_000)] == ["classic/akel-09"]
