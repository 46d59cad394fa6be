"""What a recipe is called: its name, and what was changed of the shipped recipe that has it."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import tiny_runs

from mitlgan.artifacts import markdown_card
from mitlgan.artifacts.loaded_artifact import artifact_path, load_artifact
from mitlgan.artifacts.summary import describe, describe_recipe
from mitlgan.compare.arms import composed_arm
from mitlgan.recipe import (
    as_dict,
    changes_from_shipped,
    display_name,
    display_name_of,
    ladder_steps,
    load_recipe,
    shipped_recipe_names,
    with_overrides,
    with_total_kimg,
)
from mitlgan.report.run_files import hyperparameters
from mitlgan.stages.context import RunContext
from mitlgan.stages.pretrain import pretrain, with_start
from mitlgan.training.run_directory import Run

RESNET = "thesis-narrow, changed: composer.translator.kind=resnet"


@pytest.mark.parametrize("name", shipped_recipe_names())
def test_a_shipped_recipe_has_its_name_alone(name: str) -> None:
    recipe = load_recipe(name)
    assert display_name(recipe) == recipe.name
    length = {} if recipe.grow else {"training__kimg": 1.0}  # a ladder's length is that of its steps
    longer = with_overrides(
        recipe, seed=7, **length, training__checkpoint_kimg=0.5, data__source="/elsewhere", evaluation__samples=16, licence="CC0-1.0"
    )
    assert display_name(longer) == recipe.name, "length, pictures, seed and licence are told elsewhere"
    for step in ladder_steps(with_total_kimg(recipe, 2 * recipe.training.kimg)):
        assert display_name(step) == recipe.name, "and so is the size of a step"


@pytest.mark.parametrize(
    ("name", "settings", "shown"),
    [
        ("thesis-32/compose", ["composer.translator.kind=resnet"], RESNET),
        ("thesis/thesis-narrow", ["composer.translator.kind=resnet"], RESNET),
        (
            "thesis-32/compose",
            ["composer.translator.kind=resnet", "composer.translator.blocks=2", "critic.kernel=3"],
            "thesis-narrow, changed: composer.translator.kind=resnet, composer.translator.blocks=2, critic.kernel=3",
        ),
        ("recommended/bg-64", ["generator_optimiser.learning_rate=0.5"], "modern-bg, changed: generator_optimiser.learning_rate=0.5"),
        ("recommended/fg-32", ["training.shared_fakes=false"], "modern-fg, changed: training.shared_fakes=false"),
        ("recommended/bg-32", ["objective.kind=lsgan"], "modern-bg, changed: objective.kind=lsgan"),
        ("thesis-32/wgan", ["critic.widths=[8, 8, 8]"], "wgan, changed: critic.widths=[8, 8, 8]"),
        (
            "thesis-32/wgan",
            [f"{key}_optimiser.{name}=0.25" for key in ("critic", "generator") for name in ("beta1", "beta2", "eps")],
            "wgan, changed: "
            + "".join(f"critic_optimiser.{name}=0.25, " for name in ("beta1", "beta2", "eps"))
            + "generator_optimiser.beta1=0.25 and 2 more",
        ),
        ("recommended/fg-32", ["name=mine", "critic.kernel=5"], "mine"),  # whoever gives a name of their own knows what it stands for
    ],
)
def test_a_changed_setting_shows(name: str, settings: list[str], shown: str) -> None:
    recipe = load_recipe(name, settings)
    assert display_name(recipe) == shown
    assert display_name_of(as_dict(recipe)) == shown


@pytest.mark.parametrize(
    ("name", "start", "settings", "shown"),
    [
        ("few/fg-32", "modern-fg-wide-32", [], "few-fg"),  # a wider generator and its critic, of which convolutions are frozen
        ("few/fg-32", "modern-fg-wide-32", ["transfer.freeze=2"], "few-fg, changed: transfer.freeze=2"),
        ("few/fg-32", "modern-fg-wide-32", ["transfer.freeze=0"], "few-fg, changed: transfer.freeze=0"),
        ("few/fg-32", "modern-fg-32", [], "few-fg"),  # no critic is kept: a new one
        ("few/bg-32", "modern-bg-32", ["transfer.new_critic_first_kimg=3"], "few-bg, changed: transfer.new_critic_first_kimg=3.0"),
        ("few/bg-32", "modern-bg-32", ["objective.kind=lsgan"], "few-bg, changed: objective.kind=lsgan"),
        ("few/fg-64", "modern-fg-wide-32", [], "few-fg-64"),  # grown from another network than the recipe's own
        ("few/fg-64", "modern-fg-64", [], "few-fg-64"),
        ("recommended/fg-64-sharp", "modern-fg-wide-32", [], "modern-fg-sharp"),
        ("few/fg-32", "fg-32", [], "few-fg"),  # in three channels, which the new critic has, too
        # a new critic is the user's, whether it came to a length of its own or not
        ("few/fg-32", "modern-fg-32", ["critic.kernel=5"], "few-fg, changed: critic.kernel=5"),
        ("few/fg-32", "fg-32", ["critic.kernel=5"], "few-fg, changed: critic.kernel=5"),
        (
            "few/fg-32",
            "modern-fg-32",
            ["transfer.new_critic_first_kimg=0.1", "critic.kernel=5"],
            "few-fg, changed: critic.kernel=5, transfer.new_critic_first_kimg=0.1",
        ),
        (
            "few/fg-32",
            "modern-fg-32",
            ["critic.kernel=5", "critic.spectral=false", "critic.widths=[8, 8, 8]"],
            "few-fg, changed: critic.kernel=5, critic.spectral=false, critic.widths=[8, 8, 8]",
        ),
        ("few/fg-32", "fg-32", ["critic.kind=mlp"], "few-fg, changed: critic.kind=mlp"),
        ("few/bg-32", "modern-bg-32", ["objective.kind=lsgan", "critic.kernel=5"], "few-bg, changed: objective.kind=lsgan, critic.kernel=5"),
        ("few/fg-32", "modern-fg-wide-32", ["objective.kind=lsgan", "critic.kernel=5"], "few-fg, changed: objective.kind=lsgan, critic.kernel=5"),
        ("few/fg-64", "modern-fg-wide-32", ["critic.kernel=5"], "few-fg-64, changed: critic.kernel=5"),
        ("few/fg-64", "modern-fg-64", ["critic.spectral=false"], "few-fg-64, changed: critic.spectral=false"),
        # a smaller critic that is kept goes on within the user's
        (
            "few/fg-64",
            "modern-fg-wide-32",
            ["critic={kind = 'grown', image_channels = 4, parent_px = 32, parent = {image_channels = 4}}"],
            "few-fg-64, changed: critic.kind=grown",
        ),
        # a kept critic may learn alone first, too
        ("few/fg-32", "modern-fg-wide-32", ["training.critic_first_kimg=3"], "few-fg, changed: training.critic_first_kimg=3.0"),
        (
            "few/fg-32",
            "modern-fg-wide-32",
            ["transfer.freeze=0", "training.critic_first_kimg=3"],
            "few-fg, changed: training.critic_first_kimg=3.0, transfer.freeze=0",
        ),
        (
            "few/fg-64",
            "modern-fg-wide-32",
            [
                "critic={kind = 'grown', image_channels = 4, parent_px = 32, parent = {image_channels = 4}}",
                "transfer.freeze=0",
                "training.critic_first_kimg=3",
            ],
            "few-fg-64, changed: critic.kind=grown, training.critic_first_kimg=3.0, transfer.freeze=0",
        ),
    ],
)
def test_what_came_with_the_artifact_that_is_gone_on_from_was_not_changed_by_the_user(name: str, start: str, settings: list[str], shown: str) -> None:
    recipe = load_recipe(name, ["training.kimg=20", *settings])
    begun, _ = with_start(recipe, artifact_path(f"pretrained/{start}"), None, lambda _: None)
    assert display_name(begun) == shown
    assert display_name_of(as_dict(begun)) == shown


def test_nothing_of_a_kept_projected_critic_that_learned_alone_first_counts_as_thawed() -> None:
    few = load_recipe("few/fg-32", ["training.critic_first_kimg=3"])
    begun = with_overrides(few, transfer=None, critic={"kind": "projected", "image_channels": 4}, critic_start={"freeze": 0})
    assert display_name(begun) == "few-fg, changed: training.critic_first_kimg=3.0"


@pytest.mark.parametrize(
    ("kimgs", "total"), [((0.064, 0.064, 0.128), None), ((2, 3.5, 1), None), ((1.0, 1.0, 1.0), None), ((1, 1, 2), 0.4)]
)  # fmt: skip
def test_a_ladder_of_ones_own_has_the_lengths_that_were_given(kimgs: tuple[float, ...], total: float | None) -> None:
    steps = [f"{{size_px={size_px}, kimg={kimg}}}" for size_px, kimg in zip((16, 32, 64), kimgs, strict=True)]
    shipped = load_recipe("classic/progressive-64")
    assert [step.size_px for step in shipped.grow or ()] == [16, 32, 64]
    recipe = load_recipe("classic/progressive-64", [f"grow=[{', '.join(steps)}]"])
    if total is not None:
        recipe = with_total_kimg(recipe, total)
    given = [as_dict(step) for step in recipe.grow or ()]
    assert sum(step["kimg"] for step in given) == pytest.approx(sum(kimgs) if total is None else total)
    assert display_name(recipe) == f"progressive-64, changed: grow=[{', '.join(map(str, given))}]"
    assert changes_from_shipped(recipe) == {"grow": f"[{', '.join(map(str, given))}]"}


def test_a_card_of_another_version_keeps_its_name() -> None:
    assert display_name_of({"name": "wgan", "unknown": 1}, "scene") == "wgan"
    assert display_name_of({}, "scene") == "scene"


def test_arms_pages_and_tables_show_it() -> None:
    recipe = load_recipe("thesis-32/compose", ["composer.translator.kind=resnet"])
    assert composed_arm(recipe).label == f"Composition ({RESNET})"
    assert describe_recipe(recipe)["name"] == RESNET
    assert hyperparameters(recipe, {}).startswith(f"# {RESNET}: settings")


def test_a_run_and_its_artifact_show_it(packs: dict[str, Path], environment: RunContext) -> None:
    recipe = with_overrides(tiny_runs.recipe("fg", packs["fg"], updates=1), name="fg")
    run: Run = pretrain(recipe, environment)
    shown = display_name(recipe)
    assert shown.startswith("fg, changed: ")
    assert f"pretrain fg: {run.path} ({shown})" in tiny_runs.said(environment)
    assert run.artifact_file is not None
    assert describe(str(run.artifact_file))["name"] == shown
    assert markdown_card.markdown_card(load_artifact(run.artifact_file)).startswith(f"# {markdown_card.escape_markdown(shown)}\n")
