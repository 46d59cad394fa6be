"""Placement of a layer: scale, flip and shift, and the prior that draws them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from mitlgan.images.alpha import PremultipliedLayer

if TYPE_CHECKING:
    from mitlgan.recipe import PlacementRecipe

PLACEMENT_DIM = 4
"""Length of the latent that places one layer: scale, x, y, flip."""
BOUNDS_LR_GAIN = 10.0
"""Factor of the bounds' learning rate: Adam moves every parameter by about its rate, and these few need larger steps."""
MIN_SCALE = 0.05
UNFILTERED_SCALE, MAX_HALVINGS = 0.5, 5
"""Scale from which on no layer is filtered before it is sampled, and halvings for the smallest scale."""
_MIN_SPREAD = 1e-4
_MAX_UNIFORM = 0.99
"""Largest uniform number that `to_latent` maps back; beyond it latents grow without bound."""


def placement_parts(layers: Sequence[str]) -> dict[str, slice]:
    """Return which numbers of the latent that places layers, in this order, place each of them."""
    return {name: slice(index * PLACEMENT_DIM, (index + 1) * PLACEMENT_DIM) for index, name in enumerate(layers)}


class LayerTransform(NamedTuple):
    """Scale, position and flip of a layer, one number per image each (N,).

    Attributes:
        scale: 1 is the layer's own size.
        x: Its center; -1 is the left edge of the image, 1 the right one, and beyond it is outside.
        y: Its center; -1 is the upper edge.
        flip: -1 if it is flipped left to right, else 1.
    """

    scale: Tensor
    x: Tensor
    y: Tensor
    flip: Tensor


class PlacementBounds(NamedTuple):
    """Bounds between which a placement draws.

    Attributes:
        log_min_scale: Logarithm of the smallest scale.
        log_max_scale: Logarithm of the largest scale.
        margin: Share of a layer's frame that may lie outside the image, about the mean center.
        center: Mean center, x and y, as in `LayerTransform`.
    """

    log_min_scale: float
    log_max_scale: float
    margin: float
    center: tuple[float, float] = (0.0, 0.0)


class EffectStrengths(NamedTuple):
    """Strengths of a composition's effects, one number per image each (N,); 1 is as trained.

    Attributes:
        matte: Factor of the frontmost layer's opacity, in [0, 1].
        harmonise: Share of the harmonizer's color change and of a bounded translator's correction, in [0, 1].
    """

    matte: Tensor
    harmonise: Tensor


def transform_layer(layer: PremultipliedLayer, transform: LayerTransform, *, antialias: bool = False) -> PremultipliedLayer:
    """Scale, flip and shift a layer; outside its frame it is transparent. Gradients reach the transform.

    Args:
        layer: As it comes.
        transform: One per image.
        antialias: Whether a scale below 0.5 is filtered first, by reduced copies between which it is interpolated (Williams 1983). The bilinear filter
            alone drops thin lines there. From 0.5 on the result is the same to the bit.
    """
    zero = torch.zeros_like(transform.scale)
    inverse = 1 / transform.scale
    x_row = torch.stack([transform.flip * inverse, zero, -transform.flip * transform.x * inverse], dim=1)
    y_row = torch.stack([zero, inverse, -transform.y * inverse], dim=1)
    rgba = torch.cat([layer.color, layer.alpha], dim=1)  # (N, 4, H, W)
    grid = functional.affine_grid(torch.stack([x_row, y_row], dim=1), list(rgba.shape), align_corners=False)
    grid = grid.to(rgba.dtype)
    moved = _sample_reduced(rgba, grid, transform.scale) if antialias else _sample(rgba, grid)
    return PremultipliedLayer(moved[:, :3], moved[:, 3:])


