"""Speed of loading, of a critic update and of the loop, compared with plain hand-written code.

Both sides run alternately in one process, because absolute times are noisy and only ratios count. Each figure is the median of its rounds.
"""

from __future__ import annotations

import statistics
import tempfile
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
from mitlgan.bench.timing import spread_of, time_alternately
from mitlgan.data.build.pack_folder import pack_folder
from mitlgan.data.pack.image_pack import ImagePack
from mitlgan.data.pack.index_sampler import IndexSampler
from mitlgan.images.pixels import to_float
from mitlgan.recipe import Recipe, load_recipe
from mitlgan.report.formatting import two_digits
from mitlgan.runtime.distributed import World
from mitlgan.runtime.json_files import read_log
from mitlgan.runtime.progress import SilentReporter
from mitlgan.runtime.randomness import random_generator
from mitlgan.training import run_directory
from mitlgan.training.loop import TrainingLoop
from mitlgan.training.setup import TrainingSetup

SIZE_PX = 32
JPEG_PX = 256
BATCH = 32


def measure_loading(quick: bool) -> dict[str, Any]:
    """Compare batches from a pack with torchvision's ImageFolder + Resize + ToTensor, on the same JPEGs."""
    pictures = 128 if quick else 512
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        _write_jpegs(root / "pictures" / "all", pictures)
        packed = pack_folder(root / "pictures", root / "pack.npy", size_px=SIZE_PX, keep_alpha=False)
        transform = transforms.Compose([transforms.Resize((SIZE_PX, SIZE_PX)), transforms.ToTensor()])
        loader = DataLoader(ImageFolder(str(root / "pictures"), transform), batch_size=BATCH, shuffle=True)
        times_s = time_alternately(lambda: _read_pack(packed, pictures), lambda: sum(len(images) for images, _ in loader), 3 if quick else 9)
    ours_s, theirs_s = map(statistics.median, times_s)
    ratios = spread_of([theirs / ours for ours, theirs in zip(*times_s, strict=True)])
    return {"packed_images_per_s": pictures / ours_s, "folder_images_per_s": pictures / theirs_s, "ratio": theirs_s / ours_s, "ratios": ratios}


def measure_critic_update(quick: bool) -> dict[str, Any]:
    """Compare a WGAN-GP critic update by this project's objective and optimiser with a plain loop, on the same networks."""
    recipe = load_recipe("thesis-32/pretrain_bg")
    real = torch.rand(BATCH, 3, SIZE_PX, SIZE_PX) * 2 - 1
    times_s = time_alternately(_project_update(recipe, real), _plain_update(recipe, real), 9 if quick else 27)
    ours_s, plain_s = map(statistics.median, times_s)
    ratios = spread_of([ours / plain for ours, plain in zip(*times_s, strict=True)])
    return {"ours_ms": ours_s * 1e3, "plain_ms": plain_s * 1e3, "ratio": ours_s / plain_s, "ratios": ratios}


def measure_loop_overhead(quick: bool) -> dict[str, Any]:
    """Measure the share of a training step that is not forward, backward or optimiser, but statistics, random numbers and so on."""
    steps = 4 if quick else 20
    recipe = load_recipe("thesis-32/pretrain_bg")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        _write_jpegs(root / "pictures", BATCH * 4)
        packed = pack_folder(root / "pictures", root / "pack.npy", size_px=SIZE_PX, keep_alpha=False)
        assert recipe.generator is not None
        generator, critic = networks.build_generator(recipe.generator, SIZE_PX), networks.build_critic(recipe.critic, SIZE_PX)
        setup = TrainingSetup(generator, critic, objectives.build(recipe.objective), packed)
        per_step = recipe.training.batch * recipe.objective.critic_steps / 1000
        run = run_directory.create_run(root, "bench", "loop")
        shortened = recipe.model_copy(update={"training": recipe.training.model_copy(update={"kimg": per_step * steps})})
        TrainingLoop(run, shortened, setup, World(0, 1, torch.device("cpu")), SilentReporter()).run()
        shares = [row["overhead_fraction"] for row in read_log(run.timing_file)]
    return {"overhead_fraction": statistics.median(shares), "overhead": spread_of(shares), "steps": float(steps)}


def format_loading(results: Mapping[str, Any]) -> list[str]:
    """Return the results as lines of text."""
    return [
        f"loading                   {results['packed_images_per_s']:,.0f} images/s packed, {results['folder_images_per_s']:,.0f} ImageFolder: "
        f"{two_digits(results['ratio'], 0)}x ({two_digits(results['ratios']['min'], 0)} to {two_digits(results['ratios']['max'], 0)})"
    ]


def format_critic_update(results: Mapping[str, Any]) -> list[str]:
    """Return the results as lines of text."""
    return [
        f"critic update             {results['ours_ms']:.1f} ms, hand-written {results['plain_ms']:.1f} ms: "
        f"ratio {results['ratio']:.2f} ({results['ratios']['min']:.2f} to {results['ratios']['max']:.2f})"
    ]


def format_loop_overhead(results: Mapping[str, Any]) -> list[str]:
    """Return the results as lines of text."""
    return [f"loop overhead             {results['overhead_fraction']:.1%} of a step"]


def _project_update(recipe: Recipe, real: Tensor) -> Callable[[], None]:
    generator, critic, latent_dim = _build_networks(recipe)
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


def _plain_update(recipe: Recipe, real: Tensor) -> Callable[[], None]:
    """Return the update that everyone writes first (Gulrajani et al. 2017, algorithm 1)."""
    generator, critic, latent_dim = _build_networks(recipe)
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


def _build_networks(recipe: Recipe) -> tuple[nn.Module, nn.Module, int]:
    torch.manual_seed(0)
    assert recipe.generator is not None
    # Both sides use the memory format that the loop trains in.
    generator = networks.build_generator(recipe.generator, SIZE_PX).to(memory_format=torch.channels_last)
    return generator, networks.build_critic(recipe.critic, SIZE_PX), recipe.generator.latent_dim


def _read_pack(packed: ImagePack, pictures: int) -> None:
    sampler = IndexSampler(len(packed), BATCH, 0)
    for step in range(pictures // BATCH):
        to_float(packed.batch(sampler.indices(step)))


def _write_jpegs(folder: Path, count: int) -> None:
    folder.mkdir(parents=True)
    noise = np.random.default_rng(0)
    for index in range(count):
        small = Image.fromarray(noise.integers(0, 256, (16, 16, 3), dtype=np.uint8))
        small.resize((JPEG_PX, JPEG_PX), Image.Resampling.BICUBIC).save(folder / f"{index:05d}.jpg", quality=90)
