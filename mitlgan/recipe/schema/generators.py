"""Generators, which a recipe chooses by `kind`; a table without a `kind` is the thesis' generator."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Discriminator, Field, Tag

from mitlgan.recipe.schema.base import Kernel, LatentDim, Leak, RecipeTable, Width, Widths, kind_discriminator, kinds_of
from mitlgan.recipe.schema.growth import require_growable
from mitlgan.recipe.schema.weights import KerasTable, NormalizedTable

REACHABLE_PX = tuple(4 * 2**doublings for doublings in range(1, 9))
BASE_PX = 4


class ThesisGeneratorRecipe(KerasTable):
    """The generator of Table 7.1 and its family.

    Attributes:
        latent_dim: Length of the latent vector.
        widths: Channels at 4, 8, 16, ... px; the last convolution, to the image, is implied, so the image has 4 * 2^len(widths) px.
        blocks: Convolutions at each size; the thesis has 1.
        upsample: The thesis has `nearest`; `bilinear` leaves no grid pattern.
        activation: Last activation.
        last_norm: Whether BatchNorm comes before that activation, as in the thesis; it harms images with large plain areas.
        leak: Negative slope of LeakyReLU.
        heads: Where the image comes from: the `last` convolution (absent: this), or, by `skip`, a sum of images of all sizes, each enlarged and added
            to the next (Karras et al. 2020, section 4.1).
        image_channels: 3 for RGB, 4 for premultiplied RGB and alpha, which the images must then have.
    """

    kind: Literal["thesis"] = "thesis"
    latent_dim: LatentDim = 1536
    widths: Widths = (96, 48, 24, 12, 6)
    blocks: Annotated[int, Field(ge=1, le=4)] = 1
    upsample: Literal["nearest", "bilinear"] = "nearest"
    activation: Literal["tanh", "relu"] = "tanh"
    last_norm: bool = True
    leak: Leak = 0.2
    heads: Literal["last", "skip"] | None = None
    image_channels: Literal[3, 4] = 3

    def require_size(self, size_px: int) -> None:
        """Raise a ValueError for a size that the network cannot make."""
        if self.heads == "skip" and self.last_norm:
            raise ValueError(
                'generator.heads = "skip" adds the image of the last size to those before, which last_norm = true would rescale; use false'
            )
        _require_doublings(self.widths, 4 * 2 ** len(self.widths), size_px, 0)


class MlpGeneratorRecipe(NormalizedTable):
    """Dense layers only, at any size (Goodfellow et al. 2014; Akel 2022, figure 4.5).

    Attributes:
        latent_dim: Length of the latent vector.
        widths: Features of the dense layers; the last layer, to the pixels, is implied.
        leak: Negative slope of LeakyReLU.
        image_channels: 1 grey, 3 RGB, 4 premultiplied RGB and alpha.
    """

    kind: Literal["mlp"] = "mlp"
    latent_dim: LatentDim = 100
    widths: Widths = (256, 512, 1024)
    leak: Leak = 0.2
    image_channels: Literal[1, 3, 4] = 3

    def require_size(self, size_px: int) -> None:
        """Accept any size."""


class UpsampledGeneratorRecipe(NormalizedTable):
    """A dense layer, then upsampling with convolutions, from any small size that doubles to the image's: 7 to 28 px, 10 to 40 px.

    Attributes:
        latent_dim: Length of the latent vector.
        widths: Channels of the small image, then of the convolution after each doubling; one more convolution gives the image.
        kernel: Side of each convolution's kernel.
        activation: All activations but the last, which is tanh.
        leak: Negative slope of `leaky_relu`.
        image_channels: 1 grey, 3 RGB, 4 premultiplied RGB and alpha.
    """

    kind: Literal["upsampled"] = "upsampled"
    latent_dim: LatentDim = 100
    widths: Widths = (128, 128, 64)
    kernel: Kernel = 3
    activation: Literal["relu", "leaky_relu"] = "relu"
    leak: Leak = 0.2
    image_channels: Literal[1, 3, 4] = 3

    def require_size(self, size_px: int) -> None:
        """Raise a ValueError for a size that the network cannot make."""
        doublings = len(self.widths) - 1
        if size_px % 2**doublings or size_px // 2**doublings < 2:
            raise ValueError(f"generator.widths doubles {doublings} times, which cannot make size_px = {size_px}; give fewer widths")
        if self.kernel > size_px:
            raise ValueError(f"generator.kernel = {self.kernel} is larger than the image, {size_px} px; give at most {size_px}")


class DcganGeneratorRecipe(NormalizedTable):
    """Transposed 4x4 convolutions from 4 px up (Radford et al. 2016), as deep as the size needs.

    Attributes:
        latent_dim: Length of the latent vector.
        widths: Channels at 4, 8, 16, ... px; absent: `base_width`, halved at each doubling, at least `narrowest`.
        base_width: Channels at 4 px if `widths` is absent.
        narrowest: Fewest channels if `widths` is absent.
        stem: The latent becomes 4 px by a `transposed` convolution or by a `dense` layer.
        head: The image comes from the last doubling itself (`transposed`), or from a 3x3 `conv` after it.
        bias: Whether convolutions and dense layers have a bias.
        activation: All activations but the last, which is tanh.
        leak: Negative slope of `leaky_relu`.
        image_channels: 1 grey, 3 RGB, 4 premultiplied RGB and alpha.
    """

    kind: Literal["dcgan"] = "dcgan"
    latent_dim: LatentDim = 100
    widths: Widths | None = None
    base_width: Width = 256
    narrowest: Width = 32
    stem: Literal["transposed", "dense"] = "transposed"
    head: Literal["transposed", "conv"] = "transposed"
    bias: bool = False
    activation: Literal["relu", "leaky_relu"] = "relu"
    leak: Leak = 0.2
    image_channels: Literal[1, 3, 4] = 3

    def require_size(self, size_px: int) -> None:
        """Raise a ValueError for a size that the network cannot make."""
        if size_px not in REACHABLE_PX:
            raise ValueError(f"size_px = {size_px} cannot be reached by doubling from 4 px;" + depth_advice(size_px))
        if self.widths is not None:
            extra = 1 if self.head == "conv" else 0
            _require_doublings(self.widths, BASE_PX * 2 ** (len(self.widths) - extra), size_px, extra)

    def widths_at(self, size_px: int) -> tuple[int, ...]:
        """Return the channels at 4, 8, 16, ... px for a reachable size."""
        if self.widths is not None:
            return self.widths
        count = (size_px // BASE_PX).bit_length() - (0 if self.head == "conv" else 1)
        return tuple(max(self.base_width // 2**index, min(self.base_width, self.narrowest)) for index in range(count))


class StyleGeneratorRecipe(RecipeTable):
    """A style generator (Karras et al. 2019; modulation and demodulation as in Karras et al. 2020, section 2.2).

    A mapping network makes a style of the latent; the style scales the channels of every convolution, which starts from a learned constant of 4 px. So
    the styles of two latents can be mixed by resolution: layout of one, texture of the other.

    Attributes:
        latent_dim: Length of the latent vector, and of the style.
        mapping_layers: Dense layers of the mapping network; the paper has 8.
        mapping_rate: Factor of the learning rate for them; the paper has 0.01.
        widths: Channels at 4, 8, 16, ... px, up to the image's size.
        noise: Whether each convolution gets random noise per pixel, scaled by a learned strength; fixed noise outside training.
        leak: Negative slope of LeakyReLU.
        image_channels: 1 grey, 3 RGB, 4 premultiplied RGB and alpha.
    """

    kind: Literal["style"] = "style"
    latent_dim: LatentDim = 128
    mapping_layers: Annotated[int, Field(ge=1, le=16)] = 8
    mapping_rate: Annotated[float, Field(gt=0.0, le=1.0)] = 0.01
    widths: Widths = (128, 128, 64, 32)
    noise: bool = True
    leak: Leak = 0.2
    image_channels: Literal[1, 3, 4] = 3

    def require_size(self, size_px: int) -> None:
        """Raise a ValueError for a size that the network cannot make."""
        _require_doublings(self.widths, BASE_PX * 2 ** (len(self.widths) - 1), size_px, 1)


class ParentedGeneratorRecipe(RecipeTable):
    """A generator that starts as the enlarged image of a smaller one, its parent.

    Attributes:
        parent: Architecture of the parent; that of the artifact given by `--from` replaces it.
        parent_px: Height and width of its images, half or a quarter of this one's; `--from` replaces it, too.
        resample: Filter that enlarges the parent's image.
        change: Largest difference of a value in [-1, 1] from the enlarged parent's.
        parent_rate: Factor of the generator's learning rate for the parent's weights; 0 freezes the parent.
        parent_norm: Whether the parent's BatchNorm uses its running statistics (`frozen`) or those of each batch (`batch`).
        leak: Negative slope of LeakyReLU.
        image_channels: The parent's.
        training_keys: Keys that are not about the architecture: which parent it has, and how it is trained.
    """

    training_keys: ClassVar[tuple[str, ...]] = ("parent", "parent_px", "parent_rate", "parent_norm")

    parent: AnyGenerator
    parent_px: Annotated[int, Field(ge=4, le=512)]
    resample: Literal["bicubic", "bilinear", "nearest"] = "bicubic"
    change: Annotated[float, Field(gt=0.0, le=2.0)] = 0.5
    parent_rate: Annotated[float, Field(ge=0.0, le=1.0)] = 0.1
    parent_norm: Literal["frozen", "batch"] = "frozen"
    leak: Leak = 0.2
    image_channels: Literal[1, 3, 4] = 3

    @property
    def latent_dim(self) -> int:
        """Length of the latent vector, which is the parent's."""
        return self.parent.latent_dim

    def require_size(self, size_px: int) -> None:
        """Raise a ValueError for a size or a parent that cannot be grown."""
        require_growable("generator", self, size_px, "features that are images, which growing starts from")


