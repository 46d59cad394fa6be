"""Translators, which a recipe chooses by `kind`: the image-to-image network after fusion.

Each kind is a model of its own, so that a key of another kind is refused by name. A table without a `kind` is of the thesis' kind, `dense`.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from mitlgan.recipe.schema.base import RecipeTable, Width, kind_discriminator, kinds_of
from mitlgan.recipe.schema.weights import Initialization, NormEps

Blocks = Annotated[int, Field(ge=1, le=64)]
GrowthRate = Annotated[int, Field(ge=1, le=1024)]
Scale = Annotated[float, Field(gt=0.0, le=2.0)]
Ending = Literal["relu", "tanh", "residual"]
RESIDUAL_SCALE = 0.5
OUTER_KERNEL = 7
"""Side of the first and the last kernel of every kind that works at full size (Table 7.3)."""
MAX_LIGHT_PARAMETERS = 500_000
"""Largest number of parameters of a `light` translator."""


class _Ended(RecipeTable):
    """Output of a translator.

    Attributes:
        activation: Last activation. `residual`: a correction of the image, image + residual_scale * tanh(...), clamped to [-1, 1]; its last convolution
            starts at zero, so training starts from the fused image.
        residual_scale: For `residual`, the largest change of a value; absent: 0.5.
        init: Initial weights: `torch`'s (absent: these), `glorot`, Keras' default, or `normal`, N(0, 0.02).
    """

    activation: Ending = "tanh"
    residual_scale: Scale | None = None
    init: Initialization | None = None

    @model_validator(mode="after")
    def _scale_needs_residual(self) -> Self:
        if self.residual_scale is not None and self.activation != "residual":
            raise ValueError(
                f'residual_scale = {self.residual_scale} contradicts activation = "{self.activation}"; remove it, or use activation = "residual"'
            )
        return self


class _Halved(_Ended):
    """A translator that works at a part of the size, after halvings and before as many doublings.

    Attributes:
        widths: Channels at full size, half, a quarter, ...
        norm_eps: Of InstanceNorm; absent: torch's 1e-5, Keras has 1e-3.
    """

    widths: tuple[Width, ...]
    norm_eps: NormEps | None = None

    def require_size(self, size_px: int) -> None:
        """Raise a ValueError for a size that the network does not accept."""
        if size_px < OUTER_KERNEL:
            raise ValueError(
                f"composer.translator.kind: a kernel of {OUTER_KERNEL} px is larger than the image of size_px = {size_px}; "
                f"choose a size of at least {OUTER_KERNEL}"
            )
        halvings = len(self.widths) - 1
        # One pixel has no variance for InstanceNorm.
        if size_px % 2**halvings or size_px >> halvings < 2:
            raise ValueError(
                f"composer.translator.widths: {len(self.widths)} widths halve the image {halvings} times, "
                f"which size_px = {size_px} does not allow; give fewer"
            )


class DenseTranslatorRecipe(_Halved):
    """The thesis' translator of dense blocks (Table 7.3).

    Attributes:
        widths: Channels at full, half and quarter size.
        blocks: Number of dense blocks at quarter size.
        activation: Last activation; the thesis has ReLU.
    """

    kind: Literal["dense"] = "dense"
    widths: tuple[Width, Width, Width] = (64, 128, 256)
    blocks: Blocks = 6
    activation: Ending = "relu"


class ResnetTranslatorRecipe(_Halved):
    """Residual blocks (He et al. 2016), as the image transformation network of Johnson et al. 2016 has them: with its widths and its five blocks.

    Attributes:
        widths: Channels at full, half and quarter size.
        blocks: Number of residual blocks at quarter size.
        activation: Last activation; that network has tanh.
    """

    kind: Literal["resnet"] = "resnet"
    widths: tuple[Width, Width, Width] = (32, 64, 128)
    blocks: Blocks = 5


class DensenetTranslatorRecipe(_Halved):
    """A plain DenseNet (Huang et al. 2017) at quarter size.

    Attributes:
        widths: Channels at full, half and quarter size.
        growth_rate: Channels that each convolution adds to all earlier ones (k of the paper).
        blocks: Number of such convolutions in each dense block; a transition after each halves the channels.
        bottleneck: Whether a 1x1 convolution to 4 * growth_rate channels comes before each of them (DenseNet-B).
        activation: Last activation.
    """

    kind: Literal["densenet"] = "densenet"
    widths: tuple[Width, Width, Width] = (32, 64, 128)
    growth_rate: GrowthRate = 32
    blocks: Annotated[tuple[Blocks, ...], Field(min_length=1, max_length=8)] = (6, 6)
    bottleneck: bool = True


class UnetTranslatorRecipe(_Halved):
    """A U-Net (Ronneberger et al. 2015): halvings, then as many doublings, each of which also sees the features of its size on the way down.

    Attributes:
        widths: Channels at full size, half, a quarter, ...; one halving less than there are widths.
        blocks: Convolutions at each size; the U-Net has two.
        activation: Last activation.
    """

    kind: Literal["unet"] = "unet"
    widths: Annotated[tuple[Width, ...], Field(min_length=2, max_length=8)] = (32, 64, 128, 256)
    blocks: Annotated[int, Field(ge=1, le=4)] = 2


class GuidedTranslatorRecipe(_Ended):
    """Residual blocks without normalisation at a fraction of the size, where a convolution is cheap: at most 0.5 M parameters, at any size.

    Attributes:
        unshuffle: Side in pixels of the squares whose pixels become channels (Shi et al. 2016).
        width: Channels of the blocks.
        blocks: Number of residual blocks, or of convolutions with dense connections.
        growth_rate: Channels that each convolution adds to all earlier ones (DenseNet, Huang et al. 2017); absent: residual blocks instead.
        detail: Channels at full size.
        activation: Last activation; by default the translator corrects the fused image instead of repainting it.
    """

    kind: Literal["light"] = "light"
    unshuffle: Literal[2, 4, 8] = 4
    width: Width = 48
    blocks: Blocks = 3
    growth_rate: GrowthRate | None = None
    detail: Width = 16
    activation: Ending = "residual"

    @model_validator(mode="after")
    def _light(self) -> Self:
        channels = 3 * self.unshuffle**2
        growth = self.growth_rate or 0
        outer = (9 * channels + 1) * self.width + (self.width + self.blocks * growth + 1) * self.detail
        fine = (9 * (3 + self.detail) + 1) * self.detail + (9 * self.detail + 1) * 3
        dense = sum((9 * (self.width + i * growth) + 1) * growth for i in range(self.blocks))
        parameters = outer + fine + (dense if growth else 2 * self.blocks * (9 * self.width + 1) * self.width)
        if parameters > MAX_LIGHT_PARAMETERS:
            raise ValueError(
                f"width = {self.width}, blocks = {self.blocks}, unshuffle = {self.unshuffle} and detail = {self.detail} make "
                f'{parameters:,} parameters, where kind = "light" has at most {MAX_LIGHT_PARAMETERS:,}; give less of them, or use another kind'
            )
        return self

    def require_size(self, size_px: int) -> None:
        """Raise a ValueError for a size that the network does not accept."""
        if size_px % self.unshuffle:
            raise ValueError(
                f"composer.translator.unshuffle: size_px = {size_px} is no multiple of {self.unshuffle}; give 2, 4 or 8, whichever divides it"
            )


class NoTranslatorRecipe(RecipeTable):
    """No translator: the fused image is the composition."""

    kind: Literal["none"] = "none"

    def require_size(self, size_px: int) -> None:
        """Accept any size."""


AnyTranslator = Annotated[
    Annotated[DenseTranslatorRecipe, Tag("dense")]
    | Annotated[ResnetTranslatorRecipe, Tag("resnet")]
    | Annotated[DensenetTranslatorRecipe, Tag("densenet")]
    | Annotated[UnetTranslatorRecipe, Tag("unet")]
    | Annotated[GuidedTranslatorRecipe, Tag("light")]
    | Annotated[NoTranslatorRecipe, Tag("none")],
    Discriminator(kind_discriminator("dense")),
]
TRANSLATOR_KINDS = kinds_of(AnyTranslator)
