"""What a training writes into its run directory: statistics, timing, status, snapshots, checkpoints."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from mitlgan.artifacts.network_stages import run_network
from mitlgan.artifacts.safetensors_io import first_nonfinite, tensors_sha256
from mitlgan.errors import NanError
from mitlgan.images.grid import grid_png
from mitlgan.recipe import Recipe
from mitlgan.runtime.distributed import World, require_same_on_all_ranks
from mitlgan.runtime.files import write_atomically
from mitlgan.runtime.json_files import JsonlWriter, read_jsonl
from mitlgan.runtime.progress import Reporter
from mitlgan.training.checkpoint import CHECKPOINTS_KEPT, remove_old_checkpoints, save_checkpoint
from mitlgan.training.counters import Counters
from mitlgan.training.remaining_time import RecentSpeed, stretches_from
from mitlgan.training.run_directory import Run
from mitlgan.training.setup import Callbacks, TrainingSetup
from mitlgan.training.state import TrainingState


class RunWriter:
    """Writes into a run directory, on rank 0 alone.

    Args:
        run: The run directory.
        recipe: All settings.
        setup: Networks, objective and pictures.
        world: This process's rank.
        reporter: Shows the status.
        callbacks: Also called with each line of statistics.
    """

    def __init__(self, run: Run, recipe: Recipe, setup: TrainingSetup, world: World, reporter: Reporter, callbacks: Callbacks) -> None:
        self.run, self.recipe, self.setup, self.world, self.reporter, self.callbacks = run, recipe, setup, world, reporter, callbacks
        self._speed = RecentSpeed(stretches_from(recipe, setup))
        self._stats: JsonlWriter | None = None
        self._timing: JsonlWriter | None = None

    @contextmanager
    def open_logs(self) -> Iterator[None]:
        """Hold `stats.jsonl` and `timing.jsonl` open for appending."""
        if not self.world.is_leader:
            yield
            return
        self._stats, self._timing = JsonlWriter(self.run.stats_file), JsonlWriter(self.run.timing_file)
        try:
            yield
        finally:
            self._stats.close()
            self._timing.close()

    def flush_logs(self) -> None:
        """Hand the lines written so far to the system."""
        for log in (self._stats, self._timing):
            if log is not None:
                log.flush()

    def read_last_stats(self) -> dict[str, Any] | None:
        """Return the last line of statistics of an earlier process; None if there is none."""
        return next(iter(deque(read_jsonl(self.run.stats_file), maxlen=1)), None) if self.world.is_leader else None

    def write_stats(self, stats: Mapping[str, float], counters: Counters) -> dict[str, Any]:
        """Append a line of statistics; values that are not finite become null.

        Returns:
            The line's values, on every rank.
        """
        line: dict[str, Any] = {"iteration": counters.iteration, "kimg": counters.kimg, **self._size()}
        line |= {name: value if math.isfinite(value) else None for name, value in stats.items()}
        line |= {"nan_skipped": counters.nan_skipped, "collapsed": counters.collapsed_at_kimg is not None}
        if counters.trouble:
            line["diagnosis"] = counters.trouble
        if self._stats is not None:
            self._stats.write(line)
            if self.callbacks.on_stats is not None:
                self.callbacks.on_stats(line)
        return line

    def write_timing(self, seconds: float, computing_s: float, counters: Counters) -> None:
        """Append a line of timing.

        Args:
            seconds: Wall time of the last iteration.
            computing_s: How much of it was forward, backward and optimiser.
            counters: Time and length so far.
        """
        if self._timing is not None:
            images = self.recipe.training.batch * self.setup.objective.critic_steps
            self._timing.write({
                "iteration": counters.iteration,
                "kimg": counters.kimg,
                **self._size(),
                "seconds": round(counters.seconds, 4),
                "cpu_seconds": round(counters.cpu_seconds, 4),
                "images_per_s": round(images / seconds, 2),
                "overhead_fraction": round(1 - computing_s / seconds, 4),
            })  # fmt: skip

    def write_status(self, state: str, counters: Counters, stats: Mapping[str, Any] | None = None) -> None:
        """Replace the run's status and show it; the speed is that of the last minutes, at the end that of all the present size.

        Args:
            state: One of `run_directory.STATES`.
            counters: Of the run.
            stats: The last line of statistics, whose losses are shown.
        """
        if not self.world.is_leader:
            return
        stats = stats or {}
        self._speed.update(counters)
        speed = self._speed.images_per_s(counters) if state == "running" else counters.step_images_per_s
        status = {
            "state": state, "command": self.recipe.command, "role": self.recipe.role, "iteration": counters.iteration, "kimg": counters.kimg,
            "target_kimg": self._whole_recipe().training.kimg, "images_per_s": speed,
            "eta_s": self._speed.remaining_seconds(counters), "seconds": counters.seconds, "collapsed_at_kimg": counters.collapsed_at_kimg,
            "diverged_at_kimg": counters.diverged_at_kimg, "diagnosis": counters.trouble, "nan_skipped": counters.nan_skipped,
            "critic_loss": stats.get("critic_loss"), "generator_loss": stats.get("generator_loss"), **self._size(),
        }  # fmt: skip
        self.run.write_status(status)
        self.reporter.update(status)

    def write_snapshot(self, state: TrainingState, inputs: Tensor, *, is_extra: bool = False) -> None:
        """Write the grid of the images that the moving average makes of inputs.

        Args:
            state: Its moving average makes the images.
            inputs: The same at each call.
            is_extra: Whether it is not one of the recipe's interval: its name has the kimg with three decimals, so that it replaces none of those.
        """
        if not self.world.is_leader:
            return
        with torch.no_grad():
            images = run_network(state.ema, inputs, self.recipe.role).output
        write_atomically(self.run.path / "snapshots" / self._snapshot_name(state.counters, is_extra), grid_png(images), root=self.run.path)

    def _snapshot_name(self, counters: Counters, is_extra: bool) -> str:
        training = self.recipe.training
        size = "" if self.setup.ladder is None else f"-{self.recipe.size_px:04d}px"
        if training.snapshot_iterations is not None:
            return f"i{counters.iteration:08d}{size}.png"
        is_exact = is_extra or (counters.iteration > 0 and (counters.kimg < 1 or training.snapshot_kimg % 1 > 0))
        return f"{counters.kimg:010.3f}{size}.png" if is_exact else f"{int(counters.kimg):06d}{size}.png"

    def _whole_recipe(self) -> Recipe:
        return self.recipe if self.setup.ladder is None else self.setup.ladder.recipe

    def _size(self) -> dict[str, int]:
        """Return the size of the images where it changes during the run."""
        return {} if self.setup.ladder is None else {"size_px": self.recipe.size_px}

    def write_checkpoint(self, state: TrainingState) -> None:
        """Write a checkpoint.

        Raises:
            NanError: The state holds a value that is not finite.
            ArtifactError: The ranks' generators differ.
        """
        tensors = state.tensors()
        nonfinite = first_nonfinite(tensors)
        if nonfinite is not None:
            raise NanError(f"{self.run.path}: {nonfinite} is not finite; the last good checkpoint stays; lower the learning rate")
        if self.world.size > 1:
            require_same_on_all_ranks(tensors_sha256(state.generator.state_dict()), str(self.run.path), self.world)
        if self.world.is_leader:
            header = {
                **self.setup.header, **state.header(), "threads": torch.get_num_threads(), "world_size": self.world.size,
                "recipe": self._whole_recipe().model_dump(mode="json", exclude_none=True),
                "data_sha256": self.setup.pack.content_sha256, "data_count": len(self.setup.pack),
            }  # fmt: skip
            save_checkpoint(self.run.path, state.counters.iteration, tensors, header, max_count=self._max_checkpoints)

    def remove_old_checkpoints(self, counters: Counters) -> None:
        """Remove what a process that was killed after a checkpoint did not come to remove."""
        if self.world.is_leader:
            remove_old_checkpoints(self.run.path, counters.iteration, self._max_checkpoints)

    @property
    def _max_checkpoints(self) -> int:
        return self.recipe.training.checkpoints_kept or CHECKPOINTS_KEPT
