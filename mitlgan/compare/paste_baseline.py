"""The baseline that nothing is trained for: the frozen layers laid over each other by their own opacity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from mitlgan.artifacts.loaded_artifact import LoadedArtifact
from mitlgan.images.alpha import PremultipliedLayer, join_premultiplied, over, split_premultiplied, to_opaque_rgb
from mitlgan.metrics.layer_swap import reference_matte
from mitlgan.networks import PLACEMENT_LATENT, CompositionStages, LayerTransform
from mitlgan.networks.placement import PLACEMENT_DIM, PlacementPrior, transform_layer

KEY_THRESHOLDS = (0.05, 0.1, 0.2, 0.4)
"""Differences from the backdrop, on the scale of [-1, 1], that are tried on the validation pictures; a foreground with alpha needs none."""


class PastedLayers:
    """A composition's layers without its fusion and translator.

    Where the composition places its layers, they stand here at random places, drawn from the recipe's own first bounds by the same latents.

    Args:
        composed: Whose frozen layers are taken.
        tolerance: Up to which difference a pixel of a foreground without alpha is backdrop; see `separate.reference_matte`.
    """

    def __init__(self, composed: LoadedArtifact, tolerance: float) -> None:
        assert composed.card.composer is not None
        self.composed, self.tolerance = composed, tolerance
        recipe = composed.card.composer
        self.order = composed.card.back_to_front()
        self.placement = None if recipe.placement is None else PlacementPrior(recipe.placement).requires_grad_(False)

    def sample(self, seeds: Sequence[int]) -> Tensor:
        """(N, 3, H, W) in [-1, 1], at the composition's own latents."""
        return self.layers(seeds).output

    def layers(self, seeds: Sequence[int] | Mapping[str, Sequence[int]]) -> CompositionStages:
        """Every stage; mattes are the layers' own alpha, or what differs from their backdrop."""
        images = self.composed.layers(seeds).layers
        place = self._place(seeds)
        output = to_opaque_rgb(images[self.order[0]])
        clear = torch.ones_like(output[:, :1])
        placed: dict[str, Tensor] = {}
        stands: dict[str, LayerTransform] = {}
        for index, name in enumerate(self.order[1:]):
            front = self._matted(images[name])
            if self.placement is not None:
                stands[name] = self.placement(place[:, index * PLACEMENT_DIM : (index + 1) * PLACEMENT_DIM])
                front = transform_layer(front, stands[name])
            output = over(front, output)
            clear = clear * (1 - front.alpha)
            placed[name] = join_premultiplied(front)
        output = output.clamp(-1, 1)
        return CompositionStages(layers=dict(images), fused=output, matte=1 - clear, output=output, placed=placed, transforms=stands)

    def _matted(self, image: Tensor) -> PremultipliedLayer:
        if image.shape[1] == 4:
            return split_premultiplied(image)
        matte = torch.from_numpy(reference_matte(image.numpy(), self.tolerance)).float()[:, None]  # (N, 1, H, W)
        return PremultipliedLayer(matte * (to_opaque_rgb(image) + 1) / 2, matte)

    def _place(self, seeds: Sequence[int] | Mapping[str, Sequence[int]]) -> Tensor:
        assert self.composed.composer is not None
        latents = self.composed.composer.split(self.composed.latents(seeds))
        return latents.get(PLACEMENT_LATENT, torch.empty(0, 0))
