"""Fusion, placement and translator of a composition."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from mitlgan.recipe.schema.base import RecipeTable, Width, kind_discriminator, kinds_of
from mitlgan.recipe.schema.translators import AnyTranslator, DenseTranslatorRecipe
from mitlgan.recipe.schema.weights import Initialization

LayerName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Weight = Annotated[float, Field(ge=0.0, le=1e4)]
Kimg = Annotated[float, Field(ge=0.0, le=1e7)]
Coordinate = Annotated[float, Field(ge=-1.0, le=1.0)]
Scale = Annotated[float, Field(gt=0.0, le=4.0)]
Resample = Literal["bilinear", "bicubic", "area", "nearest"]

USE_SCENES = "scenes"
"""Value of `composer.placement.mattes` that stands for the pictures that the composition is trained on."""


class _ChannelFusionBase(RecipeTable):
    """A fusion with the same weights at every pixel.

    Attributes:
        activation: Activation of the fused image; the thesis has ReLU.
    """

    activation: Literal["relu", "tanh", "none"] = "relu"


class _WeightedFusionBase(_ChannelFusionBase):
    """A fusion by a 1x1 convolution.

    Attributes:
        init: Initial weights: `torch`'s (absent: these), `glorot`, Keras' default, or `normal`, N(0, 0.02).
    """

    init: Initialization | None = None


class Conv1x1FusionRecipe(_WeightedFusionBase):
    """Concatenation and a 1x1 convolution (first rows of Table 7.3)."""

    kind: Literal["conv1x1"] = "conv1x1"


class NormConv1x1FusionRecipe(_WeightedFusionBase):
    """Concatenation, InstanceNorm and a 1x1 convolution, which the thesis names as future work."""

    kind: Literal["norm-conv1x1"] = "norm-conv1x1"


class AddFusionRecipe(_ChannelFusionBase):
    """Element-wise addition, without parameters, the thesis' other alternative."""

    kind: Literal["add"] = "add"


class AddNormFusionRecipe(_ChannelFusionBase):
    """Element-wise addition, then InstanceNorm."""

    kind: Literal["add-norm"] = "add-norm"


class _MatteFusionBase(RecipeTable):
    """A fusion that composites each layer over those behind it, by a matte.

    Attributes:
        order: Layers from back to front; absent: `bg` first if there is one, then the given order.
        harmonise: Whether each layer's colors follow statistics of the layers behind it (FiLM, Perez et al. 2018).
        join: How what is seen of each layer becomes one image: `over`, their sum (absent: this); `conv1x1`, the thesis' 1x1 convolution of their
            channels, which begins as their sum, the true composite.
    """

    order: Annotated[tuple[LayerName, ...], Field(min_length=2, max_length=16)] | None = None
    harmonise: bool = True
    join: Literal["over", "conv1x1"] | None = None


class AlphaFusionRecipe(_MatteFusionBase):
    """Every layer in front of the background has its own matte, as a fourth channel."""

    kind: Literal["alpha"] = "alpha"


class _LearnedMatteBase(_MatteFusionBase):
    """A fusion with learned mattes, regularized against all-foreground and all-background.

    Attributes:
        matte_width: Channels of the network that predicts a matte.
        matte_range: Mean opacity without a penalty; the two-sided hinge (Bielski & Favaro 2019, section 3.4; Labels4Free, Abdal et al. 2021).
        range_weight: Weight of that hinge.
        binary_weight: Weight of the mean of min(m, 1 - m), which is 0 for a matte of 0 and 1.
        binary_kimg: kimg over which `binary_weight` grows from 0 to its value.
        training_shift: Largest random shift of each layer in training, as a share of the frame, which penalizes all-or-nothing foregrounds
            (PerturbGAN, Bielski & Favaro 2019).
    """

    matte_width: Width = 16
    matte_range: tuple[Annotated[float, Field(ge=0.0, le=1.0)], Annotated[float, Field(ge=0.0, le=1.0)]] = (0.1, 0.8)
    range_weight: Weight = 10.0
    binary_weight: Weight = 1.0
    binary_kimg: Kimg = 10.0
    training_shift: Annotated[float, Field(ge=0.0, le=0.5)] = 0.0625

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        low, high = self.matte_range
        if low >= high:
            raise ValueError(f"matte_range is [{low:g}, {high:g}], which is empty; give the smaller one first")
        return self


class MatteFusionRecipe(_LearnedMatteBase):
    """Mattes from the layers' images."""

    kind: Literal["matte"] = "matte"


