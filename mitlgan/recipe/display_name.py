"""Display names of recipes: the name, and every setting that differs from the shipped recipe of that name.

`thesis-narrow` with another translator is not what the name promises, so the difference is shown wherever the name is.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from mitlgan.errors import UsageError
from mitlgan.recipe.ladder import ladder_steps
from mitlgan.recipe.load import as_dict, diff_recipes, find_recipe, load_recipe, parse_recipe, with_overrides
from mitlgan.recipe.schema.base import RecipeTable
from mitlgan.recipe.schema.recipe import KINDS, Recipe
from mitlgan.runtime.shipped_files import shipped_recipe_names

MAX_CHANGES = 4
"""Number of changed settings that are named; the rest are counted."""

SHOWN_ELSEWHERE = (
    "seed",
    "licence",
    "data.source",
    "evaluation.",
    "training.kimg",
    "training.limit_s",
    "training.clock",
    "training.snapshot_",
    "training.checkpoint",
    "training.keep_",
    "training.artifact_",
    "training.log_iterations",
    "training.nan_patience",
    "training.divergence",
)
"""Settings of length, data and logging, which pages and cards show elsewhere."""

FROM_ARTIFACTS = ("generator.parent", "critic.parent")
"""Settings that a recipe takes from the artifact that it goes on from."""


def display_name(recipe: Recipe) -> str:
    """Return the name and the changes from the shipped recipe: `thesis-narrow, changed: composer.translator.kind=resnet`.

    A recipe whose name is not shipped has only its name.
    """
    changes = changes_from_shipped(recipe)
    if not changes:
        return recipe.name
    parts = [f"{key}={value}" for key, value in list(changes.items())[:MAX_CHANGES]]
    more = len(changes) - len(parts)
    return f"{recipe.name}, changed: {', '.join(parts)}" + (f" and {more} more" if more else "")


def display_name_of(tree: Mapping[str, Any], otherwise: str = "") -> str:
    """Return the display name of a card's recipe, which another version may have written.

    Args:
        tree: The card's recipe.
        otherwise: Name of a recipe without one.
    """
    try:
        return display_name(parse_recipe(dict(tree), "card"))
    except UsageError:
        return str(tree.get("name") or otherwise)


def changes_from_shipped(recipe: Recipe) -> dict[str, str]:
    """Return the settings that differ from the shipped recipe of the same name, as for `--set`; from the nearest, if several have the name."""
    candidates = [_differences(recipe, other) for other in shipped_of_name(recipe.name) if other.command == recipe.command]
    return min(candidates, key=len, default={})


@lru_cache(maxsize=64)
def shipped_of_name(name: str) -> tuple[Recipe, ...]:
    """Return the shipped recipes of a name, which several sizes of one network share, and the steps of those that are ladders."""
    recipes = [load_recipe(path) for path, shipped in _shipped_names().items() if shipped == name]
    return (*recipes, *(step for recipe in recipes if recipe.grow is not None for step in ladder_steps(recipe)))


@lru_cache(maxsize=1)
def _shipped_names() -> dict[Path, str]:
    paths = [find_recipe(name) for name in shipped_recipe_names()]
    return {path: str(tomllib.loads(path.read_text(encoding="utf-8"))["name"]) for path in paths}


def _differences(recipe: Recipe, other: Recipe) -> dict[str, str]:
    differences = diff_recipes(_without_lengths(_with_transfer(recipe, other)), _without_lengths(other))
    kinds = {key.removesuffix("kind"): str(mine) for key, (mine, _) in differences.items() if key.endswith(".kind")}
    changes: dict[str, str] = {}
    for key in sorted(differences, key=lambda name: (not name.endswith(".kind"), name)):
        mine = as_dict(recipe).get(key) if key == "grow" else differences[key][0]  # with the lengths that were made equal for comparing
        table = next((table for table in kinds if key.startswith(table) and not key.endswith(".kind")), None)
        is_implied = table is not None and _is_default(table, kinds[table], key.removeprefix(table), mine)  # the default of another kind
        if not key.startswith((*SHOWN_ELSEWHERE, *FROM_ARTIFACTS)) and not is_implied:
            changes[key] = _text(mine)
    return changes


def _with_transfer(recipe: Recipe, other: Recipe) -> Recipe:
    """Return a recipe with the [transfer] that another has, if it was worked out: what came with the artifact was not changed by the user."""
    if other.transfer is None or recipe.transfer is not None or recipe.size_px != other.size_px:
        return recipe
    transfer, training = as_dict(other.transfer), recipe.training
    is_critic_new = training.critic_first_kimg is not None and recipe.critic_start is None
    if is_critic_new:
        transfer["new_critic_first_kimg"] = training.critic_first_kimg
        training = training.model_copy(update={"critic_first_kimg": other.training.critic_first_kimg})
    elif recipe.critic.kind != "projected":  # of which nothing can be frozen
        transfer["freeze"] = 0 if recipe.critic_start is None else recipe.critic_start.freeze
    networks = _networks_before(recipe, other, is_critic_new=is_critic_new)
    with suppress(UsageError):  # networks of other sizes do not fit the rest
        return with_overrides(recipe, transfer=transfer, critic_start=None, training=as_dict(training), **networks)
    return recipe


def _networks_before(recipe: Recipe, other: Recipe, *, is_critic_new: bool) -> dict[str, object]:
    """Return the networks that a recipe had before those of the artifact took their place; what the user chose stays.

    Args:
        recipe: Of a training that went on from an artifact.
        other: The shipped recipe.
        is_critic_new: Whether its critic was a new one, so that it is the user's but for the channels of the artifact's images.
    """
    grows = _is_grown(recipe.generator, other.generator)
    if grows and (is_critic_new or hasattr(recipe.critic, "parent")):
        return {}
    generator = {} if grows or other.generator is None else {"generator": as_dict(other.generator)}
    critic = as_dict(recipe.critic) | {"image_channels": other.critic.image_channels} if is_critic_new else as_dict(other.critic)
    return {**generator, "critic": critic}


def _is_grown(network: RecipeTable | None, other: RecipeTable | None) -> bool:
    """Whether both grow in one way from a smaller network, so that they are the recipe's own."""
    return hasattr(network, "parent") and hasattr(other, "parent") and getattr(network, "kind", "") == getattr(other, "kind", "")


def _without_lengths(recipe: Recipe) -> Recipe:
    """Return a ladder whose steps have one length, whatever they had; any other recipe unchanged."""
    if recipe.grow is None:
        return recipe
    steps = [{**as_dict(step), "kimg": 1.0} for step in recipe.grow]
    for step in steps:
        step.pop("critic_first_kimg", None)
    return with_overrides(recipe, grow=steps, training__kimg=None)


def _is_default(table: str, kind: str, key: str, value: Any) -> bool:
    """Whether a setting is the default of its table's kind, or one that the kind does not have."""
    model: type[RecipeTable] | None = KINDS.get(table.rstrip(".").split(".")[-1], {}).get(kind)
    field: FieldInfo | None = None if model is None else model.model_fields.get(key)
    if field is None:
        return value is None
    default = field.get_default(call_default_factory=True)
    return bool(value == (list(default) if isinstance(default, tuple) else default))


def _text(value: Any) -> str:
    if value is None:
        return "absent"
    return f"[{', '.join(_text(part) for part in value)}]" if isinstance(value, list) else str(value).lower() if isinstance(value, bool) else str(value)
