"""What a latent costs: how far its picture is from the one that is looked for, and how improbable it is by itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from mitlgan.artifacts.loaded_artifact import LoadedArtifact
from mitlgan.images.alpha import to_opaque_rgb
from mitlgan.inversion.settings import Settings
from mitlgan.metrics.extractors.features import Extractor
from mitlgan.networks import Composer

CHUNK = 64
FLOOR = 1e-9
"""Mean squared error over [0, 1] below which nothing gets better: a hundredth of what rounding to 8 bits makes is 1.3e-8."""
DIFFERENCE = 1e-2
"""Step of the finite differences: the networks bend over distances of about 1, and float32 still has four digits of what changes."""


def renderer(artifact: LoadedArtifact) -> Callable[[Tensor], Tensor]:
    """The artifact as a function of latents (N, D) that gradients go through: images (N, C, H, W), not clamped."""
    network = artifact.network
    if isinstance(network, Composer):
        return lambda z: network.layers_with_grad(z).output
    return network


class Wanted(Protocol):
    """What a search by random starts and gradients must know: `Aim`, or another cost of the same form.

    Attributes:
        target: (1, C, H, W).
        render: Images of latents; they may have more channels than the target, which are not shown.
    """

    target: Tensor
    render: Callable[[Tensor], Tensor]

    def cost(self, z: Tensor, images: Tensor, *, perceptual: bool) -> Tensor:
        """The cost (N,) of latents (N, D) and their images (N, C, H, W)."""
        ...

    def searched(self, z: Tensor, images: Tensor, left: float) -> Tensor:
        """The cost (N,) that a search goes by, of whose way a share `left` in [0, 1] is still to come."""
        ...

    def errors(self, images: Tensor) -> Tensor:
        """Mean squared error (N,) over [0, 1] of images (N, C, H, W)."""
        ...


@dataclass(frozen=True, eq=False)
class Slope:
    """What is known of pictures near a latent of D numbers.

    Attributes:
        residuals: At the latent, (R,).
        change: How they change with each of its numbers, (D, R).
        fresh: Whether this was measured there, not carried on from somewhere near.
    """

    residuals: Tensor
    change: Tensor
    fresh: bool = True

    def carried(self, moved: Tensor, residuals: Tensor) -> Slope:
        """The slope at another latent, `moved` (D,) away, with residuals (R,): changed as little as explains these (Broyden 1965, equation 4.5).

        Numbers that did not change anything before do not now.
        """
        flat = self.change.abs().amax(1) == 0
        moved = moved.masked_fill(flat, 0)
        length = moved.square().sum().clamp_min(1e-20)
        surprise = residuals - self.residuals - moved @ self.change
        return Slope(residuals, self.change + moved[:, None] * surprise / length, fresh=False)

    def times(self, factor: Tensor) -> Slope:
        """The slope of residuals that are each multiplied by a factor (R,)."""
        return Slope(self.residuals * factor, self.change * factor, self.fresh)


class Aim:
    """One picture that is looked for.

    The cost of a latent z of D numbers is

        log(e(z) + perceptual p(z)) + prior |z|^2 / V

    with e the mean squared error over [0, 1] of the V values that count (each pixel's channels, by its weight) and p the perceptual distance: the
    squared distance of features, relative to the target's. It is, up to constants, -2/V log of the posterior of z for normal latents and normal errors
    whose variance is unknown and takes its most likely value: the better the picture is met, the less the prior counts, so that a picture that the
    artifact can make is found as it is, and another is explained by a latent that is not absurd.

    Args:
        render: Images of latents.
        target: (C, H, W) in [-1, 1].
        weight: (1, H, W) in [0, 1], 0 where anything may be; None: all counts.
        settings: Weights.
        extractor: Of features; None: no perceptual distance.
        jumps: Which of a latent's numbers have no slope but a jump: those that mirror a layer.
        shown: (C, H, W), whose burnt-out values say where beyond the target is no farther from it; None: the target.
        around: Of one latent (D,) images (D + 1, C, H, W) whose differences from the first are nearly those of the pictures of this latent and of those
            that are `DIFFERENCE` from it in one number; None: those pictures themselves.
    """

    def __init__(
        self, render: Callable[[Tensor], Tensor], target: Tensor, weight: Tensor | None, settings: Settings, extractor: Extractor | None,
        jumps: Sequence[int] = (), shown: Tensor | None = None, around: Callable[[Tensor], Tensor] | None = None,
    ) -> None:  # fmt: skip
        self.render = render
        self.target = target[None]
        self._settings = settings
        self._shown = target if shown is None else shown
        self._upper, self._lower = self._shown[None] >= 1, self._shown[None] <= -1
        weight = torch.ones_like(target[:1]) if weight is None else weight
        self.weight = weight[None]  # (1, 1, H, W)
        self.values = float(weight.sum()) * target.shape[0]
        self.prior = settings.prior / self.values
        self._jumps = list(jumps)
        self._around = around
        self._extractor = extractor
        self._perceptual = settings.perceptual
        self._wanted: Tensor | None = None
        if extractor is not None:
            with torch.no_grad():
                self._wanted = self._features(self.target)
                self._length = float(torch.linalg.vector_norm(self._wanted))

    def of(
        self, render: Callable[[Tensor], Tensor], weight: Tensor | None = None, jumps: Sequence[int] = (), settings: Settings | None = None
    ) -> Aim:  # fmt: skip
        """The same picture looked for by its pixels among other images, with other weights (1, H, W) and settings, if they are given."""
        weight = self.weight[0] if weight is None else weight
        return Aim(render, self.target[0], weight, settings or self._settings, None, jumps, self._shown)

    @property
    def sees(self) -> bool:
        """Whether there is a perceptual distance."""
        return self._wanted is not None

    def compared(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W) as they count: where the target is burnt out, beyond is no farther from it."""
        bright, dark = torch.minimum(images, self.target), torch.maximum(images, self.target)
        return torch.where(self._upper, bright, torch.where(self._lower, dark, images))

    def by_pixel(self, images: Tensor) -> Tensor:
        """Squared errors (N, 1, H, W) over [0, 1] of images (N, C, H, W), whatever weight the pixels have."""
        return ((self.compared(images) - self.target) / 2).square().mean(1, keepdim=True)

    def errors(self, images: Tensor) -> Tensor:
        """Mean squared error (N,) over [0, 1] of images (N, C, H, W) in [-1, 1]."""
        return self._pixels(images).square().sum(1)

    def perceptual(self, images: Tensor) -> Tensor:
        """Perceptual distance (N,) of images (N, C, H, W) in [-1, 1]; 0 without an extractor."""
        return images.new_zeros(len(images)) if self._wanted is None else self._seen(images).square().sum(1)

    def cost(self, z: Tensor, images: Tensor, *, perceptual: bool) -> Tensor:
        """The cost (N,) of latents (N, D) and their images (N, C, H, W)."""
        distance = self.errors(images)
        if perceptual and self._wanted is not None:
            distance = distance + self._perceptual * self.perceptual(images)
        return (distance + FLOOR).log() + self.prior * z.square().sum(1)

    def searched(self, z: Tensor, images: Tensor, left: float) -> Tensor:
        """The cost (N,), whatever is left of the search."""
        return self.cost(z, images, perceptual=True)

    def residuals(self, images: Tensor, *, perceptual: bool) -> Tensor:
        """Vectors (N, R) whose squared length is the distance of images (N, C, H, W)."""
        parts = [self._pixels(images)]
        if perceptual and self._wanted is not None:
            parts.append(self._perceptual**0.5 * self._seen(images))
        return torch.cat(parts, dim=1)

    @torch.no_grad()
    def linearised(self, z: Tensor, *, perceptual: bool) -> Slope:
        """The slope at one latent (D,), by finite differences.

        Forward differentiation would need rules that torch lacks for some operations; differences need as many images.
        """
        if self._around is None:
            images = torch.cat([self.render(part) for part in torch.split(beside(z), CHUNK)])
        else:
            near = self._around(z)
            images = self.render(z[None]) + near - near[:1]
        found = torch.cat([self.residuals(part, perceptual=perceptual) for part in torch.split(images, CHUNK)])
        change = (found[1:] - found[:1]) / DIFFERENCE
        change[self._jumps] = 0
        return Slope(found[0], change)

    def rescaled(self, other: Aim) -> Tensor:
        """By what residuals (R,) of this picture's pixels are to be multiplied to be those of another aim at it, with other weights; 0 for none."""
        scale, wanted = ((aim.weight / aim.values).sqrt().expand_as(self.target).flatten() for aim in (self, other))
        return torch.where(scale > 0, wanted / scale, 0)

    def _pixels(self, images: Tensor) -> Tensor:
        return ((self.compared(images) - self.target) / 2 * (self.weight / self.values).sqrt()).flatten(1)

    def _seen(self, images: Tensor) -> Tensor:
        assert self._wanted is not None
        apart: Tensor = (self._features(images) - self._wanted) / self._length
        return apart

    def _features(self, images: Tensor) -> Tensor:
        assert self._extractor is not None
        shown = to_opaque_rgb(images.clamp(-1, 1)) * self.weight  # what may be anything is grey in both
        return self._extractor.differentiable(shown)


def beside(z: Tensor) -> Tensor:
    """A latent (D,), and each that is `DIFFERENCE` from it in one number: (D + 1, D)."""
    return torch.cat([z[None], z + DIFFERENCE * torch.eye(len(z), device=z.device)])