class MatteFeaturesFusionRecipe(_LearnedMatteBase):
    """Mattes from the frozen generators' intermediate activations (Labels4Free, Abdal et al. 2021, section 3)."""

    kind: Literal["matte-features"] = "matte-features"


class OverFusionRecipe(_LearnedMatteBase):
    """Any number of layers: a layer with a fourth channel has its own matte, others learn one from their generator's activations."""

    kind: Literal["over"] = "over"


AnyMatteFusion = AlphaFusionRecipe | MatteFusionRecipe | MatteFeaturesFusionRecipe | OverFusionRecipe
AnyChannelFusion = Conv1x1FusionRecipe | NormConv1x1FusionRecipe | AddFusionRecipe | AddNormFusionRecipe
AnyFusion = Annotated[
    Annotated[Conv1x1FusionRecipe, Tag("conv1x1")]
    | Annotated[NormConv1x1FusionRecipe, Tag("norm-conv1x1")]
    | Annotated[AddFusionRecipe, Tag("add")]
    | Annotated[AddNormFusionRecipe, Tag("add-norm")]
    | Annotated[AlphaFusionRecipe, Tag("alpha")]
    | Annotated[MatteFusionRecipe, Tag("matte")]
    | Annotated[MatteFeaturesFusionRecipe, Tag("matte-features")]
    | Annotated[OverFusionRecipe, Tag("over")],
    Discriminator(kind_discriminator("conv1x1")),
]
FUSION_KINDS = kinds_of(AnyFusion)


class PlacementRecipe(RecipeTable):
    """Random placement of each layer in front of the background, from a latent of its own.

    Attributes:
        scale: Smallest and largest scale; 1 is the layer's own size.
        margin: Share of a layer's frame that may lie outside the image.
        flip: Whether half of the layers are flipped left to right.
        learn: Whether scale and margin are trained, from these initial values.
        mattes: Images whose mattes give scale and margin before training: a folder with NAME.matte.png next to every image, a pack, or "scenes", those
            that the composition is trained on; absent: the values above.
        center: Mean center of the layers, x and y from -1 (left, upper edge) to 1 (right, lower edge), for objects that stand low in every scene;
            `mattes` fits it too, where it is given. Absent: the middle, which nothing moves.
        antialias: Whether a layer at less than half its size is filtered, so that thin lines stay. Absent: it is not, as in earlier versions.
    """

    scale: tuple[Scale, Scale] = (0.5, 1.0)
    margin: Annotated[float, Field(ge=0.0, le=1.0)] = 0.2
    flip: bool = True
    learn: bool = True
    mattes: Annotated[str, Field(min_length=1)] | None = None
    center: tuple[Coordinate, Coordinate] | None = None
    antialias: bool | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        low, high = self.scale
        if low > high:
            raise ValueError(f"scale is [{low:g}, {high:g}]; give the smaller one first")
        return self


class ComposerRecipe(RecipeTable):
    """Fusion, placement and translator over frozen generators.

    Attributes:
        resample: Filter that resizes layers of another size; absent: such layers are refused.
        adapters: Learned changes of the frozen generators, whose weights stay: `channels`, a scale and a shift of each normalized channel (Noguchi &
            Harada 2019, section 3); absent: none.
    """

    fusion: AnyFusion = Conv1x1FusionRecipe()
    placement: PlacementRecipe | None = None
    translator: AnyTranslator = DenseTranslatorRecipe()
    resample: Resample | None = None
    adapters: Literal["channels"] | None = None

    @model_validator(mode="after")
    def _placed_by_a_matte(self) -> Self:
        if self.placement is not None and isinstance(self.fusion, AnyChannelFusion):
            raise ValueError(
                f'placement moves layers that have a matte, which fusion.kind = "{self.fusion.kind}" does not know; use "alpha" or another that does'
            )
        return self

    @property
    def trains(self) -> bool:
        """Whether the composition has parameters to train."""
        is_fixed_alpha = isinstance(self.fusion, AlphaFusionRecipe) and not self.fusion.harmonise and self.fusion.join != "conv1x1"
        fusion = not isinstance(self.fusion, AddFusionRecipe) and not is_fixed_alpha
        placement = self.placement is not None and self.placement.learn
        return fusion or placement or self.translator.kind != "none" or self.adapters is not None

    @property
    def order(self) -> tuple[str, ...] | None:
        """Layers from back to front, if the recipe names them."""
        return self.fusion.order if isinstance(self.fusion, AnyMatteFusion) else None
