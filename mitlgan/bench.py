"""bench: this project's fast paths beside plain hand-written code, in turns, in one process.

Absolute times are noisy; the ratios of runs side by side are what counts. Each figure is the median of its rounds.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder

from mitlgan import networks, objectives
from mitlgan.data.build.pack_folder import pack_folder
from mitlgan.data.pack.image_pack import ImagePack
from mitlgan.data.pack.index_sampler import IndexSampler
from mitlgan.images.pixels import to_float
from mitlgan.recipe import Recipe, load_recipe
from mitlgan.runtime.allocator import keep_freed_memory
from mitlgan.runtime.distributed import World
from mitlgan.runtime.json_files import read_jsonl
from mitlgan.runtime.progress import SilentReporter
from mitlgan.runtime.randomness import random_generator
from mitlgan.training import run_directory
from mitlgan.training.loop import TrainingLoop
from mitlgan.training.setup import TrainingSetup

SIZE_PX = 32
JPEG_PX = 256
BATCH = 32


def run_benchmarks(*, quick: bool = False) -> dict[str, Any]:
    """Measure everything; takes about a minute, a quarter of it when quick."""
    keep_freed_memory()  # for both sides alike
    rounds = 3 if quick else 9
    return {
        "threads": torch.get_num_threads(),
        "loading": loading(rounds, pictures=128 if quick else 512),
        "critic_update": critic_update(rounds * 3),
        "loop": loop_overhead(4 if quick else 20),
    }


def format_results(found: Mapping[str, Any]) -> list[str]:
    """The figures for people."""
    loading, critic, loop = found["loading"], found["critic_update"], found["loop"]
    return [
        f"threads                   {found['threads']}",
        f"loading                   {loading['packed_images_per_s']:,.0f} images/s packed, "
        f"{loading['folder_images_per_s']:,.0f} ImageFolder: {loading['ratio']:.0f}x",
        f"critic update             {critic['ours_ms']:.1f} ms, hand-written {critic['plain_ms']:.1f} ms: ratio {critic['ratio']:.2f}",
        f"loop overhead             {loop['overhead_fraction']:.1%} of a step",
    ]


def loading(rounds: int, *, pictures: int) -> dict[str, float]:
    """Batches from a pack against torchvision's ImageFolder + Resize + ToTensor, on the same JPEGs."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        _write_jpegs(root / "pictures" / "all", pictures)
        packed = pack_folder(root / "pictures", root / "pack.npy", size_px=SIZE_PX, keep_alpha=False)
        prepared = transforms.Compose([transforms.Resize((SIZE_PX, SIZE_PX)), transforms.ToTensor()])
        loader = DataLoader(ImageFolder(str(root / "pictures"), prepared), batch_size=BATCH, shuffle=True)
        ours, theirs = _in_turns(lambda: _walk_pack(packed, pictures), lambda: sum(len(images) for images, _ in loader), rounds)
    return {"packed_images_per_s": pictures / ours, "folder_images_per_s": pictures / theirs, "ratio": theirs / ours}


def critic_update(rounds: int) -> dict[str, float]:
    """One WGAN-GP critic update: this project's objective and optimiser against a plain loop with the same networks."""
    recipe = load_recipe("thesis-32/pretrain_bg")
    real = torch.rand(BATCH, 3, SIZE_PX, SIZE_PX) * 2 - 1
    ours, plain = _in_turns(_ours(recipe, real), _plain(recipe, real), rounds)
    return {"ours_ms": ours * 1e3, "plain_ms": plain * 1e3, "ratio": ours / plain}


