"""A new network is two things: the schema of its recipe table, and a builder registered for it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mitlgan import networks
from mitlgan.networks.fusion.channel_fusion import ChannelFusion
from mitlgan.networks.registry import CRITICS, FUSIONS, GENERATORS, TRANSLATORS
from mitlgan.recipe import ComposerRecipe, Conv1x1FusionRecipe, MlpCriticRecipe, MlpGeneratorRecipe, NoTranslatorRecipe


class ToyGeneratorRecipe(MlpGeneratorRecipe):
    pass


class ToyCriticRecipe(MlpCriticRecipe):
    pass


class ToyFusionRecipe(Conv1x1FusionRecipe):
    pass


class ToyTranslatorRecipe(NoTranslatorRecipe):
    pass


@GENERATORS.register(ToyGeneratorRecipe)
def build_generator(recipe: ToyGeneratorRecipe, size_px: int) -> networks.Generator:
    stages = nn.Sequential(nn.Linear(recipe.latent_dim, 3 * size_px**2), nn.Unflatten(1, (3, size_px, size_px)))
    return networks.Generator(stages, latent_dim=recipe.latent_dim, size_px=size_px, image_channels=3)


@CRITICS.register(ToyCriticRecipe)
def build_critic(recipe: ToyCriticRecipe, size_px: int) -> networks.Critic:
    return networks.Critic(nn.Sequential(nn.Flatten(), nn.Linear(3 * size_px**2, 1)), size_px=size_px, image_channels=3)


@FUSIONS.register(ToyFusionRecipe)
class ToyFusion(ChannelFusion):
    pass


class Negative(nn.Module):
    def forward(self, image: Tensor) -> Tensor:
        return -image


@TRANSLATORS.register(ToyTranslatorRecipe)
def build_translator(recipe: ToyTranslatorRecipe, image_channels: int) -> nn.Module:
    return Negative()


def test_toys_are_built_by_the_schemas_of_their_tables() -> None:
    generator = networks.build_generator(ToyGeneratorRecipe(latent_dim=2), 8)
    recipe = ComposerRecipe().model_copy(update={"fusion": ToyFusionRecipe(), "translator": ToyTranslatorRecipe()})
    composer = networks.build_composer(recipe, {"fg": generator, "bg": generator}, 8)
    stages = composer.layers(torch.randn(3, 4))
    assert isinstance(composer.fusion, ToyFusion)
    assert torch.equal(stages.output, -stages.fused)
    assert networks.build_critic(ToyCriticRecipe(), 8)(stages.output).shape == (3,)
    assert (generator.kind, generator.input_shape, generator.latent_dims_for("fg")) == ("generator", (2,), {"fg": 2})
    assert (composer.kind, composer.input_shape, composer.latent_dims_for("scene")) == ("composer", (4,), {"fg": 2, "bg": 2})
