"""What is refused where a training begins, and read all the same."""

from __future__ import annotations

from typing import Any

import pytest

from mitlgan.errors import UsageError
from mitlgan.recipe import Recipe, as_dict, ladder_steps, load_recipe, parse_recipe, require_trainable, shipped_recipe_names, to_toml
from mitlgan.recipe.schema.critics import channels_at, critics_down, freezable_convolutions

BY_SIZE = {"kind": "strided", "base_width": 16, "narrowest": 8, "normalisation": "none"}
"""A critic of two convolutions at 16 px, three at 32, whose own `widths` say nothing."""


def recipe(critic: dict[str, Any], size_px: int = 32, **change: Any) -> Recipe:
    generator = {"kind": "dcgan", "latent_dim": 8, "base_width": 16}
    return parse_recipe({"name": "a", "command": "pretrain", "role": "bg", "size_px": size_px, "generator": generator, "critic": critic, **change})


def grown(parent: dict[str, Any], parent_px: int = 16, **change: Any) -> dict[str, Any]:
    return {"kind": "grown", "parent": parent, "parent_px": parent_px, **change}


@pytest.mark.parametrize(
    ("critic", "objective", "message"),
    [
        (grown({**BY_SIZE, "spectral": True}, spectral=False), "wgan_clip", r"^critic\.parent\.spectral = true contradicts objective\.kind"),
        (grown(grown({**BY_SIZE, "spectral": True}, 8, spectral=False), spectral=False), "wgan_clip", r"^critic\.parent\.parent\.spectral"),
        ({**BY_SIZE, "widths": [8, 16]}, "wgan_gp", r"^critic\.widths contradicts critic\.base_width"),
        ({**BY_SIZE, "dropout": [0.1, 0.2, 0.3, 0.4]}, "wgan_gp", r"^critic\.dropout has 4 values, and critic\.base_width = 16 makes 3 convolutions"),
        (grown({**BY_SIZE, "dropout": [0.1, 0.2, 0.3]}), "wgan_gp", r"^critic\.parent\.dropout has 3 values, .* makes 2 convolutions of 16 px"),
    ],
)
def test_a_contradiction_is_refused_at_the_start_and_can_be_read(critic: dict[str, Any], objective: str, message: str) -> None:
    contradicting = recipe(critic, objective={"kind": objective})
    assert to_toml(contradicting)
    with pytest.raises(UsageError, match=message):
        require_trainable(contradicting)


@pytest.mark.parametrize(
    "critic",
    [BY_SIZE, {**BY_SIZE, "dropout": 0.3}, {**BY_SIZE, "dropout": [0.1, 0.2]}, {**BY_SIZE, "dropout": [0.2] * 8}, grown({**BY_SIZE, "spectral": True})],
)
def test_what_has_an_effect_is_not_refused(critic: dict[str, Any]) -> None:
    require_trainable(recipe(critic))
    require_trainable(parse_recipe(as_dict(recipe(critic)), "as a run records it"))


def test_every_shipped_recipe_can_begin() -> None:
    for name in shipped_recipe_names():
        require_trainable(load_recipe(name))


def test_a_grown_critic_has_the_convolutions_of_the_first() -> None:
    twice = recipe(grown(grown(BY_SIZE, 8), 16)).critic
    assert [px for _, px in critics_down(twice, 32)] == [32, 16, 8]
    assert (channels_at(twice, 32), freezable_convolutions(twice, 32)) == ((16,), 1)
    assert channels_at(recipe(grown(BY_SIZE)).critic, 32) == channels_at(recipe(BY_SIZE, 16).critic, 16) == (8, 16)
    assert freezable_convolutions(recipe({"kind": "mlp"}).critic, 32) == 0


@pytest.mark.parametrize("first", [grown({"kind": "strided", "widths": [8], "normalisation": "none"}, 8), grown(BY_SIZE, 8)])
def test_a_ladder_whose_first_critic_is_grown_goes_on_with_a_deeper_one(first: dict[str, Any]) -> None:
    """As where one ladder's result goes up another."""
    steps = ladder_steps(recipe(first, grow=[{"size_px": 16, "kimg": 1}, {"size_px": 32, "kimg": 1}]))
    assert [step.critic.kind for step in steps] == ["grown", "strided"]
    assert len(channels_at(steps[1].critic, 32)) == 3
