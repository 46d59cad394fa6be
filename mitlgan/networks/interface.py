"""What every network answers about itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from mitlgan.networks.blocks import Generator

Kind = Literal["generator", "composer", "inpainter", "critic"]


class Network(nn.Module):
    """A generator, composer, inpainter or critic.

    Attributes:
        kind: Which of them, as an artifact's card says it.
        size_px: Height and width of its images.
        image_channels: Channels of its images.
    """

    kind: ClassVar[Kind]
    size_px: int
    image_channels: int

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input, without the batch."""
        raise NotImplementedError

    @property
    def movable_layers(self) -> tuple[str, ...]:
        """Layers that accept a transform, from back to front."""
        return ()

    @property
    def can_scale_harmonization(self) -> bool:
        """Whether harmonization, or a correction by the translator, can be applied in part."""
        return False

    def latent_dims_for(self, role: str) -> dict[str, int]:
        """Return the latent length by layer, in order; empty if it takes no latents.

        Args:
            role: Name of a generator's only layer.
        """
        return {}

    def generators_for(self, role: str) -> dict[str, Generator]:
        """Return the generators behind its latents, by layer; arguments as of `latent_dims_for`."""
        return {}

    def frozen_generators(self) -> dict[str, Generator]:
        """Return the generators that training leaves as they are, by layer."""
        return {}

    def trainable_parameters(self) -> Iterator[nn.Parameter]:
        """Return the parameters that training changes, whether they have gradients now or not."""
        return self.parameters()

    def forward_with_aux_loss(self, inputs: Tensor, kimg: float, real: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor | None]:
        """Return images in training, and the network's own loss besides the critic's, if it has one.

        Args:
            inputs: Latents (N, D), standard normal; for an inpainter images and their holes, (N, C + 1, H, W).
            kimg: Training so far.
            real: Real pictures of the update (N, C, H, W) in [-1, 1], for a network that also learns from them.
            rng: For random numbers of the network's own loss, on the CPU.
        """
        return self(inputs), None

    def compiled_parts(self) -> tuple[nn.Module, ...]:
        """Return what can be compiled as a whole: by default the network itself."""
        return (self,)

    def lr_factors(self) -> dict[nn.Parameter, float]:
        """Return factors of the learning rate, for the parameters whose factor is not 1."""
        return {}
