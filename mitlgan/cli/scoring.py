"""What commands have in common that measure something on held-out pictures, and may write it into a card."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mitlgan.cli.options import note

if TYPE_CHECKING:
    from mitlgan.data.packed import Packed
    from mitlgan.recipe import Recipe

Split = Annotated[str, typer.Option("--split", metavar="NAME", help="Of the pictures: validation, test or train.")]
Extractor = Annotated[str, typer.Option("--extractor", metavar="NAME", help="Of the features: inception, efficientnet-lite0 or timm:NAME.")]
Record = Annotated[bool, typer.Option("--record", help="Write the figures into the artifact's card.")]
SHEET_ROWS = 8
"""Of a sheet of what was measured."""


def held_out(recipe: Recipe, data: str | None, split: str) -> tuple[Packed, str]:
    """Pictures on which what a recipe has trained is measured, and the split that they are of; told if it is another one than was asked for.

    Args:
        recipe: Says which pictures, unless `data` does.
        data: As for --data.
        split: The split that is wanted.
    """
    from mitlgan import stages
    from mitlgan.data.splits import resolved_split
    from mitlgan.recipe import changed

    if data is not None:
        recipe = changed(recipe, data__source=data if data == "demo" else str(Path(data).resolve()))
    found = resolved_split(recipe.data.source, recipe.role, split)
    if found != split:
        note(f"{recipe.data.source}: has no {split} pictures of its own, so {found} ones are measured; trained on, they flatter")
    return stages.pictures(recipe, found), found


def write_into_card(path: Path, name: str, measured: dict[str, Any]) -> None:
    """Write figures under a name into an artifact's card, beside those that it has."""
    from mitlgan.artifact import read_card, record_metrics

    record_metrics(path, {**read_card(path).metrics, name: measured})
    note(f"{path}: the figures are in its card now")
