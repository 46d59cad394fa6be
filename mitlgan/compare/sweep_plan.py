"""The plan of a sweep: which recipes it trains, with which data, length and variations."""

from __future__ import annotations

import fnmatch
import hashlib
import itertools
import json
import re
import tomllib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mitlgan.errors import UsageError
from mitlgan.recipe import (
    Recipe,
    load_recipe,
    read_recipe_text,
    shipped_recipe_names,
    takes_any_text,
    with_data_source,
    with_overrides,
    with_total_kimg,
)
from mitlgan.recipe.idle_keys import idle_keys, without_idle_keys
from mitlgan.recipe.schema.critics import PER_CONVOLUTION
from mitlgan.training.schedule import count_generator_updates

MAX_NAME = 64
_NEXT_KEY = re.compile(r""";(?=(?:[^"]*"[^"]*")*[^"]*$)""")
"""A semicolon outside of quotes."""


@dataclass(frozen=True)
class SweepPlan:
    """What is swept.

    Attributes:
        recipes: Names or files; a pattern takes all shipped recipes that match, such as `classic/akel-*`.
        data: `SOURCE` for all, or `PATTERN=SOURCE` for recipes whose name matches; the first match counts.
        scale: `FACTOR` of the length of all recipes, or `PATTERN=FACTOR`.
        vary: `a.b=v1,v2`: each recipe with each value; several give every combination. `a.b=v1,v2;c.d=w1,w2` varies keys together: v1 with w1, v2 with
            w2. A value may be a list, such as a ladder of widths, to whose depth the critic's lists with one value for each convolution are stretched.
        settings: `a.b=v` for all.
        jobs: Number of trainings at a time, one CPU thread each.
        samples: Number of images evaluated.
        extractors: Of the metrics; by the first the rows are ordered, and each further one has a table of its own.
        weights: Weights file of the first extractor.
    """

    recipes: Sequence[str]
    data: Sequence[str] = ()
    scale: Sequence[str] = ()
    vary: Sequence[str] = ()
    settings: Sequence[str] = ()
    jobs: int = 1
    samples: int = 1000
    extractors: Sequence[str] = ("efficientnet-lite0",)
    weights: Path | None = None


@dataclass(frozen=True)
class _Variation:
    """One value of each varied key.

    Attributes:
        suffix: For the recipe's name.
        settings: `a.b=v`, one for each key.
        is_spelt: Whether the suffix has every letter of the values, so that no other values have it by right.
    """

    suffix: str = ""
    settings: tuple[str, ...] = ()
    is_spelt: bool = True

    def __add__(self, other: _Variation) -> _Variation:
        return _Variation(self.suffix + other.suffix, self.settings + other.settings, self.is_spelt and other.is_spelt)


@dataclass(frozen=True)
class _Row:
    """A recipe under the name of its variation, which other rows may have, too.

    Attributes:
        path: The recipe as the user named it.
        recipe: With data, length and variation.
        variation: What was varied.
    """

    path: str
    recipe: Recipe
    variation: _Variation

    @property
    def name(self) -> str:
        """The name that the row has if no other has it."""
        return f"{self.recipe.name}{self.variation.suffix}"


def plan_recipes(plan: SweepPlan) -> list[Recipe]:
    """Return the recipes of a sweep, with their data, length and variations, each under a name of its own.

    Raises:
        UsageError: There is nothing to do, or an option does not fit.
    """
    if not plan.recipes:
        raise UsageError("RECIPES: none given; name some, such as classic/akel-01")
    rows = list[_Row]()
    data, scale = _Rules("--data", plan.data), _Rules("--scale", plan.scale)
    for name in _matching_names(plan.recipes):
        for variation in _variations(plan.vary):
            settings = [*plan.settings, *variation.settings]
            recipe = load_recipe(name, [*settings, *_stretched_lists(name, settings)], "RECIPE")
            if recipe.generator is None:
                raise UsageError(f"{name}: is for `{recipe.command}`; a sweep trains recipes with a [generator]")
            recipe = with_data_source(recipe, data.value_for(recipe.name))
            factor = scale.value_for(recipe.name)
            recipe = scale_length(recipe, _parse_factor(factor)) if factor is not None else recipe
            rows.append(_Row(name, recipe, variation))
    for rules in (data, scale):
        rules.refuse_unused()
    return _name_rows(rows)


