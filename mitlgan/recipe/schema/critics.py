"""Critics, which a recipe chooses by `kind`; a table without a `kind` is the thesis' critic."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from mitlgan.recipe.schema.base import Kernel, Leak, Probability, RecipeTable, Width, Widths, kind_discriminator, kinds_of
from mitlgan.recipe.schema.growth import require_growable
from mitlgan.recipe.schema.weights import InitializedTable, KerasTable, Normalisation, NormalizedTable

Group = Annotated[int, Field(ge=2, le=64)]
InputPx = Annotated[int, Field(ge=32, le=512, multiple_of=32)]
Scales = Annotated[int, Field(ge=2, le=4)]
BASE_PX = 4
DEFAULT_NARROWEST = 32
MAX_DEPTH = 8
PER_CONVOLUTION = ("dropout", "strides")
"""Keys that have one value for each of a critic's widths, or one number for all."""
INPUT_STEP_PX = 32
ANY_SIZE_KINDS = ("mlp", "projected")
"""Critics that are as deep at every size, and without a first convolution of their own that a new block could be added to."""


def deviation_group(group: int, batch: int) -> int:
    """Return how many images of a batch form a group of `batch_deviation`: as many as it says, or else the most below that divide the batch.

    Args:
        group: `batch_deviation`.
        batch: Images of one batch, over all ranks.
    """
    return next(size for size in range(min(group, batch), 0, -1) if batch % size == 0)


class _PerConvolutionTable(RecipeTable):
    """A table whose lists with one value for each of its widths may be one number."""

    @model_validator(mode="before")
    @classmethod
    def _one_number_for_all(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        values = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}  # strict mode takes no list here
        widths = values.get("widths", cls.model_fields["widths"].default)
        for key in PER_CONVOLUTION:
            value = values.get(key)
            if key in cls.model_fields and isinstance(value, int | float) and not isinstance(value, bool) and isinstance(widths, tuple):
                values[key] = (value,) * (len(widths) if values.get("base_width") is None else MAX_DEPTH)
        return values


class ThesisCriticRecipe(_PerConvolutionTable, KerasTable):
    """The critic of Table 7.2 and its family.

    Attributes:
        widths: Channels of each stride-2 convolution.
        dropout: Dropout probability after each convolution; one number holds for all.
        flatten_dropout: Dropout probability before the last, dense layer.
        kernel: Side of each convolution's kernel.
        leak: Negative slope of LeakyReLU.
        normalisation: A gradient penalty, which is per sample, requires `none`.
        spectral: Spectral normalisation of every weight (Miyato et al. 2018); the thesis has none.
        batch_deviation: Images of a group whose deviation the score also sees (minibatch standard deviation, Karras et al. 2018); a group is within a
            batch of real or of generated images, and smaller where it does not divide that; absent: none.
        scales: Number of critics of this design, which see the image at its size, at half, at a quarter, ...; their mean is the score (Wang et al.
            2018). Absent: one, as in the thesis.
        image_channels: 3 for RGB.
    """

    kind: Literal["thesis"] = "thesis"
    widths: Widths = (48, 96, 192, 384)
    dropout: tuple[Probability, ...] = (0.0, 0.0, 0.3, 0.0)
    flatten_dropout: Probability = 0.3
    kernel: Kernel = 5
    leak: Leak = 0.2
    normalisation: Normalisation = "none"
    spectral: bool = False
    batch_deviation: Group | None = None
    scales: Scales | None = None
    image_channels: Literal[3, 4] = 3
    output: ClassVar[str] = "linear"

    @model_validator(mode="after")
    def _one_dropout_per_convolution(self) -> Self:
        if len(self.dropout) != len(self.widths):
            raise ValueError(f"dropout has {len(self.dropout)} values for {len(self.widths)} widths; give one for each")
        if self.kernel % 2 == 0:
            raise ValueError(f"kernel is {self.kernel}; an odd one keeps the halving of sizes exact, such as {self.kernel + 1}")
        return self

    def require_size(self, size_px: int) -> None:
        """Raise a ValueError for a size that the network does not accept."""
        _require_scales(self.scales, size_px)
        size_px //= 2 ** ((self.scales or 1) - 1)
        _require_kernel(self.kernel, size_px)
        if size_px % 2 ** len(self.widths):
            raise ValueError(f"critic.widths halves {size_px} px {len(self.widths)} times, which is not whole; give fewer widths")


class MlpCriticRecipe(InitializedTable):
    """Dense layers only, at any size (Akel 2022, figure 4.4).

    Attributes:
        widths: Features of the dense layers; the score's layer is implied.
        leak: Negative slope of LeakyReLU.
        output: Activation of the score; a minimax objective has its sigmoid in the loss and takes `linear`.
        image_channels: As the generator's.
    """

    kind: Literal["mlp"] = "mlp"
    widths: Widths = (512, 256)
    leak: Leak = 0.2
    output: Literal["linear", "sigmoid"] = "linear"
    image_channels: Literal[1, 3, 4] = 3
    normalisation: ClassVar[str] = "none"
    spectral: ClassVar[bool] = False

    def require_size(self, size_px: int) -> None:
        """Accept any size."""