def _sample(rgba: Tensor, grid: Tensor) -> Tensor:
    return functional.grid_sample(rgba, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def _sample_reduced(rgba: Tensor, grid: Tensor, scale: Tensor) -> Tensor:
    """Sample between copies of the layer that are halved again and again; which of them, the scale (N,) of each image says."""
    halvings = torch.minimum(4 * torch.log2(UNFILTERED_SCALE / scale), -torch.log2(scale)).clamp(0, MAX_HALVINGS)  # 0 from half the size on
    height, width = rgba.shape[2:]
    moved = torch.zeros_like(rgba)
    for count in range(MAX_HALVINGS + 1):
        weight = (1 - (halvings - count).abs()).clamp_min(0)[:, None, None, None].to(rgba.dtype)  # of the two copies next to it
        size = (-(-height // 2**count), -(-width // 2**count))
        copy = rgba if count == 0 else functional.interpolate(rgba, size=size, mode="area")
        moved = moved + weight * _sample(copy, grid)
    return moved


class PlacementPrior(nn.Module):
    """Maps a standard normal latent to a layer's transform.

    The scale is log-uniform between two bounds; the center is uniform over all positions at which at most a margin of the layer's frame lies outside
    the image, or over as many about a mean center elsewhere. Bounds, margin and mean center are learned, from the critic's gradient through the
    transformed layer, or measured.

    Args:
        recipe: Initial bounds and margin, and whether they are learned.
    """

    def __init__(self, recipe: PlacementRecipe) -> None:
        super().__init__()
        low, high = (math.log(scale) for scale in recipe.scale)
        self.initial_bounds = PlacementBounds(low, high, recipe.margin)
        self.flip = recipe.flip
        self.change: Tensor
        self.center: Tensor | None
        values = {
            "change": torch.zeros(3),  # of the two logarithms and the margin, divided by BOUNDS_LR_GAIN
            "center": None if recipe.center is None else torch.tensor(recipe.center) / BOUNDS_LR_GAIN,
        }
        for name, value in values.items():
            if recipe.learn:
                self.register_parameter(name, None if value is None else nn.Parameter(value))
            else:
                self.register_buffer(name, value)

    def set_bounds(self, bounds: PlacementBounds) -> None:
        """Replace the bounds; a checkpoint holds them like learned ones."""
        changes = [(bound - first) / BOUNDS_LR_GAIN for bound, first in zip(bounds[:3], self.initial_bounds[:3], strict=True)]
        with torch.no_grad():
            self.change.copy_(torch.tensor(changes))
            if self.center is not None:
                self.center.copy_(torch.tensor(bounds.center) / BOUNDS_LR_GAIN)

    def bounds(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return the current logarithms of the smallest and largest scale, and the margin."""
        low, high, margin = (first + BOUNDS_LR_GAIN * change for first, change in zip(self.initial_bounds[:3], self.change, strict=True))
        return low.clamp_min(math.log(MIN_SCALE)), high, margin.clamp(0, 1)

    def forward(self, latent: Tensor) -> LayerTransform:
        """Return the transforms of latents (N, `PLACEMENT_DIM`)."""
        uniform = torch.erf(latent / math.sqrt(2))  # uniform in (-1, 1)
        low, high, margin = self.bounds()
        scale = torch.exp((low + high) / 2 + (high - low) / 2 * uniform[:, 0])
        room = (1 - (1 - 2 * margin) * scale).clamp_min(0)
        flip = torch.ones_like(scale)
        if self.flip:
            flip = torch.where(latent[:, 3] < 0, -flip, flip)
        x, y = room * uniform[:, 1], room * uniform[:, 2]
        if self.center is not None:
            x, y = x + BOUNDS_LR_GAIN * self.center[0], y + BOUNDS_LR_GAIN * self.center[1]
        return LayerTransform(scale, x, y, flip)

    def to_latent(self, transform: LayerTransform) -> Tensor:
        """Return the latents (N, `PLACEMENT_DIM`) of transforms, each clamped to what the placement can draw."""
        low, high, margin = self.bounds()
        room = (1 - (1 - 2 * margin) * transform.scale).clamp_min(_MIN_SPREAD)
        spread = (high - low).abs().clamp_min(_MIN_SPREAD)
        x, y = transform.x, transform.y
        if self.center is not None:
            x, y = x - BOUNDS_LR_GAIN * self.center[0], y - BOUNDS_LR_GAIN * self.center[1]
        uniform = torch.stack([(2 * transform.scale.log() - low - high) / spread, x / room, y / room], dim=1)
        normal = math.sqrt(2) * torch.erfinv(uniform.clamp(-_MAX_UNIFORM, _MAX_UNIFORM))
        return torch.cat([normal, transform.flip[:, None]], dim=1)
