"""The context encoder, which fills holes in images (Pathak et al. 2016; Bielko 2022, section 5.2.4)."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from mitlgan.networks.interface import Kind, Network
from mitlgan.runtime.distributed import mean_over_ranks

if TYPE_CHECKING:
    from mitlgan.recipe import InpainterRecipe

IMAGE_CHANNELS = 3
JACOBI_ITERATIONS = 2


class ContextEncoder(Network):
    """An image with a hole to a whole image.

    A smooth fill of the hole and the hole's mask enter the encoder; the decoder returns a change of that fill. The last convolution starts at zero, so
    training starts from the smooth fill.

    Args:
        recipe: Widths, code, skips and the weights of its own loss.
        size_px: Height and width of the images.
    """

    kind: ClassVar[Kind] = "inpainter"

    def __init__(self, recipe: InpainterRecipe, size_px: int) -> None:
        super().__init__()
        self.size_px = size_px
        self.image_channels = IMAGE_CHANNELS
        self.skips = recipe.skips
        self.reconstruction_weight, self.known_weight = recipe.reconstruction_weight, recipe.known_weight
        widths = recipe.widths
        input_channels = IMAGE_CHANNELS + 1  # and the hole
        encoder_inputs, decoder_widths = (input_channels, *widths[:-1]), (*reversed(widths[:-1]), widths[0])
        self.encoder = nn.ModuleList(
            nn.Sequential(nn.Conv2d(before, width, 4, stride=2, padding=1), nn.LeakyReLU(recipe.leak))
            for before, width in zip(encoder_inputs, widths, strict=True)
        )
        self.code = _bottleneck(widths[-1], size_px >> len(widths), recipe)
        decoder_inputs = [width * (1 + self.skips) for width in (widths[-1], *decoder_widths[:-1])]
        self.decoder = nn.ModuleList(
            nn.Sequential(nn.Conv2d(before, width, 3, padding=1), nn.LeakyReLU(recipe.leak), nn.Upsample(scale_factor=2, mode="bilinear"))
            for before, width in zip(decoder_inputs, decoder_widths, strict=True)
        )
        self.to_image = nn.Conv2d(decoder_widths[-1] + input_channels * self.skips, IMAGE_CHANNELS, 3, padding=1)
        nn.init.zeros_(self.to_image.weight)
        assert self.to_image.bias is not None
        nn.init.zeros_(self.to_image.bias)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one image and its hole."""
        return (self.image_channels + 1, self.size_px, self.size_px)

    def predict(self, inputs: Tensor) -> Tensor:
        """Predict the whole image, known parts too.

        Args:
            inputs: (N, 4, H, W): RGB in [-1, 1], and the hole, 1 inside and 0 elsewhere. Pixels inside the hole are ignored.

        Returns:
            (N, 3, H, W), unbounded, near [-1, 1].
        """
        images, holes = inputs[:, :IMAGE_CHANNELS], inputs[:, IMAGE_CHANNELS:]
        filled = pull_push_fill(images, holes)
        value = torch.cat([filled, holes], dim=1)  # (N, 4, H, W)
        skips = [value]
        for block in self.encoder:
            value = block(value)
            skips.append(value)
        value = self.code(value)
        for block in self.decoder:
            skip = skips.pop()
            value = block(torch.cat([value, skip], dim=1) if self.skips else value)
        if self.skips:
            value = torch.cat([value, skips.pop()], dim=1)
        change: Tensor = self.to_image(value)
        return filled + change

    def forward(self, inputs: Tensor) -> Tensor:
        """Fill the holes of images (N, 3, H, W); known pixels pass through. `inputs` are as of `predict`."""
        return _paste(self.predict(inputs), inputs)

    def forward_with_aux_loss(
        self, inputs: Tensor, kimg: float = 0.0, real: Tensor | None = None, rng: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return filled images and the reconstruction loss, for training; inside the hole the inputs hold the true pixels.

        The loss is reconstruction_weight * (E[(x - y)^2] in the hole + known_weight * E[(x - y)^2] elsewhere); the latter is Pathak et al.'s overlap
        (2016, section 3.2), over all known pixels.
        """
        prediction = self.predict(inputs)
        truth, holes = inputs[:, :IMAGE_CHANNELS], inputs[:, IMAGE_CHANNELS:]
        errors = (prediction.float() - truth).square().mean(1, keepdim=True)  # (N, 1, H, W)
        within = (errors * holes).sum() / mean_over_ranks(holes.sum()).clamp_min(1)
        elsewhere = (errors * (1 - holes)).sum() / mean_over_ranks((1 - holes).sum()).clamp_min(1)
        return _paste(prediction, inputs), self.reconstruction_weight * (within + self.known_weight * elsewhere)


def pull_push_fill(images: Tensor, holes: Tensor) -> Tensor:
    """Fill holes smoothly from their surroundings, by pyramids of means (Gortler et al. 1996, "pull-push") and Jacobi iterations.

    Args:
        images: (N, C, H, W); pixels inside the holes are ignored.
        holes: (N, 1, H, W), 1 inside a hole.

    Returns:
        (N, C, H, W); the image itself outside the holes.
    """
    weights = 1 - holes
    levels = []
    colors = images * weights
    while min(colors.shape[-2:]) > 1:
        levels.append((colors, weights))
        share = functional.avg_pool2d(weights, 2, ceil_mode=True)
        colors = functional.avg_pool2d(colors, 2, ceil_mode=True) / share.clamp_min(1e-6)
        weights = (share > 0).to(share.dtype)
    result = colors
    cross = holes.new_tensor([[0, 1, 0], [1, 0, 1], [0, 1, 0]]).expand(images.shape[1], 1, 3, 3)
    for colors, weights in reversed(levels):
        result = functional.interpolate(result, size=colors.shape[-2:], mode="bilinear", align_corners=False)
        neighbors = functional.conv2d(torch.ones_like(weights[:1]), cross[:1], padding=1)
        for _ in range(JACOBI_ITERATIONS):
            result = torch.where(weights > 0, colors, result)
            result = functional.conv2d(result, cross, padding=1, groups=result.shape[1]) / neighbors
        result = torch.where(weights > 0, colors, result)
    return result


def _paste(prediction: Tensor, inputs: Tensor) -> Tensor:
    return torch.where(inputs[:, IMAGE_CHANNELS:] > 0, prediction, inputs[:, :IMAGE_CHANNELS])


def _bottleneck(width: int, side_px: int, recipe: InpainterRecipe) -> nn.Module:
    """Return the blocks between encoder and decoder."""
    if not recipe.code_dim:
        return nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1), nn.LeakyReLU(recipe.leak), nn.Conv2d(width, width, 3, padding=1), nn.LeakyReLU(recipe.leak)
        )
    features = width * side_px**2
    return nn.Sequential(
        OrderedDict[str, nn.Module](
            flatten=nn.Flatten(),
            encode=nn.Linear(features, recipe.code_dim),
            coded=nn.LeakyReLU(recipe.leak),
            decode=nn.Linear(recipe.code_dim, features),
            decoded=nn.LeakyReLU(recipe.leak),
            reshape=nn.Unflatten(1, (width, side_px, side_px)),
        )
    )
