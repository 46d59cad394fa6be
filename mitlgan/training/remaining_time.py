"""How fast a training is now and how long it still takes: by its last minutes, and by what the images to come cost in comparison."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace

from mitlgan.recipe import Recipe, ladder_steps
from mitlgan.training.counters import Counters
from mitlgan.training.schedule import Schedule
from mitlgan.training.setup import TrainingSetup
from mitlgan.training.work import Stretch, TrainingCost

RECENT_S = 120.0
"""Seconds of training whose speed is said and counts for the rest: a machine may be busier, or another one, than hours ago."""


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


class RecentSpeed:
    """The speed of a training's last `RECENT_S` seconds in this process; until its first iteration, that of the present size so far.

    Args:
        stretches: The present one and those after it.
    """

    def __init__(self, stretches: Sequence[Stretch]) -> None:
        self._stretches = stretches
        self._moments: deque[Counters] = deque()

    def update(self, counters: Counters) -> None:
        """Note how far the training is; an earlier moment is kept as long as it is the last one before `RECENT_S`."""
        self._moments.append(replace(counters))
        while len(self._moments) > 1 and counters.seconds - self._moments[1].seconds >= RECENT_S:
            self._moments.popleft()

    def images_per_s(self, counters: Counters) -> float:
        """Return the images per second of wall time; 0 before the first iteration at the present size."""
        begin = self._begin(counters)
        seconds = counters.seconds - begin.seconds
        return (counters.images_shown - begin.images_shown) / seconds if seconds > 0 else 0.0

    def remaining_seconds(self, counters: Counters) -> float | None:
        """Return the estimated wall time to the end of the run; None before the first iteration at the present size."""
        return remaining_seconds(self._stretches, counters, self._begin(counters))

    def _begin(self, counters: Counters) -> Counters:
        """Return the moment from which the speed is measured."""
        if self._moments and self._moments[0].seconds < counters.seconds:
            return self._moments[0]
        return counters.at_step_begin()


def remaining_seconds(stretches: Sequence[Stretch], counters: Counters, since: Counters | None = None) -> float | None:
    """Return the estimated wall time to the end of the run; None where nothing was measured.

    Args:
        stretches: The present one and those after it.
        counters: Of the run.
        since: An earlier moment at the present size, from which the speed is measured; by default its beginning.
    """
    since = counters.at_step_begin() if since is None else since
    schedule = Schedule(stretches[0].recipe)
    now, begin, earlier = schedule.position(counters), schedule.step_begin(counters), schedule.position(since)
    done = stretches[0].work(now.kimg - begin.kimg)
    recent, measured_s = done - stretches[0].work(earlier.kimg - begin.kimg), now.elapsed_s - earlier.elapsed_s
    if recent <= 0 or measured_s <= 0:
        return None
    end_kimg, end_s = now.kimg, now.elapsed_s
    for stretch in stretches:
        length_kimg = max(0.0, stretch.recipe.training.kimg - end_kimg)
        work = stretch.work(now.kimg - begin.kimg + length_kimg) - done if stretch is stretches[0] else stretch.work(length_kimg)
        seconds = work * measured_s / recent
        limited_s = min(seconds, max(0.0, Schedule(stretch.recipe).limit_s - end_s))
        end_kimg += length_kimg * limited_s / seconds if seconds else 0.0  # what its time cuts off is left to the next size
        end_s += limited_s
    wall_share = (counters.seconds - since.seconds) / measured_s  # of a limit in CPU time
    return (end_s - now.elapsed_s) * wall_share
