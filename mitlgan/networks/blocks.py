"""Generator and critic, which every family is an instance of, and the small blocks that families share."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, ClassVar, cast

from torch import Tensor, nn

from mitlgan.errors import UsageError
from mitlgan.networks.interface import Kind, Network

if TYPE_CHECKING:
    from mitlgan.recipe import DcganGeneratorRecipe, StridedCriticRecipe, UpsampledGeneratorRecipe

ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh, "none": nn.Identity}


class Generator(Network):
    """Latent to one image layer: the same class for every family, around the family's own stages.

    Args:
        stages: Run in order; the first takes the latent, the last gives the image.
        latent_dim: Numbers per latent.
        size_px: Height and width of the image.
        image_channels: 3 for RGB, 4 for premultiplied RGB and its matte.
    """

    kind: ClassVar[Kind] = "generator"

    def __init__(self, stages: nn.Sequential, *, latent_dim: int, size_px: int, image_channels: int) -> None:
        super().__init__()
        self.stages = stages
        self.latent_dim = latent_dim
        self.size_px = size_px
        self.image_channels = image_channels

    def forward(self, z: Tensor) -> Tensor:
        """Return the images of latents.

        Args:
            z: (N, latent_dim), standard normal.

        Returns:
            (N, image_channels, size_px, size_px); in [-1, 1] when the last activation is tanh, non-negative when it is ReLU.
        """
        return cast(Tensor, self.stages(z))

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one latent."""
        return (self.latent_dim,)

    def latent_dims_for(self, role: str) -> dict[str, int]:
        """Return the latent length under the name of the only layer."""
        return {role: self.latent_dim}

    def generators_for(self, role: str) -> dict[str, Generator]:
        """Return this generator under the name of the only layer."""
        return {role: self}

    def forward_with_features(self, z: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return images, and the feature maps on the way to them, (N, C, h, w) each, from the smallest to the largest."""
        features, value = [], z
        for stage in self.stages:
            value = stage(value)
            if value.ndim == 4:
                features.append(value)
        return features.pop() if features else value, features

    def features_after(self, z: Tensor, stage: int) -> Tensor:
        """Return the activations of latents (N, D) after so many stages, at least one, (N, ...)."""
        return cast(Tensor, self.stages[:stage](z))


class Critic(Network):
    """Image to an unbounded score.

    Args:
        stages: Run in order; the last gives (N, 1).
        size_px: Height and width of its images.
        image_channels: Channels of its images.
    """

    kind: ClassVar[Kind] = "critic"

    def __init__(self, stages: nn.Sequential, *, size_px: int, image_channels: int) -> None:
        super().__init__()
        self.stages = stages
        self.size_px = size_px
        self.image_channels = image_channels

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one image."""
        return (self.image_channels, self.size_px, self.size_px)

    def freeze_first_blocks(self, count: int) -> None:
        """Take the first blocks, each a convolution and its normalization, out of training."""
        scales = getattr(self.stages[0], "critics", [self.stages])  # a critic of several sizes has one for each
        for stages in scales:
            for block in list(stages)[:count]:
                block.requires_grad_(False)

    def forward(self, images: Tensor) -> Tensor:
        """Score images.

        Args:
            images: (N, image_channels, size_px, size_px) in [-1, 1].

        Returns:
            (N,) scores.
        """
        return cast(Tensor, self.stages(images)).squeeze(1)


def activation(name: str, option: str) -> nn.Module:
    """Build an activation by name.

    Args:
        name: A key of `ACTIVATIONS`.
        option: The recipe's key, for the message.

    Raises:
        UsageError: The name is unknown.
    """
    if name not in ACTIVATIONS:
        raise UsageError(f"{option}: there is no activation {name!r}; choose one of {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]()


def score_head(last: nn.Module, output: str, *, flatten_last: bool = False) -> nn.Sequential:
    """Return the end of a critic: its last block, and a sigmoid if the recipe asks for a probability.

    Args:
        last: Gives (N, 1), or (N, 1, 1, 1) with `flatten_last`.
        output: `linear` or `sigmoid`.
        flatten_last: Drop the spatial dimensions, of one pixel.
    """
    block = OrderedDict[str, nn.Module](last=last)
    if flatten_last:
        block["flatten"] = nn.Flatten()
    if output == "sigmoid":
        block["sigmoid"] = nn.Sigmoid()
    return nn.Sequential(block)


def norm_act(
    recipe: UpsampledGeneratorRecipe | DcganGeneratorRecipe | StridedCriticRecipe, width: int, *, has_norm: bool = True
) -> OrderedDict[str, nn.Module]:
    """Return activation and BatchNorm, in the recipe's order."""
    block = OrderedDict[str, nn.Module](activation=hidden_activation(recipe))
    if has_norm and recipe.normalisation == "batch":
        block["norm"] = nn.BatchNorm2d(width, eps=recipe.norm_eps, momentum=recipe.norm_momentum)
        if recipe.norm_order == "before":
            block.move_to_end("activation")
    return block


def hidden_activation(recipe: UpsampledGeneratorRecipe | DcganGeneratorRecipe | StridedCriticRecipe) -> nn.Module:
    """Return the activation of all blocks but the last."""
    return nn.ReLU() if getattr(recipe, "activation", "leaky_relu") == "relu" else nn.LeakyReLU(recipe.leak)
