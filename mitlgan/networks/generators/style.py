"""A style generator: a mapping network, modulated convolutions and noise (Karras et al. 2019 and 2020)."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from mitlgan.errors import UsageError
from mitlgan.networks.blocks import Generator
from mitlgan.networks.registry import GENERATORS
from mitlgan.recipe.schema.generators import BASE_PX, StyleGeneratorRecipe

_TINY = 1e-8
_HASHES = 4
"""Uniform numbers whose sum makes one of fixed noise."""


class StyleGenerator(Generator):
    """Latent to image, by way of a style that each block gets.

    Args:
        mapping: Latents (N, D) to styles (N, D).
        blocks: Features and styles to features; the first ignores the features.
        to_image: The last features to images.
        recipe: Latent length, image channels and the mapping's learning rate.
        size_px: Height and width of the image.
    """

    def __init__(self, mapping: nn.Module, blocks: dict[str, nn.Module], to_image: nn.Module, recipe: StyleGeneratorRecipe, size_px: int) -> None:
        stages = nn.Sequential(OrderedDict[str, nn.Module](mapping=mapping, **blocks, to_image=to_image))
        super().__init__(stages, latent_dim=recipe.latent_dim, size_px=size_px, image_channels=recipe.image_channels)
        self.mapping_rate = recipe.mapping_rate

    @property
    def block_sizes_px(self) -> tuple[int, ...]:
        """Height and width of the features of each block, from the smallest."""
        return tuple(BASE_PX * 2**index for index in range(len(self.stages) - 2))

    def forward(self, z: Tensor) -> Tensor:
        """Return the images of latents; see `Generator`."""
        return self.forward_with_features(z)[0]

    def forward_with_features(self, z: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return images, and the features of each block."""
        style = self.stages[0](z)
        return self._synthesize([style] * len(self.block_sizes_px))

    def features_after(self, z: Tensor, stage: int) -> Tensor:
        """Return the styles of latents after the first stage, the features of a block after a later one, and the images after the last."""
        style = self.stages[0](z)
        if stage == 1:
            return cast(Tensor, style)
        images, features = self._synthesize([style] * len(self.block_sizes_px))
        return [*features, images][stage - 2]

    def mix_styles(self, coarse: Tensor, fine: Tensor, from_px: int) -> Tensor:
        """Return images whose blocks below a size get the style of one latent, and those from it on the style of another (Karras et al. 2019, 3.1).

        Args:
            coarse: (N, D), which decides layout and shape.
            fine: (N, D), which decides texture and color.
            from_px: First size with the fine style, among `block_sizes_px` but the first.

        Raises:
            UsageError: No block begins at that size.
        """
        sizes_px = self.block_sizes_px
        if from_px not in sizes_px[1:]:
            raise UsageError(f"--from-px {from_px}: the generator has blocks of {', '.join(map(str, sizes_px))} px; choose one after the first")
        styles = self.stages[0](coarse), self.stages[0](fine)
        return self._synthesize([styles[px >= from_px] for px in sizes_px])[0]

    def lr_factors(self) -> dict[nn.Parameter, float]:
        """Return the slower rate of the mapping network."""
        return dict.fromkeys(self.stages[0].parameters(), self.mapping_rate) if self.mapping_rate != 1.0 else {}

    def _synthesize(self, styles: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        _, *blocks, to_image = self.stages
        features: list[Tensor] = []
        value = styles[0]
        for block, style in zip(blocks, styles, strict=True):
            value = block(value, style)
            features.append(value)
        return cast(Tensor, to_image(value)), features


class StyledConv(nn.Module):
    """A convolution whose input channels the style scales, and whose output has unit variance again; then noise, bias and LeakyReLU.

    Args:
        in_channels: Channels of its input.
        out_channels: Channels of its output.
        recipe: Length of the style, noise and leak.
    """

    def __init__(self, in_channels: int, out_channels: int, recipe: StyleGeneratorRecipe) -> None:
        super().__init__()
        self.style = nn.Linear(recipe.latent_dim, in_channels)
        nn.init.ones_(self.style.bias)
        self.conv = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
        nn.init.normal_(self.conv.weight, 0.0, 1.0 / math.sqrt(9 * in_channels))
        self.bias = nn.Parameter(torch.zeros(out_channels, 1, 1))
        self.noise_strength = nn.Parameter(torch.zeros(())) if recipe.noise else None
        self.leak = recipe.leak

    def forward(self, features: Tensor, style: Tensor) -> Tensor:
        """Return (N, out_channels, H, W) of features (N, in_channels, H, W) and styles (N, D)."""
        scale = self.style(style)  # (N, in_channels)
        power = self.conv.weight.square().sum(dim=(2, 3))  # (out_channels, in_channels)
        deviation = (scale.square() @ power.T + _TINY).rsqrt()  # (N, out_channels)
        value = self.conv(features * scale[:, :, None, None]) * deviation[:, :, None, None]
        if self.noise_strength is not None:
            value = value + self.noise_strength * self._noise(value)
        return functional.leaky_relu(value + self.bias, self.leak) * math.sqrt(2 / (1 + self.leak**2))

    def _noise(self, value: Tensor) -> Tensor:
        if self.training:
            return torch.randn(value.shape[0], 1, *value.shape[2:], device=value.device, dtype=value.dtype)
        return fixed_noise(value.shape[2], value.device).to(value.dtype)


class StyledBlock(nn.Module):
    """Twice the size, then two styled convolutions.

    Args:
        first: The first of them.
        second: The second.
    """

    def __init__(self, first: StyledConv, second: StyledConv) -> None:
        super().__init__()
        self.first, self.second = first, second

    def forward(self, features: Tensor, style: Tensor) -> Tensor:
        """Return (N, C, 2h, 2w) of features (N, B, h, w)."""
        larger = functional.interpolate(features, scale_factor=2, mode="bilinear", align_corners=False)
        return cast(Tensor, self.second(self.first(larger, style), style))


class ConstantBlock(nn.Module):
    """A learned constant of 4 px, then a styled convolution.

    Args:
        conv: The convolution.
        channels: Of the constant.
    """

    def __init__(self, conv: StyledConv, channels: int) -> None:
        super().__init__()
        self.constant = nn.Parameter(torch.randn(1, channels, BASE_PX, BASE_PX))
        self.conv = conv

    def forward(self, features: Tensor, style: Tensor) -> Tensor:
        """Return (N, C, 4, 4) of styles (N, D); there are no features before."""
        return cast(Tensor, self.conv(self.constant.expand(len(style), -1, -1, -1), style))


class UnitLength(nn.Module):
    """Scales each latent to a mean square of 1."""

    def forward(self, z: Tensor) -> Tensor:
        """Return (N, D) of latents (N, D)."""
        return z * (z.square().mean(dim=1, keepdim=True) + _TINY).rsqrt()


@GENERATORS.register(StyleGeneratorRecipe)
def build_style(recipe: StyleGeneratorRecipe, size_px: int) -> StyleGenerator:
    """Build the style generator: mapping network, a block for each size from 4 px, and a 1x1 convolution with tanh to the image.

    Args:
        recipe: Its settings.
        size_px: 4 * 2 ** (len(widths) - 1).
    """
    mapping = OrderedDict[str, nn.Module](unit_length=UnitLength())
    for index in range(1, recipe.mapping_layers + 1):
        dense = nn.Linear(recipe.latent_dim, recipe.latent_dim)
        nn.init.normal_(dense.weight, 0.0, math.sqrt(2 / ((1 + recipe.leak**2) * recipe.latent_dim)))  # as many signals in as out
        nn.init.zeros_(dense.bias)
        mapping |= {f"dense_{index}": dense, f"activation_{index}": nn.LeakyReLU(recipe.leak)}
    base = recipe.widths[0]
    blocks: dict[str, nn.Module] = {f"to_{BASE_PX}px": ConstantBlock(StyledConv(base, base, recipe), base)}
    for index, (before, after) in enumerate(pairwise(recipe.widths), start=1):
        blocks[f"to_{BASE_PX * 2**index}px"] = StyledBlock(StyledConv(before, after, recipe), StyledConv(after, after, recipe))
    to_image = nn.Sequential(OrderedDict[str, nn.Module](conv=nn.Conv2d(recipe.widths[-1], recipe.image_channels, 1), activation=nn.Tanh()))
    return StyleGenerator(nn.Sequential(mapping), blocks, to_image, recipe, size_px)


def fixed_noise(size_px: int, device: torch.device | str = "cpu") -> Tensor:
    """Return (1, 1, size_px, size_px) of noise, nearly normal, that is the same on every machine and needs no file: hashes of the positions."""
    value = torch.arange(_HASHES * size_px**2, device=device, dtype=torch.int64) + 1
    for _ in range(3):
        value = (value * 48271 + size_px) % 2147483647
        value = value ^ (value >> 13)
    uniform = (value % 65536).to(torch.float32) / 65535
    total = uniform.view(_HASHES, 1, 1, size_px, size_px).sum(0)
    return (total - _HASHES / 2) * math.sqrt(12 / _HASHES)
