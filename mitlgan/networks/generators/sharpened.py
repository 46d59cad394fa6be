"""A generator grown from a smaller one, its parent: real pictures teach it how a small picture looks when it is larger.

A new critic can lead a good parent astray. Real pictures, reduced to the parent's size and made as rough as its images, show what to draw without any
critic, as in super-resolution (Dong et al. 2014), so the content of the parent's images cannot drift.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from mitlgan.images.alpha import within_alpha
from mitlgan.networks.blocks import Generator
from mitlgan.networks.generators.grown import GrownGenerator, change_allowance
from mitlgan.networks.registry import GENERATORS
from mitlgan.networks.resample import resize_image
from mitlgan.recipe.schema.generators import SharpenedGeneratorRecipe
from mitlgan.runtime.randomness import draw_uniform, sample_normal

SMOOTH_SHARE = 0.25
"""Share of the reduced pictures that stay without noise."""
BLOT_PX = 4
FINE_NOISE, BLOT_NOISE, EDGE_NOISE = 0.35, 0.3, 2.0
"""At roughness 1, noise of each pixel's color, of blots of color, and of a matte at its edges, as shares of the range from 0 to 1."""


class Sharpener(nn.Module):
    """Enlarges small images and changes them, by convolutions at the small size whose outputs are a few large pixels each.

    Args:
        size_px: Height and width of the result.
        recipe: Width, number of convolutions, filter, bound.
    """

    def __init__(self, size_px: int, recipe: SharpenedGeneratorRecipe) -> None:
        super().__init__()
        self.size_px, self.resample, self.change = size_px, recipe.resample, recipe.change
        factor = size_px // recipe.parent_px
        blocks = OrderedDict[str, nn.Module]()
        channels: int = recipe.image_channels
        for index in range(1, recipe.blocks + 1):
            blocks[f"conv_{index}"] = nn.Conv2d(channels, recipe.width, 3, padding=1)
            blocks[f"activation_{index}"] = nn.LeakyReLU(recipe.leak)
            channels = recipe.width
        last = nn.Conv2d(channels, factor**2 * recipe.image_channels, 3, padding=1)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)  # type: ignore[arg-type]
        self.difference = nn.Sequential(blocks | OrderedDict[str, nn.Module](last=last, shuffle=nn.PixelShuffle(factor), bound=nn.Tanh()))

    def forward(self, small: Tensor) -> Tensor:
        """Return images (N, C, size_px, size_px) from images (N, C, h, w); four channels are premultiplied RGB and alpha."""
        enlarged = resize_image(small, self.size_px, self.resample)
        return within_alpha(enlarged + self.change * change_allowance(enlarged) * self.difference(small))


class SharpenedGenerator(GrownGenerator):
    """A generator of its parent's stages and a `Sharpener`.

    Args:
        parent: The smaller generator; its modules become this one's.
        size_px: Height and width of the images.
        recipe: Widths, filter, bound, and how it learns.
    """

    def __init__(self, parent: Generator, size_px: int, recipe: SharpenedGeneratorRecipe) -> None:
        stages = OrderedDict[str, nn.Module](parent.stages.named_children())
        stages[f"to_{size_px}px"] = Sharpener(size_px, recipe)
        Generator.__init__(self, nn.Sequential(stages), latent_dim=parent.latent_dim, size_px=size_px, image_channels=parent.image_channels)
        self.parent_px, self.roughness = recipe.parent_px, recipe.roughness
        self.is_adversarial, self.pairs_weight = recipe.adversarial, recipe.pairs_weight
        self.set_parent_training(recipe)

    def parent_stages(self) -> Iterator[nn.Module]:
        """Yield the stages of the parent, in order."""
        yield from list(self.stages)[:-1]

    def forward_with_aux_loss(self, inputs: Tensor, kimg: float, real: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return images, and pairs_weight * E[|x - y|] of real pictures x that were reduced, made rough and drawn again as y.

        The images have no gradient if the critic does not teach this generator.

        Args:
            inputs: Latents (N, D).
            kimg: Not used.
            real: Real pictures (N, C, size_px, size_px) in [-1, 1].
            rng: Draws the noise of the reduced pictures, on the CPU.
        """
        small = add_roughness(resize_image(real, self.parent_px, "bicubic"), self.roughness, rng)
        with torch.set_grad_enabled(self.is_adversarial and torch.is_grad_enabled()):
            images = self(inputs)
        return images, self.pairs_weight * functional.l1_loss(self.stages[-1](small).float(), real)


def add_roughness(images: Tensor, roughness: float, rng: torch.Generator) -> Tensor:
    """Add noise to pictures, so that they look a little like a generator's images: colors that vary and ragged edges.

    Args:
        images: (N, C, H, W) in [-1, 1]; four channels are premultiplied RGB and alpha.
        roughness: Largest strength; each picture's is uniform in [0, roughness], or 0 for a share of them (`SMOOTH_SHARE`). 0 changes nothing.
        rng: Draws all numbers, on the CPU.

    Returns:
        Images of the same shape and range.
    """
    if not roughness:
        return images
    count, channels, height, width = images.shape
    strength = roughness * draw_uniform((count, 1, 1, 1), rng) * (draw_uniform((count, 1, 1, 1), rng) >= SMOOTH_SHARE)
    colors = min(channels, 3)
    blots = sample_normal((count, colors, -(-height // BLOT_PX), -(-width // BLOT_PX)), rng)
    fine = sample_normal((count, colors, height, width), rng)
    noise = (strength * (BLOT_NOISE * functional.interpolate(blots, size=(height, width), mode="bilinear") + FINE_NOISE * fine)).to(images)
    light = (images + 1) / 2
    if channels != 4:
        return (light + noise).clamp(0, 1) * 2 - 1
    color, alpha = light[:, :3], light[:, 3:]
    edge = functional.max_pool2d(alpha, 3, stride=1, padding=1) + functional.max_pool2d(-alpha, 3, stride=1, padding=1)
    edge_noise = (EDGE_NOISE * strength * sample_normal((count, 1, height, width), rng)).to(images)
    ragged = (alpha + edge * edge_noise).clamp(0, 1)
    color = (color / alpha.clamp_min(1 / 255) + noise).clamp(0, 1)
    return torch.cat([color * ragged, ragged], dim=1) * 2 - 1


@GENERATORS.register(SharpenedGeneratorRecipe)
def build_generator(recipe: SharpenedGeneratorRecipe, size_px: int) -> SharpenedGenerator:
    """Build a generator and, inside it, its parent.

    Args:
        recipe: Settings, those of the parent included.
        size_px: Two or four times the parent's.
    """
    parent = GENERATORS[type(recipe.parent)](recipe.parent, recipe.parent_px)
    return SharpenedGenerator(parent, size_px, recipe)
