"""The textbook WGAN-GP loop: the opponent that `mitlgan bench --quality` measures.

It is no part of the product, whose only loop is `mitlgan.training.loop`. It is written as a good tutorial writes it (Gulrajani et al. 2017,
algorithm 1): torchvision's ImageFolder, whose pictures are decoded each time, separate passes for real and generated pictures, the penalty at each of
five critic updates, Adam with the paper's settings. Its networks are the thesis' (Élő 2021), narrowed as the demo's are, which learn earlier: no
dropout, latents of 128 numbers.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder

from mitlgan import networks
from mitlgan.data.pack.image_pack import BACKDROP
from mitlgan.networks import Critic, Generator
from mitlgan.networks.batchnorm import recalibrate_batchnorm
from mitlgan.recipe import load_recipe, with_overrides

BATCH = 32
"""The thesis' batch. The paper has 64, which learns more slowly in the first minutes."""
CRITIC_STEPS, PENALTY_WEIGHT = 5, 10.0
LEARNING_RATE, BETAS = 1e-4, (0.0, 0.9)
GENERATOR_WIDTH, CRITIC_WIDTH = 128, 32
"""Channels at 4 px, halved at each doubling of the size; channels of the first convolution, doubled at each halving."""
NETWORKS_RECIPE = "thesis-32/pretrain_bg"


class TextbookLoop:
    """A training that can be stopped at any CPU time and continued.

    Args:
        pictures: Folder with a folder `train` of pictures.
        size_px: Height and width.
        seed: Of weights, order and noise.

    Attributes:
        cpu_s: CPU seconds so far, reading pictures included.
        images_shown: Real pictures shown to the critic so far.
    """

    def __init__(self, pictures: Path, size_px: int, seed: int) -> None:
        torch.manual_seed(seed)
        self.generator, self.critic = build_networks(size_px)
        self.generator_optimiser = torch.optim.Adam(self.generator.parameters(), lr=LEARNING_RATE, betas=BETAS)
        self.critic_optimiser = torch.optim.Adam(self.critic.parameters(), lr=LEARNING_RATE, betas=BETAS)
        self.batches = endless_batches(pictures, size_px, BATCH)
        self.cpu_s, self.images_shown = 0.0, 0

    def train_until(self, cpu_s: float) -> None:
        """Train until as many CPU seconds have been used in all."""
        while self.cpu_s < cpu_s:
            start_s = time.process_time()
            for _ in range(CRITIC_STEPS):
                self._update_critic(next(self.batches))
            self._update_generator()
            self.cpu_s += time.process_time() - start_s

    def generator_for_use(self) -> Generator:
        """Return a copy of the generator with the BatchNorm statistics of its present weights, as the product's own artifacts have them."""
        copied = recalibrate_batchnorm(copy.deepcopy(self.generator), 0)
        assert isinstance(copied, Generator)
        return copied

    def _update_critic(self, real: Tensor) -> None:
        with torch.no_grad():
            fake = self.generator(torch.randn(len(real), self.generator.latent_dim))
        score_real, score_fake = self.critic(real).mean(), self.critic(fake).mean()
        loss = score_fake - score_real + PENALTY_WEIGHT * gradient_penalty(self.critic, real, fake)
        self.critic_optimiser.zero_grad()
        loss.backward()
        self.critic_optimiser.step()
        self.images_shown += len(real)

    def _update_generator(self) -> None:
        self.critic.requires_grad_(False)
        loss = -self.critic(self.generator(torch.randn(BATCH, self.generator.latent_dim))).mean()
        self.generator_optimiser.zero_grad()
        loss.backward()
        self.generator_optimiser.step()
        self.critic.requires_grad_(True)


def gradient_penalty(critic: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    """Return E[(|grad D(x)| - 1)^2] at random points between real and generated pictures (equation 3)."""
    share = torch.rand(len(real), 1, 1, 1)
    mixed = (share * real + (1 - share) * fake).requires_grad_(True)
    (gradient,) = torch.autograd.grad(critic(mixed).sum(), mixed, create_graph=True)
    norms: Tensor = gradient.flatten(1).norm(2, dim=1)
    return (norms - 1).square().mean()


def build_networks(size_px: int) -> tuple[Generator, Critic]:
    """Return the thesis' generator and critic, with as many blocks as the size needs."""
    blocks = (size_px // 4).bit_length() - 1
    changes = {
        "generator__widths": [GENERATOR_WIDTH >> block for block in range(blocks)],
        "critic__widths": [CRITIC_WIDTH << block for block in range(blocks)],
        "critic__dropout": [0.0] * blocks,
    }
    recipe = with_overrides(load_recipe(NETWORKS_RECIPE), size_px=size_px, **changes)
    assert recipe.generator is not None
    generator, critic = networks.build_generator(recipe.generator, size_px), networks.build_critic(recipe.critic, size_px)
    assert isinstance(critic, Critic)
    return generator, critic


class TrainFolder(ImageFolder):  # type: ignore[misc]
    """The pictures of the folder `train`, without those of folders next to it."""

    def find_classes(self, directory: str | Path) -> tuple[list[str], dict[str, int]]:
        """Return the one class."""
        return ["train"], {"train": 0}


def endless_batches(pictures: Path, size_px: int, batch: int = BATCH) -> Iterator[Tensor]:
    """Yield batches (N, 3, H, W) in [-1, 1], shuffled in each epoch."""
    steps = [transforms.Resize(size_px), transforms.CenterCrop(size_px), transforms.ToTensor(), transforms.Normalize([0.5] * 3, [0.5] * 3)]
    folder = TrainFolder(str(pictures), transforms.Compose(steps), loader=load_on_backdrop)
    loader: DataLoader[Any] = DataLoader(folder, batch, shuffle=True, drop_last=len(folder) >= batch)
    while True:
        for images, _ in loader:
            yield images


def load_on_backdrop(path: str) -> Image.Image:
    """Decode a picture; transparency becomes the backdrop on which pictures are compared."""
    with Image.open(path) as picture:
        if picture.mode in ("RGB", "L"):
            return picture.convert("RGB")
        layer = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layer.size, (*BACKDROP, 255)), layer).convert("RGB")
