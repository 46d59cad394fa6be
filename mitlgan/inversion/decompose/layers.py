"""Decomposition of a composition into its layers: first the background, then the object in front of it.

A search for both at once rarely ends at the true layers: whatever the background does not explain yet pulls at the object, and the other way round.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from mitlgan.images.alpha import to_opaque_rgb
from mitlgan.inversion.cost import InversionCost
from mitlgan.inversion.decompose.background import fit_background
from mitlgan.inversion.decompose.foreground import ForegroundRenderer, fit_foreground
from mitlgan.inversion.progress import SearchProgress
from mitlgan.inversion.settings import InversionSettings
from mitlgan.networks import PLACEMENT_LATENT, Composer
from mitlgan.networks.fusion.matte_fusion import MatteFusion
from mitlgan.networks.translators.bounded_residual import BoundedResidual

LAYER_GOAL_DB = 50.0
"""PSNR above which errors of the object come from the background, and are left to refining both together."""
INVERSION_STEPS = 24
"""Fixed-point iterations that invert a residual translator; each about halves the error."""


@dataclass(frozen=True, eq=False)
class LayerDecomposer:
    """Decomposes images of a composer with two layers, of which the front one brings its own matte.

    Attributes:
        composer: The composer.
        background: Name of the back layer.
        foreground: Name of the front layer.
    """

    composer: Composer
    background: str
    foreground: str

    @classmethod
    def for_network(cls, network: nn.Module) -> LayerDecomposer | None:
        """Return the decomposer of a network; None if it has other layers, or a translator that repaints the image."""
        if not isinstance(network, Composer) or not isinstance(network.fusion, MatteFusion):
            return None
        fusion = network.fusion
        if len(fusion.order) != 2 or len(fusion.mattes) or not isinstance(network.translator, (nn.Identity, BoundedResidual)):
            return None
        return cls(network, *fusion.order)

    def decompose(self, cost: InversionCost, settings: InversionSettings, progress: SearchProgress, attempt: int = 0) -> Tensor:
        """Fit the layers one by one.

        Args:
            cost: Gives the target.
            settings: Gives the numbers of starts, restarts and steps.
            progress: Receives the reports.
            attempt: Decides the random starts, together with the seed.

        Returns:
            A latent (D,) of the composer; refining it as a whole improves it further.
        """
        composer = self.composer
        settings = replace(settings, goal_db=min(settings.goal_db, LAYER_GOAL_DB))
        fused = self._invert_translator(cost.target)[0]
        layer_cost = InversionCost(self._render_background, fused, cost.weight[0], settings, clip_reference=cost.target[0])
        background_z, hidden = fit_background(layer_cost, composer.latent_dims[self.background], settings, progress, attempt)
        with torch.no_grad():
            background = self._render_background(background_z[None])
        renderer = ForegroundRenderer(composer, self.foreground, (self.background, background))
        z = fit_foreground(renderer, layer_cost, hidden, settings, progress, attempt)
        parts = {self.background: background_z, self.foreground: z[: renderer.dim], PLACEMENT_LATENT: z[renderer.dim :]}
        return torch.cat([parts[name] for name in composer.latent_dims])

    def _render_background(self, z: Tensor) -> Tensor:
        return to_opaque_rgb(self.composer.render_layer(self.background, z))

    @torch.no_grad()
    def _invert_translator(self, output: Tensor) -> Tensor:
        """Return the translator's input for an output (1, 3, H, W): x = output - residual(x), by fixed-point iteration."""
        translator = self.composer.translator
        if not isinstance(translator, BoundedResidual):
            return output
        image = output
        for _ in range(INVERSION_STEPS):
            image = output - translator.residual(image)
        return image