def _name_rows(rows: Sequence[_Row]) -> list[Recipe]:
    """Return the recipes, renamed; of values with one name, such as -1 and 1, only one that is spelt by it has it, others add a hash of their own.

    Raises:
        UsageError: Two rows are one, or are recipes of one name.
    """
    _refuse_equal_variations(rows)
    namesakes = defaultdict[str, list[_Row]](list)
    for row in rows:
        for other in namesakes[row.name]:
            if other.path != row.path or other.recipe == row.recipe:
                way_out = "sweep each with an --out of its own" if other.path != row.path else "give it once"
                raise UsageError(f"RECIPES: {other.path} and {row.path} are both named {_short_name(row.name)}; {way_out}")
        namesakes[row.name].append(row)
    recipes = list[Recipe]()
    for row in rows:
        same = namesakes[row.name]
        has_own = len(same) == 1 or (row.variation.is_spelt and sum(other.variation.is_spelt for other in same) == 1)
        name = row.name if has_own else f"{row.name}-{_digest(';'.join(row.variation.settings))}"
        recipes.append(with_overrides(row.recipe, name=_short_name(name)))
    return recipes


def _refuse_equal_variations(rows: Sequence[_Row]) -> None:
    """Refuse values that are written in two ways, such as 0 and 0.0, or that an option such as --data replaces: one training would be ranked twice."""
    earlier = defaultdict[str, list[_Row]](list)
    for row in rows:
        for other in earlier[row.path]:
            pairs = [pair for pair in zip(other.variation.settings, row.variation.settings, strict=True) if len(set(pair)) > 1]
            if pairs and other.recipe == row.recipe:
                first, second = (";".join(settings) for settings in zip(*pairs, strict=True))
                raise UsageError(f"--vary: {first} and {second} make the same recipe of {row.path}; leave one of them out")
        earlier[row.path].append(row)


def describe_equal_trainings(recipes: Sequence[Recipe]) -> list[str]:
    """Return a line for each recipe that differs from an earlier one only in keys that have no effect, so that one training is ranked twice."""
    lines, earlier = list[str](), list[tuple[Recipe, Recipe]]()
    for recipe in recipes:
        whole = with_overrides(without_idle_keys(recipe), name="any")
        same = next((one for one, other in earlier if other == whole), None)
        keys = {} if same is None else {**idle_keys(same), **idle_keys(recipe)}
        if same is not None and keys:
            lines.append(f"advice: {recipe.name} differs from {same.name} only in {', '.join(keys)}, with no effect; leave one of them out")
        earlier.append((recipe, whole))
    return lines


def scale_length(recipe: Recipe, factor: float) -> Recipe:
    """Return the recipe with its length scaled.

    The steps of a ladder keep their shares. The number of snapshots and of lines of statistics stays the same. Checkpoints keep their distance,
    since each costs the same.
    """
    updates = max(1, round(count_generator_updates(recipe) * factor))
    training = recipe.training
    values: dict[str, object] = {}
    for key in ("snapshot_iterations", "log_iterations"):
        interval = getattr(training, key)
        if interval is not None:
            values[f"training__{key}"] = max(1, round(interval * factor))
    return with_overrides(with_total_kimg(recipe, updates * training.batch * recipe.objective.critic_steps / 1000), **values)


def _matching_names(recipes: Sequence[str]) -> list[str]:
    """Return the names with patterns replaced by the shipped recipes that match."""
    names: list[str] = []
    for name in recipes:
        is_pattern = not {"*", "?", "["}.isdisjoint(name) and not Path(name).is_file()
        matching = [shipped for shipped in shipped_recipe_names() if fnmatch.fnmatchcase(shipped, name)] if is_pattern else []
        names += matching or [name]
    return names


def _variations(vary: Sequence[str]) -> list[_Variation]:
    """Return every combination."""
    choices, keys = list[list[_Variation]](), list[str]()
    for text in vary:
        parts = _NEXT_KEY.split(text)
        columns = [_parse_values(text, part) for part in parts]
        keys += [part.partition("=")[0].strip() for part in parts]
        lengths = [len(column) for column in columns]
        if len(set(lengths)) > 1:
            raise UsageError(f"--vary {text}: its keys have {', '.join(map(str, lengths))} values; keys that vary together need equally many")
        choices.append([sum(row, _Variation()) for row in zip(*columns, strict=True)])
        settings = [choice.settings for choice in choices[-1]]
        again = next((one for one in settings if settings.count(one) > 1), None)
        if again is not None:
            raise UsageError(f"--vary {text}: gives {';'.join(again)} twice; give it once")
    twice = next((key for key in keys if keys.count(key) > 1), None)
    if twice is not None:
        raise UsageError(f"--vary {twice}: is varied twice; give all its values at once")
    return [sum(chosen, _Variation()) for chosen in itertools.product(*choices)]


