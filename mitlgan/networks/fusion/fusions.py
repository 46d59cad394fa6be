"""Fusions: N layers to one image, learnable."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from mitlgan.errors import UsageError
from mitlgan.images.alpha import PremultipliedLayer, expand_per_image, join_premultiplied, over, scale_opacity, split_premultiplied, to_opaque_rgb
from mitlgan.networks.blocks import activation
from mitlgan.networks.fusion.harmonise import Harmonizer
from mitlgan.networks.fusion.matte_networks import FeatureMatteNet, ImageMatteNet, matte_regularization
from mitlgan.networks.placement import PLACEMENT_DIM, EffectStrengths, LayerTransform, PlacementPrior, transform_layer

if TYPE_CHECKING:
    from mitlgan.recipe.schema.composer import AnyChannelFusion, AnyMatteFusion, PlacementRecipe

BACKGROUND = "bg"
CHANNELS = 3


@dataclass(frozen=True)
class LayerSpec:
    """What a fusion must know of a layer before it is built.

    Attributes:
        channels: Of its image.
        features: Channels of each intermediate activation of its generator, for a kind in `FROM_FEATURES`.
    """

    channels: int
    features: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class FusionInput:
    """What a fusion is given.

    Attributes:
        images: By layer, (N, C, H, W) in [-1, 1].
        features: Activations of the generators by layer, (N, C, h, w) each; only where the fusion `wants_features`.
        place: Latent of the placement, (N, `place_dim`).
        stands: Where layers stand, in place of what the latent says.
        kimg: The clock.
        strengths: How much of the mattes and of harmonising is used; None: all.
    """

    images: Mapping[str, Tensor]
    features: Mapping[str, Sequence[Tensor]] = field(default_factory=dict)
    placement_latent: Tensor | None = None
    transforms: Mapping[str, LayerTransform] = field(default_factory=dict)
    kimg: float = 0.0
    strengths: EffectStrengths | None = None


@dataclass(frozen=True, eq=False)
class FusionOutput:
    """What a fusion gives.

    Attributes:
        image: (N, 3, H, W).
        matte: Opacity of all layers before the backmost together, (N, 1, H, W) in [0, 1], if the fusion knows one.
        placed: Each of those layers where it stands, (N, 4, H, W) in [-1, 1], premultiplied RGB and opacity.
        stands: Where each of them stands, of those that were moved.
        loss: What the mattes cost in training, if they are learned.
    """

    image: Tensor
    matte: Tensor | None = None
    placed: Mapping[str, Tensor] = field(default_factory=dict)
    transforms: Mapping[str, LayerTransform] = field(default_factory=dict)
    loss: Tensor | None = None


class Fusion(Protocol):
    """N layers to one image.

    Attributes:
        wants_features: Whether it looks at the generators' activations.
        place_dim: Length of the latent that places the layers; 0 where nothing is placed.
        order: Layers, from the back to the front where the fusion knows such an order.
        movable: Layers that can be given a stand.
        harmonises: Whether colours of layers follow what is behind them.
    """

    needs_features: bool
    placement_dim: int
    order: tuple[str, ...]
    movable_layers: tuple[str, ...]

    @property
    def has_harmonizer(self) -> bool:
        """See above."""
        ...

    def __call__(self, material: FusionInput) -> FusionOutput:
        """Fuse."""
        ...


class ChannelFusion(nn.Module):
    """Concatenation and conv 1x1, or addition, and an activation, with InstanceNorm where the recipe wants it (Table 7.3, first row).

    The same weights at every pixel: it makes no matte, and leaves the choice of who is in front to the translator.

    Args:
        recipe: Kind and activation.
        layers: By name, in the order of concatenation.
    """

    needs_features = False
    placement_dim = 0
    movable_layers = ()
    has_harmonizer = False

    def __init__(self, recipe: AnyChannelFusion, layers: Mapping[str, LayerSpec]) -> None:
        super().__init__()
        self.order = tuple(layers)
        joined = sum(layer.channels for layer in layers.values())
        self.conv: nn.Module | None = None
        self.norm: nn.Module | None = None
        if recipe.kind in ("conv1x1", "norm-conv1x1"):
            self.conv = nn.Conv2d(joined, CHANNELS, 1)
        if recipe.kind == "norm-conv1x1":
            self.norm = nn.InstanceNorm2d(joined, affine=True)
        elif recipe.kind == "add-norm":
            self.norm = nn.InstanceNorm2d(CHANNELS, affine=True)
        self.activation = activation(recipe.activation, "composer.fusion.activation")

    def forward(self, material: FusionInput) -> FusionOutput:
        """Fuse layers, each (N, C, H, W) in [-1, 1]; with ReLU the result is not negative, and a sum is not bounded by 1."""
        images = [material.images[name] for name in self.order]
        if self.conv is None:
            joined = torch.stack([to_opaque_rgb(image) for image in images]).sum(0)  # (N, 3, H, W)
            return FusionOutput(self.activation(joined if self.norm is None else self.norm(joined)))
        joined = torch.cat(images, dim=1)  # (N, sum of C, H, W)
        return FusionOutput(self.activation(self.conv(joined if self.norm is None else self.norm(joined))))


class MatteFusion(nn.Module):
    """Each layer over what is behind it, x_t = m_t f_t + (1 - m_t) x_(t-1), by its own matte or by a learned one.

    So the composition is a true composite before any training, wherever the layers bring their mattes.

    Args:
        recipe: Kind, order, harmonising, and what keeps learned mattes from the trivial ones.
        layers: By name.
        size_px: Height and width.
        placement: How layers are placed; None leaves them where they are.

    Raises:
        UsageError: The layers do not suit the kind or the order.
    """

    def __init__(self, recipe: AnyMatteFusion, layers: Mapping[str, LayerSpec], size_px: int, placement: PlacementRecipe | None) -> None:
        super().__init__()
        check_matted(recipe, layers)
        self.recipe = recipe
        self.order = back_to_front(recipe.order, layers)
        self.movable_layers = self.order[1:]
        own = {name for name in self.movable_layers if has_own_matte(recipe, layers[name])}
        learned = [name for name in self.movable_layers if name not in own]
        self.needs_features = recipe.kind != "matte" and bool(learned)
        self.mattes = nn.ModuleDict({name: _matte_network(recipe, layers[name], size_px) for name in learned})
        self.harmonised = nn.ModuleDict({name: Harmonizer() for name in self.movable_layers if recipe.harmonise})
        self.placements = nn.ModuleDict({} if placement is None else {name: PlacementPrior(placement) for name in self.movable_layers})
        self.placement_dim = PLACEMENT_DIM * len(self.placements)
        self.has_harmonizer = recipe.harmonise

    def forward(self, material: FusionInput) -> FusionOutput:
        """Lay the layers over each other, from the back to the front; the image is in [-1, 1]."""
        image = to_opaque_rgb(material.images[self.order[0]])
        clear, loss = torch.ones_like(image[:, :1]), None
        placed: dict[str, Tensor] = {}
        stands: dict[str, LayerTransform] = {}
        for index, name in enumerate(self.movable_layers):
            front = self._matted(name, material, image)
            if name in self.mattes and self.training:
                assert self.recipe.kind != "alpha"
                cost = matte_regularization(self.recipe, front.alpha, material.kimg)
                loss = cost if loss is None else loss + cost
            stand = self._stand(index, name, material)
            if stand is not None:
                stands[name] = stand
                front = transform_layer(front, stand)
            if material.strengths is not None and name == self.movable_layers[-1]:
                front = scale_opacity(front, material.strengths.matte)
            if name in self.harmonised:
                changed: PremultipliedLayer = self.harmonised[name](front, image)
                front = changed if material.strengths is None else _lerp_color(front, changed, material.strengths.harmonise)
            image = over(front, image)
            clear = clear * (1 - front.alpha)
            placed[name] = join_premultiplied(front)
        return FusionOutput(image, 1 - clear, placed, stands, loss)

    def _matted(self, name: str, material: FusionInput, back: Tensor) -> PremultipliedLayer:
        image = material.images[name]
        if name not in self.mattes:
            return split_premultiplied(image)
        front = to_opaque_rgb(image)
        given = (front, back) if self.recipe.kind == "matte" else (material.features[name],)
        matte: Tensor = self.mattes[name](*given)
        return PremultipliedLayer((front + 1) / 2 * matte, matte)

    def _stand(self, index: int, name: str, material: FusionInput) -> LayerTransform | None:
        if name in material.transforms:
            return material.transforms[name]
        stand: LayerTransform | None = None
        if name in self.placements:
            assert material.placement_latent is not None
            stand = self.placements[name](material.placement_latent[:, index * PLACEMENT_DIM : (index + 1) * PLACEMENT_DIM])
        shift = 0.0 if self.recipe.kind == "alpha" else self.recipe.training_shift
        if not (self.training and shift and name in self.mattes):
            return stand
        count = len(material.images[name])
        device = material.images[name].device
        if stand is None:
            stand = LayerTransform(torch.ones(count, device=device), torch.zeros(count, device=device), torch.zeros(count, device=device),
                          torch.ones(count, device=device))  # fmt: skip
        # torch's global random numbers, which the loop seeds for each iteration. A share of the frame is twice that between -1 and 1.
        moved = (torch.rand(2, count).to(device) * 2 - 1) * 2 * shift
        return LayerTransform(stand.scale, stand.x + moved[0], stand.y + moved[1], stand.flip)


def _lerp_color(before: PremultipliedLayer, after: PremultipliedLayer, share: Tensor) -> PremultipliedLayer:
    """A layer of which a share (N,) of a change of its light is made."""
    return PremultipliedLayer(torch.lerp(before.color, after.color, expand_per_image(share)), after.alpha)


def back_to_front(order: Sequence[str] | None, layers: Mapping[str, object]) -> tuple[str, ...]:
    """The layers' order: as the recipe says, else `bg` first where there is one, then as they are given."""
    if order is not None:
        return tuple(order)
    return tuple(sorted(layers, key=lambda name: name != BACKGROUND))  # sorting is stable


