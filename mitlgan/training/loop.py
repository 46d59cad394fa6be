"""The only training loop.

It knows inputs, a network from them to images, a critic, an objective and packed pictures, and none of their kinds: pretraining, baseline,
composition and inpainting are the same to it.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from mitlgan.artifacts.loaded_artifact import grid_png, run_network
from mitlgan.artifacts.safetensors_io import CHECKPOINTS_KEPT, first_nonfinite, save_checkpoint, tensors_sha256
from mitlgan.data.pack.image_pack import ImagePack
from mitlgan.data.pack.index_sampler import IndexSampler
from mitlgan.errors import DivergedError, NanError, ResourceError, Stopped, UsageError
from mitlgan.images.pixels import to_float
from mitlgan.networks import forward_with_aux_loss
from mitlgan.objectives import Objective
from mitlgan.recipe import Recipe
from mitlgan.runtime.allocator import keep_freed_memory
from mitlgan.runtime.distributed import World, any_rank, average_gradients, average_tensors, broadcast, require_same_on_all_ranks
from mitlgan.runtime.files import write_atomically
from mitlgan.runtime.progress import Reporter
from mitlgan.runtime.randomness import derived_seed, random_generator
from mitlgan.runtime.signals import StopSignals
from mitlgan.training import run_directory
from mitlgan.training.augmentation import DiffAugment, overfitting_sign
from mitlgan.training.inputs import make_inputs
from mitlgan.training.monitor import TrainingMonitor, batch_diversity, midtone_ratio
from mitlgan.training.run_directory import JsonlWriter, Run
from mitlgan.training.state import TrainingState

SNAPSHOT_IMAGES = 64
STATUS_INTERVAL_S = 2.0


@dataclass(frozen=True)
class TrainingSetup:
    """What is trained, on what.

    Attributes:
        generator: Inputs to images (N, C, H, W) in [-1, 1]: of latents, a generator or a composer; of pictures with holes, an inpainter.
        critic: Images to scores (N,), newly initialised.
        objective: Both losses.
        pixels: The real pictures.
        header: Whatever else a checkpoint must carry, so that a resume can build the networks again.
    """

    generator: nn.Module
    critic: nn.Module
    objective: Objective
    pack: ImagePack
    header: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Callbacks:
    """What the caller does on the way; the leading process alone calls them. They must not draw from the global random numbers.

    Attributes:
        keep: Called with the state at each of the recipe's `keep_kimg` and `keep_s`; its time is not counted.
        line: Called with each line of statistics.
    """

    save_artifact: Callable[[TrainingState], None] | None = None
    on_stats: Callable[[Mapping[str, Any]], None] | None = None


@dataclass
class Stopwatch:
    """Where the time of a step goes."""

    started: float = field(default_factory=time.perf_counter)
    started_cpu: float = field(default_factory=time.process_time)
    computing: float = 0.0

    def lap(self) -> tuple[float, float]:
        """Seconds and CPU seconds since the last lap."""
        now, now_cpu = time.perf_counter(), time.process_time()
        passed = (now - self.started, now_cpu - self.started_cpu)
        self.started, self.started_cpu = now, now_cpu
        return passed


class TrainingLoop:
    """One run of training: `run()` goes on from the state's counters to the recipe's length.

    Args:
        run: Where it writes.
        recipe: Length, batch, intervals, seed.
        setup: What is trained.
        world: This process among its like.
        reporter: Who is told.
        callbacks: What else happens on the way.
    """

    def __init__(self, run: Run, recipe: Recipe, setup: TrainingSetup, world: World, reporter: Reporter, callbacks: Callbacks | None = None) -> None:
        if recipe.training.batch % world.size:
            raise UsageError(f"training.batch: {recipe.training.batch} is not a multiple of the {world.size} processes; give one that is")
        if recipe.training.batch < 2 * world.size:
            raise UsageError(f"training.batch: {recipe.training.batch} over {world.size} processes leaves less than the two that BatchNorm needs")
        self.run_directory, self.recipe, self.setup, self.world, self.reporter = run, recipe, setup, world, reporter
        self.callbacks = callbacks or Callbacks()
        self.limit_s = recipe.training.limit_s or math.inf
        self.batch = recipe.training.batch // world.size
        self.state = TrainingState(setup.generator.to(world.device), setup.critic.to(world.device), recipe)
        broadcast([*self.state.generator.state_dict().values(), *self.state.critic.state_dict().values()], world)
        self.sampler = IndexSampler(len(setup.pack), self.batch, recipe.seed, world.rank, world.size)
        self.augmentation = DiffAugment(recipe.augment, recipe.seed, world.rank)
        self.inputs = make_inputs(setup.generator, recipe, setup.pack, world)
        self.snapshot_inputs = self.inputs.fixed_samples(SNAPSHOT_IMAGES)
        self.stopwatch = Stopwatch()
        self.autocast = world.device.type == "cuda"
        self.channels = int(setup.generator.image_channels)  # type: ignore[arg-type]
        diameter = 2 * math.sqrt(self.channels * recipe.size_px**2)
        stops = recipe.training.divergence != "continue"
        self.monitor = TrainingMonitor(setup.objective, recipe.training.log_iterations, reporter.say, diameter, stops)

    def run(self) -> TrainingState:
        """Train to the end.

        Raises:
            Stopped: By a signal, after saving.
            NanError: Too many updates in a row were not finite; the last checkpoint is from before.
            DivergedError: Losses, scores or weights stayed far beyond all scale, or no gradient was left.
            ResourceError: Disk or memory gave out; the last checkpoint is intact.
        """
        run, leads = self.run_directory, self.world.is_leader
        stats = JsonlWriter(run.stats) if leads else None
        timing = JsonlWriter(run.timing) if leads else None
        try:
            with StopSignals() as signals:
                self._loop(signals, stats, timing)
        except (MemoryError, RuntimeError) as error:
            raise translate_memory_error(error, self.recipe) from None
        finally:
            for writer in (stats, timing):
                if writer is not None:
                    writer.close()
        return self.state

    def train_iteration(self) -> dict[str, Tensor]:
        """One iteration: the critic's updates, then the generator's. Returns what it saw, as scalars."""
        counters, seed, rank = self.state.counters, self.recipe.seed, self.world.rank
        torch.manual_seed(derived_seed(seed, "dropout", counters.iteration, rank))
        self.state.apply_lr_schedules(counters.images_shown / kimg_to_images(self.recipe.training.kimg))
        seen: dict[str, Tensor] = {}
        skipped = counters.nan_skipped
        real = fake = made = None
        alone = self._critic_is_alone()
        for turn in range(self.setup.objective.critic_steps):
            update = counters.iteration * self.setup.objective.critic_steps + turn
            real = self._real(update)
            if self.recipe.training.shared_fakes and turn == self.setup.objective.critic_steps - 1:
                with _graph(not alone):
                    made = self._made(real, counters.iteration)
            fake, found = self._critic_update(real, update, made)
            seen |= found  # what an update has not, such as a lazy penalty, is that of the one before
            counters.images_shown += self.recipe.training.batch
        assert real is not None
        assert fake is not None
        seen |= {"diversity": batch_diversity(fake, real), "midtones": midtone_ratio(fake, real)}
        seen.update(self._generator_update(real, counters.iteration, made, critic_alone=alone))
        if counters.nan_skipped == skipped:
            counters.nan_in_a_row = 0
        average_tensors(self.state.running_statistics, self.world)
        self.state.update_ema(self.recipe.training.batch * self.setup.objective.critic_steps)
        counters.iteration += 1
        return seen

    def _critic_is_alone(self) -> bool:
        """Whether the next iteration's generator does not learn."""
        return self.state.counters.images_shown < kimg_to_images(self.recipe.training.critic_first_kimg or 0.0)

    def save(self) -> None:
        """Write a checkpoint.

        Raises:
            NanError: The state holds a value that is not finite.
        """
        tensors = self.state.tensors()
        bad = first_nonfinite(tensors)
        if bad is not None:
            raise NanError(f"{self.run_directory.path}: {bad} is not finite; the last good checkpoint stays; lower the learning rate")
        if self.world.size > 1:
            require_same_on_all_ranks(tensors_sha256(self.state.generator.state_dict()), str(self.run_directory.path), self.world)
        if self.world.is_leader:
            header = {**self.setup.header, **self.state.header(), "threads": torch.get_num_threads(), "world_size": self.world.size}
            header["recipe"] = self.recipe.model_dump(mode="json", exclude_none=True)
            header |= {"data_sha256": self.setup.pack.content_sha256, "data_count": len(self.setup.pack)}
            kept = self.recipe.training.checkpoints_kept or CHECKPOINTS_KEPT
            save_checkpoint(self.run_directory.path, self.state.counters.iteration, tensors, header, kept=kept)

    def snapshot(self) -> None:
        """Write the grid of the fixed inputs, by the moving average."""
        if not self.world.is_leader:
            return
        with torch.no_grad():
            images = run_network(self.state.ema, self.snapshot_inputs, self.recipe.role).output
        counters = self.state.counters
        by_iteration = self.recipe.training.snapshot_iterations is not None
        name = f"i{counters.iteration:08d}.png" if by_iteration else f"{int(counters.kimg):06d}.png"
        write_atomically(self.run_directory.path / "snapshots" / name, grid_png(images), root=self.run_directory.path)

    def keep(self) -> None:
        """Let the caller keep the state. Arms of a comparison by seconds are kept at other places: the time it takes must not count."""
        if self.callbacks.save_artifact is not None and self.world.is_leader:
            self.callbacks.save_artifact(self.state)
        self.stopwatch = Stopwatch()

    def _loop(self, signals: StopSignals, stats: JsonlWriter | None, timing: JsonlWriter | None) -> None:
        training, counters = self.recipe.training, self.state.counters
        if counters.iteration == 0:
            self.snapshot()
            self.save()
            if 0 in training.keep_kimg:
                self.keep()
        told, values = -math.inf, None
        self.monitor.record_initial_weights(self.state.generator_parameters, self.state.critic_parameters, counters)
        self.stopwatch = Stopwatch()
        last = self._is_over()
        while not last:
            before, before_s = counters.kimg, self._passed_s()
            learning = ("critic",) if self._critic_is_alone() else ("generator", "critic")
            numbers = _floats(self.train_iteration())
            self.monitor.check_divergence(numbers, self.state.generator_parameters, self.state.critic_parameters, counters, learning)
            if counters.iteration % training.log_iterations == 0:
                values = self._log(numbers, stats)
            self._clock(timing)
            last = self._is_over()
            if last or self._is_due(before, training.snapshot_kimg, training.snapshot_iterations):
                self.snapshot()
            if last or self._is_due(before, training.checkpoint_kimg, training.checkpoint_iterations):
                self._flush(stats, timing)
                self.save()
            if _reached(training.keep_kimg, before, counters.kimg) or _reached(training.keep_s, before_s, self._passed_s()):
                self.keep()
            if last or (values is not None and time.monotonic() - told > STATUS_INTERVAL_S):
                told = time.monotonic()
                self._flush(stats, timing)
                self.report_status("running", values)
            self._refuse_divergence(last=last)
            if any_rank(signals.received is not None, self.world) and not last:
                self._stop(signals, stats, timing)
        self._flush(stats, timing)

    def _is_due(self, before_kimg: float, interval_kimg: float, iterations: int | None) -> bool:
        if iterations is not None:
            return self.state.counters.iteration % iterations == 0
        return _passed(before_kimg, self.state.counters.kimg, interval_kimg)

    def _is_over(self) -> bool:
        counters = self.state.counters
        if self.limit_s < math.inf and any_rank(self._passed_s() >= self.limit_s, self.world):  # each rank has its own clock
            return True
        return counters.images_shown >= kimg_to_images(self.recipe.training.kimg)

    def _passed_s(self) -> float:
        """Seconds of training so far, by the recipe's clock."""
        counters = self.state.counters
        return counters.cpu_seconds if self.recipe.training.clock == "cpu" else counters.seconds

    def _made(self, real: Tensor, update: int) -> tuple[Tensor, Tensor | None]:
        """Images that the generator learns from, and what they cost beside what the critic says, if anything."""
        given = self.inputs.sample("generator", update, real)
        started = time.perf_counter()
        with torch.autocast(self.world.device.type, torch.bfloat16, enabled=self.autocast):
            made = forward_with_aux_loss(self.state.generator, given, self.state.counters.kimg)
        self.stopwatch.computing += time.perf_counter() - started
        return made

    def _critic_update(self, real: Tensor, update: int, made: tuple[Tensor, Tensor | None] | None) -> tuple[Tensor, dict[str, Tensor]]:
        state, seed, rank = self.state, self.recipe.seed, self.world.rank
        given = self.inputs.sample("critic", update, real) if made is None else None
        started = time.perf_counter()
        with torch.autocast(self.world.device.type, torch.bfloat16, enabled=self.autocast):
            with torch.no_grad():
                fake = state.generator(given) if made is None else made[0].detach()
            shown = self._shown(real, "critic's real", update), self._shown(fake, "critic's fake", update)
            adapted = self._adapt_augmentation(*shown, update)
            loss, seen = self.setup.objective.critic_loss(state.critic, *shown, random_generator(seed, "objective", update, rank), update)
        norm = self._descend(loss, state.critic_optimiser, state.critic_parameters)
        self.setup.objective.after_critic_step(state.critic)
        self.stopwatch.computing += time.perf_counter() - started
        return fake, {**seen, "critic_loss": loss.detach(), "critic_grad_norm": norm, **adapted}

    def _generator_update(
        self, real: Tensor, update: int, made: tuple[Tensor, Tensor | None] | None, *, critic_alone: bool
    ) -> dict[str, Tensor]:  # fmt: skip
        state = self.state
        with _graph(not critic_alone):
            fake, own_loss = self._made(real, update) if made is None else made
        started = time.perf_counter()
        with _graph(not critic_alone), torch.autocast(self.world.device.type, torch.bfloat16, enabled=self.autocast):
            shown = self._shown(fake, "generator's fake", update), self._shown(real, "generator's real", update)
            loss, seen = self.setup.objective.generator_loss(state.critic, *shown)
            if own_loss is not None:
                loss, seen = loss + own_loss, {**seen, "own_loss": own_loss.detach()}
        norm = torch.zeros_like(loss) if critic_alone else self._descend(loss, state.generator_optimiser, state.generator_parameters)
        self.stopwatch.computing += time.perf_counter() - started
        return {**seen, "generator_loss": loss.detach(), "generator_grad_norm": norm}

    def _shown(self, images: Tensor, purpose: str, update: int) -> Tensor:
        """What the critic is shown of images."""
        return self.augmentation(images, purpose, update, self.state.counters.augment_probability)

    def _adapt_augmentation(self, real: Tensor, fake: Tensor, update: int) -> dict[str, Tensor]:
        """Move the augmentation's probability by what the critic makes of a batch before it learns from it."""
        counters = self.state.counters
        if not self.augmentation.is_adaptation_due(update):
            return {}
        sign = overfitting_sign(self.state.critic, real, fake)
        average_tensors([sign], self.world)
        counters.augment_probability = self.augmentation.next_probability(counters.augment_probability, sign.item(), self.recipe.training.batch)
        return {"augment_sign": sign, "augment_probability": sign.new_tensor(counters.augment_probability)}

    def _descend(self, loss: Tensor, optimiser: torch.optim.Optimizer, parameters: list[nn.Parameter]) -> Tensor:
        """One optimiser step, or, where loss or gradient is not finite, none; so weights never become NaN by a gradient."""
        counters = self.state.counters
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        average_gradients(parameters, self.world)
        norm = nn.utils.get_total_norm([parameter.grad for parameter in parameters if parameter.grad is not None])
        if any_rank(not math.isfinite(norm.item() + loss.item()), self.world):
            counters.nan_skipped += 1
            counters.nan_in_a_row += 1
            if counters.nan_in_a_row >= self.recipe.training.nan_patience:
                raise NanError(
                    f"{self.run_directory.path}: {counters.nan_in_a_row} updates, some in each iteration, were not finite at "
                    f"{counters.kimg:.1f} kimg; the last checkpoint is from before; lower the learning rate"
                )
        else:
            optimiser.step()
        return norm

    def _real(self, update: int) -> Tensor:
        pixels = self.setup.pack.batch(self.sampler.indices(update), channels=self.channels, backdrop=self.recipe.data.backdrop)
        if self.recipe.data.mirror:
            mirrored = torch.rand(len(pixels), generator=random_generator(self.recipe.seed, "mirrored", update, self.world.rank)) < 0.5
            pixels = torch.where(mirrored.view(-1, 1, 1, 1), pixels.flip(3), pixels)
        if self.world.device.type == "cuda":
            pixels = pixels.pin_memory().to(self.world.device, non_blocking=True)
        return to_float(pixels.to(self.world.device))

    def _refuse_divergence(self, *, last: bool) -> None:
        """End a run whose numbers have been far beyond scale for too long; the leading rank has said since when."""
        counters, path = self.state.counters, self.run_directory.path
        if any_rank(self.monitor.has_diverged(counters, last=last), self.world):
            raise DivergedError(
                f"{path}: {counters.divergence or 'diverged'}; ended without an artifact at iteration {counters.iteration}; "
                "lower the learning rate, or go on in spite of it by --set training.divergence=continue"
            )

    def _log(self, numbers: dict[str, float], stats: JsonlWriter | None) -> dict[str, Any]:
        counters = self.state.counters
        if numbers["generator_grad_norm"] or not self.recipe.training.critic_first_kimg:  # a critic that learns alone wins, as it should
            self.monitor.check(numbers, counters)
        values: dict[str, Any] = {"iteration": counters.iteration, "kimg": counters.kimg}
        values |= {name: _or_none(value) for name, value in numbers.items()}
        values |= {"nan_skipped": counters.nan_skipped, "collapsed": counters.collapsed_at_kimg is not None}
        if counters.trouble:
            values["diagnosis"] = counters.trouble
        if stats is not None:
            stats.write(values)
            if self.callbacks.on_stats is not None:
                self.callbacks.on_stats(values)
        return values

    def _clock(self, timing: JsonlWriter | None) -> None:
        counters = self.state.counters
        seconds, cpu_seconds = self.stopwatch.lap()
        counters.seconds += seconds
        counters.cpu_seconds += cpu_seconds
        if timing is not None and counters.iteration % self.recipe.training.log_iterations == 0:
            images = self.recipe.training.batch * self.setup.objective.critic_steps
            overhead = 1 - self.stopwatch.computing / seconds
            timing.write(
                {
                    "iteration": counters.iteration,
                    "kimg": counters.kimg,
                    "seconds": round(counters.seconds, 4),
                    "cpu_seconds": round(counters.cpu_seconds, 4),
                    "images_per_s": round(images / seconds, 2),
                    "overhead_fraction": round(overhead, 4),
                }
            )
        self.stopwatch.computing = 0.0

    def report_status(self, state: str, values: Mapping[str, Any] | None = None) -> None:
        """Write the run's status and tell the reporter."""
        if not self.world.is_leader:
            return
        values = values or {}
        counters, target = self.state.counters, self.recipe.training.kimg
        rate = counters.images_shown / counters.seconds if counters.seconds else 0.0
        left_s = min((target - counters.kimg) * 1000 / rate, self.limit_s - self._passed_s()) if rate else None
        status = {
            "state": state, "command": self.recipe.command, "role": self.recipe.role, "iteration": counters.iteration, "kimg": counters.kimg,
            "target_kimg": target, "images_per_s": rate, "eta_s": None if left_s is None else max(0.0, left_s),
            "seconds": counters.seconds, "collapsed_at_kimg": counters.collapsed_at_kimg,
            "diverged_at_kimg": counters.diverged_at_kimg, "diagnosis": counters.trouble, "nan_skipped": counters.nan_skipped,
            "critic_loss": values.get("critic_loss"), "generator_loss": values.get("generator_loss"),
        }  # fmt: skip
        self.run_directory.write_status(status)
        self.reporter.update(status)

    def _flush(self, *writers: JsonlWriter | None) -> None:
        for writer in writers:
            if writer is not None:
                writer.flush()

    def _stop(self, signals: StopSignals, stats: JsonlWriter | None, timing: JsonlWriter | None) -> None:
        self._flush(stats, timing)
        self.save()
        self.report_status("stopped")
        path = self.run_directory.path
        raise Stopped(f"{path}: stopped at {self.state.counters.kimg:.1f} kimg and saved; go on with `mitlgan resume {path}`", signals.received or 15)


