"""What a training costs, size by size: first the critic learns alone, if it does, then both networks do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from mitlgan.recipe import Recipe


class TrainingCost(NamedTuple):
    """Multiply-accumulates of a training per thousand real images shown to the critic, or any other unit.

    Attributes:
        both: While both networks learn.
        critic_alone: While only the critic learns.
    """

    both: float
    critic_alone: float


@dataclass(frozen=True)
class Stretch:
    """A training at one size.

    Attributes:
        recipe: Its `training.kimg` and `training.limit_s` are where it ends, counted from the beginning of the run.
        cost: Of its images, in a unit that all stretches of the run share.
    """

    recipe: Recipe
    cost: TrainingCost

    @property
    def critic_first_kimg(self) -> float:
        """The critic's own time at its beginning."""
        return self.recipe.training.critic_first_kimg or 0.0

    def work(self, kimg: float) -> float:
        """Return what its first kimg cost."""
        alone_kimg = min(kimg, self.critic_first_kimg)
        return alone_kimg * self.cost.critic_alone + (kimg - alone_kimg) * self.cost.both

    def kimg_for(self, work: float) -> float:
        """Return how many kimg cost so much: the inverse of `work`."""
        alone = self.work(self.critic_first_kimg)
        return work / self.cost.critic_alone if work < alone else self.critic_first_kimg + (work - alone) / self.cost.both


def run_work(stretches: Sequence[Stretch], kimg: float) -> float:
    """Return what the first kimg of a run cost.

    Args:
        stretches: All of the run, each from where the one before ends.
        kimg: From the beginning of the run; what is beyond its end costs as at the last size.
    """
    work = begin_kimg = 0.0
    for stretch in stretches:
        end_kimg = kimg if stretch is stretches[-1] else min(kimg, stretch.recipe.training.kimg)
        work += stretch.work(end_kimg - begin_kimg)
        begin_kimg = end_kimg
    return work


def run_kimg_for(stretches: Sequence[Stretch], work: float) -> float:
    """Return how many kimg of a run, from its beginning, cost so much: the inverse of `run_work`."""
    begin_kimg = 0.0
    for stretch in stretches[:-1]:
        length_kimg = stretch.recipe.training.kimg - begin_kimg
        if work < stretch.work(length_kimg):
            return begin_kimg + stretch.kimg_for(work)
        work -= stretch.work(length_kimg)
        begin_kimg = stretch.recipe.training.kimg
    return begin_kimg + stretches[-1].kimg_for(work)
