"""Placement of a composition's foreground, fitted to the mattes of scenes before training."""

from __future__ import annotations

import math
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
from mitlgan.recipe import MATTES_KEY, USE_SCENES, Recipe
from mitlgan.runtime.progress import Say
from mitlgan.runtime.randomness import derived_seed

MATTE_SAMPLES = 512
"""Generated foregrounds whose mattes are measured."""
MAX_MATTES = 4096
"""Mattes of scenes that are measured."""


def fit_placement_to_mattes(recipe: Recipe, composer: Composer, scenes: ImagePack, say: Say) -> None:
    """Fit the bounds of a composition's placement to mattes of scenes, if its recipe asks for that.

    Scenes without mattes leave the bounds as they are, with a note; a folder that the recipe names for its mattes must have them.

    Args:
        recipe: Of the composition.
        composer: Not trained yet; its placement is changed.
        scenes: The pictures that it will be trained on.
        say: Shows the bounds.

    Raises:
        UsageError: More than one layer is movable, or the movable layer has no matte.
        DataError: The named pictures have no mattes, or too few that are not empty.
    """
    placement = None if recipe.composer is None else recipe.composer.placement
    if placement is None or placement.mattes is None:
        return
    if len(composer.movable_layers) > 1:
        raise UsageError(f"{MATTES_KEY}: mattes show the placement of one layer, but {' and '.join(composer.movable_layers)} are movable; leave it out")
    (name,) = composer.movable_layers
    if composer.generators[name].image_channels != 4:
        raise UsageError(f"{MATTES_KEY}: {name} has no matte to compare with; pretrain it with generator.image_channels = 4, or leave it out")
    try:
        source = placement.mattes
        mattes = _scene_mattes(scenes if source == USE_SCENES else open_data(source, "scene", recipe.size_px, resize=recipe.data.resize, say=say))
        if mattes is None and source == USE_SCENES:
            say(f"{MATTES_KEY}: the scenes have no mattes, so placement stays as in the recipe")
            return
        if mattes is None:
            raise DataError(
                f"{source}: fewer than half of the pictures have a matte, NAME.matte.png, next to them; name the folder that `data split` calls `scene`"
            )
        bounds = fit_bounds(_layer_mattes(composer, name, recipe), mattes, flip=placement.flip)
    except DataError as error:
        raise DataError(f"{MATTES_KEY}: {str(error).removeprefix('--data ')}") from None
    cast(PlacementPrior, composer.fusion.get_submodule(f"placements.{name}")).set_bounds(bounds)
    scales = " to ".join(f"{math.exp(bound):.2f}" for bound in bounds[:2])
    where = "" if placement.center is None else ", about ({:.2f}, {:.2f})".format(*bounds.center)
    say(f"{name} is placed at {scales} of its size, up to {bounds.margin:.0%} of its frame outside{where}: fitted to {len(mattes):,} mattes")


def _scene_mattes(scenes: ImagePack) -> Tensor | None:
    """Return the mattes of at most `MAX_MATTES` evenly spaced scenes, (N, 1, H, W) in [0, 1]; None if there are none."""
    mattes = scenes.mattes(range(0, len(scenes), -(-len(scenes) // MAX_MATTES)))
    return None if mattes is None else mattes.float() / 255


def _layer_mattes(composer: Composer, name: str, recipe: Recipe) -> Tensor:
    """Return mattes of images that a layer generates from the recipe's seed, (`MATTE_SAMPLES`, 1, H, W)."""
    rng = torch.Generator().manual_seed(derived_seed(recipe.seed, "mattes for a placement"))
    z = torch.randn(MATTE_SAMPLES, composer.latent_dims[name], generator=rng)
    with torch.no_grad():
        return torch.cat([split_premultiplied(composer.render_layer(name, part)).alpha for part in z.chunk(8)])
