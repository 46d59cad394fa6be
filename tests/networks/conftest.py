import pytest
import torch

from mitlgan import networks
from mitlgan.recipe import ComposerRecipe, DenseTranslatorRecipe, ThesisGeneratorRecipe


@pytest.fixture
def generator_recipe() -> ThesisGeneratorRecipe:
    """Of 32 px, and small."""
    return ThesisGeneratorRecipe(latent_dim=8, widths=(8, 6, 4))


@pytest.fixture
def composer_recipe() -> ComposerRecipe:
    return ComposerRecipe(translator=DenseTranslatorRecipe(widths=(4, 6, 8), blocks=2))


@pytest.fixture
def generators(generator_recipe: ThesisGeneratorRecipe) -> dict[str, networks.Generator]:
    """A foreground and a background whose running statistics have moved, so that train and eval mode differ."""
    torch.manual_seed(0)
    built = {
        "fg": networks.build_generator(generator_recipe, 32),
        "bg": networks.build_generator(generator_recipe.model_copy(update={"latent_dim": 5}), 32),
    }
    for generator in built.values():
        generator(torch.randn(16, generator.latent_dim))
    return built


@pytest.fixture
def composer(generators: dict[str, networks.Generator], composer_recipe: ComposerRecipe) -> networks.Composer:
    return networks.build_composer(composer_recipe, generators, 32)
