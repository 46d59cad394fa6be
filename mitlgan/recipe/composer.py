"""Fusion and translator of a composition."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from mitlgan.recipe.model import Model, Width

Blocks = Annotated[int, Field(ge=1, le=64)]


class FusionRecipe(Model):
    """How the layers become one image (first rows of Table 7.3)."""

    kind: Literal["conv1x1"] = "conv1x1"
    activation: Literal["relu", "tanh", "none"] = "relu"


class TranslatorRecipe(Model):
    """The image-to-image network after fusion (Table 7.3).

    Attributes:
        widths: Channels at full, half and quarter size.
        blocks: Number of dense blocks at quarter size.
        activation: Of the last layer; the thesis has ReLU.
    """

    kind: Literal["dense"] = "dense"
    widths: tuple[Width, Width, Width] = (64, 128, 256)
    blocks: Blocks = 6
    activation: Literal["relu", "tanh"] = "relu"


class ComposerRecipe(Model):
    """Fusion and translator over frozen generators."""

    fusion: FusionRecipe = FusionRecipe()
    translator: TranslatorRecipe = TranslatorRecipe()
