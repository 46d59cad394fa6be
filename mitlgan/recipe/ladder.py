"""The steps of a recipe's [[grow]], each as a recipe of its own."""

from __future__ import annotations

from typing import Any

from mitlgan.recipe.load import as_dict, with_overrides
from mitlgan.recipe.schema.ladder import GrowRecipe
from mitlgan.recipe.schema.recipe import Recipe


def ladder_steps(recipe: Recipe) -> tuple[Recipe, ...]:
    """Return the recipe of each step, from small to large, without [[grow]]; the recipe itself if it has none.

    `training.kimg` of a step is where it ends, counted from the beginning of the run.
    """
    steps: list[Recipe] = []
    end_kimg = 0.0
    for step in recipe.grow or ():
        end_kimg = round(end_kimg + step.kimg, 6)
        change: dict[str, Any] = {"grow": None, "size_px": step.size_px, "training__kimg": end_kimg}
        for part in ("generator", "critic"):
            if (rate := getattr(step, f"{part}_rate")) is not None:
                change[f"{part}_optimiser__learning_rate"] = rate
        if steps:
            change |= _grown_networks(recipe, steps[-1], step)
        steps.append(with_overrides(recipe, **change))
    return tuple(steps) or (recipe,)


def with_first_step(recipe: Recipe, first: Recipe) -> Recipe:
    """Return a recipe whose first step begins as another recipe says; that recipe itself if there is only one step."""
    if recipe.grow is None:
        return first
    tables = {key: getattr(first, key) for key in ("generator", "critic", "critic_start", "transfer")}
    change = {key: None if table is None else as_dict(table) for key, table in tables.items()}
    return with_overrides(recipe, **change, training__critic_first_kimg=first.training.critic_first_kimg)


def with_more_kimg(recipe: Recipe, kimg: float) -> Recipe:
    """Return a longer recipe; of a ladder, the last step is longer."""
    change: dict[str, Any] = {"training__kimg": round(recipe.training.kimg + kimg, 6)}
    if recipe.grow is not None:
        steps = [as_dict(step) for step in recipe.grow]
        steps[-1]["kimg"] += kimg
        change["grow"] = steps
    return with_overrides(recipe, **change)


def with_equal_length(recipe: Recipe, other: Recipe) -> Recipe:
    """Return a recipe as long as another; of ladders of as many steps, the last step is as long."""
    if recipe.grow is None or other.grow is None or len(recipe.grow) != len(other.grow):
        return recipe
    steps = [*map(as_dict, recipe.grow[:-1]), {**as_dict(recipe.grow[-1]), "kimg": other.grow[-1].kimg}]
    return with_overrides(recipe, grow=steps, training__kimg=None)


def _grown_networks(recipe: Recipe, before: Recipe, step: GrowRecipe) -> dict[str, Any]:
    """Return the overrides that make a step's recipe grow from the step before."""
    assert before.generator is not None
    channels, factor = before.generator.image_channels, step.size_px // before.size_px
    generator = {"kind": "grown", "parent": as_dict(before.generator), "parent_px": before.size_px, "image_channels": channels, **step.growth()}
    critic = as_dict(before.critic)
    if step.critic == "grown":
        grown = {"kind": "grown", "parent": critic, "parent_px": before.size_px, "spectral": before.critic.spectral, "image_channels": channels}
        critic = grown if before.critic.kind != "mlp" else {**grown, "parent": critic}
    else:
        critic = _deeper(as_dict(recipe.critic), step.size_px // (recipe.grow or (step,))[0].size_px)
    assert factor > 1
    return {
        "generator": generator, "critic": critic, "critic_start": None, "transfer": None, "training__critic_first_kimg": step.critic_first_kimg
    }  # fmt: skip


def _deeper(critic: dict[str, Any], factor: int) -> dict[str, Any]:
    """Return a critic with one more convolution, twice as wide as its last, for each doubling of its images.

    One of dense layers, or whose depth follows its size anyway, stays as it is.
    """
    if critic["kind"] == "mlp" or critic.get("base_width") is not None:
        return critic
    added = factor.bit_length() - 1
    last = critic["widths"][-1]
    deeper = {**critic, "widths": [*critic["widths"], *(last * 2 ** (index + 1) for index in range(added))]}
    for key, value in (("dropout", 0.0), ("strides", 2)):
        if critic.get(key) is not None:
            deeper[key] = [*critic[key], *[value] * added]
    return deeper
