"""The last stretch by second order: Levenberg-Marquardt on the pixels.

A latent has few numbers, so all first derivatives of a picture can be had, and the sum of squares is followed to its bottom, where gradient descent
would creep (Levenberg 1944, Marquardt 1963).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mitlgan.embed.aim import FLOOR, Aim
from mitlgan.embed.clock import Ended, Teller
from mitlgan.embed.places import better_places
from mitlgan.embed.search import shown
from mitlgan.embed.settings import Settings

TRIALS = 8
FIRST_DAMPING = 1e-2
LEAST_DAMPING = 1e-7
GROWTH = 3.0
SLOWEST = 1e-3
"""Relative decrease of the distance in a step below which a latent does not move any more, for `PATIENCE` steps."""
PATIENCE = 4
FIRST_ROUND = 8
"""Steps that each restart gets before the first halving; each further round has twice as many."""


@dataclass
class Climber:
    """One latent on its way down."""

    z: Tensor
    cost: float
    error: float
    damping: float = FIRST_DAMPING
    slow: int = 0

    @property
    def settled(self) -> bool:
        """Whether it does not move any more."""
        return self.slow >= PATIENCE


def polished(aim: Aim, starts: Tensor, settings: Settings, clock: Teller, place: slice | None = None) -> tuple[Tensor, Ended]:
    """Follow latents to the bottom, all for some steps, then the better half for twice as many, and so on.

    Args:
        aim: What they cost.
        starts: (K, D), at least one.
        settings: Steps and goal.
        clock: Told after each step.
        place: As `improved` takes it.

    Returns:
        The best (D,), and why it ended.
    """
    climbers = [begun(aim, z) for z in starts]
    taken, length = 0, FIRST_ROUND
    goal = 10 ** (-settings.goal_db / 10)
    while True:
        for climber in climbers:
            for _ in range(length):
                if climber.error <= goal:
                    return climber.z, "goal"
                ended = clock.over or ("steps" if taken >= settings.polish_steps else None)
                if ended is not None:
                    return min(climbers, key=_by_cost).z, ended
                if climber.settled:
                    break
                if place is not None:
                    _replace(aim, climber, better_places(aim, climber.z[None], place, settings.seed, settings.steps + taken)[0])
                step(aim, climber)
                taken += 1
                best = min(climbers, key=_by_cost)
                clock.tell("polish", taken, settings.polish_steps, *shown(aim, best.z))
        climbers.sort(key=_by_cost)
        climbers, length = climbers[: (len(climbers) + 1) // 2], 2 * length
        if len(climbers) == 1 and climbers[0].settled:
            return climbers[0].z, "goal" if climbers[0].error <= goal else "settled"


def _by_cost(climber: Climber) -> float:
    return climber.cost


@torch.no_grad()
def begun(aim: Aim, z: Tensor) -> Climber:
    """A latent (D,) at the beginning of its way."""
    images = aim.render(z[None])
    return Climber(z, float(aim.cost(z[None], images, perceptual=True)[0]), float(aim.errors(images)[0]))


@torch.no_grad()
def _replace(aim: Aim, climber: Climber, z: Tensor) -> None:
    """Go on from another place, if it costs less."""
    other = begun(aim, z)
    if other.cost < climber.cost:
        climber.z, climber.cost, climber.error = other.z, other.cost, other.error


@torch.no_grad()
def step(aim: Aim, climber: Climber) -> None:
    """One step of a latent: the damping grows until the cost falls."""
    z = climber.z
    residuals, change = aim.linearised(z, perceptual=True)  # (R,), (D, R)
    distance = float(residuals.square().sum()) + FLOOR
    # In double precision: near the bottom the normal equations' smallest numbers would drown in the largest's rounding.
    normal, slope = (change @ change.T).double(), (change @ residuals).double() + aim.prior * distance * z.double()
    normal.diagonal().add_(aim.prior * distance)
    scale = normal.diagonal().mean()
    for _ in range(TRIALS):
        damped = normal + climber.damping * scale * torch.eye(len(z), device=z.device, dtype=torch.float64)
        there = z - torch.linalg.solve(damped, slope).to(z.dtype)
        images = aim.render(there[None])
        cost = float(aim.cost(there[None], images, perceptual=True)[0])
        if cost < climber.cost:
            climber.slow = climber.slow + 1 if climber.cost - cost < SLOWEST else 0
            climber.z, climber.cost, climber.error = there, cost, float(aim.errors(images)[0])
            climber.damping = max(climber.damping / GROWTH, LEAST_DAMPING)
            return
        climber.damping *= GROWTH
    climber.slow = PATIENCE
