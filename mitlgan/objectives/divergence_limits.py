"""The scale of each objective's numbers: what losses and scores reach in a training that is in order, whatever its networks."""

from __future__ import annotations

import math
from collections.abc import Mapping

from mitlgan.objectives.interface import Divergence

MAX_LOSS = 10.0
"""Of a loss in nats, or of squared labels: a critic that is wrong about every image by 10 logits, or by 4 labels. Lost games reach some 30."""

MAX_SCORE = 1e5
"""Beyond it, differences of a few units drown in float32's rounding and in the sums that it enters."""


def loss_divergence(numbers: Mapping[str, float]) -> Divergence:
    """Of an objective whose losses have a scale of their own, the same for any network.

    Args:
        numbers: Of the iteration; what a generator adds by itself, `own_loss`, is none of the game's.
    """
    losses = {"the critic's loss": numbers["critic_loss"], "the generator's loss": numbers["generator_loss"] - numbers.get("own_loss", 0.0)}
    name, value = max(losses.items(), key=lambda item: _size(item[1]))
    return Divergence(_size(value) / MAX_LOSS, f"{name} is {value:.3g}, where {MAX_LOSS:g} is much")


def slope_divergence(numbers: Mapping[str, float], diameter: float, penalty_weight: float) -> Divergence:
    """Of a critic whose slope is penalised for being other than 1.

    The worst critic that descends w (s - 1)^2 - s d, d being the distance of the images, has the slope s = 1 + d / 2w: beyond it the penalty alone
    turns it back. So the penalty passes (d / 2w)^2, and the estimate d (1 + d / 2w), only where the training no longer descends its loss.

    Args:
        numbers: Of the iteration; `penalty` may be absent.
        diameter: See `Objective.strain`.
        penalty_weight: w; 0 leaves no bound.
    """
    if penalty_weight <= 0:
        return score_divergence(numbers)
    excess = diameter / (2 * penalty_weight)
    max_penalty, max_distance = max(1.0, excess**2), diameter * (1 + excess)
    penalty, distance = numbers.get("penalty", 0.0), numbers["wasserstein"]
    strains = [
        Divergence(_size(penalty) / max_penalty, f"the gradient penalty is {penalty:.3g}, where {max_penalty:.3g} is the most that the loss allows"),
        Divergence(
            _size(distance) / max_distance, f"scores of real and generated images are {distance:.3g} apart, where {max_distance:.3g} is the most"
        ),
        score_divergence(numbers),
    ]
    return max(strains, key=lambda strain: strain.ratio)


def gap_divergence(numbers: Mapping[str, float], penalty_weight: float) -> Divergence:
    """Of an objective that knows only the difference of two scores, in logits, and penalises squared slopes.

    A constant critic has the loss log 2, so that descending cannot end with w s^2 / 2 beyond it; what a network begins with is another matter, hence
    the factor.

    Args:
        numbers: Of the iteration; `r1` and `r2` may be absent.
        penalty_weight: w, the lesser of both that is not 0; 0 leaves slopes alone.
    """
    gap, slope = numbers["wasserstein"], max(numbers.get("r1", 0.0), numbers.get("r2", 0.0), key=_size)
    worst = max(_size(gap), _size(numbers["generator_loss"] - numbers.get("own_loss", 0.0)))
    strain = Divergence(worst / MAX_LOSS, f"scores of real and generated images are {gap:.3g} apart, where {MAX_LOSS:g} is certainty")
    if penalty_weight <= 0:
        return strain
    max_slope = MAX_LOSS * max(1.0, 2 * math.log(2) / penalty_weight)
    steep = Divergence(_size(slope) / max_slope, f"the critic's squared slope is {slope:.3g}, where {max_slope:.3g} is much")
    return max(strain, steep, key=lambda found: found.ratio)


def score_divergence(numbers: Mapping[str, float]) -> Divergence:
    """Of scores without a level of their own, which may drift as long as their differences can still be computed."""
    level = max(numbers["score_real"], numbers["score_fake"], key=_size)
    return Divergence(_size(level) / MAX_SCORE, f"scores have drifted to {level:.3g}, where float32 no longer tells them apart")


def _size(value: float) -> float:
    return math.inf if math.isnan(value) else abs(value)
