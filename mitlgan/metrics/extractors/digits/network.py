"""Features of a digit classifier: networks that were trained on photographs see little of what makes a digit."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import torch
from torch import Tensor, nn

from mitlgan.errors import UsageError
from mitlgan.networks.feature_networks.spec import FeatureNetworkSpec

DIGIT_EXTRACTOR = "digits"
DIGIT_PX = 28
CLASSES = 10
FEATURE_DIM = 128
WEIGHTS = Path(__file__).with_name("weights.safetensors")
SHA256 = "46b8061c88625e0062390fe1df0cffa8e49a29a2971ec128cf719e02dc99dc82"


class FirstChannel(nn.Module):
    """Takes one channel of grey pictures, all of whose channels are equal."""

    def forward(self, images: Tensor) -> Tensor:
        """Return (N, 1, H, W) of (N, C, H, W)."""
        return images[:, :1]


def digit_classifier() -> nn.Sequential:
    """Build the classifier: images (N, 3, 28, 28) in [-1, 1], grey, to scores (N, 10) of the digits 0 to 9.

    Its features are the stage before the last: the means of 128 feature maps, brought to mean 0 and variance 1 over the digits that it was trained on,
    so that no feature counts more than another.
    """
    stages = OrderedDict[str, nn.Module](grey=FirstChannel())
    channels = 1
    for number, (width, stride) in enumerate(((32, 1), (32, 2), (64, 2), (FEATURE_DIM, 2)), start=1):
        conv = nn.Conv2d(channels, width, 3, stride=stride, padding=1, bias=False)
        stages[f"block_{number}"] = nn.Sequential(OrderedDict[str, nn.Module](conv=conv, norm=nn.BatchNorm2d(width), activation=nn.ReLU()))
        channels = width
    stages["mean"] = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    stages["standardise"] = nn.BatchNorm1d(FEATURE_DIM, affine=False)
    stages["classify"] = nn.Linear(FEATURE_DIM, CLASSES)
    return nn.Sequential(stages)


def _build(state: dict[str, Tensor]) -> nn.Module:
    network = digit_classifier()
    network.load_state_dict(state, strict=True)
    features: nn.Module = network[:-1]
    return features


def _locate(weights: Path | None) -> Path:
    path = weights or WEIGHTS
    if weights is None and not path.is_file():
        raise UsageError(f"--extractor {DIGIT_EXTRACTOR}: {path} is missing; install mitlgan again")
    return path


SPEC = FeatureNetworkSpec(
    name=DIGIT_EXTRACTOR,
    build=_build,
    locate=_locate,
    sha256=SHA256,
    dim=FEATURE_DIM,
    size_px=DIGIT_PX,
    resize="bilinear",
    mean=(0.5, 0.5, 0.5),
    std=(0.5, 0.5, 0.5),
    has_fixed_input=True,
    grey_px=DIGIT_PX,
    install="pip install mitlgan",
)


@torch.inference_mode()
def classify(network: nn.Module, images: Tensor, batch: int = 500) -> Tensor:
    """Return the most probable digit of each image.

    Args:
        network: Of `digit_classifier`, in eval mode.
        images: uint8 (N, C, 28, 28), C = 1 or 3, grey.
        batch: Images at a time.

    Returns:
        int64 (N,).
    """
    return torch.cat([network(part.float() / 127.5 - 1).argmax(1) for part in torch.split(images, batch)])