def train(
    run: Run,
    recipe: Recipe,
    setup: TrainingSetup,
    world: World,
    reporter: Reporter,
    *,
    checkpoint: tuple[dict[str, Tensor], dict[str, Any]] | None = None,
    callbacks: Callbacks | None = None,
) -> TrainingState:
    """Train a problem in a run directory, from the start or from a checkpoint.

    Args:
        run: Where everything is written.
        recipe: All settings.
        setup: What is trained, on what.
        world: This process among its like.
        reporter: Who is told.
        checkpoint: Tensors and header to go on from.
        callbacks: What else happens on the way.

    Returns:
        The final state; its `ema` is the network for use.

    Raises:
        MitlganError: See `Loop.run`.
    """
    keep_freed_memory()
    try:
        loop = TrainingLoop(run, recipe, setup, world, reporter, callbacks)
    except (MemoryError, RuntimeError) as error:
        raise translate_memory_error(error, recipe) from None
    if checkpoint is not None:
        loop.state.restore(*checkpoint)
        for path in (run.stats, run.timing):
            run_directory.truncate_jsonl(path, loop.state.counters.iteration)
    try:
        return loop.run()
    except NanError:
        loop.report_status("nan")
        raise
    except DivergedError:
        loop.report_status("diverged")
        raise
    except ResourceError:
        with contextlib.suppress(ResourceError):
            loop.report_status("failed")
        raise


