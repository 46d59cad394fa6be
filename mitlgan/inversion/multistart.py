"""From random latents to a few good ones: many looked at, the nearest improved together, the worst dropped (successive halving)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from mitlgan.inversion.cost import CHUNK, Wanted
from mitlgan.inversion.placement_search import Places, better_places
from mitlgan.inversion.progress import Teller
from mitlgan.inversion.settings import Settings
from mitlgan.metrics.psnr import psnr_db
from mitlgan.runtime.randomness import random_generator, sample_normal

WARM_UP = 0.1
NOISY = 0.75
REPLACED_EVERY = 10
BETAS = (0.9, 0.99)


@torch.no_grad()
def nearest_starts(aims: Sequence[Wanted], known: Tensor, dim: int, settings: Settings, clock: Teller) -> list[Tensor]:
    """The best of many random latents, for each picture; all pictures look at the same ones.

    Args:
        aims: One for each picture.
        known: Latents (N, K, D) that are tried besides, for each picture its own; K may be 0.
        dim: D.
        settings: How many are drawn and kept.
        clock: Told after each chunk.

    Returns:
        For each picture (`restarts` times `attempts`, D), the best first.
    """
    device = aims[0].target.device
    kept = [(known[index], _costs(aim, known[index])) for index, aim in enumerate(aims)]
    for first in range(0, settings.starts, CHUNK):
        count = min(CHUNK, settings.starts - first)
        z = sample_normal((count, dim), random_generator(settings.seed, "embed/starts", first // CHUNK), device)
        images = aims[0].render(z)
        for index, aim in enumerate(aims):
            together = torch.cat([kept[index][0], z]), torch.cat([kept[index][1], aim.cost(z, images, perceptual=False)])
            best = together[1].argsort(stable=True)[: settings.restarts * settings.attempts]
            kept[index] = together[0][best], together[1][best]
        if clock.tell("starts", first + count, settings.starts) is not None:
            break
    return [z for z, _ in kept]


def improved(aim: Wanted, z: Tensor, settings: Settings, clock: Teller, place: Places | None = None, attempt: int = 0) -> Tensor:
    """Improve latents together by Adam, dropping the worse half at a quarter, a half and three quarters of the way.

    Args:
        aim: What they cost.
        z: (K, D).
        settings: Steps, rate, noise.
        clock: Told after each step.
        place: The numbers that place layers, which are tried elsewhere now and then; see `mitlgan.inversion.placement_search`.
        attempt: Which; each has noise of its own.

    Returns:
        (K', D) with K' at least 1, the best first: each latent's best so far.
    """
    state = _Adam(z)
    best, costs = z.clone(), torch.full((len(z),), math.inf, device=z.device)
    for step in range(settings.steps):
        if place is not None and step % REPLACED_EVERY == 0:
            state.z = better_places(aim, state.z, place, settings.seed, step)
        jitter = settings.noise * max(0.0, 1 - step / (NOISY * settings.steps)) ** 2
        noise = sample_normal(tuple(z.shape), random_generator(settings.seed, f"embed/noise/{attempt}", step), z.device)[: len(state.z)] * jitter
        at = (state.z + noise).requires_grad_()
        images = aim.render(at)
        cost = aim.searched(at, images, 1 - step / settings.steps)
        (gradient,) = torch.autograd.grad(cost.sum(), at)
        better = cost.detach() < costs
        best = torch.where(better[:, None], at.detach(), best)
        costs = torch.where(better, cost.detach(), costs)
        state.step(gradient, settings.learning_rate * _rate(step, settings.steps))
        if step + 1 in {settings.steps * quarter // 4 for quarter in (1, 2, 3)} and len(best) > 1:
            chosen = costs.argsort(stable=True)[: math.ceil(len(best) / 2)]
            best, costs = best[chosen], costs[chosen]
            state.keep(chosen)
        leader = int(costs.argmin())
        if clock.tell("search", step + 1, settings.steps, *shown(aim, best[leader])) is not None:
            break
    return best[costs.argsort(stable=True)]


@torch.no_grad()
def shown(aim: Wanted, z: Tensor) -> tuple[float, Tensor, Tensor]:
    """Of a latent (D,): PSNR (dB) of its picture, itself, its picture (C, H, W) in [-1, 1]."""
    image = aim.render(z[None])[:, : aim.target.shape[1]].clamp(-1, 1)
    return psnr_db(float(aim.errors(image)[0])), z, image[0].cpu()


def _rate(step: int, steps: int) -> float:
    warm = max(1, round(WARM_UP * steps))
    return min(1.0, (step + 1) / warm) * (1 + math.cos(math.pi * step / steps)) / 2


@torch.no_grad()
def _costs(aim: Wanted, z: Tensor) -> Tensor:
    parts = [aim.cost(part, aim.render(part), perceptual=False) for part in torch.split(z, CHUNK) if len(part)]
    return torch.cat(parts) if parts else z.new_empty(0)


class _Adam:
    """Adam (Kingma & Ba 2015) on rows that can be dropped on the way, which torch's keeps no account of."""

    def __init__(self, z: Tensor) -> None:
        self.z = z.clone()
        self._mean, self._square = torch.zeros_like(z), torch.zeros_like(z)
        self._steps = 0

    def step(self, gradient: Tensor, rate: float) -> None:
        self._steps += 1
        self._mean = BETAS[0] * self._mean + (1 - BETAS[0]) * gradient
        self._square = BETAS[1] * self._square + (1 - BETAS[1]) * gradient.square()
        mean, square = self._mean / (1 - BETAS[0] ** self._steps), self._square / (1 - BETAS[1] ** self._steps)
        self.z = self.z - rate * mean / (square.sqrt() + 1e-8)

    def keep(self, chosen: Tensor) -> None:
        self.z, self._mean, self._square = self.z[chosen], self._mean[chosen], self._square[chosen]
