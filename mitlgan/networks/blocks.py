"""What all networks share: the shells that the rest of the package sees, and the small blocks that they are made of."""

from __future__ import annotations

from collections import OrderedDict
from typing import cast

from torch import Tensor, nn

from mitlgan.errors import UsageError

ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh, "none": nn.Identity}


class Generator(nn.Module):
    """Latent to one image layer.

    Every family of generators is this shell around its own stages, so that nothing above `networks` knows the families apart.

    Args:
        stages: Run in order; the first takes the latent, the last gives the image.
        latent_dim: Numbers per latent.
        size_px: Height and width of the image.
        image_channels: 3 for RGB, 4 for premultiplied RGB and its matte.
    """

    def __init__(self, stages: nn.Sequential, *, latent_dim: int, size_px: int, image_channels: int) -> None:
        super().__init__()
        self.stages = stages
        self.latent_dim = latent_dim
        self.size_px = size_px
        self.image_channels = image_channels

    def forward(self, z: Tensor) -> Tensor:
        """Give images for latents.

        Args:
            z: (N, latent_dim), standard normal.

        Returns:
            (N, image_channels, size_px, size_px); in [-1, 1] when the last activation is tanh, not negative when it is ReLU.
        """
        return cast(Tensor, self.stages(z))

    def lr_factors(self) -> dict[nn.Parameter, float]:
        """What the learning rate of a parameter is multiplied by in training, where that is not 1."""
        return {}

    def forward_with_features(self, z: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Give images, and the activations on the way to them that are images themselves, (N, C, h, w) each, from the smallest on."""
        features, value = [], z
        for stage in self.stages:
            value = stage(value)
            if value.ndim == 4:
                features.append(value)
        return features.pop() if features else value, features


class Critic(nn.Module):
    """Image to score, unbounded.

    Args:
        stages: Run in order; the last gives (N, 1).
        size_px: Height and width of the images that it takes.
        image_channels: Their channels.
    """

    def __init__(self, stages: nn.Sequential, *, size_px: int, image_channels: int) -> None:
        super().__init__()
        self.stages = stages
        self.size_px = size_px
        self.image_channels = image_channels

    def freeze_first_blocks(self, count: int) -> None:
        """Take its first blocks, a convolution and its normalisation each, out of training."""
        for block in list(self.stages)[:count]:
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
    """Build the activation of that name.

    Args:
        name: A key of `ACTIVATIONS`.
        option: The recipe's key, for the message.

    Raises:
        UsageError: There is none of that name.
    """
    if name not in ACTIVATIONS:
        raise UsageError(f"{option}: there is no activation {name!r}; choose one of {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]()


def batchnorm_upsample(
    in_channels: int, out_channels: int, last: nn.Module, *, upsample: str = "nearest", blocks: int = 1, leak: float = 0.2, last_norm: bool = True
) -> nn.Sequential:
    """Twice the size: upsampling, conv 3x3 without bias, BatchNorm, activation (the row of Table 7.1, which has one block).

    The convolution needs no bias, for the normalisation would take it away again.

    Args:
        in_channels: Before.
        out_channels: After.
        last: Activation of the last block.
        upsample: `nearest` or `bilinear`.
        blocks: Convolutions at the new size; those before the last have LeakyReLU.
        leak: Negative slope of that.
        last_norm: Without it, the last block has a bias in place of BatchNorm.
    """
    stages = OrderedDict[str, nn.Module](upsample=nn.Upsample(scale_factor=2, mode=upsample))
    for index in range(1, blocks):
        stages[f"conv_{index}"] = nn.Conv2d(in_channels, max(in_channels // 2, out_channels), 3, padding=1, bias=False)
        in_channels = max(in_channels // 2, out_channels)
        stages[f"norm_{index}"] = nn.BatchNorm2d(in_channels)
        stages[f"activation_{index}"] = nn.LeakyReLU(leak)
    stages["conv"] = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=not last_norm)
    if last_norm:
        stages["norm"] = nn.BatchNorm2d(out_channels)
    stages["activation"] = last
    return nn.Sequential(stages)


def instancenorm_conv(in_channels: int, out_channels: int, kernel: int, last: nn.Module | None, stride: int = 1) -> nn.Sequential:
    """Conv with bias and 'same' padding, affine InstanceNorm, activation if any (the row of Table 7.3).

    The bias has no effect under the normalisation, yet the thesis counts it.
    """
    block = OrderedDict[str, nn.Module](
        conv=nn.Conv2d(in_channels, out_channels, kernel, stride=stride, padding=kernel // 2),
        norm=nn.InstanceNorm2d(out_channels, affine=True),
    )
    if last is not None:
        block["activation"] = last
    return nn.Sequential(block)


def score_head(last: nn.Module, output: str, *, flatten_last: bool = False) -> nn.Sequential:
    """The end of a critic: its last layer, and a sigmoid where the recipe wants the score as a probability.

    Args:
        last: Gives (N, 1), or (N, 1, 1, 1) with `flatten_last`.
        output: `linear` or `sigmoid`.
        flatten_last: Drop the sides of one pixel.
    """
    block = OrderedDict[str, nn.Module](last=last)
    if flatten_last:
        block["flatten"] = nn.Flatten()
    if output == "sigmoid":
        block["sigmoid"] = nn.Sigmoid()
    return nn.Sequential(block)


def check_kernel(kernel: int, size_px: int, option: str) -> None:
    """Refuse a kernel that cannot keep the size by symmetric padding, or that is larger than the image.

    Raises:
        UsageError: It is even, not positive, or larger than `size_px`.
    """
    if kernel < 1 or kernel % 2 == 0:
        raise UsageError(f"{option}: a kernel of {kernel} px has no centre pixel; choose an odd one")
    if kernel > size_px:
        largest = size_px - 1 + size_px % 2
        raise UsageError(f"{option}: a kernel of {kernel} px is larger than the image of size_px = {size_px}; choose at most {largest}")
