"""The pictures that a recipe names."""

from __future__ import annotations

from collections.abc import Callable

from mitlgan.data.open import open_data
from mitlgan.data.pack.image_pack import ImagePack
from mitlgan.data.sources.split_folders import TRAIN
from mitlgan.recipe import Recipe
from mitlgan.runtime.progress import progress_logger


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
