"""A composition that needs no training: the shipped foregrounds, cut out of their white backdrop, over the shipped backgrounds."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import torch
from torch import nn

from mitlgan import networks
from mitlgan.artifacts import loaded_artifact
from mitlgan.artifacts.card import LayerCard, make_card
from mitlgan.artifacts.load_save import save_network
from mitlgan.networks import Generator
from mitlgan.networks.fusion.matte_fusion import MatteFusion
from mitlgan.networks.fusion.matte_networks import ImageMatteNet
from mitlgan.recipe import ComposerRecipe, PlacementRecipe, Recipe, shipped_folder
from mitlgan.recipe.schema.composer import MatteFusionRecipe
from mitlgan.recipe.schema.translators import NoTranslatorRecipe

STEEPNESS, BACKDROP = 40.0, 0.12
"""How sharply the matte turns from 0 to 1, and at which distance from white."""


def write(path: Path) -> Path:
    """Write the composition as an artifact; its layers move, are placed by a latent, have mattes and are harmonised."""
    torch.manual_seed(0)  # of weights that count for nothing: the artifact's id stays the same
    layers = {role: loaded_artifact.load_artifact(shipped_folder("pretrained") / f"{role}-32") for role in ("fg", "bg")}
    form = ComposerRecipe(
        fusion=MatteFusionRecipe(matte_width=4), placement=PlacementRecipe(scale=(0.55, 0.9), learn=False), translator=NoTranslatorRecipe()
    )
    recipe = Recipe(name="keyed", command="compose", role="scene", size_px=32, composer=form)
    composer = networks.build_composer(form, {role: cast(Generator, layer.network) for role, layer in layers.items()}, recipe.size_px).eval()
    fusion = cast(MatteFusion, composer.fusion)
    with torch.no_grad():
        _key(cast(ImageMatteNet, fusion.mattes["fg"]))
        cast(nn.Linear, fusion.harmonised["fg"].stages[-1]).bias.copy_(torch.tensor([-0.6] * 3 + [0.3] * 3))
    cards = {}
    for role, layer in layers.items():
        generator, tensors = layer.card.generator, layer.tensors_sha256
        assert generator is not None
        cards[role] = LayerCard(role=layer.card.role, generator=generator, sha256_before=tensors, sha256_after=tensors)
    path.parent.mkdir(parents=True)
    save_network(path, composer, make_card(composer, recipe, layers=cards))
    return path


def _key(matte: ImageMatteNet) -> None:
    """Opacity from the distance of the front's colour from white, which no leak touches because it is never negative."""
    first, second, last = matte.stages[0], matte.stages[2], matte.stages[4]
    for parameter in matte.parameters():
        parameter.zero_()
    for channel in range(3):
        first.weight[channel, channel, 2, 2] = -0.5  # 1 - (x + 1) / 2
        first.bias[channel] = 0.5
        second.weight[0, channel, 1, 1] = 1.0
    last.weight[0, 0, 1, 1] = STEEPNESS
    last.bias[0] = -STEEPNESS * BACKDROP
