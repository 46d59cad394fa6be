"""The context encoder, which draws what a hole hides (Pathak et al. 2016; Bielko 2022, section 5.2.4)."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from mitlgan.networks.interface import Kind, Network

if TYPE_CHECKING:
    from mitlgan.recipe import InpainterRecipe

IMAGE_CHANNELS = 3
JACOBI_ITERATIONS = 2


class ContextEncoder(Network):
    """A picture with a hole to a whole picture.

    What is left of the picture is first continued smoothly into the hole; the encoder sees that and where the hole is, and the decoder says what is to
    be changed. Its last convolution begins at zero, so that training begins at the smooth continuation.

    Args:
        recipe: Widths, code, skips and the weights of its own loss.
        size_px: Height and width of the pictures.
    """

    kind: ClassVar[Kind] = "inpainter"

    def __init__(self, recipe: InpainterRecipe, size_px: int) -> None:
        super().__init__()
        self.size_px = size_px
        self.image_channels = IMAGE_CHANNELS
        self.skips = recipe.skips
        self.reconstruction_weight, self.known_weight = recipe.reconstruction_weight, recipe.known_weight
        widths = recipe.widths
        seen = IMAGE_CHANNELS + 1  # and the hole
        befores, afters = (seen, *widths[:-1]), (*reversed(widths[:-1]), widths[0])
        self.encoder = nn.ModuleList(
            nn.Sequential(nn.Conv2d(before, width, 4, stride=2, padding=1), nn.LeakyReLU(recipe.leak))
            for before, width in zip(befores, widths, strict=True)
        )
        self.code = _bottleneck(widths[-1], size_px >> len(widths), recipe)
        given = [width * (1 + self.skips) for width in (widths[-1], *afters[:-1])]
        self.decoder = nn.ModuleList(
            nn.Sequential(nn.Conv2d(before, width, 3, padding=1), nn.LeakyReLU(recipe.leak), nn.Upsample(scale_factor=2, mode="bilinear"))
            for before, width in zip(given, afters, strict=True)
        )
        self.to_image = nn.Conv2d(afters[-1] + seen * self.skips, IMAGE_CHANNELS, 3, padding=1)
        nn.init.zeros_(self.to_image.weight)
        assert self.to_image.bias is not None
        nn.init.zeros_(self.to_image.bias)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one image and its hole."""
        return (self.image_channels + 1, self.size_px, self.size_px)

    def predict(self, given: Tensor) -> Tensor:
        """Draw the whole picture, known parts too.

        Args:
            given: (N, 4, H, W): RGB in [-1, 1], and the hole, 1 where it is and 0 elsewhere. What stands in the hole is not looked at.

        Returns:
            (N, 3, H, W), unbounded, near [-1, 1].
        """
        pictures, holes = given[:, :IMAGE_CHANNELS], given[:, IMAGE_CHANNELS:]
        continued = pull_push_fill(pictures, holes)
        value = torch.cat([continued, holes], dim=1)  # (N, 4, H, W)
        seen = [value]
        for block in self.encoder:
            value = block(value)
            seen.append(value)
        value = self.code(value)
        for block in self.decoder:
            known = seen.pop()
            value = block(torch.cat([value, known], dim=1) if self.skips else value)
        if self.skips:
            value = torch.cat([value, seen.pop()], dim=1)
        change: Tensor = self.to_image(value)
        return continued + change

    def forward(self, given: Tensor) -> Tensor:
        """Give pictures whose holes are filled; what is known is passed through.

        Args:
            given: As `drawn` takes it.

        Returns:
            (N, 3, H, W).
        """
        return _pasted(self.predict(given), given)

    def forward_with_aux_loss(self, inputs: Tensor, kimg: float = 0.0) -> tuple[Tensor, Tensor]:
        """Give filled pictures, and the reconstruction's cost, for training: here the hole must still hold the truth.

        The cost is reconstruction_weight * (E[(x - y)^2] in the hole + known_weight * E[(x - y)^2] elsewhere); the latter is Pathak et al.'s overlap
        (2016, section 3.2), over all that is known.
        """
        drawn = self.predict(inputs)
        truth, holes = inputs[:, :IMAGE_CHANNELS], inputs[:, IMAGE_CHANNELS:]
        errors = (drawn.float() - truth).square().mean(1, keepdim=True)  # (N, 1, H, W)
        within = (errors * holes).sum() / holes.sum().clamp_min(1)
        elsewhere = (errors * (1 - holes)).sum() / (1 - holes).sum().clamp_min(1)
        return _pasted(drawn, inputs), self.reconstruction_weight * (within + self.known_weight * elsewhere)


def pull_push_fill(pictures: Tensor, holes: Tensor) -> Tensor:
    """Continue what is known into holes, without an edge: pyramids of means (Gortler et al. 1996, "pull-push"), evened out by Jacobi's sweeps.

    Args:
        pictures: (N, C, H, W); what stands in the holes is not looked at.
        holes: (N, 1, H, W), 1 where a hole is.

    Returns:
        (N, C, H, W); the picture itself outside the holes.
    """
    known = 1 - holes
    levels = []
    colours = pictures * known
    while min(colours.shape[-2:]) > 1:
        levels.append((colours, known))
        share = functional.avg_pool2d(known, 2, ceil_mode=True)
        colours = functional.avg_pool2d(colours, 2, ceil_mode=True) / share.clamp_min(1e-6)
        known = (share > 0).to(share.dtype)
    found = colours
    cross = holes.new_tensor([[0, 1, 0], [1, 0, 1], [0, 1, 0]]).expand(pictures.shape[1], 1, 3, 3)
    for colours, known in reversed(levels):
        found = functional.interpolate(found, size=colours.shape[-2:], mode="bilinear", align_corners=False)
        neighbours = functional.conv2d(torch.ones_like(known[:1]), cross[:1], padding=1)
        for _ in range(JACOBI_ITERATIONS):
            found = torch.where(known > 0, colours, found)
            found = functional.conv2d(found, cross, padding=1, groups=found.shape[1]) / neighbours
        found = torch.where(known > 0, colours, found)
    return found


def _pasted(drawn: Tensor, given: Tensor) -> Tensor:
    return torch.where(given[:, IMAGE_CHANNELS:] > 0, drawn, given[:, :IMAGE_CHANNELS])


def _bottleneck(width: int, side_px: int, recipe: InpainterRecipe) -> nn.Module:
    """What stands between encoder and decoder."""
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
