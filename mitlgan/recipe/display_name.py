"""What a recipe is called before readers: its name, and every setting in which it is no longer the shipped recipe of that name.

A name is a claim. `thesis-narrow` with another translator is not what the name promises, so the difference goes wherever the name goes.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from mitlgan.errors import UsageError
from mitlgan.recipe.load import diff_recipes, find_recipe, load_recipe, parse_recipe, shipped_recipe_names
from mitlgan.recipe.schema.base import RecipeTable
from mitlgan.recipe.schema.recipe import KINDS, Recipe

MAX_CHANGES = 4
"""So many changed settings are named; the rest are counted."""

SHOWN_ELSEWHERE = (
    "seed",
    "data.source",
    "evaluation.",
    "training.kimg",
    "training.limit_s",
    "training.clock",
    "training.snapshot_",
    "training.checkpoint",
    "training.keep_",
    "training.log_iterations",
    "training.nan_patience",
    "training.divergence",
)
"""Settings that change how long, on what and how closely watched a network is trained, not what it is: pages and cards have a place for each."""


def display_name(recipe: Recipe) -> str:
    """The recipe's name, and what was changed of the shipped recipe that has it: `thesis-narrow, changed: composer.translator.kind=resnet`.

    A recipe of a name that is not shipped is its author's: the name alone.
    """
    found = changes_from_shipped(recipe)
    if not found:
        return recipe.name
    listed = [f"{key}={value}" for key, value in list(found.items())[:MAX_CHANGES]]
    more = len(found) - len(listed)
    return f"{recipe.name}, changed: {', '.join(listed)}" + (f" and {more} more" if more else "")


def display_name_of(tree: Mapping[str, Any], otherwise: str = "") -> str:
    """The same for a recipe as an artifact's card has it, which another version may have written.

    Args:
        tree: The card's recipe.
        otherwise: Where it has no name.
    """
    try:
        return display_name(parse_recipe(dict(tree), "card"))
    except UsageError:
        return str(tree.get("name") or otherwise)


def changes_from_shipped(recipe: Recipe) -> dict[str, str]:
    """The settings in which a recipe differs from the shipped one of its name, as `--set` takes them; the nearest, where several have the name."""
    candidates = [_differences(recipe, other) for other in shipped_of_name(recipe.name) if other.command == recipe.command]
    return min(candidates, key=len, default={})


@lru_cache(maxsize=64)
def shipped_of_name(name: str) -> tuple[Recipe, ...]:
    """The shipped recipes of a name, which several sizes of one network share."""
    return tuple(load_recipe(path) for path, known in _shipped_names().items() if known == name)


@lru_cache(maxsize=1)
def _shipped_names() -> dict[Path, str]:
    paths = [find_recipe(name) for name in shipped_recipe_names()]
    return {path: str(tomllib.loads(path.read_text(encoding="utf-8"))["name"]) for path in paths}


def _differences(recipe: Recipe, other: Recipe) -> dict[str, str]:
    found = diff_recipes(recipe, other)
    kinds = {key.removesuffix("kind"): str(mine) for key, (mine, _) in found.items() if key.endswith(".kind")}
    shown: dict[str, str] = {}
    for key in sorted(found, key=lambda name: (not name.endswith(".kind"), name)):
        mine = found[key][0]
        table = next((table for table in kinds if key.startswith(table) and not key.endswith(".kind")), None)
        follows = table is not None and _is_default(table, kinds[table], key.removeprefix(table), mine)  # what comes with another kind
        if not key.startswith(SHOWN_ELSEWHERE) and not follows:
            shown[key] = _text(mine)
    return shown


def _is_default(table: str, kind: str, key: str, value: Any) -> bool:
    """Whether a setting is what its table's kind brings by itself, or one that the kind does not have."""
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
