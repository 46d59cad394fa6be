"""Settings of a recipe that an artifact decides: refused where the user set them, told where a recipe of the user's own has others."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence

from mitlgan.errors import UsageError
from mitlgan.recipe import Recipe, diff_recipes, is_within_table, setting_keys
from mitlgan.recipe.display_name import MAX_CHANGES, shipped_of_name
from mitlgan.runtime.progress import Say


def report_replaced(before: Recipe, after: Recipe, deciders: Mapping[str, str], settings: Collection[str], say: Say) -> None:
    """Refuse what the user set and something else decides; say in which other keys a recipe of the user's own gives way.

    A key that was set to the value that counts anyway is no fault. Of a shipped recipe nothing is said: it says so itself.

    Args:
        before: A recipe as the user gave it.
        after: The same with what takes the place of its keys.
        deciders: What decides a table or a key, such as `generator`, by its name; the first that fits a key counts.
        settings: The user's changes of the recipe, `a.b=v`, or their keys alone.
        say: Shows one line for each that decides.

    Raises:
        UsageError: The user set a key that another value takes the place of; names the key and what decides it.
    """
    differences = diff_recipes(before, after)
    owners = {key: decider for key in differences for decider in _deciders_of(key, deciders)}
    for setting in _keys(settings):
        for key, decider in owners.items():
            if is_within_table(key, setting):
                value = differences[key][1]
                fact = f"has no {key}" if value is None else f"{key} is {json.dumps(value, ensure_ascii=False)}"
                raise UsageError(f"--set {setting}: {decider} decides, and {fact}; leave it out")
    shipped = [diff_recipes(before, other) for other in shipped_of_name(before.name)]
    for decider in dict.fromkeys(owners.values()):
        keys = [key for key, owner in owners.items() if owner == decider and differences[key][0] is not None]
        own = _without_implied([key for key in keys if all(key in changes for changes in shipped)])
        more = f" and {len(own) - MAX_CHANGES} more" if len(own) > MAX_CHANGES else ""
        if own:
            say(f"{decider} decides in place of the recipe's {', '.join(own[:MAX_CHANGES])}{more}")


def refuse_unused_setting(key: str, reason: str, settings: Collection[str]) -> None:
    """Refuse a key that has no effect, if the user set it.

    Args:
        key: Dotted; it may have been set in a table, too.
        reason: Why it has none.
        settings: As of `report_replaced`.

    Raises:
        UsageError: The user set it; names the key and the reason.
    """
    refuse_unused_settings([setting for setting in _keys(settings) if setting == key], reason)


def refuse_unused_settings(settings: Collection[str], reason: str) -> None:
    """Refuse settings that have no effect, if there are any.

    Raises:
        UsageError: Names the first and the reason.
    """
    for key in _keys(settings):
        raise UsageError(f"--set {key}: has no effect, since {reason}; leave it out")


def _deciders_of(key: str, deciders: Mapping[str, str]) -> Iterator[str]:
    """Yield what decides a key: at most one."""
    yield from [decider for name, decider in deciders.items() if is_within_table(key, name)][:1]


def _without_implied(keys: Sequence[str]) -> list[str]:
    """Return the keys without those of tables whose kind is among them."""
    tables = [key.removesuffix("kind") for key in keys if key.endswith(".kind")]
    return [key for key in keys if not any(key.startswith(table) and key != f"{table}kind" for table in tables)]


def _keys(settings: Collection[str]) -> list[str]:
    """Return the dotted keys that the user set, those in tables too."""
    return [key for setting in settings for key in setting_keys(setting)]
