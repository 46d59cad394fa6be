"""The background of a composition: a layer fitted to the pixels that no object hides.

Which pixels these are is unknown, so wrong pixels count less (Geman & McClure 1985): first in the cost of a search, then by weights that are renewed
before each step of a refinement (iteratively reweighted least squares).
"""

from __future__ import annotations

import torch
from torch import Tensor

from mitlgan.inversion.cost import InversionCost
from mitlgan.inversion.levenberg_marquardt import initial_state, lm_step
from mitlgan.inversion.multistart import best_random_starts, optimise, progress_values
from mitlgan.inversion.progress import SearchProgress
from mitlgan.inversion.settings import InversionSettings

SEARCH_SCALE = 0.1
"""Deviation over [0, 1] at which a pixel counts half during the search."""
MIN_SCALE = 3 / 255
"""Smallest such deviation during the refinement: about that of rounding and of an inverted translator."""
SCALE_QUANTILE, SCALE_FACTOR = 0.4, 2.0
"""During the refinement it is this multiple of this quantile of the deviations."""
RESTARTS_FACTOR = 2
DAMPING = 0.1
"""Initial damping: weights that change call for careful first steps."""


class RobustCost(InversionCost):
    """The cost with squared errors e replaced by e / (e + scale^2)."""

    def mse(self, images: Tensor) -> Tensor:
        """Weighted mean (N,) of the robust errors of images (N, C, H, W)."""
        errors = self.per_pixel_error(images)
        return (errors / (errors + SEARCH_SCALE**2) * self.weight).sum((1, 2, 3)) / self.weight.sum()


def fit_background(cost: InversionCost, dim: int, settings: InversionSettings, progress: SearchProgress, attempt: int = 0) -> tuple[Tensor, Tensor]:
    """Fit a layer behind an object.

    Args:
        cost: Gives the layer's images and the target.
        dim: Length of the layer's latents.
        settings: Gives the numbers of starts, restarts and steps.
        progress: Receives the reports.
        attempt: Decides the random starts, together with the seed.

    Returns:
        The layer's latent (D,), and how far each pixel is hidden by something else, (1, H, W) in [0, 1].
    """
    robust = RobustCost(cost.render, cost.target[0], cost.weight[0], settings, clip_reference=cost.clip_reference)
    more = settings.with_more_restarts(RESTARTS_FACTOR)
    (starts,) = best_random_starts([robust], dim, more, progress, attempt)
    z = _reweighted_refine(cost, optimise(robust, starts, more, progress, attempt=attempt)[0], settings, progress)
    return z, _outliers(cost, z)


def _reweighted_refine(cost: InversionCost, z: Tensor, settings: InversionSettings, progress: SearchProgress) -> Tensor:
    state, measured = initial_state(cost, z), 0
    state.damping = DAMPING
    while measured < settings.polish_steps and not state.settled:
        weight = (1 - _outliers(cost, state.z)).square() * cost.weight[0]
        weighted = cost.with_renderer(cost.render, weight)
        state.move_to(weighted, state.z)
        measured += state.jacobian is None
        lm_step(weighted, state)
        if progress.report("polish", measured, settings.polish_steps, *progress_values(weighted, state.z)) is not None:
            break
    return state.z


@torch.no_grad()
def _outliers(cost: InversionCost, z: Tensor) -> Tensor:
    """Return how far each pixel belongs to another layer than the image of a latent (D,), (1, H, W) in [0, 1]."""
    errors, counts = cost.per_pixel_error(cost.render(z[None]))[0], cost.weight[0] > 0
    squared_scale = max(MIN_SCALE**2, SCALE_FACTOR**2 * float(errors[counts].quantile(SCALE_QUANTILE)))
    return errors / (errors + squared_scale) * counts
