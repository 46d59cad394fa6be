"""No translator: the fused image is the composition."""

from __future__ import annotations

from torch import nn

from mitlgan.networks.registry import TRANSLATORS
from mitlgan.recipe.schema.translators import NoTranslatorRecipe


@TRANSLATORS.register(NoTranslatorRecipe)
def build_none(recipe: NoTranslatorRecipe, image_channels: int) -> nn.Module:
    """Return a module that leaves the fused image as it is."""
    return nn.Identity()
