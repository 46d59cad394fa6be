"""The context encoder, which fills holes, and the holes that it is trained on."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from mitlgan.recipe.schema.base import Leak, RecipeTable, Widths

MIN_CODE_PX = 2
Share = Annotated[float, Field(ge=0.0, le=1e3)]


class HolesRecipe(RecipeTable):
    """Relative frequency of each kind of hole.

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
    """A context encoder (Pathak et al. 2016; Bielko 2022, section 5.2.4): an encoder of an image with a hole, and a decoder to the whole image.

    Attributes:
        widths: Channels at a half, a quarter, an eighth, ... of the side.
        code_dim: Length of a global code between encoder and decoder; 0: convolutions only.
        skips: Whether the decoder also gets the encoder's features of the same size, so that lines continue into the hole.
        reconstruction_weight: Weight of the mean squared error in the hole, besides the critic's loss.
        known_weight: Weight of the same error outside the hole, relative to it; it smooths the seam.
        mirror: Whether half of the images are flipped left to right.
        leak: Negative slope of LeakyReLU.
        holes: Holes in training.
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
        """Raise a ValueError for a size that the network does not accept."""
        halvings = len(self.widths)
        if size_px % 2**halvings or size_px >> halvings < MIN_CODE_PX:
            raise ValueError(
                f"inpainter.widths: {halvings} widths halve the picture {halvings} times, which size_px = {size_px} does not allow; give fewer"
            )
