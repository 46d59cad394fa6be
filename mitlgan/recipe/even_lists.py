"""Lists of a critic with one value for each convolution that say no more than one number does."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mitlgan.recipe.schema.critics import CRITIC_KINDS, PER_CONVOLUTION

WIDTHS = "widths"


def shorten_even_lists(values: dict[str, Any], keys: Iterable[str]) -> None:
    """Replace lists of equal numbers by that number in the critics whose widths are about to change, so that it holds at any depth.

    A list that has not one value for each of the widths stays, such as one of the last convolutions with `base_width`.

    Args:
        values: A recipe as dictionaries, before the change; changed in place.
        keys: Dotted keys that change.
    """
    for key in keys:
        *tables, last = key.split(".")
        if last != WIDTHS or tables[:1] != ["critic"]:
            continue
        table: Any = values
        for name in tables:
            table = table.get(name) if isinstance(table, dict) else None
        if isinstance(table, dict) and table.get("base_width") is None:
            depth = _depth(table)
            table.update({name: table[name][0] for name in PER_CONVOLUTION if _is_even(table.get(name), depth)})


def _depth(table: dict[str, Any]) -> int:
    """Return the number of a critic's widths, by default those of its kind; 0 if it has none."""
    schema = CRITIC_KINDS.get(str(table.get("kind", next(iter(CRITIC_KINDS)))))
    field = None if schema is None else schema.model_fields.get(WIDTHS)
    widths = table.get(WIDTHS, None if field is None else field.default)
    return len(widths) if isinstance(widths, list | tuple) else 0


def _is_even(value: object, depth: int) -> bool:
    if not isinstance(value, list) or not value or len(value) != depth:
        return False
    return all(type(item) in (int, float) and item == value[0] for item in value)
