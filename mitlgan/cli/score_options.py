"""Held-out pictures, options and card writing of the commands that measure."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mitlgan.cli.output import log

if TYPE_CHECKING:
    from mitlgan.artifacts.card import Card
    from mitlgan.data.pack.image_pack import ImagePack
    from mitlgan.recipe import Recipe

Extractor = Annotated[str, typer.Option("--extractor", metavar="NAME", help="Feature extractor: inception, efficientnet-lite0 or timm:NAME.")]
Record = Annotated[bool, typer.Option("--write-card", help="Write the results into the artifact's card.")]
SHEET_ROWS = 8
"""Rows of a sheet of measured pictures."""


def with_data(recipe: Recipe, data: str | None) -> Recipe:
    """Return the recipe with the data that `--data` names, if any."""
    from mitlgan.data.recipe_data import note_demo_data
    from mitlgan.recipe import with_overrides

    note_demo_data(recipe, data, log)
    return recipe if data is None else with_overrides(recipe, data__source=data if data == "demo" else str(Path(data).resolve()))


def real_pictures(recipe: Recipe, card: Card | None, split: str | None, default: str) -> tuple[ImagePack, str]:
    """Open the held-out images for evaluating an artifact, and name their split. Logs a note if they are not what was asked for.

    Args:
        recipe: Says which pictures.
        card: Of the artifact; None where there are several.
        split: The value of `--split`; None if it is absent.
        default: The split to use otherwise.

    Raises:
        DataError: The requested split does not exist.
    """
    from mitlgan.data.recipe_data import open_recipe_data
    from mitlgan.data.sources.split_folders import TRAIN, correct_split
    from mitlgan.data.splits import choose_evaluation_split, find_splits, held_out_training_warning

    source = recipe.data.source
    name = choose_evaluation_split(source, recipe.role, split, default, log)
    if split is None and name == default == TRAIN and (held_out := [other for other in find_splits(source, recipe.role).parts if other != TRAIN]):
        log(f"{source}: measured on train pictures, as the recipe says; they flatter a network that learned from them: --split {held_out[0]}")
    pictures = open_recipe_data(recipe, name, say=log)
    true = correct_split(name, pictures.content_sha256, "" if card is None else str(card.data.get("content_sha256", "")))
    if true != name:
        log(f"warning: {source}: the network was trained on these very pictures, so they count as {true}, not as {name}")
    if card is not None and true != TRAIN and (sentence := held_out_training_warning(source, recipe.role, card.data)):
        log(sentence)
    return pictures, true


def write_into_card(path: Path, name: str, measured: dict[str, Any]) -> None:
    """Write results under a name into an artifact's card, and keep those that it has."""
    from mitlgan.artifacts.card import read_card
    from mitlgan.artifacts.load_save import record_metrics

    record_metrics(path, {**read_card(path).metrics, name: measured})
    log(f"{path}: the results are in its card now")
