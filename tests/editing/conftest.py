"""Artifacts of 8 px: a generator, the thesis' composer, and one with mattes and a placement, whose place is a latent without a generator."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import mitlgan
from mitlgan import networks
from mitlgan.artifacts.card import make_card
from mitlgan.artifacts.loaded_artifact import LoadedArtifact
from mitlgan.recipe import ComposerRecipe, Recipe, ThesisGeneratorRecipe


@pytest.fixture(scope="session")
def fg(artifacts: dict[str, Path]) -> LoadedArtifact:
    return mitlgan.load(artifacts["fg"])


@pytest.fixture(scope="session")
def scene(artifacts: dict[str, Path]) -> LoadedArtifact:
    return mitlgan.load(artifacts["scene"])


@pytest.fixture(scope="session")
def placed(compose_recipe: Recipe) -> LoadedArtifact:
    torch.manual_seed(1)
    layers = {}
    for name, channels, dim in (("fg", 4, 16), ("bg", 3, 12)):
        layers[name] = networks.build_generator(ThesisGeneratorRecipe(latent_dim=dim, widths=(6,), image_channels=channels, last_norm=False), 8)
        layers[name](torch.randn(64, dim))  # running statistics, without which all pictures are alike
    recipe = ComposerRecipe.model_validate({"fusion": {"kind": "alpha"}, "translator": {"kind": "none"}, "placement": {}})
    composer = networks.build_composer(recipe, layers, 8).eval().requires_grad_(False)
    return LoadedArtifact(composer, make_card(composer, compose_recipe.model_copy(update={"composer": recipe})))
