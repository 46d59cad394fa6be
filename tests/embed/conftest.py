"""Artifacts of 8 px whose latents can be found: a linear generator, one with a hidden layer, and a composer with mattes and a placement."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mitlgan import artifact, networks
from mitlgan.artifact import Card
from mitlgan.recipe import ComposerRecipe, GeneratorRecipe, Recipe
from mitlgan.sample import Artifact


@pytest.fixture(scope="session")
def linear() -> Artifact:
    """Images A z of five numbers, in [-1, 1] for any usual latent."""
    network = nn.Sequential(nn.Linear(5, 3 * 64, bias=False), nn.Unflatten(1, (3, 8, 8)))
    with torch.no_grad():
        network[0].weight.copy_(torch.randn(192, 5, generator=torch.Generator().manual_seed(0)) / 20)
    return Artifact(network.requires_grad_(False), Card(kind="generator", role="fg", size_px=8, latent_dims={"fg": 5}))


def generator(channels: int, dim: int, widths: tuple[int, ...] = (6,)) -> networks.Generator:
    """Its running statistics have moved, without which all pictures are alike."""
    recipe = GeneratorRecipe(latent_dim=dim, widths=widths, image_channels=channels, activation="tanh", last_norm=False)
    made = networks.build_generator(recipe, 4 * 2 ** len(widths))
    made(torch.randn(64, dim))
    return made.eval().requires_grad_(False)


@pytest.fixture(scope="session")
def fg(fg_recipe: Recipe) -> Artifact:
    torch.manual_seed(0)
    network = generator(3, 6)
    return Artifact(network, artifact.card_of(network, fg_recipe))


@pytest.fixture(scope="session")
def placed(compose_recipe: Recipe) -> Artifact:
    torch.manual_seed(1)
    recipe = ComposerRecipe.model_validate({"fusion": {"kind": "alpha"}, "translator": {"kind": "none"}, "placement": {"flip": False}})
    composer = networks.build_composer(recipe, {"fg": generator(4, 4), "bg": generator(3, 4)}, 8).eval().requires_grad_(False)
    return Artifact(composer, artifact.card_of(composer, compose_recipe.model_copy(update={"composer": recipe})))