def translate_memory_error(error: MemoryError | RuntimeError, recipe: Recipe) -> Exception:
    """Name batch and image size when memory gave out (FAULTS 12); anything else is a bug and stays as it is."""
    text = str(error).lower()
    if not (isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "out of memory" in text or "can't allocate memory" in text):
        return error
    batch, size_px = recipe.training.batch, recipe.size_px
    advice = f"try half: --set training.batch={batch // 2}" if batch >= 4 else "try a smaller size_px or narrower networks"
    return ResourceError(f"training.batch: out of memory with {batch} images of {size_px} px; {advice}")


def kimg_to_images(kimg: float) -> int:
    """A length in images. The tiny excess that a multiplication can leave must not cost an update more (2.007 * 1000 is 2007 and a bit)."""
    return math.ceil(round(kimg * 1000, 6))


def count_generator_updates(recipe: Recipe) -> int:
    """Generator updates of a recipe's length."""
    return -(-kimg_to_images(recipe.training.kimg) // (recipe.training.batch * recipe.objective.critic_steps))


def _graph(wanted: bool) -> contextlib.AbstractContextManager[object]:
    return contextlib.nullcontext() if wanted else torch.no_grad()


def _passed(before: float, now: float, interval: float) -> bool:
    return math.floor(now / interval) > math.floor(before / interval)


def _reached(points: Sequence[float], before: float, now: float) -> bool:
    """Whether one of the points lies in (before, now]; a product's rounding error is no distance."""
    return any(before < point - 1e-6 <= now for point in points)


def _floats(seen: Mapping[str, Tensor]) -> dict[str, float]:
    return dict(zip(seen, torch.stack([value.detach().float() for value in seen.values()]).tolist(), strict=True))


def _or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None
