"""What a training takes on this machine: time, memory and disk, from a few real iterations that leave nothing behind."""

from __future__ import annotations

import math
import shutil
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch

from mitlgan.artifacts.card import GeneratorSpec
from mitlgan.data.pack.image_pack import ImagePack
from mitlgan.data.pack.reduced import reduced_pack
from mitlgan.data.recipe_data import open_recipe_data
from mitlgan.recipe import Recipe, ladder_steps, with_overrides
from mitlgan.runtime.distributed import World
from mitlgan.runtime.progress import format_duration
from mitlgan.stages.training_speed import measure_iterations, measure_work, open_loop, peak_memory_bytes
from mitlgan.training.checkpoint import CHECKPOINTS_KEPT
from mitlgan.training.loop import SNAPSHOT_IMAGES, TrainingLoop
from mitlgan.training.schedule import EARLY_SHARES, count_generator_updates, count_intervals, count_updates_of_critic_alone

STATS_LINE_BYTES = 600
"""Size of a line of statistics and one of timing, about."""
MIN_BUSY_RATIO = 1.5
"""From this ratio of wall time to CPU time on, the machine does much other work."""


@dataclass(frozen=True)
class TrainingEstimate:
    """What a training takes on this machine.

    Attributes:
        label: Name for readers.
        updates: Generator updates; 0 if time ends the training.
        seconds: Wall time.
        cpu_seconds: CPU time over all threads.
        memory_bytes: Largest memory of the process so far, and on a GPU that of the tensors there.
        disk_bytes: What the run directory holds at its end, at most about.
    """

    label: str
    updates: int
    seconds: float
    cpu_seconds: float
    memory_bytes: int
    disk_bytes: int

    def to_json(self) -> dict[str, Any]:
        """Return the numbers."""
        numbers = {"seconds": round(self.seconds, 1), "cpu_seconds": round(self.cpu_seconds, 1)}
        return {"label": self.label, "updates": self.updates, **numbers, "memory_bytes": self.memory_bytes, "disk_bytes": self.disk_bytes}

    def describe(self) -> str:
        """Return the numbers in words, such as `about 5 min 20 s, 0.6 GB of memory, 12 MB of disk`."""
        return f"about {format_duration(self.seconds)}, {_size(self.memory_bytes)} of memory, {_size(self.disk_bytes)} of disk"


@dataclass(frozen=True)
class WorkEstimate:
    """What a chain of steps takes; the trainings of a step are independent.

    Attributes:
        steps: Trainings of each step.
        jobs: Number of trainings at a time.
        measuring_s: Seconds for measuring the results.
        notes: Sentences on what is not counted.
    """

    steps: Sequence[Sequence[TrainingEstimate]]
    jobs: int = 1
    measuring_s: float = 0.0
    notes: Sequence[str] = field(default_factory=tuple)

    @property
    def trainings(self) -> list[TrainingEstimate]:
        """All trainings in order."""
        return [training for step in self.steps for training in step]

    @property
    def seconds(self) -> float:
        """Wall time of all steps."""
        return sum(_parallel_seconds([training.seconds for training in step], self.jobs) for step in self.steps) + self.measuring_s

    @property
    def memory_bytes(self) -> int:
        """Memory of the trainings that run at a time, at most."""
        largest = sorted((training.memory_bytes for training in self.trainings), reverse=True)
        return sum(largest[: max(1, min(self.jobs, max((len(step) for step in self.steps), default=1)))])

    @property
    def disk_bytes(self) -> int:
        """Disk of all runs."""
        return sum(training.disk_bytes for training in self.trainings)

    def to_json(self) -> dict[str, Any]:
        """Return the numbers of each training, and their sums."""
        sums = {"seconds": round(self.seconds, 1), "memory_bytes": self.memory_bytes, "disk_bytes": self.disk_bytes}
        trainings = [training.to_json() for training in self.trainings]
        return {**sums, "jobs": self.jobs, "measuring_s": round(self.measuring_s, 1), "trainings": trainings, "notes": list(self.notes)}

    def lines(self) -> list[str]:
        """Return one line for each training, then the sums."""
        rows = [f"{training.label}: {training.describe()}" for training in self.trainings]
        rows += [f"measuring the results: about {format_duration(self.measuring_s)}"] if self.measuring_s else []
        jobs = f", {self.jobs} trainings at a time" if self.jobs > 1 else ""
        total = f"in all: about {format_duration(self.seconds)}{jobs}, {_size(self.memory_bytes)} of memory, {_size(self.disk_bytes)} of disk"
        return [*rows, *self.notes, total]


