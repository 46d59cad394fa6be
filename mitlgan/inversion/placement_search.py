"""Where layers stand, by trial: an object at a wrong place has hardly a slope towards the right one, and none towards its mirror image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from mitlgan.artifacts.artifact import Card
from mitlgan.inversion.cost import CHUNK, Wanted
from mitlgan.networks import PLACEMENT_LATENT
from mitlgan.networks.placement import PLACEMENT_DIM
from mitlgan.runtime.randomness import random_generator, sample_normal

REACHES = (0.02, 0.05, 0.1, 0.2, 0.5)
TRIES = 3
"""For each reach, and as many anew."""


@dataclass(frozen=True, eq=False)
class Places:
    """Where in latents a placement's numbers are, and what they do.

    Attributes:
        part: The numbers.
        put: Of latents (K, D), what gives images (T K, C, H, W) of places (T, K, length) for each of them.
    """

    part: slice
    put: Callable[[Tensor], Callable[[Tensor], Tensor]]

    @classmethod
    def of(cls, render: Callable[[Tensor], Tensor], part: slice) -> Places:
        """Of images that can be had of whole latents (N, D) only."""

        def put(z: Tensor) -> Callable[[Tensor], Tensor]:
            return lambda places: render(_placed(z, part, places).flatten(0, 1))

        return cls(part, put)


def place_part(card: Card) -> slice | None:
    """Where in a latent the placement's numbers are, if it has any."""
    first = 0
    for name, length in card.latent_dims.items():
        if name == PLACEMENT_LATENT and card.kind == "composer":
            return slice(first, first + length)
        first += length
    return None


@torch.no_grad()
def better_places(aim: Wanted, z: Tensor, places: Places, seed: int, step: int) -> Tensor:
    """Try other places for latents, near and far and mirrored, and take those that cost less.

    Args:
        aim: What they cost.
        z: (K, D).
        places: The placement's numbers.
        seed: Of the trials.
        step: Likewise.

    Returns:
        (K, D), of which only the placement's numbers may differ.
    """
    part = places.part
    length = part.stop - part.start
    drawn = sample_normal((len(REACHES) + 1, TRIES, 1, length), random_generator(seed, "embed/places", step), z.device)
    own = z[:, part]
    near = [own + reach * numbers for reach, numbers in zip(REACHES, drawn, strict=False)]  # (TRIES, K, length) each
    mirrored = own.clone()
    mirrored[:, PLACEMENT_DIM - 1 :: PLACEMENT_DIM] *= -1
    tries = torch.cat([own[None], mirrored[None], *near, drawn[-1].expand(-1, len(z), -1)])  # (T, K, length)
    put = places.put(z)
    costs = torch.cat([
        aim.cost(_placed(z, part, some).flatten(0, 1), put(some), perceptual=False) for some in torch.split(tries, max(1, CHUNK // len(z)))
    ])  # fmt: skip
    best = costs.view(len(tries), len(z)).argmin(0)  # the first of equal ones: its own
    return _placed(z, part, tries)[best, torch.arange(len(z), device=z.device)]


def _placed(z: Tensor, part: slice, places: Tensor) -> Tensor:
    """Latents (K, D) at places (T, K, length): (T, K, D)."""
    tried = z.expand(len(places), -1, -1).clone()
    tried[:, :, part] = places
    return tried
