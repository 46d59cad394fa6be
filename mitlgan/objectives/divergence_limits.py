"""Limits of each objective's losses and scores in a healthy training, whatever its networks."""

from __future__ import annotations

import math
from collections.abc import Mapping

from mitlgan.objectives.interface import Divergence

MAX_LOSS = 10.0
"""Largest healthy loss, in nats or squared labels: a critic wrong about every image by 10 logits. Failed trainings reach about 30."""

MAX_SCORE = 1e5
"""Largest healthy score: beyond it, float32 rounds away differences of a few units."""


def loss_divergence(numbers: Mapping[str, float]) -> Divergence:
    """Return the divergence of an objective whose losses have a fixed scale, the same for any network.

    Args:
        numbers: Statistics of the iteration; the generator's `own_loss` is not counted.
    """
    losses = {"the critic's loss": numbers["critic_loss"], "the generator's loss": numbers["generator_loss"] - numbers.get("own_loss", 0.0)}
    name, value = max(losses.items(), key=lambda item: _size(item[1]))
    return Divergence(_size(value) / MAX_LOSS, f"{name} is {value:.3g}, where {MAX_LOSS:g} is much")


def slope_divergence(numbers: Mapping[str, float], diameter: float, penalty_weight: float) -> Divergence:
    """Return the divergence of a critic with a penalty towards slope 1.

    The critic that minimises w (s - 1)^2 - s d for images at distance d has slope s = 1 + d / 2w. The penalty therefore exceeds (d / 2w)^2, and the
    Wasserstein estimate d (1 + d / 2w), only if training no longer reduces its loss.

    Args:
        numbers: Statistics of the iteration; `penalty` may be absent.
        diameter: See `Objective.divergence`.
        penalty_weight: w; 0 gives no bound.
    """
    if penalty_weight <= 0:
        return score_divergence(numbers)
    excess = diameter / (2 * penalty_weight)
    max_penalty, max_distance = max(1.0, excess**2), diameter * (1 + excess)
    penalty, distance = numbers.get("penalty", 0.0), numbers["wasserstein"]
    divergences = [
        Divergence(_size(penalty) / max_penalty, f"the gradient penalty is {penalty:.3g}, where {max_penalty:.3g} is the most that the loss allows"),
        Divergence(
            _size(distance) / max_distance, f"scores of real and generated images are {distance:.3g} apart, where {max_distance:.3g} is the most"
        ),
        score_divergence(numbers),
    ]
    return max(divergences, key=lambda divergence: divergence.ratio)


def gap_divergence(numbers: Mapping[str, float], penalty_weight: float) -> Divergence:
    """Return the divergence of an objective of score differences, in logits, that penalizes squared gradient norms.

    A constant critic has the loss log 2, so minimising cannot end with w s^2 / 2 above it; untrained networks may exceed it, hence the factor.

    Args:
        numbers: Statistics of the iteration; `r1` and `r2` may be absent.
        penalty_weight: w, the smaller non-zero one of both; 0 ignores slopes.
    """
    gap, slope = numbers["wasserstein"], max(numbers.get("r1", 0.0), numbers.get("r2", 0.0), key=_size)
    worst = max(_size(gap), _size(numbers["generator_loss"] - numbers.get("own_loss", 0.0)))
    gap_divergence = Divergence(worst / MAX_LOSS, f"scores of real and generated images are {gap:.3g} apart, where {MAX_LOSS:g} is certainty")
    if penalty_weight <= 0:
        return gap_divergence
    max_slope = MAX_LOSS * max(1.0, 2 * math.log(2) / penalty_weight)
    steep = Divergence(_size(slope) / max_slope, f"the critic's squared slope is {slope:.3g}, where {max_slope:.3g} is much")
    return max(gap_divergence, steep, key=lambda divergence: divergence.ratio)


def score_divergence(numbers: Mapping[str, float]) -> Divergence:
    """Return the divergence of scores without a fixed level, which may drift as long as their differences stay exact enough."""
    level = max(numbers["score_real"], numbers["score_fake"], key=_size)
    return Divergence(_size(level) / MAX_SCORE, f"scores have drifted to {level:.3g}, where float32 no longer tells them apart")


def _size(value: float) -> float:
    return math.inf if math.isnan(value) else abs(value)
