"""Placement of a layer: scale, flip and shift, and the prior that draws them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from mitlgan.images.alpha import PremultipliedLayer

if TYPE_CHECKING:
    from mitlgan.recipe import PlacementRecipe

PLACEMENT_DIM = 4
"""Length of the latent that places one layer: scale, across, down, mirror."""
BOUNDS_LR_GAIN = 10.0
"""Adam moves every parameter by about its learning rate; the few that place a layer are worth larger steps."""
MIN_SCALE = 0.05
_MIN_SPREAD = 1e-4
_MAX_UNIFORM = 0.99
"""Of what a latent says of a stand: beyond, its numbers go towards infinity."""


class LayerTransform(NamedTuple):
    """Where a layer stands, one number per image each (N,).

    Attributes:
        scale: 1 is the layer's own size.
        across: Of its centre, -1 (left edge of the image) to 1.
        down: Likewise, -1 (upper edge) to 1.
        mirror: -1 where it is mirrored, else 1.
    """

    scale: Tensor
    x: Tensor
    y: Tensor
    flip: Tensor


class PlacementBounds(NamedTuple):
    """Between what a placement draws.

    Attributes:
        low: Logarithm of the smallest scale.
        high: Of the largest.
        margin: Share of a layer's own frame that may lie outside of the image.
    """

    log_min_scale: float
    log_max_scale: float
    margin: float


class EffectStrengths(NamedTuple):
    """How much of a composition's own means is used, one number per image each (N,); 1 is as it was trained.

    Attributes:
        matte: Factor of the frontmost layer's opacity, and so of its light, in [0, 1].
        harmonise: Share of what harmonising changes of the layers' colours, and of what a translator that corrects would correct, in [0, 1].
    """

    matte: Tensor
    harmonise: Tensor


def transform_layer(layer: PremultipliedLayer, transform: LayerTransform) -> PremultipliedLayer:
    """Scale, mirror and shift a layer; what comes from outside of its frame is transparent.

    Bilinear, so a layer should not be made smaller than half its size. Gradients reach the stand.
    """
    zero = torch.zeros_like(transform.scale)
    inverse = 1 / transform.scale
    across = torch.stack([transform.flip * inverse, zero, -transform.flip * transform.x * inverse], dim=1)
    down = torch.stack([zero, inverse, -transform.y * inverse], dim=1)
    joined = torch.cat([layer.color, layer.alpha], dim=1)
    grid = functional.affine_grid(torch.stack([across, down], dim=1), list(joined.shape), align_corners=False)
    moved = functional.grid_sample(joined, grid.to(joined.dtype), mode="bilinear", padding_mode="zeros", align_corners=False)
    return PremultipliedLayer(moved[:, :3], moved[:, 3:])


class PlacementPrior(nn.Module):
    """Where a layer stands, from a standard normal latent.

    Scale is uniform in its logarithm between two bounds; the centre is uniform over all places at which at most a margin of the layer's frame lies
    outside of the image. Bounds and margin can be learned, from the gradient of the critic through the moved layer, or measured.

    Args:
        recipe: First bounds and margin, and whether they are learned.
    """

    def __init__(self, recipe: PlacementRecipe) -> None:
        super().__init__()
        low, high = (math.log(scale) for scale in recipe.scale)
        self.initial_bounds = PlacementBounds(low, high, recipe.margin)
        self.flip = recipe.flip
        change = torch.zeros(3)  # of the two logarithms and the margin, divided by GAIN
        self.change: Tensor
        if recipe.learn:
            self.change = nn.Parameter(change)
        else:
            self.register_buffer("change", change)

    def set_bounds(self, bounds: PlacementBounds) -> None:
        """Draw between other bounds than the recipe's first; they are kept as what is learned is."""
        changes = [(bound - first) / BOUNDS_LR_GAIN for bound, first in zip(bounds, self.initial_bounds, strict=True)]
        with torch.no_grad():
            self.change.copy_(torch.tensor(changes))

    def bounds(self) -> tuple[Tensor, Tensor, Tensor]:
        """Logarithms of the smallest and the largest scale, and the margin, as they are now."""
        low, high, margin = (first + BOUNDS_LR_GAIN * change for first, change in zip(self.initial_bounds, self.change, strict=True))
        return low.clamp_min(math.log(MIN_SCALE)), high, margin.clamp(0, 1)

    def forward(self, latent: Tensor) -> LayerTransform:
        """Stands for latents (N, `NUMBERS`)."""
        even = torch.erf(latent / math.sqrt(2))  # uniform in (-1, 1)
        low, high, margin = self.bounds()
        scale = torch.exp((low + high) / 2 + (high - low) / 2 * even[:, 0])
        room = (1 - (1 - 2 * margin) * scale).clamp_min(0)
        mirror = torch.where(latent[:, 3] < 0, -1.0, 1.0) if self.flip else torch.ones_like(scale)
        return LayerTransform(scale, room * even[:, 1], room * even[:, 2], mirror)

    def to_latent(self, stand: LayerTransform) -> Tensor:
        """Latents (N, `NUMBERS`) of stands, each number of which is taken to where the placement can put it."""
        low, high, margin = self.bounds()
        room = (1 - (1 - 2 * margin) * stand.scale).clamp_min(_MIN_SPREAD)
        spread = (high - low).abs().clamp_min(_MIN_SPREAD)
        even = torch.stack([(2 * stand.scale.log() - low - high) / spread, stand.x / room, stand.y / room], dim=1)
        numbers = math.sqrt(2) * torch.erfinv(even.clamp(-_MAX_UNIFORM, _MAX_UNIFORM))
        return torch.cat([numbers, stand.flip[:, None]], dim=1)
