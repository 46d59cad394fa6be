"""Messages about invalid recipes: file, line, and the closest known key."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from mitlgan.recipe.schema.base import RecipeTable
from mitlgan.recipe.schema.recipe import KINDS, Recipe


def toml_message(path: Path, text: str, message: str) -> str:
    """Return the message about text that is not TOML: file, line, reason."""
    position = re.search(r"\(at (?:line (\d+), column \d+|end of document)\)$", message)
    line = "" if position is None else f":{position.group(1) or text.rstrip().count(chr(10)) + 1}"
    reason = message if position is None else message[: position.start()].rstrip()
    return f"{path}{line}: not valid TOML: {reason}"


def validation_message(error: Any, source: str, text: str, overrides: Sequence[str]) -> str:
    """Return the message about one of pydantic's errors: file and line or `--set`, key, reason, and the closest known key."""
    full_location = [str(part) for part in error["loc"]]
    location = _without_kinds(full_location)
    reason, value = str(error["msg"]).removeprefix("Value error, "), error.get("input")
    if error["type"] == "union_tag_invalid":
        location, value = [*location, "kind"], error["ctx"]["tag"]
        *most, last = [f"'{kind}'" for kind in KINDS[location[-2]]]
        reason = f"Input should be {', '.join(most)} or {last}"
    elif error["type"] == "union_tag_not_found":
        reason = "Input should be a table"
    dotted = ".".join(location)
    is_contradiction = error["type"] == "value_error"
    where = error_location(_subject(location, reason, overrides) if is_contradiction else location, source, text, overrides)
    if error["type"] == "extra_forbidden":
        return f"{where}: unknown key '{dotted}'{_closest(full_location)}"
    if error["type"] == "missing":
        return f"{where}: the key '{dotted}' is missing"
    value_text = "" if is_contradiction else f" (given: {short(value)})"
    return f"{where}: {dotted + ': ' if dotted else ''}{reason}{value_text}"


def error_location(location: Sequence[str], source: str, text: str, overrides: Sequence[str]) -> str:
    """Return the beginning of a message: the `--set` at fault, else file and line."""
    for setting in reversed(overrides):
        key = setting.partition("=")[0].strip()
        parts = key.split(".")
        shorter = min(len(parts), len(location))
        if location and parts[:shorter] == list(location[:shorter]):
            return f"--set {key}"
    return f"{source}:{_line_of(text, location)}" if text else source


def _subject(location: Sequence[str], reason: str, overrides: Sequence[str]) -> Sequence[str]:
    """Return the key that a contradiction is about: the first in its message that `--set` names, else the first word of it."""
    words = [[*location, *word.split(".")] for word in re.findall(r"[a-z0-9_.]+", reason)]
    settings = {setting.partition("=")[0].strip() for setting in overrides}
    named = next((keys for keys in words if ".".join(keys) in settings), None)
    if named is not None:
        return named
    first = words[0] if words and re.match(r"[a-z0-9_.]", reason) else []
    return first if first and first[-1] in _known_keys(first[:-1]) else location


def _closest(full_location: Sequence[str]) -> str:
    """Return a hint: the same key in another table, else the closest one in this table."""
    *table, key = full_location
    location = _without_kinds(full_location)
    kinds = [kind for kind, part in KINDS.get(location[-2] if len(location) > 1 else "", {}).items() if key in part.model_fields]
    owners = " or ".join(repr(kind) for kind in kinds)
    same = [other for other in all_keys() if other.split(".")[-1] == key and other != ".".join(location)]
    if kinds and not same:
        return f"; only kind = {owners} has it"
    close = difflib.get_close_matches(key, _known_keys(table), n=1, cutoff=0.0)
    nearest = difflib.get_close_matches(".".join(location), same, n=1, cutoff=0.0) or [".".join([*location[:-1], *close])]
    hint = f"; the closest known one is '{nearest[0]}'" if same or close else ""
    return f"{hint}, or that of kind = {owners}" if kinds else hint


def short(value: object) -> str:
    """Return a value's text, at most 60 characters."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _known_keys(tables: Sequence[str]) -> list[str]:
    """Return the keys of a table; if it has kinds, those of the kind that follows it, else of the first."""
    model: Any = Recipe
    kinds: dict[str, type[RecipeTable]] = {}
    for table in tables:
        if table in kinds:
            model, kinds = kinds[table], {}
            continue
        field = getattr(model, "model_fields", {}).get(table)
        options = [] if field is None else [field.annotation, *getattr(field.annotation, "__args__", ())]
        kinds = {} if field is None else KINDS.get(table, {})
        plain_model = next((option for option in options if isinstance(option, type) and issubclass(option, BaseModel)), None)
        model = next(iter(kinds.values()), plain_model)
        if model is None:
            return []
    return list(model.model_fields)


def all_keys() -> Iterator[str]:
    """Yield every key of every table and kind, dotted, without kinds."""
    waiting: list[list[str]] = [[]]
    while waiting:
        table = waiting.pop(0)
        for key in _known_keys(table):
            yield ".".join([*_without_kinds(table), key])
            waiting += [[*table, key, kind] for kind in KINDS[key]] if key in KINDS else [[*table, key]]


def _without_kinds(location: Sequence[str]) -> list[str]:
    """Return a location without the kinds that pydantic adds after tables that have them."""
    return [part for index, part in enumerate(location) if index == 0 or part not in KINDS.get(location[index - 1], {})]


def _line_of(text: str, location: Sequence[str]) -> int:
    """Return the line of a key, or of its table, or 1: tomllib keeps no positions."""
    keys = [part for part in location if not part.isdigit()]
    if not keys:
        return 1
    best = 1
    table: list[str] = []
    for number, line in enumerate(text.split("\n"), start=1):  # as TOML counts them; splitlines() breaks at more
        header = re.match(r"\s*\[([^\[\]]+)\]", line)
        if header:
            table = [part.strip().strip("\"'") for part in header.group(1).split(".")]
            if table[: len(keys)] == keys:
                return number
            if table == keys[: len(table)]:
                best = number
            continue
        assigned = re.match(r"\s*([A-Za-z0-9_.\"'-]+)\s*=", line)
        if assigned:
            path = table + [part.strip().strip("\"'") for part in assigned.group(1).split(".")]
            if path[: len(keys)] == keys:
                return number
            if path == keys[: len(path)]:
                best = number
    return best