class GrownGeneratorRecipe(ParentedGeneratorRecipe):
    """A smaller generator, the parent, whose enlarged image gets a learned change that starts at zero.

    Attributes:
        coarse_widths: Channels of the new convolutions at the parent's size.
        fine_width: Channels of those at the new size.
    """

    kind: Literal["grown"] = "grown"
    coarse_widths: Widths = (48, 32)
    fine_width: Width = 16


class SharpenedGeneratorRecipe(ParentedGeneratorRecipe):
    """A smaller generator, whose enlarged image gets a change that is learned from real pictures: reduced to the parent's size, they are drawn again.

    Attributes:
        width: Channels of the new convolutions, all at the parent's size.
        blocks: Number of them before the last.
        change: As in a grown generator.
        parent_rate: As in a grown generator; by default the parent is frozen.
        adversarial: Whether the critic teaches it, too; by default real pictures alone do, and the critic trains without effect on it.
        pairs_weight: Factor of the mean absolute error on real pictures; the critic's score is about 1.
        roughness: Strength of the noise that the reduced pictures get at most, so that the parent's roughness is smoothed, too; 0 is none.
    """

    training_keys: ClassVar[tuple[str, ...]] = (*ParentedGeneratorRecipe.training_keys, "adversarial", "pairs_weight", "roughness")

    kind: Literal["sharpened"] = "sharpened"
    width: Width = 32
    blocks: Annotated[int, Field(ge=1, le=16)] = 3
    change: Annotated[float, Field(gt=0.0, le=2.0)] = 1.0
    parent_rate: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    adversarial: bool = False
    pairs_weight: Annotated[float, Field(gt=0.0, le=1e6)] = 100.0
    roughness: Annotated[float, Field(ge=0.0, le=1.0)] = 0.25


