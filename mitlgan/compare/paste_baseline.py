"""The baseline without training: the frozen layers pasted over each other by their own opacity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from mitlgan.artifacts.loaded_artifact import LoadedArtifact
from mitlgan.data.pack.image_pack import BACKDROP, Color
from mitlgan.images.alpha import PremultipliedLayer, join_premultiplied, over, split_premultiplied, to_opaque_rgb
from mitlgan.metrics.layer_swap import declared_backdrops, find_backdrop, reference_matte
from mitlgan.networks import PLACEMENT_LATENT, CompositionStages, LayerTransform
from mitlgan.networks.placement import PlacementPrior, placement_parts, transform_layer

KEY_THRESHOLDS = (0.05, 0.1, 0.2, 0.4)
"""Differences from the backdrop, on the scale of [-1, 1], that are tried on the validation images; a foreground with alpha needs none."""
_BACKDROP_SAMPLES = 64


class PastedLayers:
    """A composition's layers without its fusion and translator.

    If the composition places its layers, they are placed at random here, within the recipe's initial bounds and by the same latents.

    Args:
        composed: The composition.
        threshold: Largest difference at which a pixel of a foreground without alpha counts as backdrop; see `layer_swap.reference_matte`.
    """

    def __init__(self, composed: LoadedArtifact, threshold: float) -> None:
        assert composed.card.composer is not None
        self.composed, self.threshold = composed, threshold
        recipe = composed.card.composer
        self.order = composed.card.back_to_front()
        self.antialias = recipe.placement is not None and bool(recipe.placement.antialias)
        self.backdrops = self._find_backdrops()
        self.placement = None if recipe.placement is None else PlacementPrior(recipe.placement).requires_grad_(False)

    def sample(self, seeds: Sequence[int]) -> Tensor:
        """Return images (N, 3, H, W) in [-1, 1], from the composition's own latents."""
        return self.layers(seeds).output

    def layers(self, seeds: Sequence[int] | Mapping[str, Sequence[int]]) -> CompositionStages:
        """Return every stage; mattes are the layers' own alpha, or what differs from their backdrop."""
        images = self.composed.layers(seeds).layers
        latent = self._placement_latent(seeds)
        output = to_opaque_rgb(images[self.order[0]])
        transparency = torch.ones_like(output[:, :1])
        placed: dict[str, Tensor] = {}
        transforms: dict[str, LayerTransform] = {}
        for name, part in placement_parts(self.order[1:]).items():
            front = self._premultiplied(name, images[name])
            if self.placement is not None:
                transforms[name] = self.placement(latent[:, part])
                front = transform_layer(front, transforms[name], antialias=self.antialias)
            output = over(front, output)
            transparency = transparency * (1 - front.alpha)
            placed[name] = join_premultiplied(front)
        output = output.clamp(-1, 1)
        return CompositionStages(dict(images), output, 1 - transparency, output, placed, transforms, self.antialias)

    def _find_backdrops(self) -> dict[str, tuple[Color, float]]:
        """Return what each foreground without alpha stands before, and the share of its border of that colour; see `find_backdrop`."""
        declared = declared_backdrops(self.composed.card)
        keyed = [name for name in self.order[1:] if self.composed.card.layers[name].generator.image_channels != 4]
        images = self.composed.layers(range(_BACKDROP_SAMPLES)).layers if keyed else {}
        return {name: find_backdrop(images[name].numpy(), declared.get(name, BACKDROP)) for name in keyed}

    def _premultiplied(self, name: str, image: Tensor) -> PremultipliedLayer:
        if image.shape[1] == 4:
            return split_premultiplied(image)
        matte = torch.from_numpy(reference_matte(image.numpy(), self.threshold, self.backdrops[name][0])).float()[:, None]  # (N, 1, H, W)
        return PremultipliedLayer(matte * (to_opaque_rgb(image) + 1) / 2, matte)

    def _placement_latent(self, seeds: Sequence[int] | Mapping[str, Sequence[int]]) -> Tensor:
        assert self.composed.composer is not None
        latents = self.composed.composer.split(self.composed.latents(seeds))
        return latents.get(PLACEMENT_LATENT, torch.empty(0, 0))
