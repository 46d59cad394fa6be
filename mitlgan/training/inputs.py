"""Inputs of a network in training: latents, or pictures with holes. All of them are derived from (seed, purpose, update)."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from mitlgan.data.pack.image_pack import ImagePack
from mitlgan.data.random_masks import draw_holes
from mitlgan.images.pixels import to_float
from mitlgan.latents import latents_from_seeds
from mitlgan.networks import Network
from mitlgan.recipe import Recipe
from mitlgan.runtime.distributed import World
from mitlgan.runtime.randomness import derived_seed, random_generator, sample_normal


class GeneratorInputs(Protocol):
    """Inputs of a network in training."""

    def sample(self, purpose: str, update: int, real: Tensor) -> Tensor:
        """Return the inputs of one update.

        Args:
            purpose: Which network is updated, `critic` or `generator`; different purposes have independent random numbers.
            update: Its number in the run.
            real: The update's real images, (N, C, H, W) in [-1, 1].

        Returns:
            N inputs of the network, on its device.
        """
        ...

    def fixed_samples(self, count: int) -> Tensor:
        """Return at most `count` inputs that are the same in every run, for snapshots."""
        ...


def make_inputs(network: Network, recipe: Recipe, pack: ImagePack, world: World) -> GeneratorInputs:
    """Return the inputs that a network takes."""
    if network.kind == "inpainter":
        return HoledImageInputs(recipe, pack, world)
    return LatentInputs(network.latent_dims_for(recipe.role), recipe.seed, world)


class LatentInputs:
    """Standard normal latents.

    Args:
        dims: Latent length of each layer.
        seed: The run's seed.
        world: This process's rank and device.
    """

    def __init__(self, dims: dict[str, int], seed: int, world: World) -> None:
        self.dims, self.seed, self.world = dims, seed, world

    def sample(self, purpose: str, update: int, real: Tensor) -> Tensor:
        """Return latents (N, sum of the dims); see `GeneratorInputs`."""
        shape = (len(real), sum(self.dims.values()))
        return sample_normal(shape, random_generator(self.seed, f"{purpose} latents", update, self.world.share), self.world.device)

    def fixed_samples(self, count: int) -> Tensor:
        """Return the latents of the seeds 0, 1, 2, ..."""
        return latents_from_seeds(range(count), self.dims).to(self.world.device)


class HoledImageInputs:
    """The real images, each with a random hole as another channel. The pixels in the hole are still there; only the network's own loss uses them.

    Args:
        recipe: Of an inpainter.
        pack: The real pictures.
        world: This process's rank and device.
    """

    def __init__(self, recipe: Recipe, pack: ImagePack, world: World) -> None:
        assert recipe.inpainter is not None
        self.recipe, self.inpainter, self.pack, self.world = recipe, recipe.inpainter, pack, world

    def sample(self, purpose: str, update: int, real: Tensor) -> Tensor:
        """Return images and holes, (N, 4, H, W), the hole last; see `GeneratorInputs`."""
        rng, share = np.random.default_rng(derived_seed(self.recipe.seed, f"{purpose} holes", update)), self.world.share
        count = len(real) * share.size
        holes = share.rows(self._holes(count, rng)).to(real.device)
        if self.inpainter.mirror:
            is_mirrored = share.rows(torch.from_numpy(rng.random(count) < 0.5)).to(real.device)
            real = torch.where(is_mirrored.view(-1, 1, 1, 1), real.flip(3), real)
        return torch.cat([real, holes], dim=1)

    def fixed_samples(self, count: int) -> Tensor:
        """Return pictures that are evenly spaced over the pack, with holes."""
        count = min(count, len(self.pack))
        indices = np.linspace(0, len(self.pack) - 1, count).astype(np.int64)
        real = to_float(self.pack.batch(indices))
        holes = self._holes(count, np.random.default_rng(derived_seed(0, "snapshot holes")))
        return torch.cat([real, holes], dim=1).to(self.world.device)

    def _holes(self, count: int, rng: np.random.Generator) -> Tensor:
        return torch.from_numpy(draw_holes(count, self.recipe.size_px, self.inpainter.holes.model_dump(), rng)).float()
