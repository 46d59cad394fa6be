"""The keys of recipes whose values are a user's own words, such as names and paths, which may look like numbers or dates."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from mitlgan.recipe.schema.recipe import Recipe


@cache
def takes_any_text(key: str) -> bool:
    """Return whether a dotted key takes texts, any of them, and nothing else, in each kind of its table; not one with a choice of words."""
    tables: list[type[BaseModel]] = [Recipe]
    types: list[Any] = []
    for part in key.split("."):
        types = [choice for table in tables if part in table.model_fields for choice in _choices(table.model_fields[part].annotation)]
        tables = [choice for choice in types if isinstance(choice, type) and issubclass(choice, BaseModel)]
    return str in types and set(types) <= {str, NoneType}


def _choices(hint: Any) -> Iterator[Any]:
    """Yield the types of a hint: of a union each, however it is written."""
    if get_origin(hint) is Annotated:
        yield from _choices(get_args(hint)[0])
    elif get_origin(hint) in (Union, UnionType):
        for choice in get_args(hint):
            yield from _choices(choice)
    else:
        yield hint
