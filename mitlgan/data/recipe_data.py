"""The pictures that a recipe names."""

from __future__ import annotations

from collections.abc import Callable

from mitlgan.data.open import open_data
from mitlgan.data.pack.image_pack import ImagePack
from mitlgan.data.sources.split_folders import TRAIN
from mitlgan.recipe import Recipe
from mitlgan.runtime.progress import progress_logger

DEMO_DATA_NOTE = "no --data: the demo's pictures"


def note_demo_data(recipe: Recipe, data: str | None, say: Callable[[str], None]) -> None:
    """Say that the demo's pictures are used, if the recipe names them and nobody else did.

    Args:
        recipe: Names the source.
        data: The value of `--data`; None if it is absent.
        say: Shows the note.
    """
    if data is None and recipe.data.source == "demo":
        say(DEMO_DATA_NOTE)


def open_recipe_data(recipe: Recipe, split: str = TRAIN, *, say: Callable[[str], None] | None = None) -> ImagePack:
    """Open the pack of a recipe's pictures; a folder is packed at its first use.

    Args:
        recipe: Names the source, the role, the size and the resize filter.
        split: Part of the pictures.
        say: Shows which part of a folder was chosen, and progress if packing takes long.

    Raises:
        DataError: There are no usable pictures.
    """
    progress = None if say is None else progress_logger("reading pictures", say)
    return open_data(recipe.data.source, recipe.role, recipe.size_px, resize=recipe.data.resize, split=split, progress=progress, say=say)
