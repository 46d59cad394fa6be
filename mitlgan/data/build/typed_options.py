"""The settings that a command's work records, as the options that a user types."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

MATTE_FILTER = "gate"
"""What journals and manifests call the limits of a usable matte."""
_OPTIONS = {
    "size_px": "--size", "blur_px": "--blur", "min_size_px": "--min-size", "shear_degrees": "--shear",
    "min_area": "--min-object-area", "max_area": "--max-object-area",
}  # fmt: skip
"""Of settings whose names are not those of their options."""
_WITHOUT_OPTION = ("min_largest", "max_undecided")
_LISTS = ("exclude", "against")
Typed = str | bool
"""The value of an option, or whether an option without a value is given."""


def changed_options(settings: Mapping[str, Any], others: Mapping[str, Any]) -> list[str]:
    """Return the words of the options by which some settings differ from others, such as a command's own; lists of names and sets are left out.

    Args:
        settings: As a journal or manifest records them.
        others: With the same keys; those that it lacks are left out.
    """
    values, usual = _flatten(settings), _flatten(others)
    changed = {key: value for key, value in values.items() if key in usual and value != usual[key] and key not in (*_WITHOUT_OPTION, *_LISTS)}
    return [word for key, value in changed.items() for word in _words(_option_of(key), _typed(key, value))]


def describe_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return each option whose value is another one now, as it is typed: `--max-border 0.25, now 0.02`."""
    first, second = _flatten(before), _flatten(now)
    return [_describe(key, first.get(key), second.get(key)) for key in {**first, **second} if first.get(key) != second.get(key)]


def _flatten(settings: Mapping[str, Any]) -> dict[str, Any]:
    values = {key: value for key, value in settings.items() if key != MATTE_FILTER} | dict(settings.get(MATTE_FILTER) or {})
    return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}


def _describe(key: str, before: object, now: object) -> str:
    option, first, second = _option_of(key), _typed(key, before), _typed(key, now)
    was = f"{option} {first}" if isinstance(first, str) else f"{'with' if first else 'without'} {option}"
    if first == second:
        return f"{was}, now others"
    return f"{was}, now {second if isinstance(second, str) else 'with it' if second else 'without it'}"


def _option_of(key: str) -> str:
    return key if key in _WITHOUT_OPTION else _OPTIONS.get(key, f"--{key.replace('_', '-')}")


def _typed(key: str, value: object) -> Typed:
    match value:
        case bool():
            return value
        case None:
            return False
        case list() if key == "exclude":
            return f"of {len(value):,} {'name' if len(value) == 1 else 'names'}" if value else False
        case list() if key in _LISTS:
            return shlex.join(map(str, value)) if value else False
        case list():  # a colour
            return "#{:02x}{:02x}{:02x}".format(*value)
        case float():
            return f"{value:.12g}"
    return str(value)


def _words(option: str, value: Typed) -> list[str]:
    if isinstance(value, str):
        return [option, value]
    return [option if value else f"--no-{option[2:]}"]