class StridedCriticRecipe(_PerConvolutionTable, NormalizedTable):
    """Strided convolutions, at any size; odd sizes are halved upwards.

    Attributes:
        widths: Channels of each convolution.
        base_width: Channels of the last convolution, at 4 px; with it the image's size gives the number of convolutions, and each before has half the
            channels of the next, at least `narrowest`. Absent: `widths` says both.
        narrowest: Fewest channels with `base_width`; absent: 32.
        strides: Stride of each; one number holds for all; absent: 2.
        kernel: Side of each kernel.
        dropout: Dropout probability after each, or with `base_width` after the last ones; one number holds for all; absent: none.
        leak: Negative slope of LeakyReLU.
        norm_first: Whether the first convolution also has BatchNorm.
        spectral: Spectral normalisation of every weight (Miyato et al. 2018).
        head: The score comes from a `dense` layer, or from a `conv` as large as the remaining feature map.
        bias: Whether convolutions have a bias.
        output: Activation of the score; a minimax objective has its sigmoid in the loss and takes `linear`.
        batch_deviation: Images of a group whose deviation the score also sees (minibatch standard deviation, Karras et al. 2018); a group is within a
            batch of real or of generated images, and smaller where it does not divide that; absent: none.
        scales: Number of critics of this design, which see the image at its size, at half, at a quarter, ...; their mean is the score. Absent: one.
        image_channels: As the generator's.
    """

    kind: Literal["strided"] = "strided"
    widths: Widths = (32, 64, 128, 256)
    base_width: Width | None = None
    narrowest: Width | None = None
    strides: tuple[Literal[1, 2], ...] | None = None
    kernel: Kernel = 3
    dropout: tuple[Probability, ...] | None = None
    leak: Leak = 0.2
    norm_first: bool = False
    spectral: bool = False
    head: Literal["dense", "conv"] = "dense"
    bias: bool = True
    output: Literal["linear", "sigmoid"] = "linear"
    batch_deviation: Group | None = None
    scales: Scales | None = None
    image_channels: Literal[1, 3, 4] = 3

    @model_validator(mode="after")
    def _one_for_each_convolution(self) -> Self:
        if self.base_width is not None:
            if self.strides is not None:
                raise ValueError("strides contradicts base_width, whose convolutions all halve the image; remove one of them")
            return self
        if self.narrowest is not None:
            raise ValueError("narrowest belongs to base_width, which is absent; give that, too, or remove it")
        for key in ("strides", "dropout"):
            values = getattr(self, key)
            if values is not None and len(values) != len(self.widths):
                raise ValueError(f"{key} has {len(values)} values for {len(self.widths)} widths; give one for each")
        return self

    def widths_at(self, size_px: int) -> tuple[int, ...]:
        """Return the channels of each convolution for a size."""
        if self.base_width is None:
            return self.widths
        halvings = max(1, (size_px // BASE_PX).bit_length() - 1)
        narrowest = min(self.base_width, self.narrowest or DEFAULT_NARROWEST)
        return tuple(max(self.base_width // 2**index, narrowest) for index in reversed(range(halvings)))

    def dropouts_at(self, size_px: int) -> tuple[float, ...]:
        """Return the dropout probability after each convolution for a size."""
        depth, dropout = len(self.widths_at(size_px)), self.dropout or ()
        return ((0.0,) * depth + tuple(dropout))[-depth:]

    def sides_px(self, size_px: int) -> list[int]:
        """Return height and width after each convolution."""
        sides = []
        for stride in self.strides or (2,) * len(self.widths_at(size_px)):
            size_px = (size_px + 2 * ((self.kernel - 1) // 2) - self.kernel) // stride + 1
            sides.append(size_px)
        return sides

    def require_size(self, size_px: int) -> None:
        """Raise a ValueError for a size that the network does not accept."""
        _require_scales(self.scales, size_px)
        size_px //= 2 ** ((self.scales or 1) - 1)
        _require_kernel(self.kernel, size_px)
        if self.base_width is not None and (size_px < 2 * BASE_PX or size_px & (size_px - 1)):
            raise ValueError(f"critic.base_width halves the image down to {BASE_PX} px, which {size_px} px does not allow; give widths instead")
        if min(self.sides_px(size_px)) < 1:
            raise ValueError(f"critic.widths leaves nothing of {size_px} px after {len(self.widths)} convolutions; give fewer widths")


class ProjectedCriticRecipe(RecipeTable):
    """Small critics over features of a frozen, pretrained network, at any size (Sauer et al. 2021, "Projected GANs converge faster").

    The network sees the image at four depths, fixed random convolutions mix its features across channels and scales, and a critic learns on each scale.
    No figure by an extractor of the same network may judge what such a critic has taught.

    Attributes:
        network: The frozen network, by the name of its extractor.
        input_px: Height and width to which images are resized for it, a multiple of 32; absent: their own, rounded up.
        width: Channels of the mixed features at the finest scale; each coarser scale has twice as many as the one before.
        leak: Negative slope of LeakyReLU.
        normalisation: BatchNorm in what learns, as in the authors' code: scores depend on the whole batch, so a lack of variety is seen. A gradient
            penalty, which is per sample, requires `none`.
        spectral: Whether the weights that learn have spectral normalization (Miyato et al. 2018).
        image_channels: As the generator's.
    """

    kind: Literal["projected"] = "projected"
    network: Literal["mobilenet-v2", "efficientnet-lite0"] = "mobilenet-v2"
    input_px: InputPx | None = None
    width: Annotated[int, Field(ge=1, le=512)] = 32
    leak: Leak = 0.2
    normalisation: Normalisation = "batch"
    spectral: bool = True
    image_channels: Literal[1, 3, 4] = 3
    output: ClassVar[str] = "linear"
    widths: ClassVar[tuple[int, ...]] = ()

    def input_px_at(self, size_px: int) -> int:
        """Return height and width of what the frozen network sees of images of a size."""
        return self.input_px or -(-size_px // INPUT_STEP_PX) * INPUT_STEP_PX

    def require_size(self, size_px: int) -> None:
        """Accept any size."""


class GrownCriticRecipe(RecipeTable):
    """A smaller critic, the parent, on the reduced image, and a new block for the finer detail, which starts at zero.

    Attributes:
        parent: Architecture of the parent; that of the critic given by `--critic` replaces it.
        parent_px: Height and width of its images, half or a quarter of this one's; `--critic` replaces it, too.
        width: Channels of the new block.
        leak: Negative slope of LeakyReLU.
        spectral: Whether the new block has spectral normalization.
        image_channels: The parent's.
    """

    kind: Literal["grown"] = "grown"
    parent: AnyCritic
    parent_px: Annotated[int, Field(ge=4, le=512)]
    width: Width = 32
    leak: Leak = 0.2
    spectral: bool = True
    image_channels: Literal[1, 3, 4] = 3

    @property
    def output(self) -> str:
        """Activation of the score: the parent's."""
        return self.parent.output

    @property
    def normalisation(self) -> str:
        """Normalization of the parent; the new block has none."""
        return self.parent.normalisation

    def require_size(self, size_px: int) -> None:
        """Raise a ValueError for a size or a parent that cannot be grown."""
        require_growable("critic", self, size_px, "convolutions that a new block could be added to")


AnyCritic = Annotated[
    Annotated[ThesisCriticRecipe, Tag("thesis")]
    | Annotated[MlpCriticRecipe, Tag("mlp")]
    | Annotated[StridedCriticRecipe, Tag("strided")]
    | Annotated[ProjectedCriticRecipe, Tag("projected")]
    | Annotated[GrownCriticRecipe, Tag("grown")],
    Discriminator(kind_discriminator("thesis")),
]
GrownCriticRecipe.model_rebuild()  # its parent is any critic, itself included
CRITIC_KINDS = kinds_of(AnyCritic)


def _require_scales(scales: int | None, size_px: int) -> None:
    if size_px % 2 ** ((scales or 1) - 1):
        raise ValueError(f"critic.scales = {scales} halves {size_px} px {(scales or 1) - 1} times, which is not whole; give fewer scales")


def _require_kernel(kernel: int, size_px: int) -> None:
    if kernel > size_px:
        raise ValueError(f"critic.kernel = {kernel} is larger than the image, {size_px} px; at most {size_px - 1}")


def critics_down(critic: AnyCritic, size_px: int) -> Iterator[tuple[AnyCritic, int]]:
    """Yield a critic and its size in px, then its parent and that one's, down to the critic that grew from none."""
    yield critic, size_px
    if critic.kind == "grown":
        yield from critics_down(critic.parent, critic.parent_px)


def channels_at(critic: AnyCritic, size_px: int) -> tuple[int, ...]:
    """Return the channels of each convolution or dense layer of a critic at a size; of a grown one, those of the critic that it grew from first."""
    *_, (first, first_px) = critics_down(critic, size_px)
    assert first.kind != "grown"
    return first.widths_at(first_px) if first.kind == "strided" else first.widths


def freezable_convolutions(critic: AnyCritic, size_px: int) -> int:
    """Return how many first convolutions of a critic can be taken out of training at a size; of a grown one, those of its parents count."""
    return 0 if critic.kind in ANY_SIZE_KINDS else len(channels_at(critic, size_px))
