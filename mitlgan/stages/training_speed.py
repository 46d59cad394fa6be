"""Speed and size of a training on this machine: the only place where iterations are measured. Nothing of them is kept."""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from mitlgan import networks
from mitlgan.artifacts.card import GeneratorSpec
from mitlgan.data.pack.image_pack import FourthChannel, ImagePack
from mitlgan.data.pack.writer import PackWriter
from mitlgan.data.recipe_data import open_recipe_data
from mitlgan.recipe import Recipe, with_overrides
from mitlgan.runtime.distributed import World
from mitlgan.runtime.progress import UNBOUNDED_KIMG, SilentReporter
from mitlgan.stages.setup import make_setup
from mitlgan.training import run_directory
from mitlgan.training.loop import TrainingLoop, translate_memory_error
from mitlgan.training.schedule import Schedule
from mitlgan.training.setup import TrainingSetup

MIN_ITERATIONS, MAX_ITERATIONS = 3, 50
MEASURED_S = 2.0
"""Iterations are measured for about as long."""
RANDOM_PICTURES = 64
MAX_QUIET_FACTOR = 1.5
"""Wall time over CPU time per thread; above it, other programs keep this one waiting."""
FOURTH_CHANNELS: dict[str, FourthChannel | None] = {"fg": "alpha", "bg": None, "scene": None}


@dataclass(frozen=True)
class TrainingSpeed:
    """What a training takes.

    Attributes:
        seconds_per_kimg: Time for thousand real images, on cores that do nothing else.
        waiting_factor: How many times as long it took because other programs use the cores; 1 if they are free.
        state_bytes: Size of a checkpoint.
        memory_bytes: Peak memory of this process so far, which holds the training.
    """

    seconds_per_kimg: float
    waiting_factor: float
    state_bytes: int
    memory_bytes: int


@contextmanager
def open_loop(
    recipe: Recipe, world: World, *, layers: Mapping[str, GeneratorSpec] | None = None, pack: ImagePack | None = None
) -> Iterator[TrainingLoop]:
    """Yield the loop of a training with new weights, which are as fast as trained ones, in a temporary folder.

    Args:
        recipe: Of any command.
        world: Device to compute on.
        layers: How the frozen generators of a composition are built.
        pack: Its pictures; None opens the recipe's.

    Raises:
        ResourceError: The memory does not suffice.
        DataError: There are no usable pictures.
    """
    setup = _new_setup(recipe, open_recipe_data(recipe) if pack is None else pack, layers or {})
    with tempfile.TemporaryDirectory() as folder:
        run = run_directory.create_run(Path(folder), "estimate", recipe.name)
        try:
            yield TrainingLoop(run, recipe, setup, world, SilentReporter())
        except Exception as error:
            raise translate_memory_error(error, run, recipe, is_resumed=False) from None


def measure_iterations(loop: TrainingLoop, *, is_critic_alone: bool = False) -> tuple[float, float]:
    """Return wall and CPU seconds of one iteration, the mean of several after a first one, which is slower.

    Args:
        loop: Its networks and counters change.
        is_critic_alone: Whether only the critic learns in these iterations, wherever the recipe says so; else both networks do.
    """
    first_kimg = UNBOUNDED_KIMG if is_critic_alone else None
    loop.schedule = Schedule(with_overrides(loop.recipe, training__critic_first_kimg=first_kimg))
    loop.train_iteration()
    _wait(loop.world)
    start, count = _clocks(), 0
    while count < MAX_ITERATIONS and (count < MIN_ITERATIONS or time.perf_counter() - start[0] < MEASURED_S):
        loop.train_iteration()
        count += 1
    _wait(loop.world)
    end = _clocks()
    return (end[0] - start[0]) / count, (end[1] - start[1]) / count


def measure_work(work: Callable[[], object]) -> tuple[float, float]:
    """Return wall and CPU seconds of some work."""
    start = _clocks()
    work()
    end = _clocks()
    return end[0] - start[0], end[1] - start[1]


def on_free_cores(wall_s: float, cpu_s: float, threads: int) -> tuple[float, float]:
    """Return the seconds that work takes on cores that do nothing else, and how many times as long it took.

    Args:
        wall_s: Seconds that it took.
        cpu_s: CPU seconds of all its threads.
        threads: Threads that it used.
    """
    factor = wall_s / max(cpu_s / threads, 1e-9)
    return (cpu_s / threads, factor) if factor > MAX_QUIET_FACTOR else (wall_s, 1.0)


def measure_training_speed(
    recipe: Recipe, layers: Mapping[str, GeneratorSpec] | None = None, *, threads: int | None = None, device: str = "cpu"
) -> TrainingSpeed:
    """Run some iterations of a recipe on random pictures; both networks learn in them, as in most of a training.

    Args:
        recipe: Of a generator or a composition.
        layers: How each layer's generator is built, for a composition.
        threads: CPU threads; None for those of this process.
        device: Where to train.
    """
    recipe = with_overrides(recipe, transfer=None)
    with tempfile.TemporaryDirectory() as folder, _threads(threads), torch.random.fork_rng(devices=[]):
        pack = random_pack(Path(folder) / "pictures.npy", recipe)
        with open_loop(recipe, World(0, 1, torch.device(device)), layers=layers, pack=pack) as loop:
            wall_s, cpu_s = measure_iterations(loop)
            state_bytes = sum(tensor.numel() * tensor.element_size() for tensor in loop.state.tensors().values())
        seconds, waiting_factor = on_free_cores(wall_s, cpu_s, threads or torch.get_num_threads())
    kimg = recipe.training.batch * recipe.objective.critic_steps / 1000
    return TrainingSpeed(seconds / kimg, waiting_factor, state_bytes, peak_memory_bytes())


def peak_memory_bytes() -> int:
    """Return the largest memory that this process has held so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _new_setup(recipe: Recipe, pack: ImagePack, layers: Mapping[str, GeneratorSpec]) -> TrainingSetup:
    """Return a training's setup with new weights in all networks."""
    if recipe.generator is not None:
        network: networks.Network = networks.build_generator(recipe.generator, recipe.size_px)
    elif recipe.inpainter is not None:
        network = networks.build_inpainter(recipe.inpainter, recipe.size_px)
    else:
        assert recipe.composer is not None
        network = networks.build_composer(recipe.composer, {name: spec.build() for name, spec in layers.items()}, recipe.size_px)
    return make_setup(recipe, network, pack, {})


def random_pack(path: Path, recipe: Recipe) -> ImagePack:
    """Write a pack of random pictures, as a recipe needs them."""
    fourth = FOURTH_CHANNELS[recipe.role] if recipe.critic.image_channels == 4 else None
    pixels = np.random.default_rng(0).integers(0, 256, (RANDOM_PICTURES, 4 if fourth else 3, recipe.size_px, recipe.size_px), dtype=np.uint8)
    with PackWriter(path, recipe.size_px, fourth) as writer:
        writer.extend(pixels, [{"name": str(index), "sha256": "0" * 64} for index in range(RANDOM_PICTURES)])
        return writer.publish(resize="lanczos", crop="center", licence="", made_by={"command": "measure"}, skipped=[])


def _clocks() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def _wait(world: World) -> None:
    """Wait for a GPU, which computes asynchronously."""
    if world.device.type == "cuda":
        torch.cuda.synchronize(world.device)


@contextmanager
def _threads(threads: int | None) -> Iterator[None]:
    before = torch.get_num_threads()
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
