"""The object before a background that is known: where it stands is seen, and what it is looked for there.

What is hidden must be hidden by something. Pixels alone do not say so where a matte has come near to nothing: its slope there is nearly nothing,
too, and parts of the object stay away. The cross-entropy of the matte has a slope there, so a search begins with it, and ends without it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from mitlgan.images.alpha import split_premultiplied
from mitlgan.inversion.cost import CHUNK, Aim
from mitlgan.inversion.decompose.parallel import abreast
from mitlgan.inversion.levenberg_marquardt import Climber, begun, by_cost, polished
from mitlgan.inversion.multistart import improved
from mitlgan.inversion.placement_search import Places
from mitlgan.inversion.progress import Teller
from mitlgan.inversion.settings import Settings
from mitlgan.networks.placement import PLACEMENT_DIM, LayerTransform, PlacementPrior
from mitlgan.runtime.randomness import random_generator, sample_normal

CUT_PX = 2
"""Pixels of an image's edge that are hidden where an object goes on beyond it."""
EDGE = 0.05
"""Share of an object's area that lies beyond each of the edges by which its extent is measured: single pixels may be wrong."""
CLEAR_DB = 50.0
"""PSNR from which on what is left comes from the background, and is for both together."""
MORE = 2.5
"""Times as many restarts as usual: an object may look alike at a slightly other size, where a search ends that began too far away."""
PRIOR = 4.0
"""Times as much prior as usual: an object covers but a part of the picture, and what is wrong in it is wrong in many pixels at once."""
LONGER = 2
"""Times as many steps of Levenberg-Marquardt as usual: a small object leaves little to go by, and is followed through a long, curved valley."""
MOST = 256
LOOKED_AT = 3
"""Times as many starts as usual: their outlines must fit what is hidden, too."""
COVERED_FOR = 0.75
"""Of a search's way: for so long the matte has a cost of its own, which falls all the while."""
LEAST, MOST_OPAQUE = 1e-6, 1 - 1e-4
"""Opacity between which the matte's cross-entropy is taken."""
HOPS = (0.2, 0.4)
"""How far, as a standard deviation, latents are thrown from the best one, in turn."""
HOP_ROUNDS, HOP_WORTH = 4, 0.9
"""So often at most, while one of them has led at least that far down: to this share of the squared error."""
HOPPERS, HOP_STEPS, HOP_POLISH_STEPS = 16, 60, 60
HOP_PLACE = 0.2
"""Share of that for the numbers that place an object: by a tenth of its frame it would miss itself."""
NEAR_DB = 33.0
"""PSNR below which an object is not only a ridge away from what it should be."""
FOUND_DB = 46.0
"""PSNR from which on another attempt would find the same object."""
AGAIN = 4
"""Times as many attempts as usual: each of them is short."""
RGB = 3
SIDES = 2
"""As it is, and mirrored."""


class Way(NamedTuple):
    """How one attempt differs from another.

    Attributes:
        steps: Of Adam, as a multiple.
        learning_rate: Likewise.
        covering: Weight of the matte's cross-entropy at first.
    """

    steps: int
    learning_rate: float
    covering: float


WAYS = (Way(2, 0.5, 10.0), Way(4, 0.25, 10.0), Way(2, 0.5, 0.0), Way(4, 0.25, 3.0))
"""Of one attempt after the other. Slower than other searches: at their rate objects that are hard to tell apart were passed by. The hardest are found
by the slowest, which take twice as long."""


@dataclass(frozen=True, eq=False)
class Front:
    """How objects get before the background.

    Attributes:
        image: Images (N, 4, H, W) of the object's latents (N, D).
        seen: Fused images and the object's matte there (N, 4, H, W) of its images and the placement's latents (N, `NUMBERS`), or None.
        placement: What places them; None: they stay where they are.
        dim: D.
    """

    image: Callable[[Tensor], Tensor]
    seen: Callable[[Tensor, Tensor | None], Tensor]
    placement: PlacementPrior | None
    dim: int

    @property
    def place(self) -> Places | None:
        """Where in latents of object and place the placement's numbers are; an object is the same at all places."""
        return None if self.placement is None else Places(slice(self.dim, self.dim + PLACEMENT_DIM), self._put)

    def render(self, z: Tensor) -> Tensor:
        """Fused images of latents of object and place together (N, D or D + `NUMBERS`)."""
        return self.whole(z)[:, :RGB]

    def whole(self, z: Tensor) -> Tensor:
        """The same, with the matte (N, 4, H, W)."""
        return self.seen(self.image(z[:, : self.dim]), None if self.placement is None else z[:, self.dim :])

    def _put(self, z: Tensor) -> Callable[[Tensor], Tensor]:
        images = self.image(z[:, : self.dim])
        return lambda places: self.seen(images.expand(len(places), *images.shape).flatten(0, 1), places.flatten(0, 1))[:, :RGB]


