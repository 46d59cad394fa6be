"""The base class of all recipe tables, types of their keys, and their kinds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, get_args

from pydantic import BaseModel, ConfigDict, Field

Width = Annotated[int, Field(ge=1, le=8192)]
Widths = Annotated[tuple[Width, ...], Field(min_length=1, max_length=8)]
Probability = Annotated[float, Field(ge=0.0, lt=1.0)]
Leak = Annotated[float, Field(ge=0.0, le=1.0)]
Kernel = Annotated[int, Field(ge=1, le=31)]
LatentDim = Annotated[int, Field(ge=1, le=65536)]


class RecipeTable(BaseModel):
    """A table of a recipe: immutable, without unknown keys, without conversion of types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


def kinds_of(union: Any) -> dict[str, type[RecipeTable]]:
    """Return the schema class of each kind of a discriminated union, in its order; the first is that of a table without `kind`."""
    members, *_ = get_args(union)
    return {tag.tag: schema for schema, tag in map(get_args, get_args(members))}


def kind_discriminator(default: str) -> Callable[[Any], Any]:
    """Return a function that reads the kind of a table, given as a dictionary or as a model."""

    def kind(value: Any) -> Any:
        return value.get("kind", default) if isinstance(value, dict) else getattr(value, "kind", default)

    return kind