def has_own_matte(recipe: AnyMatteFusion, layer: LayerSpec) -> bool:
    """Whether a layer's own fourth channel is its matte in a fusion of this kind."""
    return recipe.kind in ("alpha", "over") and layer.channels == 4


def check_mixed(recipe: AnyChannelFusion, layers: Mapping[str, LayerSpec]) -> None:
    """Any layers will do."""


def check_matted(recipe: AnyMatteFusion, layers: Mapping[str, LayerSpec]) -> None:
    """Refuse layers that a fusion by mattes cannot take, before anything is built.

    Raises:
        UsageError: One line that begins with the recipe's key.
    """
    if len(layers) < 2:
        raise UsageError(f"composer.fusion.kind: {recipe.kind} lays one layer over another, but there is only one; give two or more")
    if recipe.order is not None and sorted(recipe.order) != sorted(layers):
        raise UsageError(f"composer.fusion.order: names {', '.join(recipe.order)}, but the layers are {', '.join(layers)}; name each once")
    for name in back_to_front(recipe.order, layers)[1:]:
        layer = layers[name]
        if recipe.kind == "alpha" and layer.channels != 4:
            raise UsageError(
                f"composer.fusion.kind: alpha needs layers with a matte, but {name} has {layer.channels} channels; "
                "pretrain it with generator.image_channels = 4, or use matte-features"
            )
        if recipe.kind in ("matte-features", "over") and not has_own_matte(recipe, layer) and not layer.features:
            raise UsageError(f"composer.fusion.kind: {recipe.kind} needs activations that are images, which the generator of {name} has not; use matte")


