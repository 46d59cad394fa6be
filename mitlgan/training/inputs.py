"""What a network in training is given: latents, or pictures with holes. All of it comes from (seed, purpose, step, rank)."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from mitlgan.artifacts.card import latent_dims
from mitlgan.data.pack.image_pack import ImagePack
from mitlgan.data.random_masks import draw_holes
from mitlgan.images.pixels import to_float
from mitlgan.latents import latents_from_seeds
from mitlgan.networks import ContextEncoder
from mitlgan.recipe import Recipe
from mitlgan.runtime.distributed import World
from mitlgan.runtime.randomness import derived_seed, random_generator, sample_normal


class GeneratorInputs(Protocol):
    """What the training loop asks of them."""

    def sample(self, purpose: str, update: int, real: Tensor) -> Tensor:
        """The inputs of one update.

        Args:
            purpose: Whose update, `critic` or `generator`: no two purposes share a random number.
            update: Its number in the run.
            real: The update's real pictures, (N, C, H, W) in [-1, 1].

        Returns:
            N inputs of the network, on its device.
        """
        ...

    def fixed_samples(self, count: int) -> Tensor:
        """At most so many inputs that are the same in every run, for snapshots."""
        ...


def make_inputs(network: nn.Module, recipe: Recipe, pictures: ImagePack, world: World) -> GeneratorInputs:
    """The inputs that a network takes."""
    if isinstance(network, ContextEncoder):
        return HoledImageInputs(recipe, pictures, world)
    return LatentInputs(latent_dims(network, recipe.role), recipe.seed, world)


class LatentInputs:
    """Standard normal latents.

    Args:
        dims: Length by layer.
        seed: Of the run.
        world: This process among its like.
    """

    def __init__(self, dims: dict[str, int], seed: int, world: World) -> None:
        self.dims, self.seed, self.world = dims, seed, world

    def sample(self, purpose: str, update: int, real: Tensor) -> Tensor:
        """(N, sum of the dims); see `Inputs`."""
        shape = (len(real), sum(self.dims.values()))
        return sample_normal(shape, random_generator(self.seed, f"{purpose} latents", update, self.world.rank), self.world.device)

    def fixed_samples(self, count: int) -> Tensor:
        """Those of the first seeds."""
        return latents_from_seeds(range(count), self.dims).to(self.world.device)


class HoledImageInputs:
    """The real pictures themselves, each with a hole drawn for it, and with the truth still in it: the network looks at it in its own loss alone.

    Args:
        recipe: Of an inpainter.
        pictures: The real pictures.
        world: This process among its like.
    """

    def __init__(self, recipe: Recipe, pictures: ImagePack, world: World) -> None:
        assert recipe.inpainter is not None
        self.recipe, self.inpainter, self.pictures, self.world = recipe, recipe.inpainter, pictures, world

    def sample(self, purpose: str, update: int, real: Tensor) -> Tensor:
        """(N, 4, H, W), the hole last; see `Inputs`."""
        rng = np.random.default_rng(derived_seed(self.recipe.seed, f"{purpose} holes", update, self.world.rank))
        holes = self._holes(len(real), rng).to(real.device)
        if self.inpainter.mirror:
            mirrored = torch.from_numpy(rng.random(len(real)) < 0.5).to(real.device)
            real = torch.where(mirrored.view(-1, 1, 1, 1), real.flip(3), real)
        return torch.cat([real, holes], dim=1)

    def fixed_samples(self, count: int) -> Tensor:
        """Pictures from all over the pack."""
        count = min(count, len(self.pictures))
        chosen = np.linspace(0, len(self.pictures) - 1, count).astype(np.int64)
        real = to_float(self.pictures.batch(chosen, backdrop=self.recipe.data.backdrop))
        holes = self._holes(count, np.random.default_rng(derived_seed(0, "snapshot holes")))
        return torch.cat([real, holes], dim=1).to(self.world.device)

    def _holes(self, count: int, rng: np.random.Generator) -> Tensor:
        return torch.from_numpy(draw_holes(count, self.recipe.size_px, self.inpainter.holes.model_dump(), rng)).float()
