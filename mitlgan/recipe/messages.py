"""What a reader is told of a recipe that is wrong: file, line, and the closest known key."""

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
    """What a reader is told of text that is no TOML: file, line, reason."""
    found = re.search(r"\(at (?:line (\d+), column \d+|end of document)\)$", message)
    line = "" if found is None else f":{found.group(1) or text.rstrip().count(chr(10)) + 1}"
    reason = message if found is None else message[: found.start()].rstrip()
    return f"{path}{line}: not valid TOML: {reason}"


def validation_message(error: Any, source: str, text: str, overrides: Sequence[str]) -> str:
    """What a reader is told of one of pydantic's errors: file and line or `--set`, key, reason, and the closest known key."""
    located = [str(part) for part in error["loc"]]
    location = _without_kinds(located)
    reason, given = str(error["msg"]).removeprefix("Value error, "), error.get("input")
    if error["type"] == "union_tag_invalid":
        location, given = [*location, "kind"], error["ctx"]["tag"]
        *most, last = [f"'{kind}'" for kind in KINDS[location[-2]]]
        reason = f"Input should be {', '.join(most)} or {last}"
    elif error["type"] == "union_tag_not_found":
        reason = "Input should be a table"
    dotted = ".".join(location)
    contradiction = error["type"] == "value_error"
    where = place(_subject(location, reason) if contradiction else location, source, text, overrides)
    if error["type"] == "extra_forbidden":
        return f"{where}: unknown key '{dotted}'{_closest(located)}"
    if error["type"] == "missing":
        return f"{where}: the key '{dotted}' is missing"
    shown = "" if contradiction else f" (given: {short(given)})"
    return f"{where}: {dotted + ': ' if dotted else ''}{reason}{shown}"


def place(location: Sequence[str], source: str, text: str, overrides: Sequence[str]) -> str:
    """What a message begins with: the `--set` that is to blame, else the file and its line."""
    for setting in reversed(overrides):
        key = setting.partition("=")[0].strip()
        parts = key.split(".")
        shorter = min(len(parts), len(location))
        if location and parts[:shorter] == list(location[:shorter]):
            return f"--set {key}"
    return f"{source}:{_line_of(text, location)}" if text else source


def _subject(location: Sequence[str], reason: str) -> Sequence[str]:
    """The key that a contradiction's message is about, which is its first word."""
    first = re.match(r"[a-z0-9_.]+", reason)
    keys = [*location, *first.group().split(".")] if first else [*location]
    return keys if keys and keys[-1] in _known_keys(keys[:-1]) else location


def _closest(located: Sequence[str]) -> str:
    """A hint: the same key in another table, else the closest one in this table."""
    *table, key = located
    location = _without_kinds(located)
    kinds = [kind for kind, part in KINDS.get(location[-2] if len(location) > 1 else "", {}).items() if key in part.model_fields]
    owners = " or ".join(repr(kind) for kind in kinds)
    same = [known for known in all_keys() if known.split(".")[-1] == key and known != ".".join(location)]
    if kinds and not same:
        return f"; only kind = {owners} has it"
    close = difflib.get_close_matches(key, _known_keys(table), n=1, cutoff=0.0)
    nearest = difflib.get_close_matches(".".join(location), same, n=1, cutoff=0.0) or [".".join([*location[:-1], *close])]
    hint = f"; the closest known one is '{nearest[0]}'" if same or close else ""
    return f"{hint}, or that of kind = {owners}" if kinds else hint


def short(value: object) -> str:
    """A value as a message shows it: at most 60 characters."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _known_keys(tables: Sequence[str]) -> list[str]:
    """Keys of a table; of one that has kinds, those of the kind that stands behind it, else of the first."""
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
    """Every key of every table and kind, dotted, without kinds."""
    waiting: list[list[str]] = [[]]
    while waiting:
        table = waiting.pop(0)
        for key in _known_keys(table):
            yield ".".join([*_without_kinds(table), key])
            waiting += [[*table, key, kind] for kind in KINDS[key]] if key in KINDS else [[*table, key]]


def _without_kinds(located: Sequence[str]) -> list[str]:
    """A location without the kinds that the checker puts behind the tables that have them."""
    return [part for index, part in enumerate(located) if index == 0 or part not in KINDS.get(located[index - 1], {})]


def _line_of(text: str, location: Sequence[str]) -> int:
    """The line where a key stands, or its table's, or 1: tomllib keeps no positions."""
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