class Covering:
    """The cost of `Aim`, and while a search is on its way the cross-entropy of the object's matte with what is hidden.

    Args:
        aim: Whose target and prior are used.
        front: What gives the matte.
        hidden: What is not the background's own, (1, H, W) in [0, 1].
        weight: Of the cross-entropy at first.
    """

    def __init__(self, aim: Aim, front: Front, hidden: Tensor, weight: float) -> None:
        self.aim, self.target = aim, aim.target
        self.render: Callable[[Tensor], Tensor] = front.whole
        self._hidden, self._weight = hidden[None], weight

    def cost(self, z: Tensor, images: Tensor, *, perceptual: bool) -> Tensor:
        """The cost (N,) of latents (N, D) and their images (N, 3 or 4, H, W), the matte left out."""
        return self.aim.cost(z, images[:, :RGB], perceptual=perceptual)

    def searched(self, z: Tensor, images: Tensor, left: float) -> Tensor:
        """The cost (N,) of latents (N, D) and their images with mattes (N, 4, H, W)."""
        weight = self._weight * max(0.0, (left - 1) / COVERED_FOR + 1)
        cost = self.cost(z, images, perceptual=True)
        if not weight:
            return cost
        matte = images[:, RGB:].clamp(LEAST, MOST_OPAQUE)
        entropy = -(self._hidden * matte.log() + (1 - self._hidden) * (1 - matte).log()) * self.aim.weight
        return cost + weight * entropy.mean((1, 2, 3)) / self.aim.weight.mean()

    def errors(self, images: Tensor) -> Tensor:
        """Mean squared error (N,) over [0, 1] of images (N, 3 or 4, H, W), the matte left out."""
        return self.aim.errors(images[:, :RGB])


def in_front(front: Front, aim: Aim, hidden: Tensor, settings: Settings, clock: Teller) -> Tensor:
    """Find what is in front.

    Args:
        front: How objects get there.
        aim: Whose target and weights count.
        hidden: What is not the background's own, (1, H, W) in [0, 1].
        settings: How much is tried.
        clock: Told between steps.

    Returns:
        Latent of object and place (D or D + `NUMBERS`,).
    """
    jumps = () if front.placement is None else (front.dim + PLACEMENT_DIM - 1,)
    goal = min(settings.goal_db, CLEAR_DB)
    restarts = min(round(MORE * settings.restarts), MOST, settings.starts)
    enough = replace(settings, goal_db=goal, restarts=restarts, attempts=1).times(prior=PRIOR, polish_steps=LONGER)
    aim = aim.of(front.render, jumps=jumps, settings=enough)

    def attempted(attempt: int, clock: Teller) -> Climber:
        way = WAYS[attempt % len(WAYS)]
        slower = enough.times(steps=way.steps, learning_rate=way.learning_rate)
        covering = Covering(aim, front, hidden, way.covering)
        starts = _placed_starts(front, covering, hidden, slower, clock, attempt)
        better = improved(covering, starts, slower, clock, front.place, attempt)
        return _hopped(front, aim, begun(aim, polished(aim, better, enough, clock)[0]), enough, clock)

    # a valley without a way out is left by beginning elsewhere, and going another way
    attempts = [partial(attempted, attempt) for attempt in range(AGAIN * settings.attempts)]
    found = abreast(attempts, lambda climber: _is_met(climber, min(goal, FOUND_DB)), clock, hidden.device)
    return min(found, key=by_cost).z


