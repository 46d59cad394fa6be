"""When a training writes something and when it ends: lengths in kimg, seconds or iterations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from mitlgan.recipe import Recipe
from mitlgan.runtime.distributed import World, any_rank
from mitlgan.training.counters import Counters

EARLY_SHARES = (0.01, 0.02, 0.05)
"""Shares of the length at which there are snapshots besides those of the recipe's interval: an early look at a long run."""
ROUNDING = 1e-6
"""By how much less of kimg, seconds or a share counts as a point that was reached: 0.6 / 0.2 is slightly less than 3."""


@dataclass(frozen=True)
class Position:
    """How far a training is, in thousand images and in seconds by the recipe's clock."""

    kimg: float
    elapsed_s: float


class Schedule:
    """Says when the events of a recipe's [training] are due.

    Args:
        recipe: The training's.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.training = recipe.training
        self.limit_s = recipe.training.limit_s or math.inf

    def position(self, counters: Counters) -> Position:
        """Return how far the training is."""
        return Position(counters.kimg, counters.cpu_seconds if self.training.clock == "cpu" else counters.seconds)

    def step_begin(self, counters: Counters) -> Position:
        """Return where the present size of a ladder began; the beginning of the run without a ladder."""
        return Position(counters.step_images / 1000, counters.step_cpu_seconds if self.training.clock == "cpu" else counters.step_seconds)

    def is_over(self, counters: Counters, world: World) -> bool:
        """Whether the training has its full length or has used up its time, on any rank: each has a clock of its own."""
        if self.limit_s < math.inf and any_rank(self.position(counters).elapsed_s >= self.limit_s, world):
            return True
        return counters.images_shown >= kimg_to_images(self.training.kimg)

    def trains_critic_alone(self, counters: Counters) -> bool:
        """Whether the generator does not learn in the next iteration."""
        return counters.images_shown - counters.step_images < kimg_to_images(self.training.critic_first_kimg or 0.0)

    def progress(self, counters: Counters) -> float:
        """Return the share of the step's length so far, which is that of the run unless there is a ladder of sizes; in [0, 1]."""
        return (counters.images_shown - counters.step_images) / (kimg_to_images(self.training.kimg) - counters.step_images)

    def is_snapshot_due(self, before: Position, counters: Counters) -> bool:
        """Whether a snapshot is due after an iteration that began at a position."""
        return self._is_due(before, counters, self.training.snapshot_kimg, self.training.snapshot_iterations)

    def is_early_snapshot_due(self, before: Position, counters: Counters) -> bool:
        """Whether an iteration that began at a position has passed one of `EARLY_SHARES` of the length."""
        begin = self.step_begin(counters)
        return crosses_any(EARLY_SHARES, self._share(before, begin), self._share(self.position(counters), begin))

    def is_checkpoint_due(self, before: Position, counters: Counters) -> bool:
        """Whether a checkpoint is due after an iteration that began at a position."""
        return self._is_due(before, counters, self.training.checkpoint_kimg, self.training.checkpoint_iterations)

    def is_artifact_due(self, before: Position, counters: Counters) -> bool:
        """Whether an artifact is due after an iteration that began at a position."""
        now = self.position(counters)
        in_kimg = crosses_any(self.training.keep_kimg, before.kimg, now.kimg)
        at_interval = self._is_due(before, counters, self.training.artifact_kimg or math.inf, self.training.artifact_iterations)
        return in_kimg or at_interval or crosses_any(self.training.keep_s, before.elapsed_s, now.elapsed_s)

    def _share(self, position: Position, begin: Position) -> float:
        """Return how much of the step's length in kimg, or of its time if that is nearer to its end, is over at a position."""
        in_kimg = (position.kimg - begin.kimg) / (self.training.kimg - begin.kimg)
        return max(in_kimg, (position.elapsed_s - begin.elapsed_s) / max(1e-9, self.limit_s - begin.elapsed_s))

    def _is_due(self, before: Position, counters: Counters, interval_kimg: float, interval_iterations: int | None) -> bool:
        if interval_iterations is not None:
            return counters.iteration % interval_iterations == 0
        return count_intervals(counters.kimg, interval_kimg) > count_intervals(before.kimg, interval_kimg)


def crosses_any(points: Sequence[float], before: float, now: float) -> bool:
    """Whether any of the points is in (before, now], up to rounding errors."""
    return any(before < point - ROUNDING <= now for point in points)


def count_intervals(kimg: float, interval_kimg: float) -> int:
    """Return how many whole intervals are over after so many kimg, up to rounding errors."""
    return math.floor((kimg + ROUNDING) / interval_kimg)


def kimg_to_images(kimg: float) -> int:
    """Return a length in images; rounded first, because 2.007 * 1000 is slightly more than 2007 and must not cost another update."""
    return math.ceil(round(kimg * 1000, 6))


def count_generator_updates(recipe: Recipe) -> int:
    """Return the number of generator updates in a recipe's length."""
    return -(-kimg_to_images(recipe.training.kimg) // (recipe.training.batch * recipe.objective.critic_steps))


def count_updates_of_critic_alone(recipe: Recipe) -> int:
    """Return the number of iterations, from the beginning of a training of one size, in which only the critic learns."""
    return -(-kimg_to_images(recipe.training.critic_first_kimg or 0.0) // (recipe.training.batch * recipe.objective.critic_steps))
