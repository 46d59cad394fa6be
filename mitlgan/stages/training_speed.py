"""Speed and size of a training on this machine, measured by a few iterations on random pictures."""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from mitlgan import networks, objectives
from mitlgan.data.pack.image_pack import FourthChannel, ImagePack
from mitlgan.data.pack.writer import PackWriter
from mitlgan.recipe import Recipe, with_overrides
from mitlgan.runtime.distributed import World
from mitlgan.runtime.progress import SilentReporter
from mitlgan.training.loop import TrainingLoop
from mitlgan.training.run_directory import Run
from mitlgan.training.setup import TrainingSetup

WARM_UP_ITERATIONS = 2
MAX_ITERATIONS = 30
PICTURES = 64
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


def measure_training_speed(
    recipe: Recipe, layers: Mapping[str, Recipe] | None = None, *, seconds: float = 1.0, threads: int | None = None, device: str = "cpu"
) -> TrainingSpeed:
    """Run some iterations of a recipe; nothing of them is kept.

    Args:
        recipe: Of a generator or a composition.
        layers: Recipe of each layer's generator, for a composition.
        seconds: Time to measure, after two iterations to warm up.
        threads: CPU threads; None for those of this process.
        device: Where to train.
    """
    recipe = with_overrides(recipe, training__critic_first_kimg=None, transfer=None)  # later iterations, of which there are more, train both networks
    with tempfile.TemporaryDirectory() as folder, _threads(threads), torch.random.fork_rng(devices=[]):
        pack = _random_pack(Path(folder) / "pictures.npy", recipe)
        network = _build_network(recipe, layers or {})
        critic = networks.build_critic(recipe.critic, recipe.size_px)
        setup = TrainingSetup(network, critic, objectives.build(recipe.objective), pack)
        loop = TrainingLoop(Run(Path(folder)), recipe, setup, World(0, 1, torch.device(device)), SilentReporter())
        for _ in range(WARM_UP_ITERATIONS):
            loop.train_iteration()
        stopwatch, iterations = QuietStopwatch(threads or torch.get_num_threads()), 0
        while iterations < MAX_ITERATIONS and (not iterations or stopwatch.wall_s() < seconds):
            loop.train_iteration()
            iterations += 1
        elapsed_s, waiting_factor = stopwatch.read()
        kimg = iterations * recipe.training.batch * recipe.objective.critic_steps / 1000
        state_bytes = sum(tensor.numel() * tensor.element_size() for tensor in loop.state.tensors().values())
    return TrainingSpeed(elapsed_s / kimg, waiting_factor, state_bytes, peak_memory_bytes())


class QuietStopwatch:
    """Measures how long work takes where no other program keeps it waiting.

    Args:
        threads: Threads that the work uses.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._wall_s, self._cpu_s = time.perf_counter(), time.process_time()

    def wall_s(self) -> float:
        """Return the time since the start."""
        return time.perf_counter() - self._wall_s

    def read(self) -> tuple[float, float]:
        """Return the seconds that the work takes on free cores, and how many times as long it took."""
        wall_s, cpu_s = self.wall_s(), (time.process_time() - self._cpu_s) / self.threads
        factor = wall_s / max(cpu_s, 1e-9)
        return (cpu_s, factor) if factor > MAX_QUIET_FACTOR else (wall_s, 1.0)


def peak_memory_bytes() -> int:
    """Return the largest memory that this process has held so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _build_network(recipe: Recipe, layers: Mapping[str, Recipe]) -> networks.Network:
    if recipe.composer is None:
        assert recipe.generator is not None
        return networks.build_generator(recipe.generator, recipe.size_px)
    generators = {name: networks.build_generator(layer.generator, layer.size_px) for name, layer in layers.items() if layer.generator is not None}
    return networks.build_composer(recipe.composer, generators, recipe.size_px)


def _random_pack(path: Path, recipe: Recipe) -> ImagePack:
    fourth = FOURTH_CHANNELS[recipe.role] if recipe.critic.image_channels == 4 else None
    pixels = np.random.default_rng(0).integers(0, 256, (PICTURES, 4 if fourth else 3, recipe.size_px, recipe.size_px), dtype=np.uint8)
    with PackWriter(path, recipe.size_px, fourth) as writer:
        writer.extend(pixels, [{"name": str(index), "sha256": "0" * 64} for index in range(PICTURES)])
        return writer.publish(resize="lanczos", crop="center", licence="", made_by={"command": "measure"}, skipped=[])


@contextmanager
def _threads(threads: int | None) -> Iterator[None]:
    before = torch.get_num_threads()
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
