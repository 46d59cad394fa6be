"""The plan of a sweep: which recipes it trains, with which data, length and variations."""

from __future__ import annotations

import fnmatch
import itertools
import json
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mitlgan.errors import UsageError
from mitlgan.recipe import Recipe, load_recipe, shipped_recipe_names, with_overrides
from mitlgan.training.schedule import count_generator_updates

MAX_NAME = 64


@dataclass(frozen=True)
class SweepPlan:
    """What is swept.

    Attributes:
        recipes: Names or files; a pattern takes all shipped recipes that match, such as `classic/akel-*`.
        data: `SOURCE` for all, or `PATTERN=SOURCE` for recipes whose name matches; the first match counts.
        scale: `FACTOR` of the length of all recipes, or `PATTERN=FACTOR`.
        vary: `a.b=v1,v2`: each recipe with each value; several give every combination.
        settings: `a.b=v` for all.
        jobs: Number of trainings at a time, one CPU thread each.
        samples: Number of images evaluated.
        extractor: Of the metrics.
        weights: Weights file of the extractor.
    """

    recipes: Sequence[str]
    data: Sequence[str] = ()
    scale: Sequence[str] = ()
    vary: Sequence[str] = ()
    settings: Sequence[str] = ()
    jobs: int = 1
    samples: int = 1000
    extractor: str = "efficientnet-lite0"
    weights: Path | None = None


def plan_recipes(plan: SweepPlan) -> list[Recipe]:
    """Return the recipes of a sweep, with their data, length and variations.

    Raises:
        UsageError: There is nothing to do, or an option does not fit.
    """
    if not plan.recipes:
        raise UsageError("RECIPES: none given; name some, such as classic/akel-01")
    recipes: list[Recipe] = []
    for name in _matching_names(plan.recipes):
        for suffix, settings in _variations(plan.vary):
            recipe = load_recipe(name, [*plan.settings, *settings], "RECIPE")
            if recipe.generator is None:
                raise UsageError(f"{name}: is for `{recipe.command}`; a sweep trains recipes with a [generator]")
            source = _value_for(plan.data, recipe.name, "--data")
            if source is not None:
                recipe = with_overrides(recipe, data__source=source if source == "demo" else str(Path(source).resolve()))
            factor = _value_for(plan.scale, recipe.name, "--scale")
            recipe = scale_length(recipe, _parse_factor(factor)) if factor is not None else recipe
            recipes.append(with_overrides(recipe, name=f"{recipe.name}{suffix}"[:MAX_NAME]))
    names = [recipe.name for recipe in recipes]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"RECIPES: two are named {twice}; give each its own name")
    return recipes


def scale_length(recipe: Recipe, factor: float) -> Recipe:
    """Return the recipe with its length scaled.

    The number of snapshots and of lines of statistics stays the same. Checkpoints keep their distance, since each costs the same.
    """
    updates = max(1, round(count_generator_updates(recipe) * factor))
    training = recipe.training
    values: dict[str, object] = {"training__kimg": updates * training.batch * recipe.objective.critic_steps / 1000}
    for key in ("snapshot_iterations", "log_iterations"):
        interval = getattr(training, key)
        if interval is not None:
            values[f"training__{key}"] = max(1, round(interval * factor))
    return with_overrides(recipe, **values)


def _matching_names(recipes: Sequence[str]) -> list[str]:
    """Return the names with patterns replaced by the shipped recipes that match."""
    names: list[str] = []
    for name in recipes:
        matching = [shipped for shipped in shipped_recipe_names() if fnmatch.fnmatchcase(shipped, name)] if "*" in name or "?" in name else []
        names += matching or [name]
    return names


def _variations(vary: Sequence[str]) -> list[tuple[str, list[str]]]:
    """Return every combination: a suffix for the recipe's name, and its settings."""
    choices = []
    for text in vary:
        key, equals, values = text.partition("=")
        if not equals or not values.strip():
            raise UsageError(f"--vary {text}: write it as key=value,value, such as critic.kernel=3,5,7")
        try:
            parsed = [json.dumps(value) for value in tomllib.loads(f"v = [{values}]")["v"]]
        except (ValueError, RecursionError):
            parsed = [value.strip() for value in values.split(",")]
        choices.append([(_slug(f"-{key.split('.')[-1]}-{value}"), f"{key}={value}") for value in parsed])
    return [("".join(suffix for suffix, _ in chosen), [setting for _, setting in chosen]) for chosen in itertools.product(*choices)]


def _slug(text: str) -> str:
    return "".join(letter if letter.isascii() and (letter.isalnum() or letter in "-_") else "_" for letter in text.lower()).replace('"', "")


def _value_for(rules: Sequence[str], name: str, option: str) -> str | None:
    """Return the value of the first rule that matches a recipe; a value without a pattern matches all."""
    for rule in rules:
        pattern, equals, value = rule.partition("=")
        if not equals or Path(rule).exists():
            return rule
        if fnmatch.fnmatchcase(name, pattern):
            return value
    if rules:
        raise UsageError(f"{option}: none of {', '.join(rules)} is for {name}; add one, or one without a pattern")
    return None


def _parse_factor(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 1000:
        raise UsageError(f"--scale {text}: write a positive number, such as 0.1, or PATTERN=0.1")
    return value
