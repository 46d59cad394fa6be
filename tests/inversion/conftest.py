"""Artifacts of 8 px whose latents can be found: a linear generator, one with a hidden layer, and a composer with mattes and a placement."""

from __future__ import annotations

from typing import Literal

import pytest
import torch
from torch import nn

from mitlgan import networks
from mitlgan.artifacts.card import Card, LayerCard, make_card
from mitlgan.artifacts.loaded_artifact import LoadedArtifact
from mitlgan.recipe import ComposerRecipe, Recipe, Role, ThesisGeneratorRecipe


@pytest.fixture(scope="session")
def linear() -> LoadedArtifact:
    """Images A z of five numbers, in [-1, 1] for any usual latent."""
    network = nn.Sequential(nn.Linear(5, 3 * 64, bias=False), nn.Unflatten(1, (3, 8, 8)))
    with torch.no_grad():
        network[0].weight.copy_(torch.randn(192, 5, generator=torch.Generator().manual_seed(0)) / 20)
    return LoadedArtifact(network.requires_grad_(False), Card(kind="generator", role="fg", size_px=8, latent_dims={"fg": 5}))


LAYERS: tuple[tuple[str, Role, Literal[3, 4]], ...] = (("fg", "fg", 4), ("bg", "bg", 3))


def generator_recipe(channels: Literal[3, 4], dim: int) -> ThesisGeneratorRecipe:
    return ThesisGeneratorRecipe(latent_dim=dim, widths=(6,), image_channels=channels, activation="tanh", last_norm=False)


def make_generator(channels: Literal[3, 4], dim: int) -> networks.Generator:
    """Its running statistics have moved, without which all pictures are alike."""
    network = networks.build_generator(generator_recipe(channels, dim), 8)
    network(torch.randn(64, dim))
    return network.eval().requires_grad_(False)


def make_composition(recipe: Recipe, dim: int, *, flip: bool) -> LoadedArtifact:
    """An object with its matte, placed over a background; each latent has `dim` numbers, the placement's four."""
    own = ComposerRecipe.model_validate({"fusion": {"kind": "alpha"}, "translator": {"kind": "none"}, "placement": {"flip": flip}})
    composer = networks.build_composer(own, {name: make_generator(channels, dim) for name, _, channels in LAYERS}, 8).eval().requires_grad_(False)
    layers = {
        name: LayerCard(role=role, generator=generator_recipe(channels, dim), size_px=8, sha256_before="", sha256_after="")
        for name, role, channels in LAYERS
    }
    return LoadedArtifact(composer, make_card(composer, recipe.model_copy(update={"composer": own}), layers=layers))


@pytest.fixture(scope="session")
def fg(fg_recipe: Recipe) -> LoadedArtifact:
    torch.manual_seed(0)
    network = make_generator(3, 6)
    return LoadedArtifact(network, make_card(network, fg_recipe))


@pytest.fixture(scope="session")
def placed(compose_recipe: Recipe) -> LoadedArtifact:
    torch.manual_seed(1)
    return make_composition(compose_recipe, 4, flip=False)


@pytest.fixture(scope="session")
def mirrored(compose_recipe: Recipe) -> LoadedArtifact:
    torch.manual_seed(3)
    return make_composition(compose_recipe, 3, flip=True)