def build_mixed(recipe: AnyChannelFusion, layers: Mapping[str, LayerSpec], size_px: int, placement: PlacementRecipe | None) -> nn.Module:
    """Build a fusion without mattes, which has no use for size and placement."""
    return ChannelFusion(recipe, layers)


def _matte_network(recipe: AnyMatteFusion, layer: LayerSpec, size_px: int) -> nn.Module:
    assert recipe.kind != "alpha"
    if recipe.kind == "matte":
        return ImageMatteNet(recipe.matte_width)
    return FeatureMatteNet(layer.features, recipe.matte_width, size_px)


_MIXED = ("conv1x1", "norm-conv1x1", "add", "add-norm")
_MATTED = ("alpha", "matte", "matte-features", "over")
NEEDS_FEATURES = ("matte-features", "over")
"""Kinds whose mattes may come from the generators' activations."""
FUSIONS: dict[str, Callable[[Any, Mapping[str, LayerSpec], int, Any], nn.Module]] = {
    **dict.fromkeys(_MIXED, build_mixed),
    **dict.fromkeys(_MATTED, MatteFusion),
}
FUSION_CHECKS: dict[str, Callable[[Any, Mapping[str, LayerSpec]], None]] = {
    **dict.fromkeys(_MIXED, check_mixed),
    **dict.fromkeys(_MATTED, check_matted),
}
