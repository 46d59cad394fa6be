"""The object in front of a known background.

Where its matte has come near zero, so has the gradient of the pixels, and parts of the object would stay away. The cross-entropy of the matte with the
hidden part has a gradient there, so a search begins with it and ends without it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from mitlgan.images.alpha import split_premultiplied
from mitlgan.inversion.cost import InversionCost
from mitlgan.inversion.levenberg_marquardt import refine
from mitlgan.inversion.multistart import best_random_starts, optimise
from mitlgan.inversion.progress import SearchProgress
from mitlgan.inversion.settings import InversionSettings
from mitlgan.networks import Composer
from mitlgan.networks.fusion.matte_fusion import MatteFusion
from mitlgan.networks.placement import PLACEMENT_DIM, LayerTransform, PlacementPrior

RESTARTS_FACTOR = 2.5
EFFORT_FACTORS = {"steps": 4, "learning_rate": 0.25, "prior": 4, "polish_steps": 2}
"""Multiples of the settings: objects of different sizes look alike, and small ones leave few pixels to go by."""
MATTE_WEIGHT = 10.0
"""Weight of the matte's cross-entropy at the first step; it falls to zero until the last one."""
MIN_OPACITY, MAX_OPACITY = 1e-6, 1 - 1e-4
"""Limits of the opacity in the cross-entropy."""
RGB = 3


@dataclass(frozen=True, eq=False)
class ForegroundRenderer:
    """Renders objects in front of a background.

    Attributes:
        composer: Renders and fuses the layers.
        name: The object's layer.
        background: Name of the other layer and its image (1, C, H, W).
    """

    composer: Composer
    name: str
    background: tuple[str, Tensor]

    @property
    def dim(self) -> int:
        """Length of the object's latent."""
        return self.composer.latent_dims[self.name]

    @property
    def placement(self) -> PlacementPrior | None:
        """Places the object; None if it cannot be moved."""
        fusion = cast(MatteFusion, self.composer.fusion)
        return cast(PlacementPrior, fusion.placements[self.name]) if self.name in fusion.placements else None

    @property
    def placement_slice(self) -> slice | None:
        """Where a latent of object and placement holds the placement's numbers."""
        return None if self.placement is None else slice(self.dim, self.dim + PLACEMENT_DIM)

    def __call__(self, z: Tensor) -> Tensor:
        """Fused images and the object's matte, (N, 4, H, W), of latents of object and placement (N, dim or dim + `PLACEMENT_DIM`)."""
        background_name, background = self.background
        images = {self.name: self.composer.render_layer(self.name, z[:, : self.dim]), background_name: background.expand(len(z), -1, -1, -1)}
        fused = self.composer.fuse(images, None if self.placement is None else z[:, self.dim :])
        assert fused.matte is not None
        return torch.cat([fused.image, fused.matte], dim=1)

    @torch.no_grad()
    def place_over(self, z: Tensor, hidden: Tensor) -> Tensor:
        """Append placements that lay objects (N, dim) over the hidden part (1, H, W); about half of them are mirrored."""
        if self.placement is None:
            return z
        size, x, y = _moments(split_premultiplied(self.composer.render_layer(self.name, z)).alpha)
        hidden_size, hidden_x, hidden_y = _moments(hidden[None])
        scale, flip = hidden_size / size, torch.where(z[:, 0] < 0, -1.0, 1.0)
        transform = LayerTransform(scale, hidden_x - flip * scale * x, hidden_y - scale * y, flip)
        return torch.cat([z, self.placement.to_latent(transform)], dim=1)


class MatteGuidedCost(InversionCost):
    """The cost plus the cross-entropy of the object's matte with the hidden part during a search.

    Args:
        renderer: Renders images with mattes.
        cost: Gives target and weights.
        hidden: How far each pixel is hidden, (1, H, W) in [0, 1].
        settings: Gives the prior.
    """

    def __init__(self, renderer: ForegroundRenderer, cost: InversionCost, hidden: Tensor, settings: InversionSettings) -> None:
        jumps = () if renderer.placement is None else (renderer.dim + PLACEMENT_DIM - 1,)
        super().__init__(renderer, cost.target[0], cost.weight[0], settings, jumps=jumps, clip_reference=cost.clip_reference)
        self._hidden = hidden[None]

    def start_value(self, z: Tensor, images: Tensor) -> Tensor:
        """Cost (N,) by which random starts are chosen."""
        return self.search_value(z, images, 1.0)

    def search_value(self, z: Tensor, images: Tensor, remaining: float) -> Tensor:
        """Cost (N,) of latents (N, D) and their images with mattes (N, 4, H, W); see `InversionCost`."""
        matte = images[:, RGB:].clamp(MIN_OPACITY, MAX_OPACITY)
        entropy = -(self._hidden * matte.log() + (1 - self._hidden) * (1 - matte).log()) * self.weight
        return self.value(z, images) + MATTE_WEIGHT * remaining * entropy.mean((1, 2, 3)) / self.weight.mean()


def fit_foreground(
    renderer: ForegroundRenderer, cost: InversionCost, hidden: Tensor, settings: InversionSettings, progress: SearchProgress, attempt: int = 0
) -> Tensor:  # fmt: skip
    """Fit the object in front of a background.

    Args:
        renderer: Renders objects in front of it.
        cost: Gives target and weights.
        hidden: How far each pixel is hidden, (1, H, W) in [0, 1].
        settings: Gives the numbers of starts, restarts and steps.
        progress: Receives the reports.
        attempt: Decides the random starts, together with the seed.

    Returns:
        Latent of object and placement, (dim or dim + `PLACEMENT_DIM`,).
    """
    settings = settings.with_more_restarts(RESTARTS_FACTOR).scaled(**EFFORT_FACTORS)
    guided = MatteGuidedCost(renderer, cost, hidden, settings)
    (starts,) = best_random_starts([guided], renderer.dim, settings, progress, attempt, lambda z: renderer.place_over(z, hidden))
    z = optimise(guided, starts, settings, progress, renderer.placement_slice, attempt)
    return refine(guided, z, settings, progress)[0]


def _moments(mass: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return size and centre (x, y) of masses (N, 1, H, W), each (N,), where the image extends from -1 to 1."""
    total = mass.sum((1, 2, 3)).clamp_min(1e-6)
    y, x = (torch.linspace(1 / length - 1, 1 - 1 / length, length, device=mass.device) for length in mass.shape[2:])
    return total.sqrt(), (mass.sum((1, 2)) * x).sum(1) / total, (mass.sum((1, 3)) * y).sum(1) / total
