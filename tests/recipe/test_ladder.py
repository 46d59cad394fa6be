"""[[grow]] in a recipe: its steps as recipes, its length, its file, and ladders that are none."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from mitlgan.errors import UsageError
from mitlgan.recipe import (
    GrownGeneratorRecipe,
    Recipe,
    as_dict,
    ladder_steps,
    load_recipe,
    parse_recipe,
    require_generator_learns,
    shipped_recipe_names,
    to_toml,
    with_more_kimg,
    with_overrides,
    with_total_kimg,
)  # fmt: skip

RECIPE: dict[str, Any] = {
    "name": "ladder",
    "command": "pretrain",
    "role": "bg",
    "size_px": 32,
    "generator": {"latent_dim": 3, "widths": [6]},
    "critic": {"widths": [4, 6], "dropout": [0.0, 0.3]},
    "generator_optimiser": {"learning_rate": 1e-3},
}


def recipe(*sizes: int, **change: Any) -> Recipe:
    steps = [{"size_px": size, "kimg": 1.5 + index} for index, size in enumerate(sizes)]
    return parse_recipe({**RECIPE, "grow": steps, **change}, "ladder.toml")


def test_its_steps_are_recipes_whose_lengths_add_up() -> None:
    whole = recipe(8, 16, 32)
    steps = ladder_steps(whole)
    assert [step.size_px for step in steps] == [8, 16, 32]
    assert [step.training.kimg for step in steps] == [1.5, 4.0, 7.5]
    assert whole.training.kimg == 7.5
    assert all(step.grow is None for step in steps)
    assert steps[0] == with_overrides(whole, grow=None, size_px=8, training__kimg=1.5)
    for before, step in pairwise(steps):
        assert isinstance(step.generator, GrownGeneratorRecipe)
        assert (step.generator.parent, step.generator.parent_px) == (before.generator, before.size_px)
    assert [step.critic.widths for step in steps] == [(4, 6), (4, 6, 12), (4, 6, 12, 24)]
    assert [as_dict(step.critic)["dropout"] for step in steps] == [[0.0, 0.3], [0.0, 0.3, 0.0], [0.0, 0.3, 0.0, 0.0]]
    plain = with_overrides(whole, grow=None, size_px=8)
    assert ladder_steps(plain) == (plain,)


def test_a_step_has_rates_and_a_growth_of_its_own() -> None:
    growth = {"change": 0.25, "parent_rate": 0.0, "fine_width": 5, "resample": "bilinear"}
    second = {"size_px": 32, "kimg": 2, "generator_rate": 2e-4, "critic_rate": 3e-4, "critic": "grown", "critic_first_kimg": 0.5, **growth}
    first, step = ladder_steps(parse_recipe({**RECIPE, "grow": [{"size_px": 8, "kimg": 1}, second]}, "ladder.toml"))
    assert (first.generator_optimiser.learning_rate, first.training.critic_first_kimg) == (1e-3, None)
    assert (step.generator_optimiser.learning_rate, step.critic_optimiser.learning_rate, step.training.critic_first_kimg) == (2e-4, 3e-4, 0.5)
    assert {key: getattr(step.generator, key) for key in growth} == growth
    assert (step.critic.kind, as_dict(step.critic)["parent_px"], as_dict(step.critic)["parent"]) == ("grown", 8, as_dict(first.critic))


def test_it_is_written_and_read_and_made_longer(tmp_path: Path) -> None:
    whole = recipe(8, 16, 32)
    (tmp_path / "ladder.toml").write_text(to_toml(whole))
    assert load_recipe(tmp_path / "ladder.toml") == whole
    longer = with_more_kimg(whole, 2.5)
    assert longer.training.kimg == 10.0
    assert [step.kimg for step in longer.grow or ()] == [1.5, 2.5, 6.0]
    assert load_recipe(tmp_path / "ladder.toml", ["grow=[{size_px=8, kimg=1}, {size_px=32, kimg=2}]", "training.kimg=3"]).training.kimg == 3


MLP = {"kind": "mlp", "latent_dim": 3, "widths": [4]}
LADDERS: list[tuple[dict[str, Any], str]] = [
    ({"grow": [(16, {}), (8, {}), (32, {})]}, "grow: shrinks from 16 to 8 px; list the sizes from small to large"),
    ({"grow": [(8, {}), (8, {}), (32, {})]}, "grow: repeats 8 px; give each size once"),
    ({"grow": [(4, {}), (32, {})]}, "grow: skips from 4 to 32 px; a step has two or four times the size of the one before, such as 8 px"),
    ({"grow": [(8, {}), (24, {})], "size_px": 24}, "grow: skips from 8 to 24 px"),
    ({"grow": [(8, {}), (16, {})]}, "grow: ends at 16 px, but size_px = 32 is the size of the result"),
    ({"grow": [(8, {"change": 0.2}), (32, {})]}, "grow: change is for steps that grow, and the first, 8 px, begins with [generator] and [critic]"),
    ({"grow": [(8, {"critic": "grown"}), (32, {})]}, "grow: critic is for steps that grow"),
    (
        {"grow": [(8, {}), (32, {})], "training": {"kimg": 5.0}},
        "training.kimg is 5, but the steps of [[grow]] have 2 in all; make it as many, or change grow",
    ),
    ({"grow": [(8, {}), (32, {})], "evaluation": {"best_by": "kid"}}, "evaluation.best_by cannot go with [[grow]]"),
    ({"grow": [(8, {}), (32, {})], "generator": MLP}, 'generator.kind = "mlp" has no features that are images'),
    ({"grow": [(8, {}), (32, {"critic": "grown"})], "critic": {"kind": "mlp", "widths": [4]}}, 'critic.kind = "mlp" has no convolutions'),
    ({"grow": [(16, {}), (32, {})]}, "generator.widths has 1 entries, which makes 8 px, not size_px = 16"),
    ({"grow": [(32, {})]}, "grow"),
    ({"grow": [(8, {}), (32, {"critic": "projected"})]}, "critic"),
]


@pytest.mark.parametrize(("change", "message"), LADDERS)
def test_a_ladder_that_is_none_is_refused_in_one_line(change: dict[str, Any], message: str) -> None:
    steps = [{"size_px": size, "kimg": 1.0, **keys} for size, keys in change["grow"]]
    with pytest.raises(UsageError) as refused:
        parse_recipe({**RECIPE, **change, "grow": steps}, "ladder.toml")
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)
    assert refused.value.exit_code == 2


@pytest.mark.parametrize("factor", [0.01, 0.5, 1.0, 3.0])
def test_another_length_scales_the_steps_and_shortens_the_critics_own_time(factor: float) -> None:
    steps = [{"size_px": 8, "kimg": 1.0}, {"size_px": 16, "kimg": 3.0, "critic_first_kimg": 0.9}]
    ladder = parse_recipe({**RECIPE, "size_px": 16, "grow": steps, "training": {"critic_first_kimg": 0.6}}, "ladder.toml")
    other = with_total_kimg(ladder, 4.0 * factor)
    assert [step.kimg for step in other.grow or ()] == [pytest.approx(factor), pytest.approx(3 * factor)]
    share = min(1.0, factor)
    assert (other.grow or ())[1].critic_first_kimg == pytest.approx(0.9 * share)
    assert other.training.critic_first_kimg == pytest.approx(0.6 * share)
    plain = load_recipe("recommended/fg-64-grown")
    assert with_total_kimg(plain, plain.training.kimg * factor).training.critic_first_kimg == pytest.approx(6.0 * share)
    transfer = load_recipe("few/fg-32")
    shorter = with_total_kimg(transfer, transfer.training.kimg * factor).transfer
    assert shorter is not None
    assert shorter.new_critic_first_kimg == pytest.approx(2.0 * share)
    for recipe in (other, with_total_kimg(plain, plain.training.kimg * factor)):
        require_generator_learns(recipe)


@pytest.mark.parametrize(
    ("first_kimg", "grown_kimg", "message"),
    [
        (1.0, None, "training.critic_first_kimg is 1, and kimg of 8 px in [[grow]] 1: only the critic would learn"),
        (None, 3.5, "grow: critic_first_kimg of 16 px is 3.5, and kimg of 16 px in [[grow]] 3: only the critic would learn"),
        (0.99, 2.99, ""),
    ],
)
def test_a_step_whose_generator_never_learns_can_be_read_and_not_begun(first_kimg: float | None, grown_kimg: float | None, message: str) -> None:
    steps = [{"size_px": 8, "kimg": 1.0}, {"size_px": 16, "kimg": 3.0} | ({"critic_first_kimg": grown_kimg} if grown_kimg else {})]
    training = {"critic_first_kimg": first_kimg} if first_kimg else {}
    ladder = parse_recipe({**RECIPE, "size_px": 16, "grow": steps, "training": training}, "ladder.toml")
    if not message:
        return require_generator_learns(ladder)
    with pytest.raises(UsageError, match=re.escape(message)):
        require_generator_learns(ladder)
    return None


@pytest.mark.parametrize("name", shipped_recipe_names())
def test_every_shipped_generator_learns(name: str) -> None:
    require_generator_learns(load_recipe(name))


def test_only_generators_grow() -> None:
    composition = {key: value for key, value in RECIPE.items() if key != "generator"} | {"command": "compose", "role": "scene", "composer": {}}
    with pytest.raises(UsageError, match=r'grow: only generators grow, and command = "compose" trains none; compose over layers of 32 px'):
        parse_recipe({**composition, "grow": [{"size_px": 8, "kimg": 1}, {"size_px": 32, "kimg": 1}]}, "ladder.toml")