def _parse_values(text: str, part: str) -> list[_Variation]:
    """Return the values of one key of `--vary`."""
    key, equals, values = (word.strip() for word in part.partition("="))
    if not (key and equals and values):
        raise UsageError(f"--vary {text}: write it as key=value,value, such as critic.kernel=3,5,7")
    words = [value.strip() for value in values.split(",")]
    try:
        read = tomllib.loads(f"v = [{values}]")["v"]
        spelt = _spellings(values) if takes_any_text(key) else ()  # as typed, such as 1_000, 1.50 or a date
        parsed = [json.dumps(value, default=str) if isinstance(value, str) or not spelt else spelt[index] for index, value in enumerate(read)]
    except (ValueError, RecursionError):
        parsed = words
    field = key.split(".")[-1]
    suffixes = [_slug(f"-{field}-{re.sub(r'[][, ]+', '-', value).strip('-')}") for value in parsed]
    return [_Variation(suffix, (f"{key}={value}",), suffix == f"-{field}-{value}") for suffix, value in zip(suffixes, parsed, strict=True)]


def _spellings(values: str) -> list[str]:
    """Return how each value of a TOML list's content is written; a comma within one, as in a quoted text or a list, does not end it."""
    spelt, begun = list[str](), ""
    for word in values.split(","):
        begun += word
        try:
            tomllib.loads(f"v = {begun.strip()}")
        except ValueError:
            begun += ","
        else:
            spelt.append(begun.strip())
            begun = ""
    return spelt


def _stretched_lists(name: str, settings: Sequence[str]) -> list[str]:
    """Return settings that bring the recipe's own lists to the depth of the critic's widths: longer ones end earlier, others repeat their last value.

    What the settings name stays as it is, so that a list of another length is refused.
    """
    named = {key.strip(): value for key, _, value in (setting.partition("=") for setting in settings)}
    if "critic.widths" not in named:
        return []
    critic = tomllib.loads(read_recipe_text(name, "RECIPE")).get("critic", {})
    try:
        depth = len(tomllib.loads(f"v = {named['critic.widths']}")["v"])
    except (ValueError, RecursionError, TypeError):
        return []  # refused with the recipe
    lists = {key: critic[key] for key in PER_CONVOLUTION if f"critic.{key}" not in named and isinstance(critic.get(key), list)}
    return [f"critic.{key}={json.dumps([*values, *values[-1:] * depth][:depth])}" for key, values in lists.items()]


def _short_name(name: str) -> str:
    """Return a name that a recipe may have; of a longer one the beginning and a hash."""
    return name if len(name) <= MAX_NAME else f"{name[: MAX_NAME - 9]}-{_digest(name)}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _slug(text: str) -> str:
    return "".join(letter if letter.isascii() and (letter.isalnum() or letter in "-_") else "_" for letter in text.lower()).replace('"', "")


class _Rules:
    """Values of an option, each for all recipes or for those whose name matches its pattern."""

    def __init__(self, option: str, texts: Sequence[str]) -> None:
        self._option, self._texts, self._used = option, texts, set[str]()
        for text in texts:
            _, equals, value = text.partition("=")
            if equals and not value and not Path(text).exists():  # as a path, it would name the current folder
                raise UsageError(f"{option} {text}: is empty after the =; write it as PATTERN=VALUE")

    def value_for(self, name: str) -> str | None:
        """Return the value of the first rule that matches a recipe; a value without a pattern matches all."""
        for text in self._texts:
            pattern, equals, value = text.partition("=")
            is_for_all = not equals or Path(text).exists()
            if is_for_all or fnmatch.fnmatchcase(name, pattern):
                self._used.add(text)
                return text if is_for_all else value
        if self._texts:
            raise UsageError(f"{self._option}: none of {', '.join(self._texts)} is for {name}; add one, or one without a pattern")
        return None

    def refuse_unused(self) -> None:
        """Refuse a rule that decided nothing: its pattern is misspelt, or an earlier rule matches all that it would.

        Raises:
            UsageError: Names the rule.
        """
        for text in self._texts:
            if text not in self._used:
                raise UsageError(
                    f"{self._option} {text}: is for no recipe, or an earlier {self._option} is for the same ones; the first that matches counts"
                )


def _parse_factor(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 1000:
        raise UsageError(f"--scale {text}: write a positive number, such as 0.1, or PATTERN=0.1")
    return value
