"""The pictures that a recipe names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mitlgan.data.open import open_data
from mitlgan.data.pack.image_pack import BACKDROP, Color, ImagePack
from mitlgan.data.sources.split_folders import TRAIN
from mitlgan.errors import to_one_line
from mitlgan.recipe import Recipe
from mitlgan.runtime.progress import progress_logger

DEMO_DATA_NOTE = "no --data: the demo's pictures"
UNUSED_BACKDROP = "note: data.backdrop has no effect, since the generator keeps transparency (generator.image_channels = 4): nothing is put behind"
OPAQUE_PICTURES = "note: data.backdrop has no effect: the pictures of {} have no transparency, or were packed without it (--keep-alpha keeps it)"
UNUSED_RESIZE = 'note: data.resize = "{}" has no effect: the pictures of {} were reduced by {} when they were packed'


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
        say: Shows which part of a folder was chosen, progress if packing takes long, and that the recipe's backdrop or filter has no effect.

    Raises:
        DataError: There are no usable pictures.
    """
    progress = None if say is None else progress_logger("reading pictures", say)
    backdrop = recipe_backdrop(recipe)
    if say is not None and backdrop != recipe.data.backdrop:
        say(UNUSED_BACKDROP)
    data = recipe.data
    pack = open_data(data.source, recipe.role, recipe.size_px, resize=data.resize, split=split, backdrop=backdrop, progress=progress, say=say)
    if say is not None and backdrop != BACKDROP and pack.fourth_channel != "alpha" and pack.manifest.get("composited_on") != list(backdrop):
        say(OPAQUE_PICTURES.format(to_one_line(data.source)))
    if say is not None and data.resize != type(data).model_fields["resize"].default and (packed_by := other_resize(recipe, pack)):
        say(UNUSED_RESIZE.format(data.resize, to_one_line(data.source), packed_by))
    return pack


def other_resize(recipe: Recipe, pack: ImagePack) -> str:
    """Return by what a recipe's pictures were reduced when they were packed, if that is another filter than the recipe's; empty if it is that one."""
    packed_by = to_one_line(str(pack.manifest.get("resize") or ""))
    return "" if packed_by.startswith(recipe.data.resize) else packed_by


def recipe_backdrop(recipe: Recipe) -> Color:
    """Return what a recipe's pictures are composited on, in training and measurements; pictures in which transparency is kept are measured on white."""
    return BACKDROP if recipe.critic.image_channels == 4 else recipe.data.backdrop


def recorded_backdrop(recipe: Mapping[str, Any], image_channels: int) -> Color:
    """Return what an artifact's pictures were composited on; see `recipe_backdrop`.

    Args:
        recipe: As the artifact's card records it, perhaps by an earlier version; white where it does not say.
        image_channels: Of the artifact.
    """
    data = recipe.get("data")
    recorded = data.get("backdrop") if isinstance(data, Mapping) else None
    if image_channels == 4 or not isinstance(recorded, list | tuple) or len(recorded) != len(BACKDROP):
        return BACKDROP
    red, green, blue = (int(value) for value in recorded)
    return red, green, blue
