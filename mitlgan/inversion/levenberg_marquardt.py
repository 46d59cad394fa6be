"""The last stretch by second order: Levenberg-Marquardt on the pixels.

A latent has few numbers, so all first derivatives of a picture can be had, and the sum of squares is followed to its bottom, where gradient descent
would creep (Levenberg 1944, Marquardt 1963). They cost as many pictures as there are numbers, so from one step to the next they are carried on by what
the step itself has shown (Broyden 1965), and measured again where that does not lead much farther.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from mitlgan.inversion.cost import FLOOR, Aim, Slope
from mitlgan.inversion.multistart import shown
from mitlgan.inversion.placement_search import Places, better_places
from mitlgan.inversion.progress import Ended, Teller
from mitlgan.inversion.settings import Settings

TRIALS, CARRIED_TRIALS = 8, 2
FIRST_DAMPING = 0.1
LEAST_DAMPING = 1e-7
GROWTH = 3.0
FAIR = 0.1
"""Share of what a step promises that it must bring: one that brings less went farther than its slope can be trusted, even if it led downwards."""
PROMISE = 1e-9
"""No step promises less: beyond it is rounding."""
WORTH = 0.1
"""Relative decrease of the distance in a step by a carried slope below which it is measured again."""
SLOWEST = 1e-3
"""Relative decrease of the distance in a step by a measured slope below which a latent does not move any more, for `PATIENCE` steps."""
PATIENCE = 4
FIRST_ROUND = 4
"""Measured slopes that each restart gets before the first halving; each further round has twice as many."""


@dataclass
class Climber:
    """One latent on its way down.

    Attributes:
        z: (D,).
        cost: Its cost.
        error: Its mean squared error over [0, 1].
        damping: Of the next step.
        slow: Steps by measured slopes in sequence that hardly led farther.
        slope: At it, if it is known and worth a step.
    """

    z: Tensor
    cost: float
    error: float
    damping: float = FIRST_DAMPING
    slow: int = 0
    slope: Slope | None = None

    @property
    def settled(self) -> bool:
        """Whether it does not move any more."""
        return self.slow >= PATIENCE


def polished(aim: Aim, starts: Tensor, settings: Settings, clock: Teller, place: Places | None = None) -> tuple[Tensor, Ended]:
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
            left = length
            while climber.slope is not None or left > 0:
                if climber.error <= goal:
                    return climber.z, "goal"
                ended = clock.over or ("steps" if climber.slope is None and taken >= settings.polish_steps else None)
                if ended is not None:
                    return min(climbers, key=by_cost).z, ended
                if climber.settled:
                    break
                if climber.slope is None:
                    taken, left = taken + 1, left - 1
                    if place is not None:
                        _replace(aim, climber, better_places(aim, climber.z[None], place, settings.seed, settings.steps + taken)[0])
                step(aim, climber)
                best = min(climbers, key=by_cost)
                clock.tell("polish", taken, settings.polish_steps, *shown(aim, best.z))
        climbers.sort(key=by_cost)
        climbers, length = climbers[: (len(climbers) + 1) // 2], 2 * length
        if len(climbers) == 1 and climbers[0].settled:
            return climbers[0].z, "goal" if climbers[0].error <= goal else "settled"


def by_cost(climber: Climber) -> float:
    """What climbers are compared by."""
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
    """One step of a latent: the damping grows until the cost falls as it should; a carried slope that leads nowhere is measured again."""
    slope = aim.linearised(climber.z, perceptual=True) if climber.slope is None else climber.slope
    if _stepped(aim, climber, slope, TRIALS if slope.fresh else CARRIED_TRIALS):
        return
    climber.slope = None
    if slope.fresh:
        climber.slow = PATIENCE


def _stepped(aim: Aim, climber: Climber, slope: Slope, trials: int) -> bool:
    """Whether a step led downwards; the damping follows from how much of what it promised it brought (Nielsen 1999, equation 2.8)."""
    z = climber.z
    residuals, change = slope.residuals, slope.change  # (R,), (D, R)
    distance = float(residuals.square().sum()) + FLOOR
    # In double precision: near the bottom the normal equations' smallest numbers would drown in the largest's rounding.
    normal, gradient = (change @ change.T).double(), (change @ residuals).double() + aim.prior * distance * z.double()
    normal.diagonal().add_(aim.prior * distance)
    scale = normal.diagonal().mean()
    for _ in range(trials):
        damped = normal + climber.damping * scale * torch.eye(len(z), device=z.device, dtype=torch.float64)
        moved = -torch.linalg.solve(damped, gradient).to(z.dtype)
        images = aim.render((z + moved)[None])
        cost = float(aim.cost((z + moved)[None], images, perceptual=True)[0])
        gained = climber.cost - cost
        promised = climber.cost - aim.prior * float((z + moved).square().sum()) - math.log(float((residuals + moved @ change).square().sum()) + FLOOR)
        kept = gained / max(promised, PROMISE)
        if gained > 0 and kept > FAIR:
            if slope.fresh:
                climber.slow = climber.slow + 1 if gained < SLOWEST else 0
            carried = slope.carried(moved, aim.residuals(images, perceptual=True)[0]) if gained > WORTH else None
            climber.z, climber.cost, climber.error, climber.slope = z + moved, cost, float(aim.errors(images)[0]), carried
            climber.damping = max(climber.damping * max(1 / GROWTH, 1 - (2 * kept - 1) ** 3), LEAST_DAMPING)
            return True
        climber.damping *= GROWTH
    return False
