"""A composition taken apart: first what is behind, from the pixels where it is seen; then the object, from those where it is not; then both together.

Together at once they are hardly ever found: whatever the background does not explain yet pulls at the object, and the other way round.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mitlgan.images.alpha import to_opaque_rgb
from mitlgan.inversion.cost import CHUNK, Aim, beside
from mitlgan.inversion.decompose.background import behind
from mitlgan.inversion.decompose.foreground import Front, in_front
from mitlgan.inversion.progress import PartClock, Teller
from mitlgan.inversion.settings import Settings
from mitlgan.networks import PLACEMENT_LATENT, Composer
from mitlgan.networks.fusion.fusions import FusionOutput, MatteFusion
from mitlgan.networks.placement import PlacementPrior
from mitlgan.networks.translators.bounded_residual import BoundedResidual

CORRECTIONS = 24
"""Rounds in which an end's corrections are taken off again: they are small and smooth, so each round's error is about half of the last one's."""

LAYERS_UNTIL = 0.85
"""Share of the time by which both layers must have been found apart: the rest is theirs together, when a background that hardly shows gets right."""


@dataclass(frozen=True, eq=False)
class Splitter:
    """What splits pictures of a composition of two layers, one with its own matte before the other.

    Attributes:
        composer: Which made them.
        back: The layer behind.
        front: The layer before it.
    """

    composer: Composer
    back: str
    front: str

    @classmethod
    def of(cls, network: nn.Module) -> Splitter | None:
        """For a network; None where layers cannot be told apart by what hides what, or the end paints the picture anew."""
        if not isinstance(network, Composer) or not isinstance(network.fusion, MatteFusion):
            return None
        fusion = network.fusion
        if len(fusion.order) != 2 or len(fusion.mattes) or not isinstance(network.translator, (nn.Identity, BoundedResidual)):
            return None
        return cls(network, *fusion.order)

    def split(self, aim: Aim, settings: Settings, clock: Teller) -> Tensor:
        """Find a latent (D,) of the composer, layer after layer; it is near to the best, but not at it.

        Args:
            aim: The picture.
            settings: How much is tried.
            clock: Told between steps.
        """
        dims, composer = self.composer.latent_dims, self.composer
        nothing = {name: aim.target.new_zeros(length) for name, length in dims.items()}

        def whole(parts: dict[str, Tensor]) -> Tensor:
            return torch.cat(list((nothing | parts).values()))

        uncorrected = Aim(aim.render, self._uncorrected(aim.target)[0], aim.weight[0], settings, None, shown=aim.target[0])
        found = behind(
            lambda z: to_opaque_rgb(composer.render_layer(self.back, z)),
            uncorrected,
            dims[self.back],
            settings,
            PartClock(clock, lambda z: whole({self.back: z}), LAYERS_UNTIL),
        )
        image = found.image
        placement = self._placement
        front = Front(
            lambda z: composer.render_layer(self.front, z),
            lambda images, place: _seen(composer.fuse({self.front: images, self.back: image.expand(len(images), -1, -1, -1)}, place)),
            placement,
            dims[self.front],
        )

        def joined(z: Tensor) -> Tensor:
            own = {self.front: z[: front.dim], self.back: found.z}
            return whole(own if placement is None else own | {PLACEMENT_LATENT: z[front.dim :]})

        return joined(in_front(front, uncorrected, found.hidden, settings, PartClock(clock, joined, LAYERS_UNTIL)))

    @torch.no_grad()
    def around(self, z: Tensor) -> Tensor:
        """What `Aim` wants to have around a latent (D,): fused images (D + 1, 3, H, W).

        What an end corrects changes little from one to the next, and each number changes one layer only.
        """
        own = self.composer.split(z[None])
        images = {name: self.composer.render_layer(name, own[name]) for name in (self.back, self.front)}
        fused = [self.composer.fuse(images, own.get(PLACEMENT_LATENT)).image]
        for name, numbers in own.items():
            for near in torch.split(beside(numbers[0])[1:], CHUNK):
                given = dict(images) | ({} if name == PLACEMENT_LATENT else {name: self.composer.render_layer(name, near)})
                place = near if name == PLACEMENT_LATENT else own.get(PLACEMENT_LATENT)
                rows = {layer: image.expand(len(near), -1, -1, -1) for layer, image in given.items()}
                fused.append(self.composer.fuse(rows, None if place is None else place.expand(len(near), -1)).image)
        return torch.cat(fused)

    @property
    def _placement(self) -> PlacementPrior | None:
        assert isinstance(self.composer.fusion, MatteFusion)
        placements = self.composer.fusion.placements
        if self.front not in placements:
            return None
        placement = placements[self.front]
        assert isinstance(placement, PlacementPrior)
        return placement

    @torch.no_grad()
    def _uncorrected(self, target: Tensor) -> Tensor:
        """What the end got, of what it gave (1, 3, H, W): x = y - change(x), solved by fixed point iteration."""
        end = self.composer.translator
        if not isinstance(end, BoundedResidual):
            return target
        image = target
        for _ in range(CORRECTIONS):
            image = target - end.residual(image)
        return image


def _seen(fused: FusionOutput) -> Tensor:
    """Image and opacity of what is in front, (N, 4, H, W)."""
    assert fused.matte is not None
    return torch.cat([fused.image, fused.matte], dim=1)
