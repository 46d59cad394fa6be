"""How long a training still takes: by the speed of its present size, and by what the images to come cost in comparison."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mitlgan.recipe import Recipe, ladder_steps
from mitlgan.training.counters import Counters
from mitlgan.training.schedule import Schedule
from mitlgan.training.setup import TrainingCost, TrainingSetup


@dataclass(frozen=True)
class Stretch:
    """A training at one size.

    Attributes:
        recipe: Its `training.kimg` and `training.limit_s` are where it ends, counted from the beginning of the run.
        cost: Of its images, in a unit that all stretches of the run share.
    """

    recipe: Recipe
    cost: TrainingCost

    def work(self, kimg: float) -> float:
        """Return what its first kimg cost."""
        alone_kimg = min(kimg, self.recipe.training.critic_first_kimg or 0.0)
        return alone_kimg * self.cost.critic_alone + (kimg - alone_kimg) * self.cost.both


def stretches_from(recipe: Recipe, setup: TrainingSetup) -> list[Stretch]:
    """Return the present stretch of a run and those after it; where all images cost the same, nothing is counted.

    Args:
        recipe: Of the present size.
        setup: Which step of a ladder it is, and what the steps cost.
    """
    later = [] if setup.ladder is None else ladder_steps(setup.ladder.recipe)[setup.ladder.index + 1 :]
    if not setup.costs:
        return [Stretch(recipe, TrainingCost(1.0, 1.0))]
    return [Stretch(step, cost) for step, cost in zip([recipe, *later], setup.costs, strict=True)]


def remaining_seconds(stretches: Sequence[Stretch], counters: Counters) -> float | None:
    """Return the estimated wall time to the end of the run; None before the first iteration at its present size.

    Args:
        stretches: The present one and those after it.
        counters: Of the run.
    """
    schedule = Schedule(stretches[0].recipe)
    now, begin = schedule.position(counters), schedule.step_begin(counters)
    done, measured_s = stretches[0].work(now.kimg - begin.kimg), now.elapsed_s - begin.elapsed_s
    if done <= 0 or measured_s <= 0:
        return None
    end_kimg, end_s = begin.kimg, begin.elapsed_s
    for stretch in stretches:
        length_kimg = max(0.0, stretch.recipe.training.kimg - end_kimg)
        seconds = stretch.work(length_kimg) * measured_s / done
        limited_s = min(seconds, max(0.0, Schedule(stretch.recipe).limit_s - end_s))
        end_kimg += length_kimg * limited_s / seconds if seconds else 0.0  # what its time cuts off is left to the next size
        end_s += limited_s
    wall_share = (counters.seconds - counters.step_seconds) / measured_s  # of a limit in CPU time
    return max(0.0, end_s - now.elapsed_s) * wall_share
