"""The composer: frozen generators, fusion, translator (thesis, Table 7.3)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Self, cast

import torch
from torch import Tensor, nn

from mitlgan.networks.blocks import Generator
from mitlgan.networks.fusion import Fused


@dataclass(frozen=True, eq=False)
class Layers:
    """Every stage of one composition.

    Attributes:
        layers: Image of each frozen generator, by layer name, (N, C, H, W) in [-1, 1].
        fused: What the fusion made of them, (N, 3, H, W).
        matte: Per-pixel opacity (N, 1, H, W) in [0, 1], if the fusion makes one.
        output: The composed image, (N, 3, H, W).
    """

    layers: dict[str, Tensor]
    fused: Tensor
    matte: Tensor | None
    output: Tensor


class Composer(nn.Module):
    """Latents to a composed image, through frozen layers.

    Frozen means: the generators' parameters never require a gradient, they stay in eval mode so that BatchNorm statistics do not move,
    and they run outside of the graph. `train()` and `requires_grad_()` of the composer leave them as they are.

    Args:
        generators: Already frozen by `build_composer`, by layer name, in the order of their latents.
        fusion: Mapping of layers to `Fused`.
        translator: Image to image.
        image_channels: Channels of the composed image.
    """

    image_channels: int

    def __init__(self, generators: Mapping[str, Generator], fusion: nn.Module, translator: nn.Module, image_channels: int = 3) -> None:
        super().__init__()
        # The state's keys are to read `layers.<name>`, while `.layers` is the method: only the table of submodules can hold both.
        self._modules["layers"] = nn.ModuleDict(dict(generators))
        self.fusion = fusion
        self.translator = translator
        self.image_channels = image_channels
        self.size_px = next(iter(generators.values())).size_px
        self.latent_dims = {name: generator.latent_dim for name, generator in generators.items()}
        self.latent_dim = sum(self.latent_dims.values())
        for generator in self.generators.values():
            generator.requires_grad_(False)
        self.train(self.training)

    @property
    def generators(self) -> dict[str, Generator]:
        """The frozen generators by layer name."""
        return dict(cast("nn.ModuleDict", self._modules["layers"]).items())  # type: ignore[arg-type]

    def train(self, mode: bool = True) -> Self:
        """Set the mode of fusion and translator; the frozen generators stay in eval mode."""
        super().train(mode)
        for generator in self.generators.values():
            generator.eval()
        return self

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Ask for gradients of fusion and translator, or for none; the frozen generators never have any."""
        for parameter in self.trainable_parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def trainable_parameters(self) -> Iterator[nn.Parameter]:
        """Parameters of fusion and translator: all that an optimiser may touch."""
        return chain(self.fusion.parameters(), self.translator.parameters())

    def split(self, z: Tensor | Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Give the latent of each layer.

        Args:
            z: (N, latent_dim), concatenated in the order of the layers, or the latent (N, d) of each layer by name.

        Raises:
            ValueError: Names or sizes are not those of the layers.
        """
        if isinstance(z, Tensor):
            if z.ndim != 2 or z.shape[1] != self.latent_dim:
                raise ValueError(f"latents have shape {tuple(z.shape)}, expected (N, {self.latent_dim})")
            return dict(zip(self.latent_dims, torch.split(z, list(self.latent_dims.values()), dim=1), strict=True))
        if set(z) != set(self.latent_dims):
            raise ValueError(f"latents are given for {sorted(z)}, expected {sorted(self.latent_dims)}")
        for name, dim in self.latent_dims.items():
            if z[name].ndim != 2 or z[name].shape[1] != dim:
                raise ValueError(f"latents of {name} have shape {tuple(z[name].shape)}, expected (N, {dim})")
        return {name: z[name] for name in self.latent_dims}

    def layers(self, z: Tensor | Mapping[str, Tensor]) -> Layers:
        """Give every stage of the composition.

        Args:
            z: See `split`; standard normal.

        Raises:
            ValueError: See `split`.
        """
        latents = self.split(z)
        with torch.no_grad():
            images = {name: generator(latents[name]) for name, generator in self.generators.items()}
        fused: Fused = self.fusion(images)
        return Layers(layers=images, fused=fused.image, matte=fused.matte, output=self.translator(fused.image))

    def forward(self, z: Tensor | Mapping[str, Tensor]) -> Tensor:
        """Give the composed image (N, 3, H, W); in [-1, 1] when the translator's last activation is tanh, not negative when it is ReLU."""
        return self.layers(z).output
