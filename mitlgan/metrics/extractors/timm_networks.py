"""Any timm network as an extractor, with a weights file of the user's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mitlgan.errors import UsageError
from mitlgan.networks.feature_networks.spec import FeatureNetworkSpec


def timm_spec(name: str, weights: Path | None) -> FeatureNetworkSpec:
    """Return the spec of `timm:NAME`, with the input of timm's default configuration.

    Raises:
        UsageError: timm has no such model, or no weights file is given.
    """
    import timm

    architecture = name.removeprefix("timm:")
    if not timm.is_model(architecture):
        raise UsageError(f"--extractor {name}: timm knows no model {architecture}")
    if weights is None:
        raise UsageError(f"--extractor {name}: needs --weights FILE (.safetensors or .pth), a state dict of timm's {architecture}")
    with torch.device("meta"):
        outline: Any = timm.create_model(architecture, pretrained=False)
    default = outline.default_cfg

    def build(state: dict[str, Tensor]) -> nn.Module:
        network: Any = timm.create_model(architecture, pretrained=False)
        network.load_state_dict(state, strict=True)
        network.reset_classifier(0)
        module: nn.Module = network
        return module

    return FeatureNetworkSpec(
        name=name,
        build=build,
        locate=lambda _: weights,
        sha256=None,
        dim=int(getattr(outline, "head_hidden_size", outline.num_features)),
        size_px=int(default["input_size"][-1]),
        resize="bicubic-antialias" if default["interpolation"] == "bicubic" else "bilinear-antialias",
        mean=tuple(default["mean"]),
        std=tuple(default["std"]),
    )
