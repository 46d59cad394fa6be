"""The only training loop.

It works with inputs, a network that maps them to images, a critic, an objective and packed pictures, and knows none of their kinds:
pretraining, baseline, composition and inpainting are the same to it.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Mapping

import torch
from torch import Tensor

from mitlgan.errors import DivergedError, MitlganError, NanError, ResourceError, ShortageError, Stopped, UsageError, is_out_of_memory
from mitlgan.recipe import Recipe
from mitlgan.runtime.allocator import keep_freed_memory
from mitlgan.runtime.command_line import command_line
from mitlgan.runtime.distributed import World, any_rank, average_tensors, broadcast
from mitlgan.runtime.json_files import truncate_jsonl
from mitlgan.runtime.progress import Reporter, format_kimg
from mitlgan.runtime.randomness import derived_seed, seed_global_generators
from mitlgan.runtime.signals import StopSignals
from mitlgan.training.checkpoint import Checkpoint
from mitlgan.training.compilation import compile_networks
from mitlgan.training.counters import Counters
from mitlgan.training.monitor import TrainingMonitor, batch_diversity, midtone_ratio
from mitlgan.training.progress_animation import write_progress
from mitlgan.training.ranks import share_batch
from mitlgan.training.run_directory import Run
from mitlgan.training.run_writer import RunWriter
from mitlgan.training.schedule import Position, Schedule
from mitlgan.training.setup import Callbacks, TrainingSetup
from mitlgan.training.state import TrainingState
from mitlgan.training.stopwatch import Stopwatch
from mitlgan.training.updates import NetworkUpdates

SNAPSHOT_IMAGES = 64
STATUS_INTERVAL_S = 2.0


def train(
    run: Run,
    recipe: Recipe,
    setup: TrainingSetup,
    world: World,
    reporter: Reporter,
    *,
    checkpoint: Checkpoint | None = None,
    counters: Counters | None = None,
    callbacks: Callbacks | None = None,
) -> TrainingState:
    """Train in a run directory, from the start or from a checkpoint.

    Args:
        run: The run directory.
        recipe: All settings.
        setup: Networks, objective and pictures.
        world: This process's rank and device.
        reporter: Shows progress and messages.
        checkpoint: Where to resume.
        counters: Numbers to begin with, where this training is a further step of a ladder.
        callbacks: What the caller does during the training.

    Returns:
        The final state; its `ema` is the network for use.

    Raises:
        MitlganError: See `TrainingLoop.run`.
    """
    keep_freed_memory()
    try:
        loop = TrainingLoop(run, recipe, setup, world, reporter, callbacks)
        loop.state.counters = counters or loop.state.counters
        if checkpoint is not None:
            loop.state.restore(*checkpoint)
    except Exception as error:
        raise translate_memory_error(error, run, recipe, is_resumed=checkpoint is not None) from None
    if checkpoint is not None and world.is_leader:  # which alone writes them
        for path in (run.stats_file, run.timing_file):
            truncate_jsonl(path, loop.state.counters.iteration, reporter.say)
    try:
        return _run_loop(loop, is_resumed=checkpoint is not None)
    except NanError:
        loop.writer.write_status("nan", loop.state.counters)
        raise
    except DivergedError:
        loop.writer.write_status("diverged", loop.state.counters)
        raise
    except Stopped:
        raise
    except Exception as error:
        with contextlib.suppress(ResourceError):
            loop.writer.write_status("failed", loop.state.counters)
        if isinstance(error, ShortageError) and not error.is_memory:
            raise ShortageError(error.fault, f"free some, and continue with `{command_line(['resume', run.path])}`", is_memory=False) from None
        raise


def _run_loop(loop: TrainingLoop, *, is_resumed: bool) -> TrainingState:
    """Run the loop; however it ends, show its snapshots as an animation."""
    try:
        state = loop.run(is_resumed=is_resumed)
    except BaseException:
        with contextlib.suppress(Exception):  # why the training ended is what is told
            _show_snapshots(loop)
        raise
    _show_snapshots(loop)
    return state


def _show_snapshots(loop: TrainingLoop) -> None:
    if loop.world.is_leader:
        with contextlib.suppress(ResourceError):  # the snapshots are there, and a report shows them
            write_progress(loop.run_directory)


class TrainingLoop:
    """One training: `run()` continues from the state's counters to the recipe's length.

    Args:
        run: The run directory.
        recipe: All settings.
        setup: Networks, objective and pictures.
        world: This process's rank and device.
        reporter: Shows progress and messages.
        callbacks: What the caller does during the training.

    Raises:
        UsageError: The batch cannot be shared among the ranks.
    """

    def __init__(self, run: Run, recipe: Recipe, setup: TrainingSetup, world: World, reporter: Reporter, callbacks: Callbacks | None = None) -> None:
        if recipe.training.batch % world.size:
            raise UsageError(f"training.batch: {recipe.training.batch} is not a multiple of the {world.size} processes; give one that is")
        if recipe.training.batch < 2 * world.size:
            raise UsageError(f"training.batch: {recipe.training.batch} over {world.size} processes leaves less than the two that BatchNorm needs")
        self.run_directory, self.recipe, self.setup, self.world = run, recipe, setup, world
        self.callbacks = callbacks or Callbacks()
        self.schedule = Schedule(recipe)
        self.writer = RunWriter(run, recipe, setup, world, reporter, self.callbacks)
        self.state = TrainingState(setup.generator.to(world.device), setup.critic.to(world.device), recipe)
        broadcast([*self.state.generator.state_dict().values(), *self.state.critic.state_dict().values()], world)
        for network in (self.state.generator, self.state.critic):
            share_batch(network, world, recipe.training.batch // world.size)
        if recipe.training.compile is not None:
            compile_networks(self.state, recipe.training.compile, with_critic=not recipe.objective.has_per_sample_penalty)
        self.stopwatch = Stopwatch()
        self.updates = NetworkUpdates(run, self.state, recipe, setup, world, self.stopwatch)
        self.snapshot_inputs = self.updates.inputs.fixed_samples(SNAPSHOT_IMAGES)
        diameter = 2 * math.sqrt(self.updates.channels * recipe.size_px**2)
        stops = recipe.training.divergence != "continue"
        self.monitor = TrainingMonitor(setup.objective, recipe.training.log_iterations, reporter.say, diameter, stops)

    def run(self, *, is_resumed: bool = False) -> TrainingState:
        """Train to the end.

        Args:
            is_resumed: Whether the run began in another process; advice differs.

        Raises:
            Stopped: A signal came; the state was saved.
            NanError: Too many updates in a row were not finite; the last checkpoint is from before.
            DivergedError: Losses, scores or weights stayed far out of scale, or no gradient was left.
            ResourceError: Disk or memory is full; the last checkpoint is intact.
        """
        try:
            with self.writer.open_logs(), StopSignals() as signals:
                self._iterate(signals)
        except Exception as error:
            raise translate_memory_error(error, self.run_directory, self.recipe, is_resumed=is_resumed) from None
        return self.state

    def _iterate(self, signals: StopSignals) -> None:
        """Train iteration by iteration; write, check and stop when that is due."""
        state, counters, schedule, writer = self.state, self.state.counters, self.schedule, self.writer
        if counters.iteration == counters.step_iteration:
            writer.write_snapshot(state, self.snapshot_inputs)
            if counters.iteration == 0 and 0 in self.recipe.training.keep_kimg:
                self._save_artifact()
            writer.write_checkpoint(state)
        writer.remove_old_checkpoints(counters)
        status_time_s, logged = -math.inf, writer.read_last_stats()
        writer.write_status("running", counters, logged)
        self.monitor.record_initial_weights(state.generator_parameters, state.critic_parameters, counters)
        is_last = schedule.is_over(counters, self.world)
        if counters.iteration > counters.step_iteration and not (is_last and self.setup.is_last_step):
            self._save_missing_artifact()
        self._stop_if_diverged(is_last)  # a run that was killed between its last checkpoint and this check
        self.stopwatch.reset()
        while not is_last:
            before = schedule.position(counters)
            trained = ("critic",) if schedule.trains_critic_alone(counters) else ("generator", "critic")
            stats = _to_floats(self.train_iteration(), self.world)
            self.monitor.check_divergence(stats, state.generator_parameters, state.critic_parameters, counters, trained)
            is_logged = counters.iteration % self.recipe.training.log_iterations == 0
            if is_logged:
                if stats["generator_grad_norm"] or not self.recipe.training.critic_first_kimg:  # a critic that trains alone should win
                    self.monitor.check(stats, counters)
                logged = writer.write_stats(stats, counters)
            self._measure_time(is_logged)
            is_last = schedule.is_over(counters, self.world)
            if is_last and self.setup.is_last_step and logged is None:
                logged = writer.write_stats(stats, counters)  # a run shorter than its interval has one point to plot
            if is_last or schedule.is_snapshot_due(before, counters):
                writer.write_snapshot(state, self.snapshot_inputs)
            elif schedule.is_early_snapshot_due(before, counters):
                writer.write_snapshot(state, self.snapshot_inputs, is_extra=True)
            if schedule.is_artifact_due(before, counters):
                self._save_artifact()
            if is_last or schedule.is_checkpoint_due(before, counters):
                writer.flush_logs()
                writer.write_checkpoint(state)  # after all else that the iteration owes: a resume does not come back to it
            if is_last or (logged is not None and time.monotonic() - status_time_s > STATUS_INTERVAL_S):
                status_time_s = time.monotonic()
                writer.flush_logs()
                writer.write_status("running", counters, logged)
            self._stop_if_diverged(is_last)
            if any_rank(signals.received is not None, self.world) and not (is_last and self.setup.is_last_step):
                self._stop(signals)
        writer.flush_logs()

    def train_iteration(self) -> dict[str, Tensor]:
        """Update the critic `critic_steps` times, then the generator once.

        Returns:
            Statistics, as scalars; of the critic's updates, the last value of each.
        """
        state, training, critic_steps = self.state, self.recipe.training, self.setup.objective.critic_steps
        counters = state.counters
        seed_global_generators(derived_seed(self.recipe.seed, "dropout", counters.iteration), self.world.device)
        state.apply_lr_schedules(self.schedule.progress(counters))
        stats: dict[str, Tensor] = {}
        skipped = counters.nan_skipped
        real = fake = shared = None
        is_critic_alone = self.schedule.trains_critic_alone(counters)
        for step in range(critic_steps):
            update = counters.iteration * critic_steps + step
            real = self.updates.real_batch(update)
            if training.shared_fakes and step == critic_steps - 1:
                shared = self.updates.generate(real, counters.iteration, with_grad=not is_critic_alone)
            fake, critic_stats = self.updates.update_critic(real, update, shared)
            stats |= critic_stats
            counters.images_shown += training.batch
        assert real is not None
        assert fake is not None
        stats |= {"diversity": batch_diversity(fake, real), "midtones": midtone_ratio(fake, real)}
        stats |= self.updates.update_generator(real, counters.iteration, shared, is_critic_alone=is_critic_alone)
        if counters.nan_skipped == skipped:
            counters.nan_in_a_row = 0
        average_tensors(state.running_statistics, self.world)
        state.update_ema(training.batch * critic_steps)
        counters.iteration += 1
        return stats

    def _save_artifact(self) -> None:
        """Let the caller save an artifact; the time it takes does not count."""
        if self.callbacks.save_artifact is not None and self.world.is_leader:
            self.callbacks.save_artifact(self.state)
        self.stopwatch.reset()

    def _save_missing_artifact(self) -> None:
        """Save the artifact that is due where a run is resumed and is not there: earlier versions saved some at the next iteration, or not at all."""
        counters, now = self.state.counters, self.schedule.position(self.state.counters)
        before = Position(now.kimg - self.recipe.training.batch * self.setup.objective.critic_steps / 1000, now.elapsed_s)
        kept = {path.parent for path in self.run_directory.list_kept_artifacts()}
        if self.schedule.is_artifact_due(before, counters) and self.run_directory.kept_folder(counters.kimg) not in kept:
            self._save_artifact()

    def _measure_time(self, is_logged: bool) -> None:
        """Add the iteration's time to the counters."""
        seconds, cpu_seconds, computing_s = self.stopwatch.lap()
        self.state.counters.seconds += seconds
        self.state.counters.cpu_seconds += cpu_seconds
        if is_logged:
            self.writer.write_timing(seconds, computing_s, self.state.counters)

    def _stop_if_diverged(self, is_last: bool) -> None:
        counters, path = self.state.counters, self.run_directory.path
        if any_rank(self.monitor.has_diverged(counters, is_last=is_last), self.world):
            raise DivergedError(
                f"{path}: {counters.divergence or 'diverged'}; ended without an artifact at iteration {counters.iteration}; "
                "lower the learning rate, or continue in spite of it by --set training.divergence=continue"
            )

    def _stop(self, signals: StopSignals) -> None:
        counters, path = self.state.counters, self.run_directory.path
        self.writer.flush_logs()
        self.writer.write_checkpoint(self.state)
        self.writer.write_status("stopped", counters)
        self.writer.write_snapshot(self.state, self.snapshot_inputs, is_extra=True)
        raise Stopped(
            f"{path}: stopped at {format_kimg(counters.kimg)} kimg and saved; continue with `{command_line(['resume', path])}`", signals.received or 15
        )


def translate_memory_error(error: Exception, run: Run, recipe: Recipe, *, is_resumed: bool) -> Exception:
    """Return an error that names batch and image size if memory is full; return any other error as it is."""
    if isinstance(error, MitlganError) or not is_out_of_memory(error):
        return error
    batch, size_px = recipe.training.batch, recipe.size_px
    smaller = f"--set training.batch={batch // 2}" if batch >= 4 else "a smaller size_px or narrower networks"
    if is_resumed:
        advice = f"free some and run `{command_line(['resume', run.path])}` again, or start a new run with {smaller}"
    else:
        advice = f"try half: {smaller}" if batch >= 4 else f"try {smaller}"
    return ShortageError(f"training.batch: out of memory with {batch} images of {size_px} px", advice, is_memory=True)


def _to_floats(stats: Mapping[str, Tensor], world: World) -> dict[str, float]:
    """Return statistics as numbers, each the mean over all ranks."""
    values = torch.stack([value.detach().float() for value in stats.values()])
    average_tensors([values], world)
    return dict(zip(stats, values.tolist(), strict=True))
