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
from mitlgan.networks.fusion.harmonise import Harmonizer
from mitlgan.networks.fusion.interface import Fusion, FusionInput, FusionOutput, LayerSpec, back_to_front
from mitlgan.networks.fusion.matte_networks import FeatureMatteNet, ImageMatteNet, matte_regularization
from mitlgan.networks.placement import PLACEMENT_DIM, LayerTransform, PlacementPrior, transform_layer
from mitlgan.networks.registry import FUSIONS
from mitlgan.recipe.schema.composer import (
    AlphaFusionRecipe,
    AnyMatteFusion,
    MatteFeaturesFusionRecipe,
    MatteFusionRecipe,
    OverFusionRecipe,
    PlacementRecipe,
)


@FUSIONS.register(AlphaFusionRecipe, MatteFusionRecipe, MatteFeaturesFusionRecipe, OverFusionRecipe)
class MatteFusion(Fusion):
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
        super().__init__(recipe, layers, size_px, placement)
        self.check(recipe, layers)
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

    @staticmethod
    def may_need_features(recipe: AnyMatteFusion) -> bool:
        """Whether a matte may come from the generators' activations."""
        return recipe.kind in ("matte-features", "over")

    @staticmethod
    def check(recipe: AnyMatteFusion, layers: Mapping[str, LayerSpec]) -> None:
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
                raise UsageError(
                    f"composer.fusion.kind: {recipe.kind} needs activations that are images, which the generator of {name} has not; use matte"
                )

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


def has_own_matte(recipe: AnyMatteFusion, layer: LayerSpec) -> bool:
    """Whether a layer's own fourth channel is its matte in a fusion of this kind."""
    return recipe.kind in ("alpha", "over") and layer.channels == 4


def _matte_network(recipe: AnyMatteFusion, layer: LayerSpec, size_px: int) -> nn.Module:
    assert recipe.kind != "alpha"
    if recipe.kind == "matte":
        return ImageMatteNet(recipe.matte_width)
    return FeatureMatteNet(layer.features, recipe.matte_width, size_px)