def loop_overhead(steps: int) -> dict[str, float]:
    """Share of a training step that is neither forward, backward nor optimiser, statistics and noise included."""
    recipe = load_recipe("thesis-32/pretrain_bg")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        _write_jpegs(root / "pictures", BATCH * 4)
        packed = pack_folder(root / "pictures", root / "pack.npy", size_px=SIZE_PX, keep_alpha=False)
        assert recipe.generator is not None
        generator, critic = networks.build_generator(recipe.generator, SIZE_PX), networks.build_critic(recipe.critic, SIZE_PX)
        problem = TrainingSetup(generator, critic, objectives.build(recipe.objective), packed)
        per_step = recipe.training.batch * recipe.objective.critic_steps / 1000
        run = run_directory.create(root, "bench", "loop")
        shortened = recipe.model_copy(update={"training": recipe.training.model_copy(update={"kimg": per_step * steps})})
        TrainingLoop(run, shortened, problem, World(0, 1, torch.device("cpu")), SilentReporter()).run()
        shares = [row["overhead_fraction"] for row in read_jsonl(run.timing_file)]
    return {"overhead_fraction": statistics.median(shares), "steps": float(steps)}


def _ours(recipe: Recipe, real: Tensor) -> Callable[[], None]:
    generator, critic, latent_dim = _pair(recipe)
    objective = objectives.build(recipe.objective)
    optimiser = torch.optim.Adam(critic.parameters(), lr=1e-4, betas=(0.0, 0.9), fused=True)
    step = iter(range(10**9))

    def update() -> None:
        with torch.no_grad():
            fake = generator(torch.randn(BATCH, latent_dim))
        loss, _ = objective.critic_loss(critic, real, fake, random_generator(0, "bench", next(step)))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()

    return update


def _plain(recipe: Recipe, real: Tensor) -> Callable[[], None]:
    """The loop that everyone writes first (Gulrajani et al. 2017, algorithm 1)."""
    generator, critic, latent_dim = _pair(recipe)
    optimiser = torch.optim.Adam(critic.parameters(), lr=1e-4, betas=(0.0, 0.9))

    def update() -> None:
        optimiser.zero_grad()
        with torch.no_grad():
            fake = generator(torch.randn(BATCH, latent_dim))
        share = torch.rand(BATCH, 1, 1, 1)
        mixed = (share * real + (1 - share) * fake).requires_grad_(True)
        (gradient,) = torch.autograd.grad(critic(mixed).sum(), mixed, create_graph=True)
        penalty = ((gradient.flatten(1).norm(2, dim=1) - 1) ** 2).mean()
        loss = critic(fake).mean() - critic(real).mean() + 10 * penalty
        loss.backward()
        optimiser.step()

    return update


def _pair(recipe: Recipe) -> tuple[nn.Module, nn.Module, int]:
    torch.manual_seed(0)
    assert recipe.generator is not None
    # Both sides in the layout in which the loop trains them.
    generator = networks.build_generator(recipe.generator, SIZE_PX).to(memory_format=torch.channels_last)
    return generator, networks.build_critic(recipe.critic, SIZE_PX), recipe.generator.latent_dim


def _walk_pack(packed: ImagePack, pictures: int) -> None:
    sampler = IndexSampler(len(packed), BATCH, 0)
    for step in range(pictures // BATCH):
        to_float(packed.batch(sampler.indices(step)))


def _in_turns(first: Callable[[], Any], second: Callable[[], Any], rounds: int) -> tuple[float, float]:
    """Median seconds of two things done in turns, after a warm-up of each."""
    times: tuple[list[float], list[float]] = ([], [])
    for round_ in range(rounds + 1):
        for index, work in enumerate((first, second)):
            started = time.perf_counter()
            work()
            if round_:
                times[index].append(time.perf_counter() - started)
    return statistics.median(times[0]), statistics.median(times[1])


def _write_jpegs(folder: Path, count: int) -> None:
    folder.mkdir(parents=True)
    noise = np.random.default_rng(0)
    for index in range(count):
        small = Image.fromarray(noise.integers(0, 256, (16, 16, 3), dtype=np.uint8))
        small.resize((JPEG_PX, JPEG_PX), Image.Resampling.BICUBIC).save(folder / f"{index:05d}.jpg", quality=90)
