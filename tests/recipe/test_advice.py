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
        ("classic/bielko-128", (), 30, "augment.probability", "30 pictures are few for a critic of 256 channels"),
        ("classic/akel-02", (), 999, "augment.probability", "999 pictures are few for a critic of 256 channels"),
        ("thesis/wgan", (), 30, "augment.probability", "30 pictures are few for a critic of 384 channels"),
        ("classic/dogs", ("critic.widths=[64,128,256,512]",), 30, "augment.probability", "30 pictures are few for a critic of 512 channels"),
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
        ("thesis/wgan", ("augment.probability=auto",), 30),
        ("classic/dogs", (), 30),  # narrow
        ("thesis/wgan", ("critic.widths=[24,48,96,192]",), 30),
        ("classic/akel-01", (), MANY),
        ("classic/style-64", ("training.batch=2",), MANY),  # all of a smaller batch are one group, as in the authors' code
        ("classic/style-64", ("training.batch=48",), MANY),
        ("classic/benedetti-products", (), 49_774),
        ("thesis/compose", (), MANY),
    ],
)
def test_what_the_sources_found_well_gets_no_advice(name: str, changes: tuple[str, ...], pictures: int) -> None:
    assert training_advice(recipe(name, *changes), pictures) == []


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            ("evaluation.best_by=kid",),
            'advice: evaluation.best_by = "kid" compares artifacts that are kept in training, and none will be: give training.keep_kimg, or a '
            "training.artifact_kimg that is shorter than the training, or leave it out",
        ),
        (("evaluation.best_by=fd", "training.kimg=1", "training.artifact_kimg=2"), "and none will be"),
        (("evaluation.best_by=fd", "training.kimg=1", "training.artifact_iterations=999"), "training.artifact_iterations that is shorter"),
        (
            ("training.keep_kimg=[70, 0.02, 90, 60, 80]", "training.kimg=0.05"),
            "advice: training.keep_kimg has points after the end (training.kimg = 0.05), at which nothing is kept: 60, 70, 80, ...; "
            "train for longer, or leave them out",
        ),
        (("training.keep_s=[5, 10]", "training.limit_s=7", "generator_optimiser.schedule=none", "critic_optimiser.schedule=none"), "kept: 10; train"),
        (
            ("training.clock=cpu",),
            'advice: training.clock = "cpu" changes nothing without training.limit_s or training.keep_s: give one of them, or leave it out',
        ),
    ],
)
def test_a_key_that_changes_nothing_is_named_and_refuses_no_run(changes: tuple[str, ...], line: str) -> None:
    (found,) = training_advice(recipe("recommended/bg-32", *changes), MANY)
    assert found == line if line.startswith("advice: ") else line in found


def test_keys_that_change_nothing_are_named_each() -> None:
    lines = training_advice(recipe("recommended/bg-32", "training.kimg=1", "training.keep_kimg=[70]", "evaluation.best_by=kid", "training.clock=cpu"))
    assert [line.split()[1].rstrip(":") for line in lines] == ["training.keep_kimg", "training.clock", "evaluation.best_by"]


@pytest.mark.parametrize("changes", [
    ("evaluation.best_by=kid", "training.keep_kimg=[0]"), ("evaluation.best_by=kid", "training.artifact_kimg=1"),
    ("evaluation.best_by=kid", "training.artifact_iterations=5"), ("evaluation.best_by=kid", "training.keep_s=[9]"),
    ("training.keep_kimg=[0.2]", "training.kimg=0.2"), ("training.keep_kimg=[0.207]", "training.kimg=0.2"),  # the last update ends later
    ("training.keep_s=[1e6]",), ("training.keep_s=[1]", "training.clock=cpu"), ("training.artifact_kimg=50", "training.kimg=1"),
])  # fmt: skip
def test_keys_that_may_change_something_get_no_advice(changes: tuple[str, ...]) -> None:
    assert training_advice(recipe("recommended/bg-32", *changes), MANY) == []


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
