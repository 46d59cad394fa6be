"""From many random latents to a few good ones: the best starts are optimised together, and the worse half is dropped again and again."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from mitlgan.inversion.cost import BATCH, InversionCost
from mitlgan.inversion.placement_search import best_placements
from mitlgan.inversion.progress import SearchProgress
from mitlgan.inversion.settings import InversionSettings
from mitlgan.metrics.psnr import psnr_db
from mitlgan.runtime.randomness import random_generator, sample_normal

WARM_UP_FRACTION = 0.1
NOISE_FRACTION = 0.75
"""Share of the steps over which the noise on the latents falls to zero."""
PLACEMENT_INTERVAL = 10
"""Steps between two trials of other placements."""
BETAS = (0.9, 0.99)


@torch.no_grad()
def best_random_starts(
    costs: Sequence[InversionCost], dim: int, settings: InversionSettings, progress: SearchProgress, attempt: int = 0,
    extend: Callable[[Tensor], Tensor] | None = None,
) -> list[Tensor]:  # fmt: skip
    """Draw random latents and return the best of them for each picture; all pictures share the same ones.

    Args:
        costs: One for each picture.
        dim: Length of the random latents.
        settings: Gives the numbers of starts, restarts and attempts.
        progress: Receives a report after each batch.
        attempt: Decides the random latents, together with the seed.
        extend: Appends numbers to latents (N, dim), such as a placement; None appends none.

    Returns:
        For each picture (restarts times attempts, D), the best first.
    """
    device = costs[0].target.device
    purpose = f"embed/starts/{attempt}" if attempt else "embed/starts"
    best: list[tuple[Tensor, Tensor] | None] = [None] * len(costs)  # latents and their values
    for first in range(0, settings.starts, BATCH):
        count = min(BATCH, settings.starts - first)
        z = sample_normal((count, dim), random_generator(settings.seed, purpose, first // BATCH), device)
        z = z if extend is None else extend(z)
        images = costs[0].render(z)
        for index, (cost, previous) in enumerate(zip(costs, best, strict=True)):
            latents, values = z, cost.start_value(z, images)
            if previous is not None:
                latents, values = torch.cat([previous[0], latents]), torch.cat([previous[1], values])
            order = values.argsort(stable=True)[: settings.restarts * settings.attempts]
            best[index] = latents[order], values[order]
        if progress.report("starts", first + count, settings.starts) is not None:
            break
    return [pair[0] for pair in best if pair is not None]


def optimise(
    cost: InversionCost, z: Tensor, settings: InversionSettings, progress: SearchProgress, placement: slice | None = None, attempt: int = 0
) -> Tensor:  # fmt: skip
    """Optimise latents together by Adam, dropping the worse half at a quarter, a half and three quarters of the steps.

    Args:
        cost: The cost that is minimised.
        z: (K, D).
        settings: Gives steps, learning rate and noise.
        progress: Receives a report after each step.
        placement: Where a latent holds placement numbers, which are also varied by trial; None if it has none.
        attempt: Decides the noise, together with the seed.

    Returns:
        The best of each remaining latent so far, (K', D) with K' at least 1, the best first.
    """
    adam = _Adam(z)
    best, values = z.clone(), torch.full((len(z),), math.inf, device=z.device)
    halvings = {settings.steps * quarter // 4 for quarter in (1, 2, 3)}
    for step in range(settings.steps):
        if placement is not None and step % PLACEMENT_INTERVAL == 0:
            adam.z = best_placements(cost, adam.z, placement, settings.seed, step)
        noise_scale = settings.noise * max(0.0, 1 - step / (NOISE_FRACTION * settings.steps)) ** 2
        noise = sample_normal(tuple(z.shape), random_generator(settings.seed, f"embed/noise/{attempt}", step), z.device)[: len(adam.z)]
        point = (adam.z + noise_scale * noise).requires_grad_()
        value = cost.search_value(point, cost.render(point), 1 - step / settings.steps)
        (gradient,) = torch.autograd.grad(value.sum(), point)
        better = value.detach() < values
        best = torch.where(better[:, None], point.detach(), best)
        values = torch.where(better, value.detach(), values)
        adam.step(gradient, settings.learning_rate * _learning_rate_factor(step, settings.steps))
        if step + 1 in halvings and len(best) > 1:
            survivors = values.argsort(stable=True)[: math.ceil(len(best) / 2)]
            best, values = best[survivors], values[survivors]
            adam.select(survivors)
        if progress.report("search", step + 1, settings.steps, *progress_values(cost, best[values.argmin()])) is not None:
            break
    return best[values.argsort(stable=True)]


@torch.no_grad()
def progress_values(cost: InversionCost, z: Tensor) -> tuple[float, Tensor]:
    """Return the PSNR (dB) of a latent (D,) and its image (C, H, W) in [-1, 1]."""
    image = cost.render(z[None])[:, : cost.target.shape[1]].clamp(-1, 1)
    return psnr_db(float(cost.mse(image)[0])), image[0].cpu()


def _learning_rate_factor(step: int, steps: int) -> float:
    warm_up = max(1, round(WARM_UP_FRACTION * steps))
    return min(1.0, (step + 1) / warm_up) * (1 + math.cos(math.pi * step / steps)) / 2


class _Adam:
    """Adam (Kingma & Ba 2015) on rows that can be dropped on the way, which torch's does not support."""

    def __init__(self, z: Tensor) -> None:
        self.z = z.clone()
        self._mean, self._square = torch.zeros_like(z), torch.zeros_like(z)
        self._steps = 0

    def step(self, gradient: Tensor, learning_rate: float) -> None:
        self._steps += 1
        self._mean = BETAS[0] * self._mean + (1 - BETAS[0]) * gradient
        self._square = BETAS[1] * self._square + (1 - BETAS[1]) * gradient.square()
        mean, square = self._mean / (1 - BETAS[0] ** self._steps), self._square / (1 - BETAS[1] ** self._steps)
        self.z = self.z - learning_rate * mean / (square.sqrt() + 1e-8)

    def select(self, rows: Tensor) -> None:
        self.z, self._mean, self._square = self.z[rows], self._mean[rows], self._square[rows]
