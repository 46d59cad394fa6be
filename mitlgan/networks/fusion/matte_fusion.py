"""Fusion that composites each layer over those behind it, by its own matte or a learned one."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mitlgan.errors import UsageError
from mitlgan.images.alpha import (
    PremultipliedLayer,
    expand_per_image,
    join_premultiplied,
    over,
    scale_opacity,
    split_premultiplied,
    to_opaque_rgb,
)
from mitlgan.networks.fusion.composite_conv import CompositeConv
from mitlgan.networks.fusion.harmonizer import Harmonizer
from mitlgan.networks.fusion.interface import Fusion, FusionInput, FusionOutput, LayerSpec, back_to_front
from mitlgan.networks.fusion.matte_networks import FeatureMatteNet, ImageMatteNet, matte_regularization
from mitlgan.networks.placement import PLACEMENT_DIM, EffectStrengths, LayerTransform, PlacementPrior, placement_parts, transform_layer
from mitlgan.networks.registry import FUSIONS
from mitlgan.recipe.schema.composer import (
    AlphaFusionRecipe,
    AnyMatteFusion,
    MatteFeaturesFusionRecipe,
    MatteFusionRecipe,
    OverFusionRecipe,
    PlacementRecipe,
)
from mitlgan.runtime.randomness import ALONE


@FUSIONS.register(AlphaFusionRecipe, MatteFusionRecipe, MatteFeaturesFusionRecipe, OverFusionRecipe)
class MatteFusion(Fusion):
    """Each layer over those behind it, x_t = m_t f_t + (1 - m_t) x_(t-1), by its own matte or a learned one.

    If all layers have their own mattes, the composition is a true composite before any training.

    Args:
        recipe: Kind, order, harmonization, and the regularization of learned mattes.
        layers: By name.
        size_px: Height and width.
        placement: How layers are placed; None leaves them where they are.

    Raises:
        UsageError: The layers do not suit the kind or the order.
    """

    def __init__(self, recipe: AnyMatteFusion, layers: Mapping[str, LayerSpec], size_px: int, placement: PlacementRecipe | None) -> None:
        super().__init__(recipe, layers, size_px, placement)
        self.check(recipe, layers)
        self.batch_share = ALONE  # `mitlgan.training.ranks` says otherwise
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
        self.antialias = placement is not None and bool(placement.antialias)
        self.conv = CompositeConv(len(self.order)) if recipe.join == "conv1x1" else None
        self.has_harmonizer = recipe.harmonise or self.conv is not None

    @staticmethod
    def may_need_features(recipe: AnyMatteFusion) -> bool:
        """Whether a matte may come from the generators' activations."""
        return recipe.kind in ("matte-features", "over")

    @staticmethod
    def check(recipe: AnyMatteFusion, layers: Mapping[str, LayerSpec]) -> None:
        """Refuse layers that the fusion cannot composite.

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
                raise UsageError(
                    f"composer.fusion.kind: {recipe.kind} needs activations that are images, which the generator of {name} has not; use matte"
                )

    def forward(self, inputs: FusionInput) -> FusionOutput:
        """Composite the layers from back to front; the image is in [-1, 1]."""
        image = to_opaque_rgb(inputs.images[self.order[0]])
        visible = [] if self.conv is None else [(image + 1) / 2]
        transparency, loss = torch.ones_like(image[:, :1]), None
        placed: dict[str, Tensor] = {}
        transforms: dict[str, LayerTransform] = {}
        for name in self.movable_layers:
            layer = self._with_matte(name, inputs, image)
            if name in self.mattes and self.training:
                assert self.recipe.kind != "alpha"
                cost = matte_regularization(self.recipe, layer.alpha, inputs.kimg)
                loss = cost if loss is None else loss + cost
            transform = self._transform(name, inputs)
            if transform is not None:
                transforms[name] = transform
                layer = transform_layer(layer, transform, antialias=self.antialias)
            layer = self._apply_effects(name, layer, image, inputs.strengths)
            image = over(layer, image)
            if self.conv is not None:
                visible = [*(light * (1 - layer.alpha) for light in visible), layer.color]
            transparency = transparency * (1 - layer.alpha)
            placed[name] = join_premultiplied(layer)
        if self.conv is not None:
            image = self._mixed(image, visible, inputs.strengths)
        return FusionOutput(image, 1 - transparency, placed, transforms, loss)

    def _mixed(self, composite: Tensor, visible: list[Tensor], strengths: EffectStrengths | None) -> Tensor:
        """Return the image of the 1x1 convolution, or only a share of its change of the composite."""
        assert self.conv is not None
        image: Tensor = self.conv(visible)
        return image if strengths is None else torch.lerp(composite, image, expand_per_image(strengths.harmonise))

    def _with_matte(self, name: str, inputs: FusionInput, back: Tensor) -> PremultipliedLayer:
        """Return a layer with its own matte or the learned one."""
        image = inputs.images[name]
        if name not in self.mattes:
            return split_premultiplied(image)
        front = to_opaque_rgb(image)
        matte_inputs = (front, back) if self.recipe.kind == "matte" else (inputs.features[name],)
        matte: Tensor = self.mattes[name](*matte_inputs)
        return PremultipliedLayer((front + 1) / 2 * matte, matte)

    def _transform(self, name: str, inputs: FusionInput) -> LayerTransform | None:
        """Return the transform of a layer: the one given, else one drawn from the latent, shifted at random in training."""
        if name in inputs.transforms:
            return inputs.transforms[name]
        transform: LayerTransform | None = None
        if name in self.placements:
            assert inputs.placement_latent is not None
            transform = self.placements[name](inputs.placement_latent[:, placement_parts(self.movable_layers)[name]])
        max_shift = 0.0 if self.recipe.kind == "alpha" else self.recipe.training_shift
        if not (self.training and max_shift and name in self.mattes):
            return transform
        image = inputs.images[name]
        if transform is None:
            one = torch.ones(len(image), device=image.device, dtype=image.dtype)
            transform = LayerTransform(one, torch.zeros_like(one), torch.zeros_like(one), one)
        # From torch's global random numbers, which the loop seeds for each iteration. The frame's width is 2 in these coordinates.
        shift = (self.batch_share.rows(torch.rand(self.batch_share.whole((2, len(image)), 1)), 1).to(image.device) * 2 - 1) * 2 * max_shift
        return LayerTransform(transform.scale, transform.x + shift[0], transform.y + shift[1], transform.flip)

    def _apply_effects(self, name: str, layer: PremultipliedLayer, back: Tensor, strengths: EffectStrengths | None) -> PremultipliedLayer:
        """Return a layer with scaled opacity, if it is the frontmost, and harmonized colors."""
        if strengths is not None and name == self.movable_layers[-1]:
            layer = scale_opacity(layer, strengths.matte)
        if name not in self.harmonised:
            return layer
        harmonized: PremultipliedLayer = self.harmonised[name](layer, back)
        return harmonized if strengths is None else _lerp_color(layer, harmonized, strengths.harmonise)


def _lerp_color(before: PremultipliedLayer, after: PremultipliedLayer, share: Tensor) -> PremultipliedLayer:
    """Apply a share (N,) in [0, 1] of a change of color."""
    return PremultipliedLayer(torch.lerp(before.color, after.color, expand_per_image(share)), after.alpha)


def has_own_matte(recipe: AnyMatteFusion, layer: LayerSpec) -> bool:
    """Whether a fusion of this kind uses a layer's fourth channel as its matte."""
    return recipe.kind in ("alpha", "over") and layer.channels == 4


def _matte_network(recipe: AnyMatteFusion, layer: LayerSpec, size_px: int) -> nn.Module:
    assert recipe.kind != "alpha"
    if recipe.kind == "matte":
        return ImageMatteNet(recipe.matte_width)
    return FeatureMatteNet(layer.features, recipe.matte_width, size_px)
