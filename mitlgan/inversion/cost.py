"""The cost of a latent: the error of its image plus a prior on the latent itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mitlgan.artifacts.loaded_artifact import LoadedArtifact
from mitlgan.images.alpha import to_opaque_rgb
from mitlgan.inversion.settings import InversionSettings
from mitlgan.metrics.extractors.extractor import Extractor

BATCH = 64
"""Images that are rendered together."""
MIN_ERROR = 1e-9
"""Added to the error before its logarithm. A hundredth of the error of rounding to 8 bits is 1.3e-8, so nothing visible is lost."""
DIFFERENCE_STEP = 1e-2
"""Step of the finite differences: networks bend over distances of about 1, and float32 keeps four digits of the change."""

Renderer = Callable[[Tensor], Tensor]
"""Latents (N, D) to images (N, C, H, W), not clamped, with gradients to the latents."""


def make_renderer(artifact: LoadedArtifact) -> Renderer:
    """Return the artifact as a function of latents through which gradients flow."""
    composer = artifact.composer
    return artifact.network if composer is None else lambda z: composer.layers(z, grad=True).output


@dataclass(frozen=True, eq=False)
class Jacobian:
    """Linear model of the residuals near a latent.

    Attributes:
        residuals: At the latent, (R,).
        derivatives: With respect to each number of the latent, (D, R).
        exact: Whether they were measured at the latent, rather than updated from a nearby one.
    """

    residuals: Tensor
    derivatives: Tensor
    exact: bool = True

    def broyden_update(self, step: Tensor, residuals: Tensor) -> Jacobian:
        """Return the least change that explains the residuals (R,) after a step (D,) (Broyden 1965, equation 4.5).

        Numbers without any effect before the step keep none.
        """
        step = step.masked_fill(self.derivatives.abs().amax(1) == 0, 0)
        surprise = residuals - self.residuals - step @ self.derivatives
        squared_length = step.square().sum().clamp_min(1e-20)
        return Jacobian(residuals, self.derivatives + step[:, None] * surprise / squared_length, exact=False)


class InversionCost:
    """The cost of latents for one target image.

    The cost of a latent z of D numbers is

        log(e(z) + perceptual p(z)) + prior |z|^2 / V

    with e the mean squared error over [0, 1] of the V values that count (each pixel's channels, times its weight), and p the squared distance of
    features relative to the target's. Up to constants this is the negative log posterior of z, scaled by 2/V, with normal latents and the variance of
    normal errors profiled out. So the prior matters less as the fit improves: an image of the artifact is recovered as it is, and any other image is
    explained by a plausible latent.

    Args:
        render: Images of latents; channels beyond the target's are ignored.
        target: (C, H, W) in [-1, 1].
        weight: (1, H, W) in [0, 1], 0 where any value will do; None weighs all pixels alike.
        settings: Gives the prior and the weight of the perceptual distance.
        extractor: Network of the perceptual distance; None for none.
        jumps: Indices of numbers without a derivative: those that mirror a layer.
        clip_reference: (C, H, W), where its values are at the limits, values beyond the target count as no error; None takes the target.
    """

    def __init__(
        self, render: Renderer, target: Tensor, weight: Tensor | None, settings: InversionSettings, *, extractor: Extractor | None = None,
        jumps: Sequence[int] = (), clip_reference: Tensor | None = None,
    ) -> None:  # fmt: skip
        self.render = render
        self.target = target[None]
        self.settings = settings
        self.clip_reference = target if clip_reference is None else clip_reference
        self.weight = torch.ones_like(self.target[:, :1]) if weight is None else weight[None]  # (1, 1, H, W)
        self._value_count = float(self.weight.sum()) * len(target)
        self.prior = settings.prior / self._value_count
        self._jumps = list(jumps)
        self._extractor = extractor
        self._target_features: Tensor | None = None
        if extractor is not None:
            with torch.no_grad():
                self._target_features = self._features(self.target)

    def with_renderer(self, render: Renderer, weight: Tensor | None = None) -> InversionCost:
        """Return the same cost for other images and weights (1, H, W), by pixels only."""
        return InversionCost(render, self.target[0], self.weight[0] if weight is None else weight, self.settings, clip_reference=self.clip_reference)

    @property
    def has_perceptual(self) -> bool:
        """Whether the cost has a perceptual distance."""
        return self._target_features is not None

    def value(self, z: Tensor, images: Tensor, *, perceptual: bool = True) -> Tensor:
        """Cost (N,) of latents (N, D) and their images (N, C, H, W)."""
        error = self.mse(images)
        if perceptual and self.has_perceptual:
            error = error + self.settings.perceptual * self.perceptual_distance(images)
        return (error + MIN_ERROR).log() + self.prior * z.square().sum(1)

    def start_value(self, z: Tensor, images: Tensor) -> Tensor:
        """Cost (N,) by which random starts are chosen."""
        return self.value(z, images, perceptual=False)

    def search_value(self, z: Tensor, images: Tensor, remaining: float) -> Tensor:
        """Cost (N,) that a search follows while a share of its steps, `remaining` in [0, 1], is left."""
        return self.value(z, images)

    def mse(self, images: Tensor) -> Tensor:
        """Weighted mean squared error (N,) over [0, 1] of images (N, C, H, W) in [-1, 1]."""
        return (self._deviations(images).square() * self.weight / self._value_count).flatten(1).sum(1)

    def per_pixel_error(self, images: Tensor) -> Tensor:
        """Squared errors (N, 1, H, W) over [0, 1] of images (N, C, H, W), without the weights."""
        return self._deviations(images).square().mean(1, keepdim=True)

    def perceptual_distance(self, images: Tensor) -> Tensor:
        """Perceptual distance (N,) of images (N, C, H, W) in [-1, 1]; 0 without an extractor."""
        return self._feature_deviations(images).square().sum(1) if self.has_perceptual else images.new_zeros(len(images))

    def residuals(self, images: Tensor) -> Tensor:
        """Vectors (N, R) of images (N, C, H, W); times `residual_weights`, their squared length is the error."""
        deviations = self._deviations(images).flatten(1)
        return torch.cat([deviations, self._feature_deviations(images)], dim=1) if self.has_perceptual else deviations

    @property
    def residual_weights(self) -> Tensor:
        """Factors of the residuals, (R,)."""
        pixels = (self.weight / self._value_count).sqrt().expand_as(self.target).flatten()
        if self._target_features is None:
            return pixels
        return torch.cat([pixels, torch.full_like(self._target_features[0], self.settings.perceptual**0.5)])

    @torch.no_grad()
    def jacobian(self, z: Tensor) -> Jacobian:
        """Measure the Jacobian at a latent (D,) by finite differences: torch lacks forward rules for some operations."""
        points = torch.cat([z[None], z + DIFFERENCE_STEP * torch.eye(len(z), device=z.device)])
        residuals = torch.cat([self.residuals(self.render(part)) for part in torch.split(points, BATCH)])
        derivatives = (residuals[1:] - residuals[:1]) / DIFFERENCE_STEP
        derivatives[self._jumps] = 0
        return Jacobian(residuals[0], derivatives)

    def _deviations(self, images: Tensor) -> Tensor:
        """Differences (N, C, H, W) over [0, 1]; beyond a clipped value of the target there is none."""
        images, limit = images[:, : self.target.shape[1]], self.clip_reference[None]
        bright, dark = torch.minimum(images, self.target), torch.maximum(images, self.target)
        return (torch.where(limit >= 1, bright, torch.where(limit <= -1, dark, images)) - self.target) / 2

    def _feature_deviations(self, images: Tensor) -> Tensor:
        assert self._target_features is not None
        deviations: Tensor = (self._features(images) - self._target_features) / torch.linalg.vector_norm(self._target_features)
        return deviations

    def _features(self, images: Tensor) -> Tensor:
        assert self._extractor is not None
        return self._extractor.differentiable(to_opaque_rgb(images.clamp(-1, 1)) * self.weight)  # weight 0 is grey in both
