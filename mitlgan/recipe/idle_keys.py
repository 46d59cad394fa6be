"""Keys that have no effect because of what another key says: which, when, and what decides."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from mitlgan.recipe.load import with_overrides
from mitlgan.recipe.schema.base import RecipeTable
from mitlgan.recipe.schema.critics import StridedCriticRecipe, ThesisCriticRecipe
from mitlgan.recipe.schema.generators import DcganGeneratorRecipe, ParentedGeneratorRecipe, SharpenedGeneratorRecipe, UpsampledGeneratorRecipe
from mitlgan.recipe.schema.recipe import Recipe
from mitlgan.recipe.schema.training import TrainingRecipe
from mitlgan.recipe.schema.weights import InitializedTable, KerasTable, NormalizedTable


@dataclass(frozen=True)
class IdleRule:
    """Keys of a table that have no effect.

    Attributes:
        tables: Classes of the tables that have the keys.
        keys: Their names.
        is_idle: Whether they have no effect in a table of these classes.
        decider: The key of the same table that decides; its value is told.
    """

    tables: tuple[type[RecipeTable], ...]
    keys: tuple[str, ...]
    is_idle: Callable[[Any], bool]
    decider: str


IDLE_RULES = (
    IdleRule((TrainingRecipe,), ("snapshot_kimg",), lambda table: table.snapshot_iterations is not None, "snapshot_iterations"),
    IdleRule((TrainingRecipe,), ("checkpoint_kimg",), lambda table: table.checkpoint_iterations is not None, "checkpoint_iterations"),
    IdleRule((TrainingRecipe,), ("artifact_kimg",), lambda table: table.artifact_iterations is not None, "artifact_iterations"),
    IdleRule((StridedCriticRecipe,), ("widths",), lambda table: table.base_width is not None, "base_width"),
    IdleRule((StridedCriticRecipe,), ("norm_first",), lambda table: table.normalisation == "none", "normalisation"),
    IdleRule((DcganGeneratorRecipe,), ("base_width", "narrowest"), lambda table: table.widths is not None, "widths"),
    IdleRule((InitializedTable, KerasTable), ("init_std",), lambda table: table.init != "normal", "init"),
    IdleRule((NormalizedTable,), ("norm_order", "norm_momentum", "norm_eps"), lambda table: table.normalisation == "none", "normalisation"),
    IdleRule((ThesisCriticRecipe,), ("norm_momentum", "norm_eps"), lambda table: table.normalisation == "none", "normalisation"),
    IdleRule((UpsampledGeneratorRecipe, DcganGeneratorRecipe), ("leak",), lambda table: table.activation == "relu", "activation"),
    IdleRule((SharpenedGeneratorRecipe,), ("parent_rate",), lambda table: not table.adversarial and table.parent_norm == "frozen", "adversarial"),
    IdleRule((ParentedGeneratorRecipe,), ("parent_norm",), lambda table: table.parent_rate == 0, "parent_rate"),
)


def idle_keys(recipe: Recipe) -> dict[str, str]:
    """Return the dotted keys of a recipe that differ from their defaults and have no effect, with the dotted key that decides; empty if all have one.

    Those of a parent that a network grows from are not looked at, since it comes from a file.
    """
    return dict(_idle_keys(recipe, ""))


def without_idle_keys(recipe: Recipe) -> Recipe:
    """Return a recipe that trains alike, with the defaults in place of the keys that have no effect."""
    return with_overrides(recipe, **{key.replace(".", "__"): None for key in idle_keys(recipe)})


def _idle_keys(table: BaseModel, prefix: str) -> Iterator[tuple[str, str]]:
    for rule in IDLE_RULES:
        if isinstance(table, rule.tables) and rule.is_idle(table):
            fields = type(table).model_fields
            yield from ((f"{prefix}{key}", f"{prefix}{rule.decider}") for key in rule.keys if getattr(table, key) != fields[key].default)
    for name in type(table).model_fields:
        value = getattr(table, name)
        if isinstance(value, RecipeTable) and name != "parent":  # a trained one is as it is
            yield from _idle_keys(value, f"{prefix}{name}.")
