"""The pictures that a layer was trained on, where its card names them by a path that means others by now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from mitlgan.artifacts.picture_sets import PictureSet, sets_of_card
from mitlgan.artifacts.project_pictures import with_own_pictures
from mitlgan.data.pack.reduced import reduced_pack
from mitlgan.data.recipe_data import open_recipe_data
from mitlgan.errors import ArtifactError, UnknownPicturesError, UsageError
from mitlgan.recipe import Recipe, full_source, is_relative_source, with_overrides
from mitlgan.runtime.outer_folders import folders_around_runs
from mitlgan.runtime.progress import Say, ignore_message


def sets_of_record(record: Mapping[str, Any]) -> Sequence[PictureSet]:
    """Return which pictures a training was shown, by its record in a card; none if that does not say."""
    data = record.get("data")
    with suppress(ArtifactError):
        return sets_of_card(data) if isinstance(data, Mapping) else ()
    return ()


def with_trained_pictures(recipe: Recipe, record: Mapping[str, Any], place: Path, say: Say = ignore_message, root: Path | None = None) -> Recipe:
    """Return the recipe of a training record with the full path of the pictures that it was trained on; see `with_own_pictures`.

    Args:
        recipe: As the record has it.
        record: Of `Card.training_records`, or what a composition's card says of a layer.
        place: The artifact, or the run of the composition that it was taken from: around it the pictures are looked for.
        say: As of `with_own_pictures`.
        root: Of the runs that are worked on. If the working folder is around them, its pictures are taken, as edited ones, where no folder around the
            place has any: a layer of a composition, or a copied one, is in no run.

    Raises:
        UsageError: The path is relative, and nothing says which pictures it means.
        ResourceError: Pictures cannot be read for a fault of the machine.
    """
    source, sets = recipe.data.source, sets_of_record(record)
    if is_relative_source(source) and not sets:
        raise UsageError(f"was trained on {source}, and its card does not say which pictures these are")
    asked = full_source(source) if root is not None and Path.cwd() in folders_around_runs(root) else ""
    try:
        return with_own_pictures(recipe, place, lambda: sets, say, asked=asked)
    except UnknownPicturesError:
        raise UsageError(f"was trained on {source}, which means other pictures, or none, as seen from {Path.cwd()} and from around its runs") from None


def with_pictures_of_layer(recipe: Recipe, record: Mapping[str, Any], layer: Recipe) -> Recipe | None:
    """Return the recipe of a training that a layer grew from with the layer's pictures; None if it was trained on others.

    An early step of a ladder was shown the last step's pictures reduced, whose hash is not that of the same files read at its own size.

    Args:
        recipe: As the record has it.
        record: Of that training; if it does not say which pictures it was shown, the layer's are taken.
        layer: The layer's recipe with its own pictures.

    Raises:
        DataError: The layer's pictures are missing.
    """
    sets = sets_of_record(record)
    if sets and reduced_pack(open_recipe_data(layer), recipe.size_px).content_sha256 != sets[-1].content_sha256:
        return None
    return with_overrides(recipe, data__source=layer.data.source)
