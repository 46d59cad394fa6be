"""A critic that looks through the features of a frozen, pretrained network (Sauer et al. 2021, "Projected GANs converge faster").

The network sees the image at four depths. Fixed random convolutions mix the features, first across channels, then across scales, from the coarsest to
the finest, so that no critic can keep to a few channels that the network happens to have (their section 3.2). A small critic of its own scores each
scale, and the mean of their scores is the score. Only these four learn.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from mitlgan.networks.blocks import Critic
from mitlgan.networks.feature_networks.frozen import (
    FEATURE_NETWORKS,
    STRIDES,
    FrozenFeatures,
    load_frozen_features,
    turn_parameters_into_buffers,
)
from mitlgan.networks.initialization import apply_spectral_norm
from mitlgan.networks.registry import CRITICS
from mitlgan.recipe.schema.critics import ProjectedCriticRecipe

HEAD_PX = 4
"""Height and width at which a scale's critic scores; it halves larger features down to it."""
WIDTH_FACTOR = 2
"""Channels of each projected scale over those of the next finer one."""


class ProjectedFeatures(nn.Module):
    """Images to randomly mixed features of a frozen network, at four scales.

    An image with alpha is laid on mid-gray, real and generated ones alike, and its alpha is one more channel of every scale. Alpha is not a colour,
    so the network sees the picture, and the critics see the outline apart from it.

    Args:
        network: The frozen network.
        channels: Channels of its features, from the finest scale to the coarsest.
        widths: Channels of the mixed features.
        input_px: Height and width to which images are resized for the network.
    """

    def __init__(self, network: FrozenFeatures, channels: Sequence[int], widths: Sequence[int], input_px: int) -> None:
        super().__init__()
        self.input_px, self.network = input_px, network
        self.mix_channels = nn.ModuleList(_random_convolution(own, width, 1) for own, width in zip(channels, widths, strict=True))
        self.mix_scales = nn.ModuleList(_random_convolution(coarse, fine, 3) for fine, coarse in pairwise(widths))

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the mixed features (N, W, h, w) of images (N, C, H, W) in [-1, 1], from the finest scale to the coarsest."""
        images = self._resize(images)
        features = self.network(lay_on_gray(images).contiguous(memory_format=torch.channels_last))
        mixed = [mix(feature) for mix, feature in zip(self.mix_channels, features, strict=True)]
        for index in reversed(range(len(self.mix_scales))):
            coarse = self.mix_scales[index](mixed[index + 1])
            mixed[index] = mixed[index] + functional.interpolate(coarse, scale_factor=2, mode="bilinear", align_corners=False)
        if images.shape[1] != 4:
            return mixed
        alpha = images[:, 3:]
        return [torch.cat([feature, functional.avg_pool2d(alpha, self.input_px // feature.shape[-1])], dim=1) for feature in mixed]

    def _resize(self, images: Tensor) -> Tensor:
        if images.shape[-1] == self.input_px:
            return images
        is_reduced = images.shape[-1] > self.input_px
        return functional.interpolate(images, (self.input_px, self.input_px), mode="bilinear", align_corners=False, antialias=is_reduced)


class ScaleScores(nn.Module):
    """The mean score of a small critic for each scale.

    Args:
        critics: Features of a scale to scores (N, 1), from the finest scale to the coarsest.
    """

    def __init__(self, critics: list[nn.Sequential]) -> None:
        super().__init__()
        self.critics = nn.ModuleList(critics)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Return the mean of all scores, (N, 1)."""
        return torch.stack([critic(feature) for critic, feature in zip(self.critics, features, strict=True)]).mean(dim=0)


@CRITICS.register(ProjectedCriticRecipe)
def build_critic(recipe: ProjectedCriticRecipe, size_px: int) -> Critic:
    """Build the critic; the random mixing comes from torch's global random numbers, as initial weights do, and is saved with the critic.

    Args:
        recipe: Its settings.
        size_px: Height and width of its images; any size.

    Raises:
        AbsentWeightsError: The weights of the feature network are not on this machine.
    """
    network, input_px = load_frozen_features(recipe.network, "critic.network"), recipe.input_px_at(size_px)
    widths = [recipe.width * WIDTH_FACTOR**index for index in range(len(STRIDES))]
    features = ProjectedFeatures(network, FEATURE_NETWORKS[recipe.network].channels, widths, input_px)
    has_alpha = recipe.image_channels == 4
    critics = [_scale_critic(recipe, width + has_alpha, width, input_px // stride) for width, stride in zip(widths, STRIDES, strict=True)]
    if recipe.spectral:
        for critic in critics:
            apply_spectral_norm(critic)
    stages = OrderedDict[str, nn.Module](features=features, score=ScaleScores(critics))
    return Critic(nn.Sequential(stages), size_px=size_px, image_channels=recipe.image_channels)


def lay_on_gray(images: Tensor) -> Tensor:
    """Return images as RGB (N, 3, H, W) in [-1, 1]: gray is repeated, premultiplied color and alpha are laid on mid-gray, which hides no object.

    Color is not cut to alpha: where a generator gives more, the image is brighter than any real one, and the critic sees it.
    """
    if images.shape[1] == 1:
        return images.expand(-1, 3, -1, -1)
    return images if images.shape[1] == 3 else images[:, :3] + (1 - images[:, 3:]) / 2


def _random_convolution(channels: int, width: int, kernel: int) -> nn.Conv2d:
    """Return a convolution that keeps the mean square of its input and is never trained."""
    convolution = nn.Conv2d(channels, width, kernel, padding=kernel // 2, bias=False)
    nn.init.kaiming_normal_(convolution.weight, nonlinearity="linear")
    turn_parameters_into_buffers(convolution, is_saved=True)
    return convolution


def _scale_critic(recipe: ProjectedCriticRecipe, channels: int, width: int, px: int) -> nn.Sequential:
    """Return convolutions that halve features of `px` down to `HEAD_PX`, one where they are as small, and the score."""
    stages = OrderedDict[str, nn.Module]()
    has_norm = recipe.normalisation == "batch"  # its shift takes the place of a bias, whose gradient would be rounding errors
    while px > HEAD_PX or not stages:
        if px > HEAD_PX:
            px, width = px // 2, width * WIDTH_FACTOR
            convolution = nn.Conv2d(channels, width, 4, stride=2, padding=1, bias=not has_norm)
        else:
            convolution = nn.Conv2d(channels, width, 3, padding=1, bias=not has_norm)
        channels = width
        norm = OrderedDict[str, nn.Module](norm=nn.BatchNorm2d(width)) if has_norm else OrderedDict()
        block = OrderedDict[str, nn.Module](conv=convolution) | norm
        stages[f"conv_{len(stages) + 1}"] = nn.Sequential(block | OrderedDict[str, nn.Module](activation=nn.LeakyReLU(recipe.leak)))
    stages["score"] = nn.Sequential(OrderedDict[str, nn.Module](last=nn.Conv2d(channels, 1, px), flatten=nn.Flatten()))
    return nn.Sequential(stages)
