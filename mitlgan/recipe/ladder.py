"""The steps of a recipe's [[grow]], each as a recipe of its own."""

from __future__ import annotations

from typing import Any

from mitlgan.errors import UsageError
from mitlgan.recipe.load import as_dict, with_overrides
from mitlgan.recipe.schema.critics import ANY_SIZE_KINDS, critics_down
from mitlgan.recipe.schema.ladder import GrowRecipe
from mitlgan.recipe.schema.recipe import Recipe


def ladder_steps(recipe: Recipe) -> tuple[Recipe, ...]:
    """Return the recipe of each step, from small to large, without [[grow]]; the recipe itself if it has none.

    `training.kimg` of a step is where it ends, counted from the beginning of the run, and so is `training.limit_s`: each step has the share of the time
    that its kimg are of all.
    """
    steps: list[Recipe] = []
    end_kimg = 0.0
    for step in recipe.grow or ():
        end_kimg = round(end_kimg + step.kimg, 6)
        change: dict[str, Any] = {"grow": None, "size_px": step.size_px, "training__kimg": end_kimg}
        if recipe.training.limit_s is not None:
            change["training__limit_s"] = recipe.training.limit_s * end_kimg / recipe.training.kimg
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


def with_total_kimg(recipe: Recipe, kimg: float) -> Recipe:
    """Return a recipe of another length; the steps of a ladder keep their shares of it, and the critic's own time shrinks with it."""
    share = kimg / recipe.training.kimg
    change: dict[str, Any] = {}
    if share < 1 and recipe.training.critic_first_kimg is not None:
        change["training__critic_first_kimg"] = recipe.training.critic_first_kimg * share
    if share < 1 and recipe.transfer is not None:
        change["transfer__new_critic_first_kimg"] = recipe.transfer.new_critic_first_kimg * share
    if recipe.grow is None:
        return with_overrides(recipe, **change, training__kimg=kimg)
    steps = [{**as_dict(step), "kimg": round(step.kimg * share, 6)} for step in recipe.grow]
    for step in steps:
        if "critic_first_kimg" in step:
            step["critic_first_kimg"] *= min(1.0, share)
    steps[-1]["kimg"] = round(kimg - sum(step["kimg"] for step in steps[:-1]), 6)
    return with_overrides(recipe, **change, grow=steps, training__kimg=None)


def require_generator_learns(recipe: Recipe, key: str = "training.critic_first_kimg") -> None:
    """Refuse a training, or a step of its ladder, in which only the critic learns until the end.

    A recipe that says so can be read, since runs of earlier versions have such; this is called where a training begins.

    Args:
        recipe: Of the training.
        key: Where the critic's own time of the training, or of its first step, comes from.

    Raises:
        UsageError: The critic's own time is as long as the training or the step; the message names both.
    """
    begin_kimg = 0.0
    for index, step in enumerate(ladder_steps(recipe)):
        alone_kimg, length_kimg = step.training.critic_first_kimg, round(step.training.kimg - begin_kimg, 6)
        begin_kimg = step.training.kimg
        if alone_kimg is not None and alone_kimg >= length_kimg:
            name = key if index == 0 else f"grow: critic_first_kimg of {step.size_px} px"
            length = "training.kimg" if recipe.grow is None else f"kimg of {step.size_px} px in [[grow]]"
            raise UsageError(
                f"{name} is {alone_kimg:g}, and {length} {length_kimg:g}: only the critic would learn, and the generator never; "
                "shorten the first, or train for longer"
            )


def grown_to(recipe: Recipe, size_px: int) -> Recipe:
    """Return a recipe that goes from its own size to a larger one by doublings.

    Half of its length is at its own size; the rest has half its rates, and goes on with its critic.

    Args:
        recipe: Of a generator, without a ladder.
        size_px: Its size times a power of two.
    """
    sizes_px = doublings(recipe.size_px, size_px)
    kimg = recipe.training.kimg
    rates = {f"{part}_rate": getattr(recipe, f"{part}_optimiser").learning_rate / 2 for part in ("generator", "critic")}
    critic = "new" if recipe.critic.kind in ANY_SIZE_KINDS else "grown"
    further = [{"size_px": size, "kimg": kimg / 2 / len(sizes_px[1:]), "critic": critic, **rates} for size in sizes_px[1:]]
    steps = [{"size_px": recipe.size_px, "kimg": kimg / 2}, *further]
    return with_overrides(recipe, size_px=size_px, grow=steps, training__kimg=None, training__limit_s=None, evaluation__best_by=None)


def doublings(first_px: int, last_px: int) -> list[int]:
    """Return the sizes from one to another, each twice the one before; empty if doubling does not lead there."""
    sizes_px = [first_px]
    while sizes_px[-1] < last_px:
        sizes_px.append(2 * sizes_px[-1])
    return sizes_px if sizes_px[-1] == last_px else []


def shallower(critic: dict[str, Any], factor: int) -> dict[str, Any]:
    """Return a critic, as a dictionary, for images that are smaller by a factor: without a convolution for each doubling; see `_deeper`.

    Raises:
        ValueError: It has too few convolutions.
    """
    if critic["kind"] in ANY_SIZE_KINDS or critic.get("base_width") is not None:
        return critic
    removed = factor.bit_length() - 1
    if critic.get("widths") is None or len(critic["widths"]) <= removed:
        raise ValueError(f"a critic for images {factor} times as small would have no convolutions")
    return critic | {key: critic[key][:-removed] for key in ("widths", "dropout", "strides") if critic.get(key) is not None}


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
        *_, (ungrown, ungrown_px) = critics_down(recipe.critic, (recipe.grow or (step,))[0].size_px)
        critic = _deeper(as_dict(ungrown), step.size_px // ungrown_px)
    assert factor > 1
    return {
        "generator": generator, "critic": critic, "critic_start": None, "transfer": None, "training__critic_first_kimg": step.critic_first_kimg
    }  # fmt: skip


def _deeper(critic: dict[str, Any], factor: int) -> dict[str, Any]:
    """Return a critic with one more convolution, twice as wide as its last, for each doubling of its images.

    One of `ANY_SIZE_KINDS`, or whose depth follows its size anyway, stays as it is.
    """
    if critic["kind"] in ANY_SIZE_KINDS or critic.get("base_width") is not None:
        return critic
    added = factor.bit_length() - 1
    last = critic["widths"][-1]
    deeper = {**critic, "widths": [*critic["widths"], *(last * 2 ** (index + 1) for index in range(added))]}
    for key, value in (("dropout", 0.0), ("strides", 2)):
        if critic.get(key) is not None:
            deeper[key] = [*critic[key], *[value] * added]
    return deeper
