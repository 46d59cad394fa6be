"""Where a composition's foreground stands, measured before training by the mattes of scenes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor

from mitlgan.data.open import open_data
from mitlgan.data.pack.image_pack import ImagePack
from mitlgan.errors import DataError, UsageError
from mitlgan.images.alpha import split_premultiplied
from mitlgan.networks import Composer
from mitlgan.networks.placement import PlacementPrior
from mitlgan.networks.placement_fit import fit_bounds
from mitlgan.recipe import Recipe
from mitlgan.runtime.randomness import derived_seed

USE_SCENES = "scenes"
"""The value of `composer.placement.mattes` that names the pictures that the composition is trained on."""
MATTE_SAMPLES = 512
MAX_MATTES = 4096
_KEY = "composer.placement.mattes"


def fit_placement_to_mattes(recipe: Recipe, composer: Composer, scenes: ImagePack, say: Callable[[str], None]) -> None:
    """Give a composition's placement the bounds that mattes of scenes show, if its recipe asks for that.

    Scenes without mattes leave the bounds as the recipe has them, which is said; a folder that was named for its mattes must have them.

    Args:
        recipe: Of the composition.
        composer: Not trained yet; its placement is changed.
        scenes: What it will be trained on.
        say: Told what was measured.

    Raises:
        UsageError: More than one layer moves, or the one that moves has no matte of its own.
        DataError: The named pictures have no mattes, or too few that show something.
    """
    placement = None if recipe.composer is None else recipe.composer.placement
    if placement is None or placement.mattes is None:
        return
    if len(composer.movable_layers) > 1:
        raise UsageError(f"{_KEY}: mattes tell where one layer stands, but {' and '.join(composer.movable_layers)} move; leave it out")
    (name,) = composer.movable_layers
    if composer.generators[name].image_channels != 4:
        raise UsageError(f"{_KEY}: {name} brings no matte to compare with; pretrain it with generator.image_channels = 4, or leave it out")
    try:
        named = placement.mattes
        seen = _mattes_of(scenes if named == USE_SCENES else open_data(named, "scene", recipe.size_px, resize=recipe.data.resize, say=say))
        if seen is None and placement.mattes == USE_SCENES:
            say(f"{_KEY}: the scenes have no mattes, so foregrounds stand as the recipe has it")
            return
        if seen is None:
            raise DataError(
                f"{placement.mattes}: fewer than half of the pictures have a matte, NAME.matte.png, beside them; name what `data split` calls `scene`"
            )
        bounds = fit_bounds(_own_mattes(composer, name, recipe), seen)
    except DataError as error:
        raise DataError(f"{_KEY}: {str(error).removeprefix('--data ')}") from None
    stands = cast(PlacementPrior, composer.fusion.get_submodule(f"placements.{name}"))
    stands.set_bounds(bounds)
    scales = " to ".join(f"{math.exp(bound):.2f}" for bound in bounds[:2])
    say(f"{name} stands at {scales} of its size, up to {bounds.margin:.0%} of its frame outside: by {len(seen):,} mattes")


def _mattes_of(pictures: ImagePack) -> Tensor | None:
    """Of at most `MOST` pictures, evenly over all of them, (N, 1, H, W) in [0, 1]; None where they have none."""
    found = pictures.mattes(range(0, len(pictures), -(-len(pictures) // MAX_MATTES)))
    return None if found is None else found.float() / 255


def _own_mattes(composer: Composer, name: str, recipe: Recipe) -> Tensor:
    """Of the layer as it comes, (`SAMPLES`, 1, H, W), by the recipe's seed."""
    generator = torch.Generator().manual_seed(derived_seed(recipe.seed, "mattes for a placement"))
    z = torch.randn(MATTE_SAMPLES, composer.latent_dims[name], generator=generator)
    with torch.no_grad():
        return torch.cat([split_premultiplied(composer.render_layer(name, part)).alpha for part in z.chunk(8)])