def estimate_training(
    recipe: Recipe, world: World, *, layers: Mapping[str, GeneratorSpec] | None = None, pack: ImagePack | None = None, label: str = ""
) -> TrainingEstimate:  # fmt: skip
    """Measure a few iterations of a training and return what all of it takes.

    Networks have new weights, which are as fast as trained ones; files go to a temporary folder that is removed.

    Args:
        recipe: Of any command.
        world: Device to compute on.
        layers: How the frozen generators of a composition are built.
        pack: Its pictures; None opens the recipe's.
        label: Name for readers.

    Raises:
        ResourceError: The memory does not suffice.
        DataError: There are no usable pictures.
    """
    with open_loop(recipe, world, layers=layers, pack=pack) as loop:
        both = measure_iterations(loop)
        alone = measure_iterations(loop, is_critic_alone=True) if recipe.training.critic_first_kimg else both
        snapshot = measure_work(lambda: loop.writer.write_snapshot(loop.state, loop.snapshot_inputs))
        checkpoint = measure_work(lambda: loop.writer.write_checkpoint(loop.state))
        checkpoint_bytes = sum(path.stat().st_size for path in (loop.run_directory.path / "checkpoints").iterdir())
    updates, seconds, cpu_seconds = _time_of(recipe, _PartTimes(both, alone, snapshot, checkpoint))
    disk_bytes = _disk_bytes(recipe, loop, updates, checkpoint_bytes, *_count_writes(recipe, updates))
    return TrainingEstimate(label or f"{recipe.command} {recipe.role}", updates, seconds, cpu_seconds, _peak_memory(world), disk_bytes)


def estimate_run(
    recipe: Recipe, world: World, *, layers: Mapping[str, GeneratorSpec] | None = None, pack: ImagePack | None = None
) -> TrainingEstimate:  # fmt: skip
    """Return what a run takes, over all steps of its ladder of sizes; arguments and errors as of `estimate_training`."""
    steps = ladder_steps(recipe)
    if len(steps) == 1:
        return estimate_training(recipe, world, layers=layers, pack=pack)
    whole = open_recipe_data(recipe) if pack is None else pack
    parts = [
        estimate_training(_alone(step, before), world, pack=reduced_pack(whole, step.size_px))
        for before, step in zip((None, *steps), steps, strict=False)
    ]
    return TrainingEstimate(
        parts[0].label, sum(part.updates for part in parts), sum(part.seconds for part in parts), sum(part.cpu_seconds for part in parts),
        max(part.memory_bytes for part in parts), sum(part.disk_bytes for part in parts),
    )  # fmt: skip


def _alone(step: Recipe, before: Recipe | None) -> Recipe:
    """Return a step of a ladder as if nothing came before it, so that its length is its own."""
    if before is None:
        return step
    limit_s = None if step.training.limit_s is None else step.training.limit_s - (before.training.limit_s or 0.0)
    return with_overrides(step, training__kimg=round(step.training.kimg - before.training.kimg, 6), training__limit_s=limit_s)


def disk_warning(disk_bytes: int, folder: Path) -> str | None:
    """Return a warning if the disk of a folder, which need not exist yet, has less space than that."""
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    free_bytes = shutil.disk_usage(existing).free
    if free_bytes >= disk_bytes:
        return None
    return f"warning: {folder}: {_size(free_bytes)} are free on its disk, and about {_size(disk_bytes)} are needed; choose another folder with --out"


def busy_note(estimates: Iterable[TrainingEstimate]) -> str | None:
    """Return a note if the CPU did much other work while it was measured: the trainings may take less time than it says."""
    rows = list(estimates)
    seconds, cpu_seconds = sum(row.seconds for row in rows), sum(row.cpu_seconds for row in rows)
    if seconds < MIN_BUSY_RATIO * cpu_seconds:
        return None
    return f"this machine is busy with other work; the training itself needs about {format_duration(cpu_seconds)} of CPU time"


