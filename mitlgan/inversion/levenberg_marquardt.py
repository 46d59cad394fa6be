"""Local refinement of latents by Levenberg-Marquardt (Levenberg 1944, Marquardt 1963).

A latent has few numbers, so the whole Jacobian of its image can be measured, and the minimum is reached where gradient descent would crawl. A Jacobian
costs as many images as there are numbers. So it is updated from one step to the next (Broyden 1965), and measured again once that stops paying.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from mitlgan.inversion.cost import MIN_ERROR, InversionCost, Jacobian
from mitlgan.inversion.multistart import progress_values
from mitlgan.inversion.placement_search import best_placements
from mitlgan.inversion.progress import SearchProgress, StopReason
from mitlgan.inversion.settings import InversionSettings

MAX_TRIALS, MAX_BROYDEN_TRIALS = 10, 2
"""Dampings that a step tries with a measured Jacobian, and with an updated one."""
INITIAL_DAMPING = 1e-4
MIN_DAMPING = 1e-7
DAMPING_FACTOR = 3.0
MIN_GAIN_RATIO = 0.1
"""A step must bring this share of the decrease that the linear model predicts; with less, it left the region where the model holds."""
MIN_PREDICTED = 1e-9
"""Smaller predicted decreases are rounding."""
MIN_BROYDEN_GAIN = 0.1
"""Decrease of the cost in a step below which the Jacobian is measured again."""
STALL_DECREASE = 1e-3
"""Decrease of the cost below which a step with a measured Jacobian counts as stalled."""
PATIENCE = 4
"""Stalled steps in a row after which a latent has settled."""
FIRST_ROUND_JACOBIANS = 4
"""Jacobians for each latent before the first halving; each further round has twice as many."""


@dataclass
class LMState:
    """One latent on its way to a minimum.

    Attributes:
        z: (D,).
        value: Its cost.
        mse: Its mean squared error over [0, 1].
        damping: Damping of the next step.
        stalled: Stalled steps in a row.
        jacobian: Updated Jacobian at the latent; None if it must be measured.
    """

    z: Tensor
    value: float
    mse: float
    damping: float = INITIAL_DAMPING
    stalled: int = 0
    jacobian: Jacobian | None = None

    @property
    def settled(self) -> bool:
        """Whether further steps are useless."""
        return self.stalled >= PATIENCE

    @torch.no_grad()
    def move_to(self, cost: InversionCost, z: Tensor) -> None:
        """Continue from a latent (D,), or from the same one under another cost."""
        images = cost.render(z[None])
        self.z, self.value, self.mse = z, float(cost.value(z[None], images)[0]), float(cost.mse(images)[0])


def initial_state(cost: InversionCost, z: Tensor) -> LMState:
    """Return the state of a latent (D,) before the first step."""
    state = LMState(z, math.inf, math.inf)
    state.move_to(cost, z)
    return state


def refine(
    cost: InversionCost, starts: Tensor, settings: InversionSettings, progress: SearchProgress, placement: slice | None = None
) -> tuple[Tensor, StopReason]:  # fmt: skip
    """Refine latents, all for some steps, then the better half for twice as many, and so on.

    Args:
        cost: The cost that is minimised.
        starts: (K, D), at least one.
        settings: Gives steps and goal.
        progress: Receives a report after each step.
        placement: Where a latent holds placement numbers, which are also varied by trial; None if it has none.

    Returns:
        The best latent (D,), and why its refinement stopped.
    """
    states = [initial_state(cost, z) for z in starts]
    measured, length = 0, FIRST_ROUND_JACOBIANS
    goal = 10 ** (-settings.goal_db / 10)  # as a mean squared error
    while True:
        for state in states:
            remaining = length  # Jacobians to measure; steps with an updated one are free
            while state.jacobian is not None or remaining > 0:
                if state.mse <= goal:
                    return state.z, "goal"
                reason = progress.stop_reason or ("steps" if state.jacobian is None and measured >= settings.polish_steps else None)
                if reason is not None:
                    return min(states, key=_value).z, reason
                if state.settled:
                    break
                if state.jacobian is None:
                    measured, remaining = measured + 1, remaining - 1
                    if placement is not None:
                        trial = initial_state(cost, best_placements(cost, state.z[None], placement, settings.seed, settings.steps + measured)[0])
                        if trial.value < state.value:
                            state.move_to(cost, trial.z)
                lm_step(cost, state)
                progress.report("polish", measured, settings.polish_steps, *progress_values(cost, min(states, key=_value).z))
        states.sort(key=_value)
        states, length = states[: (len(states) + 1) // 2], 2 * length
        if len(states) == 1 and states[0].settled:
            return states[0].z, "goal" if states[0].mse <= goal else "settled"


@torch.no_grad()
def lm_step(cost: InversionCost, state: LMState) -> None:
    """Take one step; an updated Jacobian that leads nowhere is dropped, so that the next step measures it."""
    jacobian = cost.jacobian(state.z) if state.jacobian is None else state.jacobian
    if _try_step(cost, state, jacobian, MAX_TRIALS if jacobian.exact else MAX_BROYDEN_TRIALS):
        return
    state.jacobian = None
    if jacobian.exact:
        state.stalled = PATIENCE


def _try_step(cost: InversionCost, state: LMState, jacobian: Jacobian, trials: int) -> bool:
    """Raise the damping until a step decreases the cost enough; return whether one did."""
    residuals, derivatives = jacobian.residuals * cost.residual_weights, jacobian.derivatives * cost.residual_weights  # (R,), (D, R)
    error = float(residuals.square().sum()) + MIN_ERROR
    # In double precision: near the minimum, the smallest terms of the normal equations would drown in the rounding of the largest.
    normal, gradient = (derivatives @ derivatives.T).double(), (derivatives @ residuals).double() + cost.prior * error * state.z.double()
    normal.diagonal().add_(cost.prior * error)
    scale = normal.diagonal().mean()
    for _ in range(trials):
        damped = normal + state.damping * scale * torch.eye(len(normal), device=normal.device, dtype=normal.dtype)
        step = -torch.linalg.solve(damped, gradient).to(state.z.dtype)
        z = state.z + step
        images = cost.render(z[None])
        value = float(cost.value(z[None], images)[0])
        gain = state.value - value
        model_error = float((residuals + step @ derivatives).square().sum()) + MIN_ERROR
        predicted = state.value - cost.prior * float(z.square().sum()) - math.log(model_error)
        ratio = gain / max(predicted, MIN_PREDICTED)
        if gain > 0 and ratio > MIN_GAIN_RATIO:
            if jacobian.exact:
                state.stalled = state.stalled + 1 if gain < STALL_DECREASE else 0
            state.jacobian = jacobian.broyden_update(step, cost.residuals(images)[0]) if gain > MIN_BROYDEN_GAIN else None
            state.z, state.value, state.mse = z, value, float(cost.mse(images)[0])
            # Nielsen 1999, equation 2.8
            state.damping = max(state.damping * max(1 / DAMPING_FACTOR, 1 - (2 * ratio - 1) ** 3), MIN_DAMPING)
            return True
        state.damping *= DAMPING_FACTOR
    return False


def _value(state: LMState) -> float:
    return state.value