AnyGenerator = Annotated[
    Annotated[ThesisGeneratorRecipe, Tag("thesis")]
    | Annotated[MlpGeneratorRecipe, Tag("mlp")]
    | Annotated[UpsampledGeneratorRecipe, Tag("upsampled")]
    | Annotated[DcganGeneratorRecipe, Tag("dcgan")]
    | Annotated[StyleGeneratorRecipe, Tag("style")]
    | Annotated[GrownGeneratorRecipe, Tag("grown")]
    | Annotated[SharpenedGeneratorRecipe, Tag("sharpened")],
    Discriminator(kind_discriminator("thesis")),
]
for _recipe in (ParentedGeneratorRecipe, GrownGeneratorRecipe, SharpenedGeneratorRecipe):
    _recipe.model_rebuild()  # the parent is any generator, these included
GENERATOR_KINDS = kinds_of(AnyGenerator)


def without_growth(recipe: AnyGenerator, size_px: int) -> AnyGenerator:
    """Return the generator that a grown one would be without a parent: of the parent's family with more doublings; others are unchanged.

    Args:
        recipe: Any generator.
        size_px: Height and width of its images.
    """
    if not isinstance(recipe, ParentedGeneratorRecipe):
        return recipe
    parent = without_growth(recipe.parent, recipe.parent_px)
    widths = getattr(parent, "widths", None)
    if widths is None:
        return parent
    doublings = (size_px // recipe.parent_px).bit_length() - 1
    return parent.model_copy(update={"widths": (*(widths[0] * 2**doubling for doubling in range(doublings, 0, -1)), *widths)})


def depth_advice(size_px: int, extra: int = 0) -> str:
    """Return advice on the number of widths for a size, or on sizes."""
    if size_px in REACHABLE_PX:
        return f" give {REACHABLE_PX.index(size_px) + 1 + extra} widths"
    return " size_px must be 4 * 2^n, such as 32, 64 or 128"


def _require_doublings(widths: tuple[int, ...], reached_px: int, size_px: int, extra: int) -> None:
    if reached_px != size_px:
        raise ValueError(
            f"generator.widths has {len(widths)} entries, which makes {reached_px} px, not size_px = {size_px};" + depth_advice(size_px, extra)
        )