def _hopped(front: Front, aim: Aim, best: Climber, settings: Settings, clock: Teller) -> Climber:
    """Go on from random places around a latent that is near already: over the next ridge lies what it belongs to (basin hopping, Wales & Doye 1997)."""
    few = replace(settings, steps=HOP_STEPS, polish_steps=HOP_POLISH_STEPS)
    in_vain = 0
    for hop, reach in enumerate(HOPS * HOP_ROUNDS):
        if _is_met(best, settings.goal_db) or not _is_met(best, NEAR_DB) or in_vain == len(HOPS) or clock.over is not None:
            break
        drawn = sample_normal((HOPPERS, len(best.z)), random_generator(settings.seed, "embed/hops", hop), best.z.device)
        drawn[:, front.dim :] *= HOP_PLACE
        found, _ = polished(aim, improved(aim, best.z + reach * drawn, few, clock, front.place, hop), few, clock)
        other = begun(aim, found)
        in_vain = 0 if other.error < best.error * HOP_WORTH else in_vain + 1
        best = min(best, other, key=by_cost)
    return best


def _is_met(climber: Climber, psnr_db: float) -> bool:
    return climber.error <= 10 ** (-psnr_db / 10)


@torch.no_grad()
def _placed_starts(front: Front, aim: Covering, hidden: Tensor, settings: Settings, clock: Teller, attempt: int) -> Tensor:
    """The best of random objects, each of them put where the hidden part is, on both sides: (`restarts`, D + `NUMBERS`)."""
    seen, cut = _extent(hidden[None, 0]), _cut(hidden[0])
    kept, costs = hidden.new_empty(0, front.dim if front.placement is None else front.dim + PLACEMENT_DIM), hidden.new_empty(0)
    sides = 1 if front.placement is None else SIDES
    starts = LOOKED_AT * settings.starts // sides
    for first in range(0, starts, CHUNK):
        count = min(CHUNK, starts - first)
        z = sample_normal((count, front.dim), random_generator(settings.seed, f"embed/objects/{attempt}", first // CHUNK), hidden.device)
        images = front.image(z)
        for side in (1.0, -1.0)[:sides]:
            place = None
            if front.placement is not None:
                place = front.placement.to_latent(_stand(_extent(split_premultiplied(images).alpha[:, 0]), seen, cut, side))
            whole = z if place is None else torch.cat([z, place], dim=1)
            kept, costs = torch.cat([kept, whole]), torch.cat([costs, aim.searched(whole, front.seen(images, place), 1.0)])
        best = costs.argsort(stable=True)[: settings.restarts]
        kept, costs = kept[best], costs[best]
        if clock.tell("starts", sides * (first + count), sides * starts) is not None:
            break
    return kept


def _stand(own: Tensor, seen: Tensor, cut: Tensor, side: float) -> LayerTransform:
    """Where objects of some extents (N, 2, 2) stand to have another (1, 2, 2), of which edges (2, 2) are `cut`; see `_extent`, `_cut`."""
    larger, whole = (seen[:, 1] / own[:, 1]).log(), ~cut.any(1)  # (N, 2), (2,)
    scale = (larger[:, whole].mean(1) if bool(whole.any()) else larger.amax(1)).exp()  # an axis that is seen in part says but how large at least
    mirror = torch.full_like(scale, side)
    centres = []
    for axis, turned in enumerate((mirror, torch.ones_like(mirror))):
        centre, half, wanted = turned * scale * own[:, 0, axis], scale * own[:, 1, axis], seen[0, 0, axis]
        if bool(cut[axis, 0] != cut[axis, 1]):  # by the edge that is seen
            towards = 1 if bool(cut[axis, 0]) else -1
            centre, wanted = centre + towards * half, wanted + towards * seen[0, 1, axis]
        centres.append(wanted - centre)
    return LayerTransform(scale, centres[0], centres[1], mirror)


def _cut(hidden: Tensor) -> Tensor:
    """Whether what is hidden (H, W) goes on beyond the image: (2, 2), across and down, at the lower and the higher edge."""
    edges = torch.stack([hidden[:, 0], hidden[:, -1], hidden[0], hidden[-1]])
    return ((edges > 0.5).sum(1) >= CUT_PX).view(2, 2)


def _extent(mass: Tensor) -> Tensor:
    """Centre, across and down, and half of the width and height of masses (N, H, W): (N, 2, 2), where the image goes from -1 to 1."""
    spans = []
    for along, length in ((1, mass.shape[2]), (2, mass.shape[1])):
        share = mass.sum(along).cumsum(1)  # (N, length)
        share = share / share[:, -1:].clamp_min(1e-6)
        first, last = (share < EDGE).sum(1), (share < 1 - EDGE).sum(1)
        spans.append(torch.stack([(first + last + 1) / length - 1, (last - first + 1) / length], dim=1))
    return torch.stack(spans, dim=2)