class _PartTimes(NamedTuple):
    """Wall and CPU seconds of an iteration in which both networks learn, of one of the critic alone, of a snapshot and of a checkpoint."""

    both: tuple[float, float]
    alone: tuple[float, float]
    snapshot: tuple[float, float]
    checkpoint: tuple[float, float]


def _time_of(recipe: Recipe, times: _PartTimes) -> tuple[int, float, float]:
    """Return a training's generator updates, wall and CPU seconds; its time ends it if its kimg do not end it before."""
    training, alone = recipe.training, count_updates_of_critic_alone(recipe)

    def seconds_of(updates: int) -> list[float]:
        counts = (max(0, updates - alone), min(updates, alone), *_count_writes(recipe, updates))
        return [sum(count * part[clock] for count, part in zip(counts, times, strict=True)) for clock in (0, 1)]

    clock, limit_s, updates = int(training.clock == "cpu"), training.limit_s or math.inf, count_generator_updates(recipe)
    if seconds_of(updates)[clock] > limit_s:
        updates = 1 + bisect_left(range(1, updates), limit_s, key=lambda count: seconds_of(count)[clock])
    seconds, cpu_seconds = seconds_of(updates)
    share = min(1.0, limit_s / max((seconds, cpu_seconds)[clock], 1e-9))
    return updates, seconds * share, cpu_seconds * share


def _count_writes(recipe: Recipe, updates: int) -> tuple[int, int]:
    """Return how many snapshots and checkpoints a training of so many generator updates writes."""
    training = recipe.training
    snapshots = _count_at_intervals(recipe, updates, training.snapshot_kimg, training.snapshot_iterations)
    checkpoints = _count_at_intervals(recipe, updates, training.checkpoint_kimg, training.checkpoint_iterations)
    return 2 + len(EARLY_SHARES) + snapshots, 2 + checkpoints  # the first and the last besides those of the interval


def _count_at_intervals(recipe: Recipe, updates: int, interval_kimg: float, interval_iterations: int | None) -> int:
    """Return how many whole intervals there are in so many generator updates."""
    if interval_iterations is not None:
        return updates // interval_iterations
    return count_intervals(updates * recipe.training.batch * recipe.objective.critic_steps / 1000, interval_kimg)


def _disk_bytes(recipe: Recipe, loop: TrainingLoop, updates: int, checkpoint_bytes: int, snapshots: int, checkpoints: int) -> int:
    """Return what the run directory holds at its end, at most about: PNGs of noise, which are the largest."""
    training, state = recipe.training, loop.state
    kept = training.checkpoints_kept or CHECKPOINTS_KEPT
    artifact, critic = (sum(int(tensor.nbytes) for tensor in network.state_dict().values()) for network in (state.ema, state.critic))
    artifacts = artifact * (1 + _kept_artifacts(recipe, updates)) + (critic if recipe.command == "pretrain" else 0)
    picture_bytes = SNAPSHOT_IMAGES * 3 * recipe.size_px**2
    logs = STATS_LINE_BYTES * updates // training.log_iterations
    return min(checkpoints, kept) * checkpoint_bytes + artifacts + snapshots * picture_bytes + logs


def _kept_artifacts(recipe: Recipe, updates: int) -> int:
    """Return how many artifacts a training keeps on its way, at most."""
    training = recipe.training
    at_intervals = _count_at_intervals(recipe, updates, training.artifact_kimg or math.inf, training.artifact_iterations)
    return len(training.keep_kimg) + len(training.keep_s) + at_intervals


def _peak_memory(world: World) -> int:
    """Return the largest resident memory of this process so far; on a GPU, with that of its tensors."""
    return peak_memory_bytes() + (int(torch.cuda.max_memory_allocated(world.device)) if world.device.type == "cuda" else 0)


def _parallel_seconds(seconds: Sequence[float], jobs: int) -> float:
    """Return how long trainings take of which each starts, in order, as soon as one of the `jobs` places is free."""
    ends = [0.0] * max(1, jobs)
    for duration in seconds:
        ends[ends.index(min(ends))] += duration
    return max(ends)


def _size(count: float) -> str:
    """Return a number of bytes for readers, such as `12 MB`."""
    if count < 1e9:
        return f"{max(1, round(count / 1e6)):,} MB"
    return f"{count / 1e9:.1f} GB"
