"""The context encoder, which fills holes, and the holes that it is trained on."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from mitlgan.recipe.schema.base import Leak, RecipeTable, Widths

SMALLEST_CODE_PX = 2
Share = Annotated[float, Field(ge=0.0, le=1e3)]


class HolesRecipe(RecipeTable):
    """How often each kind of hole is drawn; the numbers count in proportion to each other.

    Attributes:
        centre: A centred square of half the side.
        box: A rectangle anywhere, its sides from a quarter to five eighths of the picture's.
        strokes: Free brush strokes (Yu et al. 2019, algorithm 1).
    """

    centre: Share = 1.0
    box: Share = 1.0
    strokes: Share = 1.0

    @model_validator(mode="after")
    def _some(self) -> Self:
        if self.centre + self.box + self.strokes == 0:
            raise ValueError("centre, box and strokes are all 0, which leaves no hole to draw; give one of them")
        return self


class InpainterRecipe(RecipeTable):
    """A context encoder (Pathak et al. 2016; Bielko 2022, section 5.2.4): an encoder of what is left of a picture, and a decoder that draws it whole.

    Attributes:
        widths: Channels at a half, a quarter, an eighth, ... of the side.
        code_dim: Numbers of the code, between encoder and decoder, that all pixels share; 0 leaves convolutions alone.
        skips: Whether the decoder also sees the encoder's features of the same size, so that lines go on into the hole.
        reconstruction_weight: Of the mean squared error in the hole, beside the critic's score.
        known_weight: Of the same error in the rest of the picture, relative to it: what is drawn there shows how a seam must be evened out.
        mirror: Whether half of the pictures are given mirrored left to right.
        leak: Negative slope of LeakyReLU.
        holes: Those that are drawn in training.
    """

    widths: Widths = (32, 64, 128)
    code_dim: Annotated[int, Field(ge=0, le=65536)] = 0
    skips: bool = True
    reconstruction_weight: Annotated[float, Field(ge=0.0, le=1e6)] = 100.0
    known_weight: Annotated[float, Field(ge=0.0, le=1e3)] = 0.05
    mirror: bool = True
    leak: Leak = 0.2
    holes: HolesRecipe = HolesRecipe()

    def require_size(self, size_px: int) -> None:
        """Refuse, by a ValueError, a size that the network cannot take."""
        halvings = len(self.widths)
        if size_px % 2**halvings or size_px >> halvings < SMALLEST_CODE_PX:
            raise ValueError(
                f"inpainter.widths: {halvings} widths halve the picture {halvings} times, which size_px = {size_px} does not allow; give fewer"
            )
